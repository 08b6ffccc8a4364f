/**
 * One look at a store's place, before anything is decided: what lies at the directory's path, what at the legacy file's,
 * and whether a rollback forbids to touch it. Read-only: no lock, no lock file, nothing made.
 */

import { rollbackMarkerName, type StoreLocation } from "../backends/directory/layout.js";
import { findReadyStore } from "../backends/directory/staging.js";
import { SessionStoreError } from "../errors.js";
import { type Directory, hasCode, type Port } from "../fs/port.js";
import type { LegacyRules } from "./legacy-content.js";
import { inspectLegacyFile, type LegacyInspection } from "./legacy-file.js";
import { inspectPlace, type Place } from "./place.js";
import { legacyPathOf } from "./result.js";
import { hasRollbackMarker } from "./rollback-marker.js";

export interface Survey {
  /** "ready": a complete store that waits for its place; whoever made it died. */
  readonly place: Place | { readonly state: "ready"; readonly name: string };
  /** Not looked at when there is a store of ours: then it depends on what the store knows. */
  readonly legacy: LegacyInspection | { readonly state: "not_looked_at" };
  /** When a rollback left its marker, in ms since 1970. */
  readonly rolledBackMs: number | undefined;
}

const nowhere: Survey = { place: { state: "free" }, legacy: { state: "missing" }, rolledBackMs: undefined };

/** Throws `unsafe_path` for what may not lie at the store's place; errors of the system pass through. */
export function survey(port: Port, location: StoreLocation, rules: LegacyRules): Survey {
  let parent: Directory;
  try {
    parent = port.openRoot(location.parentPath);
  } catch (error) {
    if (hasCode(error, "ENOENT")) return nowhere;
    throw error;
  }
  try {
    const rolledBackMs = hasRollbackMarker(port, parent, location) ? markerTimeMs(port, parent, location) : undefined;
    const place = inspectPlace(port, parent, location);
    if (place.state === "store") return { place, legacy: { state: "not_looked_at" }, rolledBackMs };
    const legacy = inspectLegacyFile(port, parent, location.legacyName, rules);
    if (place.state !== "free") return { place, legacy, rolledBackMs };
    // Another process may have taken it over between our looks, or died when it nearly had.
    if (port.statName(parent, location.directoryName)) return survey(port, location, rules);
    const ready = findReadyStore(port, parent, location);
    return { place: ready === undefined ? place : { state: "ready", name: ready }, legacy, rolledBackMs };
  } finally {
    port.closeDirectory(parent);
  }
}

export function markerTimeMs(port: Port, parent: Directory, location: StoreLocation): number {
  return port.statName(parent, rollbackMarkerName(location.directoryName))?.modifiedMs ?? 0;
}

export function rolledBack(location: StoreLocation, rolledBackMs: number): SessionStoreError {
  const time = new Date(rolledBackMs).toISOString();
  return new SessionStoreError("legacy_store", `this store was rolled back to its legacy file on ${time}`, {
    operation: "take over the legacy file",
    path: legacyPathOf(location),
    onDisk: "Nothing was changed: the sessions are in the legacy file.",
    nextStep:
      "To make a directory store of it again, run `sessiondir migrate --force --store PATH` with the path above.",
  });
}
