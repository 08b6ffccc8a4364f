/**
 * Processes that are truly interleaved, at every port call: pairs with every schedule of one context switch and a sample
 * of those with two, and random walks of two and three processes with deaths and power losses. `npm run interleavings`
 * runs all schedules of up to three.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { SimulatedMachine } from "../sim/machine.js";
import { SeededRandom } from "../sim/random.js";
import { randomSchedule } from "../sim/schedule.js";
import { type RecordedEvent, runInterleaved } from "../sim/scheduler.js";
import { assertHistory } from "./history.js";
import { judge, pairs, runPair } from "./pairs.js";
import type { HistoryEvent } from "./programs.js";
import { drawProgram } from "./random-programs.js";
import { makeMachine } from "./simulated-store.js";

for (const pair of pairs) {
  // Fails, one pair or another, without the lines that the tests of P1 to P15 name.
  test(`every schedule of one context switch, and a sample of two: ${pair.name}`, async () => {
    const runs = await runPair(pair, 2, 50);
    assert.ok(runs > 60, `only ${runs} schedules`);
  });
}

const walks = 40;

// Fails, one seed or another, without the lines that the tests of P1 to P15 name.
test(`${walks} random walks of two and three processes, with deaths and power losses`, async () => {
  let images = 0;
  for (let seed = 1; seed <= walks; seed++) images += await walk(seed);
  assert.ok(images > walks);
});

async function walk(seed: number): Promise<number> {
  const random = new SeededRandom(seed);
  const machine = await makeMachine({ seed, fileSystem: random.pick(["ordered", "weak"]) });
  const programs = Array.from({ length: 2 + random.below(2) }, () => drawProgram(random, 0.3));
  const taken: { image: SimulatedMachine; events: readonly RecordedEvent<HistoryEvent>[]; step: number }[] = [];
  const schedule = randomSchedule(seed, random.pick([0.05, 0.2, 0.5]));
  const result = await runInterleaved<unknown, HistoryEvent>({
    machine,
    programs,
    schedule,
    stepsMax: 50_000,
    afterStep: (_, step, events) => {
      if (!random.chance(0.002)) return undefined;
      taken.push({ image: machine.powerLoss(random), step, events: [...(events as RecordedEvent<HistoryEvent>[])] });
      return undefined;
    },
  });
  await judge(`walk ${seed} (machine seed ${seed}), ${schedule.text}`, async () => {
    for (const outcome of result.outcomes) assert.notEqual(outcome.status, "failed", JSON.stringify(outcome));
    assert.deepEqual(result.leftOpen, []);
    assert.deepEqual(machine.misuses, []);
    await assertHistory(machine.fork(), result.events, "kill");
    taken.push({ image: machine.powerLoss(random), step: result.steps.length, events: result.events });
  });
  for (const { image, events, step } of taken) {
    await judge(`walk ${seed} (machine seed ${seed}), power loss after step ${step}, ${schedule.text}`, () =>
      assertHistory(image, events, "power loss"),
    );
  }
  return taken.length;
}
