/** What the parts of the store share: the backend, the limits, the clock, and how long a write fights for its commit. */

import type { Backend, Logger, Versioned, VersionToken } from "./contract.js";
import { SessionStoreError } from "./errors.js";
import { type Lifetime, requireNotAborted } from "./store-lifetime.js";

/** What the store needs of the outside world; a `Port` has it. */
export interface StoreClock {
  /** Milliseconds since 1970; may jump. */
  nowMs(): number;
  /** Milliseconds that only ever grow. */
  monotonicMs(): number;
  /** Uniform in [0, 1). */
  random(): number;
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export interface StoreContext {
  readonly backend: Backend;
  readonly lifetime: Lifetime;
  readonly clock: StoreClock;
  readonly conflictWaitMs: number;
  readonly logger: Logger | undefined;
}

/** One session as it is now; a promise only of backends that have to wait. Throws or rejects as `Backend.read` does. */
export function readSession(backend: Backend, key: string): Versioned | undefined | Promise<Versioned | undefined> {
  if (backend.readNow !== undefined) return backend.readNow(key);
  return backend.read([key]).then((found) => found.get(key));
}

/**
 * A state to begin a commit with that saves the time of reading: perhaps out of date, so `readSession` decides before
 * anything but a commit comes of it. `undefined`: read. `wanted` is the version that the caller asks for.
 */
export function recallSession(
  backend: Backend,
  key: string,
  wanted: VersionToken | null | undefined,
): Versioned | undefined {
  const recalled = backend.recall?.(key);
  return wanted === undefined || wanted === recalled?.version ? recalled : undefined;
}

/** Longest pause between two attempts: long enough to let others through, short against any caller's function. */
const pauseMsMax = 4;

/** Counts the attempts of one write and decides how long it goes on after conflicts. */
export class Attempts {
  /** Attempts to commit that were made. */
  count = 0;
  readonly #context: StoreContext;
  readonly #operation: string;
  readonly #key: string | undefined;
  readonly #signal: AbortSignal | undefined;
  #firstConflictMs: number | undefined;

  constructor(context: StoreContext, operation: string, key: string | undefined, signal: AbortSignal | undefined) {
    this.#context = context;
    this.#operation = operation;
    this.#key = key;
    this.#signal = signal;
  }

  /**
   * After a conflict: pauses for a random moment that grows with the attempts, or throws `conflict` when
   * `conflictWaitMs` have passed since the first one. The time before the first conflict does not count, so a function
   * that takes long is not punished for it. True when time passed: what the conflict reported is old by now.
   */
  async pause(): Promise<boolean> {
    const { clock, conflictWaitMs } = this.#context;
    const nowMs = clock.monotonicMs();
    this.#firstConflictMs ??= nowMs;
    const waitedMs = nowMs - this.#firstConflictMs;
    if (waitedMs >= conflictWaitMs && this.count > 1) throw this.#gaveUp(waitedMs);
    // The first conflict is usually the last: try again at once.
    if (this.count < 2) return false;
    const pauseMs = clock.random() * Math.min(pauseMsMax, 0.25 * 2 ** (this.count - 1));
    // Less than a timer can do; the turn of the event loop that the next commit takes is pause enough.
    if (pauseMs < 0.5) return false;
    try {
      await clock.sleep(pauseMs, this.#signal);
      return true;
    } catch (error) {
      requireNotAborted(this.#signal, this.#operation);
      throw error;
    }
  }

  #gaveUp(waitedMs: number): SessionStoreError {
    const problem = `others kept changing the same sessions: ${this.count} attempts in ${Math.round(waitedMs)} ms`;
    return new SessionStoreError("conflict", problem, {
      operation: this.#operation,
      ...(this.#key === undefined ? {} : { key: this.#key }),
      attempts: this.count,
      nextStep: 'Make the function faster, use patch or { onConflict: "merge" }, or raise conflictWaitMs.',
    });
  }
}

/** Throws `conflict` when the caller asked for another version than there is. */
export function requireVersion(
  wanted: VersionToken | null | undefined,
  found: VersionToken | undefined,
  operation: string,
  key: string,
  attempts: number,
): void {
  if (wanted === undefined || (found ?? null) === wanted) return;
  const problem =
    wanted === null
      ? "the session exists, but ifVersion is null"
      : found === undefined
        ? "the session does not exist, but ifVersion names a version"
        : "the session has another version than ifVersion";
  throw new SessionStoreError("conflict", problem, {
    operation,
    key,
    attempts,
    nextStep: "Read the session again with getWithVersion and decide on its present state.",
  });
}

/** The optional fields of a commit, present only when they were given. */
export function commitDetails(options: {
  actor?: string | undefined;
  reason?: string | undefined;
  signal?: AbortSignal | undefined;
}): { actor?: string; reason?: string; signal?: AbortSignal } {
  const details: { actor?: string; reason?: string; signal?: AbortSignal } = {};
  if (options.actor !== undefined) details.actor = options.actor;
  if (options.reason !== undefined) details.reason = options.reason;
  if (options.signal !== undefined) details.signal = options.signal;
  return details;
}
