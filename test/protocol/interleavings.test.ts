/**
 * Processes that are truly interleaved, at every port call: pairs with every schedule of one context switch and a sample
 * of those with two, and random walks of two and three processes with deaths and power losses. history.ts judges every
 * run. The last line of every failure replays it: put its schedule into `scheduleFromText`.
 *
 * A stride of 1 runs all schedules of two switches: some 700 for each pair, two minutes.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { SimulatedMachine } from "../sim/machine.js";
import { SeededRandom } from "../sim/random.js";
import { randomSchedule, type Schedule } from "../sim/schedule.js";
import {
  enumerateSchedules,
  type ProgramSpec,
  type RecordedEvent,
  runInterleaved,
  type Step,
} from "../sim/scheduler.js";
import { assertHistory } from "./history.js";
import type { Call, HistoryEvent, Script } from "./programs.js";
import { commitPatch, commitPut, makeMachine, put, request, segmentPath, start } from "./simulated-store.js";

const module = new URL("./programs.js", import.meta.url);

function program(script: Script, more: Partial<ProgramSpec> = {}): ProgramSpec {
  return { module, export: "runScript", argument: script, ...more };
}

/** Steps at which a switch can matter: those that touch the journal, the manifest, entry files, or a lock. */
const boring = new Set([
  "openRoot",
  "openDirectory",
  "closeDirectory",
  "statDirectory",
  "close",
  "setMode",
  "record",
  "wait",
  "start",
]);

interface Pair {
  readonly name: string;
  readonly first: Script;
  readonly second: Script;
  readonly prepare?: (machine: SimulatedMachine) => Promise<void>;
  /** Of the schedules with two switches, every so many-th is run. */
  readonly stride: number;
}

const small = { limits: { segmentBytes: 1 } };

const pairs: Pair[] = [
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
    stride: 8,
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
    stride: 8,
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
    stride: 8,
  },
  {
    name: "scan against checkpoint",
    first: { calls: [["scan"]], leaveOpen: true },
    second: { calls: [["put", "a", 2], ["remove", "b"], ["checkpoint"]], leaveOpen: true },
    stride: 8,
  },
];

for (const { name, first, second, prepare, stride } of pairs) {
  // Fails, one pair or another, without the lines that the tests of P1 to P15 name.
  test(`every schedule of one context switch, and a sample of two: ${name}`, async () => {
    const base = await makeMachine();
    await prepareStore(base);
    await prepare?.(base);
    const image = base.fork();
    let runs = 0;
    const run = async (schedule: Schedule) => {
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
    let points = 0;
    const isSwitchPoint = (step: Step, _: number, { replay }: { replay: string }) => {
      if (boring.has(step.method)) return false;
      // Every schedule of one switch; of those with two, one in so many.
      return !replay.includes(">") || ++points % stride === 0;
    };
    for await (const _ of enumerateSchedules(run, 2, isSwitchPoint));
    assert.ok(runs > 60, `only ${runs} schedules`);
  });
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
  const programs = Array.from({ length: 2 + random.below(2) }, () => drawProgram(random));
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

function drawProgram(random: SeededRandom): ProgramSpec {
  const calls = Array.from({ length: 4 + random.below(6) }, (_, index) => drawCall(random, index));
  const segmentBytes = random.pick([1, 600, 100_000]);
  const durability = random.chance(0.25) ? ("interval" as const) : ("commit" as const);
  const cacheBytes = random.pick([0, 1_000_000]);
  const script: Script = { calls, options: { durability, cacheBytes, limits: { segmentBytes } } };
  return program(script, random.chance(0.3) ? { killAtCall: 30 + random.below(400), tear: random.chance(0.5) } : {});
}

const keys = ["a", "b", "c"];

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
    ["sleep", random.below(3_000)],
  ];
  return random.pick(calls);
}

async function judge(replay: string, look: () => Promise<void>): Promise<void> {
  try {
    await look();
  } catch (error) {
    throw new Error(`${(error as Error).message}\nreplay: ${replay}`, { cause: error });
  }
}
