/**
 * Session keys: normalisation and validation. Everything that is not refused here is ordinary data - `__proto__`, `..`,
 * `/`, emoji, look-alikes - so nothing downstream may use a key as a file name or as a property of a plain object.
 */

import type { KeyRule } from "../contract.js";
import { SessionStoreError } from "../errors.js";

/**
 * The key under which the store keeps a session. Rule "openclaw" trims and lower-cases, "exact" changes nothing.
 * Throws `invalid_key`, and the message says why. Normalising a normalised key changes nothing.
 */
export function normalizeKey(key: unknown, rule: KeyRule, keyBytesMax: number): string {
  if (typeof key !== "string") throw invalidKey(`a session key must be a string, not ${describe(key)}`);
  const normalized = rule === "openclaw" ? key.trim().toLowerCase() : key;
  // Nearly all keys take this way out: ASCII without NUL is well formed, and its length is its bytes.
  if (plainAscii.test(normalized) && normalized.length <= keyBytesMax) return normalized;
  const problem = keyProblem(normalized, keyBytesMax);
  if (problem !== undefined) throw invalidKey(problem, normalized);
  return normalized;
}

/** Why a normalised key is refused, or `undefined` for a good one. */
export function keyProblem(key: string, keyBytesMax: number): string | undefined {
  if (key.trim() === "") return "the session key is blank";
  if (key.includes("\0")) return "the session key contains a NUL character";
  if (loneSurrogate.test(key)) return "the session key contains a lone surrogate, which is not valid Unicode";
  const bytes = Buffer.byteLength(key, "utf8");
  if (bytes > keyBytesMax) return `the session key has ${bytes} bytes, the limit (keyBytes) is ${keyBytesMax}`;
  return undefined;
}

/** At least one character, none of them NUL or outside ASCII, the first one not white space. */
const plainAscii = /^[\x21-\x7e][\x01-\x7f]*$/;

/** With the `u` flag a paired surrogate is one code point of another category, so only lone ones match. */
const loneSurrogate = /\p{Surrogate}/u;

function invalidKey(problem: string, key?: string): SessionStoreError {
  return new SessionStoreError("invalid_key", problem, key === undefined || key === "" ? {} : { key });
}

function describe(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "an array" : typeof value;
}
