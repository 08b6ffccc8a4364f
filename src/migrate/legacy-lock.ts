/**
 * OpenClaw's lock file, `sessions.json.lock`, around the moments in which the legacy file changes its name: a gateway
 * that is still running reads, changes and replaces the file under that lock, so it does all of this before or after us,
 * and never in between.
 *
 * Relies on: the caller holds the checkpoint lock, as every save of the json backend does before it takes this one. So
 * the order is the same everywhere, and nobody of ours waits for anybody of ours here.
 */

import { lockFileName } from "../backends/json/layout.js";
import { LegacyLock } from "../backends/json/lock-protocol.js";
import { SessionStoreError } from "../errors.js";
import type { Directory, Port } from "../fs/port.js";
import { fixedLimits } from "../limits.js";

const pauseMaxMs = 100;

/** Throws `lock_timeout`, which names the holder, `unsafe_path`, errors of the system, and what `work` throws. */
export async function underLegacyLock<Result>(
  port: Port,
  parent: Directory,
  legacyName: string,
  waitMs: number,
  work: () => Promise<Result>,
): Promise<Result> {
  const giveBack = await takeLegacyLock(port, parent, legacyName, waitMs);
  try {
    return await work();
  } finally {
    giveBack();
  }
}

/** For work in several parts: returns what gives the lock back. */
export async function takeLegacyLock(
  port: Port,
  parent: Directory,
  legacyName: string,
  waitMs: number,
): Promise<() => void> {
  const lock = new LegacyLock(port, parent, lockFileName(legacyName));
  const deadlineMs = port.monotonicMs() + waitMs;
  for (let pauseMs = 1; ; pauseMs = Math.min(pauseMaxMs, 2 * pauseMs)) {
    const attempt = lock.tryAcquire();
    if (attempt.status === "acquired") break;
    if (port.monotonicMs() >= deadlineMs) throw timeout(attempt.holder, parent, legacyName);
    await port.sleep(pauseMs);
  }
  return () => release(lock);
}

/** Long enough for a gateway, which holds its lock for one save of the whole file. */
export const legacyLockWaitMs = fixedLimits.lockWaitMsDefault;

/** A lock file that could not be removed names us: it is taken away when we are gone, or when it is 30 seconds old. */
function release(lock: LegacyLock): void {
  try {
    lock.release();
  } catch {
    // See above. What was done under the lock is done.
  }
}

function timeout(holder: string, parent: Directory, legacyName: string): SessionStoreError {
  return new SessionStoreError(
    "lock_timeout",
    `another program is writing the legacy file; its lock is held by ${holder}`,
    {
      operation: "wait for the legacy file",
      path: `${parent.displayPath}/${lockFileName(legacyName)}`,
      onDisk: "Nothing was renamed: every session is where it was.",
      nextStep:
        "Look at what the holder is doing, then try again. A lock file that was left behind is taken away after 30 seconds.",
    },
  );
}
