// One flipped bit anywhere. Where a later record proves that the damaged one was durable, opening is refused; where
// nothing can prove it - in the very last record - cutting it is right, and everything before it is there. Every bit of
// every byte: `npm run torture -- --only bit-flips`.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededRandom } from "../sim/random.js";
import { CheckpointedEntry } from "./flipped-entry.js";
import { makeHonestStore } from "./honest-store.js";
import { compareTakeOver, makeLegacyBytes, readLegacyPurely } from "./legacy.js";
import type { StoreBytes } from "./pure-recovery.js";
import { compareRecoveries, type Opened, type Role } from "./real-recovery.js";
import { TornJournal } from "./torn.js";

const random = new SeededRandom(12);
const journal = new TornJournal(12, 16 * 1024, 60);
const { store } = journal;

function flipped(bytes: Uint8Array, at: number, bit: number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[at]! ^= 1 << bit;
  return copy;
}

async function open(bytes: StoreBytes, role: Role): Promise<Opened> {
  const { real, difference } = await compareRecoveries(bytes, role);
  assert.equal(difference, undefined);
  return real;
}

test("a flipped bit in every third byte of a journal of 16 KiB: proven durable is refused, the very last record is cut", async () => {
  const { bytes } = journal;
  assert.ok(bytes.length >= 16 * 1024);
  for (let at = 0; at < bytes.length; at += 3) {
    await journal.assertFlip(at, random.below(8), at % 2 === 0 ? "reader" : "writer");
  }
});

test("every bit of the first record and of the last one", async () => {
  const short = new TornJournal(12, 3_000, 40);
  const { bytes } = short;
  for (const start of [0, short.lastLine]) {
    for (let at = start; at <= bytes.indexOf(0x0a, start); at++) {
      for (let bit = 0; bit < 8; bit++) await short.assertFlip(at, bit, "writer");
    }
  }
});

test("a flipped bit in any byte of several segments never invents, skips or reorders a commit", async () => {
  for (let seed = 1; seed <= 3; seed++) {
    const several = makeHonestStore(new SeededRandom(seed), { commits: 12, rotation: 0.3, textChars: 10 });
    for (const [segment, bytes] of several.bytes.segments) {
      for (let at = 0; at < bytes.length; at += 3) {
        const segments = new Map(several.bytes.segments).set(segment, flipped(bytes, at, random.below(8)));
        const real = await open({ ...several.bytes, segments }, at % 4 === 0 ? "reader" : "writer");
        if (real.kind !== "state") continue;
        const where = `store ${seed}, ${segment}, byte ${at}`;
        // Sessions that a half-made checkpoint wrote out already are damaged when the journal ends before them.
        const past = several.states[real.version] as ReadonlyMap<string, string>;
        for (const [key, line] of real.sessions) assert.equal(line, past.get(key), `${where}: ${key}`);
        for (const key of past.keys()) assert.ok(real.sessions.has(key) || real.damaged.size > 0, `${where}: ${key}`);
      }
    }
  }
});

test("a flipped bit in any byte of an entry file costs that session and no other", async () => {
  const entry = new CheckpointedEntry(1);
  for (let at = 0; at < entry.bytes.length; at++) {
    for (const bit of at < 200 ? [0, 1, 2, 3, 4, 5, 6, 7] : [random.below(8)]) {
      await entry.assertFlip(at, bit, at % 2 === 0 ? "reader" : "writer");
    }
  }
});

test("a flipped bit in any byte of the manifest is refused", async () => {
  const { manifest } = store.bytes;
  for (let at = 0; at < manifest.length; at++) {
    for (let bit = 0; bit < 8; bit++) {
      const real = await open({ ...store.bytes, manifest: flipped(manifest, at, bit) }, at % 2 ? "reader" : "writer");
      assert.equal(real.kind, "refused", `bit ${bit} of byte ${at}`);
    }
  }
});

test("a flipped bit in any byte of a legacy file: taken over as JSON reads it, or refused and untouched", async () => {
  const bytes = findLegacy();
  for (let at = 0; at < bytes.length; at++) {
    for (const bit of at < 150 ? [0, 1, 2, 3, 4, 5, 6, 7] : [random.below(8)]) {
      const { difference } = await compareTakeOver(flipped(bytes, at, bit));
      assert.equal(difference, undefined, `bit ${bit} of byte ${at}`);
    }
  }
});

function findLegacy(): Uint8Array {
  for (;;) {
    const bytes = makeLegacyBytes(random);
    if ((readLegacyPurely(bytes)?.size ?? 0) >= 4) return bytes;
  }
}
