/**
 * Schedules: who runs next. A schedule is asked before every step of an interleaved run (one port call of one process).
 *
 * - `randomSchedule`: switches with some probability before each step.
 * - `switchesSchedule`: nobody is interrupted, except before the steps listed. A process that waits lets the next go.
 * - `scriptedSchedule`: a story told in phases, for tests that force one interleaving: "the reader runs until it would
 *   open the next segment; then the writer runs to its end".
 *
 * The first two have a one-line text, and `scheduleFromText` makes them again: put it into a test to replay a failure.
 */

import { SeededRandom } from "./random.js";

export interface Decision {
  /** The number of the step, from 0. */
  readonly step: number;
  /** Who ran last; -1 at the start. */
  readonly current: number;
  /** Who could run now; never empty. */
  readonly runnable: readonly number[];
  /**
   * Who waits for a sync or a time that may well be over: choosing one lets so much time pass first. Everybody else was
   * slow meanwhile.
   */
  readonly wakeable: readonly number[];
  /** True when the one who ran last has begun to wait, whether or not it could go on already. */
  readonly currentWaits: boolean;
  /** The call that a process makes when it runs next, always the same object for one call; undefined when it ended. */
  readonly pending: (process: number) => PendingCall | undefined;
}

export interface PendingCall {
  /** A method of the port; or "start", "record", or "wait" for a process that waits for something it began. */
  readonly method: string;
  readonly path: string;
}

/** Returned by a schedule: none of the runnable processes may run, time passes to the next event. */
export const nobody = -1;

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
        const { current, runnable, wakeable, currentWaits } = decision;
        if (!currentWaits && runnable.includes(current) && !random.chance(switchProbability)) return current;
        return random.pick([...runnable, ...wakeable]);
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
        if (wanted === undefined) return withoutInterruption(decision);
        const isPossible = decision.runnable.includes(wanted) || decision.wakeable.includes(wanted);
        return isPossible ? wanted : withoutInterruption(decision);
      };
    },
  };
}

export interface Phase {
  /** Only this process runs; all others are stopped, as by SIGSTOP. */
  readonly process: number;
  /** The phase ends before the first call for which this is true, or when the process has ended. */
  readonly until?: (call: PendingCall) => boolean;
  /** Lets so many such calls pass before. */
  readonly skip?: number;
}

/** Plays the phases, and after the last one lets everybody run without interruption. */
export function scriptedSchedule(phases: readonly Phase[]): Schedule {
  return {
    text: "a script, see the test",
    begin: () => {
      let number = 0;
      let skipped = 0;
      let judged: PendingCall | undefined;
      const isOver = (phase: Phase, call: PendingCall | undefined) => {
        if (call === undefined) return true;
        if (call === judged || !phase.until?.(call)) return false;
        judged = call;
        return skipped++ >= (phase.skip ?? 0);
      };
      return (decision) => {
        for (; number < phases.length; number++) {
          const phase = phases[number]!;
          if (!isOver(phase, decision.pending(phase.process))) {
            return decision.runnable.includes(phase.process) ? phase.process : nobody;
          }
          skipped = 0;
          judged = undefined;
        }
        return withoutInterruption(decision);
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
