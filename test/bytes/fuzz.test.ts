// Fuzzed stores and legacy files. More: SESSIONDIR_FUZZ_INPUTS=100000 SESSIONDIR_FUZZ_SEED=7; a failure is kept in
// test/corpus/ when SESSIONDIR_FUZZ_KEEP is set, and replayed from then on.

import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import { SeededRandom } from "../sim/random.js";
import { corpusDirectory, saveCase } from "./corpus.js";
import { fuzzBytes } from "./fuzz.js";
import { makeHonestStore } from "./honest-store.js";
import { compareRecoveries } from "./real-recovery.js";

const inputs = Number(process.env.SESSIONDIR_FUZZ_INPUTS ?? 8_000);
const seed = Number(process.env.SESSIONDIR_FUZZ_SEED ?? 1);

test("what was not spoilt is read whole, by the library and by the pure function", async () => {
  for (let honest = 1; honest <= 200; honest++) {
    const store = makeHonestStore(new SeededRandom(honest));
    for (const role of ["writer", "reader"] as const) {
      const { real, difference } = await compareRecoveries(store.bytes, role);
      assert.equal(difference, undefined, `store ${honest}, ${role}`);
      assert.ok(real.kind === "state" && real.version === store.lastVersion, `store ${honest}, ${role}`);
      assert.deepEqual(new Map(real.sessions), store.states[store.lastVersion], `store ${honest}, ${role}`);
    }
  }
});

test(`${inputs} fuzzed inputs from seed ${seed}: the library and the pure functions agree on each`, async () => {
  const counters = await fuzzBytes({
    seed,
    inputs,
    onDisagreement: (line, found) => {
      console.log(line);
      if (process.env.SESSIONDIR_FUZZ_KEEP) {
        saveCase(path.join(corpusDirectory(), `${found.why.split(":")[0]?.replace(" ", "-")}.json`), found);
      }
    },
  });
  assert.deepEqual(counters.failures, []);
  assert.equal(counters.inputs, inputs);
  // The mutators reach every kind of outcome; a fuzzer that is always refused tests nothing.
  for (const kind of ["states", "refusals", "damaged", "legacyTaken", "legacyRefused"] as const) {
    assert.ok(counters[kind] >= inputs / 100, `${kind}: ${counters[kind]} of ${inputs}`);
  }
});
