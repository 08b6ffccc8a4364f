/**
 * How the summary index writes one session: a JSON array of fixed fields, and the hash by which runs find a key again.
 * Pure. A change of the fields, or of what `summarizeSession` makes of an entry, needs a new `formatVersion` in head.ts.
 */

import { hash } from "node:crypto";
import type { SessionKind, SessionSummary } from "../../../contract.js";

/** Something in `summary-index/` is not as it was written. The index is derived: it is thrown away and built again. */
export class DamagedIndexError extends Error {}

const optionalFields = [
  "agent",
  "channel",
  "sessionId",
  "label",
  "displayName",
  "subject",
  "model",
  "modelProvider",
  "totalTokens",
  "contextTokens",
  "entryBytes",
] as const;

export function encodeRow(summary: SessionSummary): string {
  const row: unknown[] = [summary.key, summary.kind, summary.updatedAt ?? null];
  for (const name of optionalFields) row.push(summary[name] ?? null);
  return JSON.stringify(row);
}

export function decodeRow(row: unknown): SessionSummary {
  if (!Array.isArray(row) || typeof row[0] !== "string") throw new DamagedIndexError("a row names no session");
  const summary: SessionSummary = { key: row[0], kind: row[1] as SessionKind };
  if (typeof row[2] === "number") summary.updatedAt = row[2];
  for (let index = 0; index < optionalFields.length; index += 1) {
    const value: unknown = row[index + 3];
    // Each field has one type, whatever it is; only an index that was written for another version could differ.
    if (value !== null && value !== undefined) Object.assign(summary, { [optionalFields[index] as string]: value });
  }
  return summary;
}

/** Bytes of a key's hash: long enough that nobody finds two keys with the same one. */
export const hashBytes = 15;

/** The first 15 bytes of the SHA-256 of the key. */
export function hashKey(key: string): Buffer {
  return hash("sha256", key, "buffer").subarray(0, hashBytes);
}
