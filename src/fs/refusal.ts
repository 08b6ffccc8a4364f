/** Telling "cannot be read just now" from "is not what it should be". */

import { SessionStoreError } from "../errors.js";
import { UntrustedFileError } from "./checked-file.js";
import { hasCode } from "./port.js";

/** True for errors that do not come from what lies there: a link, a directory or bad bytes stay what they are. */
export function isRefusalOfTheSystem(cause: unknown): boolean {
  if (!(cause instanceof Error) || cause instanceof SessionStoreError || !("syscall" in cause)) return false;
  return !hasCode(cause, "EIO", "ELOOP", "EMLINK", "EISDIR", "ENOTDIR", "ENXIO", "ENODEV");
}

/** True when what lies there may be as it should be: it only cannot be read, or not be trusted, as it lies there. */
export function mayBeIntact(cause: unknown): boolean {
  return cause instanceof UntrustedFileError || isRefusalOfTheSystem(cause);
}

/** True also for EIO: from one read nobody can tell a sector that is gone from one that was only disturbed. */
export function mayBeReadLater(cause: unknown): boolean {
  return mayBeIntact(cause) || hasCode(cause, "EIO");
}

/** Reads again after an EIO, which may pass. A sector that is gone fails every time: whoever reads it goes on without. */
export function readPatiently<Result>(read: () => Result): Result {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return read();
    } catch (error) {
      if (attempt >= readAttemptsMax || !hasCode((error as { cause?: unknown } | undefined)?.cause, "EIO")) throw error;
    }
  }
}

const readAttemptsMax = 3;
