/**
 * The pairs of processes whose interleavings are enumerated: a sample in `npm test`, all of up to three context switches
 * by `npm run interleavings`. history.ts judges every run; the last line of every failure replays it: put its schedule
 * into `scheduleFromText`.
 */

import assert from "node:assert/strict";
import { enumerateSchedules } from "../sim/enumerate.js";
import type { SimulatedMachine } from "../sim/machine.js";
import { SeededRandom } from "../sim/random.js";
import type { Schedule } from "../sim/schedule.js";
import { type InterleavedResult, type ProgramSpec, type RecordedEvent, runInterleaved } from "../sim/scheduler.js";
import { assertHistory } from "./history.js";
import type { HistoryEvent, Script } from "./programs.js";
import { commitPatch, commitPut, makeMachine, put, remove, request, segmentPath, start } from "./simulated-store.js";

const module = new URL("./programs.js", import.meta.url);

function program(script: Script, more: Partial<ProgramSpec> = {}): ProgramSpec {
  return { module, export: "runScript", argument: script, ...more };
}

export interface Pair {
  readonly name: string;
  readonly first: Script;
  readonly second: Script;
  readonly prepare?: (machine: SimulatedMachine) => Promise<void>;
  /** It commits nothing and drops segments: what the journal says, it says beforehand. */
  readonly dropsSegments?: boolean;
  readonly judge?: (events: readonly RecordedEvent<HistoryEvent>[]) => void;
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
  },
  {
    name: "scan against checkpoint",
    first: { calls: [["scan"]], leaveOpen: true },
    second: { calls: [["put", "a", 2], ["remove", "b"], ["checkpoint"]], leaveOpen: true },
  },
  {
    name: "garbage collection against reading",
    first: {
      calls: [["checkpoint"], ["emptyTrash"]],
      options: { limits: { segmentRetentionMs: 0, segmentRetentionBytes: 0 } },
      leaveOpen: true,
    },
    second: {
      calls: [["read", ["a", "b", "gone", "late"]], ["list"], ["trash"], ["read", ["b", "a"]]],
      options: { readOnly: true, cacheBytes: 0 },
      leaveOpen: true,
    },
    prepare: removeSome,
    dropsSegments: true,
    judge: judgeTrash,
  },
];

/** Runs the schedules of at most `switchesMax` switches, of those after the first every `stride`-th; counts them. */
export async function runPair(pair: Pair, switchesMax: number, stride?: number): Promise<number> {
  let runs = 0;
  const play = await preparePair(pair);
  const run = (schedule: Schedule) => {
    runs += 1;
    return play(schedule, runs % 4 === 0 ? runs : undefined);
  };
  for await (const _ of enumerateSchedules(run, { switchesMax, stride }));
  return runs;
}

type Play = (schedule: Schedule, powerLossSeed?: number) => Promise<InterleavedResult<unknown, HistoryEvent>>;

/** Plays a schedule and judges it, also after a power loss if there is a seed for one. */
export async function preparePair(pair: Pair): Promise<Play> {
  const { name, first, second, prepare } = pair;
  const base = await makeMachine();
  await prepareStore(base);
  await prepare?.(base);
  const image = base.fork();
  return async (schedule, powerLossSeed) => {
    const machine = image.fork();
    const programs = [program(first), program(second)];
    const result = await runInterleaved<unknown, HistoryEvent>({ machine, programs, schedule, stepsMax: 20_000 });
    await judge(`${name}, ${schedule.text}`, async () => {
      for (const outcome of result.outcomes) assert.equal(outcome.status, "returned", JSON.stringify(outcome));
      assert.deepEqual(machine.misuses, []);
      pair.judge?.(result.events);
      const whole = pair.dropsSegments ? image : undefined;
      await assertHistory(machine.fork(), result.events, "kill", undefined, whole);
      if (powerLossSeed === undefined) return;
      const rebooted = machine.powerLoss(new SeededRandom(powerLossSeed));
      await assertHistory(rebooted, result.events, "power loss", undefined, whole);
    });
    return result;
  };
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

/** One in a file of the trash, one that is removed in the journal only. */
async function removeSome(machine: SimulatedMachine): Promise<void> {
  const store = await start(machine, "remover");
  await commitPut(machine, store, "gone", 1);
  await machine.settle(store.backend.commit(request([remove("gone")])));
  await machine.settle(store.backend.checkpoint());
  // There is an index, so that lists take no lock that a checkpoint waits for.
  await machine.settle(store.backend.list({ limit: 10, order: "key" }));
  await commitPut(machine, store, "late", 2);
  await machine.settle(store.backend.commit(request([remove("late")])));
  await commitPatch(machine, store, "b", "after", 1);
  store.process.kill();
  machine.syncAll();
}

const removed: Readonly<Record<string, unknown>> = { gone: { value: 1 }, late: { value: 2 } };

/** Removed sessions are whole; all are there until they are thrown away, and none is afterwards. */
function judgeTrash(recorded: readonly RecordedEvent<HistoryEvent>[]): void {
  const events = recorded.map(({ event }) => event);
  const at = (type: HistoryEvent["type"]) => events.findIndex((event) => event.type === type);
  const emptying = at("emptying");
  const emptied = at("emptied");
  for (const [index, event] of events.entries()) {
    if (event.type === "listed") assert.deepEqual(event.keys, ["a", "b"]);
    if (event.type !== "trash seen") continue;
    for (const [key, entry] of Object.entries(event.seen)) assert.deepEqual(entry, removed[key]);
    const began = events.findIndex((other) => other.type === "reading" && other.id === event.id);
    if (emptying < 0 || index < emptying) assert.deepEqual(event.seen, removed);
    if (emptied >= 0 && began > emptied) assert.deepEqual(event.seen, {});
  }
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

export async function judge(replay: string, look: () => Promise<unknown>): Promise<void> {
  try {
    await look();
  } catch (error) {
    throw new Error(`${(error as Error).message}\nreplay: ${replay}`, { cause: error });
  }
}
