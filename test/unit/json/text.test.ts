/** What is written: the gateway's text, only on change, and nothing lost that this program cannot read. */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Operation } from "../../../src/contract.js";
import { createSessionStore } from "../../../src/store.js";
import { CountingPort } from "../../sim/counting-port.js";
import { rejectsWith } from "../../support/store-reading.js";
import {
  backupsIn,
  commitPut,
  livePath,
  machineWith,
  openJson,
  put,
  readStore,
  request,
  start,
  textOf,
} from "./support.js";

const remove = (key: string): Operation => ({ type: "remove", key, purge: false });

test("the text is that of JSON.stringify with two spaces, byte for byte, and names keep their order", async () => {
  const sessions: Record<string, unknown> = {
    z: { updatedAt: 3, text: 'quote " \\ \n \u2028 é 😀 \ud800' },
    "10": { n: 1.5e300 },
    "2": { empty: {}, list: [], deep: [{ a: [null, true] }] },
    a: {},
  };
  const machine = machineWith(textOf(sessions));
  const store = await start(machine, "gateway");
  await commitPut(machine, store, "new", { n: 1 });
  await commitPut(machine, store, "z", { updatedAt: 4 });
  await machine.settle(store.backend.commit(request([remove("2")])));
  const rest: Record<string, unknown> = { ...sessions, z: { updatedAt: 4 }, new: { n: 1 } };
  delete rest["2"];
  assert.equal(machine.readText(livePath), textOf(rest));
});

test("an own __proto__ is a session like any other", async () => {
  const machine = machineWith('{\n  "__proto__": {\n    "n": 1\n  }\n}');
  const store = await start(machine, "gateway");
  assert.deepEqual((await store.backend.read(["__proto__"])).get("__proto__")?.entry, { n: 1 });
  await commitPut(machine, store, "constructor", { n: 2 });
  assert.equal(
    machine.readText(livePath),
    '{\n  "__proto__": {\n    "n": 1\n  },\n  "constructor": {\n    "n": 2\n  }\n}',
  );
});

test("a save that changes nothing writes nothing: no file is created, renamed, synced or removed but the lock's", async () => {
  const machine = machineWith(textOf({ a: { n: 1 }, b: { n: 2 } }));
  const port = new CountingPort(machine.process("gateway"));
  const backend = await machine.settle(openJson(port));
  const store = createSessionStore<Record<string, unknown>>(backend, { clock: port });
  port.reset();
  await machine.settle(store.update("a", (current) => ({ ...current })));
  await machine.settle(store.patch("a", { n: 1 }));
  await machine.settle(store.remove("missing"));
  await machine.settle(
    store.transaction(async (transaction) => transaction.set("b", { ...(await transaction.get("b")) })),
  );
  assert.equal(port.count("open") - port.count("close"), 0);
  for (const method of ["append", "rename", "syncFile", "syncDirectory", "unlink", "tryLock"] as const) {
    assert.equal(port.count(method), 0, method);
  }
  // What only the backend can find out - a removal of nothing, a conflict - takes the locks, and writes no more than these.
  await machine.settle(backend.commit(request([remove("missing")])));
  await machine.settle(backend.commit(request([put("a", { n: 9 })], [["a", null]])));
  for (const method of ["rename", "syncFile", "syncDirectory"] as const) assert.equal(port.count(method), 0, method);
  assert.equal(machine.readText(livePath), textOf({ a: { n: 1 }, b: { n: 2 } }));
});

test("a put of what is there already is a commit with a version of its own, and leaves the file as it is", async () => {
  const machine = machineWith(textOf({ a: { n: 1 } }));
  const store = await start(machine, "gateway", { rotateBytes: 0 });
  const inode = machine.inodeAt(livePath);
  const first = await commitPut(machine, store, "a", { n: 1 });
  assert.notEqual(await commitPut(machine, store, "a", { n: 1 }), first);
  assert.equal(machine.inodeAt(livePath), inode);
  assert.deepEqual(backupsIn(machine), []);
});

test("commits that wait together share one save", async () => {
  const machine = machineWith(textOf({}));
  const port = new CountingPort(machine.process("gateway"));
  const backend = await machine.settle(openJson(port));
  port.reset();
  const commits = Array.from({ length: 30 }, (_, n) => backend.commit(request([put(`key${n}`, { n })])));
  const versions = (await machine.settle(Promise.all(commits))).map(
    (result) => (result as { version: string }).version,
  );
  assert.equal(new Set(versions).size, 30, "each has a version of its own");
  assert.equal(port.count("syncDirectory"), 1);
});

test("entries and names that nobody can read survive every write untouched", async () => {
  const strange =
    '{"k":null,"list":[1,{"a":2}],"":{"n":1},"  ":{"n":2},"text":"x","long":{"deep":' +
    `${"[".repeat(70)}1${"]".repeat(70)}}}`;
  const machine = machineWith(strange);
  const store = await start(machine, "gateway");
  await commitPut(machine, store, "new", { n: 1 });
  await commitPut(machine, store, "new", { n: 2 });
  await machine.settle(store.backend.commit(request([remove("new"), put("other", {})])));
  assert.equal(machine.readText(livePath), textOf({ ...(JSON.parse(strange) as object), other: {} }));
});

test("a session that cannot be read is entry_damaged for reads and writes, until it is replaced on purpose", async () => {
  const machine = machineWith('{"k":null,"fine":{"n":1}}');
  const store = await start(machine, "gateway");
  await rejectsWith("entry_damaged", store.backend.read(["k"]));
  await rejectsWith("entry_damaged", () =>
    machine.settle(store.backend.commit(request([put("k", {})], [["k", null]]))),
  );
  await rejectsWith("entry_damaged", () => machine.settle(store.backend.commit(request([remove("k")]))));
  await rejectsWith("entry_damaged", readStore(machine));
  const told: unknown[] = [];
  const found: string[] = [];
  const onDamaged = ({ key }: { key: string | undefined }) => told.push(key);
  for await (const { key } of await store.backend.scan({ onDamaged })) found.push(key);
  assert.deepEqual([told, found], [["k"], ["fine"]]);
  const findings = [];
  for await (const finding of store.backend.check()) findings.push(finding);
  assert.deepEqual(
    findings.map(({ severity, code, key }) => [severity, code, key]),
    [["error", "entry_damaged", "k"]],
  );
  await commitPut(machine, store, "k", { n: 2 });
  assert.equal(machine.readText(livePath), textOf({ k: { n: 2 }, fine: { n: 1 } }));
  assert.deepEqual(await readStore(machine), { k: { n: 2 }, fine: { n: 1 } });
});

test("an entry with a number that JSON cannot write back stops writes instead of turning into null", async () => {
  const text = '{"k":{"n":1e999},"fine":{"n":1}}';
  const machine = machineWith(text);
  const store = await start(machine, "gateway");
  const error = await rejectsWith("entry_damaged", () =>
    machine.settle(store.backend.commit(request([put("new", {})]))),
  );
  assert.match(error.message, /cannot be written back/);
  assert.equal(machine.readText(livePath), text);
  await commitPut(machine, store, "k", { n: 1 });
  await commitPut(machine, store, "new", {});
});

test("a tolerated text survives a write; comments are only in the copy, and the log says so", async () => {
  const text = "\ufeff{\n  // kept by hand\n  'main': { n: 1, },\n}\n";
  const machine = machineWith(text);
  const warnings: string[] = [];
  const logger = { warn: (message: string, fields?: object) => warnings.push(message + JSON.stringify(fields)) };
  const store = await start(machine, "gateway", { logger });
  assert.deepEqual((await store.backend.read(["main"])).get("main")?.entry, { n: 1 });
  const findings = [];
  for await (const { severity, code } of store.backend.check()) findings.push([severity, code]);
  assert.deepEqual(findings, [["warning", "tolerated_text"]]);
  assert.deepEqual(warnings, []);
  await commitPut(machine, store, "new", { n: 2 });
  assert.equal(machine.readText(livePath), textOf({ main: { n: 1 }, new: { n: 2 } }));
  const [copy] = backupsIn(machine);
  assert.deepEqual(Buffer.from(machine.readFile(`/home/agent/${copy}`)), Buffer.from(text));
  assert.equal(warnings.length, 1);
  assert.match(String(warnings[0]), /byte order mark and JSON5 syntax.*only in its copy.*sessions\.json\.bak\.\d+/);
  await commitPut(machine, store, "new", { n: 3 });
  assert.equal(backupsIn(machine).length, 1, "the strict text is not copied");
});

test("spellings of one key are one session, the newest; a write leaves the canonical one alone", async () => {
  const machine = machineWith(
    textOf({ Main: { updatedAt: 2 }, other: {}, main: { updatedAt: 1 }, " MAIN": { updatedAt: 2 } }),
  );
  const store = await start(machine, "gateway");
  assert.deepEqual((await store.backend.read(["main"])).get("main")?.entry, { updatedAt: 2 });
  await commitPut(machine, store, "new", {});
  assert.match(machine.readText(livePath), /"Main"/, "a write to another session changes no name");
  await commitPut(machine, store, "main", { updatedAt: 3 });
  assert.equal(machine.readText(livePath), textOf({ other: {}, main: { updatedAt: 3 }, new: {} }));
  await machine.settle(store.backend.commit(request([remove("main")])));
  assert.equal(machine.readText(livePath), textOf({ other: {}, new: {} }));
});

test("a file that would be larger than legacyFileBytes is refused before anything is written", async () => {
  const machine = machineWith(textOf({ a: { n: 1 } }));
  const { defaultLimits } = await import("../../../src/limits.js");
  const store = await start(machine, "gateway", { limits: { ...defaultLimits, legacyFileBytes: 200 } });
  const large = store.backend.commit(request([put("large", { text: "x".repeat(300) })]));
  const small = store.backend.commit(request([put("small", { n: 1 })]));
  await rejectsWith("limit_exceeded", () => machine.settle(large));
  assert.equal((await machine.settle(small)).status, "committed", "what waited beside it is served");
  assert.equal(machine.readText(livePath), textOf({ a: { n: 1 }, small: { n: 1 } }));
});
