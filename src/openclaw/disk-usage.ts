/**
 * What a store and its transcripts take on the disk: the files in its folder, and every file below its directory. Links
 * are not followed and not counted, other directories are not entered: a copy of a store that was set aside must not
 * make a budget remove live sessions. Read-only; files that come and go meanwhile make the sum a little wrong.
 */

import type { StoreLocation } from "../backends/directory/layout.js";
import {
  entriesName,
  entryFileName,
  manifestName,
  parseTrashFileName,
  shardName,
  trashName,
} from "../backends/directory/layout.js";
import { type Manifest, parseManifest } from "../backends/directory/manifest.js";
import { hasActiveDirectory, inspectStoreForms } from "../discovery/store-forms.js";
import { openChecked, readWhole } from "../fs/checked-file.js";
import { type Directory, hasCode, type Port } from "../fs/port.js";
import { fixedLimits } from "../limits.js";

export interface FolderFile {
  readonly name: string;
  readonly sizeBytes: number;
  readonly modifiedMs: number;
}

export interface TrashFile {
  readonly name: string;
  readonly sizeBytes: number;
  readonly removedMs: number;
  /** Of the commit that removed it: the order within a millisecond. */
  readonly version: number;
}

export interface DiskUsage {
  /** The ordinary files directly in the folder. */
  readonly files: ReadonlyMap<string, FolderFile>;
  /** Of all files below the store's directory; 0 when there is none. */
  readonly directoryBytes: number;
  /** The sessions are in the directory, whatever else lies beside it. */
  readonly hasDirectory: boolean;
  /** Those that may be removed now, oldest first. */
  readonly trash: readonly TrashFile[];
  /** Bytes of the file of one session below the directory; undefined when it has none, or cannot be told. */
  readonly entryBytes: (key: string) => number | undefined;
  /** Another store lies in the same folder, so a transcript that this one does not know may be the other's. */
  readonly isShared: boolean;
}

/** The folder must stay open as long as `entryBytes` is asked. */
export async function measureDiskUsage(port: Port, folder: Directory, location: StoreLocation): Promise<DiskUsage> {
  const files = new Map<string, FolderFile>();
  let isShared = false;
  for (const batch of port.listInBatches(folder, 512)) {
    for (const { name, kind } of batch) {
      if (isOtherStore(name, kind, location)) isShared = true;
      if (kind !== "file") continue;
      const stat = port.statName(folder, name);
      if (stat?.kind === "file") files.set(name, { name, sizeBytes: stat.sizeBytes, modifiedMs: stat.modifiedMs });
    }
    await port.yieldToEventLoop();
  }
  const without = { files, directoryBytes: 0, hasDirectory: false, trash: [], entryBytes: () => undefined, isShared };
  const forms = inspectStoreForms(port, folder, location);
  if (!hasActiveDirectory(forms) || forms.directory === "ready") return without;
  const store = port.openDirectory(folder, location.directoryName);
  try {
    const directoryBytes = await sumBelow(port, store, depthMax);
    const manifest = forms.directory === "store" ? readManifest(port, store) : undefined;
    const trash = manifest === undefined ? [] : listTrash(port, store, manifest.checkpoint.version);
    const entryBytes = (key: string) => findEntryBytes(port, folder, location, manifest, key);
    return { files, directoryBytes, hasDirectory: true, trash, entryBytes, isShared };
  } finally {
    port.closeDirectory(store);
  }
}

function isOtherStore(name: string, kind: string, { legacyName, directoryName }: StoreLocation): boolean {
  if (kind === "file") return name.endsWith(".json") && !name.startsWith(".") && name !== legacyName;
  return kind === "directory" && name.endsWith(".d") && name !== directoryName;
}

/** A store is three levels deep; whatever goes deeper is not ours. */
const depthMax = 8;

async function sumBelow(port: Port, directory: Directory, depth: number): Promise<number> {
  let sum = 0;
  const below: string[] = [];
  for (const batch of port.listInBatches(directory, 512)) {
    for (const { name, kind } of batch) {
      if (kind === "directory") below.push(name);
      else if (kind === "file") sum += port.statName(directory, name)?.sizeBytes ?? 0;
    }
    await port.yieldToEventLoop();
  }
  if (depth === 0) return sum;
  for (const name of below) {
    let child: Directory;
    try {
      child = port.openDirectory(directory, name);
    } catch (error) {
      if (hasCode(error, "ENOENT", "ENOTDIR", "ELOOP")) continue;
      throw error;
    }
    try {
      sum += await sumBelow(port, child, depth - 1);
    } finally {
      port.closeDirectory(child);
    }
  }
  return sum;
}

/** `undefined` for one that is damaged: then nothing in the store is touched. */
function readManifest(port: Port, store: Directory): Manifest | undefined {
  try {
    const file = openChecked(port, store, manifestName, "read", { uid: undefined });
    try {
      const text = new TextDecoder().decode(readWhole(port, file, fixedLimits.manifestBytesMax));
      return parseManifest(text, file.displayPath);
    } finally {
      port.close(file);
    }
  } catch {
    return undefined;
  }
}

/** What is not checkpointed yet might be written once more, so removing it would free nothing. */
function listTrash(port: Port, store: Directory, checkpointed: number): TrashFile[] {
  const trash: TrashFile[] = [];
  if (port.statName(store, trashName)?.kind !== "directory") return trash;
  const directory = port.openDirectory(store, trashName);
  try {
    for (const batch of port.listInBatches(directory, 512)) {
      for (const { name, kind } of batch) {
        const removal = kind === "file" ? parseTrashFileName(name) : undefined;
        if (removal === undefined || removal.version > checkpointed) continue;
        const sizeBytes = port.statName(directory, name)?.sizeBytes ?? 0;
        trash.push({ name, sizeBytes, removedMs: removal.timeMs, version: removal.version });
      }
    }
  } finally {
    port.closeDirectory(directory);
  }
  return trash.sort((left, right) => left.removedMs - right.removedMs || left.version - right.version);
}

function findEntryBytes(
  port: Port,
  folder: Directory,
  location: StoreLocation,
  manifest: Manifest | undefined,
  key: string,
): number | undefined {
  const name = entryFileName(key, manifest?.fileNames ?? "base64url");
  const steps = [location.directoryName, entriesName, ...(manifest?.shardDigits === 2 ? [shardName(key)] : [])];
  const opened: Directory[] = [];
  try {
    let directory = folder;
    for (const step of steps) {
      directory = port.openDirectory(directory, step);
      opened.push(directory);
    }
    return port.statName(directory, name)?.sizeBytes;
  } catch {
    return undefined;
  } finally {
    for (const directory of opened) port.closeDirectory(directory);
  }
}

/** Unlinks one file of the trash; false when that failed. */
export function unlinkTrashFile(port: Port, folder: Directory, location: StoreLocation, name: string): boolean {
  const opened: Directory[] = [];
  try {
    let directory = folder;
    for (const step of [location.directoryName, trashName]) {
      directory = port.openDirectory(directory, step);
      opened.push(directory);
    }
    port.unlink(directory, name);
    return true;
  } catch {
    return false;
  } finally {
    for (const directory of opened) port.closeDirectory(directory);
  }
}
