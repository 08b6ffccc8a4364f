/** The main job of `npm start`, smaller: it must lose nothing, say so, and leave stores that are whole. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import path from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { fingerprint, projectRoot, runCommand, temporaryDirectory } from "./command-line.js";

const gateway = fileURLToPath(new URL("../../examples/gateway/main.js", import.meta.url));

function runGateway(args: string[], cwd: string) {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  return spawnSync(process.execPath, [gateway, ...args], { cwd, env, encoding: "utf8", timeout: 120_000 });
}

test("the main job loses nothing with four processes, and a second run goes on with the stores of the first", (context) => {
  assert.ok(existsSync(path.join(projectRoot, "dist", "index.js")), "the example needs dist/: npm run build");
  const cwd = temporaryDirectory(context);
  const first = runGateway(["--sessions", "30", "--seconds", "2"], cwd);
  assert.equal(first.status, 0, first.stdout + first.stderr);
  assert.match(first.stdout, /changes were acknowledged to four processes; lost: 0\./);
  assert.match(first.stdout, /200 commits to the same session went through|[2-9]\d\d commits to the same session/);
  assert.match(first.stdout, /verify: nothing is wrong in any store/);
  const state = readdirSync(cwd).find((name) => name.startsWith("demo-state"))!;
  const second = runGateway(["--state-dir", state, "--seconds", "1"], cwd);
  assert.equal(second.status, 0, second.stdout + second.stderr);
  assert.match(second.stdout, /lost: 0\./);
  const store = path.join(cwd, state, "agents", "main", "sessions", "sessions.json");
  assert.equal(runCommand(["verify", "--store", store]).status, 0);
});

test("a directory without stores is refused and left as it is", (context) => {
  const cwd = temporaryDirectory(context);
  const { status, stderr } = runGateway(["--state-dir", "."], cwd);
  assert.equal(status, 2);
  assert.match(stderr, /no agents\/\*\/sessions\/sessions\.json/);
  assert.equal(fingerprint(cwd).size, 0);
});

test("a misspelt option shows the usage", (context) => {
  const { status, stderr } = runGateway(["--session", "3"], temporaryDirectory(context));
  assert.equal(status, 2);
  assert.match(stderr, /Usage: npm start/);
});
