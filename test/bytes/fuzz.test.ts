// Fuzzed stores and legacy files. More: SESSIONDIR_FUZZ_INPUTS=100000 SESSIONDIR_FUZZ_SEED=7; a failure is kept in
// test/corpus/ when SESSIONDIR_FUZZ_KEEP is set, and replayed from then on.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { SeededRandom } from "../sim/random.js";
import { corpusDirectory, saveCase } from "./corpus.js";
import { boundsOf, fuzzBytes } from "./fuzz.js";
import { makeHonestStore } from "./honest-store.js";
import type { LargeInputReport } from "./large-inputs-program.js";
import { compareRecoveries } from "./real-recovery.js";

const inputs = Number(process.env.SESSIONDIR_FUZZ_INPUTS ?? 6_000);
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
  // `boundsOf` is generous, and still a bound: loops that end, but read everything again for each record, pass it.
  assert.ok(counters.mostCalls > 0.01 && counters.mostCalls <= 1, `calls: ${counters.mostCalls}`);
  assert.ok(counters.mostCpu > 0 && counters.mostCpu <= 1, `CPU: ${counters.mostCpu}`);
  // The mutators reach every kind of outcome; a fuzzer that is always refused tests nothing.
  for (const kind of ["states", "refusals", "damaged", "legacyTaken", "legacyRefused"] as const) {
    assert.ok(counters[kind] >= inputs / 100, `${kind}: ${counters[kind]} of ${inputs}`);
  }
});

test("files full of what takes longest to judge take time and memory in proportion to their size", () => {
  const program = fileURLToPath(new URL("./large-inputs-program.js", import.meta.url));
  // The files have 1 MiB. A million nested arrays are some 60 bytes each to JSON.parse, and 250 to JSON5.
  const parameters = ["--max-old-space-size=384", "--max-semi-space-size=8", program];
  const { status, stdout, stderr } = spawnSync(process.execPath, parameters, { encoding: "utf8", timeout: 300_000 });
  assert.equal(status, 0, stderr);
  const reports = JSON.parse(stdout) as LargeInputReport[];
  assert.ok(reports.length > 8);
  for (const { name, small, large } of reports) {
    const bounds = boundsOf({ manifest: new Uint8Array(0), segments: new Map(), entries: new Map() });
    assert.ok(large.calls <= bounds.calls + large.bytes / 100, `${name}: ${JSON.stringify(large)}`);
    // Four times the bytes: sixteen times the time would be quadratic.
    assert.ok(large.cpuMs <= 10 * small.cpuMs + 1_500, `${name}: ${JSON.stringify([small, large])}`);
    assert.ok(large.residentBytes <= 600_000_000, `${name}: ${large.residentBytes} bytes resident`);
  }
});
