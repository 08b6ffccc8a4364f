/** Detection says what is there and what a migration would do, and touches nothing. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { type Detection, detectOnPort, detectSessionStore } from "../../../src/migrate/detect.js";
import { migrateStore } from "../../../src/migrate/migrate.js";
import { CountingPort } from "../../sim/counting-port.js";
import { SimulatedMachine } from "../../sim/machine.js";
import { inTemporaryDirectory, rejectsWith, snapshotTree } from "./support.js";

async function detectIn(make: (directory: string, legacyPath: string) => unknown): Promise<Detection> {
  let found: Detection | undefined;
  await inTemporaryDirectory(async (directory) => {
    const legacyPath = path.join(directory, "sessions.json");
    await make(directory, legacyPath);
    const before = snapshotTree(directory);
    found = await detectSessionStore(legacyPath);
    assert.deepEqual(snapshotTree(directory), before);
    assert.deepEqual([found.storePath, found.directoryPath], [legacyPath, path.join(directory, "sessions.d")]);
    assert.deepEqual(await detectSessionStore(path.join(directory, "sessions.d")), found);
  });
  return found as Detection;
}

const write = (text: string) => (_: string, legacyPath: string) => fs.writeFileSync(legacyPath, text);

test("a legacy file is ready, with counts, groups of spellings, and what would be left behind", async () => {
  const text = '{"Main":{"updatedAt":1},"main":{"updatedAt":2},"other":{},"  ":{},"k":null}';
  const found = await detectIn(write(text));
  assert.deepEqual([found.status, found.legacyExists, found.directoryActive], ["ready_to_migrate", true, false]);
  assert.deepEqual([found.legacyEntryCount, found.normalizedEntryCount], [5, 2]);
  assert.equal(found.sizeBytes, Buffer.byteLength(text));
  assert.deepEqual(found.duplicates, [['"Main"', '"main"']]);
  assert.deepEqual(found.refusedKeys, [
    { key: '"  "', reason: "the session key is blank" },
    { key: '"k"', reason: "the entry is null, not an object" },
  ]);
  assert.deepEqual(found.preview, ["2 sessions would be taken over into sessions.d; the original would be kept."]);
  assert.equal(found.warnings.length, 2);
});

test("a tolerated text is ready, and the warning says what is tolerated", async () => {
  const found = await detectIn(write("\ufeff{main: {},}"));
  assert.equal(found.status, "ready_to_migrate");
  assert.match(found.warnings.join(), /a byte order mark and JSON5/);
});

test("{} and nothing but null are empty", async () => {
  for (const text of ["{}", '{"k":null}']) {
    const found = await detectIn(write(text));
    assert.deepEqual([found.status, found.normalizedEntryCount], ["empty_legacy", 0]);
    assert.deepEqual(found.preview, ["There is no session to take over: nothing would be done."]);
  }
});

test("what cannot be taken over safely is invalid, with the reason", async () => {
  const onWindows = process.platform === "win32";
  const makers: [make: (directory: string, legacyPath: string) => unknown, reason: RegExp][] = [
    [write(""), /is empty \(0 bytes\)/],
    [write("[]"), /holds an array/],
    [write('{"k":[]}'), /none can be taken over/],
    [(_, legacyPath) => fs.symlinkSync("nowhere", legacyPath), /is a symlink/],
    [(_, legacyPath) => onWindows || execFileSync("mkfifo", [legacyPath]), /FIFO/],
    [
      (directory, legacyPath) => {
        fs.writeFileSync(legacyPath, '{"main":{}}');
        fs.symlinkSync("elsewhere", path.join(directory, "sessions.d"));
      },
      /symbolic link/,
    ],
  ];
  for (const [make, reason] of makers) {
    if (onWindows && String(reason).includes("FIFO")) continue;
    const found = await detectIn(make);
    assert.deepEqual([found.status, found.legacyExists], ["invalid_legacy", true]);
    assert.match(found.warnings.join(), reason);
    assert.match(found.preview.join(), /Nothing would be changed/);
  }
});

test("nothing there is missing, also without the directory", async () => {
  const found = await detectIn(() => {});
  assert.deepEqual([found.status, found.legacyExists, found.warnings], ["missing", false, []]);
  assert.equal((await detectSessionStore("/nowhere/at/all/sessions.json")).status, "missing");
});

test("a directory store is active; a legacy file beside it would be merged, or renamed when it is the one it came from", async () => {
  const make = async (_: string, legacyPath: string) => {
    fs.writeFileSync(legacyPath, '{"main":{}}');
    return await migrateStore(legacyPath);
  };
  const alone = await detectIn(make);
  assert.deepEqual([alone.status, alone.directoryActive, alone.legacyExists], ["already_directory", true, false]);
  const same = await detectIn(async (directory, legacyPath) => {
    const { backupPath } = await make(directory, legacyPath);
    fs.renameSync(backupPath as string, legacyPath);
  });
  assert.match(same.preview.join(), /was taken over before and would be renamed/);
  const other = await detectIn(async (directory, legacyPath) => {
    await make(directory, legacyPath);
    fs.writeFileSync(legacyPath, '{"late":{}}');
  });
  assert.deepEqual([other.status, other.normalizedEntryCount], ["already_directory", 1]);
  assert.match(other.preview.join(), /holds 1 session and would be merged/);
});

test("a directory in OpenClaw's layout is ready to be imported, a foreign one would make way", async () => {
  const found = await detectIn((directory) => {
    const place = path.join(directory, "sessions.d");
    fs.mkdirSync(path.join(place, "entries"), { recursive: true, mode: 0o700 });
    const state = { kind: "openclaw-session-store-directory", layoutVersion: 1, version: 1, updatedAt: 1 };
    fs.writeFileSync(path.join(place, "state.json"), JSON.stringify(state));
    fs.writeFileSync(path.join(place, "entries", "session-bWFpbg.json"), '{"sessionKey":"main","entry":{}}');
  });
  assert.deepEqual([found.status, found.directoryActive, found.normalizedEntryCount], ["ready_to_migrate", false, 1]);
  assert.match(found.warnings.join(), /is imported and kept as sessions\.d\.bak\.<time>/);
  const foreign = await detectIn((directory, legacyPath) => {
    fs.mkdirSync(path.join(directory, "sessions.d"));
    fs.writeFileSync(legacyPath, '{"main":{}}');
  });
  assert.equal(foreign.status, "ready_to_migrate");
  assert.match(foreign.warnings.join(), /renamed aside, untouched, to sessions\.d\.orphan/);
  const alone = await detectIn((directory) => fs.mkdirSync(path.join(directory, "sessions.d")));
  assert.equal(alone.status, "missing");
  assert.match(alone.warnings.join(), /There is no legacy file\. A directory .* is left alone\.$/);
});

test("a store that was rolled back says so", async () => {
  const found = await detectIn((directory, legacyPath) => {
    fs.writeFileSync(legacyPath, '{"main":{}}');
    fs.writeFileSync(path.join(directory, "sessions.d.rolled-back"), "{}");
  });
  assert.equal(found.status, "rolled_back");
  assert.match(found.preview.join(), /Nothing would be changed, because the store was rolled back/);
  assert.match(found.warnings.join(), /rolled back to its legacy file on 20\d\d-.*--force/);
});

test("detection makes no call that could change anything", async () => {
  const machine = new SimulatedMachine();
  machine.makeDirectory("/home/agent");
  machine.writeFile("/home/agent/sessions.json", '{"main":{}}');
  await machine.process().run(async (inner) => {
    for (let round = 0; round < 2; round += 1) {
      const port = new CountingPort(inner, { trace: true });
      detectOnPort(port, "/home/agent/sessions.json");
      const looks = ["openRoot", "openDirectory", "closeDirectory", "statDirectory", "listInBatches", "list", "stat"];
      const allowed = new Set([...looks, "statName", "read", "open", "close", "nowMs", "monotonicMs"]);
      assert.deepEqual(
        [...new Set(port.trace.map(({ method }) => method))].filter((name) => !allowed.has(name)),
        [],
      );
      await migrateStore("/home/agent/sessions.json", { port: inner });
    }
  });
});

test("a location or an option that makes no sense is refused", async () => {
  await rejectsWith("invalid_option", detectSessionStore("sessions.txt"));
  await rejectsWith("invalid_option", detectSessionStore("sessions.json", { limit: {} } as object));
  await rejectsWith("invalid_option", migrateStore("sessions.json", { dryrun: true } as object));
  const tooMuch = { limits: { legacyFileBytes: 512 * 1024 * 1024 } };
  await rejectsWith("invalid_option", migrateStore("sessions.json", tooMuch));
});
