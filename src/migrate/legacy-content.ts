/**
 * The content of a legacy `sessions.json`: one JSON object from session key to entry. Pure: bytes in, sessions out.
 *
 * Relies on nothing about the bytes. Promises: either every entry is taken, as data, whatever its key is called -
 * `__proto__` included - or none is, with a reason that names the offenders. Spellings of one key (" Main", "main")
 * become one session, the one with the newest `updatedAt`, as the gateway that wrote the file reads them.
 */

import type { FrozenEntry, KeyRule } from "../contract.js";
import { SessionStoreError, shortenKey } from "../errors.js";
import type { Limits } from "../limits.js";
import { freezeParsedJson } from "../sessions/entry-value.js";
import { normalizeKey } from "../sessions/keys.js";
import { type InvalidLegacy, invalid, parseLegacyText } from "../sessions/legacy-text.js";
import { checkEntryBytes } from "../store-entry-size.js";

export interface LegacyRules {
  readonly keyRule: KeyRule;
  readonly limits: Readonly<Limits>;
}

export interface LegacySessions {
  /** `{}` is an empty store. An empty file is not: it is what an interrupted write leaves. */
  readonly state: "empty" | "valid";
  /** Entries in the file, every spelling of a key counted. */
  readonly sourceEntries: number;
  readonly entries: ReadonlyMap<string, FrozenEntry>;
}

/** Reads the sessions, or says why the file cannot be taken over. Takes the bytes whole or not at all. */
export function parseLegacyContent(bytes: Uint8Array, rules: LegacyRules): LegacySessions | InvalidLegacy {
  const parsed = parseLegacyText(bytes);
  if (parsed.state === "invalid") return parsed;
  return takeEntries(parsed.value, rules);
}

const shownOffendersMax = 5;

function takeEntries(source: Record<string, unknown>, rules: LegacyRules): LegacySessions | InvalidLegacy {
  const names = Object.keys(source);
  const entries = new Map<string, FrozenEntry>();
  const offenders: string[] = [];
  let offenderCount = 0;
  for (const name of names) {
    try {
      const key = normalizeKey(name, rules.keyRule, rules.limits.keyBytes);
      // Read by its own name: parsing makes `__proto__` an own property, and own properties come first.
      const entry = takeEntry(source[name], key, rules);
      const other = entries.get(key);
      if (other === undefined || updatedAtOf(entry) >= updatedAtOf(other)) entries.set(key, entry);
    } catch (error) {
      offenderCount += 1;
      if (offenders.length < shownOffendersMax) offenders.push(`${shortenKey(name)} (${problemOf(error)})`);
    }
  }
  if (offenderCount > 0) {
    const more = offenderCount > offenders.length ? `, and ${offenderCount - offenders.length} more` : "";
    return invalid(
      `holds ${countOf(offenderCount, "entry", "entries")} of ${names.length} that cannot be taken over: ${offenders.join(", ")}${more}`,
      "Correct or remove them in the file, then try again. No other session was taken either, so that none is forgotten.",
    );
  }
  if (entries.size > rules.limits.sessions) {
    return invalid(
      `holds ${entries.size} sessions, the limit (sessions) is ${rules.limits.sessions}`,
      "Raise the limit, or remove sessions that are no longer needed.",
    );
  }
  return { state: names.length === 0 ? "empty" : "valid", sourceEntries: names.length, entries };
}

function takeEntry(value: unknown, key: string, rules: LegacyRules): FrozenEntry {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    const what = value === null ? "null" : Array.isArray(value) ? "an array" : `a ${typeof value}`;
    throw new SessionStoreError("invalid_entry", `the entry is ${what}, not an object`);
  }
  const entry = freezeParsedJson(value as FrozenEntry, rules.limits.nestingLevels);
  checkEntryBytes(entry, rules.limits.entryBytes, key);
  return entry;
}

function updatedAtOf(entry: FrozenEntry): number {
  return typeof entry.updatedAt === "number" ? entry.updatedAt : 0;
}

/** The problem alone: the key is named beside it, and what to do is said once for all. */
function problemOf(error: unknown): string {
  if (!(error instanceof SessionStoreError)) throw error;
  return error.message.replace(/ - session .*$/s, "").replace(/\.$/, "");
}

export function countOf(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`;
}
