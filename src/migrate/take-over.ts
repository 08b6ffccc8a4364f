/**
 * Taking over what lies at a store's place - a legacy `sessions.json`, or a directory in OpenClaw's layout - into a
 * directory store. The steps, of which any may be the last one:
 *
 *   1. Inspect without any lock: what is refused is refused before anything is created.
 *   2. Under the checkpoint lock: inspect again (by content), check the free space, build the staging tree (create.ts).
 *   3. Compare the source once more. A directory at the place makes way: renamed to `.bak.<ms>` when it was imported, to
 *      `.orphan.<ms>` when it was no store. Then the staging tree is renamed into place and is authoritative.
 *   4. Under the gateway's lock: rename the legacy file to `.bak.<ms>`, if it still has the content that was taken over.
 *
 * A file that was written to meanwhile is taken over anew; from the third time on under the gateway's lock, which lets it
 * wait, so that one that writes all the time does not keep its store from being taken over.
 *
 * A crash before 3 leaves the source as it was; a crash within 3 leaves a complete store that the next opening puts into
 * its place; a crash between 3 and 4 leaves both, and merge.ts does step 4 on a later opening: the manifest's provenance
 * says by content which file was taken over. A legacy file beside an imported directory is merged then, too. Nothing is
 * ever deleted.
 */

import { createStore } from "../backends/directory/create.js";
import type { StoreLocation } from "../backends/directory/layout.js";
import type { Provenance } from "../backends/directory/manifest.js";
import type { KeyRule, Logger } from "../contract.js";
import { fromSystemError, SessionStoreError } from "../errors.js";
import { type Directory, hasCode, type Port } from "../fs/port.js";
import type { Limits } from "../limits.js";
import { type InvalidLegacy, invalid } from "../sessions/legacy-text.js";
import { BusySource } from "./busy-source.js";
import { countOf, describeSessions, type LegacySessions, listRefused } from "./legacy-content.js";
import {
  changing,
  compareLegacyFile,
  type Fingerprint,
  inspectLegacyFile,
  type LegacyInspection,
} from "./legacy-file.js";
import { isUnchanged, type OpenClawStore, readOpenClawDirectory } from "./openclaw-directory.js";
import { setOriginalAside } from "./original.js";
import { inspectPlace, isInTheWay, type Place } from "./place.js";
import { directoryPathOf, emptyResult, legacyPathOf, type MigrationResult } from "./result.js";
import { hasRollbackMarker, setRollbackMarkerAside } from "./rollback-marker.js";
import { markerTimeMs, rolledBack, survey } from "./survey.js";

export interface TakeOverOptions {
  readonly keyRule: KeyRule;
  readonly limits: Readonly<Limits>;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  /**
   * Told the name of a backup that was written to between the last look and its rename, by a program that takes no lock:
   * what it holds is to be merged into the store.
   */
  readonly onLateWrite?: ((backupName: string) => void) | undefined;
}

export interface CreateOrTakeOverOptions extends TakeOverOptions {
  /** "never": a legacy file is a `legacy_store` error. */
  readonly migrate: "auto" | "never";
  readonly logger?: Logger | undefined;
}

/**
 * For opening a store where there is none: takes over what is there ("migrated", also for `{}`), else creates an empty
 * store ("missing"). "already_directory" when somebody else was faster. Throws `invalid_legacy`, `legacy_store`,
 * `unsafe_path`, `disk_full` and errors of the system; after each of them everything is as it was.
 */
export async function createOrTakeOver(
  port: Port,
  location: StoreLocation,
  options: CreateOrTakeOverOptions,
): Promise<MigrationResult> {
  const { logger } = options;
  try {
    const seen = inspectWithoutLock(port, location, options);
    if (seen.state === "invalid") throw invalidLegacy(seen, location);
    const result = await takeOver(port, location, options, seen, {
      whenNothing: "create",
      forbidden: options.migrate === "never",
    });
    for (const warning of result.warnings) logger?.warn(warning, { path: result.storePath });
    if (result.outcome === "migrated") {
      const { directoryPath, backupPath, displacedPath } = result;
      logger?.info?.(`took ${countOf(result.migratedEntries, "session", "sessions")} over from ${result.storePath}`, {
        directoryPath,
        backupPath,
        displacedPath,
      });
    }
    return result;
  } catch (error) {
    throw fromTakeOver(error, location);
  }
}

/**
 * The legacy file as it lies there - "missing" also where a directory has to be imported first -, or "directory" when
 * there is a store. Changes nothing.
 */
export function inspectWithoutLock(
  port: Port,
  location: StoreLocation,
  options: TakeOverOptions & Partial<CreateOrTakeOverOptions>,
): LegacyInspection | { state: "directory" } {
  if (options.migrate === "never") return lookOnly(port, location);
  const { place, legacy, rolledBackMs } = survey(port, location, options);
  if (place.state === "store" || legacy.state === "not_looked_at") return { state: "directory" };
  if (rolledBackMs !== undefined) throw rolledBack(location, rolledBackMs);
  if (place.state === "openclaw" || place.state === "ready") return { state: "missing" };
  return legacy;
}

/** For those who may not take anything over: whether there is something. */
function lookOnly(port: Port, location: StoreLocation): { state: "missing" } | { state: "directory" } {
  let parent: Directory;
  try {
    parent = port.openRoot(location.parentPath);
  } catch (error) {
    if (hasCode(error, "ENOENT")) return { state: "missing" };
    throw error;
  }
  try {
    if (port.statName(parent, location.directoryName)) return { state: "directory" };
    if (port.statName(parent, location.legacyName)) throw legacyStore(location);
    return { state: "missing" };
  } finally {
    port.closeDirectory(parent);
  }
}

export interface TakeOverMode {
  /** Without sessions to take over: "create" makes an empty store (and takes `{}` over), "leave" changes nothing. */
  readonly whenNothing: "create" | "leave";
  readonly forbidden?: boolean;
  /** Also what a rollback left; its marker is set aside. */
  readonly force?: boolean;
}

/** A source that changes each time while we write its sessions out is not ours yet. */
const startsMax = 5;

type Source =
  | { readonly from: "nothing" }
  | { readonly from: "file"; readonly sessions: LegacySessions & Fingerprint }
  | { readonly from: "directory"; readonly sessions: OpenClawStore };

/** Steps 2 to 4. `seen` is what step 1 found; it spares parsing the same content twice. */
export async function takeOver(
  port: Port,
  location: StoreLocation,
  options: TakeOverOptions,
  seen: LegacyInspection | { state: "directory" },
  mode: TakeOverMode,
): Promise<MigrationResult> {
  const result = emptyResult(location, "already_directory");
  if (seen.state === "directory") return result;
  let legacy: LegacyInspection = seen;
  let place: Place = { state: "free" };
  let source: Source = { from: "nothing" };
  let starts = 0;
  const busy = new BusySource(port, location);
  const outcome = await createStore(port, location, {
    keyRule: options.keyRule,
    displaces: (parent) => {
      if (mode.forbidden) return undefined;
      place = inspectPlace(port, parent, location);
      if (place.state === "openclaw") return "bak";
      return isInTheWay(port, parent, location, place) ? "orphan" : undefined;
    },
    prepare: async (parent) => {
      starts += 1;
      if (starts > startsMax) throw invalidLegacy(changing(), location);
      if (source.from === "file") await busy.beforeStart(starts);
      place = mode.forbidden ? { state: "free" } : inspectPlace(port, parent, location);
      if (!mode.force && hasRollbackMarker(port, parent, location)) {
        throw rolledBack(location, markerTimeMs(port, parent, location));
      }
      if (place.state === "openclaw") {
        const sessions = readOpenClawDirectory(port, parent, location, options);
        if (sessions.state === "invalid") throw invalidDirectory(sessions, location);
        source = { from: "directory", sessions };
      } else {
        legacy = inspectAgain(port, parent, location, options, legacy, mode);
        if (legacy.state === "invalid") throw invalidLegacy(legacy, location);
        source = legacy.state === "missing" ? { from: "nothing" } : { from: "file", sessions: legacy };
      }
      if (source.from === "nothing") {
        return mode.whenNothing === "leave" ? undefined : { entries: new Map(), provenance: null };
      }
      const { sessions } = source;
      if (sessions.state === "empty") {
        if (mode.whenNothing === "leave") return undefined;
        refuseNothings(sessions, location);
      }
      checkFreeSpace(port, parent, location, sessions);
      const name = source.from === "file" ? location.legacyName : location.directoryName;
      const provenance = provenanceOf(sessions, name, port.nowMs());
      return { entries: sessions.entries, provenance, onProgress: options.onProgress };
    },
    isStillRight: (parent) => isStillThere(port, parent, location, source),
    beforehand: async (parent) => {
      // Before the store appears: with both there, nobody could tell which of the two holds the sessions.
      if (mode.force) await setRollbackMarkerAside(port, parent, location);
    },
    afterwards: async (parent, aside) => {
      if (aside !== undefined) result.displacedPath = `${location.parentPath}/${aside}`;
      if (source.from !== "file") return;
      // No wait for a gateway's lock: a merge follows, which knows the content, waits, and says so if it was in vain.
      const done = await setOriginalAside(port, parent, location, source.sessions, busy.isHeld ? "held" : 0);
      if (done.state === "renamed" || done.state === "replaced") result.backupPath = done.backupPath;
      if (done.state === "replaced") options.onLateWrite?.(done.backupName);
      if (done.state === "failed") result.warnings.push(done.warning);
    },
  }).finally(() => busy.release());
  if (outcome === "exists" || outcome === "finished") return result;
  const found = source as Source;
  if (outcome === "nothing") return { ...result, outcome: found.from === "nothing" ? "missing" : "skipped_empty" };
  const warnings = [...describePlace(place, location), ...result.warnings];
  if (found.from === "nothing") return { ...result, outcome: "missing", warnings };
  const { sessions } = found;
  const told = [...describePlace(place, location), ...describeSessions(sessions), ...result.warnings];
  return { ...result, ...figuresOf(sessions), outcome: "migrated", warnings: told };
}

export function figuresOf(legacy: LegacySessions): Pick<MigrationResult, "legacyEntries" | "migratedEntries"> {
  return { legacyEntries: legacy.sourceEntries, migratedEntries: legacy.entries.size };
}

/** As true before the directory makes way as after it. */
export function describePlace(place: { readonly state: string }, location: StoreLocation): string[] {
  const { directoryName: name } = location;
  if (place.state === "foreign") {
    const { what } = place as Extract<Place, { state: "foreign" }>;
    return [`A directory that ${what} lies in the way and is renamed aside, untouched, to ${name}.orphan.<time>.`];
  }
  if (place.state !== "openclaw") return [];
  return [`The directory ${name} is a store in OpenClaw's layout; it is imported and kept as ${name}.bak.<time>.`];
}

/** Without a legacy file nothing needs the place, so nothing is moved. */
export function leftAlone(place: { readonly state: string }, { directoryName }: StoreLocation): string[] {
  if (place.state !== "foreign") return [];
  const { what } = place as Extract<Place, { state: "foreign" }>;
  return [`There is no legacy file. A directory that ${what} lies at ${directoryName} and is left alone.`];
}

/** Entry files take a block each, and their text is indented: twice the source is a generous measure. */
const blockBytes = 4_096;

export function checkFreeSpace(
  port: Port,
  parent: Directory,
  location: StoreLocation,
  legacy: LegacySessions & Fingerprint,
): void {
  const neededBytes = 2 * legacy.sizeBytes + blockBytes * legacy.entries.size;
  const { freeBytes } = port.statFileSystem(parent);
  if (freeBytes >= neededBytes) return;
  throw new SessionStoreError("disk_full", `this needs about ${neededBytes} bytes on the disk, ${freeBytes} are free`, {
    operation: "take over the legacy file",
    path: legacyPathOf(location),
    onDisk: untouched,
    nextStep: "Free some space and try again.",
  });
}

/** For errors of the system, and for those of ours that do not say what became of the legacy file. */
export function fromTakeOver(error: unknown, location: StoreLocation): unknown {
  if (typeof (error as { code?: unknown } | undefined)?.code !== "string") return error;
  return fromSystemError(error, {
    operation: "create the store",
    path: directoryPathOf(location),
    onDisk: "A legacy file, if there is one, is untouched and still holds every session.",
  });
}

export function invalidLegacy(found: InvalidLegacy, location: StoreLocation): SessionStoreError {
  return new SessionStoreError("invalid_legacy", `the legacy file ${found.reason}`, {
    operation: "take over the legacy file",
    path: legacyPathOf(location),
    onDisk: untouched,
    nextStep: found.nextStep,
  });
}

export function invalidDirectory(found: InvalidLegacy, location: StoreLocation): SessionStoreError {
  return new SessionStoreError("invalid_legacy", `the store in OpenClaw's layout ${found.reason}`, {
    operation: "import the directory",
    path: directoryPathOf(location),
    onDisk: "Nothing was changed: the directory is as it was, and no store was made.",
    nextStep: found.nextStep,
  });
}

/** `{}` may become an empty store; something that stands for sessions may not, because nobody knows for which. */
function refuseNothings(sessions: LegacySessions, location: StoreLocation): void {
  if (sessions.sourceEntries === 0) return;
  const many = countOf(sessions.sourceEntries, "entry", "entries");
  const found = invalid(
    `holds ${many} and no session: ${listRefused(sessions.refused)}`,
    "If there is no session to keep, write {} into it or move it away.",
  );
  throw invalidLegacy(found, location);
}

const untouched = "Nothing was changed: the file is as it was, and no store was made.";

function legacyStore(location: StoreLocation): SessionStoreError {
  return new SessionStoreError("legacy_store", "this is a legacy store that was not taken over yet", {
    operation: "open the store",
    path: legacyPathOf(location),
    onDisk: untouched,
    nextStep:
      'Open it for writing with { migrate: "auto" }, or run `sessiondir migrate --store PATH` with the path above.',
  });
}

/** Under the lock, what was seen without it counts only if the content is still the same. */
function inspectAgain(
  port: Port,
  parent: Directory,
  location: StoreLocation,
  options: TakeOverOptions,
  seen: LegacyInspection,
  mode: TakeOverMode,
): LegacyInspection {
  if (mode.forbidden) {
    if (port.statName(parent, location.legacyName)) throw legacyStore(location);
    return { state: "missing" };
  }
  if (seen.state === "valid" || seen.state === "empty") {
    if (compareLegacyFile(port, parent, location.legacyName, seen) === "same") return seen;
  }
  return inspectLegacyFile(port, parent, location.legacyName, options);
}

function isStillThere(port: Port, parent: Directory, location: StoreLocation, source: Source): boolean {
  switch (source.from) {
    case "nothing":
      return port.statName(parent, location.legacyName) === undefined;
    case "file":
      return compareLegacyFile(port, parent, location.legacyName, source.sessions) === "same";
    case "directory":
      return isUnchanged(port, parent, location, source.sessions.stamp);
  }
}

function provenanceOf(legacy: LegacySessions & Fingerprint, sourceName: string, nowMs: number): Provenance {
  return {
    sourceName,
    sourceBytes: legacy.sizeBytes,
    sourceSha256: legacy.sha256,
    sourceEntries: legacy.sourceEntries,
    migratedEntries: legacy.entries.size,
    migratedAtMs: nowMs,
  };
}
