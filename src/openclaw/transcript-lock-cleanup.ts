/** Removing the lock files that processes left beside transcripts when they died, as a gateway does when it starts. */

import path from "node:path";
import { type Directory, hasCode, type Port } from "../fs/port.js";
import { ambientPort } from "./ambient.js";
import { inFolder } from "./single-names.js";
import { isHeldHere } from "./transcript-lock.js";
import { inspectLockFile, type SessionLockInspection, transcriptStaleMs } from "./transcript-lock-file.js";

const suffix = ".jsonl.lock";

/**
 * Looks at every `*.jsonl.lock` of a folder and removes the stale ones, unless `removeStale` is false. `locks` are all of
 * them, by name; `cleaned` those that were removed. A lock that this process holds is never stale. A folder that is
 * missing has none.
 */
export async function cleanStaleLockFiles(params: {
  sessionsDir: string;
  /** Default 30 minutes. */
  staleMs?: number;
  removeStale?: boolean;
  nowMs?: number;
  log?: { warn?: (message: string) => void; info?: (message: string) => void };
}): Promise<{ locks: SessionLockInspection[]; cleaned: SessionLockInspection[] }> {
  const { removeStale = true, log } = params;
  const port = ambientPort();
  const nowMs = params.nowMs ?? port.nowMs();
  const staleMs = params.staleMs !== undefined && params.staleMs > 0 ? params.staleMs : transcriptStaleMs;
  const locks: SessionLockInspection[] = [];
  const sessionsDir = path.resolve(params.sessionsDir);
  try {
    inFolder(port, sessionsDir, (folder) => {
      const names: string[] = [];
      for (const batch of port.listInBatches(folder, 512)) {
        for (const { name } of batch) if (name.endsWith(suffix)) names.push(name);
      }
      for (const name of names.sort()) {
        const found = inspectLockFile(port, folder, name, { staleMs, nowMs });
        if (found === undefined) continue;
        const lock = { ...found, lockPath: path.join(sessionsDir, name) };
        if (isHeldHere(port, path.join(port.realPath(sessionsDir), name))) Object.assign(lock, notStale);
        if (lock.stale && removeStale) {
          lock.removed = removeIfThere(port, folder, name);
          if (lock.removed) {
            log?.warn?.(`removed stale session lock: ${lock.lockPath} (${lock.staleReasons.join(", ")})`);
          }
        }
        locks.push(lock);
      }
    });
  } catch (error) {
    if (!hasCode(error, "ENOENT")) throw error;
  }
  return { locks, cleaned: locks.filter(({ removed }) => removed) };
}

const notStale = { stale: false, staleReasons: [] };

function removeIfThere(port: Port, folder: Directory, name: string): boolean {
  try {
    port.unlink(folder, name);
    return true;
  } catch (error) {
    if (hasCode(error, "ENOENT")) return false;
    throw error;
  }
}
