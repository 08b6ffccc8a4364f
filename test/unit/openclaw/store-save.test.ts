/** Loading, saving, and maintenance on the way. */

import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import {
  extractDeliveryInfo,
  getSubagentDepthFromSessionStore,
  loadCombinedSessionStoreForGateway,
  loadSessionStore,
  loadSessionStoreSummary,
  migrateSessionStoreToDirectory,
  migrateSessionStoreToLegacy,
  readAcpSessionEntry,
  readSessionStoreReadOnly,
  readSessionUpdatedAt,
  resolveAndPersistSessionFile,
  type SessionEntry,
  type SessionMaintenanceApplyReport,
  type SessionMaintenanceWarning,
  saveSessionStore,
  updateLastRoute,
  updateSessionStore,
  upsertAcpSessionMeta,
} from "../../../src/openclaw/index.js";
import { resolveMaintenanceConfigFromInput } from "../../../src/openclaw/maintenance-config.js";
import { makePlace } from "./store-support.js";

function entry(sessionId: string, fields: Partial<SessionEntry> = {}): SessionEntry {
  return { sessionId, updatedAt: 1_000, ...fields };
}

function isDirectoryIn(folder: string): boolean {
  return existsSync(path.join(folder, "sessions.d"));
}

test("loadSessionStore: the copy belongs to the caller, nested objects included", async (context) => {
  const { storePath } = makePlace(context);
  await saveSessionStore(storePath, { a: entry("1", { origin: { provider: "x" } }) });
  const loaded = loadSessionStore(storePath);
  (loaded.a?.origin as { provider: string }).provider = "changed";
  delete (loaded.a as Partial<SessionEntry>).updatedAt;
  assert.deepEqual(loadSessionStore(storePath, { skipCache: true }), { a: entry("1", { origin: { provider: "x" } }) });
});

test("loadSessionStore: a legacy file is migrated in memory and normalised, and left as it is on the disk", (context) => {
  const { storePath, folder } = makePlace(context);
  writeFileSync(
    storePath,
    JSON.stringify({ "Main:X": { sessionId: "1", provider: "telegram", room: "r", model: " m " } }),
  );
  const { "Main:X": found } = loadSessionStore(storePath);
  assert.deepEqual([found?.channel, found?.groupChannel, found?.model], ["telegram", "r", "m"]);
  assert.equal(readSessionStoreReadOnly(storePath)["Main:X"]?.model, " m ");
  assert.deepEqual(readdirSync(folder), ["sessions.json"]);
});

test("better: a load sees every commit before it, without any time to wait for", async (context) => {
  const { storePath } = makePlace(context);
  for (let at = 0; at < 5; at += 1) {
    await updateSessionStore(storePath, (store) => {
      store.a = entry(`${at}`);
    });
    assert.equal(loadSessionStore(storePath).a?.sessionId, `${at}`);
  }
});

test("loadSessionStoreSummary: exactly three fields; readSessionUpdatedAt: any spelling of the key", async (context) => {
  const { storePath } = makePlace(context);
  await saveSessionStore(storePath, { a: entry("1", { lastChannel: "slack", lastTo: "x", label: "l" }) });
  assert.deepEqual(loadSessionStoreSummary(storePath), { a: { lastChannel: "slack", lastTo: "x", updatedAt: 1_000 } });
  assert.equal(readSessionUpdatedAt({ storePath, sessionKey: " A " }), 1_000);
  assert.equal(readSessionUpdatedAt({ storePath, sessionKey: "" }), undefined);
  assert.equal(readSessionUpdatedAt({ storePath: "\0", sessionKey: "a" }), undefined);
});

test("saveSessionStore: the last writer wins, and what it leaves out is removed", async (context) => {
  const { storePath } = makePlace(context);
  await saveSessionStore(storePath, { a: entry("1"), b: entry("2", { label: "l" }) });
  await saveSessionStore(storePath, { b: entry("2") });
  assert.deepEqual(loadSessionStore(storePath), { b: entry("2") });
});

test("saveSessionStore: entries are normalised in the caller's object, no updatedAt is set", async (context) => {
  const { storePath } = makePlace(context);
  const store = { a: { sessionId: "1", lastChannel: " WhatsApp ", lastTo: " 1 " } as SessionEntry };
  await saveSessionStore(storePath, store);
  assert.deepEqual([store.a.lastChannel, store.a.deliveryContext?.to], ["whatsapp", "1"]);
  assert.equal(loadSessionStore(storePath).a?.updatedAt, undefined);
});

test("saveSessionStore: a save that changes nothing writes nothing and takes no legacy file over", async (context) => {
  const { storePath, folder, port } = makePlace(context);
  writeFileSync(storePath, JSON.stringify({ a: entry("1"), b: entry("2") }));
  await saveSessionStore(storePath, loadSessionStore(storePath));
  assert.ok(!isDirectoryIn(folder));
  await saveSessionStore(storePath, { a: entry("1") });
  assert.ok(isDirectoryIn(folder));
  port.reset();
  await saveSessionStore(storePath, loadSessionStore(storePath));
  assert.equal(port.counts.bytesAppended, 0);
});

test("a copy of a store that could not be read removes nothing when it is saved", async (context) => {
  const { storePath, folder } = makePlace(context);
  await saveSessionStore(storePath, { a: entry("1") });
  const { renameSync } = await import("node:fs");
  const manifest = path.join(folder, "sessions.d", "state.json");
  const { closeSessionStores } = await import("../../../src/openclaw/shared-handles.js");
  await closeSessionStores();
  renameSync(manifest, `${manifest}.away`);
  const copy = loadSessionStore(storePath);
  assert.deepEqual(copy, {});
  renameSync(`${manifest}.away`, manifest);
  copy.b = entry("2");
  await saveSessionStore(storePath, copy);
  assert.deepEqual(Object.keys(loadSessionStore(storePath)), ["a", "b"]);
});

test("warn mode: the warning and the report come with an update, nothing is removed", async (context) => {
  const { storePath, logged } = makePlace(context);
  await saveSessionStore(storePath, { a: entry("1", { updatedAt: 1 }), b: entry("2", { updatedAt: Date.now() }) });
  const warnings: SessionMaintenanceWarning[] = [];
  const reports: SessionMaintenanceApplyReport[] = [];
  await updateSessionStore(storePath, (store) => void store.a, {
    activeSessionKey: "A",
    maintenanceOverride: { maxEntries: 1 },
    onWarn: (warning) => void warnings.push(warning),
    onMaintenanceApplied: (report) => void reports.push(report),
  });
  assert.equal(warnings.length, 1);
  const { wouldPrune, wouldCap, totalEntries, activeSessionKey } = warnings[0] as SessionMaintenanceWarning;
  assert.deepEqual([wouldPrune, wouldCap, totalEntries, activeSessionKey], [true, true, 2, "a"]);
  assert.ok(logged.includes("session maintenance would evict active session; skipping enforcement"));
  assert.deepEqual(reports, [{ mode: "warn", beforeCount: 2, afterCount: 2, pruned: 0, capped: 0, diskBudget: null }]);
  assert.equal(Object.keys(loadSessionStore(storePath)).length, 2);
});

test("enforce mode: an update prunes and caps, archives the transcripts and protects the active session", async (context) => {
  const { storePath, folder } = makePlace(context);
  const now = Date.now();
  await saveSessionStore(storePath, {
    active: entry("active", { updatedAt: 1 }),
    stale: entry("stale", { updatedAt: 2 }),
    old: entry("old", { updatedAt: now - 5_000 }),
    new: entry("new", { updatedAt: now }),
  });
  for (const name of ["active", "stale", "old", "new"]) writeFileSync(path.join(folder, `${name}.jsonl`), "{}\n");
  const reports: SessionMaintenanceApplyReport[] = [];
  await updateLastRoute({
    storePath,
    sessionKey: "Active",
    channel: "slack",
    maintenanceConfig: resolveMaintenanceConfigFromInput({ mode: "enforce", maxEntries: 2 }),
  });
  assert.deepEqual(Object.keys(loadSessionStore(storePath)).sort(), ["active", "new"]);
  const files = readdirSync(folder);
  assert.ok(files.includes("active.jsonl") && files.includes("new.jsonl"));
  for (const name of ["stale", "old"])
    assert.ok(
      files.some((file) => file.startsWith(`${name}.jsonl.deleted.`)),
      name,
    );
  await updateSessionStore(storePath, (store) => void store.new, {
    maintenanceConfig: resolveMaintenanceConfigFromInput({ mode: "enforce", maxEntries: 1 }),
    activeSessionKey: "new",
    onMaintenanceApplied: (report) => void reports.push(report),
  });
  const { pruned, capped, beforeCount, afterCount } = reports[0] as SessionMaintenanceApplyReport;
  assert.deepEqual([pruned, capped, beforeCount, afterCount], [1, 0, 2, 1]);
});

test("a setting that cannot be understood makes no write remove more, and is told once", async (context) => {
  const { storePath, folder, logged } = makePlace(context);
  const config = { session: { maintenance: { mode: "enforce", pruneAfter: "90 days", maxEntries: "5000" } } };
  writeFileSync(path.join(folder, "openclaw.json"), JSON.stringify(config));
  const now = Date.now();
  const old = Array.from({ length: 600 }, (_, at) => [`s${at}`, entry(`${at}`, { updatedAt: now - at * 7_200_000 })]);
  writeFileSync(storePath, JSON.stringify(Object.fromEntries(old)));
  await updateLastRoute({ storePath, sessionKey: "s0", channel: "telegram", to: "1" });
  await updateLastRoute({ storePath, sessionKey: "s1", channel: "telegram", to: "1" });
  assert.equal(Object.keys(loadSessionStore(storePath)).length, 600);
  const told = logged.filter((message) => message.startsWith("session.maintenance."));
  assert.deepEqual(told, [
    'session.maintenance.pruneAfter means nothing ("90 days"): no session is too old',
    'session.maintenance.maxEntries means nothing ("5000"): there is no limit to their number',
  ]);
});

test("enforce mode: a save takes out of the caller's object what it removes; skipMaintenance leaves all", async (context) => {
  const { storePath } = makePlace(context);
  const store = { a: entry("1", { updatedAt: 1 }), b: entry("2", { updatedAt: Date.now() }) };
  const maintenanceConfig = resolveMaintenanceConfigFromInput({ mode: "enforce" });
  await saveSessionStore(storePath, store, { maintenanceConfig, skipMaintenance: true });
  assert.equal(Object.keys(store).length, 2);
  await saveSessionStore(storePath, store, { maintenanceConfig });
  assert.deepEqual(Object.keys(store), ["b"]);
  assert.deepEqual(Object.keys(loadSessionStore(storePath)), ["b"]);
});

test("what the gateway could hold has no smaller limits here: taken over, written, rolled back and read again", async (context) => {
  const { storePath, folder } = makePlace(context);
  const longKey = `agent:main:${"k".repeat(600)}`;
  let deep: object = { bottom: true };
  for (let level = 0; level < 120; level += 1) deep = { deep };
  const large = { text: "x".repeat(17 * 1024 * 1024) };
  writeFileSync(storePath, JSON.stringify({ [longKey]: entry("k"), deep: entry("d", { deep }) }));
  const sessionIds = () => Object.values(loadSessionStore(storePath)).map(({ sessionId }) => sessionId);
  assert.deepEqual(sessionIds().sort(), ["d", "k"]);
  await updateSessionStore(storePath, (store) => {
    store.large = entry("l", large);
    (store[longKey] as SessionEntry).label = "known";
    (store.deep as SessionEntry).label = "too";
  });
  assert.ok(isDirectoryIn(folder));
  assert.deepEqual(sessionIds().sort(), ["d", "k", "l"]);
  assert.equal(await migrateSessionStoreToLegacy(storePath), true);
  assert.deepEqual(sessionIds().sort(), ["d", "k", "l"]);
  await updateSessionStore(storePath, (store) => {
    store.late = entry("z");
  });
  assert.equal(Object.keys(JSON.parse(readFileSync(storePath, "utf8"))).length, 4);
});

test("a store of another name than *.json is asked to become a directory: it fails, and does not reject", async (context) => {
  const { folder } = makePlace(context);
  const storePath = path.join(folder, "store.txt");
  writeFileSync(storePath, "{}");
  const { outcome, error, warnings } = await migrateSessionStoreToDirectory(storePath);
  assert.deepEqual([outcome, error?.code, warnings], ["failed", "invalid_option", [error?.message]]);
  assert.match(error?.message ?? "", /only a \*\.json file becomes a directory store .* Nothing was changed/);
  assert.equal(await migrateSessionStoreToLegacy(storePath), false);
  assert.deepEqual(readdirSync(folder), ["store.txt"]);
});

test("resolveAndPersistSessionFile: persists once, and takes no file of another session over", async (context) => {
  const { storePath, folder } = makePlace(context);
  const sessionStore: Record<string, SessionEntry> = {};
  const call = (sessionId: string) => {
    return resolveAndPersistSessionFile({ sessionId, sessionKey: "a", sessionStore, storePath, sessionsDir: folder });
  };
  const first = await call("id-1");
  assert.equal(path.basename(first.sessionFile), "id-1.jsonl");
  assert.equal(loadSessionStore(storePath).a?.sessionFile, first.sessionFile);
  const before = loadSessionStore(storePath).a?.updatedAt;
  await call("id-1");
  assert.equal(loadSessionStore(storePath).a?.updatedAt, before);
  assert.equal(path.basename((await call("id-2")).sessionFile), "id-2.jsonl");
  assert.equal(loadSessionStore(storePath).a?.sessionId, "id-2");
});

test("a store goes there and back, and is written to in both forms", async (context) => {
  const { storePath, folder } = makePlace(context);
  writeFileSync(storePath, JSON.stringify({ a: entry("1") }));
  assert.equal((await migrateSessionStoreToDirectory(storePath)).outcome, "migrated");
  await updateLastRoute({ storePath, sessionKey: "a", channel: "slack", to: "1" });
  assert.equal(await migrateSessionStoreToLegacy(storePath), true);
  assert.equal(await migrateSessionStoreToLegacy(storePath), false);
  assert.equal(loadSessionStore(storePath).a?.lastChannel, "slack");
  await updateLastRoute({ storePath, sessionKey: "a", to: "2" });
  assert.deepEqual([loadSessionStore(storePath).a?.lastTo, isDirectoryIn(folder)], ["2", false]);
});

test("an open store that is rolled back by somebody else is opened again, once, by reads and writes", async (context) => {
  const { storePath } = makePlace(context);
  await saveSessionStore(storePath, { a: entry("1") });
  const { rollbackStore } = await import("../../../src/migrate/rollback.js");
  assert.equal((await rollbackStore(storePath)).outcome, "restored");
  assert.deepEqual(loadSessionStore(storePath), { a: entry("1") });
  await updateLastRoute({ storePath, sessionKey: "a", channel: "slack" });
  assert.equal(loadSessionStore(storePath).a?.lastChannel, "slack");
});

test("ACP, delivery info, sub-agent depth and the combined store read a directory store", async (context) => {
  const { storePath } = makePlace(context);
  const cfg = { session: { store: storePath } };
  const sessionKey = "agent:main:acp:1";
  const acp = { agent: "x" } as unknown as NonNullable<SessionEntry["acp"]>;
  await updateSessionStore(storePath, (store) => {
    store["agent:main:main"] = entry("main", { lastChannel: "slack", lastTo: "1" });
    store["agent:main:subagent:x"] = entry("x", { spawnedBy: "agent:main:subagent:y" });
    store["agent:main:subagent:y"] = entry("y", { spawnDepth: 4 });
  });
  await upsertAcpSessionMeta({ sessionKey, cfg, mutate: () => acp });
  assert.deepEqual(readAcpSessionEntry({ sessionKey, cfg })?.acp, acp);
  await upsertAcpSessionMeta({ sessionKey, cfg, mutate: () => null });
  assert.equal(readAcpSessionEntry({ sessionKey, cfg })?.acp, undefined);
  assert.equal(extractDeliveryInfo("agent:main:main", cfg).deliveryContext?.to, "1");
  assert.equal(getSubagentDepthFromSessionStore("agent:main:subagent:x", { cfg }), 5);
  assert.equal(Object.keys(loadCombinedSessionStoreForGateway(cfg).store).length, 4);
});
