/**
 * Taking a legacy `sessions.json` over into its directory store. The steps, of which any may be the last one:
 *
 *   1. Inspect the file without any lock: what is refused is refused before anything is created.
 *   2. Under the checkpoint lock: inspect again (by content), check the free space, build the staging tree (create.ts).
 *   3. Compare the file once more; rename the staging tree into place. From here on the directory is authoritative.
 *   4. Rename the file to `.bak.<ms>`, if it still has the content that was taken over.
 *
 * A crash before 3 leaves the file as it was; a crash between 3 and 4 leaves both, and `finishTakeOver` does step 4 on a
 * later opening: the manifest's provenance says by content which file was taken over. Nothing is ever deleted.
 */

import { createStore } from "../backends/directory/create.js";
import type { StoreLocation } from "../backends/directory/layout.js";
import type { Provenance } from "../backends/directory/manifest.js";
import type { KeyRule, Logger } from "../contract.js";
import { fromSystemError, SessionStoreError } from "../errors.js";
import { type Directory, hasCode, type Port } from "../fs/port.js";
import type { Limits } from "../limits.js";
import type { InvalidLegacy } from "../sessions/legacy-text.js";
import { countOf, type LegacySessions } from "./legacy-content.js";
import {
  changing,
  compareLegacyFile,
  type Fingerprint,
  inspectLegacyFile,
  type LegacyInspection,
} from "./legacy-file.js";
import { setOriginalAside } from "./original.js";
import { directoryPathOf, emptyResult, legacyPathOf, type MigrationResult } from "./result.js";

export interface TakeOverOptions {
  readonly keyRule: KeyRule;
  readonly limits: Readonly<Limits>;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

export interface CreateOrTakeOverOptions extends TakeOverOptions {
  /** "never": a legacy file is a `legacy_store` error. */
  readonly migrate: "auto" | "never";
  readonly logger?: Logger | undefined;
}

/**
 * For opening a store whose directory does not exist: takes the legacy file over if there is one ("migrated", also for
 * `{}`), else creates an empty store ("missing"). "already_directory" when somebody else was faster. Throws
 * `invalid_legacy`, `legacy_store`, `disk_full` and errors of the system; after each of them the legacy file is as it was.
 */
export async function createOrTakeOver(
  port: Port,
  location: StoreLocation,
  options: CreateOrTakeOverOptions,
): Promise<MigrationResult> {
  const { logger } = options;
  try {
    const seen = inspectWithoutLock(port, location, options);
    const result = await takeOver(port, location, options, seen, {
      whenNothing: "create",
      forbidden: options.migrate === "never",
    });
    for (const warning of result.warnings) logger?.warn(warning, { path: result.storePath });
    if (result.outcome === "migrated") {
      logger?.info?.(`took ${countOf(result.migratedEntries, "session", "sessions")} over from ${result.storePath}`, {
        directoryPath: result.directoryPath,
        backupPath: result.backupPath,
      });
    }
    return result;
  } catch (error) {
    throw fromTakeOver(error, location);
  }
}

/** The legacy file as it lies there, or "directory" when there is a store. Changes nothing. */
export function inspectWithoutLock(
  port: Port,
  location: StoreLocation,
  options: TakeOverOptions & { migrate?: "auto" | "never" },
): LegacyInspection | { state: "directory" } {
  let parent: Directory;
  try {
    parent = port.openRoot(location.parentPath);
  } catch (error) {
    if (hasCode(error, "ENOENT")) return { state: "missing" };
    throw error;
  }
  try {
    if (port.statName(parent, location.directoryName)) return { state: "directory" };
    if (options.migrate === "never") {
      if (port.statName(parent, location.legacyName)) throw legacyStore(location);
      return { state: "missing" };
    }
    const found = inspectLegacyFile(port, parent, location.legacyName, options);
    // Another process may have taken it over between our two looks.
    if (found.state === "missing" && port.statName(parent, location.directoryName)) return { state: "directory" };
    return found;
  } finally {
    port.closeDirectory(parent);
  }
}

export interface TakeOverMode {
  /** Without sessions to take over: "create" makes an empty store (and takes `{}` over), "leave" changes nothing. */
  readonly whenNothing: "create" | "leave";
  readonly forbidden?: boolean;
}

/** A file that changes each time while we write its sessions out is not ours yet. */
const startsMax = 5;

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
  if (seen.state === "invalid") throw invalidLegacy(seen, location);
  let legacy: LegacyInspection = seen;
  let provenance: Provenance | null = null;
  let starts = 0;
  const outcome = await createStore(port, location, {
    keyRule: options.keyRule,
    prepare: async (parent) => {
      starts += 1;
      if (starts > startsMax) throw invalidLegacy(changing(), location);
      legacy = inspectAgain(port, parent, location, options, legacy, mode);
      if (legacy.state === "invalid") throw invalidLegacy(legacy, location);
      if (legacy.state !== "valid" && mode.whenNothing === "leave") return undefined;
      if (legacy.state === "missing") return { entries: new Map(), provenance: null };
      checkFreeSpace(port, parent, location, legacy);
      provenance = provenanceOf(legacy, location, port.nowMs());
      return { entries: legacy.entries, provenance, onProgress: options.onProgress };
    },
    isStillRight: (parent) => {
      if (legacy.state === "missing") return port.statName(parent, location.legacyName) === undefined;
      return compareLegacyFile(port, parent, location.legacyName, legacy as LegacySessions & Fingerprint) === "same";
    },
    afterwards: async (parent) => {
      if (provenance === null) return;
      const aside = await setOriginalAside(port, parent, location, provenance);
      if (aside.backupPath !== undefined) result.backupPath = aside.backupPath;
      if (aside.warning !== undefined) result.warnings.push(aside.warning);
    },
  });
  if (outcome === "exists") return result;
  const found = legacy as LegacyInspection;
  if (outcome === "nothing") return { ...result, outcome: found.state === "empty" ? "skipped_empty" : "missing" };
  if (found.state !== "valid" && found.state !== "empty") return { ...result, outcome: "missing" };
  return { ...result, ...figuresOf(found), outcome: "migrated", warnings: [...warningsOf(found), ...result.warnings] };
}

export function figuresOf(legacy: LegacySessions): Pick<MigrationResult, "legacyEntries" | "migratedEntries"> {
  return { legacyEntries: legacy.sourceEntries, migratedEntries: legacy.entries.size };
}

export function warningsOf(legacy: LegacySessions): string[] {
  const collapsed = legacy.sourceEntries - legacy.entries.size;
  if (collapsed === 0) return [];
  const text = `${countOf(collapsed, "entry was another spelling", "entries were other spellings")} of a key that is there too`;
  return [`${text}: the newest of each is the session, the others are in the original.`];
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

const untouched = "Nothing was changed: the file is as it was, and no store was made.";

function legacyStore(location: StoreLocation): SessionStoreError {
  return new SessionStoreError("legacy_store", "this is a legacy store that was not taken over yet", {
    operation: "open the store",
    path: legacyPathOf(location),
    onDisk: untouched,
    nextStep: 'Open it for writing with { migrate: "auto" }, or run `sessiondir migrate`.',
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

function provenanceOf(legacy: LegacySessions & Fingerprint, location: StoreLocation, nowMs: number): Provenance {
  return {
    sourceName: location.legacyName,
    sourceBytes: legacy.sizeBytes,
    sourceSha256: legacy.sha256,
    sourceEntries: legacy.sourceEntries,
    migratedEntries: legacy.entries.size,
    migratedAtMs: nowMs,
  };
}
