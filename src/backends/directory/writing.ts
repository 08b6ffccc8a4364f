/**
 * What only a store that may write has: the locks, the committer, durability, recovery at the opening, and the work in
 * the background - syncs in "interval" mode, rotation of an old or idle journal, checkpoints.
 */

import { fromSystemError } from "../../errors.js";
import { hasCode, type Port, type Timer } from "../../fs/port.js";
import { fixedLimits } from "../../limits.js";
import type { DirectoryBackendOptions } from "./backend.js";
import { Checkpointer } from "./checkpoint.js";
import { Committer } from "./commit.js";
import { CommitLock } from "./commit-lock.js";
import { Durability } from "./durability.js";
import { JournalWriter } from "./journal-writer.js";
import { lockNames } from "./layout.js";
import { LockFile } from "./lock-file.js";
import { endLooksDamaged, setAsideStranded, withCopies } from "./recover.js";
import type { StoreFiles } from "./store-files.js";
import type { IndexHead } from "./summary-index/head.js";
import { IndexUpkeep } from "./summary-index/upkeep.js";
import type { View } from "./view.js";

/** How often a writer looks whether the journal is old or idle enough to be written out. */
const maintenanceMs = 2_000;
/** A journal that nobody appended to for so long is written out early. */
const idleMs = 5_000;
/** A checkpoint by another process is waited for so long. */
const checkpointWaitMs = 60_000;

export class WritingParts {
  readonly committer: Committer;
  readonly durability: Durability;
  private readonly port: Port;
  private readonly view: View;
  private readonly files: StoreFiles;
  private readonly options: DirectoryBackendOptions;
  private readonly writer: JournalWriter;
  private readonly commitLockFile: LockFile;
  private readonly checkpointLockFile: LockFile;
  private readonly checkpointer: Checkpointer;
  /** What a checkpoint adds to the index comes to its end, also when the store is closed; the rest is given up. */
  private readonly indexWriter: IndexUpkeep;
  private readonly indexBuilder: IndexUpkeep;
  private merging: Promise<void> | undefined;
  private maintenanceTimer: Timer | undefined;
  private syncTimer: Timer | undefined;
  private background: Promise<void> | undefined;
  private checkpointRun: Promise<unknown> | undefined;
  private lastAppendMs = 0;
  private lastSeenVersion = -1;
  private finished = false;

  constructor(
    files: StoreFiles,
    view: View,
    scanLock: LockFile,
    makeWay: () => Promise<void>,
    onCheckpoint: () => void,
    options: DirectoryBackendOptions,
  ) {
    const { port } = files;
    const names = lockNames(files.location.directoryName);
    this.port = port;
    this.files = files;
    this.view = view;
    this.options = options;
    this.commitLockFile = LockFile.open(port, files.parent, names.commit, files.owner, false);
    try {
      this.checkpointLockFile = LockFile.open(port, files.parent, names.checkpoint, files.owner, false);
    } catch (error) {
      this.commitLockFile.close();
      throw error;
    }
    const commitLock = new CommitLock(port, this.commitLockFile);
    this.writer = new JournalWriter(view, options.limits.recordBytes);
    this.durability = new Durability(
      view,
      (suspectFrom) => this.abandonSuspects(suspectFrom),
      () => this.committer.exclusively("carry on what a segment held whose sync failed", () => {}),
      options.logger,
    );
    this.indexWriter = new IndexUpkeep(files);
    this.indexBuilder = new IndexUpkeep(files);
    this.checkpointer = new Checkpointer(files, this.checkpointLockFile, scanLock, {
      limits: options.limits,
      gateWaitMs: options.lockWaitMs,
      logger: options.logger,
      makeWay,
      assertMaySync: () => {
        if (this.durability.poison) throw this.durability.poison;
      },
      onSyncFailed: (first) => this.durability.abandon(first),
      onWritten: (keys, from, to) =>
        this.indexWriter.addCheckpoint(keys, from, to).catch((error) => {
          // Nobody needs it: the next list that finds it behind the checkpoint builds it anew.
          this.warnOfIndex(error);
        }),
      onRecorded: (version) => {
        view.dropCheckpointed(version);
        onCheckpoint();
      },
    });
    this.committer = new Committer(view, this.writer, commitLock, this.commitLockFile, this.durability, {
      durabilityMode: options.durability,
      lockWaitMs: options.lockWaitMs,
      segmentBytesMax: options.limits.segmentBytes,
      onRotated: () => this.checkpointInBackground(),
      onUnsynced: () => this.syncSoon(),
    });
  }

  /** Refuses file systems whose locks do nothing. */
  testLocks(): void {
    if (!this.checkpointLockFile.tryExclusive()) return; // Somebody holds it: locks do work here.
    try {
      this.checkpointLockFile.selfTestHeld();
    } finally {
      this.checkpointLockFile.release();
    }
  }

  /**
   * Brings in order what a crash left, as far as it can be seen without the lock. Each commit does the same about the
   * journal's end: where there is no room for the copy of what is cut, reading goes on until there is.
   */
  async recover(strandedSegments: readonly number[]): Promise<void> {
    const { committer, writer } = this;
    const operation = "recover the journal";
    if (strandedSegments.length > 0)
      await withCopies(writer, () => committer.underLock(operation, () => setAsideStranded(writer)));
    if (!endLooksDamaged(this.view)) return;
    try {
      await committer.exclusively(operation, () => {});
    } catch (error) {
      const path = this.files.store.displayPath;
      const problem = fromSystemError(error, { operation, path });
      if (problem.code !== "disk_full") throw problem;
      this.options.logger?.warn(`nothing can be committed until there is room: ${problem.message}`, { path });
    }
  }

  /** Rotates, and writes out everything that is sealed; resolves when what was committed by now is in entry files. */
  async checkpoint(): Promise<void> {
    await this.committer.rotate();
    const target = this.view.last.version;
    const deadlineMs = this.port.monotonicMs() + checkpointWaitMs;
    while (this.files.readManifest().checkpoint.version < target) {
      if (this.background) await this.background.catch(() => {});
      if (this.files.readManifest().checkpoint.version >= target) break;
      if ((await this.runCheckpointer()) === "done") {
        if (this.files.readManifest().checkpoint.version >= target) break;
        // A sync failed meanwhile: what was to be written out went on in the segment behind (P11).
        if (!(await this.committer.rotate())) break;
      }
      if (this.port.monotonicMs() >= deadlineMs)
        throw this.checkpointLockFile.timeoutError("checkpoint", checkpointWaitMs);
      await this.port.sleep(5);
    }
    // Moved away by a rollback meanwhile: the entry files here are nobody's store any more.
    if (!this.files.isInPlace()) this.view.refresh();
    this.view.dropCheckpointed(this.files.readManifest().checkpoint.version);
  }

  /**
   * Builds the summary index, unless there is one that is not `damaged`. False when that cannot be done: somebody else
   * holds the checkpoint lock for longer than a lock is waited for, or the disk does not take it.
   */
  async buildIndex(damaged: IndexHead | undefined): Promise<boolean> {
    const deadlineMs = this.port.monotonicMs() + this.options.lockWaitMs;
    try {
      while (!this.finished) {
        await this.background;
        if (await this.asCheckpointRun(() => this.indexBuilder.build(damaged))) return true;
        if (this.port.monotonicMs() >= deadlineMs) return false;
        await this.port.sleep(5);
      }
    } catch (error) {
      if (!this.finished) this.warnOfIndex(error);
    }
    return false;
  }

  private mergeIndexInBackground(): void {
    if (this.merging || this.finished || !(this.indexWriter.mergeIsDue || this.indexBuilder.mergeIsDue)) return;
    this.indexWriter.mergeIsDue = false;
    this.merging = this.indexBuilder
      .merge((work) => this.soonAsCheckpointRun(work))
      .catch((error) => this.warnOfIndex(error))
      .finally(() => {
        this.merging = undefined;
      });
  }

  private async soonAsCheckpointRun(work: () => Promise<void>): Promise<boolean> {
    const deadlineMs = this.port.monotonicMs() + checkpointWaitMs;
    while (!this.finished && this.port.monotonicMs() < deadlineMs) {
      if (await this.asCheckpointRun(work)) return true;
      await this.port.sleep(20);
    }
    return false;
  }

  /** Under the checkpoint lock, and never beside a checkpoint of this process. False when the lock is taken. */
  private asCheckpointRun(work: () => Promise<void>): Promise<boolean> {
    if (this.checkpointRun) return this.checkpointRun.then(() => false);
    const run = this.checkpointer.alone(work).finally(() => {
      this.checkpointRun = undefined;
    });
    this.checkpointRun = run.catch(() => {});
    return run;
  }

  private warnOfIndex(error: unknown): void {
    this.options.logger?.warn("the summary index could not be written; lists read the entry files instead", {
      path: this.files.store.displayPath,
      error: String(error),
    });
  }

  startMaintenance(): void {
    this.maintenanceTimer = this.port.startTimer(maintenanceMs * (0.75 + this.port.random() / 2), () => {
      if (this.maintain() === "fenced") return;
      if (!this.finished) this.startMaintenance();
    });
  }

  /** Entry files lag the journal by a minute at most, busy or not. */
  private maintain(): "fenced" | undefined {
    this.mergeIndexInBackground();
    if (this.background || this.finished || this.durability.poison) return undefined;
    try {
      this.view.refresh();
    } catch (error) {
      this.options.logger?.warn("the store can no longer be maintained", { error: String(error) });
      // P20: nothing will ever come behind a fence; this is said once.
      return hasCode(error, "store_fenced") ? "fenced" : undefined;
    }
    const { current, segments, last } = this.view;
    const nowMs = this.port.monotonicMs();
    if (last.version !== this.lastSeenVersion) {
      this.lastSeenVersion = last.version;
      this.lastAppendMs = nowMs;
    }
    const holdsRecords = current.firstRecordMs !== undefined;
    const ageMs = holdsRecords ? Math.abs(this.port.nowMs() - (current.firstRecordMs as number)) : 0;
    const isDue = holdsRecords && (ageMs >= this.options.limits.segmentAgeMs || nowMs - this.lastAppendMs >= idleMs);
    if (isDue) this.inBackground(() => this.rotateAndWriteOut());
    else if (segments.length > 1) this.checkpointInBackground();
    else if (this.checkpointer.expiryIsDue) this.inBackground(() => this.unlinkExpiredSegments());
    return undefined;
  }

  private async unlinkExpiredSegments(): Promise<void> {
    await this.asCheckpointRun(() => this.checkpointer.unlinkExpiredSegments());
  }

  /** Not `checkpoint`, which waits for the work in the background: that would be waiting for itself. */
  private async rotateAndWriteOut(): Promise<void> {
    try {
      await this.committer.rotate();
    } finally {
      // Also on a disk too full for a seal: what makes room there is done by the checkpointer.
      await this.runCheckpointer();
    }
  }

  /** One at a time, and known to `finish`: none may go on when the directories are closed. */
  private runCheckpointer(): Promise<"done" | "busy"> {
    if (this.checkpointRun) return Promise.resolve("busy");
    const run = this.checkpointer.run().finally(() => {
      this.checkpointRun = undefined;
    });
    this.checkpointRun = run.catch(() => {});
    return run;
  }

  private checkpointInBackground(): void {
    // In a later turn: a rotation happens under the commit lock.
    this.inBackground(async () => {
      await this.port.yieldToEventLoop();
      await this.runCheckpointer();
    });
  }

  private inBackground(work: () => Promise<void>): void {
    if (this.background || this.finished) return;
    this.background = work()
      .catch((error) => {
        this.options.logger?.warn(
          "a checkpoint in the background did not come to its end; the journal keeps everything",
          {
            path: this.files.store.displayPath,
            error: String(error),
          },
        );
      })
      .finally(() => {
        this.background = undefined;
      });
  }

  /** Within half a second, what was committed by now is durable. */
  syncSoon(): void {
    this.syncTimer ??= this.port.startTimer(fixedLimits.intervalSyncMs, () => {
      this.syncTimer = undefined;
      this.durability.wait(this.view.last).catch((error) => {
        this.options.logger?.warn("commits could not be made durable", { error: String(error) });
      });
    });
  }

  /** P11, under the commit lock: seal what cannot be trusted; the successor starts with the states it held. */
  private async abandonSuspects(suspectFrom: number): Promise<void> {
    await this.committer.exclusively("give up a segment whose sync failed", () => {
      // Somebody else's sync of it failed too, and was quicker.
      if (this.view.segments.some(({ first, seal }) => first === suspectFrom && seal === "suspect")) return;
      for (const segment of this.view.segments) {
        if (segment.first >= suspectFrom && segment !== this.view.current) segment.seal = "suspect";
      }
      if (this.view.current.offset === 0) {
        this.writer.carryIfMissing();
      } else {
        this.writer.seal("suspect");
        this.writer.createSuccessor();
      }
    });
  }

  /** Everything that was started comes to its end; commits that were made are on disk, and in the entry files. */
  async finish(): Promise<void> {
    this.finished = true;
    this.maintenanceTimer?.cancel();
    this.syncTimer?.cancel();
    this.indexBuilder.stop();
    await this.committer.drained();
    await this.durability.settled();
    await this.background;
    await this.merging;
    await this.checkpointRun;
    let isReadable = true;
    try {
      this.view.refresh();
    } catch {
      isReadable = false; // Moved, fenced or damaged, or out of descriptors: what is open is synced all the same.
    }
    await this.syncLast();
    if (!isReadable || this.durability.poison) return;
    try {
      if (this.view.last.version <= this.files.readManifest().checkpoint.version) return;
      await this.checkpoint();
    } catch (error) {
      this.options.logger?.warn("the last checkpoint did not come to its end; the journal keeps everything", {
        path: this.files.store.displayPath,
        error: String(error),
      });
    }
    await this.checkpointRun;
  }

  /** What an "interval" store has acknowledged is on the disk, or its closer is told. In "commit" mode each caller was. */
  private async syncLast(): Promise<void> {
    const { last } = this.view;
    try {
      // Asked again: what a failed sync was for may have gone on durably in another segment.
      await this.durability.wait(last).catch(() => this.durability.wait(last));
    } catch (error) {
      if (this.options.durability === "interval") throw error;
    }
  }

  release(): void {
    this.maintenanceTimer?.cancel();
    this.syncTimer?.cancel();
    this.commitLockFile.close();
    this.checkpointLockFile.close();
  }
}
