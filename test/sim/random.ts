/**
 * Random numbers from a seed (sfc32), so that every failure can be replayed. Nothing in a simulation may take its
 * numbers from anywhere else. Not for secrets.
 */

export class SeededRandom {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: number) {
    this.#a = seed | 0;
    this.#b = Math.floor(seed / 0x1_0000_0000) | 0;
    this.#c = 0x9e3779b9 | 0;
    for (let round = 0; round < 12; round++) this.#next();
  }

  /** Uniform in [0, 1). */
  next(): number {
    return this.#next() / 0x1_0000_0000;
  }

  /** Uniform in 0 .. bound - 1. */
  below(bound: number): number {
    return Math.floor(this.next() * bound);
  }

  between(low: number, high: number): number {
    return low + this.next() * (high - low);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  bytes(count: number): Uint8Array {
    const result = new Uint8Array(count);
    for (let index = 0; index < count; index++) result[index] = this.#next() & 255;
    return result;
  }

  /** A generator of its own, so that drawing more here does not shift the numbers there. */
  branch(): SeededRandom {
    return new SeededRandom(this.#next() * 0x20_0000 + (this.#next() & 0x1f_ffff));
  }

  /** The same state, drawn from independently from now on. */
  clone(): SeededRandom {
    const copy = new SeededRandom(0);
    copy.#a = this.#a;
    copy.#b = this.#b;
    copy.#c = this.#c;
    copy.#counter = this.#counter;
    return copy;
  }

  #next(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (this.#c << 21) | (this.#c >>> 11);
    this.#c = (this.#c + sum) | 0;
    return sum >>> 0;
  }
}
