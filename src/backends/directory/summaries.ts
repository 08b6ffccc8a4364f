/**
 * Lists. Where the summary index can be used, a list is a merge of its runs with the sessions that changed since, and
 * costs the same however many sessions there are. Where it cannot, a writer builds it first; who may not write, or
 * finds it busy, makes the summaries by one scan and keeps all of them, as long as the store is open.
 *
 * The index is believed only as far as loading it proves (summary-index/load.ts). From then on the journal tells which
 * sessions changed, as it does for the cache of entries; when the view had to be rebuilt, the index is loaded again.
 */

import type { DamagedSession, SessionPage, SessionQuery, SessionSummary, Snapshot } from "../../contract.js";
import { SessionStoreError } from "../../errors.js";
import { Pace } from "../../fs/pace.js";
import { mayBeReadLater } from "../../fs/refusal.js";
import { asSummary, type CheckedQuery, checkQuery, PageCollector, pageOfSummaries } from "../../sessions/query.js";
import { summarizeSession } from "../../sessions/summary.js";
import { ChangedSessions, type FrozenChanges } from "./summary-index/changed-sessions.js";
import type { IndexHead } from "./summary-index/head.js";
import { loadIndex, readHeadIfUsable } from "./summary-index/load.js";
import { DamagedIndexError } from "./summary-index/row.js";
import type { RunSet } from "./summary-index/run-set.js";
import { isSameStamp } from "./summary-index/upkeep.js";
import type { View } from "./view.js";

export interface SummarySource {
  readonly view: View;
  scan(onDamaged: (damaged: DamagedSession) => void): Promise<Snapshot>;
  refresh(): void;
  /** Builds the index on disk, unless there is one that is not `damaged`; false when that is not possible now. */
  buildIndex(damaged: IndexHead | undefined): Promise<boolean>;
}

/** When so many sessions changed since the index was loaded, a newer one is looked for, at most so often. */
const changedBeforeReload = 1_000;
const reloadMs = 250;
/** When nobody lists, changes are not remembered for ever: loading the index again is quicker. */
const unreadChangesMax = 20_000;
/** Changes that are read in one go; more of them let others run in between. */
const changesAtOnce = 256;

export class Summaries {
  private readonly source: SummarySource;
  private readonly view: View;
  private generation = 0;
  /** One of these, or neither: the index, or all summaries. */
  private index: RunSet | undefined;
  private table: Map<string, SessionSummary> | undefined;
  private scanning: Promise<void> | undefined;
  private building: Promise<boolean> | undefined;
  /** Sessions that changed since their summary was made. */
  private readonly stale = new Set<string>();
  /** Beside the index: those that changed since it was written. */
  private readonly changed = new ChangedSessions();
  /** Of those: whether the index lists them. */
  private readonly indexed = new Map<string, boolean>();
  private isNewerExpected = false;
  private lastReloadMs = Number.NEGATIVE_INFINITY;
  private isClosed = false;

  constructor(source: SummarySource) {
    this.source = source;
    this.view = source.view;
  }

  noteChanged(key: string): void {
    if (!this.index && !this.table && !this.scanning) return;
    this.stale.add(key);
    if (this.stale.size > unreadChangesMax && this.index) this.invalidate();
  }

  /** This process checkpointed: the index on disk knows what is remembered here. */
  noteCheckpoint(): void {
    this.isNewerExpected = true;
  }

  /** The view was rebuilt: nobody knows what changed meanwhile. */
  invalidate(): void {
    this.generation += 1;
    this.index?.retire();
    this.index = undefined;
    this.table = undefined;
    this.stale.clear();
    this.changed.clear();
    this.indexed.clear();
  }

  close(): void {
    this.isClosed = true;
    this.invalidate();
  }

  async page(query: SessionQuery): Promise<SessionPage> {
    const checked = checkQuery(query);
    for (let mayBuild = true; ; mayBuild = false) {
      const index = await this.prepare(mayBuild);
      if (index === undefined) return pageOfSummaries((this.table as Map<string, SessionSummary>).values(), query);
      index.pin();
      try {
        return await this.pageOf(index, checked);
      } catch (error) {
        if (!(error instanceof DamagedIndexError)) throw error;
        await this.replaceDamaged(index, mayBuild);
      } finally {
        index.unpin();
      }
    }
  }

  /** How many sessions there are, if the index can be used: as quick as a list of one. */
  async countIfIndexed(): Promise<number | undefined> {
    this.source.refresh();
    if (!this.index && !this.table) this.load();
    if (!this.index && !this.table) return undefined;
    try {
      const index = await this.prepare(false);
      if (index === undefined) return this.table?.size;
      let count = index.head.sessions;
      for (const [key, summary] of this.changed.look().byKey) {
        count += Number(summary !== undefined) - Number(this.isIndexed(index, key));
      }
      return count;
    } catch (error) {
      if (!(error instanceof DamagedIndexError)) throw error;
      this.invalidate();
      return undefined;
    }
  }

  private isIndexed(index: RunSet, key: string): boolean {
    let found = this.indexed.get(key);
    if (found === undefined) {
      found = index.has(key);
      this.indexed.set(key, found);
    }
    return found;
  }

  // --- getting ready ---------------------------------------------------------------------------------------------

  /** Up to date with the view: the index, or `undefined` when there is a table of all summaries instead. */
  private async prepare(mayBuild: boolean): Promise<RunSet | undefined> {
    this.source.refresh();
    for (;;) {
      if (this.index) this.reloadIfDue();
      else if (!this.table) this.load();
      if (!this.index && !this.table) {
        if (mayBuild && (await this.build())) {
          this.source.refresh();
          this.load();
        }
        if (!this.index && !this.table) await this.scan();
        this.source.refresh();
        if (!this.index && !this.table) continue; // What was invalidated meanwhile is made again.
      }
      if (this.stale.size > changesAtOnce) {
        await this.readChangesInSlices();
        this.source.refresh();
        if (!this.index && !this.table) continue;
      }
      this.readChanges(Number.POSITIVE_INFINITY);
      return this.index;
    }
  }

  /** Synchronous, so nothing changes between the look at the index and the look at the overlay. */
  private load(): void {
    this.lastReloadMs = this.view.files.port.monotonicMs();
    this.isNewerExpected = false;
    const index = loadIndex(this.view);
    if (index !== undefined) this.use(index);
  }

  private use(index: RunSet): void {
    this.index = index;
    this.changed.clear();
    this.indexed.clear();
    this.stale.clear();
    for (const { overlay } of this.view.segments) for (const key of overlay.changes.keys()) this.stale.add(key);
  }

  /** What changed since the index was loaded is kept in memory; a newer index makes that short again. */
  private reloadIfDue(): void {
    const isLong = this.changed.size + this.stale.size > changedBeforeReload;
    const { port } = this.view.files;
    if (!this.isNewerExpected && !(isLong && port.monotonicMs() - this.lastReloadMs >= reloadMs)) return;
    this.lastReloadMs = port.monotonicMs();
    this.isNewerExpected = false;
    const before = this.index as RunSet;
    const head = readHeadIfUsable(this.view.files);
    if (head === undefined || isSameStamp(head.upTo, before.head.upTo)) return;
    const { generation } = this;
    const index = loadIndex(this.view);
    // None that fits: the one at hand, and what changed since, is right all the same - unless the view was rebuilt.
    if (index === undefined) return;
    if (generation === this.generation) before.retire();
    this.use(index);
  }

  private build(damaged?: IndexHead): Promise<boolean> {
    this.building ??= this.source.buildIndex(damaged).finally(() => {
      this.building = undefined;
    });
    return this.building;
  }

  private scan(): Promise<void> {
    this.scanning ??= this.scanOnce().finally(() => {
      this.scanning = undefined;
    });
    return this.scanning;
  }

  private async scanOnce(): Promise<void> {
    this.stale.clear();
    const { generation } = this;
    const unread: string[] = [];
    const snapshot = await this.source.scan(({ key, error }) => {
      if (key !== undefined && mayBeReadLater(error.cause)) unread.push(key);
    });
    const table = new Map<string, SessionSummary>();
    for await (const { key, entry } of snapshot) table.set(key, summarizeSession(key, entry));
    if (generation !== this.generation || this.index) return;
    this.table = table;
    for (const key of unread) this.stale.add(key);
  }

  private async replaceDamaged(index: RunSet, mayBuild: boolean): Promise<void> {
    // Another list has seen to it meanwhile, or the damage is in what was replaced since.
    if (this.index !== index) return;
    this.invalidate();
    if (!mayBuild || !(await this.build(index.head))) await this.scan();
  }

  // --- what changed ------------------------------------------------------------------------------------------------

  private async readChangesInSlices(): Promise<void> {
    const pace = new Pace(this.view.files.port);
    // As many as there are now: a writer that is faster must not keep the list from ever coming to its end.
    for (let left = this.stale.size; left > 0 && this.stale.size > changesAtOnce; left -= changesAtOnce) {
      this.readChanges(changesAtOnce);
      await pace.breathe();
      if (this.isClosed) throw closedError();
    }
  }

  private readChanges(countMax: number): void {
    if (this.stale.size === 0) return;
    const changes = new Map<string, SessionSummary | undefined>();
    const unread: string[] = [];
    try {
      for (const key of this.stale) {
        if (changes.size >= countMax) break;
        changes.set(key, this.readSummary(key, unread));
        this.stale.delete(key);
      }
    } finally {
      this.applyChanges(changes);
      for (const key of unread) this.stale.add(key);
    }
  }

  private applyChanges(changes: ReadonlyMap<string, SessionSummary | undefined>): void {
    if (this.index) this.changed.update(changes);
    else if (this.table) {
      for (const [key, summary] of changes) {
        if (summary) this.table.set(key, summary);
        else this.table.delete(key);
      }
    }
  }

  /** One that cannot be read just now is put among the `unread`: the next list asks again. */
  private readSummary(key: string, unread: string[]): SessionSummary | undefined {
    try {
      const current = this.view.read(key);
      return current && summarizeSession(key, current.entry);
    } catch (error) {
      // A damaged session has no summary; its error is for those who read it.
      if (!(error instanceof SessionStoreError && error.code === "entry_damaged")) throw error;
      if (mayBeReadLater(error.cause)) unread.push(key);
      return undefined;
    }
  }

  // --- pages -----------------------------------------------------------------------------------------------------

  private async pageOf(index: RunSet, query: CheckedQuery): Promise<SessionPage> {
    const { sorted, byKey }: FrozenChanges = this.changed.look(query.order);
    const pace = new Pace(this.view.files.port);
    const collector = new PageCollector(query);
    const isByTime = query.order === "updatedAt";
    const after = query.after && asSummary(query.after);
    for (const summary of index.list(query.order, after, sorted, (key) => byKey.has(key))) {
      if (summary !== undefined) {
        if (isByTime && isBefore(summary, query.activeSince)) break;
        collector.add(summary);
        if (collector.isFull) break;
      }
      const pause = pace.breathe();
      if (pause) {
        this.changed.share();
        await pause;
        if (this.isClosed) throw closedError();
      }
    }
    const page = collector.finish();
    // Copies: the index keeps its own, and callers may do with theirs what they like.
    return { ...page, sessions: page.sessions.map((summary) => ({ ...summary })) };
  }
}

/** All that follow are as old, or have no time at all. */
function isBefore({ updatedAt }: SessionSummary, activeSince: number | undefined): boolean {
  return activeSince !== undefined && !(updatedAt !== undefined && updatedAt >= activeSince);
}

function closedError(): SessionStoreError {
  return new SessionStoreError("closed", "the store was closed while a list was made", { operation: "list" });
}
