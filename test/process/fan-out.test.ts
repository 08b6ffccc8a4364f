/** The scenario that started it all: nobody waits for a parent that holds its update open, and nothing is lost. */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import test, { type TestContext } from "node:test";
import type { Way } from "../../examples/fan-out/operations.js";
import { runScenario, type Settings } from "../../examples/fan-out/scenario.js";

function run(context: TestContext, way: Way, load: Pick<Settings, "sessions" | "subagents" | "channels">) {
  const directory = mkdtempSync(path.join(os.tmpdir(), "sessiondir-fan-out-"));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  const location = path.join(directory, "sessions.json");
  // No time passes for its own sake: the parent lets go when the last announcement was acknowledged.
  return runScenario({ place: { way, location }, ...load, holdMs: 0, watchdogMs: 100_000 });
}

const loads = [
  { way: "directory", by: "the store's own methods", subagents: 200, channels: 50 },
  { way: "gateway", by: "updateSessionStore and updateLastRoute", subagents: 60, channels: 20 },
] as const;

for (const { way, by, subagents, channels } of loads) {
  test(`${subagents} announcements are acknowledged before the parent lets go of its update, beside ${channels} channels of two processes: by ${by}`, async (context) => {
    const outcome = await run(context, way, { sessions: 20, subagents, channels });
    assert.equal(outcome.announcedBeforeRelease, subagents);
    assert.deepEqual(outcome.lost, []);
    assert.equal(outcome.parentRuns, 1, "the plan is merged with what was announced meanwhile");
    assert.ok(outcome.messages >= channels, "every channel delivered");
    for (const name of ["announcement to the parent", "inbound message", "update that the parent held open"]) {
      assert.ok(outcome.latencies.get(name)!.length > 0, name);
    }
  });
}

test("the same on the single sessions.json: slower, and nothing is lost either", async (context) => {
  const outcome = await run(context, "json", { sessions: 2, subagents: 20, channels: 4 });
  assert.deepEqual([outcome.announcedBeforeRelease, outcome.lost], [20, []]);
});
