/** copy, export, import and backup from the command line: what they print, how they end, what they leave alone. */

import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import test, { type TestContext } from "node:test";
import { fingerprint, runCommand, temporaryDirectory } from "./command-line.js";

const legacy = JSON.stringify({
  "agent:main:main": { sessionId: "one", updatedAt: 1 },
  "agent:main:cron:daily": { sessionId: "two", updatedAt: 2, custom: { kept: true } },
  "agent:ops:main": { sessionId: "\u001b[31mthree", updatedAt: 3 },
});

function makeStore(context: TestContext): { directory: string; store: string } {
  const directory = temporaryDirectory(context);
  const store = path.join(directory, "sessions.json");
  writeFileSync(store, legacy);
  assert.equal(runCommand(["migrate", "--store", store]).status, 0);
  return { directory, store };
}

function run(...args: string[]): { status: number | null; out: string; err: string } {
  const { status, stdout, stderr } = runCommand(args);
  return { status, out: stdout, err: stderr };
}

test("copy copies, verifies, and finds everything there the second time; a dry run makes nothing", (context) => {
  const { directory, store } = makeStore(context);
  const target = path.join(directory, "copy.d");
  const dry = run("copy", store, target, "--dry-run");
  assert.equal(dry.status, 0);
  assert.match(dry.out, /would copy 3 sessions: 3 sessions new.*nothing was changed/);
  assert.equal(existsSync(target), false);
  const real = run("copy", store, target);
  assert.equal(real.status, 0);
  assert.match(
    real.out,
    /^copied: 3 sessions new, 0 replaced, 0 there already, 0 left as they are\nverified 3 sessions in /,
  );
  const again = JSON.parse(run("copy", store, target, "--json").out);
  assert.deepEqual([again.outcome, again.same, again.created], ["complete", 3, 0]);
});

test("copy leaves a session that differs alone and ends with 1; --on-conflict says what wins", (context) => {
  const { directory, store } = makeStore(context);
  const target = path.join(directory, "copy.d");
  assert.equal(run("copy", store, target).status, 0);
  assert.equal(run("patch", "agent:main:main", "--set-json", '{"label":"theirs"}', "--store", target).status, 0);
  const failed = run("copy", store, target);
  assert.equal(failed.status, 1);
  assert.match(failed.out, /copied in part/);
  assert.match(failed.err, /"agent:main:main" differs in the target/);
  const newer = JSON.parse(run("copy", store, target, "--on-conflict", "newer", "--json").out);
  assert.deepEqual([newer.outcome, newer.skipped], ["complete", 1]);
  assert.equal(run("copy", store, target, "--on-conflict", "maybe").status, 2);
  assert.equal(run("copy", store, target, "--on-conflict", "replace").status, 0);
  assert.doesNotMatch(run("get", "agent:main:main", "--store", target).out, /theirs/);
});

test("copy of nothing is an error, in text and in JSON", (context) => {
  const directory = temporaryDirectory(context);
  const [none, target] = [path.join(directory, "none.d"), path.join(directory, "copy.d")];
  const text = run("copy", none, target);
  assert.deepEqual([text.status, text.out], [1, ""]);
  assert.match(text.err, /^error \[store_missing\]/);
  const json = run("copy", none, target, "--json");
  assert.deepEqual([json.status, JSON.parse(json.out).error.code, json.err], [1, "store_missing", ""]);
  assert.equal(run("copy", none).status, 2);
  writeFileSync(path.join(directory, "old.json"), legacy);
  assert.match(run("copy", path.join(directory, "old.json"), target).err, /\[legacy_store\].*sessiondir migrate/);
  assert.deepEqual(readdirSync(directory), ["old.json"]);
});

test("export writes a bundle to the output or to a file, import takes it, and again finds it there", (context) => {
  const { directory, store } = makeStore(context);
  const bundle = path.join(directory, "bundle.jsonl");
  const piped = run("export", "--all", "--store", store);
  assert.equal(piped.status, 0);
  assert.equal(piped.out.trimEnd().split("\n").length, 5);
  assert.match(piped.err, /^exported 3 sessions, content [0-9a-f]{64}\n$/);
  assert.equal(run("export", "--agent", "main", "--output", bundle, "--store", store).status, 0);
  const before = fingerprint(directory);
  const refused = run("export", "--all", "--output", bundle, "--store", store);
  assert.equal(refused.status, 1);
  assert.match(refused.err, /\[conflict\].*--force/);
  assert.deepEqual(fingerprint(directory), before);
  const target = path.join(directory, "new.json");
  const dry = run("import", bundle, "--store", target, "--dry-run");
  assert.match(dry.out, /would import: 2 sessions new.*nothing was changed/);
  assert.deepEqual(fingerprint(directory), before);
  const imported = run("import", bundle, "--store", target);
  assert.deepEqual([imported.status, imported.err], [0, ""]);
  assert.match(imported.out, /^imported: 2 sessions new, 0 replaced, 0 there already/);
  const again = JSON.parse(run("import", bundle, "--store", target, "--json").out);
  assert.deepEqual([again.outcome, again.same], ["complete", 2]);
});

test("export of nothing, of too much and of a missing key are failures", (context) => {
  const { directory, store } = makeStore(context);
  assert.equal(run("export", "--store", store).status, 2);
  assert.equal(run("export", "agent:main:main", "--all", "--store", store).status, 2);
  assert.equal(run("export", "--all", "--json", "--store", store).status, 2);
  const bundle = path.join(directory, "bundle.jsonl");
  for (const choice of [["agent:main:none"], ["--agent", "nobody"]]) {
    const { status, err } = run("export", ...choice, "--output", bundle, "--store", store);
    assert.equal(status, 1);
    assert.match(err, /^error \[not_found\]/);
  }
  assert.equal(existsSync(bundle), false);
});

test("import refuses a bundle that was cut off, and conflicts, and changes nothing then", (context) => {
  const { directory, store } = makeStore(context);
  const bundle = path.join(directory, "bundle.jsonl");
  assert.equal(run("export", "--all", "--output", bundle, "--store", store).status, 0);
  const whole = readFileSync(bundle, "utf8");
  assert.equal(run("patch", "agent:ops:main", "--set-json", '{"label":"mine"}', "--store", store).status, 0);
  const before = fingerprint(path.join(directory, "sessions.d"));
  const conflict = run("import", bundle, "--store", store);
  assert.equal(conflict.status, 1);
  assert.match(conflict.err, /\[conflict\].*"agent:ops:main".*Nothing was imported.*--on-conflict/);
  writeFileSync(bundle, whole.slice(0, whole.trimEnd().lastIndexOf("\n") + 1));
  const cut = run("import", bundle, "--store", store, "--on-conflict", "replace");
  assert.equal(cut.status, 1);
  assert.match(cut.err, /\[invalid_bundle\].*it was cut off/);
  assert.deepEqual(fingerprint(path.join(directory, "sessions.d")), before);
  assert.equal(run("import", bundle, "--on-conflict", "maybe", "--store", store).status, 2);
});

test("backup create, verify and restore, with and without a store in the place", (context) => {
  const { directory, store } = makeStore(context);
  const made = JSON.parse(run("backup", "create", path.join(directory, "backups"), "--store", store, "--json").out);
  assert.deepEqual([made.outcome, made.manifest.sessions], ["complete", 3]);
  const backup = made.path as string;
  const verified = run("backup", "verify", backup);
  assert.equal(verified.status, 0);
  assert.match(verified.out, /^ok: 3 sessions of sessions\.d, \d{4}-/);
  const before = fingerprint(directory);
  const exists = run("backup", "restore", backup, "--store", store);
  assert.equal(exists.status, 1);
  assert.match(exists.err, /there is a store already.*--replace/);
  assert.deepEqual(fingerprint(directory), before);

  assert.equal(
    run("patch", "agent:new:main", "--set-json", '{"sessionId":"four","updatedAt":9}', "--create", "--store", store)
      .status,
    0,
  );
  const loss = run("backup", "restore", backup, "--store", store, "--replace");
  assert.equal(loss.status, 1);
  assert.match(loss.err, /holds 4 sessions.*the backup holds 3.*--accept-loss/);
  const dry = run("backup", "restore", backup, "--store", store, "--replace", "--accept-loss", "--dry-run");
  assert.match(dry.out, /would replace a store with 4 sessions\nwould restore 3 sessions to .*nothing was changed/);
  const restored = run("backup", "restore", backup, "--store", store, "--replace", "--accept-loss");
  assert.deepEqual([restored.status, restored.err], [0, ""]);
  assert.match(
    restored.out,
    /replaced a store with 4 sessions; it is .*sessions\.d\.bak\.\d+ now\nrestored 3 sessions to /,
  );
  assert.equal(JSON.parse(run("list", "--json", "--store", store).out).sessions.length, 3);
  assert.equal(run("verify", "--store", store).status, 0);
  mkdirSync(path.join(directory, "elsewhere"));
  const elsewhere = path.join(directory, "elsewhere", "sessions.json");
  assert.equal(JSON.parse(run("backup", "restore", backup, "--store", elsewhere, "--json").out).outcome, "complete");
});

test("backup verify refuses what is not a whole backup, with the place", (context) => {
  const { directory, store } = makeStore(context);
  const made = JSON.parse(run("backup", "create", directory, "--store", store, "--json").out);
  const file = path.join(made.path, "sessions.jsonl");
  writeFileSync(file, readFileSync(file, "utf8").replace('"updatedAt":2', '"updatedAt":4'));
  const { status, err } = run("backup", "verify", made.path);
  assert.equal(status, 1);
  assert.match(err, /\[invalid_bundle\].*changed since it was written.*line 5/);
  const restore = JSON.parse(
    run("backup", "restore", made.path, "--store", path.join(directory, "new.d"), "--json").out,
  );
  assert.equal(restore.error.code, "invalid_bundle");
  assert.equal(existsSync(path.join(directory, "new.d")), false);
  assert.equal(run("backup", "verify", path.join(directory, "none")).status, 1);
  assert.equal(run("backup", "verify").status, 2);
});
