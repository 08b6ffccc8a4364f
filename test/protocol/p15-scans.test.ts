/** P15: a scan is one state of the whole store, whatever checkpoints do meanwhile; and nobody waits for a checkpoint. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { SnapshotEntry } from "../../src/contract.js";
import { scriptedSchedule } from "../sim/schedule.js";
import { runInterleaved } from "../sim/scheduler.js";
import type { HistoryEvent, Script } from "./programs.js";
import {
  commitPut,
  entryFileName,
  holdBackWhile,
  makeMachine,
  readEntryFile,
  remove,
  request,
  start,
} from "./simulated-store.js";

const module = new URL("./programs.js", import.meta.url);
const program = (script: Script) => ({ module, export: "runScript", argument: script });
const keys = ["a", "b", "c", "d"];

/** A store whose sessions all have this value, in entry files. */
async function storeOf(value: string, options: Parameters<typeof makeMachine>[0] = {}) {
  const machine = await makeMachine(options);
  const writer = await start(machine, "writer");
  for (const key of keys) await commitPut(machine, writer, key, value);
  await machine.settle(writer.backend.checkpoint());
  return { machine, writer };
}

// Fails without `passScanGate`: the files change under the scan.
test("P15: a scan that began before a checkpoint sees one version", async () => {
  for (const fileSystem of ["ordered", "weak"] as const) {
    const { machine, writer } = await storeOf("old", { fileSystem });
    const reader = await start(machine, "reader");
    const snapshot = await machine.settle(reader.backend.scan());
    const iterator = snapshot[Symbol.asyncIterator]();
    const seen: SnapshotEntry[] = [(await machine.settle(iterator.next())).value];
    for (const key of keys.slice(1)) await commitPut(machine, writer, key, "new");
    await machine.settle(writer.backend.commit(request([remove("a")])));
    await commitPut(machine, writer, "e", "new");
    let isDone = false;
    const checkpoint = writer.backend.checkpoint().then(() => {
      isDone = true;
    });
    // Before the scan gives way by reading ahead, the checkpoint stands at its gate.
    await machine.advance(100);
    assert.equal(isDone, false);
    assert.deepEqual(readEntryFile(machine, "b")?.entry, { value: "old" });
    // Then it goes on, and the scan still delivers its state.
    await machine.settle(checkpoint);
    assert.deepEqual(readEntryFile(machine, "b")?.entry, { value: "new" });
    for (let step = await machine.settle(iterator.next()); !step.done; step = await machine.settle(iterator.next()))
      seen.push(step.value);
    assert.deepEqual(
      seen.map(({ key, entry }) => [key, entry.value]).sort(),
      keys.map((key) => [key, "old"]),
    );
    assert.deepEqual(reader.process.heldLocks(), []);
  }
});

// Fails when `startScan` refreshes the view before it has the lock: the view is then older than the files.
test("P15: the lock comes first, then the view", async () => {
  const { machine, writer } = await storeOf("old");
  writer.process.kill();
  const takesLock = (call: { method: string; path: string }) =>
    call.method === "tryLock" && call.path.endsWith(".scan.lock");
  const result = await runInterleaved<unknown, HistoryEvent>({
    machine,
    programs: [
      program({ calls: [["scan"]], options: { readOnly: true } }),
      program({ calls: [...keys.map((key) => ["put", key, "new"] as const), ["checkpoint"]] }),
    ],
    schedule: scriptedSchedule([{ process: 0, until: takesLock }, { process: 1 }]),
  });
  assert.deepEqual(
    result.outcomes.map((outcome) => outcome.status),
    ["returned", "returned"],
  );
  const seen = result.events.flatMap(({ event }) => (event.type === "seen" ? [event.seen] : []))[0]!;
  assert.deepEqual(
    keys.map((key) => seen[key]?.entry),
    keys.map(() => ({ value: "new" })),
  );
});

// Fails when the checkpointer keeps the scan lock while it writes.
test("P15: a scan that begins in the middle of a checkpoint does not wait for it, and sees its own one version", async () => {
  const { machine, writer } = await storeOf("old");
  const reader = await start(machine, "reader");
  for (const key of keys) await commitPut(machine, writer, key, "new");
  let isHeld = true;
  // Half of the entry files are written.
  let written = 0;
  holdBackWhile(writer, (call) => {
    if (call.method === "rename" && call.path.includes("/entries/")) written += 1;
    return isHeld && call.method === "syncDirectory" && call.path.endsWith("/entries");
  });
  const checkpoint = writer.backend.checkpoint();
  await machine.advance(500);
  assert.equal(written, keys.length);
  const seen: unknown[] = [];
  const scan = (async () => {
    for await (const { key, entry } of await reader.backend.scan()) seen.push([key, entry.value]);
  })();
  await machine.settle(scan);
  assert.deepEqual(
    seen.sort(),
    keys.map((key) => [key, "new"]),
  );
  isHeld = false;
  await machine.settle(checkpoint);
});

// Fails when `readSteps` gives the directory's listing only: sessions that live in the journal alone are missing.
test("P15: a scan gives the union of the listing and the overlay", async () => {
  const { machine, writer } = await storeOf("old");
  await commitPut(machine, writer, "e", "journaled only");
  await machine.settle(writer.backend.commit(request([remove("a")])));
  const reader = await start(machine, "reader", { readOnly: true });
  const seen: string[] = [];
  const scan = (async () => {
    for await (const { key } of await reader.backend.scan()) seen.push(key);
  })();
  await machine.settle(scan);
  assert.deepEqual(seen.sort(), ["b", "c", "d", "e"]);
  assert.ok(machine.exists(`/home/agent/sessions.d/entries/${entryFileName("a")}`));
});

// Fails when `DirectorySnapshot.end` does not release the lock.
test("P15: a scan that nobody reads any more ends with snapshot_expired, and holds up no checkpoint", async () => {
  const { machine, writer } = await storeOf("old");
  const reader = await start(machine, "reader", { limits: { scanMaxMs: 100 } });
  const snapshot = await machine.settle(reader.backend.scan());
  const iterator = snapshot[Symbol.asyncIterator]();
  await machine.settle(iterator.next());
  for (const key of keys) await commitPut(machine, writer, key, "new");
  await machine.settle(writer.backend.checkpoint());
  assert.deepEqual(readEntryFile(machine, "a")?.entry, { value: "new" });
  await assert.rejects(machine.settle(iterator.next()), { code: "snapshot_expired" });
  assert.deepEqual(reader.process.heldLocks(), []);
});
