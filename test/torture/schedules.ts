/**
 * F17: two or three processes, interleaved at every port call by a random schedule, some of them killed at a random
 * call, with power losses on the way. What each saw and was told is compared with the journal (history.ts).
 */

import { assertHistory } from "../protocol/history.js";
import type { Call, HistoryEvent, Script } from "../protocol/programs.js";
import { makeMachine } from "../protocol/simulated-store.js";
import type { SimulatedMachine } from "../sim/machine.js";
import { SeededRandom } from "../sim/random.js";
import { randomSchedule } from "../sim/schedule.js";
import { type ProgramSpec, type RecordedEvent, runInterleaved } from "../sim/scheduler.js";
import { type CaseReport, Harmed, noFigures, noteHarm } from "./figures.js";

const module = new URL("../protocol/programs.js", import.meta.url);
const keys = ["a", "b", "c"];

interface Taken {
  readonly image: SimulatedMachine;
  readonly events: readonly RecordedEvent<HistoryEvent>[];
  readonly step: number;
}

export async function runScheduleCase(seed: number): Promise<CaseReport> {
  const figures = noFigures();
  const problems: string[] = [];
  const random = new SeededRandom(seed);
  const machine = await makeMachine({ seed, fileSystem: random.pick(["ordered", "weak"]) });
  const programs = Array.from({ length: 2 + random.below(2) }, () => drawProgram(random));
  const schedule = randomSchedule(seed, random.pick([0.05, 0.2, 0.5]));
  const taken: Taken[] = [];
  let where = schedule.text;
  try {
    const result = await runInterleaved<unknown, HistoryEvent>({
      machine,
      programs,
      schedule,
      stepsMax: 50_000,
      afterStep: (_, step, events) => {
        if (!random.chance(0.003)) return undefined;
        taken.push({ image: machine.powerLoss(random), step, events: [...(events as RecordedEvent<HistoryEvent>[])] });
        return undefined;
      },
    });
    figures.schedules = 1;
    figures.kills = result.outcomes.filter(({ status }) => status === "killed").length;
    figures.acknowledgements = result.events.filter(({ event }) => event.type === "acknowledged").length;
    const failed = result.outcomes.find(({ status }) => status === "failed");
    if (failed !== undefined) throw new Harmed("disagreements", `a process failed: ${JSON.stringify(failed)}`);
    const wrong = [...result.leftOpen, ...machine.misuses];
    if (wrong.length > 0) throw new Harmed("disagreements", wrong.join("; "));
    figures.states = taken.length + 2;
    await assertHistory(machine.fork(), result.events, "kill");
    taken.push({ image: machine.powerLoss(random), step: result.steps.length, events: result.events });
    for (const { image, events, step } of taken) {
      where = `${schedule.text}, power loss after step ${step}`;
      await assertHistory(image, events, "power loss");
    }
  } catch (error) {
    noteHarm(figures, problems, judged(error, where));
  }
  return { figures, problems };
}

function judged(error: unknown, where: string): Harmed {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof Harmed) return new Harmed(error.harm, `${where}: ${message}`, error.cause);
  const harm = /^lost:/.test(message) ? "lost" : /never happens|steps/.test(message) ? "hangs" : "disagreements";
  return new Harmed(harm, `${where}: ${message}`, error);
}

function drawProgram(random: SeededRandom): ProgramSpec {
  const calls = Array.from({ length: 4 + random.below(6) }, (_, index) => drawCall(random, index));
  const segmentBytes = random.pick([1, 600, 100_000]);
  const durability = random.chance(0.25) ? ("interval" as const) : ("commit" as const);
  const cacheBytes = random.pick([0, 1_000_000]);
  const script: Script = { calls, options: { durability, cacheBytes, limits: { segmentBytes } } };
  const death = random.chance(0.4) ? { killAtCall: 30 + random.below(400), tear: random.chance(0.5) } : {};
  return { module, export: "runScript", argument: script, ...death };
}

function drawCall(random: SeededRandom, value: number): Call {
  const key = random.pick(keys);
  const calls: Call[] = [
    ["put", key, value],
    ["create", key, value],
    ["patch", key, `field-${random.below(3)}`, value],
    ["patch", key, `field-${random.below(3)}`, value],
    ["remove", key],
    ["swap", keys.slice(random.below(2)), value],
    ["read", keys],
    ["scan"],
    ["checkpoint"],
    ["sleep", random.below(8_000)],
  ];
  return random.pick(calls);
}
