/**
 * Watching at the level of the store: when it begins, how it ends - by its signal, by `return` of the iterator, by
 * `close` - and what a change looks like in public.
 */

import type { Frozen, SessionChange, WatchOptions } from "./api.js";
import type { BackendChange, Cursor } from "./contract.js";
import { translateIfOfSystem, translatingSystemErrors } from "./errors.js";
import type { StoreContext } from "./store-context.js";
import { checkMethodOptions } from "./store-options.js";

export function watchStore<Entry>(
  context: StoreContext,
  options: WatchOptions,
): AsyncIterableIterator<SessionChange<Entry>> {
  // "From now on" is from this call on, not from the first `next`.
  const start = startOfWatch(context, options);
  start.catch(() => {});
  const ended = new AbortController();
  const iterator = watchFrom<Entry>(context, start, options, ended);
  const end = iterator.return.bind(iterator);
  // A generator that waits for a change takes notice of `return` only after it; end the wait.
  iterator.return = (value) => {
    ended.abort();
    return end(value);
  };
  return iterator;
}

async function startOfWatch({ backend, lifetime }: StoreContext, options: WatchOptions): Promise<Cursor> {
  lifetime.requireOpen("watch");
  checkMethodOptions("watch", options);
  if (options.since !== undefined) return options.since;
  return translatingSystemErrors({ operation: "watch", path: backend.location }, () => backend.cursor());
}

async function* watchFrom<Entry>(
  { backend, lifetime }: StoreContext,
  start: Promise<Cursor>,
  options: WatchOptions,
  ended: AbortController,
): AsyncGenerator<SessionChange<Entry>, void> {
  const since = await start;
  if (lifetime.closed) return;
  const stop = () => ended.abort();
  options.signal?.addEventListener("abort", stop);
  if (options.signal?.aborted) stop();
  try {
    for await (const change of backend.changes(since, { signal: ended.signal })) {
      if (ended.signal.aborted || lifetime.closed) return;
      yield publicChange<Entry>(change);
    }
  } catch (error) {
    throw translateIfOfSystem(error, { operation: "watch", path: backend.location });
  } finally {
    options.signal?.removeEventListener("abort", stop);
    stop();
  }
}

function publicChange<Entry>(change: BackendChange): SessionChange<Entry> {
  if (change.type === "reset") return { type: "reset", cursor: change.cursor };
  const { key, version, commitId, timeMs, actor, reason, cursor } = change;
  const common = {
    key,
    version,
    commitId,
    time: timeMs,
    ...(actor === undefined ? {} : { actor }),
    ...(reason === undefined ? {} : { reason }),
    cursor,
  };
  return change.type === "remove"
    ? { type: "remove", ...common }
    : { type: "put", ...common, entry: change.entry as Frozen<Entry> };
}
