/**
 * Recovery written a second time: from the bytes of a store to its state, as one pure function. Written from
 * docs/format.md and from the table in recover.ts, and sharing no code with the library, so that a mistake has to be
 * made twice to go unseen. Slow, whole in memory, and knows nothing of locks, concurrent writers or file kinds.
 *
 * Where the page leaves a choice: a session whose last whole state (a put or a removal) is in the journal is that,
 * without a look at its entry file; an entry file that is newer than the journal's end is damage of its session, and
 * forbids a writer to cut anything.
 *
 * A long file, so that the second opinion can be read in one piece.
 */

import { createHash } from "node:crypto";

export interface StoreBytes {
  readonly manifest: Uint8Array;
  /** Files of `journal/` by name. */
  readonly segments: ReadonlyMap<string, Uint8Array>;
  /** Files of `entries/` by name; with shards `xx/name`. */
  readonly entries: ReadonlyMap<string, Uint8Array>;
}

export type Refusal =
  | "store_damaged"
  | "unsupported_layout"
  | "unsupported_platform"
  | "store_fenced"
  | "limit_exceeded";

export type Recovered =
  | {
      readonly kind: "state";
      readonly version: number;
      /** What is served: key -> version token, entry and earlier generations, in one canonical line. */
      readonly sessions: ReadonlyMap<string, string>;
      /** What is reported as damaged: keys, or file names where the key is in the file only. */
      readonly damaged: ReadonlySet<string>;
    }
  | { readonly kind: "refused"; readonly reason: Refusal; readonly because: string };

type Fields = Record<string, unknown>;
interface PureRecord {
  readonly fields: Fields;
  readonly checksum: string;
  readonly kind: "commit" | "seal" | "carry";
}
interface Change {
  readonly version: number;
  readonly record: string;
  readonly put?: Fields;
  readonly remove?: true;
  /** put: all there are. patch: from then on; undefined: as before. */
  readonly generations?: readonly Fields[] | undefined;
  readonly patch?: { readonly base: number; readonly set: Fields; readonly unset: readonly string[] };
}
interface Session {
  readonly version: number;
  readonly record: string;
  readonly entry: Fields | undefined;
  readonly generations?: readonly Fields[] | undefined;
}

class Refused extends Error {
  readonly reason: Refusal;
  constructor(reason: Refusal, because: string) {
    super(because);
    this.reason = reason;
  }
}

const nestingLevelsMax = 256;
const manifestBytesMax = 1024 * 1024;

/** `lockFamily` undefined reads as a reader does: it needs no locks and cuts nothing. */
export function recoverPurely(store: StoreBytes, lockFamily: string | undefined): Recovered {
  try {
    return recover(store, lockFamily);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return { kind: "refused", reason: error.reason, because: error.message };
  }
}

function recover(store: StoreBytes, lockFamily: string | undefined): Recovered {
  const manifest = readManifest(store.manifest);
  if (lockFamily !== undefined && manifest.lockFamily !== lockFamily)
    throw new Refused("unsupported_platform", "locks");
  const { changes, version, isCut } = readJournal(store, manifest);
  const sessions = new Map<string, string>();
  const damaged = new Set<string>();
  const serve = (key: string, session: Session) => {
    if (session.entry === undefined) return;
    if (session.version > version) {
      damaged.add(key);
      return;
    }
    const token = `${session.version}-${session.record}-${String(manifest.incarnation).slice(0, 12)}`;
    sessions.set(key, servedLine(token, session.entry, session.generations));
  };
  for (const [key, history] of changes) {
    const session = fold(history, () => readBase(store, manifest, key));
    if (session === "damaged") damaged.add(key);
    else serve(key, session);
  }
  for (const [path, bytes] of store.entries) {
    const name = manifest.shardDigits === 2 ? /^[0-9a-f]{2}\/(.+)$/s.exec(path)?.[1] : path;
    if (name === undefined || name.includes("/")) continue;
    const named = keyOfName(name);
    if (named === undefined) continue;
    const document = readEntryFile(bytes);
    // Only a writer cuts, and only it has to know that this loses nothing.
    if (isCut && lockFamily !== undefined && document !== undefined && document.version > version)
      throw new Refused("store_damaged", `${document.key} was written out and is cut`);
    if (named.key !== undefined && changes.has(named.key)) continue;
    if (document === undefined || (named.key !== undefined && document.key !== named.key)) {
      damaged.add(named.key ?? name);
    } else if (!changes.has(document.key)) {
      if (nameOfKey(document.key, manifest) === name) serve(document.key, document);
      else damaged.add(document.key);
    }
  }
  return { kind: "state", version, sessions, damaged };
}

// --- the manifest ------------------------------------------------------------------------------------------------------

function readManifest(bytes: Uint8Array): Fields & { checkpoint: { version: number; record: string } } {
  if (bytes.length > manifestBytesMax) throw new Refused("limit_exceeded", "the manifest is too large");
  const fields = parseJson(bytes);
  if (!isObject(fields) || typeof fields.kind !== "string") throw new Refused("store_damaged", "no manifest");
  if (fields.kind !== "sessiondir-store") throw new Refused("unsupported_layout", "another kind of store");
  if (typeof fields.layoutVersion === "number" && fields.layoutVersion > 1)
    throw new Refused("unsupported_layout", "newer layout");
  const { features, checkpoint, incarnation } = fields;
  const areNames = (value: unknown) => Array.isArray(value) && value.every((name) => typeof name === "string");
  const isWhole =
    isIntactDocument(bytes) &&
    fields.layoutVersion === 1 &&
    typeof fields.storeId === "string" &&
    typeof incarnation === "string" &&
    /^[0-9a-f]{32}$/.test(incarnation) &&
    typeof fields.createdMs === "number" &&
    typeof fields.lockFamily === "string" &&
    ["openclaw", "exact"].includes(fields.keyRule as string) &&
    ["base64url", "hash"].includes(fields.fileNames as string) &&
    [0, 2].includes(fields.shardDigits as number) &&
    (fields.migration === null || typeof fields.migration === "object") &&
    isObject(features) &&
    areNames(features.required) &&
    areNames(features.optional) &&
    isObject(checkpoint) &&
    isVersion(checkpoint.version) &&
    typeof checkpoint.record === "string" &&
    typeof checkpoint.timeMs === "number";
  if (!isWhole) throw new Refused("store_damaged", "the manifest is damaged");
  if ((features.required as string[]).length > 0) throw new Refused("unsupported_layout", "unknown feature");
  return fields as ReturnType<typeof readManifest>;
}

// --- the journal -------------------------------------------------------------------------------------------------------

function readJournal(store: StoreBytes, manifest: ReturnType<typeof readManifest>) {
  const { checkpoint, incarnation } = manifest;
  const firsts: number[] = [];
  for (const name of store.segments.keys()) {
    const first = Number(/^(\d{16})\.jsonl$/.exec(name)?.[1] ?? 0);
    if (first > 0 && Number.isSafeInteger(first)) firsts.push(first);
  }
  firsts.sort((a, b) => a - b);
  const changes = new Map<string, Change[]>();
  const start = firsts.findLast((first) => first <= checkpoint.version + 1);
  if (start === undefined) throw new Refused("store_damaged", "the oldest segment is missing");
  let current = start;
  let last = start - 1;
  let lastRecord = start === checkpoint.version + 1 ? checkpoint.record : "00000000";
  for (;;) {
    const bytes = store.segments.get(segmentName(current)) as Uint8Array;
    let offset = 0;
    let commits = 0;
    let seal: unknown;
    while (seal === undefined) {
      const end = bytes.indexOf(10, offset);
      const record = end < 0 ? undefined : parseRecord(bytes.subarray(offset, end));
      if (record === undefined) break;
      const { fields } = record;
      if (record.kind === "commit") {
        if (fields.version !== last + 1) throw new Refused("store_damaged", `${fields.version} follows ${last}`);
        if (offset === 0 && fields.store !== incarnation) throw new Refused("store_damaged", "foreign segment");
        last += 1;
        lastRecord = record.checksum;
        commits += 1;
        for (const operation of fields.operations as Fields[]) add(changes, operation, last, record.checksum);
      } else if (record.kind === "carry") {
        if (offset > 0 || fields.store !== incarnation) throw new Refused("store_damaged", "foreign states");
        if (fields.lastVersion !== current - 1 || current - 1 < last)
          throw new Refused("store_damaged", "carried to another place");
        last = fields.lastVersion as number;
        lastRecord = fields.lastRecord as string;
        for (const state of fields.carry as Fields[])
          add(changes, state, state.version as number, state.record as string);
      } else {
        const isAlone = commits === 0 && fields.seal !== "fenced";
        if (fields.lastVersion !== last || isAlone) throw new Refused("store_damaged", "commits before the seal");
        seal = fields.seal;
      }
      offset = end + 1;
    }
    if (seal === "fenced") throw new Refused("store_fenced", "fenced");
    const later = firsts.filter((first) => first > current);
    const next = seal === undefined ? later.find((first) => takesOver(store, first, current)) : last + 1;
    if (next === undefined && commits > 0 && provesItself(store, last + 1, lastRecord, incarnation as string)) {
      current = last + 1;
      continue;
    }
    if (next !== undefined && store.segments.has(segmentName(next))) {
      current = next;
      continue;
    }
    if (last < checkpoint.version) throw new Refused("store_damaged", "the journal ends before the checkpoint");
    const tail = seal === undefined ? bytes.subarray(offset) : new Uint8Array(0);
    refuseIfDurable(tail, last);
    for (const first of later) refuseIfDurable(store.segments.get(segmentName(first)) as Uint8Array, last);
    return { changes, version: last, isCut: tail.includes(10) || later.length > 0 };
  }
}

/** A lost seal: the successor's first commit has the next version and names the record before it. */
function provesItself(store: StoreBytes, first: number, lastRecord: string, incarnation: string): boolean {
  const bytes = store.segments.get(segmentName(first)) ?? new Uint8Array(0);
  const end = bytes.indexOf(10);
  const record = end < 0 ? undefined : parseRecord(bytes.subarray(0, end));
  const fields = record?.fields;
  return (
    record?.kind === "commit" &&
    fields?.version === first &&
    fields?.store === incarnation &&
    fields?.previousRecord === lastRecord
  );
}

/** Rule 4 of "Following the journal", and rows 6 of the table. */
function takesOver(store: StoreBytes, first: number, current: number): boolean {
  const bytes = store.segments.get(segmentName(first)) as Uint8Array;
  const end = bytes.indexOf(10);
  const record = end < 0 ? undefined : parseRecord(bytes.subarray(0, end));
  return record?.kind === "carry" && (record.fields.suspectFrom as number) <= current;
}

/** Rows 5 and 8: whatever lies behind the end, a whole record in it that knows more to be durable forbids to cut. */
function refuseIfDurable(tail: Uint8Array, last: number): void {
  let witness = false;
  for (let start = 0, end = tail.indexOf(10); end >= 0; start = end + 1, end = tail.indexOf(10, start)) {
    for (let at = start; at >= 0 && at < end; at = tail.indexOf(0x7b, at + 1)) {
      const record = parseRecord(tail.subarray(at, end));
      if (record === undefined) continue;
      if ((record.fields.durable as number) > last) witness = true;
      break; // What lies inside a record is its own.
    }
  }
  if (witness) throw new Refused("store_damaged", `${last + 1} was durable and is damaged`);
}

/** What lines were found to be, by their bytes: tests recover the same lines thousands of times. */
const knownLines = new Map<string, PureRecord | "unknown" | "none">();
const knownLinesMax = 20_000;

/** `undefined` for a line that is no record; refuses a whole one of an unknown kind. */
function parseRecord(line: Uint8Array): PureRecord | undefined {
  // Most of what is asked about is no line, and ends otherwise.
  if (line.length < 24 || line[line.length - 1] !== 0x7d || line[line.length - 23] !== 0x2c) return undefined;
  const text = Buffer.from(line.buffer, line.byteOffset, line.length).toString("latin1");
  let known = knownLines.get(text);
  if (known === undefined) {
    known = parseLine(line);
    if (knownLines.size >= knownLinesMax) knownLines.clear();
    knownLines.set(text, known);
  }
  if (known === "unknown") throw new Refused("unsupported_layout", "an unknown record");
  return known === "none" ? undefined : known;
}

function parseLine(line: Uint8Array): PureRecord | "unknown" | "none" {
  const end = line.length - 23; // ,"checksum":"xxxxxxxx"}
  const checksum = ascii(line.subarray(end + 13, end + 21));
  if (ascii(line.subarray(end)) !== `,"checksum":"${checksum}"}`) return "none";
  if (checksum !== crc32(line.subarray(0, end))) return "none";
  const fields = parseJson(line);
  if (fields === undefined) return "none";
  const kind = isObject(fields) ? kindOf(fields) : undefined;
  return kind === undefined ? "unknown" : { fields: fields as Fields, checksum, kind };
}

function kindOf(fields: Fields): PureRecord["kind"] | undefined {
  const { time, writer, durable } = fields;
  if (typeof time !== "number" || typeof writer !== "string" || !isVersion(durable)) return undefined;
  if (Array.isArray(fields.operations)) {
    const isCommit = isVersion(fields.version) && fields.version > 0 && fields.operations.every(isOperation);
    return isCommit ? "commit" : undefined;
  }
  if (fields.seal !== undefined) {
    const isSeal = ["rotated", "fenced", "suspect"].includes(fields.seal as string) && isVersion(fields.lastVersion);
    return isSeal ? "seal" : undefined;
  }
  const isCarry =
    Array.isArray(fields.carry) &&
    fields.carry.every(isCarried) &&
    isVersion(fields.suspectFrom) &&
    isVersion(fields.lastVersion) &&
    typeof fields.lastRecord === "string" &&
    typeof fields.store === "string";
  return isCarry ? "carry" : undefined;
}

function isOperation(value: unknown): boolean {
  if (!isObject(value)) return false;
  if (typeof value.put === "string") return isObject(value.entry);
  if (typeof value.patch === "string") {
    const unset = value.unset ?? [];
    const hasNames = Array.isArray(unset) && unset.every((name) => typeof name === "string");
    return isVersion(value.base) && isObject(value.set) && hasNames;
  }
  return typeof value.remove === "string";
}

function isCarried(value: unknown): boolean {
  if (!isObject(value) || !isVersion(value.version) || typeof value.record !== "string") return false;
  return typeof value.put === "string" ? isObject(value.entry) : typeof value.remove === "string";
}

function add(changes: Map<string, Change[]>, operation: Fields, version: number, record: string): void {
  const isPut = typeof operation.put === "string";
  const isPatch = !isPut && typeof operation.patch === "string";
  const key = (isPut ? operation.put : isPatch ? operation.patch : operation.remove) as string;
  const history = changes.get(key) ?? [];
  changes.set(key, history);
  // Carried states may be known already, and then newer.
  if (history.length > 0 && (history.at(-1) as Change).version > version) return;
  const generations = generationsOf(operation.generations);
  if (isPut) history.push({ version, record, put: operation.entry as Fields, generations });
  else if (!isPatch) history.push({ version, record, remove: true });
  else {
    const { base, set, unset = [] } = operation as { base: number; set: Fields; unset?: string[] };
    history.push({ version, record, patch: { base, set, unset }, generations });
  }
}

// --- the state of a session --------------------------------------------------------------------------------------------

function fold(history: readonly Change[], readBaseOf: () => Session | "damaged"): Session | "damaged" {
  const whole = history.findLastIndex((change) => change.patch === undefined);
  let session: Session | "damaged";
  if (whole >= 0) {
    const { version, record, put, generations } = history[whole] as Change;
    session = { version, record, entry: put, generations };
    if (put !== undefined && !isStorable(put)) return "damaged";
  } else {
    session = readBaseOf();
  }
  if (session === "damaged") return "damaged";
  const newest = (history.at(-1) as Change).version;
  for (const { version, record, patch, generations } of history.slice(whole + 1)) {
    if (version <= session.version || patch === undefined) continue;
    if (patch.base !== session.version || session.entry === undefined) return "damaged";
    const fields: Map<string, unknown> = new Map(Object.entries(session.entry));
    for (const [name, value] of Object.entries(patch.set)) fields.set(name, value);
    for (const name of patch.unset) fields.delete(name);
    const list: readonly Fields[] | undefined = generations ?? session.generations;
    session = { version, record, entry: Object.fromEntries(fields), generations: list };
  }
  return session.entry !== undefined && session.version === newest && !isStorable(session.entry) ? "damaged" : session;
}

function readBase(store: StoreBytes, manifest: Fields, key: string): Session | "damaged" {
  const name = nameOfKey(key, manifest);
  const shard = createHash("sha256").update(key, "utf8").digest("hex").slice(0, 2);
  const bytes = store.entries.get(manifest.shardDigits === 2 ? `${shard}/${name}` : name);
  if (bytes === undefined) return { version: 0, record: "00000000", entry: undefined };
  const document = readEntryFile(bytes);
  return document === undefined || document.key !== key ? "damaged" : document;
}

function readEntryFile(bytes: Uint8Array): (Session & { key: string; entry: Fields }) | undefined {
  const fields: unknown = parseJson(bytes);
  if (!isObject(fields) || !isIntactDocument(bytes)) return undefined;
  const { sessionKey: key, version, record, entry } = fields;
  if (typeof key !== "string" || !isVersion(version) || typeof record !== "string") return undefined;
  const generations = generationsOf(fields.generations);
  return isObject(entry) && isStorable(entry) ? { key, version, record, entry, generations } : undefined;
}

/** The newest 200 that have the form of a generation; what has not is left out, with whatever else is in them. */
function generationsOf(value: unknown): Fields[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const list: Fields[] = [];
  for (const item of value.slice(-200)) {
    if (!isObject(item) || typeof item.sessionId !== "string" || !Number.isFinite(item.endedMs)) continue;
    const texts = ["sessionFile", "actor", "reason"].filter((name) => typeof item[name] === "string");
    list.push(Object.fromEntries(["sessionId", "endedMs", ...texts].map((name) => [name, item[name]])));
  }
  return list;
}

/** Of entries, which nobody changes: the same ones are compared again and again. */
const knownTexts = new WeakMap<object, string>();

export function servedLine(token: string, entry: object, generations: readonly unknown[] | undefined): string {
  const text = knownTexts.get(entry) ?? canonical(entry);
  knownTexts.set(entry, text);
  return `${token} ${text}${generations?.length ? ` ${canonical(generations)}` : ""}`;
}

function nameOfKey(key: string, manifest: Fields): string {
  const bytes = Buffer.from(key, "utf8");
  const sha256 = createHash("sha256").update(bytes);
  if (manifest.fileNames === "hash") return `session-hash-${sha256.digest("hex")}.json`;
  return `session-${bytes.length <= 120 ? bytes.toString("base64url") : `hash-${sha256.digest("base64url")}`}.json`;
}

/** Undefined for a stray file; without a key where only the file tells it. */
function keyOfName(name: string): { key: string | undefined } | undefined {
  const middle = /^session-(.*)\.json$/s.exec(name)?.[1];
  if (middle === undefined) return undefined;
  if (/^hash-([A-Za-z0-9_-]{43}|[0-9a-f]{64})$/.test(middle)) return { key: undefined };
  const key = Buffer.from(middle, "base64url").toString("utf8");
  const bytes = Buffer.from(key, "utf8");
  return bytes.length > 0 && bytes.length <= 120 && bytes.toString("base64url") === middle ? { key } : undefined;
}

// --- bytes, checksums, values ------------------------------------------------------------------------------------------

function isIntactDocument(bytes: Uint8Array): boolean {
  const marker = '\n  "checksum": "';
  const at = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf(marker, 0, "latin1");
  if (at < 0) return false;
  const zeroed = Uint8Array.from(bytes);
  const digits = zeroed.subarray(at + marker.length, at + marker.length + 8);
  const stored = ascii(digits);
  digits.fill(0x30);
  return crc32(zeroed) === stored;
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch {
    return undefined;
  }
}

const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

export function crc32(bytes: Uint8Array): string {
  let value = 0xffffffff;
  for (let at = 0; at < bytes.length; at++) {
    value = (crcTable[(value ^ (bytes[at] as number)) & 255] as number) ^ (value >>> 8);
  }
  return ((value ^ 0xffffffff) >>> 0).toString(16).padStart(8, "0");
}

function ascii(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isVersion(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function segmentName(first: number): string {
  return `${String(first).padStart(16, "0")}.jsonl`;
}

/** What every later checkpoint can write again: finite numbers, and no deeper than JSON.stringify goes. */
export function isStorable(value: unknown, levelsMax: number = nestingLevelsMax): boolean {
  if (typeof value === "number") return Number.isFinite(value);
  if (typeof value !== "object" || value === null) return true;
  return levelsMax > 0 && Object.values(value).every((part) => isStorable(part, levelsMax - 1));
}

/** One text per JSON value, whatever the order of its fields. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (!isObject(value)) return JSON.stringify(value);
  const names = Object.keys(value).sort();
  return `{${names.map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join(",")}}`;
}
