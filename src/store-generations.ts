/**
 * Generations at the level of the store: which commits end one, and making an earlier one current again. The list is
 * worked out from the state that the commit expects, so a commit that would lose one is a conflict, and tried again.
 */

import type { FrozenEntry, Generation, Operation, Versioned } from "./contract.js";
import { SessionStoreError, shortenKey } from "./errors.js";
import { privatizeFields } from "./sessions/entry-value.js";
import { generationsAfter } from "./sessions/generations.js";
import { applyPatch } from "./sessions/patch.js";
import type { StoreContext } from "./store-context.js";

/** The operation with the list that it leads to, when it gives the session another transcript. */
export function withGenerations<Written extends Operation>(
  context: StoreContext,
  operation: Written,
  current: Versioned | undefined,
  by: { readonly actor?: string | undefined; readonly reason?: string | undefined },
): Written {
  if (!context.backend.capabilities.generations || current === undefined || operation.type === "remove")
    return operation;
  const { type } = operation;
  // Most patches do not touch it, and pay for one look.
  if (type === "patch" && !Object.hasOwn(operation.set, "sessionId") && !operation.unset.includes("sessionId"))
    return operation;
  const { actor, reason } = by;
  const generations = generationsAfter(current, operation.entry, { endedMs: context.clock.nowMs(), actor, reason });
  return generations === undefined ? operation : { ...operation, generations };
}

export const noGenerations: readonly Generation[] = Object.freeze([]);

/** The entry with an earlier generation as its current one; the entry itself when it is that already. */
export function reopened(
  context: StoreContext,
  key: string,
  current: Versioned | undefined,
  sessionId: string,
): FrozenEntry {
  const operation = "reopenGeneration";
  if (current === undefined) {
    throw new SessionStoreError("not_found", "there is no such session", {
      operation,
      key,
      nextStep: "If it was removed, its generations are with it in the trash: restore it first.",
    });
  }
  if (current.entry.sessionId === sessionId) return current.entry;
  const generation = current.generations?.findLast((candidate) => candidate.sessionId === sessionId);
  if (generation === undefined) {
    throw new SessionStoreError("not_found", `the session has no earlier generation ${shortenKey(sessionId)}`, {
      operation,
      key,
      nextStep: "See which there are with store.generations(key) or `sessiondir generations KEY`.",
    });
  }
  const { sessionFile } = generation;
  const { set, unset } = privatizeFields({ sessionId, sessionFile }, context.backend.limits);
  return applyPatch(current.entry, set, unset);
}
