/** P4 and P5: what a view keeps until a checkpoint is recorded, and what it may believe of files that change under it. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { sealDocument } from "../../src/backends/directory/checksum.js";
import { scriptedSchedule } from "../sim/schedule.js";
import { runInterleaved } from "../sim/scheduler.js";
import type { Call, HistoryEvent, Script } from "./programs.js";
import {
  commitPatch,
  commitPut,
  entryFileName,
  HookedPort,
  holdBackWhile,
  makeMachine,
  openStore,
  readEntry,
  readEntryFile,
  remove,
  request,
  segmentPath,
  start,
  storePath,
} from "./simulated-store.js";

const module = new URL("./programs.js", import.meta.url);
const program = (script: Script) => ({ module, export: "runScript", argument: script });

// Fails when `View.follow` drops older segments as soon as it enters the next one, and when `View.lookForCheckpoint`
// takes the end of the journal for checkpointed.
test("P4: the overlay is kept until the checkpoint is recorded, not dropped at the seal", async () => {
  const machine = await makeMachine();
  const reader = await start(machine, "reader", { cacheBytes: 0 });
  const writer = await start(machine, "writer", { cacheBytes: 0, limits: { segmentBytes: 1 } });
  let isHeld = true;
  holdBackWhile(writer, (call) => isHeld && call.method === "syncFile" && call.path.includes("/entries/"));
  await commitPut(machine, writer, "a", 1);
  await commitPatch(machine, writer, "a", "field", 2);
  await machine.advance(1_000);
  assert.match(machine.readText(segmentPath(2)), /"seal"/);
  assert.equal(readEntryFile(machine, "a"), undefined, "nothing is checkpointed yet");
  assert.deepEqual(await readEntry(reader, "a"), { value: 1, field: 2 });
  assert.deepEqual(await readEntry(writer, "a"), { value: 1, field: 2 });

  isHeld = false;
  await machine.advance(3_000);
  assert.equal(readEntryFile(machine, "a")?.version, 2);
  assert.deepEqual(await readEntry(reader, "a"), { value: 1, field: 2 });
});

// Fails when `View.dropCheckpointed` cuts the chains of patches further than the checkpoint.
test("P4: a patch in the current segment over a patch in a checkpointed one is put together on the entry file", async () => {
  const machine = await makeMachine();
  const reader = await start(machine, "reader", { cacheBytes: 0 });
  const writer = await start(machine, "writer", { cacheBytes: 0 });
  await commitPut(machine, writer, "a", 1);
  await commitPatch(machine, writer, "a", "first", 1);
  await machine.settle(writer.backend.checkpoint());
  await commitPatch(machine, writer, "a", "second", 2);
  await commitPatch(machine, writer, "a", "third", 3);
  const expected = { value: 1, first: 1, second: 2, third: 3 };
  assert.deepEqual(await readEntry(reader, "a"), expected, "before the reader knows of the checkpoint");
  await machine.advance(1_000);
  assert.deepEqual(await readEntry(reader, "a"), expected);
  assert.deepEqual(await readEntry(reader, "a"), expected);
  assert.deepEqual(await readEntry(writer, "a"), expected);
});

// Fails when `View.rebuild` lets the ENOENT of a listed segment through instead of listing again.
test("P5: a segment that is unlinked between the listing and its opening is no error: the opener lists again", async () => {
  const machine = await makeMachine();
  const writer = await start(machine, "writer");
  await commitPut(machine, writer, "a", 1);
  await machine.settle(writer.backend.checkpoint());
  await commitPut(machine, writer, "b", 2);
  await machine.settle(writer.backend.checkpoint());
  const manifest = machine.readText(`${storePath}/state.json`);
  const unlinked: string[] = [];
  writer.process.kill();

  // The opener reads a manifest from before both checkpoints, then opens what was unlinked meanwhile.
  const before = manifest.replace(
    /"checkpoint": \{[^}]*\}/,
    '"checkpoint": {"version":0,"record":"00000000","timeMs":0}',
  );
  machine.writeFile(`${storePath}/state.json`, resealed(before));
  const opener = machine.process("opener");
  const port = new HookedPort(opener);
  port.before = (call) => {
    if (call.method !== "open" || call.path !== segmentPath(1) || unlinked.length > 0) return;
    machine.writeFile(`${storePath}/state.json`, manifest);
    machine.unlink(segmentPath(1));
    unlinked.push(segmentPath(1));
  };
  const backend = await machine.settle(openStore(port));
  assert.deepEqual(unlinked, [segmentPath(1)]);
  assert.deepEqual((await backend.read(["a"])).get("a")?.entry, { value: 1 });
  assert.deepEqual((await backend.read(["b"])).get("b")?.entry, { value: 2 });
  await machine.settle(backend.close());
  assert.deepEqual(opener.openHandles(), []);
});

// Fails when `View.applyCommit` leaves the cache alone and `keepWarm` trusts it: the old entry is then read for ever.
test("P5: an entry file that is replaced while it is read does not leave its old content in the cache", async () => {
  const machine = await makeMachine();
  const writer = await start(machine, "writer");
  await commitPut(machine, writer, "a", "old");
  await machine.settle(writer.backend.close());
  const opensEntry = (call: { method: string; path: string }) =>
    call.method === "read" && call.path.endsWith(entryFileName("a"));
  const result = await runInterleaved<unknown, HistoryEvent>({
    machine,
    programs: [
      program({
        calls: [
          ["read", ["a"]],
          ["sleep", 2_000],
          ["read", ["a"]],
          ["sleep", 1_000],
          ["read", ["a"]],
        ],
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
  assert.deepEqual(seen, [{ value: "old" }, { value: "new" }, { value: "new" }]);
});

// Fails when `View.readJudged` takes the first error for the last word. The reader knows of a patch, and is stopped before
// it opens what that was made on.
for (const madeAnew of [false, true]) {
  test(`P5: a session that is removed${madeAnew ? " and made anew" : ""} before its file is read is not damaged`, async () => {
    const machine = await makeMachine();
    const writer = await start(machine, "writer");
    await commitPut(machine, writer, "a", "old");
    await machine.settle(writer.backend.checkpoint());
    await commitPatch(machine, writer, "a", "field", 1);
    writer.process.kill();
    const opensEntry = (call: { method: string; path: string }) =>
      call.method === "open" && call.path.endsWith(entryFileName("a"));
    const again: readonly Call[] = madeAnew ? [["put", "a", "new"]] : [];
    const result = await runInterleaved<unknown, HistoryEvent>({
      machine,
      programs: [
        program({ calls: [["read", ["a"]]] }),
        program({ calls: [["remove", "a"], ["checkpoint"], ...again], leaveOpen: true }),
      ],
      schedule: scriptedSchedule([{ process: 0, until: opensEntry }, { process: 1 }]),
    });
    assert.deepEqual(
      result.outcomes.map((outcome) => outcome.status),
      ["returned", "returned"],
    );
    const seen = result.events.flatMap(({ event }) => (event.type === "seen" ? [event.seen.a?.entry] : []));
    assert.deepEqual(seen, [madeAnew ? { value: "new" } : undefined]);
  });
}

// Fails when `checkJournaledSessions` takes the first look for the last word.
test("P5: a check beside writers calls no session damaged whose entry file goes just before it is read", async () => {
  const machine = await makeMachine();
  const writer = await start(machine, "writer");
  await commitPut(machine, writer, "a", "old");
  await machine.settle(writer.backend.checkpoint());
  await commitPatch(machine, writer, "a", "field", 1);
  writer.process.kill();
  const later = machine.fork();
  const remover = await start(later, "remover");
  await later.settle(remover.backend.commit(request([remove("a")])));
  await later.settle(remover.backend.checkpoint());
  const path = `${storePath}/entries/${entryFileName("a")}`;
  assert.ok(!later.exists(path));

  const reader = await start(machine, "reader", { readOnly: true });
  reader.port.before = (call) => {
    if (call.method !== "open" || call.path !== path || !machine.exists(path)) return;
    for (const [file, text] of Object.entries(later.dump())) {
      if (file.includes("/journal/") && !file.endsWith("/")) machine.writeFile(file, text);
    }
    machine.writeFile(`${storePath}/state.json`, later.readText(`${storePath}/state.json`));
    machine.unlink(path);
  };
  const findings: string[] = [];
  await machine.settle(
    (async () => {
      for await (const { code, message } of reader.backend.check()) findings.push(`${code}: ${message}`);
    })(),
  );
  assert.ok(!machine.exists(path));
  assert.deepEqual(findings, []);
});

function resealed(text: string): string {
  return sealDocument({ ...JSON.parse(text), checksum: "00000000" });
}
