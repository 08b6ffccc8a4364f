/**
 * What a backup is on disk: a directory `<name>.<time>` with two files, which appears by one rename when it is complete.
 *
 *   manifest.json    what it holds: counts, hashes, where it comes from, and a checksum over itself
 *   sessions.jsonl   the sessions as a bundle (bundle-format.ts): any backend can import it
 *
 * While it is being made it is called `<name>.<time>.partial-<random>`; a crash leaves that, and nothing takes it for a
 * backup. No absolute path is in it.
 */

import path from "node:path";
import { documentIsIntact, sealDocument } from "../backends/directory/checksum.js";
import type { KeyRule } from "../contract.js";
import { fromSystemError, SessionStoreError } from "../errors.js";
import { openChecked, readWhole } from "../fs/checked-file.js";
import { type Directory, hasCode, type Port } from "../fs/port.js";
import { fixedLimits } from "../limits.js";
import { invalidBundle } from "./bundle-reader.js";

export const backupManifestName = "manifest.json";
export const backupSessionsName = "sessions.jsonl";
export const backupKind = "sessiondir-backup";
export const backupFormatVersion = 1;

export interface BackupManifest {
  readonly kind: typeof backupKind;
  readonly formatVersion: typeof backupFormatVersion;
  readonly createdMs: number;
  /** ISO 8601, UTC; the same moment. */
  readonly created: string;
  readonly source: {
    readonly backend: string;
    /** The name of the store without its folder. */
    readonly name: string;
    readonly keyRule: KeyRule;
    /** The position in the change feed that the backup shows. */
    readonly cursor: string;
  };
  readonly sessions: number;
  /** The newest `updatedAt`, milliseconds since 1970; 0 when no session has one. */
  readonly newestUpdatedAt: number;
  readonly contentSha256: string;
  readonly files: readonly { readonly name: string; readonly bytes: number; readonly sha256: string }[];
  /** How many sessions could not be read: the backup is not all of the store. The bundle's trailer names them. */
  readonly damaged: number;
}

/** `sessions.2026-11-21T12-53-14.123Z`: sorts by time, and is a name on every file system. */
export function backupName(name: string, timeMs: number): string {
  return `${name}.${new Date(timeMs).toISOString().replaceAll(":", "-")}`;
}

export function isPartialName(name: string): boolean {
  return /\.partial-[0-9a-f]+$/.test(name);
}

export function formatBackupManifest(manifest: BackupManifest): string {
  return sealDocument({ ...manifest, checksum: "00000000" });
}

/** Opens the directory of a finished backup. */
export function openBackup(port: Port, backupPath: string): Directory {
  const absolute = path.resolve(backupPath);
  if (isPartialName(path.basename(absolute))) throw unfinished(absolute);
  try {
    return port.openRoot(absolute);
  } catch (error) {
    const details = { operation: "open the backup", path: absolute };
    if (hasCode(error, "ENOENT")) throw new SessionStoreError("not_found", "there is no such backup", details);
    if (hasCode(error, "ENOTDIR")) throw invalidBundle("this is a file, and a backup is a directory", absolute, error);
    throw fromSystemError(error, details);
  }
}

/** Throws `invalid_bundle` for anything that is not the manifest of a complete backup. */
export function readBackupManifest(port: Port, backup: Directory): BackupManifest {
  const text = readManifestText(port, backup);
  const where = `${backup.displayPath}/${backupManifestName}`;
  let fields: Partial<BackupManifest> & Record<string, unknown>;
  try {
    fields = JSON.parse(text);
  } catch (error) {
    throw invalidBundle("the manifest of the backup is not JSON", where, error);
  }
  if (typeof fields !== "object" || fields === null || fields.kind !== backupKind) {
    throw invalidBundle("this is not the manifest of a backup", where);
  }
  if (Number(fields.formatVersion) > backupFormatVersion) {
    const problem = `the backup has format ${fields.formatVersion}; this version knows format ${backupFormatVersion}`;
    throw new SessionStoreError("unsupported_layout", problem, {
      path: where,
      nextStep: "Use the newer sessiondir that wrote it.",
    });
  }
  if (!documentIsIntact(text)) throw invalidBundle("the manifest of the backup has a wrong checksum", where);
  if (!isManifest(fields)) throw invalidBundle("the manifest of the backup misses fields", where);
  return fields;
}

function readManifestText(port: Port, backup: Directory): string {
  const where = `${backup.displayPath}/${backupManifestName}`;
  try {
    const file = openChecked(port, backup, backupManifestName, "read", { uid: undefined });
    try {
      const bytes = readWhole(port, file, fixedLimits.manifestBytesMax);
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    } finally {
      port.close(file);
    }
  } catch (error) {
    if (hasCode(error, "ENOENT"))
      throw invalidBundle("there is no manifest: this is not a complete backup", where, error);
    if (error instanceof TypeError) throw invalidBundle("the manifest of the backup is not UTF-8", where, error);
    throw fromSystemError(error, { operation: "open the backup", path: where });
  }
}

function isManifest(
  fields: Partial<BackupManifest> & Record<string, unknown>,
): fields is BackupManifest & Record<string, unknown> {
  const isCount = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;
  const isHash = (value: unknown) => typeof value === "string" && /^[0-9a-f]{64}$/.test(value);
  const { source, files, damaged } = fields;
  return (
    fields.formatVersion === backupFormatVersion &&
    isCount(fields.createdMs) &&
    typeof fields.created === "string" &&
    isCount(fields.sessions) &&
    Number.isFinite(fields.newestUpdatedAt) &&
    isHash(fields.contentSha256) &&
    typeof source === "object" &&
    source !== null &&
    typeof source.name === "string" &&
    typeof source.backend === "string" &&
    typeof source.cursor === "string" &&
    (source.keyRule === "openclaw" || source.keyRule === "exact") &&
    Array.isArray(files) &&
    files.length === 1 &&
    files[0]?.name === backupSessionsName &&
    isCount(files[0].bytes) &&
    isHash(files[0].sha256) &&
    isCount(damaged)
  );
}

function unfinished(backupPath: string): SessionStoreError {
  return new SessionStoreError("invalid_bundle", "this backup was never finished", {
    operation: "open the backup",
    path: backupPath,
    onDisk: "It is what is left of a backup that was interrupted.",
    nextStep: "Use a finished one; this one may be removed when no backup is being made.",
  });
}
