import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { nodePort } from "../../../src/fs/node-port.js";
import { freezeParsedJson } from "../../../src/sessions/entry-value.js";
import { createBackup, verifyBackup } from "../../../src/transfer/backup.js";
import { restoreBackup } from "../../../src/transfer/restore.js";
import { failCallOf } from "./failing.js";
import {
  inTemporaryDirectory,
  makeStore,
  open,
  put,
  readStore,
  readTexts,
  rejectsWith,
  snapshotTree,
} from "./support.js";

const sessions = { "agent:main:main": { updatedAt: 5, text: "Ünï" }, b: { updatedAt: 7 }, c: { n: 1 } };

async function inBackup(
  body: (at: { directory: string; store: string; backup: string }) => Promise<void>,
): Promise<void> {
  await inTemporaryDirectory(async (directory) => {
    const store = path.join(directory, "sessions.d");
    await makeStore(store, sessions);
    const { path: backup } = await createBackup(store, path.join(directory, "backups"));
    await body({ directory, store, backup });
  });
}

function asides(directory: string): string[] {
  return fs.readdirSync(directory).filter((name) => name.startsWith("sessions.d.") && !name.endsWith(".lock"));
}

test("a backup is a directory of mode 0700 with a manifest and a bundle, without any path of its store", async () => {
  await inBackup(async ({ directory, store, backup }) => {
    assert.match(path.basename(backup), /^sessions\.\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}Z$/);
    assert.deepEqual(fs.readdirSync(backup).sort(), ["manifest.json", "sessions.jsonl"]);
    assert.equal(fs.statSync(backup).mode & 0o777, 0o700);
    for (const name of fs.readdirSync(backup)) {
      assert.equal(fs.statSync(path.join(backup, name)).mode & 0o777, 0o600);
      assert.ok(!fs.readFileSync(path.join(backup, name), "utf8").includes(directory));
    }
    const manifest = await verifyBackup(backup);
    assert.deepEqual([manifest.sessions, manifest.newestUpdatedAt, manifest.source.name], [3, 7, "sessions.d"]);
    const before = snapshotTree(store);
    const port = { ...nodePort(), nowMs: () => manifest.createdMs };
    const second = await createBackup(store, path.dirname(backup), { port });
    assert.notEqual(second.path, backup, "two backups of one millisecond have two names");
    assert.equal(second.manifest.contentSha256, manifest.contentSha256);
    assert.deepEqual(snapshotTree(store), before);
  });
});

test("a backup that fails leaves nothing behind; one that was interrupted is not taken for a backup", async () => {
  await inBackup(async ({ directory, store, backup }) => {
    const before = snapshotTree(directory);
    for (const [call, code, expected] of [
      ["append", "ENOSPC", "disk_full"],
      ["syncFile", "EIO", "io_error"],
      ["rename", "EACCES", "permission_denied"],
    ] as const) {
      await rejectsWith(expected, createBackup(store, path.dirname(backup), { port: failCallOf(call, code) }));
      assert.deepEqual(snapshotTree(directory), before, call);
    }
    const partial = `${backup}.partial-0123456789ab`;
    fs.renameSync(backup, partial);
    const error = await rejectsWith("invalid_bundle", verifyBackup(partial));
    assert.match(error.message, /never finished/);
    await rejectsWith("not_found", verifyBackup(backup));
    await rejectsWith("invalid_option", createBackup(store, directory, { name: "../x" }));
    await rejectsWith("not_found", createBackup(store, path.join(directory, "none", "backups")));
    await rejectsWith("store_missing", createBackup(path.join(directory, "none.d"), directory));
  });
});

test("an empty store and one with damaged sessions are not backed up, unless told so", async () => {
  await inTemporaryDirectory(async (directory) => {
    const empty = path.join(directory, "empty.d");
    await makeStore(empty, {});
    await rejectsWith("not_found", createBackup(empty, directory));
    assert.equal((await createBackup(empty, directory, { allowEmpty: true })).manifest.sessions, 0);
    const store = path.join(directory, "sessions.d");
    await makeStore(store, sessions);
    fs.writeFileSync(path.join(store, "entries", `session-${Buffer.from("b").toString("base64url")}.json`), "{");
    await rejectsWith("entry_damaged", createBackup(store, directory));
    const partial = await createBackup(store, directory, { allowDamaged: true });
    assert.deepEqual([partial.outcome, partial.manifest.damaged], ["partial", 1]);
    const restored = await restoreBackup(partial.path, path.join(directory, "restored.d"));
    assert.deepEqual([restored.outcome, restored.backup.damaged], ["partial", ["b"]]);
  });
});

test("a backup with any one bit changed, a file cut off, missing or exchanged is refused", async () => {
  await inBackup(async ({ directory, store, backup }) => {
    for (const name of ["manifest.json", "sessions.jsonl"]) {
      const file = path.join(backup, name);
      const whole = fs.readFileSync(file);
      for (let at = 0; at < whole.byteLength; at += 1) {
        const bytes = Buffer.from(whole);
        bytes[at]! ^= 1 << (at % 8);
        fs.writeFileSync(file, bytes);
        await assert.rejects(verifyBackup(backup), { name: "SessionStoreError" }, `${name}, byte ${at}`);
      }
      for (let length = 0; length < whole.byteLength; length += 7) {
        fs.writeFileSync(file, whole.subarray(0, length));
        await rejectsWith("invalid_bundle", verifyBackup(backup));
      }
      fs.rmSync(file);
      await rejectsWith("invalid_bundle", restoreBackup(backup, path.join(directory, "new.d")));
      fs.writeFileSync(file, whole);
    }
    await verifyBackup(backup);
    // The whole and right bundle of another moment is not the one that the manifest tells of.
    const writer = await open(store);
    await put(writer, { b: { updatedAt: 8 } });
    await writer.close();
    const other = await createBackup(store, directory);
    fs.copyFileSync(path.join(other.path, "sessions.jsonl"), path.join(backup, "sessions.jsonl"));
    const error = await rejectsWith("invalid_bundle", verifyBackup(backup));
    assert.match(error.message, /not those that the manifest tells of/);
    assert.equal(fs.existsSync(path.join(directory, "new.d")), false);
  });
});

test("restoring into an empty place makes a complete store with tokens of its own", async () => {
  await inBackup(async ({ directory, store, backup }) => {
    const place = path.join(directory, "new", "sessions.json");
    await rejectsWith("not_found", restoreBackup(backup, place));
    fs.mkdirSync(path.dirname(place));
    const dry = await restoreBackup(backup, place, { dryRun: true });
    assert.deepEqual([dry.dryRun, fs.readdirSync(path.dirname(place))], [true, []]);
    const result = await restoreBackup(backup, place);
    assert.deepEqual([result.outcome, result.replaced, result.asidePath], ["complete", undefined, undefined]);
    assert.deepEqual(await readStore(place), sessions);
    assert.deepEqual(fs.readdirSync(path.dirname(place)).sort(), [
      "sessions.d",
      "sessions.d.checkpoint.lock",
      "sessions.d.lock",
      "sessions.d.scan.lock",
    ]);
    const [old, restored] = [await open(store), await open(place)];
    const [before, after] = [(await old.read(["b"])).get("b"), (await restored.read(["b"])).get("b")];
    assert.notEqual(before?.version, after?.version);
    const entry = before!.entry;
    const stale = {
      operations: [{ type: "put", key: "b", entry } as const],
      expected: new Map([["b", before!.version]]),
    };
    assert.equal((await restored.commit(stale)).status, "conflict");
    for await (const change of restored.changes(await old.cursor())) {
      assert.equal(change.type, "reset", "a cursor of the old store begins anew");
      break;
    }
    const findings: unknown[] = [];
    for await (const finding of restored.check()) findings.push(finding);
    assert.deepEqual(findings, []);
    await old.close();
    await restored.close();
  });
});

test("earlier generations and a transcript in the store's folder come back with a session", async () => {
  await inTemporaryDirectory(async (directory) => {
    const store = path.join(directory, "sessions.d");
    const writer = await open(store);
    const generations = [{ sessionId: "older", sessionFile: path.join(directory, "older.jsonl"), endedMs: 4 }];
    const entry = freezeParsedJson({ sessionId: "now", sessionFile: path.join(directory, "now.jsonl") });
    await writer.commit({ operations: [{ type: "put", key: "a", entry, generations }], expected: new Map() });
    await writer.close();
    const { path: backup } = await createBackup(store, path.join(directory, "backups"));
    await restoreBackup(backup, store, { replace: true });
    const restored = await open(store, { readOnly: true });
    const found = (await restored.read(["a"])).get("a");
    assert.deepEqual([found?.entry, found?.generations], [entry, generations]);
    await restored.close();
  });
});

test("what lies at the place is not replaced without being asked, nor is a legacy file shadowed", async () => {
  await inBackup(async ({ directory, store, backup }) => {
    const before = snapshotTree(directory);
    await rejectsWith("conflict", restoreBackup(backup, store));
    assert.deepEqual(snapshotTree(directory), before);
    const legacy = path.join(directory, "other.json");
    fs.writeFileSync(legacy, "{}");
    await rejectsWith("conflict", restoreBackup(backup, legacy, { replace: true }));
    assert.equal(fs.existsSync(path.join(directory, "other.d")), false);
    await rejectsWith("invalid_option", restoreBackup(backup, ":memory:"));
  });
});

test("a backup with fewer or older sessions does not replace a store unless the loss is accepted; both counts are told", async () => {
  await inBackup(async ({ directory, store, backup }) => {
    const writer = await open(store);
    await put(writer, { more: { updatedAt: 1 } });
    await writer.close();
    const before = snapshotTree(store);
    const fewer = await rejectsWith("conflict", restoreBackup(backup, store, { replace: true }));
    assert.match(fewer.message, /holds 4 sessions.*the backup holds 3/);
    await rejectsWith("conflict", restoreBackup(backup, store, { replace: true, dryRun: true }));
    const again = await open(store);
    await again.commit({ operations: [{ type: "remove", key: "more", purge: true }], expected: new Map() });
    await put(again, { c: { updatedAt: 1_000 } });
    await again.close();
    const older = await rejectsWith("conflict", restoreBackup(backup, store, { replace: true }));
    assert.match(older.message, /newest of 1970-01-01T00:00:01.000Z.*newest of 1970-01-01T00:00:00.007Z/);
    assert.notDeepEqual(snapshotTree(store), before);
    assert.deepEqual(asides(directory), []);
    const kept = await readStore(store);
    const result = await restoreBackup(backup, store, { replace: true, acceptLoss: true });
    assert.deepEqual(result.replaced, { sessions: 3, newestUpdatedAt: 1_000 });
    assert.deepEqual(await readStore(store), sessions);
    assert.deepEqual(asides(directory), [path.basename(result.asidePath!)]);
    // The way back: the old store, with everything in it, under its old name.
    fs.renameSync(store, path.join(directory, "restored-and-moved"));
    fs.renameSync(result.asidePath!, store);
    await (await open(store)).close();
    assert.deepEqual(await readStore(store), kept);
  });
});

test("open handles of a replaced store are told so, and nothing they write lands anywhere", async () => {
  await inBackup(async ({ directory, store, backup }) => {
    const [writer, reader] = [await open(store), await open(store, { readOnly: true })];
    const result = await restoreBackup(backup, store, { replace: true });
    const error = await rejectsWith("store_fenced", put(writer, { late: { n: 1 } }));
    assert.match(error.message, /restored from a backup/);
    await rejectsWith("store_fenced", reader.read(["b"]));
    await writer.close();
    await reader.close();
    assert.deepEqual(await readStore(store), sessions);
    fs.renameSync(store, path.join(directory, "restored-and-moved"));
    fs.renameSync(result.asidePath!, store);
    const back = await open(store);
    assert.deepEqual([...(await readTexts(back)).keys()].sort(), Object.keys(sessions).sort());
    await back.close();
  });
});

test("a commit between the comparison and the fence makes a restore give up, with the store in its place", async () => {
  await inBackup(async ({ directory, store, backup }) => {
    const writer = await open(store);
    let wrote: Promise<void> | undefined;
    // The last session is read from the backup after the comparison and before the fence.
    const onProgress = (done: number) => {
      if (done === 3) wrote = put(writer, { late: { updatedAt: 99 } });
    };
    const error = await rejectsWith("conflict", restoreBackup(backup, store, { replace: true, onProgress }));
    assert.match(error.message, /was written to while/);
    await wrote;
    await writer.close();
    assert.deepEqual(asides(directory), []);
    assert.deepEqual(await readStore(store), { ...sessions, late: { updatedAt: 99 } });
  });
});

test("a store that is too damaged to be read is replaced only when the loss is accepted, and kept", async () => {
  await inBackup(async ({ directory, store, backup }) => {
    fs.writeFileSync(path.join(store, "state.json"), "{");
    const damaged = snapshotTree(store);
    const error = await rejectsWith("conflict", restoreBackup(backup, store, { replace: true }));
    assert.match(error.message, /cannot be read/);
    const result = await restoreBackup(backup, store, { replace: true, acceptLoss: true });
    assert.equal(result.replaced, "unreadable");
    assert.deepEqual(await readStore(store), sessions);
    assert.deepEqual(snapshotTree(path.join(directory, path.basename(result.asidePath!))), damaged);
  });
});
