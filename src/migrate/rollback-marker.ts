/**
 * The marker that a rollback leaves beside the legacy file: from then on nothing migrates that file by itself, until
 * `sessiondir migrate --force` sets the marker aside. Small pretty JSON, so that a person who finds it learns what it is.
 *
 * It is written before the export takes the legacy file's place, and names the export's temporary file: as long as that
 * file is there, the rollback has not happened, whatever else lies around.
 */

import {
  isRollbackExportName,
  rollbackMarkerName,
  rollbackMarkerTemporaryName,
  type StoreLocation,
} from "../backends/directory/layout.js";
import { type RollbackDetails, readRollbackDetails } from "../backends/directory/rollback-details.js";
import { freeBackupName } from "../fs/backup-name.js";
import { writeNewFile } from "../fs/checked-file.js";
import type { Directory, Port } from "../fs/port.js";

export type { RollbackDetails } from "../backends/directory/rollback-details.js";

/** Whether a rollback has been here: an existing marker counts, whatever it holds. */
export function hasRollbackMarker(port: Port, parent: Directory, location: StoreLocation): boolean {
  return port.statName(parent, rollbackMarkerName(location.directoryName)) !== undefined;
}

/** What the marker says; `undefined` when there is none, or it cannot be read. */
export function readRollbackMarker(
  port: Port,
  parent: Directory,
  location: StoreLocation,
): RollbackDetails | undefined {
  return readRollbackDetails(port, parent, location.directoryName);
}

/** Writes the marker whole and durably. Only under the checkpoint lock, when there is none. */
export async function writeRollbackMarker(
  port: Port,
  parent: Directory,
  location: StoreLocation,
  details: RollbackDetails,
): Promise<void> {
  const temporary = rollbackMarkerTemporaryName(location.directoryName);
  const text = `${JSON.stringify(details, undefined, 2)}\n`;
  // Left behind by somebody who died: it was never a marker.
  if (port.statName(parent, temporary)) port.unlink(parent, temporary);
  const file = writeNewFile(port, parent, temporary, Buffer.from(text, "utf8"));
  try {
    await port.syncFile(file);
  } finally {
    port.close(file);
  }
  port.rename(parent, temporary, parent, rollbackMarkerName(location.directoryName));
  await port.syncDirectory(parent);
}

/** Renames the marker aside, durably: the store may be migrated again. Says where it is now, if there was one. */
export async function setRollbackMarkerAside(
  port: Port,
  parent: Directory,
  location: StoreLocation,
): Promise<string | undefined> {
  if (!hasRollbackMarker(port, parent, location)) return undefined;
  const name = rollbackMarkerName(location.directoryName);
  const aside = freeBackupName(port, parent, name);
  port.rename(parent, name, parent, aside);
  await port.syncDirectory(parent);
  return aside;
}

/** Exports and markers that never took their place; under the checkpoint lock, those of the dead. */
export function listRollbackLeftovers(port: Port, parent: Directory, location: StoreLocation): string[] {
  const found: string[] = [];
  const isLeftover = (name: string) =>
    isRollbackExportName(location.legacyName, name) || name === rollbackMarkerTemporaryName(location.directoryName);
  for (const batch of port.listInBatches(parent, 512)) {
    for (const { name, kind } of batch) if (kind === "file" && isLeftover(name)) found.push(name);
  }
  return found;
}
