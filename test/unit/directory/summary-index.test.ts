/**
 * Random histories of lists: several processes write, checkpoint, list and come back while the index is deleted, damaged
 * or its writers are killed. Page by page, every list is that of the memory backend's rule over a plain map.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { RunInfo } from "../../../src/backends/directory/summary-index/head.js";
import { DamagedIndexError, hashKey } from "../../../src/backends/directory/summary-index/row.js";
import { Run } from "../../../src/backends/directory/summary-index/run.js";
import { RunWriter } from "../../../src/backends/directory/summary-index/run-writer.js";
import { writeRun } from "../../../src/backends/directory/summary-index/write-run.js";
import type { Operation, SessionQuery, SessionSummary } from "../../../src/contract.js";
import { Pace } from "../../../src/fs/pace.js";
import { summarizeSession } from "../../../src/sessions/summary.js";
import { assertPages, changeIndexFile, indexFiles } from "../../protocol/list-checks.js";
import { makeMachine, put, remove, request, type StartedStore, start } from "../../protocol/simulated-store.js";
import { CountingPort } from "../../sim/counting-port.js";
import { SimulatedMachine } from "../../sim/machine.js";
import { SeededRandom } from "../../sim/random.js";

const histories = 40;
const stepsPerHistory = 40;
const channels = ["telegram", "Discord", undefined];

test("whatever happens to the index, lists are those of the memory backend, page by page", async () => {
  let lists = 0;
  let indexed = 0;
  for (let seed = 1; seed <= histories; seed += 1) {
    const history = new History(await makeMachine({ seed }), seed);
    await history.open();
    for (let step = 0; step < stepsPerHistory; step += 1) await history.step(step);
    await history.close();
    lists += history.lists;
    indexed += history.counts;
  }
  // The histories are worth something only if most lists came from an index.
  assert.ok(lists > histories * 5 && indexed > lists / 4, `${lists} lists, ${indexed} counts`);
});

/** A run of so many sessions, alone in a folder. */
async function writtenRun(count: number): Promise<{ machine: SimulatedMachine; info: RunInfo }> {
  const machine = new SimulatedMachine();
  machine.makeDirectory("/index");
  const port = machine.process("writer");
  const summaries = Array.from({ length: count }, (_, index) => ({ key: keyOf(index), kind: "other" as const }));
  const writer = new RunWriter(port, port.openRoot("/index"), 1, new Pace(port));
  return { machine, info: await machine.settle(writeRun(writer, summaries, [], () => undefined)) };
}

const keyOf = (index: number) => `session-${index}`;

/** Opens the run after `change`, in a process of its own, which also counts the bytes that it reads. */
function openRun(machine: SimulatedMachine, info: RunInfo, change: (bytes: Uint8Array) => void = () => {}) {
  const path = `/index/${info.name}`;
  const bytes = machine.readFile(path);
  change(bytes);
  machine.writeFile(path, bytes);
  const port = new CountingPort(machine.process("reader"));
  return { port, run: Run.open(port, port.openRoot("/index"), info, { uid: undefined }) };
}

test("a changed byte in the keys of a run, or in its table of buckets, is found by whoever looks there", async () => {
  const { machine, info } = await writtenRun(100);
  for (let at = info.keysOffset; at < info.bytes; at += 1) {
    const { run } = openRun(machine.fork(), info, (bytes) => {
      bytes[at] = (bytes[at] as number) ^ 1;
    });
    assert.throws(() => run.find(hashKey(keyOf(1))), DamagedIndexError, `byte ${at}`);
  }
  assert.equal(openRun(machine, info).run.find(hashKey(keyOf(1))), "live");
});

test("keys of a run that is too large to keep are read and checked one bucket at a time", async () => {
  const count = 66_000;
  const { machine, info } = await writtenRun(count);
  const { port, run } = openRun(machine, info);
  for (let index = 0; index < 5; index += 1) assert.equal(run.find(hashKey(keyOf(index))), "live");
  const keysBytes = info.bucketTableOffset - info.keysOffset;
  assert.ok(port.counts.bytesRead < keysBytes / 10, `${port.counts.bytesRead} bytes were read of ${keysBytes} of keys`);

  // Whether the first session is there, turned into its removal.
  const keyHash = hashKey(keyOf(0));
  const damaged = openRun(machine, info, (bytes) => {
    const keys = Buffer.from(bytes.buffer, bytes.byteOffset + info.keysOffset, keysBytes);
    keys[keys.indexOf(keyHash) + keyHash.byteLength] = 0;
  });
  assert.throws(() => damaged.run.find(keyHash), DamagedIndexError);
  assert.equal(damaged.run.find(hashKey(keyOf(1))), "live");
});

class History {
  lists = 0;
  counts = 0;
  private readonly model = new Map<string, Record<string, unknown>>();
  private readonly machine: SimulatedMachine;
  private readonly random: SeededRandom;
  private readonly seed: number;
  private processes = 0;
  private stores: StartedStore[] = [];
  private reader: StartedStore | undefined;

  constructor(machine: SimulatedMachine, seed: number) {
    this.machine = machine;
    this.seed = seed;
    this.random = new SeededRandom(seed);
  }

  async open(): Promise<void> {
    this.stores = [await this.startOne(false), await this.startOne(false)];
    this.reader = await this.startOne(true);
  }

  async close(): Promise<void> {
    for (const { backend } of [...this.stores, this.reader as StartedStore]) await this.machine.settle(backend.close());
  }

  async step(step: number): Promise<void> {
    const { random, machine } = this;
    const which = random.below(this.stores.length);
    const { backend } = this.stores[which] as StartedStore;
    const context = `seed ${this.seed}, step ${step}`;
    const kind = random.below(20);
    if (kind < 7) await this.commit(which, 1 + random.below(4));
    else if (kind < 8) await this.commit(which, 90);
    else if (kind < 11) await machine.settle(backend.checkpoint());
    else if (kind < 15) await this.list(this.stores[which] as StartedStore, context);
    else if (kind < 16) await this.list(this.reader as StartedStore, `${context}, reader`);
    else if (kind < 17) {
      await machine.settle(backend.close());
      this.stores[which] = await this.startOne(false);
    } else if (kind < 18) {
      (this.stores[which] as StartedStore).process.kill();
      this.stores[which] = await this.startOne(false);
    } else if (kind < 19) this.vandalize();
    else {
      await machine.settle((this.reader as StartedStore).backend.close());
      this.reader = await this.startOne(true);
    }
  }

  private startOne(readOnly: boolean): Promise<StartedStore> {
    this.processes += 1;
    return start(this.machine, `process ${this.processes}`, { readOnly });
  }

  private async commit(which: number, count: number): Promise<void> {
    const { random } = this;
    const operations = new Map<string, Operation>();
    for (let index = 0; index < count; index += 1) {
      const key = `agent:${random.below(2) === 0 ? "main" : "work"}:user-${random.below(count > 10 ? 200 : 30)}`;
      if (random.below(4) === 0) operations.set(key, remove(key));
      else operations.set(key, put(key, this.randomEntry()));
    }
    const { backend } = this.stores[which] as StartedStore;
    await this.machine.settle(backend.commit(request([...operations.values()])));
    for (const [key, operation] of operations) {
      if (operation.type === "put") this.model.set(key, operation.entry as Record<string, unknown>);
      else this.model.delete(key);
    }
  }

  private randomEntry(): Record<string, unknown> {
    const { random } = this;
    const entry: Record<string, unknown> = { sessionId: `s${random.below(1_000)}` };
    // Many ties, and some without a time.
    if (random.below(8) > 0) entry.updatedAt = random.below(40);
    const channel = channels[random.below(channels.length)];
    if (channel) entry.channel = channel;
    if (random.below(3) === 0) entry.label = random.below(2) === 0 ? 'Größe "x"\n' : "plain";
    return entry;
  }

  private async list({ backend }: StartedStore, context: string): Promise<void> {
    const { random } = this;
    const query: SessionQuery = { limit: 1 + random.below(100) };
    if (random.below(3) === 0) query.order = "key";
    if (random.below(4) === 0) query.agent = "work";
    if (random.below(4) === 0) query.channel = "discord";
    if (random.below(4) === 0) query.activeSince = random.below(40);
    if (random.below(4) === 0) query.search = random.below(2) === 0 ? "GRÖSSE" : "user-1";
    const summaries: SessionSummary[] = [...this.model].map(([key, entry]) => summarizeSession(key, entry));
    await this.machine.settle(assertPages(backend, summaries, query, context));
    const { sessions } = await this.machine.settle(backend.stats());
    if (sessions !== undefined) {
      assert.equal(sessions, this.model.size, `${context}: the count`);
      this.counts += 1;
    }
    this.lists += 1;
  }

  private vandalize(): void {
    const { random } = this;
    const vandal = this.machine.process("vandal");
    const names = indexFiles(vandal);
    if (names.length === 0) return;
    const name = names[random.below(names.length)] as string;
    changeIndexFile(vandal, name, (bytes) => {
      const at = random.below(bytes.byteLength);
      if (random.below(3) === 0) return undefined;
      if (random.below(3) === 0) return bytes.subarray(0, at);
      bytes[at] = (bytes[at] as number) ^ (1 + random.below(255));
      return bytes;
    });
  }
}
