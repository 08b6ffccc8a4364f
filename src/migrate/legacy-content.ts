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
import { checkEntryBytes } from "../store-entry-size.js";

export interface LegacyRules {
  readonly keyRule: KeyRule;
  readonly limits: Readonly<Limits>;
}

export interface InvalidLegacy {
  readonly state: "invalid";
  /** A clause that follows "the legacy file ...". */
  readonly reason: string;
  readonly nextStep: string;
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
  const text = decode(bytes);
  if (typeof text !== "string") return text;
  if (text.trim() === "") {
    const what = bytes.byteLength === 0 ? "is empty (0 bytes)" : "holds nothing but white space";
    return invalid(
      `${what}, which is what an interrupted write leaves behind`,
      "Restore it from its newest backup. If there is no session to keep, write {} into it or move it away.",
    );
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return invalid(`is not strict JSON: ${describeSyntaxError(error)}`, repairStep);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    const what = value === null ? "null" : Array.isArray(value) ? "an array" : `a ${typeof value}`;
    return invalid(`holds ${what}, not an object of sessions`, repairStep);
  }
  return takeEntries(value as Record<string, unknown>, rules);
}

const repairStep = "Correct the file, or restore it from a backup, and try again.";
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

function decode(bytes: Uint8Array): string | InvalidLegacy {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    if (error instanceof TypeError) return invalid("is not valid UTF-8", repairStep);
    return invalid(`cannot be read as one text of ${bytes.byteLength} bytes`, "Split it into smaller stores.");
  }
}

/** The engine quotes the text around the error; a session's content does not belong into logs. */
function describeSyntaxError(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  if (message.includes("\ufeff")) return "it starts with a byte order mark";
  return message
    .replace(/, ("|\.\.\.).*$/s, "")
    .replace(/ token '?.*$/s, " character")
    .slice(0, 120);
}

/** The problem alone: the key is named beside it, and what to do is said once for all. */
function problemOf(error: unknown): string {
  if (!(error instanceof SessionStoreError)) throw error;
  return error.message.replace(/ - session .*$/s, "").replace(/\.$/, "");
}

function invalid(reason: string, nextStep: string): InvalidLegacy {
  return { state: "invalid", reason, nextStep };
}

export function countOf(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`;
}
