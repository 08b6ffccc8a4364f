/** migrate and repair from the command line: a dry run changes nothing, the real run keeps every original. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, linkSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import test from "node:test";
import { fingerprint, runCommand, temporaryDirectory } from "./command-line.js";

const legacy = JSON.stringify({
  "agent:main:main": { sessionId: "one", updatedAt: 1 },
  "agent:main:cron:daily": { sessionId: "two", updatedAt: 2, custom: { kept: true } },
});

test("migrate --dry-run says what it would do and changes nothing", (context) => {
  const directory = temporaryDirectory(context);
  const store = path.join(directory, "sessions.json");
  writeFileSync(store, legacy);
  const before = fingerprint(directory);
  const { status, stdout } = runCommand(["migrate", "--dry-run", "--store", store]);
  assert.equal(status, 0);
  assert.match(stdout, /would migrate 2 of 2 sessions .*nothing was changed/);
  assert.deepEqual(fingerprint(directory), before);
});

test("migrate takes the legacy file over, keeps it as a backup, and a second time does nothing", (context) => {
  const directory = temporaryDirectory(context);
  const store = path.join(directory, "sessions.json");
  writeFileSync(store, legacy);
  const { status, stdout } = runCommand(["migrate", "--json", "--store", store]);
  assert.equal(status, 0);
  const [result] = JSON.parse(stdout).stores;
  assert.deepEqual([result.outcome, result.migratedEntries], ["migrated", 2]);
  const backup = readdirSync(directory).find((name) => name.startsWith("sessions.json.bak."))!;
  assert.equal(readFileSync(path.join(directory, backup), "utf8"), legacy);
  assert.equal(existsSync(store), false);
  assert.match(runCommand(["get", "agent:main:cron:daily", "--store", store]).stdout, /"kept": true/);
  const again = runCommand(["migrate", "--json", "--store", store]);
  assert.deepEqual([again.status, JSON.parse(again.stdout).stores[0].outcome], [0, "already_directory"]);
});

test("migrate refuses an invalid legacy file and leaves it untouched", (context) => {
  const directory = temporaryDirectory(context);
  const store = path.join(directory, "sessions.json");
  writeFileSync(store, '{"agent:main:main": {');
  const before = readFileSync(store);
  const { status, stdout, stderr } = runCommand(["migrate", "--store", store]);
  assert.deepEqual([status, stdout], [1, ""]);
  assert.match(stderr, /^error \[invalid_legacy\]/);
  assert.deepEqual(readFileSync(store), before);
});

test("migrate of nothing is an error that names the path", (context) => {
  const { status, stderr } = runCommand([
    "migrate",
    "--store",
    path.join(temporaryDirectory(context), "sessions.json"),
  ]);
  assert.equal(status, 1);
  assert.match(stderr, /^error \[store_missing\].*sessions\.json/);
});

test("repair --dry-run changes nothing; repair makes verify content and keeps the damaged original", (context) => {
  const directory = temporaryDirectory(context);
  const store = path.join(directory, "sessions.json");
  writeFileSync(store, legacy);
  assert.equal(runCommand(["migrate", "--store", store]).status, 0);
  const entries = path.join(directory, "sessions.d", "entries");
  const file = path.join(entries, readdirSync(entries).find((name) => name.startsWith("session-"))!);
  writeFileSync(file, "{ half");
  const before = fingerprint(directory);
  const dry = runCommand(["repair", "--dry-run", "--json", "--store", store]);
  assert.equal(dry.status, 0);
  assert.ok(JSON.parse(dry.stdout).actions.length > 0);
  assert.deepEqual(fingerprint(directory), before);

  const real = runCommand(["repair", "--json", "--store", store]);
  assert.equal(JSON.parse(real.stdout).findingsAfter, 0, real.stdout);
  assert.equal(real.status, 0);
  assert.equal(runCommand(["verify", "--store", store]).status, 0);
  const quarantine = path.join(directory, "sessions.d", "quarantine");
  const kept = readdirSync(quarantine).map((name) => readFileSync(path.join(quarantine, name), "utf8"));
  assert.ok(kept.includes("{ half"));
});

test("repair names what it leaves because it may be intact, does not count it as done, and exits with 1", (context) => {
  const directory = temporaryDirectory(context);
  const store = path.join(directory, "sessions.json");
  writeFileSync(store, legacy);
  assert.equal(runCommand(["migrate", "--store", store]).status, 0);
  const entries = path.join(directory, "sessions.d", "entries");
  mkdirSync(path.join(directory, "copy"));
  const names = readdirSync(entries);
  for (const name of names) linkSync(path.join(entries, name), path.join(directory, "copy", name));
  const remedy = /Remove its other name, never this one \(`find \/ -xdev -samefile .*session-.*\.json`/;
  assert.match(runCommand(["verify", "--store", store]).stdout, remedy);
  const { status, stdout } = runCommand(["repair", "--store", store]);
  assert.equal(status, 1, stdout);
  assert.equal(stdout.match(/^left \[entry_left\] .*has a hard link elsewhere/gm)?.length, 2, stdout);
  assert.match(stdout, remedy);
  assert.match(stdout, /^2 findings, 0 things done; 2 left: run sessiondir verify$/m);
  assert.deepEqual(readdirSync(entries), names);
  rmSync(path.join(directory, "copy"), { recursive: true });
  assert.equal(runCommand(["verify", "--store", store]).status, 0);
  assert.match(runCommand(["list", "--store", store]).stdout, /agent:main:main/);
});

test("repair --accept of a session that is not damaged says so, and exits with 1", (context) => {
  const store = path.join(temporaryDirectory(context), "sessions.json");
  writeFileSync(store, legacy);
  runCommand(["migrate", "--store", store]);
  for (const args of [["--dry-run"], []]) {
    const { status, stdout } = runCommand(["repair", "--accept", "agent:main:mian", ...args, "--store", store]);
    assert.equal(status, 1);
    assert.match(stdout, /^left \[accept_unused\] no entry file of this session is damaged.*agent:main:mian/);
  }
});

test("repair --accept adopts the hand edit of what only a gateway's file could hold: a long key, a deep entry", (context) => {
  const directory = temporaryDirectory(context);
  const store = path.join(directory, "sessions.json");
  const key = `agent:main:${"k".repeat(600)}`;
  let deep: object = { label: "before" };
  for (let level = 0; level < 100; level += 1) deep = { deep };
  writeFileSync(store, JSON.stringify({ [key]: { sessionId: "k", updatedAt: 1, deep } }));
  assert.equal(runCommand(["migrate", "--store", store]).status, 0);
  const entries = path.join(directory, "sessions.d", "entries");
  const [name] = readdirSync(entries).filter((found) => found.startsWith("session-"));
  const file = path.join(entries, name!);
  writeFileSync(file, readFileSync(file, "utf8").replace("before", "after"));
  const { status, stdout } = runCommand(["repair", "--accept", key, "--store", store]);
  assert.equal(status, 0, stdout);
  assert.match(runCommand(["get", key, "--store", store]).stdout, /"label": "after"/);
});

test("repair of a healthy store says that there is nothing to do", (context) => {
  const store = path.join(temporaryDirectory(context), "sessions.json");
  writeFileSync(store, legacy);
  runCommand(["migrate", "--store", store]);
  const { status, stdout } = runCommand(["repair", "--store", store]);
  assert.deepEqual([status, stdout], [0, "ok: nothing to repair\n"]);
});

test("migrate of a store that was rolled back fails and changes nothing; with --force it migrates", (context) => {
  const directory = temporaryDirectory(context);
  const store = path.join(directory, "sessions.json");
  writeFileSync(store, legacy);
  writeFileSync(path.join(directory, "sessions.d.rolled-back"), "{}");
  const before = fingerprint(directory);
  const { status, stderr } = runCommand(["migrate", "--store", store]);
  assert.equal(status, 1);
  assert.match(stderr, /^error \[legacy_store\].*was rolled back .*--force/);
  assert.deepEqual(fingerprint(directory), before);
  assert.match(runCommand(["migrate", "--force", "--dry-run", "--store", store]).stdout, /would migrate 2 of 2/);
  assert.equal(runCommand(["migrate", "--force", "--store", store]).status, 0);
  assert.equal(runCommand(["get", "agent:main:main", "--store", store]).status, 0);
});

test("migrate merges a legacy file that lies beside the store, and says what became of it", (context) => {
  const directory = temporaryDirectory(context);
  const store = path.join(directory, "sessions.json");
  writeFileSync(store, legacy);
  assert.equal(runCommand(["migrate", "--store", store]).status, 0);
  writeFileSync(store, JSON.stringify({ "agent:main:main": { updatedAt: 9 }, "agent:main:new": {} }));
  const { status, stdout, stderr } = runCommand(["migrate", "--store", store]);
  assert.equal(status, 0);
  assert.match(stdout, /migrated 2 of 2 sessions into .*\nThe original is .*sessions\.json\.bak\.\d+/);
  assert.match(stderr, /warning: .*1 session added, 1 session replaced by a newer one/);
  assert.equal(existsSync(store), false);
});

test("repair makes no store out of a directory of another program", (context) => {
  const directory = temporaryDirectory(context);
  const foreign = path.join(directory, "cron.d");
  mkdirSync(foreign);
  writeFileSync(path.join(foreign, "job"), "theirs");
  for (const args of [["repair"], ["repair", "--dry-run"], ["verify"], ["list"]]) {
    const before = fingerprint(directory);
    const { status, stderr } = runCommand([...args, "--store", foreign]);
    assert.equal(status, 1, args.join(" "));
    assert.match(stderr, /^error \[store_missing\]: .*this directory is no session store/);
    assert.deepEqual(fingerprint(directory), before, "no lock files either");
  }
});

test("what repair tells to paste names the store, and quotes a stranger's key for the shell", (context) => {
  const directory = temporaryDirectory(context);
  const store = path.join(directory, "sessions.json");
  const key = "agent:main:$(touch it's-mine)";
  writeFileSync(store, JSON.stringify({ [key]: { sessionId: "one", updatedAt: 1 } }));
  assert.equal(runCommand(["migrate", "--store", store]).status, 0);
  const entries = path.join(directory, "sessions.d", "entries");
  const [name] = readdirSync(entries).filter((file) => file.startsWith("session-"));
  const file = path.join(entries, name!);
  writeFileSync(file, readFileSync(file, "utf8").replace('"one"', '"two"'));
  const { stdout } = runCommand(["repair", "--dry-run", "--store", store]);
  const command = /Run `sessiondir (repair .*)` to take it/.exec(stdout)?.[1];
  assert.ok(command, stdout);
  const words = spawnSync("sh", ["-c", `printf '%s\\n' ${command}`], { encoding: "utf8", cwd: directory }).stdout;
  assert.deepEqual(words.split("\n"), ["repair", "--store", path.join(directory, "sessions.d"), "--accept", key, ""]);
  assert.deepEqual(
    readdirSync(directory).filter((file) => file.includes("mine")),
    [],
  );
});
