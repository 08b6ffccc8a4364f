/**
 * Openings of one legacy store at the same time, also beside an old gateway that writes it, and what must hold
 * afterwards, for any schedule.
 */

import assert from "node:assert/strict";
import { enumerateSchedules } from "../../sim/enumerate.js";
import { SimulatedMachine } from "../../sim/machine.js";
import type { Schedule } from "../../sim/schedule.js";
import { type InterleavedResult, type ProgramSpec, runInterleaved } from "../../sim/scheduler.js";
import { legacyPath, legacyText } from "./interleaved-programs.js";
import { locationOf, openAndReadAll } from "./support.js";

const module = new URL("./interleaved-programs.js", import.meta.url);
export const opener = (more: Partial<ProgramSpec> = {}): ProgramSpec => ({ module, export: "opener", ...more });

/** It replaces the file three times, knowing nothing of us. */
export const oldGateway: ProgramSpec = { module, export: "oldGateway", argument: { writes: 3 } };

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

/** What the old gateway wrote last is in the store or kept as a file, and what an opener was told is in the store. */
export async function openBesideOldGateway(programs: readonly ProgramSpec[], schedule: Schedule) {
  const machine = makeMachine();
  const result = await runInterleaved<string[], string>({ machine, programs, schedule });
  const where = `replay: ${result.replay}`;
  for (const outcome of result.outcomes) {
    if (outcome.status === "failed") assert.match(outcome.error.message, /keeps changing/, where);
  }
  const sessions = await sessionsIn(machine);
  const inStore = JSON.stringify({ main: sessions.get("main"), other: sessions.get("other") });
  const gateway = programs.indexOf(oldGateway);
  const last = result.events.findLast(({ process }) => process === gateway)?.event;
  assert.ok([inStore, ...originalsIn(machine)].includes(last as string), `${where}: ${last} is kept`);
  for (const { event, process } of result.events) {
    if (process !== gateway) assert.deepEqual(sessions.get(event), { by: event }, where);
  }
  return result;
}

/** Two openings, in every schedule of at most so many switches; says how many there were. */
export function openInEverySchedule(switchesMax: number): Promise<number> {
  return inEverySchedule((schedule) => openTogether([opener(), opener()], schedule), switchesMax);
}

/** The same for an opening beside an old gateway, whoever begins. */
export async function openBesideOldGatewayInEverySchedule(switchesMax: number): Promise<number> {
  let runs = 0;
  for (const programs of [
    [opener(), oldGateway],
    [oldGateway, opener()],
  ]) {
    runs += await inEverySchedule((schedule) => openBesideOldGateway(programs, schedule), switchesMax);
  }
  return runs;
}

async function inEverySchedule(
  run: (schedule: Schedule) => Promise<InterleavedResult>,
  switchesMax: number,
): Promise<number> {
  let runs = 0;
  for await (const _ of enumerateSchedules(run, { switchesMax })) runs += 1;
  return runs;
}
