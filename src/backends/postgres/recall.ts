/**
 * What this process knows of sessions without asking: the state that it read or committed last. Others may have changed a
 * session since, so this is only something to begin a commit with that expects the version - the server says whether it
 * still is the newest - and never an answer to a reader.
 *
 * A guess that is wrong costs more than asking. So a session that somebody else changed is not recalled again until a read
 * finds it as this process left it, and nothing is recalled for long.
 */

import type { Versioned } from "../../contract.js";

/** After that, somebody else may have taken the session over. */
const goodForMs = 30_000;

interface Known {
  readonly session: Versioned;
  /** Characters of the entry as JSON text. */
  readonly size: number;
  readonly sinceMs: number;
  /** Nobody else was seen to change it. */
  readonly ours: boolean;
}

/** Stands for what was known when a read was sent: what was learned meanwhile is newer than its answer. */
export type Before = object | undefined;

export class Recall {
  readonly #sizeMax: number;
  readonly #nowMs: () => number;
  /** The one that was used longest ago comes first. */
  readonly #known = new Map<string, Known>();
  #size = 0;

  constructor(sizeMax: number, nowMs: () => number) {
    this.#sizeMax = sizeMax;
    this.#nowMs = nowMs;
  }

  recall(key: string): Versioned | undefined {
    const known = this.#known.get(key);
    if (known === undefined || !known.ours || this.#nowMs() - known.sinceMs > goodForMs) return undefined;
    return known.session;
  }

  /** For `read`, before it is sent. */
  before(key: string): Before {
    return this.#known.get(key);
  }

  /** A read that was sent at `before` found this. */
  read(key: string, before: Before, session: Versioned | undefined, size: number): void {
    const known = this.#known.get(key);
    if (known !== before) return;
    if (session === undefined) this.forget(key);
    else this.#set(key, session, size, known === undefined || known.ours || known.session.version === session.version);
  }

  /** A commit of this process upon `expected` made this of it; `undefined` for a session that was not there. */
  committed(key: string, expected: string | undefined, session: Versioned, size: number): void {
    const known = this.#known.get(key);
    // Learned while the commit was under way: nobody knows which one is newer.
    if (known !== undefined && known.session.version !== expected) return;
    this.#set(key, session, size, known?.ours ?? true);
  }

  /** A commit of this process met this instead of what it expected. */
  met(key: string, session: Versioned, size: number): void {
    this.#set(key, session, size, false);
  }

  /** The session as it was at this version, if that is what is known. */
  at(key: string, version: string): Versioned | undefined {
    const known = this.#known.get(key);
    return known?.session.version === version ? known.session : undefined;
  }

  forget(key: string): void {
    const known = this.#known.get(key);
    if (known === undefined) return;
    this.#known.delete(key);
    this.#size -= known.size;
  }

  #set(key: string, session: Versioned, size: number, ours: boolean): void {
    this.forget(key);
    // Some more for the objects around it, so that many small sessions are counted too.
    const counted = size + 200;
    if (counted > this.#sizeMax / 8) return;
    this.#known.set(key, { session, size: counted, sinceMs: this.#nowMs(), ours });
    this.#size += counted;
    if (this.#size <= this.#sizeMax) return;
    for (const oldest of this.#known.keys()) {
      this.forget(oldest);
      if (this.#size <= this.#sizeMax) return;
    }
  }
}
