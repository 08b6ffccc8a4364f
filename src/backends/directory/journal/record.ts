/**
 * Journal records: one JSON object per line, its checksum last. A record is valid only with its newline (P3).
 *
 *     {"version":42,"time":...,"writer":"...","durable":41,"operations":[...],"checksum":"9f3a12bc"}
 *
 * The checksum is the CRC-32 of the line's bytes before `,"checksum"`. A line with a right checksum and a shape we do
 * not know was written by a newer version, and is never taken for a torn tail.
 */

import type { Generation } from "../../../contract.js";
import { SessionStoreError } from "../../../errors.js";
import { parseGenerations, presentGenerations } from "../../../sessions/generations.js";
import { checksumOf } from "../checksum.js";

export type JsonObject = Record<string, unknown>;

/** An operation as it lies in a commit record. */
export type RecordOperation =
  | {
      readonly type: "put";
      readonly key: string;
      readonly entry: JsonObject;
      /** All there are: a put says the whole state of its session, whatever was there before. */
      readonly generations?: readonly Generation[] | undefined;
      /** The state before goes to the trash. */
      readonly trashPrevious?: boolean | undefined;
    }
  | {
      readonly type: "patch";
      readonly key: string;
      /** The version of the entry that the fields were set on (P14). */
      readonly base: number;
      readonly set: JsonObject;
      readonly unset: readonly string[];
      /** The list from now on; absent: as it is in the base. */
      readonly generations?: readonly Generation[] | undefined;
    }
  | { readonly type: "remove"; readonly key: string; readonly purge: boolean };

interface RecordCommon {
  readonly timeMs: number;
  readonly writer: string;
  /** The highest version known to be synced when this was written (P10). */
  readonly durable: number;
}

export interface CommitRecord extends RecordCommon {
  readonly type: "commit";
  readonly version: number;
  /** The checksum of this record, part of every token of its version. */
  readonly record: string;
  readonly commitId?: string | undefined;
  readonly actor?: string | undefined;
  readonly reason?: string | undefined;
  /** The store's incarnation; only in the first record of a segment. */
  readonly store?: string | undefined;
  /** The checksum of the commit before it; only in the first record of a segment, so that a cursor there can be checked. */
  readonly previousRecord?: string | undefined;
  /** None in a commit that only gives a segment of carried states a version of its own, so that it can be sealed (P1). */
  readonly operations: readonly RecordOperation[];
}

/** Why a segment ended: it was full or old, the store was moved away (rollback), or a sync of it failed. */
export type SealReason = "rotated" | "fenced" | "suspect";

export interface SealRecord extends RecordCommon {
  readonly type: "seal";
  readonly reason: SealReason;
  readonly lastVersion: number;
}

/** A removed state that only suspect segments held, and the removal that sends it to the trash. */
export interface CarriedTrash {
  readonly version: number;
  readonly record: string;
  readonly entry: JsonObject;
  readonly generations?: readonly Generation[] | undefined;
  readonly removedAtMs: number;
  readonly removedByVersion: number;
  readonly actor?: string | undefined;
  readonly reason?: string | undefined;
}

/** A state carried over from a suspect segment, with the version it always had (P11). */
export type CarriedState = {
  /** Everything of this session that goes to the trash; undefined when that could no longer be told. */
  readonly trashed?: readonly CarriedTrash[] | undefined;
} & CarriedSession;

type CarriedSession =
  | {
      readonly type: "put";
      readonly key: string;
      readonly version: number;
      readonly record: string;
      readonly entry: JsonObject;
      readonly generations?: readonly Generation[] | undefined;
    }
  | { readonly type: "remove"; readonly key: string; readonly version: number; readonly record: string };

export interface CarryRecord extends RecordCommon {
  readonly type: "carry";
  readonly store: string;
  /** Segments from this first version on, up to this one, are suspect whatever their seal says. */
  readonly suspectFrom: number;
  readonly lastVersion: number;
  readonly lastRecord: string;
  readonly states: readonly CarriedState[];
}

export type JournalRecord = CommitRecord | SealRecord | CarryRecord;

const checksumField = ',"checksum":"';
/** `,"checksum":"xxxxxxxx"}` */
const checksumTailBytes = checksumField.length + 8 + 2;
const newline = 0x0a;
const utf8BytesPerUnitMax = 3;

/** A finished line, with its checksum to build tokens from. */
export interface EncodedRecord {
  readonly bytes: Buffer;
  readonly record: string;
}

/**
 * Put together as text: an object made only to be written as JSON costs as much again as the writing. The bytes lie in
 * `scratch` when that is given and large enough: then they are gone at its next use.
 */
export function encodeCommit(commit: Omit<CommitRecord, "type" | "record">, scratch?: Buffer): EncodedRecord {
  let text = `{"version":${commit.version},"time":${commit.timeMs},"writer":${JSON.stringify(commit.writer)},"durable":${commit.durable}`;
  if (commit.store !== undefined) text += `,"store":${JSON.stringify(commit.store)}`;
  if (commit.previousRecord !== undefined) text += `,"previousRecord":${JSON.stringify(commit.previousRecord)}`;
  if (commit.commitId !== undefined) text += `,"commitId":${JSON.stringify(commit.commitId)}`;
  if (commit.actor !== undefined) text += `,"actor":${JSON.stringify(commit.actor)}`;
  if (commit.reason !== undefined) text += `,"reason":${JSON.stringify(commit.reason)}`;
  text += ',"operations":[';
  let separator = "";
  for (const operation of commit.operations) {
    text += separator + operationText(operation);
    separator = ",";
  }
  return encodeText(`${text}]`, scratch);
}

export function encodeSeal(seal: Omit<SealRecord, "type">): EncodedRecord {
  return encodeLine({
    seal: seal.reason,
    lastVersion: seal.lastVersion,
    time: seal.timeMs,
    writer: seal.writer,
    durable: seal.durable,
  });
}

export function encodeCarry(carry: Omit<CarryRecord, "type">): EncodedRecord {
  return encodeLine({
    carry: carry.states.map((state) =>
      state.type === "put"
        ? {
            put: state.key,
            version: state.version,
            record: state.record,
            entry: state.entry,
            ...presentGenerations(state.generations),
            trashed: state.trashed,
          }
        : { remove: state.key, version: state.version, record: state.record, trashed: state.trashed },
    ),
    suspectFrom: carry.suspectFrom,
    lastVersion: carry.lastVersion,
    lastRecord: carry.lastRecord,
    time: carry.timeMs,
    writer: carry.writer,
    durable: carry.durable,
    store: carry.store,
  });
}

function operationText(operation: RecordOperation): string {
  const key = JSON.stringify(operation.key);
  switch (operation.type) {
    case "put": {
      const { entry, generations, trashPrevious } = operation;
      const list = generations?.length ? `,"generations":${JSON.stringify(generations)}` : "";
      return `{"put":${key},"entry":${JSON.stringify(entry)}${list}${trashPrevious ? ',"trashPrevious":true' : ""}}`;
    }
    case "patch": {
      const { base, set, unset, generations } = operation;
      const gone = unset.length > 0 ? `,"unset":${JSON.stringify(unset)}` : "";
      const list = generations === undefined ? "" : `,"generations":${JSON.stringify(generations)}`;
      return `{"patch":${key},"base":${base},"set":${JSON.stringify(set)}${gone}${list}}`;
    }
    case "remove":
      return operation.purge ? `{"remove":${key},"purge":true}` : `{"remove":${key}}`;
  }
}

function encodeLine(fields: JsonObject): EncodedRecord {
  return encodeText(JSON.stringify(fields).slice(0, -1));
}

/** `text` is the record's JSON but for its closing brace, which gives way to the checksum field. */
function encodeText(text: string, scratch?: Buffer): EncodedRecord {
  const line = `${text}${checksumField}00000000"}\n`;
  const isRoomy = scratch !== undefined && line.length * utf8BytesPerUnitMax <= scratch.byteLength;
  const bytes = isRoomy ? scratch.subarray(0, scratch.write(line, 0, "utf8")) : Buffer.from(line, "utf8");
  const bodyBytes = bytes.byteLength - 1 - checksumTailBytes;
  const record = checksumOf(bytes.subarray(0, bodyBytes));
  bytes.write(record, bodyBytes + checksumField.length, 8, "latin1");
  return { bytes, record };
}

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The next line in `bytes` from `start`: its end without and with the newline, or `undefined` when it has none. */
export function findLine(bytes: Uint8Array, start: number): { end: number; next: number } | undefined {
  const end = bytes.indexOf(newline, start);
  return end < 0 ? undefined : { end, next: end + 1 };
}

/**
 * A record from the bytes of one line without its newline; `undefined` when it is not valid. Throws
 * `unsupported_layout` for an intact record of a kind that this version does not know.
 */
export function decodeLine(line: Uint8Array): JournalRecord | undefined {
  const bodyBytes = line.byteLength - checksumTailBytes;
  if (bodyBytes < 1) return undefined;
  const tail = Buffer.from(line.buffer, line.byteOffset + bodyBytes, checksumTailBytes).toString("latin1");
  if (!tail.startsWith(checksumField) || !tail.endsWith('"}')) return undefined;
  const record = tail.slice(checksumField.length, -2);
  if (checksumOf(line.subarray(0, bodyBytes)) !== record) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(strictUtf8.decode(line));
  } catch {
    return undefined;
  }
  return toRecord(value as JsonObject, record);
}

/**
 * Every commit of other processes comes through here. Spelled out in the order of `JournalWriter.appendCommit`, so that
 * all records are of one shape: put together by spreading, this took four times as long as parsing the line.
 */
function toRecord(fields: JsonObject, record: string): JournalRecord {
  const { time: timeMs, writer, durable } = fields;
  if (typeof timeMs !== "number" || typeof writer !== "string" || !isVersion(durable)) throw unknownRecord();
  if (Array.isArray(fields.operations)) {
    if (!isVersion(fields.version) || fields.version === 0) throw unknownRecord();
    return {
      type: "commit",
      version: fields.version,
      record,
      timeMs,
      writer,
      durable,
      store: optionalString(fields.store),
      previousRecord: optionalString(fields.previousRecord),
      commitId: optionalString(fields.commitId),
      actor: optionalString(fields.actor),
      reason: optionalString(fields.reason),
      operations: fields.operations.map(toOperation),
    };
  }
  if (fields.seal !== undefined) {
    if (fields.seal !== "rotated" && fields.seal !== "fenced" && fields.seal !== "suspect") throw unknownRecord();
    if (!isVersion(fields.lastVersion)) throw unknownRecord();
    return { type: "seal", timeMs, writer, durable, reason: fields.seal, lastVersion: fields.lastVersion };
  }
  if (Array.isArray(fields.carry)) {
    const { store, suspectFrom, lastVersion, lastRecord } = fields;
    if (
      !isVersion(suspectFrom) ||
      !isVersion(lastVersion) ||
      typeof lastRecord !== "string" ||
      typeof store !== "string"
    ) {
      throw unknownRecord();
    }
    return {
      type: "carry",
      timeMs,
      writer,
      durable,
      store,
      suspectFrom,
      lastVersion,
      lastRecord,
      states: fields.carry.map(toCarriedState),
    };
  }
  throw unknownRecord();
}

function toOperation(value: unknown): RecordOperation {
  const fields = asObject(value);
  if (typeof fields.put === "string") {
    const entry = asObject(fields.entry);
    const generations = parseGenerations(fields.generations);
    const trashPrevious = fields.trashPrevious === true ? true : undefined;
    return { type: "put", key: fields.put, entry, generations, trashPrevious };
  }
  if (typeof fields.patch === "string") {
    const unset = fields.unset ?? [];
    if (!isVersion(fields.base) || !Array.isArray(unset) || !unset.every((name) => typeof name === "string"))
      throw unknownRecord();
    const { patch: key, base } = fields;
    const generations = parseGenerations(fields.generations);
    return { type: "patch", key, base, set: asObject(fields.set), unset, generations };
  }
  if (typeof fields.remove === "string") return { type: "remove", key: fields.remove, purge: fields.purge === true };
  throw unknownRecord();
}

function toCarriedState(value: unknown): CarriedState {
  const fields = asObject(value);
  if (!isVersion(fields.version) || typeof fields.record !== "string") throw unknownRecord();
  const trashed = Array.isArray(fields.trashed) ? { trashed: fields.trashed.flatMap(toCarriedTrash) } : {};
  const stamp = { version: fields.version, record: fields.record, ...trashed };
  if (typeof fields.put === "string")
    return { type: "put", key: fields.put, ...stamp, entry: asObject(fields.entry), ...storedGenerations(fields) };
  if (typeof fields.remove === "string") return { type: "remove", key: fields.remove, ...stamp };
  throw unknownRecord();
}

/** Nothing for what has not the form: no session depends on it. */
function toCarriedTrash(value: unknown): CarriedTrash[] {
  const fields = asObject(value);
  const { version, record, removedAtMs, removedByVersion } = fields;
  if (!isVersion(version) || typeof record !== "string" || !isVersion(removedByVersion)) return [];
  if (typeof removedAtMs !== "number" || typeof fields.entry !== "object" || fields.entry === null) return [];
  const [actor, reason] = [optionalString(fields.actor), optionalString(fields.reason)];
  const entry = asObject(fields.entry);
  return [{ version, record, removedAtMs, removedByVersion, actor, reason, entry, ...storedGenerations(fields) }];
}

function storedGenerations(fields: JsonObject): { generations?: readonly Generation[] } {
  const generations = parseGenerations(fields.generations);
  return generations === undefined ? {} : { generations };
}

function asObject(value: unknown): JsonObject {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw unknownRecord();
  return value as JsonObject;
}

function isVersion(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function optionalString(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function unknownRecord(): SessionStoreError {
  return new SessionStoreError(
    "unsupported_layout",
    "the journal holds an intact record of a kind this version does not know",
    {
      operation: "read the journal",
      onDisk: "Nothing was touched.",
      nextStep: "Use the newer sessiondir that wrote it.",
    },
  );
}
