/** rollback from the command line: its lines, its exit codes, and that a dry run changes nothing. */

import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import test, { type TestContext } from "node:test";
import { fingerprint, runCommand, temporaryDirectory } from "./command-line.js";

const legacy = JSON.stringify({
  "agent:main:main": { sessionId: "one", updatedAt: 1 },
  "agent:main:cron:daily": { sessionId: "two", updatedAt: 2, custom: { kept: true } },
});

function migratedStore(context: TestContext): { directory: string; store: string } {
  const directory = temporaryDirectory(context);
  const store = path.join(directory, "sessions.json");
  writeFileSync(store, legacy);
  assert.equal(runCommand(["migrate", "--store", store]).status, 0);
  return { directory, store };
}

test("rollback restores the file with what was written since, and says so", (context) => {
  const { directory, store } = migratedStore(context);
  const patched = runCommand(["patch", "agent:main:main", "model=new", "--store", store]);
  assert.equal(patched.status, 0, patched.stderr);
  const before = fingerprint(directory);
  const dry = runCommand(["rollback", "--dry-run", "--store", store]);
  assert.deepEqual([dry.status, dry.stdout], [0, `would restore ${store}\nSummary: restored 1, skipped 0\n`]);
  assert.deepEqual(fingerprint(directory), before);

  const { status, stdout, stderr } = runCommand(["rollback", "--store", store]);
  assert.deepEqual([status, stdout, stderr], [0, `restored ${store}\nSummary: restored 1, skipped 0\n`, ""]);
  const restored = JSON.parse(readFileSync(store, "utf8"));
  assert.equal(restored["agent:main:main"].model, "new");
  assert.deepEqual(restored["agent:main:cron:daily"].custom, { kept: true });
  assert.equal(existsSync(path.join(directory, "sessions.d")), false);
  assert.equal(readdirSync(directory).filter((name) => name.startsWith("sessions.d.bak.")).length, 1);

  const again = runCommand(["rollback", "--store", store]);
  assert.deepEqual([again.status, again.stdout], [0, `skipped ${store}\nSummary: restored 0, skipped 1\n`]);
  assert.match(again.stderr, /rolled back already/);
});

test("several stores: a damaged one fails with its reason, the others are restored all the same", (context) => {
  const damaged = migratedStore(context);
  const good = migratedStore(context);
  const entries = path.join(damaged.directory, "sessions.d", "entries");
  writeFileSync(path.join(entries, readdirSync(entries).find((name) => name.startsWith("session-"))!), "{ half");
  const { status, stdout, stderr } = runCommand(["rollback", "--store", damaged.store, "--store", good.store]);
  const lines = [`failed ${damaged.store}`, `restored ${good.store}`, "Summary: restored 1, skipped 0, failed 1", ""];
  assert.deepEqual([status, stdout], [1, lines.join("\n")]);
  assert.match(stderr, /error \[entry_damaged\].*sessiondir repair/s);
  assert.equal(existsSync(damaged.store), false);
});

test("--json prints one document with the result of each store", (context) => {
  const { store } = migratedStore(context);
  const { status, stdout } = runCommand(["rollback", "--json", "--store", store]);
  const { dryRun, restored, skipped, failed, stores } = JSON.parse(stdout);
  assert.deepEqual([status, dryRun, restored, skipped, failed], [0, false, 1, 0, 0]);
  assert.deepEqual([stores[0].legacyPath, stores[0].outcome, stores[0].sessions], [store, "restored", 2]);
  assert.match(stores[0].backupDirectoryPath, /sessions\.d\.bak\.\d+$/);
});

test("without --store the store in the current directory is rolled back", (context) => {
  const { directory } = migratedStore(context);
  const { status, stdout } = runCommand(["rollback", "--dry-run"], { cwd: directory });
  assert.equal(status, 0);
  assert.match(stdout, /^would restore .*sessions\.json\nSummary: restored 1, skipped 0\n$/);
});

test("a store that was named and is not there ends rollback and detect with 1, found ones or none with 0", (context) => {
  const directory = temporaryDirectory(context);
  for (const command of ["rollback", "detect"]) {
    assert.equal(runCommand([command, "--store", path.join(directory, "nowhere", "sessions.json")]).status, 1, command);
    assert.equal(runCommand([command, "--state-dir", directory]).status, 0, command);
  }
  writeFileSync(path.join(directory, "sessions.json"), "{}");
  for (const command of ["rollback", "detect"]) {
    assert.equal(runCommand([command, "--store", path.join(directory, "sessions.json")]).status, 0, command);
  }
});

test("after a rollback detect, repair and trash list say where the sessions and the removed ones are", (context) => {
  const { directory, store } = migratedStore(context);
  runCommand(["remove", "agent:main:cron:daily", "--store", store]);
  assert.equal(runCommand(["rollback", "--store", store]).status, 0);
  const backup = readdirSync(directory).find((name) => name.startsWith("sessions.d.bak."))!;
  const found = runCommand(["detect", "--json", "--store", store]);
  assert.deepEqual([found.status, JSON.parse(found.stdout).stores[0].status], [0, "rolled_back"]);
  const repair = runCommand(["repair", "--store", store]);
  assert.equal(repair.status, 1);
  assert.match(repair.stderr, /^error \[store_missing\]: .*it was rolled back, and its sessions are in sessions\.json/);
  assert.ok(repair.stderr.includes(backup), repair.stderr);
  assert.ok(runCommand(["trash", "list", "--store", store]).stderr.includes(`is in ${backup}/trash.`));
});
