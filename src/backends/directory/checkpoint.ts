/**
 * The checkpoint: writes the final states of sealed segments to entry files. It is a pure function of one sealed
 * segment and the entry files, and ignores this process's view (P7). Idempotent: a crash anywhere is finished by
 * whoever comes next. Runs under the checkpoint lock; no reader or writer waits for it.
 *
 * Per segment, oldest first (P9):
 * 1. sync the segment and the journal's names (P7);
 * 2. pass the scan gate once: scans that began before see no file change under them (P15);
 * 3. removed sessions: their last state to trash/, synced;
 * 4. entry files: temporary file, sync, rename; removed ones unlinked (P8);
 * 5. sync entries/, then record the checkpoint in the manifest (P4).
 * Later, when their retention is over, segments are unlinked one by one (P8, P18).
 */

import type { Logger } from "../../contract.js";
import { SessionStoreError } from "../../errors.js";
import { openChecked } from "../../fs/checked-file.js";
import { Pace } from "../../fs/pace.js";
import { type Directory, type File, hasCode } from "../../fs/port.js";
import type { Limits } from "../../limits.js";
import { StateWriter } from "./entries/state-writer.js";
import type { JournalRecord } from "./journal/record.js";
import {
  provesSuccession,
  readFirstRecord,
  readHistoriesInSlices,
  readLastRecord,
  type SegmentEnd,
  type SegmentHistories,
} from "./journal/sealed-segment.js";
import * as layout from "./layout.js";
import type { LockFile } from "./lock-file.js";
import type { StoreFiles } from "./store-files.js";
import { sweepIndex } from "./summary-index/leftovers.js";
import type { CommitStamp } from "./version.js";

export interface CheckpointOptions {
  readonly limits: Readonly<Limits>;
  /** How long to wait for snapshot scans that are under way. */
  readonly gateWaitMs: number;
  readonly logger: Logger | undefined;
  /** Asks the scans of this process to make way: they read ahead what is left. */
  readonly makeWay: () => Promise<void>;
  /** Throws when this process can no longer tell anybody of a failed sync: then it must not try one (P11). */
  readonly assertMaySync: () => void;
  /** A sync of this segment failed: it must be given up by everybody (P11). */
  readonly onSyncFailed: (first: number) => Promise<void>;
  /** The entry files of these sessions were written; the checkpoint `to` is about to be recorded after `from`. */
  readonly onWritten: (keys: Iterable<string>, from: CommitStamp, to: CommitStamp) => Promise<void>;
  /** Told when a checkpoint was recorded. */
  readonly onRecorded: (version: number) => void;
}

export class Checkpointer {
  private readonly files: StoreFiles;
  private readonly lock: LockFile;
  private readonly scanLock: LockFile;
  private readonly options: CheckpointOptions;
  private readonly pace: Pace;
  private readonly stateWriter: StateWriter;
  private lastTrashSweepMs = Number.NEGATIVE_INFINITY;
  private expiryLookMs = Number.NEGATIVE_INFINITY;

  constructor(files: StoreFiles, lock: LockFile, scanLock: LockFile, options: CheckpointOptions) {
    this.files = files;
    this.lock = lock;
    this.scanLock = scanLock;
    this.options = options;
    this.pace = new Pace(files.port);
    this.stateWriter = new StateWriter(files, this.pace, options.logger);
  }

  /** Work beside a checkpoint that must not meet one. False when another process makes one, or the store is gone. */
  async alone(work: () => Promise<void>): Promise<boolean> {
    if (!this.lock.tryExclusiveChecked()) return false;
    try {
      if (!this.files.isInPlace()) return false;
      await work();
      return true;
    } finally {
      this.lock.release();
    }
  }

  /** Checkpoints every sealed segment. "busy" when another process is doing it. */
  async run(): Promise<"done" | "busy"> {
    if (!this.lock.tryExclusiveChecked()) return "busy";
    try {
      if (!this.files.isInPlace()) return "done";
      // First of all: on a full disk the rest may need the room.
      if (this.expiryIsDue) await this.unlinkExpiredSegments();
      this.sweepAfterDeath();
      await this.checkpointSealedSegments();
      await this.unlinkExpiredSegments();
      await this.sweepTrash();
      this.files.port.unlink(this.files.store, layout.checkpointMarkerName);
      return "done";
    } finally {
      // P9: every file operation was awaited, also after an error.
      this.lock.release();
    }
  }

  private async checkpointSealedSegments(): Promise<void> {
    const { port, journal, owner } = this.files;
    const firsts = this.files.listSegments();
    let recorded: CommitStamp = this.files.readManifest().checkpoint;
    for (const [index, first] of firsts.entries()) {
      const successor = firsts[index + 1];
      if (successor === undefined || successor - 1 <= recorded.version) continue;
      const file = openChecked(port, journal, layout.segmentName(first), "append", owner);
      try {
        const segment = await this.readSealed(file, first, firsts.slice(index + 1));
        // P11: what a suspect segment held is in the segment behind it, with its own versions.
        if (segment === "suspect") continue;
        await this.syncSegment(file, first);
        await this.passScanGate();
        const { histories } = segment;
        await this.stateWriter.write(histories);
        await this.options.onWritten(histories.keys(), recorded, segment.last);
        const checkpoint = { ...segment.last, timeMs: port.nowMs() };
        await this.files.writeManifest({ ...this.files.readManifest(), checkpoint });
        recorded = checkpoint;
        this.options.onRecorded(checkpoint.version);
      } finally {
        port.close(file);
      }
    }
  }

  /** P7. P11: never tried again on the same file - the next attempt would succeed, and mean nothing. */
  private async syncSegment(file: File, first: number): Promise<void> {
    this.options.assertMaySync();
    try {
      await this.files.port.syncFile(file);
    } catch (error) {
      await this.options.onSyncFailed(first);
      throw error;
    }
    await this.files.port.syncDirectory(this.files.journal);
  }

  private async readSealed(
    file: File,
    first: number,
    laterFirsts: readonly number[],
  ): Promise<SegmentHistories | "suspect"> {
    const segment = await readHistoriesInSlices(this.files.port, file, first, () => this.pace.breathe());
    if (segment.seal === "suspect" || laterFirsts.some((later) => this.isSuspectedBy(later, first))) return "suspect";
    if (segment.seal === undefined && !this.isProvenBySuccessor(segment, laterFirsts[0])) {
      throw new SessionStoreError(
        "store_damaged",
        `a segment with a successor ends without a seal (${segment.tailBytes} bad bytes)`,
        {
          operation: "checkpoint",
          path: file.displayPath,
          onDisk: "The journal was left as it is, and grows.",
          nextStep: "Run `sessiondir verify` to see the damage and `sessiondir repair` to salvage what can be.",
        },
      );
    }
    return segment;
  }

  /** The seal is lost or bad, and the successor shows that nothing else is. */
  private isProvenBySuccessor(segment: SegmentEnd, successor: number | undefined): boolean {
    if (successor !== segment.last.version + 1) return false;
    return provesSuccession(this.firstRecordOf(successor), segment.last, this.files.manifest.incarnation);
  }

  private isSuspectedBy(later: number, first: number): boolean {
    const record = this.firstRecordOf(later);
    return record?.type === "carry" && record.suspectFrom <= first;
  }

  private firstRecordOf(first: number): JournalRecord | undefined {
    const { port, journal, owner } = this.files;
    const file = openChecked(port, journal, layout.segmentName(first), "read", owner);
    try {
      return readFirstRecord(port, file);
    } finally {
      port.close(file);
    }
  }

  /** P15: acquired once and released at once; scans that begin later have a version at or behind the seal. */
  private async passScanGate(): Promise<void> {
    const { port } = this.files;
    const deadlineMs = port.monotonicMs() + this.options.gateWaitMs;
    await this.options.makeWay();
    for (let waitMs = 1; !this.scanLock.tryExclusive(); waitMs = Math.min(20, waitMs * 2)) {
      if (port.monotonicMs() >= deadlineMs)
        throw this.scanLock.timeoutError("wait for snapshot scans to end", this.options.gateWaitMs);
      await port.sleep(waitMs);
    }
    this.scanLock.release();
  }

  // --- retention -------------------------------------------------------------------------------------------------

  /** Whether the retention of some segment may be over. Where nobody commits any more, nobody else would see to it. */
  get expiryIsDue(): boolean {
    return this.files.port.monotonicMs() >= this.expiryLookMs;
  }

  /** P18, P8: oldest first; the names are synced before the next one goes. Under the checkpoint lock. */
  async unlinkExpiredSegments(): Promise<void> {
    const { port, journal } = this.files;
    const { segmentRetentionMs, segmentRetentionBytes } = this.options.limits;
    this.lookForExpiredAfter(0);
    const { checkpoint } = this.files.readManifest();
    const firsts = this.files.listSegments();
    const done = firsts.filter(
      (_, index) => index + 1 < firsts.length && (firsts[index + 1] as number) - 1 <= checkpoint.version,
    );
    const sizes = done.map((first) => port.statName(journal, layout.segmentName(first))?.sizeBytes ?? 0);
    let keptBytes = sizes.reduce((sum, bytes) => sum + bytes, 0);
    for (const [index, first] of done.entries()) {
      const ageMs = port.nowMs() - this.sealTimeMs(first, firsts[index + 1] as number);
      if (done.length - index <= keptSegmentsMax && keptBytes <= segmentRetentionBytes && ageMs <= segmentRetentionMs) {
        this.lookForExpiredAfter(Math.min(segmentRetentionMs, segmentRetentionMs - ageMs + 1));
        return;
      }
      // Whoever recorded the checkpoint may have died before the manifest was durable.
      if (index === 0) await port.syncDirectory(this.files.store);
      port.unlink(journal, layout.segmentName(first));
      keptBytes -= sizes[index] as number;
      await port.syncDirectory(journal);
    }
    this.lookForExpiredAfter(segmentRetentionMs);
  }

  private lookForExpiredAfter(ms: number): void {
    this.expiryLookMs = this.files.port.monotonicMs() + Math.max(ms, expiryLookMsMin);
  }

  /** Where the seal is lost, or may not be read, the successor's first commit tells about the same time. */
  private sealTimeMs(first: number, successor: number): number {
    return this.lastRecordOf(first)?.timeMs ?? this.firstRecordOf(successor)?.timeMs ?? this.files.port.nowMs();
  }

  private lastRecordOf(first: number): JournalRecord | undefined {
    const { port, journal, owner } = this.files;
    let file: File;
    try {
      file = openChecked(port, journal, layout.segmentName(first), "read", owner);
    } catch (error) {
      // Nobody needs it but watchers: it must not hold up what is committed now.
      if (hasCode(error, "EACCES", "EPERM")) return undefined;
      throw error;
    }
    try {
      return readLastRecord(port, file);
    } finally {
      port.close(file);
    }
  }

  private async sweepTrash(): Promise<void> {
    const { port } = this.files;
    if (port.monotonicMs() - this.lastTrashSweepMs < trashSweepMs) return;
    this.lastTrashSweepMs = port.monotonicMs();
    const trash = this.files.openPartIfExists(layout.trashName);
    if (trash === undefined) return;
    try {
      const oldestMs = port.nowMs() - this.options.limits.trashRetentionMs;
      for (const batch of port.listInBatches(trash, 512)) {
        for (const { name } of batch) {
          const removed = layout.parseTrashFileName(name);
          if (removed && removed.timeMs < oldestMs) port.unlink(trash, name);
        }
        await this.files.port.yieldToEventLoop();
      }
    } finally {
      port.closeDirectory(trash);
    }
  }

  /**
   * Temporary files are made only under this lock. The marker is there while somebody works: found by the next one, it
   * says that its maker died, and only then are the directories - perhaps of a million files - listed for leftovers.
   */
  private sweepAfterDeath(): void {
    const { port, store } = this.files;
    if (port.statName(store, layout.checkpointMarkerName) === undefined) {
      port.close(port.open(store, layout.checkpointMarkerName, "create"));
      return;
    }
    sweepTemporaryFiles(this.files);
  }
}

/** Removes the temporary files of whoever died under the checkpoint lock, which the caller holds. */
export function sweepTemporaryFiles(files: StoreFiles): number {
  const { port } = files;
  let swept = 0;
  const sweep = (directory: Directory) => {
    for (const batch of port.listInBatches(directory, 512)) {
      for (const { name, kind } of batch) {
        if (kind !== "file" || !layout.isTemporaryName(name)) continue;
        port.unlink(directory, name);
        swept += 1;
      }
    }
  };
  sweep(files.store);
  for (const directory of files.entries.directories()) sweep(directory);
  const trash = files.openPartIfExists(layout.trashName);
  if (trash) {
    try {
      sweep(trash);
    } finally {
      port.closeDirectory(trash);
    }
  }
  sweepIndex(files);
  return swept;
}

/** Many short-lived processes make many small segments; a journal directory must stay quick to list. */
const keptSegmentsMax = 1_000;
const trashSweepMs = 60 * 60_000;
/** An idle store is not looked at more often. */
const expiryLookMsMin = 60_000;
