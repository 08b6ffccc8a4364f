/**
 * The disk budget of a store: when what it takes is above `maxDiskBytes`, files and then sessions are removed until it is
 * down at `highWaterBytes`. In this order:
 *
 * 1. the store's trash, the oldest removals first, so that expired ones go before all others;
 * 2. archived transcripts, and transcripts that no session knows, the oldest first;
 * 3. copies that a rotation made of the store file, the oldest first;
 * 4. sessions, by their last activity, with their transcripts; the session at work never.
 *
 * Every other backup of a store - `.bak.<ms>` of a migration, of a person, of the gateway - and what was set aside as
 * `.corrupt.<ms>` is neither removed nor counted: it may be the only place of what is in it, and a copy that stays must
 * not make a budget remove live sessions.
 *
 * Files are deleted here. Sessions are only taken out of the object that was given: the caller saves it, and purges them
 * from a directory store, for in its trash they would take as much as before.
 */

import path from "node:path";
import { parseStoreLocation, type StoreLocation } from "../backends/directory/layout.js";
import { realPathOfDeepest } from "../discovery/real-paths.js";
import { type Directory, hasCode, type Port } from "../fs/port.js";
import { ambientPort } from "./ambient.js";
import { isPrimarySessionTranscriptFileName, isSessionArchiveArtifactName } from "./artifacts.js";
import { type DiskUsage, type FolderFile, measureDiskUsage, unlinkTrashFile } from "./disk-usage.js";
import { normalizeStoreSessionKey } from "./key-normalization.js";
import { logInfo, logWarning } from "./log.js";
import type { RemovedEntry } from "./maintenance.js";
import type { ResolvedSessionMaintenanceConfig } from "./maintenance-config.js";
import { resolveSessionFilePath } from "./paths.js";
import { ProjectedText } from "./projected-text.js";
import { ownValue } from "./prototype-keys.js";
import { recordedBackups } from "./rotate.js";
import { inFolder } from "./single-names.js";
import { TranscriptReferences } from "./transcript-references.js";
import type { SessionEntry } from "./types.js";

export interface SessionDiskBudgetSweepResult {
  totalBytesBefore: number;
  totalBytesAfter: number;
  removedFiles: number;
  removedEntries: number;
  /** Of files alone; what the store itself shrinks by is in `totalBytesAfter`. */
  freedBytes: number;
  maxBytes: number;
  highWaterBytes: number;
  /** It was, when it was measured. */
  overBudget: boolean;
}

export interface SessionDiskBudgetLogger {
  warn(message: string, context?: Record<string, unknown>): void;
  info(message: string, context?: Record<string, unknown>): void;
}

export interface SessionDiskBudgetParams {
  /** Sessions are removed from it, in a dry run too: then give a copy. */
  store: Record<string, SessionEntry>;
  storePath: string;
  activeSessionKey?: string;
  maintenance: Pick<ResolvedSessionMaintenanceConfig, "maxDiskBytes" | "highWaterBytes">;
  /** Measure and say so, remove nothing. */
  warnOnly: boolean;
  dryRun?: boolean;
  log?: SessionDiskBudgetLogger;
  /** Transcripts that something outside the entries refers to, as file names: earlier generations of a session. */
  referencedFiles?: ReadonlySet<string>;
  onEvicted?: (removed: RemovedEntry) => void;
  /**
   * Keys of sessions, no longer in `store`, that are about to go to the trash of a directory store. Where space is short
   * they must not stay there: they are freed after the trash and before anything else, in this order.
   */
  removing?: Iterable<string>;
  /** One of `removing` that has to be purged, not kept in the trash. */
  onPurged?: (key: string) => void;
  /** Names of files in the folder that are about to go anyway: as if they were not there. */
  leaving?: ReadonlySet<string>;
  /** A backup or a file set aside, which is neither counted nor removed. */
  onKept?: (file: BudgetFile) => void;
  /** Each file that goes; in a dry run, that would go. */
  onFile?: (file: BudgetFile) => void;
}

export interface BudgetFile {
  /** Where its name lies: in the store's folder, or in the trash of its directory. */
  readonly place: "folder" | "trash";
  readonly name: string;
  readonly sizeBytes: number;
}

/** Null without a budget. Throws when the folder cannot be read; what cannot be deleted is passed over. */
export async function enforceSessionDiskBudget(
  params: SessionDiskBudgetParams,
): Promise<SessionDiskBudgetSweepResult | null> {
  const { maxDiskBytes, highWaterBytes } = params.maintenance;
  if (maxDiskBytes === null || highWaterBytes === null) return null;
  const port = ambientPort();
  const location = locationOf(params.storePath);
  // Before the first save there is no folder, and nothing to be counted.
  const folderPath = realPathIfThere(port, location.parentPath);
  if (folderPath === undefined) return nothingCounted(maxDiskBytes, highWaterBytes);
  return inFolder(port, folderPath, async (folder) => {
    const usage = await measureDiskUsage(port, folder, location);
    const sweep = new BudgetSweep(port, folder, location, usage, params, maxDiskBytes, highWaterBytes);
    return sweep.run();
  });
}

function realPathIfThere(port: Port, folderPath: string): string | undefined {
  try {
    return port.realPath(folderPath);
  } catch (error) {
    if (hasCode(error, "ENOENT")) return undefined;
    throw error;
  }
}

function nothingCounted(maxBytes: number, highWaterBytes: number): SessionDiskBudgetSweepResult {
  const nothing = { totalBytesBefore: 0, totalBytesAfter: 0, removedFiles: 0, removedEntries: 0, freedBytes: 0 };
  return { ...nothing, maxBytes, highWaterBytes, overBudget: false };
}

/** A store of any file name has a folder; only those that end in `.json` can have a directory. */
function locationOf(storePath: string): StoreLocation {
  const absolute = path.resolve(storePath);
  const legacyName = path.basename(absolute);
  return (
    parseStoreLocation(absolute) ?? { parentPath: path.dirname(absolute), legacyName, directoryName: `${legacyName}.d` }
  );
}

class BudgetSweep {
  readonly #port: Port;
  readonly #folder: Directory;
  readonly #location: StoreLocation;
  readonly #usage: DiskUsage;
  /** The files of the folder that count. */
  readonly #files: ReadonlyMap<string, FolderFile>;
  /** Copies that a rotation made. */
  readonly #rotations: ReadonlySet<string>;
  readonly #params: SessionDiskBudgetParams;
  readonly #maxBytes: number;
  readonly #highWaterBytes: number;
  readonly #log: SessionDiskBudgetLogger;
  #lazyText: ProjectedText | undefined;
  readonly #before: number;
  #total: number;
  #removedFiles = 0;
  #removedEntries = 0;
  #freedBytes = 0;

  constructor(
    port: Port,
    folder: Directory,
    location: StoreLocation,
    usage: DiskUsage,
    params: SessionDiskBudgetParams,
    maxBytes: number,
    highWaterBytes: number,
  ) {
    this.#port = port;
    this.#folder = folder;
    this.#location = location;
    this.#usage = usage;
    this.#params = params;
    this.#maxBytes = maxBytes;
    this.#highWaterBytes = highWaterBytes;
    this.#log = params.log ?? { warn: logWarning, info: logInfo };
    this.#rotations = new Set(recordedBackups(port, folder, location.legacyName).map(({ name }) => name));
    this.#files = new Map([...usage.files].filter(([name]) => this.#isCounted(name)));
    this.#total = this.#measuredTotal();
    this.#before = this.#total;
  }

  #isCounted(name: string): boolean {
    if (this.#params.leaving?.has(name)) return false;
    if (!isSetAside(name) || this.#rotations.has(name)) return true;
    const sizeBytes = this.#usage.files.get(name)?.sizeBytes ?? 0;
    this.#params.onKept?.({ place: "folder", name, sizeBytes });
    return false;
  }

  /** Not made before it is asked for: it writes every session out once. */
  get #text(): ProjectedText {
    this.#lazyText ??= new ProjectedText(this.#params.store);
    return this.#lazyText;
  }

  /** The store file counts as what it will be once the store is saved; a directory as what it is. */
  #measuredTotal(): number {
    const { hasDirectory, directoryBytes } = this.#usage;
    const files = this.#files;
    let total = directoryBytes;
    for (const { sizeBytes } of files.values()) total += sizeBytes;
    if (hasDirectory) return total;
    return total - (files.get(this.#location.legacyName)?.sizeBytes ?? 0) + this.#text.totalBytes;
  }

  run(): SessionDiskBudgetSweepResult {
    if (this.#total <= this.#maxBytes) return this.#result(false);
    const about = {
      storePath: path.resolve(this.#params.storePath),
      totalBytes: this.#total,
      maxBytes: this.#maxBytes,
      highWaterBytes: this.#highWaterBytes,
    };
    if (this.#params.warnOnly) {
      this.#log.warn("session disk budget exceeded (warn-only mode)", about);
      return this.#result(true);
    }
    const references = new TranscriptReferences(this.#params.store, this.#params.referencedFiles);
    this.#removeTrash();
    this.#purgeRemoved();
    this.#removeFiles((name) => this.#isArchiveOrOrphan(name, references));
    this.#removeFiles((name) => this.#rotations.has(name));
    this.#removeSessions(references);
    const result = this.#result(true);
    if (!this.#params.dryRun) this.#report({ ...about, ...result });
    return result;
  }

  get #isDone(): boolean {
    return this.#total <= this.#highWaterBytes;
  }

  #removeTrash(): void {
    for (const { name, sizeBytes } of this.#usage.trash) {
      if (this.#isDone) return;
      if (!this.#params.dryRun && !unlinkTrashFile(this.#port, this.#folder, this.#location, name)) continue;
      this.#countFile({ place: "trash", name, sizeBytes });
    }
  }

  /** A single file has no trash, and what is not in it takes nothing. */
  #purgeRemoved(): void {
    if (!this.#usage.hasDirectory) return;
    for (const key of this.#params.removing ?? []) {
      if (this.#isDone) return;
      this.#total -= this.#usage.entryBytes(key) ?? 0;
      this.#params.onPurged?.(key);
    }
  }

  #removeFiles(isWanted: (name: string) => boolean): void {
    if (this.#isDone) return;
    const files = [...this.#files.values()].filter(({ name }) => isWanted(name));
    files.sort((left, right) => left.modifiedMs - right.modifiedMs);
    for (const { name } of files) {
      if (this.#isDone) return;
      this.#removeFile(name);
    }
  }

  #isArchiveOrOrphan(name: string, references: TranscriptReferences): boolean {
    if (this.#rotations.has(name)) return false;
    if (isSessionArchiveArtifactName(name)) return true;
    if (!isPrimarySessionTranscriptFileName(name) || references.has(name)) return false;
    return !this.#usage.isShared && !this.#isStoreUnread;
  }

  /** Sessions on the disk and none in hand: nobody can say whose transcripts these are. */
  get #isStoreUnread(): boolean {
    if (Object.keys(this.#params.store).length > 0) return false;
    const { files, hasDirectory } = this.#usage;
    return hasDirectory || (files.get(this.#location.legacyName)?.sizeBytes ?? 0) > emptyStoreBytes;
  }

  #removeFile(name: string): void {
    const file = this.#files.get(name);
    if (file === undefined) return;
    if (!this.#params.dryRun) {
      try {
        this.#port.unlink(this.#folder, name);
      } catch {
        return;
      }
    }
    this.#countFile({ place: "folder", name, sizeBytes: file.sizeBytes });
  }

  #countFile(file: BudgetFile): void {
    const { sizeBytes } = file;
    this.#params.onFile?.(file);
    this.#removedFiles += 1;
    this.#freedBytes += sizeBytes;
    this.#total -= sizeBytes;
  }

  #removeSessions(references: TranscriptReferences): void {
    if (this.#isDone) return;
    const { store, activeSessionKey } = this.#params;
    const active = activeSessionKey === undefined ? "" : normalizeStoreSessionKey(activeSessionKey);
    const keys = Object.keys(store).filter((key) => active === "" || normalizeStoreSessionKey(key) !== active);
    const dated = keys.map((key) => ({ key, updatedAt: ownValue(store, key)?.updatedAt ?? 0 }));
    dated.sort((left, right) => left.updatedAt - right.updatedAt);
    for (const { key } of dated) {
      if (this.#isDone) return;
      this.#removeSession(key, references);
    }
  }

  #removeSession(key: string, references: TranscriptReferences): void {
    const { store } = this.#params;
    const entry = ownValue(store, key) as SessionEntry;
    this.#total -= this.#usage.entryBytes(key) ?? this.#text.remove(key);
    delete store[key];
    this.#removedEntries += 1;
    references.release(entry);
    const transcript = this.#transcriptOf(entry);
    if (transcript !== undefined && !references.has(transcript)) this.#removeFile(transcript);
    this.#params.onEvicted?.({ key, entry });
  }

  /** Its name, when it lies directly in the folder. */
  #transcriptOf(entry: SessionEntry): string | undefined {
    const sessionsDir = this.#location.parentPath;
    try {
      const transcript = resolveSessionFilePath(entry?.sessionId, entry, { sessionsDir });
      const folders = [sessionsDir, realPathOfDeepest(this.#port, sessionsDir)];
      return folders.includes(path.dirname(transcript)) ? path.basename(transcript) : undefined;
    } catch {
      return undefined;
    }
  }

  #report(fields: Record<string, unknown>): void {
    if (this.#isDone) this.#log.info("applied session disk budget cleanup", fields);
    else this.#log.warn("session disk budget still above high-water target after cleanup", fields);
  }

  #result(overBudget: boolean): SessionDiskBudgetSweepResult {
    return {
      totalBytesBefore: this.#before,
      totalBytesAfter: this.#total,
      removedFiles: this.#removedFiles,
      removedEntries: this.#removedEntries,
      freedBytes: this.#freedBytes,
      maxBytes: this.#maxBytes,
      highWaterBytes: this.#highWaterBytes,
      overBudget,
    };
  }
}

/** The name of a backup of some store, or of a file that was set aside because nobody could read it. */
function isSetAside(name: string): boolean {
  return /\.(bak|corrupt)\.\d{1,15}$/.test(name);
}

/** `{}` and a line's end. */
const emptyStoreBytes = 4;
