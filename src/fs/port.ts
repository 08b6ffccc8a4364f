/**
 * The port: the one seam between sessiondir and the operating system. Files, directories, sync, rename, kernel locks,
 * the clock, random numbers and timers are reached through a `Port` and nowhere else; that is what lets a test count
 * calls, fail the N-th one, or replace the whole machine by a simulated one.
 *
 * Shape: a call takes a directory handle and a *single name*, never a path, so a check and its use cannot be separated
 * by somebody swapping a parent directory. Only `openRoot` and what is asked before it take a path.
 *
 * Calls inside the commit section are synchronous (an append costs about 1 us, its promise form 245 us). What waits -
 * a sync of the disk, a timer - is asynchronous. Every failing call throws an error with a POSIX `code` ("ENOENT",
 * "ENOSPC" ...); the callers translate it into a `SessionStoreError`.
 */

/** An open directory. Opaque: only the port that made it can use it. */
export interface Directory {
  /** For messages only. Never used to reach anything. */
  readonly displayPath: string;
}

/** An open file. Opaque: only the port that made it can use it. */
export interface File {
  /** For messages only. Never used to reach anything. */
  readonly displayPath: string;
}

export type FileKind = "file" | "directory" | "symlink" | "other";

export interface FileStat {
  readonly kind: FileKind;
  readonly sizeBytes: number;
  /** Permission bits only, for example 0o600. */
  readonly mode: number;
  readonly ownerUid: number;
  readonly linkCount: number;
  /** Device and inode, together the identity of the file. */
  readonly device: number;
  readonly inode: number;
  readonly modifiedMs: number;
}

export interface DirectoryEntry {
  readonly name: string;
  readonly kind: FileKind;
}

/**
 * How a file is opened. All of them refuse to follow a symlink in the last component (ELOOP) and never block on a FIFO.
 *
 * - `read`: must exist.
 * - `append`: must exist; reads anywhere, writes go to the end.
 * - `create`: must not exist (EEXIST); reads and appends.
 * - `lock`: opened for reading and writing, created when missing; never truncated.
 */
export type OpenMode = "read" | "append" | "create" | "lock";

export interface Timer {
  cancel(): void;
}

export interface ProcessState {
  readonly alive: boolean;
  /** When it started, in a unit of the system's own: compare it only for equality. `undefined` where it is not told. */
  readonly startTime: number | undefined;
}

export interface Port {
  // --- directories -----------------------------------------------------------------------------------------------
  /** Opens a directory by a path that its user chose, links and all; from then on only names inside it are used. */
  openRoot(path: string): Directory;
  /** The stat of what `openRoot` would open now; `undefined` when there is nothing (ENOENT only). */
  statRoot(path: string): FileStat | undefined;
  openDirectory(parent: Directory, name: string): Directory;
  /**
   * The path without links and dots, of anything that exists. For comparing and for messages: between this call and the
   * next one somebody may swap what lies there, so whoever acts on it opens a directory and looks again.
   */
  realPath(path: string): string;
  closeDirectory(directory: Directory): void;
  statDirectory(directory: Directory): FileStat;
  /** All entries, in no particular order. Throws `EOVERFLOW` when there are more than `entriesMax`. */
  list(directory: Directory, entriesMax: number): DirectoryEntry[];
  /** The entries in batches, for directories that may hold a million files. */
  listInBatches(directory: Directory, batchSize: number): Iterable<DirectoryEntry[]>;
  makeDirectory(parent: Directory, name: string, mode: number): void;
  removeDirectory(parent: Directory, name: string): void;
  /** Makes names created, renamed or removed in this directory durable. */
  syncDirectory(directory: Directory): Promise<void>;

  // --- files -----------------------------------------------------------------------------------------------------
  open(directory: Directory, name: string, mode: OpenMode): File;
  close(file: File): void;
  stat(file: File): FileStat;
  /** The stat of a name, not following a symlink; `undefined` when there is nothing of that name (ENOENT only). */
  statName(directory: Directory, name: string): FileStat | undefined;
  /**
   * A short cut that a port may have: `statName` by the path alone, for what is asked before every commit. The directory
   * is compared with its path once a second only, so what depends on the answer says when to ask `statName` itself.
   */
  statAtPath?(directory: Directory, name: string): FileStat | undefined;
  /** Throws EACCES, EPERM or EROFS when this process may not make names in the directory. Changes nothing. */
  requireWritable?(directory: Directory): void;
  /** Reads at `position` into `buffer`; returns the count, which may be short; 0 at the end of the file. */
  read(file: File, buffer: Uint8Array, position: number): number;
  /** Appends; returns the count that was written, which may be short (a full disk does not throw). Check it. */
  append(file: File, bytes: Uint8Array): number;
  truncate(file: File, sizeBytes: number): void;
  /** Sets the permission bits of an open file, whatever the umask was. */
  setMode(file: File, mode: number): void;
  /** Makes the content and the size of the file durable. Never retry it after a failure (P11). */
  syncFile(file: File): Promise<void>;
  /** Atomic replace, also of an existing file. Both names may lie in different directories of one file system. */
  rename(fromDirectory: Directory, fromName: string, toDirectory: Directory, toName: string): void;
  unlink(directory: Directory, name: string): void;
  /** Bytes that an ordinary user may still write on the file system of this directory, and its type number. */
  statFileSystem(directory: Directory): { readonly freeBytes: number; readonly type: number };

  // --- kernel locks ----------------------------------------------------------------------------------------------
  /** The name of the lock family, recorded in the manifest: families do not exclude each other. */
  readonly lockFamily: string;
  /** Whole-file lock, released by the kernel when its owner dies. A shared lock also works on a file opened "read". */
  tryLock(file: File, kind: "exclusive" | "shared"): boolean;
  unlock(file: File): void;
  /** Who holds a lock on the file, as far as the system tells ("pid 4711 (node)"); for messages only. */
  describeLockHolder(file: File): string | undefined;

  // --- clock, random numbers, waiting ----------------------------------------------------------------------------
  /** Wall clock, milliseconds since 1970. It may jump: never a version, never an order. */
  nowMs(): number;
  /** Monotonic clock in milliseconds, with fractions. */
  monotonicMs(): number;
  randomBytes(count: number): Uint8Array;
  /** Uniform in [0, 1). */
  random(): number;
  /** Blocks this thread for about so many microseconds. Only for the lock's first half millisecond. */
  nap(microseconds: number): void;
  /** Resolves after `ms`; rejects with the signal's reason when it aborts. Keeps the process alive meanwhile. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Lets the event loop run once. */
  yieldToEventLoop(): Promise<void>;
  /** Calls `callback` after `ms` without keeping the process alive. */
  startTimer(ms: number, callback: () => void): Timer;

  // --- process ---------------------------------------------------------------------------------------------------
  readonly processId: number;
  /** What the system tells about a process of this machine, for lock files that name one. A zombie is not alive. */
  inspectProcess(processId: number): ProcessState;
  /** The effective user, or `undefined` where the platform has none. */
  readonly userId: number | undefined;
  /** The home directory that the system knows for this user; `undefined` where it knows none. */
  readonly homeDirectory: string | undefined;
}

/** True when `error` carries one of these POSIX codes. */
export function hasCode(error: unknown, ...codes: string[]): boolean {
  return typeof error === "object" && error !== null && codes.includes(String((error as { code?: unknown }).code));
}
