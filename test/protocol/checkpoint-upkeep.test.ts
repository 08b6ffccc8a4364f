/** Checkpoints: who makes them, what they leave alone, how long things are kept, and what is on the disk after one. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { formatManifest, type Manifest } from "../../src/backends/directory/manifest.js";
import type { SimulatedMachine } from "../sim/machine.js";
import { CraftedJournal, carried } from "./crafted-journal.js";
import {
  commitPatch,
  commitPut,
  entryFileName,
  filesIn,
  holdBackWhile,
  killBefore,
  loseEverythingPending,
  makeMachine,
  put,
  readEntryFile,
  readStore,
  remove,
  request,
  segmentPath,
  start,
  storePath,
} from "./simulated-store.js";

const keepNothing = { segmentRetentionMs: 0, segmentRetentionBytes: 0 };
const manifestPath = `${storePath}/state.json`;

function readManifest(machine: SimulatedMachine): Manifest {
  return JSON.parse(machine.readText(manifestPath));
}

function rewriteManifest(machine: SimulatedMachine, fields: Partial<Manifest>): void {
  machine.writeFile(manifestPath, formatManifest({ ...readManifest(machine), ...fields }));
}

function hold(machine: SimulatedMachine, name: string, kind: "exclusive" | "shared" = "exclusive") {
  const holder = machine.process(`holder of ${name}`);
  const lock = holder.open(holder.openRoot("/home/agent"), name, "lock");
  assert.ok(holder.tryLock(lock, kind));
  return holder;
}

// Fails when `Checkpointer.run` goes on without the lock.
test("while one process checkpoints, no other writes entry files; afterwards the lock is free", async () => {
  const machine = await makeMachine();
  const slow = await start(machine, "slow");
  const other = await start(machine, "other");
  await commitPut(machine, slow, "a", 1);
  let isHeld = true;
  holdBackWhile(slow, (call) => isHeld && call.method === "syncFile" && call.path.includes("/entries/"));
  const first = slow.backend.checkpoint();
  await machine.advance(50);
  assert.notDeepEqual(slow.process.heldLocks(), []);
  const made: string[] = [];
  other.port.before = (call) => {
    if (isHeld && ["append", "rename", "unlink"].includes(call.method)) made.push(`${call.method} ${call.path}`);
  };
  const second = other.backend.checkpoint();
  await machine.advance(200);
  assert.deepEqual(made, []);
  isHeld = false;
  await machine.settle(Promise.all([first, second]));
  assert.deepEqual(machine.heldLocks(), []);
});

// Fails without `isInPlace` in `Checkpointer.run`.
test("P20: a store that was moved away is not checkpointed", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store", { limits: { segmentBytes: 1 } });
  store.port.before = (call) => {
    if (call.method !== "tryLock" || !call.path.endsWith("checkpoint.lock") || !machine.exists(storePath)) return;
    machine.rename(storePath, "/home/agent/moved.d");
  };
  store.backend.commit(request([put("a", { value: 1 })])).catch(() => {});
  await machine.advance(1_000);
  assert.ok(machine.exists("/home/agent/moved.d"));
  const written = Object.keys(machine.dump()).filter((path) => /entries\/.|checkpoint-running/.test(path));
  assert.deepEqual(written, []);
});

// Fails without the look at the seal in `Checkpointer.readSealed`: what was behind the damage is taken for written out.
test("a segment with a successor and without a seal is damage: it is not checkpointed, and nothing is recorded", async () => {
  const machine = await makeMachine();
  const holder = hold(machine, "sessions.d.checkpoint.lock");
  const store = await start(machine, "store", { limits: { segmentBytes: 600 } });
  await commitPut(machine, store, "a", 1);
  await commitPut(machine, store, "b", "x".repeat(500));
  const [first] = machine.readText(segmentPath(1)).split("\n");
  machine.writeFile(segmentPath(1), `${first}\nbad\n`);
  holder.kill();
  await assert.rejects(machine.settle(store.backend.checkpoint()), { code: "store_damaged" });
  assert.equal(readManifest(machine).checkpoint.version, 0);
  assert.equal(filesIn(machine, "entries").size, 0);
});

// Fails without `isProvenBySuccessor`: the journal grows for ever.
test("a segment whose seal went bad is checkpointed when its successor shows that nothing else is missing", async () => {
  const machine = await makeMachine();
  const holder = hold(machine, "sessions.d.checkpoint.lock");
  const store = await start(machine, "store", { limits: { segmentBytes: 600 } });
  await commitPut(machine, store, "a", 1);
  await commitPut(machine, store, "b", "x".repeat(500));
  await commitPut(machine, store, "c", 3);
  machine.writeFile(segmentPath(1), machine.readText(segmentPath(1)).replace('"rotated"', '"ROTATED"'));
  holder.kill();
  await machine.settle(store.backend.checkpoint());
  assert.equal(readManifest(machine).checkpoint.version, 3);
  assert.equal(readEntryFile(machine, "a")?.version, 1);
});

// Fails without the deadline in `passScanGate`.
test("P15: a scan that does not end makes a checkpoint end with lock_timeout, not wait for ever", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store", { lockWaitMs: 300 });
  await commitPut(machine, store, "a", 1);
  const scan = hold(machine, "sessions.d.scan.lock", "shared");
  await assert.rejects(machine.settle(store.backend.checkpoint()), { code: "lock_timeout" });
  assert.equal(readEntryFile(machine, "a"), undefined);
  scan.kill();
  await machine.settle(store.backend.checkpoint());
  assert.equal(readEntryFile(machine, "a")?.version, 1);
});

// --- retention -----------------------------------------------------------------------------------------------------------

// Fails when either half of the condition in `unlinkExpiredSegments` is left out.
test("P18: checkpointed segments are kept for their time, unless they are more than their bytes", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store", { limits: { segmentRetentionMs: 60_000 } });
  await commitPut(machine, store, "a", 1);
  await machine.settle(store.backend.checkpoint());
  assert.ok(machine.exists(segmentPath(1)), "kept for watchers");
  await machine.advance(61_000);
  await commitPut(machine, store, "a", 2);
  await machine.settle(store.backend.checkpoint());
  assert.ok(!machine.exists(segmentPath(1)), "its time is over");
  assert.ok(machine.exists(segmentPath(2)));
  await machine.settle(store.backend.close());

  const short = await start(machine, "short of room", { limits: { segmentRetentionBytes: 10 } });
  await commitPut(machine, short, "a", 3);
  await machine.settle(short.backend.checkpoint());
  assert.deepEqual([...filesIn(machine, "journal").values()], [""]);
});

// Fails when `maintain` leaves an idle store alone.
test("P18: checkpointed segments of a store in which nobody commits any more go when their time is over", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store", { limits: { segmentRetentionMs: 10 * 60_000 } });
  await commitPut(machine, store, "a", 1);
  await machine.advance(60_000);
  assert.equal(filesIn(machine, "journal").size, 2, "checkpointed, and kept for watchers");
  await machine.advance(8 * 60_000);
  // One that opens it later does not know when that will be.
  const late = await start(machine, "late");
  store.process.kill();
  const looks: string[] = [];
  late.port.before = ({ method, path }) => {
    if (method === "list" || method === "unlink") looks.push(`${method} ${path}`);
  };
  await machine.advance(30 * 60_000);
  assert.deepEqual([...filesIn(machine, "journal").values()], [""]);
  assert.ok(looks.length < 10, looks.join("\n"));
});

// Fails when `Checkpointer.run` unlinks only what is left after the checkpoint, and when a rotation that fails keeps
// `rotateAndWriteOut` from running it.
test("P18: on a full disk, segments whose time is over make room", async () => {
  for (const freeBytes of [1_000, 0]) {
    const machine = await makeMachine();
    const store = await start(machine, "store");
    await commitPut(machine, store, "a", "x".repeat(100_000));
    await machine.advance(60_000);
    await commitPut(machine, store, "b", "y".repeat(10_000));
    machine.disk.freeBytes = freeBytes;
    await assert.rejects(commitPut(machine, store, "c", "z".repeat(2_000)), { code: "disk_full" });
    await machine.advance(15 * 60_000);
    await commitPut(machine, store, "c", "z".repeat(2_000));
    assert.equal(readEntryFile(machine, "b")?.version, 2, "the checkpoint found room, too");
  }
});

// Fails without the limit on the number of kept segments.
test("P18: no more than a thousand checkpointed segments are kept, however young and small they are", async () => {
  const machine = await makeMachine();
  const journal = new CraftedJournal(machine);
  const segments: Parameters<CraftedJournal["write"]>[0] = { 1021: [] };
  for (let version = 1; version <= 1_020; version += 1) {
    segments[version] = [journal.put(version, "a", version, { first: true }), journal.seal("rotated", version)];
  }
  journal.write(segments);
  rewriteManifest(machine, { checkpoint: { version: 1_020, record: "0badcafe", timeMs: 0 } });
  const store = await start(machine, "store");
  await commitPut(machine, store, "b", 1);
  await machine.settle(store.backend.checkpoint());
  const kept = filesIn(machine, "journal").size;
  assert.ok(kept > 900 && kept <= 1_002, `${kept} segments are kept`);
});

// Fails when `unlinkExpiredSegments` takes every segment with a successor for done.
test("P8: a segment that was passed over because it is suspect is kept until its states are checkpointed", async () => {
  const machine = await makeMachine();
  const journal = new CraftedJournal(machine);
  journal.write({
    1: [journal.put(1, "a", 1, { first: true }), journal.seal("suspect", 1)],
    2: [journal.carry({ suspectFrom: 1, lastVersion: 1, states: [carried(1, "a", 1)] })],
  });
  const store = await start(machine, "store", { limits: keepNothing });
  await machine.advance(8_000);
  assert.ok(machine.exists(segmentPath(1)));
  assert.deepEqual(await readStore(machine.fork()), { a: { value: 1 } });
  await commitPut(machine, store, "b", 1);
  await machine.settle(store.backend.checkpoint());
  assert.deepEqual([...filesIn(machine, "journal").values()], [""]);
  assert.deepEqual(await readStore(machine), { a: { value: 1 }, b: { value: 1 } });
});

// Fails when `sweepTrash` looks at no time, and when it removes nothing.
test("removed sessions stay in the trash for their time, and purged ones never come there", async () => {
  const machine = await makeMachine();
  const hourMs = 60 * 60_000;
  const store = await start(machine, "store", { limits: { trashRetentionMs: hourMs } });
  for (const key of ["kept", "purged"]) await commitPut(machine, store, key, key);
  await machine.settle(store.backend.commit(request([remove("kept"), { type: "remove", key: "purged", purge: true }])));
  await machine.settle(store.backend.checkpoint());
  await commitPut(machine, store, "a", 1);
  await machine.settle(store.backend.checkpoint());
  const trash = [...filesIn(machine, "trash").values()];
  assert.equal(trash.length, 1);
  assert.match(trash[0]!, /"sessionKey": "kept"/);
  await machine.settle(store.backend.close());
  machine.wallClockMs += 2 * hourMs;
  const later = await start(machine, "later", { limits: { trashRetentionMs: hourMs } });
  await commitPut(machine, later, "a", 2);
  await machine.settle(later.backend.checkpoint());
  assert.equal(filesIn(machine, "trash").size, 0);
});

// --- on the disk ---------------------------------------------------------------------------------------------------------

/** Only the entry files are left, as after the retention of the segments. */
function dropCheckpointed(machine: SimulatedMachine): SimulatedMachine {
  const { version } = readManifest(machine).checkpoint;
  for (const name of filesIn(machine, "journal").keys()) {
    if (Number.parseInt(name, 10) <= version) machine.unlink(`${storePath}/journal/${name}`);
  }
  return machine;
}

// Fails without the sync of the root in `StateWriter.write`: the shard is there, and its name is not.
test("P8: an entry in a new shard outlives a power loss", async () => {
  const machine = await makeMachine({ fileSystem: "weak" });
  rewriteManifest(machine, { shardDigits: 2 });
  const store = await start(machine, "store");
  for (const key of ["a", "b", "c"]) await commitPut(machine, store, key, 1);
  await machine.settle(store.backend.checkpoint());
  const image = dropCheckpointed(loseEverythingPending(machine));
  assert.deepEqual(Object.keys(await readStore(image)).sort(), ["a", "b", "c"]);
});

// Fails when `writeEntry` has no directory to sync for an entry file that is there already.
test("P8: a checkpoint that finds what another one wrote before it died makes that durable before it records it", async () => {
  const machine = await makeMachine({ fileSystem: "weak" });
  const dying = await start(machine, "dying");
  await commitPut(machine, dying, "a", 1);
  killBefore(dying, (call) => call.method === "syncDirectory" && call.path === `${storePath}/entries`);
  dying.backend.checkpoint().catch(() => {});
  for (let ms = 0; ms < 1_000 && !dying.process.isKilled; ms += 1) await machine.advance(1);
  assert.ok(dying.process.isKilled);
  assert.equal(readEntryFile(machine, "a")?.version, 1);
  const next = await start(machine, "next");
  await machine.settle(next.backend.checkpoint());
  const image = dropCheckpointed(loseEverythingPending(machine));
  assert.deepEqual(await readStore(image), { a: { value: 1 } });
});

// Fails without the last sync in `StoreFiles.writeManifest`: segments are unlinked that an older manifest still needs.
test("P8: no segment is unlinked before the manifest that makes it superfluous is on the disk", async () => {
  const machine = await makeMachine({ fileSystem: "weak" });
  const store = await start(machine, "store", { limits: keepNothing });
  await commitPut(machine, store, "a", 1);
  let images = 0;
  const states: Promise<unknown>[] = [];
  store.port.before = (call) => {
    if (!["syncDirectory", "unlink", "rename", "close"].includes(call.method)) return;
    for (const image of machine.powerLossImages(20)) {
      images += 1;
      states.push(readStore(image).then((state) => assert.deepEqual(state, { a: { value: 1 } }, call.path)));
    }
  };
  await machine.settle(store.backend.checkpoint());
  await Promise.all(states);
  assert.ok(images > 50, `only ${images} images`);
});

// Fails without the sync of the store directory in `unlinkExpiredSegments`.
test("P8: nor before one that was recorded by a process which died before it could sync that", async () => {
  const machine = await makeMachine({ fileSystem: "weak" });
  const dying = await start(machine, "dying", { limits: keepNothing });
  await commitPut(machine, dying, "a", 1);
  killBefore(
    dying,
    ({ method, path }) =>
      method === "syncDirectory" && path === storePath && readManifest(machine).checkpoint.version === 1,
  );
  dying.backend.checkpoint().catch(() => {});
  await machine.advance(1_000);
  assert.ok(dying.process.isKilled);
  const next = await start(machine, "next", { limits: keepNothing });
  let images = 0;
  const states: Promise<unknown>[] = [];
  next.port.before = (call) => {
    if (!["syncDirectory", "unlink"].includes(call.method)) return;
    for (const image of machine.powerLossImages(20)) {
      images += 1;
      states.push(readStore(image).then((state) => assert.deepEqual(state, { a: { value: 1 } }, call.path)));
    }
  };
  await machine.advance(5_000);
  await Promise.all(states);
  assert.ok(!machine.exists(segmentPath(1)) && images > 3, `only ${images} images`);
});

// Fails without the sync of the store directory behind that of trash/ in `StateWriter.write`.
test("P8: when a removal has reached the disk, so has the trash, its name included", async () => {
  const machine = await makeMachine({ fileSystem: "weak" });
  const store = await start(machine, "store");
  await commitPut(machine, store, "a", "kept in the trash");
  await machine.settle(store.backend.checkpoint());
  await machine.settle(store.backend.commit(request([remove("a")])));
  let removals = 0;
  store.port.before = (call) => {
    if (!["syncDirectory", "syncFile", "rename", "unlink"].includes(call.method)) return;
    for (const image of machine.powerLossImages(40)) {
      if (readEntryFile(image, "a") !== undefined) continue;
      removals += 1;
      const trash = [...filesIn(image, "trash").values()];
      assert.ok(
        trash.some((text) => text.includes("kept in the trash")),
        `${call.method} ${call.path}: gone, and not in the trash`,
      );
    }
  };
  await machine.settle(store.backend.checkpoint());
  assert.ok(removals > 0);
});

// Fails without the sync of the store directory in `quarantineDurably`: the damaged file is gone, and its copy too.
test("P16: when a damaged file was replaced on the disk, so has its copy in quarantine reached it", async () => {
  const machine = await makeMachine({ fileSystem: "weak" });
  const store = await start(machine, "store", { cacheBytes: 0 });
  await commitPut(machine, store, "a", "original");
  await machine.settle(store.backend.checkpoint());
  const path = `${storePath}/entries/${entryFileName("a")}`;
  machine.writeFile(path, machine.readText(path).replace("original", "ORIGINAL"));
  await commitPut(machine, store, "a", "new");
  let replaced = 0;
  store.port.before = (call) => {
    if (!["syncDirectory", "syncFile", "rename", "unlink"].includes(call.method)) return;
    for (const image of machine.powerLossImages(40)) {
      if (image.readText(path).includes("ORIGINAL")) continue;
      replaced += 1;
      const kept = [...filesIn(image, "quarantine").values()];
      assert.ok(
        kept.some((text) => text.includes("ORIGINAL")),
        `${call.method} ${call.path}: replaced, and not kept`,
      );
    }
  };
  await machine.settle(store.backend.checkpoint());
  assert.ok(replaced > 0);
});

// --- sessions that cannot be written out -----------------------------------------------------------------------------------

// Fails when `patchState` makes an entry of the fields of a patch.
test("P14: fields that were set on nothing make no session; the records are kept aside", async () => {
  const machine = await makeMachine();
  const journal = new CraftedJournal(machine);
  const patch = { type: "patch", key: "a", base: 0, set: { lost: "its base" }, unset: [] } as const;
  journal.write({
    1: [journal.commit(1, patch, { first: true }), journal.put(2, "b", 2), journal.seal("rotated", 2)],
    3: [],
  });
  const store = await start(machine, "store");
  await machine.settle(store.backend.checkpoint());
  assert.equal(readEntryFile(machine, "a"), undefined);
  assert.equal(readEntryFile(machine, "b")?.version, 2);
  assert.ok([...filesIn(machine, "quarantine").values()].some((text) => text.includes("its base")));
});

// Fails without `nameIsTakenByAnother` in `foldKey`: the other session's entry is replaced.
test("P17: where two names fall together, the session that came second does not replace the first", async () => {
  const machine = await makeMachine({ caseInsensitive: true });
  // As on a disk that tells case, and then copied to one that does not.
  rewriteManifest(machine, { fileNames: "base64url" });
  const [left, right] = ["agent:main:telegram:aaa", "agent:main:telegram:Gaa"] as const;
  assert.equal(entryFileName(left).toLowerCase(), entryFileName(right).toLowerCase());
  const store = await start(machine, "store");
  await commitPut(machine, store, left, "left");
  await machine.settle(store.backend.checkpoint());
  await commitPut(machine, store, right, "right");
  await machine.settle(store.backend.checkpoint());
  assert.match([...filesIn(machine, "entries").values()].join(""), /"value": "left"/);
  assert.ok([...filesIn(machine, "quarantine").values()].some((text) => text.includes('"right"')));
  await commitPatch(machine, store, left, "field", 1);
});

// Fails without the age in the look for segments that are due: then a store that is never idle is never written out.
test("a segment is written out when it is segmentAgeMs old, also where somebody commits all the time", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "busy", { limits: { segmentAgeMs: 10_000 } });
  for (let n = 0; n < 12; n += 1) {
    await commitPut(machine, store, "a", n);
    await machine.advance(2_000);
  }
  assert.ok(readEntryFile(machine, "a") !== undefined, "24 seconds of commits, and none is in an entry file");
  await machine.settle(store.backend.close());
});

test("foreign files are told one by one up to a thousand, and the others as a number", async () => {
  const machine = await makeMachine();
  for (let n = 0; n < 1_030; n += 1) machine.writeFile(`${storePath}/foreign-${n}`, "");
  const store = await start(machine, "store");
  let findings = 0;
  let last = "";
  for await (const { code, message } of store.backend.check()) {
    if (code !== "foreign_file") continue;
    findings += 1;
    last = message;
  }
  assert.equal(findings, 1_025);
  assert.match(last, /^6 more files/);
  await machine.settle(store.backend.close());
});
