/**
 * Role: inbound messages. Each message changes one session: a counter, tokens, the time and the route of the reply -
 * what a gateway does for every message it gets. Several are in flight at once, as from several channels.
 */

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Frozen, SessionEntry, SessionStore } from "sessiondir";
import type { WorkerContext } from "./worker.js";

const inFlight = 8;

export async function deliverMessages(context: WorkerContext): Promise<void> {
  const sessions = await listAllSessions(context.stores);
  const deliveries = Array.from({ length: inFlight }, async () => {
    while (!context.stopped.aborted) {
      const { store, key } = sessions[Math.floor(Math.random() * sessions.length)]!;
      await deliverMessage(context, store, key);
      // Messages come in bursts; without a breath this would measure the processors only.
      await sleep(Math.random() * 4);
    }
  });
  await Promise.all([...deliveries, startSubagents(context)]);
}

async function deliverMessage(context: WorkerContext, store: SessionStore, key: string): Promise<void> {
  await context.latencies.measure("update (inbound message)", () =>
    store.update(key, withMessage, { actor: "gateway" }),
  );
  // Only what was acknowledged counts; the main process compares these numbers with the store at the end.
  context.result.acknowledged.set(key, (context.result.acknowledged.get(key) ?? 0) + 1);
}

/** May run again when another process changed the session meanwhile, so it only computes. */
function withMessage(current: Frozen<SessionEntry> | undefined): SessionEntry {
  const tokens = 200 + Math.floor(Math.random() * 800);
  const channel = current?.channel ?? "webchat";
  return {
    sessionId: randomUUID(),
    ...current,
    updatedAt: Date.now(),
    lastChannel: channel,
    inputTokens: (current?.inputTokens ?? 0) + tokens,
    totalTokens: (current?.totalTokens ?? 0) + tokens,
    demoMessages: Number(current?.demoMessages ?? 0) + 1,
  };
}

/** While the parent session holds its update open, sub-agents are created and each announces itself to the parent. */
async function startSubagents(context: WorkerContext): Promise<void> {
  const { agent, key: parentKey } = context.job.parent;
  const store = context.stores.get(agent)!;
  await Promise.race([context.parentHolds, aborted(context.stopped)]);
  for (let index = 0; index < context.job.subagentCount && !context.stopped.aborted; index++) {
    const key = `agent:${agent}:subagent:${randomUUID()}`;
    await context.latencies.measure("transaction (sub-agent announces)", () => announce(store, parentKey, key));
    context.result.subagents.push(key);
    await sleep(15);
  }
}

/** Both or neither: the new session, and the parent's count of it. */
async function announce(store: SessionStore, parentKey: string, key: string): Promise<void> {
  await store.transaction(async (transaction) => {
    const parent = await transaction.get(parentKey);
    const now = Date.now();
    transaction.set(key, {
      sessionId: randomUUID(),
      updatedAt: now,
      spawnedBy: parentKey,
      spawnDepth: 1,
      status: "running",
    });
    await transaction.patch(parentKey, { updatedAt: now, demoAnnounced: Number(parent?.demoAnnounced ?? 0) + 1 });
  });
}

async function listAllSessions(stores: Map<string, SessionStore>): Promise<{ store: SessionStore; key: string }[]> {
  const all: { store: SessionStore; key: string }[] = [];
  for (const store of stores.values()) {
    let cursor: string | undefined;
    do {
      const page = await store.list({ order: "key", limit: 1_000, ...(cursor === undefined ? {} : { cursor }) });
      all.push(...page.sessions.map(({ key }) => ({ store, key })));
      cursor = page.nextCursor;
    } while (cursor !== undefined);
  }
  return all;
}

export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
