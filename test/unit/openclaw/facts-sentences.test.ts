/**
 * Sentences of the gateway's description that no other file here is named after; "better" is what replaces one. Stores
 * are files written with `fs`, as another program would have left them.
 */

import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import {
  clearSessionStoreCaches,
  closeSessionStores,
  extractDeliveryInfo,
  getSerializedSessionStore,
  loadSessionStore,
  migrateSessionStoreToLegacy,
  readAcpSessionEntry,
  readSessionStoreCache,
  readSessionStoreReadOnly,
  readSessionUpdatedAt,
  recordSessionMetaFromInbound,
  resolveAndPersistSessionFile,
  resolveMaintenanceConfigFromInput,
  type SessionEntry,
  type SessionMaintenanceApplyReport,
  type SessionMaintenanceWarning,
  saveSessionStore,
  setSerializedSessionStore,
  updateLastRoute,
  updateSessionStore,
  updateSessionStoreEntry,
  writeSessionStoreCache,
} from "../../../src/openclaw/index.js";
import { makePlace } from "./store-support.js";

const key = "agent:main:main";
const dayMs = 86_400_000;

function entry(sessionId: string, fields: Partial<SessionEntry> = {}): SessionEntry {
  return { sessionId, updatedAt: 1_000, ...fields };
}

const acp = { agent: "x" } as unknown as NonNullable<SessionEntry["acp"]>;

/* 1.1 Loading and caching */

for (const [what, torn] of [
  ["empty", ""],
  ["torn", '{"a": {"sessionId": "1", "upd'],
] as const) {
  test(`better: Windows' three attempts at a file that is ${what}: what such a load gives removes nothing when it is saved`, async (context) => {
    const { storePath } = makePlace(context);
    writeFileSync(storePath, torn);
    const copy = loadSessionStore(storePath);
    assert.deepEqual(copy, {});
    // Now the other program is done.
    writeFileSync(storePath, JSON.stringify({ a: entry("1"), b: entry("2") }));
    copy.c = entry("3");
    await saveSessionStore(storePath, copy);
    assert.deepEqual(Object.keys(loadSessionStore(storePath)).sort(), ["a", "b", "c"]);
  });
}

test("better: a leading byte order mark and JSON5 are no reason to treat a file as unreadable", async (context) => {
  const { storePath } = makePlace(context);
  writeFileSync(storePath, `\ufeff${JSON.stringify({ a: entry("1") })}`);
  assert.deepEqual(loadSessionStore(storePath), { a: entry("1") });
  assert.deepEqual(readSessionStoreReadOnly(storePath), { a: entry("1") });
  writeFileSync(storePath, "{ a: { sessionId: '2', updatedAt: 1000 }, } // by hand");
  await updateSessionStore(storePath, (store) => {
    store.b = entry("3");
  });
  assert.deepEqual(loadSessionStore(storePath), { a: entry("2"), b: entry("3") });
});

test("better: loading an oversized store in enforce mode removes nothing, not even in memory", async (context) => {
  const { storePath } = makePlace(context);
  await saveSessionStore(storePath, { a: entry("1"), b: entry("2"), c: entry("3") });
  const maintenanceConfig = resolveMaintenanceConfigFromInput({ mode: "enforce", maxEntries: 1 });
  assert.equal(Object.keys(loadSessionStore(storePath, { maintenanceConfig })).length, 3);
  assert.equal(Object.keys(loadSessionStore(storePath, { maintenanceConfig, skipCache: true })).length, 3);
});

test("the caches are keyed by the literal path; another versionToken is a miss; the text has no lifetime", (context) => {
  context.after(clearSessionStoreCaches);
  const before = process.env.OPENCLAW_SESSION_CACHE_TTL_MS;
  context.after(() => {
    if (before === undefined) delete process.env.OPENCLAW_SESSION_CACHE_TTL_MS;
    else process.env.OPENCLAW_SESSION_CACHE_TTL_MS = before;
  });
  writeSessionStoreCache({ storePath: "/s/x", store: { a: entry("1") }, versionToken: "1" });
  assert.equal(readSessionStoreCache({ storePath: "/s/./x", versionToken: "1" }), null);
  assert.deepEqual(readSessionStoreCache({ storePath: "/s/x", versionToken: "1" }), { a: entry("1") });
  assert.equal(readSessionStoreCache({ storePath: "/s/x", versionToken: "2" }), null);
  setSerializedSessionStore("/s/x", "{}");
  process.env.OPENCLAW_SESSION_CACHE_TTL_MS = "0";
  assert.equal(getSerializedSessionStore("/s/x"), "{}");
});

test("readSessionUpdatedAt: any error is undefined, also a damaged session", async (context) => {
  const { storePath, folder } = makePlace(context);
  mkdirSync(path.join(folder, "x.json"));
  assert.equal(readSessionUpdatedAt({ storePath: path.join(folder, "x.json"), sessionKey: key }), undefined);
  writeFileSync(storePath, "{");
  assert.equal(readSessionUpdatedAt({ storePath, sessionKey: key }), undefined);
});

/* 1.3 Writing */

test("saveSessionStore: mkdir -p of the parent", async (context) => {
  const { folder } = makePlace(context);
  const storePath = path.join(folder, "a", "b", "sessions.json");
  await saveSessionStore(storePath, { [key]: entry("1") });
  assert.deepEqual(loadSessionStore(storePath), { [key]: entry("1") });
});

test("saveSessionStore: a single file has two spaces of indentation, no line end, and mode 0600", async (context) => {
  const { folder } = makePlace(context);
  const storePath = path.join(folder, "store");
  const store = { [key]: entry("1"), b: entry("2") };
  await saveSessionStore(storePath, store);
  assert.equal(readFileSync(storePath, "utf8"), JSON.stringify(store, null, 2));
  if (process.platform !== "win32") assert.equal(statSync(storePath).mode & 0o777, 0o600);
});

test("saveSessionStore: does not apply ACP preservation, the last writer wins", async (context) => {
  const { storePath } = makePlace(context);
  await saveSessionStore(storePath, { [key]: entry("1", { acp }) });
  await saveSessionStore(storePath, { [key]: entry("1", { label: "l" }) });
  assert.deepEqual(loadSessionStore(storePath), { [key]: entry("1", { label: "l" }) });
});

test("better: a write that fails rejects, on every platform and with every error; what was there stays", async (context) => {
  const { storePath, port } = makePlace(context);
  await saveSessionStore(storePath, { [key]: entry("1") });
  const append = port.append.bind(port);
  for (const [code, expected] of [
    ["ENOSPC", "disk_full"],
    ["ENOENT", "io_error"],
  ]) {
    port.append = () => {
      throw Object.assign(new Error(`no: ${code}`), { code });
    };
    await assert.rejects(saveSessionStore(storePath, { [key]: entry("2") }), { code: expected as string });
    port.append = append;
    assert.deepEqual(loadSessionStore(storePath), { [key]: entry("1") });
  }
});

/** A store with these sessions, in each form that a path may have. */
const forms: Record<string, (storePath: string, store: Record<string, SessionEntry>) => Promise<void>> = {
  "directory store": (storePath, store) => saveSessionStore(storePath, store, { skipMaintenance: true }),
  "legacy file": async (storePath, store) => writeFileSync(storePath, JSON.stringify(store)),
  "file that was rolled back": async (storePath, store) => {
    await saveSessionStore(storePath, store, { skipMaintenance: true });
    assert.equal(await migrateSessionStoreToLegacy(storePath), true);
  },
};

for (const [form, make] of Object.entries(forms)) {
  test(`maintenance comes before no-op detection: a callback that changes nothing is told and enforced, in a ${form}`, async (context) => {
    const { storePath, folder } = makePlace(context);
    await make(storePath, { old: entry("1", { updatedAt: 5 }), a: entry("2", { updatedAt: Date.now() }) });
    const before = readdirSync(folder);
    const warned: SessionMaintenanceWarning[] = [];
    const reports: SessionMaintenanceApplyReport[] = [];
    const heard = {
      onWarn: (warning: SessionMaintenanceWarning) => void warned.push(warning),
      onMaintenanceApplied: (report: SessionMaintenanceApplyReport) => void reports.push(report),
    };
    await updateSessionStore(storePath, () => {}, {
      ...heard,
      activeSessionKey: "OLD",
      maintenanceOverride: { mode: "warn" },
    });
    assert.deepEqual([warned.length, warned[0]?.wouldPrune, warned[0]?.activeSessionKey], [1, true, "old"]);
    const nothing = { mode: "warn", beforeCount: 2, afterCount: 2, pruned: 0, capped: 0, diskBudget: null };
    assert.deepEqual(reports.splice(0), [nothing]);
    await updateSessionStore(storePath, () => {}, {
      ...heard,
      activeSessionKey: "old",
      maintenanceOverride: { mode: "enforce" },
    });
    assert.deepEqual(reports.splice(0), [{ ...nothing, mode: "enforce" }], "the active one stays");
    if (form === "legacy file") assert.deepEqual(readdirSync(folder), before, "nothing was taken over");
    await updateSessionStore(storePath, () => {}, { ...heard, maintenanceOverride: { mode: "enforce" } });
    assert.deepEqual(reports, [{ ...nothing, mode: "enforce", afterCount: 1, pruned: 1 }]);
    assert.deepEqual(Object.keys(loadSessionStore(storePath)), ["a"]);
  });

  test(`saveSessionStore: a copy as it was loaded, or saved, undoes nothing that another process wrote since, in a ${form}`, async (context) => {
    const { storePath } = makePlace(context);
    await make(storePath, { a: entry("1"), b: entry("2") });
    const copy = loadSessionStore(storePath);
    const change = (label: string) =>
      updateSessionStore(storePath, (store) => {
        (store.a as SessionEntry).label = label;
      });
    await change("theirs");
    await saveSessionStore(storePath, copy);
    assert.equal(loadSessionStore(storePath).a?.label, "theirs");
    copy.b!.label = "ours";
    await saveSessionStore(storePath, copy);
    assert.deepEqual(loadSessionStore(storePath), { a: entry("1"), b: entry("2", { label: "ours" }) });
    await change("theirs again");
    await saveSessionStore(storePath, copy);
    assert.equal(loadSessionStore(storePath).a?.label, "theirs again");
  });
}

test("better: a copy as it was loaded is saved at another path, and when its store is gone", async (context) => {
  const { storePath, folder } = makePlace(context);
  await saveSessionStore(storePath, { a: entry("1") });
  const elsewhere = path.join(folder, "elsewhere.json");
  await saveSessionStore(elsewhere, loadSessionStore(storePath));
  assert.deepEqual(loadSessionStore(elsewhere), { a: entry("1") });
  const copy = loadSessionStore(storePath);
  await closeSessionStores();
  rmSync(path.join(folder, "sessions.d"), { recursive: true });
  await saveSessionStore(storePath, copy);
  assert.deepEqual(loadSessionStore(storePath), { a: entry("1") });
});

test("updateSessionStore: ACP preservation knows the entry under any case variant of its key", async (context) => {
  const { storePath } = makePlace(context);
  await updateSessionStore(storePath, (store) => {
    store[key] = entry("1", { acp });
  });
  await updateSessionStore(storePath, (store) => {
    delete store[key];
    store["Agent:MAIN:Main"] = entry("1", { label: "l" });
  });
  assert.deepEqual(loadSessionStore(storePath), { [key]: entry("1", { label: "l", acp }) });
});

test("updatedAt: plain mutators that do not set it leave it as it is", async (context) => {
  const { storePath } = makePlace(context);
  await saveSessionStore(storePath, { [key]: entry("1") });
  await updateSessionStore(storePath, (store) => {
    (store[key] as SessionEntry).label = "l";
  });
  assert.equal(loadSessionStore(storePath)[key]?.updatedAt, 1_000);
});

test("recordSessionMetaFromInbound: without a patch the session, its aliases collapsed, or null", async (context) => {
  const { storePath } = makePlace(context);
  assert.equal(await recordSessionMetaFromInbound({ storePath, sessionKey: key, ctx: {} }), null);
  assert.ok(!existsSync(storePath.replace(/json$/, "d")), "nothing was written");
  writeFileSync(storePath, JSON.stringify({ "Agent:Main:MAIN": entry("1"), b: entry("2") }));
  const found = await recordSessionMetaFromInbound({ storePath, sessionKey: key, ctx: {} });
  assert.equal(found?.sessionId, "1");
  assert.deepEqual(Object.keys(loadSessionStore(storePath)).sort(), [key, "b"]);
});

test("recordSessionMetaFromInbound: a new session has updatedAt = now, an old one keeps its own though the message is newer", async (context) => {
  const { storePath } = makePlace(context);
  const ctx = { Provider: "telegram", From: "telegram:1", To: "2", ChatType: "direct", Timestamp: Date.now() + dayMs };
  const before = Date.now();
  const made = await recordSessionMetaFromInbound({ storePath, sessionKey: key, ctx });
  assert.ok(made!.updatedAt >= before && made!.updatedAt <= Date.now());
  const again = await recordSessionMetaFromInbound({ storePath, sessionKey: key, ctx: { ...ctx, SenderName: "Ann" } });
  assert.equal(again?.updatedAt, made!.updatedAt);
});

test("updateLastRoute: deliveryContext and the four last* fields are written, and what has no value is not there", async (context) => {
  const { storePath } = makePlace(context);
  const routed = await updateLastRoute({ storePath, sessionKey: key, channel: " Slack ", to: " C1 ", threadId: 7.9 });
  const { deliveryContext, lastChannel, lastTo, lastAccountId, lastThreadId } = loadSessionStore(storePath)[key]!;
  assert.deepEqual(
    { deliveryContext, lastChannel, lastTo, lastAccountId, lastThreadId },
    {
      deliveryContext: { channel: "slack", to: "C1", threadId: 7 },
      lastChannel: "slack",
      lastTo: "C1",
      lastAccountId: undefined,
      lastThreadId: 7,
    },
  );
  assert.equal(routed.lastTo, "C1");
  assert.match(routed.sessionId, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
});

test("better: null for a message, a group or options is none, as JavaScript callers mean it", async (context) => {
  const { storePath } = makePlace(context);
  const routed = await updateLastRoute({
    storePath,
    sessionKey: key,
    channel: "slack",
    ctx: null,
    groupResolution: null,
  });
  assert.equal(routed.lastChannel, "slack");
  await updateSessionStore(storePath, (store) => Object.assign(store[key]!, { label: "l" }), null);
  assert.equal(loadSessionStore(storePath)[key]?.label, "l");
  await saveSessionStore(storePath, { [key]: entry("1") }, null);
  assert.deepEqual(loadSessionStore(storePath), { [key]: entry("1") });
});

test("better: a blank key has no session: reads and updates find none, and what would make one is refused", async (context) => {
  const { storePath } = makePlace(context);
  await saveSessionStore(storePath, { [key]: entry("1") });
  for (const sessionKey of ["", "  "]) {
    assert.equal(readSessionUpdatedAt({ storePath, sessionKey }), undefined);
    const update = () => assert.fail("called");
    assert.equal(await updateSessionStoreEntry({ storePath, sessionKey, update }), null);
    const refused = { code: "invalid_key" };
    await assert.rejects(updateLastRoute({ storePath, sessionKey, channel: "slack" }), refused);
    const ctx = { Provider: "telegram", From: "telegram:1" };
    await assert.rejects(recordSessionMetaFromInbound({ storePath, sessionKey, ctx }), refused);
    await assert.rejects(saveSessionStore(storePath, { [sessionKey]: entry("2") }), refused);
  }
  assert.deepEqual(loadSessionStore(storePath), { [key]: entry("1") });
});

interface WriteParams {
  storePath: string;
  sessionKey: string;
  maintenanceConfig: ReturnType<typeof resolveMaintenanceConfigFromInput>;
}

const writes: Record<string, (params: WriteParams) => Promise<unknown>> = {
  updateLastRoute: (params) => updateLastRoute({ ...params, channel: "slack", to: "C1" }),
  recordSessionMetaFromInbound: (params) =>
    recordSessionMetaFromInbound({ ...params, ctx: { Provider: "telegram", From: "telegram:1", ChatType: "direct" } }),
  updateSessionStoreEntry: (params) =>
    updateSessionStoreEntry({ ...params, update: () => ({ label: "l", updatedAt: 2 }) }),
};

for (const [name, write] of Object.entries(writes)) {
  test(`${name} is saved with its session as the active one: enforcing never removes it`, async (context) => {
    const { storePath } = makePlace(context);
    await saveSessionStore(storePath, {
      [key]: entry("1"),
      old: entry("2"),
      new: entry("3", { updatedAt: Date.now() }),
    });
    const maintenanceConfig = resolveMaintenanceConfigFromInput({ mode: "enforce", maxEntries: 1 });
    await write({ storePath, sessionKey: " AGENT:main:Main", maintenanceConfig });
    const left = loadSessionStore(storePath);
    assert.ok(key in left && !("old" in left));
  });
}

test("resolveAndPersistSessionFile: when id and file are as stored, only the passed store is updated", async (context) => {
  const { storePath, folder, port } = makePlace(context);
  const sessionFile = path.join(folder, "s1.jsonl");
  const sessionEntry = entry("s1", { sessionFile });
  await saveSessionStore(storePath, { [key]: sessionEntry });
  port.reset();
  const sessionStore: Record<string, SessionEntry> = {};
  const params = { sessionId: "s1", sessionKey: key, sessionStore, storePath, sessionEntry, sessionsDir: folder };
  assert.equal((await resolveAndPersistSessionFile(params)).sessionFile, sessionFile);
  assert.equal(port.counts.bytesAppended, 0);
  assert.equal(sessionStore[key]?.sessionFile, sessionFile);
  assert.equal(loadSessionStore(storePath)[key]?.updatedAt, 1_000);
});

/* 1.5, 1.10: by the gateway's own configuration */

test("extractDeliveryInfo and readAcpSessionEntry go by the configuration file when none is given", async (context) => {
  const { folder } = makePlace(context);
  const storePath = path.join(folder, "work.json");
  const before = process.env.OPENCLAW_CONFIG_PATH;
  delete process.env.OPENCLAW_CONFIG_PATH;
  context.after(() => {
    if (before !== undefined) process.env.OPENCLAW_CONFIG_PATH = before;
  });
  writeFileSync(path.join(folder, "openclaw.json"), JSON.stringify({ session: { store: storePath } }));
  await saveSessionStore(storePath, { [key]: entry("1", { lastChannel: "slack", lastTo: "C1", acp }) });
  assert.equal(extractDeliveryInfo(key).deliveryContext?.to, "C1");
  assert.deepEqual(readAcpSessionEntry({ sessionKey: key })?.acp, acp);
  rmSync(path.join(folder, "openclaw.json"));
  assert.equal(extractDeliveryInfo(key).deliveryContext, undefined);
});

test("extractDeliveryInfo: a session that only the default agent's store has is found there", async (context) => {
  const { folder } = makePlace(context);
  const store = path.join(folder, "{agentId}.json");
  const routed = entry("1", { lastChannel: "slack", lastTo: "C1" });
  await saveSessionStore(path.join(folder, "main.json"), { "agent:ops:main": routed });
  assert.equal(extractDeliveryInfo("agent:ops:main", { session: { store } }).deliveryContext?.to, "C1");
});

/* 4 Maintenance */

test("an enforcing save cleans .deleted archives by pruneAfter, .reset archives by their retention, .bak archives never", async (context) => {
  const { storePath, folder } = makePlace(context);
  const at = (ageMs: number) => new Date(Date.now() - ageMs).toISOString().replaceAll(":", "-");
  const names = {
    deletedOld: `a.jsonl.deleted.${at(11 * dayMs)}`,
    deletedNew: `b.jsonl.deleted.${at(9 * dayMs)}`,
    resetOld: `c.jsonl.reset.${at(6 * dayMs)}`,
    resetNew: `d.jsonl.reset.${at(4 * dayMs)}`,
    bak: `e.jsonl.bak.${at(400 * dayMs)}`,
  };
  for (const name of Object.values(names)) writeFileSync(path.join(folder, name), "");
  const settings = { mode: "enforce", pruneAfter: 10, resetArchiveRetention: 5 } as const;
  const maintenanceConfig = resolveMaintenanceConfigFromInput(settings);
  await saveSessionStore(storePath, { [key]: entry("1", { updatedAt: Date.now() }) }, { maintenanceConfig });
  const left = readdirSync(folder).filter((name) => name.includes(".jsonl."));
  assert.deepEqual(left.sort(), [names.deletedNew, names.resetNew, names.bak].sort());
});

test("a callback that changes nothing of a legacy file has its archives cleaned all the same, and takes nothing over", async (context) => {
  const { storePath, folder } = makePlace(context);
  writeFileSync(storePath, JSON.stringify({ [key]: entry("1", { updatedAt: Date.now() }) }));
  writeFileSync(path.join(folder, "a.jsonl.deleted.2020-01-01T00-00-00.000Z"), "");
  await updateSessionStore(storePath, () => {}, { maintenanceOverride: { mode: "enforce" } });
  assert.deepEqual(readdirSync(folder), ["sessions.json"]);
});

test("resetArchiveRetention false: reset archives stay for ever", async (context) => {
  const { storePath, folder } = makePlace(context);
  const name = "c.jsonl.reset.2020-01-01T00-00-00.000Z";
  writeFileSync(path.join(folder, name), "");
  writeFileSync(path.join(folder, "old.jsonl"), "");
  const maintenanceConfig = resolveMaintenanceConfigFromInput({ mode: "enforce", resetArchiveRetention: false });
  await saveSessionStore(
    storePath,
    { old: entry("old"), [key]: entry("1", { updatedAt: Date.now() }) },
    { maintenanceConfig },
  );
  const left = readdirSync(folder).filter((found) => found.includes(".jsonl."));
  assert.equal(left.length, 2);
  assert.ok(left.includes(name));
});

for (const way of ["a save", "an update"]) {
  const write = (storePath: string, maintenanceConfig: ReturnType<typeof resolveMaintenanceConfigFromInput>) =>
    way === "a save"
      ? saveSessionStore(storePath, loadSessionStore(storePath), { maintenanceConfig })
      : updateSessionStore(storePath, () => {}, { maintenanceConfig });
  const settings = { mode: "enforce", pruneAfter: "1000000d", maxDiskBytes: 6_000, highWaterBytes: 6_000 } as const;

  test(`better: the disk budget of ${way} takes no transcript of an earlier generation for an orphan`, async (context) => {
    const { storePath, folder } = makePlace(context);
    await saveSessionStore(storePath, { [key]: entry("before") });
    await saveSessionStore(storePath, { [key]: entry("now") });
    for (const name of ["before", "now", "orphan"])
      writeFileSync(path.join(folder, `${name}.jsonl`), "x".repeat(1_000));
    writeFileSync(path.join(folder, "a.jsonl.deleted.2026-01-01T00-00-00Z"), "x".repeat(20_000));
    await write(
      storePath,
      resolveMaintenanceConfigFromInput({ ...settings, maxDiskBytes: 2_000, highWaterBytes: 2_000 }),
    );
    const left = readdirSync(folder).filter((name) => name.includes(".jsonl"));
    assert.deepEqual(
      left.filter((name) => name !== "now.jsonl"),
      ["before.jsonl"],
    );
  });

  test(`better: beside a damaged session the disk budget of ${way} frees nothing`, async (context) => {
    const { storePath, folder } = makePlace(context);
    await saveSessionStore(storePath, { [key]: entry("damaged"), b: entry("b") });
    await closeSessionStores();
    const file = path.join(folder, "sessions.d", "entries", `session-${Buffer.from(key).toString("base64url")}.json`);
    writeFileSync(file, "{ torn");
    for (const name of ["damaged", "b", "orphan"]) writeFileSync(path.join(folder, `${name}.jsonl`), "x".repeat(9_000));
    await write(storePath, resolveMaintenanceConfigFromInput(settings));
    const left = readdirSync(folder).filter((name) => name.includes(".jsonl"));
    assert.deepEqual(left.sort(), ["b.jsonl", "damaged.jsonl", "orphan.jsonl"]);
    assert.deepEqual(Object.keys(loadSessionStore(storePath)), ["b"]);
  });
}

test("rotate: an enforcing write copies a single file that is too large before it replaces it; warn does not", async (context) => {
  const { folder } = makePlace(context);
  const storePath = path.join(folder, "store");
  const backups = () =>
    readdirSync(folder)
      .filter((name) => /^store\.bak\.\d+$/.test(name))
      .sort();
  const write = (label: string, mode: "warn" | "enforce") =>
    updateSessionStore(
      storePath,
      (store) => {
        store[key] = entry("1", { label, updatedAt: Date.now(), demoText: "x".repeat(2_000) });
      },
      { maintenanceOverride: { mode, rotateBytes: 1_000 } },
    );
  await write("first", "enforce");
  await write("second", "warn");
  assert.deepEqual(backups(), []);
  await write("third", "enforce");
  const [backup] = backups();
  assert.equal(JSON.parse(readFileSync(path.join(folder, backup!), "utf8"))[key].label, "second");
  await saveSessionStore(
    storePath,
    { b: entry("2") },
    { maintenanceOverride: { mode: "enforce", rotateBytes: 1_000 } },
  );
  assert.equal(backups().length, 2);
  for (const label of ["a", "b", "c", "d", "e"]) await write(label, "enforce");
  assert.equal(backups().length, 3);
});
