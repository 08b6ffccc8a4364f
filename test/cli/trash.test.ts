/** trash, generations and remove together, as a person would undo a mistake. */

import assert from "node:assert/strict";
import path from "node:path";
import test, { type TestContext } from "node:test";
import { openSessionStore } from "../../src/open.js";
import { fingerprint, runCommand, temporaryDirectory } from "./command-line.js";

async function makeStore(context: TestContext): Promise<string> {
  const location = path.join(temporaryDirectory(context), "sessions.json");
  const store = await openSessionStore<Record<string, unknown>>(location);
  await store.update("agent:main:main", () => ({ sessionId: "one", sessionFile: "one.jsonl", label: "\u001b[2jred" }));
  await store.update("agent:main:main", (now) => ({ ...now, sessionId: "two" }), {
    actor: "gw",
    reason: "daily\u0007",
  });
  for (const key of ["agent:main:a", "agent:main:b"]) await store.update(key, () => ({ sessionId: key }));
  await store.close();
  return location;
}

// biome-ignore lint/suspicious/noExplicitAny: the tests look at single fields of what a command printed
function runJson(args: string[], status = 0): any {
  const result = runCommand([...args, "--json"]);
  assert.equal(result.status, status, result.stdout + result.stderr);
  assert.equal(result.stderr, "");
  return JSON.parse(result.stdout);
}

const inStore = (store: string, ...args: string[]) => [...args, "--store", store];

test("a removed session is listed, restored by its key, and gone from the list", async (context) => {
  const store = await makeStore(context);
  runJson(inStore(store, "remove", "agent:main:main", "--reason", "by mistake"));
  const [item, ...others] = runJson(inStore(store, "trash", "list")).sessions;
  assert.deepEqual(others, []);
  assert.deepEqual(
    [item.key, item.actor, item.reason, item.sessionId, item.generations],
    ["agent:main:main", "cli", "by mistake", "two", 1],
  );
  const table = runCommand(inStore(store, "trash", "list"));
  assert.match(table.stdout, /^ID +KEY +REMOVED +SIZE +BY +REASON\n/);
  assert.ok(table.stdout.includes(item.id) && table.stdout.includes("by mistake"));
  assert.deepEqual(runJson(inStore(store, "trash", "restore", " Agent:main:MAIN ")), {
    id: item.id,
    key: "agent:main:main",
    restored: true,
  });
  assert.equal(runJson(inStore(store, "get", "agent:main:main")).sessionId, "two");
  assert.match(runCommand(inStore(store, "trash", "list")).stderr, /The trash is empty/);
  assert.equal(runJson(inStore(store, "generations", "agent:main:main")).generations[0].sessionId, "one");
});

test("restore where the key is taken is a conflict, with --replace the two change places", async (context) => {
  const store = await makeStore(context);
  runJson(inStore(store, "remove", "agent:main:a"));
  const { id } = runJson(inStore(store, "trash", "list")).sessions[0];
  runJson(inStore(store, "patch", "agent:main:a", "sessionId=new", "--create"));
  for (const args of [
    ["trash", "restore", id],
    ["trash", "restore", id, "--dry-run"],
  ]) {
    const { error } = runJson(inStore(store, ...args), 1);
    assert.equal(error.code, "conflict");
    assert.match(error.nextStep, /--replace/);
  }
  const before = fingerprint(path.dirname(store));
  const preview = runJson(inStore(store, "trash", "restore", id, "--replace", "--dry-run"));
  assert.deepEqual(preview, { id, key: "agent:main:a", restored: false, dryRun: true, replaces: true });
  assert.deepEqual(fingerprint(path.dirname(store)), before);
  runJson(inStore(store, "trash", "restore", id, "--replace"));
  assert.equal(runJson(inStore(store, "get", "agent:main:a")).sessionId, "agent:main:a");
  assert.deepEqual(
    runJson(inStore(store, "trash", "list")).sessions.map(({ sessionId }: { sessionId: string }) => sessionId),
    ["new"],
  );
});

test("what the trash does not hold is not found, dry or not", async (context) => {
  const store = await makeStore(context);
  for (const dry of [[], ["--dry-run"]]) {
    const { error } = runJson(inStore(store, "trash", "restore", "agent:main:a", ...dry), 1);
    assert.equal(error.code, "not_found");
  }
});

test("empty refuses to guess, says dry what it would do, and does just that", async (context) => {
  const store = await makeStore(context);
  for (const key of ["agent:main:a", "agent:main:b"]) runJson(inStore(store, "remove", key));
  const before = fingerprint(path.dirname(store));
  for (const args of [[], ["--all", "--older-than", "7d"], ["--older-than", "7"], ["--older-than", "1w"]]) {
    const { status, stderr } = runCommand(inStore(store, "trash", "empty", ...args));
    assert.equal(status, 2, args.join(" "));
    assert.match(stderr, /--older-than 7d|--all is everything|number and a unit/);
  }
  assert.equal(runJson(inStore(store, "trash", "empty", "--older-than", "1h", "--dry-run")).wouldEmpty, 0);
  assert.equal(runJson(inStore(store, "trash", "empty", "--all", "--dry-run")).wouldEmpty, 2);
  assert.deepEqual(fingerprint(path.dirname(store)), before);
  assert.deepEqual(runJson(inStore(store, "trash", "empty", "--older-than", "1h")), { emptied: 0 });
  const { id } = runJson(inStore(store, "trash", "list")).sessions[1];
  assert.deepEqual(runJson(inStore(store, "trash", "empty", id)), { emptied: 1 });
  assert.deepEqual(runJson(inStore(store, "trash", "empty", "--all")), { emptied: 1 });
  assert.deepEqual(runJson(inStore(store, "trash", "list")).sessions, []);
});

test("generations are listed by both commands, harmlessly, and one is made current again", async (context) => {
  const store = await makeStore(context);
  const key = "agent:main:main";
  const listed = runJson(inStore(store, "generations", key));
  assert.deepEqual(runJson(inStore(store, "get", key, "--generations")), listed);
  assert.equal(listed.sessionId, "two");
  const [generation] = listed.generations;
  assert.deepEqual(generation, {
    sessionId: "one",
    sessionFile: "one.jsonl",
    endedMs: generation.endedMs,
    actor: "gw",
    reason: "daily\u0007",
  });
  const text = runCommand(inStore(store, "generations", key));
  assert.equal(text.status, 0);
  assert.ok(!text.stdout.includes("\u0007") && text.stdout.includes("daily\\u0007"));
  const reopened = runJson(inStore(store, "generations", key, "--reopen", "one", "--reason", "wrong reset"));
  assert.deepEqual([reopened.sessionId, reopened.generations[0].reason], ["one", "wrong reset"]);
  assert.equal(runJson(inStore(store, "get", key)).sessionFile, "one.jsonl");
  assert.equal(runJson(inStore(store, "generations", key, "--reopen", "never"), 1).error.code, "not_found");
  assert.equal(runJson(inStore(store, "generations", "agent:main:none"), 1).error.code, "not_found");
});

for (const command of ["list", "restore", "empty"]) {
  test(`trash ${command} --help names the options and gives an example`, () => {
    const { status, stdout } = runCommand(["trash", command, "--help"]);
    assert.equal(status, 0);
    assert.match(stdout, new RegExp(`Examples:\\n {2}\\$ sessiondir trash ${command}`));
    for (const option of ["--store", "--json"]) assert.ok(stdout.includes(option), `${option} is missing`);
  });
}

test("emptying the trash of an id that it does not hold is not_found, and nothing goes", async (context) => {
  const store = await makeStore(context);
  runJson(inStore(store, "remove", "agent:main:a"));
  const [{ id }] = runJson(inStore(store, "trash", "list")).sessions;
  for (const args of [["--dry-run"], []]) {
    const { error } = runJson(inStore(store, "trash", "empty", id, "1-2-bogus", ...args), 1);
    assert.equal(error.code, "not_found");
    assert.match(error.message, /1-2-bogus/);
  }
  assert.equal(runJson(inStore(store, "trash", "list")).sessions.length, 1);
});
