/**
 * Lists: filter, order and page over summaries. Pages are cut by key ("everything after this session"), not by number,
 * so sessions that come and go between two pages make nothing appear twice; a session that becomes active meanwhile
 * moves to the front, where the next listing finds it.
 */

import type { SessionKind, SessionOrder, SessionPage, SessionQuery, SessionSummary } from "../contract.js";
import { SessionStoreError } from "../errors.js";

export const pageLimitDefault = 100;
export const pageLimitMax = 10_000;

export const queryFields = ["agent", "channel", "kind", "activeSince", "search", "order", "limit", "cursor"] as const;

/** A query with its defaults, ready to run. */
export interface CheckedQuery {
  readonly order: SessionOrder;
  readonly limit: number;
  readonly agent: string | undefined;
  readonly channel: string | undefined;
  readonly kind: SessionKind | undefined;
  readonly activeSince: number | undefined;
  readonly search: string | undefined;
  readonly after: Position | undefined;
}

/** The last session of the page before. `updatedAt` null: it had none, which sorts after all times. */
export interface Position {
  readonly updatedAt: number | null;
  readonly key: string;
}

/** Throws `invalid_option` for a bad value and `invalid_cursor` for a cursor that is not one of this order. */
export function checkQuery(query: SessionQuery): CheckedQuery {
  const order = query.order ?? "updatedAt";
  if (order !== "updatedAt" && order !== "key") throw invalidQuery("order", 'is "updatedAt" or "key"');
  const limit = query.limit ?? pageLimitDefault;
  if (!Number.isInteger(limit) || limit < 1 || limit > pageLimitMax) {
    throw invalidQuery("limit", `is a whole number from 1 to ${pageLimitMax}`);
  }
  for (const name of ["agent", "channel", "search"] as const) {
    if (query[name] !== undefined && typeof query[name] !== "string") throw invalidQuery(name, "is a string");
  }
  if (query.kind !== undefined && !sessionKinds.includes(query.kind)) {
    throw invalidQuery("kind", `is one of ${sessionKinds.join(", ")}`);
  }
  const { activeSince } = query;
  if (activeSince !== undefined && !Number.isFinite(activeSince)) {
    throw invalidQuery("activeSince", "is a time in milliseconds since 1970");
  }
  return {
    order,
    limit,
    agent: query.agent?.trim().toLowerCase(),
    channel: query.channel?.trim().toLowerCase(),
    kind: query.kind,
    activeSince,
    search: query.search?.toLowerCase(),
    after: query.cursor === undefined ? undefined : decodeCursor(query.cursor, order),
  };
}

/** One page of the matching summaries. Holds at most about two pages in memory, however many there are. */
export function pageOfSummaries(summaries: Iterable<SessionSummary>, query: SessionQuery): SessionPage {
  const collector = new PageCollector(checkQuery(query));
  for (const summary of summaries) collector.add(summary);
  return collector.finish();
}

/** The same for summaries that come one by one, in any order. */
export class PageCollector {
  private readonly query: CheckedQuery;
  private readonly compare: (left: SessionSummary, right: SessionSummary) => number;
  private best: SessionSummary[] = [];

  constructor(query: CheckedQuery) {
    this.query = query;
    this.compare = query.order === "key" ? compareByKey : compareByActivity;
  }

  add(summary: SessionSummary): void {
    if (!matches(summary, this.query)) return;
    this.best.push(summary);
    const wanted = this.query.limit + 1;
    if (this.best.length >= wanted * 2) this.best = this.best.sort(this.compare).slice(0, wanted);
  }

  /** More than a page, if there is more. */
  get isFull(): boolean {
    return this.best.length > this.query.limit;
  }

  finish(): SessionPage {
    const { limit, order } = this.query;
    this.best.sort(this.compare);
    if (this.best.length <= limit) return { sessions: this.best };
    const sessions = this.best.slice(0, limit);
    return { sessions, nextCursor: encodeCursor(sessions.at(-1)!, order) };
  }
}

/** Whether a summary belongs to the query's pages from its cursor on. */
export function matches(summary: SessionSummary, query: CheckedQuery): boolean {
  if (query.agent !== undefined && summary.agent !== query.agent) return false;
  if (query.kind !== undefined && summary.kind !== query.kind) return false;
  if (query.channel !== undefined && summary.channel?.toLowerCase() !== query.channel) return false;
  if (query.activeSince !== undefined && !(summary.updatedAt !== undefined && summary.updatedAt >= query.activeSince)) {
    return false;
  }
  if (query.after !== undefined && !isAfter(summary, query.after, query.order)) return false;
  return query.search === undefined || containsText(summary, query.search);
}

function containsText(summary: SessionSummary, text: string): boolean {
  for (const part of [summary.key, summary.label, summary.displayName, summary.subject]) {
    if (part?.toLowerCase().includes(text)) return true;
  }
  return false;
}

// --- order ---------------------------------------------------------------------------------------------------------

/** Ascending by code units. */
export function compareByKey(left: SessionSummary, right: SessionSummary): number {
  return left.key < right.key ? -1 : left.key > right.key ? 1 : 0;
}

/** Newest first, ties by key; without a time last. */
export function compareByActivity(left: SessionSummary, right: SessionSummary): number {
  const leftTime = left.updatedAt ?? Number.NEGATIVE_INFINITY;
  const rightTime = right.updatedAt ?? Number.NEGATIVE_INFINITY;
  if (leftTime !== rightTime) return leftTime > rightTime ? -1 : 1;
  return compareByKey(left, right);
}

/** A stand-in for the last session of the page before, to be compared by `compareByActivity`. */
export function asSummary(position: Position): SessionSummary {
  const last: SessionSummary = { key: position.key, kind: "other" };
  if (position.updatedAt !== null) last.updatedAt = position.updatedAt;
  return last;
}

function isAfter(summary: SessionSummary, position: Position, order: SessionOrder): boolean {
  if (order === "key") return summary.key > position.key;
  return compareByActivity(summary, asSummary(position)) > 0;
}

// --- cursors -------------------------------------------------------------------------------------------------------

function encodeCursor(last: SessionSummary, order: SessionOrder): string {
  const position = order === "key" ? ["key", last.key] : ["updatedAt", last.updatedAt ?? null, last.key];
  return Buffer.from(JSON.stringify(position)).toString("base64url");
}

function decodeCursor(cursor: string, order: SessionOrder): Position {
  let position: unknown;
  try {
    position = JSON.parse(Buffer.from(cursor, "base64url").toString("utf8"));
  } catch {
    throw invalidCursor("the cursor of the list was not made by this store");
  }
  if (!Array.isArray(position)) throw invalidCursor("the cursor of the list was not made by this store");
  if (position[0] !== order) throw invalidCursor(`the cursor belongs to another order than "${order}"`);
  const updatedAt = order === "key" ? null : position[1];
  const key = order === "key" ? position[1] : position[2];
  if (typeof key !== "string" || (updatedAt !== null && typeof updatedAt !== "number")) {
    throw invalidCursor("the cursor of the list was not made by this store");
  }
  return { updatedAt, key };
}

function invalidCursor(problem: string): SessionStoreError {
  return new SessionStoreError("invalid_cursor", problem, {
    operation: "list",
    nextStep: "Pass the nextCursor of the page before, with the same query, or start again without one.",
  });
}

function invalidQuery(name: string, rule: string): SessionStoreError {
  return new SessionStoreError("invalid_option", `the option ${name} ${rule}`, { operation: "list" });
}

export const sessionKinds: readonly SessionKind[] = [
  "main",
  "direct",
  "group",
  "channel",
  "thread",
  "cron",
  "subagent",
  "acp",
  "hook",
  "global",
  "unknown",
  "other",
];
