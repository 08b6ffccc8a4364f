/**
 * One process of the gateway. It opens the stores by itself, as any process may, plays its role until it is told to
 * stop, and then reports what was acknowledged to it and how long it took.
 */

import { openSessionStore, type SessionStore } from "sessiondir";
import { deliverMessages } from "./inbound.js";
import { Latencies } from "./latencies.js";
import type { Job, Role, ToMain, ToWorker, WorkerResult } from "./messages.js";
import { holdUpdateOpen } from "./parent.js";
import { readAndWatch } from "./reader.js";

/** What a role works with. */
export interface WorkerContext {
  job: Job;
  /** Agent -> its store. */
  stores: Map<string, SessionStore>;
  latencies: Latencies;
  result: WorkerResult;
  stopped: AbortSignal;
  parentHolds: Promise<void>;
  allAnnounced: Promise<void>;
  send(message: ToMain): Promise<void>;
}

const roles: Record<Role, (context: WorkerContext) => Promise<void>> = {
  inbound: deliverMessages,
  parent: holdUpdateOpen,
  reader: readAndWatch,
};

const stop = new AbortController();
const parentHolds = createGate();
const allAnnounced = createGate();

process.on("message", (message: ToWorker) => {
  if (message.type === "start") void work(message.job);
  if (message.type === "parentHolds") parentHolds.open();
  if (message.type === "allAnnounced") allAnnounced.open();
  if (message.type === "stop") stop.abort();
});
// Ctrl-C reaches every process of the terminal; the main process decides and tells us to stop.
process.on("SIGINT", () => {});
process.on("disconnect", () => stop.abort());

async function work(job: Job): Promise<void> {
  const latencies = new Latencies();
  const context: WorkerContext = {
    job,
    stores: new Map(),
    latencies,
    result: { latencies: latencies.table, acknowledged: new Map(), subagents: [], notes: [], problems: [] },
    stopped: stop.signal,
    parentHolds: parentHolds.opened,
    allAnnounced: allAnnounced.opened,
    send,
  };
  const reporting = setInterval(() => {
    void send({ type: "progress", operations: latencies.count, announced: context.result.subagents.length });
  }, 200);
  try {
    for (const { agent, location } of job.stores) context.stores.set(agent, await openSessionStore(location));
    await send({ type: "ready" });
    await roles[job.role](context);
    for (const store of context.stores.values()) await store.close();
    await send({ type: "result", result: context.result });
  } catch (error) {
    await send({ type: "failed", message: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  } finally {
    clearInterval(reporting);
    process.disconnect?.();
  }
}

/** Resolves when the message has left this process. */
function send(message: ToMain): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined || !process.connected) resolve();
    else process.send(message, undefined, undefined, () => resolve());
  });
}

/** A promise that a later message opens. */
function createGate(): { opened: Promise<void>; open: () => void } {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}
