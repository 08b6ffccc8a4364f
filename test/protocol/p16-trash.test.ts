/**
 * P16 and P8 for what is removed and what is reset: once acknowledged, a removed session can be restored and an earlier
 * generation is listed - after a kill or a power cut at any call, before and after a checkpoint, for readers too.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { SessionStore } from "../../src/api.js";
import type { TrashedSession } from "../../src/contract.js";
import type { Port } from "../../src/fs/port.js";
import { createSessionStore } from "../../src/store.js";
import type { SimulatedMachine } from "../sim/machine.js";
import { SeededRandom } from "../sim/random.js";
import type { SimulatedProcess } from "../sim/simulated-process.js";
import { filesIn, makeMachine, openStore, type StoreOptions, storePath } from "./simulated-store.js";

type Store = SessionStore<Record<string, unknown>>;

async function openPublic(port: Port, options: StoreOptions = {}): Promise<Store> {
  return createSessionStore(await openStore(port, options), { clock: port });
}

/** What was acknowledged before the end came: the `n` of removed entries, and the ids that were replaced. */
interface Acknowledged {
  readonly removed: number[];
  readonly restored: number[];
  readonly reset: string[];
}

/** Removes, resets and restores on a journal that is checkpointed in between. */
async function live(port: Port, told: Acknowledged): Promise<void> {
  const store = await openPublic(port);
  await store.update("hot", () => ({ sessionId: "s0", n: 0 }));
  for (let n = 1; n <= 4; n += 1) {
    await store.update("a", () => ({ n }));
    await store.patch("a", { patched: n });
    if (n === 2) await store.checkpoint();
    await store.remove("a", { actor: "me", reason: "test" });
    told.removed.push(n);
    await store.patch("hot", { sessionId: `s${n}` }, { reason: "reset" });
    told.reset.push(`s${n - 1}`);
  }
  await store.checkpoint();
  await store.restore("a");
  told.restored.push(4);
  await store.transaction((transaction) => transaction.set("hot", { sessionId: "blind" }));
  told.reset.push("s4");
  await store.remove("a");
  await store.close();
}

async function listTrash(store: Store): Promise<TrashedSession[]> {
  const items: TrashedSession[] = [];
  for await (const item of store.trash()) items.push(item);
  return items;
}

async function checkAfterwards(machine: SimulatedMachine, told: Acknowledged, what: string): Promise<void> {
  const reader = await machine.process("reader").run(async (port) => {
    const store = await openPublic(port, { readOnly: true });
    const items = await listTrash(store);
    const generations = await store.generations("hot");
    await store.close();
    return { items, generations };
  });
  assert.equal(reader.status, "returned", what);
  if (reader.status !== "returned") return;
  const { items, generations } = reader.value;
  const kept = items.map(({ entry }) => entry.n);
  for (const n of told.removed) {
    if (n === 4 && told.removed.length === 4) continue; // The next step may have restored it.
    assert.ok(kept.includes(n), `${what}: removal ${n} is not in the trash: ${kept}`);
  }
  assert.equal(new Set(items.map(({ id }) => id)).size, items.length, what);
  for (const { entry } of items) assert.deepEqual(entry, { n: entry.n, patched: entry.n }, what);
  const listed = generations.map(({ sessionId }) => sessionId);
  for (const id of told.reset) assert.ok(listed.includes(id), `${what}: generation ${id} is not listed: ${listed}`);

  const writer = await machine.process("writer").run(async (port) => {
    const store = await openPublic(port);
    assert.deepEqual(await listTrash(store), items, `${what}: a writer lists what a reader lists`);
    await store.checkpoint();
    assert.deepEqual(await listTrash(store), items, `${what}: and the same after a checkpoint`);
    assert.deepEqual(await store.generations("hot"), generations, what);
    if (told.removed.length === 4) {
      const current = await store.get("a");
      if (current === undefined) await store.restore("a");
      assert.deepEqual(await store.get("a"), { n: 4, patched: 4 }, `${what}: what was removed last is back`);
    }
    for (const { key, entry, id } of await listTrash(store)) {
      await store.restore(id, { replace: true });
      assert.deepEqual(await store.get(key), entry, what);
    }
    await store.close();
  });
  if (writer.status === "failed") throw new Error(what, { cause: writer.error });
  assert.equal(writer.status, "returned", what);
  assert.deepEqual(machine.openHandles(), [], what);
}

async function runUntil(machine: SimulatedMachine, told: Acknowledged, prepare: (process: SimulatedProcess) => void) {
  const process = machine.process("victim");
  prepare(process);
  return { process, outcome: await process.run((port) => live(port, told)) };
}

const makeTold = (): Acknowledged => ({ removed: [], restored: [], reset: [] });

// Fails when `readJournaledRemovals` returns nothing, and when `StateWriter.write` looks at removals only of the last change.
test("P16: killed at any call, what was removed can be restored and what was reset is listed", async () => {
  const complete = await runUntil(await makeMachine(), makeTold(), () => {});
  if (complete.outcome.status === "failed") throw complete.outcome.error;
  assert.equal(complete.outcome.status, "returned");
  const { calls } = complete.process;
  assert.ok(calls > 300, `only ${calls} calls`);
  for (let call = 1; call <= calls; call += 5) {
    const machine = await makeMachine();
    const told = makeTold();
    await runUntil(machine, told, (process) => process.crashAfter(call));
    await checkAfterwards(machine, told, `killed at call ${call}`);
  }
});

test("P16: the power cut at any call, what was removed can be restored and what was reset is listed", async () => {
  const random = new SeededRandom(16);
  const machine = await makeMachine({ fileSystem: "weak" });
  const { process } = await runUntil(machine, makeTold(), () => {});
  for (let call = 7; call <= process.calls; call += 13) {
    const victim = await makeMachine({ fileSystem: "weak" });
    const told = makeTold();
    await runUntil(victim, told, (running) => running.crashAfter(call));
    for (const image of victim.powerLossImages(2, random)) await checkAfterwards(image, told, `cut at call ${call}`);
  }
});

// Fails when `unlinkTrash` does not ask what is checkpointed, and `emptyTrash` does not checkpoint first.
test("what was thrown away does not come back with a checkpoint that is finished for a dead one", async () => {
  for (let call = 1; ; call += 1) {
    const machine = await makeMachine();
    const victim = machine.process("victim");
    const died = await victim.run(async (port) => {
      const store = await openPublic(port);
      await store.update("a", () => ({ n: 1 }));
      await store.checkpoint();
      await store.remove("a");
      victim.crashAfter(call);
      await store.checkpoint();
      victim.crashAfter(1e9);
      await store.close();
    });
    const outcome = await machine.process("emptier").run(async (port) => {
      const store = await openPublic(port);
      assert.equal(await store.emptyTrash({ removedBeforeMs: Number.POSITIVE_INFINITY }), 1, `call ${call}`);
      await store.update("b", () => ({ n: 1 }));
      await store.checkpoint();
      assert.deepEqual(await listTrash(store), [], `call ${call}`);
      await store.close();
    });
    if (outcome.status === "failed") throw outcome.error;
    if (died.status === "returned") break;
  }
});

test("a reader lists removals of the journal without writing anything", async () => {
  const machine = await makeMachine();
  const writer = await machine.process("writer").run((port) => openPublic(port));
  assert.equal(writer.status, "returned");
  if (writer.status !== "returned") return;
  const store = writer.value;
  await machine.settle(store.update("a", () => ({ n: 1 })));
  await machine.settle(store.remove("a"));
  const before = JSON.stringify(machine.dump());
  const reader = await machine.process("reader").run(async (port) => {
    const found = await openPublic(port, { readOnly: true });
    const items = await listTrash(found);
    await found.close();
    return items;
  });
  assert.deepEqual(reader.status === "returned" && reader.value.map(({ entry }) => entry), [{ n: 1 }]);
  assert.equal(JSON.stringify(machine.dump()), before);
  await machine.settle(store.close());
});

test("damaged, strange and lying files in the trash are reported and passed over, the others listed", async () => {
  const machine = await makeMachine();
  const made = await machine.process("maker").run(async (port) => {
    const store = await openPublic(port);
    for (const key of ["a", "b", "c", "d"]) {
      await store.update(key, () => ({ key }));
      await store.remove(key);
    }
    await store.close();
  });
  assert.equal(made.status, "returned");
  const names = [...filesIn(machine, "trash").keys()].sort();
  const [a, b, c] = names as [string, string, string, string];
  const path = (name: string) => `${storePath}/trash/${name}`;
  machine.writeFile(path(a), machine.readText(path(a)).replace('"key": "a"', '"key": "x"'));
  const whole = machine.readText(path(b));
  machine.writeFile(path(b), whole.slice(0, -20));
  // Whole, and under the name of another removal: it would bring back what is not asked for.
  machine.writeFile(path(c), machine.readText(path(names[3]!)));
  machine.writeFile(path("not of the store"), "?");
  machine.makeDirectory(path("5-5-session-YQ.json"));
  const warnings: string[] = [];
  const looked = await machine.process("reader").run(async (port) => {
    const logger = { warn: (message: string) => void warnings.push(message) };
    const store = await openPublic(port, { readOnly: true, logger });
    const keys = (await listTrash(store)).map(({ key }) => key);
    const findings: string[] = [];
    for await (const { code, path } of store.verify()) findings.push(`${code} ${path}`);
    await store.close();
    return { keys, findings };
  });
  if (looked.status === "failed") throw looked.error;
  assert.ok(looked.status === "returned");
  assert.deepEqual(looked.value.keys, ["d"]);
  assert.equal(warnings.length, 3, warnings.join("\n"));
  for (const name of [a, b, c]) assert.ok(looked.value.findings.includes(`trash_damaged trash/${name}`));
});
