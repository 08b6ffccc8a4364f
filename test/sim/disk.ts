/**
 * A simulated file system: one tree of inodes, with the changes of names and bytes that are not durable yet.
 *
 * What it promises: a change is seen by everybody at once; bytes become durable by a sync of the file, names by a sync of
 * their directory, neither by the other. A rename between two directories is one change of both and is never half done.
 * What is still pending is what power-loss.ts chooses from:
 *
 * - `ordered`: changes of names reach the disk in order, per directory (ext4, xfs).
 * - `weak`: in any order that keeps dependencies: a change waits for earlier changes of the same name, and the removal
 *   of a directory for the changes inside.
 *
 * Not modelled: several file systems (EXDEV), quotas, extended attributes, reading errors, names that a failed sync of
 * their directory loses for good (a later sync of it saves them).
 */

import {
  type DirectoryInode,
  type FileInode,
  type Inode,
  type Link,
  makeDataDurable,
  makeDirectoryInode,
  makeFileInode,
} from "./inodes.js";
import { SystemError } from "./system-error.js";

export type FileSystemKind = "ordered" | "weak";

/** A change of names that is not durable yet. */
export type NameOperation = {
  readonly sequence: number;
  readonly directory: DirectoryInode;
  readonly key: string;
  readonly link: Link;
} & (
  | { readonly kind: "link" | "unlink" }
  | { readonly kind: "rename"; readonly fromDirectory: DirectoryInode; readonly fromKey: string }
);

export interface DiskOptions {
  readonly fileSystem: FileSystemKind;
  readonly caseInsensitive: boolean;
}

export class Disk {
  readonly options: DiskOptions;
  root: DirectoryInode;
  pendingNames: NameOperation[] = [];
  /** Bytes that may still be written. An append that needs more goes short, the next one throws ENOSPC. */
  freeBytes = Number.POSITIVE_INFINITY;
  /** Files and directories that may still be created. */
  freeInodes = Number.POSITIVE_INFINITY;
  readOnly = false;
  /** Counts every change of names and bytes; a sync covers those up to where it started. */
  sequence = 0;
  nextInode = 2;

  constructor(options: DiskOptions) {
    this.options = options;
    this.root = makeDirectoryInode({ number: 1, mode: 0o755, ownerUid: 0, modifiedMs: 0 });
    this.root.linkCount = 2;
  }

  keyOf(name: string): string {
    return this.options.caseInsensitive ? name.toLowerCase() : name;
  }

  find(directory: DirectoryInode, name: string): Inode | undefined {
    return directory.names.get(this.keyOf(name))?.inode;
  }

  /** Everything that changes names goes through here: first the checks, then the change. */
  createFile(directory: DirectoryInode, name: string, owner: { mode: number; ownerUid: number; nowMs: number }) {
    const inode = makeFileInode({ ...this.#takeInode("open", name), ...owner, modifiedMs: owner.nowMs });
    this.link(directory, name, inode);
    return inode;
  }

  createDirectory(directory: DirectoryInode, name: string, owner: { mode: number; ownerUid: number; nowMs: number }) {
    const inode = makeDirectoryInode({ ...this.#takeInode("mkdir", name), ...owner, modifiedMs: owner.nowMs });
    this.link(directory, name, inode);
    return inode;
  }

  link(directory: DirectoryInode, name: string, inode: Inode): void {
    if (directory.linkCount === 0) throw new SystemError("ENOENT", "link", name);
    const key = this.keyOf(name);
    if (directory.names.has(key)) throw new SystemError("EEXIST", "link", name);
    const link = { name, inode };
    directory.names.set(key, link);
    inode.linkCount += inode.kind === "directory" ? 2 : 1;
    this.pendingNames.push({ kind: "link", sequence: ++this.sequence, directory, key, link });
  }

  unlink(directory: DirectoryInode, name: string): void {
    const key = this.keyOf(name);
    const link = directory.names.get(key);
    if (link === undefined) throw new SystemError("ENOENT", "unlink", name);
    if (link.inode.kind === "directory") throw new SystemError("EISDIR", "unlink", name);
    this.#remove(directory, key, link);
  }

  removeDirectory(directory: DirectoryInode, name: string): void {
    const key = this.keyOf(name);
    const link = directory.names.get(key);
    if (link === undefined) throw new SystemError("ENOENT", "rmdir", name);
    if (link.inode.kind !== "directory") throw new SystemError("ENOTDIR", "rmdir", name);
    if (link.inode.names.size > 0) throw new SystemError("ENOTEMPTY", "rmdir", name);
    this.#remove(directory, key, link);
  }

  rename(fromDirectory: DirectoryInode, fromName: string, directory: DirectoryInode, name: string): void {
    const fromKey = this.keyOf(fromName);
    const key = this.keyOf(name);
    const moved = fromDirectory.names.get(fromKey);
    if (moved === undefined || directory.linkCount === 0) throw new SystemError("ENOENT", "rename", fromName);
    const replaced = directory.names.get(key);
    const movesInPlace = fromDirectory === directory && fromKey === key;
    if (replaced !== undefined && !movesInPlace) {
      if (replaced.inode === moved.inode) return;
      this.#checkReplacement(moved.inode, replaced.inode, name);
    }
    if (moved.inode.kind === "directory" && contains(moved.inode, directory)) {
      throw new SystemError("EINVAL", "rename", fromName);
    }
    const link = { name, inode: moved.inode };
    fromDirectory.names.delete(fromKey);
    directory.names.set(key, link);
    if (replaced !== undefined && !movesInPlace) this.#dropLink(replaced.inode);
    this.pendingNames.push({
      kind: "rename",
      sequence: ++this.sequence,
      directory,
      key,
      link,
      fromDirectory,
      fromKey,
    });
  }

  /** Returns how many bytes were written: fewer than asked when the disk fills up. */
  append(inode: FileInode, content: Uint8Array, nowMs: number): number {
    if (this.freeBytes <= 0 && content.length > 0) throw new SystemError("ENOSPC", "write", "");
    const written = Math.min(content.length, this.freeBytes);
    if (written === 0) return 0;
    const offset = inode.content.sizeBytes;
    inode.content = inode.content.append(written === content.length ? content : content.subarray(0, written));
    inode.modifiedMs = nowMs;
    this.freeBytes -= written;
    inode.pending.push({
      kind: "write",
      sequence: ++this.sequence,
      offset,
      size: written,
      after: inode.content,
    });
    return written;
  }

  truncate(inode: FileInode, sizeBytes: number, nowMs: number): void {
    this.freeBytes += inode.content.sizeBytes - sizeBytes;
    inode.content = inode.content.resize(sizeBytes);
    inode.modifiedMs = nowMs;
    inode.pending.push({ kind: "truncate", sequence: ++this.sequence, sizeBytes, after: inode.content });
  }

  /** Makes the changes of this directory up to `sequence` durable, and with them those that they depend on. */
  makeNamesDurable(directory: DirectoryInode, sequence: number): void {
    const forced = forcedBy(this, directory, sequence);
    if (forced.size === 0) return;
    for (const operation of this.pendingNames) {
      if (forced.has(operation)) applyName(operation, (inode) => inode.durableNames);
    }
    this.pendingNames = this.pendingNames.filter((operation) => !forced.has(operation));
  }

  /** What `sync(1)` does. */
  makeEverythingDurable(): void {
    for (const operation of this.pendingNames) applyName(operation, (inode) => inode.durableNames);
    this.pendingNames = [];
    for (const { inode } of walk(this.root)) if (inode.kind === "file") makeDataDurable(inode, this.sequence);
  }

  /** An open file description is gone. */
  closed(inode: FileInode): void {
    inode.openCount--;
    this.#releaseIfUnused(inode);
  }

  #takeInode(syscall: string, name: string): { number: number } {
    if (this.freeInodes <= 0) throw new SystemError("ENOSPC", syscall, name);
    this.freeInodes--;
    return { number: this.nextInode++ };
  }

  #checkReplacement(moved: Inode, replaced: Inode, name: string): void {
    if (replaced.kind === "directory") {
      if (moved.kind !== "directory") throw new SystemError("EISDIR", "rename", name);
      if (replaced.names.size > 0) throw new SystemError("ENOTEMPTY", "rename", name);
    } else if (moved.kind === "directory") {
      throw new SystemError("ENOTDIR", "rename", name);
    }
  }

  #remove(directory: DirectoryInode, key: string, link: Link): void {
    directory.names.delete(key);
    this.#dropLink(link.inode);
    this.pendingNames.push({ kind: "unlink", sequence: ++this.sequence, directory, key, link });
  }

  #dropLink(inode: Inode): void {
    inode.linkCount -= inode.kind === "directory" ? 2 : 1;
    if (inode.kind === "file") this.#releaseIfUnused(inode);
    else this.freeInodes++;
  }

  #releaseIfUnused(inode: FileInode): void {
    if (inode.linkCount > 0 || inode.openCount > 0) return;
    this.freeBytes += inode.content.sizeBytes;
    this.freeInodes++;
  }
}

/** Every inode that can be reached by the names as seen now, with its path. */
export function* walk(directory: DirectoryInode, path = ""): Iterable<{ path: string; inode: Inode }> {
  for (const { name, inode } of directory.names.values()) {
    yield { path: `${path}/${name}`, inode };
    if (inode.kind === "directory") yield* walk(inode, `${path}/${name}`);
  }
}

/** Applies a change to the chosen set of names of the directories that it touches. */
export function applyName(operation: NameOperation, namesOf: (inode: DirectoryInode) => Map<string, Link>): void {
  if (operation.kind === "unlink") {
    namesOf(operation.directory).delete(operation.key);
    return;
  }
  if (operation.kind === "rename") namesOf(operation.fromDirectory).delete(operation.fromKey);
  namesOf(operation.directory).set(operation.key, operation.link);
}

/**
 * Those of the pending changes of names that are wanted and that the file system could write without an unwanted one:
 * a change that depends on one that is left out is left out too.
 */
export function selectNames(disk: Disk, wanted: (operation: NameOperation, index: number) => boolean): NameOperation[] {
  const blocked = new Set<string | number>();
  return disk.pendingNames.filter((operation, index) => {
    const needed = needs(disk, operation);
    if (wanted(operation, index) && !needed.some((key) => blocked.has(key))) return true;
    for (const key of changes(disk, operation)) blocked.add(key);
    return false;
  });
}

function forcedBy(disk: Disk, directory: DirectoryInode, sequence: number): Set<NameOperation> {
  const forced = new Set<NameOperation>();
  const needed = new Set<string | number>();
  for (let index = disk.pendingNames.length - 1; index >= 0; index--) {
    const operation = disk.pendingNames[index]!;
    if (operation.sequence > sequence) continue;
    if (!touches(operation, directory) && !changes(disk, operation).some((key) => needed.has(key))) continue;
    forced.add(operation);
    for (const key of needs(disk, operation)) needed.add(key);
  }
  return forced;
}

function touches(operation: NameOperation, directory: DirectoryInode): boolean {
  return operation.directory === directory || (operation.kind === "rename" && operation.fromDirectory === directory);
}

/** What a change stands for in the dependencies of later ones: its names, and its directories as a whole. */
function changes(disk: Disk, operation: NameOperation): (string | number)[] {
  const keys: (string | number)[] = [operation.directory.number];
  if (operation.kind === "rename") keys.push(operation.fromDirectory.number);
  if (disk.options.fileSystem === "ordered") return keys;
  keys.push(nameKey(operation.directory, operation.key));
  if (operation.kind === "rename") keys.push(nameKey(operation.fromDirectory, operation.fromKey));
  return keys;
}

function needs(disk: Disk, operation: NameOperation): (string | number)[] {
  const keys = changes(disk, operation);
  const weak = disk.options.fileSystem === "weak" ? keys.filter((key) => typeof key === "string") : keys;
  const { inode } = operation.link;
  if (operation.kind === "unlink" && inode.kind === "directory") weak.push(inode.number);
  return weak;
}

function nameKey(directory: DirectoryInode, key: string): string {
  return `${directory.number}/${key}`;
}

function contains(directory: DirectoryInode, searched: DirectoryInode): boolean {
  if (directory === searched) return true;
  for (const { inode } of directory.names.values()) {
    if (inode.kind === "directory" && contains(inode, searched)) return true;
  }
  return false;
}
