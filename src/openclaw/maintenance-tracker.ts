/**
 * What maintenance would do, known at every write without loading the store. The tracker holds the times of the last
 * activity of all sessions, in order, without their keys: eight bytes for each. It is filled once, from the summaries,
 * and told of every change by whoever makes or watches them.
 *
 * What it promises: the answers of `pruneStaleEntries`, `capEntryCount` and `getActiveSessionMaintenanceWarning` on the
 * same sessions, but for the order among sessions of the very same millisecond, where it counts the session at work as
 * the newest. It does no I/O and decides nothing: whether something is removed depends on the mode, and is for the caller.
 */

import { makeWarning, type SessionMaintenanceWarning, updatedAtOf } from "./maintenance.js";
import type { ResolvedSessionMaintenanceConfig } from "./maintenance-config.js";
import { SortedNumbers } from "./sorted-numbers.js";

type Rules = Pick<ResolvedSessionMaintenanceConfig, "pruneAfterMs" | "maxEntries">;

/** As in an entry or a summary; null and undefined are a session that does not say. */
type UpdatedAt = number | null | undefined;

export interface MaintenancePlan {
  /** Sessions that are too old. */
  readonly prune: number;
  /** Sessions beyond the limit once those are gone. */
  readonly cap: number;
}

export class MaintenanceTracker {
  readonly #times = new SortedNumbers();

  /** Starts over with these sessions. */
  reset(sessions: Iterable<{ readonly updatedAt?: UpdatedAt }>): void {
    this.#times.clear();
    for (const session of sessions) this.#times.add(updatedAtOf(session));
  }

  /** A session that was not there before. */
  added(updatedAt: UpdatedAt): void {
    this.#times.add(updatedAtOf({ updatedAt }));
  }

  /** False when no session had that time: the tracker missed a change, and has to be filled again. */
  changed(before: UpdatedAt, after: UpdatedAt): boolean {
    if (before === after) return true;
    if (!this.removed(before)) return false;
    this.added(after);
    return true;
  }

  /** False as for `changed`. */
  removed(before: UpdatedAt): boolean {
    return this.#times.remove(updatedAtOf({ updatedAt: before }));
  }

  get totalEntries(): number {
    return this.#times.size;
  }

  /** What a cleanup would do now; nothing to do is the usual answer. */
  plan(rules: Rules, nowMs: number): MaintenancePlan {
    const { size } = this.#times;
    const prune = this.#countStale(nowMs - rules.pruneAfterMs);
    return { prune, cap: Math.max(0, size - prune - rules.maxEntries) };
  }

  /** Of a session that is in the tracker with this time. */
  warningFor(
    session: { readonly key: string; readonly updatedAt?: UpdatedAt },
    rules: Rules,
    nowMs: number,
  ): SessionMaintenanceWarning | null {
    const activeSessionKey = session.key.trim();
    if (activeSessionKey === "") return null;
    const updatedAt = updatedAtOf(session);
    const totalEntries = this.#times.size;
    // Usually the session at work is among the newest, so counting from that end is short.
    const ahead = totalEntries > rules.maxEntries ? this.#times.countAbove(updatedAt) : 0;
    const { pruneAfterMs, maxEntries } = rules;
    return makeWarning({ activeSessionKey, updatedAt, ahead, totalEntries, pruneAfterMs, maxEntries, nowMs });
  }

  #countStale(beforeMs: number): number {
    const { least } = this.#times;
    if (least === undefined || least >= beforeMs) return 0;
    const withoutTime = this.#times.countBelow(Number.MIN_SAFE_INTEGER);
    return this.#times.countBelow(beforeMs) - withoutTime;
  }
}
