/**
 * The limit on the number of sessions. Counting is cheap for a small store and not for a large one, so a count is good
 * for a minute and for the sessions that this process makes, until the limit is near; far from it, nobody waits for the next. Processes that create sessions at
 * the same moment may pass it by as many as they are: it guards against a store that grows without end, not a quota.
 */

import { SessionStoreError } from "../../errors.js";

const countIsGoodMs = 60_000;
/** Below that many free places every creation counts. */
const closeCount = 100;

export class Room {
  readonly #limit: number;
  readonly #nowMs: () => number;
  readonly #count: () => Promise<number>;
  #free = 0;
  #countedMs = Number.NEGATIVE_INFINITY;
  #counting: Promise<number> | undefined;

  constructor(limit: number, nowMs: () => number, count: () => Promise<number>) {
    this.#limit = limit;
    this.#nowMs = nowMs;
    this.#count = count;
  }

  /** Throws `limit_exceeded` when the store has no room for so many more. */
  async require(created: number): Promise<void> {
    if (created === 0) return;
    this.#free -= created;
    const ageMs = this.#nowMs() - this.#countedMs;
    if (this.#free >= closeCount && ageMs < countIsGoodMs) return;
    if (this.#free >= Math.max(closeCount, this.#limit / 4) && ageMs < 2 * countIsGoodMs) {
      // Others do not fill a quarter of it in a minute.
      if (this.#counting === undefined) void this.#countAgain(0).catch(() => {});
      return;
    }
    const sessions = await this.#countAgain(created);
    if (this.#free >= 0) return;
    throw new SessionStoreError(
      "limit_exceeded",
      `the store holds ${sessions} sessions, the limit (sessions) is ${this.#limit}`,
      { nextStep: "Remove sessions that are no longer needed, or raise the limit." },
    );
  }

  async #countAgain(created: number): Promise<number> {
    const counting = this.#count();
    this.#counting = counting;
    try {
      const sessions = await counting;
      this.#countedMs = this.#nowMs();
      this.#free = this.#limit - sessions - created;
      return sessions;
    } finally {
      if (this.#counting === counting) this.#counting = undefined;
    }
  }
}
