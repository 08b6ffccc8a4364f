/** A torture run in small: every simulated row runs some cases, and what a row must notice is noticed. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Versioned } from "../../src/contract.js";
import { Disagreement, loadCase, openAgreed } from "../bytes/corpus.js";
import { TornJournal } from "../bytes/torn.js";
import { CrashModel } from "./crash-model.js";
import { atEvery, placesOf } from "./every-place.js";
import { Harmed, harmCount, noFigures, noteHarm } from "./figures.js";
import { keepFound } from "./found.js";
import { placeSteps, rows } from "./rows.js";

for (const [name, cases] of [
  ["crash-states", 6],
  ["failed-calls", 25],
  ["failed-syncs", 60],
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

test("so many cases of a row in a row as make a round cut a journal at each of its bytes, once", () => {
  const cut = Array.from({ length: placeSteps }, (_, seed) => [...placesOf(10_000_000 + seed, 65_537)]).flat();
  assert.deepEqual(
    cut.sort((x, y) => x - y),
    Array.from({ length: 65_537 }, (_, at) => at),
  );
});

test("two workers on one row take one seed after the other, without a gap and without an overlap", () => {
  withTemporaryDirectory((directory) => {
    const { report, status } = runTorture(directory, "--minutes", "0.05", "--seed", "3", "--only", "bit-flips");
    assert.equal(status, 0);
    const { cases, seeds } = report.rows["bit-flips"];
    assert.ok(cases > 2);
    assert.deepEqual(seeds, { first: 30_000_000, last: 30_000_000 + cases - 1 });
  });
});

test("an input on which two recoveries disagree is kept, and its line says how it becomes one of the corpus", () => {
  withTemporaryDirectory((directory) => {
    const { store } = new TornJournal(1, 2_000, 40);
    const [line, second] = keepFound(path.join(directory, "found"), "bytes-7", [
      { why: "seed 7: cut", role: "writer", store: store.bytes },
      { why: "seed 7: a legacy file", legacy: Buffer.from("{") },
    ]) as [string, string];
    const file = path.join(directory, "found", "bytes-7.json");
    assert.ok(line.includes(`kept: ${file};`) && line.includes(`mv ${file} test/corpus/`), line);
    assert.ok(second.includes("bytes-7-1.json"), second);
    const found = loadCase(file);
    assert.ok("store" in found && found.why === "seed 7: cut");
    assert.deepEqual([...found.store.segments.keys()], [...store.bytes.segments.keys()]);
  });
});

test("a row whose two recoveries disagree counts it, and hands over the input", async () => {
  const { figures, problems, found } = await atEvery(600, 1_000, async (place) => {
    await openAgreed({ manifest: Buffer.from("{}"), segments: new Map(), entries: new Map() }, "writer", `at ${place}`);
    throw new Disagreement({ why: `at ${place}`, legacy: Buffer.from("[]") }, "one takes it, one does not");
  });
  assert.equal(figures.disagreements, 1);
  assert.match(problems.join(), /^disagreements: at 100: one takes it, one does not\ncaused by /);
  assert.deepEqual(found, [{ why: "at 100", legacy: Buffer.from("[]") }]);
});

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

function withTemporaryDirectory(body: (directory: string) => void): void {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sessiondir-torture-"));
  try {
    body(directory);
  } finally {
    fs.rmSync(directory, { recursive: true, force: true });
  }
}

function runTorture(directory: string, ...parameters: string[]) {
  const program = fileURLToPath(new URL("./main.js", import.meta.url));
  const results = path.join(directory, "torture.json");
  const { status } = spawnSync(process.execPath, [program, ...parameters, "--results", results], { stdio: "ignore" });
  return { status, report: JSON.parse(fs.readFileSync(results, "utf8")) };
}
