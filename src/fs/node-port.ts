/**
 * The port on the real operating system. Relies on: Linux addresses a name inside an open directory as
 * `/proc/self/fd/<descriptor>/<name>`, which stays right after the directory's own path was swapped. Where there is no
 * such thing, the directory's identity is compared before and after each use of its path.
 */

import { randomBytes } from "node:crypto";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { loadKernelLocks } from "./kernel-lock.js";
import { findLockHolder } from "./lock-holder.js";
import type { Directory, DirectoryEntry, File, FileKind, FileStat, OpenMode, Port, Timer } from "./port.js";
import { inspectProcess } from "./process-state.js";

const { O_RDONLY, O_RDWR, O_APPEND, O_CREAT, O_EXCL } = fs.constants;
// Windows knows none of these; there they cost nothing.
const O_NOFOLLOW = fs.constants.O_NOFOLLOW ?? 0;
const O_NONBLOCK = fs.constants.O_NONBLOCK ?? 0;
const O_DIRECTORY = fs.constants.O_DIRECTORY ?? 0;

/** A link is refused (ELOOP) and a FIFO does not block, whatever the mode. */
const openFlags: Record<OpenMode, number> = {
  read: O_RDONLY | O_NOFOLLOW | O_NONBLOCK,
  append: O_RDWR | O_APPEND | O_NOFOLLOW | O_NONBLOCK,
  create: O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_NONBLOCK,
  lock: O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK,
};

const addressesByDescriptor = process.platform === "linux" && fs.existsSync("/proc/self/fd");

interface NodeDirectory extends Directory {
  /** -1 on platforms that cannot open a directory. */
  readonly descriptor: number;
  readonly device: number;
  readonly inode: number;
  /** When the directory was last seen to lie at its path. */
  seenAtPathMs: number;
}

/** How long a directory is taken to lie at its own path still. */
const pathCheckMs = 1_000;

interface NodeFile extends File {
  readonly descriptor: number;
}

export function createNodePort(): Port {
  const locks = loadKernelLocks();
  const napCell = new Int32Array(new SharedArrayBuffer(4));
  return {
    openRoot: (directoryPath) => {
      const real = fs.realpathSync(directoryPath);
      // Where paths are used as addresses, links in them must be gone.
      return openDirectoryAt(real, addressesByDescriptor ? path.resolve(directoryPath) : real);
    },
    statRoot: (directoryPath) => {
      const stat = fs.statSync(directoryPath, { throwIfNoEntry: false });
      return stat && toFileStat(stat);
    },
    openDirectory: (parent, name) => openDirectoryAt(address(parent, name), path.join(parent.displayPath, name)),
    realPath: (somePath) => fs.realpathSync.native(somePath),
    closeDirectory: (directory) => {
      const { descriptor } = directory as NodeDirectory;
      if (descriptor >= 0) fs.closeSync(descriptor);
    },
    statDirectory: (directory) => {
      const { descriptor } = directory as NodeDirectory;
      return toFileStat(descriptor >= 0 ? fs.fstatSync(descriptor) : fs.lstatSync(directory.displayPath));
    },
    list: (directory, entriesMax) => {
      const entries: DirectoryEntry[] = [];
      for (const batch of listInBatches(directory, 1_024)) {
        entries.push(...batch);
        if (entries.length > entriesMax)
          throw systemError("EOVERFLOW", `more than ${entriesMax} entries in ${directory.displayPath}`);
      }
      return entries;
    },
    listInBatches,
    makeDirectory: (parent, name, mode) => fs.mkdirSync(address(parent, name), { mode }),
    removeDirectory: (parent, name) => fs.rmdirSync(address(parent, name)),
    syncDirectory: (directory) => {
      const { descriptor } = directory as NodeDirectory;
      // Windows has no way to sync a directory; NTFS journals its names.
      return descriptor < 0 ? Promise.resolve() : settle((done) => fs.fsync(descriptor, done));
    },

    open: (directory, name, mode) => {
      const descriptor = fs.openSync(address(directory, name), openFlags[mode], 0o600);
      return { descriptor, displayPath: `${directory.displayPath}${path.sep}${name}` } as NodeFile;
    },
    close: (file) => fs.closeSync((file as NodeFile).descriptor),
    stat: (file) => toFileStat(fs.fstatSync((file as NodeFile).descriptor)),
    statName,
    ...(addressesByDescriptor ? { statAtPath } : {}),
    read: (file, buffer, position) =>
      fs.readSync((file as NodeFile).descriptor, buffer, 0, buffer.byteLength, position),
    append: (file, bytes) => fs.writeSync((file as NodeFile).descriptor, bytes, 0, bytes.byteLength, null),
    truncate: (file, sizeBytes) => {
      // Windows opens files for appending without the right to cut them.
      if (process.platform === "win32") fs.truncateSync(file.displayPath, sizeBytes);
      else fs.ftruncateSync((file as NodeFile).descriptor, sizeBytes);
    },
    setMode: (file, mode) => fs.fchmodSync((file as NodeFile).descriptor, mode),
    syncFile: (file) => settle((done) => fs.fdatasync((file as NodeFile).descriptor, done)),
    rename: (fromDirectory, fromName, toDirectory, toName) =>
      fs.renameSync(address(fromDirectory, fromName), address(toDirectory, toName)),
    unlink: (directory, name) => fs.unlinkSync(address(directory, name)),
    requireWritable: (directory) =>
      fs.accessSync(directoryAddress(directory as NodeDirectory), fs.constants.W_OK | fs.constants.X_OK),
    statFileSystem: (directory) => {
      const stat = fs.statfsSync(directoryAddress(directory as NodeDirectory));
      return { freeBytes: stat.bavail * stat.bsize, type: stat.type };
    },

    lockFamily: locks.family,
    tryLock: (file, kind) => locks.tryLock((file as NodeFile).descriptor, kind === "shared"),
    unlock: (file) => locks.unlock((file as NodeFile).descriptor),
    describeLockHolder: (file) => findLockHolder(fs.fstatSync((file as NodeFile).descriptor).ino),

    nowMs: () => Date.now(),
    monotonicMs: () => performance.now(),
    randomBytes: (count) => randomBytes(count),
    random: () => Math.random(),
    nap: (microseconds) => void Atomics.wait(napCell, 0, 0, microseconds / 1_000),
    sleep,
    yieldToEventLoop: () => new Promise((resolve) => setImmediate(resolve)),
    startTimer: (ms, callback): Timer => {
      const timer = setTimeout(callback, ms);
      timer.unref();
      return { cancel: () => clearTimeout(timer) };
    },

    processId: process.pid,
    inspectProcess,
    userId: process.geteuid?.(),
    homeDirectory: findHomeDirectory(),
  };
}

let shared: Port | undefined;

/** The port of this process; made on first use, because it loads the native lock binding. */
export function nodePort(): Port {
  shared ??= createNodePort();
  return shared;
}

/** A user without an entry in the system's list has none. */
function findHomeDirectory(): string | undefined {
  try {
    return os.homedir() || undefined;
  } catch {
    return undefined;
  }
}

function openDirectoryAt(where: string, displayPath: string): NodeDirectory {
  if (process.platform === "win32") {
    const stat = fs.lstatSync(where);
    if (!stat.isDirectory())
      throw systemError(stat.isSymbolicLink() ? "ELOOP" : "ENOTDIR", `not a directory: ${where}`);
    return { descriptor: -1, displayPath, device: stat.dev, inode: stat.ino, seenAtPathMs: Number.NEGATIVE_INFINITY };
  }
  let descriptor: number;
  try {
    descriptor = fs.openSync(where, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  } catch (error) {
    // A link to a directory is ENOTDIR here; say what it really is.
    if (
      (error as NodeJS.ErrnoException).code === "ENOTDIR" &&
      fs.lstatSync(where, { throwIfNoEntry: false })?.isSymbolicLink()
    ) {
      throw systemError("ELOOP", `${displayPath} is a symbolic link`);
    }
    throw error;
  }
  const stat = fs.fstatSync(descriptor);
  return { descriptor, displayPath, device: stat.dev, inode: stat.ino, seenAtPathMs: Number.NEGATIVE_INFINITY };
}

function address(directory: Directory, name: string): string {
  if (
    name === "" ||
    name === "." ||
    name === ".." ||
    name.includes("/") ||
    name.includes("\0") ||
    (path.sep !== "/" && name.includes(path.sep))
  ) {
    throw systemError("EINVAL", `not a single file name: ${JSON.stringify(name)}`);
  }
  return `${directoryAddress(directory as NodeDirectory)}/${name}`;
}

function directoryAddress(directory: NodeDirectory): string {
  if (addressesByDescriptor) return `/proc/self/fd/${directory.descriptor}`;
  const now = fs.lstatSync(directory.displayPath);
  if (now.dev !== directory.device || now.ino !== directory.inode) {
    throw systemError("ESTALE", `${directory.displayPath} was replaced by another directory`);
  }
  return directory.displayPath;
}

/** A name below /proc/self/fd costs three times as much to look up as one below the directory's own path. */
function statAtPath(directory: Directory, name: string): FileStat | undefined {
  const parent = directory as NodeDirectory;
  try {
    const nowMs = performance.now();
    if (nowMs - parent.seenAtPathMs >= pathCheckMs) {
      const there = fs.statSync(parent.displayPath);
      if (there.ino !== parent.inode || there.dev !== parent.device) return statName(directory, name);
      parent.seenAtPathMs = nowMs;
    }
    const stat = fs.lstatSync(`${parent.displayPath}/${name}`, { throwIfNoEntry: false });
    return stat && toFileStat(stat);
  } catch {
    // Folders above may have become unreadable or another's since; through the descriptor they do not matter.
    return statName(directory, name);
  }
}

function statName(directory: Directory, name: string): FileStat | undefined {
  const stat = fs.lstatSync(address(directory, name), { throwIfNoEntry: false });
  return stat && toFileStat(stat);
}

function* listInBatches(directory: Directory, batchSize: number): Iterable<DirectoryEntry[]> {
  const stream = fs.opendirSync(directoryAddress(directory as NodeDirectory), {
    bufferSize: Math.min(batchSize, 1_024),
  });
  try {
    let batch: DirectoryEntry[] = [];
    for (let entry = stream.readSync(); entry; entry = stream.readSync()) {
      batch.push({ name: entry.name, kind: kindOf(entry) });
      if (batch.length >= batchSize) {
        yield batch;
        batch = [];
      }
    }
    if (batch.length > 0) yield batch;
  } finally {
    stream.closeSync();
  }
}

function toFileStat(stat: fs.Stats): FileStat {
  return {
    kind: kindOf(stat),
    sizeBytes: stat.size,
    mode: stat.mode & 0o7777,
    ownerUid: stat.uid,
    linkCount: stat.nlink,
    device: stat.dev,
    inode: stat.ino,
    modifiedMs: stat.mtimeMs,
  };
}

function kindOf(of: { isFile(): boolean; isDirectory(): boolean; isSymbolicLink(): boolean }): FileKind {
  if (of.isFile()) return "file";
  if (of.isDirectory()) return "directory";
  return of.isSymbolicLink() ? "symlink" : "other";
}

function settle(start: (done: (error: NodeJS.ErrnoException | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => start((error) => (error ? reject(error) : resolve())));
}

function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, ms);
    const abort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    signal?.addEventListener("abort", abort, { once: true });
  });
}

function systemError(code: string, message: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${message}`), { code });
}
