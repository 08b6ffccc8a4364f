/**
 * `summary-index/head.json`: which runs the index is made of, and up to which commit it is complete. A document with a
 * checksum, replaced by rename, and never synced: a power cut may tear it or what it names, which the checksums and
 * sizes tell, and then the index does not exist. Changed only under the checkpoint lock.
 */

import { openChecked, readWhole, type StoreOwner, writeNewFile } from "../../../fs/checked-file.js";
import type { Directory, Port } from "../../../fs/port.js";
import { fixedLimits } from "../../../limits.js";
import { documentIsIntact, sealDocument } from "../checksum.js";
import { temporaryName } from "../layout.js";
import type { CommitStamp } from "../version.js";
import { DamagedIndexError } from "./row.js";

const indexKind = "sessiondir-summary-index";
/** An index of another number is built anew. */
const formatVersion = 1;
export const headName = "head.json";

/** Where the parts of a run lie in its file, and what they must sum up to. */
export interface RunInfo {
  readonly name: string;
  readonly bytes: number;
  /** Sessions it lists, and sessions of older runs that it says are gone. */
  readonly records: number;
  readonly removals: number;
  readonly blocks: number;
  readonly blockTableOffset: number;
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
  return {
    incarnation: String(fields.incarnation),
    upTo: { version: Number(fields.version), record: String(fields.record) },
    sessions: Number(fields.sessions),
    runs: fields.runs as readonly RunInfo[],
  };
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
