import assert from "node:assert/strict";
import { test } from "node:test";
import { enumerateSchedules } from "./enumerate.js";
import { SimulatedMachine } from "./machine.js";
import { SeededRandom } from "./random.js";
import {
  type PendingCall,
  randomSchedule,
  type Schedule,
  scheduleFromText,
  scriptedSchedule,
  switchesSchedule,
} from "./schedule.js";
import { describeSteps, type InterleavedOptions, type ProgramSpec, runInterleaved } from "./scheduler.js";

const module = new URL("./scheduler-programs.js", import.meta.url);
const program = (name: string, argument?: unknown, more: Partial<ProgramSpec> = {}): ProgramSpec => ({
  module,
  export: name,
  argument,
  ...more,
});
const uninterrupted = switchesSchedule([]);

function makeMachine(seed = 1): SimulatedMachine {
  const machine = new SimulatedMachine({ seed });
  machine.makeDirectory("/store");
  machine.writeFile("/store/counter", "0");
  return machine;
}

function run(programs: ProgramSpec[], schedule: Schedule = uninterrupted, more: Partial<InterleavedOptions> = {}) {
  return runInterleaved({ machine: makeMachine(), programs, schedule, ...more });
}

test("every port call crosses to the machine and back", async () => {
  const result = await run([program("everyCall")]);
  assert.deepEqual(result.outcomes[0], {
    status: "returned",
    value: [
      200_000,
      true,
      5,
      0o640,
      [[{ name: "moved", kind: "file" }]],
      ["counter", "directory"],
      ["ENOENT", "ENOTEMPTY", "EBADF"],
      [true, true],
      undefined,
      "stop",
      "yes",
      0xef53,
      true,
    ],
  });
  assert.deepEqual(result.leftOpen, []);
});

test("enumeration finds the lost update of a counter without lock, and its one line replays it", async () => {
  const counterAfter = async (schedule: Schedule) => {
    const machine = makeMachine();
    const result = await run([program("racyCounter"), program("racyCounter")], schedule, { machine });
    return { steps: result.steps, counter: machine.readText("/store/counter") };
  };
  let found: string | undefined;
  let runs = 0;
  for await (const { schedule, result } of enumerateSchedules(counterAfter, { switchesMax: 2 })) {
    runs++;
    if (result.counter === "2") continue;
    found = schedule.text;
    break;
  }
  assert.ok(found !== undefined, `none of ${runs} schedules`);
  assert.equal((await counterAfter(uninterrupted)).counter, "2");
  assert.equal((await counterAfter(scheduleFromText(found))).counter, "1");
});

test("a script forces one interleaving, with everybody else stopped", async () => {
  const machine = makeMachine();
  const opensCounter = (call: PendingCall) => call.method === "open" && call.path === "/store/counter-1001";
  const schedule = scriptedSchedule([{ process: 0, until: opensCounter }, { process: 1 }]);
  const result = await run([program("racyCounter"), program("racyCounter")], schedule, { machine });
  assert.equal(machine.readText("/store/counter"), "1");
  assert.deepEqual(
    result.steps.map((step) => step.process).filter((process, index, all) => process !== all[index - 1]),
    [0, 1, 0],
  );
});

test("a scripted process may sleep and sync while others are stopped, and a phase may let calls pass", async () => {
  const schedule = scriptedSchedule([
    { process: 0, until: (call) => call.method === "record", skip: 1 },
    { process: 1 },
  ]);
  const result = await run([program("appender", { lines: 3 }), program("appender", { lines: 3 })], schedule);
  assert.deepEqual(
    result.events.map((event) => event.process),
    [0, 1, 1, 1, 0, 0],
  );
});

test("with a lock no schedule of up to one switch loses an update", async () => {
  let runs = 0;
  const count = async (schedule: Schedule) => {
    const machine = makeMachine();
    const programs = [program("lockedCounter", { rounds: 1 }), program("lockedCounter", { rounds: 1 })];
    const result = await run(programs, schedule, { machine });
    return { steps: result.steps, counter: machine.readText("/store/counter") };
  };
  for await (const { schedule, result } of enumerateSchedules(count, { switchesMax: 1, everyOrder: true })) {
    runs++;
    assert.equal(result.counter, "2", schedule.text);
  }
  assert.ok(runs > 10);
});

test("with a lock no random schedule loses an update, whatever waits and naps", async () => {
  for (let seed = 1; seed <= 30; seed++) {
    const machine = makeMachine(seed);
    const programs = Array.from({ length: 3 }, () => program("lockedCounter", { rounds: 4 }));
    const result = await run(programs, randomSchedule(seed), { machine });
    assert.equal(machine.readText("/store/counter"), "12", result.replay);
    assert.deepEqual(machine.heldLocks(), []);
  }
});

test("the same seed gives the same steps, another seed others, and a run replays from its switches", async () => {
  const trace = async (schedule: Schedule) => {
    const programs = [0, 1, 2].map(() => program("lockedCounter", { rounds: 2 }));
    return run(programs, schedule);
  };
  const first = await trace(randomSchedule(5));
  const again = await trace(scheduleFromText(first.replay));
  const other = await trace(randomSchedule(6));
  const replayed = await trace(switchesSchedule(first.switches));
  assert.equal(describeSteps(first.steps), describeSteps(again.steps));
  assert.equal(describeSteps(first.steps), describeSteps(replayed.steps));
  assert.notEqual(describeSteps(first.steps), describeSteps(other.steps));
});

test("what was recorded as acknowledged survives a power loss at every step", async () => {
  let images = 0;
  const random = new SeededRandom(1);
  const machine = makeMachine();
  const result = await run([program("appender", { lines: 3 }), program("appender", { lines: 3 })], randomSchedule(2), {
    machine,
    afterStep: (_step, _number, events) => {
      for (let draw = 0; draw < 5; draw++) {
        images++;
        const after = machine.powerLoss(random);
        for (const { process, event } of events) {
          const { acknowledged } = event as { acknowledged: number };
          assert.ok(after.readText(`/store/log-p${process}`).includes(`${acknowledged}\n`));
        }
      }
      return undefined;
    },
  });
  assert.ok(images > 100);
  assert.equal(result.events.length, 6);
  assert.deepEqual(
    result.outcomes.map((outcome) => outcome.status),
    ["returned", "returned"],
  );
});

test("a process whose sync is under way can be back before any call of another one, however quick that is", async () => {
  const between = new Set<number>();
  // Two switches: its program syncs twice.
  const schedules = enumerateSchedules(
    (schedule) => run([program("appender", { lines: 1 }), program("racyCounter")], schedule),
    { switchesMax: 2, everyOrder: true },
  );
  for await (const { result } of schedules) {
    const acknowledged = result.events[0]!.step;
    between.add(result.steps.filter(({ process }, step) => process === 1 && step < acknowledged).length);
  }
  assert.ok(between.size > 4, `of the other's calls came first: ${[...between]}`);
});

test("a process that is killed while it holds a lock lets others go on", async () => {
  const programs = [program("holder", undefined, { killAtCall: 6 }), program("waiter")];
  const result = await run(programs, randomSchedule(3));
  assert.deepEqual(result.outcomes, [{ status: "killed" }, { status: "returned", value: "done" }]);
  assert.deepEqual(
    result.events.map(({ process, event }) => `${process} ${event}`),
    ["0 locked", "1 taken over"],
  );
});

test("a process is killed at each of its calls in turn; its worker serves the next run", async () => {
  for (let killAtCall = 1; killAtCall <= 8; killAtCall++) {
    const machine = makeMachine();
    const result = await run([program("swallower", undefined, { killAtCall })], uninterrupted, { machine });
    assert.equal(result.outcomes[0]!.status, "killed");
    const files = Object.keys(machine.dump()).filter((path) => path.includes("file-"));
    assert.equal(files.length, Math.floor(killAtCall / 3), `killed at call ${killAtCall}`);
  }
  assert.equal((await run([program("swallower")])).outcomes[0]!.status, "returned");
});

test("the whole machine may stop after any step", async () => {
  const result = await run([program("swallower"), program("swallower")], randomSchedule(1), {
    afterStep: (_step, number) => (number === 9 ? "stop" : undefined),
  });
  assert.equal(result.steps.length, 10);
  assert.ok(result.outcomes.every((outcome) => outcome.status === "killed"));
});

test("errors come back with name, message and code; a promise that nobody handles ends its process", async () => {
  const result = await run([program("thrower"), program("stray"), program("noSuchProgram"), program("outsider")]);
  const [thrown, stray, missing, outside] = result.outcomes;
  assert.ok(thrown?.status === "failed" && thrown.error.name === "TypeError" && thrown.error.code === "EBROKEN");
  assert.ok(stray?.status === "failed" && stray.error.message === "nobody cares");
  assert.ok(missing?.status === "failed" && /exports no noSuchProgram/.test(missing.error.message));
  assert.deepEqual(outside, { status: "returned", value: "came back" });
});

test("a port in a worker may be wrapped, and a failed sync there loses the bytes on the machine", async () => {
  const machine = makeMachine();
  const result = await run([program("failingSync")], uninterrupted, { machine });
  assert.deepEqual(result.outcomes, [{ status: "returned", value: "EIO" }]);
  assert.equal(machine.readText("/store/log"), "gone");
  assert.equal(machine.snapshotDurable()["/store/log"], "");
});

test("a run without end is stopped with its last steps and its schedule", async () => {
  await assert.rejects(run([program("forEver")], randomSchedule(9), { stepsMax: 200 }), (error: Error) => {
    assert.match(error.message, /no end after 200 steps/);
    assert.match(error.message, /replay: random 9 0\.3/);
    return true;
  });
});
