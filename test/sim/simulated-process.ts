/**
 * One process of a simulated machine, as a `Port`: its own descriptors, locks, timers, random numbers, pid and user.
 *
 * Locks belong to the open file, not to the process (as OFD locks do): two opens of one process exclude each other.
 * A killed process throws `ProcessKilled` out of every synchronous call, and its asynchronous ones never end, so code
 * that swallows errors cannot go on doing damage.
 *
 * The asynchronous calls exist twice: `begin...` with a callback, for the scheduler of worker threads, and the promise
 * form of the port on top of it.
 *
 * A long file because the port is wide: each method is short, and they share the checks at the end.
 */

import type {
  Directory,
  DirectoryEntry,
  File,
  FileStat,
  OpenMode,
  Port,
  ProcessState,
  Timer,
} from "../../src/fs/port.js";
import { hasCode } from "../../src/fs/port.js";
import type { Event } from "./event-queue.js";
import {
  type DirectoryInode,
  type FileInode,
  type Inode,
  makeDataDurable,
  type SpecialInode,
  sizeOf,
} from "./inodes.js";
import { loseWrites, type SimulatedMachine } from "./machine.js";
import type { SeededRandom } from "./random.js";
import { ProcessKilled, SystemError } from "./system-error.js";

export interface ProcessOptions {
  readonly userId?: number | undefined;
  /** Open files and directories; one more is EMFILE. */
  readonly openFilesMax?: number;
  /** Added to this process's wall clock. */
  readonly clockSkewMs?: number;
  readonly homeDirectory?: string;
}

export type ProcessOutcome<T> =
  | { readonly status: "returned"; readonly value: T }
  | { readonly status: "failed"; readonly error: unknown }
  | { readonly status: "killed" };

class Handle {
  readonly displayPath: string;
  readonly process: SimulatedProcess;
  readonly inode: Inode;
  readonly mode: OpenMode | "directory";
  isOpen = true;
  /** Syncs on it that have not ended. */
  syncs = 0;

  constructor(process: SimulatedProcess, inode: Inode, mode: OpenMode | "directory", displayPath: string) {
    this.process = process;
    this.inode = inode;
    this.mode = mode;
    this.displayPath = displayPath;
  }
}

export class SimulatedProcess implements Port {
  readonly name: string;
  readonly processId: number;
  readonly userId: number | undefined;
  readonly homeDirectory: string | undefined;
  readonly lockFamily = "simulated";
  readonly machine: SimulatedMachine;
  /** As `inspectProcess` tells it. */
  readonly startTime: number;
  /** Port calls so far. */
  calls = 0;
  isKilled = false;
  openFilesMax: number;
  clockSkewMs: number;
  readonly #random: SeededRandom;
  readonly #handles = new Set<Handle>();
  readonly #deathListeners: (() => void)[] = [];
  #killAtCall = Number.POSITIVE_INFINITY;
  #tearsAppend = false;

  constructor(machine: SimulatedMachine, name: string, processId: number, options: ProcessOptions) {
    this.machine = machine;
    this.name = name;
    this.processId = processId;
    this.startTime = Math.floor(machine.nowMs);
    this.userId = "userId" in options ? options.userId : 1000;
    this.homeDirectory = options.homeDirectory;
    this.openFilesMax = options.openFilesMax ?? 1024;
    this.clockSkewMs = options.clockSkewMs ?? 0;
    this.#random = machine.random.branch();
  }

  // --- life and death --------------------------------------------------------------------------------------------

  /** Runs a function on this process, with the machine's events, to its end or to the death of the process. */
  run<T>(program: (port: Port) => Promise<T> | T): Promise<ProcessOutcome<T>> {
    return this.machine.settle(this.start(program));
  }

  /** Like `run`, but somebody else has to run the machine. */
  async start<T>(program: (port: Port) => Promise<T> | T): Promise<ProcessOutcome<T>> {
    const death = new Promise<ProcessOutcome<T>>((resolve) => this.onDeath(() => resolve({ status: "killed" })));
    const work = (async () => program(this))().then(
      (value): ProcessOutcome<T> => ({ status: "returned", value }),
      (error: unknown): ProcessOutcome<T> => ({ status: "failed", error }),
    );
    const outcome = await Promise.race([work, death]);
    return this.isKilled ? { status: "killed" } : outcome;
  }

  kill(): void {
    if (this.isKilled) return;
    this.isKilled = true;
    this.machine.events.cancelAllOf(this);
    for (const handle of [...this.#handles]) this.#release(handle);
    for (const listener of this.#deathListeners) listener();
  }

  /**
   * Kills the process at its `calls`-th port call from now on. That call has no effect, unless it is an append and `tear`
   * is set: then a part of the bytes is written.
   */
  crashAfter(calls: number, options: { tear?: boolean } = {}): void {
    this.#killAtCall = this.calls + calls;
    this.#tearsAppend = options.tear ?? false;
  }

  onDeath(listener: () => void): void {
    if (this.isKilled) listener();
    else this.#deathListeners.push(listener);
  }

  openHandles(): string[] {
    return [...this.#handles].map((handle) => handle.displayPath);
  }

  heldLocks(): string[] {
    return [...this.#handles].flatMap((handle) => {
      const kind = handle.inode.kind === "file" ? handle.inode.locks.get(handle) : undefined;
      return kind === undefined ? [] : [`${handle.displayPath}: ${this.name} ${kind}`];
    });
  }

  // --- directories -----------------------------------------------------------------------------------------------

  openRoot(path: string): Directory {
    this.#enter();
    if (!path.startsWith("/")) throw new SystemError("EINVAL", "open", path);
    const { inode } = this.#resolve(path);
    if (inode.kind === "symlink") throw new SystemError("ELOOP", "open", path);
    if (inode.kind !== "directory") throw new SystemError("ENOTDIR", "open", path);
    return this.#open(inode, "directory", path);
  }

  statRoot(path: string): FileStat | undefined {
    this.#enter();
    try {
      return this.#statOf(this.#resolve(path, "every link").inode);
    } catch (error) {
      if (hasCode(error, "ENOENT")) return undefined;
      throw error;
    }
  }

  realPath(path: string): string {
    this.#enter();
    if (!path.startsWith("/")) throw new SystemError("EINVAL", "realpath", path);
    return this.#resolve(path, "every link").realPath;
  }

  openDirectory(parent: Directory, name: string): Directory {
    this.#enter();
    const inode = this.#lookup(this.#directory(parent), name, "open");
    const path = `${parent.displayPath}/${name}`;
    if (inode.kind === "symlink") throw new SystemError("ELOOP", "open", path);
    if (inode.kind !== "directory") throw new SystemError("ENOTDIR", "open", path);
    return this.#open(inode, "directory", path);
  }

  closeDirectory(directory: Directory): void {
    this.#enter();
    this.#directory(directory);
    this.#release(this.#handle(directory));
  }

  statDirectory(directory: Directory): FileStat {
    this.#enter();
    return this.#statOf(this.#directory(directory));
  }

  list(directory: Directory, entriesMax: number): DirectoryEntry[] {
    this.#enter();
    const inode = this.#readableDirectory(directory);
    if (inode.names.size > entriesMax) throw new SystemError("EOVERFLOW", "scandir", directory.displayPath);
    return [...inode.names.values()].map((link) => ({ name: link.name, kind: link.inode.kind }));
  }

  *listInBatches(directory: Directory, batchSize: number): Iterable<DirectoryEntry[]> {
    this.#enter();
    const inode = this.#readableDirectory(directory);
    const links = [...inode.names];
    for (let start = 0; start < links.length; start += batchSize) {
      if (start > 0) this.#enter();
      const batch: DirectoryEntry[] = [];
      for (const [key, link] of links.slice(start, start + batchSize)) {
        const now = inode.names.get(key);
        if (now === undefined) continue;
        if (now !== link && this.machine.options.listingMissesReplaced) continue;
        batch.push({ name: now.name, kind: now.inode.kind });
      }
      yield batch;
    }
  }

  makeDirectory(parent: Directory, name: string, mode: number): void {
    this.#enter();
    const directory = this.#writableDirectory(parent, "mkdir");
    this.machine.disk.createDirectory(directory, checkName(name, "mkdir"), this.#ownerOf(mode));
  }

  removeDirectory(parent: Directory, name: string): void {
    this.#enter();
    this.machine.disk.removeDirectory(this.#writableDirectory(parent, "rmdir"), checkName(name, "rmdir"));
  }

  syncDirectory(directory: Directory): Promise<void> {
    return asPromise((done) => this.beginSyncDirectory(directory, done));
  }

  beginSyncDirectory(directory: Directory, done: () => void): void {
    this.#enter();
    const inode = this.#directory(directory);
    this.#beginSync(this.#handle(directory), done, (sequence) => {
      this.machine.disk.makeNamesDurable(inode, sequence);
    });
  }

  // --- files -----------------------------------------------------------------------------------------------------

  open(directory: Directory, name: string, mode: OpenMode): File {
    this.#enter();
    const parent = this.#directory(directory);
    const path = `${directory.displayPath}/${name}`;
    let inode = this.machine.disk.find(parent, checkName(name, "open"));
    this.#need(parent, 1, "open", path);
    if (mode === "create" && inode !== undefined) throw new SystemError("EEXIST", "open", path);
    if (inode === undefined) {
      if (mode === "read" || mode === "append") throw new SystemError("ENOENT", "open", path);
      this.#checkDescriptors(path);
      this.#writableDirectory(directory, "open");
      inode = this.machine.disk.createFile(parent, name, this.#ownerOf(0o600));
    } else {
      if (inode.kind === "symlink") throw new SystemError("ELOOP", "open", path);
      if (inode.kind === "directory" && mode !== "read") throw new SystemError("EISDIR", "open", path);
      if (mode !== "read" && this.machine.disk.readOnly) throw new SystemError("EROFS", "open", path);
      this.#need(inode, mode === "read" ? 4 : 6, "open", path);
    }
    return this.#open(inode, mode, path);
  }

  close(file: File): void {
    this.#enter();
    const handle = this.#handle(file);
    if (handle.syncs > 0) {
      this.machine.misuses.push(`${this.name}: ${file.displayPath} was closed while a sync on it was running`);
    }
    this.#release(handle);
  }

  stat(file: File): FileStat {
    this.#enter();
    return this.#statOf(this.#handle(file).inode);
  }

  statName(directory: Directory, name: string): FileStat | undefined {
    this.#enter();
    const parent = this.#directory(directory);
    this.#need(parent, 1, "lstat", name);
    const inode = this.machine.disk.find(parent, checkName(name, "lstat"));
    return inode === undefined ? undefined : this.#statOf(inode);
  }

  read(file: File, buffer: Uint8Array, position: number): number {
    this.#enter();
    const inode = this.#regularFile(file, "read");
    const bytes = inode.content.view(position, position + buffer.length);
    buffer.set(bytes);
    return bytes.length;
  }

  append(file: File, bytes: Uint8Array): number {
    this.#enter((isTorn) => {
      if (!isTorn || bytes.length === 0) return;
      const inode = this.#writableFile(file, "write");
      this.machine.disk.append(inode, bytes.subarray(0, this.#random.below(bytes.length)), this.machine.nowMs);
    });
    return this.machine.disk.append(this.#writableFile(file, "write"), bytes, this.machine.nowMs);
  }

  truncate(file: File, sizeBytes: number): void {
    this.#enter();
    this.machine.disk.truncate(this.#writableFile(file, "ftruncate"), sizeBytes, this.machine.nowMs);
  }

  setMode(file: File, mode: number): void {
    this.#enter();
    const { inode } = this.#handle(file);
    if (this.machine.disk.readOnly) throw new SystemError("EROFS", "fchmod", file.displayPath);
    if (this.userId !== 0 && this.userId !== inode.ownerUid) throw new SystemError("EPERM", "fchmod", file.displayPath);
    inode.mode = mode & 0o7777;
  }

  syncFile(file: File): Promise<void> {
    return asPromise((done) => this.beginSyncFile(file, done));
  }

  beginSyncFile(file: File, done: () => void): void {
    this.#enter();
    const inode = this.#regularFile(file, "fdatasync");
    this.#beginSync(this.#handle(file), done, (sequence) => makeDataDurable(inode, sequence));
  }

  /** A failed sync: the pending bytes of the file are marked clean although they are not on the disk. */
  loseWrites(file: File): void {
    loseWrites(this.#regularFile(file, "fdatasync"));
  }

  rename(fromDirectory: Directory, fromName: string, toDirectory: Directory, toName: string): void {
    this.#enter();
    const from = this.#writableDirectory(fromDirectory, "rename");
    const to = this.#writableDirectory(toDirectory, "rename");
    this.machine.disk.rename(from, checkName(fromName, "rename"), to, checkName(toName, "rename"));
  }

  unlink(directory: Directory, name: string): void {
    this.#enter();
    this.machine.disk.unlink(this.#writableDirectory(directory, "unlink"), checkName(name, "unlink"));
  }

  requireWritable(directory: Directory): void {
    this.#enter();
    this.#writableDirectory(directory, "access");
  }

  statFileSystem(directory: Directory): { readonly freeBytes: number; readonly type: number } {
    this.#enter();
    this.#directory(directory);
    const freeBytes = Math.min(this.machine.disk.freeBytes, Number.MAX_SAFE_INTEGER);
    return { freeBytes, type: this.machine.options.fileSystemType };
  }

  // --- kernel locks ----------------------------------------------------------------------------------------------

  tryLock(file: File, kind: "exclusive" | "shared"): boolean {
    this.#enter();
    const handle = this.#handle(file);
    const inode = this.#regularFile(file, "fcntl");
    if (kind === "exclusive" && handle.mode === "read") throw new SystemError("EBADF", "fcntl", file.displayPath);
    for (const [owner, held] of inode.locks) {
      if (owner !== handle && (kind === "exclusive" || held === "exclusive")) return false;
    }
    inode.locks.set(handle, kind);
    return true;
  }

  unlock(file: File): void {
    this.#enter();
    this.#regularFile(file, "fcntl").locks.delete(this.#handle(file));
  }

  describeLockHolder(file: File): string | undefined {
    this.#enter();
    const [owner] = this.#regularFile(file, "fcntl").locks.keys();
    if (!(owner instanceof Handle)) return undefined;
    return `pid ${owner.process.processId} (${owner.process.name})`;
  }

  inspectProcess(processId: number): ProcessState {
    this.#enter();
    const found = this.machine.processes.find((process) => process.processId === processId);
    return { alive: found !== undefined && !found.isKilled, startTime: found?.startTime };
  }

  // --- clock, random numbers, waiting ----------------------------------------------------------------------------

  nowMs(): number {
    this.#enter();
    return this.machine.nowMs + this.clockSkewMs;
  }

  monotonicMs(): number {
    this.#enter();
    return this.machine.events.nowMicros / 1000;
  }

  randomBytes(count: number): Uint8Array {
    this.#enter();
    return this.#random.bytes(count);
  }

  random(): number {
    this.#enter();
    return this.#random.next();
  }

  nap(microseconds: number): void {
    this.#enter();
    this.machine.events.nowMicros += Math.round(microseconds);
  }

  /** A nap from which the scheduler wakes the process: others run meanwhile. */
  beginNap(microseconds: number, done: () => void): void {
    this.#enter();
    this.machine.events.add(this, microseconds / 1000, done);
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return asPromise((done, fail) => {
      if (signal?.aborted) {
        this.#enter();
        fail(signal.reason);
        return;
      }
      const onAbort = () => {
        timer.cancel();
        fail(signal!.reason);
      };
      const timer = this.beginSleep(ms, () => {
        signal?.removeEventListener("abort", onAbort);
        done();
      });
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }

  beginSleep(ms: number, done: () => void): Timer {
    this.#enter();
    return this.#timer(this.machine.events.add(this, ms, done));
  }

  yieldToEventLoop(): Promise<void> {
    return asPromise((done) => this.beginYield(done));
  }

  beginYield(done: () => void): void {
    this.#enter();
    this.machine.events.add(this, 0, done);
  }

  startTimer(ms: number, callback: () => void): Timer {
    this.#enter();
    return this.#timer(this.machine.events.add(this, ms, callback, false));
  }

  // --- inside ----------------------------------------------------------------------------------------------------

  /** Every port call begins here. */
  #enter(beforeDeath?: (isTorn: boolean) => void): void {
    if (this.isKilled) throw new ProcessKilled(this.name);
    this.calls++;
    if (this.calls >= this.#killAtCall) {
      beforeDeath?.(this.#tearsAppend);
      this.kill();
    }
    if (this.machine.countCall() || this.isKilled) {
      this.kill();
      throw new ProcessKilled(this.name);
    }
  }

  #timer(event: Event): Timer {
    return { cancel: () => this.machine.events.cancel(event) };
  }

  #beginSync(handle: Handle, done: () => void, makeDurable: (sequence: number) => void): void {
    const { disk, events, options } = this.machine;
    const sequence = disk.sequence;
    const [least, most] = options.syncMs;
    handle.syncs++;
    events.add(this, this.#random.between(least, most), () => {
      handle.syncs--;
      // The number of a descriptor that was closed meanwhile may stand for another file by now: nothing is sure.
      if (handle.isOpen) makeDurable(sequence);
      done();
    });
  }

  #open(inode: Inode, mode: OpenMode | "directory", displayPath: string): Handle {
    this.#checkDescriptors(displayPath);
    if (inode.kind === "file") inode.openCount++;
    const handle = new Handle(this, inode, mode, displayPath);
    this.#handles.add(handle);
    return handle;
  }

  #checkDescriptors(path: string): void {
    if (this.#handles.size >= this.openFilesMax) throw new SystemError("EMFILE", "open", path);
  }

  #release(handle: Handle): void {
    handle.isOpen = false;
    this.#handles.delete(handle);
    if (handle.inode.kind !== "file") return;
    handle.inode.locks.delete(handle);
    this.machine.disk.closed(handle.inode);
  }

  #handle(handle: File | Directory): Handle {
    if (!(handle instanceof Handle) || handle.process !== this || !handle.isOpen) {
      throw new SystemError("EBADF", "fstat", handle.displayPath);
    }
    return handle;
  }

  #directory(directory: Directory): DirectoryInode {
    const handle = this.#handle(directory);
    if (handle.inode.kind !== "directory") throw new SystemError("ENOTDIR", "open", directory.displayPath);
    return handle.inode;
  }

  #readableDirectory(directory: Directory): DirectoryInode {
    const inode = this.#directory(directory);
    this.#need(inode, 4, "scandir", directory.displayPath);
    return inode;
  }

  #writableDirectory(directory: Directory, syscall: string): DirectoryInode {
    const inode = this.#directory(directory);
    if (this.machine.disk.readOnly) throw new SystemError("EROFS", syscall, directory.displayPath);
    this.#need(inode, 3, syscall, directory.displayPath);
    return inode;
  }

  #regularFile(file: File, syscall: string): FileInode {
    const { inode } = this.#handle(file);
    if (inode.kind === "directory") throw new SystemError("EISDIR", syscall, file.displayPath);
    if (inode.kind !== "file") throw new SystemError("ESPIPE", syscall, file.displayPath);
    return inode;
  }

  #writableFile(file: File, syscall: string): FileInode {
    const handle = this.#handle(file);
    if (handle.mode === "read") throw new SystemError("EBADF", syscall, file.displayPath);
    if (this.machine.disk.readOnly) throw new SystemError("EROFS", syscall, file.displayPath);
    return this.#regularFile(file, syscall);
  }

  #lookup(directory: DirectoryInode, name: string, syscall: string): Inode {
    this.#need(directory, 1, syscall, name);
    const inode = this.machine.disk.find(directory, checkName(name, syscall));
    if (inode === undefined) throw new SystemError("ENOENT", syscall, name);
    return inode;
  }

  /** Permission bits as in one digit of a mode: 4 read, 2 write, 1 search. Groups are not modelled. */
  #need(inode: Inode, bits: number, syscall: string, where: string): void {
    if (this.userId === 0 || this.userId === undefined) return;
    const granted = inode.ownerUid === this.userId ? inode.mode >> 6 : inode.mode;
    if ((granted & bits) !== bits) throw new SystemError("EACCES", syscall, where);
  }

  #ownerOf(mode: number): { mode: number; ownerUid: number; nowMs: number } {
    return { mode, ownerUid: this.userId ?? 0, nowMs: this.machine.nowMs };
  }

  #statOf(inode: Inode): FileStat {
    return {
      kind: inode.kind,
      sizeBytes: sizeOf(inode),
      mode: inode.mode,
      ownerUid: inode.ownerUid,
      linkCount: inode.linkCount,
      device: 1,
      inode: inode.number,
      modifiedMs: inode.modifiedMs,
    };
  }

  /** Follows symlinks, in the last component only when asked. */
  #resolve(path: string, follows?: "every link"): { inode: Inode; realPath: string } {
    const left = path.split("/").reverse();
    const root: Inode = this.machine.disk.root;
    const steps: { name: string; inode: Inode }[] = [];
    let followed = 0;
    while (left.length > 0) {
      const name = left.pop()!;
      if (name === "" || name === ".") continue;
      const here = steps.at(-1)?.inode ?? root;
      if (here.kind !== "directory") throw new SystemError("ENOTDIR", "open", path);
      if (name === "..") {
        steps.pop();
        continue;
      }
      const inode = this.#lookup(here, name, "open");
      const isLast = left.every((step) => step === "" || step === ".");
      if (inode.kind === "symlink" && (follows === "every link" || !isLast)) {
        if (++followed > 40) throw new SystemError("ELOOP", "open", path);
        left.push(...symlinkSteps(inode));
        if (inode.target.startsWith("/")) steps.length = 0;
        continue;
      }
      steps.push({ name, inode });
    }
    return { inode: steps.at(-1)?.inode ?? root, realPath: `/${steps.map(({ name }) => name).join("/")}` };
  }
}

/** An asynchronous call of a process that is dead never ends, as after a real death: nothing goes on, nobody handles it. */
function asPromise(begin: (done: () => void, fail: (error: unknown) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    try {
      begin(resolve, reject);
    } catch (error) {
      if (!(error instanceof ProcessKilled)) reject(error);
    }
  });
}

function symlinkSteps(inode: SpecialInode): string[] {
  return inode.target.split("/").reverse();
}

function checkName(name: string, syscall: string): string {
  if (name === "" || name === "." || name === ".." || name.includes("/") || name.includes("\0")) {
    throw new SystemError("EINVAL", syscall, name);
  }
  if (Buffer.byteLength(name) > 255) throw new SystemError("ENAMETOOLONG", syscall, name);
  return name;
}
