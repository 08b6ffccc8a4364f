import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { nodePort } from "../../../src/fs/node-port.js";
import { type MigrationResult, migrateStore } from "../../../src/migrate/migrate.js";
import { createOrTakeOver } from "../../../src/migrate/take-over.js";
import { SimulatedMachine } from "../../sim/machine.js";
import {
  inTemporaryDirectory,
  locationOf,
  openAndReadAll,
  rejectsWith,
  snapshotTree,
  takeOverOptions,
} from "./support.js";

/** What a dry run can know: everything but the name of the backup. */
const prediction = ({ backupPath: _, displacedPath: __, ...known }: MigrationResult) => known;

const cases: Record<string, { legacy?: string; make?: (directory: string) => Promise<void>; outcome: string }> = {
  "sessions in several spellings": { legacy: '{"A":{"n":1},"a":{"n":2},"b":{}}', outcome: "migrated" },
  "an empty store": { legacy: "{}", outcome: "skipped_empty" },
  "an empty file": { legacy: "", outcome: "skipped_invalid" },
  "an entry that cannot be taken": { legacy: '{"a":{},"b":null}', outcome: "migrated" },
  "only entries that cannot be taken": { legacy: '{"a":[1],"b":null}', outcome: "skipped_invalid" },
  "nothing but null": { legacy: '{"k":null}', outcome: "skipped_empty" },
  "JSON5 with a byte order mark": { legacy: "\ufeff{a: {n: 1}, b: {n: NaN},}", outcome: "migrated" },
  "no file": { outcome: "missing" },
  "a store that was taken over": {
    make: async (directory) => void (await migrateAs(directory, '{"main":{}}')),
    outcome: "already_directory",
  },
  "a store and a legacy file that is none of its own": {
    make: async (directory) => {
      await migrateAs(directory, '{"main":{}}');
      fs.writeFileSync(path.join(directory, "sessions.json"), '{"main":{"n":2}}');
    },
    outcome: "already_directory",
  },
  "a store and a legacy file with newer sessions": {
    make: async (directory) => {
      await migrateAs(directory, '{"main":{"updatedAt":5},"old":{"updatedAt":5}}');
      const text = '{"main":{"updatedAt":6},"old":{"updatedAt":4},"new":{}," ":{}}';
      fs.writeFileSync(path.join(directory, "sessions.json"), text);
    },
    outcome: "migrated",
  },
  "a store and a broken legacy file": {
    make: async (directory) => {
      await migrateAs(directory, '{"main":{}}');
      fs.writeFileSync(path.join(directory, "sessions.json"), "");
    },
    outcome: "already_directory",
  },
  "a directory that is no store": {
    legacy: '{"main":{}}',
    make: async (directory) => void fs.mkdirSync(path.join(directory, "sessions.d", "main"), { recursive: true }),
    outcome: "migrated",
  },
  "a directory that is no store, and no file": {
    make: async (directory) => void fs.mkdirSync(path.join(directory, "sessions.d")),
    outcome: "missing",
  },
  "a store and the legacy file that was taken over": {
    make: async (directory) => {
      const { backupPath } = await migrateAs(directory, '{"main":{}}');
      fs.renameSync(backupPath as string, path.join(directory, "sessions.json"));
    },
    outcome: "already_directory",
  },
  "a file at the store's place": {
    legacy: '{"main":{}}',
    make: async (directory) => fs.writeFileSync(path.join(directory, "sessions.d"), "what is this?"),
    outcome: "failed",
  },
};

async function migrateAs(directory: string, text: string): Promise<MigrationResult> {
  fs.writeFileSync(path.join(directory, "sessions.json"), text);
  return await migrateStore(path.join(directory, "sessions.json"));
}

for (const [what, { legacy, make, outcome }] of Object.entries(cases)) {
  test(`a dry run on ${what} says what the real run does, and touches nothing`, async () => {
    await inTemporaryDirectory(async (directory) => {
      const legacyPath = path.join(directory, "sessions.json");
      if (legacy !== undefined) fs.writeFileSync(legacyPath, legacy);
      await make?.(directory);
      const before = snapshotTree(directory);
      const predicted = await migrateStore(legacyPath, { dryRun: true });
      assert.deepEqual(snapshotTree(directory), before);
      const real = await migrateStore(legacyPath);
      assert.equal(real.outcome, outcome);
      assert.deepEqual(prediction(predicted), prediction(real));
      if (!["migrated", "already_directory"].includes(outcome)) assert.deepEqual(snapshotTree(directory), before);
    });
  });
}

test("an interrupted take-over is finished by a migration, which says where the original is", async () => {
  await inTemporaryDirectory(async (directory) => {
    const legacyPath = path.join(directory, "sessions.json");
    const { backupPath } = await migrateAs(directory, '{"main":{}}');
    fs.renameSync(backupPath as string, legacyPath);
    const result = await migrateStore(legacyPath);
    assert.equal(result.outcome, "already_directory");
    assert.equal(fs.readFileSync(result.backupPath as string, "utf8"), '{"main":{}}');
    assert.ok(!fs.existsSync(legacyPath));
  });
});

test("an empty store that a migration leaves alone is taken over by opening it", async () => {
  await inTemporaryDirectory(async (directory) => {
    assert.equal((await migrateAs(directory, "{}")).outcome, "skipped_empty");
    assert.deepEqual(fs.readdirSync(directory), ["sessions.json"]);
    const location = locationOf(path.join(directory, "sessions.json"));
    assert.equal((await createOrTakeOver(nodePort(), location, takeOverOptions)).outcome, "migrated");
    assert.equal((await openAndReadAll(nodePort(), location)).size, 0);
  });
});

test("the path of the directory means the same store as the path of the file", async () => {
  await inTemporaryDirectory(async (directory) => {
    fs.writeFileSync(path.join(directory, "work.json"), '{"main":{}}');
    const result = await migrateStore(path.join(directory, "work.d"));
    assert.equal(result.outcome, "migrated");
    assert.equal(result.storePath, path.join(directory, "work.json"));
    assert.equal(result.directoryPath, path.join(directory, "work.d"));
  });
});

test("a location that can be no store is invalid_option", async () => {
  await rejectsWith("invalid_option", migrateStore("sessions.txt"));
  await rejectsWith("invalid_option", migrateStore("bad\0.json"));
});

test("too little space is an outcome of the dry run already", async () => {
  for (const dryRun of [true, false]) {
    const machine = new SimulatedMachine();
    machine.makeDirectory("/home/agent");
    machine.writeFile("/home/agent/sessions.json", '{"main":{}}');
    machine.disk.freeBytes = 4_000;
    const before = machine.dump();
    const outcome = await machine.process().run((port) => {
      return migrateStore("/home/agent/sessions.json", { port, dryRun });
    });
    assert.ok(outcome.status === "returned");
    assert.deepEqual([outcome.value.outcome, outcome.value.error?.code], ["failed", "disk_full"]);
    if (dryRun) assert.deepEqual(machine.dump(), before);
  }
});

test("a store that was rolled back is taken over only with force, and the marker is kept aside", async () => {
  await inTemporaryDirectory(async (directory) => {
    const legacyPath = path.join(directory, "sessions.json");
    const marker = path.join(directory, "sessions.d.rolled-back");
    fs.writeFileSync(legacyPath, '{"main":{"n":1}}');
    fs.writeFileSync(marker, '{"note":"by hand"}');
    const before = snapshotTree(directory);
    for (const dryRun of [true, false]) {
      const result = await migrateStore(legacyPath, { dryRun });
      assert.deepEqual([result.outcome, result.error?.code], ["failed", "legacy_store"]);
      assert.match(
        result.warnings.join(),
        /was rolled back to its legacy file on 20\d\d-.*run `sessiondir migrate --force --store PATH`/,
      );
      assert.deepEqual(snapshotTree(directory), before);
    }
    await rejectsWith("legacy_store", createOrTakeOver(nodePort(), locationOf(legacyPath), takeOverOptions));
    assert.deepEqual(snapshotTree(directory), before);
    assert.equal((await migrateStore(legacyPath, { dryRun: true, force: true })).outcome, "migrated");
    assert.deepEqual(snapshotTree(directory), before);
    assert.equal((await migrateStore(legacyPath, { force: true })).outcome, "migrated");
    const aside = fs.readdirSync(directory).filter((name) => name.startsWith("sessions.d.rolled-back"));
    assert.equal(aside.length, 1);
    assert.match(aside[0] as string, /^sessions\.d\.rolled-back\.bak\.\d+$/);
    assert.equal(fs.readFileSync(path.join(directory, aside[0] as string), "utf8"), '{"note":"by hand"}');
    assert.deepEqual([...(await openAndReadAll(nodePort(), locationOf(legacyPath)))], [["main", { n: 1 }]]);
  });
});

test("force changes nothing when the legacy file cannot be taken over", async () => {
  await inTemporaryDirectory(async (directory) => {
    fs.writeFileSync(path.join(directory, "sessions.json"), "{ half");
    fs.writeFileSync(path.join(directory, "sessions.d.rolled-back"), "{}");
    const before = snapshotTree(directory);
    const result = await migrateStore(path.join(directory, "sessions.json"), { force: true });
    assert.equal(result.outcome, "skipped_invalid");
    assert.deepEqual(snapshotTree(directory), before);
  });
});
