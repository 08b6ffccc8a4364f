/**
 * Where watchers wait for something new: each until all are woken, which a commit of this process does, or until a time
 * has passed, after which it looks for those of others - or until it is to end.
 *
 * Promises: a wait keeps the process alive, as a loop over changes should; waits that were cut short leave one timer
 * behind for each watcher, not one for each wait. Does not: remember a wake-up for who is not waiting - look first.
 */

import type { Port } from "./port.js";

export class WaitingRoom {
  readonly #port: Pick<Port, "sleep">;
  readonly #waiting = new Set<() => void>();

  constructor(port: Pick<Port, "sleep">) {
    this.#port = port;
  }

  /** A place for one watcher. From the moment at which `ended` aborts, its waits are over at once. */
  enter(ended: AbortSignal | undefined): Waiter {
    return new Waiter(this.#port, this.#waiting, ended);
  }

  wakeAll(): void {
    for (const wake of [...this.#waiting]) wake();
  }
}

export class Waiter {
  readonly #port: Pick<Port, "sleep">;
  readonly #waiting: Set<() => void>;
  readonly #ended: AbortSignal | undefined;
  #wake: (() => void) | undefined;
  #sleep: { readonly ms: number; readonly over: Promise<void> } | undefined;

  constructor(port: Pick<Port, "sleep">, waiting: Set<() => void>, ended: AbortSignal | undefined) {
    this.#port = port;
    this.#waiting = waiting;
    this.#ended = ended;
    ended?.addEventListener("abort", () => this.#wake?.(), { once: true });
  }

  /** Resolves when all are woken, after `ms` at the latest - without it, only then -, or at the end. */
  next(ms?: number): Promise<void> {
    if (this.#ended?.aborted) return Promise.resolve();
    // Not a race with one long-lived promise: that would keep every wait of an idle watcher in memory.
    return new Promise((resolve) => {
      const wake = () => {
        this.#waiting.delete(wake);
        resolve();
      };
      this.#wake = wake;
      this.#waiting.add(wake);
      if (ms !== undefined) void this.#sleepFor(ms).then(wake);
    });
  }

  /** A sleep that was overtaken is waited for again, so that a busy watcher does not pile up timers. */
  #sleepFor(ms: number): Promise<void> {
    if (this.#sleep !== undefined && this.#sleep.ms <= ms) return this.#sleep.over;
    const over = this.#port.sleep(ms, this.#ended).then(
      () => {},
      () => {},
    );
    const sleep = { ms, over };
    this.#sleep = sleep;
    void over.then(() => {
      if (this.#sleep === sleep) this.#sleep = undefined;
    });
    return over;
  }
}
