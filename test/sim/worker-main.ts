/**
 * What runs in a worker of the interleaving scheduler: it takes programs from the coordinator, one after another, and
 * runs each as one simulated process.
 *
 * Whenever the program has run as far as it can, the worker blocks and asks for the next completion; so it is always
 * either running or blocked in a question, and the coordinator knows which. What a killed program leaves behind (its
 * port throws, or never answers) is left to the garbage collector.
 */

import "./loaded-modules.js";
import { deserialize, serialize } from "node:v8";
import { parentPort, workerData } from "node:worker_threads";
import type { File, Port } from "../../src/fs/port.js";
import { WorkerEnd } from "./channel.js";
import { ProcessKilled } from "./system-error.js";
import { idOf, type ProcessFacts, WorkerPort } from "./worker-port.js";

/** What a program may do besides using its port. */
export interface ProgramContext {
  /** The name of the simulated process. */
  readonly name: string;
  /** Tells the test that something happened, in the order of the schedule: an acknowledgement, a read. */
  record(event: unknown): void;
  /** For failing ports: see `SimulatedProcess.loseWrites`. */
  loseWrites(file: File): void;
}

// biome-ignore lint/suspicious/noExplicitAny: each program knows its own argument and result.
export type Program = (port: Port, argument: any, context: ProgramContext) => any;

/** How a program ended, as the worker reports it. */
export type WorkerOutcome =
  | { readonly status: "returned"; readonly value: unknown }
  | { readonly status: "failed"; readonly error: ErrorFacts }
  | { readonly status: "killed" };

export interface ErrorFacts {
  readonly name: string;
  readonly message: string;
  readonly code?: string;
  readonly stack?: string;
}

interface Job extends ProcessFacts {
  readonly module: string;
  readonly export: string;
}

let reportStray: (error: unknown) => void = () => {};
process.on("uncaughtException", (error) => reportStray(error));
process.on("unhandledRejection", (error) => reportStray(error));

const channel = new WorkerEnd(workerData as SharedArrayBuffer);
parentPort!.postMessage("ready");
let outcome: WorkerOutcome | undefined;
for (;;) {
  const message = channel.call(["nextProgram"], serialize(outcome));
  outcome = await runProgram(message.json as Job, deserialize(Buffer.from(message.bytes)));
}

async function runProgram(job: Job, argument: unknown): Promise<WorkerOutcome> {
  const port = new WorkerPort(channel, job);
  let ended: WorkerOutcome | undefined;
  const end = (result: WorkerOutcome) => {
    ended ??= result;
  };
  reportStray = (error) => {
    if (!(error instanceof ProcessKilled)) end({ status: "failed", error: factsOf(error) });
  };
  try {
    const program = ((await import(job.module)) as Record<string, Program | undefined>)[job.export];
    if (program === undefined) throw new Error(`${job.module} exports no ${job.export}`);
    port.ask("start", []);
    void (async () => program(port, argument, contextOf(port, job.name)))().then(
      (value) => end({ status: "returned", value }),
      (error) => end({ status: "failed", error: factsOf(error) }),
    );
    for (;;) {
      await letPromisesRun();
      if (port.isKilled || ended !== undefined) break;
      port.awaitCompletion();
    }
  } catch (error) {
    end({ status: "failed", error: factsOf(error) });
  }
  return port.isKilled ? { status: "killed" } : ended!;
}

function contextOf(port: WorkerPort, name: string): ProgramContext {
  return {
    name,
    record: (event) => {
      port.ask("record", [], serialize(event));
    },
    loseWrites: (file) => {
      port.ask("loseWrites", [idOf(file)]);
    },
  };
}

function factsOf(error: unknown): ErrorFacts {
  if (!(error instanceof Error)) return { name: "thrown", message: String(error) };
  const { name, message, stack } = error;
  const code = (error as { code?: unknown }).code;
  return { name, message, ...(stack && { stack }), ...(typeof code === "string" && { code }) };
}

function letPromisesRun(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
