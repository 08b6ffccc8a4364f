/**
 * The change feed. A watcher stands at a view; when there is another one, what differs is what changed - so nothing is
 * lost, whoever wrote, and several changes of one session may be seen as one. A cursor is the number and the tag of a
 * commit; the versions file knows the latest ones, so a cursor works on every handle, also after opening again, while
 * that commit is among them. Any other cursor is answered with "reset".
 */

import type { BackendChange, Cursor } from "../../contract.js";
import { type CommitNote, formatToken, originTag, parseToken } from "./versions-file.js";
import type { View } from "./view.js";

export function cursorOf({ ledger }: View): Cursor {
  return formatToken(ledger.last, ledger.lastTag);
}

/** What was committed after the cursor, or "reset" when that is not known. */
export function changesSinceCursor(cursor: Cursor, view: View): BackendChange[] | "reset" {
  const after = numberOf(cursor, view);
  if (after === undefined) return "reset";
  const changes = new Changes(view);
  for (const [key, { version }] of view.sessions) {
    if ((parseToken(version)?.number ?? 0) > after) changes.addPut(key);
  }
  for (const { number, removed } of view.ledger.commits) {
    if (number > after) for (const key of removed) changes.addRemoval(key, number);
  }
  return changes.inOrder(cursor);
}

/** What one view has otherwise than an earlier one. */
export function changesBetween(before: View, now: View): BackendChange[] {
  const changes = new Changes(now);
  for (const [key, { version }] of now.sessions) {
    if (before.sessions.get(key)?.version !== version) changes.addPut(key);
  }
  const removals = new Map<string, number>();
  for (const { number, removed } of now.ledger.commits) for (const key of removed) removals.set(key, number);
  for (const key of before.sessions.keys()) {
    if (!now.sessions.has(key) && !now.damaged.has(key)) changes.addRemoval(key, removals.get(key) ?? now.ledger.last);
  }
  return changes.inOrder(cursorOf(before));
}

/** The position of a cursor: everything after it must still be among the commits that are known. */
function numberOf(cursor: Cursor, { ledger }: View): number | undefined {
  const position = parseToken(cursor);
  if (position === undefined) return undefined;
  const { number, tag } = position;
  if (number === ledger.last && tag === ledger.lastTag) return number;
  if (ledger.commits.some((note) => note.number === number && note.tag === tag)) return number;
  return number === 0 && tag === originTag && ledger.commits[0]?.number === 1 ? 0 : undefined;
}

class Changes {
  readonly #view: View;
  readonly #notes: ReadonlyMap<number, CommitNote>;
  readonly #found = new Map<string, { number: number; isPut: boolean }>();

  constructor(view: View) {
    this.#view = view;
    this.#notes = new Map(view.ledger.commits.map((note) => [note.number, note]));
  }

  addPut(key: string): void {
    const version = this.#view.sessions.get(key)?.version as string;
    this.#found.set(key, { number: parseToken(version)?.number ?? 0, isPut: true });
  }

  /** Of a session that is there again, only that counts. */
  addRemoval(key: string, number: number): void {
    if (this.#view.sessions.has(key) || this.#view.damaged.has(key)) return;
    this.#found.set(key, { number, isPut: false });
  }

  /** By commit. Only the last change of a commit carries its cursor: resuming in the middle repeats the whole commit. */
  inOrder(from: Cursor): BackendChange[] {
    const byNumber = [...this.#found].sort(([, left], [, right]) => left.number - right.number);
    let cursor = from;
    return byNumber.map(([key, { number, isPut }], index) => {
      if (byNumber[index + 1]?.[1].number !== number) cursor = this.#cursorOf(number);
      return this.#change(key, number, isPut, cursor);
    });
  }

  #cursorOf(number: number): Cursor {
    const note = this.#notes.get(number);
    return note === undefined ? cursorOf(this.#view) : formatToken(number, note.tag);
  }

  #change(key: string, number: number, isPut: boolean, cursor: Cursor): BackendChange {
    const note = this.#notes.get(number);
    const session = isPut ? this.#view.sessions.get(key) : undefined;
    const version = session?.version ?? formatToken(number, note?.tag ?? this.#view.ledger.lastTag);
    const common = {
      key,
      version,
      commitId: note?.commitId ?? (note === undefined ? version : formatToken(number, note.tag)),
      timeMs: note?.timeMs ?? Math.floor(this.#view.live.modifiedMs),
      ...(note?.actor === undefined ? {} : { actor: note.actor }),
      ...(note?.reason === undefined ? {} : { reason: note.reason }),
      cursor,
    };
    return session === undefined ? { type: "remove", ...common } : { type: "put", entry: session.entry, ...common };
  }
}
