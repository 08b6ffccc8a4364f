/**
 * Places that mutants-coverage.mjs finds and that need no mutant, each with the reason. `find` is text of the compiled
 * file, there exactly once, as in a mutant. An exception that covers nothing any more fails the test.
 */

const buffer = "sizes a buffer: more or less of it changes when something is done, not what";
const read = "hands the limit on; the comparison is that of readWhole (checked-file: bytesMax)";
const ownFile =
  "a file that was refused above its size is read as nothing, and one of that size says nothing either: only the memory differs";

export const exceptions = [
  // --- syncs under the mutant of their only call ----------------------------------------------------------------------
  {
    file: "src/backends/json/save.ts",
    find: "try { await port.syncDirectory(parent); }",
    reason: 'its only call is taken out by "json save: the name is synced before it is acknowledged"',
  },
  {
    file: "src/fs/parent-directory.ts",
    find: "await port.syncDirectory(above);",
    reason: "its only call is taken out by the mutant of `await syncAbove(port, existing)`",
  },
  {
    file: "src/transfer/output-file.ts",
    find: "return this.#port.syncFile(this.#file);",
    reason: "its calls are taken out by the mutants of backups and of output files",
  },

  // --- comparisons that only spare work --------------------------------------------------------------------------------
  {
    file: "src/backends/directory/entries/cache.ts",
    find: "if (found !== undefined && this.usedBytes > this.bytesMax / 2) {",
    reason: "the order in which a cache forgets",
  },
  {
    file: "src/backends/directory/entries/cache.ts",
    find: "if (replaced !== undefined && (cost > this.bytesMax || this.usedBytes > this.bytesMax / 2))",
    reason: "the order in which a cache forgets",
  },
  {
    file: "src/backends/directory/entries/cache.ts",
    find: "if (this.usedBytes > this.bytesMax)",
    reason: "the loop behind it compares again (cache: cacheBytes)",
  },
  {
    file: "src/backends/directory/entries/entry-file.ts",
    find: "estimateJsonBytes(entry) > prettyBytesMax",
    reason: "how a file looks",
  },
  {
    file: "src/backends/directory/summary-index/run-writer.ts",
    find: "this.rowsBytes >= blockBytesMax",
    reason: buffer,
  },
  {
    file: "src/backends/directory/summary-index/run-writer.ts",
    find: "this.pendingBytes >= pendingBytesMax",
    reason: buffer,
  },
  { file: "src/backends/postgres/scan.ts", find: "this.#bufferedBytes > bufferBytesMax", reason: buffer },
  {
    file: "src/backends/postgres/together.ts",
    find: "bytes < bytesMax;",
    reason: "how many commits share a statement",
  },
  {
    file: "src/transfer/session-writer.ts",
    find: "this.#batchBytes >= this.#batchBytesMax",
    reason: "how many sessions share a commit; one that is too large is refused by the commit (recordBytes)",
  },
  {
    file: "src/sessions/entry-value.ts",
    find: "!hasOthers && characters <= limits.entryBytes",
    reason: "chooses the short way; what is too large is refused on either (store-entry-size: entryBytes)",
  },
  {
    file: "src/sessions/legacy-text.ts",
    find: "if (bytesMax < limitCaps.legacyFileBytes)",
    reason: "chooses the words of an advice",
  },

  {
    file: "src/transfer/restore.ts",
    find: 'return new SessionStoreError("limit_exceeded", `${count} of the sessions cannot be restored',
    reason: "no comparison of its own: it tells what the writer of sessions refused (keyBytes, entryBytes)",
  },

  // --- limits that are handed on ---------------------------------------------------------------------------------------
  { file: "src/fs/checked-file.ts", find: "return readWhole(port, file, bytesMax, sizeBytes);", reason: read },
  {
    file: "src/fs/stable-file.ts",
    find: "const bytes = readWhole(port, file, bytesMax);",
    reason: "the size was compared on the line before (legacy-file: legacyFileBytes)",
  },
  {
    file: "src/backends/directory/store-files.ts",
    find: "bytes = readWhole(this.port, file, fixedLimits.entryFileBytesMax); } finally { this.port.close(file); } } catch (error) { if (hasCode",
    reason: "what is larger is moved instead of copied: the bytes are kept in quarantine/ either way",
  },
  { file: "src/cli/openclaw-config.ts", find: "readStableFile(port, folder, name, configBytesMax)", reason: ownFile },
  {
    file: "src/openclaw/gateway-config.ts",
    find: "readStableFile(port, folder, name, configBytesMax)",
    reason: ownFile,
  },
  {
    file: "src/openclaw/json-files.ts",
    find: "readStableFile(port, folder, name, limitCaps.legacyFileBytes)",
    reason: "V8 makes no longer text: without the limit the reading fails one step later, with the same answer",
  },
  {
    file: "src/migrate/rollback-export.ts",
    find: "readWhole(port, file, limitCaps.legacyFileBytes)",
    reason: "reads back what was just written under the same limit, compared by its own mutant",
  },
  {
    file: "src/openclaw/rotate.ts",
    find: "readStableFile(port, folder, recordName(name), recordBytesMax)",
    reason: ownFile,
  },
  {
    file: "src/openclaw/linked-file.ts",
    find: "readWhole(port, file, gatewayLimits.legacyFileBytes)",
    reason: "only reads, and the limit is what V8 makes one text of: above it there is no answer either way",
  },
  { file: "src/openclaw/transcript-lock-file.ts", find: "readWhole(port, file, lockBytesMax)", reason: ownFile },
  {
    file: "src/openclaw/disk-usage.ts",
    find: "readWhole(port, file, fixedLimits.manifestBytesMax)",
    reason: "a manifest above that size is refused by whoever opens the store; here it only counts bytes",
  },
  {
    file: "src/migrate/place.ts",
    find: "readWhole(port, file, fixedLimits.manifestBytesMax)",
    reason: "tells what lies there for a message; what opens the store reads it under the same limit (manifest)",
  },
  {
    file: "src/migrate/openclaw-directory.ts",
    find: "readStableFile(port, entries, name, Math.min(bytesMax, fixedLimits.entryFileBytesMax))",
    reason: "entryFileBytesMax is what V8 makes a text of; below it legacyFileBytes counts, for all entries together",
  },
];
