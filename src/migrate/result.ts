/** What became of one store: an outcome and figures, never an exception for input that cannot be taken over. */

import path from "node:path";
import type { StoreLocation } from "../backends/directory/layout.js";
import type { SessionStoreErrorCode } from "../errors.js";

export type MigrationOutcome =
  /** Sessions of the legacy file - or of a directory in OpenClaw's layout - are now in the directory store. */
  | "migrated"
  /** There is a directory store already, and nothing of a legacy file beside it is newer. */
  | "already_directory"
  /** The legacy file is `{}`, or holds nothing but `null` and the like: nothing to do. */
  | "skipped_empty"
  /** The legacy file cannot be taken over; `error` says why. Nothing was changed. */
  | "skipped_invalid"
  /**
   * It could not be done; `error` says why. A store that was rolled back is here too, with the code `legacy_store`: its
   * legacy file is in good order, but only `force` takes it over again.
   */
  | "failed"
  /** There is neither a legacy file nor a directory store. */
  | "missing";

export interface MigrationResult {
  /** The legacy file, also when it is not there any more. */
  storePath: string;
  outcome: MigrationOutcome;
  /** Entries in what was taken over, refused ones and every spelling of a key counted. */
  legacyEntries: number;
  /** Sessions that came into the store; of a merge, those that were added or replaced. */
  migratedEntries: number;
  /** Where the original file lies now. */
  backupPath?: string;
  /** Where a directory lies now that was at the store's place: one that was imported, or was no store. */
  displacedPath?: string;
  /** For a store that had a legacy file beside it: what became of its sessions. */
  merge?: MergeCounts;
  directoryPath: string;
  /** Sentences for a person. The message of `error` is among them. */
  warnings: string[];
  error?: { code: SessionStoreErrorCode; message: string };
}

/** Sessions of a legacy file beside a store, each counted once. */
export interface MergeCounts {
  /** The store did not have it. */
  added: number;
  /** It was strictly newer; what it replaced is in the trash. */
  replaced: number;
  /** Both were equal. */
  same: number;
  /** It was not newer than the store's; it is kept in the trash. */
  older: number;
  /** The store's was removed after it was last changed; it is kept in the trash. */
  removed: number;
  /** The store's entry file is damaged; it is kept in the trash until that one is repaired. */
  damaged: number;
}

export function emptyResult(location: StoreLocation, outcome: MigrationOutcome): MigrationResult {
  return {
    storePath: legacyPathOf(location),
    outcome,
    legacyEntries: 0,
    migratedEntries: 0,
    directoryPath: directoryPathOf(location),
    warnings: [],
  };
}

export function legacyPathOf(location: StoreLocation): string {
  return path.join(location.parentPath, location.legacyName);
}

export function directoryPathOf(location: StoreLocation): string {
  return path.join(location.parentPath, location.directoryName);
}
