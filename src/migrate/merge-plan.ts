/**
 * Which side of a merge wins, session by session: pure. A session of the legacy file goes into the store when the store
 * does not have it, or when it is strictly newer by `updatedAt`. What was removed from the store comes back only when it
 * was changed after the removal: an old file must not undo what somebody did on purpose.
 */

import type { FrozenEntry, Versioned } from "../contract.js";
import { jsonEqual } from "../sessions/json-equal.js";
import { countOf, updatedAtOf } from "./legacy-content.js";
import type { MergeCounts } from "./result.js";

export type Verdict = keyof MergeCounts;

/** "damaged": the store has the session, and nobody can say what it is until it is repaired. */
export type StoreSide = Pick<Versioned, "entry"> | "damaged" | undefined;

export function judge(legacy: FrozenEntry, store: StoreSide, removedMs: number | undefined): Verdict {
  if (store === "damaged") return "damaged";
  const updatedAt = updatedAtOf(legacy);
  if (store === undefined) return removedMs === undefined || updatedAt > removedMs ? "added" : "removed";
  if (jsonEqual(legacy, store.entry)) return "same";
  return updatedAt > updatedAtOf(store.entry) ? "replaced" : "older";
}

export function noCounts(): MergeCounts {
  return { added: 0, replaced: 0, same: 0, older: 0, removed: 0, damaged: 0 };
}

export function takenOf(counts: MergeCounts): number {
  return counts.added + counts.replaced;
}

/** Why a legacy entry lost, for the trash. Never a name that differs between two runs over the same file. */
export const lossReasons: Record<"older" | "removed" | "damaged", string> = {
  older: "the legacy file's entry lost the merge: it was not newer than the store's",
  removed: "the legacy file's entry lost the merge: the session was removed after its last change",
  damaged: "the legacy file's entry lost the merge: the store's entry is damaged, repair it first",
};

/** What a person should know, as sentences that are as true before the merge as after it. */
export function describeMerge(counts: MergeCounts, legacyPath: string, directoryName: string): string[] {
  const { added, replaced, older, removed, damaged } = counts;
  const sessions = (count: number) => countOf(count, "session", "sessions");
  const parts = [
    added > 0 ? `${sessions(added)} added` : "",
    replaced > 0 ? `${sessions(replaced)} replaced by a newer one, with the one before in the trash` : "",
    older > 0 ? `${sessions(older)} not newer than the store's` : "",
    removed > 0 ? `${sessions(removed)} not restored, because the store's was removed later` : "",
    damaged > 0 ? `${sessions(damaged)} left out, because the store's entry is damaged` : "",
  ].filter((part) => part !== "");
  const what = parts.length === 0 ? "nothing in it is new" : parts.join(", ");
  const lost = older + removed + damaged;
  return [
    `${legacyPath} lies beside ${directoryName}, which is the store, and is merged into it: ${what}.` +
      (lost > 0 ? " What is left out is kept in the trash." : "") +
      " If an older program still writes to this file, stop that program.",
  ];
}
