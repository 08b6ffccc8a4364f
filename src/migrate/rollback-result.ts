/** What became of a rollback: an outcome and figures, never an exception for a store that cannot be rolled back. */

import type { StoreLocation } from "../backends/directory/layout.js";
import { findReadyStore } from "../backends/directory/staging.js";
import { fromSystemError, SessionStoreError, type SessionStoreErrorCode } from "../errors.js";
import type { Directory, Port } from "../fs/port.js";
import { inspectPlace } from "./place.js";
import { directoryPathOf, legacyPathOf } from "./result.js";
import { hasRollbackMarker } from "./rollback-marker.js";

export type RollbackOutcome =
  /** The sessions are in the legacy file now; the directory was renamed aside. */
  | "restored"
  /** There is no directory store: nothing to do. `reason` says what is there. */
  | "skipped"
  /** `error` says why, and what is on the disk: the store as it was, unless it says otherwise. */
  | "failed";

export interface RollbackResult {
  /** The legacy file, also when it is not there (yet). */
  legacyPath: string;
  outcome: RollbackOutcome;
  /** Sessions in the legacy file. */
  sessions: number;
  /** Where the directory lies now; absent in a dry run. */
  backupDirectoryPath?: string;
  /** Where a file lies that was in the legacy file's place. */
  replacedFilePath?: string;
  reason?: string;
  /** Sentences for a person. The message of `error` is among them. */
  warnings: string[];
  error?: { code: SessionStoreErrorCode; message: string };
}

export function rollbackResult(location: StoreLocation, outcome: RollbackOutcome): RollbackResult {
  return { legacyPath: legacyPathOf(location), outcome, sessions: 0, warnings: [] };
}

export function skipped(location: StoreLocation, reason: string): RollbackResult {
  return { ...rollbackResult(location, "skipped"), reason };
}

/** Where there is no directory store of ours. Throws `unsafe_path` for what may not lie there. */
export function findNotOurs(port: Port, parent: Directory, location: StoreLocation): RollbackResult | undefined {
  switch (inspectPlace(port, parent, location).state) {
    case "free":
      return nothingToRollBack(port, parent, location);
    case "openclaw":
      return skipped(location, "it is a directory store in OpenClaw's layout, which was never migrated");
    case "foreign":
      return skipped(location, "the directory is no session store");
    default:
      return undefined;
  }
}

/** For a place without a directory. */
export function nothingToRollBack(port: Port, parent: Directory, location: StoreLocation): RollbackResult {
  const hasFile = port.statName(parent, location.legacyName) !== undefined;
  if (!hasFile && findReadyStore(port, parent, location) !== undefined)
    return skipped(location, "its migration was interrupted; `sessiondir migrate` finishes it");
  if (!hasFile) return skipped(location, "there is neither a directory store nor a legacy file");
  if (hasRollbackMarker(port, parent, location)) return skipped(location, "it was rolled back already");
  return skipped(location, "it is a legacy file, which was never migrated");
}

/** Errors of ours and of the system become an outcome; anything else is a bug and is thrown on. */
export function failedRollback(error: unknown, location: StoreLocation): RollbackResult {
  if (typeof (error as { code?: unknown } | undefined)?.code !== "string") throw error;
  const { code, message } = fromSystemError(error, {
    operation: "roll back",
    path: directoryPathOf(location),
    onDisk: "The directory store has every session, as before.",
  });
  return { ...rollbackResult(location, "failed"), warnings: [message], error: { code, message } };
}

/** The file has its place; whatever comes after that is made up for by the next one who looks. */
export function notFinished(cause: unknown, location: StoreLocation): SessionStoreError {
  const problem = cause instanceof Error ? cause.message : String(cause);
  return new SessionStoreError("io_error", `the directory could not be renamed aside (${problem})`, {
    operation: "roll back",
    path: directoryPathOf(location),
    onDisk: `Every session is in ${legacyPathOf(location)}, which counts from now on; the directory is closed by its fence.`,
    nextStep: "Find out why, then run the rollback again: it only finishes.",
    cause,
  });
}
