/**
 * The small JSON files that a gateway keeps beside its stores. Not used for sessions: they are here so that code which
 * takes these helpers from the same place as the session functions goes on working. A file appears whole or not at all.
 */

import path from "node:path";
import { writeNewFile } from "../fs/checked-file.js";
import { openOrMakeParent } from "../fs/parent-directory.js";
import { type Directory, hasCode, type Port } from "../fs/port.js";
import { readStableFile } from "../fs/stable-file.js";
import { limitCaps } from "../limits.js";
import { parseLegacyText } from "../sessions/legacy-text.js";
import { ambientPort } from "./ambient.js";
import { inFolderOf } from "./single-names.js";
import type { SessionEntry } from "./types.js";

export interface WriteTextOptions {
  /** Permission bits of the file; default 0o600. */
  mode?: number;
  /** Accepted and not needed: a folder that has to be made is always of mode 0o700. */
  ensureDirMode?: number;
  appendTrailingNewline?: boolean;
}

export interface WriteJsonOptions extends Omit<WriteTextOptions, "appendTrailingNewline"> {
  trailingNewline?: boolean;
}

/** Null for whatever cannot be read or parsed. */
export async function readJsonFile<T>(filePath: string): Promise<T | null> {
  return loadJsonFile<T>(filePath) ?? null;
}

/** Undefined for whatever cannot be read or parsed. */
export function loadJsonFile<T>(filePath: string): T | undefined {
  try {
    const bytes = readBytes(filePath);
    return bytes === undefined ? undefined : (JSON.parse(Buffer.from(bytes).toString("utf8")) as T);
  } catch {
    return undefined;
  }
}

function readBytes(filePath: string): Uint8Array | undefined {
  const port = ambientPort();
  const found = inFolderOf(port, port.realPath(filePath), (folder, name) =>
    readStableFile(port, folder, name, limitCaps.legacyFileBytes),
  );
  return found.state === "read" ? found.bytes : undefined;
}

/** Two spaces of indentation; see `writeTextAtomic`. */
export async function writeJsonAtomic(filePath: string, value: unknown, options: WriteJsonOptions = {}): Promise<void> {
  const { trailingNewline = false, ...rest } = options;
  await writeTextAtomic(filePath, JSON.stringify(value, null, 2), { ...rest, appendTrailingNewline: trailingNewline });
}

/** Makes the folder, writes and syncs a temporary file, renames it into place, syncs the folder. A link is replaced. */
export async function writeTextAtomic(
  filePath: string,
  content: string,
  options: WriteTextOptions = {},
): Promise<void> {
  const { mode, appendTrailingNewline = false } = options;
  const port = ambientPort();
  const absolute = path.resolve(filePath);
  const text = appendTrailingNewline && !content.endsWith("\n") ? `${content}\n` : content;
  const folder = await openOrMakeParent(port, path.dirname(absolute));
  try {
    const name = path.basename(absolute);
    const temporary = temporaryFor(port, name);
    const file = writeNewFile(port, folder, temporary, Buffer.from(text));
    try {
      if (mode !== undefined) port.setMode(file, mode);
      await port.syncFile(file);
      port.rename(folder, temporary, folder, name);
    } catch (error) {
      removeBestEffort(port, folder, temporary);
      throw error;
    } finally {
      port.close(file);
    }
    await port.syncDirectory(folder);
  } finally {
    port.closeDirectory(folder);
  }
}

/**
 * Synchronous, with a line end, of mode 0600; the folder is made, of mode 0700. A link is written through; one that leads
 * nowhere is an error (ENOENT). Not synced: a power cut may leave the file as it was before.
 */
export function saveJsonFile(filePath: string, data: unknown): void {
  const port = ambientPort();
  const bytes = Buffer.from(`${JSON.stringify(data, null, 2)}\n`);
  const target = targetOf(port, path.resolve(filePath));
  makeFolders(port, path.dirname(target));
  inFolderOf(port, target, (folder, name) => {
    const temporary = temporaryFor(port, name);
    const file = writeNewFile(port, folder, temporary, bytes);
    try {
      port.rename(folder, temporary, folder, name);
    } catch (error) {
      removeBestEffort(port, folder, temporary);
      throw error;
    } finally {
      port.close(file);
    }
  });
}

/** Where a link leads, or the path itself when nothing is there yet. */
function targetOf(port: Port, absolute: string): string {
  try {
    return port.realPath(absolute);
  } catch (error) {
    if (!hasCode(error, "ENOENT") || isThere(port, absolute)) throw error;
    return absolute;
  }
}

/** Also a link that leads nowhere. */
function isThere(port: Port, absolute: string): boolean {
  try {
    return inFolderOf(port, absolute, (folder, name) => port.statName(folder, name)) !== undefined;
  } catch (error) {
    if (hasCode(error, "ENOENT")) return false;
    throw error;
  }
}

function makeFolders(port: Port, folderPath: string): void {
  try {
    port.closeDirectory(port.openRoot(folderPath));
  } catch (error) {
    if (!hasCode(error, "ENOENT") || path.dirname(folderPath) === folderPath) throw error;
    makeFolders(port, path.dirname(folderPath));
    inFolderOf(port, folderPath, (parent, name) => {
      try {
        port.makeDirectory(parent, name, 0o700);
      } catch (made) {
        if (!hasCode(made, "EEXIST")) throw made;
      }
    });
  }
}

function temporaryFor(port: Port, name: string): string {
  return `${name}.${Buffer.from(port.randomBytes(16)).toString("hex")}.tmp`;
}

function removeBestEffort(port: Port, folder: Directory, name: string): void {
  try {
    port.unlink(folder, name);
  } catch {
    // It was renamed, or is left behind under a name of its own.
  }
}

/** Runs what it is given one after the other, in the order of the calls; a failure ends only its own call. */
export function createAsyncLock(): <Result>(work: () => Promise<Result>) => Promise<Result> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const result = last.then(work);
    last = result.catch(() => {});
    return result;
  };
}

/** Size and time of a file, by which a cache of its content may be judged; undefined when there is none. */
export function getFileStatSnapshot(filePath: string): { mtimeMs: number; sizeBytes: number } | undefined {
  const port = ambientPort();
  try {
    const stat = inFolderOf(port, port.realPath(filePath), (folder, name) => port.statName(folder, name));
    return stat === undefined ? undefined : { mtimeMs: stat.modifiedMs, sizeBytes: stat.sizeBytes };
  } catch {
    return undefined;
  }
}

/** A legacy store, JSON or JSON5. `ok` is false, and the store empty, for a file that is missing or holds no object. */
export function readSessionStoreJson5(storePath: string): { store: Record<string, SessionEntry>; ok: boolean } {
  try {
    const bytes = readBytes(storePath);
    const text = bytes === undefined ? undefined : parseLegacyText(bytes);
    if (text?.state === "object") return { store: { ...text.value } as Record<string, SessionEntry>, ok: true };
  } catch {
    // As if it held nothing.
  }
  return { store: {}, ok: false };
}
