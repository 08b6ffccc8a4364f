/** The summaries that lists are made from: built by one scan on the first list, then kept up to date by the journal. */

import type { SessionPage, SessionQuery, SessionSummary, Snapshot, Versioned } from "../../contract.js";
import { SessionStoreError } from "../../errors.js";
import { pageOfSummaries } from "../../sessions/query.js";
import { summarizeSession } from "../../sessions/summary.js";

export interface SummarySource {
  scan(): Promise<Snapshot>;
  refresh(): void;
  read(key: string): Versioned | undefined;
}

export class Summaries {
  private readonly source: SummarySource;
  private generation = 0;
  private table: Map<string, SessionSummary> | undefined;
  private building: Promise<void> | undefined;
  /** Sessions that changed since their summary was made. */
  private readonly stale = new Set<string>();

  constructor(source: SummarySource) {
    this.source = source;
  }

  noteChanged(key: string): void {
    if (this.table || this.building) this.stale.add(key);
  }

  /** The view was rebuilt: nobody knows what changed meanwhile. */
  invalidate(): void {
    this.generation += 1;
    this.table = undefined;
    this.stale.clear();
  }

  async page(query: SessionQuery): Promise<SessionPage> {
    this.source.refresh();
    while (this.table === undefined) {
      this.building ??= this.build().finally(() => {
        this.building = undefined;
      });
      await this.building;
      this.source.refresh();
    }
    for (const key of this.stale) this.update(this.table, key);
    this.stale.clear();
    return pageOfSummaries(this.table.values(), query);
  }

  private async build(): Promise<void> {
    this.stale.clear();
    const { generation } = this;
    const snapshot = await this.source.scan();
    const table = new Map<string, SessionSummary>();
    for await (const { key, entry } of snapshot) table.set(key, summarizeSession(key, entry));
    // What was invalidated meanwhile is built again.
    if (generation === this.generation) this.table = table;
  }

  private update(table: Map<string, SessionSummary>, key: string): void {
    let current: Versioned | undefined;
    try {
      current = this.source.read(key);
    } catch (error) {
      // A damaged session has no summary; its error is for those who read it.
      if (!(error instanceof SessionStoreError && error.code === "entry_damaged")) throw error;
    }
    if (current) table.set(key, summarizeSession(key, current.entry));
    else table.delete(key);
  }
}
