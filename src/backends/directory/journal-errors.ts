/** What can be wrong with the journal as a whole; the same words wherever it is found. */

import path from "node:path";
import { SessionStoreError } from "../../errors.js";
import { parseReadyName } from "./layout.js";
import { readRollbackDetails } from "./rollback-details.js";
import type { StoreFiles } from "./store-files.js";

export function damagedJournal(files: StoreFiles, problem: string, onDisk: string): SessionStoreError {
  return new SessionStoreError("store_damaged", problem, {
    operation: "read the journal",
    path: files.journal.displayPath,
    onDisk,
    nextStep: "Run `sessiondir verify` to see the damage and `sessiondir repair` to salvage what can be.",
  });
}

export function foreignSegment(files: StoreFiles): SessionStoreError {
  return damagedJournal(
    files,
    "a segment belongs to another store or an earlier life of this one",
    "It was put here by a copy or restore.",
  );
}

/** P20: says where the sessions are now, as far as can be seen. */
export function storeFenced(files: StoreFiles): SessionStoreError {
  const legacyPath = path.join(files.location.parentPath, files.location.legacyName);
  const directoryPath = path.join(files.location.parentPath, files.location.directoryName);
  const reopen = `Close this store and open it again by the path ${legacyPath}`;
  if (files.isInPlace() && isRestored(files)) {
    return new SessionStoreError(
      "store_fenced",
      "a backup is being restored in the place of this store, which is closed for reading and writing",
      {
        path: directoryPath,
        onDisk:
          "Every acknowledged commit is kept: this directory will be renamed aside. Nothing was written behind the fence.",
        nextStep: `${reopen}: for writing, that waits for the restore, and undoes one that was interrupted, as restoring again does.`,
      },
    );
  }
  if (files.isInPlace()) {
    return new SessionStoreError(
      "store_fenced",
      "the store is being rolled back to its legacy file and is closed for reading and writing",
      {
        path: directoryPath,
        onDisk: `Every acknowledged commit is kept: it will be in ${legacyPath}. Nothing was written behind the fence.`,
        nextStep: `${reopen}: for writing, that waits for the rollback, and finishes or undoes one that was interrupted, as \`sessiondir rollback\` does.`,
      },
    );
  }
  if (files.port.statName(files.parent, files.location.directoryName) !== undefined) {
    return new SessionStoreError(
      "store_fenced",
      "another store, restored from a backup, was put in the place of this one",
      {
        path: directoryPath,
        onDisk:
          "The directory of this store was renamed aside with every acknowledged commit; nothing is written to it any more.",
        nextStep: "Close this store and open it again.",
      },
    );
  }
  const backupName = readRollbackDetails(files.port, files.parent, files.location.directoryName)?.backupDirectory;
  const backup = backupName === undefined ? "aside" : `to ${path.join(files.location.parentPath, backupName)}`;
  return new SessionStoreError("store_fenced", `the store was rolled back: its sessions are in ${legacyPath} now`, {
    path: directoryPath,
    onDisk: `Every acknowledged commit is in that file. The directory was renamed ${backup}, and nothing is written to it any more.`,
    nextStep: `${reopen}. To have a directory store again: sessiondir migrate --force.`,
  });
}

/** A restore builds its store before it raises the fence; a rollback builds none. */
function isRestored({ port, parent, location: { directoryName } }: StoreFiles): boolean {
  for (const batch of port.listInBatches(parent, 512)) {
    if (batch.some(({ name }) => parseReadyName(directoryName, name) !== undefined)) return true;
  }
  return false;
}

export function storeGone(files: StoreFiles): SessionStoreError {
  return new SessionStoreError("store_gone", "the store directory was moved, replaced or deleted", {
    path: files.store.displayPath,
    onDisk: "Nothing was written to what lies there now.",
    nextStep: "Open the store again where it is now.",
  });
}
