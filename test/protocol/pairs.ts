/**
 * The pairs of processes whose interleavings are enumerated: a sample in `npm test`, all of up to three context switches
 * by `npm run interleavings`. history.ts judges every run; the last line of every failure replays it: put its schedule
 * into `scheduleFromText`.
 */

import assert from "node:assert/strict";
import type { SimulatedMachine } from "../sim/machine.js";
import { SeededRandom } from "../sim/random.js";
import type { Schedule } from "../sim/schedule.js";
import { enumerateSchedules, type InterleavedResult, type ProgramSpec, runInterleaved } from "../sim/scheduler.js";
import { type IsSwitchPoint, touchesWhatOthersSee } from "../sim/switch-points.js";
import { assertHistory } from "./history.js";
import type { HistoryEvent, Script } from "./programs.js";
import { commitPatch, commitPut, makeMachine, put, request, segmentPath, start } from "./simulated-store.js";

const module = new URL("./programs.js", import.meta.url);

function program(script: Script, more: Partial<ProgramSpec> = {}): ProgramSpec {
  return { module, export: "runScript", argument: script, ...more };
}

export interface Pair {
  readonly name: string;
  readonly first: Script;
  readonly second: Script;
  readonly prepare?: (machine: SimulatedMachine) => Promise<void>;
  /** Of the schedules with two switches, every so many-th is run. */
  readonly stride: number;
}

const small = { limits: { segmentBytes: 1 } };

export const pairs: readonly Pair[] = [
  {
    name: "append against rotation",
    first: { calls: [["patch", "a", "first", 1]], leaveOpen: true },
    second: {
      calls: [
        ["put", "b", 1],
        ["read", ["a", "b"]],
      ],
      options: small,
      leaveOpen: true,
    },
    stride: 80,
  },
  {
    name: "checkpoint against append",
    first: { calls: [["checkpoint"]], leaveOpen: true },
    second: {
      calls: [
        ["patch", "a", "second", 1],
        ["remove", "b"],
        ["read", ["a", "b"]],
      ],
      leaveOpen: true,
    },
    stride: 60,
  },
  {
    name: "recovery against recovery",
    first: { calls: [["put", "c", 1]], leaveOpen: true },
    second: {
      calls: [
        ["put", "d", 1],
        ["read", ["a", "b", "c"]],
      ],
      leaveOpen: true,
    },
    prepare: leaveTornJournal,
    stride: 24,
  },
  {
    name: "scan against checkpoint",
    first: { calls: [["scan"]], leaveOpen: true },
    second: { calls: [["put", "a", 2], ["remove", "b"], ["checkpoint"]], leaveOpen: true },
    stride: 20,
  },
];

/** Runs every schedule of at most `switchesMax` switches at the steps that matter and that `isChosen`; counts them. */
export async function runPair(pair: Pair, switchesMax: number, isChosen: IsSwitchPoint): Promise<number> {
  const { name, first, second, prepare } = pair;
  const base = await makeMachine();
  await prepareStore(base);
  await prepare?.(base);
  const image = base.fork();
  let runs = 0;
  const run = async (schedule: Schedule): Promise<InterleavedResult<unknown, HistoryEvent>> => {
    const machine = image.fork();
    const programs = [program(first), program(second)];
    const result = await runInterleaved<unknown, HistoryEvent>({ machine, programs, schedule, stepsMax: 20_000 });
    runs += 1;
    await judge(`${name}, ${schedule.text}`, async () => {
      for (const outcome of result.outcomes) assert.equal(outcome.status, "returned", JSON.stringify(outcome));
      assert.deepEqual(machine.misuses, []);
      await assertHistory(machine.fork(), result.events, "kill");
      if (runs % 4 !== 0) return;
      await assertHistory(machine.powerLoss(new SeededRandom(runs)), result.events, "power loss");
    });
    return result;
  };
  const isSwitchPoint: IsSwitchPoint = (step, number, result) =>
    touchesWhatOthersSee(step) && isChosen(step, number, result);
  for await (const _ of enumerateSchedules(run, switchesMax, isSwitchPoint));
  return runs;
}

/** Sessions in an entry file, in a sealed segment, and in the current one. */
async function prepareStore(machine: SimulatedMachine): Promise<void> {
  const store = await start(machine, "prepare");
  await commitPut(machine, store, "a", 1);
  await machine.settle(store.backend.checkpoint());
  await commitPut(machine, store, "b", 1);
  await commitPatch(machine, store, "a", "before", 1);
  store.process.kill();
  machine.syncAll();
}

/** As a writer leaves it that dies in its append, behind a seal without successor. */
async function leaveTornJournal(machine: SimulatedMachine): Promise<void> {
  const victim = await start(machine, "victim", small);
  victim.port.before = (call) => {
    if (call.method === "open" && call.path === segmentPath(5)) victim.process.kill();
  };
  victim.backend.commit(request([put("b", { value: 2 })])).catch(() => {});
  assert.ok(victim.process.isKilled);
}

export async function judge(replay: string, look: () => Promise<void>): Promise<void> {
  try {
    await look();
  } catch (error) {
    throw new Error(`${(error as Error).message}\nreplay: ${replay}`, { cause: error });
  }
}
