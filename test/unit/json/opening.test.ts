/** When the legacy file is the store, when it is not, and how a store that is open learns that it no longer is. */

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { readLegacyStoreSync } from "../../../src/backends/json/legacy-reader.js";
import { nodePort } from "../../../src/fs/node-port.js";
import { type OpenOptions, openSessionStore } from "../../../src/index.js";
import { openBackend } from "../../../src/open-backend.js";
import { checkOpenOptions } from "../../../src/open-options.js";
import { HookedPort } from "../../protocol/simulated-store.js";
import { SimulatedMachine } from "../../sim/machine.js";
import { rejectsWith } from "../../support/store-reading.js";
import { inTemporaryDirectory } from "../migrate/support.js";
import { livePath, openJson, textOf } from "./support.js";

const text = textOf({ "agent:main:main": { n: 1 } });

function withLegacy(body: (location: string, directory: string) => Promise<void>): Promise<void> {
  return inTemporaryDirectory(async (directory) => {
    const location = path.join(directory, "sessions.json");
    fs.writeFileSync(location, text, { mode: 0o600 });
    await body(location, directory);
  });
}

function open(location: string, options: OpenOptions) {
  return openBackend(nodePort(), location, checkOpenOptions(options));
}

test("backend json reads and writes the legacy file and makes no directory store", async () => {
  await withLegacy(async (location, directory) => {
    for (const given of [location, path.join(directory, "sessions.d")]) {
      const store = await openSessionStore(given, { backend: "json" });
      assert.equal(store.location, location);
      await store.update("agent:main:main", (current) => ({ ...current, n: 2 }) as never);
      await store.close();
    }
    assert.equal(fs.readFileSync(location, "utf8"), textOf({ "agent:main:main": { n: 2 } }));
    assert.deepEqual(fs.readdirSync(directory).sort(), [
      "sessions.d.checkpoint.lock",
      "sessions.json",
      "sessions.json.versions",
    ]);
    assert.equal(fs.statSync(location).mode & 0o777, 0o600);
  });
});

test("backend json is refused where a directory store lies", async () => {
  await withLegacy(async (location) => {
    await (await open(location, {})).close();
    const error = await rejectsWith("invalid_option", open(location, { backend: "json" }));
    assert.match(error.message, /the sessions are in sessions\.d/);
    assert.match(error.message, /sessiondir rollback/);
  });
});

test("beside the marker of a rollback the legacy file is the store, whoever opens it, and the log says so once", async () => {
  await withLegacy(async (location, directory) => {
    fs.writeFileSync(path.join(directory, "sessions.d.rolled-back"), "{}");
    for (const options of [{}, { migrate: "never" }, { readOnly: true }] as const) {
      const warnings: string[] = [];
      const backend = await open(location, { ...options, logger: { warn: (message) => warnings.push(message) } });
      assert.equal(backend.kind, "json");
      assert.ok((await backend.read(["agent:main:main"])).has("agent:main:main"));
      await backend.close();
      assert.equal(warnings.length, 1);
      assert.match(String(warnings[0]), /rolled back.*migrate --force/);
    }
    assert.ok(!fs.existsSync(path.join(directory, "sessions.d")));
  });
});

test("a store that is taken over while it is open refuses to write, and does not read as empty", async () => {
  await withLegacy(async (location, directory) => {
    const old = await openSessionStore<Record<string, unknown>>(location, { backend: "json" });
    await old.update("before", () => ({ n: 1 }));
    const taken = await openSessionStore<Record<string, unknown>>(location);
    assert.deepEqual(await taken.get("before"), { n: 1 });
    const error = await rejectsWith(
      "store_gone",
      old.update("after", () => ({ n: 2 })),
    );
    assert.match(error.message, /taken over into sessions\.d/);
    await rejectsWith("store_gone", old.get("before"));
    await rejectsWith("store_gone", old.list());
    assert.equal(await taken.get("after"), undefined);
    assert.ok(!fs.existsSync(location), "nothing was written beside the directory store");
    await old.close();
    await taken.close();
    assert.throws(() => readLegacyStoreSync(nodePort(), locationIn(directory)), { code: "store_gone" });
  });
});

test("from the moment the directory store is there, the legacy file beside it is neither read nor written", async () => {
  await withLegacy(async (location, directory) => {
    const store = await openSessionStore<Record<string, unknown>>(location, { backend: "json" });
    fs.mkdirSync(path.join(directory, "sessions.d"), { mode: 0o700 });
    await rejectsWith("store_gone", store.get("agent:main:main"));
    await rejectsWith(
      "store_gone",
      store.update("agent:main:main", () => ({ n: 2 })),
    );
    assert.equal(fs.readFileSync(location, "utf8"), text);
    assert.throws(() => readLegacyStoreSync(nodePort(), locationIn(directory)), { code: "store_gone" });
    fs.rmdirSync(path.join(directory, "sessions.d"));
    assert.deepEqual(await store.get("agent:main:main"), { n: 1 });
    await store.close();
  });
});

test("a reader of nothing is told so; a writer makes the directories, and the file with the first write", async () => {
  await inTemporaryDirectory(async (directory) => {
    const location = path.join(directory, "deep", "er", "sessions.json");
    await rejectsWith("store_missing", open(location, { backend: "json", readOnly: true }));
    assert.deepEqual(fs.readdirSync(directory), []);
    const store = await openSessionStore<Record<string, unknown>>(location, { backend: "json" });
    assert.deepEqual(fs.readdirSync(path.dirname(location)), []);
    await rejectsWith("store_missing", open(location, { backend: "json", readOnly: true }));
    await store.update("a", () => ({ n: 1 }));
    assert.equal(fs.readFileSync(location, "utf8"), textOf({ a: { n: 1 } }));
    await store.close();
  });
});

test("a reader takes no lock and writes nothing", async () => {
  await withLegacy(async (location, directory) => {
    const store = await openSessionStore<Record<string, unknown>>(location, { backend: "json", readOnly: true });
    assert.equal((await store.list()).sessions.length, 1);
    for await (const _ of store.verify()) assert.fail("nothing is wrong");
    await store.close();
    assert.deepEqual(fs.readdirSync(directory), ["sessions.json"]);
  });
});

test("backend and rotateBytes are checked", async () => {
  await rejectsWith("invalid_option", openSessionStore("/nowhere/sessions.json", { backend: "jsn" as "json" }));
  await rejectsWith("invalid_option", openSessionStore("/nowhere/sessions.json", { rotateBytes: -1 }));
});

test("the synchronous reader gives every entry as it is, and what was tolerated", async () => {
  await withLegacy(async (location, directory) => {
    const read = () => readLegacyStoreSync(nodePort(), locationIn(directory));
    assert.deepEqual({ ...read().entries }, JSON.parse(text));
    assert.deepEqual([read().state, read().tolerated], ["read", []]);
    fs.writeFileSync(location, '\ufeff{"Main":{n:NaN},"main":null,"__proto__":{"n":1}, // note\n}');
    const { entries, tolerated } = read();
    assert.deepEqual(Object.keys(entries), ["Main", "main", "__proto__"]);
    assert.deepEqual([entries.Main, entries.main], [{ n: Number.NaN }, null]);
    assert.equal(Object.isFrozen(entries.Main), false, "the caller's own");
    assert.equal(tolerated.length, 2);
    fs.writeFileSync(location, "");
    assert.throws(read, { code: "invalid_legacy" });
    fs.unlinkSync(location);
    assert.deepEqual([read().state, Object.keys(read().entries)], ["missing", []]);
    const nowhere = { ...locationIn(path.join(directory, "nowhere")) };
    assert.equal(readLegacyStoreSync(nodePort(), nowhere).state, "missing");
  });
});

function locationIn(parentPath: string) {
  return { parentPath, legacyName: "sessions.json", directoryName: "sessions.d" };
}

test("a network file system is refused by writers, as its locks do not hold between machines; readers may look", async () => {
  const machine = new SimulatedMachine({ fileSystemType: 0x6969 });
  machine.makeDirectory("/home/agent");
  machine.writeFile(livePath, text);
  const onLinux = (name: string) =>
    Object.defineProperty(new HookedPort(machine.process(name)), "lockFamily", { value: "ofd" });
  await rejectsWith("unsupported_platform", () => machine.settle(openJson(onLinux("writer"))));
  const reader = await machine.settle(openJson(onLinux("reader"), { readOnly: true }));
  assert.equal((await reader.read(["agent:main:main"])).size, 1);
  await reader.close();
});
