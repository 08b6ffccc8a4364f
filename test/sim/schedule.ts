/**
 * Schedules: who runs next. A schedule is asked before every step of an interleaved run (one port call of one process).
 *
 * - `randomSchedule`: switches with some probability before each step.
 * - `switchesSchedule`: nobody is interrupted, except before the steps listed. A process that waits lets the next go.
 *
 * Each has a one-line text, and `scheduleFromText` makes it again: put the text into a test to replay a failure.
 */

import { SeededRandom } from "./random.js";

export interface Decision {
  /** The number of the step, from 0. */
  readonly step: number;
  /** Who ran last; -1 at the start. */
  readonly current: number;
  /** Who could run now; never empty. */
  readonly runnable: readonly number[];
  /** True when the one who ran last has begun to wait, whether or not it could go on already. */
  readonly currentWaits: boolean;
}

export interface Schedule {
  /** For one run; a schedule may be used for many runs. */
  begin(): (decision: Decision) => number;
  readonly text: string;
}

/** Before this step, let this process run. */
export type Switch = readonly [step: number, process: number];

export function randomSchedule(seed: number, switchProbability = 0.3): Schedule {
  return {
    text: `random ${seed} ${switchProbability}`,
    begin: () => {
      const random = new SeededRandom(seed);
      return (decision) => {
        const { current, runnable, currentWaits } = decision;
        if (!currentWaits && runnable.includes(current) && !random.chance(switchProbability)) return current;
        return random.pick(runnable);
      };
    },
  };
}

export function switchesSchedule(switches: readonly Switch[]): Schedule {
  return {
    text: ["switches", ...switches.map(([step, process]) => `${step}>${process}`)].join(" "),
    begin: () => {
      const at = new Map(switches);
      return (decision) => {
        const wanted = at.get(decision.step);
        return wanted !== undefined && decision.runnable.includes(wanted) ? wanted : withoutInterruption(decision);
      };
    },
  };
}

export function scheduleFromText(text: string): Schedule {
  const [kind, ...parameters] = text.trim().split(/\s+/);
  if (kind === "random") return randomSchedule(Number(parameters[0]), Number(parameters[1]));
  if (kind !== "switches") throw new Error(`no schedule: ${text}`);
  return switchesSchedule(
    parameters.map((parameter): Switch => {
      const [step, process] = parameter.split(">").map(Number);
      return [step!, process!];
    }),
  );
}

/** The one who ran goes on; if it waits, the next in turn runs. */
export function withoutInterruption({ current, runnable, currentWaits }: Decision): number {
  if (!currentWaits && runnable.includes(current)) return current;
  return runnable.find((index) => index > current) ?? runnable[0]!;
}
