/**
 * Reads of single sessions that wait go to the server together, as commits do (together.ts): the first few go at once, and
 * what comes while they are under way is one statement. A read is sent after it was asked for, so it sees everything that
 * was acknowledged before. What it finds is remembered for commits to begin with (recall.ts).
 */

import type { Versioned } from "../../contract.js";
import type { Pool } from "./pool.js";
import { type OnFound, readSessions } from "./read.js";
import type { Recall } from "./recall.js";

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
  readonly #recall: Recall;
  #waiting: Waiting[] = [];
  #flights = 0;

  constructor(pool: Pool, store: string, recall: Recall) {
    this.#pool = pool;
    this.#store = store;
    this.#recall = recall;
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
    // Many at once are a look at everything, not the beginning of commits.
    if (keys.length > membersMax) return this.#readOnce(keys);
    return this.#readAndRemember(keys);
  }

  #readOnce(keys: readonly string[], onFound?: OnFound): Promise<Found> {
    return this.#pool.read((connection) => readSessions(connection, this.#store, keys, onFound));
  }

  async #readAndRemember(keys: readonly string[]): Promise<Found> {
    const recall = this.#recall;
    const before = new Map(keys.map((key) => [key, recall.before(key)]));
    const found = await this.#readOnce(keys, (key, session, size) => recall.read(key, before.get(key), session, size));
    for (const key of keys) {
      if (!found.has(key)) recall.read(key, before.get(key), undefined, 0);
    }
    return found;
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
