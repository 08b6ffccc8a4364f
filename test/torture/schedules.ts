/**
 * F17: two or three processes, interleaved at every port call by a random schedule, some of them killed at a random
 * call, with power losses on the way. What each saw and was told is compared with the journal (history.ts).
 */

import { assertHistory } from "../protocol/history.js";
import type { HistoryEvent } from "../protocol/programs.js";
import { drawProgram } from "../protocol/random-programs.js";
import { makeMachine } from "../protocol/simulated-store.js";
import type { SimulatedMachine } from "../sim/machine.js";
import { SeededRandom } from "../sim/random.js";
import { randomSchedule } from "../sim/schedule.js";
import { type RecordedEvent, runInterleaved } from "../sim/scheduler.js";
import { type CaseReport, Harmed, noFigures, noteHarm } from "./figures.js";

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
  const programs = Array.from({ length: 2 + random.below(2) }, () => drawProgram(random, 0.4));
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
