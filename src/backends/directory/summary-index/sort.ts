/** Sorting many summaries without holding up the event loop: in pieces, which are then merged. */

import type { SessionSummary } from "../../../contract.js";
import type { Comparison } from "./run-set.js";

/** So many are sorted in one go: about a millisecond. */
const pieceRows = 1_024;

/** `breathe` is called after each piece of work; 50,000 at once would take 50 ms. */
export async function sortInSlices(
  summaries: readonly SessionSummary[],
  compare: Comparison,
  breathe: () => Promise<void> | undefined,
): Promise<SessionSummary[]> {
  let pieces: SessionSummary[][] = [];
  for (let at = 0; at < summaries.length; at += pieceRows) {
    pieces.push(summaries.slice(at, at + pieceRows).sort(compare));
    await breathe();
  }
  while (pieces.length > 1) {
    const merged: SessionSummary[][] = [];
    for (let index = 0; index < pieces.length; index += 2) {
      merged.push(await mergePieces(pieces[index] as SessionSummary[], pieces[index + 1] ?? [], compare, breathe));
    }
    pieces = merged;
  }
  return pieces[0] ?? [];
}

async function mergePieces(
  left: readonly SessionSummary[],
  right: readonly SessionSummary[],
  compare: Comparison,
  breathe: () => Promise<void> | undefined,
): Promise<SessionSummary[]> {
  const merged: SessionSummary[] = [];
  for (let l = 0, r = 0; l < left.length || r < right.length; ) {
    const takesLeft =
      r >= right.length || (l < left.length && compare(left[l] as SessionSummary, right[r] as SessionSummary) <= 0);
    merged.push((takesLeft ? left[l++] : right[r++]) as SessionSummary);
    if (merged.length % pieceRows === 0) await breathe();
  }
  return merged;
}
