/** Help, wrong usage and exit codes: what a person sees who calls the command wrongly. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import test from "node:test";
import { commandLine, runCommand, temporaryDirectory } from "./command-line.js";

const commands = [
  "list",
  "get",
  "patch",
  "remove",
  "generations",
  "du",
  "watch",
  "stats",
  "verify",
  "repair",
  "migrate",
];

for (const command of commands) {
  test(`${command} --help names the options and gives an example`, () => {
    const { status, stdout, stderr } = runCommand([command, "--help"]);
    assert.equal(status, 0);
    assert.equal(stderr, "");
    assert.match(stdout, new RegExp(`Examples:\\n {2}\\$ sessiondir ${command}`));
    for (const option of ["--store", "--json"]) assert.ok(stdout.includes(option), `${option} is missing`);
  });
}

test("the help names every command and the exit codes", () => {
  const { status, stdout } = runCommand(["--help"]);
  assert.equal(status, 0);
  for (const command of commands) assert.match(stdout, new RegExp(`^ {2}${command} `, "m"));
  assert.match(stdout, /Exit codes: 0 ok, 1 failed.*, 2 wrong usage/);
});

test("--version prints the version of the package", () => {
  assert.match(runCommand(["--version"]).stdout, /^\d+\.\d+\.\d+\n$/);
});

test("a misspelt command is refused with 2 and says which one was meant", () => {
  const { status, stdout, stderr } = runCommand(["verfy"]);
  assert.deepEqual([status, stdout], [2, ""]);
  assert.match(stderr, /unknown command 'verfy'[\s\S]*Did you mean verify/);
});

test("a misspelt option is refused with 2 and says which one was meant", () => {
  const { status, stderr } = runCommand(["list", "--agnet", "main"]);
  assert.equal(status, 2);
  assert.match(stderr, /Did you mean --agent/);
});

test("no command at all shows the help and is wrong usage", () => {
  const { status, stderr } = runCommand([]);
  assert.equal(status, 2);
  assert.match(stderr, /Usage: sessiondir/);
});

const wrong: [why: string, args: string[], text: RegExp][] = [
  ["a missing key", ["get"], /missing required argument 'key'/],
  ["an unknown kind", ["list", "--kind", "dm"], /Allowed choices are main, direct/],
  ["a limit that is no number", ["list", "--limit", "many"], /whole number above 0/],
  ["nothing to change", ["patch", "k"], /nothing to change/],
  ["an assignment without =", ["patch", "k", "label"], /is not field=value/],
  ["a field that is given twice", ["patch", "k", "a=1", "--unset", "a"], /given twice/],
  ["--set-json with an array", ["patch", "k", "--set-json", "[1]"], /takes a JSON object/],
  ["--purge without --yes", ["remove", "k", "--purge"], /add --yes/],
];

for (const [why, args, text] of wrong) {
  test(`${why} is refused with 2, with --json as one object on stdout`, (context) => {
    const env = { SESSIONDIR_STORE: path.join(temporaryDirectory(context), "sessions.json") };
    const plain = runCommand(args, { env });
    assert.deepEqual([plain.status, plain.stdout], [2, ""]);
    assert.match(plain.stderr, text);
    const json = runCommand([...args, "--json"], { env });
    assert.deepEqual([json.status, json.stderr], [2, ""]);
    const { error } = JSON.parse(json.stdout) as { error: { code: string; message: string } };
    assert.equal(error.code, "usage");
    assert.match(error.message, text);
  });
}

test("without any store here the command asks which one", (context) => {
  const { status, stderr } = runCommand(["list"], { cwd: temporaryDirectory(context) });
  assert.equal(status, 2);
  assert.match(stderr, /--store PATH or set SESSIONDIR_STORE/);
});

test("the store of the current directory is used without being named", (context) => {
  const cwd = temporaryDirectory(context);
  writeFileSync(path.join(cwd, "sessions.json"), "{}");
  // It is a legacy file that nobody took over: the answer proves that it was found.
  const { status, stdout } = runCommand(["list", "--json"], { cwd });
  assert.equal(status, 1);
  assert.equal((JSON.parse(stdout) as { error: { code: string } }).error.code, "legacy_store");
});

test("a store that does not exist is an error, and no command creates it", (context) => {
  const store = path.join(temporaryDirectory(context), "nowhere", "sessions.json");
  const beside = path.join(temporaryDirectory(context), "sessions.json");
  for (const location of [store, beside]) {
    for (const args of [["list"], ["get", "k"], ["patch", "k", "a=1", "--create"], ["remove", "k"], ["verify"]]) {
      const { status, stdout } = runCommand([...args, "--store", location, "--json"]);
      assert.equal(status, 1, args.join(" "));
      assert.equal((JSON.parse(stdout) as { error: { code: string } }).error.code, "store_missing", args.join(" "));
    }
    assert.equal(runCommand(["list", "--store", location.replace(/json$/, "d")]).status, 1);
  }
});

test("a location that can be no store is wrong usage for every command, in words of the command line", (context) => {
  const cwd = temporaryDirectory(context);
  writeFileSync(path.join(cwd, "foo.txt"), "{}");
  const stores = ["foo.txt", ":memory:", "mysql://me:secret@host/db"];
  const commands = [
    ["list"],
    ["verify"],
    ["repair"],
    ["export", "--all", "--output", "o"],
    ["import", "x"],
    ["backup", "create", "b"],
  ];
  for (const args of [...commands, ["backup", "restore", "b"], ["trash", "list"], ["migrate"], ["detect"]]) {
    for (const store of args[0] === "list" ? stores : stores.slice(0, 1)) {
      const { status, stdout, stderr } = runCommand([...args, "--store", store, "--json"], { cwd });
      const { error } = JSON.parse(stdout);
      assert.deepEqual([status, error.code, stderr], [2, "usage", ""], `${args.join(" ")} ${store}`);
      assert.match(error.message, /is neither a \*\.json file,? nor a \*\.d directory/);
      assert.doesNotMatch(error.message, /openSessionStore|secret/);
    }
  }
  for (const pair of [
    ["foo.txt", "a.d"],
    ["a.d", "foo.txt"],
  ]) {
    assert.equal(runCommand(["copy", ...pair], { cwd }).status, 2);
  }
  assert.deepEqual(readdirSync(cwd), ["foo.txt"]);
});

test("an error names the session by its key, whole; a conflict's advice is a command", (context) => {
  const store = path.join(temporaryDirectory(context), "sessions.json");
  const key = `agent:main:${"k".repeat(200)}`;
  writeFileSync(store, JSON.stringify({ [key]: { sessionId: "one", updatedAt: 1 } }));
  assert.equal(runCommand(["migrate", "--store", store]).status, 0);
  const missing = JSON.parse(runCommand(["get", `${key}x`, "--store", store, "--json"]).stdout);
  assert.equal(missing.error.key, `${key}x`);
  for (const args of [
    ["patch", key, "a=1"],
    ["remove", key],
  ]) {
    const { status, stdout } = runCommand([...args, "--if-version", "1-00000000", "--store", store, "--json"]);
    const { error } = JSON.parse(stdout);
    assert.deepEqual([status, error.code, error.key], [1, "conflict", key]);
    assert.match(error.message, /another version than --if-version/);
    assert.ok(error.nextStep.includes(`sessiondir get ${key} --version`), error.nextStep);
    assert.doesNotMatch(stdout, /getWithVersion|ifVersion/);
  }
});

test("an empty --store, as an unset variable leaves it, is wrong usage and not the store here", (context) => {
  const cwd = temporaryDirectory(context);
  writeFileSync(path.join(cwd, "sessions.json"), "{}");
  for (const command of ["list", "migrate", "rollback"]) {
    const { status, stderr } = runCommand([command, "--store", ""], { cwd });
    assert.equal(status, 2, command);
    assert.match(stderr, /--store needs a path/);
  }
});

const needsPosix = process.platform === "win32" && "skipped: needs posix";

test("a current directory that is gone is said so, and is no error in sessiondir itself", {
  skip: needsPosix,
}, (context) => {
  const cwd = path.join(temporaryDirectory(context), "gone");
  mkdirSync(cwd);
  for (const args of [["list"], ["list", "--store", "sessions.json"]]) {
    mkdirSync(cwd, { recursive: true });
    const script = ["-c", 'rmdir "$PWD" && exec "$@"', "sh", process.execPath, commandLine, ...args];
    const { status, stderr } = spawnSync("sh", script, { cwd, encoding: "utf8" });
    assert.notEqual(status, 0);
    assert.match(stderr, /current directory does not exist any more/);
    assert.doesNotMatch(stderr, /please report/);
  }
});

/** Every write to it says that the disk is full. */
const fullDevice = "/dev/full";

test("output that cannot be written is an error in one line and not a stack", {
  skip: process.platform !== "linux" && "skipped: needs linux",
}, (context) => {
  const store = path.join(temporaryDirectory(context), "sessions.json");
  writeFileSync(store, JSON.stringify({ a: { sessionId: "one", updatedAt: 1 } }));
  assert.equal(runCommand(["migrate", "--store", store]).status, 0);
  for (const more of [[], ["--json"]]) {
    const out = openSync(fullDevice, "w");
    const args = [commandLine, "list", "--store", store, ...more];
    const { status, stderr } = spawnSync(process.execPath, args, { stdio: ["ignore", out, "pipe"], encoding: "utf8" });
    closeSync(out);
    assert.equal(status, 1);
    assert.match(stderr, /^error \[output_failed\]: the output could not be written: .*ENOSPC.*\n/m);
    assert.doesNotMatch(stderr, /\n {4}at /);
  }
  const out = openSync(fullDevice, "w");
  const args = [commandLine, "export", "--all", "--store", store];
  const { status, stderr } = spawnSync(process.execPath, args, { stdio: ["ignore", out, "pipe"], encoding: "utf8" });
  closeSync(out);
  assert.equal(status, 1);
  assert.match(stderr, /^error \[disk_full\]: export: .*ENOSPC.*no whole bundle.*$/m);
  assert.doesNotMatch(stderr, /nobody reads/);
});
