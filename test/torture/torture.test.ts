/** A torture run in small: every simulated row runs some cases, and what a row must notice is noticed. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Versioned } from "../../src/contract.js";
import { CrashModel } from "./crash-model.js";
import { Harmed, harmCount, noFigures, noteHarm } from "./figures.js";
import { rows } from "./rows.js";

for (const [name, cases] of [
  ["crash-states", 6],
  ["failed-calls", 25],
  ["schedules", 2],
  ["crash-scenes", 11],
] as const) {
  test(`${cases} cases of ${name}: nothing lost, in part, back again or hanging`, async () => {
    const row = rows.find((candidate) => candidate.name === name)!;
    let states = 0;
    for (let seed = 500; seed < 500 + cases; seed++) {
      const { figures, problems } = await row.run(seed, Date.now() + 60_000);
      assert.deepEqual(problems, [], `npm run torture -- --replay ${name}:${seed}`);
      assert.equal(harmCount(figures), 0);
      states += figures.states ?? 0;
    }
    assert.ok(states > 0);
  });
}

for (const name of ["side-files", "torn-tails", "bit-flips", "swaps"]) {
  const row = rows.find((candidate) => candidate.name === name);
  const skip = row === undefined && "skipped: needs linux (/proc)";
  test(`a case of ${name} is as promised`, { skip }, async () => {
    const { figures, problems } = await row!.run(600, Date.now() + 60_000);
    assert.deepEqual(problems, [], `npm run torture -- --replay ${name}:600`);
    assert.ok((figures.inputs ?? 0) + (figures.swaps ?? 0) > 10);
  });
}

test("a store that is behind, ahead, mixed or has what was removed is none of the prefixes", () => {
  const model = new CrashModel();
  model.begin([{ type: "put", key: "a", entry: { n: 1 } }]);
  model.begin([
    { type: "remove", key: "a", purge: false },
    { type: "put", key: "b", entry: { n: 2 } },
    { type: "put", key: "c", entry: { n: 2 } },
  ]);
  const at = (version: number, n = version): Versioned => ({
    entry: { n },
    version: `${version}-00000000-000000000000`,
  });
  const harmOf = (found: Record<string, Versioned>, version: number, floor: number) => {
    const figures = noFigures();
    try {
      model.compare(new Map(Object.entries(found)), version, floor, model.begun);
    } catch (error) {
      assert.ok(error instanceof Harmed);
      noteHarm(figures, [], error);
    }
    return Object.entries(figures)
      .filter(([, count]) => count > 0)
      .map(([harm]) => harm);
  };
  assert.deepEqual(harmOf({ b: at(2), c: at(2) }, 2, 2), []);
  assert.deepEqual(harmOf({ a: at(1) }, 1, 0), []);
  assert.deepEqual(harmOf({ a: at(1) }, 1, 2), ["lost"]);
  assert.deepEqual(harmOf({ b: at(2) }, 2, 2), ["lost"]);
  assert.deepEqual(harmOf({ b: at(2) }, 2, 1), ["partlyVisible"]);
  assert.deepEqual(harmOf({ a: at(1), b: at(2), c: at(2) }, 2, 2), ["resurrected"]);
  assert.deepEqual(harmOf({ b: at(2), c: at(2, 7) }, 2, 2), ["disagreements"]);
  assert.deepEqual(harmOf({ b: at(2), c: at(2) }, 3, 2), ["disagreements"]);
});
