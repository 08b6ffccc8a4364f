/** A rollback of one store: what it leaves, what it refuses, and what it says. */

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { nodePort } from "../../../src/fs/node-port.js";
import { rollbackStore } from "../../../src/migrate/rollback.js";
import { type RollbackDetails, readRollbackMarker } from "../../../src/migrate/rollback-marker.js";
import { openBackend } from "../../../src/open-backend.js";
import { checkOpenOptions } from "../../../src/open-options.js";
import {
  commit,
  expectedText,
  expectedWith,
  inOrder,
  legacyPath,
  location,
  machineToRollBack,
  namesIn,
  plainRead,
  put,
  rollBackOn,
} from "./rollback-support.js";
import { inTemporaryDirectory, locationOf, openOrTakeOver, snapshotTree } from "./support.js";

const locks = ["sessions.d.checkpoint.lock", "sessions.d.lock", "sessions.d.scan.lock"];

test("a rollback restores every session, also what was committed since the migration, and keeps the directory", async () => {
  const machine = await machineToRollBack();
  const entriesBefore = Object.entries(machine.dump()).filter(([name]) => name.startsWith("/home/agent/sessions.d/"));
  const progress: string[] = [];
  const result = await rollBackOn(machine, { onProgress: (done, total) => progress.push(`${done}/${total}`) });
  assert.equal(result.outcome, "restored", JSON.stringify(result));
  assert.equal(result.sessions, 4);
  assert.equal(result.legacyPath, legacyPath);
  assert.deepEqual(result.warnings, []);
  assert.deepEqual(progress, ["1/8", "2/8", "3/8", "4/8", "5/8", "6/8", "7/8", "8/8"]);
  assert.equal(plainRead(machine), expectedText);
  const backup = path.basename(result.backupDirectoryPath as string);
  assert.match(backup, /^sessions\.d\.bak\.\d+$/);
  const original = namesIn(machine).find((name) => name.startsWith("sessions.json.bak.")) as string;
  assert.deepEqual(
    namesIn(machine),
    [...locks, backup, "sessions.d.rolled-back", "sessions.json", original].sort(),
    "the original of the migration is still there, and nothing is left over",
  );
  const after = machine.dump();
  for (const [name, content] of entriesBefore) {
    const moved = after[name.replace("/sessions.d/", `/${backup}/`)];
    assert.ok(moved?.startsWith(content), `${name} is in the backup; only the fence was appended`);
  }
});

test("the file has the text form of the gateway", async () => {
  const machine = await machineToRollBack();
  await rollBackOn(machine);
  const text = machine.readText(legacyPath);
  assert.equal(text, JSON.stringify(JSON.parse(text), null, 2));
});

test("an empty store becomes an empty object, also when it is fenced behind nothing", async () => {
  await inTemporaryDirectory(async (directory) => {
    const store = path.join(directory, "sessions.json");
    const backend = await openOrTakeOver(nodePort(), locationOf(store));
    await backend.close();
    const result = await rollbackStore(store);
    assert.deepEqual([result.outcome, result.sessions], ["restored", 0], JSON.stringify(result));
    assert.equal(fs.readFileSync(store, "utf8"), "{}");
    assert.equal(fs.statSync(store).mode & 0o777, 0o600);
  });
});

test("the marker tells a person what happened, and a program which fence it was", async () => {
  const machine = await machineToRollBack();
  const result = await rollBackOn(machine);
  const outcome = await machine.process().run(async (port) => {
    const parent = port.openRoot("/home/agent");
    const marker = readRollbackMarker(port, parent, location);
    port.closeDirectory(parent);
    return marker;
  });
  assert.ok(outcome.status === "returned");
  const marker = outcome.value as RollbackDetails;
  assert.equal(marker.sessions, 4);
  assert.equal(marker.legacyFile, "sessions.json");
  assert.equal(marker.backupDirectory, path.basename(result.backupDirectoryPath as string));
  assert.equal(marker.lastVersion, 3);
  assert.match(marker.note, /sessions are in sessions\.json.*migrate --force/s);
  assert.doesNotMatch(machine.readText("/home/agent/sessions.d.rolled-back"), /\/home\/agent/, "no absolute path");
});

test("what an older program wrote beside the store is rolled back with it, as a merge would have it", async () => {
  const machine = await machineToRollBack();
  const outcome = await machine.process().run(async (port) => {
    const backend = await openOrTakeOver(port, location);
    await commit(backend, { type: "remove", key: "new", purge: false });
    await backend.close();
  });
  assert.equal(outcome.status, "returned");
  const newer = { main: { updatedAt: 3, by: "the old one" }, added: { n: 6 } };
  const text = JSON.stringify({ ...newer, Ünï: { text: "not newer" }, new: { since: "before it was removed" } });
  machine.writeFile(legacyPath, text);
  const dry = await rollBackOn(machine.fork(), { dryRun: true });
  const result = await rollBackOn(machine);
  assert.deepEqual([result.outcome, result.sessions, dry.sessions], ["restored", 4, 4]);
  assert.match(dry.warnings.join(), /older program since the migration: 2 sessions of it/);
  assert.match(result.warnings.join(), /older program since the migration: 2 sessions of it/);
  const { new: _, ...rest } = Object.fromEntries(JSON.parse(expectedWith(newer)) as [string, unknown][]);
  assert.equal(plainRead(machine), inOrder(new Map(Object.entries(rest))));
  assert.equal(machine.readText(result.replacedFilePath as string), text);
});

test("a file that holds nothing newer is renamed aside and reported", async () => {
  const machine = await machineToRollBack();
  machine.writeFile(legacyPath, '{"stranger":');
  const dry = await rollBackOn(machine.fork(), { dryRun: true });
  assert.match(dry.warnings.join(), /is not part of the store and would be renamed aside/);
  const result = await rollBackOn(machine);
  assert.equal(result.outcome, "restored");
  assert.match(result.warnings.join(), /was not part of the store; it was renamed to/);
  assert.equal(machine.readText(result.replacedFilePath as string), '{"stranger":');
  assert.equal(plainRead(machine), expectedText);
});

test("a dry run changes nothing and predicts the outcome", async () => {
  await inTemporaryDirectory(async (directory) => {
    const store = path.join(directory, "sessions.json");
    const backend = await openOrTakeOver(nodePort(), locationOf(store));
    await commit(backend, put("a", { n: 1 }), put("b", { n: 2 }));
    await backend.close();
    const before = snapshotTree(directory);
    const dry = await rollbackStore(store, { dryRun: true });
    assert.deepEqual([dry.outcome, dry.sessions, dry.backupDirectoryPath], ["restored", 2, undefined]);
    assert.deepEqual(snapshotTree(directory), before);
    const real = await rollbackStore(path.join(directory, "sessions.d"));
    assert.deepEqual([real.outcome, real.sessions], ["restored", 2]);
  });
});

test("where there is no directory store nothing is done, and the reason is told", async () => {
  await inTemporaryDirectory(async (directory) => {
    const store = path.join(directory, "sessions.json");
    const reasonOf = async (place: string) => {
      const { outcome, reason } = await rollbackStore(place);
      assert.equal(outcome, "skipped");
      return reason;
    };
    assert.match(String(await reasonOf(path.join(directory, "none", "sessions.json"))), /nothing at this path/);
    assert.match(String(await reasonOf(store)), /neither/);
    fs.writeFileSync(store, "{}");
    assert.match(String(await reasonOf(store)), /never migrated/);
    fs.rmSync(store);
    await (await openOrTakeOver(nodePort(), locationOf(store))).close();
    assert.equal((await rollbackStore(store)).outcome, "restored");
    const before = snapshotTree(directory);
    assert.match(String(await reasonOf(store)), /rolled back already/);
    assert.deepEqual(snapshotTree(directory), before);
  });
});

test("a damaged session is named and nothing is changed, because it would be missing", async () => {
  await inTemporaryDirectory(async (directory) => {
    const store = path.join(directory, "sessions.json");
    const backend = await openOrTakeOver(nodePort(), locationOf(store));
    await commit(backend, put("good", { n: 1 }), put("agent:bad", { n: 2 }));
    await backend.close();
    const entries = path.join(directory, "sessions.d", "entries");
    const name = `session-${Buffer.from("agent:bad").toString("base64url")}.json`;
    fs.writeFileSync(path.join(entries, name), "{ half");
    const before = snapshotTree(directory);
    for (const dryRun of [true, false]) {
      const result = await rollbackStore(store, { dryRun });
      assert.deepEqual([result.outcome, result.error?.code], ["failed", "entry_damaged"]);
      assert.match(result.error?.message as string, /1 session is damaged.*"agent:bad".*sessiondir repair/s);
      assert.deepEqual(snapshotTree(directory), before);
    }
  });
});

test("a full disk is found before anything is changed", async () => {
  const machine = await machineToRollBack();
  machine.disk.freeBytes = 10;
  const before = machine.dump();
  const result = await rollBackOn(machine);
  assert.deepEqual([result.outcome, result.error?.code], ["failed", "disk_full"]);
  assert.deepEqual(machine.dump(), before);
});

test("options are checked, and a location that is no store is refused", async () => {
  await assert.rejects(rollbackStore("sessions.json", { dryrun: true } as never), { code: "invalid_option" });
  await assert.rejects(rollbackStore("sessions.txt"), { code: "invalid_option" });
  for (const limits of [{ entryByte: 1 }, { entryBytes: -1 }, { entryBytes: "1" }]) {
    await assert.rejects(rollbackStore("sessions.json", { limits } as never), {
      code: "invalid_option",
      message: /rollback/,
    });
  }
});

test("an open handle fails with store_fenced, on every way in, and says where the sessions are", async () => {
  const machine = await machineToRollBack();
  const process = machine.process("open");
  const backend = await machine.settle(openBackend(process, legacyPath, checkOpenOptions({})));
  const reader = await machine.settle(openBackend(process, legacyPath, checkOpenOptions({ readOnly: true })));
  const cursor = await backend.cursor();
  const feed = backend.changes(cursor)[Symbol.asyncIterator]();
  const first = feed.next();
  await machine.settle(commit(backend, put("last", { n: 9 })));
  assert.equal((await machine.settle(first)).value?.type, "put");
  const ended = assert.rejects(feed.next(), { code: "store_fenced" });
  const result = await rollBackOn(machine);
  assert.deepEqual([result.outcome, result.sessions], ["restored", 5], JSON.stringify(result));
  assert.match(machine.readText(legacyPath), /"last"/);
  const ways: [string, () => Promise<unknown>][] = [
    ["commit", () => backend.commit({ operations: [put("late", {})], expected: new Map() })],
    ["read", () => backend.read(["main"])],
    ["read again", () => backend.read(["main"])],
    ["scan", () => backend.scan()],
    ["list", () => backend.list({})],
    ["checkpoint", () => backend.checkpoint()],
    ["sync", () => backend.sync()],
    ["stats", () => backend.stats()],
    ["cursor", () => backend.cursor()],
    ["read by a reader", () => reader.read(["main"])],
    ["scan by a reader", () => reader.scan()],
  ];
  for (const [what, call] of ways) {
    await assert.rejects(machine.settle(call()), { code: "store_fenced" }, what);
  }
  const backupPath = result.backupDirectoryPath as string;
  await assert.rejects(machine.settle(backend.read(["main"])), (error: Error) => {
    for (const said of [legacyPath, backupPath, "open it again"])
      assert.ok(error.message.includes(said), error.message);
    return true;
  });
  // A feed that waits is ended by the fence.
  await machine.settle(ended);
  const before = machine.dump();
  await machine.settle(backend.close());
  await machine.settle(reader.close());
  assert.deepEqual(machine.dump(), before, "closing a fenced store writes nothing");
  assert.deepEqual(process.openHandles(), []);
});

test("a dry run of a superuser on the store of somebody else says what the real run says, and changes nothing", async () => {
  const machine = await machineToRollBack();
  const before = machine.dump();
  const results = [];
  for (const dryRun of [true, false]) {
    const port = machine.process(undefined, { userId: 0 });
    results.push(await machine.settle(rollbackStore(legacyPath, { port, dryRun })));
    if (dryRun) assert.deepEqual(machine.dump(), before);
  }
  for (const { outcome, error } of results) {
    assert.deepEqual([outcome, error?.code], ["failed", "unsafe_path"]);
    assert.match(error?.message ?? "", /belongs to user 1000; run as that user/);
  }
});
