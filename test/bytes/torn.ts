/**
 * Journals cut at a byte, with nothing, with zeros, with garbage and with whole records behind the cut: what must come
 * of each. A run over all bytes of a journal of 64 KiB takes minutes; so it comes in parts.
 */

import assert from "node:assert/strict";
import { SeededRandom } from "../sim/random.js";
import { openAgreed } from "./corpus.js";
import { type HonestStore, makeHonestStore } from "./honest-store.js";
import type { Opened, Role } from "./real-recovery.js";

export class TornJournal {
  readonly store: HonestStore;
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Where the last record begins. */
  readonly lastLine: number;

  constructor(seed: number, bytesMin: number, textChars: number) {
    for (let commits = Math.ceil(bytesMin / (3 * textChars + 600)); ; commits += 1) {
      const random = new SeededRandom(seed);
      this.store = makeHonestStore(random, { commits, rotation: 0, eager: true, plain: true, textChars });
      [this.name, this.bytes] = [...this.store.bytes.segments][0] as [string, Uint8Array];
      if (this.bytes.length >= bytesMin) break;
    }
    this.lastLine = this.bytes.lastIndexOf(0x0a, this.bytes.length - 2) + 1;
  }

  /** Opens the store with other bytes in place of its journal; the two recoveries must agree. */
  async open(bytes: Uint8Array, role: Role = "writer", why = `${bytes.length} bytes`): Promise<Opened> {
    return openAgreed({ ...this.store.bytes, segments: new Map([[this.name, bytes]]) }, role, why);
  }

  /** So many commits are left when the journal ends at this byte. */
  commitsBefore(offset: number): number {
    let count = 0;
    for (let at = this.bytes.indexOf(0x0a); at >= 0 && at < offset; at = this.bytes.indexOf(0x0a, at + 1)) count += 1;
    return count;
  }

  /** The journal ends here: nothing before is lost, and nothing else is there. */
  async assertCut(at: number, tail: Uint8Array, role: Role = "writer"): Promise<void> {
    const before = this.bytes.subarray(0, at);
    const real = await this.open(tail.length === 0 ? before : Buffer.concat([before, tail]), role, `cut at ${at}`);
    assert.ok(real.kind === "state", `cut at ${at}: ${JSON.stringify(real)}`);
    // A tail may begin with the newline that the cut took away.
    const mayBeWhole = tail.length > 0 && this.bytes[at] === 0x0a;
    assert.ok(mayBeWhole || real.version === this.commitsBefore(at), `cut at ${at}: ${real.version}`);
    assert.deepEqual(new Map(real.sessions), this.store.states[real.version], `cut at ${at}`);
  }

  /** The last whole record proves that what is missing before it was durable. */
  async assertHoleRefused(at: number, role: Role): Promise<void> {
    const holed = Uint8Array.from(this.bytes);
    holed.fill(0, at, Math.min(this.lastLine, at + 40));
    const real = await this.open(holed, role, `hole at ${at}`);
    assert.equal(real.kind, "refused", `hole at ${at}`);
  }

  /** A bit of a record that a later one calls durable is damage; one of the very last record ends the journal. */
  async assertFlip(at: number, bit: number, role: Role): Promise<void> {
    const flipped = Uint8Array.from(this.bytes);
    flipped[at]! ^= 1 << bit;
    const where = `bit ${bit} of byte ${at}, ${role}`;
    const real = await this.open(flipped, role, where);
    if (at < this.lastLine) {
      assert.ok(real.kind === "refused" && real.reason === "store_damaged", `${where}: ${real.kind}`);
      return;
    }
    assert.ok(real.kind === "state", `${where}: ${JSON.stringify(real)}`);
    assert.equal(real.version, this.store.lastVersion - 1, where);
    assert.deepEqual(new Map(real.sessions), this.store.states[real.version], where);
  }

  /** What a file system may leave behind a cut. */
  get tails(): readonly Uint8Array[] {
    return [new Uint8Array(64), Buffer.from("garbage\nmore\n"), this.bytes.subarray(0, 100), Buffer.from([0xff, 0x0a])];
  }
}
