/** The caches and the JSON helpers that callers take from the same place as the session functions. */

import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import os from "node:os";
import path from "node:path";
import test, { type TestContext } from "node:test";
import { setAmbientPort } from "../../../src/openclaw/ambient.js";
import * as openclaw from "../../../src/openclaw/index.js";
import { InterceptedPort, type PortCall } from "../../sim/intercepted-port.js";
import { SimulatedMachine } from "../../sim/machine.js";

function temporaryFolder(context: TestContext): string {
  const folder = mkdtempSync(path.join(os.tmpdir(), "sessiondir-json-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

test("a cached store is a clone both ways, and only of the same time and size", (context) => {
  context.after(openclaw.clearSessionStoreCaches);
  const store = { a: { sessionId: "1", updatedAt: 1, origin: { label: "x" } } };
  openclaw.writeSessionStoreCache({ storePath: "/s", store, mtimeMs: 5, sizeBytes: 6, serialized: "{}" });
  store.a.origin.label = "changed";
  const read = openclaw.readSessionStoreCache({ storePath: "/s", mtimeMs: 5, sizeBytes: 6 });
  assert.equal(read?.a?.origin?.label, "x");
  read!.a!.sessionId = "changed";
  assert.equal(openclaw.readSessionStoreCache({ storePath: "/s", mtimeMs: 5, sizeBytes: 6 })?.a?.sessionId, "1");
  assert.equal(openclaw.readSessionStoreCache({ storePath: "/s", mtimeMs: 5, sizeBytes: 7 }), null);
  assert.equal(openclaw.readSessionStoreCache({ storePath: "/s", mtimeMs: 5, sizeBytes: 6 }), null);
  assert.equal(openclaw.getSerializedSessionStore("/s"), undefined, "a mismatch forgets both");
});

test("a missing file can be a cached empty store; dropping the object keeps the text", (context) => {
  context.after(openclaw.clearSessionStoreCaches);
  openclaw.writeSessionStoreCache({ storePath: "/s", store: {}, serialized: "{}" });
  assert.deepEqual(openclaw.readSessionStoreCache({ storePath: "/s" }), {});
  openclaw.dropSessionStoreObjectCache("/s");
  assert.equal(openclaw.readSessionStoreCache({ storePath: "/s" }), null);
  assert.equal(openclaw.getSerializedSessionStore("/s"), "{}");
  openclaw.setSerializedSessionStore("/s");
  assert.equal(openclaw.getSerializedSessionStore("/s"), undefined);
});

test("OPENCLAW_SESSION_CACHE_TTL_MS is read on every use; 0 switches the cache off", (context) => {
  const before = process.env.OPENCLAW_SESSION_CACHE_TTL_MS;
  context.after(() => {
    if (before === undefined) delete process.env.OPENCLAW_SESSION_CACHE_TTL_MS;
    else process.env.OPENCLAW_SESSION_CACHE_TTL_MS = before;
    openclaw.clearSessionStoreCaches();
  });
  const cases = [
    ["", 45_000],
    ["12", 12],
    ["1.5", 45_000],
    ["-1", 45_000],
    ["0", 0],
  ] as const;
  for (const [text, ttlMs] of cases) {
    process.env.OPENCLAW_SESSION_CACHE_TTL_MS = text;
    assert.equal(openclaw.getSessionStoreTtl(), ttlMs, text);
  }
  assert.equal(openclaw.isSessionStoreCacheEnabled(), false);
  openclaw.writeSessionStoreCache({ storePath: "/s", store: {} });
  assert.equal(openclaw.readSessionStoreCache({ storePath: "/s" }), null);
});

test("a text is written whole, of mode 0600, with the folders it needs, and no temporary file stays", async (context) => {
  const folder = temporaryFolder(context);
  const file = path.join(folder, "a", "b", "x.json");
  await openclaw.writeJsonAtomic(file, { n: 1 }, { trailingNewline: true });
  assert.equal(readFileSync(file, "utf8"), '{\n  "n": 1\n}\n');
  assert.equal(statSync(file).mode & 0o777, 0o600);
  await openclaw.writeTextAtomic(file, "text", { mode: 0o640 });
  assert.equal(readFileSync(file, "utf8"), "text");
  assert.equal(statSync(file).mode & 0o777, 0o640);
  assert.deepEqual(readdirSync(path.dirname(file)), ["x.json"]);
  assert.equal(await openclaw.readJsonFile(file), null, "no JSON");
  assert.equal(await openclaw.readJsonFile(path.join(folder, "none")), null);
});

test("saving through a link changes what it leads to; one that leads nowhere is an error", (context) => {
  const folder = temporaryFolder(context);
  mkdirSync(path.join(folder, "real"));
  writeFileSync(path.join(folder, "real", "x.json"), "{}");
  symlinkSync(path.join("real", "x.json"), path.join(folder, "link.json"));
  symlinkSync(path.join("gone", "x.json"), path.join(folder, "dangling.json"));
  openclaw.saveJsonFile(path.join(folder, "link.json"), { n: 2 });
  assert.deepEqual(openclaw.loadJsonFile(path.join(folder, "real", "x.json")), { n: 2 });
  assert.throws(() => openclaw.saveJsonFile(path.join(folder, "dangling.json"), {}), { code: "ENOENT" });
  assert.ok(!existsSync(path.join(folder, "gone")));
  openclaw.saveJsonFile(path.join(folder, "new", "y.json"), [1]);
  assert.equal(readFileSync(path.join(folder, "new", "y.json"), "utf8"), "[\n  1\n]\n");
  assert.equal(openclaw.loadJsonFile(path.join(folder, "none")), undefined);
});

test("an async lock runs one after the other, and a failure ends only its own call", async () => {
  const withLock = openclaw.createAsyncLock();
  const order: string[] = [];
  let release = () => {};
  const first = withLock(async () => {
    await new Promise<void>((resolve) => {
      release = resolve;
    });
    order.push("first");
    throw new Error("first fails");
  });
  const second = withLock(async () => order.push("second"));
  await Promise.resolve();
  release();
  await assert.rejects(first, /first fails/);
  await second;
  assert.deepEqual(order, ["first", "second"]);
});

test("a legacy store may be JSON5; what holds no object is not ok", (context) => {
  const file = path.join(temporaryFolder(context), "sessions.json");
  assert.deepEqual(openclaw.readSessionStoreJson5(file), { store: {}, ok: false });
  writeFileSync(file, "{ a: { sessionId: 's', }, } // by hand");
  assert.deepEqual(openclaw.readSessionStoreJson5(file), { store: { a: { sessionId: "s" } }, ok: true });
  writeFileSync(file, "[]");
  assert.equal(openclaw.readSessionStoreJson5(file).ok, false);
  assert.equal(openclaw.getFileStatSnapshot(file)?.sizeBytes, 2);
  assert.equal(openclaw.getFileStatSnapshot(`${file}.none`), undefined);
});

// Fails without the sync of the temporary file, and without the sync of the folder.
test("after a power cut at any call the file has the old text or the new one, and the new one once that was said", {
  skip: process.platform === "win32" && "skipped: needs posix paths",
}, async (context) => {
  const machine = new SimulatedMachine({ fileSystem: "weak" });
  machine.makeDirectory("/d");
  machine.writeFile("/d/x.json", "old");
  const seen = new Set<string>();
  const look = () => {
    for (const image of machine.powerLossImages(30)) seen.add(image.readText("/d/x.json"));
  };
  class LookingPort extends InterceptedPort {
    protected override intercept<T>(_call: PortCall, proceed: () => T): T {
      look();
      return proceed();
    }
  }
  setAmbientPort(new LookingPort(machine.process()));
  context.after(() => setAmbientPort(undefined));
  await machine.settle(openclaw.writeTextAtomic("/d/x.json", "new"));
  assert.deepEqual([...seen].sort(), ["new", "old"]);
  seen.clear();
  look();
  assert.deepEqual([...seen], ["new"]);
});
