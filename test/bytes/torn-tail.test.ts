// A journal cut at every byte, with nothing, with garbage and with whole records behind the cut: the state is always
// that of a version the store once had, or - when a whole record proves that what is missing was durable - a refusal.
// The same at every byte of journals of 64 KiB: `npm run torture -- --only torn-tails`.

import assert from "node:assert/strict";
import { test } from "node:test";
import { recoverPurely } from "./pure-recovery.js";
import { TornJournal } from "./torn.js";

const torn = new TornJournal(7, 16 * 1024, 400);
const { bytes: journal, store, name } = torn;
const nothing = new Uint8Array(0);

test("a journal torn at any byte ends with the last whole record, and nothing before it is lost", async () => {
  for (let at = 0; at <= journal.length; at++) await torn.assertCut(at, nothing);
});

test("a hole at any byte with whole records behind it is refused when they prove that it was durable", async () => {
  let refused = 0;
  for (let at = 0; at < torn.lastLine; at += 11) {
    await torn.assertHoleRefused(at, at % 2 === 0 ? "writer" : "reader");
    refused += 1;
  }
  assert.ok(refused > 1_000);
});

test("zeros or garbage behind any cut are no records: the state ends in front of them", async () => {
  const { tails } = torn;
  for (let at = 0; at < journal.length; at += 11) {
    await torn.assertCut(at, tails[at % tails.length] as Uint8Array, at % 2 === 0 ? "writer" : "reader");
  }
});

test("a journal whose middle is gone up to any byte is never joined over the gap", async () => {
  const start = journal.indexOf(0x0a) + 1;
  for (let at = start + 1; at < journal.length; at += 29) {
    const joined = Buffer.concat([journal.subarray(0, start), journal.subarray(at)]);
    const store2 = { ...store.bytes, segments: new Map([[name, joined]]) };
    const pure = recoverPurely(store2, "simulated");
    // Nothing but the last record, or a part of it, is left behind the gap: then nothing proves that more was there.
    assert.ok(pure.kind === "refused" || (pure.version === 1 && at > journal.lastIndexOf(0x0a, journal.length - 2)));
    await torn.open(joined, at % 2 === 0 ? "writer" : "reader");
  }
});
