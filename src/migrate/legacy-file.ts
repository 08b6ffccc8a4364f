/**
 * Reading a legacy `sessions.json`, which comes from a stranger: only an ordinary file of ours, of bounded size, is
 * opened at all, and what was read is what the descriptor that was checked holds. Nothing here changes anything.
 */

import { createHash } from "node:crypto";
import { SessionStoreError } from "../errors.js";
import { findFileProblem, openChecked, readWhole, type StoreOwner } from "../fs/checked-file.js";
import { type Directory, type FileStat, hasCode, type Port } from "../fs/port.js";
import { type InvalidLegacy, type LegacyRules, type LegacySessions, parseLegacyContent } from "./legacy-content.js";

/** The identity of a content. Whether a file was taken over is decided by this and nothing else. */
export interface Fingerprint {
  readonly sizeBytes: number;
  /** Hex. */
  readonly sha256: string;
}

export type LegacyInspection = { readonly state: "missing" } | InvalidLegacy | (LegacySessions & Fingerprint);

/** What lies there. Errors of the system (EACCES, EIO ...) pass through: they say nothing about the file. */
export function inspectLegacyFile(port: Port, parent: Directory, name: string, rules: LegacyRules): LegacyInspection {
  const content = readLegacyBytes(port, parent, name, rules.limits.legacyFileBytes);
  if (content.state !== "read") return content;
  const parsed = parseLegacyContent(content.bytes, rules);
  if (parsed.state === "invalid") return parsed;
  return { ...parsed, sizeBytes: content.bytes.byteLength, sha256: hashOf(content.bytes) };
}

/** Whether the file has exactly this content; "missing" when there is none. Reads no more than it must. */
export function compareLegacyFile(
  port: Port,
  parent: Directory,
  name: string,
  expected: Fingerprint,
): "same" | "different" | "missing" {
  const stat = port.statName(parent, name);
  if (stat === undefined) return "missing";
  if (stat.sizeBytes !== expected.sizeBytes) return "different";
  const content = readLegacyBytes(port, parent, name, expected.sizeBytes);
  if (content.state !== "read") return content.state === "missing" ? "missing" : "different";
  return hashOf(content.bytes) === expected.sha256 ? "same" : "different";
}

type LegacyBytes =
  | { readonly state: "missing" }
  | InvalidLegacy
  | { readonly state: "read"; readonly bytes: Uint8Array };

/** A file that is rewritten in place while we read it gives neither its old nor its new content: read it again. */
const readAttemptsMax = 3;

function readLegacyBytes(port: Port, parent: Directory, name: string, bytesMax: number): LegacyBytes {
  const owner: StoreOwner = { uid: port.userId };
  for (let attempt = 0; attempt < readAttemptsMax; attempt += 1) {
    // A look at the name first: opening a device may have effects of its own.
    const there = port.statName(parent, name);
    if (there === undefined) return { state: "missing" };
    const problem = findFileProblem(there, owner);
    if (problem) return unsafe(problem);
    const bytes = readStable(port, parent, name, bytesMax, owner);
    if (bytes !== undefined) return bytes instanceof Uint8Array ? { state: "read", bytes } : bytes;
  }
  return changing();
}

/** `undefined` when the file was replaced or changed meanwhile. */
function readStable(
  port: Port,
  parent: Directory,
  name: string,
  bytesMax: number,
  owner: StoreOwner,
): Uint8Array | InvalidLegacy | undefined {
  try {
    const file = openChecked(port, parent, name, "read", owner);
    try {
      const before = port.stat(file);
      if (before.sizeBytes > bytesMax) {
        return {
          state: "invalid",
          reason: `has ${before.sizeBytes} bytes, the limit (legacyFileBytes) is ${bytesMax}`,
          nextStep: "Raise the limit, or remove sessions that are no longer needed.",
        };
      }
      const bytes = readWhole(port, file, bytesMax);
      const now = port.statName(parent, name);
      return isSame(before, port.stat(file)) && now && isSame(before, now) ? bytes : undefined;
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

function isSame(left: FileStat, right: FileStat): boolean {
  return (
    left.device === right.device &&
    left.inode === right.inode &&
    left.sizeBytes === right.sizeBytes &&
    left.modifiedMs === right.modifiedMs
  );
}

export function changing(): InvalidLegacy {
  return {
    state: "invalid",
    reason: "keeps changing while it is read",
    nextStep: "Stop the program that writes to it, then try again.",
  };
}

function unsafe(problem: string): InvalidLegacy {
  return {
    state: "invalid",
    reason: problem,
    nextStep: "Put an ordinary file of your own in its place, then try again.",
  };
}

function hashOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
