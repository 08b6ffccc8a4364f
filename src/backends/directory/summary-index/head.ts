/**
 * `summary-index/head.json`: which runs the index is made of, and up to which commit it is complete. A document with a
 * checksum, replaced by rename, and never synced: a power cut may tear it or what it names, which the checksums and
 * sizes tell, and then the index does not exist. Changed only under the checkpoint lock.
 */

import type { SessionOrder } from "../../../contract.js";
import { openChecked, readWhole, type StoreOwner, writeNewFile } from "../../../fs/checked-file.js";
import type { Directory, Port } from "../../../fs/port.js";
import { fixedLimits } from "../../../limits.js";
import { documentIsIntact, sealDocument } from "../checksum.js";
import { isSummaryRunName, temporaryName } from "../layout.js";
import type { CommitStamp } from "../version.js";
import { DamagedIndexError } from "./row.js";

const indexKind = "sessiondir-summary-index";
/** An index of another number is built anew. */
const formatVersion = 1;
export const headName = "head.json";

/** The blocks of a run in one order: how many, and where their table is. They lie before it. */
export interface BlocksInfo {
  readonly count: number;
  readonly tableOffset: number;
}

/** Where the parts of a run lie in its file, and what they must sum up to. */
export interface RunInfo {
  readonly name: string;
  readonly bytes: number;
  /** Sessions it lists, and sessions of older runs that it says are gone. */
  readonly records: number;
  readonly removals: number;
  readonly blocks: Readonly<Record<SessionOrder, BlocksInfo>>;
  readonly keysOffset: number;
  readonly keysChecksum: string;
  readonly bucketBits: number;
  readonly bucketTableOffset: number;
  readonly bucketTableChecksum: string;
}

export interface IndexHead {
  readonly incarnation: string;
  /** The commit up to which the index is complete: the checkpoint it was made for. */
  readonly upTo: CommitStamp;
  /** How many sessions there are at that commit. */
  readonly sessions: number;
  /** Oldest first. What a run says of a session replaces what older ones say. */
  readonly runs: readonly RunInfo[];
}

/** ENOENT passes through; anything that is not a head of this format is a `DamagedIndexError`. */
export function readHead(port: Port, directory: Directory, owner: StoreOwner): IndexHead {
  const file = openChecked(port, directory, headName, "read", owner);
  let text: string;
  try {
    text = Buffer.from(readWhole(port, file, fixedLimits.manifestBytesMax)).toString("utf8");
  } finally {
    port.close(file);
  }
  let fields: Record<string, unknown>;
  try {
    fields = JSON.parse(text) as Record<string, unknown>;
  } catch {
    throw new DamagedIndexError("the head is not JSON");
  }
  if (typeof fields !== "object" || fields === null || !documentIsIntact(text)) {
    throw new DamagedIndexError("the head does not match its checksum");
  }
  if (fields.kind !== indexKind || fields.formatVersion !== formatVersion) {
    throw new DamagedIndexError("the head is of another format");
  }
  const { incarnation, version, record, sessions, runs } = fields;
  if (!isCount(version) || !isCount(sessions) || !Array.isArray(runs) || !runs.every(isRunInfo)) {
    throw new DamagedIndexError("the head misses fields or has fields of the wrong type");
  }
  return { incarnation: String(incarnation), upTo: { version, record: String(record) }, sessions, runs };
}

function isRunInfo(value: unknown): value is RunInfo {
  if (typeof value !== "object" || value === null) return false;
  const { name, bytes, records, removals, blocks, keysOffset, bucketBits, bucketTableOffset } = value as RunInfo;
  const counts = [bytes, records, removals, keysOffset, bucketBits, bucketTableOffset];
  for (const order of ["updatedAt", "key"] as const) counts.push(blocks?.[order]?.count, blocks?.[order]?.tableOffset);
  // A name is used as a name, and never as a path.
  return typeof name === "string" && isSummaryRunName(name) && counts.every(isCount) && bucketBits <= 30;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** Replaces the head. Not synced: see above. */
export function writeHead(port: Port, directory: Directory, head: IndexHead): void {
  const { incarnation, upTo, sessions, runs } = head;
  const document = {
    kind: indexKind,
    formatVersion,
    incarnation,
    version: upTo.version,
    record: upTo.record,
    checksum: "00000000" as const,
    sessions,
    runs,
  };
  const temporary = temporaryName(port.randomBytes(16));
  port.close(writeNewFile(port, directory, temporary, Buffer.from(sealDocument(document), "utf8")));
  port.rename(directory, temporary, directory, headName);
}
