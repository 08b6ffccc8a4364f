/** The judges of histories, on histories that were made by hand or by a simulation: what they accept and what not. */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SeededRandom } from "../sim/random.js";
import { type History, judgeHistory } from "./checker.js";
import { linearize } from "./linearize.js";
import {
  type Action,
  absent,
  applyToSession,
  keysOf,
  type Operation,
  type Outcome,
  putEntry,
  type State,
  toState,
  writerOf,
} from "./operations.js";

const x = "x";
const y = "y";

/** One operation from `call` to `end`; without an outcome its process was killed. */
function operation(id: string, action: Action, call: number, end?: number, outcome?: Outcome): Operation {
  const times = { callMicroseconds: call, ...(end === undefined ? {} : { returnMicroseconds: end }) };
  return { id, client: id, action, ...times, ...(outcome === undefined ? {} : { outcome }) };
}

const put = (id: string, key: string, call: number, end: number, version?: string) =>
  operation(id, { type: "put", key }, call, end, { status: "done", ...(version === undefined ? {} : { version }) });
const read = (id: string, key: string, call: number, end: number, saw: State, version?: string) =>
  operation(id, { type: "read", key }, call, end, {
    status: "done",
    saw: { [key]: saw },
    ...(version === undefined ? {} : { sawVersions: { [key]: version } }),
  });
const update = (id: string, key: string, call: number, end: number, saw: State) =>
  operation(id, { type: "update", key }, call, end, { status: "done", saw: { [key]: saw } });
const swap = (id: string, expected: string | null, call: number, end: number) =>
  operation(id, { type: "swap", key: x, expected }, call, end, { status: "done" });
const remove = (id: string, call: number, end: number, existed = true) =>
  operation(id, { type: "remove", key: x }, call, end, { status: "done", existed });
const putState = (id: string) => toState(putEntry(id));

function judge(operations: Operation[], more: Partial<History> = {}) {
  return judgeHistory({ keys: [x, y], operations, denseVersions: false, ...more });
}

function accepts(operations: Operation[], more?: Partial<History>): void {
  assert.deepEqual(judge(operations, more).violations, []);
}

function rejects(pattern: RegExp, operations: Operation[], more?: Partial<History>): void {
  assert.match(judge(operations, more).violations.join("\n"), pattern);
}

test("a stale read is rejected, and a read beside the write may see either state", () => {
  accepts([put("1", x, 0, 10), put("2", x, 20, 30), read("r", x, 25, 40, putState("1"))]);
  accepts([put("1", x, 0, 10), put("2", x, 20, 30), read("r", x, 25, 40, putState("2"))]);
  rejects(/session x is not linearizable/, [
    put("1", x, 0, 10),
    put("2", x, 20, 30),
    read("r", x, 35, 40, putState("1")),
  ]);
});

test("a reader that goes back is rejected, although each of its reads could be explained", () => {
  const both = [put("1", x, 0, 10), put("2", x, 20, 90)];
  accepts([...both, read("r1", x, 30, 40, putState("1")), read("r2", x, 50, 60, putState("2"))]);
  rejects(/not linearizable/, [...both, read("r1", x, 30, 40, putState("2")), read("r2", x, 50, 60, putState("1"))]);
});

test("a lost update is rejected: two updates of the same state", () => {
  const saw = putState("1");
  rejects(/not linearizable/, [put("1", x, 0, 10), update("2", x, 20, 40, saw), update("3", x, 25, 45, saw)]);
  rejects(/not linearizable/, [put("1", x, 0, 10), update("2", x, 20, 30, saw), read("r", x, 50, 60, saw)]);
});

test("a compare-and-swap that succeeds twice on one version is rejected, and so is a refusal without a reason", () => {
  accepts([put("1", x, 0, 10), swap("2", "1", 20, 40), swap("3", "2", 25, 45)]);
  rejects(/not linearizable/, [put("1", x, 0, 10), swap("2", "1", 20, 40), swap("3", "1", 25, 45)]);
  rejects(/not linearizable/, [swap("2", null, 20, 40), swap("3", null, 25, 45)]);
  const refused = operation("4", { type: "swap", key: x, expected: "1" }, 20, 30, { status: "refused" });
  rejects(/not linearizable/, [put("1", x, 0, 10), refused]);
  accepts([put("1", x, 0, 10), refused, put("5", x, 25, 40)]);
});

test("a resurrected removal is rejected, also when the session was created anew in between", () => {
  rejects(/not linearizable/, [put("1", x, 0, 10), remove("2", 20, 30), read("r", x, 40, 50, putState("1"))]);
  rejects(/not linearizable/, [put("1", x, 0, 10), remove("2", 20, 30), put("3", x, 40, 50), swap("4", "1", 60, 70)]);
  rejects(/not linearizable/, [put("1", x, 0, 10), remove("2", 20, 30), remove("3", 40, 50)]);
  accepts([put("1", x, 0, 10), remove("2", 20, 30), remove("3", 40, 50, false), read("r", x, 60, 70, absent)]);
});

test("a patch that undoes another field is rejected", () => {
  const patch = (id: string, field: "a" | "b", call: number, end: number, saw: State) =>
    operation(id, { type: "patch", key: x, field, createIfMissing: false }, call, end, {
      status: "done",
      saw: { [x]: saw },
    });
  const first = toState({ ...putEntry("1"), id: "2", a: "2" });
  accepts([
    put("1", x, 0, 10),
    patch("2", "a", 20, 30, first),
    patch("3", "b", 40, 50, toState({ ...putEntry("1"), id: "3", a: "2", b: "3" })),
  ]);
  rejects(/not linearizable/, [
    put("1", x, 0, 10),
    patch("2", "a", 20, 30, first),
    patch("3", "b", 40, 50, toState({ ...putEntry("1"), id: "3", b: "3" })),
  ]);
});

test("a torn transaction is rejected by the check of the whole store, and by dense versions without it", () => {
  const both = operation(
    "t",
    { type: "transaction", steps: [x, y].map((key) => ({ key, does: "put" }) as const) },
    20,
    50,
    { status: "done", version: "3-t" },
  );
  const torn = [
    put("1", x, 0, 10, "1-p"),
    put("2", y, 0, 10, "2-p"),
    both,
    read("r1", x, 30, 35, putState("t"), "3-t"),
    read("r2", y, 40, 45, putState("2"), "2-p"),
  ];
  const judgement = judge(torn);
  assert.equal(judgement.violations.length, 1);
  assert.match(judgement.violations[0]!, /the store is not linearizable/, "each session alone looks fine");
  const scan = operation("s", { type: "scan" }, 30, 45, {
    status: "done",
    saw: { [x]: putState("t"), [y]: putState("2") },
    sawVersions: { [x]: "3-t", [y]: "2-p" },
  });
  rejects(/s saw the commits up to 3, but not commit 3/, [...torn.slice(0, 3), scan], { denseVersions: true });
  rejects(/the store is not linearizable/, [...torn.slice(0, 3), scan]);
});

test("what a killed process had called may have happened at any later time, or never, but not twice", () => {
  const killed = operation("k", { type: "put", key: x }, 20);
  const first = put("1", x, 0, 10);
  accepts([first, killed, read("r", x, 90, 99, putState("1"))]);
  accepts([first, killed, read("r", x, 90, 99, putState("k"))]);
  accepts([first, killed, read("r1", x, 30, 35, putState("1")), read("r2", x, 90, 99, putState("k"))]);
  rejects(/not linearizable/, [
    first,
    killed,
    read("r1", x, 30, 35, putState("k")),
    put("2", x, 40, 50),
    read("r2", x, 60, 70, putState("k")),
  ]);
  rejects(/not linearizable/, [first, killed, read("r", x, 5, 15, putState("k"))]);
});

test("a version that comes back for another state is rejected", () => {
  rejects(/1-a goes with/, [put("1", x, 0, 10, "1-a"), remove("2", 20, 30), put("3", x, 40, 50, "1-a")]);
  rejects(/1 goes with 1-a and with 2-b/, [put("1", x, 0, 10, "1-a"), read("r", x, 20, 30, putState("1"), "2-b")]);
});

test("dense versions: a hole, a duplicate, a wrong order and a reader that goes back are rejected", () => {
  const dense = { denseVersions: true };
  accepts([put("1", x, 0, 10, "1-a"), put("2", y, 20, 30, "2-b")], dense);
  rejects(/nobody made the commits 2;/, [put("1", x, 0, 10, "1-a"), put("2", y, 20, 30, "3-b")], dense);
  accepts([put("1", x, 0, 10, "1-a"), operation("k", { type: "put", key: x }, 5), put("2", y, 20, 30, "3-b")], dense);
  rejects(/commit 1 belongs to 1 and to 2/, [put("1", x, 0, 10, "1-a"), put("2", y, 20, 30, "1-b")], dense);
  rejects(
    /1 is commit 1-a, although 2 \(2\) had returned/,
    [put("2", x, 0, 10, "2-b"), put("1", y, 20, 30, "1-a")],
    dense,
  );
  const reader = (id: string, call: number, state: State, version: string) => ({
    ...read(id, x, call, call + 5, state, version),
    client: "reader",
  });
  rejects(
    /reader saw x at 1-a after 2/,
    [
      put("1", x, 0, 10, "1-a"),
      put("2", x, 20, 90, "2-b"),
      reader("r1", 30, putState("2"), "2-b"),
      reader("r2", 50, putState("1"), "1-a"),
    ],
    dense,
  );
  rejects(/the watcher got x at 1-a after 2/, [put("1", x, 0, 10, "1-a"), put("2", x, 20, 30, "2-b")], {
    ...dense,
    feed: [
      { key: x, version: "2-b", entry: putEntry("2") },
      { key: x, version: "1-a", entry: putEntry("1") },
    ],
  });
});

/** A history that a correct store might have produced: each operation happens at one moment between call and return. */
function simulate(seed: number, count: number, clients: number, open: number): Operation[] {
  const random = new SeededRandom(seed);
  const keys = [x, y];
  const states = new Map<string, State>(keys.map((key) => [key, absent]));
  const free = Array.from({ length: clients }, () => 0);
  const planned = Array.from({ length: count }, (_, index) => {
    const client = index % clients;
    const call = free[client]! + random.between(0, 20);
    const moment = call + random.between(0, 50);
    const end = moment + random.between(0, 50);
    free[client] = end;
    return { id: `${index}`, call, moment, end, killed: random.chance(open / count) };
  });
  const done: Operation[] = [];
  for (const { id, call, moment, end, killed } of planned.sort((p, q) => p.moment - q.moment)) {
    const key = random.pick(keys);
    const action = random.pick<Action>([
      { type: "read", key },
      { type: "put", key },
      { type: "update", key },
      { type: "swap", key, expected: random.chance(0.7) ? writerOf(states.get(key)!) : "another" },
      { type: "remove", key },
      { type: "transaction", steps: keys.map((each) => ({ key: each, does: random.pick(["look", "update"]) })) },
      { type: "scan" },
    ]);
    if (killed) {
      done.push(operation(id, action, call));
      if (random.chance(0.5)) continue; // It never happened.
    }
    const before = keysOf(action, keys).map((each) => [each, states.get(each)!] as const);
    const bare = operation(id, action, call, end);
    const after = before.map(([each, state]) => [each, applyToSession(bare, each, state)] as const);
    const refused = after.some(([, state]) => state === undefined);
    if (!refused) for (const [each, state] of after) states.set(each, state!);
    if (killed) continue;
    const outcome: Outcome = refused
      ? { status: "refused" }
      : { status: "done", saw: Object.fromEntries(before), existed: before[0]![1] !== absent };
    done.push({ ...bare, outcome });
    assert.ok(moment <= end);
  }
  return done;
}

test("every history of a correct store is accepted, with open ends or without", () => {
  const histories = fc.record({
    seed: fc.nat(),
    count: fc.integer({ min: 1, max: 120 }),
    open: fc.integer({ max: 8, min: 0 }),
  });
  fc.assert(
    fc.property(histories, fc.constantFrom(1, 3, 8), ({ seed, count, open }, clients) => {
      const { violations, undecided } = judge(simulate(seed, count, clients, open));
      assert.deepEqual([violations, undecided], [[], []]);
    }),
    { numRuns: 150 },
  );
});

test("one wrong value anywhere in a long history is found", () => {
  fc.assert(
    fc.property(fc.nat(), fc.nat(), (seed, choice) => {
      const operations = simulate(seed, 150, 4, 0);
      const reads = operations.filter(({ action }) => action.type === "read");
      const wrong = reads[choice % reads.length]!;
      const key = keysOf(wrong.action, [])[0]!;
      const outcome: Outcome = { status: "done", saw: { [key]: putState("never written") } };
      const broken = operations.map((each) => (each === wrong ? { ...each, outcome } : each));
      assert.notDeepEqual(judge(broken).violations, []);
    }),
    { numRuns: 40 },
  );
});

test("a long history costs about as many attempts as it has operations", () => {
  const { violations, attempts } = judge(simulate(1, 5_000, 8, 8));
  assert.deepEqual(violations, []);
  assert.ok(attempts < 200_000, `${attempts} attempts`);
});

test("a wrong history with many open ends is given up, not searched for ever", () => {
  const open = Array.from({ length: 40 }, (_, index) => operation(`k${index}`, { type: "update", key: x }, index));
  const operations = [...open, read("r", x, 100, 110, putState("never written"))];
  const { violations, undecided, attempts } = judgeHistory({ keys: [x], operations, denseVersions: false }, 20_000);
  assert.deepEqual(violations, []);
  assert.match(undecided.join(), /undecided/);
  assert.ok(attempts <= 20_001);
});

test("the search finds the one order among many", () => {
  // All at once: only 0, 1, 2 ... 11 fits.
  const steps = Array.from({ length: 12 }, (_, index) => ({
    call: 0,
    return: 100 - index,
    apply: (state: number) => (state === index ? index + 1 : undefined),
  }));
  assert.equal(linearize(steps, 0, String).verdict, "linearizable");
  const without = steps.filter((_, index) => index !== 5);
  assert.equal(linearize(without, 0, String).verdict, "not linearizable");
});
