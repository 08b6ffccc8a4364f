/** What the real system says about processes, for lock files that name one. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { nodePort } from "../../../src/fs/node-port.js";

test("this process lives, and started when it did at every look", () => {
  const { alive, startTime } = nodePort().inspectProcess(process.pid);
  assert.equal(alive, true);
  assert.equal(nodePort().inspectProcess(process.pid).startTime, startTime);
  if (process.platform === "linux") assert.ok(startTime !== undefined && startTime > 0);
});

test("a process that ended is dead, another one has another start", async () => {
  const child = spawn(process.execPath, ["-e", "process.stdin.resume()"], { stdio: ["pipe", "ignore", "inherit"] });
  await once(child, "spawn");
  const pid = child.pid as number;
  const living = nodePort().inspectProcess(pid);
  assert.equal(living.alive, true);
  if (living.startTime !== undefined) {
    assert.notEqual(living.startTime, nodePort().inspectProcess(process.pid).startTime);
  }
  child.kill("SIGKILL");
  await once(child, "exit");
  assert.deepEqual(nodePort().inspectProcess(pid), { alive: false, startTime: undefined });
});

test("numbers that address groups of processes, or none, are dead", () => {
  for (const pid of [0, -1, 1.5, Number.NaN, 2 ** 31 - 1]) {
    assert.deepEqual(nodePort().inspectProcess(pid), { alive: false, startTime: undefined }, String(pid));
  }
});
