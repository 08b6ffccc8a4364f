// A journal cut at every byte, with nothing, with garbage and with whole records behind the cut: the state is always
// that of a version the store once had, or - when a whole record proves that what is missing was durable - a refusal.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededRandom } from "../sim/random.js";
import { type HonestStore, makeHonestStore } from "./honest-store.js";
import { recoverPurely } from "./pure-recovery.js";
import { compareRecoveries } from "./real-recovery.js";

const journalBytesMin = 16 * 1024;
const store = makeStoreOf(journalBytesMin);
const [name, journal] = [...store.bytes.segments][0] as [string, Uint8Array];

function makeStoreOf(bytesMin: number): HonestStore {
  for (let commits = 10; ; commits += 1) {
    const made = makeHonestStore(new SeededRandom(7), {
      commits,
      rotation: 0,
      eager: true,
      plain: true,
      textChars: 400,
    });
    if ([...made.bytes.segments.values()][0]!.length >= bytesMin) return made;
  }
}

/** Where the last whole line before each offset ends: that many commits are left. */
function commitsBefore(offset: number): number {
  return journal.subarray(0, offset).filter((byte) => byte === 0x0a).length;
}

async function open(bytes: Uint8Array, role: "writer" | "reader" = "writer") {
  const { real, difference } = await compareRecoveries({ ...store.bytes, segments: new Map([[name, bytes]]) }, role);
  assert.equal(difference, undefined);
  return real;
}

test("a journal torn at any byte ends with the last whole record, and nothing before it is lost", async () => {
  for (let at = 0; at <= journal.length; at++) {
    const real = await open(journal.subarray(0, at));
    assert.ok(real.kind === "state", `cut at ${at}: ${JSON.stringify(real)}`);
    assert.equal(real.version, commitsBefore(at), `cut at ${at}`);
    assert.deepEqual(new Map(real.sessions), store.states[real.version], `cut at ${at}`);
  }
});

test("a hole at any byte with whole records behind it is refused when they prove that it was durable", async () => {
  const lastLine = journal.lastIndexOf(0x0a, journal.length - 2) + 1;
  let refused = 0;
  for (let at = 0; at < lastLine; at += 11) {
    const holed = Uint8Array.from(journal);
    holed.fill(0, at, Math.min(lastLine, at + 40));
    const real = await open(holed, at % 2 === 0 ? "writer" : "reader");
    assert.equal(real.kind, "refused", `hole at ${at}`);
    refused += 1;
  }
  assert.ok(refused > 1_000);
});

test("zeros or garbage behind any cut are no records: the state ends in front of them", async () => {
  const tails = [
    new Uint8Array(64),
    Buffer.from("garbage\nmore\n"),
    journal.subarray(0, 100),
    Buffer.from([0xff, 0x0a]),
  ];
  for (let at = 0; at < journal.length; at += 11) {
    const tail = tails[at % tails.length] as Uint8Array;
    const real = await open(Buffer.concat([journal.subarray(0, at), tail]), at % 2 === 0 ? "writer" : "reader");
    assert.ok(real.kind === "state", `cut at ${at}: ${JSON.stringify(real)}`);
    assert.ok(real.version === commitsBefore(at) || journal[at] === 0x0a, `cut at ${at}`);
    assert.deepEqual(new Map(real.sessions), store.states[real.version], `cut at ${at}`);
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
    await open(joined, at % 2 === 0 ? "writer" : "reader");
  }
});
