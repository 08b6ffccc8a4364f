/**
 * Opening what may be hostile: open first, then check the descriptor that was opened, then use that same descriptor. A
 * link, a FIFO, a device, a hard link, somebody else's file or an oversized one is refused with an error that names it.
 */

import { fromSystemError, SessionStoreError } from "../errors.js";
import { shellWord } from "../shell-word.js";
import { type Directory, type File, type FileStat, hasCode, type OpenMode, type Port } from "./port.js";

/** Whose files a store may hold: those of the user who owns its directory. `undefined` where there are no users. */
export interface StoreOwner {
  readonly uid: number | undefined;
}

/**
 * An ordinary file that is refused for its links or its owner alone. Nothing is known to be wrong with what it holds, so
 * whoever moves damaged files out of the way leaves it: `nextStep` makes it usable where it lies.
 */
export class UntrustedFileError extends SessionStoreError {
  declare readonly nextStep: string;
}

/** Opens an ordinary file of the store. Errors of the system (ENOENT ...) pass through, unsafe files are `unsafe_path`. */
export function openChecked(port: Port, directory: Directory, name: string, mode: OpenMode, owner: StoreOwner): File {
  return openWithSize(port, directory, name, mode, owner).file;
}

/** The whole content of an ordinary file of the store, at most `bytesMax`. Errors as of `openChecked`. */
export function readChecked(
  port: Port,
  directory: Directory,
  name: string,
  bytesMax: number,
  owner: StoreOwner,
): Uint8Array {
  const { file, sizeBytes } = openWithSize(port, directory, name, "read", owner);
  try {
    return readWhole(port, file, bytesMax, sizeBytes);
  } finally {
    port.close(file);
  }
}

function openWithSize(
  port: Port,
  directory: Directory,
  name: string,
  mode: OpenMode,
  owner: StoreOwner,
): { file: File; sizeBytes: number } {
  const file = refusingOtherKinds(`${directory.displayPath}/${name}`, "file", () => port.open(directory, name, mode));
  try {
    const stat = port.stat(file);
    const problem = findFileProblem(stat, owner);
    if (problem) throw unsafeFile(`this file ${problem}`, stat, owner, file.displayPath);
    return { file, sizeBytes: stat.sizeBytes };
  } catch (error) {
    port.close(file);
    throw error;
  }
}

export function findFileProblem(stat: FileStat, owner: StoreOwner): string | undefined {
  if (stat.kind !== "file")
    return `is a ${stat.kind === "other" ? "FIFO, socket or device" : stat.kind}, not an ordinary file`;
  if (stat.linkCount > 1) return "has a hard link elsewhere";
  if (owner.uid !== undefined && stat.ownerUid !== owner.uid)
    return `belongs to user ${stat.ownerUid}, not to ${owner.uid}`;
  return undefined;
}

/** Why a file could not be read, and how to make it readable where it lies, as far as its owner and mode tell. */
export function explainRefusal(
  port: Port,
  directory: Directory,
  name: string,
  owner: StoreOwner,
  error: unknown,
): { readonly problem: string; readonly nextStep: string | undefined } {
  if (error instanceof SessionStoreError) {
    return { problem: error.problem, nextStep: error instanceof UntrustedFileError ? error.nextStep : undefined };
  }
  const { problem, nextStep } = fromSystemError(error, {});
  const stat = hasCode(error, "EACCES", "EPERM") ? statBestEffort(port, directory, name) : undefined;
  if (stat === undefined || owner.uid === undefined) return { problem, nextStep };
  const path = `${directory.displayPath}/${name}`;
  const why = `${problem}: it belongs to user ${stat.ownerUid} and has mode ${stat.mode.toString(8)}`;
  const isOfOwner = stat.ownerUid === owner.uid;
  if (!isOfOwner) return { problem: why, nextStep: giveBack(path, owner.uid) };
  if (port.userId !== owner.uid) {
    return { problem: why, nextStep: `Run as user ${owner.uid}, who owns the store (you are user ${port.userId}).` };
  }
  return { problem: why, nextStep: `Let its owner read it: \`chmod 600 ${shellWord(path)}\`.` };
}

function statBestEffort(port: Port, directory: Directory, name: string): FileStat | undefined {
  try {
    return port.statName(directory, name);
  } catch {
    return undefined;
  }
}

/** Opens a directory; anything else of that name is `unsafe_path`. ENOENT passes through. */
export function openRealDirectory(port: Port, parent: Directory, name: string): Directory {
  return refusingOtherKinds(`${parent.displayPath}/${name}`, "directory", () => port.openDirectory(parent, name));
}

/**
 * Opens a directory of the store; it may not be a link, somebody else's, or writable by group or others, and not a mount:
 * with `device` given, one that is on another device is refused. It would hide what lies below, or take it away one day.
 */
export function openCheckedDirectory(
  port: Port,
  parent: Directory,
  name: string,
  owner: StoreOwner,
  device?: number,
): Directory {
  const directory = openRealDirectory(port, parent, name);
  try {
    const stat = port.statDirectory(directory);
    const isMount = device !== undefined && stat.device !== device;
    const problem = isMount ? "is a mount: it lies on another device" : findDirectoryProblem(stat, owner);
    if (problem) throw unsafe(`this directory ${problem}`, directory.displayPath);
    return directory;
  } catch (error) {
    port.closeDirectory(directory);
    throw error;
  }
}

export function findDirectoryProblem(stat: FileStat, owner: StoreOwner): string | undefined {
  // Platforms without users report no meaningful mode bits either.
  if (owner.uid === undefined) return undefined;
  if (stat.ownerUid !== owner.uid) return `belongs to user ${stat.ownerUid}, not to ${owner.uid}`;
  if ((stat.mode & 0o022) !== 0) return `is writable by group or others (mode ${stat.mode.toString(8)}; chmod 700 it)`;
  return undefined;
}

/** The whole content of an open file, at most `bytesMax`: a file that grows while it is read does not get past that. */
export function readWhole(
  port: Port,
  file: File,
  bytesMax: number,
  sizeBytes: number = port.stat(file).sizeBytes,
): Uint8Array {
  if (sizeBytes > bytesMax) {
    throw new SessionStoreError("limit_exceeded", `the file has ${sizeBytes} bytes, more than ${bytesMax}`, {
      path: file.displayPath,
    });
  }
  const buffer = Buffer.allocUnsafe(sizeBytes);
  let filled = 0;
  while (filled < sizeBytes) {
    const count = port.read(file, buffer.subarray(filled), filled);
    if (count === 0) break;
    filled += count;
  }
  return buffer.subarray(0, filled);
}

/** Creates a file (it must not exist) of mode 0600 and writes it whole; removes it again when that fails. */
export function writeNewFile(port: Port, directory: Directory, name: string, bytes: Uint8Array): File {
  const file = port.open(directory, name, "create");
  try {
    port.setMode(file, 0o600);
    const written = port.append(file, bytes);
    // A full disk does not throw: the count comes back short.
    if (written !== bytes.byteLength) throw shortWrite(written, bytes.byteLength);
    return file;
  } catch (error) {
    port.close(file);
    port.unlink(directory, name);
    throw error;
  }
}

export function shortWrite(written: number, wanted: number): Error {
  return Object.assign(new Error(`ENOSPC: only ${written} of ${wanted} bytes could be written`), { code: "ENOSPC" });
}

/** Some kinds of files are refused by the system already; its error names neither the path nor the reason. */
const kindsBySystemError: Record<string, string> = {
  ELOOP: "a symbolic link",
  EISDIR: "a directory",
  ENOTDIR: "not a directory",
  ENXIO: "a socket or device",
};

function refusingOtherKinds<Opened>(path: string, wanted: "file" | "directory", open: () => Opened): Opened {
  try {
    return open();
  } catch (error) {
    const kind = kindsBySystemError[String((error as { code?: unknown } | undefined)?.code)];
    if (kind === undefined) throw error;
    throw unsafe(`this ${wanted} is ${kind}`, path, error);
  }
}

function unsafeFile(problem: string, stat: FileStat, owner: StoreOwner, path: string): SessionStoreError {
  const isOrdinary = stat.kind === "file";
  if (!isOrdinary) return unsafe(problem, path);
  return new UntrustedFileError("unsafe_path", problem, {
    path,
    onDisk: "It was not read and not changed.",
    nextStep:
      stat.linkCount > 1
        ? `Remove its other name, never this one (\`find / -xdev -samefile ${shellWord(path)}\` shows both); copy a store without hard links.`
        : giveBack(path, owner.uid),
  });
}

function giveBack(path: string, uid: number | undefined): string {
  // Lock files are opened for the user who runs, before anybody looked whose store it is.
  if (path.endsWith(".lock"))
    return "Run as the user who owns the store, or find out who made it; never delete a lock file.";
  return `Give it back to the owner of the store: \`sudo chown ${uid} ${shellWord(path)}\`.`;
}

function unsafe(problem: string, path: string, cause?: unknown): SessionStoreError {
  return new SessionStoreError("unsafe_path", problem, {
    path,
    onDisk: "It was not read and not changed.",
    // A lock file that is removed means two holders of one lock, so nobody is told to.
    nextStep: / belongs to user /.test(problem)
      ? "Run as the user who owns the store, or find out who made it; never delete a lock file."
      : "Find out who made it, then remove it or move it away.",
    cause,
  });
}
