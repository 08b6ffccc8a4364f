/**
 * From what a callback did to its view to what has to be written: spellings of one key become one session, ACP metadata
 * that got lost on the way comes back, and what is as it was is nobody's business. Pure.
 */

import type { FrozenEntry } from "../contract.js";
import { SessionStoreError } from "../errors.js";
import type { Limits } from "../limits.js";
import {
  type PrivateFields,
  privatizeChanges,
  privatizeEntry,
  registerShallow,
  setField,
} from "../sessions/entry-value.js";
import { jsonEqual } from "../sessions/json-equal.js";
import { normalizeKey } from "../sessions/keys.js";
import { applyPatch, diffEntries, effectiveFields, mergeThreeWay } from "../sessions/patch.js";
import { normalizeStoreSessionKey } from "./key-normalization.js";
import type { StoredSession } from "./read-sources.js";
import { normalizeSessionEntry } from "./store-normalize.js";
import type { TouchedSession } from "./tracked-view.js";
import type { SessionEntry } from "./types.js";

export interface SessionChange {
  readonly key: string;
  readonly base: StoredSession | undefined;
  /** Undefined: removed. "unchanged": only read. */
  readonly next: FrozenEntry | undefined | "unchanged";
  /** The commit must find the session as it was. */
  readonly isReliedOn: boolean;
  /** A removal that frees the space: nothing is kept in the trash. */
  readonly purges?: boolean;
}

export interface ChangeRules {
  readonly limits: Readonly<Limits>;
  /** Keys whose ACP metadata the callback may drop; "all" for who says what the whole store is. */
  readonly allowDropAcpMetaSessionKeys?: readonly string[] | "all" | undefined;
}

/** Throws `invalid_key` and `invalid_entry` for what was written and cannot be kept. */
export function toChanges(touched: ReadonlyMap<string, TouchedSession>, rules: ChangeRules): SessionChange[] {
  const groups = new Map<string, Map<string, TouchedSession>>();
  for (const [name, session] of touched) {
    const key = normalizeStoreSessionKey(name);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, new Map([[name, session]]));
    else group.set(name, session);
  }
  const { allowDropAcpMetaSessionKeys: allowed = [], limits } = rules;
  const named = new Set(allowed === "all" ? [] : allowed.map(normalizeStoreSessionKey));
  const changes: SessionChange[] = [];
  for (const [key, group] of groups) changes.push(toChange(key, group, allowed === "all" || named.has(key), limits));
  return changes;
}

function toChange(
  key: string,
  group: ReadonlyMap<string, TouchedSession>,
  mayDropAcp: boolean,
  limits: Readonly<Limits>,
): SessionChange {
  const sessions = [...group.values()];
  const isReliedOn = sessions.some((session) => session.isReliedOn);
  const base = newest(key, group, ({ stored }) => stored?.entry)?.stored;
  const isUntouched = sessions.every(({ found, left }) => isSameEntry(found, left));
  if (isUntouched) return { key, base, next: "unchanged", isReliedOn };
  const written = new Map(
    [...group].filter(([, { found, left }]) => (left ?? undefined) !== undefined && !isSameEntry(found, left)),
  );
  const last = newest(key, written.size > 0 ? written : group, ({ left }) => left ?? undefined)?.left ?? undefined;
  if (last === undefined) return { key, base, next: base === undefined ? "unchanged" : undefined, isReliedOn: true };
  normalizeKey(key, "openclaw", limits.keyBytes);
  const shared = withFoundFields(
    last,
    sessions.find(({ left }) => left === last),
  );
  const kept = mayDropAcp ? shared : withAcp(shared, sessions);
  const normalized = isObject(kept) ? normalizeSessionEntry(kept as SessionEntry) : kept;
  const next = privatize(key, normalized, base?.entry, limits);
  const isEqual = base !== undefined && group.size === 1 && jsonEqual(base.entry, next);
  return { key, base, next: isEqual ? "unchanged" : next, isReliedOn: true };
}

/** The one under the key itself, unless another spelling is strictly newer. */
function newest(
  key: string,
  group: ReadonlyMap<string, TouchedSession>,
  entryOf: (session: TouchedSession) => unknown,
): TouchedSession | undefined {
  let best = group.get(key);
  if (best !== undefined && entryOf(best) === undefined) best = undefined;
  for (const [name, session] of group) {
    if (name === key || entryOf(session) === undefined) continue;
    if (best === undefined || timeOf(entryOf(session)) > timeOf(entryOf(best))) best = session;
  }
  return best;
}

function timeOf(entry: unknown): number {
  const updatedAt = (entry as { updatedAt?: unknown } | undefined)?.updatedAt;
  return typeof updatedAt === "number" ? updatedAt : 0;
}

/** A session that had ACP metadata keeps it, unless it gets other. */
function withAcp(entry: unknown, sessions: readonly TouchedSession[]): unknown {
  if (!isObject(entry) || (entry as SessionEntry).acp) return entry;
  const acp = sessions.map(({ found }) => found?.acp).find((meta) => meta !== undefined && meta !== null);
  return acp === undefined ? entry : { ...entry, acp };
}

/** Whether an entry is as it was found, as far as it would be stored: `undefined` and `null` are no entry. */
export function isSameEntry(found: SessionEntry | undefined, left: unknown): boolean {
  if (found === undefined || left === undefined || left === null) return found === (left ?? undefined);
  return isAsFound(found, left);
}

/** As it would be stored: a field that is undefined is not there. Goes no deeper than what was found, which is data. */
function isAsFound(found: unknown, left: unknown): boolean {
  if (Object.is(found, left) || (found === 0 && left === 0)) return true;
  if (typeof found !== "object" || typeof left !== "object" || found === null || left === null) return false;
  if (Array.isArray(found)) {
    return Array.isArray(left) && left.length === found.length && found.every((item, at) => isAsFound(item, left[at]));
  }
  if (Array.isArray(left) || !isPlain(left)) return false;
  const present = Object.keys(left).filter((name) => (left as Record<string, unknown>)[name] !== undefined);
  const names = Object.keys(found).filter((name) => (found as Record<string, unknown>)[name] !== undefined);
  if (present.length !== names.length) return false;
  return names.every((name) => {
    if (!Object.hasOwn(left, name)) return false;
    return isAsFound((found as Record<string, unknown>)[name], (left as Record<string, unknown>)[name]);
  });
}

/** What has a prototype of its own - a date, a class - may be stored as something else, so it is not "as found". */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

/** A field that is as it was found is the stored value itself, which nothing later has to copy or compare. */
function withFoundFields(left: unknown, session: TouchedSession | undefined): unknown {
  const found = session?.found;
  if (found === undefined || !isObject(left) || !isPlain(left)) return left;
  // Each getter is read once.
  const fields: Record<string, unknown> = { ...left };
  for (const name of Object.keys(fields)) {
    if (Object.hasOwn(found, name) && isAsFound(found[name], fields[name])) setField(fields, name, found[name]);
  }
  return fields;
}

/** What is a value of `base` is neither copied nor looked into. */
function privatize(key: string, value: unknown, base: FrozenEntry | undefined, limits: Readonly<Limits>): FrozenEntry {
  try {
    if (base === undefined) return privatizeEntry(value, limits);
    const fields: PrivateFields = privatizeChanges(value, base, limits);
    const effective = effectiveFields(base, fields);
    return effective === undefined ? base : applyPatch(base, effective.set, effective.unset);
  } catch (error) {
    if (!(error instanceof SessionStoreError)) throw error;
    throw new SessionStoreError(error.code, error.problem, { operation: "save", key, cause: error });
  }
}

/**
 * The change on top of what others made of the session meanwhile, field by field; "overlap" when both changed the same
 * field, when it was only read, or when one of the two made or removed it. Of two times of activity the later counts.
 *
 * A field that both set to the same value is an overlap too: two callbacks that both count from 5 to 6 make it 7.
 */
export function rebase(change: SessionChange, latest: StoredSession | undefined): SessionChange | "overlap" {
  const { base, next } = change;
  if (next === "unchanged" || next === undefined || latest === undefined || base === undefined) return "overlap";
  const theirs = changedFields(base.entry, latest.entry);
  for (const name of changedFields(base.entry, next)) if (name !== "updatedAt" && theirs.has(name)) return "overlap";
  const merged = mergeThreeWay(base.entry, withLaterActivity(base.entry, next, latest.entry), latest.entry);
  if (merged === "overlap") return "overlap";
  return { ...change, base: latest, next: jsonEqual(merged, latest.entry) ? "unchanged" : merged };
}

function changedFields(base: FrozenEntry, next: FrozenEntry): Set<string> {
  const difference = diffEntries(base, next);
  return new Set(difference === undefined ? [] : [...Object.keys(difference.set), ...difference.unset]);
}

/** Both sides touch `updatedAt` nearly always, and neither minds the other's. */
function withLaterActivity(base: FrozenEntry, mine: FrozenEntry, theirs: FrozenEntry): FrozenEntry {
  const times = [mine.updatedAt, theirs.updatedAt];
  if (!times.every((time) => typeof time === "number") || theirs.updatedAt === base.updatedAt) return mine;
  if (mine.updatedAt === base.updatedAt) return mine;
  const later = Math.max(...(times as number[]));
  if (later === mine.updatedAt) return mine;
  return applyPatch(mine, registerShallow({ updatedAt: later }), []);
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
