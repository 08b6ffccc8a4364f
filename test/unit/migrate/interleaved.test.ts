/** Several processes open one legacy store, interleaved at every port call, some of them killed on the way. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { SimulatedMachine } from "../../sim/machine.js";
import { SeededRandom } from "../../sim/random.js";
import { randomSchedule, type Schedule } from "../../sim/schedule.js";
import { type ProgramSpec, runInterleaved } from "../../sim/scheduler.js";
import {
  makeMachine,
  oldGateway,
  openBesideOldGateway,
  openBesideOldGatewayInEverySchedule,
  opener,
  openInEverySchedule,
  openTogether,
  originalsIn,
  sessionsIn,
} from "./interleaved-openings.js";
import { legacyPath, legacyText } from "./interleaved-programs.js";

test("two processes that open a legacy store, with a switch before any call, both see every session", async () => {
  const runs = await openInEverySchedule(1);
  assert.ok(runs > 40, `${runs} runs`);
});

test("of three processes that open a legacy store at random, one killed on the way, none loses a session", async () => {
  for (let seed = 1; seed <= 40; seed += 1) {
    const random = new SeededRandom(seed);
    const programs = [opener({ killAtCall: 1 + random.below(140), tear: random.chance(0.5) }), opener(), opener()];
    await openTogether(programs, randomSchedule(seed));
  }
});

test("what an old gateway writes during a take-over is in the store, in the file or in its backup", async () => {
  for (let seed = 1; seed <= 40; seed += 1)
    await openBesideOldGateway([opener(), oldGateway, opener()], randomSchedule(seed));
});

test("an opening beside an old gateway, with one switch before any call, keeps what that wrote last", async () => {
  const runs = await openBesideOldGatewayInEverySchedule(1);
  assert.ok(runs > 30, `${runs} runs`);
});

/** A store that is there, and a file that an old gateway wrote beside it. */
async function machineWithBoth(): Promise<SimulatedMachine> {
  const machine = makeMachine();
  await sessionsIn(machine);
  machine.writeFile(legacyPath, reappeared);
  return machine.fork();
}

const reappeared = '{"main":{"write":9,"updatedAt":1},"late":{"updatedAt":1}}';

async function mergeTogether(programs: readonly ProgramSpec[], schedule: Schedule) {
  const machine = await machineWithBoth();
  const result = await runInterleaved<string[], string>({ machine, programs, schedule });
  const where = `replay: ${result.replay}`;
  for (const outcome of result.outcomes) {
    if (outcome.status === "failed") assert.fail(`${where}: ${outcome.error.stack}`);
    if (outcome.status === "returned") assert.ok(outcome.value.includes("late"), `${where}: an opening merges first`);
  }
  const sessions = await sessionsIn(machine);
  for (const { event } of result.events) assert.deepEqual(sessions.get(event), { by: event }, where);
  assert.deepEqual(sessions.get("main"), { write: 9, updatedAt: 1 }, where);
  assert.deepEqual(sessions.get("late"), { updatedAt: 1 }, where);
  assert.ok(!machine.exists(legacyPath), where);
  assert.deepEqual(originalsIn(machine).sort(), [reappeared, legacyText(0)].sort(), where);
  const losers = Object.keys(machine.dump()).filter((name) => /\/trash\/.*session-/.test(name));
  assert.equal(losers.length, 1, `${where}: what was replaced is in the trash once: ${losers}`);
}

test("of three processes that find a legacy file beside the store, one killed on the way, it is merged once", async () => {
  for (let seed = 1; seed <= 25; seed += 1) {
    const random = new SeededRandom(seed);
    const programs = [opener({ killAtCall: 1 + random.below(140), tear: random.chance(0.5) }), opener(), opener()];
    await mergeTogether(programs, randomSchedule(seed));
  }
});
