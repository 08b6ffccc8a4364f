/**
 * Workers for interleaved runs, kept between runs because starting one costs about 30 ms. Modules that programs import
 * stay loaded in them, so programs must not keep state in module variables.
 */

import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { CoordinatorEnd, makeChannelMemory } from "./channel.js";

export interface PooledWorker {
  readonly worker: Worker;
  readonly channel: CoordinatorEnd;
}

const idle: PooledWorker[] = [];

export async function takeWorkers(count: number): Promise<PooledWorker[]> {
  const taken = idle.splice(0, count);
  const missing = Array.from({ length: count - taken.length }, startWorker);
  return [...taken, ...(await Promise.all(missing))];
}

/** Only a worker that asked for its next program may come back. */
export function giveBackWorkers(workers: readonly PooledWorker[]): void {
  idle.push(...workers);
}

export function discardWorker({ worker }: PooledWorker): void {
  void worker.terminate();
}

async function startWorker(): Promise<PooledWorker> {
  const memory = makeChannelMemory();
  const worker = new Worker(new URL("./worker-main.js", import.meta.url), { workerData: memory });
  await once(worker, "message");
  // The process may end while workers wait for programs.
  worker.unref();
  return { worker, channel: new CoordinatorEnd(memory) };
}
