/**
 * Turns at a session that several calls of this process want to change at the same time. Without them every commit makes
 * all the others begin again, and a hundred calls need some five thousand attempts.
 *
 * What waits in line is an attempt, never a callback that somebody else's callback could wait for: a first run begins at
 * once, and a turn ends with its commit, or when the callback that runs in it takes longer than it may. So a turn is a
 * help and not a lock: what is correct is decided by the commit, and a callback that updates the same session from
 * within, or awaits for minutes, holds up nobody for longer than that. Other processes know nothing of turns.
 */

import type { SharedStore } from "./shared-handles.js";

/** How long a callback may keep its turn; doubled with each attempt, so that a slow one gets through some time. */
const turnMs = 10;
const turnMsMax = 320;

interface Turn {
  readonly key: string;
  readonly begin: () => void;
}

/** The lines of one store: by key, the turn that is on and those that wait behind it. */
type Lines = Map<string, Turn[]>;

const linesOf = new WeakMap<SharedStore, Lines>();

/** The place of one call in the lines of a store. It has one turn at most, so nobody waits in a circle. */
export class Turns {
  readonly #shared: SharedStore;
  readonly #lines: Lines;
  #turn: Turn | undefined;
  #taken = 0;

  constructor(shared: SharedStore) {
    this.#shared = shared;
    const lines: Lines = linesOf.get(shared) ?? new Map();
    linesOf.set(shared, lines);
    this.#lines = lines;
  }

  /** Waits for the turn at the first of these sessions that others stand in line for, if there is one. */
  async takeIfContended(keys: Iterable<string>): Promise<void> {
    if (this.#turn !== undefined || this.#lines.size === 0) return;
    for (const key of keys) if (this.#lines.has(key)) return this.take(key);
  }

  /** Waits for the turn at this session, behind those that came before; gives back one at another session. */
  async take(key: string): Promise<void> {
    this.#taken += 1;
    if (this.#turn?.key === key) return;
    this.end();
    await new Promise<void>((resolve) => {
      const line = this.#lines.get(key);
      const turn = { key, begin: resolve };
      this.#turn = turn;
      if (line === undefined) {
        this.#lines.set(key, [turn]);
        resolve();
      } else line.push(turn);
    });
  }

  /** Awaits what a callback returned; the turn ends when that takes too long. */
  async keepDuring<Value>(returned: PromiseLike<Value>): Promise<Value> {
    const turn = this.#turn;
    if (turn === undefined) return await returned;
    const waitMs = Math.min(turnMsMax, turnMs * 2 ** Math.min(this.#taken - 1, 10));
    const stop = new AbortController();
    // A sleep and not a timer: the callback may wait for one that waits in line, and the process must not end meanwhile.
    this.#shared.port.sleep(waitMs, stop.signal).then(
      () => {
        if (this.#turn === turn) this.end();
      },
      () => {},
    );
    try {
      return await returned;
    } finally {
      stop.abort();
    }
  }

  end(): void {
    const turn = this.#turn;
    this.#turn = undefined;
    if (turn === undefined) return;
    const line = this.#lines.get(turn.key)!;
    line.shift();
    if (line.length === 0) this.#lines.delete(turn.key);
    else line[0]!.begin();
  }
}
