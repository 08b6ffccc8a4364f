/**
 * The sessions that changed since the index was written: their summaries as they are now, in the order of the list.
 * A list that is read over several turns takes a frozen look at them; changes go on in a copy.
 */

import type { SessionSummary } from "../../../contract.js";
import { compareByActivity } from "../../../sessions/query.js";
import { firstBehind } from "./run-set.js";

/** From so many changes on, sorting once is quicker than finding a place for each. */
const bulkMin = 32;

export interface FrozenChanges {
  readonly sorted: readonly SessionSummary[];
  readonly byKey: ReadonlyMap<string, SessionSummary | undefined>;
}

export class ChangedSessions {
  /** `undefined` for a session that does not exist any more. */
  private byKey = new Map<string, SessionSummary | undefined>();
  private sorted: SessionSummary[] = [];
  private isShared = false;

  get size(): number {
    return this.byKey.size;
  }

  update(changes: ReadonlyMap<string, SessionSummary | undefined>): void {
    if (changes.size === 0) return;
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
    if (!isBulk) return;
    this.sorted = [];
    for (const summary of this.byKey.values()) if (summary) this.sorted.push(summary);
    this.sorted.sort(compareByActivity);
  }

  /** As they are until the next change, or until `share` is called, from which on it stays. */
  look(): FrozenChanges {
    return { sorted: this.sorted, byKey: this.byKey };
  }

  share(): void {
    this.isShared = true;
  }

  clear(): void {
    this.byKey = new Map();
    this.sorted = [];
    this.isShared = false;
  }

  private move(before: SessionSummary | undefined, after: SessionSummary | undefined): void {
    if (before) this.sorted.splice(firstBehind(this.sorted, before) - 1, 1);
    if (after) this.sorted.splice(firstBehind(this.sorted, after), 0, after);
  }
}
