/**
 * Detection: what lies at a store's place and what a migration would do about it. Read-only: no lock, no lock file, and
 * nothing is written - a file that is read may get another access time, if its file system keeps them.
 */

import { parseStoreLocation, type StoreLocation } from "../backends/directory/layout.js";
import { StoreFiles } from "../backends/directory/store-files.js";
import type { KeyRule } from "../contract.js";
import { SessionStoreError } from "../errors.js";
import { nodePort } from "../fs/node-port.js";
import type { Port } from "../fs/port.js";
import type { Limits } from "../limits.js";
import { checkOptions, invalidOption, shownLocation } from "../options.js";
import { countOf, describeSessions, type LegacySessions, type RefusedKey } from "./legacy-content.js";
import { type Fingerprint, inspectUnlessKnown } from "./legacy-file.js";
import { knownContents } from "./merge.js";
import { checkLimits } from "./migrate.js";
import { readOpenClawDirectory } from "./openclaw-directory.js";
import { directoryPathOf, legacyPathOf } from "./result.js";
import { rolledBack, type Survey, survey } from "./survey.js";
import { describePlace, fromTakeOver, invalidDirectory, invalidLegacy, leftAlone } from "./take-over.js";

export type { RefusedKey } from "./legacy-content.js";

export type DetectionStatus =
  /** There is a directory store. */
  | "already_directory"
  /** A legacy file, or a directory in OpenClaw's layout, can be taken over. */
  | "ready_to_migrate"
  /** The same, but a rollback put it there: only `force` takes it over again. */
  | "rolled_back"
  /** There is a legacy file without a session in it. */
  | "empty_legacy"
  /** What is there cannot be taken over safely; `warnings` say why. */
  | "invalid_legacy"
  /** There is neither a legacy file nor a store. */
  | "missing";

export interface Detection {
  /** The legacy file, also when it is not there. */
  storePath: string;
  directoryPath: string;
  status: DetectionStatus;
  legacyExists: boolean;
  /** There is a directory store of ours that can be opened. */
  directoryActive: boolean;
  /** Entries in the source: every spelling of a key and every refused one counted. */
  legacyEntryCount: number;
  /** Sessions that they would become. */
  normalizedEntryCount: number;
  /** Bytes of the source. */
  sizeBytes: number;
  /** The spellings of one key, group by group; the newest of each becomes the session. */
  duplicates: string[][];
  /** Entries that would stay in the original. */
  refusedKeys: RefusedKey[];
  /** What `migrateStore` would do, as sentences. */
  preview: string[];
  warnings: string[];
}

export interface DetectOptions {
  /** How keys are normalised. Default: "openclaw". */
  readonly keys?: KeyRule | undefined;
  readonly limits?: Partial<Limits> | undefined;
}

/** Throws only for a location or options that make no sense. Memory: as much as the source has bytes, a few times. */
export async function detectSessionStore(location: string, options: DetectOptions = {}): Promise<Detection> {
  return detectOnPort(nodePort(), location, options);
}

/** The same on any port. */
export function detectOnPort(port: Port, location: string, options: DetectOptions = {}): Detection {
  checkOptions(options, ["keys", "limits"], "detect");
  const place = location.includes("\0") ? undefined : parseStoreLocation(location);
  if (place === undefined) {
    throw invalidOption("detect", `${shownLocation(location)} is neither a *.json file nor a *.d directory`);
  }
  const rules: Rules = { keyRule: options.keys ?? "openclaw", limits: checkLimits(options.limits, "detect") };
  try {
    return detect(port, place, rules);
  } catch (error) {
    const known = fromTakeOver(error, place);
    if (!(known instanceof SessionStoreError)) throw known;
    const legacyExists = existsBestEffort(port, place);
    return {
      ...nothingAt(place),
      status: "invalid_legacy",
      legacyExists,
      preview: [cannot],
      warnings: [known.message],
    };
  }
}

type Rules = { readonly keyRule: KeyRule; readonly limits: Readonly<Limits> };

const cannot = "Nothing would be changed: what is there cannot be taken over safely.";

function detect(port: Port, location: StoreLocation, rules: Rules): Detection {
  const seen = survey(port, location, rules);
  const { place, legacy } = seen;
  if (place.state === "store" || legacy.state === "not_looked_at") return detectStore(port, location, rules);
  const found: Detection = { ...nothingAt(location), legacyExists: legacy.state !== "missing" };
  if (place.state === "ready") {
    const preview = ["A migration that was interrupted would be finished."];
    return { ...found, status: "ready_to_migrate", preview };
  }
  const detection =
    place.state === "openclaw" ? detectImport(port, location, rules, found, seen) : detectFile(found, seen, location);
  if (seen.rolledBackMs === undefined) return detection;
  const { problem, nextStep } = rolledBack(location, seen.rolledBackMs);
  const preview = [
    "Nothing would be changed, because the store was rolled back.",
    `With force: ${detection.preview[0]}`,
  ];
  const status = detection.status === "ready_to_migrate" ? "rolled_back" : detection.status;
  return { ...detection, status, preview, warnings: [`${capitalized(problem)}. ${nextStep}`, ...detection.warnings] };
}

function detectFile(found: Detection, { place, legacy }: Survey, location: StoreLocation): Detection {
  const inTheWay = describePlace(place, location);
  switch (legacy.state) {
    case "missing":
      return {
        ...found,
        status: "missing",
        preview: ["There is no legacy file: nothing would be done."],
        warnings: leftAlone(place, location),
      };
    case "invalid":
      return {
        ...found,
        status: "invalid_legacy",
        preview: [cannot],
        warnings: [invalidLegacy(legacy, location).message],
      };
    case "empty":
    case "valid":
      return withSessions(found, legacy, location, inTheWay);
    default:
      return found;
  }
}

function detectImport(
  port: Port,
  location: StoreLocation,
  rules: Rules,
  found: Detection,
  { place, legacy }: Survey,
): Detection {
  const parent = port.openRoot(location.parentPath);
  try {
    const store = readOpenClawDirectory(port, parent, location, rules);
    if (store.state === "invalid") {
      const warnings = [invalidDirectory(store, location).message];
      return { ...found, status: "invalid_legacy", preview: [cannot], warnings };
    }
    const detection = withSessions(found, store, location, describePlace(place, location));
    if (legacy.state !== "missing")
      detection.preview.push(`${location.legacyName} beside it would be merged into the store.`);
    return detection;
  } finally {
    port.closeDirectory(parent);
  }
}

/** Throws what opening the store would throw; a legacy file beside it is described as far as its content tells. */
function detectStore(port: Port, location: StoreLocation, rules: Rules): Detection {
  const files = StoreFiles.open(port, location, true);
  try {
    const { manifest, parent } = files;
    const found: Detection = { ...nothingAt(location), status: "already_directory", directoryActive: true };
    const known = knownContents(manifest);
    const legacy = inspectUnlessKnown(
      port,
      parent,
      location.legacyName,
      { ...rules, keyRule: manifest.keyRule },
      known,
    );
    if (legacy.state === "missing")
      return { ...found, preview: ["There is a directory store: nothing would be done."] };
    const beside = { ...found, legacyExists: true };
    if (legacy.state === "known") {
      const { sizeBytes } = legacy;
      return { ...beside, sizeBytes, preview: [`${location.legacyName} was taken over before and would be renamed.`] };
    }
    if (legacy.state === "invalid") {
      const warnings = [invalidLegacy(legacy, location).message];
      return { ...beside, preview: [`${location.legacyName} cannot be read and would be left as it is.`], warnings };
    }
    const detection = withSessions(beside, legacy, location, []);
    const many = countOf(legacy.entries.size, "session", "sessions");
    const preview = [`${location.legacyName} holds ${many} and would be merged into the store: newer ones win.`];
    return { ...detection, status: "already_directory", preview };
  } finally {
    files.close();
  }
}

function withSessions(
  found: Detection,
  sessions: LegacySessions & Fingerprint,
  location: StoreLocation,
  inTheWay: readonly string[],
): Detection {
  const { sourceEntries, entries, sizeBytes, refused } = sessions;
  const isEmpty = sessions.state === "empty";
  const many = countOf(entries.size, "session", "sessions");
  return {
    ...found,
    status: isEmpty ? "empty_legacy" : "ready_to_migrate",
    legacyEntryCount: sourceEntries,
    normalizedEntryCount: entries.size,
    sizeBytes,
    duplicates: sessions.duplicates.map((spellings) => [...spellings]),
    refusedKeys: [...refused],
    preview: [
      isEmpty
        ? "There is no session to take over: nothing would be done."
        : `${many} would be taken over into ${location.directoryName}; the original would be kept.`,
    ],
    warnings: [...inTheWay, ...describeSessions(sessions)],
  };
}

function nothingAt(location: StoreLocation): Detection {
  return {
    storePath: legacyPathOf(location),
    directoryPath: directoryPathOf(location),
    status: "missing",
    legacyExists: false,
    directoryActive: false,
    legacyEntryCount: 0,
    normalizedEntryCount: 0,
    sizeBytes: 0,
    duplicates: [],
    refusedKeys: [],
    preview: [],
    warnings: [],
  };
}

function existsBestEffort(port: Port, location: StoreLocation): boolean {
  try {
    const parent = port.openRoot(location.parentPath);
    try {
      return port.statName(parent, location.legacyName) !== undefined;
    } finally {
      port.closeDirectory(parent);
    }
  } catch {
    return false;
  }
}

function capitalized(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
