// A journal cut at every byte, with nothing, with garbage and with whole records behind the cut: the state is always
// that of a version the store once had, or - when a whole record proves that what is missing was durable - a refusal.
// The same at every byte of journals of 64 KiB: `npm run torture -- --only torn-tails`.

import assert from "node:assert/strict";
import { test } from "node:test";
import { openStore, storePath } from "../protocol/simulated-store.js";
import { recoverPurely, servedLine } from "./pure-recovery.js";
import { machineWith } from "./real-recovery.js";
import { TornJournal } from "./torn.js";

const torn = new TornJournal(7, 64 * 1024, 400);
const { bytes: journal, store, name } = torn;
const nothing = new Uint8Array(0);

/** Within 20 bytes before a newline or 12 after it. */
function isNearLineEnd(at: number): boolean {
  return journal.subarray(Math.max(0, at - 12), at + 20).includes(0x0a);
}

test("a journal of 64 KiB torn at any byte ends with the last whole record, and nothing before it is lost", async () => {
  assert.ok(journal.length >= 64 * 1024);
  let cuts = 0;
  for (let at = 0; at <= journal.length; at++) {
    if (at % 8 !== 0 && !isNearLineEnd(at)) continue;
    await torn.assertCut(at, nothing, at % 3 === 0 ? "reader" : "writer");
    cuts += 1;
  }
  assert.ok(cuts > journal.length / 8);
});

test("a reader that follows a journal of 64 KiB byte by byte serves each commit when its newline is there, and no earlier", async () => {
  const machine = machineWith({ ...store.bytes, segments: new Map([[name, nothing]]) });
  const writing = machine.process("writing");
  const file = writing.open(writing.openRoot(`${storePath}/journal`), name, "append");
  const reader = await machine.settle(openStore(machine.process("reader"), { readOnly: true }));
  const keys = [...new Set(store.states.flatMap((state) => [...state.keys()]))];
  let version = 0;
  for (let at = 0; at < journal.length; at++) {
    writing.append(file, journal.subarray(at, at + 1));
    if (journal[at] === 0x0a) version += 1;
    const found = await machine.settle(reader.read(keys));
    const newest = Math.max(0, ...[...found.values()].map((session) => Number.parseInt(session.version, 10)));
    assert.ok(newest <= version, `byte ${at}: ${newest} is served, and ${version} commits are whole`);
    if (journal[at] !== 0x0a) continue;
    const lines = [...found].map(([key, session]): [string, string] => [
      key,
      servedLine(session.version, session.entry, session.generations),
    ]);
    assert.deepEqual(new Map(lines), store.states[version], `commit ${version}`);
  }
  assert.equal(version, store.lastVersion);
});

test("a hole at any byte with whole records behind it is refused when they prove that it was durable", async () => {
  let refused = 0;
  for (let at = 0; at < torn.lastLine; at += 23) {
    await torn.assertHoleRefused(at, at % 2 === 0 ? "writer" : "reader");
    refused += 1;
  }
  assert.ok(refused > 2_500);
});

test("zeros or garbage behind any cut are no records: the state ends in front of them", async () => {
  const { tails } = torn;
  for (let at = 0; at < journal.length; at += 23) {
    await torn.assertCut(at, tails[at % tails.length] as Uint8Array, at % 2 === 0 ? "writer" : "reader");
  }
});

test("a journal whose middle is gone up to any byte is never joined over the gap", async () => {
  const start = journal.indexOf(0x0a) + 1;
  for (let at = start + 1; at < journal.length; at += 61) {
    const joined = Buffer.concat([journal.subarray(0, start), journal.subarray(at)]);
    const store2 = { ...store.bytes, segments: new Map([[name, joined]]) };
    const pure = recoverPurely(store2, "simulated");
    // Nothing but the last record, or a part of it, is left behind the gap: then nothing proves that more was there.
    assert.ok(pure.kind === "refused" || (pure.version === 1 && at > journal.lastIndexOf(0x0a, journal.length - 2)));
    await torn.open(joined, at % 2 === 0 ? "writer" : "reader");
  }
});
