/**
 * The commit: steps 2 to 5 of the protocol. Attempts are served in order of arrival, without any caller code under the
 * lock (P19); those that wait in one process share one hold of the lock.
 *
 * Invariants, in the order in which one commit meets them:
 * I1. Nothing is read or appended unless the store still lies at its path (P20).
 * I2. The view is at the journal's end, and that end is a valid record (recover.ts).
 * I3. Every expectation holds at that point, or nothing is appended.
 * I4. One commit is one record is one write, counted; the version is the one after the last.
 * I5. It is acknowledged when it is as durable as the store was opened for - never before.
 */

import type {
  CommitRequest,
  CommitResult,
  Durability as DurabilityMode,
  Generation,
  Operation,
  Versioned,
  VersionToken,
} from "../../contract.js";
import { fromSystemError, SessionStoreError } from "../../errors.js";
import { abortedError, withdrawnOnAbort } from "../../fs/abort-listeners.js";
import { Pace } from "../../fs/pace.js";
import type { CommitLock } from "./commit-lock.js";
import type { Durability } from "./durability.js";
import type { CommitRecord, JsonObject, RecordOperation } from "./journal/record.js";
import { storeGone } from "./journal-errors.js";
import type { JournalWriter } from "./journal-writer.js";
import type { LockFile } from "./lock-file.js";
import { CopyNeededError, keepCopy, settleJournalEnd, withCopies } from "./recover.js";
import { formatToken } from "./version.js";
import type { View } from "./view.js";

interface PendingCommit {
  readonly request: CommitRequest;
  readonly deadlineMs: number;
  readonly resolve: (result: CommitResult) => void;
  readonly reject: (error: unknown) => void;
}

/** So many commits share a hold of the lock, at most; then others get their turn. */
const commitsPerHoldMax = 64;

export interface CommitterOptions {
  readonly durabilityMode: DurabilityMode;
  readonly lockWaitMs: number;
  readonly segmentBytesMax: number;
  /** A segment was sealed: there is something to checkpoint. */
  readonly onRotated: () => void;
  /** Something was appended that is not yet synced. */
  readonly onUnsynced: () => void;
}

export class Committer {
  private readonly view: View;
  private readonly writer: JournalWriter;
  private readonly lock: CommitLock;
  private readonly lockFile: LockFile;
  private readonly durability: Durability;
  private readonly options: CommitterOptions;
  private readonly pace: Pace;
  private queue: PendingCommit[] = [];
  private pumping: Promise<void> | undefined;
  /** What must be copied before the journal's end can be made ready; those who wait go on waiting. */
  private copyNeeded: CopyNeededError | undefined;

  constructor(
    view: View,
    writer: JournalWriter,
    lock: CommitLock,
    lockFile: LockFile,
    durability: Durability,
    options: CommitterOptions,
  ) {
    this.view = view;
    this.writer = writer;
    this.lock = lock;
    this.lockFile = lockFile;
    this.durability = durability;
    this.options = options;
    this.pace = new Pace(view.files.port);
  }

  commit(request: CommitRequest): Promise<CommitResult> {
    const { signal } = request;
    if (signal?.aborted) return Promise.reject(abortedError(signal));
    return new Promise((resolve, reject) => {
      const deadlineMs = this.view.files.port.monotonicMs() + this.options.lockWaitMs;
      const pending = { request, deadlineMs, resolve, reject };
      this.queue.push(signal ? this.withdrawOnAbort(pending, signal) : pending);
      if (this.pumping === undefined) this.pump();
    });
  }

  /** Resolves when nothing waits for the lock any more. */
  async drained(): Promise<void> {
    while (this.pumping) await this.pumping;
  }

  /** Runs `action` under the commit lock, on a settled journal end. `action` must be synchronous and our own (P19). */
  exclusively<Result>(operation: string, action: () => Result): Promise<Result> {
    const settleAndAct = () => {
      this.assertMayAppend();
      settleJournalEnd(this.writer);
      return action();
    };
    return withCopies(this.writer, () => this.underLock(operation, settleAndAct));
  }

  /** Only under the lock: for recovery that comes before that end can be settled. Makes no copies. */
  async underLock<Result>(operation: string, action: () => Result): Promise<Result> {
    const { port } = this.view.files;
    const deadlineMs = port.monotonicMs() + this.options.lockWaitMs;
    if (!(await this.lock.acquire(() => deadlineMs)))
      throw this.lockFile.timeoutError(operation, this.options.lockWaitMs);
    try {
      return action();
    } finally {
      this.lock.release();
    }
  }

  /** Seals the current segment and starts the next one; false when it holds nothing. */
  rotate(): Promise<boolean> {
    return this.exclusively("rotate the journal", () => this.rotateUnderLock());
  }

  private pump(): void {
    // As a rule a commit is done before the caller's promise is even returned, also one that met another process.
    try {
      if (this.lock.tryAcquireBlocking(this.readMeanwhile)) this.serveUnderLock();
    } catch (error) {
      this.rejectWaiting(error);
    }
    if (this.queue.length > 0) {
      this.pumping = this.pumpSlowly().finally(() => {
        this.pumping = undefined;
        if (this.queue.length > 0) this.pump();
      });
    }
  }

  private async pumpSlowly(): Promise<void> {
    await this.view.files.port.yieldToEventLoop();
    while (this.queue.length > 0) {
      const head = this.queue[0] as PendingCommit;
      let acquired: boolean;
      try {
        await this.keepCopyIfNeeded();
        const deadlineMs = () => this.queue[0]?.deadlineMs ?? head.deadlineMs;
        acquired = await this.lock.acquireLater(deadlineMs, this.readMeanwhile);
      } catch (error) {
        this.rejectWaiting(error);
        return;
      }
      if (acquired) {
        this.serveUnderLock();
        if (this.queue.length > 0) await this.view.files.port.yieldToEventLoop();
      } else {
        this.rejectOverdue();
      }
    }
  }

  private async keepCopyIfNeeded(): Promise<void> {
    const { copyNeeded } = this;
    this.copyNeeded = undefined;
    if (copyNeeded !== undefined) await keepCopy(this.writer, copyNeeded);
  }

  /** What others wrote is read while they hold the lock, so that our own hold is short. */
  private readonly readMeanwhile = (): void => {
    try {
      this.view.refresh();
    } catch {
      // Met again under the lock, where it is told to those who wait.
    }
  };

  private serveUnderLock(): void {
    try {
      this.assertMayAppend();
      for (let count = 0; count < commitsPerHoldMax && this.queue.length > 0; count += 1) {
        if (count === 0 || !this.writer.endIsSettled) settleJournalEnd(this.writer);
        this.serve(this.queue.shift() as PendingCommit);
      }
    } catch (error) {
      // The journal could not be made ready: whoever waits would meet the same.
      if (error instanceof CopyNeededError) this.copyNeeded = error;
      else this.rejectWaiting(error);
    } finally {
      this.lock.release();
    }
  }

  /** Whoever is told that nothing was written must not be served later. */
  private rejectWaiting(error: unknown): void {
    const waiting = this.queue;
    this.queue = [];
    for (const pending of waiting) pending.reject(this.translate(error));
  }

  private serve(pending: PendingCommit): void {
    try {
      const { request } = pending;
      const conflicts = this.findConflicts(request);
      if (conflicts) {
        pending.resolve({ status: "conflict", current: conflicts });
        return;
      }
      const record = this.writer.appendCommit({
        operations: request.operations.map((operation) => this.toRecordOperation(operation, request)),
        commitId: request.commitId,
        actor: request.actor,
        reason: request.reason,
      });
      const token = formatToken(record, this.view.files.manifest.incarnation);
      this.rememberResults(request, record, token);
      this.view.noteOwnCommit();
      this.acknowledge(pending, record, token);
    } catch (error) {
      pending.reject(this.translate(error));
      return;
    }
    if (this.view.current.offset >= this.options.segmentBytesMax) this.rotateBestEffort();
  }

  /** I3. Absence compares equal, whatever removal it came from (P14). */
  private findConflicts(request: CommitRequest): Map<string, Versioned | undefined> | undefined {
    let conflicts: Map<string, Versioned | undefined> | undefined;
    for (const [key, expected] of request.expected) {
      if (this.view.currentToken(key) === expected) continue;
      conflicts ??= new Map();
      conflicts.set(key, this.view.read(key));
    }
    return conflicts;
  }

  private toRecordOperation(operation: Operation, request: CommitRequest): RecordOperation {
    if (operation.type === "put") return this.withGenerations(operation, request);
    if (operation.type === "remove") return operation;
    const { key, set, unset, generations } = operation;
    // P14: each patch names the version it is made on; the expectation was just found to hold.
    const base = this.view.currentVersion(key);
    return { type: "patch", key, base, set: set as JsonObject, unset, generations };
  }

  /** A put in the journal says the whole state, so that it makes its session whole whatever lies below it. */
  private withGenerations(put: Extract<Operation, { type: "put" }>, request: CommitRequest): RecordOperation {
    const { type, key, entry, trashPrevious } = put;
    const generations = put.generations ?? this.generationsBefore(key, request.expected.get(key));
    return { type, key, entry: entry as JsonObject, generations, trashPrevious };
  }

  /** Of what was just read, as a rule, so from the cache. What is damaged has none that could be told. */
  private generationsBefore(key: string, expected: string | null | undefined): readonly Generation[] | undefined {
    if (expected === null) return undefined;
    try {
      return this.view.read(key)?.generations;
    } catch (error) {
      if (error instanceof SessionStoreError && error.code === "entry_damaged") return undefined;
      throw error;
    }
  }

  /** The store computed the results of patches already. */
  private rememberResults({ operations, expected }: CommitRequest, record: CommitRecord, token: VersionToken): void {
    for (const operation of operations) {
      if (operation.type !== "patch") continue;
      const { key, entry } = operation;
      const base = this.view.cache.get(key);
      const isBase = base?.versioned !== undefined && base.versioned.version === expected.get(key);
      // An earlier list that is no longer in memory is read again by who needs it.
      if (operation.generations === undefined && !isBase) continue;
      this.view.remember(key, { entry, generations: operation.generations ?? base?.generations }, record, token);
    }
  }

  private acknowledge(pending: PendingCommit, record: CommitRecord, version: VersionToken): void {
    const result: CommitResult = { status: "committed", version };
    if (this.options.durabilityMode === "interval") {
      this.options.onUnsynced();
      // A caller that awaits one commit after the other never lets the event loop run: syncs and checkpoints would
      // starve, and the journal grow without end.
      const turn = this.pace.breathe();
      if (turn) void turn.then(() => pending.resolve(result));
      else pending.resolve(result);
      return;
    }
    this.durability
      .wait({ version: record.version, record: record.record })
      .then(() => pending.resolve(result), pending.reject);
  }

  private rotateBestEffort(): void {
    try {
      this.rotateUnderLock();
    } catch {
      // A full segment is only large. What was half done - a seal without successor - the next commit finishes (P1).
    }
  }

  private rotateUnderLock(): boolean {
    if (this.view.current.offset === 0) return false;
    this.writer.seal("rotated");
    this.writer.createSuccessor();
    this.options.onRotated();
    return true;
  }

  private assertMayAppend(): void {
    // P11: nor does it bring the journal's end in order. Its view may rest on pages that are gone.
    if (this.durability.poison) throw this.durability.poison;
    if (this.view.files.isInPlace()) return;
    // A rollback renames the directory behind its fence: then that is what happened, and the fence says so.
    this.view.refresh();
    throw storeGone(this.view.files);
  }

  private rejectOverdue(): void {
    const nowMs = this.view.files.port.monotonicMs();
    const overdue = this.queue.filter((pending) => pending.deadlineMs <= nowMs);
    this.queue = this.queue.filter((pending) => pending.deadlineMs > nowMs);
    if (overdue.length === 0) return;
    const error = this.lockFile.timeoutError("commit", this.options.lockWaitMs);
    for (const pending of overdue) pending.reject(error);
  }

  /** A commit that still waits is withdrawn; one that was appended is not. */
  private withdrawOnAbort(pending: PendingCommit, signal: AbortSignal): PendingCommit {
    return withdrawnOnAbort(pending, signal, (guarded) => {
      const index = this.queue.indexOf(guarded);
      if (index >= 0) this.queue.splice(index, 1);
      return index >= 0;
    });
  }

  private translate(error: unknown): SessionStoreError {
    return fromSystemError(error, {
      operation: "commit",
      path: this.view.files.store.displayPath,
      onDisk: "Nothing of this commit was written.",
    });
  }
}
