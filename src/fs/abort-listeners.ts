/**
 * One listener on a signal, however many calls wait for it: a gateway gives one shutdown signal to hundreds of updates,
 * and Node warns of a leak from the eleventh listener on.
 */

import { SessionStoreError } from "../errors.js";

interface Listeners {
  readonly all: Set<() => void>;
  /** What the signal calls. It asks for no `this`: not every signal calls its listeners with one. */
  readonly callAll: () => void;
}

const waiting = new WeakMap<AbortSignal, Listeners>();

/** Calls `listener` when the signal is aborted; the returned function lets go of it. */
export function onAborted(signal: AbortSignal, listener: () => void): () => void {
  const { all, callAll } = listenersOf(signal);
  if (all.size === 0) signal.addEventListener("abort", callAll);
  all.add(listener);
  return () => {
    if (all.delete(listener) && all.size === 0) signal.removeEventListener("abort", callAll);
  };
}

function listenersOf(signal: AbortSignal): Listeners {
  const known = waiting.get(signal);
  if (known !== undefined) return known;
  const all = new Set<() => void>();
  const made = {
    all,
    callAll: () => {
      for (const listener of [...all]) listener();
    },
  };
  waiting.set(signal, made);
  return made;
}

interface Pending {
  readonly resolve: (result: never) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * A commit in a queue that its signal takes out of it: `remove` does so, and says whether it was still there; one that
 * was begun is not withdrawn. The signal is let go when the commit is settled.
 */
export function withdrawnOnAbort<Commit extends Pending>(
  commit: Commit,
  signal: AbortSignal,
  remove: (commit: Commit) => boolean,
): Commit {
  const guarded: Commit = {
    ...commit,
    resolve: (result: never) => {
      letGo();
      commit.resolve(result);
    },
    reject: (error: unknown) => {
      letGo();
      commit.reject(error);
    },
  };
  const letGo = onAborted(signal, () => {
    if (remove(guarded)) guarded.reject(abortedError(signal));
  });
  return guarded;
}

export function abortedError(signal: AbortSignal): SessionStoreError {
  return new SessionStoreError("aborted", "the signal was aborted before the commit", {
    operation: "commit",
    onDisk: "Nothing of this commit was written.",
    cause: signal.reason,
  });
}
