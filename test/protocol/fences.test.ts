/**
 * P20 from below: raising and lifting the fence of a store, and the work that a merge does on a store under the
 * checkpoint lock. Rollbacks as a whole are tested in test/unit/migrate.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { FenceableStore } from "../../src/backends/directory/fence.js";
import type { StoreFiles } from "../../src/backends/directory/store-files.js";
import { keepInTrash } from "../../src/backends/directory/upkeep.js";
import type { Port } from "../../src/fs/port.js";
import { defaultLimits } from "../../src/limits.js";
import { FailingPort } from "../sim/failing-port.js";
import type { SimulatedMachine } from "../sim/machine.js";
import type { SimulatedProcess } from "../sim/simulated-process.js";
import {
  commitPut,
  filesIn,
  HookedPort,
  killBefore,
  location,
  loseEverythingPending,
  makeMachine,
  openStore,
  put,
  readStore,
  request,
  segmentPath,
  start,
  storePath,
} from "./simulated-store.js";

const rotateAtOnce = { limits: { segmentBytes: 1 } };

function openFenceable(port: Port, readOnly = false): FenceableStore {
  return FenceableStore.open(port, location, readOnly, defaultLimits);
}

function isFenced(machine: SimulatedMachine): boolean {
  const store = openFenceable(machine.process("looker"), true);
  try {
    return store.isFenced;
  } finally {
    store.close();
  }
}

/** A store with one commit that nobody has open. */
async function machineWithCommit(options?: Parameters<typeof start>[2]): Promise<SimulatedMachine> {
  const machine = await makeMachine({ fileSystem: "weak" });
  const writer = await start(machine, "writer", options);
  await commitPut(machine, writer, "a", 1);
  writer.process.kill();
  return machine;
}

function holdLock(machine: SimulatedMachine, name: string): SimulatedProcess {
  const holder = machine.process("holder");
  const lock = holder.open(holder.openRoot("/home/agent"), name, "lock");
  assert.ok(holder.tryLock(lock, "exclusive"));
  return holder;
}

// Fails when `raise` does not take the commit lock: a commit in flight would land behind the fence.
test("P20: the fence is raised by the holder of the commit lock only", async () => {
  const machine = await machineWithCommit();
  const holder = holdLock(machine, "sessions.d.lock");
  const store = openFenceable(machine.process("fencer"));
  const raised = store.raise();
  await machine.advance(1_000);
  assert.ok(!isFenced(machine));
  holder.kill();
  await machine.settle(raised);
  assert.ok(isFenced(machine));
});

test("P20: a store that was moved away is not fenced, and no work is done on it", async () => {
  const machine = await machineWithCommit();
  const store = openFenceable(machine.process("fencer"));
  const { backend } = await start(machine, "gateway");
  machine.rename(storePath, "/home/agent/elsewhere");
  const before = machine.readText(segmentPath(1).replace("sessions.d", "elsewhere"));
  await assert.rejects(machine.settle(store.raise()), { code: "store_gone" });
  assert.equal(machine.readText(segmentPath(1).replace("sessions.d", "elsewhere")), before);
  let isCalled = false;
  const work = async () => {
    isCalled = true;
  };
  await assert.rejects(machine.settle(backend.underCheckpointLock("test", work)), { code: "store_gone" });
  assert.ok(!isCalled);
});

// Fails without `settleJournalEnd` in `raise`: the fence behind half a record is none.
test("P3: half a record at the end is cut before the fence", async () => {
  const machine = await machineWithCommit();
  machine.writeFile(segmentPath(1), `${machine.readText(segmentPath(1))}{"half":`);
  const store = openFenceable(machine.process("fencer"));
  await machine.settle(store.raise());
  store.close();
  assert.ok(isFenced(machine));
  const again = openFenceable(machine.process("lifter"));
  await machine.settle(again.lift());
  again.close();
  assert.deepEqual(await readStore(machine), { a: { value: 1 } });
});

// Fails without `setAsideStranded` in `raise`: when the fence is lifted, the next rotation meets them.
test("P10: stranded segments are set aside before the fence", async () => {
  const machine = await machineWithCommit();
  machine.writeFile(segmentPath(9), machine.readText(segmentPath(1)));
  const store = openFenceable(machine.process("fencer"));
  await machine.settle(store.raise());
  store.close();
  assert.ok(!machine.exists(segmentPath(9)));
  assert.ok(filesIn(machine, "quarantine").size > 0);
});

test("P10: a store that has lost acknowledged commits is not opened to be fenced", async () => {
  const machine = await makeMachine();
  holdLock(machine, "sessions.d.checkpoint.lock");
  const writer = await start(machine, "writer", rotateAtOnce);
  for (const key of ["a", "b", "c"]) await commitPut(machine, writer, key, key);
  for (const process of machine.processes) process.kill();
  machine.writeFile(segmentPath(2), "");
  assert.throws(() => openFenceable(machine.process("fencer")), { code: "store_damaged" });
  assert.deepEqual(machine.openHandles(), []);
});

// Fails without the syncs in `raise`: nobody else syncs what an "interval" writer left.
test("P20, P6: when the fence is up, it and everything before it outlive a power cut", async () => {
  const machine = await makeMachine({ fileSystem: "weak" });
  holdLock(machine, "sessions.d.checkpoint.lock");
  const writer = await start(machine, "writer", { durability: "interval", ...rotateAtOnce });
  for (const key of ["a", "b", "c"]) {
    const acknowledged = writer.backend.commit(request([put(key, { value: key })]));
    assert.equal((await acknowledged).status, "committed");
  }
  for (const process of machine.processes) process.kill();
  const store = openFenceable(machine.process("fencer"));
  assert.equal(store.lastVersion, 3);
  await machine.settle(store.raise());
  const image = loseEverythingPending(machine);
  const there = openFenceable(image.process("looker"), true);
  assert.ok(there.isFenced);
  assert.equal(there.lastVersion, 3);
});

test("P20: a fence that could not be made durable is taken down again", async () => {
  for (const methods of [["syncFile"], ["syncDirectory"]] as const) {
    const machine = await machineWithCommit();
    const port = new FailingPort(machine.process("fencer"), { failAt: 1, methods });
    const store = openFenceable(port);
    await assert.rejects(machine.settle(store.raise()), { code: "EIO" });
    store.close();
    assert.ok(!isFenced(machine), methods[0]);
    assert.deepEqual(await readStore(machine), { a: { value: 1 } });
  }
});

test("P20: a fence that was lifted stays lifted when the power fails", async () => {
  const machine = await machineWithCommit();
  const store = openFenceable(machine.process("fencer"));
  await machine.settle(store.raise());
  await machine.settle(store.lift());
  assert.ok(!isFenced(loseEverythingPending(machine)));
});

// Fails without the refresh under the lock in `underCheckpointLock`.
test("P20: work under the checkpoint lock meets a fence that was raised meanwhile", async () => {
  const machine = await machineWithCommit();
  const { backend } = await start(machine, "gateway");
  await machine.settle(openFenceable(machine.process("fencer")).raise());
  const work = async () => assert.fail("the store is closed for a rollback");
  await assert.rejects(machine.settle(backend.underCheckpointLock("test", work)), { code: "store_fenced" });
});

test("work under the checkpoint lock waits its time and not for ever", async () => {
  const machine = await machineWithCommit();
  const { backend } = await start(machine, "gateway");
  holdLock(machine, "sessions.d.checkpoint.lock");
  const work = async () => assert.fail("somebody else has the lock");
  await assert.rejects(machine.settle(backend.underCheckpointLock("test", work)), { code: "lock_timeout" });
});

// --- the losers of a merge ---------------------------------------------------------------------------------------------

/** For it, everything happens in one millisecond. */
class FrozenPort extends HookedPort {
  override nowMs(): number {
    return 1_000;
  }
}

function loser(n: number) {
  return { key: "a", entry: Object.freeze({ n }), actor: "merge", reason: "older" };
}

test("losers of a merge never take each other's file, also in one millisecond, and none is kept twice", async () => {
  const machine = await machineWithCommit();
  const backend = await machine.settle(openStore(new FrozenPort(machine.process("gateway"))));
  const keep = (files: StoreFiles) => keepInTrash(files, [loser(1), loser(2), loser(1)]);
  for (let round = 0; round < 2; round += 1) await machine.settle(backend.underCheckpointLock("test", keep));
  const texts = [...filesIn(machine, "trash").values()];
  assert.deepEqual(texts.map((text) => JSON.parse(text).entry.n).sort(), [1, 2]);
});

// Fails without either sync of directories in `keepInTrash`.
test("losers of a merge are on the disk before the merge goes on", async () => {
  const machine = await machineWithCommit();
  const { backend } = await start(machine, "gateway");
  await machine.settle(
    backend.underCheckpointLock("test", async (files) => {
      await keepInTrash(files, [loser(1)]);
      assert.equal(filesIn(loseEverythingPending(machine), "trash").size, 1);
    }),
  );
});

// Fails without the marker in `marked`: nobody would look for what was left.
test("what somebody left half-written in the trash is swept by the next one", async () => {
  const machine = await machineWithCommit();
  const gateway = await start(machine, "gateway");
  killBefore(gateway, ({ method, path }) => method === "rename" && path.includes("/trash/"));
  gateway.backend.underCheckpointLock("test", (files) => keepInTrash(files, [loser(1)])).catch(() => {});
  await machine.advance(1_000);
  assert.deepEqual(
    [...filesIn(machine, "trash").keys()].filter((name) => name.endsWith(".json")),
    [],
  );
  assert.equal(filesIn(machine, "trash").size, 1, "it died before the rename");
  const next = await start(machine, "next");
  await machine.settle(next.backend.underCheckpointLock("test", (files) => keepInTrash(files, [loser(1)])));
  assert.deepEqual([...filesIn(machine, "trash").keys()].length, 1, "the leftover is gone, the file is there");
});
