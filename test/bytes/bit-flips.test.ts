// One flipped bit anywhere. Where a later record proves that the damaged one was durable, opening is refused; where
// nothing can prove it - in the very last record - cutting it is right, and everything before it is there.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededRandom } from "../sim/random.js";
import { type HonestStore, makeHonestStore } from "./honest-store.js";
import { compareTakeOver, makeLegacyBytes, readLegacyPurely } from "./legacy.js";
import type { StoreBytes } from "./pure-recovery.js";
import { compareRecoveries, type Opened, type Role } from "./real-recovery.js";

const random = new SeededRandom(12);
const store = makeHonestStore(random, { commits: 12, rotation: 0, eager: true, plain: true, textChars: 40 });
const [name, journal] = [...store.bytes.segments][0] as [string, Uint8Array];

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

function assertPast(real: Opened, of: HonestStore, where: string): void {
  assert.ok(real.kind === "state", `${where}: ${JSON.stringify(real)}`);
  assert.deepEqual(new Map(real.sessions), of.states[real.version], where);
}

const lastLine = journal.lastIndexOf(0x0a, journal.length - 2) + 1;

async function flipJournal(at: number, bit: number, role: Role): Promise<void> {
  const where = `bit ${bit} of byte ${at}, ${role}`;
  const real = await open({ ...store.bytes, segments: new Map([[name, flipped(journal, at, bit)]]) }, role);
  if (at < lastLine) assert.ok(real.kind === "refused" && real.reason === "store_damaged", `${where}: ${real.kind}`);
  else {
    assertPast(real, store, where);
    assert.equal((real as { version: number }).version, store.lastVersion - 1, where);
  }
}

test("a flipped bit in any byte of the journal: proven durable is refused, the very last record is cut", async () => {
  for (let at = 0; at < journal.length; at++)
    await flipJournal(at, random.below(8), at % 3 === 0 ? "reader" : "writer");
});

test("every bit of the first record and of the last one", async () => {
  for (const start of [0, lastLine]) {
    for (let at = start; at <= journal.indexOf(0x0a, start); at++) {
      for (let bit = 0; bit < 8; bit++) await flipJournal(at, bit, "writer");
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
  const of = findCheckpointed();
  const [file, bytes] = [...of.bytes.entries].at(-1) as [string, Uint8Array];
  for (let at = 0; at < bytes.length; at++) {
    for (const bit of at < 200 ? [0, 1, 2, 3, 4, 5, 6, 7] : [random.below(8)]) {
      const entries = new Map(of.bytes.entries).set(file, flipped(bytes, at, bit));
      const real = await open({ ...of.bytes, entries }, at % 2 === 0 ? "reader" : "writer");
      assert.ok(real.kind === "state" && real.damaged.size === 1, `bit ${bit} of byte ${at}`);
      const past = of.states[of.lastVersion] as ReadonlyMap<string, string>;
      assert.equal(real.sessions.size, past.size - 1);
      for (const [key, line] of real.sessions) assert.equal(line, past.get(key), key);
    }
  }
});

/** A store at rest, whose last entry file is all there is of its session. */
function findCheckpointed(): HonestStore {
  for (let seed = 1; ; seed++) {
    const made = makeHonestStore(new SeededRandom(seed), { commits: 8, rotation: 0.2, textChars: 300 });
    const [, bytes] = [...made.bytes.entries].at(-1) ?? [];
    const key = bytes && JSON.parse(Buffer.from(bytes).toString("utf8")).sessionKey;
    const journaled = [...made.bytes.segments.values()].some((segment) =>
      Buffer.from(segment).toString("utf8").includes(JSON.stringify(key)),
    );
    if (key !== undefined && !journaled && made.bytes.entries.size > 2) return made;
  }
}

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
