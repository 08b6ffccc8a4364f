/** P11 and what belongs to it: when a sync fails, who is told what, and what lives on in which segment. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Operation, TrashedSession } from "../../src/contract.js";
import { FailingPort, type FailureOptions } from "../sim/failing-port.js";
import type { SimulatedMachine } from "../sim/machine.js";
import { CraftedJournal, carried } from "./crafted-journal.js";
import {
  commitPut,
  filesIn,
  HookedPort,
  holdBackWhile,
  loseEverythingPending,
  makeMachine,
  openStore,
  put,
  readStore,
  readValue,
  request,
  type StartedStore,
  type StoreOptions,
  segmentPath,
  start,
  storePath,
} from "./simulated-store.js";

interface FailingStore extends StartedStore {
  readonly fail: (options: FailureOptions) => void;
}

/** A store whose syncs can be made to fail, and then lose what they were for, as on Linux. */
async function startFailing(machine: SimulatedMachine, options?: StoreOptions): Promise<FailingStore> {
  const process = machine.process("failing");
  const failing = new FailingPort(process);
  const port = new HookedPort(failing);
  const backend = await machine.settle(openStore(port, options));
  const onFailedSync = process.loseWrites.bind(process);
  return { process, port, backend, fail: (failure) => failing.fail({ onFailedSync, ...failure }) };
}

const firstSync = (path: string): FailureOptions => ({
  failAt: 1,
  methods: ["syncFile"],
  matches: (call) => call.path === path,
});

function checkpointedVersion(machine: SimulatedMachine): number {
  return JSON.parse(machine.readText(`${storePath}/state.json`)).checkpoint.version;
}

/** Somebody else holds the lock of checkpoints. */
function lockCheckpoints(machine: SimulatedMachine) {
  const holder = machine.process("holder");
  const lock = holder.open(holder.openRoot("/home/agent"), "sessions.d.checkpoint.lock", "lock");
  assert.ok(holder.tryLock(lock, "exclusive"));
  return holder;
}

// Fails when `syncLiveSegments` goes on after a failed sync of journal/.
test("P11: a failed sync of the journal's names is no acknowledgement", async () => {
  const machine = await makeMachine();
  const store = await startFailing(machine);
  store.fail({ failAt: 1, methods: ["syncDirectory"], matches: (call) => call.path === `${storePath}/journal` });
  await assert.rejects(machine.settle(store.backend.commit(request([put("a", { value: 1 })]))), {
    code: "outcome_unknown",
  });
});

// Fails without the filter in `syncLiveSegments`: the second sync succeeds, and means nothing.
test("P11: a segment whose sync failed is never synced again", async () => {
  const machine = await makeMachine();
  const store = await startFailing(machine);
  let syncs = 0;
  store.port.before = (call) => {
    if (call.method === "syncFile" && call.path === segmentPath(1)) syncs += 1;
  };
  store.fail(firstSync(segmentPath(1)));
  await assert.rejects(machine.settle(store.backend.commit(request([put("a", { value: 1 })]))));
  await commitPut(machine, store, "b", 1);
  await machine.settle(store.backend.checkpoint());
  await machine.settle(store.backend.close());
  assert.equal(syncs, 1);
});

// Fails when `giveUp` does not sync what was carried over, and yet calls it durable.
test("P11: after a failed sync, sync() means that the carried states are on the disk", async () => {
  const machine = await makeMachine();
  const store = await startFailing(machine);
  await commitPut(machine, store, "a", "acknowledged");
  store.fail(firstSync(segmentPath(1)));
  await assert.rejects(machine.settle(store.backend.commit(request([put("b", { value: "unknown" })]))));
  await machine.settle(store.backend.sync());
  machine.evictCleanPages(segmentPath(1));
  assert.deepEqual(await readStore(loseEverythingPending(machine)), {
    a: { value: "acknowledged" },
    b: { value: "unknown" },
  });
});

// Fails without `trashOfSuspects`: the suspect segment is never checkpointed, and what it removed was nowhere else.
test("P11, P16: what a suspect segment removed goes to the trash all the same, and what it purged does not", async () => {
  const machine = await makeMachine();
  const store = await startFailing(machine);
  for (const key of ["old", "purged"]) await commitPut(machine, store, key, "in a file");
  await machine.settle(store.backend.checkpoint());
  const removal = (key: string, purge = false) => ({ type: "remove", key, purge }) as const;
  const commit = (...operations: Operation[]) =>
    machine.settle(store.backend.commit({ ...request(operations), actor: "me" }));
  await commitPut(machine, store, "made", "only in the journal");
  await commitPut(machine, store, "again", 1);
  await commit(removal("made"), removal("old"), removal("again"), removal("purged", true));
  await commitPut(machine, store, "again", 2);
  const listed = await trashOf(machine, store);
  assert.deepEqual(
    listed.map(({ key, entry, actor }) => [key, entry.value, actor]),
    [
      ["again", 1, "me"],
      ["made", "only in the journal", "me"],
      ["old", "in a file", "me"],
    ],
  );
  store.fail(firstSync(segmentPath(3)));
  await assert.rejects(machine.settle(store.backend.commit(request([put("b", { value: 1 })]))));
  assert.deepEqual(await trashOf(machine, store), listed);
  // A segment with nothing but carried states would not be sealed.
  await commitPut(machine, store, "c", 1);
  await machine.settle(store.backend.checkpoint());
  assert.equal(checkpointedVersion(machine), 8);
  assert.deepEqual(await trashOf(machine, store), listed);
  await machine.settle(store.backend.close());
  const next = await start(machine, "next");
  assert.deepEqual(await trashOf(machine, next), listed);
  assert.deepEqual(await readValue(next, "again"), 2);
});

function trashOf(machine: SimulatedMachine, { backend }: StartedStore): Promise<TrashedSession[]> {
  const readAll = async () => {
    const items: TrashedSession[] = [];
    for await (const item of backend.trash()) items.push(item);
    return items.sort((left, right) => (left.key < right.key ? -1 : 1));
  };
  return machine.settle(readAll());
}

/** The sync fails, and so does that of the segment that was to take its place. */
async function poisoned(): Promise<{ machine: SimulatedMachine; store: FailingStore }> {
  const machine = await makeMachine();
  const store = await startFailing(machine);
  await commitPut(machine, store, "a", 1);
  store.fail({ failAt: 1, lasts: "from then on", methods: ["syncFile"] });
  await assert.rejects(machine.settle(store.backend.commit(request([put("b", { value: 1 })]))), {
    code: "outcome_unknown",
  });
  return { machine, store };
}

// Fails when the second failure does not poison, and when a poisoned store waits for syncs like any other.
test("P11: when not even the new segment can be synced, nothing is confirmed any more, also when syncs work again", async () => {
  const { machine, store } = await poisoned();
  await assert.rejects(machine.settle(store.backend.sync()), { code: "outcome_unknown" });
  store.fail({});
  await assert.rejects(machine.settle(store.backend.sync()), { code: "outcome_unknown" });
});

// Fails without the look at the poison in `Committer.serve`: the commit is written, and nobody can say what of.
test("P11: a poisoned store appends nothing, and reads on", async () => {
  const { machine, store } = await poisoned();
  store.fail({});
  const before = filesIn(machine, "journal");
  await assert.rejects(machine.settle(store.backend.commit(request([put("c", { value: 1 })]))));
  assert.deepEqual(filesIn(machine, "journal"), before);
  assert.equal(await readValue(store, "a"), 1);
  await machine.settle(store.backend.close());
  const next = await start(machine, "next");
  await commitPut(machine, next, "c", 2);
});

// Fails when carried states are looked for in the next segment only, when only the current segment is marked as suspect, when only the last suspect one is carried over, and when the
// seal says "rotated".
test("P11: the sync of an older segment fails: it and everything behind it go on in the new one", async () => {
  const machine = await makeMachine();
  const holder = lockCheckpoints(machine);
  const first = await start(machine, "first", { durability: "interval", limits: { segmentBytes: 1 } });
  await commitPut(machine, first, "a", "in the first segment");
  first.process.kill();
  const store = await startFailing(machine);
  store.fail(firstSync(segmentPath(1)));
  await assert.rejects(machine.settle(store.backend.commit(request([put("b", { value: "in the second" })]))), {
    code: "outcome_unknown",
  });
  assert.match(machine.readText(segmentPath(2)), /"seal":"suspect"/);
  await machine.settle(store.backend.sync());
  for (const segment of [1, 2]) machine.evictCleanPages(segmentPath(segment));
  const expected = { a: { value: "in the first segment" }, b: { value: "in the second" } };
  assert.deepEqual(await readStore(loseEverythingPending(machine)), expected);
  holder.kill();
  await machine.settle(store.backend.checkpoint());
  assert.deepEqual(await readStore(machine), expected);
});

// Fails when carried states are held to the limit of commits.
test("P11: states that add up to more than recordBytes are carried over all the same", async () => {
  const machine = await makeMachine();
  const store = await startFailing(machine, { limits: { recordBytes: 600 } });
  for (const key of ["a", "b", "c", "d"]) await commitPut(machine, store, key, key.repeat(200));
  store.fail(firstSync(segmentPath(1)));
  await assert.rejects(machine.settle(store.backend.commit(request([put("e", { value: "e" })]))), {
    code: "outcome_unknown",
  });
  machine.evictCleanPages(segmentPath(1));
  await commitPut(machine, store, "f", "f");
  assert.deepEqual(
    Object.keys(await readStore(loseEverythingPending(machine)))
      .sort()
      .join(""),
    "abcdef",
  );
});

/**
 * A commit of `slow` has its sync of segment 1 under way while that of `failing` fails and takes the pending bytes with
 * it; and `failing` dies after it carried the states over, before these are on the disk. What a power loss leaves right
 * after `slow` was told that its commit is durable.
 */
async function syncBesideFailure(
  machine: SimulatedMachine,
  failing: FailingStore,
  beforeFailure: () => Promise<unknown>,
): Promise<Record<string, unknown>> {
  const slow = await start(machine, "slow");
  let isHeld = true;
  holdBackWhile(slow, (call) => isHeld && call.method === "syncFile" && call.path === segmentPath(1));
  const acknowledged = slow.backend.commit(request([put("slow", { value: "acknowledged" })]));
  await machine.advance(5);
  await beforeFailure();
  failing.fail(firstSync(segmentPath(1)));
  let hasCarried = false;
  failing.port.before = (call) => {
    if (call.method === "append" && call.path !== segmentPath(1)) hasCarried = true;
    else if (hasCarried && call.method === "syncFile") failing.process.kill();
  };
  failing.backend.sync().catch(() => {});
  for (let ms = 0; ms < 1_000 && !failing.process.isKilled; ms += 1) await machine.advance(1);
  assert.ok(failing.process.isKilled && hasCarried);
  isHeld = false;
  const images: SimulatedMachine[] = [];
  await machine.settle(acknowledged.then(() => images.push(loseEverythingPending(machine))));
  return readStore(images[0]!);
}

// Fails without `refreshShowsSuspect` in `Durability.run`.
test("P11: a sync that succeeds beside one that failed acknowledges nothing until the carried states are synced", async () => {
  const machine = await makeMachine();
  const failing = await startFailing(machine, { durability: "interval" });
  const left = await syncBesideFailure(machine, failing, () => commitPut(machine, failing, "failing", 1));
  assert.match(machine.readText(segmentPath(1)), /"seal":"suspect"/);
  assert.deepEqual(left.slow, { value: "acknowledged" });
});

// Fails when `View.applyRecord` does not mark the segments that carried states name.
test("P11: the same when the segment was rotated before, and only the carried states say that it is suspect", async () => {
  const machine = await makeMachine();
  lockCheckpoints(machine);
  const failing = await startFailing(machine, { durability: "interval", limits: { segmentBytes: 1 } });
  const left = await syncBesideFailure(machine, failing, () => commitPut(machine, failing, "failing", 1));
  assert.match(machine.readText(segmentPath(1)), /"seal":"rotated"/);
  assert.deepEqual(left.slow, { value: "acknowledged" });
});

// Fails without `carryIfMissing` in `settleJournalEnd`.
test("P11: a crash between the suspect seal and the carried states is finished by the next writer", async () => {
  const machine = await suspectWithoutCarry();
  const store = await start(machine, "store");
  await commitPut(machine, store, "b", 2);
  assert.match(machine.readText(segmentPath(2)), /^\{"carry":.*"put":"a".*\n.*"put":"b"/);
});

// Fails without the look at the seal in `readSealed`: what a file says whose sync has failed proves nothing.
test("P11: a suspect segment is not checkpointed, also while nobody has carried its states over", async () => {
  const machine = await suspectWithoutCarry();
  await start(machine, "store");
  await machine.advance(8_000); // Maintenance looks at it, several times.
  assert.equal(checkpointedVersion(machine), 0);
  assert.equal(filesIn(machine, "entries").size, 0);
});

async function suspectWithoutCarry(): Promise<SimulatedMachine> {
  const machine = await makeMachine();
  const journal = new CraftedJournal(machine);
  journal.write({ 1: [journal.put(1, "a", 1, { first: true }), journal.seal("suspect", 1)], 2: [] });
  return machine;
}

// Fails without `isSuspectedBy` in `readSealed`.
test("P11: a segment that only carried states call suspect is not checkpointed", async () => {
  const machine = await makeMachine();
  const journal = new CraftedJournal(machine);
  journal.write({
    1: [journal.put(1, "a", "as the pages say", { first: true }), journal.seal("rotated", 1)],
    2: [journal.carry({ suspectFrom: 1, lastVersion: 1, states: [carried(1, "a", "as it was")] })],
  });
  const store = await start(machine, "store");
  await machine.advance(8_000);
  assert.equal(filesIn(machine, "entries").size, 0);
  assert.equal(await readValue(store, "a"), "as it was");
  await commitPut(machine, store, "b", 1);
  await machine.settle(store.backend.checkpoint());
  assert.deepEqual(await readStore(machine), { a: { value: "as it was" }, b: { value: 1 } });
});

// Fails when a checkpoint goes on after the failed sync, and when it does not give the segment up.
test("P11: a checkpoint whose sync fails writes nothing, and gives the segment up", async () => {
  const machine = await makeMachine();
  const store = await startFailing(machine, { durability: "interval" });
  await commitPut(machine, store, "a", 1);
  store.fail(firstSync(segmentPath(1)));
  // The attempt in the background fails; the one behind it finds nothing that it may write out.
  await machine.settle(store.backend.checkpoint());
  assert.equal(filesIn(machine, "entries").size, 0);
  machine.evictCleanPages(segmentPath(1));
  await machine.settle(store.backend.sync());
  assert.deepEqual(await readStore(loseEverythingPending(machine)), { a: { value: 1 } });
});

// Fails when only descriptors that are synced to their end are kept, that is: when `syncLiveSegments` closes any sealed one.
test("P6: a segment that was sealed while its sync ran is synced again before its later commits are acknowledged", async () => {
  const machine = await makeMachine();
  lockCheckpoints(machine);
  const store = await start(machine, "store", { limits: { segmentBytes: 500 } });
  const early = store.backend.commit(request([put("early", { value: 1 })]));
  while (machine.events.hasWorkThatKeepsAlive() === false) await Promise.resolve();
  const late = store.backend.commit(request([put("late", { value: "x".repeat(400) })]));
  assert.match(machine.readText(segmentPath(1)), /"seal"/);
  await machine.settle(early);
  const images: SimulatedMachine[] = [];
  await machine.settle(late.then(() => images.push(loseEverythingPending(machine))));
  assert.deepEqual(Object.keys(await readStore(images[0]!)).sort(), ["early", "late"]);
});

// --- "interval" ----------------------------------------------------------------------------------------------------------

// Fails without `onUnsynced` in `Committer.acknowledge`.
test("with interval durability a power cut costs at most the last second", async () => {
  const machine = await makeMachine();
  lockCheckpoints(machine);
  const store = await start(machine, "store", { durability: "interval" });
  await machine.advance(1_500); // The sync that follows the opening is over.
  await commitPut(machine, store, "a", 1);
  await machine.advance(1_000);
  assert.deepEqual(await readStore(loseEverythingPending(machine)), { a: { value: 1 } });
});

// Fails without `syncSoon` in `DirectoryBackend.start`.
test("what a killed writer left unsynced is durable a second after somebody else opened the store", async () => {
  const machine = await makeMachine();
  lockCheckpoints(machine);
  const dead = await start(machine, "dead", { durability: "interval" });
  await commitPut(machine, dead, "a", 1);
  dead.process.kill();
  assert.deepEqual(await readStore(loseEverythingPending(machine)), {});
  await start(machine, "store", { durability: "interval" });
  await machine.advance(1_000);
  assert.deepEqual(await readStore(loseEverythingPending(machine)), { a: { value: 1 } });
});

// Fails without the wait in `WritingParts.finish`: the last checkpoint does not come about either.
test("close() makes everything durable, also when it cannot checkpoint", async () => {
  const machine = await makeMachine();
  lockCheckpoints(machine);
  const store = await start(machine, "store", { durability: "interval" });
  await commitPut(machine, store, "a", 1);
  await machine.settle(store.backend.close());
  assert.equal(checkpointedVersion(machine), 0);
  assert.deepEqual(await readStore(loseEverythingPending(machine)), { a: { value: 1 } });
});
