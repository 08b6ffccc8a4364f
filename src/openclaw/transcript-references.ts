/**
 * Which transcript files the sessions of a store refer to, by the files' names alone. In doubt a file counts as referred
 * to: the one of the session id as well as the one that the entry names, and every topic of the session.
 */

import path from "node:path";
import { ownValue } from "./prototype-keys.js";
import { normalizeOptionalString } from "./strings.js";
import type { SessionEntry } from "./types.js";

export class TranscriptReferences {
  readonly #counts = new Map<string, number>();
  readonly #alsoReferenced: ReadonlySet<string>;

  constructor(store: Readonly<Record<string, SessionEntry>>, alsoReferenced: ReadonlySet<string> = new Set()) {
    this.#alsoReferenced = alsoReferenced;
    for (const key of Object.keys(store)) this.#count(ownValue(store, key), 1);
  }

  has(fileName: string): boolean {
    if (this.#alsoReferenced.has(fileName) || this.#counts.has(fileName)) return true;
    const topic = fileName.indexOf("-topic-");
    return topic > 0 && this.#counts.has(`${fileName.slice(0, topic)}.jsonl`);
  }

  /** Takes a session out. */
  release(entry: SessionEntry | undefined): void {
    this.#count(entry, -1);
  }

  #count(entry: SessionEntry | undefined, by: 1 | -1): void {
    for (const name of new Set(namesOf(entry))) {
      const count = (this.#counts.get(name) ?? 0) + by;
      if (count > 0) this.#counts.set(name, count);
      else this.#counts.delete(name);
    }
  }
}

function namesOf(entry: SessionEntry | undefined): string[] {
  const names: string[] = [];
  const sessionFile = normalizeOptionalString(entry?.sessionFile);
  if (sessionFile !== undefined) names.push(path.basename(sessionFile));
  const sessionId = normalizeOptionalString(entry?.sessionId);
  if (sessionId !== undefined) names.push(`${sessionId}.jsonl`);
  return names;
}
