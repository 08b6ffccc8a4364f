/**
 * A simulated operating system for tests of crashes and races: a disk that forgets what was not synced, kernel locks,
 * processes that can be killed at any port call, and a virtual clock.
 *
 *     const machine = new SimulatedMachine({ seed: 1 });
 *     machine.makeDirectory("/home/agent");
 *     const process = machine.process("gateway");
 *     await process.run(async (port) => { ... });           // drives timers and syncs until the function is done
 *     const rebooted = machine.powerLoss(new SeededRandom(7));
 *
 * Everything happens in one thread; the processes of one machine take turns only where they wait. For processes that
 * are truly interleaved, at every port call, see scheduler.ts.
 *
 * What it promises: the same seed and the same calls give the same machine. Helpers that take a path act from outside,
 * as an administrator would: they cost no time, need no permission, and what they make is durable at once.
 */

import "./loaded-modules.js";
import { Bytes } from "./bytes.js";
import { Disk, type FileSystemKind } from "./disk.js";
import { EventQueue } from "./event-queue.js";
import { type DirectoryInode, type FileInode, type Inode, type Link, makeSpecialInode } from "./inodes.js";
import { copyDisk, losePower, powerLossImages } from "./power-loss.js";
import { SeededRandom } from "./random.js";
import { type ProcessOptions, SimulatedProcess } from "./simulated-process.js";
import { ProcessKilled, SystemError } from "./system-error.js";

export interface MachineOptions {
  /** Draws the order of simultaneous events, the length of syncs, and the random numbers of processes. */
  readonly seed?: number;
  /** In which order changes of names reach the disk; see disk.ts. */
  readonly fileSystem?: FileSystemKind;
  /** Names that differ by case only are the same. */
  readonly caseInsensitive?: boolean;
  /** The wall clock at the start. */
  readonly nowMs?: number;
  /** A sync takes a time drawn from this range. */
  readonly syncMs?: readonly [number, number];
  /** What each port call adds to the clock; without it a loop that waits for the clock would never end. */
  readonly callMicros?: number;
  /**
   * A listing in batches may miss a file that is replaced by a rename meanwhile, as tmpfs does. Default: on a weak file
   * system.
   */
  readonly listingMissesReplaced?: boolean;
  /** The type number that `statFileSystem` reports; 0xef53 is ext4. */
  readonly fileSystemType?: number;
}

export class SimulatedMachine {
  readonly options: Required<MachineOptions>;
  readonly disk: Disk;
  readonly events: EventQueue;
  readonly random: SeededRandom;
  readonly processes: SimulatedProcess[] = [];
  /** Port calls of all processes. */
  calls = 0;
  /** Added to the wall clock; change it to let the clock jump. */
  wallClockMs: number;
  /** Wrong uses that the system does not report, such as closing a file while a sync on it runs (P6). */
  readonly misuses: string[] = [];
  #nextProcessId = 1001;
  #crashAtCall = Number.POSITIVE_INFINITY;

  constructor(options: MachineOptions = {}, disk?: Disk) {
    const fileSystem = options.fileSystem ?? "ordered";
    this.options = {
      seed: options.seed ?? 1,
      fileSystem,
      caseInsensitive: options.caseInsensitive ?? false,
      nowMs: options.nowMs ?? 1_700_000_000_000,
      syncMs: options.syncMs ?? [0.1, 2],
      callMicros: options.callMicros ?? 1,
      listingMissesReplaced: options.listingMissesReplaced ?? fileSystem === "weak",
      fileSystemType: options.fileSystemType ?? 0xef53,
    };
    this.random = new SeededRandom(this.options.seed);
    this.events = new EventQueue(this.random.branch());
    this.disk = disk ?? new Disk({ fileSystem, caseInsensitive: this.options.caseInsensitive });
    this.wallClockMs = this.options.nowMs;
  }

  /** A new process. Its port is the process itself. */
  process(name = `process-${this.processes.length + 1}`, options: ProcessOptions = {}): SimulatedProcess {
    const process = new SimulatedProcess(this, name, this.#nextProcessId++, options);
    this.processes.push(process);
    return process;
  }

  /** The wall clock. */
  get nowMs(): number {
    return Math.floor(this.wallClockMs + this.events.nowMicros / 1000);
  }

  // --- running ---------------------------------------------------------------------------------------------------

  /** Runs events until the promise is settled, and returns what it gives. Throws when nothing is left to wait for. */
  async settle<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false;
    const settled = () => {
      isSettled = true;
    };
    promise.then(settled, settled);
    for (;;) {
      await letPromisesRun();
      if (isSettled) return promise;
      const event = this.events.take();
      if (event === undefined) {
        const killed = this.processes.find((process) => process.isKilled);
        if (killed !== undefined) throw new ProcessKilled(killed.name);
        throw new Error(`simulation (seed ${this.options.seed}): the promise waits for something that never happens`);
      }
      event.run();
    }
  }

  /** Runs events until only timers are left that keep nobody alive. */
  async runUntilIdle(): Promise<void> {
    await letPromisesRun();
    while (this.events.hasWorkThatKeepsAlive()) {
      this.events.take()!.run();
      await letPromisesRun();
    }
  }

  /** Lets so much time pass, with everything that is due meanwhile. */
  async advance(ms: number): Promise<void> {
    const untilMicros = this.events.nowMicros + Math.round(ms * 1000);
    await letPromisesRun();
    for (let event = this.events.take(untilMicros); event !== undefined; event = this.events.take(untilMicros)) {
      event.run();
      await letPromisesRun();
    }
    this.events.nowMicros = Math.max(this.events.nowMicros, untilMicros);
  }

  /** Kills a process: its locks are free, its descriptors closed, and what it waits for never happens. */
  kill(process: SimulatedProcess): void {
    process.kill();
  }

  /** Kills every process at the `calls`-th port call from now on, whoever makes it; that call has no effect. */
  crashAfter(calls: number): void {
    this.#crashAtCall = this.calls + calls;
  }

  /** For processes: counts a port call and lets its time pass. True when all must die now. */
  countCall(): boolean {
    this.calls++;
    this.events.nowMicros += this.options.callMicros;
    if (this.calls < this.#crashAtCall) return false;
    for (const process of this.processes) process.kill();
    return true;
  }

  // --- what is left ----------------------------------------------------------------------------------------------

  /** The machine after a power loss and a reboot: one of the possible images of the disk, no process, no lock. */
  powerLoss(random: SeededRandom): SimulatedMachine {
    return this.#reboot(losePower(this.disk, random));
  }

  /** All images that a power loss may leave, when there are at most `imagesMax`; otherwise that many of them. */
  *powerLossImages(imagesMax = 1000, random = new SeededRandom(this.options.seed)): Iterable<SimulatedMachine> {
    for (const disk of powerLossImages(this.disk, imagesMax, random)) yield this.#reboot(disk);
  }

  /** A copy of the machine without its processes, as if all of them were killed; what is pending is still pending. */
  fork(): SimulatedMachine {
    return this.#reboot(copyDisk(this.disk));
  }

  /** The tree as all processes see it: path -> content; directories end in "/", symlinks read "-> target". */
  dump(): Record<string, string> {
    return dumpTree(
      this.disk.root,
      (directory) => directory.names,
      (file) => file.content,
    );
  }

  /** The tree that is left when nothing of what is pending arrives, in the form of `dump`. */
  snapshotDurable(): Record<string, string> {
    return dumpTree(
      this.disk.root,
      (directory) => directory.durableNames,
      (file) => file.durable,
    );
  }

  /** Descriptors of living processes that are open, as "process: path". */
  openHandles(): string[] {
    return this.processes.flatMap((process) => process.openHandles().map((path) => `${process.name}: ${path}`));
  }

  /** Locks that are held, as "path: process kind". */
  heldLocks(): string[] {
    return this.processes.flatMap((process) => process.heldLocks());
  }

  // --- the administrator's hands ---------------------------------------------------------------------------------

  /** Makes a directory, and those above it. */
  makeDirectory(path: string, options: OwnerOptions = {}): void {
    let directory = this.disk.root;
    for (const name of namesOf(path)) {
      const found = this.disk.find(directory, name);
      if (found !== undefined && found.kind !== "directory") throw new SystemError("ENOTDIR", "mkdir", path);
      directory = found ?? this.disk.createDirectory(directory, name, this.#owner(options, 0o700));
    }
    this.disk.makeEverythingDurable();
  }

  writeFile(path: string, content: string | Uint8Array, options: OwnerOptions = {}): void {
    const { directory, name } = this.#parentOf(path);
    const found = this.disk.find(directory, name);
    const owner = this.#owner(options, 0o600);
    const file = found ?? this.disk.createFile(directory, name, owner);
    if (file.kind !== "file") throw new SystemError("EISDIR", "open", path);
    file.content = Bytes.of(typeof content === "string" ? new TextEncoder().encode(content) : content);
    file.durable = file.content;
    file.pending = [];
    this.disk.makeEverythingDurable();
  }

  readFile(path: string): Uint8Array {
    return this.#fileAt(path).content.view().slice();
  }

  readText(path: string): string {
    return this.#fileAt(path).content.text();
  }

  exists(path: string): boolean {
    const { directory, name } = this.#parentOf(path);
    return this.disk.find(directory, name) !== undefined;
  }

  makeSymlink(target: string, path: string): void {
    this.#addSpecial("symlink", target, path);
  }

  /** A thing that is neither file, directory nor symlink. */
  makeFifo(path: string): void {
    this.#addSpecial("other", "", path);
  }

  makeHardLink(existingPath: string, path: string): void {
    const { directory, name } = this.#parentOf(path);
    this.disk.link(directory, name, this.inodeAt(existingPath));
    this.disk.makeEverythingDurable();
  }

  rename(fromPath: string, toPath: string): void {
    const from = this.#parentOf(fromPath);
    const to = this.#parentOf(toPath);
    this.disk.rename(from.directory, from.name, to.directory, to.name);
    this.disk.makeEverythingDurable();
  }

  unlink(path: string): void {
    const { directory, name } = this.#parentOf(path);
    this.disk.unlink(directory, name);
    this.disk.makeEverythingDurable();
  }

  setOwner(path: string, ownerUid: number): void {
    this.inodeAt(path).ownerUid = ownerUid;
  }

  setMode(path: string, mode: number): void {
    this.inodeAt(path).mode = mode;
  }

  /** Makes everything durable. */
  syncAll(): void {
    this.disk.makeEverythingDurable();
  }

  /**
   * What a failed sync does to a file on Linux (faults.md 2.5): its pending bytes are marked clean although they are not
   * on the disk. Readers still see them, and no later sync writes them.
   */
  loseWrites(path: string): void {
    loseWrites(this.#fileAt(path));
  }

  /** Forgets cached bytes that are not pending: after a failed sync, readers see that they never reached the disk. */
  evictCleanPages(path: string): void {
    evictCleanPages(this.#fileAt(path));
  }

  inodeAt(path: string): Inode {
    const names = namesOf(path);
    if (names.length === 0) return this.disk.root;
    const { directory, name } = this.#parentOf(path);
    const inode = this.disk.find(directory, name);
    if (inode === undefined) throw new SystemError("ENOENT", "stat", path);
    return inode;
  }

  #fileAt(path: string): FileInode {
    const inode = this.inodeAt(path);
    if (inode.kind !== "file") throw new SystemError("EISDIR", "open", path);
    return inode;
  }

  #parentOf(path: string): { directory: DirectoryInode; name: string } {
    const names = namesOf(path);
    const name = names.pop();
    if (name === undefined) throw new SystemError("EINVAL", "open", path);
    let directory = this.disk.root;
    for (const step of names) {
      const next = this.disk.find(directory, step);
      if (next === undefined) throw new SystemError("ENOENT", "open", path);
      if (next.kind !== "directory") throw new SystemError("ENOTDIR", "open", path);
      directory = next;
    }
    return { directory, name };
  }

  #addSpecial(kind: "symlink" | "other", target: string, path: string): void {
    const { directory, name } = this.#parentOf(path);
    const { mode, ownerUid, nowMs } = this.#owner({}, 0o777);
    const inode = makeSpecialInode(kind, target, { number: this.disk.nextInode++, mode, ownerUid, modifiedMs: nowMs });
    this.disk.link(directory, name, inode);
    this.disk.makeEverythingDurable();
  }

  #owner(options: OwnerOptions, mode: number): { mode: number; ownerUid: number; nowMs: number } {
    return { mode: options.mode ?? mode, ownerUid: options.ownerUid ?? 1000, nowMs: this.nowMs };
  }

  #reboot(disk: Disk): SimulatedMachine {
    const machine = new SimulatedMachine({ ...this.options, nowMs: this.nowMs }, disk);
    machine.#nextProcessId = this.#nextProcessId;
    return machine;
  }
}

export interface OwnerOptions {
  readonly mode?: number;
  readonly ownerUid?: number;
}

export function loseWrites(file: FileInode): void {
  if (file.pending.length === 0) return;
  file.hasLostWrites = true;
  file.pending = [];
}

export function evictCleanPages(file: FileInode): void {
  const pending = file.pending;
  let content = file.durable;
  for (const operation of pending) {
    content =
      operation.kind === "truncate"
        ? content.resize(operation.sizeBytes)
        : content.overwrite(
            operation.offset,
            operation.after.view(operation.offset, operation.offset + operation.size),
          );
  }
  file.content = content;
}

function dumpTree(
  root: DirectoryInode,
  namesIn: (directory: DirectoryInode) => Map<string, Link>,
  contentOf: (file: FileInode) => Bytes,
): Record<string, string> {
  const lines: [string, string][] = [];
  const visit = (directory: DirectoryInode, path: string) => {
    for (const { name, inode } of namesIn(directory).values()) {
      if (inode.kind === "file") lines.push([`${path}/${name}`, contentOf(inode).text()]);
      else if (inode.kind === "symlink") lines.push([`${path}/${name}`, `-> ${inode.target}`]);
      else if (inode.kind === "other") lines.push([`${path}/${name}`, "(fifo)"]);
      else if (inode.kind === "directory") {
        lines.push([`${path}/${name}/`, ""]);
        visit(inode, `${path}/${name}`);
      }
    }
  };
  visit(root, "");
  return Object.fromEntries(lines.sort(([left], [right]) => (left < right ? -1 : 1)));
}

function namesOf(path: string): string[] {
  return path.split("/").filter((name) => name !== "" && name !== ".");
}

/** Everything that waits only for promises runs before the next turn of the event loop. */
function letPromisesRun(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
