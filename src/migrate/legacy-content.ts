/**
 * The content of a legacy store: an object from session key to entry. Pure: bytes in, sessions out.
 *
 * Relies on nothing about the bytes. Promises: every entry that can be taken is taken, as data, whatever its key is
 * called - `__proto__` included; every other one is named with its reason, so that it can stay in the backup and be
 * reported. Spellings of one key (" Main", "main") become one session, the one with the newest `updatedAt`, as the
 * gateway that wrote the file reads them; of equally new ones, the later.
 */

import type { FrozenEntry, KeyRule } from "../contract.js";
import { SessionStoreError, shortenKey } from "../errors.js";
import type { Limits } from "../limits.js";
import { freezeParsedJson, privatizeEntry } from "../sessions/entry-value.js";
import { normalizeKey } from "../sessions/keys.js";
import { type InvalidLegacy, invalid, parseLegacyText, repairStep } from "../sessions/legacy-text.js";
import { checkEntryBytes } from "../store-entry-size.js";

export interface LegacyRules {
  readonly keyRule: KeyRule;
  readonly limits: Readonly<Limits>;
}

/** An entry that cannot be taken. */
export interface RefusedKey {
  /** The key as it is written there, shortened and quoted for messages. */
  readonly key: string;
  /** A clause: "the session key is blank", "the entry is null, not an object". */
  readonly reason: string;
}

export interface LegacySessions {
  /**
   * "empty": no entry, or nothing but `null` and the like in place of entries. (An empty file is not an empty store: it
   * is what an interrupted write leaves.)
   */
  readonly state: "empty" | "valid";
  /** Entries in the source, every spelling of a key and every refused one counted. */
  readonly sourceEntries: number;
  readonly entries: ReadonlyMap<string, FrozenEntry>;
  readonly refused: readonly RefusedKey[];
  /** Each group: the spellings of one key, shortened and quoted, in the order of the source. */
  readonly duplicates: readonly (readonly string[])[];
  /** What strict JSON would have refused, each a noun phrase. */
  readonly tolerated: readonly string[];
}

/** Reads the sessions, or says why the file cannot be taken over at all. */
export function parseLegacyContent(bytes: Uint8Array, rules: LegacyRules): LegacySessions | InvalidLegacy {
  const parsed = parseLegacyText(bytes);
  if (parsed.state === "invalid") return parsed;
  const collector = new SessionCollector(rules);
  const isStrict = parsed.tolerated.length === 0;
  // Read by its own name: parsing makes `__proto__` an own property, and own properties come first.
  for (const name of Object.keys(parsed.value)) collector.take(name, parsed.value[name], isStrict);
  return collector.finish(parsed.tolerated);
}

/** Takes entries one by one, from wherever they come. */
export class SessionCollector {
  private readonly rules: LegacyRules;
  private readonly entries = new Map<string, FrozenEntry>();
  private readonly spellings = new Map<string, string[]>();
  private readonly refused: RefusedKey[] = [];
  private count = 0;
  private holdsMoreThanNothing = false;

  constructor(rules: LegacyRules) {
    this.rules = rules;
  }

  /** `isStrictJson`: the value is nobody else's and comes from `JSON.parse`, which can hold little that we cannot. */
  take(name: string, value: unknown, isStrictJson: boolean): void {
    this.count += 1;
    if (value) this.holdsMoreThanNothing = true;
    try {
      const { keyRule, limits } = this.rules;
      const key = normalizeKey(name, keyRule, limits.keyBytes);
      const entry = takeEntry(value, key, limits, isStrictJson);
      const other = this.entries.get(key);
      if (other === undefined || updatedAtOf(entry) >= updatedAtOf(other)) this.entries.set(key, entry);
      const spellings = this.spellings.get(key);
      if (spellings) spellings.push(shortenKey(name));
      else this.spellings.set(key, [shortenKey(name)]);
    } catch (error) {
      this.refuse(name, problemOf(error));
    }
  }

  /** For what is no entry at all: `name` says where it was found. */
  refuseFile(name: string, reason: string): void {
    this.count += 1;
    this.holdsMoreThanNothing = true;
    this.refuse(name, reason);
  }

  finish(tolerated: readonly string[] = []): LegacySessions | InvalidLegacy {
    const { entries, refused, count } = this;
    if (entries.size === 0 && this.holdsMoreThanNothing) {
      return invalid(
        `holds ${countOf(count, "entry", "entries")}, of which none can be taken over: ${listRefused(refused)}`,
        repairStep,
      );
    }
    if (entries.size > this.rules.limits.sessions) {
      return invalid(
        `holds ${entries.size} sessions, the limit (sessions) is ${this.rules.limits.sessions}`,
        "Raise the limit, or remove sessions that are no longer needed.",
      );
    }
    const duplicates = [...this.spellings.values()].filter((spellings) => spellings.length > 1);
    const state = entries.size === 0 ? "empty" : "valid";
    return { state, sourceEntries: count, entries, refused, duplicates, tolerated };
  }

  private refuse(name: string, reason: string): void {
    this.refused.push({ key: shortenKey(name), reason });
  }
}

function takeEntry(value: unknown, key: string, limits: Readonly<Limits>, isStrictJson: boolean): FrozenEntry {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    const what = value === null ? "null" : Array.isArray(value) ? "an array" : `a ${typeof value}`;
    throw new SessionStoreError("invalid_entry", `the entry is ${what}, not an object`);
  }
  const entry = isStrictJson
    ? freezeParsedJson(value as FrozenEntry, limits.nestingLevels)
    : privatizeEntry(value, limits);
  checkEntryBytes(entry, limits.entryBytes, key);
  return entry;
}

/** Missing, or not a number, is older than everything. */
export function updatedAtOf(entry: FrozenEntry): number {
  return typeof entry.updatedAt === "number" ? entry.updatedAt : 0;
}

const shownMax = 5;

/** The first ones with their reasons, and how many more there are. */
export function listRefused(refused: readonly RefusedKey[]): string {
  const shown = refused.slice(0, shownMax).map(({ key, reason }) => `${key} (${reason})`);
  const more = refused.length > shownMax ? `, and ${refused.length - shownMax} more` : "";
  return `${shown.join(", ")}${more}`;
}

/** What a person should know about what was taken, as sentences. */
export function describeSessions(sessions: LegacySessions): string[] {
  const { refused, duplicates, tolerated } = sessions;
  const sentences: string[] = [];
  if (tolerated.length > 0) {
    sentences.push(`The file is no strict JSON, and was read all the same: it has ${tolerated.join(" and ")}.`);
  }
  const collapsed = duplicates.reduce((sum, spellings) => sum + spellings.length - 1, 0);
  if (collapsed > 0) {
    const text = countOf(collapsed, "entry is another spelling", "entries are other spellings");
    sentences.push(
      `${text} of a key that is there too: the newest of each is the session, the others are in the original.`,
    );
  }
  if (refused.length > 0) {
    const text = `${countOf(refused.length, "entry", "entries")} of ${sessions.sourceEntries} cannot be taken over`;
    sentences.push(`${text} and can only be found in the original: ${listRefused(refused)}.`);
  }
  return sentences;
}

/** The problem alone: the key is named beside it, and what to do is said once for all. */
function problemOf(error: unknown): string {
  if (!(error instanceof SessionStoreError)) throw error;
  return error.problem;
}

export function countOf(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`;
}
