/** What the enumeration leaves out shows nothing that it does not show otherwise. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { enumerateSchedules } from "./enumerate.js";
import type { Footprint } from "./footprint.js";
import { SimulatedMachine } from "./machine.js";
import { SeededRandom } from "./random.js";
import type { Schedule } from "./schedule.js";
import { runInterleaved } from "./scheduler.js";
import { type Observation, observationNames } from "./scheduler-programs.js";
import { Trace } from "./trace.js";

const module = new URL("./scheduler-programs.js", import.meta.url);

type Observations = readonly Observation[];

/** All that came of two processes in the schedules that are tried. */
async function endsOf(processes: readonly Observations[], switchesMax: number, everyOrder: boolean) {
  const programs = processes.map((argument) => ({ module, export: "observer", argument }));
  const ends = new Set<string>();
  let runs = 0;
  const run = async (schedule: Schedule) => {
    const machine = new SimulatedMachine({ seed: 1 });
    machine.makeDirectory("/store", { mode: 0o777 });
    machine.makeDirectory("/store/inner", { mode: 0o777 });
    machine.writeFile("/store/b", "x", { mode: 0o666 });
    const result = await runInterleaved({ machine, programs, schedule });
    return { ...result, machine };
  };
  for await (const { result } of enumerateSchedules(run, { switchesMax, everyOrder })) {
    runs++;
    ends.add(JSON.stringify([result.outcomes, result.machine.dump(), result.machine.snapshotDurable()]));
  }
  return { ends, runs };
}

async function compare(
  first: Observations,
  second: Observations,
  switchesMax: number,
): Promise<{ ends: number; all: number; tried: number }> {
  const all = await endsOf([first, second], switchesMax, true);
  const tried = await endsOf([first, second], switchesMax, false);
  for (const end of all.ends) assert.ok(tried.ends.has(end), `${first} | ${second}: ${end} is not shown`);
  return { ends: all.ends.size, all: all.runs, tried: tried.runs };
}

// Each fails if the call in its middle looks at less or changes less than it does; the last ones if a process that waits
// for a sync is forgotten.
const pairs: readonly (readonly [Observations, Observations])[] = [
  [["size", "list"], ["append"]],
  [["size", "list"], ["cut"]],
  [["find b", "list"], ["append"]],
  [["find b", "size"], ["move b"]],
  [["find b inside", "size"], ["move b"]],
  [["list", "size"], ["create a"]],
  [["list in batches", "size"], ["make c"]],
  [
    ["lock", "unlock", "size"],
    ["lock", "unlock"],
  ],
  [["share", "unlock", "size"], ["lock"]],
  [
    ["who locked", "size"],
    ["share", "size"],
  ],
  [["create a", "size"], ["sync"]],
  [["make c", "size"], ["sync inside"]],
  [["move b", "size"], ["sync"]],
  [["append", "list"], ["sync file"]],
  [["create a", "move a", "size"], ["list"]],
  [["make c", "remove c", "size"], ["list in batches"]],
  [
    ["find b", "list", "size"],
    ["sync", "append"],
  ],
  [
    ["size", "list", "find b"],
    ["sync file", "move b"],
  ],
  [
    ["size", "sync file", "list"],
    ["append", "sync file", "make c"],
  ],
  [
    ["make c", "list"],
    ["make c", "remove c"],
  ],
];

test("calls that matter to each other are tried in both orders", async () => {
  for (const [first, second] of pairs) {
    const { ends } = await compare(first, second, 2);
    assert.ok(ends > 1, `${first} | ${second}: all schedules end alike`);
  }
});

test("two processes that do drawn things end in every way in which they end when nothing is left out", async () => {
  const random = new SeededRandom(1);
  let all = 0;
  let tried = 0;
  const draw = (count: number) => Array.from({ length: count }, () => random.pick(observationNames));
  for (const [calls, switchesMax, rounds] of [
    [5, 2, 10],
    [3, 3, 4],
  ] as const) {
    for (let round = 0; round < rounds; round++) {
      const compared = await compare(draw(calls), draw(calls), switchesMax);
      all += compared.all;
      tried += compared.tried;
    }
  }
  assert.ok(tried < all / 3, `${tried} of ${all} schedules`);
});

test("a trace is the same in both orders of two calls if they commute, and only then", () => {
  const look = { looksAt: ["x"], changes: [] };
  const change = { looksAt: [], changes: ["x"] };
  const elsewhere = { looksAt: ["y"], changes: ["z"] };
  const traceOf = (...calls: readonly (readonly [number, Footprint])[]) => {
    const trace = new Trace(2);
    for (const [process, footprint] of calls) trace.add(process, "call", footprint);
    return trace.text;
  };
  for (const [one, other, commute] of [
    [look, look, true],
    [look, change, false],
    [change, look, false],
    [change, change, false],
    [elsewhere, change, true],
  ] as const) {
    const isSame = traceOf([0, one], [1, other]) === traceOf([1, other], [0, one]);
    assert.equal(isSame, commute);
    // Also when the next call of all commutes with both.
    const next = [0, { looksAt: ["w"], changes: [] }] as const;
    assert.equal(traceOf([0, one], [1, other], next) === traceOf([1, other], [0, one], next), commute);
  }
  assert.notEqual(traceOf([0, change], [0, look]), traceOf([0, look], [0, change]));
});
