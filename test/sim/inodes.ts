/**
 * The objects on a simulated disk. Each has two states: what every process sees at once (the page cache), and what a
 * power loss is sure to leave (durable), with the list of changes between the two.
 *
 * Not modelled: modes, owners and times are durable at once; changes inside a file are only appends and truncations,
 * because the port has no other.
 */

import { Bytes } from "./bytes.js";

/** A change of a file's bytes that is not durable yet; `after` is what the file contained when it was made. */
export type DataOperation =
  | { readonly kind: "write"; readonly sequence: number; readonly offset: number; readonly size: number; after: Bytes }
  | { readonly kind: "truncate"; readonly sequence: number; readonly sizeBytes: number; after: Bytes };

interface InodeBase {
  readonly number: number;
  mode: number;
  ownerUid: number;
  modifiedMs: number;
  /** Names that lead here now; 0 for what was unlinked and is still open. */
  linkCount: number;
}

export interface FileInode extends InodeBase {
  readonly kind: "file";
  content: Bytes;
  durable: Bytes;
  pending: DataOperation[];
  /** True after a failed sync: some of `content` is neither durable nor pending, and no later sync writes it. */
  hasLostWrites: boolean;
  /** Open file descriptions, of all processes. */
  openCount: number;
  /** The owners of locks: open file descriptions. */
  readonly locks: Map<object, "exclusive" | "shared">;
}

export interface DirectoryInode extends InodeBase {
  readonly kind: "directory";
  names: Map<string, Link>;
  durableNames: Map<string, Link>;
}

/** A symlink, or something that is neither file nor directory (a FIFO). */
export interface SpecialInode extends InodeBase {
  readonly kind: "symlink" | "other";
  readonly target: string;
}

export type Inode = FileInode | DirectoryInode | SpecialInode;

/** A directory entry. `name` is spelled as it was created, which on a case-insensitive disk need not be its map key. */
export interface Link {
  readonly name: string;
  readonly inode: Inode;
}

export interface InodeOptions {
  readonly number: number;
  readonly mode: number;
  readonly ownerUid: number;
  readonly modifiedMs: number;
}

export function makeFileInode(options: InodeOptions): FileInode {
  return {
    kind: "file",
    number: options.number,
    mode: options.mode,
    ownerUid: options.ownerUid,
    modifiedMs: options.modifiedMs,
    linkCount: 0,
    content: Bytes.empty,
    durable: Bytes.empty,
    pending: [],
    hasLostWrites: false,
    openCount: 0,
    locks: new Map(),
  };
}

export function makeDirectoryInode(options: InodeOptions): DirectoryInode {
  const { number, mode, ownerUid, modifiedMs } = options;
  return {
    kind: "directory",
    number,
    mode,
    ownerUid,
    modifiedMs,
    linkCount: 0,
    names: new Map(),
    durableNames: new Map(),
  };
}

export function makeSpecialInode(kind: "symlink" | "other", target: string, options: InodeOptions): SpecialInode {
  const { number, mode, ownerUid, modifiedMs } = options;
  return { kind, target, number, mode, ownerUid, modifiedMs, linkCount: 0 };
}

/** What a power loss does to one pending change of a file's bytes. */
export type DataFate =
  | "kept"
  | "lost"
  /** Only the first bytes of a write arrive; for a truncation the same as lost. */
  | { readonly tornAt: number }
  /** The size arrives and the data do not: zeros. A truncation clears what it cut and leaves the size. */
  | "zeroed";

export function applyData(base: Bytes, operation: DataOperation, fate: DataFate): Bytes {
  if (fate === "lost") return base;
  if (operation.kind === "truncate") {
    if (fate === "kept") return base.resize(operation.sizeBytes);
    if (fate === "zeroed" && base.sizeBytes > operation.sizeBytes) {
      return base.overwrite(operation.sizeBytes, new Uint8Array(base.sizeBytes - operation.sizeBytes));
    }
    return base;
  }
  const { offset, size } = operation;
  if (fate === "zeroed") {
    return base.sizeBytes >= offset + size ? base : base.resize(offset + size);
  }
  const arrived = fate === "kept" ? size : Math.min(fate.tornAt, size);
  return base.overwrite(offset, operation.after.view(offset, offset + arrived));
}

/** Makes the pending changes up to `sequence` durable, in order. */
export function makeDataDurable(inode: FileInode, sequence: number): void {
  let covered = 0;
  while (covered < inode.pending.length && inode.pending[covered]!.sequence <= sequence) covered++;
  if (covered === 0) return;
  if (inode.hasLostWrites) {
    for (const operation of inode.pending.slice(0, covered)) {
      inode.durable = applyData(inode.durable, operation, "kept");
    }
  } else {
    inode.durable = inode.pending[covered - 1]!.after;
  }
  inode.pending = inode.pending.slice(covered);
}

export function sizeOf(inode: Inode): number {
  if (inode.kind === "file") return inode.content.sizeBytes;
  return inode.kind === "symlink" ? inode.target.length : 0;
}
