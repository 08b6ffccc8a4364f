/**
 * Online backups: a snapshot of a store beside its live writers, and reading one back. A backup reads the store and
 * writes elsewhere: it takes no lock that a commit waits for, and lets others run every few milliseconds.
 */

import path from "node:path";
import type { Backend } from "../contract.js";
import { fromSystemError, SessionStoreError } from "../errors.js";
import { writeNewFile } from "../fs/checked-file.js";
import { nodePort } from "../fs/node-port.js";
import { openOrMakeParent } from "../fs/parent-directory.js";
import { type Directory, hasCode, type Port } from "../fs/port.js";
import type { Limits } from "../limits.js";
import { checkLimits } from "../open-options.js";
import { checkOptions, invalidOption } from "../options.js";
import {
  type BackupManifest,
  backupFormatVersion,
  backupKind,
  backupManifestName,
  backupName,
  backupSessionsName,
  formatBackupManifest,
  openBackup,
  readBackupManifest,
} from "./backup-files.js";
import { BundleReader, invalidBundle } from "./bundle-reader.js";
import { writeBundle } from "./bundle-writer.js";
import { verifyBundle } from "./import.js";
import { FileWriter, partialName } from "./output-file.js";
import type { SessionProblem } from "./session-writer.js";
import { openForReading, type StorePlace } from "./store-place.js";

export interface BackupOptions {
  /** The first part of the backup's name; default: that of the store ("sessions" for `sessions.d`). */
  readonly name?: string | undefined;
  /** Go on without sessions that cannot be read; the backup names them. */
  readonly allowDamaged?: boolean | undefined;
  readonly allowEmpty?: boolean | undefined;
  readonly onProgress?: ((done: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly port?: Port | undefined;
}

export interface BackupResult {
  /** "partial": some sessions could not be read, and `allowDamaged` said to go on without them. */
  readonly outcome: "complete" | "partial";
  /** The directory of the backup. */
  readonly path: string;
  readonly manifest: BackupManifest;
  readonly damaged: readonly SessionProblem[];
}

const optionNames = ["name", "allowDamaged", "allowEmpty", "onProgress", "signal", "port"];
const directoryMode = 0o700;

/** Makes a backup of `store` in the directory `targetDirectory`, which is made (one level) when it is missing. */
export async function createBackup(
  store: StorePlace,
  targetDirectory: string,
  options: BackupOptions = {},
): Promise<BackupResult> {
  checkOptions(options, optionNames, "createBackup");
  if (options.name !== undefined && !/^[\w][\w .@+-]{0,100}$/.test(options.name)) {
    throw invalidOption("createBackup", "the option name is up to 100 letters, digits and -_.@+ of a file name");
  }
  const port = options.port ?? nodePort();
  const source = await openForReading(port, store, "createBackup");
  const absolute = path.resolve(targetDirectory);
  try {
    const parent = await openOrMakeDirectory(port, absolute);
    try {
      return await createIn(port, source, parent, options);
    } finally {
      port.closeDirectory(parent);
    }
  } catch (error) {
    if (typeof (error as { code?: unknown } | undefined)?.code !== "string") throw error;
    const onDisk = "No backup was made; the store is as it was.";
    const details = { operation: "create a backup", path: absolute, onDisk };
    if (!hasCode(error, "ENOENT")) throw fromSystemError(error, details);
    const nextStep = "Make it first.";
    throw new SessionStoreError("not_found", "the folder above does not exist", { ...details, nextStep, cause: error });
  } finally {
    await source.close();
  }
}

async function createIn(port: Port, source: Backend, parent: Directory, options: BackupOptions): Promise<BackupResult> {
  const storeName = path.basename(source.location);
  const base = options.name ?? (storeName.replace(/\.(d|json)$/, "").replace(/[^\w.@+-]/g, "_") || "sessions");
  let createdMs = Math.floor(port.nowMs());
  while (port.statName(parent, backupName(base, createdMs))) createdMs += 1;
  const name = backupName(base, createdMs);
  const temporary = partialName(port, name);
  port.makeDirectory(parent, temporary, directoryMode);
  try {
    const written = await fill(port, source, storeName, parent, temporary, createdMs, options);
    if (port.statName(parent, name)) throw taken(`${parent.displayPath}/${name}`);
    port.rename(parent, temporary, parent, name);
    await port.syncDirectory(parent);
    return { ...written, path: `${parent.displayPath}/${name}` };
  } catch (error) {
    removeBestEffort(port, parent, temporary);
    throw error;
  }
}

async function fill(
  port: Port,
  source: Backend,
  storeName: string,
  parent: Directory,
  temporary: string,
  createdMs: number,
  options: BackupOptions,
): Promise<Omit<BackupResult, "path">> {
  const directory = port.openDirectory(parent, temporary);
  try {
    const file = new FileWriter(port, directory, backupSessionsName);
    let manifest: BackupManifest;
    let damaged: readonly SessionProblem[];
    try {
      const written = await writeBundle(port, source, file, options);
      await file.sync();
      damaged = written.damaged;
      manifest = {
        kind: backupKind,
        formatVersion: backupFormatVersion,
        createdMs,
        created: new Date(createdMs).toISOString(),
        source: { ...written.header.source, name: storeName },
        sessions: written.trailer.sessions,
        newestUpdatedAt: written.newestUpdatedAt,
        contentSha256: written.trailer.contentSha256,
        files: [{ name: backupSessionsName, bytes: written.fileBytes, sha256: written.fileSha256 }],
        damaged: damaged.length,
      };
    } finally {
      file.close();
    }
    const bytes = Buffer.from(formatBackupManifest(manifest), "utf8");
    const manifestFile = writeNewFile(port, directory, backupManifestName, bytes);
    try {
      await port.syncFile(manifestFile);
    } finally {
      port.close(manifestFile);
    }
    await port.syncDirectory(directory);
    return { outcome: damaged.length === 0 ? "complete" : "partial", manifest, damaged };
  } finally {
    port.closeDirectory(directory);
  }
}

/** One level only: a misspelt path is not made. What is made outlives a power loss as the backup in it does. */
async function openOrMakeDirectory(port: Port, absolute: string): Promise<Directory> {
  try {
    port.closeDirectory(port.openRoot(absolute));
  } catch (error) {
    if (!hasCode(error, "ENOENT")) throw error;
    port.closeDirectory(port.openRoot(path.dirname(absolute)));
  }
  return openOrMakeParent(port, absolute);
}

/** What we made ourselves a moment ago, two files at most. What cannot be removed says by its name what it is. */
function removeBestEffort(port: Port, parent: Directory, temporary: string): void {
  try {
    const directory = port.openDirectory(parent, temporary);
    try {
      for (const name of [backupSessionsName, backupManifestName]) {
        if (port.statName(directory, name)) port.unlink(directory, name);
      }
    } finally {
      port.closeDirectory(directory);
    }
    port.removeDirectory(parent, temporary);
  } catch {
    // The error that made us give up is the one to report.
  }
}

export interface VerifyBackupOptions {
  readonly limits?: Partial<Limits> | undefined;
  readonly port?: Port | undefined;
}

/** Reads everything back: the manifest, each session, every count and hash. Throws `invalid_bundle` at the first flaw. */
export async function verifyBackup(backupPath: string, options: VerifyBackupOptions = {}): Promise<BackupManifest> {
  checkOptions(options, ["limits", "port"], "verifyBackup");
  const port = options.port ?? nodePort();
  const opened = await openVerifiedBackup(port, backupPath, checkLimits(options.limits));
  opened.bundle.close();
  return opened.manifest;
}

/** The verified bundle stays open, so that what is restored is what was verified. The caller closes it. */
export async function openVerifiedBackup(
  port: Port,
  backupPath: string,
  limits: Readonly<Limits>,
): Promise<{ manifest: BackupManifest; bundle: BundleReader }> {
  const directory = openBackup(port, backupPath);
  try {
    const manifest = readBackupManifest(port, directory);
    const bundle = openSessions(port, directory, limits);
    try {
      const trailer = await verifyBundle(port, bundle);
      const [file] = manifest.files;
      const fits =
        trailer.sessions === manifest.sessions &&
        trailer.contentSha256 === manifest.contentSha256 &&
        trailer.damaged.length === manifest.damaged &&
        bundle.sizeBytes() === file?.bytes &&
        bundle.fileSha256 === file.sha256;
      if (!fits) throw invalidBundle("the sessions are whole, but not those that the manifest tells of", bundle.path);
      return { manifest, bundle };
    } catch (error) {
      bundle.close();
      throw error;
    }
  } finally {
    port.closeDirectory(directory);
  }
}

function openSessions(port: Port, directory: Directory, limits: Readonly<Limits>): BundleReader {
  try {
    return BundleReader.openIn(port, directory, backupSessionsName, limits);
  } catch (error) {
    const where = `${directory.displayPath}/${backupSessionsName}`;
    if (hasCode(error, "ENOENT")) throw invalidBundle("the sessions of the backup are missing", where, error);
    throw fromSystemError(error, { operation: "open the backup", path: where });
  }
}

function taken(where: string): SessionStoreError {
  return new SessionStoreError("conflict", "another backup has taken the same name just now", {
    operation: "create a backup",
    path: where,
    onDisk: "No backup was made; the store is as it was.",
    nextStep: "Run it again.",
  });
}
