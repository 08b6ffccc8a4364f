/** The open stores behind the functions that work by path: when they close, and what a write looks at besides. */

import assert from "node:assert/strict";
import { mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { nodePort } from "../../../src/fs/node-port.js";
import {
  getSubagentDepthFromSessionStore,
  loadSessionStore,
  type SessionEntry,
  type SessionMaintenanceApplyReport,
  saveSessionStore,
  updateSessionStore,
} from "../../../src/openclaw/index.js";
import { closeSessionStores, sharedStore } from "../../../src/openclaw/shared-handles.js";
import { makePlace } from "./store-support.js";

const key = "agent:main:main";

function entry(sessionId: string, fields: Partial<SessionEntry> = {}): SessionEntry {
  return { sessionId, updatedAt: Date.now(), ...fields };
}

test("a store that nobody uses closes after a while, one at work does not", async (context) => {
  const { storePath, port } = makePlace(context);
  const idle: (() => void)[] = [];
  let aheadMs = 0;
  const realNowMs = port.monotonicMs.bind(port);
  const startTimer = port.startTimer.bind(port);
  port.monotonicMs = () => realNowMs() + aheadMs;
  port.startTimer = (ms, callback) => {
    if (ms !== 30_000) return startTimer(ms, callback);
    idle.push(callback);
    return { cancel() {} };
  };
  const fire = () => {
    aheadMs += 31_000;
    for (const callback of idle.splice(0)) callback();
  };
  const handle = sharedStore(storePath);
  await updateSessionStore(storePath, async (store) => {
    store[key] = entry("a");
    fire();
  });
  assert.equal(sharedStore(storePath), handle);
  fire();
  assert.notEqual(sharedStore(storePath), handle);
  assert.equal(loadSessionStore(storePath)[key]?.sessionId, "a");
});

test("at most 64 stores stay open: the one that was not used for longest is closed, none at work is", async (context) => {
  const { folder } = makePlace(context);
  const pathOf = (at: number) => path.join(folder, `s${at}.json`);
  const handles = Array.from({ length: 64 }, (_, at) => sharedStore(pathOf(at)));
  handles.forEach((handle, at) => {
    handle.lastUsedMs = at;
  });
  await handles[0]!.use(async () => {
    sharedStore(pathOf(64));
    assert.equal(sharedStore(pathOf(0)), handles[0]);
    assert.equal(sharedStore(pathOf(2)), handles[2]);
    assert.notEqual(sharedStore(pathOf(1)), handles[1]);
  });
});

test("out of file handles: idle stores give theirs back, to writes and to reads", async (context) => {
  const { folder, port, logged } = makePlace(context);
  const pathOf = (at: number) => path.join(folder, `f${at}.json`);
  const write = (at: number) => saveSessionStore(pathOf(at), { [key]: entry(`${at}`) });
  await write(0);
  await write(1);
  // As if the system gave no more: until something is closed, nothing is opened.
  let isOut = false;
  const [openRoot, closeDirectory] = [port.openRoot.bind(port), port.closeDirectory.bind(port)];
  port.openRoot = (directoryPath) => {
    if (isOut) throw Object.assign(new Error("too many"), { code: "EMFILE" });
    return openRoot(directoryPath);
  };
  port.closeDirectory = (directory) => {
    isOut = false;
    closeDirectory(directory);
  };
  isOut = true;
  await write(2);
  assert.ok(logged.includes("out of file handles: 2 idle session stores are closed"));
  await closeSessionStores();
  for (const at of [0, 1]) assert.equal(loadSessionStore(pathOf(at))[key]?.sessionId, `${at}`);
  isOut = true;
  assert.equal(loadSessionStore(pathOf(2))[key]?.sessionId, "2");
});

test("a write looks once at the gateway's configuration, and reads it only after it changed", async (context) => {
  const { folder, storePath, port } = makePlace(context);
  const file = path.join(folder, "openclaw.json");
  writeFileSync(file, "{}");
  const realNowMs = port.nowMs.bind(port);
  // Long after the file was written, when a stat cannot deceive.
  port.nowMs = () => realNowMs() + 10_000;
  const write = (label: string) =>
    updateSessionStore(storePath, (store) => {
      store[key] = entry("a", { label });
    });
  await write("first");
  await write("second");
  port.reset();
  await write("third");
  const looks = [...port.counts.byPath].filter(([call]) => call.includes("openclaw.json"));
  assert.deepEqual(
    looks.map(([call, count]) => [call.split(" ")[0], count]),
    [["statName", 1]],
  );
  assert.ok(!port.counts.namesOpened.includes("openclaw.json"));
});

test("a configuration that is a link is read only after it changed, too", async (context) => {
  const { folder, storePath, port } = makePlace(context);
  mkdirSync(path.join(folder, "settings"));
  writeFileSync(path.join(folder, "settings", "gateway.json"), "{}");
  symlinkSync(path.join("settings", "gateway.json"), path.join(folder, "openclaw.json"));
  const realNowMs = port.nowMs.bind(port);
  port.nowMs = () => realNowMs() + 10_000;
  const startMs = port.monotonicMs();
  port.monotonicMs = () => startMs;
  const write = (label: string) =>
    updateSessionStore(storePath, (store) => {
      store[key] = entry("a", { label });
    });
  await write("first");
  port.reset();
  await write("second");
  assert.ok(!port.counts.namesOpened.includes("gateway.json"));
});

const { statAtPath } = nodePort();
const waysToLook = ["by its folder", ...(statAtPath === undefined ? [] : ["by its path"])];

for (const way of waysToLook)
  test(`a configuration that changes its place counts for the next write, looked at ${way}: made, replaced, moved away, linked, named anew`, async (context) => {
    const { folder, storePath, port } = makePlace(context);
    if (way === "by its path") Object.assign(port, { statAtPath });
    const realMonotonicMs = port.monotonicMs.bind(port);
    let aheadMs = 0;
    port.monotonicMs = () => realMonotonicMs() + aheadMs;
    const stateDir = path.join(folder, "state");
    const before = { ...process.env };
    context.after(() => {
      for (const name of ["OPENCLAW_STATE_DIR", "OPENCLAW_CONFIG_PATH", "OPENCLAW_HOME"]) {
        if (before[name] === undefined) delete process.env[name];
        else process.env[name] = before[name];
      }
    });
    const configure = (mode: string, directory = stateDir) => {
      mkdirSync(directory, { recursive: true });
      writeFileSync(path.join(directory, "openclaw.json"), `{ session: { maintenance: { mode: '${mode}' } } }`);
    };
    let count = 0;
    const modeOfWrite = async () => {
      let mode: string | undefined;
      const onMaintenanceApplied = (report: SessionMaintenanceApplyReport) => {
        mode = report.mode;
      };
      const change = (store: Record<string, SessionEntry>) => {
        store[key] = entry("a", { label: `${count++}` });
      };
      await updateSessionStore(storePath, change, { onMaintenanceApplied });
      return mode;
    };
    process.env.OPENCLAW_STATE_DIR = stateDir;
    assert.equal(await modeOfWrite(), "warn", "there is none");
    configure("enforce");
    assert.equal(await modeOfWrite(), "enforce", "made");
    rmSync(stateDir, { recursive: true });
    configure("warn");
    assert.equal(await modeOfWrite(), "warn", "replaced");
    renameSync(stateDir, `${stateDir}.away`);
    configure("enforce");
    if (way === "by its folder") aheadMs += 1_000;
    assert.equal(await modeOfWrite(), "enforce", "moved away, and a new one in its place");
    configure("warn", path.join(folder, "linked"));
    rmSync(path.join(stateDir, "openclaw.json"));
    symlinkSync(path.join(folder, "linked", "openclaw.json"), path.join(stateDir, "openclaw.json"));
    assert.equal(await modeOfWrite(), "warn", "linked");
    configure("enforce", path.join(folder, "linked"));
    assert.equal(await modeOfWrite(), "enforce", "what the link leads to");
    delete process.env.OPENCLAW_STATE_DIR;
    process.env.OPENCLAW_HOME = path.join(folder, "home");
    configure("warn", path.join(folder, "home", ".openclaw"));
    assert.equal(await modeOfWrite(), "warn", "another home");
    process.env.OPENCLAW_CONFIG_PATH = path.join(stateDir, "openclaw.json");
    assert.equal(await modeOfWrite(), "enforce", "named");
  });

test("listeners that throw do not make a write look failed that is on the disk", async (context) => {
  const { storePath, logged } = makePlace(context);
  const opts = {
    activeSessionKey: key,
    maintenanceOverride: { maxEntries: 1, pruneAfterMs: 1 },
    onWarn: () => {
      throw new Error("no ears");
    },
    onMaintenanceApplied: async () => {
      throw new Error("no eyes");
    },
  };
  const update = (store: Record<string, SessionEntry>) => {
    store[key] = entry("a", { updatedAt: 1 });
    store.b = entry("b");
    return "done";
  };
  assert.equal(await updateSessionStore(storePath, update, opts), "done");
  assert.equal(logged.filter((message) => /failed; what was saved is saved/.test(message)).length, 2);
  await saveSessionStore(storePath, { [key]: entry("c", { updatedAt: 1 }), b: entry("d") }, opts);
  assert.equal(loadSessionStore(storePath)[key]?.sessionId, "c");
});

test("a save purges what had to go for the disk budget: nothing of it stays in the trash", async (context) => {
  const { folder, storePath } = makePlace(context);
  const demoText = "x".repeat(20_000);
  await saveSessionStore(storePath, { old: entry("old", { updatedAt: 1, demoText }), [key]: entry("a") });
  await saveSessionStore(storePath, loadSessionStore(storePath), {
    activeSessionKey: key,
    maintenanceOverride: { mode: "enforce", pruneAfterMs: 1e15, maxDiskBytes: 5_000, highWaterBytes: 5_000 },
  });
  assert.deepEqual(Object.keys(loadSessionStore(storePath)), [key]);
  // Now what was removed is where it stays.
  await closeSessionStores();
  const names = readdirSync(path.join(folder, "sessions.d"), { recursive: true }) as string[];
  assert.deepEqual(
    names.filter((name) => name.startsWith(`trash${path.sep}`)),
    [],
  );
});

test("the depth of a sub-agent is found in a file that is JSON5", async (context) => {
  const { storePath } = makePlace(context);
  writeFileSync(storePath, "{ // by hand\n 'agent:main:subagent:x': { sessionId: 'x', spawnDepth: 3, }, }");
  assert.equal(
    getSubagentDepthFromSessionStore("agent:main:subagent:x", { cfg: { session: { store: storePath } } }),
    3,
  );
});

test("somebody's own directory at the store's place stays where it is, and no store is said to have been taken over", async (context) => {
  const { folder, logged } = makePlace(context);
  const storePath = path.join(folder, "conf.json");
  mkdirSync(path.join(folder, "conf.d"), { mode: 0o700 });
  writeFileSync(path.join(folder, "conf.d", "site.conf"), "listen 80");
  assert.deepEqual({ ...loadSessionStore(storePath) }, {});
  await assert.rejects(saveSessionStore(storePath, { [key]: entry("a") }), { code: "store_missing" });
  assert.deepEqual(readdirSync(path.join(folder, "conf.d")), ["site.conf"]);
  assert.doesNotMatch(JSON.stringify(logged), /taken over/);
  assert.match(JSON.stringify(logged), /is no session store/);

  // With a file of sessions its place is needed; until the first write the file is read as it is.
  writeFileSync(storePath, JSON.stringify({ [key]: entry("b") }));
  assert.equal(loadSessionStore(storePath)[key]?.sessionId, "b");
  await updateSessionStore(storePath, (store) => {
    store[key] = entry("c");
  });
  assert.equal(loadSessionStore(storePath)[key]?.sessionId, "c");
  assert.equal(readdirSync(folder).filter((name) => name.startsWith("conf.d.orphan.")).length, 1);
});
