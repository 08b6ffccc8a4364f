/** How a session is kept in a row, and read back. The only module that knows what stands in which column. */

import type { FrozenEntry, Generation, SessionSummary, Versioned } from "../../contract.js";
import { SessionStoreError } from "../../errors.js";
import { freezeParsedJson } from "../../sessions/entry-value.js";
import { parseGenerations, presentGenerations } from "../../sessions/generations.js";
import { summarizeSession } from "../../sessions/summary.js";

export const laneCount = 64;

/** FNV-1a over the UTF-16 code units: stable for ever, because the lane of a key is stored with it. */
export function laneOf(key: string, lanes: number = laneCount): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < key.length; index += 1) {
    const unit = key.charCodeAt(index);
    hash = Math.imul(hash ^ (unit & 0xff), 0x01000193);
    hash = Math.imul(hash ^ (unit >> 8), 0x01000193);
  }
  return (hash >>> 0) % lanes;
}

const outOfOrder = /[\ud800-\udfff\ue000-\uffff]/;

/**
 * Lists are in the order of UTF-16 code units, PostgreSQL's "C" order is that of code points; they differ for what lies
 * beyond U+FFFF and from U+E000 to U+FFFF. Such a character is preceded by a mark that puts it where it belongs; nearly
 * no key has one.
 */
export function encodeKey(key: string): string {
  if (!outOfOrder.test(key)) return key;
  let encoded = "";
  for (const character of key) {
    const codePoint = character.codePointAt(0)!;
    encoded += codePoint > 0xffff ? `\ue000${character}` : codePoint >= 0xe000 ? `\ue001${character}` : character;
  }
  return encoded;
}

export function decodeKey(stored: string): string {
  if (!outOfOrder.test(stored)) return stored;
  return stored.replace(/[\ue000\ue001]([\s\S])/gu, "$1");
}

/** What a row says about a session besides its entry, ready to be bound to a statement. */
export interface SessionColumns {
  readonly doc: string;
  readonly summary: string;
  readonly recency: string;
  readonly agent: string | null;
  readonly kind: string;
  readonly channel: string | null;
  readonly search: string;
}

export function columnsOf(key: string, entry: FrozenEntry): SessionColumns {
  const { key: _, ...summary } = summarizeSession(key, entry);
  const { label, displayName, subject } = summary;
  return {
    doc: JSON.stringify(entry),
    summary: JSON.stringify(summary),
    recency: String(recencyOf(summary.updatedAt)),
    agent: summary.agent === undefined ? null : fold(summary.agent),
    kind: summary.kind,
    channel: summary.channel === undefined ? null : fold(summary.channel),
    search: [key, label, displayName, subject].map((part) => fold(part ?? "")).join("\n"),
  };
}

export function recencyOf(updatedAt: number | null | undefined): number {
  return typeof updatedAt === "number" ? -updatedAt : Number.POSITIVE_INFINITY;
}

/**
 * Lower case, and nothing in it that PostgreSQL refuses or counts differently: NUL and every half of a pair become
 * U+FFFD. What contains a text still contains it after both were folded; the few that match only folded are sorted out
 * by the client (list.ts).
 */
export function fold(text: string): string {
  return text.toLowerCase().replace(/[\0\ud800-\udfff]/g, "\ufffd");
}

export interface SessionRow {
  readonly key: string;
  readonly version: string;
  readonly doc: string;
  readonly generations: string | null;
}

/** Throws `entry_damaged` for what somebody else wrote into the row. */
export function sessionOf(key: string, row: Pick<SessionRow, "version" | "doc" | "generations">): Versioned {
  return Object.freeze({
    entry: parseEntry(key, row.doc),
    version: row.version,
    ...presentGenerations(parseList(row.generations)),
  });
}

export function parseEntry(key: string, doc: string): FrozenEntry {
  try {
    const entry: unknown = JSON.parse(doc);
    if (typeof entry === "object" && entry !== null && !Array.isArray(entry)) {
      return freezeParsedJson(entry as FrozenEntry);
    }
  } catch (error) {
    throw damaged(key, error);
  }
  throw damaged(key, undefined);
}

function damaged(key: string, cause: unknown): SessionStoreError {
  return new SessionStoreError("entry_damaged", "the row holds no JSON object", {
    key,
    onDisk: "The row is as somebody else left it; all other sessions can be read.",
    nextStep:
      "Write the session anew with an update that does not read it, remove it, or restore the row from a backup.",
    ...(cause === undefined ? {} : { cause }),
  });
}

export function parseList(generations: string | null): readonly Generation[] | undefined {
  if (generations === null) return undefined;
  try {
    return parseGenerations(JSON.parse(generations));
  } catch {
    // An aid that must not make its session unreadable.
    return undefined;
  }
}

/** NULL for no list. */
export function generationsColumn(list: readonly Generation[] | undefined): string | null {
  return list === undefined || list.length === 0 ? null : JSON.stringify(list);
}

export function parseSummary(key: string, text: unknown): SessionSummary | undefined {
  try {
    const summary: unknown = JSON.parse(String(text));
    return typeof summary === "object" && summary !== null ? { ...(summary as SessionSummary), key } : undefined;
  } catch {
    return undefined;
  }
}

/** Who did it and why; the names are free text, which may hold what a text column cannot. */
export interface Origin {
  readonly commitId?: string | undefined;
  readonly actor?: string | undefined;
  readonly reason?: string | undefined;
}

export function originColumn({ commitId, actor, reason }: Origin): string | null {
  if (commitId === undefined && actor === undefined && reason === undefined) return null;
  return JSON.stringify({ commitId, actor, reason });
}

export function parseOrigin(text: unknown): { commitId?: string; actor?: string; reason?: string } {
  if (typeof text !== "string") return {};
  try {
    const { commitId, actor, reason } = JSON.parse(text) as Record<string, unknown>;
    return {
      ...(typeof commitId === "string" ? { commitId } : {}),
      ...(typeof actor === "string" ? { actor } : {}),
      ...(typeof reason === "string" ? { reason } : {}),
    };
  } catch {
    return {};
  }
}

/** The server's clock in microseconds, as SQL. */
export const nowMicroseconds = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
