/**
 * The two locks of a save, one deadline over the whole wait. First the kernel lock: it orders the processes of this
 * program, is free the moment its owner dies, and excludes the take-over into a directory store, which locks the same
 * file. Then the lock file of the gateway's protocol. Both are held for one save and no longer.
 */

import { SessionStoreError } from "../../errors.js";
import { openChecked } from "../../fs/checked-file.js";
import type { Directory, File, Port } from "../../fs/port.js";
import { type JsonLocation, kernelLockName, livePathOf, lockFileName } from "./layout.js";
import { LegacyLock } from "./lock-protocol.js";

const firstPauseMs = 1;
/** Between our own processes. */
const kernelPauseMaxMs = 8;
/** A gateway holds its lock for one save of the whole file. */
const legacyPauseMaxMs = 100;

export class StoreLock {
  readonly #port: Port;
  readonly #parent: Directory;
  readonly #location: JsonLocation;
  readonly #legacy: LegacyLock;
  #kernel: File | undefined;

  constructor(port: Port, parent: Directory, location: JsonLocation) {
    this.#port = port;
    this.#parent = parent;
    this.#location = location;
    this.#legacy = new LegacyLock(port, parent, lockFileName(location.legacyName));
  }

  /** Throws `lock_timeout`, which names the holder, when the deadline (of the monotonic clock) passed first. */
  async acquire(deadlineMs: () => number, waitMs: number): Promise<void> {
    for (let pauseMs = firstPauseMs; !this.#tryKernel(); pauseMs = Math.min(kernelPauseMaxMs, pauseMs * 2)) {
      if (!(await this.#pause(pauseMs, deadlineMs()))) throw this.#timeout(waitMs, this.#kernelHolder());
    }
    try {
      for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(legacyPauseMaxMs, pauseMs * 2)) {
        const attempt = this.#legacy.tryAcquire();
        if (attempt.status === "acquired") return;
        if (!(await this.#pause(pauseMs, deadlineMs()))) throw this.#timeout(waitMs, attempt.holder);
      }
    } catch (error) {
      this.#releaseKernel();
      throw error;
    }
  }

  release(): void {
    try {
      this.#legacy.release();
    } finally {
      this.#releaseKernel();
    }
  }

  #tryKernel(): boolean {
    const name = kernelLockName(this.#location.directoryName);
    const file = openChecked(this.#port, this.#parent, name, "lock", { uid: this.#port.userId });
    try {
      if (this.#port.tryLock(file, "exclusive")) {
        // Whoever locks a file that was replaced excludes nobody.
        const ours = this.#port.stat(file);
        const there = this.#port.statName(this.#parent, name);
        if (there?.inode === ours.inode && there.device === ours.device) {
          this.#kernel = file;
          return true;
        }
      }
    } catch (error) {
      this.#port.close(file);
      throw error;
    }
    this.#port.close(file);
    return false;
  }

  #releaseKernel(): void {
    const file = this.#kernel;
    this.#kernel = undefined;
    if (file === undefined) return;
    this.#port.unlock(file);
    this.#port.close(file);
  }

  async #pause(pauseMs: number, deadlineMs: number): Promise<boolean> {
    const leftMs = deadlineMs - this.#port.monotonicMs();
    if (leftMs <= 0) return false;
    await this.#port.sleep(Math.min(leftMs, pauseMs * (0.5 + this.#port.random())));
    return true;
  }

  #kernelHolder(): string {
    const name = kernelLockName(this.#location.directoryName);
    const file = openChecked(this.#port, this.#parent, name, "lock", { uid: this.#port.userId });
    try {
      return this.#port.describeLockHolder(file) ?? "unknown (perhaps it was released just now)";
    } finally {
      this.#port.close(file);
    }
  }

  #timeout(waitMs: number, holder: string): SessionStoreError {
    return new SessionStoreError("lock_timeout", `the lock was not free within ${waitMs} ms; held by ${holder}`, {
      operation: "commit",
      path: `${livePathOf(this.#location)}.lock`,
      onDisk: "Nothing was changed.",
      nextStep:
        "A lock is held while the file is written once: look at what its holder is doing. A lock file that is left behind is taken away after 30 seconds.",
    });
  }
}
