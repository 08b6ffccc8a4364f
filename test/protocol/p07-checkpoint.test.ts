/** P7 to P9: what a checkpoint writes, in which order, and what a power cut or a death in the middle of it leaves. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { SimulatedMachine } from "../sim/machine.js";
import { SeededRandom } from "../sim/random.js";
import type { SimulatedProcess } from "../sim/simulated-process.js";
import {
  commitPatch,
  commitPut,
  filesIn,
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

// Fails when `Checkpointer.checkpointSealedSegments` folds the later segments into what it writes as well.
test("P7: a checkpoint writes the state at the seal, not later", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store", { durability: "interval", limits: { segmentBytes: 1_000 } });
  const other = await start(machine, "other", { durability: "interval" });
  await commitPut(machine, store, "a", 1);
  await commitPut(machine, store, "filler", "x".repeat(1_000)); // Rotates; the checkpoint runs in the background.
  await commitPut(machine, other, "a", 2); // In the second segment, and not synced.
  const recorded = new Promise<void>((resolve) => {
    store.port.before = (call) => {
      if (call.method !== "rename" || call.path !== `${storePath}/state.json`) return;
      resolve();
    };
  });
  await machine.settle(recorded);
  assert.deepEqual(readEntryFile(machine, "a")?.entry, { value: 1 });
  await machine.advance(20);

  // A power cut takes the second commit back. It must not live on in the entry file, under a version given out again.
  const rebooted = loseEverythingPending(machine);
  assert.deepEqual(await readStore(rebooted), { a: { value: 1 }, filler: { value: "x".repeat(1_000) } });
});

// Fails when `checkpointSealedSegments` does not sync the segment first, and when it does not sync journal/.
test("P7: no state reaches an entry file before the journal holds it for good", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store", { durability: "interval", limits: { segmentBytes: 1 } });
  const holder = lockCheckpoints(machine);
  for (const key of ["a", "b"]) await commitPut(machine, store, key, 1);
  holder.kill();
  const images: SimulatedMachine[] = [];
  store.port.before = () => void images.push(loseEverythingPending(machine));
  await machine.settle(store.backend.checkpoint());
  for (const image of images) {
    const journal = [...filesIn(image, "journal").values()].join("");
    for (const key of ["a", "b"]) {
      const isKept = readEntryFile(image, key) === undefined || journal.includes(`"put":"${key}"`);
      assert.ok(isKept, `the entry file of ${key} has what the journal lost`);
    }
  }
  assert.notEqual(readEntryFile(images.at(-1)!, "b"), undefined);
});

/** Runs a checkpoint of puts, patches and removes, and gives the machine before each of its port calls. */
async function imagesOfCheckpoint(look: (machine: SimulatedMachine, call: { method: string; path: string }) => void) {
  const machine = await makeMachine({ fileSystem: "weak" });
  const store = await start(machine, "store");
  await commitPut(machine, store, "removed", "kept in the trash");
  await commitPut(machine, store, "patched", 0);
  await machine.settle(store.backend.checkpoint());
  await commitPatch(machine, store, "patched", "field", 1);
  await commitPut(machine, store, "put", 1);
  await machine.settle(store.backend.commit(request([remove("removed")])));
  store.port.before = (call) => void look(machine, call);
  await machine.settle(store.backend.checkpoint());
  return { machine, store };
}
const stateAfter = { patched: { value: 0, field: 1 }, put: { value: 1 } };

// Fails without the sync in `writeTemporaryFile` (empty entry files), without the syncs of the directories at the end of
// `StateWriter.write` (entries that are missing while the manifest says that they are there), and without that of trash/.
test("P8: power loss anywhere in a checkpoint, between a rename and the sync of its directory too, loses nothing", async () => {
  const images: SimulatedMachine[] = [];
  const random = new SeededRandom(8);
  await imagesOfCheckpoint((machine, call) => {
    if (["nowMs", "monotonicMs", "random", "randomBytes", "stat", "close"].includes(call.method)) return;
    images.push(...machine.powerLossImages(12, random));
  });
  assert.ok(images.length > 100, `only ${images.length} images`);
  for (const [number, image] of images.entries()) {
    const manifest = JSON.parse(image.readText(`${storePath}/state.json`));
    const trash = [...filesIn(image, "trash").values()].filter((text) => text.includes("kept in the trash"));
    if (manifest.checkpoint.version === 5) assert.equal(trash.length, 1, `image ${number}: the trash is empty`);
    // The segment is gone, as after its retention: now the entry files alone hold what was checkpointed.
    if (manifest.checkpoint.version === 5) {
      image.unlink(segmentPath(1));
      image.unlink(segmentPath(3));
    }
    assert.deepEqual(await readStore(image), stateAfter, `image ${number}`);
  }
});

// Fails without the sync between two unlinks in `unlinkExpiredSegments`: on a disk that keeps no order, a power cut then
// leaves an older segment and takes the one behind it, and whoever follows the seals waits for it for ever.
test("P8: expired segments are unlinked one by one, so that a power cut leaves no gap", async () => {
  const machine = await makeMachine({ fileSystem: "weak" });
  const store = await start(machine, "store");
  for (const key of ["a", "b", "c"]) {
    await commitPut(machine, store, key, 1);
    await machine.settle(store.backend.checkpoint());
  }
  await machine.settle(store.backend.close());
  machine.syncAll();
  const sweeper = await start(machine, "sweeper", { limits: { segmentRetentionMs: 0, segmentRetentionBytes: 0 } });
  await commitPut(machine, sweeper, "d", 1);
  machine.syncAll();
  let images = 0;
  sweeper.port.before = () => {
    for (const image of machine.powerLossImages(50)) {
      images += 1;
      const firsts = [...filesIn(image, "journal").keys()].map((name) => Number.parseInt(name, 10));
      for (const [index, first] of firsts.entries()) {
        if (index > 0) assert.equal(first, firsts[index - 1]! + 1, `segments ${firsts.join(" ")}`);
      }
    }
  };
  await machine.settle(sweeper.backend.checkpoint());
  assert.ok(images > 100);
  assert.deepEqual([...filesIn(machine, "journal").values()], [""]);
});

/** Two sealed segments that are not checkpointed, and nobody alive. */
async function twoSealedSegments(): Promise<SimulatedMachine> {
  const machine = await makeMachine();
  const writer = await start(machine, "writer", { limits: { segmentBytes: 400 } });
  lockCheckpoints(machine);
  await commitPut(machine, writer, "only-in-the-first", 1);
  await commitPut(machine, writer, "a", 1);
  while (!machine.exists(segmentPath(4))) await commitPut(machine, writer, "a", machine.calls);
  await machine.settle(writer.backend.commit(request([remove("a")])));
  while ([...filesIn(machine, "journal").keys()].length < 3) await commitPut(machine, writer, "b", machine.calls);
  writer.process.kill();
  return machine;
}

/** Another process holds the lock of checkpoints, so nobody makes one. */
function lockCheckpoints(machine: SimulatedMachine): SimulatedProcess {
  const holder = machine.process("holder");
  const lock = holder.open(holder.openRoot("/home/agent"), "sessions.d.checkpoint.lock", "lock");
  assert.ok(holder.tryLock(lock, "exclusive"));
  return holder;
}

// Fails when `checkpointSealedSegments` takes the segments in reverse order.
test("P9: sealed segments are checkpointed oldest first", async () => {
  const machine = await twoSealedSegments();
  for (const process of machine.processes) process.kill();
  const before = await readStore(machine.fork());
  const store = await start(machine, "store");
  await machine.settle(store.backend.checkpoint());
  await machine.settle(store.backend.close());
  const after = machine.fork();
  assert.deepEqual(await readStore(after), before);
  assert.equal("a" in before, false);
  assert.deepEqual(before["only-in-the-first"], { value: 1 });
});

// Fails when `foldKey` applies changes whatever the version of the entry file is.
test("P9: an entry file of an equal or higher version is never overwritten", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store");
  await commitPut(machine, store, "a", 1);
  const oldManifest = machine.readText(`${storePath}/state.json`);
  await machine.settle(store.backend.checkpoint());
  await commitPut(machine, store, "a", 2);
  await machine.settle(store.backend.checkpoint());
  await commitPut(machine, store, "b", 3);
  await machine.settle(store.backend.close());
  // A manifest that came back from a backup: all segments are checkpointed again, over entry files that are ahead.
  machine.writeFile(`${storePath}/state.json`, oldManifest);
  const again = await start(machine, "again");
  await commitPut(machine, again, "c", 4);
  again.port.before = () => assert.equal(readEntryFile(machine, "a")?.version, 2);
  await machine.settle(again.backend.checkpoint());
  assert.deepEqual(await readStore(machine), { a: { value: 2 }, b: { value: 3 }, c: { value: 4 } });
});

// Fails when `StateWriter.inParallel` throws the first error without waiting for the others.
test("P9: the checkpoint lock is released only after every started file operation has come to its end", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store");
  const operations = Array.from({ length: 8 }, (_, index) => put(`key-${index}`, { value: index }));
  await machine.settle(store.backend.commit(request(operations)));
  let syncs = 0;
  let running = 0;
  const runningAtUnlock: number[] = [];
  store.port.before = (call) => {
    if (call.method === "unlock" && call.path.endsWith("checkpoint.lock")) runningAtUnlock.push(running);
    if (call.method !== "syncFile" || !call.path.includes("/entries/")) return undefined;
    syncs += 1;
    if (syncs === 2) return Promise.reject(Object.assign(new Error("EIO"), { code: "EIO" }));
    running += 1;
    return store.process.sleep(100).then(() => {
      running -= 1;
    });
  };
  // The first attempt fails, in the background; the second succeeds.
  await machine.settle(store.backend.checkpoint());
  assert.deepEqual(runningAtUnlock, [0, 0]);
  assert.ok(syncs >= 8, `only ${syncs} files were synced`);
});
