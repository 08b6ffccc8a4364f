/**
 * The text of a legacy `sessions.json`, read in the one way that migration, the json backend and the compatible API
 * share - so that no writer ever erases what only another reader could read. Pure: bytes in, one object out.
 *
 * Strict JSON comes first. A byte order mark, and JSON5 (comments, trailing commas, single quotes) are accepted as a
 * fallback that is reported in `tolerated`. JSON5 can also write NaN and Infinity, which no store can keep: whoever takes
 * entries out of a tolerated text checks each of them as a stranger's value, not as parsed JSON.
 */

import JSON5 from "json5";
import { limitCaps } from "../limits.js";

export interface LegacyObject {
  readonly state: "object";
  /** As parsed: a key named `__proto__` is an own property like any other. */
  readonly value: Readonly<Record<string, unknown>>;
  /** What strict JSON would have refused, each a noun phrase: "a byte order mark". Empty for strict JSON. */
  readonly tolerated: readonly string[];
}

export interface InvalidLegacy {
  readonly state: "invalid";
  /** A clause that follows "the legacy file ...". */
  readonly reason: string;
  readonly nextStep: string;
}

/** Takes the text whole or says why not. An empty file is not an empty store: it is what an interrupted write leaves. */
export function parseLegacyText(bytes: Uint8Array): LegacyObject | InvalidLegacy {
  const text = decode(bytes);
  if (typeof text !== "string") return text;
  if (text.trim() === "") {
    const what = bytes.byteLength === 0 ? "is empty (0 bytes)" : "holds nothing but white space";
    return invalid(
      `${what}, which is what an interrupted write leaves behind`,
      "Restore it from its newest backup. If there is no session to keep, write {} into it or move it away.",
    );
  }
  const parsed = parseTolerantly(text);
  if ("state" in parsed) return parsed;
  const { value, tolerated } = parsed;
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    const what = value === null ? "null" : Array.isArray(value) ? "an array" : `a ${typeof value}`;
    return invalid(`holds ${what}, not an object of sessions`, repairStep);
  }
  return (
    refuseOwnFile(value as Record<string, unknown>) ?? {
      state: "object",
      value: value as Record<string, unknown>,
      tolerated,
    }
  );
}

const storeStep = "Give the path of the store instead: the directory that ends in .d, or the sessions.json beside it.";

/** Files of a store or a backup are JSON objects as well; taken for sessions, they would go where nobody finds them. */
function refuseOwnFile({ kind, sessionKey, entry }: Record<string, unknown>): InvalidLegacy | undefined {
  if (typeof kind === "string" && /^sessiondir-|^openclaw-session-store-directory$/.test(kind)) {
    return invalid(`is no object of sessions, but a file that a store or a backup is made of ("${kind}")`, storeStep);
  }
  if (typeof sessionKey === "string" && typeof entry === "object") {
    return invalid("is no object of sessions, but the file of one session in a store", storeStep);
  }
  return undefined;
}

/** What to do about a file of more bytes than `bytesMax`, the limit that is set. */
export function tooLargeStep(bytesMax: number): string {
  if (bytesMax < limitCaps.legacyFileBytes) return "Raise the limit, or remove sessions that are no longer needed.";
  return (
    "No program on this engine (V8) reads more as one text, so the limit cannot be raised. Split the file into smaller " +
    "stores, or remove sessions that are no longer needed, or large fields of them."
  );
}

export const repairStep = "Correct the file, or restore it from a backup, and try again.";

function parseTolerantly(text: string): { value: unknown; tolerated: string[] } | InvalidLegacy {
  const tolerated: string[] = [];
  let body = text;
  if (text.startsWith("\ufeff")) {
    body = text.slice(1);
    tolerated.push("a byte order mark");
  }
  try {
    return { value: JSON.parse(body), tolerated };
  } catch (strictError) {
    try {
      const value: unknown = JSON5.parse(body);
      tolerated.push("JSON5 syntax (comments, trailing commas or unusual quotes)");
      return { value, tolerated };
    } catch {
      if (body.startsWith('{"format":"sessiondir-bundle"')) {
        return invalid("is a bundle of sessions", "Run `sessiondir import` with it, or `sessiondir backup restore`.");
      }
      return invalid(`is neither strict JSON nor JSON5: ${describeSyntaxError(strictError)}`, repairStep);
    }
  }
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
  return message
    .replace(/, ("|\.\.\.).*$/s, "")
    .replace(/ token '?.*$/s, " character")
    .slice(0, 120);
}

export function invalid(reason: string, nextStep: string): InvalidLegacy {
  return { state: "invalid", reason, nextStep };
}
