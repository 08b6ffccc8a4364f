/**
 * Reads of single sessions that wait go to the server together, as commits do (together.ts): the first few go at once, and
 * what comes while they are under way is one statement. A read is sent after it was asked for, so it sees everything that
 * was acknowledged before.
 */

import type { Versioned } from "../../contract.js";
import type { Pool } from "./pool.js";
import { readSessions } from "./read.js";

type Found = Map<string, Versioned>;

interface Waiting {
  readonly key: string;
  resolve(found: Found | Promise<Found>): void;
}

const flightsMax = 2;
/** Entries may be large: more in one answer would delay them all. */
const membersMax = 16;

export class ReadTogether {
  readonly #pool: Pool;
  readonly #store: string;
  #waiting: Waiting[] = [];
  #flights = 0;

  constructor(pool: Pool, store: string) {
    this.#pool = pool;
    this.#store = store;
  }

  read(keys: readonly string[]): Promise<Found> {
    const [key] = keys;
    if (key === undefined || keys.length > 1) return this.#readAlone(keys);
    if (this.#flights < flightsMax) return this.#fly(() => this.#readAlone(keys));
    return new Promise((resolve) => {
      this.#waiting.push({ key, resolve });
    });
  }

  #readAlone(keys: readonly string[]): Promise<Found> {
    return this.#pool.read((connection) => readSessions(connection, this.#store, keys));
  }

  async #fly<Result>(work: () => Promise<Result>): Promise<Result> {
    this.#flights += 1;
    try {
      return await work();
    } finally {
      this.#flights -= 1;
      if (this.#waiting.length > 0) void this.#fly(() => this.#send(this.#waiting.splice(0, membersMax)));
    }
  }

  /** Settles everyone of the group, and never rejects. */
  async #send(group: readonly Waiting[]): Promise<void> {
    try {
      const found = await this.#readAlone([...new Set(group.map(({ key }) => key))]);
      for (const { key, resolve } of group) {
        const one = found.get(key);
        resolve(new Map(one === undefined ? [] : [[key, one]]));
      }
    } catch {
      // A damaged session is an error for those who asked for it, and not for the others.
      for (const { key, resolve } of group) resolve(this.#readAlone([key]));
    }
  }
}
