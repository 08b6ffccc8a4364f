/**
 * Commits: served in order of arrival, those that wait together share one save. Nobody's code runs under a lock: a
 * commit carries no function, and what is to be logged is logged afterwards.
 *
 * Each commit either is in the file, synced, when it is acknowledged, or is rejected with nothing of it written - except
 * `outcome_unknown`, when the file is in place and only the sync of its name failed.
 */

import type { CommitRequest, CommitResult, Logger } from "../../contract.js";
import { fromSystemError, SessionStoreError } from "../../errors.js";
import { abortedError, withdrawnOnAbort } from "../../fs/abort-listeners.js";
import { Batch } from "./batch.js";
import { livePathOf } from "./layout.js";
import type { ViewReader } from "./reader.js";
import { ForeignWrite, type Notice, type SaveOptions, save, sweepTemporaryFiles, UnsyncedSave } from "./save.js";
import type { StoreLock } from "./store-lock.js";
import type { View } from "./view.js";

interface Pending {
  readonly request: CommitRequest;
  readonly deadlineMs: number;
  readonly resolve: (result: CommitResult) => void;
  readonly reject: (error: unknown) => void;
}

/** So many commits share one save, at most. */
const commitsPerSaveMax = 64;
/** A program without locks that writes each time while we do is not to be outrun. */
const startsMax = 5;

export interface CommitterOptions extends SaveOptions {
  readonly lockWaitMs: number;
  readonly logger: Logger | undefined;
  /** There is something new to see. */
  readonly onCommitted: () => void;
}

export class Committer {
  readonly #reader: ViewReader;
  readonly #lock: StoreLock;
  readonly #options: CommitterOptions;
  #queue: Pending[] = [];
  #pumping: Promise<void> | undefined;
  #isSwept = false;

  constructor(reader: ViewReader, lock: StoreLock, options: CommitterOptions) {
    this.#reader = reader;
    this.#lock = lock;
    this.#options = options;
  }

  commit(request: CommitRequest): Promise<CommitResult> {
    const { signal } = request;
    if (signal?.aborted) return Promise.reject(abortedError(signal));
    return new Promise((resolve, reject) => {
      const deadlineMs = this.#reader.port.monotonicMs() + this.#options.lockWaitMs;
      const pending = { request, deadlineMs, resolve, reject };
      this.#queue.push(signal ? this.#withdrawOnAbort(pending, signal) : pending);
      this.#startPump();
    });
  }

  /** Resolves when nothing waits any more. */
  async drained(): Promise<void> {
    while (this.#pumping !== undefined) await this.#pumping;
  }

  #startPump(): void {
    this.#pumping ??= this.#pump().finally(() => {
      this.#pumping = undefined;
      // One may have come between the last look at the queue and now.
      if (this.#queue.length > 0) this.#startPump();
    });
  }

  async #pump(): Promise<void> {
    // A turn later, so that what is committed in one go is saved in one go.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      // Nobody may be left waiting, and nothing be tried for ever.
      await this.#serve().catch((error: unknown) => this.#rejectAll(this.#queue.splice(0), error));
    }
  }

  async #serve(): Promise<void> {
    let settle: (() => void)[] = [];
    let notices: Notice[] = [];
    try {
      await this.#lock.acquire(() => this.#queue[0]?.deadlineMs ?? 0, this.#options.lockWaitMs);
    } catch (error) {
      this.#rejectAfterWait(error);
      return;
    }
    try {
      if (!this.#isSwept) sweepTemporaryFiles(this.#reader);
      this.#isSwept = true;
      const taken = this.#queue.splice(0, commitsPerSaveMax);
      ({ settle, notices } = await this.#saveAll(taken));
    } catch (error) {
      this.#rejectAll(this.#queue.splice(0), error);
    } finally {
      this.#release();
    }
    for (const action of settle) action();
    this.#options.onCommitted();
    for (const { message, fields } of notices) this.#options.logger?.warn(message, fields);
  }

  /** Never throws: what becomes of each commit is in `settle`, to be called without the locks. */
  async #saveAll(taken: readonly Pending[]): Promise<{ settle: (() => void)[]; notices: Notice[] }> {
    try {
      return await this.#saveTogether(taken);
    } catch (error) {
      // One of them may be what does not fit; the others need not suffer for it.
      if (taken.length > 1 && error instanceof SessionStoreError && error.code === "limit_exceeded") {
        const settle: (() => void)[] = [];
        const notices: Notice[] = [];
        for (const pending of taken) {
          const one = await this.#saveAll([pending]);
          settle.push(...one.settle);
          notices.push(...one.notices);
        }
        return { settle, notices };
      }
      return {
        settle: taken.map(
          ({ reject }) =>
            () =>
              reject(this.#translate(error)),
        ),
        notices: [],
      };
    }
  }

  async #saveTogether(taken: readonly Pending[]): Promise<{ settle: (() => void)[]; notices: Notice[] }> {
    for (let start = 1; ; start += 1) {
      const view = this.#reader.current();
      this.#requireSameKeyRule(view);
      const batch = this.#makeBatch(view);
      const outcomes = taken.map((pending) => this.#apply(batch, pending));
      const settle = outcomes.map(({ settle }) => settle);
      if (!batch.isChanged) return { settle, notices: [] };
      try {
        return { settle, notices: await save(this.#reader, view, batch, this.#options) };
      } catch (error) {
        if (error instanceof UnsyncedSave) {
          return {
            settle: outcomes.map(
              ({ settleUnsynced }) =>
                () =>
                  settleUnsynced(error),
            ),
            notices: [],
          };
        }
        if (!(error instanceof ForeignWrite) || start >= startsMax) throw error;
      }
    }
  }

  #makeBatch(view: View): Batch {
    const { port, location, rules } = this.#reader;
    return new Batch({
      view,
      location,
      limits: rules.limits,
      nowMs: port.nowMs(),
      makeTag: () => Buffer.from(port.randomBytes(8)).toString("hex"),
    });
  }

  #apply(batch: Batch, pending: Pending): { settle: () => void; settleUnsynced: (error: unknown) => void } {
    try {
      const commits = batch.commits.length;
      const result = batch.apply(pending.request);
      const settle = () => pending.resolve(result);
      if (result.status === "conflict" || batch.commits.length === commits) return { settle, settleUnsynced: settle };
      return { settle, settleUnsynced: (error) => pending.reject(this.#unknownOutcome(error, result.version)) };
    } catch (error) {
      const settle = () => pending.reject(this.#translate(error));
      return { settle, settleUnsynced: settle };
    }
  }

  /** Fixed by the first write of anybody; a handle that was opened before with another rule read keys wrongly. */
  #requireSameKeyRule(view: View): void {
    if (view.keyRule === this.#reader.rules.keyRule) return;
    throw new SessionStoreError(
      "invalid_option",
      `the store has the key rule "${view.keyRule}" since its first write`,
      {
        onDisk: "Nothing was changed.",
        nextStep: "Open it again.",
      },
    );
  }

  #release(): void {
    try {
      this.#lock.release();
    } catch {
      // The save is done. A lock file that could not be removed names us; it is taken away when we are gone, or soon.
    }
  }

  /** Those whose time is over; all of them when it was not about time. */
  #rejectAfterWait(error: unknown): void {
    const isTimeout = error instanceof SessionStoreError && error.code === "lock_timeout";
    const nowMs = isTimeout ? this.#reader.port.monotonicMs() : Number.POSITIVE_INFINITY;
    const isOver = (pending: Pending) => pending.deadlineMs <= nowMs;
    const over = this.#queue.filter(isOver);
    this.#queue = this.#queue.filter((pending) => !isOver(pending));
    this.#rejectAll(over, error);
  }

  #rejectAll(pending: readonly Pending[], error: unknown): void {
    for (const { reject } of pending) reject(this.#translate(error));
  }

  #unknownOutcome(error: unknown, version: string): SessionStoreError {
    return new SessionStoreError("outcome_unknown", "the sync of the directory failed after the file was replaced", {
      operation: "commit",
      path: livePathOf(this.#reader.location),
      version,
      onDisk: "The file holds this commit now; whether it would after a power cut is unknown.",
      nextStep: "Check the disk, then read the session: it has this version, or one from before.",
      cause: error,
    });
  }

  #translate(error: unknown): SessionStoreError {
    if (error instanceof ForeignWrite) {
      return new SessionStoreError("io_error", "a program that takes no lock writes the file all the time", {
        operation: "commit",
        path: livePathOf(this.#reader.location),
        onDisk: "Nothing of this commit was written.",
        nextStep: "Stop that program, then try again.",
      });
    }
    return fromSystemError(error, {
      operation: "commit",
      path: livePathOf(this.#reader.location),
      onDisk: "Nothing of this commit was written.",
    });
  }

  /** A commit that waits is withdrawn; one that is being saved is not. */
  #withdrawOnAbort(pending: Pending, signal: AbortSignal): Pending {
    return withdrawnOnAbort(pending, signal, (guarded) => {
      const index = this.#queue.indexOf(guarded);
      if (index >= 0) this.#queue.splice(index, 1);
      return index >= 0;
    });
  }
}
