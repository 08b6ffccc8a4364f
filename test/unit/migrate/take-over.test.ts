import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { StoreFiles } from "../../../src/backends/directory/store-files.js";
import { nodePort } from "../../../src/fs/node-port.js";
import type { Port } from "../../../src/fs/port.js";
import { createOrTakeOver } from "../../../src/migrate/take-over.js";
import { FailingPort } from "../../sim/failing-port.js";
import { InterceptedPort, type PortCall } from "../../sim/intercepted-port.js";
import { SimulatedMachine } from "../../sim/machine.js";
import {
  inTemporaryDirectory,
  locationOf,
  openAndReadAll,
  rejectsWith,
  snapshotTree,
  takeOverOptions,
} from "./support.js";

const simulatedPath = "/home/agent/sessions.json";
const simulated = locationOf(simulatedPath);

function simulatedMachine(legacyText?: string): SimulatedMachine {
  const machine = new SimulatedMachine({ seed: 5 });
  machine.makeDirectory("/home/agent");
  if (legacyText !== undefined) machine.writeFile(simulatedPath, legacyText);
  return machine;
}

/** Does something right before a call is made. */
class MeddlingPort extends InterceptedPort {
  readonly #meddle: (call: PortCall) => void;

  constructor(inner: Port, meddle: (call: PortCall) => void) {
    super(inner);
    this.#meddle = meddle;
  }

  protected override intercept<T>(call: PortCall, proceed: () => T): T {
    this.#meddle(call);
    return proceed();
  }
}

const isStagingMade = (call: PortCall) => call.method === "makeDirectory" && call.name?.includes(".staging-") === true;
const isPublished = (call: PortCall) => call.method === "rename" && call.name === "sessions.d";

async function run<T>(machine: SimulatedMachine, program: (port: Port) => Promise<T>): Promise<T> {
  const outcome = await machine.process().run(program);
  if (outcome.status === "failed") throw outcome.error;
  assert.ok(outcome.status === "returned");
  return outcome.value;
}

function backupsIn(machine: SimulatedMachine): string[] {
  return Object.keys(machine.dump()).filter((name) => name.includes(".json.bak."));
}

function hasStaging(machine: SimulatedMachine): boolean {
  return Object.keys(machine.dump()).some((name) => name.includes("staging"));
}

test("every session comes over as it was, and the original is kept byte by byte", async () => {
  await inTemporaryDirectory(async (directory) => {
    const store = {
      "agent:main:main": { sessionId: "a", updatedAt: 1, unknown: { deep: [1, 2.5, null, "🦞", { x: -1e-7 }] } },
      "agent:main:telegram:group:-100:topic:7": { sessionId: "b", updatedAt: 2, text: 'quotes " and \\ and \u2028' },
      "..": { sessionId: "c" },
      [`agent:long:${"é".repeat(200)}`]: { sessionId: "d" },
      constructor: { sessionId: "e" },
    };
    const text = `${JSON.stringify(store, null, 2).replace("{", '{\n  "__proto__": { "sessionId": "f" },')}\n`;
    const legacyPath = path.join(directory, "sessions.json");
    fs.writeFileSync(legacyPath, text);
    const location = locationOf(legacyPath);
    const result = await createOrTakeOver(nodePort(), location, takeOverOptions);
    assert.equal(result.outcome, "migrated");
    assert.deepEqual([result.legacyEntries, result.migratedEntries], [6, 6]);
    assert.ok(result.backupPath?.startsWith(`${legacyPath}.bak.`));
    assert.equal(fs.readFileSync(result.backupPath as string, "utf8"), text);
    assert.ok(!fs.existsSync(legacyPath));
    const sessions = await openAndReadAll(nodePort(), location);
    assert.equal(sessions.size, 6);
    assert.deepEqual(sessions.get("__proto__"), { sessionId: "f" });
    for (const [key, entry] of Object.entries(store)) assert.deepEqual(sessions.get(key), entry);
    const files = StoreFiles.open(nodePort(), location, true);
    try {
      assert.equal(files.manifest.migration?.sourceBytes, Buffer.byteLength(text));
      assert.equal(files.manifest.migration?.sourceEntries, 6);
    } finally {
      files.close();
    }
  });
});

test("an empty store {} is taken over as an empty store", async () => {
  const machine = simulatedMachine("{}");
  const result = await run(machine, (port) => createOrTakeOver(port, simulated, takeOverOptions));
  assert.deepEqual([result.outcome, result.legacyEntries, backupsIn(machine).length], ["migrated", 0, 1]);
  assert.equal((await run(machine, (port) => openAndReadAll(port, simulated))).size, 0);
});

test("without a legacy file the store is created empty, together with missing directories of mode 0700", async () => {
  await inTemporaryDirectory(async (directory) => {
    const location = locationOf(path.join(directory, "agents", "main", "sessions", "sessions.json"));
    const result = await createOrTakeOver(nodePort(), location, takeOverOptions);
    assert.equal(result.outcome, "missing");
    assert.equal((await openAndReadAll(nodePort(), location)).size, 0);
    for (const made of ["agents", "agents/main", "agents/main/sessions", "agents/main/sessions/sessions.d"]) {
      assert.equal(fs.statSync(path.join(directory, made)).mode & 0o777, 0o700, made);
    }
  });
});

test("migrate: never refuses a legacy file and touches nothing, but creates a store where there is none", async () => {
  await inTemporaryDirectory(async (directory) => {
    const legacyPath = path.join(directory, "sessions.json");
    fs.writeFileSync(legacyPath, '{"main":{}}');
    const before = snapshotTree(directory);
    const never = { ...takeOverOptions, migrate: "never" } as const;
    const error = await rejectsWith("legacy_store", createOrTakeOver(nodePort(), locationOf(legacyPath), never));
    assert.equal(error.path, legacyPath);
    assert.deepEqual(snapshotTree(directory), before);
    const other = await createOrTakeOver(nodePort(), locationOf(path.join(directory, "other.json")), never);
    assert.equal(other.outcome, "missing");
  });
});

test("a backup that is there already is never overwritten", async () => {
  const machine = simulatedMachine('{"main":{"n":1}}');
  // The clock of the machine decides the name: whatever it will be within the next seconds is taken.
  const taken = Array.from({ length: 3_000 }, (_, index) => `${simulatedPath}.bak.${machine.nowMs + index}`);
  for (const name of taken) machine.writeFile(name, "precious");
  const result = await run(machine, (port) => createOrTakeOver(port, simulated, takeOverOptions));
  assert.equal(result.outcome, "migrated");
  assert.ok(!taken.includes(result.backupPath as string));
  assert.equal(machine.readText(result.backupPath as string), '{"main":{"n":1}}');
  for (const name of taken) assert.equal(machine.readText(name), "precious");
});

test("a file that changes while its sessions are written out is taken over as it is then", async () => {
  const machine = simulatedMachine('{"main":{"n":1}}');
  let changes = 0;
  const result = await run(machine, (port) => {
    const meddling = new MeddlingPort(port, (call) => {
      if (isStagingMade(call) && changes < 2) machine.writeFile(simulatedPath, `{"main":{"n":${++changes + 1}}}`);
    });
    return createOrTakeOver(meddling, simulated, takeOverOptions);
  });
  assert.deepEqual([result.outcome, result.warnings], ["migrated", []]);
  assert.equal(machine.readText(result.backupPath as string), '{"main":{"n":3}}');
  assert.ok(!hasStaging(machine));
  const sessions = await run(machine, (port) => openAndReadAll(port, simulated));
  assert.deepEqual([...sessions], [["main", { n: 3 }]]);
});

test("a file that a gateway writes all the time, under its lock, is taken over while the gateway waits", async () => {
  const machine = simulatedMachine('{"main":{"n":1}}');
  let changes = 1;
  const result = await run(machine, (port) => {
    const meddling = new MeddlingPort(port, (call) => {
      if (!isStagingMade(call) || machine.exists(`${simulatedPath}.lock`)) return;
      changes += 1;
      machine.writeFile(simulatedPath, `{"main":{"n":${changes}}}`);
    });
    return createOrTakeOver(meddling, simulated, takeOverOptions);
  });
  assert.deepEqual([result.outcome, result.migratedEntries, result.warnings], ["migrated", 1, []]);
  assert.equal(machine.readText(result.backupPath as string), `{"main":{"n":${changes}}}`);
  assert.deepEqual([machine.exists(simulatedPath), machine.exists(`${simulatedPath}.lock`)], [false, false]);
  const found = await run(machine, (port) => openAndReadAll(port, simulated));
  assert.deepEqual([...found], [["main", { n: changes }]]);
});

test("a file that never stops changing is refused, and stays in charge", async () => {
  const machine = simulatedMachine('{"main":{"n":1}}');
  let changes = 0;
  const error = await run(machine, (port) => {
    const meddling = new MeddlingPort(port, (call) => {
      if (isStagingMade(call)) machine.writeFile(simulatedPath, `{"main":{"n":${++changes + 1}}}`);
    });
    return rejectsWith("invalid_legacy", createOrTakeOver(meddling, simulated, takeOverOptions));
  });
  assert.match(error.message, /keeps changing/);
  assert.equal(machine.readText(simulatedPath), `{"main":{"n":${changes + 1}}}`);
  assert.deepEqual([machine.exists("/home/agent/sessions.d"), hasStaging(machine)], [false, false]);
  assert.ok(!machine.exists(`${simulatedPath}.lock`), "the gateway's lock was given back");
});

test("a file that appears while an empty store is made is taken over", async () => {
  const machine = simulatedMachine();
  let appeared = false;
  const result = await run(machine, (port) => {
    const meddling = new MeddlingPort(port, (call) => {
      if (!isStagingMade(call) || appeared) return;
      appeared = true;
      machine.writeFile(simulatedPath, '{"main":{"n":1}}');
    });
    return createOrTakeOver(meddling, simulated, takeOverOptions);
  });
  assert.deepEqual([result.outcome, result.migratedEntries], ["migrated", 1]);
});

test("a file that changes after the store has appeared is left for the opening, which merges it", async () => {
  const machine = simulatedMachine('{"main":{"n":1,"updatedAt":1}}');
  const result = await run(machine, (port) => {
    const meddling = new MeddlingPort(port, (call) => {
      if (isPublished(call)) machine.writeFile(simulatedPath, '{"main":{"n":2,"updatedAt":2}}');
    });
    return createOrTakeOver(meddling, simulated, takeOverOptions);
  });
  assert.deepEqual([result.outcome, result.backupPath], ["migrated", undefined]);
  assert.equal(machine.readText(simulatedPath), '{"main":{"n":2,"updatedAt":2}}');
  const sessions = await run(machine, (port) => openAndReadAll(port, simulated));
  assert.deepEqual([...sessions], [["main", { n: 2, updatedAt: 2 }]]);
  assert.deepEqual([machine.exists(simulatedPath), backupsIn(machine).length], [false, 1]);
});

test('with migrate: "never" a legacy file beside the store is left alone and reported at every opening', async () => {
  const machine = simulatedMachine('{"main":{"n":1}}');
  await run(machine, (port) => createOrTakeOver(port, simulated, takeOverOptions));
  machine.writeFile(simulatedPath, '{"main":{"n":9,"updatedAt":9}}');
  for (let opening = 0; opening < 2; opening += 1) {
    const warnings: string[] = [];
    const logger = { warn: (message: string) => warnings.push(message) };
    const options = { ...takeOverOptions, migrate: "never", logger } as const;
    const sessions = await run(machine, (port) => openAndReadAll(port, simulated, options));
    assert.deepEqual([...sessions], [["main", { n: 1 }]]);
    assert.match(warnings.join(), /is ignored: the sessions are in sessions\.d/);
    assert.equal(machine.readText(simulatedPath), '{"main":{"n":9,"updatedAt":9}}');
  }
});

test("a take-over that died before the rename of the original is finished by the next opening, later changes kept", async () => {
  const machine = simulatedMachine('{"main":{"n":1}}');
  const dying = machine.process();
  const died = await dying.run((port) => {
    const meddling = new MeddlingPort(port, (call) => {
      if (call.method === "rename" && call.name?.includes(".bak.")) dying.kill();
    });
    return createOrTakeOver(meddling, simulated, takeOverOptions);
  });
  assert.equal(died.status, "killed");
  assert.ok(machine.exists("/home/agent/sessions.d") && machine.exists(simulatedPath));
  const sessions = await run(machine, (port) => openAndReadAll(port, simulated));
  assert.deepEqual([...sessions], [["main", { n: 1 }]]);
  assert.deepEqual([machine.exists(simulatedPath), backupsIn(machine).length], [false, 1]);
});

test("an original that cannot be renamed is a warning: the store is complete, and a later opening tries again", async () => {
  const machine = simulatedMachine('{"main":{"n":1}}');
  const result = await run(machine, (port) => {
    const matches = (call: PortCall) => call.name?.includes(".bak.") === true;
    const failing = new FailingPort(port, { failAt: 1, code: "EACCES", methods: ["rename"], matches });
    return createOrTakeOver(failing, simulated, takeOverOptions);
  });
  assert.deepEqual([result.outcome, result.backupPath], ["migrated", undefined]);
  assert.match(result.warnings.join(), /cannot be renamed yet \(permission denied\)/);
  await run(machine, (port) => openAndReadAll(port, simulated));
  assert.deepEqual([machine.exists(simulatedPath), backupsIn(machine).length], [false, 1]);
});

test("too little free space is disk_full with figures before anything is written", async () => {
  const text = JSON.stringify({ main: { text: "x".repeat(10_000) } });
  const machine = simulatedMachine(text);
  machine.disk.freeBytes = 20_000;
  const error = await run(machine, (port) =>
    rejectsWith("disk_full", createOrTakeOver(port, simulated, takeOverOptions)),
  );
  assert.match(error.message, new RegExp(`about ${2 * text.length + 4_096} bytes .* 20000 are free`));
  assert.deepEqual([machine.exists("/home/agent/sessions.d"), hasStaging(machine)], [false, false]);
});

for (const code of ["EIO", "ENOSPC", "EACCES", "EMFILE"]) {
  test(`when any one call of a take-over fails with ${code}, nothing is lost and the next opening completes it`, async () => {
    const text = '{"main":{"n":1},"other":{"n":2}}';
    for (let failAt = 1; ; failAt += 1) {
      const machine = simulatedMachine(text);
      let failures = 0;
      const outcome = await machine.process().run(async (port) => {
        const failing = new FailingPort(port, { failAt, code });
        await createOrTakeOver(failing, simulated, takeOverOptions).finally(() => {
          failures = failing.failures.length;
        });
      });
      if (failures === 0) {
        assert.ok(failAt > 40, `${failAt} calls`);
        break;
      }
      if (outcome.status === "failed") {
        const { code: ours } = outcome.error as { code?: string };
        assert.match(String(ours), /^[a-z_]+$/, `call ${failAt}: ${String(outcome.error)}`);
      }
      const originals = [simulatedPath, ...backupsIn(machine)].filter((name) => machine.exists(name));
      assert.deepEqual(
        originals.map((name) => machine.readText(name)),
        [text],
        `call ${failAt}`,
      );
      assert.ok(!hasStaging(machine), `call ${failAt}: what could not be completed is removed`);
      assert.deepEqual(machine.openHandles(), [], `call ${failAt}`);
      const sessions = await run(machine, (port) => openAndReadAll(port, simulated));
      assert.deepEqual([...sessions].length, 2, `call ${failAt}`);
    }
  });
}

test("ten thousand sessions come over, with progress for each", async () => {
  await inTemporaryDirectory(async (directory) => {
    const legacyPath = path.join(directory, "sessions.json");
    const count = 10_000;
    const store = Object.fromEntries(Array.from({ length: count }, (_, index) => [`agent:main:${index}`, { index }]));
    fs.writeFileSync(legacyPath, JSON.stringify(store));
    const seen: number[] = [];
    const onProgress = (done: number, total: number) => {
      assert.equal(total, count);
      seen.push(done);
    };
    const location = locationOf(legacyPath);
    await createOrTakeOver(nodePort(), location, { ...takeOverOptions, onProgress });
    assert.deepEqual(
      seen,
      Array.from({ length: count }, (_, index) => index + 1),
    );
    const sessions = await openAndReadAll(nodePort(), location);
    assert.deepEqual(Object.fromEntries(sessions), store);
  });
});
