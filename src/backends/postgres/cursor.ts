/**
 * Positions in the change feed: the number of the last change seen in each lane, with the incarnation of the store and
 * the generation of the server they are true for. As text: `p1.<incarnation>.<generation>.<numbers>`.
 */

import { createHash } from "node:crypto";
import type { Cursor } from "../../contract.js";

export interface Position {
  readonly incarnation: string;
  readonly generation: string;
  /** By lane. */
  readonly revisions: readonly number[];
}

export function formatCursor({ incarnation, generation, revisions }: Position): Cursor {
  return `p1.${incarnation}.${generation}.${encodeNumbers(revisions)}`;
}

/** `undefined` for what is no cursor of a store of so many lanes. */
export function parseCursor(cursor: Cursor, lanes: number): Position | undefined {
  const parts = cursor.split(".");
  if (parts.length !== 4 || parts[0] !== "p1") return undefined;
  const [, incarnation, generation, numbers] = parts as [string, string, string, string];
  const revisions = decodeNumbers(numbers);
  return revisions.length === lanes ? { incarnation, generation, revisions } : undefined;
}

/** Short, and without a character that means something in a cursor. */
export function shortGeneration(generation: string): string {
  return generation === "" ? "none" : createHash("sha256").update(generation).digest("base64url").slice(0, 10);
}

/** Seven bits a byte, the lowest first: most lanes take two or three. */
function encodeNumbers(numbers: readonly number[]): string {
  const bytes: number[] = [];
  for (let rest of numbers) {
    while (rest >= 128) {
      bytes.push((rest % 128) + 128);
      rest = Math.floor(rest / 128);
    }
    bytes.push(rest);
  }
  return Buffer.from(bytes).toString("base64url");
}

function decodeNumbers(text: string): number[] {
  const numbers: number[] = [];
  let value = 0;
  let scale = 1;
  for (const byte of Buffer.from(text, "base64url")) {
    value += (byte & 127) * scale;
    scale *= 128;
    if (byte >= 128) continue;
    if (!Number.isSafeInteger(value)) return [];
    numbers.push(value);
    value = 0;
    scale = 1;
  }
  return scale === 1 ? numbers : [];
}
