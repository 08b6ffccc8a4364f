/**
 * Open, closing, closed: which calls are refused, what `close` waits for, and how a caller's function is awaited.
 *
 * `close` lets every started read and commit finish, but waits for no caller: a call whose function is still running is
 * rejected with `closed`, its late result is ignored. So a hung function can neither delay nor prevent a close, and a
 * function may itself close the store.
 */

import { SessionStoreError } from "./errors.js";
import { onAborted } from "./fs/abort-listeners.js";

export class Lifetime {
  readonly #location: string;
  readonly #readOnly: boolean;
  #closing: Promise<void> | undefined;
  #running = 0;
  #whenIdle: (() => void) | undefined;
  /** Rejects the calls that wait for a caller's function. */
  readonly #waitsForCallers = new Set<() => void>();
  /** Ends the scans that are under way, which hold resources of the backend. */
  readonly #scans = new Set<() => unknown>();

  constructor(location: string, readOnly: boolean) {
    this.#location = location;
    this.#readOnly = readOnly;
  }

  get closed(): boolean {
    return this.#closing !== undefined;
  }

  requireOpen(operation: string): void {
    if (this.#closing !== undefined) throw this.closedError(operation);
  }

  requireWritable(operation: string): void {
    this.requireOpen(operation);
    if (!this.#readOnly) return;
    throw new SessionStoreError("read_only", "the store is open for reading only", {
      operation,
      path: this.#location,
      nextStep: "Open it without { readOnly: true } to change it.",
    });
  }

  /** A write begins; `close` waits for the matching `end`. */
  begin(operation: string): void {
    this.requireWritable(operation);
    this.#running++;
  }

  end(): void {
    this.#running--;
    if (this.#running === 0) this.#whenIdle?.();
  }

  /** What the caller's promise gives - unless the call is aborted or the store closed before: then nobody waits. */
  awaitCaller<Result>(
    promise: PromiseLike<Result>,
    signal: AbortSignal | undefined,
    operation: string,
  ): Promise<Result> {
    return new Promise<Result>((resolve, reject) => {
      const onClose = () => settle(() => reject(this.closedError(operation)));
      const onAbort = () => settle(() => reject(abortedError(operation, signal)));
      const settle = (finish: () => void) => {
        this.#waitsForCallers.delete(onClose);
        letGo?.();
        finish();
      };
      this.#waitsForCallers.add(onClose);
      const letGo = signal && onAborted(signal, onAbort);
      promise.then(
        (result) => settle(() => resolve(result)),
        (error) => settle(() => reject(error)),
      );
      // The caller's function may have aborted or closed before its first `await`.
      if (signal?.aborted) onAbort();
      else if (this.closed) onClose();
    });
  }

  /** A scan begins; `end` is called when the store closes, unless the returned function was called before. */
  trackScan(end: () => unknown): () => void {
    this.#scans.add(end);
    return () => this.#scans.delete(end);
  }

  /** The first call closes, every call resolves when that is done. */
  close(release: () => Promise<void>): Promise<void> {
    this.#closing ??= this.#close(release);
    return this.#closing;
  }

  async #close(release: () => Promise<void>): Promise<void> {
    // A turn later, so that `#closing` is set before anything that is rejected here can react.
    await undefined;
    for (const reject of [...this.#waitsForCallers]) reject();
    await Promise.allSettled([...this.#scans].map(async (end) => end()));
    if (this.#running > 0) {
      await new Promise<void>((resolve) => {
        this.#whenIdle = resolve;
      });
    }
    await release();
  }

  closedError(operation: string, problem = "the store is closed"): SessionStoreError {
    return new SessionStoreError("closed", problem, { operation, path: this.#location });
  }
}

export function requireNotAborted(signal: AbortSignal | undefined, operation: string): void {
  if (signal?.aborted) throw abortedError(operation, signal);
}

function abortedError(operation: string, signal: AbortSignal | undefined): SessionStoreError {
  return new SessionStoreError("aborted", "the call was aborted by its signal", {
    operation,
    cause: signal?.reason,
  });
}
