/** The scenario that started it all: nobody waits for a parent that holds its update open, and nothing is lost. */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import test, { type TestContext } from "node:test";
import type { Backend } from "../../examples/fan-out/operations.js";
import { runScenario, type Settings } from "../../examples/fan-out/scenario.js";

function run(context: TestContext, backend: Backend, load: Pick<Settings, "sessions" | "subagents" | "channels">) {
  const directory = mkdtempSync(path.join(os.tmpdir(), "sessiondir-fan-out-"));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  const location = path.join(directory, "sessions.json");
  // No time passes for its own sake: the parent lets go when the last announcement was acknowledged.
  return runScenario({ place: { backend, location }, ...load, holdMs: 0, watchdogMs: 100_000 });
}

test("200 announcements are acknowledged before the parent lets go of its update, beside 50 channels of two processes", async (context) => {
  const outcome = await run(context, "directory", { sessions: 20, subagents: 200, channels: 50 });
  assert.equal(outcome.announcedBeforeRelease, 200);
  assert.deepEqual(outcome.lost, []);
  assert.equal(outcome.parentRuns, 1, "the plan is merged with what was announced meanwhile");
  assert.ok(outcome.messages >= 50, "every channel delivered");
  for (const name of ["announcement to the parent", "inbound message", "update that the parent held open"]) {
    assert.ok(outcome.latencies.get(name)!.length > 0, name);
  }
});

test("the same on the single sessions.json: slower, and nothing is lost either", async (context) => {
  const outcome = await run(context, "json", { sessions: 2, subagents: 20, channels: 4 });
  assert.deepEqual([outcome.announcedBeforeRelease, outcome.lost], [20, []]);
});
