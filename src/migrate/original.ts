/**
 * What becomes of the legacy file once the directory store is authoritative: the file that was taken over - known by
 * its content - is renamed to `<name>.json.bak.<ms>`; any other one is left alone and reported. Nothing is deleted, and
 * a backup that is there is never overwritten.
 */

import { lockNames, type StoreLocation } from "../backends/directory/layout.js";
import { LockFile } from "../backends/directory/lock-file.js";
import type { Manifest, Provenance } from "../backends/directory/manifest.js";
import type { Logger } from "../contract.js";
import { type Directory, hasCode, type Port } from "../fs/port.js";
import { isSameFile } from "../fs/stable-file.js";
import { fixedLimits } from "../limits.js";
import { compareLegacyFile, type Fingerprint } from "./legacy-file.js";
import { legacyPathOf } from "./result.js";

export interface SetAside {
  readonly backupPath?: string;
  readonly warning?: string;
}

/**
 * For opening an existing store beside which a legacy file lies: finishes a take-over that a crash interrupted, and
 * warns of a file that was never taken over. Not for readers, which change nothing. Never fails an opening: what could
 * not be finished now is finished by a later one.
 */
export async function finishTakeOver(
  port: Port,
  location: StoreLocation,
  manifest: Manifest,
  logger?: Logger,
): Promise<SetAside> {
  const done = await finish(port, location, manifest).catch(
    (error: unknown): SetAside => ({
      warning: cannotRename(error, location),
    }),
  );
  const path = legacyPathOf(location);
  if (done.warning !== undefined) logger?.warn(done.warning, { path });
  if (done.backupPath !== undefined) {
    logger?.info?.("finished an interrupted take-over: the original was renamed", {
      path,
      backupPath: done.backupPath,
    });
  }
  return done;
}

async function finish(port: Port, location: StoreLocation, manifest: Manifest): Promise<SetAside> {
  const parent = port.openRoot(location.parentPath);
  try {
    const now = predictSetAside(port, parent, location, manifest);
    if (now !== "rename") return now;
    const lock = LockFile.open(port, parent, lockNames(location.directoryName).checkpoint, { uid: port.userId }, false);
    try {
      const deadlineMs = port.monotonicMs() + fixedLimits.lockWaitMsDefault;
      while (!lock.tryExclusiveChecked()) {
        // Somebody writes a checkpoint, or is just doing what we want to do.
        if (port.monotonicMs() >= deadlineMs) return {};
        await port.sleep(5);
      }
      try {
        return await setOriginalAside(port, parent, location, manifest.migration as Provenance);
      } finally {
        lock.release();
      }
    } finally {
      lock.close();
    }
  } finally {
    port.closeDirectory(parent);
  }
}

/** What `finishTakeOver` will do, found without changing anything. */
export function predictSetAside(
  port: Port,
  parent: Directory,
  location: StoreLocation,
  manifest: Manifest,
): "rename" | SetAside {
  if (port.statName(parent, location.legacyName) === undefined) return {};
  if (manifest.migration === null) return { warning: ignored(location) };
  switch (compareLegacyFile(port, parent, location.legacyName, fingerprintOf(manifest.migration))) {
    case "same":
      return "rename";
    case "missing":
      return {};
    default:
      return { warning: ignored(location) };
  }
}

/** Only under the checkpoint lock. The store is complete and durable already, so trouble here is only a warning. */
export async function setOriginalAside(
  port: Port,
  parent: Directory,
  location: StoreLocation,
  provenance: Provenance,
): Promise<SetAside> {
  const { legacyName } = location;
  try {
    const before = port.statName(parent, legacyName);
    const found = compareLegacyFile(port, parent, legacyName, fingerprintOf(provenance));
    if (before === undefined || found === "missing") return {};
    if (found === "different") return { warning: ignored(location) };
    const backupName = freeBackupName(port, parent, legacyName);
    port.rename(parent, legacyName, parent, backupName);
    const backupPath = legacyPathOf({ ...location, legacyName: backupName });
    const replaced = !isSameFile(before, port.statName(parent, backupName));
    await port.syncDirectory(parent);
    return replaced ? { backupPath, warning: replacedAtLast(backupPath) } : { backupPath };
  } catch (error) {
    return { warning: cannotRename(error, location) };
  }
}

function freeBackupName(port: Port, parent: Directory, legacyName: string): string {
  for (let ms = Math.max(0, Math.floor(port.nowMs())); ; ms += 1) {
    const name = `${legacyName}.bak.${ms}`;
    if (port.statName(parent, name) === undefined) return name;
  }
}

function fingerprintOf(provenance: Provenance): Fingerprint {
  return { sizeBytes: provenance.sourceBytes, sha256: provenance.sourceSha256 };
}

function ignored(location: StoreLocation): string {
  return (
    `${legacyPathOf(location)} is ignored: the sessions are in ${location.directoryName}, and this file is not the one that was taken over. ` +
    `It was left as it is. Perhaps an older program still writes to it: stop that program, look at what the file holds, then move it away.`
  );
}

function replacedAtLast(backupPath: string): string {
  return `${backupPath} was written to at the last moment and may hold changes that were not taken over: compare it with the store.`;
}

function cannotRename(error: unknown, location: StoreLocation): string {
  const why = hasCode(error, "EACCES", "EPERM", "EROFS") ? "permission denied" : (error as Error).message;
  return `${legacyPathOf(location)} was taken over but cannot be renamed yet (${why}). The store is complete; the next opening tries again.`;
}
