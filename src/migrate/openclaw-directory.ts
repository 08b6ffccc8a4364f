/**
 * Reading a store in the directory layout of OpenClaw (format.md, section 10): `state.json` and `entries/*.json`, each
 * `{ sessionKey, entry }` or the bare entry where the file's name tells the key. Changes nothing.
 *
 * What its own reader would skip - links, files whose key does not belong to their name, broken JSON - is refused with a
 * reason and stays in the directory, which is kept.
 */

import { createHash, type Hash } from "node:crypto";
import { entriesName, entryFileName, parseEntryFileName, type StoreLocation } from "../backends/directory/layout.js";
import { openCheckedDirectory, openRealDirectory, type StoreOwner } from "../fs/checked-file.js";
import { type Directory, hasCode, type Port } from "../fs/port.js";
import { readStableFile } from "../fs/stable-file.js";
import { fixedLimits } from "../limits.js";
import { type InvalidLegacy, invalid } from "../sessions/legacy-text.js";
import { type LegacyRules, type LegacySessions, SessionCollector } from "./legacy-content.js";
import type { Fingerprint } from "./legacy-file.js";
import { readStateText } from "./place.js";

export type OpenClawStore = LegacySessions & Fingerprint & { readonly stamp: string };

/** The sessions in the directory. Errors of the system pass through. */
export function readOpenClawDirectory(
  port: Port,
  parent: Directory,
  location: StoreLocation,
  rules: LegacyRules,
): OpenClawStore | InvalidLegacy {
  return inEntries(port, parent, location, (entries, root, owner) => {
    const before = stampOf(port, root, entries, owner);
    const collector = new SessionCollector(rules);
    const content = createHash("sha256");
    let sizeBytes = 0;
    // Sorted: of equally new spellings of one key the later one is taken, and a dry run must take the same.
    for (const name of entryNames(port, entries)) {
      const taken = takeFile(port, entries, name, rules.limits.legacyFileBytes - sizeBytes, collector, content);
      if (typeof taken !== "number") return taken;
      sizeBytes += taken;
    }
    const sessions = collector.finish();
    if (sessions.state === "invalid") return sessions;
    const stamp = stampOf(port, root, entries, owner);
    if (stamp !== before) return invalid("keeps changing while it is read", "Stop the program that writes to it.");
    return { ...sessions, sizeBytes, sha256: content.digest("hex"), stamp };
  });
}

/** Whether nothing was written to it since, as far as names, sizes and times tell. */
export function isUnchanged(port: Port, parent: Directory, location: StoreLocation, stamp: string): boolean {
  try {
    return inEntries(port, parent, location, (entries, root, owner) => stampOf(port, root, entries, owner) === stamp);
  } catch (error) {
    if (hasCode(error, "ENOENT")) return false;
    throw error;
  }
}

function inEntries<Result>(
  port: Port,
  parent: Directory,
  location: StoreLocation,
  work: (entries: Directory, root: Directory, owner: StoreOwner) => Result,
): Result {
  const owner: StoreOwner = { uid: port.userId };
  const root = openRealDirectory(port, parent, location.directoryName);
  try {
    const entries = openCheckedDirectory(port, root, entriesName, owner);
    try {
      return work(entries, root, owner);
    } finally {
      port.closeDirectory(entries);
    }
  } finally {
    port.closeDirectory(root);
  }
}

/** Files that begin with a dot are its own half-written ones. */
function entryNames(port: Port, entries: Directory): string[] {
  const names: string[] = [];
  for (const batch of port.listInBatches(entries, 512)) {
    for (const { name } of batch) if (!name.startsWith(".")) names.push(name);
  }
  return names.sort();
}

/** The bytes of the file, or why the whole store cannot be taken over. */
function takeFile(
  port: Port,
  entries: Directory,
  name: string,
  bytesMax: number,
  collector: SessionCollector,
  content: Hash,
): number | InvalidLegacy {
  const parsedName = parseEntryFileName(name);
  if (parsedName === undefined) {
    collector.refuseFile(name, "this is no entry file");
    return 0;
  }
  const found = readStableFile(port, entries, name, Math.min(bytesMax, fixedLimits.entryFileBytesMax));
  switch (found.state) {
    case "missing":
      return 0;
    case "unsafe":
      collector.refuseFile(name, `the file ${found.problem}`);
      return 0;
    case "too_large":
      return invalid(
        "holds more bytes than the limit (legacyFileBytes)",
        "Raise the limit, or remove sessions that are no longer needed.",
      );
    case "changing":
      return invalid("keeps changing while it is read", "Stop the program that writes to it, then try again.");
    default:
      content.update(`${name}\0${found.bytes.byteLength}\0`).update(found.bytes);
      takeDocument(name, parsedName, found.bytes, collector);
      return found.bytes.byteLength;
  }
}

function takeDocument(
  name: string,
  parsedName: { key: string } | "hashed",
  bytes: Uint8Array,
  collector: SessionCollector,
): void {
  let document: unknown;
  try {
    document = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch {
    collector.refuseFile(name, "the file is not JSON in UTF-8");
    return;
  }
  if (typeof document !== "object" || document === null || Array.isArray(document)) {
    collector.refuseFile(name, "the file holds no object");
    return;
  }
  const { sessionKey, entry } = document as Record<string, unknown>;
  if (typeof sessionKey === "string" && entry !== undefined) {
    // Its writer trims keys before it names their files.
    if (entryFileName(sessionKey.trim(), "base64url") === name) collector.take(sessionKey, entry, true);
    else collector.refuseFile(name, "the file holds another key than its name says");
  } else if (parsedName === "hashed") {
    collector.refuseFile(name, "the file does not say its key");
  } else {
    collector.take(parsedName.key, document, true);
  }
}

/** Its version counts writes, but a crash can come between a write and the counting: so the files are looked at too. */
function stampOf(port: Port, root: Directory, entries: Directory, owner: StoreOwner): string {
  const hash = createHash("sha256").update(readStateText(port, root, owner) ?? "");
  for (const name of entryNames(port, entries)) {
    const stat = port.statName(entries, name);
    hash.update(`${name}\0${stat?.inode}\0${stat?.sizeBytes}\0${stat?.modifiedMs}\0`);
  }
  return hash.digest("hex");
}
