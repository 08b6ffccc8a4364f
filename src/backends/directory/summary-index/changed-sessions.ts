/**
 * The sessions that changed since the index was written: their summaries as they are now, in the orders of lists.
 * A list that is read over several turns takes a frozen look at them; changes go on in a copy.
 */

import type { SessionOrder, SessionSummary } from "../../../contract.js";
import { compareByActivity, compareByKey } from "../../../sessions/query.js";
import { firstBehind } from "./run-set.js";

/** From so many changes on, merging them in is quicker than finding a place for each. */
const bulkMin = 32;

export interface FrozenChanges {
  readonly sorted: readonly SessionSummary[];
  readonly byKey: ReadonlyMap<string, SessionSummary | undefined>;
}

export class ChangedSessions {
  /** `undefined` for a session that does not exist any more. */
  private byKey = new Map<string, SessionSummary | undefined>();
  private sorted: SessionSummary[] = [];
  /** Made when it is asked for, never changed. */
  private sortedByKey: SessionSummary[] | undefined;
  private isShared = false;

  get size(): number {
    return this.byKey.size;
  }

  update(changes: ReadonlyMap<string, SessionSummary | undefined>): void {
    if (changes.size === 0) return;
    this.sortedByKey = undefined;
    if (this.isShared) {
      this.byKey = new Map(this.byKey);
      this.sorted = this.sorted.slice();
      this.isShared = false;
    }
    const isBulk = changes.size >= bulkMin;
    for (const [key, summary] of changes) {
      if (!isBulk) this.move(this.byKey.get(key), summary);
      this.byKey.set(key, summary);
    }
    if (isBulk) this.merge(changes);
  }

  /** Linear in what is there: thousands of changes come in slices, and sorting all of them for each would hold up others. */
  private merge(changes: ReadonlyMap<string, SessionSummary | undefined>): void {
    const fresh: SessionSummary[] = [];
    for (const summary of changes.values()) if (summary) fresh.push(summary);
    fresh.sort(compareByActivity);
    const merged: SessionSummary[] = [];
    let next = 0;
    for (const summary of this.sorted) {
      if (changes.has(summary.key)) continue;
      while (next < fresh.length && compareByActivity(fresh[next] as SessionSummary, summary) < 0) {
        merged.push(fresh[next++] as SessionSummary);
      }
      merged.push(summary);
    }
    for (; next < fresh.length; next += 1) merged.push(fresh[next] as SessionSummary);
    this.sorted = merged;
  }

  /** As they are until the next change, or until `share` is called, from which on it stays. */
  look(order: SessionOrder = "updatedAt"): FrozenChanges {
    if (order === "key") this.sortedByKey ??= [...this.sorted].sort(compareByKey);
    return { sorted: (order === "key" && this.sortedByKey) || this.sorted, byKey: this.byKey };
  }

  share(): void {
    this.isShared = true;
  }

  clear(): void {
    this.byKey = new Map();
    this.sorted = [];
    this.sortedByKey = undefined;
    this.isShared = false;
  }

  private move(before: SessionSummary | undefined, after: SessionSummary | undefined): void {
    if (before) this.sorted.splice(firstBehind(this.sorted, before) - 1, 1);
    if (after) this.sorted.splice(firstBehind(this.sorted, after), 0, after);
  }
}
