/** What `stats` says of a directory store: one look at its directories, and what this process knows anyway. */

import type { Durability, StoreStats } from "../../contract.js";
import { quarantineName, trashName } from "./layout.js";
import { sizeOfFiles } from "./store-files.js";
import { formatToken } from "./version.js";
import type { View } from "./view.js";

/** Refresh the view first. `sessions` is left out where counting would mean to read every entry file. */
export function describeStore(view: View, sessions: number | undefined, durability: Durability): StoreStats {
  const { files } = view;
  let entryFiles = 0;
  for (const { batch } of files.entries.list(Number.POSITIVE_INFINITY)) {
    for (const { name, kind } of batch) if (kind === "file" && name.startsWith("session-")) entryFiles += 1;
  }
  return {
    backend: "directory",
    location: files.store.displayPath,
    version: formatToken(view.last, files.manifest.incarnation),
    ...(sessions === undefined ? {} : { sessions }),
    entryFiles,
    journaledSessions: new Set(view.segments.flatMap((segment) => [...segment.overlay.changes.keys()])).size,
    journalSegments: files.listSegments().length,
    liveJournalBytes: view.segments.reduce((sum, segment) => sum + segment.offset, 0),
    checkpointedVersion: files.readManifest().checkpoint.version,
    lastVersion: view.last.version,
    journalBytes: sizeOfFiles(files.port, files.journal),
    trashBytes: files.sizeOfPart(trashName),
    quarantineBytes: files.sizeOfPart(quarantineName),
    cachedEntries: view.cache.stats.entries,
    cachedBytes: view.cache.stats.bytes,
    keyRule: files.manifest.keyRule,
    durability,
  };
}
