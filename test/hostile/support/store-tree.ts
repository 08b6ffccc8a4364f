/** Stores with something wrong in them, made from outside, and comparisons of whole trees of files. */

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { entryFileName } from "../../../src/backends/directory/layout.js";
import { type OpenOptions, openSessionStore, type SessionStore } from "../../../src/index.js";
import type { TemporaryPlace } from "../../process/support/temporary-store.js";

export type AnyStore = SessionStore<Record<string, unknown>>;

/** The journal is checkpointed and gone at once, so that entry files are all there is. */
export const keepNothing: OpenOptions = { limits: { segmentRetentionMs: 0, segmentRetentionBytes: 0 } };

export const healthyKeys = ["healthy:0", "healthy:1", "healthy:2"];
export const victimKey = "agent:main:victim";
export const victimEntry = { sessionId: "victim", text: "what must not be lost" };

/** A closed store: healthy sessions and a victim, each in its own file. */
export async function makeStore(place: TemporaryPlace, options: OpenOptions = {}): Promise<void> {
  const store = await openSessionStore<Record<string, unknown>>(place.location, options);
  for (const [index, key] of healthyKeys.entries()) await store.update(key, () => ({ sessionId: key, index }));
  await store.update(victimKey, () => victimEntry);
  await store.close();
}

export function entryPath(place: TemporaryPlace, key: string): string {
  return path.join(place.directory, "entries", entryFileName(key, "base64url"));
}

export function makeFifo(file: string): void {
  execFileSync("mkfifo", [file]);
}

/** Everything below a directory: kinds, modes, identities, contents. Equal digests: nothing was touched. */
export function digestTree(directory: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const name of fs.readdirSync(directory, { recursive: true, encoding: "utf8" }).sort()) {
    const { mode, ino, nlink, size, mtimeMs } = fs.lstatSync(path.join(directory, name));
    found.set(name, JSON.stringify([mode, ino, nlink, size, mtimeMs, contentOf(path.join(directory, name))]));
  }
  return found;
}

/** What can be compared of a file of any kind, without waiting for a FIFO or reading a terabyte of nothing. */
export function contentOf(file: string): string {
  const stat = fs.lstatSync(file);
  if (stat.isSymbolicLink()) return `link to ${fs.readlinkSync(file)}`;
  if (stat.isDirectory()) return `directory of ${fs.readdirSync(file).sort().join(" ")}`;
  if (!stat.isFile()) return "special";
  if (stat.size > 64 * 1024 * 1024) return `${stat.size} bytes`;
  return `sha256 ${createHash("sha256").update(fs.readFileSync(file)).digest("hex")}`;
}

export function quarantineContents(place: TemporaryPlace): string[] {
  const quarantine = path.join(place.directory, "quarantine");
  if (!fs.existsSync(quarantine)) return [];
  return fs.readdirSync(quarantine).map((name) => contentOf(path.join(quarantine, name)));
}
