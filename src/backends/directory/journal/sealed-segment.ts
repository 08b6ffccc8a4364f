/** A sealed segment as a whole: all its records, or what they did to each session, in order. */

import { SessionStoreError } from "../../../errors.js";
import type { File, Port } from "../../../fs/port.js";
import { type CommitStamp, originStamp } from "../version.js";
import { KeyHistories } from "./key-histories.js";
import { type CommitRecord, decodeLine, type JournalRecord, type SealReason } from "./record.js";
import { eachRecord, type ReadRecord, readRange, readRecords } from "./segment-file.js";

export interface SegmentEnd {
  readonly seal: SealReason | undefined;
  /** The stamp of the last commit, or of the one before the segment when it holds none. */
  readonly last: CommitStamp;
  /** Bytes behind the last valid record. */
  readonly tailBytes: number;
}

export interface SegmentContent extends SegmentEnd {
  readonly records: readonly JournalRecord[];
}

/** What was done to each session. Read while the file is open: records are read again from it. */
export interface SegmentHistories extends SegmentEnd {
  readonly histories: KeyHistories;
}

export function readSegment(port: Port, file: File, first: number): SegmentContent {
  const records: JournalRecord[] = [];
  const reader = new SegmentReader(port, file, first, ({ record }) => records.push(record));
  for (const read of reader.reads) reader.take(read);
  return { records, ...reader.end };
}

/** The same, letting the event loop run between slices of work. */
export async function readSegmentInSlices(
  port: Port,
  file: File,
  first: number,
  breathe: () => Promise<void> | undefined,
): Promise<SegmentContent> {
  const records: JournalRecord[] = [];
  const reader = new SegmentReader(port, file, first, ({ record }) => records.push(record));
  await takeInSlices(reader, breathe);
  return { records, ...reader.end };
}

/** The histories of its sessions, in little memory. */
export async function readHistoriesInSlices(
  port: Port,
  file: File,
  first: number,
  breathe: () => Promise<void> | undefined,
): Promise<SegmentHistories> {
  const endOffsets: number[] = [];
  const histories = new KeyHistories((number) =>
    readCommitAgain(port, file, endOffsets[number - 1] ?? 0, endOffsets[number] as number),
  );
  const reader = new SegmentReader(port, file, first, ({ record, endOffset }) => {
    histories.add(record, endOffsets.length);
    endOffsets.push(endOffset);
  });
  await takeInSlices(reader, breathe);
  return { histories, ...reader.end };
}

async function takeInSlices(reader: SegmentReader, breathe: () => Promise<void> | undefined): Promise<void> {
  for (const read of reader.reads) {
    reader.take(read);
    // Not `await breathe()`: an await of nothing for each of a hundred thousand records is a turn for each.
    const turn = breathe();
    if (turn) await turn;
  }
}

function readCommitAgain(port: Port, file: File, offset: number, endOffset: number): CommitRecord {
  const record = decodeLine(readRange(port, file, offset, endOffset - 1));
  if (record?.type === "commit") return record;
  throw new SessionStoreError("store_damaged", "a record of a sealed segment was whole, and is no longer", {
    operation: "read the journal",
    path: file.displayPath,
    onDisk: `The bytes from ${offset} to ${endOffset} of the segment changed under us.`,
    nextStep: "Run `sessiondir verify` to see the damage and `sessiondir repair` to salvage what can be.",
  });
}

class SegmentReader {
  readonly reads: Iterable<ReadRecord>;
  private readonly file: File;
  private readonly sizeBytes: number;
  private readonly keep: (read: ReadRecord) => void;
  private seal: SealReason | undefined;
  private last: CommitStamp;
  private offset = 0;

  constructor(port: Port, file: File, first: number, keep: (read: ReadRecord) => void) {
    this.file = file;
    this.keep = keep;
    this.sizeBytes = port.stat(file).sizeBytes;
    this.last = { version: first - 1, record: originStamp.record };
    this.reads = eachRecord(port, file, 0, this.sizeBytes);
  }

  take(read: ReadRecord): void {
    const { record } = read;
    if (this.seal !== undefined) return;
    if (record.type === "commit") {
      if (record.version !== this.last.version + 1) throw outOfOrder(this.file, record.version, this.last.version);
      this.last = { version: record.version, record: record.record };
    } else if (record.type === "carry") {
      this.last = { version: record.lastVersion, record: record.lastRecord };
    } else {
      this.seal = record.reason;
    }
    this.keep(read);
    this.offset = read.endOffset;
  }

  get end(): SegmentEnd {
    return { seal: this.seal, last: this.last, tailBytes: this.sizeBytes - this.offset };
  }
}

/** The last record of a segment file, if its last line is one. */
export function readLastRecord(port: Port, file: File): JournalRecord | undefined {
  const { sizeBytes } = port.stat(file);
  const start = Math.max(0, sizeBytes - lastLineBytesMax);
  const bytes = Buffer.from(readRange(port, file, start, sizeBytes));
  if (bytes.length < 2) return undefined;
  const lineStart = bytes.lastIndexOf(0x0a, bytes.length - 2) + 1;
  let last: JournalRecord | undefined;
  readRecords(port, file, start + lineStart, sizeBytes, ({ record }) => {
    last = record;
    return undefined;
  });
  return last;
}

/** A seal is short; longer last lines are not asked for. */
const lastLineBytesMax = 4_096;

/** Whether a segment that begins with this record goes on right behind `last`, also when the seal between is lost. */
export function provesSuccession(first: JournalRecord | undefined, last: CommitStamp, incarnation: string): boolean {
  return (
    first?.type === "commit" &&
    first.version === last.version + 1 &&
    first.store === incarnation &&
    first.previousRecord === last.record
  );
}

/** The first record of a segment file, if it is valid. */
export function readFirstRecord(port: Port, file: File): JournalRecord | undefined {
  let first: JournalRecord | undefined;
  readRecords(port, file, 0, port.stat(file).sizeBytes, ({ record }) => {
    first = record;
    return "stop";
  });
  return first;
}

function outOfOrder(file: File, version: number, last: number): SessionStoreError {
  return new SessionStoreError("store_damaged", `version ${version} follows version ${last}`, {
    operation: "read the journal",
    path: file.displayPath,
    onDisk: "Commits are missing or doubled.",
    nextStep: "Run `sessiondir verify` to see the damage and `sessiondir repair` to salvage what can be.",
  });
}
