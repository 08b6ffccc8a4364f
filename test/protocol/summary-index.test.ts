/**
 * The summary index is derived: whatever happens to it or to who writes it, a list is what a scan tells. Each schedule
 * is forced on the simulated machine: kills and power cuts at every port call, damage, deletion, other processes.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { DirectoryBackend } from "../../src/backends/directory/backend.js";
import { sealDocument } from "../../src/backends/directory/checksum.js";
import { repairStore } from "../../src/backends/directory/repair.js";
import { StoreFiles } from "../../src/backends/directory/store-files.js";
import { readHead, writeHead } from "../../src/backends/directory/summary-index/head.js";
import { DamagedIndexError } from "../../src/backends/directory/summary-index/row.js";
import { IndexUpkeep } from "../../src/backends/directory/summary-index/upkeep.js";
import type { Operation } from "../../src/contract.js";
import type { Port } from "../../src/fs/port.js";
import type { SimulatedMachine } from "../sim/machine.js";
import { SeededRandom } from "../sim/random.js";
import { SystemError } from "../sim/system-error.js";
import { assertListsEqualScan, changeIndexFile, indexFiles, queries } from "./list-checks.js";
import {
  entryFileName,
  HookedPort,
  holdBackWhile,
  killBefore,
  location,
  loseEverythingPending,
  makeMachine,
  openStore,
  put,
  remove,
  request,
  start,
  storePath,
} from "./simulated-store.js";

const keyOf = (index: number) => `agent:${index % 3 === 0 ? "work" : "main"}:direct:user-${index}`;
const session = (index: number, updatedAt: number) => put(keyOf(index), { sessionId: `s${index}`, updatedAt });

/** Where there are hundreds of crashes: enough to go through every run, and the whole. */
const fewQueries = [{ limit: 40 }, { order: "key" }] as const;

function sessions(count: number, round: number): Operation[] {
  return Array.from({ length: count }, (_, index) => session(index, (index * 37 + round * 11) % 150));
}

/** A machine with sessions in entry files, two blocks of them, of which the index knows. */
async function makeListedMachine(count = 150): Promise<SimulatedMachine> {
  const machine = await makeMachine();
  const writer = await start(machine, "first");
  await machine.settle(writer.backend.commit(request(sessions(count, 0))));
  await machine.settle(writer.backend.checkpoint());
  await machine.settle(writer.backend.list({ limit: 1 }));
  await machine.settle(writer.backend.close());
  assert.ok(indexFiles(machine.process("look")).includes("head.json"));
  return machine.fork();
}

/** Changes, adds and removes sessions over two checkpoints, with lists in between. */
async function program(port: Port): Promise<void> {
  const backend = await openStore(port);
  await backend.commit(request([session(1, 500), remove(keyOf(2)), session(900, 60)]));
  await backend.checkpoint();
  await backend.list({ limit: 3 });
  await backend.commit(request([session(1, 1), session(2, 501), remove(keyOf(900)), remove(keyOf(5))]));
  await backend.commit(request(sessions(6, 1)));
  await backend.checkpoint();
  await backend.commit(request([remove(keyOf(7))]));
  await backend.list({ limit: 3 });
  await backend.close();
}

/** The numbers of the calls of `program` that change something: a crash at another is a crash before the next of these. */
async function changingCalls(prepared: SimulatedMachine): Promise<number[]> {
  const process = prepared.fork().process("counting");
  const port = new HookedPort(process);
  const found: number[] = [];
  port.before = ({ method }) => {
    if (changingMethods.has(method)) found.push(process.calls + 1);
  };
  const outcome = await process.run(() => program(port));
  if (outcome.status === "failed") throw outcome.error;
  assert.ok(found.length > 100 && found.length < process.calls, `${found.length} of ${process.calls} calls`);
  return found;
}

const changingMethods: ReadonlySet<string> = new Set([
  "makeDirectory",
  "removeDirectory",
  "open",
  "append",
  "truncate",
  "setMode",
  "rename",
  "unlink",
  "syncFile",
  "syncDirectory",
]);

/** A reader first, who takes what there is, then a writer, who may mend it. */
async function checkLists(machine: SimulatedMachine, context: string, asked = queries): Promise<void> {
  for (const readOnly of [true, false]) {
    const process = machine.process("checker");
    const outcome = await process.run(async (port) => {
      const backend = await openStore(port, { readOnly });
      await assertListsEqualScan(backend, `${context}, ${readOnly ? "reader" : "writer"}`, asked);
      await backend.close();
    });
    if (outcome.status === "failed") throw outcome.error;
    assert.equal(outcome.status, "returned");
    assert.deepEqual(process.openHandles(), [], `${context}: left open`);
  }
}

async function withBackend(
  machine: SimulatedMachine,
  readOnly: boolean,
  work: (backend: DirectoryBackend) => Promise<void>,
) {
  const outcome = await machine.process("visitor").run(async (port) => {
    const backend = await openStore(port, { readOnly });
    await work(backend);
    await backend.close();
  });
  if (outcome.status === "failed") throw outcome.error;
}

test("after a kill at any port call, lists are what a scan tells, for who comes next and for who was there", async () => {
  const prepared = await makeListedMachine(66);
  for (const at of await changingCalls(prepared)) {
    const machine = prepared.fork();
    const witness = await start(machine, "witness", { readOnly: true });
    await machine.settle(witness.backend.list({ limit: 1 }));
    const process = machine.process("victim");
    process.crashAfter(at, { tear: at % 2 === 0 });
    // Through the same port as when the calls were counted.
    assert.equal((await process.run(() => program(new HookedPort(process)))).status, "killed");
    await machine.settle(assertListsEqualScan(witness.backend, `killed at ${at}, witness`, fewQueries));
    await machine.settle(witness.backend.close());
    await checkLists(machine.fork(), `killed at ${at}`, fewQueries);
  }
});

test("after a power cut at any port call, lists are what a scan tells", async () => {
  const prepared = await makeListedMachine(66);
  const random = new SeededRandom(5);
  for (const at of await changingCalls(prepared)) {
    const machine = prepared.fork();
    machine.crashAfter(at);
    await machine.process("victim").run(program);
    await checkLists(machine.powerLoss(random), `power cut at ${at}`, fewQueries);
  }
});

test("a checkpoint adds its sessions, and a list of the next process reads no entry file", async () => {
  const machine = await makeListedMachine();
  await withBackend(machine, false, async (backend) => {
    await backend.commit(request([session(3, 999), remove(keyOf(4))]));
  });
  const reader = await start(machine, "reader", { readOnly: true });
  const read: string[] = [];
  reader.port.before = (call) => {
    if (call.path?.includes("/entries/")) read.push(call.path);
  };
  const page = await machine.settle(reader.backend.list({ limit: 2 }));
  assert.equal(page.sessions[0]?.key, keyOf(3));
  assert.deepEqual(read, []);
  reader.port.before = () => {};
  await machine.settle(assertListsEqualScan(reader.backend, "reader"));
  assert.equal((await machine.settle(reader.backend.stats())).sessions, 149);
});

// One check of head.ts each: its checksum, its format, its size.
for (const [what, forge] of Object.entries({
  "that somebody edited": (text: string) => text.replace('"sessions": 150', '"sessions": 149'),
  "of another format": (text: string) => forgedHead(text, { formatVersion: 2 }),
  "that is longer than any head": (text: string) => forgedHead(text, { padding: "x".repeat(1_048_576) }),
})) {
  test(`a head ${what} is not believed, neither by a reader nor by a writer`, async () => {
    const machine = await makeListedMachine();
    let isChanged = false;
    changeIndexFile(machine.process("forger"), "head.json", (bytes) => {
      const forged = Buffer.from(forge(bytes.toString("utf8")));
      isChanged = !forged.equals(bytes);
      return forged;
    });
    assert.ok(isChanged);
    const reader = await start(machine, "reader", { readOnly: true });
    assert.notEqual((await machine.settle(reader.backend.stats())).sessions, 149);
    await machine.settle(reader.backend.close());
    await checkLists(machine, what);
  });
}

/** With a checksum that fits, as nobody but a program makes it. */
function forgedHead(text: string, fields: Record<string, unknown>): string {
  const { checksum: _, sessions, ...rest } = JSON.parse(text);
  return sealDocument({ ...rest, ...fields, checksum: "00000000", sessions: sessions - 1 });
}

test("a head that names as its run what is no run is damaged, before anything of that name is opened", async () => {
  const machine = await makeListedMachine();
  const port = machine.process("forger");
  const index = port.openRoot(`${storePath}/summary-index`);
  const head = readHead(port, index, { uid: undefined });
  for (const name of ["../state.json", "head.json", ""]) {
    writeHead(port, index, { ...head, runs: head.runs.map((run) => ({ ...run, name })) });
    assert.throws(() => readHead(port, index, { uid: undefined }), DamagedIndexError, name);
  }
});

// Without the comparison of sizes the first list that comes to the missing part finds it, not the first one.
test("a run whose end was cut off is built again by a writer's first list, whatever that one reads", async () => {
  const machine = await makeListedMachine();
  const port = machine.process("vandal");
  const run = indexFiles(port).find((name) => name.endsWith(".run")) as string;
  changeIndexFile(port, run, (bytes) => bytes.subarray(0, -1));
  await withBackend(machine, false, async (backend) => {
    await backend.list({ limit: 1 });
  });
  assert.ok(!indexFiles(port).includes(run));
  await checkLists(machine, "a run that was cut");
});

test("an index that was deleted, or one of whose files was, is built again by a writer; a reader does without", async () => {
  for (const victim of ["head.json", ".run"]) {
    const machine = await makeListedMachine();
    const port = machine.process("vandal");
    for (const name of indexFiles(port)) if (name.endsWith(victim)) changeIndexFile(port, name, () => undefined);
    const before = indexFiles(port);
    await withBackend(machine, true, (backend) => assertListsEqualScan(backend, `no ${victim}, reader`));
    assert.deepEqual(indexFiles(port), before);
    await withBackend(machine, false, (backend) => assertListsEqualScan(backend, `no ${victim}, writer`));
    assert.equal(indexFiles(port).length, 2);
    const [head, run] = indexFiles(port).reverse();
    assert.ok(head?.endsWith("head.json") && run?.endsWith(".run"));
  }
});

test("a changed byte anywhere in the index is found, and the list comes from the entry files", async () => {
  const prepared = await makeListedMachine();
  const names = indexFiles(prepared.process("look"));
  for (const name of names) {
    let size = 1;
    for (let at = 0; at < size; at += name === "head.json" ? 53 : 307) {
      const machine = prepared.fork();
      changeIndexFile(machine.process("vandal"), name, (bytes) => {
        size = bytes.byteLength;
        bytes[at] = (bytes[at] as number) ^ 0x15;
        return bytes;
      });
      await checkLists(machine, `${name}, byte ${at}`);
    }
    assert.ok(size > 400, `${name}: ${size} bytes`);
  }
});

test("damage that a list meets while the store is open is mended at once", async () => {
  const machine = await makeListedMachine();
  const writer = await start(machine, "writer");
  const [run] = indexFiles(writer.process).filter((name) => name.endsWith(".run"));
  const dropped = machine.process("vandal");
  changeIndexFile(dropped, run as string, (bytes) => bytes.fill(0x20, 0, 4_000));
  await machine.settle(assertListsEqualScan(writer.backend, "writer"));
  assert.ok(!indexFiles(dropped).includes(run as string));
});

test("an index of another incarnation, or behind the checkpoint, is not believed", async () => {
  const machine = await makeListedMachine();
  const port = machine.process("vandal");
  let old: Buffer = Buffer.alloc(0);
  const run = indexFiles(port).find((name) => name.endsWith(".run")) as string;
  let oldRun: Buffer = Buffer.alloc(0);
  changeIndexFile(port, "head.json", (bytes) => {
    old = bytes;
    return bytes;
  });
  changeIndexFile(port, run, (bytes) => {
    oldRun = bytes;
    return bytes;
  });
  await withBackend(machine, false, async (backend) => {
    await backend.commit(request([session(1, 700), ...sessions(120, 2)]));
  });
  // The files as they were before: as from a backup of somebody who copies directories one by one.
  changeIndexFile(port, "head.json", () => old);
  if (indexFiles(port).includes(run)) changeIndexFile(port, run, () => oldRun);
  else {
    const other = indexFiles(port).find((name) => name.endsWith(".run")) as string;
    changeIndexFile(port, other, () => undefined);
    const index = port.openRoot(`${storePath}/summary-index`);
    const file = port.open(index, run, "create");
    port.append(file, oldRun);
    port.setMode(file, 0o600);
  }
  await checkLists(machine.fork(), "an old index");
  // Nor is it carried on: a checkpoint would hide that others are missing from it.
  await withBackend(machine, false, async (backend) => {
    await backend.commit(request([session(140, 800)]));
  });
  await checkLists(machine, "an old index after another checkpoint");
});

test("an index of another incarnation is not believed, even if it names the commit of the checkpoint", async () => {
  const machine = await makeListedMachine();
  const forger = machine.process("forger");
  const index = forger.openRoot(`${storePath}/summary-index`);
  const head = readHead(forger, index, { uid: undefined });
  writeHead(forger, index, { ...head, incarnation: "0".repeat(32), sessions: 0, runs: [] });
  await checkLists(machine, "of another incarnation");
});

// Fails when the index takes every error of an entry file for damage: then the session is in no list any more.
test("a session whose file cannot be read while the index is built is in the lists after that", async () => {
  const machine = await makeMachine();
  const writer = await start(machine, "writer", { cacheBytes: 0 });
  await machine.settle(writer.backend.commit(request(sessions(70, 0))));
  await machine.settle(writer.backend.checkpoint());
  let failures = 0;
  writer.port.before = ({ method, path }) => {
    if (method !== "open" || !path.endsWith(entryFileName(keyOf(3))) || failures > 0) return;
    failures += 1;
    throw new SystemError("ENOMEM", "open", path);
  };
  await machine.settle(writer.backend.list({ limit: 1 }).catch(() => {}));
  assert.equal(failures, 1);
  await machine.settle(assertListsEqualScan(writer.backend, "the same process"));
  await machine.settle(writer.backend.close());
  await checkLists(machine, "the next ones");
});

test("an index that is ahead of the checkpoint is believed only if the journal has that very commit", async () => {
  const machine = await makeListedMachine();
  const writer = await start(machine, "writer");
  await machine.settle(writer.backend.commit(request([session(1, 700), remove(keyOf(2))])));
  killBefore(writer, ({ method, path }) => method === "rename" && path.endsWith("/state.json"));
  void writer.backend.checkpoint().catch(() => {});
  await machine.settle(machine.process("clock").sleep(1_000));
  assert.ok(writer.process.isKilled);
  const reader = await start(machine, "reader", { readOnly: true });
  const read: string[] = [];
  reader.port.before = (call) => {
    if (call.path.includes("/entries/")) read.push(call.path);
  };
  assert.equal((await machine.settle(reader.backend.list({ limit: 1 }))).sessions[0]?.key, keyOf(1));
  assert.deepEqual(read, []);
  await machine.settle(reader.backend.close());
  await checkLists(machine.fork(), "ahead");

  const forger = machine.process("forger");
  const index = forger.openRoot(`${storePath}/summary-index`);
  const head = readHead(forger, index, { uid: undefined });
  assert.equal(head.upTo.version, 2);
  writeHead(forger, index, { ...head, upTo: { version: 2, record: "00000001" }, sessions: 0, runs: [] });
  await checkLists(machine, "ahead of another journal");
});

test("repair drops the index, so that what it did to entry files shows in lists", async () => {
  const machine = await makeListedMachine();
  const port = machine.process("editor");
  const entries = port.openRoot(`${storePath}/entries`);
  port.unlink(entries, entryFileName(keyOf(9)));
  port.closeDirectory(entries);
  const repair = machine.process("repair");
  machine.syncAll();
  const outcome = await repair.run((process) => repairStore(`${storePath}`, { port: process }));
  if (outcome.status === "failed") throw outcome.error;
  // Without the sync of `dropIndex` the old head is there again after a power cut, and still fits the manifest.
  const image = loseEverythingPending(machine);
  for (const after of [machine, image]) assert.ok(!indexFiles(after.process("look")).includes("head.json"));
  await checkLists(machine, "after a repair");
  await checkLists(image, "after a repair and a power cut");
});

test("an index is built under the checkpoint lock, and a list does without while somebody else has it", async () => {
  const machine = await makeMachine();
  const writer = await start(machine, "writer");
  await machine.settle(writer.backend.commit(request(sessions(70, 0))));
  await machine.settle(writer.backend.checkpoint());
  const holder = machine.process("holder");
  const lock = holder.open(holder.openRoot("/home/agent"), "sessions.d.checkpoint.lock", "lock");
  assert.ok(holder.tryLock(lock, "exclusive"));
  await machine.settle(assertListsEqualScan(writer.backend, "without an index"));
  assert.deepEqual(indexFiles(writer.process), []);
});

test("two processes that list first build one index", async () => {
  const machine = await makeMachine();
  const [first, second] = [await start(machine, "first"), await start(machine, "second")];
  await machine.settle(first.backend.commit(request(sessions(70, 0))));
  await machine.settle(first.backend.checkpoint());
  await machine.settle(Promise.all([first.backend.list({}), second.backend.list({})]));
  assert.equal(indexFiles(first.process).filter((name) => name.endsWith(".run")).length, 1);
  for (const { backend } of [first, second]) await machine.settle(assertListsEqualScan(backend, "both"));
});

test("changes during a list that takes several turns neither hide a session nor show it twice", async () => {
  const machine = await makeListedMachine();
  const writer = await start(machine, "writer");
  const whole = await machine.settle(writer.backend.list({ limit: 10_000, order: "key" }));
  // The first look at the clock takes so long that the list gives way, and it is not let on before the others are done.
  const { process } = writer;
  const clock = process.monotonicMs.bind(process);
  let ahead = 0;
  process.monotonicMs = () => {
    ahead += 5;
    return clock() + ahead;
  };
  let isHeld = true;
  let yields = 0;
  holdBackWhile(writer, ({ method }) => {
    if (method === "yieldToEventLoop") yields += 1;
    return method === "yieldToEventLoop" && isHeld;
  });
  const listing = writer.backend.list({ limit: 10_000, order: "key" });
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
  assert.ok(yields > 0, "the list did not give way");
  process.monotonicMs = clock;
  await machine.settle(
    writer.backend.commit(request(Array.from({ length: 20 }, (_, index) => session(index, 2_000 + index)))),
  );
  assert.equal((await machine.settle(writer.backend.list({ limit: 1 }))).sessions[0]?.key, keyOf(19));
  isHeld = false;
  const page = await machine.settle(listing);
  assert.deepEqual(
    page.sessions.map(({ key }) => key),
    whole.sessions.map(({ key }) => key),
  );
});

function useUpkeep(backend: DirectoryBackend, indexWriter: IndexUpkeep): void {
  Object.assign((backend as unknown as { writing: object }).writing, { indexWriter });
}

const smallSizes = { chunkRowsMax: 20, inlineRowsMax: 10, runsMax: 32 };

function runsOf(port: Port): { records: number; removals: number }[] {
  let head = "";
  changeIndexFile(port, "head.json", (bytes) => {
    head = bytes.toString("utf8");
    return bytes;
  });
  return JSON.parse(head).runs;
}

test("an index that is built in several runs is merged into one while checkpoints and lists go on", async () => {
  const machine = await makeMachine();
  const writer = await start(machine, "writer");
  await machine.settle(writer.backend.commit(request(sessions(150, 0))));
  await machine.settle(writer.backend.checkpoint());
  const files = StoreFiles.open(writer.process, location, false);
  const upkeep = new IndexUpkeep(files, smallSizes);
  // The store's own upkeep would merge so few at once, and leave nothing to do in the background.
  useUpkeep(writer.backend, upkeep);
  await machine.settle(upkeep.build(undefined));
  assert.equal(runsOf(writer.process).length, 8);
  await machine.settle(assertListsEqualScan(writer.backend, "8 runs"));

  // A checkpoint comes while the merge is written: it stays behind the merged run, with what it removed.
  const isMerged = await machine.settle(
    upkeep
      .merge(async (work) => {
        await writer.backend.commit(request([remove(keyOf(3)), session(4, 1_000)]));
        await writer.backend.checkpoint();
        await work();
        return true;
      })
      .then(() => runsOf(writer.process)),
  );
  assert.deepEqual(
    isMerged.map(({ records, removals }) => [records, removals]),
    [
      [150, 0],
      [1, 1],
    ],
  );
  await machine.settle(assertListsEqualScan(writer.backend, "merged"));
  files.close();
  await checkLists(machine, "merged");
});

test("a merge of what somebody else replaced meanwhile changes nothing", async () => {
  const machine = await makeMachine();
  const writer = await start(machine, "writer");
  await machine.settle(writer.backend.commit(request(sessions(90, 0))));
  await machine.settle(writer.backend.checkpoint());
  const files = StoreFiles.open(writer.process, location, false);
  const upkeep = new IndexUpkeep(files, smallSizes);
  await machine.settle(upkeep.build(undefined));
  let between: unknown;
  await machine.settle(
    upkeep.merge(async (work) => {
      changeIndexFile(writer.process, "head.json", () => undefined);
      await upkeep.build(undefined);
      between = runsOf(writer.process);
      await work();
      return true;
    }),
  );
  assert.deepEqual(runsOf(writer.process), between);
  await machine.settle(
    upkeep.merge(async (work) => {
      // Its upkeep merges so few at once.
      await writer.backend.commit(request([remove(keyOf(3))]));
      await writer.backend.checkpoint();
      between = runsOf(writer.process);
      await work();
      return true;
    }),
  );
  assert.equal((between as unknown[]).length, 1);
  assert.deepEqual(runsOf(writer.process), between);
  files.close();
  await checkLists(machine, "after a lost merge");
});

test("a removal below a larger run stays one until it meets the oldest run", async () => {
  const machine = await makeListedMachine();
  await withBackend(machine, false, async (backend) => {
    await backend.commit(request([remove(keyOf(1))]));
    await backend.checkpoint();
    await backend.commit(request([session(2, 3)]));
    await backend.checkpoint();
    await assertListsEqualScan(backend, "small runs");
  });
  const port = machine.process("look");
  assert.deepEqual(
    runsOf(port).map(({ records, removals }) => [records, removals]),
    [
      [150, 0],
      [1, 1],
    ],
  );
  await withBackend(machine, false, async (backend) => {
    await backend.commit(
      request([remove(keyOf(2)), ...Array.from({ length: 60 }, (_, index) => session(index + 3, 9))]),
    );
  });
  assert.deepEqual(
    runsOf(port).map(({ records, removals }) => [records, removals]),
    [[148, 0]],
  );
  await checkLists(machine, "all in one");
});
