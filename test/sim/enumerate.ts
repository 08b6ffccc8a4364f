/**
 * All schedules of a few switches, without those that would show nothing new: two runs that differ only in the order of
 * calls that commute (footprint.ts) end alike. Left out are
 *
 * - switches to where an earlier schedule with as many switches left has been (trace.ts);
 * - switches that a later one stands for: when a call commutes with all that the other process does if it is let run
 *   after it, it makes no difference whether the other comes before it.
 *
 * With respect to the clock that is not exact: a process that looks at the time may see another one. And it holds for two
 * processes; with more, nothing may be left out.
 */

import { type Footprint, footprintsCommute } from "./footprint.js";
import { type Schedule, type Switch, switchesSchedule } from "./schedule.js";
import type { InterleavedResult, Step } from "./scheduler.js";

export interface EnumerationOptions {
  readonly switchesMax: number;
  /** Of the switches after the first one, only every so many-th, beside those that are needed. Default: all. */
  readonly stride?: number;
  /** Leave nothing out. */
  readonly everyOrder?: boolean;
}

/** What `run` gives with every schedule of at most so many switches, deepest first; the first has none. */
export async function* enumerateSchedules<Result extends Pick<InterleavedResult, "steps">>(
  run: (schedule: Schedule) => Promise<Result>,
  { switchesMax, stride = 1, everyOrder = false }: EnumerationOptions,
): AsyncGenerator<{ readonly schedule: Schedule; readonly result: Result }, void> {
  /** What had happened before a switch and to whom it was, with the switches that were left after it. */
  const seen = new Map<string, number>();
  let candidates = 0;

  /** Plays a schedule and those that have it as their beginning; returns the calls that its last switch let happen, if known. */
  async function* explore(
    switches: readonly Switch[],
  ): AsyncGenerator<{ schedule: Schedule; result: Result }, Footprint[] | undefined> {
    const schedule = switchesSchedule(switches);
    const result = await run(schedule);
    yield { schedule, result };
    const { steps } = result;
    const switchesLeft = switchesMax - switches.length;
    const [start, running] = switches.at(-1) ?? [-1, -1];
    const turn = callsOfTurn(steps, start, running);
    const end = start + turn.length;
    // It waits, and may be let go on without the other.
    let goesOn = switchesLeft > 0 && steps.slice(end).some(({ process }) => process === running);
    if (switchesLeft === 0) return turn;
    /** By process: what happens when it is let run before a later call, all calls before which commute with that. */
    const later = new Map<number, Footprint[]>();
    for (let number = steps.length - 1; number > start; number--) {
      const step = steps[number]!;
      if (steps[number + 1]?.process !== step.process) later.clear();
      for (const [other, calls] of later) {
        if (!calls.every((call) => footprintsCommute(call, step.footprint))) later.delete(other);
      }
      if (!step.isShared) continue;
      if (step.others.length > 1 && !everyOrder) throw new Error("what can be left out is known of two processes only");
      for (const other of step.others) {
        const state = `${step.before} ${other}`;
        if (!everyOrder && (later.has(other) || (seen.get(state) ?? 0) >= switchesLeft)) continue;
        const letsItGoOn = number === end && other === running;
        if (start >= 0 && !letsItGoOn && ++candidates % stride !== 0) continue;
        seen.set(state, switchesLeft);
        const calls = yield* explore([...switches, [number, other]]);
        if (calls === undefined) continue;
        later.set(other, calls);
        if (!letsItGoOn) continue;
        turn.push(...calls);
        goesOn = false;
      }
    }
    return goesOn ? undefined : turn;
  }

  yield* explore([]);
}

function callsOfTurn(steps: readonly Step[], start: number, process: number): Footprint[] {
  const calls: Footprint[] = [];
  for (let number = start; steps[number]?.process === process; number++) calls.push(steps[number]!.footprint);
  return calls;
}
