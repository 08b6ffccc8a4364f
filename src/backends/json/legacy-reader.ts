/** Reading a legacy file as it is, synchronously, for callers that have no use for versions. Changes nothing. */

import { type Directory, hasCode, type Port } from "../../fs/port.js";
import { defaultLimits, type Limits } from "../../limits.js";
import type { JsonLocation } from "./layout.js";
import { requireNotTakenOver, toLiveContent } from "./live-file.js";
import { nothingLive } from "./view.js";
import { WatchedFile } from "./watched-file.js";

export interface LegacyStoreText {
  /** A missing file is an empty store. */
  readonly state: "missing" | "read";
  /** Every entry under its name in the file, untouched; null-prototype, so `__proto__` is a name like any other. */
  readonly entries: Readonly<Record<string, unknown>>;
  /** What strict JSON would have refused, each a noun phrase; a write of the store would not keep it. */
  readonly tolerated: readonly string[];
}

/**
 * Throws `invalid_legacy` (with the newest valid backup in the message), `unsafe_path`, `limit_exceeded`, `store_gone`
 * when a directory store has taken the file's place (`mayLieBesideDirectory`: the caller knows that it is none); errors of
 * the system pass through.
 */
export function readLegacyStoreSync(
  port: Port,
  location: JsonLocation,
  limits: Readonly<Limits> = defaultLimits,
  mayLieBesideDirectory = false,
): LegacyStoreText {
  const missing: LegacyStoreText = { state: "missing", entries: nothingLive.document, tolerated: [] };
  let parent: Directory;
  try {
    parent = port.openRoot(location.parentPath);
  } catch (error) {
    if (!hasCode(error, "ENOENT")) throw error;
    return missing;
  }
  try {
    if (!mayLieBesideDirectory) requireNotTakenOver(port, parent, location);
    const look = new WatchedFile(port, parent, location.legacyName, limits.legacyFileBytes).look();
    if (look.state === "missing") return missing;
    // A first look is never "same".
    const live = toLiveContent(port, parent, location, look as Exclude<typeof look, { state: "same" }>, limits);
    return { state: "read", entries: live.document, tolerated: live.tolerated };
  } finally {
    port.closeDirectory(parent);
  }
}
