/**
 * Group commit: one sync, off the event loop and outside the lock, acknowledges every commit that was appended before
 * it started (P6). A failed sync is never retried and never confirmed by reading back; it makes the segment suspect for
 * everybody (P11).
 */

import type { Logger } from "../../contract.js";
import { fromSystemError, SessionStoreError } from "../../errors.js";
import type { LiveSegment } from "./journal/live-segment.js";
import { type CommitStamp, formatToken } from "./version.js";
import type { View } from "./view.js";

interface FailedSync {
  readonly segment: LiveSegment;
  readonly error: unknown;
}

interface Waiter {
  readonly stamp: CommitStamp;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class Durability {
  private readonly view: View;
  private readonly logger: Logger | undefined;
  /** Seals the suspect segments and carries their states over; under the commit lock. */
  private readonly abandonSuspects: (suspectFrom: number) => Promise<void>;
  /** Finishes what a process began that gave segments up; under the commit lock. */
  private readonly carryOn: () => Promise<void>;
  private waiters: Waiter[] = [];
  private running: Promise<void> | undefined;
  /** Segments being given up outside of the loop. */
  private abandoning: Promise<void> | undefined;
  /** Everything up to here was synced by this process, or is in synced entry files. */
  private durableVersion = -1;
  /** Set for good when not even a new segment could be made durable. */
  poison: SessionStoreError | undefined;

  constructor(
    view: View,
    abandonSuspects: (suspectFrom: number) => Promise<void>,
    carryOn: () => Promise<void>,
    logger: Logger | undefined,
  ) {
    this.view = view;
    this.abandonSuspects = abandonSuspects;
    this.carryOn = carryOn;
    this.logger = logger;
  }

  /** Resolves when every commit up to this one is durable. Rejects with `outcome_unknown` when a sync failed. */
  wait(stamp: CommitStamp): Promise<void> {
    if (stamp.version <= this.durableVersion) return Promise.resolve();
    if (this.poison) return Promise.reject(this.unknownOutcome(stamp, this.poison));
    return new Promise((resolve, reject) => {
      this.waiters.push({ stamp, resolve, reject });
      this.start();
    });
  }

  /** Resolves when no sync is under way, whatever came of it. */
  async settled(): Promise<void> {
    while (this.running) await this.running;
  }

  /**
   * P11: a sync of this segment failed outside of this loop. It is given up all the same, and what takes its place is
   * synced at once: a disk that takes nothing must end in a poisoned store, not in a journal that grows by every state at
   * each attempt.
   */
  async abandon(first: number): Promise<void> {
    // Poisoned when that fails: this process knows what nobody else could be told.
    this.abandoning = this.abandonSuspects(first).catch((cause) => this.poisonWith(cause));
    await this.abandoning;
    await this.wait(this.view.last).catch(() => {});
  }

  private start(): void {
    this.running ??= this.run()
      .catch((error) => this.poisonWith(error))
      .finally(() => {
        this.running = undefined;
        if (this.waiters.length > 0) this.start();
      });
  }

  /** Nobody awaits the loop itself: what it cannot handle must reach those who wait for it, and end nothing else. */
  private poisonWith(cause: unknown): void {
    this.poison ??= poisonError(cause, this.view.files.journal.displayPath);
    this.settleWaiters(Number.POSITIVE_INFINITY, (waiter) => waiter.reject(this.unknownOutcome(waiter.stamp, cause)));
  }

  private async run(): Promise<void> {
    // Commits that are made in this same turn of the event loop share the sync.
    await undefined;
    while (this.waiters.length > 0) {
      const target = this.view.last.version;
      let failed: FailedSync | undefined;
      try {
        failed = await this.syncWhatIsTrusted();
      } catch (error) {
        // No sync of ours has failed; the next commit may find the way again.
        this.settleWaiters(Number.POSITIVE_INFINITY, (waiter) =>
          waiter.reject(this.unknownOutcome(waiter.stamp, error)),
        );
        return;
      }
      if (failed) await this.giveUp(failed, target);
      else this.acknowledge(target);
    }
  }

  private acknowledge(target: number): void {
    this.durableVersion = Math.max(this.durableVersion, target);
    this.view.durableVersion = Math.max(this.view.durableVersion, target);
    this.settleWaiters(target, (waiter) => waiter.resolve());
  }

  /** P11: whoever's sync of the same file failed has marked it; then our sync proves nothing either, and is made anew. */
  private async syncWhatIsTrusted(): Promise<FailedSync | undefined> {
    for (;;) {
      await this.carryOnIfMissing();
      const segments = this.view.segments.filter((segment) => segment.seal !== "suspect");
      const failed = await this.syncSegments(segments);
      if (failed) return failed;
      // Of two syncs of one file, this process may have been told of the error by the other one.
      await this.abandoning;
      if (this.poison) throw this.poison;
      this.lookForMarks();
      // Asked of the segments, not of the look: any read of this process may have met the mark before.
      if (!segments.some((segment) => segment.seal === "suspect")) return undefined;
    }
  }

  /** P11: whoever gave the last segments up may have died, or found no room, before their states went on. */
  private async carryOnIfMissing(): Promise<void> {
    if (this.view.segments.length === 0) this.view.refresh();
    const { current, segments } = this.view;
    const isMissing = current.offset === 0 && segments.at(-2)?.seal === "suspect";
    if (isMissing || current.seal === "suspect") await this.carryOn();
  }

  private lookForMarks(): void {
    try {
      this.view.refresh();
    } catch {
      // The store was moved or fenced, or cannot be read just now: what was synced is synced, but for what bears a mark.
    }
  }

  /** P6: every older live segment, oldest first, then the current one, then their names. */
  private async syncSegments(segments: readonly LiveSegment[]): Promise<FailedSync | undefined> {
    const { port, journal } = this.view.files;
    for (const segment of segments) {
      const { offset } = segment;
      if (segment.retired || segment.syncedOffset >= offset) continue;
      segment.pins += 1;
      try {
        await port.syncFile(segment.file);
        segment.syncedOffset = offset;
      } catch (error) {
        return { segment, error };
      } finally {
        this.view.unpin(segment);
      }
    }
    const unnamed = segments.filter((segment) => !segment.nameSynced);
    if (unnamed.length > 0) {
      try {
        await port.syncDirectory(journal);
      } catch (error) {
        return { segment: unnamed[0] as LiveSegment, error };
      }
      for (const segment of unnamed) segment.nameSynced = true;
    }
    // What is sealed and synced to its end will not be synced again: a long backlog must not cost a descriptor each.
    for (const segment of segments) {
      if (segment !== this.view.current && segment.seal !== undefined && segment.syncedOffset === segment.offset) {
        this.view.retire(segment);
      }
    }
    return undefined;
  }

  private async giveUp({ segment, error }: FailedSync, target: number): Promise<void> {
    this.logger?.warn("a sync of the journal failed; its segment is given up and rewritten", {
      path: segment.file.displayPath,
      error: String(error),
    });
    try {
      await this.abandonSuspects(segment.first);
      // The states go on in a new segment, which must be durable before anything else is acknowledged.
      const failedAgain = await this.syncWhatIsTrusted();
      if (failedAgain) {
        // Others must not go on in that one. What takes its place is theirs to make durable.
        await this.abandonSuspects(failedAgain.segment.first);
        throw failedAgain.error;
      }
      this.durableVersion = Math.max(this.durableVersion, target);
    } catch (cause) {
      this.poison ??= poisonError(cause, this.view.files.journal.displayPath);
    }
    const limit = this.poison ? Number.POSITIVE_INFINITY : target;
    this.settleWaiters(limit, (waiter) => waiter.reject(this.unknownOutcome(waiter.stamp, error)));
  }

  private settleWaiters(version: number, settle: (waiter: Waiter) => void): void {
    const due = this.waiters.filter((waiter) => waiter.stamp.version <= version);
    this.waiters = this.waiters.filter((waiter) => waiter.stamp.version > version);
    for (const waiter of due) settle(waiter);
  }

  private unknownOutcome(stamp: CommitStamp, cause: unknown): SessionStoreError {
    return new SessionStoreError("outcome_unknown", "the commit was written, but the disk did not confirm it", {
      operation: "sync the journal",
      path: this.view.files.journal.displayPath,
      onDisk: "Other readers may have seen it; a power cut may still undo it.",
      nextStep: "Read the session again before repeating the change.",
      version: formatToken(stamp, this.view.files.manifest.incarnation),
      cause,
    });
  }
}

function poisonError(cause: unknown, path: string): SessionStoreError {
  return fromSystemError(cause, {
    operation: "make commits durable",
    path,
    onDisk: "Commits that were not acknowledged may or may not be there after a power cut.",
    nextStep: "Check the disk, then close this store and open it again.",
  });
}
