/** Where the state directory is: each variable, and what is no value. */

import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import {
  type HomeOptions,
  resolveHomeDirectory,
  resolveStateDir,
  resolveUserPath,
} from "../../../src/discovery/state-dir.js";
import { SimulatedMachine } from "../../sim/machine.js";

const skip = process.platform === "win32" && "skipped: needs posix paths";

/** A machine whose system says that the home is /home/system, with these directories. */
function on(...directories: string[]): HomeOptions {
  const machine = new SimulatedMachine();
  for (const directory of directories) machine.makeDirectory(directory);
  return { port: machine.process("gateway", { homeDirectory: "/home/system" }) };
}

test("OPENCLAW_STATE_DIR is trimmed, and ~ in it is the home directory", { skip }, () => {
  const env = { OPENCLAW_STATE_DIR: "  ~/state ", HOME: "/home/a" };
  assert.equal(resolveStateDir(env, on()), "/home/a/state");
  assert.equal(resolveStateDir({ OPENCLAW_STATE_DIR: "/srv/state" }, on()), "/srv/state");
  assert.equal(resolveStateDir({ OPENCLAW_STATE_DIR: "state" }, on()), path.resolve("state"));
  assert.equal(resolveStateDir({ OPENCLAW_STATE_DIR: "/~/x" }, on()), "/~/x");
});

test("without OPENCLAW_STATE_DIR it is .openclaw in the home directory", { skip }, () => {
  assert.equal(resolveStateDir({ HOME: "/home/a" }, on()), "/home/a/.openclaw");
  assert.equal(resolveStateDir({ HOME: "/home/a", OPENCLAW_STATE_DIR: "  " }, on()), "/home/a/.openclaw");
});

test("an existing .clawdbot is the state directory as long as there is no .openclaw", { skip }, () => {
  const env = { HOME: "/home/a" };
  assert.equal(resolveStateDir(env, on("/home/a/.clawdbot")), "/home/a/.clawdbot");
  assert.equal(resolveStateDir(env, on("/home/a/.clawdbot", "/home/a/.openclaw")), "/home/a/.openclaw");
});

test("home is OPENCLAW_HOME, then HOME, then USERPROFILE, then what the system says, then the current directory", {
  skip,
}, () => {
  const all = { OPENCLAW_HOME: "/one", HOME: "/two", USERPROFILE: "/three" };
  assert.equal(resolveHomeDirectory(all, on()), "/one");
  assert.equal(resolveHomeDirectory({ ...all, OPENCLAW_HOME: undefined }, on()), "/two");
  assert.equal(resolveHomeDirectory({ USERPROFILE: "/three" }, on()), "/three");
  assert.equal(resolveHomeDirectory({}, on()), "/home/system");
  assert.equal(resolveHomeDirectory({}, { ...on(), homedir: () => "/given" }), "/given");
  assert.equal(resolveHomeDirectory({}, { port: new SimulatedMachine().process() }), process.cwd());
});

test("OPENCLAW_HOME may begin with ~, which is then the user's home", { skip }, () => {
  assert.equal(resolveHomeDirectory({ OPENCLAW_HOME: "~/gateway", HOME: "/home/a" }, on()), "/home/a/gateway");
  assert.equal(resolveHomeDirectory({ OPENCLAW_HOME: "~" }, on()), "/home/system");
  assert.equal(resolveUserPath("~/x", { OPENCLAW_HOME: "~/gateway", HOME: "/home/a" }, on()), "/home/a/gateway/x");
  assert.equal(resolveUserPath("~other/x", { HOME: "/home/a" }, on()), path.resolve("~other/x"));
});

test("the words undefined and null are no value of any of them", { skip }, () => {
  for (const word of ["undefined", "null", " null "]) {
    const env = { OPENCLAW_STATE_DIR: word, OPENCLAW_HOME: word, HOME: word, USERPROFILE: "/three" };
    assert.equal(resolveStateDir(env, on()), "/three/.openclaw", word);
  }
});
