/**
 * What lies beside a store's place while a store is made: staging trees, and the complete store that waits for a
 * directory to make way. Names that are free, looking for what the dead left, and removing it.
 *
 * Relies on: the caller holds the checkpoint lock (not for looking only), so what is there was left by somebody who died.
 * Promises: only trees that carry our names are removed, without following links, and never one that is the store itself:
 * a file system that does not rename in one step may show one directory under both names after a power loss.
 */

import { SessionStoreError } from "../../errors.js";
import { type Directory, hasCode, type Port } from "../../fs/port.js";
import * as layout from "./layout.js";

export interface AsideNames {
  /** Of the complete store that waits. */
  readonly ready: string;
  /** Of the directory that makes way for it. */
  readonly aside: string;
}

/** Names that nothing has yet, of this time or of the next millisecond that is free. */
export function freeAsideNames(
  port: Port,
  parent: Directory,
  directoryName: string,
  kind: layout.AsideKind,
): AsideNames {
  for (let timeMs = Math.floor(port.nowMs()); ; timeMs += 1) {
    const aside = layout.asideName(directoryName, kind, timeMs);
    if (port.statName(parent, aside) === undefined)
      return { aside, ready: layout.readyName(directoryName, kind, timeMs) };
  }
}

/**
 * A complete store whose maker died after the directory at its place was renamed aside. Lists the parent, so it is for
 * those who found nothing at the place. Read-only.
 */
export function findReadyStore(port: Port, parent: Directory, location: layout.StoreLocation): string | undefined {
  for (const batch of port.listInBatches(parent, 512)) {
    for (const { name, kind } of batch) {
      const aside = kind === "directory" ? layout.parseReadyName(location.directoryName, name) : undefined;
      if (aside !== undefined && port.statName(parent, aside) !== undefined) return name;
    }
  }
  return undefined;
}

/**
 * Removes the trees that were left by the dead, those that `isLeftover` picks by their names. Durably: a store that appears
 * later must not have one of them beside it again after a power loss, because nobody looks for them beside a store.
 */
export async function removeLeftovers(
  port: Port,
  parent: Directory,
  location: layout.StoreLocation,
  isLeftover: (name: string) => boolean = () => true,
): Promise<void> {
  const found: string[] = [];
  for (const batch of port.listInBatches(parent, 512)) {
    for (const { name, kind } of batch) {
      const isOurs = layout.parseStagingName(location.directoryName, name) !== undefined;
      if (kind === "directory" && isOurs && isLeftover(name)) found.push(name);
    }
  }
  const leftovers = found.filter((name) => !isTheStore(port, parent, location, name));
  for (const name of leftovers) removeTree(port, parent, name);
  if (leftovers.length > 0) await port.syncDirectory(parent);
}

function isTheStore(port: Port, parent: Directory, { directoryName }: layout.StoreLocation, name: string): boolean {
  const store = port.statName(parent, directoryName);
  const there = port.statName(parent, name);
  return store !== undefined && store.inode === there?.inode && store.device === there.device;
}

/** A failed creation leaves nothing behind - a full disk would stay full. What cannot be removed, the next one removes. */
export function removeTreeBestEffort(port: Port, parent: Directory, name: string): void {
  try {
    removeTree(port, parent, name);
  } catch {
    // The error that made us give up is the one to report.
  }
}

/** A folder around the store, the store, `entries/`, its shards. */
const levelsMax = 4;

/** Removes a tree that we made ourselves, without following links, no deeper than we ever build one. */
export function removeTree(port: Port, parent: Directory, name: string, levels = levelsMax): void {
  const directory = port.openDirectory(parent, name);
  try {
    for (const entry of port.list(directory, Number.POSITIVE_INFINITY)) {
      if (entry.kind === "directory" && levels > 0) removeTree(port, directory, entry.name, levels - 1);
      else port.unlink(directory, entry.name);
    }
  } finally {
    port.closeDirectory(directory);
  }
  try {
    port.removeDirectory(parent, name);
  } catch (error) {
    if (!hasCode(error, "ENOENT")) {
      throw new SessionStoreError("io_error", "a leftover staging directory cannot be removed", {
        path: `${parent.displayPath}/${name}`,
        nextStep: "Move it away.",
        cause: error,
      });
    }
  }
}
