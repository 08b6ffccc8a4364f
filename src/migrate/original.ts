/**
 * What becomes of a legacy file once the directory store holds its sessions: it is renamed to `<name>.json.bak.<ms>` -
 * if it still has exactly the content that was taken. Nothing is deleted, and a backup that is there is never overwritten.
 */

import { backupName, type StoreLocation } from "../backends/directory/layout.js";
import type { Provenance } from "../backends/directory/manifest.js";
import { type Directory, hasCode, type Port } from "../fs/port.js";
import { isSameFile } from "../fs/stable-file.js";
import { compareLegacyFile, type Fingerprint } from "./legacy-file.js";
import { legacyPathOf } from "./result.js";

export type SetAside =
  | { readonly state: "renamed"; readonly backupName: string; readonly backupPath: string }
  /** It was written to after the last look and before the rename: what the backup holds is not what was taken. */
  | { readonly state: "replaced"; readonly backupName: string; readonly backupPath: string }
  | { readonly state: "missing" }
  | { readonly state: "different" }
  | { readonly state: "failed"; readonly warning: string };

/** Only under the checkpoint lock. The store is complete and durable already, so trouble here is only a warning. */
export async function setOriginalAside(
  port: Port,
  parent: Directory,
  location: StoreLocation,
  expected: Fingerprint,
): Promise<SetAside> {
  const { legacyName } = location;
  try {
    const before = port.statName(parent, legacyName);
    const found = compareLegacyFile(port, parent, legacyName, expected);
    if (before === undefined || found === "missing") return { state: "missing" };
    if (found === "different") return { state: "different" };
    const name = freeBackupName(port, parent, legacyName);
    port.rename(parent, legacyName, parent, name);
    const isTheSame = isSameFile(before, port.statName(parent, name));
    await port.syncDirectory(parent);
    const backupPath = legacyPathOf({ ...location, legacyName: name });
    return { state: isTheSame ? "renamed" : "replaced", backupName: name, backupPath };
  } catch (error) {
    return { state: "failed", warning: cannotRename(error, location) };
  }
}

export function freeBackupName(port: Port, parent: Directory, name: string): string {
  for (let timeMs = port.nowMs(); ; timeMs += 1) {
    const backup = backupName(name, timeMs);
    if (port.statName(parent, backup) === undefined) return backup;
  }
}

export function fingerprintOf(provenance: Pick<Provenance, "sourceBytes" | "sourceSha256">): Fingerprint {
  return { sizeBytes: provenance.sourceBytes, sha256: provenance.sourceSha256 };
}

function cannotRename(error: unknown, location: StoreLocation): string {
  const why = hasCode(error, "EACCES", "EPERM", "EROFS") ? "permission denied" : (error as Error).message;
  return `${legacyPathOf(location)} was taken over but cannot be renamed yet (${why}). The store is complete; the next opening tries again.`;
}
