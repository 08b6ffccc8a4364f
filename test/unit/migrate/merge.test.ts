/** A legacy file beside a store: an older gateway wrote it, or somebody put it there. It is merged, and nothing is lost. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { DirectoryBackend } from "../../../src/backends/directory/backend.js";
import type { Backend, TrashedSession } from "../../../src/contract.js";
import type { Port } from "../../../src/fs/port.js";
import { judge } from "../../../src/migrate/merge-plan.js";
import { migrateStore } from "../../../src/migrate/migrate.js";
import { freezeParsedJson } from "../../../src/sessions/entry-value.js";
import { HookedPort } from "../../protocol/simulated-store.js";
import { CountingPort } from "../../sim/counting-port.js";
import { FailingPort } from "../../sim/failing-port.js";
import { SimulatedMachine } from "../../sim/machine.js";
import { locationOf, openAndReadAll, openOrTakeOver, takeOverOptions } from "./support.js";

const legacyPath = "/home/agent/sessions.json";
const location = locationOf(legacyPath);

function machineWith(sessions: object): SimulatedMachine {
  const machine = new SimulatedMachine({ seed: 8 });
  machine.makeDirectory("/home/agent");
  machine.writeFile(legacyPath, JSON.stringify(sessions));
  return machine;
}

/** A store with these sessions, closed; the file they came from is a backup. */
async function machineWithStore(sessions: object): Promise<SimulatedMachine> {
  const machine = machineWith(sessions);
  await run(machine, (port) => migrateStore(legacyPath, { port }));
  return machine;
}

async function run<T>(machine: SimulatedMachine, program: (port: Port) => Promise<T>): Promise<T> {
  const outcome = await machine.process().run(program);
  if (outcome.status === "failed") throw outcome.error;
  assert.ok(outcome.status === "returned");
  return outcome.value;
}

function collector() {
  const messages: string[] = [];
  return { messages, warn: (message: string) => messages.push(message) };
}

const put = (key: string, entry: object) => ({
  operations: [{ type: "put", key, entry: freezeParsedJson(entry) as Record<string, unknown> } as const],
  expected: new Map(),
});

async function trashOf(backend: Backend): Promise<TrashedSession[]> {
  const found: TrashedSession[] = [];
  for await (const session of backend.trash()) found.push(session);
  return found;
}

function trashIn(machine: SimulatedMachine): Promise<TrashedSession[]> {
  return run(machine, async (port) => {
    const backend = await openOrTakeOver(port, location);
    try {
      return await trashOf(backend);
    } finally {
      await backend.close();
    }
  });
}

function backupsIn(machine: SimulatedMachine): string[] {
  return Object.keys(machine.dump())
    .filter((name) => name.startsWith(`${legacyPath}.bak.`))
    .map((name) => machine.readText(name));
}

test("a session wins only when it is strictly newer, and a missing updatedAt is older than everything", () => {
  const entry = (fields: object) => freezeParsedJson(fields) as Record<string, unknown>;
  const side = (fields: object) => ({ entry: entry(fields) });
  assert.equal(judge(entry({ updatedAt: 1 }), undefined, undefined), "added");
  assert.equal(judge(entry({}), undefined, undefined), "added");
  assert.equal(judge(entry({ updatedAt: 2 }), side({ updatedAt: 1 }), undefined), "replaced");
  assert.equal(judge(entry({ updatedAt: 1, n: 1 }), side({ updatedAt: 1 }), undefined), "older");
  assert.equal(judge(entry({ updatedAt: 1 }), side({ updatedAt: 2 }), undefined), "older");
  assert.equal(judge(entry({ n: 1 }), side({ n: 2 }), undefined), "older");
  assert.equal(judge(entry({ updatedAt: 1 }), side({ n: 2 }), undefined), "replaced");
  assert.equal(judge(entry({ updatedAt: "9" }), side({ updatedAt: 1 }), undefined), "older");
  assert.equal(judge(entry({ b: 1, a: 2 }), side({ a: 2, b: 1 }), undefined), "same");
  assert.equal(judge(entry({ updatedAt: 5 }), undefined, 5), "removed");
  assert.equal(judge(entry({ updatedAt: 6 }), undefined, 5), "added");
  assert.equal(judge(entry({}), undefined, 0), "removed");
  assert.equal(judge(entry({ updatedAt: 9 }), "damaged", undefined), "damaged");
});

test("a legacy file beside a store is merged: newer sessions win, losers are in the trash, the file is kept", async () => {
  const machine = await machineWithStore({
    newer: { updatedAt: 5, in: "store" },
    older: { updatedAt: 5, in: "store" },
    same: { updatedAt: 5, in: "both" },
    mine: { updatedAt: 1, in: "store" },
  });
  const text = JSON.stringify({
    Newer: { updatedAt: 6, in: "file" },
    older: { updatedAt: 5, in: "file" },
    same: { in: "both", updatedAt: 5 },
    added: { in: "file" },
  });
  machine.writeFile(legacyPath, text);
  const result = await run(machine, (port) => migrateStore(legacyPath, { port }));
  assert.equal(result.outcome, "migrated");
  assert.deepEqual([result.legacyEntries, result.migratedEntries], [4, 2]);
  assert.deepEqual(result.merge, { added: 1, replaced: 1, same: 1, older: 1, removed: 0, damaged: 0 });
  assert.match(result.warnings.join(), /1 session added, 1 session replaced .*1 session not newer than the store's/);
  assert.equal(machine.readText(result.backupPath as string), text);
  assert.ok(!machine.exists(legacyPath));
  const sessions = await run(machine, (port) => openAndReadAll(port, location));
  assert.deepEqual(Object.fromEntries(sessions), {
    newer: { updatedAt: 6, in: "file" },
    older: { updatedAt: 5, in: "store" },
    same: { updatedAt: 5, in: "both" },
    mine: { updatedAt: 1, in: "store" },
    added: { in: "file" },
  });
  const trash = await trashIn(machine);
  assert.deepEqual(trash.map(({ key, entry }) => [key, entry]).sort(), [
    ["newer", { updatedAt: 5, in: "store" }],
    ["older", { updatedAt: 5, in: "file" }],
  ]);
  assert.match(trash.find(({ key }) => key === "newer")?.reason as string, /newer/);
  assert.match(trash.find(({ key }) => key === "older")?.reason as string, /was not newer than the store's/);
});

test("a removed session does not come back from an old file, but from one that was written after the removal", async () => {
  const machine = await machineWithStore({ gone: { updatedAt: 5 }, back: { updatedAt: 5 }, stays: {} });
  const removedMs = machine.nowMs;
  await run(machine, async (port) => {
    const backend = await openOrTakeOver(port, location);
    const remove = (key: string) => ({ type: "remove", key, purge: false }) as const;
    await backend.commit({ operations: [remove("gone"), remove("back")], expected: new Map() });
    await backend.close();
  });
  machine.writeFile(
    legacyPath,
    JSON.stringify({ gone: { updatedAt: 5, n: 1 }, back: { updatedAt: removedMs + 60_000 } }),
  );
  const log = collector();
  const options = { ...takeOverOptions, logger: log };
  const sessions = await run(machine, (port) => openAndReadAll(port, location, options));
  assert.deepEqual([...sessions.keys()].sort(), ["back", "stays"]);
  assert.match(log.messages.join(), /1 session added, 1 session not restored, because the store's was removed later/);
  const kept = (await trashIn(machine)).filter(({ reason }) => reason?.includes("removed after its last change"));
  assert.deepEqual(
    kept.map(({ key, entry }) => [key, entry]),
    [["gone", { updatedAt: 5, n: 1 }]],
  );
  // What the merge itself kept is no removal: a session that is written again now comes back.
  machine.writeFile(legacyPath, JSON.stringify({ gone: { updatedAt: removedMs + 30_000 } }));
  await machine.advance(120_000);
  const later = await run(machine, (port) => openAndReadAll(port, location));
  assert.deepEqual(later.get("gone"), { updatedAt: removedMs + 30_000 });
});

test("a session whose entry is damaged keeps no other one from being merged, and is not replaced", async () => {
  const machine = await machineWithStore({ main: { updatedAt: 1 }, other: { updatedAt: 1 } });
  const file = Object.keys(machine.dump()).find((name) =>
    name.endsWith(`/session-${base64url("main")}.json`),
  ) as string;
  machine.writeFile(file, "{ half");
  machine.writeFile(legacyPath, JSON.stringify({ main: { updatedAt: 9 }, other: { updatedAt: 9 } }));
  const result = await run(machine, (port) => migrateStore(legacyPath, { port }));
  assert.deepEqual([result.merge?.damaged, result.merge?.replaced], [1, 1]);
  assert.match(result.warnings.join(), /1 session left out, because the store's entry is damaged/);
  assert.equal(machine.readText(file), "{ half");
  assert.deepEqual(
    (await trashIn(machine)).filter(({ key }) => key === "main").map(({ entry }) => entry),
    [{ updatedAt: 9 }],
  );
});

test("a legacy file that reappears while the store is open is merged after the next commit, and reported", async () => {
  const machine = await machineWithStore({ main: { updatedAt: 1 } });
  const log = collector();
  await run(machine, async (port) => {
    const backend = await openOrTakeOver(port, location, { ...takeOverOptions, logger: log });
    machine.writeFile(legacyPath, JSON.stringify({ main: { updatedAt: 2 }, old: { updatedAt: 1 } }));
    await port.sleep(10_000);
    assert.ok(machine.exists(legacyPath), "nobody looks without a commit");
    await backend.commit(put("mine", { n: 1 }));
    while (machine.exists(legacyPath)) await port.sleep(1);
    const found = await backend.read(["main", "old", "mine"]);
    assert.deepEqual(
      [...found].map(([key, { entry }]) => [key, entry]),
      [
        ["main", { updatedAt: 2 }],
        ["old", { updatedAt: 1 }],
        ["mine", { n: 1 }],
      ],
    );
    // Once more: the handle goes on looking.
    machine.writeFile(legacyPath, JSON.stringify({ third: {} }));
    await backend.commit(put("mine", { n: 2 }));
    while (machine.exists(legacyPath)) await port.sleep(1);
    await backend.close();
  });
  assert.match(log.messages.join("\n"), /1 session added, 1 session replaced/);
  assert.match(log.messages.join("\n"), /If an older program still writes to this file, stop that program/);
  assert.equal(log.messages.length, 2);
  assert.equal(backupsIn(machine).length, 3);
  assert.ok((await run(machine, (port) => openAndReadAll(port, location))).has("third"));
});

test("the commit that notices a legacy file is acknowledged before anything of the file is read", async () => {
  const machine = await machineWithStore({ main: {} });
  await run(machine, async (port) => {
    const backend = await openOrTakeOver(port, location);
    machine.writeFile(legacyPath, JSON.stringify({ late: {} }));
    await backend.commit(put("mine", { n: 1 }));
    assert.ok(machine.exists(legacyPath));
    assert.equal((await backend.read(["late"])).size, 0);
    await backend.close();
  });
  assert.ok(!machine.exists(legacyPath), "closing brings the merge to its end");
});

test("a legacy file that cannot be read is reported once and left alone until it changes", async () => {
  const machine = await machineWithStore({ main: {} });
  const log = collector();
  await run(machine, async (port) => {
    const backend = await openOrTakeOver(port, location, { ...takeOverOptions, logger: log });
    machine.writeFile(legacyPath, '{"late": {');
    for (let n = 0; n < 3; n += 1) {
      await backend.commit(put("mine", { n }));
      await port.sleep(100);
    }
    assert.equal(log.messages.length, 1);
    assert.match(log.messages.join(), /cannot be merged into it: it is neither strict JSON nor JSON5/);
    machine.writeFile(legacyPath, '{"late": {}}');
    await backend.commit(put("mine", { n: 9 }));
    while (machine.exists(legacyPath)) await port.sleep(1);
    assert.equal((await backend.read(["late"])).size, 1);
    await backend.close();
  });
});

test("a content that was merged before is only renamed: what was purged since does not come back", async () => {
  const machine = await machineWithStore({ main: {} });
  const text = JSON.stringify({ secret: { updatedAt: 9_999_999_999_999 } });
  machine.writeFile(legacyPath, text);
  await run(machine, (port) => migrateStore(legacyPath, { port }));
  await run(machine, async (port) => {
    const backend = await openOrTakeOver(port, location);
    await backend.commit({ operations: [{ type: "remove", key: "secret", purge: true }], expected: new Map() });
    await backend.close();
  });
  machine.writeFile(legacyPath, text);
  const result = await run(machine, (port) => migrateStore(legacyPath, { port }));
  assert.deepEqual([result.outcome, result.merge, machine.exists(legacyPath)], ["already_directory", undefined, false]);
  assert.ok(!(await run(machine, (port) => openAndReadAll(port, location))).has("secret"));
});

test("an older program that writes while its file is merged loses nothing", async () => {
  const machine = await machineWithStore({ main: {} });
  const log = collector();
  const write = (n: number) => machine.writeFile(legacyPath, JSON.stringify({ [`late-${n}`]: { updatedAt: n } }));
  await run(machine, async (port) => {
    const backend = (await openOrTakeOver(port, location, { ...takeOverOptions, logger: log })) as DirectoryBackend;
    write(0);
    const commit = backend.commit.bind(backend);
    let writes = 0;
    backend.commit = (request) => {
      // In the middle of each of the first merges, the file is replaced.
      if (request.actor !== undefined && writes < 3) write(++writes);
      return commit(request);
    };
    await backend.commit(put("mine", {}));
    while (machine.exists(legacyPath)) await port.sleep(1);
    const keys = [0, 1, 2, 3].map((n) => `late-${n}`);
    assert.deepEqual([...(await backend.read(keys)).keys()], keys);
    await backend.close();
  });
});

test("what is written right before the file is renamed is merged from its backup", async () => {
  const machine = await machineWithStore({ main: {} });
  machine.writeFile(legacyPath, JSON.stringify({ first: {} }));
  let isDone = false;
  await run(machine, (inner) => {
    const port = new HookedPort(inner);
    port.before = (call) => {
      if (isDone || call.method !== "rename" || !call.path.includes("sessions.json.bak.")) return;
      isDone = true;
      machine.writeFile(legacyPath, JSON.stringify({ first: {}, late: {} }));
    };
    return openAndReadAll(port, location);
  });
  assert.ok(isDone && !machine.exists(legacyPath));
  const sessions = await run(machine, (port) => openAndReadAll(port, location));
  assert.deepEqual([...sessions.keys()].sort(), ["first", "late", "main"]);
});

test("another writer that is faster is never overwritten", async () => {
  const machine = await machineWithStore({ main: { updatedAt: 1 } });
  await run(machine, async (port) => {
    const backend = (await openOrTakeOver(port, location)) as DirectoryBackend;
    machine.writeFile(legacyPath, JSON.stringify({ main: { updatedAt: 5, by: "file" } }));
    const commit = backend.commit.bind(backend);
    let races = 0;
    backend.commit = async (request) => {
      if (request.actor !== undefined && races++ === 0) await commit(put("main", { updatedAt: 7, by: "gateway" }));
      return commit(request);
    };
    await commit(put("mine", {}));
    await backend.commit(put("mine", { n: 1 }));
    while (machine.exists(legacyPath)) await port.sleep(1);
    assert.deepEqual((await backend.read(["main"])).get("main")?.entry, { updatedAt: 7, by: "gateway" });
    await backend.close();
  });
  assert.deepEqual(
    (await trashIn(machine)).map(({ entry }) => entry),
    [{ updatedAt: 5, by: "file" }],
  );
});

test("a file that a rollback wrote is never taken away from it", async () => {
  const machine = await machineWithStore({ main: { updatedAt: 1 } });
  await run(machine, async (port) => {
    const backend = await openOrTakeOver(port, location);
    machine.writeFile("/home/agent/sessions.d.rolled-back", "{}");
    machine.writeFile(legacyPath, JSON.stringify({ main: { updatedAt: 1 } }));
    await backend.commit(put("mine", {}));
    await backend.close();
  });
  assert.ok(machine.exists(legacyPath));
});

function base64url(text: string): string {
  return Buffer.from(text, "utf8").toString("base64url");
}

test("what opens the store twice merges a file once: the same loser is kept in the trash once", async () => {
  const machine = await machineWithStore({ main: { updatedAt: 5 } });
  for (const extra of ["one", "two"]) {
    machine.writeFile(legacyPath, JSON.stringify({ main: { updatedAt: 4 }, [extra]: {} }));
    await run(machine, (port) => openAndReadAll(port, location));
  }
  assert.deepEqual(
    (await trashIn(machine)).map(({ key }) => key),
    ["main"],
  );
});

test("looking after the legacy file costs a commit one stat", async () => {
  const machine = await machineWithStore({ main: {} });
  await run(machine, async (inner) => {
    const port = new CountingPort(inner, { trace: true });
    const backend = await openOrTakeOver(port, location);
    port.reset();
    for (let n = 0; n < 5; n += 1) await backend.commit(put("main", { n }));
    const looks = port.trace.filter(({ path }) => path === legacyPath).map(({ method }) => method);
    assert.deepEqual(
      looks,
      Array.from({ length: 5 }, () => "statName"),
    );
    await backend.close();
  });
});

test("a store full of newer sessions and a disk without space: nothing is renamed, and a later merge does the rest", async () => {
  const machine = await machineWithStore({ main: { updatedAt: 5 } });
  const text = JSON.stringify(Object.fromEntries(Array.from({ length: 50 }, (_, n) => [`late-${n}`, { n }])));
  machine.writeFile(legacyPath, text);
  machine.disk.freeBytes = 300;
  const failed = await run(machine, (port) => migrateStore(legacyPath, { port }));
  assert.deepEqual([failed.outcome, failed.error?.code], ["failed", "disk_full"]);
  assert.equal(machine.readText(legacyPath), text);
  machine.disk.freeBytes = Number.POSITIVE_INFINITY;
  assert.equal((await run(machine, (port) => migrateStore(legacyPath, { port }))).merge?.added, 50);
});

for (const code of ["EIO", "ENOSPC", "EACCES", "EMFILE"]) {
  test(`when any one call of a merge fails with ${code}, nothing is lost and a later merge completes it`, async () => {
    const text = JSON.stringify({ main: { updatedAt: 6 }, lost: { updatedAt: 1 }, added: {} });
    const prepared = await machineWithStore({ main: { updatedAt: 5 }, lost: { updatedAt: 5 } });
    prepared.writeFile(legacyPath, text);
    for (let failAt = 1; ; failAt += 1) {
      const machine = prepared.fork();
      let failures = 0;
      const outcome = await machine.process().run(async (port) => {
        const failing = new FailingPort(port, { failAt, code });
        await migrateStore(legacyPath, { port: failing }).finally(() => {
          failures = failing.failures.length;
        });
      });
      if (failures === 0) {
        assert.ok(failAt > 100, `${failAt} calls`);
        break;
      }
      if (outcome.status === "failed") throw new Error(`call ${failAt}`, { cause: outcome.error });
      assert.deepEqual(machine.openHandles(), [], `call ${failAt}`);
      const originals = [legacyPath, ...Object.keys(machine.dump()).filter((name) => name.includes(".json.bak."))];
      assert.ok(
        originals.some((name) => machine.exists(name) && machine.readText(name) === text),
        `call ${failAt}: the file is kept`,
      );
      const sessions = await run(machine, (port) => openAndReadAll(port, location));
      const expected = { main: { updatedAt: 6 }, lost: { updatedAt: 5 }, added: {} };
      assert.deepEqual(Object.fromEntries(sessions), expected, `call ${failAt}`);
      assert.ok(!machine.exists(legacyPath), `call ${failAt}`);
    }
  });
}
