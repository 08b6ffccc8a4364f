/** P13 and P14: to what a record, a token or a cursor may be applied. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { BackendChange } from "../../src/contract.js";
import { scriptedSchedule } from "../sim/schedule.js";
import { runInterleaved } from "../sim/scheduler.js";
import type { HistoryEvent, Script } from "./programs.js";
import {
  commitPatch,
  commitPut,
  committed,
  entryFileName,
  filesIn,
  loseEverythingPending,
  makeMachine,
  put,
  readEntry,
  readEntryFile,
  readStore,
  readValue,
  remove,
  request,
  start,
  storePath,
} from "./simulated-store.js";

const module = new URL("./programs.js", import.meta.url);
const program = (script: Script) => ({ module, export: "runScript", argument: script });

// Fails when `foldKey` applies changes whatever the version of the entry file is: the patches do not fit then, and the
// session is quarantined.
test("P14: patches are not applied again by a checkpoint that follows one that died before it was recorded", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store");
  await commitPut(machine, store, "a", 1);
  await machine.settle(store.backend.checkpoint());
  await commitPatch(machine, store, "a", "first", 1);
  await commitPatch(machine, store, "a", "second", 2);
  store.port.before = (call) => {
    if (call.method === "rename" && call.path === `${storePath}/state.json`) store.process.kill();
  };
  await assert.rejects(machine.settle(store.backend.checkpoint()));
  assert.equal(readEntryFile(machine, "a")?.version, 3);
  const next = await start(machine, "next");
  await machine.settle(next.backend.close());
  assert.deepEqual(readEntryFile(machine, "a")?.entry, { value: 1, first: 1, second: 2 });
  assert.equal(filesIn(machine, "quarantine").size, 0);
  assert.deepEqual(await readStore(machine), { a: { value: 1, first: 1, second: 2 } });
});

// Fails when `materialise` puts its patches on a base that is newer than they are.
test("P14: a patch re-applied over a newer base makes no mixture that never existed", async () => {
  const machine = await makeMachine();
  const opensEntry = (call: { method: string; path: string }) =>
    call.method === "open" && call.path.endsWith(entryFileName("a"));
  const creator = await start(machine, "creator");
  await commitPut(machine, creator, "a", "old");
  await machine.settle(creator.backend.checkpoint());
  await commitPatch(machine, creator, "a", "patched", true);
  await machine.settle(creator.backend.sync());
  creator.process.kill();
  // The reader's view ends at the patch. Before it opens the base, another process replaces and checkpoints the session.
  const result = await runInterleaved<unknown, HistoryEvent>({
    machine,
    programs: [
      program({
        calls: [
          ["read", ["a"]],
          ["read", ["a"]],
        ],
        options: { cacheBytes: 0, readOnly: true },
      }),
      program({ calls: [["put", "a", "new"], ["checkpoint"]] }),
    ],
    schedule: scriptedSchedule([{ process: 0, until: opensEntry }, { process: 1 }]),
  });
  assert.deepEqual(
    result.outcomes.map((outcome) => outcome.status),
    ["returned", "returned"],
  );
  const seen = result.events.flatMap(({ event }) => (event.type === "seen" ? [event.seen.a?.entry] : []));
  assert.deepEqual(seen, [{ value: "new" }, { value: "new" }]);
});

// Fails when `foldPatches` and `patchState` do not compare the base's version.
test("P14: a base that is not what a patch was made on is damage of that one session", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store");
  await commitPut(machine, store, "a", 1);
  await commitPut(machine, store, "b", 1);
  const oldFile = () => machine.readText(`${storePath}/entries/${entryFileName("a")}`);
  await machine.settle(store.backend.checkpoint());
  const restored = oldFile();
  await commitPut(machine, store, "a", 2);
  await machine.settle(store.backend.checkpoint());
  await commitPatch(machine, store, "a", "field", 1);
  await commitPatch(machine, store, "b", "field", 1);
  store.process.kill();
  // Somebody put an older copy of the entry file back.
  machine.writeFile(`${storePath}/entries/${entryFileName("a")}`, restored);
  const reader = await start(machine, "reader");
  await assert.rejects(reader.backend.read(["a"]), { code: "entry_damaged" });
  assert.deepEqual(await readEntry(reader, "b"), { value: 1, field: 1 });
  await machine.settle(reader.backend.close());
  assert.equal(oldFile(), restored, "the file stays as it is");
  const late = await start(machine, "late");
  assert.deepEqual(await readEntry(late, "b"), { value: 1, field: 1 });
});

// Fails when `View.currentToken` tells a removal from an absence.
test("P14: absence compares equal, whatever removal it came from", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store");
  const create = (value: number) =>
    machine.settle(store.backend.commit(request([put("a", { value })], [["a", null]]))).then(committed);
  await create(1);
  for (const round of [2, 3, 4]) {
    await machine.settle(store.backend.commit(request([remove("a")])));
    if (round === 3) await machine.settle(store.backend.checkpoint());
    await create(round);
  }
  assert.equal(await readValue(store, "a"), 4);
});

// Fails when `formatToken` leaves the record's checksum out.
test("P13: a version that is given out again after a power cut is another version to whoever kept its token", async () => {
  const machine = await makeMachine();
  const store = await start(machine, "store", { durability: "interval" });
  await commitPut(machine, store, "a", 1);
  await machine.settle(store.backend.sync());
  const lost = await commitPut(machine, store, "a", "lost");
  const cursor = await store.backend.cursor();

  const rebooted = loseEverythingPending(machine);
  const next = await start(rebooted, "next");
  const reissued = await commitPut(rebooted, next, "a", "other");
  assert.equal(reissued.split("-")[0], lost.split("-")[0], "the number was given out again");
  const swap = await rebooted.settle(next.backend.commit(request([put("a", { value: "over" })], [["a", lost]])));
  assert.equal(swap.status, "conflict");
  assert.equal(await readValue(next, "a"), "other");

  await commitPut(rebooted, next, "b", 2);
  const changes: BackendChange["type"][] = [];
  const follow = (async () => {
    for await (const change of next.backend.changes(cursor)) {
      changes.push(change.type);
      return;
    }
  })();
  await rebooted.settle(follow);
  assert.deepEqual(changes, ["reset"]);
});
