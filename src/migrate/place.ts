/**
 * What lies where a store's directory belongs. Read-only. The question that matters is whether it may be moved aside: a
 * store of ours never is, however damaged - `repair` can still read it -, and neither is anything but a real directory of
 * this user. A store in the layout of OpenClaw's directory store is imported; whatever else is no store is an orphan.
 */

import {
  checkpointMarkerName,
  entriesName,
  journalName,
  manifestName,
  parseEntryFileName,
  quarantineName,
  type StoreLocation,
  trashName,
} from "../backends/directory/layout.js";
import { manifestKind } from "../backends/directory/manifest.js";
import { isOpenClawState } from "../discovery/openclaw-state.js";
import { SessionStoreError } from "../errors.js";
import {
  findDirectoryProblem,
  openChecked,
  openRealDirectory,
  readWhole,
  type StoreOwner,
} from "../fs/checked-file.js";
import { type Directory, hasCode, type Port } from "../fs/port.js";
import { fixedLimits } from "../limits.js";

export type Place =
  | { readonly state: "free" }
  /** A store of ours, perhaps a damaged one: whoever opens it says so. */
  | { readonly state: "store" }
  | { readonly state: "openclaw" }
  /** `what` follows "a directory that ...". */
  | { readonly state: "foreign"; readonly what: string; readonly isEmpty: boolean };

/** Throws `unsafe_path` for a link, for what is no directory, and for a directory that others can write to. */
export function inspectPlace(port: Port, parent: Directory, location: StoreLocation): Place {
  let directory: Directory;
  try {
    directory = openRealDirectory(port, parent, location.directoryName);
  } catch (error) {
    if (hasCode(error, "ENOENT")) return { state: "free" };
    throw error;
  }
  try {
    const owner: StoreOwner = { uid: port.userId };
    const text = readStateText(port, directory, owner);
    if (text?.includes(manifestKind) || hasOurParts(port, directory) || hasOurEntries(port, directory, owner)) {
      return { state: "store" };
    }
    const problem = findDirectoryProblem(port.statDirectory(directory), owner);
    if (problem) throw unsafeDirectory(problem, directory);
    if (isOpenClawState(text) && port.statName(directory, entriesName)?.kind === "directory") {
      return { state: "openclaw" };
    }
    return { state: "foreign", ...describeForeign(port, directory) };
  } finally {
    port.closeDirectory(directory);
  }
}

/** What opening a directory that is no store of ours, or not only, ends with. */
const noStoreCodes: readonly string[] = ["store_missing", "store_damaged", "unsupported_layout"];

/**
 * Whether the error of an opening - damaged, or of another kind - was only that of a directory that makes way for a store.
 * Throws `legacy_store` for one that would be imported if that were allowed.
 */
export function mayMakeWay(
  port: Port,
  location: StoreLocation,
  error: unknown,
  options: { readonly migrate: "auto" | "never"; readonly readOnly: boolean },
): boolean {
  if (!(error instanceof SessionStoreError) || !noStoreCodes.includes(error.code)) return false;
  const isAllowed = options.migrate === "auto" && !options.readOnly;
  const parent = port.openRoot(location.parentPath);
  try {
    const place = inspectPlace(port, parent, location);
    if (place.state === "openclaw" && !isAllowed) throw notImported(location);
    return isAllowed && (place.state === "openclaw" || isInTheWay(port, parent, location, place));
  } finally {
    port.closeDirectory(parent);
  }
}

/**
 * Whether a directory that is no store is renamed aside: only where a legacy file needs its place, or when nothing is in
 * it. Otherwise the path is probably mistyped, and the directory somebody's own: many names end in .d.
 */
export function isInTheWay(port: Port, parent: Directory, location: StoreLocation, place: Place): boolean {
  if (place.state !== "foreign") return false;
  return place.isEmpty || port.statName(parent, location.legacyName) !== undefined;
}

function notImported(location: StoreLocation): SessionStoreError {
  return new SessionStoreError("legacy_store", "this directory is a store in OpenClaw's layout, not imported yet", {
    operation: "open the store",
    path: `${location.parentPath}/${location.directoryName}`,
    onDisk: "Nothing was changed.",
    nextStep:
      'Open it for writing with { migrate: "auto" }, or run `sessiondir migrate --store PATH` with the path above.',
  });
}

/** `undefined` when there is no ordinary, small text file of that name. */
export function readStateText(port: Port, directory: Directory, owner: StoreOwner): string | undefined {
  try {
    const file = openChecked(port, directory, manifestName, "read", owner);
    try {
      return new TextDecoder("utf-8", { ignoreBOM: true }).decode(readWhole(port, file, fixedLimits.manifestBytesMax));
    } finally {
      port.close(file);
    }
  } catch (error) {
    if (hasCode(error, "ENOENT")) return undefined;
    if (error instanceof SessionStoreError && ["unsafe_path", "limit_exceeded"].includes(error.code)) return undefined;
    throw error;
  }
}

function hasOurParts(port: Port, directory: Directory): boolean {
  const parts = [journalName, trashName, quarantineName, checkpointMarkerName];
  return parts.some((name) => port.statName(directory, name) !== undefined);
}

/** Entry files of ours say so themselves. A handful decides: no store mixes them with others. */
const looksMax = 16;

function hasOurEntries(port: Port, directory: Directory, owner: StoreOwner): boolean {
  let entries: Directory;
  try {
    entries = port.openDirectory(directory, entriesName);
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR", "ELOOP")) return false;
    throw error;
  }
  try {
    let looks = 0;
    for (const batch of port.listInBatches(entries, 64)) {
      for (const { name, kind } of batch) {
        if (kind !== "file" || parseEntryFileName(name) === undefined) continue;
        if (bearsOurMark(port, entries, name, owner)) return true;
        looks += 1;
        if (looks >= looksMax) return false;
      }
    }
    return false;
  } finally {
    port.closeDirectory(entries);
  }
}

const headBytes = 8_192;

/** The checksum's line stands before the entry, near the beginning. */
function bearsOurMark(port: Port, entries: Directory, name: string, owner: StoreOwner): boolean {
  try {
    const file = openChecked(port, entries, name, "read", owner);
    try {
      const head = Buffer.alloc(headBytes);
      const count = port.read(file, head, 0);
      return /\n {2}"checksum": "[0-9a-f]{8}"/.test(head.subarray(0, count).toString("latin1"));
    } finally {
      port.close(file);
    }
  } catch (error) {
    if (error instanceof SessionStoreError || hasCode(error, "ENOENT")) return false;
    throw error;
  }
}

function describeForeign(port: Port, directory: Directory): { what: string; isEmpty: boolean } {
  for (const _ of port.listInBatches(directory, 1)) {
    const hasState = port.statName(directory, manifestName) !== undefined;
    const what = hasState
      ? `is an incomplete store or one of another program (by its ${manifestName})`
      : "is no session store";
    return { what, isEmpty: false };
  }
  return { what: "is empty", isEmpty: true };
}

function unsafeDirectory(problem: string, directory: Directory): SessionStoreError {
  return new SessionStoreError("unsafe_path", `the directory at the store's place ${problem}`, {
    path: directory.displayPath,
    onDisk: "Nothing was changed.",
    nextStep: "Find out who made it, then correct its owner and mode, or move it away.",
  });
}
