/**
 * Reading a whole file that comes from a stranger and may be replaced or rewritten at any moment: only an ordinary file
 * of ours, of bounded size, is opened at all, and what was read is what the descriptor that was checked holds.
 */

import { SessionStoreError } from "../errors.js";
import { findFileProblem, openChecked, readWhole, type StoreOwner } from "./checked-file.js";
import { type Directory, type FileStat, hasCode, type Port } from "./port.js";

export type StableFile =
  | { readonly state: "missing" }
  /** `problem` follows "the file ...". */
  | { readonly state: "unsafe"; readonly problem: string }
  | { readonly state: "too_large"; readonly sizeBytes: number }
  /** It was replaced or rewritten during each attempt. */
  | { readonly state: "changing" }
  | { readonly state: "read"; readonly bytes: Uint8Array; readonly stat: FileStat };

/** A file that is rewritten in place while we read it gives neither its old nor its new content: read it again. */
const readAttemptsMax = 3;

/** Errors of the system (EACCES, EIO ...) pass through: they say nothing about the file. */
export function readStableFile(port: Port, parent: Directory, name: string, bytesMax: number): StableFile {
  const owner: StoreOwner = { uid: port.userId };
  for (let attempt = 0; attempt < readAttemptsMax; attempt += 1) {
    // A look at the name first: opening a device may have effects of its own.
    const there = port.statName(parent, name);
    if (there === undefined) return { state: "missing" };
    const problem = findFileProblem(there, owner);
    if (problem) return { state: "unsafe", problem };
    const found = readOnce(port, parent, name, bytesMax, owner);
    if (found !== undefined) return found;
  }
  return { state: "changing" };
}

/** `undefined` when the file was replaced or changed meanwhile. */
function readOnce(
  port: Port,
  parent: Directory,
  name: string,
  bytesMax: number,
  owner: StoreOwner,
): StableFile | undefined {
  try {
    const file = openChecked(port, parent, name, "read", owner);
    try {
      const before = port.stat(file);
      if (before.sizeBytes > bytesMax) return { state: "too_large", sizeBytes: before.sizeBytes };
      const bytes = readWhole(port, file, bytesMax);
      const now = port.statName(parent, name);
      const unchanged = isSameFile(before, port.stat(file)) && isSameFile(before, now);
      return unchanged ? { state: "read", bytes, stat: before } : undefined;
    } finally {
      port.close(file);
    }
  } catch (error) {
    // What was an ordinary file a moment ago is none now; the next look says what it is.
    if (hasCode(error, "ENOENT", "ELOOP", "ENXIO", "EISDIR")) return undefined;
    if (error instanceof SessionStoreError && ["unsafe_path", "limit_exceeded"].includes(error.code)) return undefined;
    throw error;
  }
}

/** Same file, same size, not written to in between (as far as its times tell). */
export function isSameFile(left: FileStat, right: FileStat | undefined): boolean {
  return (
    right !== undefined &&
    left.device === right.device &&
    left.inode === right.inode &&
    left.sizeBytes === right.sizeBytes &&
    left.modifiedMs === right.modifiedMs
  );
}
