/**
 * The wait for the commit lock. The lock is held for microseconds, so: try; spin at most 20 us; a few naps, under half
 * a millisecond of blocking in all, whether one commit waits in a turn of the event loop or many; then timers of 1 ms
 * with jitter, doubling to 8 ms, with a short spin on each wake-up. One deadline over everything. Never `setImmediate`
 * polling, never long back-offs: both were measured to be unfair or slow.
 *
 * Between two tries the waiter may do what it would otherwise do under the lock: read what the holders before it wrote.
 */

import type { Port } from "../../fs/port.js";
import type { LockFile } from "./lock-file.js";

const spinMs = 0.02;
/** For clocks that stand still. */
const spinAttemptsMax = 64;
const napsMax = 4;
const napMinMicroseconds = 20;
const napMaxMicroseconds = 50;
/** No nap begins after so much blocking in one turn of the event loop: the system may let one last for 100 us. */
const blockingMsMax = 0.35;
const timerFirstMs = 1;
const timerMaxMs = 8;
/** Every so often the lock file is compared with what lies at its path. */
const identityCheckMs = 1_000;

export class CommitLock {
  private readonly port: Port;
  private readonly file: LockFile;
  private lastIdentityCheckMs = Number.NEGATIVE_INFINITY;
  /** How long waits blocked this turn of the event loop. */
  private blockedMs = 0;
  private renewal: Promise<void> | undefined;

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

  /** At once, or after the part of the wait that blocks this thread. `meanwhile` is done between the tries. */
  tryAcquireBlocking(meanwhile: () => void = nothing): boolean {
    if (this.tryAcquire()) return true;
    if (this.blockedMs >= blockingMsMax) return false;
    this.renewSoon();
    const fromMs = this.port.monotonicMs() - this.blockedMs;
    const acquired = this.spin(meanwhile) || this.napUntil(fromMs + blockingMsMax, meanwhile);
    this.blockedMs = this.port.monotonicMs() - fromMs;
    return acquired;
  }

  /** False when the deadline (of the monotonic clock) passed first. */
  async acquire(deadlineMs: () => number): Promise<boolean> {
    return this.tryAcquireBlocking() || (await this.acquireLater(deadlineMs));
  }

  /** The rest of the wait, which lets the event loop run. */
  async acquireLater(deadlineMs: () => number, meanwhile: () => void = nothing): Promise<boolean> {
    for (let timerMs = timerFirstMs; ; timerMs = Math.min(timerMaxMs, timerMs * 2)) {
      if (this.spin(meanwhile)) return true;
      const leftMs = deadlineMs() - this.port.monotonicMs();
      if (leftMs <= 0) return false;
      await this.port.sleep(Math.min(leftMs, timerMs * (0.5 + this.port.random())));
    }
  }

  release(): void {
    this.file.release();
  }

  private spin(meanwhile: () => void): boolean {
    const endMs = this.port.monotonicMs() + spinMs;
    for (let attempt = 0; attempt < spinAttemptsMax; attempt += 1) {
      if (this.tryAcquire()) return true;
      if (this.port.monotonicMs() >= endMs) return false;
      meanwhile();
    }
    return false;
  }

  private napUntil(endMs: number, meanwhile: () => void): boolean {
    for (let nap = 0; nap < napsMax && this.port.monotonicMs() < endMs; nap += 1) {
      this.port.nap(napMinMicroseconds + this.port.random() * (napMaxMicroseconds - napMinMicroseconds));
      meanwhile();
      if (this.tryAcquire()) return true;
    }
    return false;
  }

  /** The next turn of the event loop may be blocked as long again. */
  private renewSoon(): void {
    this.renewal ??= this.port.yieldToEventLoop().then(() => {
      this.blockedMs = 0;
      this.renewal = undefined;
    });
  }
}

function nothing(): void {}
