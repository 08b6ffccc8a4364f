/** A sealed segment as a whole: all its records, and what they did to each session, in order. */

import type { Generation } from "../../../contract.js";
import { SessionStoreError } from "../../../errors.js";
import type { File, Port } from "../../../fs/port.js";
import { type CommitStamp, originStamp } from "../version.js";
import type { CarriedTrash, JournalRecord, JsonObject, SealReason } from "./record.js";
import { eachRecord, type ReadRecord, readRange, readRecords } from "./segment-file.js";

/** One change of one session, as it lies in the journal. */
export interface JournaledChange extends CommitStamp {
  readonly type: "put" | "patch" | "remove";
  readonly key: string;
  readonly timeMs: number;
  readonly actor?: string | undefined;
  readonly reason?: string | undefined;
  readonly purge: boolean;
  readonly entry?: JsonObject;
  readonly set?: JsonObject;
  readonly unset?: readonly string[];
  readonly base?: number;
  readonly generations?: readonly Generation[] | undefined;
  /** put: the state before goes to the trash. */
  readonly trashPrevious?: boolean | undefined;
  /** Carried: all of this session that goes to the trash, if it can be told. */
  readonly trashed?: readonly CarriedTrash[] | undefined;
}

/** The changes of one session in one segment, oldest first; never empty. */
export type KeyHistory = readonly JournaledChange[];

export interface SegmentContent {
  readonly records: readonly JournalRecord[];
  readonly seal: SealReason | undefined;
  /** The stamp of the last commit, or of the one before the segment when it holds none. */
  readonly last: CommitStamp;
  /** Bytes behind the last valid record. */
  readonly tailBytes: number;
}

export function readSegment(port: Port, file: File, first: number): SegmentContent {
  const reader = new SegmentReader(port, file, first);
  for (const read of reader.reads) reader.take(read);
  return reader.content;
}

/** The same, letting the event loop run between slices of work. */
export async function readSegmentInSlices(
  port: Port,
  file: File,
  first: number,
  breathe: () => Promise<void> | undefined,
): Promise<SegmentContent> {
  const reader = new SegmentReader(port, file, first);
  for (const read of reader.reads) {
    reader.take(read);
    // Not `await breathe()`: an await of nothing for each of a hundred thousand records is a turn for each.
    const turn = breathe();
    if (turn) await turn;
  }
  return reader.content;
}

class SegmentReader {
  readonly reads: Iterable<ReadRecord>;
  private readonly file: File;
  private readonly sizeBytes: number;
  private readonly records: JournalRecord[] = [];
  private seal: SealReason | undefined;
  private last: CommitStamp;
  private offset = 0;

  constructor(port: Port, file: File, first: number) {
    this.file = file;
    this.sizeBytes = port.stat(file).sizeBytes;
    this.last = { version: first - 1, record: originStamp.record };
    this.reads = eachRecord(port, file, 0, this.sizeBytes);
  }

  take({ record, endOffset }: ReadRecord): void {
    if (this.seal !== undefined) return;
    if (record.type === "commit") {
      if (record.version !== this.last.version + 1) throw outOfOrder(this.file, record.version, this.last.version);
      this.last = { version: record.version, record: record.record };
    } else if (record.type === "carry") {
      this.last = { version: record.lastVersion, record: record.lastRecord };
    } else {
      this.seal = record.reason;
    }
    this.records.push(record);
    this.offset = endOffset;
  }

  get content(): SegmentContent {
    return { records: this.records, seal: this.seal, last: this.last, tailBytes: this.sizeBytes - this.offset };
  }
}

export function collectKeyHistories(records: readonly JournalRecord[]): Map<string, JournaledChange[]> {
  const histories = new Map<string, JournaledChange[]>();
  for (const record of records) addToHistories(histories, record);
  return histories;
}

/** The same, letting the event loop run between slices of work. */
export async function collectKeyHistoriesInSlices(
  records: readonly JournalRecord[],
  breathe: () => Promise<void> | undefined,
): Promise<Map<string, JournaledChange[]>> {
  const histories = new Map<string, JournaledChange[]>();
  for (const record of records) {
    addToHistories(histories, record);
    const turn = breathe();
    if (turn) await turn;
  }
  return histories;
}

function addToHistories(histories: Map<string, JournaledChange[]>, record: JournalRecord): void {
  const add = (change: JournaledChange) => {
    const history = histories.get(change.key);
    if (history) history.push(change);
    else histories.set(change.key, [change]);
  };
  if (record.type === "commit") {
    const { version, record: stamp, timeMs, actor, reason } = record;
    for (const operation of record.operations) {
      const purge = operation.type === "remove" && operation.purge;
      add({ ...operation, version, record: stamp, timeMs, actor, reason, purge });
    }
  } else if (record.type === "carry") {
    for (const state of record.states) add({ ...state, timeMs: record.timeMs, purge: false });
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
