/**
 * The moment of a rollback (steps 3 to 5 in rollback.ts): what lies in the legacy file's place makes way, the marker is
 * written, and the verified export takes the place, all under the gateway's lock, so that a program that still writes the
 * file does so before or after. What it wrote before is looked at once more under the lock, and is in the export.
 *
 * Relies on: the checkpoint lock, the fence, and an export that is on the disk. Promises: after an error the export is not
 * in the place; what made way keeps its content and its new name.
 */

import type { FenceableStore } from "../backends/directory/fence.js";
import type { StoreLocation } from "../backends/directory/layout.js";
import { rollbackMarkerKind } from "../backends/directory/rollback-details.js";
import { SessionStoreError } from "../errors.js";
import { freeBackupName } from "../fs/backup-name.js";
import type { Directory, Port } from "../fs/port.js";
import type { Fingerprint } from "./legacy-file.js";
import { legacyLockWaitMs, underLegacyLock } from "./legacy-lock.js";
import { setVersionsAside } from "./original.js";
import { directoryPathOf, legacyPathOf } from "./result.js";
import type { Beside } from "./rollback-beside.js";
import { type RollbackDetails, writeRollbackMarker } from "./rollback-marker.js";
import type { RollbackResult } from "./rollback-result.js";

/** A verified export: its file's name and what is in it. */
export interface Exported extends Fingerprint {
  readonly name: string;
  readonly sessions: number;
  /** What was taken from a legacy file beside the store. */
  readonly beside: Beside;
  readonly warnings: readonly string[];
}

export interface ExportWork {
  readonly exported: Exported;
  /** Makes and verifies another export. */
  readonly exportWith: (beside: Beside) => Promise<Exported>;
  /** At the legacy file beside the store. */
  readonly look: () => Promise<Beside>;
}

/** Returns what the marker says. `result` is told what had to make way. */
export async function publishExport(
  port: Port,
  parent: Directory,
  location: StoreLocation,
  store: FenceableStore,
  work: ExportWork,
  result: RollbackResult,
): Promise<RollbackDetails> {
  return await underLegacyLock(port, parent, location.legacyName, legacyLockWaitMs, async () => {
    const exported = await bringUpToDate(port, parent, work);
    result.warnings.push(...exported.warnings);
    const details = describe(store, exported, plannedName(port, parent, location));
    await writeRollbackMarker(port, parent, location, details);
    // Not before the marker tells its new name: whoever undoes this puts it back.
    await setLegacyFileAside(port, parent, location, result, details.replacedFile);
    await refuseToReplace(port, parent, location, store, result);
    port.rename(parent, details.exportFile, parent, location.legacyName);
    return details;
  });
}

/** A file that was written since the export was made may hold newer sessions; one that is gone takes none back. */
async function bringUpToDate(
  port: Port,
  parent: Directory,
  { exported, exportWith, look }: ExportWork,
): Promise<Exported> {
  const beside = await look();
  if (beside.sha256 === undefined || beside.sha256 === exported.beside.sha256) return exported;
  const newer = await exportWith(beside);
  port.unlink(parent, exported.name);
  return newer;
}

function plannedName(port: Port, parent: Directory, { legacyName }: StoreLocation): string | undefined {
  if (port.statName(parent, legacyName) === undefined) return undefined;
  return freeBackupName(port, parent, legacyName);
}

/** It is not part of the store, and it is somebody's. */
async function setLegacyFileAside(
  port: Port,
  parent: Directory,
  location: StoreLocation,
  result: RollbackResult,
  planned?: string,
): Promise<void> {
  const { legacyName } = location;
  setVersionsAside(port, parent, legacyName);
  if (port.statName(parent, legacyName) === undefined) return;
  const name = planned ?? freeBackupName(port, parent, legacyName);
  port.rename(parent, legacyName, parent, name);
  await port.syncDirectory(parent);
  const path = legacyPathOf({ ...location, legacyName: name });
  result.replacedFilePath = path;
  result.warnings.push(`${legacyPathOf(location)} was not part of the store; it was renamed to ${path}.`);
}

const replaceAttemptsMax = 5;

/** Right before step 5: an older program may have written the file anew, and a foreign hand moved the directory. */
async function refuseToReplace(
  port: Port,
  parent: Directory,
  location: StoreLocation,
  store: FenceableStore,
  result: RollbackResult,
): Promise<void> {
  for (let attempt = 0; port.statName(parent, location.legacyName); attempt += 1) {
    if (attempt >= replaceAttemptsMax) throw keepsComing(location);
    await setLegacyFileAside(port, parent, location, result);
  }
  if (store.files.isInPlace()) return;
  throw new SessionStoreError("store_gone", "the store directory was moved, replaced or deleted", {
    operation: "roll back",
    path: directoryPathOf(location),
    nextStep: "Find out who moved it, put it back, then try again.",
  });
}

function describe({ files, lastVersion }: FenceableStore, exported: Exported, replacedFile: string | undefined) {
  const { port, parent, location, manifest } = files;
  const { legacyName, directoryName } = location;
  const backup = freeBackupName(port, parent, directoryName);
  const details: RollbackDetails = {
    kind: rollbackMarkerKind,
    note:
      `The store ${directoryName} was rolled back: its sessions are in ${legacyName}, and the directory as it was is ${backup}. ` +
      `As long as this file is here, nothing migrates ${legacyName} again by itself; "sessiondir migrate --force" does.`,
    rolledBackAt: new Date(port.nowMs()).toISOString(),
    sessions: exported.sessions,
    legacyFile: legacyName,
    backupDirectory: backup,
    replacedFile,
    legacyBytes: exported.sizeBytes,
    legacySha256: exported.sha256,
    storeId: manifest.storeId,
    incarnation: manifest.incarnation,
    lastVersion,
    exportFile: exported.name,
  };
  return details;
}

function keepsComing(location: StoreLocation): SessionStoreError {
  return new SessionStoreError("io_error", "another program writes the legacy file again and again", {
    operation: "roll back",
    path: legacyPathOf(location),
    onDisk: "The directory store is as it was; what that program wrote was renamed to .bak.<time>.",
    nextStep: "Stop that program, then try again.",
  });
}
