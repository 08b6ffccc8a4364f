/**
 * Input by input, what operators and strangers put in a store's place: the outcome that the documents promise, and a dry run
 * that says field by field what the real run says. prediction.test.ts does the same for generated situations.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Port } from "../../../src/fs/port.js";
import { detectOnPort } from "../../../src/migrate/detect.js";
import { type MigrationOutcome, type MigrationResult, migrateStore } from "../../../src/migrate/migrate.js";
import { migrateStores } from "../../../src/migrate/report.js";
import { type RollbackResult, rollbackStore } from "../../../src/migrate/rollback.js";
import { SimulatedMachine } from "../../sim/machine.js";
import { locationOf, openOrTakeOver } from "./support.js";

const home = "/home/agent";
const legacyPath = `${home}/sessions.json`;
const place = `${home}/sessions.d`;

const levels = (count: number) => `{"k":${'{"a":'.repeat(count - 1)}{}${"}".repeat(count - 1)}}`;

type Situation = [make: (machine: SimulatedMachine) => Promise<void> | void, outcome: MigrationOutcome, code?: string];

const files: Record<string, [content: string | Uint8Array, outcome: MigrationOutcome]> = {
  "an ordinary file": ['{"main":{"updatedAt":1},"other":{"sessionId":"a"}}', "migrated"],
  "no session": ["{}", "skipped_empty"],
  "nulls only": ['{"k":null}', "skipped_empty"],
  "nulls and sessions": ['{"k":null,"main":{}}', "migrated"],
  "0 bytes": ["", "skipped_invalid"],
  blanks: [" \n", "skipped_invalid"],
  zeros: [new Uint8Array(64), "skipped_invalid"],
  "a file that is cut off": ['{"main":{"sess', "skipped_invalid"],
  "an array": ['[{"main":{}}]', "skipped_invalid"],
  "a null": ["null", "skipped_invalid"],
  "an entry of 64 levels": [levels(64), "migrated"],
  "an entry of 65 levels": [levels(65), "skipped_invalid"],
  "an entry of 65 levels beside a good one": [`{"main":{},${levels(65).slice(1)}`, "migrated"],
  "a key called __proto__": ['{"__proto__":{"n":1},"constructor":{"n":2}}', "migrated"],
  "twins that differ by case": ['{"Main":{"updatedAt":2},"main":{"updatedAt":1},"MAIN":{"updatedAt":2}}', "migrated"],
  "a byte order mark": ['\ufeff{"main":{}}', "migrated"],
  "JSON5 with comments": ["// by hand\n{ main: { n: 1, }, }", "migrated"],
  "bytes that are no UTF-8": [Buffer.from('{"m\xe4in":{}}', "latin1"), "skipped_invalid"],
  "a blank key": ['{"  ":{},"main":{}}', "migrated"],
  "a key that is too long": [`{"${"k".repeat(513)}":{},"main":{}}`, "migrated"],
  "a number out of range": ['{"main":{"n":1e400}}', "skipped_invalid"],
  "entries that are lists and texts": ['{"a":[1],"b":"text","main":{}}', "migrated"],
};

const valid = '{"main":{"updatedAt":5},"other":{"updatedAt":1}}';

async function makeStore(machine: SimulatedMachine): Promise<void> {
  machine.writeFile(legacyPath, valid);
  await run(machine, (port) => migrateStore(legacyPath, { port }));
}

function writeOpenClawStore(machine: SimulatedMachine): void {
  machine.makeDirectory(place, { mode: 0o700 });
  const state = { kind: "openclaw-session-store-directory", layoutVersion: 1, version: 1, updatedAt: 1 };
  machine.writeFile(`${place}/state.json`, JSON.stringify(state));
  machine.makeDirectory(`${place}/entries`, { mode: 0o700 });
  for (const key of ["main", "Main", "x"]) {
    const name = `session-${Buffer.from(key).toString("base64url")}.json`;
    machine.writeFile(`${place}/entries/${name}`, JSON.stringify({ sessionKey: key, entry: { updatedAt: 1 } }));
  }
}

const situations: Record<string, Situation> = {
  ...Object.fromEntries(
    Object.entries(files).map(([name, [content, outcome]]): [string, Situation] => [
      name,
      [(machine) => machine.writeFile(legacyPath, content), outcome],
    ]),
  ),
  nothing: [() => {}, "missing"],
  "a symlink": [
    (machine) => {
      machine.writeFile(`${home}/real.json`, valid);
      machine.makeSymlink("real.json", legacyPath);
    },
    "skipped_invalid",
  ],
  "a FIFO": [(machine) => machine.makeFifo(legacyPath), "skipped_invalid"],
  "a directory called sessions.json": [(machine) => machine.makeDirectory(legacyPath), "skipped_invalid"],
  "a file with a hard link elsewhere": [
    (machine) => {
      machine.writeFile(`${home}/other.json`, valid);
      machine.makeHardLink(`${home}/other.json`, legacyPath);
    },
    "skipped_invalid",
  ],
  "somebody else's file": [(machine) => machine.writeFile(legacyPath, valid, { ownerUid: 7 }), "skipped_invalid"],
  "a full disk": [
    (machine) => {
      machine.writeFile(legacyPath, valid);
      machine.disk.freeBytes = 100;
    },
    "failed",
    "disk_full",
  ],
  "a folder in which nothing may be made": [
    (machine) => {
      machine.writeFile(legacyPath, valid);
      machine.setMode(home, 0o555);
    },
    "failed",
    "permission_denied",
  ],
  "a read-only disk": [
    (machine) => {
      machine.writeFile(legacyPath, valid);
      machine.disk.readOnly = true;
    },
    "failed",
    "read_only",
  ],
  "a store in OpenClaw's layout on a read-only disk": [
    (machine) => {
      writeOpenClawStore(machine);
      machine.disk.readOnly = true;
    },
    "failed",
    "read_only",
  ],
  "a store": [makeStore, "already_directory"],
  "a store and its original, put back": [
    async (machine) => {
      await makeStore(machine);
      machine.writeFile(legacyPath, valid);
    },
    "already_directory",
  ],
  "a store and a newer file": [
    async (machine) => {
      await makeStore(machine);
      machine.writeFile(legacyPath, '{"main":{"updatedAt":6},"other":{"updatedAt":0},"third":{}}');
    },
    "migrated",
  ],
  "a store and an older file": [
    async (machine) => {
      await makeStore(machine);
      machine.writeFile(legacyPath, '{"main":{"updatedAt":4}}');
    },
    "already_directory",
  ],
  "a store and a file that is cut off": [
    async (machine) => {
      await makeStore(machine);
      machine.writeFile(legacyPath, '{"main":');
    },
    "already_directory",
  ],
  "a store that was rolled back": [
    async (machine) => {
      await makeStore(machine);
      await run(machine, (port) => rollbackStore(legacyPath, { port }));
    },
    "failed",
    "legacy_store",
  ],
  "a store in OpenClaw's layout": [writeOpenClawStore, "migrated"],
  "a store in OpenClaw's layout and a file": [
    (machine) => {
      writeOpenClawStore(machine);
      machine.writeFile(legacyPath, valid);
    },
    "migrated",
  ],
  "an empty directory in the way": [
    (machine) => {
      machine.makeDirectory(place);
      machine.writeFile(legacyPath, valid);
    },
    "migrated",
  ],
  "a foreign directory in the way": [
    (machine) => {
      machine.makeDirectory(place);
      machine.writeFile(`${place}/notes.txt`, "notes");
      machine.writeFile(legacyPath, valid);
    },
    "migrated",
  ],
  "a foreign directory alone": [(machine) => machine.makeDirectory(place), "missing"],
  "a symlink in the directory's place": [
    (machine) => {
      machine.makeSymlink("elsewhere", place);
      machine.writeFile(legacyPath, valid);
    },
    "failed",
    "unsafe_path",
  ],
  "a directory that others may write to in the way": [
    (machine) => {
      machine.makeDirectory(place, { mode: 0o777 });
      machine.writeFile(legacyPath, valid);
    },
    "failed",
    "unsafe_path",
  ],
};

async function run<T>(machine: SimulatedMachine, program: (port: Port) => Promise<T>): Promise<T> {
  const outcome = await machine.process().run(program);
  if (outcome.status === "failed") throw outcome.error;
  assert.ok(outcome.status === "returned");
  return outcome.value;
}

async function prepare(make: Situation[0]): Promise<SimulatedMachine> {
  const machine = new SimulatedMachine({ seed: 9 });
  machine.makeDirectory(home);
  await make(machine);
  return machine.fork();
}

/** What a dry run cannot know: the names that were given. */
function prediction({ backupPath: _, displacedPath: __, ...known }: MigrationResult): object {
  return known;
}

for (const [what, [make, outcome, code]] of Object.entries(situations)) {
  test(`${what}: ${outcome}, and a dry run says so field by field and touches nothing`, async () => {
    for (const force of [false, true]) {
      const machine = await prepare(make);
      const before = machine.dump();
      const migrate = async (dryRun: boolean) =>
        (await run(machine, (port) => migrateStores(port, [legacyPath], { dryRun, force })))[0] as MigrationResult;
      const detected = await run(machine, async (port) => detectOnPort(port, legacyPath));
      const predicted = await migrate(true);
      assert.deepEqual(machine.dump(), before, "looking touches nothing");
      const real = await migrate(false);
      assert.deepEqual(prediction(predicted), prediction(real));
      if (force && code === "legacy_store") {
        assert.equal(real.outcome, "migrated", "forced");
        continue;
      }
      assert.deepEqual(
        [real.outcome, real.error?.code],
        [outcome, code ?? (outcome === "skipped_invalid" ? "invalid_legacy" : undefined)],
      );
      const isToBeTaken = outcome === "migrated" && !(`${place}/journal/` in before);
      if (isToBeTaken) assert.equal(detected.status, "ready_to_migrate");
      if (real.outcome !== "migrated" && real.outcome !== "already_directory") assert.deepEqual(machine.dump(), before);
    }
  });
}

test("a dry run of a rollback says what the real one does, and touches nothing", async () => {
  const rollbacks: Record<string, (machine: SimulatedMachine) => Promise<void> | void> = {
    nothing: () => {},
    "a legacy file": (machine) => machine.writeFile(legacyPath, valid),
    "a store": makeStore,
    "an empty store": async (machine) => {
      await run(machine, async (port) => (await openOrTakeOver(port, locationOf(legacyPath))).close());
    },
    "a store with a file beside it": async (machine) => {
      await makeStore(machine);
      machine.writeFile(legacyPath, "{}");
    },
    "a store that was rolled back": async (machine) => {
      await makeStore(machine);
      await run(machine, (port) => rollbackStore(legacyPath, { port }));
    },
    "a store beside the marker of an earlier rollback": async (machine) => {
      await makeStore(machine);
      machine.writeFile(`${place}.rolled-back`, "{}");
    },
    "a damaged session": async (machine) => {
      await makeStore(machine);
      const entry = Object.keys(machine.dump()).find((name) => name.includes("/entries/session-")) as string;
      machine.writeFile(entry, "{ half");
    },
    "a full disk": async (machine) => {
      await makeStore(machine);
      machine.disk.freeBytes = 10;
    },
    "a folder in which nothing may be made": async (machine) => {
      await makeStore(machine);
      machine.setMode(home, 0o555);
    },
    "a read-only disk": async (machine) => {
      await makeStore(machine);
      machine.disk.readOnly = true;
    },
    "a store in OpenClaw's layout": writeOpenClawStore,
    "a foreign directory": (machine) => machine.makeDirectory(place),
    "a complete store that waits for its place": async (machine) => {
      await makeStore(machine);
      machine.rename(place, `${place}.staging-bak.5`);
      machine.makeDirectory(`${place}.bak.5`);
    },
    "a symlink in the directory's place": (machine) => machine.makeSymlink("elsewhere", place),
  };
  const reasons: Record<string, RegExp> = {
    nothing: /neither a directory store nor a legacy file/,
    "a legacy file": /never migrated/,
    "a store that was rolled back": /rolled back already/,
    "a store in OpenClaw's layout": /OpenClaw's layout, which was never migrated/,
    "a foreign directory": /no session store/,
    "a complete store that waits for its place": /`sessiondir migrate` finishes it/,
  };
  for (const [what, make] of Object.entries(rollbacks)) {
    const machine = await prepare(make);
    const before = machine.dump();
    const predicted = await run(machine, (port) => rollbackStore(legacyPath, { port, dryRun: true }));
    assert.deepEqual(machine.dump(), before, what);
    const real = await run(machine, (port) => rollbackStore(legacyPath, { port }));
    assert.deepEqual(comparable(predicted), comparable(real), what);
    assert.equal(real.outcome === "skipped", reasons[what] !== undefined, `${what}: ${JSON.stringify(real)}`);
    assert.match(real.reason ?? "", reasons[what] ?? /^$/, what);
    if (real.outcome !== "restored") {
      const after = Object.entries(machine.dump()).filter(([name]) => !name.endsWith(".lock"));
      assert.deepEqual(
        after,
        Object.entries(before).filter(([name]) => !name.endsWith(".lock")),
        what,
      );
    }
  }
});

/** Names are given by the real run, and what it says of them comes in another tense. */
function comparable({ backupDirectoryPath: _, replacedFilePath: __, warnings, ...fields }: RollbackResult): object {
  return { ...fields, warnings: warnings.length };
}
