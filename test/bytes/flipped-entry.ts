/** One flipped bit in an entry file costs that session and no other. */

import assert from "node:assert/strict";
import { SeededRandom } from "../sim/random.js";
import { openAgreed } from "./corpus.js";
import { type HonestStore, makeHonestStore } from "./honest-store.js";
import type { Role } from "./real-recovery.js";

/** A store at rest, whose last entry file is all there is of its session. */
export class CheckpointedEntry {
  readonly store: HonestStore;
  readonly name: string;
  readonly bytes: Uint8Array;

  constructor(firstSeed: number, textChars = 300) {
    for (let seed = firstSeed; ; seed++) {
      this.store = makeHonestStore(new SeededRandom(seed), { commits: 8, rotation: 0.2, textChars });
      const { entries, segments } = this.store.bytes;
      [this.name, this.bytes] = [...entries].at(-1) ?? ["", new Uint8Array(0)];
      if (entries.size <= 2) continue;
      const text = JSON.stringify(JSON.parse(Buffer.from(this.bytes).toString("utf8")).sessionKey);
      const isJournaled = [...segments.values()].some((segment) => Buffer.from(segment).includes(text));
      if (!isJournaled) return;
    }
  }

  async assertFlip(at: number, bit: number, role: Role): Promise<void> {
    const flipped = Uint8Array.from(this.bytes);
    flipped[at]! ^= 1 << bit;
    const entries = new Map(this.store.bytes.entries).set(this.name, flipped);
    const where = `bit ${bit} of byte ${at} of an entry file`;
    const real = await openAgreed({ ...this.store.bytes, entries }, role, where);
    assert.ok(real.kind === "state" && real.damaged.size === 1, where);
    const past = this.store.states[this.store.lastVersion] as ReadonlyMap<string, string>;
    assert.equal(real.sessions.size, past.size - 1);
    for (const [key, line] of real.sessions) assert.equal(line, past.get(key), key);
  }
}
