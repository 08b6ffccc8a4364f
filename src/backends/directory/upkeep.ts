/**
 * Work on a store that neither a checkpoint nor a rollback may meet: under the checkpoint lock, and only while the store
 * lies at its path and is not fenced. Commits go on meanwhile.
 */

import type { FrozenEntry } from "../../contract.js";
import { SessionStoreError } from "../../errors.js";
import type { Directory } from "../../fs/port.js";
import { jsonEqual } from "../../sessions/json-equal.js";
import { sweepTemporaryFiles } from "./checkpoint.js";
import { writeTemporaryFile } from "./entries/entry-file.js";
import { formatTrashFile, readTrashFileIfExists } from "./entries/trash-file.js";
import { storeGone } from "./journal-errors.js";
import * as layout from "./layout.js";
import { LockFile } from "./lock-file.js";
import type { StoreFiles } from "./store-files.js";
import { originStamp } from "./version.js";
import type { View } from "./view.js";

/** A checkpoint is waited for so long. */
const lockWaitMs = 60_000;

/** Throws `lock_timeout`, `store_gone`, `store_fenced`, and what `work` throws. */
export async function underCheckpointLock<Result>(
  files: StoreFiles,
  view: View,
  operation: string,
  work: (files: StoreFiles) => Promise<Result>,
): Promise<Result> {
  const { port } = files;
  const name = layout.lockNames(files.location.directoryName).checkpoint;
  const lock = LockFile.open(port, files.parent, name, files.owner, false);
  try {
    const deadlineMs = port.monotonicMs() + lockWaitMs;
    while (!lock.tryExclusiveChecked()) {
      if (port.monotonicMs() >= deadlineMs) throw lock.timeoutError(operation, lockWaitMs);
      await port.sleep(5);
    }
    try {
      view.refresh();
      if (!files.isInPlace()) throw storeGone(files);
      return await marked(files, work);
    } finally {
      lock.release();
    }
  } finally {
    lock.close();
  }
}

/** Like a checkpoint: the marker says that temporary files may be there, and who finds it sweeps them first. */
async function marked<Result>(files: StoreFiles, work: (files: StoreFiles) => Promise<Result>): Promise<Result> {
  const { port, store } = files;
  if (port.statName(store, layout.checkpointMarkerName) !== undefined) sweepTemporaryFiles(files);
  else port.close(port.open(store, layout.checkpointMarkerName, "create"));
  const result = await work(files);
  port.unlink(store, layout.checkpointMarkerName);
  return result;
}

/** An entry that never was the session's state here, but must not be lost: the loser of a merge. */
export interface LostEntry {
  readonly key: string;
  readonly entry: FrozenEntry;
  readonly actor: string;
  readonly reason: string;
}

/**
 * Writes them to trash/, durably. No commit removed them, so their files have the version 0. What is there already is not
 * kept twice, so that this may be done again after a crash. Only under the checkpoint lock.
 */
export async function keepInTrash(files: StoreFiles, lost: readonly LostEntry[]): Promise<void> {
  if (lost.length === 0) return;
  const { port } = files;
  const trash = files.openOrMakePart(layout.trashName);
  try {
    const kept = listKept(files, trash);
    for (const { key, entry, actor, reason } of lost) {
      const entryName = files.entries.fileName(key);
      const names = kept.get(entryName) ?? [];
      if (names.some((name) => jsonEqual(readKept(files, trash, name), entry))) continue;
      let timeMs = port.nowMs();
      while (port.statName(trash, layout.trashFileName(timeMs, 0, entryName)) !== undefined) timeMs += 1;
      const name = layout.trashFileName(timeMs, 0, entryName);
      const state = { ...originStamp, entry };
      const removal = { type: "remove", key, ...originStamp, timeMs, actor, reason, purge: false } as const;
      const temporary = layout.temporaryName(port.randomBytes(16));
      await writeTemporaryFile(port, trash, temporary, formatTrashFile({ state, removal }));
      port.rename(trash, temporary, trash, name);
      kept.set(entryName, [...names, name]);
    }
    await port.syncDirectory(trash);
  } finally {
    port.closeDirectory(trash);
  }
  await port.syncDirectory(files.store);
}

/** The files of version 0, by the entry file name in theirs. */
function listKept(files: StoreFiles, trash: Directory): Map<string, string[]> {
  const kept = new Map<string, string[]>();
  for (const batch of files.port.listInBatches(trash, 512)) {
    for (const { name, kind } of batch) {
      const match = kind === "file" ? /^\d{1,16}-0-(session-.+\.json)$/.exec(name) : null;
      if (match === null) continue;
      const names = kept.get(match[1] as string);
      if (names) names.push(name);
      else kept.set(match[1] as string, [name]);
    }
  }
  return kept;
}

/** What cannot be read is not the entry that we look for. */
function readKept(files: StoreFiles, trash: Directory, name: string): FrozenEntry | undefined {
  try {
    return readTrashFileIfExists(files, trash, name)?.entry;
  } catch (error) {
    if (error instanceof SessionStoreError && error.code === "entry_damaged") return undefined;
    throw error;
  }
}
