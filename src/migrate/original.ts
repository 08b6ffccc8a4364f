/**
 * What becomes of a legacy file once the directory store holds its sessions: it is renamed to `<name>.json.bak.<ms>` -
 * if it still has exactly the content that was taken. Nothing is deleted, and a backup that is there is never overwritten.
 */

import type { StoreLocation } from "../backends/directory/layout.js";
import type { Provenance } from "../backends/directory/manifest.js";
import { versionsName } from "../backends/json/layout.js";
import { SessionStoreError } from "../errors.js";
import { freeBackupName } from "../fs/backup-name.js";
import { type Directory, hasCode, type Port } from "../fs/port.js";
import { isSameFile } from "../fs/stable-file.js";
import { compareLegacyFile, type Fingerprint } from "./legacy-file.js";
import { underLegacyLock } from "./legacy-lock.js";
import { legacyPathOf } from "./result.js";

export type SetAside =
  | { readonly state: "renamed"; readonly backupName: string; readonly backupPath: string }
  /** Somebody who takes no lock wrote to it between the last look and the rename: the backup holds that. */
  | { readonly state: "replaced"; readonly backupName: string; readonly backupPath: string }
  | { readonly state: "missing" }
  | { readonly state: "different" }
  /** The lock of the gateway could not be had in time. */
  | { readonly state: "busy"; readonly warning: string }
  | { readonly state: "failed"; readonly warning: string };

/**
 * Only under the checkpoint lock; takes the lock of the gateway for the last look and the rename. The store is complete
 * and durable already, so trouble here is only a warning: the file stays, and the next opening deals with it. Waits for
 * the lock for up to `waitMs`, or has it already ("held").
 */
export async function setOriginalAside(
  port: Port,
  parent: Directory,
  location: StoreLocation,
  expected: Fingerprint,
  waitMs: number | "held",
): Promise<SetAside> {
  const { legacyName } = location;
  // Of a file that is not there, or not the one, nobody needs to wait for the lock.
  if (port.statName(parent, legacyName) === undefined) return { state: "missing" };
  try {
    const work = async (): Promise<SetAside> => {
      const before = port.statName(parent, legacyName);
      const found = compareLegacyFile(port, parent, legacyName, expected);
      if (before === undefined || found === "missing") return { state: "missing" };
      if (found === "different") return { state: "different" };
      setVersionsAside(port, parent, legacyName);
      const name = freeBackupName(port, parent, legacyName);
      port.rename(parent, legacyName, parent, name);
      const isTheSame = isSameFile(before, port.statName(parent, name));
      await port.syncDirectory(parent);
      const backupPath = legacyPathOf({ ...location, legacyName: name });
      return { state: isTheSame ? "renamed" : "replaced", backupName: name, backupPath };
    };
    return await (waitMs === "held" ? work() : underLegacyLock(port, parent, legacyName, waitMs, work));
  } catch (error) {
    const state = hasCode(error, "lock_timeout") ? "busy" : "failed";
    return { state, warning: cannotRename(error, location) };
  }
}

/**
 * What the json backend knew about the file that goes: its versions and its rotations. It is of no use to the next file
 * of that name. Renamed before the file itself: without it the json backend only gives out new versions.
 */
export function setVersionsAside(port: Port, parent: Directory, legacyName: string): void {
  const name = versionsName(legacyName);
  if (port.statName(parent, name) === undefined) return;
  port.rename(parent, name, parent, freeBackupName(port, parent, name));
}

export function fingerprintOf(provenance: Pick<Provenance, "sourceBytes" | "sourceSha256">): Fingerprint {
  return { sizeBytes: provenance.sourceBytes, sha256: provenance.sourceSha256 };
}

function cannotRename(error: unknown, location: StoreLocation): string {
  const isDenied = hasCode(error, "EACCES", "EPERM", "EROFS");
  const message = error instanceof SessionStoreError ? error.problem : (error as Error).message;
  const why = isDenied ? "permission denied" : message;
  return `${legacyPathOf(location)} was taken over but cannot be renamed yet (${why}). The store is complete; the next opening tries again.`;
}
