/**
 * Every file name of a directory store is built and parsed here, and nowhere else.
 *
 * For a legacy file `<dir>/<name>.json` the store is `<dir>/<name>.d`. Lock files lie beside it: they must never be
 * renamed, replaced or deleted, whatever happens to the directory (P21).
 */

import { createHash } from "node:crypto";
import path from "node:path";
import { SessionStoreError } from "../../errors.js";
import { fixedLimits } from "../../limits.js";

export const manifestName = "state.json";
export const journalName = "journal";
export const entriesName = "entries";
export const trashName = "trash";
export const quarantineName = "quarantine";
export const summaryIndexName = "summary-index";
/** There while a checkpoint is being made; left behind by one that died. */
export const checkpointMarkerName = ".checkpoint-running";
/** Reserved in layout 1, not yet used. */
export const blobsName = "blobs";

export const directoryMode = 0o700;
export const fileMode = 0o600;

/** Where a store lies: its parent directory and the names in it. */
export interface StoreLocation {
  readonly parentPath: string;
  /** `sessions.d` */
  readonly directoryName: string;
  /** `sessions.json` */
  readonly legacyName: string;
}

/** Accepts the path of a `*.json` legacy file or of a `*.d` directory; anything else is `undefined`. */
export function parseStoreLocation(location: string): StoreLocation | undefined {
  const absolute = resolveHere(location);
  const match = /^(.+)\.(json|d)$/.exec(path.basename(absolute));
  if (!match) return undefined;
  return { parentPath: path.dirname(absolute), directoryName: `${match[1]}.d`, legacyName: `${match[1]}.json` };
}

/** The current directory may be gone. */
function resolveHere(location: string): string {
  try {
    return path.resolve(location);
  } catch (cause) {
    throw new SessionStoreError("store_missing", "the current directory does not exist any more", {
      path: location,
      nextStep: "Give an absolute path, or change into a directory that exists.",
      cause,
    });
  }
}

export function lockNames(directoryName: string): { commit: string; checkpoint: string; scan: string } {
  return {
    commit: `${directoryName}.lock`,
    checkpoint: `${directoryName}.checkpoint.lock`,
    scan: `${directoryName}.scan.lock`,
  };
}

export function stagingName(directoryName: string, unique: string): string {
  return `${directoryName}.staging-${unique}`;
}

export function parseStagingName(directoryName: string, name: string): string | undefined {
  const prefix = `${directoryName}.staging-`;
  return name.startsWith(prefix) ? name.slice(prefix.length) : undefined;
}

/** Why a directory that lay at the store's place was moved aside: "bak" was imported, "orphan" was no store. */
export type AsideKind = "bak" | "orphan";

export function asideName(directoryName: string, kind: AsideKind, timeMs: number): string {
  return `${directoryName}.${kind}.${Math.max(0, Math.floor(timeMs))}`;
}

/**
 * A complete store that waits for its place: it gets it once the directory that lies there has become `asideName`. Found
 * after a crash, it is finished when that happened, and removed when it did not.
 */
export function readyName(directoryName: string, kind: AsideKind, timeMs: number): string {
  return stagingName(directoryName, `${kind}.${Math.max(0, Math.floor(timeMs))}`);
}

/** The name that the directory at the store's place gets, told from the name of the complete store. */
export function parseReadyName(directoryName: string, name: string): string | undefined {
  const match = /^(bak|orphan)\.(\d{1,16})$/.exec(parseStagingName(directoryName, name) ?? "");
  return match ? asideName(directoryName, match[1] as AsideKind, Number(match[2])) : undefined;
}

/** Left by a rollback, removed by a forced migration. */
export function rollbackMarkerName(directoryName: string): string {
  return `${directoryName}.rolled-back`;
}

/** The marker until it is whole. */
export function rollbackMarkerTemporaryName(directoryName: string): string {
  return `${rollbackMarkerName(directoryName)}.tmp`;
}

/** What a rollback exports to, beside the legacy file, until it is verified. */
export function rollbackExportName(legacyName: string, unique: string): string {
  return `${legacyName}.rollback-${unique}.tmp`;
}

export function isRollbackExportName(legacyName: string, name: string): boolean {
  return name.startsWith(`${legacyName}.rollback-`) && /^[0-9a-f]{16}\.tmp$/.test(name.slice(legacyName.length + 10));
}

// --- journal ---------------------------------------------------------------------------------------------------------

const segmentDigits = 16;

/** A segment is named by the version of its first commit. */
export function segmentName(firstVersion: number): string {
  return `${String(firstVersion).padStart(segmentDigits, "0")}.jsonl`;
}

export function parseSegmentName(name: string): number | undefined {
  const match = /^(\d{16})\.jsonl$/.exec(name);
  const first = match ? Number(match[1]) : 0;
  return Number.isSafeInteger(first) && first > 0 ? first : undefined;
}

// --- entries ---------------------------------------------------------------------------------------------------------

/** How keys become file names, fixed at creation: "hash" on disks that do not tell upper from lower case (P17). */
export type FileNameRule = "base64url" | "hash";

const inlinePrefix = "session-";
const hashPrefix = "session-hash-";
const entrySuffix = ".json";

export function entryFileName(key: string, rule: FileNameRule): string {
  const bytes = Buffer.from(key, "utf8");
  if (rule === "hash") return `${hashPrefix}${createHash("sha256").update(bytes).digest("hex")}${entrySuffix}`;
  if (bytes.byteLength <= fixedLimits.inlineKeyBytes)
    return `${inlinePrefix}${bytes.toString("base64url")}${entrySuffix}`;
  return `${hashPrefix}${createHash("sha256").update(bytes).digest("base64url")}${entrySuffix}`;
}

/** What a name in `entries/` is: the key itself, "hashed" (the key is in the file), or `undefined` for a stray file. */
export function parseEntryFileName(name: string): { key: string } | "hashed" | undefined {
  if (!name.startsWith(inlinePrefix) || !name.endsWith(entrySuffix)) return undefined;
  const middle = name.slice(inlinePrefix.length, -entrySuffix.length);
  if (/^hash-([A-Za-z0-9_-]{43}|[0-9a-f]{64})$/.test(middle)) return "hashed";
  const bytes = Buffer.from(middle, "base64url");
  if (bytes.byteLength === 0 || bytes.byteLength > fixedLimits.inlineKeyBytes) return undefined;
  const key = bytes.toString("utf8");
  // Only the canonical encoding of valid UTF-8 comes back to the same name.
  return Buffer.from(key, "utf8").toString("base64url") === middle ? { key } : undefined;
}

/** With 2 shard digits, entry files lie in `entries/<two hex digits of the sha256 of the key>/`. */
export function shardName(key: string): string {
  return createHash("sha256").update(key, "utf8").digest("hex").slice(0, 2);
}

export function isShardName(name: string): boolean {
  return /^[0-9a-f]{2}$/.test(name);
}

// --- the summary index -----------------------------------------------------------------------------------------------

/** Unique, so that a name always means the same bytes; the version is for people. */
export function summaryRunName(version: number, random: Uint8Array): string {
  return `${String(version).padStart(segmentDigits, "0")}-${Buffer.from(random).toString("hex")}.run`;
}

export function isSummaryRunName(name: string): boolean {
  return /^\d{16}-[0-9a-f]{16}\.run$/.test(name);
}

// --- temporary, trash and quarantine files ---------------------------------------------------------------------------

export function temporaryName(random: Uint8Array): string {
  return `.${Buffer.from(random).toString("hex")}.tmp`;
}

export function isTemporaryName(name: string): boolean {
  return /^\.[0-9a-f]{32}\.tmp$/.test(name);
}

/** Trash is named by the time of the removal and its version, so that each removal of a session has its own file. */
export function trashFileName(timeMs: number, version: number, entryName: string): string {
  return `${Math.max(0, Math.floor(timeMs))}-${version}-${entryName}`;
}

export function parseTrashFileName(name: string): { timeMs: number; version: number } | undefined {
  const match = /^(\d{1,16})-(\d{1,16})-session-.+\.json$/.exec(name);
  return match ? { timeMs: Number(match[1]), version: Number(match[2]) } : undefined;
}

/** What users call a removal: as short as it can be, and the same whether it is a file yet or not. */
export function trashId(name: string): string {
  const { timeMs, version } = parseTrashFileName(name) as { timeMs: number; version: number };
  return `${timeMs}-${version}-${createHash("sha256").update(name, "utf8").digest("hex").slice(0, 12)}`;
}

/** The version of the commit that made the removal; `undefined` for what is no id of a directory store. */
export function trashIdVersion(id: string): number | undefined {
  const match = /^\d{1,16}-(\d{1,16})-[0-9a-f]{12}$/.exec(id);
  return match ? Number(match[1]) : undefined;
}

/** Named by time and content, so that copying the same damage twice makes one file. */
export function quarantineFileName(timeMs: number, contentTag: string, name: string): string {
  return `${timeMs}-${contentTag}-${name.slice(0, 180)}`;
}
