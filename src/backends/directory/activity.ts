/**
 * When each session was last active, and which transcript it has: what maintenance must know of all sessions at every
 * write. Filled by reading the store once, then told of each commit - its own or another process's - by the journal, so
 * that it costs nothing that grows with the store. Holds a few dozen bytes per session. After a reset it is empty and
 * `isCurrent` is false: somebody has to fill it again.
 */

import type { SessionPage, SessionQuery } from "../../contract.js";
import { SessionStoreError } from "../../errors.js";
import { Pace } from "../../fs/pace.js";
import type { CommitRecord, RecordOperation } from "./journal/record.js";
import { ReadPoint, ReadPointLostError } from "./read-point.js";
import type { View, ViewFollower } from "./view.js";

export interface SessionActivity {
  readonly updatedAt: number | undefined;
  readonly sessionId: string | undefined;
}

/** Of one session: what it was and what it is; undefined where there is none. */
export type ActivityListener = (before: SessionActivity | undefined, after: SessionActivity | undefined) => void;

const attemptsMax = 20;
const sessionsPerPage = 10_000;

export class ActivityTable implements ViewFollower {
  readonly sessions = new Map<string, SessionActivity>();
  readonly #view: View;
  readonly #refresh: () => void;
  #listener: ActivityListener | undefined;
  #isCurrent = false;
  /** Commits that came while the store was read; undefined when nobody reads it. */
  #waiting: CommitRecord[] | undefined;

  constructor(view: View, refresh: () => void) {
    this.#view = view;
    this.#refresh = refresh;
    view.followers.add(this);
  }

  get isCurrent(): boolean {
    return this.#isCurrent;
  }

  /** Told of every change from now on. */
  listen(listener: ActivityListener): void {
    this.#listener = listener;
  }

  /**
   * Asks for every session once; with `list`, which need not read their files. Pages of different versions fit together,
   * because what was committed since the beginning is applied behind them. The event loop goes on meanwhile, and so do
   * commits.
   */
  async fill(list?: (query: SessionQuery) => Promise<SessionPage>): Promise<void> {
    for (let attempt = 0; attempt < attemptsMax && !this.#isCurrent; attempt += 1) {
      this.sessions.clear();
      this.#refresh();
      this.#waiting = [];
      if (!(await (list === undefined ? this.#readAll() : this.#listAll(list)))) continue;
      const waiting: readonly CommitRecord[] | undefined = this.#waiting;
      // The view was rebuilt meanwhile: nobody knows what was committed in between.
      if (waiting === undefined) continue;
      this.#isCurrent = true;
      this.#waiting = undefined;
      for (const record of waiting) this.#apply(record);
    }
  }

  close(): void {
    this.#view.followers.delete(this);
    this.reset();
  }

  afterCommit(record: CommitRecord): void {
    if (this.#isCurrent) this.#apply(record);
    else this.#waiting?.push(record);
  }

  reset(): void {
    this.#isCurrent = false;
    this.#waiting = undefined;
    this.sessions.clear();
  }

  /** False when the version that it began with could not be told to its end. */
  async #readAll(): Promise<boolean> {
    const point = new ReadPoint(this.#view, this.#refresh);
    try {
      await this.#readKeys(point);
      return true;
    } catch (error) {
      if (!(error instanceof ReadPointLostError)) throw error;
      return false;
    } finally {
      point.close();
    }
  }

  async #listAll(list: (query: SessionQuery) => Promise<SessionPage>): Promise<true> {
    let cursor: string | undefined;
    do {
      const page = await list({ order: "key", limit: sessionsPerPage, ...(cursor === undefined ? {} : { cursor }) });
      for (const { key, updatedAt, sessionId } of page.sessions) this.sessions.set(key, { updatedAt, sessionId });
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    return true;
  }

  async #readKeys(point: ReadPoint): Promise<void> {
    const pace = new Pace(this.#view.files.port);
    for (const key of point.keys()) {
      await pace.breathe();
      try {
        const versioned = point.read(key);
        if (versioned !== undefined) this.sessions.set(key, activityOf(versioned.entry));
      } catch (error) {
        // A damaged session counts, but nobody knows when it was active: it is never too old.
        if (!(error instanceof SessionStoreError && error.code === "entry_damaged")) throw error;
        this.sessions.set(key, { updatedAt: undefined, sessionId: undefined });
      }
    }
  }

  #apply(record: CommitRecord): void {
    for (const operation of record.operations) {
      const before = this.sessions.get(operation.key);
      const after = afterOperation(before, operation);
      if (after === undefined) this.sessions.delete(operation.key);
      else this.sessions.set(operation.key, after);
      this.#listener?.(before, after);
    }
  }
}

function afterOperation(before: SessionActivity | undefined, operation: RecordOperation): SessionActivity | undefined {
  if (operation.type === "remove") return undefined;
  if (operation.type === "put") return activityOf(operation.entry);
  const { set, unset } = operation;
  const changed = activityOf(set);
  const has = (name: string) => Object.hasOwn(set, name) || unset.includes(name);
  return {
    updatedAt: has("updatedAt") ? changed.updatedAt : before?.updatedAt,
    sessionId: has("sessionId") ? changed.sessionId : before?.sessionId,
  };
}

function activityOf(entry: Readonly<Record<string, unknown>>): SessionActivity {
  const { updatedAt, sessionId } = entry;
  return {
    updatedAt: typeof updatedAt === "number" ? updatedAt : undefined,
    sessionId: typeof sessionId === "string" ? sessionId : undefined,
  };
}
