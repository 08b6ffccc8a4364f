/**
 * Work under one of the lock files beside a store's place (P21), for those who may wait: creation, restore, rollback. A
 * commit, which may not, has a lock of its own (commit-lock.ts).
 */

import type { Directory, Port } from "../../fs/port.js";
import { LockFile } from "./lock-file.js";

const pauseMs = 5;

/**
 * Calls `work` while it holds the lock file `name`, which is made when it is missing. Throws `lock_timeout`, which names the
 * holder and says that `operation` was tried, after `waitMs`; errors of the system; and what `work` throws.
 */
export async function underLock<Result>(
  port: Port,
  parent: Directory,
  name: string,
  wait: { readonly operation: string; readonly waitMs: number },
  work: (lock: LockFile) => Promise<Result>,
): Promise<Result> {
  const lock = LockFile.open(port, parent, name, { uid: port.userId }, false);
  try {
    const deadlineMs = port.monotonicMs() + wait.waitMs;
    while (!lock.tryExclusiveChecked()) {
      if (port.monotonicMs() >= deadlineMs) throw lock.timeoutError(wait.operation, wait.waitMs);
      await port.sleep(pauseMs);
    }
    try {
      return await work(lock);
    } finally {
      lock.release();
    }
  } finally {
    lock.close();
  }
}
