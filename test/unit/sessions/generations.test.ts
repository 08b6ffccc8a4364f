/** Which changes of an entry end a generation, and what a stored list is taken for. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { fixedLimits } from "../../../src/limits.js";
import { generationsAfter, parseGenerations } from "../../../src/sessions/generations.js";

const end = { endedMs: 5, actor: "me" };
const ids = (list: readonly { sessionId: string }[] | undefined) => list?.map(({ sessionId }) => sessionId);

test("only another sessionId ends a generation", () => {
  for (const [before, after, wanted] of [
    ["a", "a", undefined],
    ["a", "b", ["a"]],
    ["a", undefined, ["a"]],
    ["a", "", ["a"]],
    ["a", 5, ["a"]],
    [undefined, "a", undefined],
    ["", "a", undefined],
    [5, "a", undefined],
    [undefined, undefined, undefined],
  ] as const) {
    const list = generationsAfter({ entry: { sessionId: before } }, { sessionId: after }, end);
    assert.deepEqual(ids(list), wanted, `${before} -> ${after}`);
  }
});

test("an id is on the list once, and never while it is current", () => {
  const generations = ["x", "y", "z"].map((sessionId) => ({ sessionId, endedMs: 1 }));
  const after = (from: string | undefined, to: string) =>
    ids(generationsAfter({ entry: { sessionId: from }, generations }, { sessionId: to }, end));
  assert.deepEqual(after("new", "y"), ["x", "z", "new"]);
  assert.deepEqual(after("x", "new"), ["y", "z", "x"]);
  assert.deepEqual(after(undefined, "z"), ["x", "y"]);
  assert.equal(after(undefined, "new"), undefined);
});

test("the oldest go when there are too many", () => {
  const generations = Array.from({ length: fixedLimits.generationsMax }, (_, n) => ({
    sessionId: `s${n}`,
    endedMs: n,
  }));
  const list = generationsAfter({ entry: { sessionId: "now" }, generations }, { sessionId: "next" }, end);
  assert.equal(list?.length, fixedLimits.generationsMax);
  assert.deepEqual([list?.[0]?.sessionId, list?.at(-1)?.sessionId], ["s1", "now"]);
});

test("what was stored is read as far as it has the form, frozen, and no longer than it may be", () => {
  const good = { sessionId: "a", sessionFile: "f", endedMs: 1, actor: "x", reason: "y" };
  const bad = [
    null,
    1,
    "a",
    [],
    {},
    { sessionId: 1, endedMs: 1 },
    { sessionId: "a" },
    { sessionId: "a", endedMs: "1" },
  ];
  const list = parseGenerations([
    ...bad,
    { ...good, more: 1 },
    { sessionId: "b", endedMs: 2, sessionFile: 5, actor: null },
  ]);
  assert.deepEqual(list, [good, { sessionId: "b", endedMs: 2 }]);
  assert.ok(Object.isFrozen(list) && list?.every(Object.isFrozen));
  assert.equal(parseGenerations(Array(1_000).fill(good))?.length, fixedLimits.generationsMax);
  assert.deepEqual(parseGenerations([]), []);
  for (const value of [undefined, null, {}, "a", 1]) assert.equal(parseGenerations(value), undefined);
});
