/** A directory store in OpenClaw's layout is imported; it is kept as it was. */

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { nodePort } from "../../../src/fs/node-port.js";
import { type MigrationResult, migrateStore } from "../../../src/migrate/migrate.js";
import {
  inTemporaryDirectory,
  locationOf,
  openAndReadAll,
  rejectsWith,
  snapshotTree,
  takeOverOptions,
} from "./support.js";

const longKey = `agent:main:${"x".repeat(400)}`;

const nameOf = (key: string) => `session-${Buffer.from(key, "utf8").toString("base64url")}.json`;

function makeStore(directory: string, files: Record<string, string>, state: object = {}): string {
  const place = path.join(directory, "sessions.d");
  fs.mkdirSync(path.join(place, "entries"), { recursive: true, mode: 0o700 });
  const kind = "openclaw-session-store-directory";
  const text = JSON.stringify({ kind, layoutVersion: 1, version: 7, updatedAt: 1, ...state }, null, 2);
  fs.writeFileSync(path.join(place, "state.json"), text);
  for (const [name, content] of Object.entries(files)) fs.writeFileSync(path.join(place, "entries", name), content);
  return place;
}

const wrapped = (sessionKey: string, entry: object) => JSON.stringify({ sessionKey, entry }, null, 2);

async function checkImported(
  directory: string,
  sessions: readonly (readonly [string, object])[],
): Promise<MigrationResult> {
  const legacyPath = path.join(directory, "sessions.json");
  const place = path.join(directory, "sessions.d");
  const before = snapshotTree(place);
  const everything = snapshotTree(directory);
  const predicted = await migrateStore(legacyPath, { dryRun: true });
  assert.deepEqual(snapshotTree(directory), everything);
  const result = await migrateStore(legacyPath);
  const { backupPath: _, displacedPath: __, ...known } = result;
  assert.deepEqual(known, predicted);
  assert.equal(result.outcome, "migrated");
  assert.match(path.basename(result.displacedPath as string), /^sessions\.d\.bak\.\d+$/);
  assert.deepEqual(snapshotTree(result.displacedPath as string), before);
  const found = await openAndReadAll(nodePort(), locationOf(legacyPath));
  const inOrder = (pairs: Iterable<readonly [string, unknown]>) => [...pairs].sort(([a], [b]) => (a < b ? -1 : 1));
  assert.deepEqual(inOrder(found), inOrder(sessions));
  return result;
}

test("every entry comes over, wrapped or bare, under inline and hashed names", async () => {
  await inTemporaryDirectory(async (directory) => {
    makeStore(directory, {
      "session-YWdlbnQ6bWFpbjptYWlu.json": wrapped("agent:main:main", { sessionId: "a", updatedAt: 1 }),
      "session-YWdlbnQ6bWFpbjoxMDAlZG9uZQ.json": '{"sessionId":"b"}',
      "session-X19wcm90b19f.json": '{"sessionKey":"__proto__","entry":{"sessionId":"c"}}',
      "session-hash-U5GxZtuF4jpZaaW6qUyA4yAoa0lQlpQ5j_dHPeSwfeY.json": wrapped(longKey, { sessionId: "d" }),
      ".half-written.tmp": "{",
    });
    const result = await checkImported(directory, [
      ["agent:main:main", { sessionId: "a", updatedAt: 1 }],
      ["agent:main:100%done", { sessionId: "b" }],
      ["__proto__", { sessionId: "c" }],
      [longKey, { sessionId: "d" }],
    ]);
    assert.deepEqual([result.legacyEntries, result.migratedEntries], [4, 4]);
  });
});

test("keys that differ by case become the newest session", async () => {
  await inTemporaryDirectory(async (directory) => {
    makeStore(directory, {
      [nameOf("Main")]: wrapped("Main", { updatedAt: 9, n: 1 }),
      [nameOf("main")]: wrapped("main", { updatedAt: 5, n: 2 }),
    });
    const result = await checkImported(directory, [["main", { updatedAt: 9, n: 1 }]]);
    assert.match(result.warnings.join(), /1 entry is another spelling/);
  });
});

test("files that its own reader would skip are reported, and stay in the directory that is kept", async () => {
  await inTemporaryDirectory(async (directory) => {
    const place = makeStore(directory, {
      [nameOf("good")]: wrapped("good", { n: 1 }),
      [nameOf("mismatched")]: wrapped("another", { n: 2 }),
      [nameOf("broken")]: "{ half",
      [nameOf("list")]: "[1]",
      "notes.txt": "mine",
      [`session-hash-${"A".repeat(43)}.json`]: '{"n":3}',
    });
    fs.writeFileSync(path.join(directory, "target.json"), wrapped("linked", { n: 4 }));
    fs.symlinkSync("../../target.json", path.join(place, "entries", nameOf("linked")));
    const result = await checkImported(directory, [["good", { n: 1 }]]);
    assert.deepEqual([result.legacyEntries, result.migratedEntries], [7, 1]);
    assert.match(result.warnings.join(), /6 entries of 7 cannot be taken over/);
  });
});

test("a legacy file beside it is merged by the same rule", async () => {
  await inTemporaryDirectory(async (directory) => {
    makeStore(directory, {
      [nameOf("main")]: wrapped("main", { updatedAt: 5 }),
      [nameOf("other")]: wrapped("other", { updatedAt: 5 }),
    });
    const text = '{"main":{"updatedAt":6},"other":{"updatedAt":4},"new":{}}';
    fs.writeFileSync(path.join(directory, "sessions.json"), text);
    const result = await checkImported(directory, [
      ["main", { updatedAt: 6 }],
      ["other", { updatedAt: 5 }],
      ["new", {}],
    ]);
    assert.deepEqual([result.legacyEntries, result.migratedEntries], [5, 3]);
    assert.equal(fs.readFileSync(result.backupPath as string, "utf8"), text);
  });
});

test("opening it for writing imports it; a reader and migrate: never are told what it is", async () => {
  await inTemporaryDirectory(async (directory) => {
    makeStore(directory, { [nameOf("main")]: wrapped("main", { n: 1 }) });
    const location = locationOf(path.join(directory, "sessions.json"));
    const before = snapshotTree(directory);
    await rejectsWith("legacy_store", openAndReadAll(nodePort(), location, { ...takeOverOptions, migrate: "never" }));
    const reading = { ...takeOverOptions, readOnly: true };
    await rejectsWith("legacy_store", openAndReadAll(nodePort(), location, reading));
    assert.deepEqual(snapshotTree(directory), before);
    assert.deepEqual([...(await openAndReadAll(nodePort(), location))], [["main", { n: 1 }]]);
  });
});

test("without a session in it, a migration leaves it alone and an opening makes an empty store", async () => {
  await inTemporaryDirectory(async (directory) => {
    makeStore(directory, {});
    const before = snapshotTree(directory);
    for (const dryRun of [true, false]) {
      assert.equal((await migrateStore(path.join(directory, "sessions.d"), { dryRun })).outcome, "skipped_empty");
    }
    assert.deepEqual(snapshotTree(directory), before);
    assert.equal((await openAndReadAll(nodePort(), locationOf(path.join(directory, "sessions.json")))).size, 0);
  });
});

test("when none of its entries can be taken it is refused, and nothing is changed", async () => {
  await inTemporaryDirectory(async (directory) => {
    makeStore(directory, { [nameOf("main")]: "{ half" });
    const before = snapshotTree(directory);
    for (const dryRun of [true, false]) {
      const result = await migrateStore(path.join(directory, "sessions.d"), { dryRun });
      assert.deepEqual([result.outcome, result.error?.code], ["skipped_invalid", "invalid_legacy"]);
      assert.match(result.warnings.join(), /of which none can be taken over/);
    }
    assert.deepEqual(snapshotTree(directory), before);
  });
});

test("one that others can write to is refused", {
  skip: process.platform === "win32" && "skipped: needs posix modes",
}, async () => {
  await inTemporaryDirectory(async (directory) => {
    const place = makeStore(directory, { [nameOf("main")]: wrapped("main", {}) });
    fs.chmodSync(place, 0o777);
    const result = await migrateStore(place);
    assert.deepEqual([result.outcome, result.error?.code], ["failed", "unsafe_path"]);
    assert.deepEqual(fs.readdirSync(directory), ["sessions.d"]);
  });
});
