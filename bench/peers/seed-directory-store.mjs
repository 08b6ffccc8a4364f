/**
 * A directory store with many sessions, made as a migration makes it but without syncing each file: seeding is not
 * measured, and a million syncs would take longer than all trials. A real migration makes the store with its first
 * session; the other entry files are added with the same stamp, and the manifest is told how they are spread.
 */

import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { entryOf, keyOf } from "../sessions.mjs";
import { seedLegacyFile } from "./seed-legacy-file.mjs";

/** As in a migration: from so many sessions on, entry files lie in 256 sub-directories. */
const shardedFromEntries = 50_000;

export async function seedDirectoryStore(directory, count, bytes) {
  const { openSessionStore } = await import("../../dist/index.js");
  const { formatEntryFile } = await import("../../dist/backends/directory/entries/entry-file.js");
  const { entryFileName, shardName } = await import("../../dist/backends/directory/layout.js");
  const { formatManifest } = await import("../../dist/backends/directory/manifest.js");
  seedLegacyFile(directory, 1, bytes);
  await (await openSessionStore(path.join(directory, "sessions.json"))).close();
  const storePath = path.join(directory, "sessions.d");
  const manifestPath = path.join(storePath, "state.json");
  const { checksum: _, ...manifest } = JSON.parse(readFileSync(manifestPath, "utf8"));
  const { version, record } = manifest.checkpoint;
  const shardDigits = count >= shardedFromEntries ? 2 : 0;
  const entries = path.join(storePath, "entries");
  const folders = new Set();
  for (let index = 0; index < count; index += 1) {
    const key = keyOf(index);
    const folder = shardDigits === 2 ? path.join(entries, shardName(key)) : entries;
    if (!folders.has(folder)) mkdirSync(folder, { recursive: true, mode: 0o700 });
    folders.add(folder);
    const content = formatEntryFile(key, { version, record }, entryOf(index, bytes));
    writeFileSync(path.join(folder, entryFileName(key, manifest.fileNames)), content, { mode: 0o600 });
  }
  // It knows of one session only.
  rmSync(path.join(storePath, "summary-index"), { recursive: true, force: true });
  writeFileSync(`${manifestPath}.seed`, formatManifest({ ...manifest, shardDigits }), { mode: 0o600 });
  renameSync(`${manifestPath}.seed`, manifestPath);
}
