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
  private waiters: Waiter[] = [];
  private running: Promise<void> | undefined;
  /** Everything up to here was synced by this process, or is in synced entry files. */
  private durableVersion = -1;
  /** Set for good when not even a new segment could be made durable. */
  poison: SessionStoreError | undefined;

  constructor(view: View, abandonSuspects: (suspectFrom: number) => Promise<void>, logger: Logger | undefined) {
    this.view = view;
    this.abandonSuspects = abandonSuspects;
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
      const failed = await this.syncLiveSegments();
      if (failed) {
        await this.giveUp(failed.segment, failed.error, target);
        continue;
      }
      // P11: whoever's sync of the same file failed has marked it; then our sync proves nothing either.
      if (this.refreshShowsSuspect()) continue;
      this.acknowledge(target);
    }
  }

  private acknowledge(target: number): void {
    this.durableVersion = Math.max(this.durableVersion, target);
    this.view.durableVersion = Math.max(this.view.durableVersion, target);
    this.settleWaiters(target, (waiter) => waiter.resolve());
  }

  /** P6: every older live segment, oldest first, then the current one, then their names. */
  private async syncLiveSegments(): Promise<{ segment: LiveSegment; error: unknown } | undefined> {
    const { port, journal } = this.view.files;
    const segments = this.view.segments.filter((segment) => segment.seal !== "suspect");
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

  private refreshShowsSuspect(): boolean {
    const before = this.view.segments;
    const suspects = before.filter((segment) => segment.seal === "suspect").length;
    try {
      this.view.refresh();
    } catch {
      return false; // The store was moved or fenced: what was synced is synced.
    }
    return this.view.segments === before && before.filter((segment) => segment.seal === "suspect").length > suspects;
  }

  private async giveUp(segment: LiveSegment, error: unknown, target: number): Promise<void> {
    this.logger?.warn("a sync of the journal failed; its segment is given up and rewritten", {
      path: segment.file.displayPath,
      error: String(error),
    });
    try {
      await this.abandonSuspects(segment.first);
      // The states go on in a new segment, which must be durable before anything else is acknowledged.
      const failedAgain = await this.syncLiveSegments();
      if (failedAgain) throw failedAgain.error;
      this.durableVersion = Math.max(this.durableVersion, target);
    } catch (cause) {
      this.poison = poisonError(cause, this.view.files.journal.displayPath);
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
