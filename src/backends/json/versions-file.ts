/**
 * `sessions.json.versions`: what version each session has. The legacy file has no room for versions, and what it holds
 * is not ours to extend; so they lie beside it. The file is derived: without it every session gets a version from its
 * content, and nothing else is lost.
 *
 * Two files cannot be replaced at once, so this one holds two states, each with the checksum of the `sessions.json` that
 * it belongs to: `base`, and - as a difference - `next`. A save replaces this file first and `sessions.json` after it;
 * whichever of the two a reader or a crash finds, one of the states is the right one. A `sessions.json` that is neither
 * was written by somebody else; view.ts then compares session by session.
 *
 * It also holds the latest commits, for watchers, and the names of the backups that a rotation made, so that no other
 * backup is ever removed.
 */

import type { KeyRule } from "../../contract.js";

/** Kept for watchers that resume; who is further behind reads everything again. */
export const commitNotesMax = 512;

/** Commit number 0: before everything. */
export const originTag = "origin";
/** In place of a checksum, when there is no `sessions.json`. */
export const missingChecksum = "missing";

export interface SessionRecord {
  /** `<commit number>.<tag>` */
  readonly version: string;
  /** Of the entry, to find what somebody else changed. */
  readonly hash: string;
}

export interface CommitNote {
  readonly number: number;
  readonly tag: string;
  readonly timeMs: number;
  readonly commitId?: string;
  readonly actor?: string;
  readonly reason?: string;
  readonly removed: readonly string[];
}

/** The versions that belong to one content of `sessions.json`. */
export interface Ledger {
  readonly checksum: string;
  /** Which file it was: the same content in another file was put back by somebody. */
  readonly identity?: string | undefined;
  /** The number and the tag of the last commit. */
  readonly last: number;
  readonly lastTag: string;
  readonly sessions: ReadonlyMap<string, SessionRecord>;
  /** Consecutive numbers up to `last`, oldest first. */
  readonly commits: readonly CommitNote[];
}

export interface LedgerChange {
  readonly checksum: string;
  readonly last: number;
  readonly lastTag: string;
  readonly changed: ReadonlyMap<string, SessionRecord>;
  readonly removed: readonly string[];
  readonly commits: readonly CommitNote[];
}

export interface BackupRecord {
  readonly name: string;
  readonly checksum: string;
}

export interface VersionsFile {
  readonly keyRule: KeyRule;
  readonly base: Ledger;
  readonly next: LedgerChange | undefined;
  readonly backups: readonly BackupRecord[];
}

export const emptyLedger: Ledger = Object.freeze({
  checksum: missingChecksum,
  last: 0,
  lastTag: originTag,
  sessions: new Map(),
  commits: [],
});

export function formatToken(number: number, tag: string): string {
  return `${number}.${tag}`;
}

/** For tokens and cursors alike. `undefined` for a text that is neither. */
export function parseToken(text: string): { number: number; tag: string } | undefined {
  const match = /^(\d{1,15})\.([a-z0-9]{1,40})$/.exec(text);
  return match ? { number: Number(match[1]), tag: match[2] as string } : undefined;
}

/**
 * The state that belongs to this `sessions.json`. The older one only for the very file that was to be replaced: then the
 * save did not come to its end. For every other file it is the newer one - most likely that was in place when somebody
 * else wrote, or put an old file back, and if it was not, no version of a session that it replaced is used again.
 */
export function ledgerFor({ base, next }: VersionsFile, live: { checksum: string; identity: string }): Ledger {
  if (next === undefined) return base;
  const isOldFile = base.checksum === live.checksum && base.identity === live.identity;
  return isOldFile && next.checksum !== live.checksum ? base : advance(base, next);
}

export function advance(base: Ledger, change: LedgerChange): Ledger {
  const sessions = new Map(base.sessions);
  for (const key of change.removed) sessions.delete(key);
  for (const [key, record] of change.changed) sessions.set(key, record);
  const { checksum, last, lastTag } = change;
  return { checksum, last, lastTag, sessions, commits: latest([...base.commits, ...change.commits]) };
}

export function latest(commits: readonly CommitNote[]): readonly CommitNote[] {
  return commits.length > commitNotesMax ? commits.slice(-commitNotesMax) : commits;
}

const kind = "sessiondir-json-versions";
const formatVersion = 1;
const note =
  "Made by sessiondir from the file beside it: which version each session has. May be deleted while no program uses the store.";

export function formatVersionsFile({ keyRule, base, next, backups }: VersionsFile): string {
  const { sessions, ...rest } = base;
  const value = {
    kind,
    formatVersion,
    note,
    keyRule,
    backups,
    base: { ...rest, sessions: toRows(sessions) },
    ...(next === undefined ? {} : { next: { ...next, changed: toRows(next.changed) } }),
  };
  return JSON.stringify(value);
}

function toRows(records: ReadonlyMap<string, SessionRecord>): unknown {
  return [...records].map(([key, { version, hash }]) => [key, version, hash]);
}

/** `undefined` for anything that this version did not write: the file is derived, so it can be made again. */
export function parseVersionsFile(bytes: Uint8Array): VersionsFile | undefined {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
  if (!isObject(value) || value.kind !== kind || value.formatVersion !== formatVersion) return undefined;
  const { keyRule, backups, base, next } = value;
  if (keyRule !== "openclaw" && keyRule !== "exact") return undefined;
  const ledger = toState(base, "sessions");
  const change = next === undefined ? undefined : toState(next, "changed");
  if (ledger === undefined || (next !== undefined && change === undefined)) return undefined;
  if (!Array.isArray(backups) || !backups.every(isBackupRecord)) return undefined;
  const removed = isObject(next) ? next.removed : [];
  if (!isTexts(removed)) return undefined;
  const { records, ...state } = ledger;
  return {
    keyRule,
    backups,
    base: { ...state, sessions: records },
    next: change && toChange(change, removed),
  };
}

interface State extends Pick<Ledger, "checksum" | "identity" | "last" | "lastTag" | "commits"> {
  readonly records: ReadonlyMap<string, SessionRecord>;
}

function toChange({ records, ...state }: State, removed: readonly string[]): LedgerChange {
  return { ...state, changed: records, removed };
}

function toState(value: unknown, rowsName: "sessions" | "changed"): State | undefined {
  if (!isObject(value)) return undefined;
  const { checksum, identity, last, lastTag, commits } = value;
  const rows = value[rowsName];
  if (typeof checksum !== "string" || !Number.isSafeInteger(last) || typeof lastTag !== "string") return undefined;
  if (!Array.isArray(commits) || !commits.every(isCommitNote) || !Array.isArray(rows)) return undefined;
  const records = new Map<string, SessionRecord>();
  for (const row of rows) {
    if (!Array.isArray(row) || !isTexts(row) || row.length !== 3) return undefined;
    const [key, version, hash] = row as [string, string, string];
    if (parseToken(version) === undefined) return undefined;
    records.set(key, { version, hash });
  }
  const which = typeof identity === "string" ? { identity } : {};
  return { checksum, ...which, last: last as number, lastTag, commits, records };
}

function isCommitNote(value: unknown): value is CommitNote {
  if (!isObject(value)) return false;
  const { number, tag, timeMs, removed, commitId, actor, reason } = value;
  const texts = [commitId, actor, reason].filter((text) => text !== undefined);
  return (
    Number.isSafeInteger(number) &&
    typeof tag === "string" &&
    typeof timeMs === "number" &&
    isTexts(removed) &&
    isTexts(texts)
  );
}

function isBackupRecord(value: unknown): value is BackupRecord {
  return isObject(value) && typeof value.name === "string" && typeof value.checksum === "string";
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((text) => typeof text === "string");
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
