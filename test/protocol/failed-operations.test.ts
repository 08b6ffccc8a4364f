/**
 * F6: every public operation (operations.ts), with port calls that fail once or for good, with each code that a system
 * gives, or come back short. What must hold then is in failing-operation.ts. Here a sample, the same in every run; all of
 * it is the torture row "failed-calls".
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededRandom } from "../sim/random.js";
import { cleanRun, failOperation, type Tried } from "./failing-operation.js";
import { allOperations, type Operation } from "./operations.js";

const codes = ["EIO", "ENOSPC", "EDQUOT", "EMFILE", "EROFS", "EACCES"];
/** Of each operation at least so many calls, and all that no operation before it made. */
const placesPerOperation = 2;

/** These end without asking the system for anything. */
const withoutCalls = ["json: trash", "json: sync", "json: checkpoint", "json: close"];

test("whatever fails in whatever operation: a typed error or the right answer, nothing left behind, nothing lost", async () => {
  const random = new SeededRandom(1);
  const counts = new Map<string, number>();
  const count = (what: string) => counts.set(what, (counts.get(what) ?? 0) + 1);
  const met = new Set<string>();
  let turn = 0;
  for (const operation of allOperations) {
    const { calls, shortCalls, kinds } = await cleanRun(operation);
    assert.equal(calls === 0, withoutCalls.includes(operation.name), `${operation.name}: ${calls} calls`);
    for (const failAt of newPlaces(kinds, met, sample(calls, placesPerOperation, random))) {
      const code = codes[turn % codes.length] as string;
      const lasts = (["once", "from then on"] as const)[Math.floor(turn / codes.length) % 2] as "once";
      turn += 1;
      await tryAndCount(operation, { failAt, lasts, code });
    }
    for (const failAt of sample(shortCalls, 1, random)) {
      await tryAndCount(operation, { failAt, lasts: random.pick(["once", "from then on"] as const), code: "short" });
    }
  }

  async function tryAndCount(operation: Operation, failure: Parameters<typeof failOperation>[1]): Promise<void> {
    const tried = (await failOperation(operation, failure, random)) as Tried | undefined;
    // A call of one byte cannot come back short.
    if (tried === undefined) return;
    for (const what of [operation.name, failure.code, failure.lasts, tried.outcome]) count(what as string);
    if (tried.sweptLater.length > 0) count("swept later");
  }

  assert.ok(met.size >= 200, `${met.size} kinds of calls`);
  for (const { name } of allOperations) {
    if (!withoutCalls.includes(name)) assert.ok((counts.get(name) ?? 0) >= 1, `${name} was met`);
  }
  for (const code of codes) assert.ok((counts.get(code) ?? 0) >= 40, `${code}: ${counts.get(code)}`);
  assert.ok((counts.get("short") ?? 0) >= 40, `short: ${counts.get("short")}`);
  for (const lasts of ["once", "from then on"]) assert.ok((counts.get(lasts) ?? 0) >= 100, lasts);
  // Both ends of the promise: what is refused, and what is right all the same.
  for (const outcome of ["refused", "answered"]) assert.ok((counts.get(outcome) ?? 0) >= 50, outcome);
});

/** These calls, and the first of each kind that was not met before. */
function newPlaces(kinds: readonly string[], met: Set<string>, chosen: readonly number[]): Set<number> {
  const places = new Set(chosen);
  for (const failAt of chosen) met.add(kinds[failAt - 1] as string);
  for (const [index, kind] of kinds.entries()) {
    if (met.has(kind)) continue;
    met.add(kind);
    places.add(index + 1);
  }
  return places;
}

/** So many different numbers from 1 to `last`, or all of them. */
function sample(last: number, wanted: number, random: SeededRandom): number[] {
  const numbers = new Set<number>();
  while (numbers.size < Math.min(last, wanted)) numbers.add(1 + random.below(last));
  return [...numbers];
}
