/**
 * The wait for the commit lock. The lock is held for microseconds, so: try; spin at most 20 us; a few naps, under half
 * a millisecond of blocking in all; then timers of 1 ms with jitter, doubling to 8 ms, with a short spin on each
 * wake-up. One deadline over everything. Never `setImmediate` polling, never long back-offs: both were measured to be
 * unfair or slow.
 */

import type { Port } from "../../fs/port.js";
import type { LockFile } from "./lock-file.js";

const spinMs = 0.02;
/** For clocks that stand still. */
const spinAttemptsMax = 64;
const napsMax = 4;
const napMinMicroseconds = 20;
const napMaxMicroseconds = 50;
const timerFirstMs = 1;
const timerMaxMs = 8;
/** Every so often the lock file is compared with what lies at its path. */
const identityCheckMs = 1_000;

export class CommitLock {
  private readonly port: Port;
  private readonly file: LockFile;
  private lastIdentityCheckMs = Number.NEGATIVE_INFINITY;

  constructor(port: Port, file: LockFile) {
    this.port = port;
    this.file = file;
  }

  tryAcquire(): boolean {
    const nowMs = this.port.monotonicMs();
    if (nowMs - this.lastIdentityCheckMs < identityCheckMs) return this.file.tryExclusive();
    if (!this.file.tryExclusiveChecked()) return false;
    this.lastIdentityCheckMs = nowMs;
    return true;
  }

  /** The part of the wait that blocks this thread: under half a millisecond. */
  tryAcquireBlocking(): boolean {
    if (this.spin()) return true;
    for (let nap = 0; nap < napsMax; nap += 1) {
      this.port.nap(napMinMicroseconds + this.port.random() * (napMaxMicroseconds - napMinMicroseconds));
      if (this.tryAcquire()) return true;
    }
    return false;
  }

  /** False when the deadline (of the monotonic clock) passed first. */
  async acquire(deadlineMs: () => number): Promise<boolean> {
    if (this.tryAcquireBlocking()) return true;
    for (let timerMs = timerFirstMs; ; timerMs = Math.min(timerMaxMs, timerMs * 2)) {
      const leftMs = deadlineMs() - this.port.monotonicMs();
      if (leftMs <= 0) return false;
      await this.port.sleep(Math.min(leftMs, timerMs * (0.5 + this.port.random())));
      if (this.spin()) return true;
    }
  }

  release(): void {
    this.file.release();
  }

  private spin(): boolean {
    const endMs = this.port.monotonicMs() + spinMs;
    for (let attempt = 0; attempt < spinAttemptsMax; attempt += 1) {
      if (this.tryAcquire()) return true;
      if (this.port.monotonicMs() >= endMs) return false;
    }
    return false;
  }
}
