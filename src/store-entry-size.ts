/**
 * The limit on the bytes of an entry. Measuring an entry means writing it as JSON, which for a large one costs more
 * than the commit; so this measures only what may be too large, and of a patch only what it changes.
 */

import type { FrozenEntry } from "./contract.js";
import { SessionStoreError } from "./errors.js";
import { estimateJsonBytes } from "./sessions/entry-value.js";

/** One UTF-16 unit takes at most six bytes of JSON (`\u0000`), so the truth is at most six times the estimate. */
const bytesPerEstimatedByteMax = 6;

/** For entries near the limit: a number of bytes that they do not exceed. */
const knownBounds = new WeakMap<FrozenEntry, number>();

/**
 * Throws `limit_exceeded` when `next` has more JSON bytes than allowed. When it is `current` with the fields of `set`
 * over it, giving these makes the check cheap.
 */
export function checkEntryBytes(
  next: FrozenEntry,
  entryBytesMax: number,
  key: string,
  current?: FrozenEntry,
  set?: FrozenEntry,
): void {
  if (estimateJsonBytes(next) * bytesPerEstimatedByteMax <= entryBytesMax) return;
  const currentBound = current && knownBounds.get(current);
  if (currentBound !== undefined && set !== undefined) {
    const bound = currentBound + jsonBytes(set);
    if (bound <= entryBytesMax) {
      knownBounds.set(next, bound);
      return;
    }
  }
  const bytes = jsonBytes(next);
  if (bytes > entryBytesMax) {
    throw new SessionStoreError(
      "limit_exceeded",
      `the entry has ${bytes} bytes as JSON, the limit (entryBytes) is ${entryBytesMax}`,
      { key, nextStep: "Keep large content outside the session entry, or raise the limit." },
    );
  }
  knownBounds.set(next, bytes);
}

function jsonBytes(entry: FrozenEntry): number {
  return Buffer.byteLength(JSON.stringify(entry), "utf8");
}
