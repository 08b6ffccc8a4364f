/**
 * Removing files of the index: what no head names, and the head itself when the index is not to be believed any more.
 * Under the checkpoint lock. A run that another process is still writing for a merge may be swept; it notices.
 */

import { type Directory, hasCode, type Port } from "../../../fs/port.js";
import { isSummaryRunName, isTemporaryName, summaryIndexName } from "../layout.js";
import type { StoreFiles } from "../store-files.js";
import { headName, type RunInfo, readHead } from "./head.js";

/** Removes what no head names: left by those who died, or gave up. Under the checkpoint lock. */
export function sweepIndex(files: StoreFiles): void {
  const directory = files.openPartIfExists(summaryIndexName);
  if (directory === undefined) return;
  try {
    let runs: readonly RunInfo[] = [];
    try {
      runs = readHead(files.port, directory, files.owner).runs;
    } catch {
      // No index: nothing in here is of use.
    }
    sweep(files.port, directory, runs);
  } finally {
    files.port.closeDirectory(directory);
  }
}

/** The same, where the head is known. */
export function sweep(port: Port, directory: Directory, kept: readonly RunInfo[]): void {
  const named = new Set(kept.map(({ name }) => name));
  for (const batch of port.listInBatches(directory, 512)) {
    for (const { name, kind } of batch) {
      if (kind !== "file" || named.has(name) || !(isSummaryRunName(name) || isTemporaryName(name))) continue;
      unlinkIfThere(port, directory, name);
    }
  }
}

export function unlinkIfThere(port: Port, directory: Directory, name: string): void {
  try {
    port.unlink(directory, name);
  } catch (error) {
    if (!hasCode(error, "ENOENT")) throw error;
  }
}

/**
 * The index is no longer believed: for repairs, which change entry files behind its back. What open processes read
 * already they keep, as they keep the entries in their caches.
 */
export async function dropIndex(files: StoreFiles): Promise<void> {
  const directory = files.openPartIfExists(summaryIndexName);
  if (directory === undefined) return;
  try {
    files.port.unlink(directory, headName);
    // The one thing that must not come back after a power cut: the old head would still fit.
    await files.port.syncDirectory(directory);
  } catch (error) {
    if (!hasCode(error, "ENOENT")) throw error;
  } finally {
    files.port.closeDirectory(directory);
  }
}
