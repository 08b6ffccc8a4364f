/** Telling "cannot be read just now" from "is not what it should be". */

import { SessionStoreError } from "../errors.js";
import { hasCode } from "./port.js";

/** True for errors that do not come from what lies there: a link, a directory or bad bytes stay what they are. */
export function isRefusalOfTheSystem(cause: unknown): boolean {
  if (!(cause instanceof Error) || cause instanceof SessionStoreError || !("syscall" in cause)) return false;
  return !hasCode(cause, "EIO", "ELOOP", "EMLINK", "EISDIR", "ENOTDIR", "ENXIO", "ENODEV");
}
