/** Programs of random calls on three sessions, for processes that are interleaved at random. */

import type { SeededRandom } from "../sim/random.js";
import type { ProgramSpec } from "../sim/scheduler.js";
import type { Call, Script } from "./programs.js";

const module = new URL("./programs.js", import.meta.url);
const keys = ["a", "b", "c"];

/** One program; it is killed on the way with the probability `deaths`. */
export function drawProgram(random: SeededRandom, deaths: number): ProgramSpec {
  const calls = Array.from({ length: 4 + random.below(6) }, (_, index) => drawCall(random, index));
  const segmentBytes = random.pick([1, 600, 100_000]);
  const durability = random.chance(0.25) ? ("interval" as const) : ("commit" as const);
  const cacheBytes = random.pick([0, 1_000_000]);
  const script: Script = { calls, options: { durability, cacheBytes, limits: { segmentBytes } } };
  const death = random.chance(deaths) ? { killAtCall: 30 + random.below(400), tear: random.chance(0.5) } : {};
  return { module, export: "runScript", argument: script, ...death };
}

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
