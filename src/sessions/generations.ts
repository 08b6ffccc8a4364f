/**
 * Generations: the transcripts that were current under a session key before a reset. A commit that gives an entry
 * another `sessionId`, or takes it away, puts the earlier one on the session's list; nothing else touches the list, so
 * that reads and ordinary writes cost what they always did.
 *
 * A list holds each `sessionId` once and never the current one, oldest first, at most `generationsMax` of them: two
 * transcripts that take turns push nothing else off it.
 */

import type { FrozenEntry, Generation } from "../contract.js";
import { fixedLimits } from "../limits.js";

export type Generations = readonly Generation[];

/** When the earlier generation ended, by whom and why. */
export interface GenerationEnd {
  readonly endedMs: number;
  readonly actor?: string | undefined;
  readonly reason?: string | undefined;
}

/** The list after a commit that turns `current` into `next`, or `undefined` when the commit leaves it as it is. */
export function generationsAfter(
  current: { readonly entry: FrozenEntry; readonly generations?: Generations | undefined },
  next: FrozenEntry,
  end: GenerationEnd,
): Generations | undefined {
  const earlier = sessionIdOf(current.entry);
  const now = sessionIdOf(next);
  if (earlier === now) return undefined;
  const list = current.generations ?? [];
  // An id that comes for the first time, or again, is not one of the earlier ones.
  const kept = list.filter(({ sessionId }) => sessionId !== now && sessionId !== earlier);
  if (earlier === undefined) return kept.length === list.length ? undefined : Object.freeze(kept);
  const { sessionFile } = current.entry;
  kept.push(
    makeGeneration(
      earlier,
      typeof sessionFile === "string" ? sessionFile : undefined,
      end.endedMs,
      end.actor,
      end.reason,
    ),
  );
  return Object.freeze(kept.slice(-fixedLimits.generationsMax));
}

/**
 * A list as it was stored, frozen; `undefined` when there is none. What has not the form of a generation is left out:
 * the list is an aid, and must not make its session unreadable. An empty list stays one where it says something.
 */
export function parseGenerations(value: unknown): Generations | undefined {
  if (!Array.isArray(value)) return undefined;
  const list: Generation[] = [];
  for (const item of value.slice(-fixedLimits.generationsMax)) {
    if (typeof item !== "object" || item === null) continue;
    const { sessionId, sessionFile, endedMs, actor, reason } = item as Record<string, unknown>;
    if (typeof sessionId !== "string" || typeof endedMs !== "number" || !Number.isFinite(endedMs)) continue;
    list.push(makeGeneration(sessionId, textOf(sessionFile), endedMs, textOf(actor), textOf(reason)));
  }
  return Object.freeze(list);
}

/** The same list without being there when it is empty: how it is kept and stored as part of a state. */
export function presentGenerations(list: Generations | undefined): { generations?: Generations } {
  return list === undefined || list.length === 0 ? {} : { generations: list };
}

/** Bytes that a list takes, about. */
export function estimateGenerationBytes(list: Generations | undefined): number {
  let bytes = 0;
  for (const { sessionId, sessionFile, actor, reason } of list ?? []) {
    bytes += 60 + sessionId.length + (sessionFile?.length ?? 0) + (actor?.length ?? 0) + (reason?.length ?? 0);
  }
  return bytes;
}

function makeGeneration(
  sessionId: string,
  sessionFile: string | undefined,
  endedMs: number,
  actor: string | undefined,
  reason: string | undefined,
): Generation {
  return Object.freeze({
    sessionId,
    ...(sessionFile === undefined ? {} : { sessionFile }),
    endedMs,
    ...(actor === undefined ? {} : { actor }),
    ...(reason === undefined ? {} : { reason }),
  });
}

function sessionIdOf(entry: FrozenEntry): string | undefined {
  // An inherited value is never a string, so this is safe for entries from anywhere.
  const { sessionId } = entry;
  return typeof sessionId === "string" && sessionId !== "" ? sessionId : undefined;
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}
