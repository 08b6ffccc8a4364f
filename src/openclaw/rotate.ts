/**
 * Rotating a legacy `sessions.json`: the large file is copied to `.bak.<ms>` and stays where it is, so there is no instant
 * without sessions. The copy appears under its name when it is whole and on the disk.
 *
 * Three copies are kept. Only copies that a rotation made are removed, and only while they have the size that it wrote:
 * their names are in `<store>.rotations`, and without that file none is removed. Backups of other origin stay.
 */

import path from "node:path";
import { parseBackupName, temporaryName } from "../backends/json/layout.js";
import { backupsKept } from "../backends/json/rotate.js";
import { freeBackupName } from "../fs/backup-name.js";
import { openChecked, shortWrite, writeNewFile } from "../fs/checked-file.js";
import type { Directory, File, Port } from "../fs/port.js";
import { readStableFile } from "../fs/stable-file.js";
import { ambientPort } from "./ambient.js";
import { logInfo, logWarning } from "./log.js";
import { resolveMaintenanceConfig } from "./maintenance-config.js";
import { inFolderOf } from "./single-names.js";

/**
 * True when the file was larger than `overrideBytes` (by default as configured) and was copied. A file that is missing,
 * small, or cannot be copied gives false.
 */
export async function rotateSessionFile(storePath: string, overrideBytes?: number): Promise<boolean> {
  const bytesMax = overrideBytes ?? resolveMaintenanceConfig().rotateBytes;
  const port = ambientPort();
  try {
    return await inFolderOf(port, storePath, async (folder, name) => {
      const stat = port.statName(folder, name);
      if (stat?.kind !== "file" || stat.sizeBytes <= bytesMax) return false;
      const copy = await copyToBackup(port, folder, name);
      logInfo("rotated session store file", { backup: copy.name, sizeBytes: copy.sizeBytes });
      pruneOwnBackups(port, folder, name, copy);
      return true;
    });
  } catch (error) {
    logWarning("session store file was not rotated", { storePath: path.resolve(storePath), error: String(error) });
    return false;
  }
}

export interface BackupRecord {
  readonly name: string;
  readonly sizeBytes: number;
}

async function copyToBackup(port: Port, folder: Directory, name: string): Promise<BackupRecord> {
  const temporary = temporaryName(name, port.randomBytes(16));
  const source = openChecked(port, folder, name, "read", { uid: undefined });
  try {
    const target = port.open(folder, temporary, "create");
    let sizeBytes: number;
    try {
      port.setMode(target, 0o600);
      sizeBytes = copyBytes(port, source, target);
      await port.syncFile(target);
    } finally {
      port.close(target);
    }
    const backup = freeBackupName(port, folder, name);
    port.rename(folder, temporary, folder, backup);
    await port.syncDirectory(folder);
    return { name: backup, sizeBytes };
  } catch (error) {
    unlinkBestEffort(port, folder, temporary);
    throw error;
  } finally {
    port.close(source);
  }
}

const chunkBytes = 1024 * 1024;

function copyBytes(port: Port, source: File, target: File): number {
  const buffer = new Uint8Array(chunkBytes);
  let position = 0;
  for (;;) {
    const count = port.read(source, buffer, position);
    if (count === 0) return position;
    const written = port.append(target, buffer.subarray(0, count));
    if (written !== count) throw shortWrite(written, count);
    position += count;
  }
}

/** Best effort: a copy that stays is only a file. */
function pruneOwnBackups(port: Port, folder: Directory, name: string, made: BackupRecord): void {
  try {
    const recorded = newestFirst(name, [made, ...recordedBackups(port, folder, name)]);
    for (const { name: surplus } of recorded.slice(backupsKept)) port.unlink(folder, surplus);
    const temporary = temporaryName(name, port.randomBytes(16));
    const text = `${JSON.stringify({ kind: recordKind, backups: recorded.slice(0, backupsKept) }, null, 2)}\n`;
    port.close(writeNewFile(port, folder, temporary, new TextEncoder().encode(text)));
    port.rename(folder, temporary, folder, recordName(name));
  } catch (error) {
    logWarning("old backups of a session store were not removed", { folder: folder.displayPath, error: String(error) });
  }
}

function newestFirst(name: string, records: readonly BackupRecord[]): BackupRecord[] {
  return [...records].sort((left, right) => parseBackupName(name, right.name)! - parseBackupName(name, left.name)!);
}

/** The copies that rotations of the file made and that are still as they were written: those that may be removed. */
export function recordedBackups(port: Port, folder: Directory, name: string): BackupRecord[] {
  return readRecords(port, folder, name).filter((record) => isThere(port, folder, record));
}

/** Those of them that the next rotation removes. */
export function surplusAtNextRotation(port: Port, folder: Directory, name: string): BackupRecord[] {
  return newestFirst(name, recordedBackups(port, folder, name)).slice(backupsKept - 1);
}

const recordKind = "sessiondir-rotations";
const recordBytesMax = 64 * 1024;

function recordName(name: string): string {
  return `${name}.rotations`;
}

/** The file may have been edited: nothing but names of backups is taken from it. */
function readRecords(port: Port, folder: Directory, name: string): BackupRecord[] {
  const found = readStableFile(port, folder, recordName(name), recordBytesMax);
  if (found.state !== "read") return [];
  try {
    const value = JSON.parse(new TextDecoder().decode(found.bytes)) as { kind?: unknown; backups?: unknown } | null;
    if (value?.kind !== recordKind || !Array.isArray(value.backups)) return [];
    return (value.backups as (Partial<BackupRecord> | null)[]).filter((record): record is BackupRecord => {
      return typeof record?.name === "string" && parseBackupName(name, record.name) !== undefined;
    });
  } catch {
    return [];
  }
}

function isThere(port: Port, folder: Directory, { name, sizeBytes }: BackupRecord): boolean {
  const stat = port.statName(folder, name);
  return stat?.kind === "file" && stat.sizeBytes === sizeBytes;
}

function unlinkBestEffort(port: Port, folder: Directory, name: string): void {
  try {
    port.unlink(folder, name);
  } catch {
    // It was never there, or stays as a leftover that the next writer of the store sweeps.
  }
}
