/** Openings of one legacy store at the same time, and what must hold afterwards, for any schedule. */

import assert from "node:assert/strict";
import { SimulatedMachine } from "../../sim/machine.js";
import type { Schedule } from "../../sim/schedule.js";
import { enumerateSchedules, type ProgramSpec, runInterleaved, type Step } from "../../sim/scheduler.js";
import { legacyPath, legacyText } from "./interleaved-programs.js";
import { locationOf, openAndReadAll } from "./support.js";

export const module = new URL("./interleaved-programs.js", import.meta.url);
export const opener = (more: Partial<ProgramSpec> = {}): ProgramSpec => ({ module, export: "opener", ...more });

export function makeMachine(): SimulatedMachine {
  const machine = new SimulatedMachine({ seed: 2 });
  machine.makeDirectory("/home/agent");
  machine.writeFile(legacyPath, legacyText(0));
  return machine;
}

export async function sessionsIn(machine: SimulatedMachine): Promise<Map<string, unknown>> {
  const outcome = await machine.process("last").run((port) => openAndReadAll(port, locationOf(legacyPath)));
  if (outcome.status === "failed") throw outcome.error;
  assert.ok(outcome.status === "returned");
  return outcome.value;
}

/** The legacy file and everything that was renamed aside. */
export function originalsIn(machine: SimulatedMachine): string[] {
  const names = Object.keys(machine.dump()).filter((name) => /\/sessions\.json(\.bak\.\d+)?$/.test(name));
  return names.map((name) => machine.readText(name));
}

export async function openTogether(programs: readonly ProgramSpec[], schedule: Schedule) {
  const machine = makeMachine();
  const result = await runInterleaved<string[], string>({ machine, programs, schedule });
  const where = `replay: ${result.replay}`;
  for (const [index, outcome] of result.outcomes.entries()) {
    if (outcome.status === "failed") assert.fail(`${where}: ${outcome.error.stack}`);
    if (outcome.status !== "returned") continue;
    for (const key of ["main", "other", `p${index}`]) assert.ok(outcome.value.includes(key), `${where}: sees ${key}`);
  }
  const sessions = await sessionsIn(machine);
  for (const { event } of result.events) assert.deepEqual(sessions.get(event), { by: event }, where);
  assert.deepEqual(sessions.get("main"), { write: 0 }, where);
  assert.deepEqual(originalsIn(machine), [legacyText(0)], where);
  assert.ok(!machine.exists(legacyPath), where);
  return result;
}

/** Where it matters who comes first: looks at names, changes of names, locks. */
const decisive = ["rename", "statName", "tryLock", "unlock", "openDirectory", "makeDirectory"];

/** Two openings, in every schedule of at most so many switches where they matter; says how many there were. */
export async function openInEverySchedule(
  switchesMax: number,
  isChosen: (step: Step, number: number, result: { replay: string }) => boolean = () => true,
): Promise<number> {
  let runs = 0;
  const run = (schedule: Schedule) => openTogether([opener(), opener()], schedule);
  const isPoint: typeof isChosen = (step, number, result) =>
    decisive.includes(step.method) && isChosen(step, number, result);
  for await (const _ of enumerateSchedules(run, switchesMax, isPoint)) runs += 1;
  return runs;
}
