/** Seeded random numbers: the same seed always makes the same choices. */

import { createHash } from "node:crypto";

export class Random {
  #state;

  /** Any text; texts that differ a little give quite different numbers. */
  constructor(seed) {
    this.#state = createHash("sha256").update(String(seed)).digest().readUInt32LE(0);
  }

  /** Uniform in [0, 1) (mulberry32). */
  next() {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from 0 to limit - 1. */
  below(limit) {
    return Math.floor(this.next() * limit);
  }

  chance(probability) {
    return this.next() < probability;
  }

  pick(list) {
    return list[this.below(list.length)];
  }
}
