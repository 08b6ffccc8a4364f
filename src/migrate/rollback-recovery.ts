/**
 * What becomes of a rollback that was interrupted: whoever next opens the store for writing, or rolls back again, finds
 * the fence and settles it (P20), under the checkpoint lock, so never while the rollback is alive.
 *
 * The rollback has happened once its export lies in the legacy file's place: the marker of this very fence is there and
 * the temporary file that it names is not. Then it is *finished*: the directory is renamed aside, and the legacy file -
 * which a gateway may have written to since - is authoritative. Otherwise nobody has used the export, and the rollback
 * is *undone*: what made way for the export is put back, then marker, export, fence go, in this order, so that a crash in
 * between is again an interrupted rollback that has not happened. Only what the rollback itself made is removed; the
 * directory has every commit.
 *
 * Finishing instead of undoing would mean to export again - which may fail for the reason why it failed before, and
 * then the store could not be opened at all.
 */

import { FenceableStore } from "../backends/directory/fence.js";
import { lockNames, rollbackMarkerName, type StoreLocation } from "../backends/directory/layout.js";
import { underLock } from "../backends/directory/under-lock.js";
import type { Logger } from "../contract.js";
import { freeBackupName } from "../fs/backup-name.js";
import { type Directory, hasCode, type Port } from "../fs/port.js";
import { fixedLimits, type Limits } from "../limits.js";
import { directoryPathOf, legacyPathOf } from "./result.js";
import {
  hasRollbackMarker,
  listRollbackLeftovers,
  type RollbackDetails,
  readRollbackMarker,
} from "./rollback-marker.js";

export type FenceOutcome =
  /** There is no directory. */
  | { readonly state: "absent" }
  /** There is no fence. */
  | { readonly state: "live" }
  | { readonly state: "undone" }
  | { readonly state: "finished"; readonly backupName: string; readonly marker: RollbackDetails | undefined };

/** A rollback may begin again behind each fence that was settled. */
const settledFencesMax = 5;

/** Opens a store; where an opening for writing meets a fence, settles it and opens what is there then. */
export async function openPastFence<Opened>(
  port: Port,
  location: StoreLocation,
  options: { readonly readOnly: boolean; readonly limits: Readonly<Limits>; readonly logger: Logger | undefined },
  open: () => Promise<Opened>,
): Promise<Opened> {
  for (let settled = 0; ; settled += 1) {
    try {
      return await open();
    } catch (error) {
      // A reader changes nothing: it is told to open the store for writing.
      if (!hasCode(error, "store_fenced") || options.readOnly || settled >= settledFencesMax) throw error;
    }
    await settleFence(port, location, options.limits, options.logger);
  }
}

/** For an opening that met a fence: waits for a rollback at work, and settles what one left. */
export async function settleFence(
  port: Port,
  location: StoreLocation,
  limits: Readonly<Limits>,
  logger: Logger | undefined,
): Promise<void> {
  const parent = port.openRoot(location.parentPath);
  try {
    await underCheckpointLock(port, parent, location, async () => {
      const { state } = await settleUnderLock(port, parent, location, limits);
      if (state === "undone") {
        logger?.warn("a rollback, or a restore, was interrupted before it took the store's place; it was undone", {
          path: directoryPathOf(location),
        });
      } else if (state === "finished") {
        logger?.warn("a rollback was interrupted; it was finished, and the sessions are in the legacy file", {
          path: legacyPathOf(location),
        });
      }
    });
  } finally {
    port.closeDirectory(parent);
  }
}

/** What `settleFence` would do, without changing anything or waiting. */
export function predictSettling(
  port: Port,
  location: StoreLocation,
  limits: Readonly<Limits>,
): "live" | "undone" | "finished" {
  const parent = port.openRoot(location.parentPath);
  try {
    const store = FenceableStore.open(port, location, true, limits);
    try {
      if (!store.isFenced) return "live";
      return isPublished(port, parent, location, store) ? "finished" : "undone";
    } finally {
      store.close();
    }
  } finally {
    port.closeDirectory(parent);
  }
}

/** The same as `settleFence`, for who holds the checkpoint lock. */
export async function settleUnderLock(
  port: Port,
  parent: Directory,
  location: StoreLocation,
  limits: Readonly<Limits>,
): Promise<FenceOutcome> {
  let store: FenceableStore;
  try {
    store = FenceableStore.open(port, location, false, limits);
  } catch (error) {
    if (hasCode(error, "ENOENT")) return { state: "absent" };
    throw error;
  }
  try {
    if (!store.isFenced) return { state: "live" };
    if (!isPublished(port, parent, location, store)) {
      await undoRollback(port, parent, location, store);
      return { state: "undone" };
    }
    const marker = readRollbackMarker(port, parent, location);
    return { state: "finished", marker, backupName: await moveDirectoryAside(port, parent, location, marker) };
  } finally {
    store.close();
  }
}

/**
 * Whether the export of this fence lies in the legacy file's place. A marker that cannot be read is taken at its word
 * as far as the rest agrees: nothing is lost either way, since the directory is only renamed.
 */
export function isPublished(port: Port, parent: Directory, location: StoreLocation, store: FenceableStore): boolean {
  if (!hasRollbackMarker(port, parent, location)) return false;
  if (port.statName(parent, location.legacyName) === undefined) return false;
  const marker = readRollbackMarker(port, parent, location);
  if (marker === undefined) return listRollbackLeftovers(port, parent, location).length === 0;
  return isOfThisFence(marker, store) && port.statName(parent, marker.exportFile) === undefined;
}

/** The last step: the export is in place and durable, so the directory goes. Returns its new name. */
export async function moveDirectoryAside(
  port: Port,
  parent: Directory,
  location: StoreLocation,
  marker: RollbackDetails | undefined,
): Promise<string> {
  // Whoever put the export in place may have died before this.
  await port.syncDirectory(parent);
  const planned = marker?.backupDirectory;
  const isFree = planned !== undefined && port.statName(parent, planned) === undefined;
  const name = isFree ? planned : freeBackupName(port, parent, location.directoryName);
  port.rename(parent, location.directoryName, parent, name);
  await port.syncDirectory(parent);
  return name;
}

/** Gives the rollback up. Each step is durable before the next one begins. */
export async function undoRollback(
  port: Port,
  parent: Directory,
  location: StoreLocation,
  store: FenceableStore,
): Promise<void> {
  await putLegacyFileBack(port, parent, location, store);
  if (hasRollbackMarker(port, parent, location)) {
    port.unlink(parent, rollbackMarkerName(location.directoryName));
    await port.syncDirectory(parent);
  }
  const leftovers = listRollbackLeftovers(port, parent, location);
  for (const name of leftovers) port.unlink(parent, name);
  if (leftovers.length > 0) await port.syncDirectory(parent);
  await store.lift();
}

/** What an older program wrote and nobody has merged: in its place the next opening finds it. */
async function putLegacyFileBack(
  port: Port,
  parent: Directory,
  location: StoreLocation,
  store: FenceableStore,
): Promise<void> {
  const { legacyName } = location;
  const marker = readRollbackMarker(port, parent, location);
  const name = marker?.replacedFile;
  if (marker === undefined || name === undefined || !isOfThisFence(marker, store)) return;
  // The marker may have been edited: nothing but a backup of this very file.
  const isBackup = name.startsWith(`${legacyName}.bak.`) && /^\d+$/.test(name.slice(legacyName.length + 5));
  if (!isBackup || port.statName(parent, name)?.kind !== "file") return;
  if (port.statName(parent, legacyName) !== undefined) return;
  port.rename(parent, name, parent, legacyName);
  await port.syncDirectory(parent);
}

function isOfThisFence(marker: RollbackDetails, store: FenceableStore): boolean {
  return marker.incarnation === store.files.manifest.incarnation && marker.lastVersion === store.lastVersion;
}

/** Nobody creates, migrates, checkpoints or rolls back meanwhile. */
export function underCheckpointLock<Result>(
  port: Port,
  parent: Directory,
  location: StoreLocation,
  work: () => Promise<Result>,
): Promise<Result> {
  const { checkpoint } = lockNames(location.directoryName);
  const wait = { operation: "wait for a rollback or a checkpoint", waitMs: fixedLimits.lockWaitMsMax };
  return underLock(port, parent, checkpoint, wait, work);
}
