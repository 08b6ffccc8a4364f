/** What a cursor may be resumed from, and what a scan or a feed must not make of files that changed under it. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { DirectoryBackend } from "../../src/backends/directory/backend.js";
import { ChangeFollower } from "../../src/backends/directory/changes.js";
import { formatEntryFile } from "../../src/backends/directory/entries/entry-file.js";
import type { View } from "../../src/backends/directory/view.js";
import type { BackendChange, Snapshot } from "../../src/contract.js";
import type { SimulatedMachine } from "../sim/machine.js";
import { CraftedJournal, carried } from "./crafted-journal.js";
import {
  commitPatch,
  commitPut,
  entryFileName,
  holdBackWhile,
  makeMachine,
  put,
  remove,
  request,
  type StartedStore,
  segmentPath,
  start,
  storePath,
} from "./simulated-store.js";

/** The changes since a cursor, up to now. */
async function changesSince(machine: SimulatedMachine, backend: DirectoryBackend, since: string) {
  const changes: BackendChange[] = [];
  const controller = new AbortController();
  const read = (async () => {
    for await (const change of backend.changes(since, { signal: controller.signal })) changes.push(change);
  })();
  await machine.advance(200);
  controller.abort();
  await machine.settle(read);
  return changes;
}

const summary = (changes: readonly BackendChange[]) =>
  changes.map((change) => (change.type === "reset" ? "reset" : `${change.type} ${change.key}`));

// Fails without `previousRecord` in the first record of a segment, and when the record of a cursor is not compared.
test("P13: a cursor is resumed only where its own record stands, also right before the oldest segment", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store");
  await commitPut(machine, store, "a", 1);
  const cursor = await store.backend.cursor();
  await machine.settle(store.backend.checkpoint());
  await commitPut(machine, store, "b", 2);
  await machine.settle(store.backend.checkpoint());
  const [version, record, life] = cursor.slice(1).split("-") as [string, string, string];
  const otherRecord = `c${version}-${record === "ffffffff" ? "eeeeeeee" : "ffffffff"}-${life}`;
  const otherLife = `c${version}-${record}-${"f".repeat(12)}`;
  const ahead = `c99-${record}-${life}`;
  for (const isUnlinked of [false, true]) {
    if (isUnlinked) machine.unlink(segmentPath(1));
    assert.deepEqual(summary(await changesSince(machine, store.backend, cursor)), ["put b"]);
    for (const forged of [otherRecord, otherLife, ahead]) {
      assert.deepEqual(summary(await changesSince(machine, store.backend, forged)), ["reset"], forged);
    }
  }
});

/** A feed that stands behind version 1, and what its next change is; "nothing" when it waits. */
async function followedBy(change: (machine: SimulatedMachine, journal: CraftedJournal) => void): Promise<string> {
  const machine = await makeMachine();
  const journal = new CraftedJournal(machine);
  journal.write({ 1: [journal.put(1, "a", 1, { first: true })] });
  const reader = await start(machine, "reader", { readOnly: true });
  const feed = reader.backend.changes(await reader.backend.cursor());
  const next = feed.next();
  await machine.advance(50);
  change(machine, journal);
  let outcome = "nothing";
  next.then(
    ({ value }) => {
      outcome = value?.type === "reset" ? "reset" : `${value?.type} ${(value as { key?: string })?.key}`;
    },
    (error) => {
      outcome = error.code;
    },
  );
  await machine.advance(500);
  return outcome;
}

// Fails when `readNewRecords` takes every version for the next one.
test("a feed does not step over a version that is missing", async () => {
  const outcome = await followedBy((machine, journal) => {
    const text = machine.readText(segmentPath(1));
    machine.writeFile(segmentPath(1), text + journal.put(3, "c", 3).bytes.toString("utf8"));
  });
  assert.equal(outcome, "store_damaged");
});

// Fails when `readNewRecords` passes over carried states whatever they stand for.
test("P11: a feed does not step over commits that only carried states hold", async () => {
  const outcome = await followedBy((machine, journal) => {
    const states = [carried(1, "a", 1), carried(5, "b", 5)];
    machine.writeFile(
      segmentPath(1),
      machine.readText(segmentPath(1)) + journal.seal("suspect", 1).bytes.toString("utf8"),
    );
    machine.writeFile(segmentPath(2), journal.carry({ suspectFrom: 1, lastVersion: 5, states }).bytes);
  });
  assert.equal(outcome, "store_damaged");
});

// Fails when `moveToSuccessor` waits for a successor that was there and is gone.
test("P2: a feed that slept through rotations is told to read again", async () => {
  const machine = await makeMachine();
  const writer = await start(machine, "writer", { limits: { segmentRetentionMs: 0, segmentRetentionBytes: 0 } });
  const reader = await start(machine, "reader", { readOnly: true });
  await commitPut(machine, writer, "a", 1);
  const feed = reader.backend.changes(await reader.backend.cursor());
  let isAsleep = false;
  holdBackWhile(reader, (call) => isAsleep && call.method === "sleep");
  const outcomes: string[] = [];
  const follow = async () => {
    for await (const change of feed) outcomes.push(...summary([change]));
  };
  follow().catch((error) => outcomes.push(error.code));
  await machine.advance(20);
  isAsleep = true;
  await machine.advance(100);
  for (const key of ["b", "c"]) {
    await commitPut(machine, writer, key, 1);
    await machine.settle(writer.backend.checkpoint());
  }
  isAsleep = false;
  await machine.advance(1_000);
  // The segment that it has open tells the first; the next one is gone.
  assert.deepEqual(outcomes, ["put b", "reset"]);
});

// Fails when `stateAfter` puts a patch on whatever it remembers of the session, and when `stateFromView` lets the damage
// of one session end the feed.
test("P14: a feed makes no mixture of a patch and another version than it was made on", async () => {
  const machine = await makeMachine();
  const journal = new CraftedJournal(machine);
  const patch = (base: number, set: Record<string, unknown>) =>
    ({ type: "patch", key: "a", base, set, unset: [] }) as const;
  journal.write({
    1: [
      journal.put(1, "first", 1, { first: true }),
      journal.put(2, "a", 2),
      journal.commit(3, patch(7, { mixed: true })),
      journal.put(4, "b", 4),
    ],
  });
  const reader = await start(machine, "reader", { readOnly: true });
  const origin = `c0-00000000-${journal.incarnation.slice(0, 12)}`;
  const changes = await changesSince(machine, reader.backend, origin);
  assert.ok(!JSON.stringify(changes).includes("mixed"), JSON.stringify(changes));
  assert.equal(summary(changes).at(-1), "put b");
});

// Fails without `deliveredUpTo`: watchers see the same version twice.
test("a state that had to be delivered ahead is delivered once", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store", { cacheBytes: 0 });
  await commitPut(machine, store, "a", 1);
  const cursor = await store.backend.cursor();
  await commitPatch(machine, store, "a", "first", 1);
  await commitPatch(machine, store, "a", "second", 2);
  await machine.settle(store.backend.checkpoint());
  await commitPut(machine, store, "b", 1);
  const changes = await changesSince(machine, store.backend, cursor);
  assert.deepEqual(summary(changes), ["put a", "put b"]);
  assert.deepEqual((changes[0] as { entry: unknown }).entry, { value: 1, first: 1, second: 2 });
});

// Fails without the limit in `ChangeFollower.remember`.
test("a feed remembers a bounded number of sessions", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store");
  const { view } = store.backend as unknown as { view: View };
  const follower = new ChangeFollower(view);
  follower.start(undefined);
  const operations = Array.from({ length: 600 }, (_, index) => put(`key-${index}`, { index }));
  await machine.settle(store.backend.commit(request(operations)));
  assert.equal([...follower.poll()].length, 600);
  const { recent } = follower as unknown as { recent: ReadonlyMap<string, unknown> };
  assert.ok(recent.size <= 512, `${recent.size} sessions`);
  follower.close();
});

// Fails without the limit on bytes in `ChangeFollower.remember`.
test("a feed remembers a bounded number of bytes", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store");
  const { view } = store.backend as unknown as { view: View };
  const follower = new ChangeFollower(view);
  follower.start(undefined);
  const text = "x".repeat(3 * 1024 * 1024);
  await machine.settle(store.backend.commit(request([1, 2, 3, 4, 5, 6, 7].map((index) => put(`${index}`, { text })))));
  assert.equal([...follower.poll()].length, 7);
  const { recent } = follower as unknown as { recent: ReadonlyMap<string, unknown> };
  assert.ok(recent.size >= 1 && recent.size <= 5, `${recent.size} sessions of 3 MiB`);
  follower.close();
});

// --- scans ---------------------------------------------------------------------------------------------------------------

function readSnapshot(machine: SimulatedMachine, snapshot: Snapshot): Promise<Record<string, unknown>> {
  const read = async () => {
    const state: Record<string, unknown> = {};
    for await (const { key, entry } of snapshot) {
      assert.ok(!(key in state), `${key} was given twice`);
      state[key] = entry;
    }
    return state;
  };
  return machine.settle(read());
}

// Fails without the deadline in `startScan`.
test("a scan that never gets the scan lock ends with lock_timeout", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store", { lockWaitMs: 300 });
  const holder = machine.process("holder");
  const lock = holder.open(holder.openRoot("/home/agent"), "sessions.d.scan.lock", "lock");
  assert.ok(holder.tryLock(lock, "exclusive"));
  let outcome: unknown = "nothing";
  store.backend.scan().catch((error) => {
    outcome = error.code;
  });
  await machine.advance(1_000);
  assert.equal(outcome, "lock_timeout");
});

/** Sessions in entry files only, and a reader that has no lock file to hold. */
async function lockless(): Promise<{ machine: SimulatedMachine; writer: StartedStore; reader: StartedStore }> {
  const machine = await makeMachine();
  const writer = await start(machine, "writer");
  for (const key of ["a", "b", "c"]) await commitPut(machine, writer, key, 1);
  await machine.settle(writer.backend.checkpoint());
  machine.unlink("/home/agent/sessions.d.scan.lock");
  const reader = await start(machine, "reader", { readOnly: true });
  return { machine, writer, reader };
}

// Fails without `assertNoCheckpoint`: the removed session is missing from a snapshot in which it still was.
test("P15: a scan without a lock file ends with snapshot_expired when a checkpoint was made meanwhile", async () => {
  const { machine, writer, reader } = await lockless();
  assert.deepEqual(Object.keys(await readSnapshot(machine, await reader.backend.scan())).sort(), ["a", "b", "c"]);
  const snapshot = await reader.backend.scan();
  await machine.settle(writer.backend.commit(request([remove("c")])));
  await machine.settle(writer.backend.checkpoint());
  await assert.rejects(readSnapshot(machine, snapshot), { code: "snapshot_expired" });
});

// Fails when `toSnapshotEntry` takes any version for one of the snapshot.
test("P15: an entry file that is newer than the snapshot ends it, and is not given out", async () => {
  const { machine, reader } = await lockless();
  const snapshot = await reader.backend.scan();
  const newer = formatEntryFile("b", { version: 99, record: "0badcafe" }, Object.freeze({ value: "newer" }));
  machine.writeFile(`${storePath}/entries/${entryFileName("b")}`, newer);
  await assert.rejects(readSnapshot(machine, snapshot), { code: "snapshot_expired" });
});

// Fails when the current overlay is shared with the view instead of copied.
test("P15: commits of the same process that follow a scan's beginning are not in it", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store");
  await commitPut(machine, store, "a", "before");
  const snapshot = await store.backend.scan();
  await commitPut(machine, store, "a", "after");
  await commitPut(machine, store, "b", "after");
  assert.deepEqual(await readSnapshot(machine, snapshot), { a: { value: "before" } });
});

// Fails when only readable names are looked up in the overlay.
test("P15: a session of a long key that changed since its checkpoint is given once, as it is now", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store");
  const key = "k".repeat(200);
  await commitPut(machine, store, key, 1);
  await machine.settle(store.backend.checkpoint());
  await commitPut(machine, store, key, 2);
  assert.deepEqual(await readSnapshot(machine, await store.backend.scan()), { [key]: { value: 2 } });
});

// Fails without `findMisplacement`: the copy is a second session a, or the first one.
test("P17: a copy of an entry file under another hashed name is damage, not a session", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store");
  await commitPut(machine, store, "a", 1);
  await machine.settle(store.backend.checkpoint());
  const copy = machine.readFile(`${storePath}/entries/${entryFileName("a")}`);
  machine.writeFile(`${storePath}/entries/session-hash-${"A".repeat(43)}.json`, copy);
  const damaged: unknown[] = [];
  const snapshot = await store.backend.scan({ onDamaged: ({ error }) => damaged.push(error.code) });
  assert.deepEqual(await readSnapshot(machine, snapshot), { a: { value: 1 } });
  assert.deepEqual(damaged, ["entry_damaged"]);
});

// Fails without the limit in `readAheadInSlices`.
test("P15: a scan reads a bounded number of bytes ahead, and keeps its lock for the rest", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store");
  for (const key of ["a", "b", "c"]) await commitPut(machine, store, key, 1);
  await machine.settle(store.backend.checkpoint());
  await machine.advance(300);
  await store.backend.read([]);
  const snapshot = (await store.backend.scan()) as Snapshot & { aheadBytes: number; readAhead(): Promise<void> };
  snapshot.aheadBytes = 64 * 1024 * 1024 - 1; // As if so much had been read ahead already.
  await machine.settle(snapshot.readAhead());
  assert.ok(machine.heldLocks().some((lock) => lock.includes("sessions.d.scan.lock")));
  assert.deepEqual(Object.keys(await readSnapshot(machine, snapshot)).sort(), ["a", "b", "c"]);
  assert.deepEqual(machine.heldLocks(), []);
});
