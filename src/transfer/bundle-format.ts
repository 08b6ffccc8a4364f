/**
 * The bundle: sessions as JSON Lines, portable between machines and backends. UTF-8, every line ends with a newline.
 *
 *   { "format": "sessiondir-bundle", "formatVersion": 1, "created": "2026-...Z", "source": { ... } }
 *   { "key": "agent:main:main", "entry": { ... } }                              one per session, keys unique
 *   { "key": ..., "entry": { ... }, "generations": [ ... ], "relativePaths": [ "/entry/sessionFile" ] }
 *   { "end": true, "sessions": 2, "contentSha256": "...", "damaged": [], "bytesSha256": "..." }
 *
 * The last line is the trailer: without it the bundle was cut off. `bytesSha256` is taken over all bytes of the file
 * before `,"bytesSha256":`, the trailer's own included; nothing but it may follow. `contentSha256` is the content hash (content-hash.ts) of the sessions as they stand in the lines.
 *
 * A bundle comes from a stranger. What is not described here - another field, a second line of a key, a number out of
 * range - is refused, not guessed at.
 */

import type { FrozenEntry, Generation, KeyRule } from "../contract.js";
import { SessionStoreError, shortenKey } from "../errors.js";
import { type Limits, limitCaps } from "../limits.js";
import { freezeParsedJson } from "../sessions/entry-value.js";
import { keyProblem } from "../sessions/keys.js";
import { checkEntryBytes } from "../store-entry-size.js";
import { findMarkProblem, type MarkedSession } from "./bundle-paths.js";
import type { PortableSession } from "./content-hash.js";

export const bundleFormat = "sessiondir-bundle";
export const bundleFormatVersion = 1;

export interface BundleSource {
  readonly backend: string;
  readonly keyRule: KeyRule;
  /** The position in the source's change feed that the bundle shows. */
  readonly cursor: string;
}

export interface BundleHeader {
  readonly format: typeof bundleFormat;
  readonly formatVersion: number;
  /** ISO 8601, UTC. */
  readonly created: string;
  readonly source: BundleSource;
}

export interface BundleTrailer {
  readonly end: true;
  readonly sessions: number;
  readonly contentSha256: string;
  readonly bytesSha256: string;
  /** Keys of sessions that could not be read: the bundle is not all of what was asked for. */
  readonly damaged: readonly string[];
}

export type BundleLine =
  | { readonly kind: "session"; readonly marked: MarkedSession }
  | { readonly kind: "trailer"; readonly trailer: BundleTrailer };

export function formatSessionLine({ session, relativePaths }: MarkedSession): string {
  const { key, entry, generations } = session;
  const line = {
    key,
    entry,
    ...(generations?.length ? { generations } : {}),
    ...(relativePaths.length > 0 ? { relativePaths } : {}),
  };
  return `${JSON.stringify(line)}\n`;
}

/** The end of the trailer's line, which its hash does not cover. */
export function formatTrailerEnd(bytesSha256: string): string {
  return `,"bytesSha256":"${bytesSha256}"}`;
}

/** Thrown by the parsers below; whoever reads the file adds the place. */
export class LineProblem extends Error {}

export function parseHeader(text: string): BundleHeader {
  const fields = parseObject(text);
  if (fields.format !== bundleFormat) throw new LineProblem("is not the header of a bundle");
  const { formatVersion, created, source } = fields;
  if (Number.isSafeInteger(formatVersion) && (formatVersion as number) > bundleFormatVersion) {
    const problem = `the bundle has format ${formatVersion}; this version knows format ${bundleFormatVersion}`;
    throw new SessionStoreError("unsupported_layout", problem, { nextStep: "Use the newer sessiondir that wrote it." });
  }
  if (formatVersion !== bundleFormatVersion || typeof created !== "string" || !isSource(source)) {
    throw new LineProblem("is a header with missing or wrong fields");
  }
  return { format: bundleFormat, formatVersion, created, source };
}

function isSource(value: unknown): value is BundleSource {
  if (!isObject(value)) return false;
  const { backend, keyRule, cursor } = value;
  return typeof backend === "string" && typeof cursor === "string" && (keyRule === "openclaw" || keyRule === "exact");
}

export function parseLine(text: string, limits: Readonly<Limits>): BundleLine {
  const fields = parseObject(text);
  if (Object.hasOwn(fields, "end")) return { kind: "trailer", trailer: toTrailer(fields) };
  refuseOtherFields(fields, ["key", "entry", "generations", "relativePaths"]);
  const session = toSession(fields, limits);
  const relativePaths = fields.relativePaths ?? [];
  if (!isStrings(relativePaths)) throw new LineProblem("has relativePaths that are no list of texts");
  const marked = { session, relativePaths };
  const problem = findMarkProblem(marked);
  if (problem !== undefined) throw new LineProblem(problem);
  return { kind: "session", marked };
}

function toSession(fields: Readonly<Record<string, unknown>>, limits: Readonly<Limits>): PortableSession {
  const { key, entry } = fields;
  if (typeof key !== "string") throw new LineProblem("has no session key");
  const problem = keyProblem(key, limitCaps.keyBytes);
  if (problem !== undefined) throw new LineProblem(`is refused: ${problem}`);
  if (!isObject(entry)) throw new LineProblem("has no entry, or one that is not an object");
  try {
    freezeParsedJson(entry, limits.nestingLevels);
    checkEntryBytes(entry, limits.entryBytes, key);
  } catch (error) {
    if (error instanceof SessionStoreError) throw new LineProblem(`has an entry that is refused: ${error.problem}`);
    throw error;
  }
  const generations = toGenerations(fields.generations);
  return { key, entry: entry as FrozenEntry, ...(generations === undefined ? {} : { generations }) };
}

/** More than any session was ever reset. */
const generationsMax = 100_000;
const generationFields = ["sessionId", "sessionFile", "endedMs", "actor", "reason"];

function toGenerations(value: unknown): readonly Generation[] | undefined {
  if (value === undefined) return undefined;
  const isText = (text: unknown) => text === undefined || typeof text === "string";
  if (!Array.isArray(value) || value.length === 0 || value.length > generationsMax) {
    throw new LineProblem("has generations that are no list");
  }
  for (const generation of value as unknown[]) {
    if (!isObject(generation)) throw new LineProblem("has a generation that is not an object");
    refuseOtherFields(generation, generationFields);
    const { sessionId, sessionFile, endedMs, actor, reason } = generation;
    const fits =
      typeof sessionId === "string" &&
      isText(sessionFile) &&
      Number.isFinite(endedMs) &&
      isText(actor) &&
      isText(reason);
    if (!fits) throw new LineProblem("has a generation with missing or wrong fields");
  }
  return freezeParsedJson(value) as readonly Generation[];
}

function toTrailer(fields: Readonly<Record<string, unknown>>): BundleTrailer {
  refuseOtherFields(fields, ["end", "sessions", "contentSha256", "bytesSha256", "damaged"]);
  const { end, sessions, contentSha256, bytesSha256, damaged } = fields;
  const isHash = (value: unknown): value is string => typeof value === "string" && /^[0-9a-f]{64}$/.test(value);
  const isCount = Number.isSafeInteger(sessions) && (sessions as number) >= 0;
  if (end !== true || !isCount || !isHash(contentSha256) || !isHash(bytesSha256) || !isStrings(damaged)) {
    throw new LineProblem("is a trailer with missing or wrong fields");
  }
  return { end, sessions: sessions as number, contentSha256, bytesSha256, damaged };
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The engine quotes the text around the error; a session's content does not belong into logs.
    throw new LineProblem("is not JSON");
  }
  if (!isObject(value)) throw new LineProblem("is not a JSON object");
  return value;
}

function refuseOtherFields(fields: Readonly<Record<string, unknown>>, known: readonly string[]): void {
  for (const name of Object.keys(fields)) {
    if (!known.includes(name)) throw new LineProblem(`has a field that bundles do not have: ${shortenKey(name)}`);
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isStrings(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((text) => typeof text === "string");
}
