/** The disk budget: what counts, and what goes first. */

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { openSessionStore } from "../../../src/index.js";
import { setAmbientPort } from "../../../src/openclaw/ambient.js";
import {
  enforceSessionDiskBudget,
  type SessionDiskBudgetParams,
  type SessionDiskBudgetSweepResult,
} from "../../../src/openclaw/disk-budget.js";
import { ProjectedText } from "../../../src/openclaw/projected-text.js";
import type { SessionEntry } from "../../../src/openclaw/types.js";
import { withPlace } from "../../process/support/temporary-store.js";
import { SimulatedMachine } from "../../sim/machine.js";

const skip = process.platform === "win32" && "skipped: needs posix links and paths";
const dir = "/d";
const storePath = `${dir}/sessions.json`;
const stamp = "2026-04-24T08-15-30.123Z";

interface Scene {
  readonly machine: SimulatedMachine;
  readonly store: Record<string, SessionEntry>;
  readonly said: string[];
}

/** Files in /d by name -> size; each is newer than the one before. */
function makeScene(files: Record<string, number>, store: Record<string, Partial<SessionEntry>> = {}): Scene {
  const machine = new SimulatedMachine({ nowMs: 1_777_000_000_000 });
  machine.makeDirectory(dir);
  let modifiedMs = 1_000;
  for (const [name, sizeBytes] of Object.entries(files)) {
    machine.makeDirectory(path.posix.dirname(`${dir}/${name}`));
    machine.writeFile(`${dir}/${name}`, "x".repeat(sizeBytes));
    machine.inodeAt(`${dir}/${name}`).modifiedMs = modifiedMs;
    modifiedMs += 1_000;
  }
  return { machine, store: store as Record<string, SessionEntry>, said: [] };
}

async function enforce(
  scene: Scene,
  maxDiskBytes: number | null,
  highWaterBytes: number | null,
  more: Partial<SessionDiskBudgetParams> = {},
): Promise<SessionDiskBudgetSweepResult | null> {
  const { machine, store, said } = scene;
  const port = machine.process();
  setAmbientPort(port);
  try {
    const maintenance = { maxDiskBytes, highWaterBytes };
    const log = {
      warn: (message: string) => void said.push(`warn ${message}`),
      info: (message: string) => void said.push(`info ${message}`),
    };
    const params = { store, storePath, maintenance, warnOnly: false, log, ...more };
    const result = await machine.settle(enforceSessionDiskBudget(params));
    assert.deepEqual(port.openHandles(), []);
    return result;
  } finally {
    setAmbientPort(undefined);
  }
}

const namesOf = ({ machine }: Scene) =>
  Object.keys(machine.dump())
    .filter((name) => name.startsWith(`${dir}/`) && !name.endsWith("/"))
    .map((name) => name.slice(dir.length + 1));

const pretty = (store: unknown) => Buffer.byteLength(JSON.stringify(store, null, 2));

// --- what counts -----------------------------------------------------------------------------------------------------

test("null when either limit is null", { skip }, async () => {
  const scene = makeScene({ "a.jsonl": 1_000 });
  assert.equal(await enforce(scene, null, 10), null);
  assert.equal(await enforce(scene, 10, null), null);
  assert.deepEqual(namesOf(scene), ["a.jsonl"]);
});

test("the total is the regular files in the folder, with the store file at its projected size; links and folders do not count", {
  skip,
}, async () => {
  const scene = makeScene(
    { "sessions.json": 50_000, "a.jsonl": 300, "sessions.json.lock": 7, "sub/deep.jsonl": 9_000 },
    { k: { sessionId: "a", updatedAt: 1 } },
  );
  scene.machine.makeSymlink("a.jsonl", `${dir}/link.jsonl`);
  const result = await enforce(scene, 10_000, 8_000);
  assert.deepEqual(result, {
    totalBytesBefore: 307 + pretty(scene.store),
    totalBytesAfter: 307 + pretty(scene.store),
    removedFiles: 0,
    removedEntries: 0,
    freedBytes: 0,
    maxBytes: 10_000,
    highWaterBytes: 8_000,
    overBudget: false,
  });
  assert.deepEqual(scene.said, []);
});

test("better: the store directory counts with everything below it; what was set aside does not", { skip }, async () => {
  const scene = makeScene({
    "sessions.d/journal/0000000000000001.jsonl": 1_000,
    "sessions.d/entries/ab/session-x.json": 2_000,
    "sessions.d/quarantine/q": 400,
    "sessions.d.bak.1/entries/e.json": 90_000,
    "sessions.d.orphan.1/e.json": 90_000,
    "a.jsonl": 30,
  });
  const result = await enforce(scene, 100_000, 1_000, {
    store: { big: { sessionId: "b".repeat(9_000), updatedAt: 1 } },
  });
  assert.equal(result?.totalBytesBefore, 3_430);
});

test("warnOnly: over the budget it says so and removes nothing", { skip }, async () => {
  const scene = makeScene({ "orphan.jsonl": 5_000 }, { k: { sessionId: "a", updatedAt: 1 } });
  const result = await enforce(scene, 1_000, 800, { warnOnly: true });
  assert.deepEqual([result?.overBudget, result?.removedFiles, result?.removedEntries], [true, 0, 0]);
  assert.deepEqual([namesOf(scene), Object.keys(scene.store)], [["orphan.jsonl"], ["k"]]);
  assert.deepEqual(scene.said, ["warn session disk budget exceeded (warn-only mode)"]);
});

// --- what goes first -------------------------------------------------------------------------------------------------

test("archives and unreferenced transcripts go oldest first, until the total is at the high water mark", {
  skip,
}, async () => {
  const scene = makeScene(
    {
      [`a.jsonl.deleted.${stamp}`]: 1_000,
      "orphan.jsonl": 1_000,
      "live.jsonl": 1_000,
      [`b.jsonl.reset.${stamp}`]: 1_000,
      "young.jsonl": 1_000,
    },
    { k: { sessionId: "live", updatedAt: 1 } },
  );
  const budget = pretty(scene.store) + 4_000;
  const result = await enforce(scene, budget, budget - 2_000);
  assert.deepEqual(
    [result?.removedFiles, result?.freedBytes, result?.removedEntries, result?.overBudget],
    [3, 3_000, 0, true],
  );
  assert.equal(result?.totalBytesAfter, budget - 2_000);
  assert.deepEqual(namesOf(scene), ["live.jsonl", "young.jsonl"]);
  assert.deepEqual(scene.said, ["info applied session disk budget cleanup"]);
});

test("better: copies of a rotation go after archives and orphans, and before any session; no other backup counts or goes", {
  skip,
}, async () => {
  const record = '{"kind":"sessiondir-rotations","backups":[{"name":"sessions.json.bak.2","sizeBytes":1000}]}';
  const set = { "sessions.json.bak.1": 9_000, "chat.json.bak.1": 9_000, "sessions.json.corrupt.1": 9_000 };
  const files = { ...set, "sessions.json.bak.2": 1_000, "orphan.jsonl": 1_000, [`a.jsonl.deleted.${stamp}`]: 1_000 };
  const scene = makeScene(files, { k: { sessionId: "live", updatedAt: 1 } });
  scene.machine.writeFile(`${storePath}.rotations`, record);
  const rest = pretty(scene.store) + record.length;
  const kept: string[] = [];
  await enforce(scene, 100, rest + 1_000, { onKept: ({ name }) => void kept.push(name) });
  assert.deepEqual(kept.sort(), Object.keys(set).sort());
  const always = [...Object.keys(set), "sessions.json.rotations"];
  assert.deepEqual(namesOf(scene).sort(), [...always, "sessions.json.bak.2"].sort());
  const result = await enforce(scene, 100, rest);
  assert.deepEqual([namesOf(scene).sort(), result?.removedEntries, result?.totalBytesAfter], [always.sort(), 0, rest]);
});

test("a transcript that an entry names, its derived one, its topics, and those that a caller names are referenced", {
  skip,
}, async () => {
  const files = { "named.jsonl": 10, "id.jsonl": 10, "id-topic-5.jsonl": 10, "earlier.jsonl": 10, "orphan.jsonl": 10 };
  const scene = makeScene(files, { k: { sessionId: "id", sessionFile: "/elsewhere/named.jsonl", updatedAt: 1 } });
  const options = { referencedFiles: new Set(["earlier.jsonl"]), activeSessionKey: "K" };
  await enforce(scene, 1, 1, options);
  assert.deepEqual(namesOf(scene), ["earlier.jsonl", "id-topic-5.jsonl", "id.jsonl", "named.jsonl"]);
});

test("then sessions go, the longest idle first and those without updatedAt before all, with their transcripts", {
  skip,
}, async () => {
  const scene = makeScene(
    { "sessions.json": 900, "old.jsonl": 500, "undated.jsonl": 500, "new.jsonl": 500 },
    {
      new: { sessionId: "new", updatedAt: 3_000 },
      old: { sessionId: "old", updatedAt: 1_000 },
      undated: { sessionId: "undated" },
    },
  );
  const evicted: string[] = [];
  const left = { new: scene.store.new };
  const result = await enforce(scene, 600, 500 + pretty(left), { onEvicted: ({ key }) => evicted.push(key) });
  assert.deepEqual(evicted, ["undated", "old"]);
  assert.deepEqual(scene.store, left);
  assert.deepEqual(namesOf(scene), ["new.jsonl", "sessions.json"]);
  assert.deepEqual([result?.removedEntries, result?.removedFiles, result?.freedBytes], [2, 2, 1_000]);
  assert.equal(result?.totalBytesAfter, 500 + pretty(left));
});

test("the active session is never evicted, whatever the case of its key", { skip }, async () => {
  const scene = makeScene({ "a.jsonl": 500 }, { "Agent:Main:A": { sessionId: "a", updatedAt: 1 } });
  const result = await enforce(scene, 10, 5, { activeSessionKey: " agent:main:a " });
  assert.deepEqual([Object.keys(scene.store), namesOf(scene)], [["Agent:Main:A"], ["a.jsonl"]]);
  assert.equal(result?.removedEntries, 0);
  assert.deepEqual(scene.said, ["warn session disk budget still above high-water target after cleanup"]);
});

test("a transcript goes only when no other entry shares its session and it lies in the folder", { skip }, async () => {
  const scene = makeScene(
    { "shared.jsonl": 500, "outside.jsonl": 500, "kept.jsonl": 500 },
    {
      one: { sessionId: "shared", updatedAt: 1 },
      outside: { sessionId: "x", sessionFile: "/state/agents/a/sessions/outside.jsonl", updatedAt: 2 },
      two: { sessionId: "shared", updatedAt: 3 },
      active: { sessionId: "outside", sessionFile: "kept.jsonl", updatedAt: 4 },
    },
  );
  scene.machine.makeDirectory("/state/agents/a/sessions");
  scene.machine.writeFile("/state/agents/a/sessions/outside.jsonl", "y");
  const left = pretty({ two: scene.store.two, active: scene.store.active });
  await enforce(scene, 10, 1_500 + left, { activeSessionKey: "active" });
  assert.deepEqual(Object.keys(scene.store), ["two", "active"]);
  assert.deepEqual(namesOf(scene), ["kept.jsonl", "outside.jsonl", "shared.jsonl"]);
  assert.ok(scene.machine.exists("/state/agents/a/sessions/outside.jsonl"));
});

test("a dry run counts the same, removes no file, and says nothing", { skip }, async () => {
  const build = () =>
    makeScene(
      { [`a.jsonl.deleted.${stamp}`]: 500, "old.jsonl": 500, "orphan.jsonl": 500 },
      { old: { sessionId: "old", updatedAt: 1 }, new: { sessionId: "new", updatedAt: 2 } },
    );
  const dry = build();
  const wet = build();
  const before = namesOf(dry);
  const planned = await enforce(dry, 100, 90, { dryRun: true, activeSessionKey: "new" });
  assert.deepEqual(namesOf(dry), before);
  assert.deepEqual(dry.said, []);
  assert.deepEqual(planned, await enforce(wet, 100, 90, { activeSessionKey: "new" }));
  assert.deepEqual(dry.store, wet.store);
});

test("before the first save there is no folder, and nothing is over the budget", { skip }, async () => {
  const scene = makeScene({}, { k: { sessionId: "k", updatedAt: 1 } });
  const result = await enforce(scene, 10, 5, { storePath: "/later/sessions.json" });
  assert.deepEqual([result?.totalBytesBefore, result?.overBudget, Object.keys(scene.store)], [0, false, ["k"]]);
});

test("a file that cannot be deleted is not counted as freed", { skip }, async () => {
  const scene = makeScene({ "orphan.jsonl": 500 }, { k: { sessionId: "k", updatedAt: 1 } });
  scene.machine.setMode(dir, 0o500);
  const result = await enforce(scene, 10, 5, { activeSessionKey: "k" });
  assert.deepEqual([result?.removedFiles, result?.freedBytes], [0, 0]);
  assert.equal(result?.totalBytesAfter, result?.totalBytesBefore);
});

test("better: in a folder with another store, its transcripts are not taken for orphans", { skip }, async () => {
  for (const other of ["sessions-b.json", "sessions-b.d/state.json"]) {
    const scene = makeScene({ [other]: 10, "of-b.jsonl": 500, [`x.jsonl.deleted.${stamp}`]: 500 });
    await enforce(scene, 10, 5, { store: { k: { sessionId: "k", updatedAt: 1 } as SessionEntry } });
    assert.deepEqual(namesOf(scene), ["of-b.jsonl", other], other);
  }
});

test("better: an empty store in hand, but not on the disk, makes no transcript an orphan", { skip }, async () => {
  const scene = makeScene({ "sessions.json": 500, "a.jsonl": 500, [`x.jsonl.deleted.${stamp}`]: 500 });
  await enforce(scene, 10, 5);
  assert.deepEqual(namesOf(scene), ["a.jsonl", "sessions.json"]);
  const empty = makeScene({ "sessions.json": 2, "a.jsonl": 500 });
  await enforce(empty, 10, 5);
  assert.deepEqual(namesOf(empty), ["sessions.json"]);
});

test("the projected size is that of the text, for any store and after each removal", () => {
  const store: Record<string, SessionEntry> = Object.assign(Object.create(null), {
    'quote"\n': { sessionId: "é😀", updatedAt: 1, list: [1, { a: [] }], nothing: {} },
    absent: undefined,
    empty: {},
    ["__proto__"]: { sessionId: "p", updatedAt: 2 },
  });
  Object.defineProperty(store, "__proto__", { value: { sessionId: "q" }, enumerable: true, configurable: true });
  const text = new ProjectedText(store);
  assert.equal(text.totalBytes, pretty(store));
  for (const key of Object.keys(store)) {
    const before = pretty(store);
    const less = text.remove(key);
    delete store[key];
    assert.equal(before - less, pretty(store), key);
    assert.equal(text.totalBytes, pretty(store), key);
  }
});

// --- a real directory store ------------------------------------------------------------------------------------------

test("better: trash goes first, oldest removals before younger ones, then sessions by the size of their files", async () => {
  await withPlace(async ({ parent, location, directory }) => {
    const opened = await openSessionStore<Record<string, unknown>>(location);
    const text = "t".repeat(2_000);
    for (const key of ["agent:main:a", "agent:main:b", "agent:main:c", "agent:main:d"]) {
      await opened.update(key, () => ({ sessionId: key.at(-1)!, updatedAt: key.charCodeAt(11), text }));
    }
    await opened.remove("agent:main:a");
    await opened.remove("agent:main:b");
    await opened.close();
    const trash = () => fs.readdirSync(path.join(directory, "trash"));
    assert.equal(trash().length, 2);
    const [older] = trash().sort();
    // A removal that is not checkpointed: a checkpoint might write its file once more.
    const pending = older!.replace(/^(\d+)-\d+-/, "1-999999-");
    fs.copyFileSync(path.join(directory, "trash", older!), path.join(directory, "trash", pending));
    const store = {
      "agent:main:c": { sessionId: "c", updatedAt: 1 },
      "agent:main:d": { sessionId: "d", updatedAt: 2 },
    } as Record<string, SessionEntry>;
    const sweep = (highWaterBytes: number) =>
      enforceSessionDiskBudget({
        store,
        storePath: location,
        maintenance: { maxDiskBytes: 100, highWaterBytes },
        warnOnly: false,
        log: { warn() {}, info() {} },
      });
    const all = await sweep(10_000_000);
    assert.equal(all?.removedFiles, 0);
    const first = await sweep(all!.totalBytesBefore - 100);
    assert.deepEqual([first?.removedFiles, first?.removedEntries], [1, 0]);
    assert.ok(!trash().includes(older!));
    assert.ok(trash().includes(pending));
    const [younger] = trash().filter((name) => name !== pending);
    const trashBytes = fs.statSync(path.join(directory, "trash", younger!)).size;
    const second = await sweep(first!.totalBytesAfter - trashBytes - 100);
    assert.deepEqual([second?.removedFiles, second?.removedEntries, trash()], [1, 1, [pending]]);
    assert.deepEqual(Object.keys(store), ["agent:main:d"]);
    const entryBytes = second!.totalBytesBefore - second!.totalBytesAfter - second!.freedBytes;
    assert.ok(entryBytes > 2_000 && entryBytes < 4_000, `${entryBytes}`);
    fs.unlinkSync(path.join(directory, "trash", pending));
    // The store itself is as sound as before: what was removed was only trash.
    const again = await openSessionStore<Record<string, unknown>>(location);
    assert.equal((await again.get("agent:main:c"))?.sessionId, "c");
    for await (const finding of again.verify()) assert.notEqual(finding.severity, "error", JSON.stringify(finding));
    await again.close();
    assert.ok(fs.existsSync(parent));
  });
});
