/**
 * Stores as the library leaves them - at rest, in the middle of a checkpoint, after a failed sync - put together by
 * hand from docs/format.md, with the state of every version to compare with. The same random numbers give the same
 * bytes.
 */

import { createHash } from "node:crypto";
import type { SeededRandom } from "../sim/random.js";
import { crc32, type StoreBytes, servedLine } from "./pure-recovery.js";

export interface HonestOptions {
  /** Commits in the whole history; default 3 to 24. */
  readonly commits?: number;
  /** How likely a commit is the last one of its segment. */
  readonly rotation?: number;
  /** Each record knows the one before it to be durable, as with one writer that waits for each acknowledgement. */
  readonly eager?: boolean;
  /** A checkpoint, carried states and half-made checkpoints. */
  readonly plain?: boolean;
  readonly textChars?: number;
}

export interface HonestStore {
  readonly bytes: StoreBytes;
  readonly checkpointVersion: number;
  readonly lastVersion: number;
  /** version -> key -> version token and entry, as `recoverPurely` gives them. */
  readonly states: readonly ReadonlyMap<string, string>[];
}

/** What `lockFamily` says on a simulated machine. */
export const lockFamily = "simulated";
export const incarnation = "0123456789abcdef0123456789abcdef";

type Entry = Record<string, unknown>;
interface Known {
  readonly version: number;
  readonly record: string;
  readonly entry: Entry | undefined;
  readonly generations?: Entry[] | undefined;
}

const keys = [
  "agent:main:main",
  "agent:main:100%done",
  "__proto__",
  "agent:main:ö🎉",
  `agent:main:${"x".repeat(150)}`,
  "b",
];

export function makeHonestStore(random: SeededRandom, options: HonestOptions = {}): HonestStore {
  const commits = options.commits ?? 3 + random.below(22);
  const rotation = options.rotation ?? random.pick([0, 0.1, 0.3]);
  const lag = options.eager ? 0 : random.pick([0, 0, 1, 4]);
  const known = new Map<string, Known>();
  const segments: { first: number; lines: string[]; touched: Set<string>; last: number; seal?: string }[] = [];
  const snapshots = [new Map(known)];
  const records = ["00000000"];
  let states: Map<string, string>[] | undefined;
  let segment = startSegment(1);
  let lastRecord = "00000000";
  let timeMs = 1_700_000_000_000;

  function startSegment(first: number) {
    const started = { first, lines: [] as string[], touched: new Set<string>(), last: first - 1 };
    segments.push(started);
    return started as (typeof segments)[number];
  }

  for (let version = 1; version <= commits; version++) {
    timeMs += random.below(1000);
    const common = { time: timeMs, writer: "aabbccddeeff", durable: Math.max(0, version - 1 - lag) };
    // Carried states that nothing else follows get a commit of nothing, so that their segment can be sealed.
    const isCarryOnly = segment.lines.length > 0 && segment.last < segment.first;
    const changesNothing = isCarryOnly && random.chance(0.5);
    const operations = changesNothing
      ? []
      : drawOperations(random, known, version, options.textChars ?? 10 + random.below(60));
    const isFirst = segment.lines.length === 0;
    const origin = isFirst ? { store: incarnation, previousRecord: lastRecord } : {};
    const line = recordLine({ version, ...common, ...origin, operations });
    lastRecord = line.slice(-11, -3);
    segment.lines.push(line);
    segment.last = version;
    for (const operation of operations) apply(known, operation, version, lastRecord, segment.touched);
    snapshots.push(new Map(known));
    records.push(lastRecord);
    if (random.next() >= rotation) continue;
    segment.seal = !options.plain && random.chance(0.25) ? "suspect" : "rotated";
    segment.lines.push(recordLine({ seal: segment.seal, lastVersion: version, ...common }));
    const { first: suspectFrom, touched, seal } = segment;
    segment = startSegment(version + 1);
    if (seal !== "suspect") continue;
    const carry = [...touched].map((key) => {
      const { version: at, record, entry, generations } = known.get(key) as Known;
      if (entry === undefined) return { remove: key, version: at, record };
      return { put: key, version: at, record, entry, ...(generations && { generations }) };
    });
    const origins = { suspectFrom, lastVersion: version, lastRecord, store: incarnation };
    segment.lines.push(recordLine({ carry, ...origins, ...common }));
    for (const key of touched) segment.touched.add(key);
  }

  // A checkpoint ends where a rotated segment ends; a half-made one has written some files of the next such segment.
  const ends = segments.filter(({ seal }) => seal === "rotated").map(({ last }) => last);
  const index = options.plain || ends.length === 0 ? -1 : random.below(ends.length + 1) - 1;
  const checkpointVersion = ends[index] ?? 0;
  const ahead = !options.plain && random.chance(0.4) ? (ends[index + 1] ?? checkpointVersion) : checkpointVersion;
  const entries = new Map<string, Uint8Array>();
  for (const key of keys) {
    const state = (snapshots[random.chance(0.6) ? ahead : checkpointVersion] as Map<string, Known>).get(key);
    if (state?.entry === undefined) continue;
    const { version, record, entry, generations } = state;
    const list = generations && { generations };
    entries.set(entryName(key), document({ sessionKey: key, version, record, checksum: "00000000", ...list, entry }));
  }
  const checkpointRecord = records[checkpointVersion] as string;
  const keepsOld = random.chance(0.5);
  const kept = segments.filter(({ last, seal }) => keepsOld || last > checkpointVersion || seal === undefined);
  return {
    bytes: {
      manifest: manifestBytes({ version: checkpointVersion, record: checkpointRecord, timeMs }),
      segments: new Map(kept.map(({ first, lines }) => [segmentName(first), Buffer.from(lines.join(""), "utf8")])),
      entries,
    },
    checkpointVersion,
    lastVersion: commits,
    get states() {
      states ??= snapshots.map(sessionsOf);
      return states;
    },
  };
}

const alphabet = `abc "\\{}:é漢[],"checksum":"00000000"}\n \u0000~`;

function drawOperations(
  random: SeededRandom,
  known: ReadonlyMap<string, Known>,
  version: number,
  chars: number,
): Entry[] {
  const chosen = new Set(Array.from({ length: random.pick([1, 1, 1, 2, 3]) }, () => random.pick(keys)));
  return [...chosen].map((key) => {
    const from = random.below(alphabet.length);
    const text = alphabet
      .slice(from)
      .concat(alphabet.repeat(Math.ceil(chars / alphabet.length)))
      .slice(0, chars);
    const now = known.get(key);
    const draw = random.next();
    const list = random.chance(0.2) && { generations: drawGenerations(random, version) };
    if (now?.entry === undefined || draw < 0.3) {
      return {
        put: key,
        ...list,
        entry: { sessionId: `id-${version}`, updatedAt: version, text, nested: { list: [1, { ok: true }] } },
      };
    }
    if (draw < 0.4) return { remove: key, ...(random.chance(0.3) && { purge: true }) };
    const set = { updatedAt: version, [random.pick(["text", "label", "model"])]: text };
    return { patch: key, base: now.version, set, ...list, ...(random.chance(0.3) && { unset: ["label"] }) };
  });
}

function drawGenerations(random: SeededRandom, version: number): Entry[] {
  return Array.from({ length: random.below(3) }, (_, index) => ({
    sessionId: `generation ${index}`,
    ...(random.chance(0.5) && { sessionFile: `${index}.jsonl`, actor: "é" }),
    endedMs: version,
  }));
}

function apply(
  known: Map<string, Known>,
  operation: Entry,
  version: number,
  record: string,
  touched: Set<string>,
): void {
  const key = (operation.put ?? operation.patch ?? operation.remove) as string;
  let entry: Entry | undefined;
  if (operation.put !== undefined) entry = operation.entry as Entry;
  if (operation.patch !== undefined) {
    entry = { ...known.get(key)?.entry, ...(operation.set as Entry) };
    for (const name of (operation.unset as string[] | undefined) ?? []) delete entry[name];
  }
  const before = operation.patch === undefined ? undefined : known.get(key)?.generations;
  known.set(key, { version, record, entry, generations: (operation.generations as Entry[] | undefined) ?? before });
  touched.add(key);
}

function sessionsOf(known: ReadonlyMap<string, Known>): Map<string, string> {
  const sessions = new Map<string, string>();
  for (const [key, { version, record, entry, generations }] of known) {
    const token = `${version}-${record}-${incarnation.slice(0, 12)}`;
    if (entry) sessions.set(key, servedLine(token, entry, generations));
  }
  return sessions;
}

export function manifestBytes(checkpoint: { version: number; record: string; timeMs: number }): Uint8Array {
  return document({
    kind: "sessiondir-store",
    layoutVersion: 1,
    storeId: "00112233445566778899aabbccddeeff",
    incarnation,
    createdMs: 1_700_000_000_000,
    lockFamily,
    keyRule: "exact",
    fileNames: "base64url",
    shardDigits: 0,
    features: { required: [], optional: [] },
    migration: null,
    checkpoint,
    checksum: "00000000",
  });
}

export function entryName(key: string): string {
  const bytes = Buffer.from(key, "utf8");
  const hash = () => `hash-${createHash("sha256").update(bytes).digest("base64url")}`;
  return `session-${bytes.length <= 120 ? bytes.toString("base64url") : hash()}.json`;
}

export function segmentName(first: number): string {
  return `${String(first).padStart(16, "0")}.jsonl`;
}

/** A line with its checksum and newline. */
export function recordLine(fields: Entry): string {
  return sealLine(JSON.stringify(fields));
}

export function sealLine(json: string): string {
  const body = json.slice(0, -1);
  return `${body},"checksum":"${crc32(Buffer.from(body, "utf8"))}"}\n`;
}

function document(fields: Entry): Uint8Array {
  return sealText(`${JSON.stringify(fields, null, 2)}\n`);
}

/** Puts the right checksum into a document that has a place for one. */
export function sealText(text: string): Uint8Array {
  const zeroed = text.replace(/\n {2}"checksum": ".{8}/, '\n  "checksum": "00000000');
  const sum = crc32(Buffer.from(zeroed, "utf8"));
  return Buffer.from(
    zeroed.replace('\n  "checksum": "00000000', () => `\n  "checksum": "${sum}`),
    "utf8",
  );
}
