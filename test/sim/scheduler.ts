/**
 * Runs several programs as processes of one simulated machine, truly interleaved: each in a worker of its own that is
 * blocked at every port call until the schedule lets it make that call. Only one of them runs at any time.
 *
 *     const result = await runInterleaved({
 *       machine,
 *       programs: [{ module: new URL("./programs.js", import.meta.url), export: "writer", argument: { rounds: 3 } }, ...],
 *       schedule: randomSchedule(seed),
 *     });
 *
 * Promises: the same machine, programs and schedule give the same steps, events and outcomes. It relies on programs that
 * wait for nothing but their port (and imports), and that keep no state in module variables.
 *
 * The thread of the caller is blocked while the programs run.
 */

import { deserialize, serialize } from "node:v8";
import { endOfProcess, type Footprint, footprintOf } from "./footprint.js";
import type { SimulatedMachine } from "./machine.js";
import { callRemotely, pathOf, privateMethods, type RemoteState, remoteHandle } from "./remote-calls.js";
import { nobody, type PendingCall, type Schedule, type Switch, withoutInterruption } from "./schedule.js";
import type { ProcessOptions } from "./simulated-process.js";
import { ProcessKilled, SystemError } from "./system-error.js";
import { Trace } from "./trace.js";
import type { WorkerOutcome } from "./worker-main.js";
import { discardWorker, giveBackWorkers, type PooledWorker, takeWorkers } from "./worker-pool.js";
import type { Answer } from "./worker-port.js";

export interface ProgramSpec {
  readonly module: URL;
  /** The name of an exported `Program` (worker-main.ts). */
  readonly export: string;
  /** Anything that structured clone takes. */
  readonly argument?: unknown;
  /** The name of the process; default "p0", "p1" ... */
  readonly name?: string;
  /** Kill the process at its N-th port call, counted from 1; that call has no effect. */
  readonly killAtCall?: number;
  /** If that call is an append, let a part of it be written. */
  readonly tear?: boolean;
  readonly process?: ProcessOptions;
}

export interface Step {
  readonly process: number;
  readonly method: string;
  /** What the call acts on, for people. */
  readonly path: string;
  /** Who could have run instead. */
  readonly others: readonly number[];
  /** False for steps that only concern the process itself (its clock, its random numbers). */
  readonly isShared: boolean;
  /** What had happened before, the same for runs that differ only in the order of calls that commute. */
  readonly before: string;
  readonly footprint: Footprint;
}

export interface RecordedEvent<Event = unknown> {
  readonly step: number;
  readonly process: number;
  readonly event: Event;
}

export interface InterleavedOptions {
  readonly machine: SimulatedMachine;
  readonly programs: readonly ProgramSpec[];
  readonly schedule: Schedule;
  /** Called after each step, with what was recorded so far. "stop" kills all processes, as a power cut would. */
  readonly afterStep?: (step: Step, number: number, events: readonly RecordedEvent[]) => "stop" | undefined;
  /** More steps than that mean that nobody gets on. */
  readonly stepsMax?: number;
  /** Real milliseconds that a program may compute between two port calls. */
  readonly hangMs?: number;
}

export interface InterleavedResult<Value = unknown, Event = unknown> {
  readonly outcomes: readonly (
    | { readonly status: "returned"; readonly value: Value }
    | Exclude<WorkerOutcome, { status: "returned" }>
  )[];
  readonly events: readonly RecordedEvent<Event>[];
  readonly steps: readonly Step[];
  /** The schedule as one line, for `scheduleFromText`. */
  readonly replay: string;
  /** The same run as a list of switches. */
  readonly switches: readonly Switch[];
  /** Descriptors that were still open when their program ended. */
  readonly leftOpen: readonly string[];
}

export async function runInterleaved<Value = unknown, Event = unknown>(
  options: InterleavedOptions,
): Promise<InterleavedResult<Value, Event>> {
  const workers = await takeWorkers(options.programs.length);
  const run = new InterleavedRun(options, workers);
  try {
    run.play();
  } catch (error) {
    for (const worker of workers) discardWorker(worker);
    const text = error instanceof Error ? error.message : String(error);
    throw new Error(`${text}\nreplay: ${options.schedule.text} (machine seed ${options.machine.options.seed})`, {
      cause: error,
    });
  }
  giveBackWorkers(workers);
  return run.result() as InterleavedResult<Value, Event>;
}

/** Turns of its event loop that a program may take while it waits for something that is not its port. */
const strayTurnsMax = 1000;

interface Question extends PendingCall {
  readonly parameters: readonly unknown[];
  readonly bytes: Uint8Array;
}

/** One program in its worker. */
interface Slot extends RemoteState {
  readonly index: number;
  readonly channel: PooledWorker["channel"];
  /** What it asks; undefined when it has ended. */
  question: Question | undefined;
  napEnded: boolean | undefined;
  strayTurns: number;
  outcome: WorkerOutcome | undefined;
}

class InterleavedRun {
  readonly #options: InterleavedOptions;
  readonly #slots: Slot[];
  readonly #steps: Step[] = [];
  readonly #events: RecordedEvent[] = [];
  readonly #switches: Switch[] = [];
  readonly #leftOpen: string[] = [];
  readonly #trace: Trace;

  constructor(options: InterleavedOptions, workers: readonly PooledWorker[]) {
    this.#options = options;
    this.#trace = new Trace(options.programs.length);
    this.#slots = options.programs.map((program, index): Slot => {
      const process = options.machine.process(program.name ?? `p${index}`, program.process);
      if (program.killAtCall !== undefined) process.crashAfter(program.killAtCall, { tear: program.tear ?? false });
      return {
        index,
        process,
        channel: workers[index]!.channel,
        question: undefined,
        napEnded: undefined,
        completions: [],
        timers: new Map(),
        handles: new Map<number, never>(),
        nextHandle: 1,
        strayTurns: 0,
        outcome: undefined,
      };
    });
  }

  play(): void {
    const { schedule, stepsMax = 1_000_000 } = this.#options;
    for (const slot of this.#slots) this.#begin(slot);
    const choose = schedule.begin();
    let current = -1;
    for (;;) {
      this.#runDueEvents();
      for (const slot of this.#slots)
        if (slot.process.isKilled && slot.question) this.#answer(slot, { status: "killed" });
      const living = this.#slots.filter((slot) => slot.question !== undefined);
      if (living.length === 0) return;
      const runnable = living.filter(canRun).map((slot) => slot.index);
      if (runnable.length === 0) {
        this.#letTimePass();
        continue;
      }
      const step = this.#steps.length;
      if (step >= stepsMax) throw new Error(`no end after ${step} steps:\n${this.#lastSteps()}`);
      const currentWaits = isWaiting(this.#slots[current]?.question);
      const pending = (process: number) => this.#slots[process]?.question;
      const { events } = this.#options.machine;
      const wakeable = living
        .filter((slot) => !canRun(slot) && events.keepsAlive(slot.process))
        .map(({ index }) => index);
      const decision = { step, current, runnable, wakeable, currentWaits, pending };
      const chosen = choose(decision);
      if (chosen === nobody) {
        this.#letTimePass();
        continue;
      }
      const slot = this.#slots[chosen]!;
      while (!canRun(slot)) events.takeOf(slot.process)!.run();
      if (chosen !== withoutInterruption(decision)) this.#switches.push([step, chosen]);
      current = chosen;
      this.#step(slot, runnable, wakeable);
    }
  }

  result(): InterleavedResult {
    return {
      outcomes: this.#slots.map((slot) => slot.outcome!),
      events: this.#events,
      steps: this.#steps,
      replay: this.#options.schedule.text,
      switches: this.#switches,
      leftOpen: this.#leftOpen,
    };
  }

  #begin(slot: Slot): void {
    const program = this.#options.programs[slot.index]!;
    const { process } = slot;
    slot.question = this.#receive(slot);
    const facts = { name: process.name, processId: process.processId, userId: process.userId ?? null };
    const job = { ...facts, lockFamily: process.lockFamily, module: program.module.href, export: program.export };
    slot.channel.answer(job, serialize(program.argument));
    this.#listen(slot);
  }

  /** Makes the call that the process asks for, and lets it run to its next call. */
  #step(slot: Slot, runnable: readonly number[], wakeable: readonly number[]): void {
    const question = slot.question!;
    const { method, path, parameters } = question;
    const footprint = footprintOf(slot, method, parameters);
    const step: Step = {
      process: slot.index,
      method,
      path,
      others: [...runnable, ...wakeable].filter((index) => index !== slot.index),
      isShared: !privateMethods.has(method),
      before: `${this.#trace.text} ${runnable}/${wakeable}`,
      footprint,
    };
    this.#steps.push(step);
    this.#trace.add(slot.index, `${method} ${path}`, footprint);
    const call = this.#execute(slot, question);
    if (call !== undefined) this.#answer(slot, call.answer, call.bytes);
    const number = this.#steps.length - 1;
    if (this.#options.afterStep?.(step, number, this.#events) === "stop") {
      for (const { process } of this.#slots) process.kill();
    }
  }

  /** Undefined when there is no answer yet. */
  #execute(slot: Slot, question: Question): { answer: Answer; bytes?: Uint8Array } | undefined {
    const { process } = slot;
    const { method, parameters, bytes } = question;
    try {
      switch (method) {
        case "wait": {
          const id = slot.completions.shift();
          slot.strayTurns = id === undefined ? slot.strayTurns + 1 : 0;
          if (slot.strayTurns > strayTurnsMax) {
            throw new Error(`${process.name} waits for something that is not its port`);
          }
          return { answer: { status: "ok", value: id ?? 0 } };
        }
        case "nap":
          if (slot.napEnded) {
            slot.napEnded = undefined;
            return { answer: { status: "ok" } };
          }
          slot.napEnded = false;
          process.beginNap(parameters[0] as number, () => {
            slot.napEnded = true;
          });
          return undefined;
        case "read": {
          const buffer = new Uint8Array(parameters[1] as number);
          const count = process.read(remoteHandle(slot, parameters[0]), buffer, parameters[2] as number);
          return { answer: { status: "ok" }, bytes: buffer.subarray(0, count) };
        }
        case "randomBytes":
          return { answer: { status: "ok" }, bytes: process.randomBytes(parameters[0] as number) };
        case "record":
          this.#events.push({
            step: this.#steps.length - 1,
            process: slot.index,
            event: deserialize(Buffer.from(bytes)),
          });
          return { answer: { status: "ok" } };
        default:
          return { answer: { status: "ok", value: callRemotely(slot, method, parameters, bytes) } };
      }
    } catch (error) {
      if (error instanceof ProcessKilled) return { answer: { status: "killed" } };
      if (!(error instanceof SystemError)) throw error;
      const { code, syscall, where } = error;
      return { answer: { status: "error", code, syscall, where } };
    }
  }

  #answer(slot: Slot, answer: Answer, bytes?: Uint8Array): void {
    slot.channel.answer(answer, bytes);
    this.#listen(slot);
  }

  /** Waits until the program asks something or has ended. */
  #listen(slot: Slot): void {
    slot.question = this.#receive(slot);
    if (slot.question.method !== "nextProgram") return;
    slot.outcome = deserialize(Buffer.from(slot.question.bytes)) as WorkerOutcome;
    slot.question = undefined;
    this.#leftOpen.push(...slot.process.openHandles().map((path) => `${slot.process.name}: ${path}`));
    slot.process.kill();
    this.#trace.add(slot.index, "end", endOfProcess);
  }

  #receive(slot: Slot): Question {
    const { hangMs = 30_000 } = this.#options;
    const message = slot.channel.receive(hangMs);
    if (message === undefined) throw new Error(`${slot.process.name} made no port call for ${hangMs} ms`);
    const [method, ...parameters] = message.json as [string, ...unknown[]];
    return { method, path: pathOf(slot, method, parameters), parameters, bytes: message.bytes };
  }

  #letTimePass(): void {
    const event = this.#options.machine.events.take();
    if (event === undefined) {
      throw new Error(`deadlock: who may run waits for something that never happens:\n${this.#lastSteps()}`);
    }
    event.run();
  }

  #runDueEvents(): void {
    const { events } = this.#options.machine;
    for (let event = events.take(events.nowMicros); event !== undefined; event = events.take(events.nowMicros)) {
      event.run();
    }
  }

  #lastSteps(): string {
    return describeSteps(this.#steps.slice(-20));
  }
}

/** The steps as lines, for messages and for comparing two runs. */
export function describeSteps(steps: readonly Step[]): string {
  return steps.map((step) => `${step.process} ${step.method} ${step.path}`.trim()).join("\n");
}

function isWaiting(question: Question | undefined): boolean {
  return question === undefined || question.method === "wait" || question.method === "nap";
}

function canRun(slot: Slot): boolean {
  const { question } = slot;
  if (question?.method === "nap") return slot.napEnded !== false;
  if (question?.method !== "wait") return true;
  // With nothing begun, the program waits for something outside its port: let its event loop turn.
  return slot.completions.length > 0 || question.parameters[0] === 0;
}
