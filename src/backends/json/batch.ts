/**
 * The commits of one save, applied one after the other to a copy of the view. Pure: nothing is written here, and nothing
 * is told to anybody before the save is done - a commit of the same batch may be what a conflict is about.
 */

import type { CommitRequest, CommitResult, FrozenEntry, Operation, Versioned } from "../../contract.js";
import { SessionStoreError } from "../../errors.js";
import type { Limits } from "../../limits.js";
import type { JsonLocation } from "./layout.js";
import { damagedEntry } from "./problems.js";
import { type CommitNote, formatToken, type SessionRecord } from "./versions-file.js";
import { hashOfEntry, type View } from "./view.js";

export interface BatchSource {
  readonly view: View;
  readonly location: JsonLocation;
  readonly limits: Readonly<Limits>;
  readonly nowMs: number;
  /** Short, random, lower-case letters and digits. */
  readonly makeTag: () => string;
}

export class Batch {
  readonly #source: BatchSource;
  readonly #sessions: Map<string, Versioned>;
  readonly #damaged: Set<string>;
  readonly #touched = new Set<string>();
  readonly #removed = new Set<string>();
  readonly #names: Record<string, unknown>;
  readonly commits: CommitNote[] = [];
  #last: number;
  #lastTag: string;
  #isTextChanged = false;

  constructor(source: BatchSource) {
    this.#source = source;
    const { view } = source;
    this.#sessions = new Map(view.sessions);
    this.#damaged = new Set(view.damaged.keys());
    this.#names = Object.assign(Object.create(null) as Record<string, unknown>, view.live.document);
    this.#last = view.ledger.last;
    this.#lastTag = view.ledger.lastTag;
  }

  get sessions(): ReadonlyMap<string, Versioned> {
    return this.#sessions;
  }

  get document(): Readonly<Record<string, unknown>> {
    return this.#names;
  }

  get last(): { number: number; tag: string } {
    return { number: this.#last, tag: this.#lastTag };
  }

  /** Whether any commit changed anything: otherwise there is nothing to save. */
  get isChanged(): boolean {
    return this.commits.length > 0;
  }

  /** Whether the text of `sessions.json` may be another one. */
  get isTextChanged(): boolean {
    return this.#isTextChanged;
  }

  /** The records of the sessions that were written, and the keys that were removed. */
  changes(): { changed: Map<string, SessionRecord>; removed: string[] } {
    const changed = new Map<string, SessionRecord>();
    for (const key of this.#touched) {
      const session = this.#sessions.get(key);
      if (session !== undefined) changed.set(key, { version: session.version, hash: hashOfEntry(session.entry) });
    }
    return { changed, removed: [...this.#removed] };
  }

  /** The result of one commit, valid once the save is done. Throws, with nothing applied, for this commit alone. */
  apply(request: CommitRequest): CommitResult {
    const current = this.#conflicts(request);
    if (current.size > 0) return { status: "conflict", current };
    const operations = request.operations.filter(({ type, key }) => type !== "remove" || this.#sessions.has(key));
    if (operations.length === 0) return { status: "committed", version: formatToken(this.#last, this.#lastTag) };
    this.#requireRoom(operations);
    this.#last += 1;
    this.#lastTag = this.#source.makeTag();
    const version = formatToken(this.#last, this.#lastTag);
    for (const operation of operations) this.#write(operation, version);
    this.commits.push(this.#note(request, operations));
    return { status: "committed", version };
  }

  #conflicts(request: CommitRequest): Map<string, Versioned | undefined> {
    for (const { type, key } of request.operations) {
      // Only a put that relies on nothing may take the place of what nobody can read.
      if (type !== "put") this.#requireReadable(key);
    }
    const current = new Map<string, Versioned | undefined>();
    for (const [key, version] of request.expected) {
      this.#requireReadable(key);
      const session = this.#sessions.get(key);
      if ((session?.version ?? null) !== version) current.set(key, session);
    }
    return current;
  }

  #requireReadable(key: string): void {
    if (!this.#damaged.has(key)) return;
    throw damagedEntry(this.#source.location, key, this.#source.view.damaged.get(key) as string);
  }

  #requireRoom(operations: readonly Operation[]): void {
    const { limits } = this.#source;
    let created = 0;
    for (const { type, key } of operations) if (type !== "remove" && !this.#sessions.has(key)) created += 1;
    if (created === 0 || this.#sessions.size + created <= limits.sessions) return;
    throw new SessionStoreError(
      "limit_exceeded",
      `the store holds ${this.#sessions.size} sessions, the limit (sessions) is ${limits.sessions}`,
      { nextStep: "Remove sessions that are no longer needed, or raise the limit." },
    );
  }

  #write(operation: Operation, version: string): void {
    const { key } = operation;
    this.#touched.add(key);
    this.#damaged.delete(key);
    if (operation.type === "remove") {
      this.#sessions.delete(key);
      this.#removed.add(key);
      this.#writeName(key, undefined);
    } else {
      this.#sessions.set(key, { entry: operation.entry, version });
      this.#removed.delete(key);
      this.#writeName(key, operation.entry);
    }
  }

  /** Under the key itself; its other spellings go, as the gateway does it, but never what nobody could read. */
  #writeName(key: string, entry: FrozenEntry | undefined): void {
    this.#isTextChanged = true;
    for (const name of this.#source.view.spellings.get(key) ?? []) {
      if (name !== key) delete this.#names[name];
    }
    if (entry === undefined) delete this.#names[key];
    else this.#names[key] = entry;
  }

  #note({ commitId, actor, reason }: CommitRequest, operations: readonly Operation[]): CommitNote {
    return {
      number: this.#last,
      tag: this.#lastTag,
      timeMs: this.#source.nowMs,
      ...(commitId === undefined ? {} : { commitId }),
      ...(actor === undefined ? {} : { actor }),
      ...(reason === undefined ? {} : { reason }),
      removed: operations.filter(({ type }) => type === "remove").map(({ key }) => key),
    };
  }
}
