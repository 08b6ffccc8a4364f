/**
 * F1-F3: a random workload, stopped at every port call - by the death of its process, in the middle of an append, by a
 * power loss with a random part of what was not synced - on disks that keep the order of names and on weak ones. Every
 * image is recovered by the library and compared with the model. A sample of the recoveries is itself stopped at every
 * call, and a sample is recovered twice, or worked on afterwards.
 *
 * The machine is copied, never replayed, and a checked store is left as if its process was killed: closing would write
 * a checkpoint, which costs more than the rest.
 */

import type { Backend } from "../../src/contract.js";
import { openBackend } from "../../src/open-backend.js";
import type { CheckedOpenOptions } from "../../src/open-options.js";
import { SimulatedMachine } from "../sim/machine.js";
import { SeededRandom } from "../sim/random.js";
import type { SimulatedProcess } from "../sim/simulated-process.js";
import { CrashModel, canonical, numberOf } from "./crash-model.js";
import { type CrashPlan, drawPlan, runCrashWorkload, sessionKeys, storeLocation } from "./crash-workload.js";
import { type CaseReport, type Figures, Harmed, noFigures, noteHarm } from "./figures.js";
import { type Image, MomentPort } from "./moments.js";

const problemsPerCaseMax = 3;
const powerLossesPerMoment = 5;
/** Of the images: those whose recovery is stopped everywhere, those recovered twice, those worked on. */
const cutRecoveries = 0.01;
const repeatedRecoveries = 0.1;
const workedOn = 0.01;

export async function runCrashCase(seed: number): Promise<CaseReport> {
  const figures = noFigures();
  const problems: string[] = [];
  const random = new SeededRandom(seed);
  const plan = drawPlan(random);
  const { machine, model } = makeMachine(random, seed);
  const images = await takeImages(machine, model, plan, random).catch((error) => {
    noteHarm(figures, problems, error);
    return [];
  });
  figures.acknowledgements = model.acknowledged;
  const judge = new Judge(model, plan.options, random, figures);
  for (const image of images) {
    try {
      await judge.judge(image);
    } catch (error) {
      noteHarm(figures, problems, withPlace(error, image));
      if (problems.length >= problemsPerCaseMax) break;
    }
  }
  return { figures, problems };
}

/** An empty directory, a legacy file to be taken over, or nothing but the directory above. */
function makeMachine(random: SeededRandom, seed: number): { machine: SimulatedMachine; model: CrashModel } {
  const machine = new SimulatedMachine({ seed, fileSystem: random.pick(["ordered", "weak"]) });
  machine.makeDirectory("/home/agent");
  if (random.chance(0.7)) return { machine, model: new CrashModel() };
  const legacy: Record<string, Record<string, unknown>> = Object.create(null);
  for (const key of sessionKeys) if (random.chance(0.6)) legacy[key] = { updatedAt: random.below(1_000), legacy: true };
  machine.writeFile(storeLocation, JSON.stringify(legacy));
  return { machine, model: new CrashModel(legacy) };
}

async function takeImages(
  machine: SimulatedMachine,
  model: CrashModel,
  plan: CrashPlan,
  random: SeededRandom,
): Promise<readonly Image[]> {
  const process = machine.process("worker");
  const port = new MomentPort(process, { random, floors: () => model.floors(), powerLossesPerMoment, label: "" });
  await settle(machine, process, () => runCrashWorkload(port, model, plan, random));
  port.lookOnceMore();
  if (plan.closesAtEnd) refuseLeaks(process);
  return port.images;
}

class Judge {
  readonly #model: CrashModel;
  readonly #options: CheckedOpenOptions;
  readonly #random: SeededRandom;
  readonly #figures: Figures;

  constructor(model: CrashModel, options: CheckedOpenOptions, random: SeededRandom, figures: Figures) {
    this.#model = model;
    this.#options = options;
    this.#random = random;
    this.#figures = figures;
  }

  async judge(image: Image): Promise<void> {
    const { machine, floor, begun } = image;
    this.#figures.states += 1;
    const cut = this.#random.chance(cutRecoveries) ? machine.fork() : undefined;
    const recovering = machine.process("recovery");
    const version = await settle(machine, recovering, async () => {
      return this.#readAndCompare(await openBackend(recovering, storeLocation, this.#options), floor, begun);
    });
    recovering.kill();
    if (this.#random.chance(repeatedRecoveries)) await this.#recoverAgain(machine, version);
    if (this.#random.chance(workedOn)) await this.#workOn(machine, version);
    if (cut !== undefined) await this.#cutRecovery(cut, image);
  }

  async #readAndCompare(backend: Backend, floor: number, begun: number): Promise<number> {
    const version = numberOf(await backend.cursor());
    const found = await backend.read(sessionKeys);
    this.#model.compare(found, version, floor, begun);
    return version;
  }

  /** Recovered twice is the same as recovered once, and a reader sees the same without recovering anything. */
  async #recoverAgain(machine: SimulatedMachine, version: number): Promise<void> {
    const again = machine.fork();
    const process = again.process("again");
    const options = { ...this.#options, readOnly: this.#random.chance(0.5) };
    await settle(again, process, async () => {
      const backend = await openBackend(process, storeLocation, options);
      await this.#readAndCompare(backend, version, version);
      const snapshot = await backend.scan();
      const found = new Map();
      for await (const { key, entry, version: token } of snapshot) found.set(key, { entry, version: token });
      this.#model.compare(found, version, version, version);
      for await (const finding of backend.check()) {
        if (finding.severity !== "error") continue;
        throw new Harmed("disagreements", `check after recovery: ${finding.code} ${finding.path} ${finding.message}`);
      }
      await backend.close();
    });
    refuseLeaks(process);
    if (again.misuses.length > 0) throw new Harmed("disagreements", again.misuses.join("; "));
  }

  /** Versions that are given out again must meet nothing that still bears them. */
  async #workOn(machine: SimulatedMachine, version: number): Promise<void> {
    const after = machine.fork();
    const process = after.process("going on");
    const expected = new Map([...this.#model.states[version]!].map(([key, { entry }]) => [key, { ...entry }]));
    await settle(after, process, async () => {
      const backend = await openBackend(process, storeLocation, this.#options);
      for (const key of sessionKeys) {
        const found = (await backend.read([key])).get(key);
        const entry = Object.freeze({ ...found?.entry, after: version });
        expected.set(key, entry);
        const set = Object.freeze({ after: version });
        await backend.commit({
          operations: [found ? { type: "patch", key, set, unset: [], entry } : { type: "put", key, entry }],
          expected: new Map([[key, found?.version ?? null]]),
        });
      }
      await backend.close();
    });
    const reader = after.process("reader");
    await settle(after, reader, async () => {
      const found = await (await openBackend(reader, storeLocation, this.#options)).read(sessionKeys);
      for (const [key, entry] of expected) {
        const there = found.get(key);
        if (there !== undefined && canonical(there.entry) === canonical(entry)) continue;
        throw new Harmed("lost", `${key} was changed after recovery, and is ${JSON.stringify(there)}`);
      }
    });
  }

  /** A crash in the recovery from a crash, at every call of it. */
  async #cutRecovery(machine: SimulatedMachine, { floor, durable, begun, where }: Image): Promise<void> {
    const process = machine.process("recovery that is cut");
    const floors = { kill: floor, powerLoss: durable, begun };
    const port = new MomentPort(process, {
      random: this.#random,
      floors: () => floors,
      powerLossesPerMoment: 3,
      label: `${where}, in recovery `,
    });
    await settle(machine, process, () => openBackend(port, storeLocation, this.#options));
    port.lookOnceMore();
    for (const image of port.images) {
      try {
        await this.judge(image);
      } catch (error) {
        throw withPlace(error, image);
      }
    }
  }
}

/** Runs work of one process to its end; that it never ends is a hang. */
async function settle<T>(machine: SimulatedMachine, process: SimulatedProcess, work: () => Promise<T>): Promise<T> {
  try {
    return await machine.settle(work());
  } catch (error) {
    if (!/never happens/.test((error as Error).message)) throw error;
    throw new Harmed("hangs", `${process.name}: ${(error as Error).message}`);
  }
}

function refuseLeaks(process: SimulatedProcess): void {
  const open = process.openHandles();
  if (open.length > 0) throw new Harmed("disagreements", `${process.name} left open: ${open.join(", ")}`);
}

function withPlace(error: unknown, { where }: Image): Harmed {
  if (error instanceof Harmed) return new Harmed(error.harm, `${where}: ${error.message}`, error.cause);
  return new Harmed("disagreements", `${where}: ${error}`, error);
}
