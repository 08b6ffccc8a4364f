/** Starts the four worker processes, passes messages between them, and collects their results. */

import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Job, ToMain, ToWorker, WorkerResult } from "./messages.js";
import type { AgentStore } from "./state-directory.js";

export const subagentCount = 200;

/** What is going on in all processes together. */
export interface Activity {
  operations: number;
  announced: number;
  parentHolds: boolean;
}

export interface RunOptions {
  stores: AgentStore[];
  parent: Job["parent"];
  seconds: number;
  /** Ends the run early; results are collected all the same. */
  signal: AbortSignal;
  onActivity(activity: Activity, elapsedMs: number): void;
}

export async function runProcesses({
  stores,
  parent,
  seconds,
  signal,
  onActivity,
}: RunOptions): Promise<WorkerResult[]> {
  const common = { stores, parent, holdMs: Math.min(5_000, (seconds * 1_000) / 2) };
  const workers = [
    new Worker({ ...common, role: "inbound", name: "inbound 1", subagentCount: Math.ceil(subagentCount / 2) }),
    new Worker({ ...common, role: "inbound", name: "inbound 2", subagentCount: Math.floor(subagentCount / 2) }),
    new Worker({ ...common, role: "parent", name: "parent", subagentCount: 0 }),
    new Worker({ ...common, role: "reader", name: "reader", subagentCount: 0 }),
  ];
  const told = new Set<ToWorker["type"]>();
  const tellAll = (message: ToWorker) => {
    if (told.has(message.type)) return;
    told.add(message.type);
    for (const worker of workers) worker.tell(message);
  };
  const startedAt = performance.now();
  const watching = setInterval(() => {
    const activity = activityOf(workers);
    onActivity(activity, performance.now() - startedAt);
    if (workers.some((worker) => worker.parentHolds)) tellAll({ type: "parentHolds" });
    if (activity.announced >= subagentCount) tellAll({ type: "allAnnounced" });
    const timeIsUp = performance.now() - startedAt >= seconds * 1_000 && workers.some((worker) => worker.parentDone);
    if (timeIsUp || signal.aborted) tellAll({ type: "stop" });
  }, 100);
  try {
    return await Promise.all(workers.map((worker) => worker.result));
  } finally {
    clearInterval(watching);
    for (const worker of workers) worker.end();
  }
}

function activityOf(workers: readonly Worker[]): Activity {
  return {
    operations: workers.reduce((sum, worker) => sum + worker.operations, 0),
    announced: workers.reduce((sum, worker) => sum + worker.announced, 0),
    parentHolds: workers.some((worker) => worker.parentHolds && !worker.parentDone),
  };
}

class Worker {
  readonly result: Promise<WorkerResult>;
  operations = 0;
  announced = 0;
  parentHolds = false;
  parentDone = false;
  readonly #process: ChildProcess;

  constructor(job: Job) {
    // "advanced" lets Maps travel between the processes.
    this.#process = fork(fileURLToPath(new URL("./worker.js", import.meta.url)), { serialization: "advanced" });
    this.result = new Promise((resolve, reject) => {
      this.#process.on("message", (message: ToMain) => {
        if (message.type === "progress")
          Object.assign(this, { operations: message.operations, announced: message.announced });
        if (message.type === "parentHolds") this.parentHolds = true;
        if (message.type === "parentDone") this.parentDone = true;
        if (message.type === "result") resolve(message.result);
        if (message.type === "failed") reject(new Error(`the process "${job.name}" failed: ${message.message}`));
      });
      this.#process.on("error", reject);
      this.#process.on("exit", (code, signalName) => {
        reject(new Error(`the process "${job.name}" ended without a result (${signalName ?? `exit code ${code}`})`));
      });
    });
    this.tell({ type: "start", job });
  }

  tell(message: ToWorker): void {
    if (this.#process.connected) this.#process.send(message, () => {});
  }

  /** For the case that another process failed; one that has reported has ended already. */
  end(): void {
    if (this.#process.connected) this.#process.kill();
  }
}
