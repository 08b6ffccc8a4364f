/**
 * One state of the store, immutable: the sessions of one content of `sessions.json`, each with its version. Pure: what
 * was read in, what it means out.
 *
 * A session that the versions file knows, with the content that it knows, has the version that is written there. Every
 * other one was written by somebody else - an editor, a gateway - and gets a version that follows from the number of the
 * last commit and its own content. So all processes give it the same one, whoever looks first; the next save writes it
 * down.
 */

import { createHash } from "node:crypto";
import type { FrozenEntry, KeyRule, Versioned } from "../../contract.js";
import { SessionStoreError } from "../../errors.js";
import type { Limits } from "../../limits.js";
import { freezeParsedJson } from "../../sessions/entry-value.js";
import { normalizeKey } from "../../sessions/keys.js";
import {
  type CommitNote,
  emptyLedger,
  formatToken,
  type Ledger,
  latest,
  ledgerFor,
  missingChecksum,
  type SessionRecord,
  type VersionsFile,
} from "./versions-file.js";

/** The file as parsed: null-prototype, names in the order of the file, values untouched. */
export type Document = Readonly<Record<string, unknown>>;

export interface LiveContent {
  readonly document: Document;
  readonly checksum: string;
  /** Of the file, not of the content. */
  readonly identity: string;
  readonly sizeBytes: number;
  readonly modifiedMs: number;
  /** What strict JSON would have refused. */
  readonly tolerated: readonly string[];
}

export interface View {
  readonly live: LiveContent;
  readonly keyRule: KeyRule;
  readonly sessions: ReadonlyMap<string, Versioned>;
  /** The names in the file under which readable entries of each key lie. */
  readonly spellings: ReadonlyMap<string, readonly string[]>;
  /** Names in the file whose entry is no use to anybody, or that are no keys. They stay as they are. */
  readonly unreadable: ReadonlyMap<string, Unreadable>;
  /** Sessions that cannot be read: key -> why. */
  readonly damaged: ReadonlyMap<string, string>;
  readonly ledger: Ledger;
  /** Somebody else wrote the file: the ledger is not the one on the disk. */
  readonly isForeign: boolean;
}

export interface Unreadable {
  /** `undefined` when the name is no key. */
  readonly key: string | undefined;
  readonly problem: string;
}

export const nothingLive: LiveContent = Object.freeze({
  document: Object.freeze(Object.create(null) as Record<string, unknown>),
  checksum: missingChecksum,
  identity: missingChecksum,
  sizeBytes: 0,
  modifiedMs: 0,
  tolerated: [],
});

export interface ViewRules {
  readonly keyRule: KeyRule;
  readonly limits: Readonly<Limits>;
}

export function makeView(live: LiveContent, file: VersionsFile | undefined, rules: ViewRules): View {
  const keyRule = file?.keyRule ?? rules.keyRule;
  const found = findSessions(live.document, { ...rules, keyRule });
  const known = file === undefined ? emptyLedger : ledgerFor(file, live);
  const isForeign = known.checksum !== live.checksum;
  const ledger = isForeign ? withForeignChanges(known, found, live) : known;
  const sessions = new Map<string, Versioned>();
  for (const [key, entry] of found.entries) {
    const version = ledger.sessions.get(key)?.version ?? foreignVersion(ledger.last + 1, hashOfEntry(entry));
    sessions.set(key, { entry, version });
  }
  const { spellings, unreadable, damaged } = found;
  return { live, keyRule, sessions, spellings, unreadable, damaged, ledger, isForeign };
}

export function hashOfEntry(entry: FrozenEntry): string {
  return createHash("sha256").update(JSON.stringify(entry)).digest("hex").slice(0, 32);
}

function foreignVersion(number: number, hash: string): string {
  return formatToken(number, `x${hash.slice(0, 16)}`);
}

/** All that others changed since the ledger was written is one commit, the one after its last. */
function withForeignChanges(known: Ledger, found: FoundSessions, live: LiveContent): Ledger {
  const number = known.last + 1;
  const sessions = new Map<string, SessionRecord>();
  let isChanged = false;
  for (const [key, entry] of found.entries) {
    const hash = hashOfEntry(entry);
    const before = known.sessions.get(key);
    if (before?.hash === hash) {
      sessions.set(key, before);
    } else {
      isChanged = true;
      sessions.set(key, { hash, version: foreignVersion(number, hash) });
    }
  }
  const removed = [...known.sessions.keys()].filter((key) => !found.entries.has(key));
  if (!isChanged && removed.length === 0) return { ...known, sessions, checksum: live.checksum };
  const tag = `x${live.checksum.slice(0, 16)}`;
  const note: CommitNote = { number, tag, timeMs: Math.floor(live.modifiedMs), removed };
  return {
    checksum: live.checksum,
    last: number,
    lastTag: tag,
    sessions,
    commits: latest([...known.commits, note]),
  };
}

// --- what the file holds ---------------------------------------------------------------------------------------------

interface FoundSessions {
  readonly entries: ReadonlyMap<string, FrozenEntry>;
  readonly spellings: ReadonlyMap<string, readonly string[]>;
  readonly unreadable: ReadonlyMap<string, Unreadable>;
  readonly damaged: ReadonlyMap<string, string>;
}

/** Of several spellings of one key the newest is the session; of equally new ones the one that needs no change. */
function findSessions(document: Document, rules: ViewRules): FoundSessions {
  const entries = new Map<string, FrozenEntry>();
  const spellings = new Map<string, string[]>();
  const unreadable = new Map<string, Unreadable>();
  for (const name of Object.keys(document)) {
    let key: string | undefined;
    try {
      key = normalizeKey(name, rules.keyRule, rules.limits.keyBytes);
      const entry = takeEntry(document[name], rules.limits.nestingLevels);
      const names = spellings.get(key);
      if (names === undefined) spellings.set(key, [name]);
      else names.push(name);
      const other = entries.get(key);
      if (other === undefined || isNewer(entry, other, key === name)) entries.set(key, entry);
    } catch (error) {
      unreadable.set(name, { key, problem: problemOf(error) });
    }
  }
  const damaged = new Map<string, string>();
  for (const [name, { key, problem }] of unreadable) {
    // What is under the key itself would be replaced by the next write to it, so nothing else may stand for it.
    if (key !== undefined && (key === name || !entries.has(key))) damaged.set(key, problem);
  }
  for (const key of damaged.keys()) entries.delete(key);
  return { entries, spellings, unreadable, damaged };
}

function takeEntry(value: unknown, nestingLevels: number): FrozenEntry {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    const what = value === null ? "null" : Array.isArray(value) ? "an array" : `a ${typeof value}`;
    throw new SessionStoreError("invalid_entry", `the entry is ${what}, not an object`);
  }
  return freezeParsedJson(value as FrozenEntry, nestingLevels);
}

function isNewer(entry: FrozenEntry, other: FrozenEntry, isExact: boolean): boolean {
  const [ours, theirs] = [updatedAtOf(entry), updatedAtOf(other)];
  return ours > theirs || (ours === theirs && isExact);
}

function updatedAtOf(entry: FrozenEntry): number {
  return typeof entry.updatedAt === "number" ? entry.updatedAt : 0;
}

function problemOf(error: unknown): string {
  if (error instanceof SessionStoreError) return error.problem;
  throw error;
}
