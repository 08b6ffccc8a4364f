/**
 * Versions and cursors as users see them. Inside this backend a version is the dense, store-wide number of a commit.
 * After a power cut a number may be given out again to another commit (an unacknowledged one was undone), so a token
 * also carries the checksum of its record and the store's incarnation (P13).
 */

import type { Cursor, VersionToken } from "../../contract.js";
import { SessionStoreError } from "../../errors.js";

/** A commit: its number, and the checksum of its record as 8 hex digits. */
export interface CommitStamp {
  readonly version: number;
  readonly record: string;
}

/** The stamp of the empty store, before its first commit. */
export const originStamp: CommitStamp = { version: 0, record: "00000000" };

const incarnationDigits = 12;

export function formatToken(stamp: CommitStamp, incarnation: string): VersionToken {
  return `${stamp.version}-${stamp.record}-${incarnation.slice(0, incarnationDigits)}`;
}

export function formatCursor(stamp: CommitStamp, incarnation: string): Cursor {
  return `c${formatToken(stamp, incarnation)}`;
}

/** Throws `invalid_cursor` for anything that no store ever gave out. */
export function parseCursor(cursor: Cursor): CommitStamp & { readonly incarnation: string } {
  const match = /^c(\d{1,16})-([0-9a-f]{8})-([0-9a-f]{12})$/.exec(cursor);
  if (!match) {
    throw new SessionStoreError("invalid_cursor", "this is not a cursor of a directory store", {
      operation: "watch",
      nextStep: "Pass a cursor that `store.cursor()` or a change gave you, or none.",
    });
  }
  return { version: Number(match[1]), record: match[2] as string, incarnation: match[3] as string };
}

export function cursorIsOfIncarnation(cursorIncarnation: string, incarnation: string): boolean {
  return incarnation.startsWith(cursorIncarnation);
}
