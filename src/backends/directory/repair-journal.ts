/**
 * A journal that recovery refuses: everything that can still be read in it is written to the entry files, and a new
 * journal begins behind the highest version seen. History was rewritten, so the store gets a new incarnation: no old
 * token or cursor fits any more. The old segments are kept in quarantine/.
 */

import { SessionStoreError } from "../../errors.js";
import { openChecked } from "../../fs/checked-file.js";
import { Pace } from "../../fs/pace.js";
import { readEntryFileIfExists, writeTemporaryFile } from "./entries/entry-file.js";
import { StateWriter } from "./entries/state-writer.js";
import { historiesOf } from "./journal/key-histories.js";
import type { JournalRecord } from "./journal/record.js";
import { inspectTail } from "./journal/segment-file.js";
import * as layout from "./layout.js";
import type { RepairContext } from "./repair.js";
import { StoreFiles } from "./store-files.js";
import { type CommitStamp, originStamp } from "./version.js";
import { View } from "./view.js";

/** Whether the journal is beyond what recovery does by itself. */
export function journalNeedsRepair(context: RepairContext): boolean {
  return withFiles(context, (files) => {
    const view = new View(files, 0, true);
    try {
      const { strandedSegments } = view.rebuild();
      if (strandedSegments.length > 0) return true;
      if (highestEntryVersion(files).version > view.last.version) return true;
      const { sizeBytes } = files.port.stat(view.current.file);
      const tail = inspectTail(files.port, view.current.file, view.current.offset, sizeBytes);
      return tail.laterRecords.some((record) => record.durable > view.last.version);
    } catch (error) {
      if (error instanceof SessionStoreError && error.code === "store_damaged") return true;
      throw error;
    } finally {
      view.dropAll();
    }
  });
}

export async function repairJournal(context: RepairContext): Promise<void> {
  const files = StoreFiles.open(context.port, context.location, context.dryRun);
  try {
    const firsts = files.listSegments();
    const { records, badLines } = readEverything(files, firsts);
    const last = latest([highestEntryVersion(files), files.manifest.checkpoint, ...records.map(stampOf)]);
    const summary = `${records.length} records were read from ${firsts.length} segments, ${badLines} damaged lines were passed over`;
    if (context.dryRun) {
      context.note({
        code: "journal_salvaged",
        path: layout.journalName,
        message: `${summary}; they would be written to the entry files`,
      });
      return;
    }
    await new StateWriter(files, new Pace(context.port), context.logger).write(historiesOf(records));
    await beginNewJournal(files, last);
    for (const first of firsts) {
      const name = layout.segmentName(first);
      if (first !== last.version + 1) await setAside(files, name);
    }
    await context.port.syncDirectory(files.journal);
    context.note({
      code: "journal_salvaged",
      path: layout.journalName,
      message: `${summary}; their states are in the entry files, and a new journal begins at version ${last.version + 1}`,
    });
  } finally {
    files.close();
  }
}

async function beginNewJournal(files: StoreFiles, last: CommitStamp): Promise<void> {
  const { port } = files;
  const name = layout.segmentName(last.version + 1);
  if (port.statName(files.journal, name)) await setAside(files, name);
  await writeTemporaryFile(port, files.journal, name, new Uint8Array(0));
  await port.syncDirectory(files.journal);
  await files.writeManifest({
    ...files.readManifest(),
    incarnation: Buffer.from(port.randomBytes(16)).toString("hex"),
    checkpoint: { version: last.version, record: last.record, timeMs: port.nowMs() },
  });
}

/** Kept durably, then unlinked: a writer that still has it open must notice (P20), not go on in the copy. */
async function setAside(files: StoreFiles, name: string): Promise<void> {
  await files.makeQuarantine();
  if (await files.quarantineCopy(files.journal, name)) files.port.unlink(files.journal, name);
  else files.quarantineMove(files.journal, name);
}

/** Every valid record of every segment, by its own checksum, in the order of versions. */
function readEverything(files: StoreFiles, firsts: readonly number[]): { records: JournalRecord[]; badLines: number } {
  const records: JournalRecord[] = [];
  let badLines = 0;
  for (const first of firsts) {
    const file = openChecked(files.port, files.journal, layout.segmentName(first), "read", files.owner);
    try {
      const { laterRecords, lines } = inspectTail(files.port, file, 0, files.port.stat(file).sizeBytes);
      records.push(...laterRecords);
      badLines += lines - laterRecords.length;
    } finally {
      files.port.close(file);
    }
  }
  records.sort((left, right) => stampOf(left).version - stampOf(right).version);
  return { records, badLines };
}

function stampOf(record: JournalRecord): CommitStamp {
  if (record.type === "commit") return { version: record.version, record: record.record };
  if (record.type === "carry") return { version: record.lastVersion, record: record.lastRecord };
  return { version: record.lastVersion, record: originStamp.record };
}

function highestEntryVersion(files: StoreFiles): CommitStamp {
  let highest: CommitStamp = originStamp;
  for (const { directory, batch } of files.entries.list(Number.POSITIVE_INFINITY)) {
    for (const { name, kind } of batch) {
      if (kind !== "file" || layout.parseEntryFileName(name) === undefined) continue;
      try {
        const stored = readEntryFileIfExists(files.port, directory, name, undefined, files.owner);
        if (stored && stored.version > highest.version) highest = { version: stored.version, record: stored.record };
      } catch (error) {
        if (!(error instanceof SessionStoreError)) throw error; // Damaged ones come later.
      }
    }
  }
  return highest;
}

function latest(stamps: readonly CommitStamp[]): CommitStamp {
  return stamps.reduce((best, stamp) => (stamp.version > best.version ? stamp : best), originStamp);
}

function withFiles<Result>(context: RepairContext, use: (files: StoreFiles) => Result): Result {
  const files = StoreFiles.open(context.port, context.location, true);
  try {
    return use(files);
  } finally {
    files.close();
  }
}
