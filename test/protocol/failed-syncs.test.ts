/** P11 and what belongs to it: when a sync fails, who is told what, and what lives on in which segment. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { EncodedRecord } from "../../src/backends/directory/journal/record.js";
import type { Operation, TrashedSession } from "../../src/contract.js";
import { FailingPort, type FailureOptions } from "../sim/failing-port.js";
import type { PortCall } from "../sim/intercepted-port.js";
import type { SimulatedMachine } from "../sim/machine.js";
import { CraftedJournal, carried } from "./crafted-journal.js";
import {
  commitPut,
  filesIn,
  HookedPort,
  holdBackWhile,
  killBefore,
  loseEverythingPending,
  makeMachine,
  openStore,
  put,
  readStore,
  readValue,
  remove,
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
async function startFailing(
  machine: SimulatedMachine,
  options?: StoreOptions,
  name = "failing",
): Promise<FailingStore> {
  const process = machine.process(name);
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
async function poisoned(options?: StoreOptions): Promise<{ machine: SimulatedMachine; store: FailingStore }> {
  const machine = await makeMachine();
  const store = await startFailing(machine, options);
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
  const syncs: string[] = [];
  store.port.before = ({ method, path }) => {
    if (method === "syncFile" || method === "syncDirectory") syncs.push(path);
  };
  await assert.rejects(machine.settle(store.backend.sync()), { code: "outcome_unknown" });
  assert.deepEqual(syncs, [], "none is tried again");
});

// Fails without the look at the poison in `Committer.assertMayAppend`: the commit is written, and nobody can say what of.
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

// Fails when `assertMayAppend` asks behind the look at the journal's end, and without the look in `maintain`.
test("P11: a poisoned store brings no journal in order and writes nothing out, nor does its maintenance", async () => {
  const warnings: string[] = [];
  const { machine, store } = await poisoned({ logger: { warn: (message) => warnings.push(message) } });
  store.fail({});
  const dead = await start(machine, "dead");
  killBefore(dead, (call) => call.method === "open" && call.path === segmentPath(5));
  await commitPut(machine, dead, "c", 1);
  dead.backend.checkpoint().catch(() => {});
  for (let ms = 0; ms < 1_000 && !dead.process.isKilled; ms += 1) await machine.advance(1);
  assert.ok(dead.process.isKilled, "the journal ends with a seal that nobody made a successor for");
  const before = machine.dump();
  await machine.advance(60_000);
  const tries = warnings.filter((message) => message.includes("checkpoint"));
  assert.deepEqual(tries, [], "what it cannot do is not tried again and again");
  await assert.rejects(machine.settle(store.backend.commit(request([put("d", { value: 1 })]))), { code: "io_error" });
  await assert.rejects(machine.settle(store.backend.checkpoint()), { code: "io_error" });
  assert.deepEqual(machine.dump(), before);
});

// Fails when `giveUp` does not abandon the segment whose sync failed again.
for (const who of ["a process that has it open", "the one who opens it again, as the error says"]) {
  test(`P11: what is acknowledged behind two failed syncs stays: the commit is of ${who}`, async () => {
    const machine = await makeMachine();
    const store = await startFailing(machine);
    const beside = await start(machine, "beside");
    await commitPut(machine, store, "old", 1);
    store.fail({ failAt: 1, lasts: "from then on", methods: ["syncFile"] });
    await assert.rejects(machine.settle(store.backend.commit(request([put("b", { value: 1 })]))));
    store.fail({});
    let next = beside;
    if (who.startsWith("the one")) {
      await assert.rejects(machine.settle(store.backend.commit(request([put("c", { value: 1 })]))), {
        code: "io_error",
      });
      beside.process.kill();
      await machine.settle(store.backend.close());
      next = await start(machine, "next");
    }
    const images: SimulatedMachine[] = [];
    const acknowledged = next.backend.commit(request([put("new", { value: 2 })]));
    await machine.settle(acknowledged.then(() => images.push(loseEverythingPending(machine))));
    const left = await readStore(images[0]!);
    assert.deepEqual([left.old, left.new], [{ value: 1 }, { value: 2 }]);
  });
}

// Fails without the look for a mark in `abandonSuspects`.
for (const goesOn of [false, true]) {
  const meanwhile = goesOn ? ", also when the new one is in use already" : "";
  test(`P11: whose sync of a segment fails beside another one's does not give the new segment up${meanwhile}`, async () => {
    const machine = await makeMachine();
    const first = await startFailing(machine);
    const second = await startFailing(machine, {}, "second");
    let isHeld = true;
    holdBackWhile(second, (call) => isHeld && call.method === "syncFile" && call.path === segmentPath(1));
    for (const store of [first, second]) store.fail(firstSync(segmentPath(1)));
    const outcome = second.backend.commit(request([put("b", { value: 1 })])).catch((error) => error.code);
    await machine.advance(2);
    await assert.rejects(machine.settle(first.backend.commit(request([put("a", { value: 1 })]))));
    if (goesOn) await commitPut(machine, first, "c", 1);
    isHeld = false;
    assert.equal(await machine.settle(outcome), "outcome_unknown");
    assert.equal(filesIn(machine, "journal").size, 2);
    await commitPut(machine, second, "d", 1);
  });
}

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

interface BesideFailure {
  /** Where `failing` dies: by default when it carried the states over, before these are on the disk. */
  readonly dies?: "without a successor" | "with an empty successor" | "on a full disk";
  /** The process of `slow` reads, and meets the mark before its own sync is over. */
  readonly reads?: boolean;
  readonly beforeFailure?: () => Promise<unknown>;
}

/**
 * A commit of `slow` has its sync of segment 1 under way while that of `failing` fails and takes the pending bytes with
 * it. What a power loss leaves right after `slow` was told that its commit is durable.
 */
async function syncBesideFailure(
  machine: SimulatedMachine,
  failing: FailingStore,
  { dies, reads = false, beforeFailure = () => commitPut(machine, failing, "failing", 1) }: BesideFailure = {},
): Promise<Record<string, unknown>> {
  const slow = await start(machine, "slow");
  let isHeld = true;
  holdBackWhile(slow, (call) => isHeld && call.method === "syncFile" && call.path === segmentPath(1));
  const acknowledged = slow.backend.commit(request([put("slow", { value: "acknowledged" })]));
  await machine.advance(5);
  await beforeFailure();
  failing.fail(firstSync(segmentPath(1)));
  let hasCarried = false;
  let isOver = false;
  failing.port.before = (call) => {
    const isSuccessor = call.method === "open" && call.path.includes("/journal/") && call.path !== segmentPath(1);
    if (isSuccessor && dies === "without a successor") failing.process.kill();
    if (isSuccessor && dies === "on a full disk") machine.disk.freeInodes = 0;
    const isCarry = call.method === "append" && call.path !== segmentPath(1);
    if (isCarry && dies === "with an empty successor") failing.process.kill();
    else if (isCarry) hasCarried = true;
    else if (hasCarried && call.method === "syncFile") failing.process.kill();
  };
  const over = () => {
    isOver = true;
  };
  failing.backend.sync().then(over, over);
  for (let ms = 0; ms < 1_000 && !isOver && !failing.process.isKilled; ms += 1) await machine.advance(1);
  assert.equal(hasCarried, dies === undefined);
  assert.equal(failing.process.isKilled, dies !== "on a full disk");
  machine.disk.freeInodes = 1_000;
  if (reads) assert.equal(await readValue(slow, "slow"), "acknowledged");
  isHeld = false;
  const images: SimulatedMachine[] = [];
  await machine.settle(acknowledged.then(() => images.push(loseEverythingPending(machine))));
  return readStore(images[0]!);
}

// Fails without the look at the seals in `Durability.syncWhatIsTrusted`.
test("P11: a sync that succeeds beside one that failed acknowledges nothing until the carried states are synced", async () => {
  const machine = await makeMachine();
  const failing = await startFailing(machine, { durability: "interval" });
  const left = await syncBesideFailure(machine, failing);
  assert.match(machine.readText(segmentPath(1)), /"seal":"suspect"/);
  assert.deepEqual(left.slow, { value: "acknowledged" });
});

// The first fails when marks are counted after the sync only; the others without `carryOnIfMissing`.
for (const [name, failure] of [
  ["a read of this process met the mark first", { reads: true }],
  ["who found it died before the states went on", { dies: "without a successor" }],
  ["who found it died before it wrote the states", { dies: "with an empty successor" }],
  ["who found it died, and a read met the mark", { dies: "without a successor", reads: true }],
  ["who found it met a full disk", { dies: "on a full disk" }],
] as const satisfies readonly (readonly [string, BesideFailure])[]) {
  test(`P11: nothing is acknowledged in a segment whose sync failed when ${name}`, async () => {
    const machine = await makeMachine();
    const failing = await startFailing(machine, { durability: "interval" });
    const left = await syncBesideFailure(machine, failing, failure);
    assert.deepEqual(left.slow, { value: "acknowledged" });
  });
}

// Fails without `carryOnIfMissing`: there is nothing to sync, and so nothing that fails.
test("P11: sync() in a process that finds a suspect segment means that its states went on", async () => {
  const machine = await makeMachine();
  const failing = await startFailing(machine, { durability: "interval" });
  await commitPut(machine, failing, "a", 1);
  failing.fail(firstSync(segmentPath(1)));
  killBefore(failing, (call) => call.method === "open" && call.path === segmentPath(2));
  failing.backend.sync().catch(() => {});
  for (let ms = 0; ms < 1_000 && !failing.process.isKilled; ms += 1) await machine.advance(1);
  assert.match(machine.readText(segmentPath(1)), /"seal":"suspect"/);
  const store = await start(machine, "store", { durability: "interval" });
  await machine.settle(store.backend.sync());
  assert.deepEqual(await readStore(loseEverythingPending(machine)), { a: { value: 1 } });
});

// Fails when `giveUp` calls durable what it synced without a look for marks.
test("P11: carried states that another process gave up meanwhile are synced again before sync() says so", async () => {
  const machine = await makeMachine();
  const store = await startFailing(machine);
  const other = await startFailing(machine, { durability: "interval" }, "other");
  let isHeld = true;
  holdBackWhile(store, (call) => isHeld && call.method === "syncFile" && call.path === segmentPath(2));
  store.fail(firstSync(segmentPath(1)));
  const outcome = store.backend.commit(request([put("a", { value: 1 })])).catch((error) => error.code);
  await machine.advance(5);
  other.fail(firstSync(segmentPath(2)));
  killBefore(other, (call) => call.method === "syncFile" && call.path === segmentPath(3));
  other.backend.sync().catch(() => {});
  for (let ms = 0; ms < 1_000 && !other.process.isKilled; ms += 1) await machine.advance(1);
  assert.ok(other.process.isKilled);
  isHeld = false;
  assert.equal(await machine.settle(outcome), "outcome_unknown");
  await machine.settle(store.backend.sync());
  assert.deepEqual(await readStore(loseEverythingPending(machine)), { a: { value: 1 } });
});

// Fails when `View.applyRecord` does not mark the segments that carried states name.
test("P11: the same when the segment was rotated before, and only the carried states say that it is suspect", async () => {
  const machine = await makeMachine();
  lockCheckpoints(machine);
  const failing = await startFailing(machine, { durability: "interval", limits: { segmentBytes: 1 } });
  const left = await syncBesideFailure(machine, failing);
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

test("P11: nor while they cannot be carried over, because the disk is full", async () => {
  const machine = await suspectWithoutCarry();
  const store = await startFailing(machine);
  const isSuccessor = ({ path }: { readonly path: string }) => path === segmentPath(2);
  store.fail({ failAt: 1, lasts: "from then on", code: "ENOSPC", methods: ["append"], matches: isSuccessor });
  await machine.advance(8_000);
  assert.equal(checkpointedVersion(machine), 0);
  store.fail({});
  await machine.settle(store.backend.checkpoint());
  assert.ok(filesIn(machine, "entries").size > 0);
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
  await machine.advance(20_000);
  assert.equal(await readValue(store, "a"), "as it was");
  assert.match([...filesIn(machine, "entries").values()].join(), /"as it was"/);
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
  const writtenBefore: number[] = [];
  store.port.before = (call) => {
    if (call.method === "append" && call.path === segmentPath(2)) writtenBefore.push(filesIn(machine, "entries").size);
  };
  // The attempt in the background fails; the one behind it writes out what went on.
  await machine.settle(store.backend.checkpoint());
  // The states that went on, a commit of nothing, the seal: only then.
  assert.deepEqual(writtenBefore, [0, 0, 0]);
  assert.equal(filesIn(machine, "entries").size, 1);
  machine.evictCleanPages(segmentPath(1));
  await machine.settle(store.backend.sync());
  assert.deepEqual(await readStore(loseEverythingPending(machine)), { a: { value: 1 } });
});

// Fails when `syncWhatIsTrusted` does not wait for what is being abandoned.
test("P11: a commit whose own sync succeeds is not acknowledged while a checkpoint gives its segment up", async () => {
  const machine = await makeMachine();
  const store = await startFailing(machine, { limits: { segmentBytes: 1 } });
  const holder = machine.process("holder");
  const lock = holder.open(holder.openRoot("/home/agent"), "sessions.d.lock", "lock");
  let syncs = 0;
  store.port.before = (call) => {
    // The sync of the checkpoint: it fails at once, and marking the segment takes a while.
    if (call.method === "syncFile" && call.path === segmentPath(1) && ++syncs === 2) holder.tryLock(lock, "exclusive");
  };
  store.fail({ ...firstSync(segmentPath(1)), failAt: 2 });
  const images: SimulatedMachine[] = [];
  const acknowledged = store.backend.commit(request([put("a", { value: 1 })]));
  acknowledged.then(() => images.push(loseEverythingPending(machine))).catch(() => {});
  await machine.advance(100);
  assert.equal(syncs, 2);
  holder.unlock(lock);
  await machine.settle(acknowledged);
  await machine.advance(1);
  assert.deepEqual(await readStore(images[0]!), { a: { value: 1 } });
});

// Fails without `assertMaySync` in the checkpointer: it would be told of an error that it can tell nobody of.
test("P11: a checkpoint that is under way when its store is poisoned syncs no further segment", async () => {
  const machine = await makeMachine();
  const holder = lockCheckpoints(machine);
  const store = await startFailing(machine, { durability: "interval", limits: { segmentBytes: 1 } });
  const scanner = await start(machine, "scanner", { readOnly: true });
  for (const key of ["a", "b"]) await commitPut(machine, store, key, 1);
  await scanner.backend.scan();
  holder.kill();
  const checkpoint = store.backend.checkpoint().catch((error) => error.code);
  await machine.advance(5); // It waits for the scan, behind its first segment.
  await commitPut(machine, store, "c", 1);
  const isBehind = ({ path }: PortCall) => path.includes("/journal/") && path >= segmentPath(3);
  store.fail({ failAt: 1, lasts: "from then on", methods: ["syncFile"], matches: isBehind });
  await assert.rejects(machine.settle(store.backend.sync()));
  const synced: string[] = [];
  store.port.before = (call) => {
    if (call.method === "syncFile" && call.path.includes("/journal/")) synced.push(call.path);
  };
  scanner.process.kill();
  assert.equal(await machine.settle(checkpoint), "io_error");
  assert.deepEqual(synced, []);
});

// The first fails without the look behind a segment that was entered just now, the second when it is entered as one
// with carried states.
for (const isSecond of [false, true]) {
  const which = isSecond ? "the segment of the carried states" : "a segment";
  test(`P11: ${which} lost its end with its pages, between two looks of a process: it finds the way on`, async () => {
    const machine = await makeMachine();
    const journal = new CraftedJournal(machine);
    const first = journal.put(1, "a", 1, { first: true });
    journal.write({ 1: [first] });
    const reader = await start(machine, "reader", { readOnly: true });
    assert.equal(await readValue(reader, "a"), 1);
    const add = (name: number, ...records: EncodedRecord[]) =>
      machine.writeFile(segmentPath(name), records.map(({ bytes }) => bytes.toString("utf8")).join(""));
    const lost = carried(2, "b", "lost in segment 2");
    const next = carried(3, "c", "lost in segment 3");
    if (isSecond) add(4, journal.carry({ suspectFrom: 2, lastVersion: 3, states: [lost, next] }));
    add(3, journal.carry({ suspectFrom: 2, lastVersion: 2, states: [lost] }));
    add(2);
    add(1, first, journal.seal("rotated", 1));
    assert.equal(await readValue(reader, "b"), "lost in segment 2");
    if (isSecond) assert.equal(await readValue(reader, "c"), "lost in segment 3");
  });
}

// Fails without the poison in `Durability.abandon`: the segment counts as given up in this process, and nowhere else.
test("P11: a checkpoint that can tell nobody of its failed sync lets nothing be acknowledged behind it", async () => {
  const machine = await makeMachine();
  const holder = lockCheckpoints(machine);
  const store = await startFailing(machine, { limits: { segmentBytes: 500 } });
  let syncs = 0;
  let isHeld = true;
  const isOfFirst = (call: PortCall) => call.method === "syncFile" && call.path === segmentPath(1);
  store.port.before = (call) => {
    if (!isOfFirst(call) || ++syncs > 1) return undefined;
    return (async () => {
      while (isHeld) await store.process.sleep(10);
    })();
  };
  const text = "x".repeat(500);
  const outcome = store.backend.commit(request([put("a", { value: text })])).catch((error) => error.code);
  const behind = store.backend.commit(request([put("b", { value: 1 })])).catch((error) => error.code);
  await machine.advance(1);
  holder.kill();
  store.fail(firstSync(segmentPath(1)));
  machine.disk.freeBytes = 0;
  await machine.advance(4_000); // The maintenance looks after older segments.
  assert.equal(syncs, 2);
  machine.disk.freeBytes = 1_000_000;
  isHeld = false;
  assert.deepEqual(await machine.settle(Promise.all([outcome, behind])), ["outcome_unknown", "outcome_unknown"]);
});

// Fails when a segment with carried states only is not sealed, and when `maintain` does not count them as records.
for (const how of ["checkpoint()", "close()", "maintenance"]) {
  test(`after a failed sync without a later commit, ${how} leaves complete entry files`, async () => {
    const machine = await makeMachine();
    const store = await startFailing(machine);
    await commitPut(machine, store, "a", 1);
    store.fail(firstSync(segmentPath(1)));
    await assert.rejects(machine.settle(store.backend.commit(request([put("b", { value: 1 })]))));
    if (how === "checkpoint()") await machine.settle(store.backend.checkpoint());
    else if (how === "close()") await machine.settle(store.backend.close());
    else await machine.advance(10_000);
    assert.equal(filesIn(machine, "entries").size, 2);
    assert.equal(checkpointedVersion(machine), 3);
    assert.deepEqual(await readStore(machine), { a: { value: 1 }, b: { value: 1 } });
  });
}

// Fails without the wait in `Durability.abandon`: every look of the maintenance adds all states to the journal.
test("P11: a disk that takes no sync at all does not make the journal grow for ever", async () => {
  const machine = await makeMachine();
  const store = await startFailing(machine);
  await commitPut(machine, store, "a", 1);
  store.fail({
    failAt: 1,
    lasts: "from then on",
    methods: ["syncFile"],
    matches: ({ path }) => path.includes("/journal/"),
  });
  await machine.advance(60_000);
  const segments = filesIn(machine, "journal").size;
  assert.ok(segments <= 6, `${segments} segments`);
  await machine.advance(600_000);
  assert.equal(filesIn(machine, "journal").size, segments);
});

// Carried states alone cannot be sealed: their segment and the one behind it would have one name.
test("a commit without operations is nothing to any reader but a version", async () => {
  const machine = await makeMachine();
  const store = await startFailing(machine);
  const follower = await start(machine, "follower", { readOnly: true });
  await commitPut(machine, store, "a", 1);
  const controller = new AbortController();
  const seen: string[] = [];
  const since = await machine.settle(follower.backend.cursor());
  const watching = (async () => {
    const changes = follower.backend.changes(since, { signal: controller.signal });
    for await (const change of changes) seen.push(`${change.type} ${"key" in change ? change.key : ""}`);
  })();
  const scan = await follower.backend.scan();
  store.fail(firstSync(segmentPath(1)));
  await assert.rejects(machine.settle(store.backend.commit(request([remove("a"), put("b", { value: 1 })]))));
  await machine.advance(10_000);
  await commitPut(machine, store, "c", 1);
  await machine.advance(1_000);
  assert.match(machine.readText(segmentPath(3)), /"version":3,.*"operations":\[\],"checksum"/);
  assert.deepEqual(seen, ["remove a", "put b", "put c"]);
  const keys: string[] = [];
  const reading = (async () => {
    for await (const { key } of scan) keys.push(key);
  })();
  await machine.settle(reading);
  assert.deepEqual(keys, ["a"]);
  const { sessions } = await machine.settle(follower.backend.list({ order: "key" }));
  assert.deepEqual(
    sessions.map(({ key }) => key),
    ["b", "c"],
  );
  const { lastVersion, checkpointedVersion: checkpointed } = await machine.settle(follower.backend.stats());
  assert.deepEqual([lastVersion, checkpointed], [4, 3]);
  controller.abort();
  await machine.settle(watching);
  assert.deepEqual(await readStore(machine), { b: { value: 1 }, c: { value: 1 } });
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

// Fails without `syncLast` behind a look that failed.
test("close() makes everything durable, also when it cannot look at the journal's end just then", async () => {
  const machine = await makeMachine();
  lockCheckpoints(machine);
  const store = await startFailing(machine, { durability: "interval" });
  await machine.advance(1_500);
  await commitPut(machine, store, "a", 1);
  const other = await start(machine, "other", { durability: "interval", limits: { segmentBytes: 1 } });
  await commitPut(machine, other, "b", 1);
  other.process.kill();
  store.fail({ failAt: 1, code: "EMFILE", methods: ["open"], matches: ({ path }) => path.includes("/journal/") });
  await machine.settle(store.backend.close());
  assert.deepEqual((await readStore(loseEverythingPending(machine))).a, { value: 1 });
});

// Fails when `finish` returns for any poisoned store, when it throws for any, and when it does not wait.
for (const [durability, when] of [
  ["interval", "before"],
  ["interval", "during"],
  ["commit", "before"],
] as const) {
  const answer = durability === "interval" ? "says so" : "has nothing to add to what each commit was told";
  test(`close() of a store of "${durability}" whose syncs fail for good ${when} it ${answer}`, async () => {
    const machine = await makeMachine();
    const store = await startFailing(machine, { durability });
    await machine.advance(1_500);
    store.fail({ failAt: 1, lasts: "from then on", methods: ["syncFile"] });
    const committed = machine.settle(store.backend.commit(request([put("a", { value: 1 })])));
    if (durability === "commit") await assert.rejects(committed, { code: "outcome_unknown" });
    else await committed;
    if (when === "before") await machine.advance(1_000);
    const closed = machine.settle(store.backend.close());
    if (durability === "commit") await closed;
    else await assert.rejects(closed, { code: "outcome_unknown" });
    assert.deepEqual(store.process.openHandles(), []);
  });
}

// Fails when `syncLast` does not ask again.
test("close() resolves when what a failed sync was for went on durably", async () => {
  const machine = await makeMachine();
  lockCheckpoints(machine);
  const store = await startFailing(machine, { durability: "interval" });
  await machine.advance(1_500);
  await commitPut(machine, store, "a", 1);
  store.fail(firstSync(segmentPath(1)));
  await machine.settle(store.backend.close());
  assert.deepEqual(await readStore(loseEverythingPending(machine)), { a: { value: 1 } });
});
