/** What became of one store: an outcome and figures, never an exception for input that cannot be taken over. */

import path from "node:path";
import type { StoreLocation } from "../backends/directory/layout.js";
import type { SessionStoreErrorCode } from "../errors.js";

export type MigrationOutcome =
  /** The legacy file's sessions are now in the directory store. */
  | "migrated"
  /** There is a directory store already. */
  | "already_directory"
  /** The legacy file is `{}`: nothing to do. */
  | "skipped_empty"
  /** The legacy file cannot be taken over; `error` says why. Nothing was changed. */
  | "skipped_invalid"
  /** Something went wrong on the way; `error` says what. */
  | "failed"
  /** There is neither a legacy file nor a directory store. */
  | "missing";

export interface MigrationResult {
  /** The legacy file, also when it is not there any more. */
  storePath: string;
  outcome: MigrationOutcome;
  /** Entries in the legacy file. */
  legacyEntries: number;
  /** Sessions in the store: fewer where several spellings of a key became one. */
  migratedEntries: number;
  /** Where the original lies now. */
  backupPath?: string;
  directoryPath: string;
  /** Sentences for a person. The message of `error` is among them. */
  warnings: string[];
  error?: { code: SessionStoreErrorCode; message: string };
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
