/**
 * Role: everything that looks - a dashboard with its lists, a command reading one session, a watcher. It checks what it
 * sees: the message counter of a session never goes back, neither in reads nor in the change feed.
 */

import { setTimeout as sleep } from "node:timers/promises";
import type { Frozen, SessionEntry, SessionStore } from "sessiondir";
import type { WorkerContext } from "./worker.js";

export async function readAndWatch(context: WorkerContext): Promise<void> {
  const watchers = [...context.stores.values()].map((store) => watch(context, store));
  const stores = [...context.stores.values()];
  const seen = new Map<string, number>();
  for (let round = 0; !context.stopped.aborted; round++) {
    const store = stores[round % stores.length]!;
    const { sessions } = await context.latencies.measure("list (50 newest sessions)", () => store.list({ limit: 50 }));
    for (const { key } of sessions.slice(0, 10)) {
      const entry = await context.latencies.measure("get", () => store.get(key));
      if (entry !== undefined) checkOrder(context, seen, key, entry, "read");
    }
    await sleep(5);
  }
  const changes = (await Promise.all(watchers)).reduce((sum, count) => sum + count, 0);
  context.result.notes.push(`The watcher saw ${changes.toLocaleString("en-US")} changes of other processes, in order.`);
}

async function watch(context: WorkerContext, store: SessionStore): Promise<number> {
  const seen = new Map<string, number>();
  let changes = 0;
  for await (const change of store.watch({ signal: context.stopped })) {
    changes += 1;
    if (change.type === "put") checkOrder(context, seen, change.key, change.entry, "watched");
    if (change.type === "reset") seen.clear();
  }
  return changes;
}

function checkOrder(
  context: WorkerContext,
  seen: Map<string, number>,
  key: string,
  entry: Frozen<SessionEntry>,
  how: string,
): void {
  const messages = Number(entry.demoMessages ?? 0);
  const before = seen.get(key) ?? 0;
  if (messages < before) context.result.problems.push(`${how} ${key}: message ${messages} after message ${before}`);
  seen.set(key, messages);
}
