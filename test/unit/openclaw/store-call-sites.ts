/**
 * Calls of the functions that read and write a store, as a gateway and its plugins write them. Nothing here runs: that it
 * compiles is the test. What callers pass and what they do with the result is theirs; see call-sites.ts.
 */

import type { SaveSessionStoreOptions, SessionEntry } from "../../../src/openclaw/index.js";
import {
  clearSessionStoreCaches,
  extractDeliveryInfo,
  loadSessionStore,
  loadSessionStoreSummary,
  migrateSessionStoreToDirectory,
  migrateSessionStoreToLegacy,
  readSessionStoreReadOnly,
  readSessionUpdatedAt,
  recordSessionMetaFromInbound,
  resolveAndPersistSessionFile,
  resolveMaintenanceConfig,
  resolveSessionStoreEntry,
  resolveSessionStoreTargetsOrExit,
  runStartupSessionStoreMigration,
  saveSessionStore,
  updateLastRoute,
  updateSessionStore,
  updateSessionStoreEntry,
} from "../../../src/openclaw/index.js";

/** A plugin's own fields, beside those of the gateway. */
type PluginEntry = SessionEntry & { counter?: number; pluginState?: { step: string } };

export function loading(storePath: string): string[] {
  const store = loadSessionStore(storePath);
  const fresh: Record<string, SessionEntry> = loadSessionStore(storePath, { skipCache: true });
  loadSessionStore(storePath, { maintenanceConfig: resolveMaintenanceConfig() });
  const entry: SessionEntry | undefined = store["agent:main:main"];
  store["agent:main:main"] = { ...entry, sessionId: "id", updatedAt: 1 };
  delete fresh["agent:main:main"];
  const { existing, normalizedKey, legacyKeys } = resolveSessionStoreEntry({ store, sessionKey: "Main" });
  const updatedAt: number | undefined = readSessionUpdatedAt({ storePath, sessionKey: normalizedKey });
  const routes = Object.values(loadSessionStoreSummary(storePath)).map(({ lastChannel, lastTo }) => [
    lastChannel,
    lastTo,
  ]);
  const readOnly: Record<string, SessionEntry | undefined> = readSessionStoreReadOnly(storePath);
  clearSessionStoreCaches();
  return [existing?.sessionId ?? "", String(updatedAt), ...legacyKeys, ...Object.keys(readOnly), String(routes.length)];
}

export async function saving(storePath: string): Promise<void> {
  const store: Record<string, SessionEntry> = loadSessionStore(storePath);
  await saveSessionStore(storePath, store);
  await saveSessionStore(storePath, store, { skipMaintenance: true });
  const options: SaveSessionStoreOptions = {
    activeSessionKey: "agent:main:main",
    allowDropAcpMetaSessionKeys: ["agent:main:acp:1"],
    onWarn: (warning) => console.warn(warning.activeSessionKey, warning.wouldPrune),
    onMaintenanceApplied: async (report) => {
      const freed: number = report.diskBudget?.freedBytes ?? 0;
      console.log(report.mode, report.beforeCount - report.afterCount, report.pruned, report.capped, freed);
    },
    maintenanceOverride: { mode: "enforce", maxEntries: 10 },
    maintenanceConfig: resolveMaintenanceConfig(),
  };
  await saveSessionStore(storePath, store, options);
}

export async function updating(storePath: string, sessionKey: string): Promise<SessionEntry | null> {
  // The mutator's value comes back, whatever it is.
  const removed: number = await updateSessionStore(storePath, (store) => {
    let count = 0;
    for (const [key, entry] of Object.entries(store)) {
      if (!entry?.updatedAt) continue;
      delete store[key];
      count += 1;
    }
    return count;
  });
  const next: SessionEntry | undefined = await updateSessionStore(
    storePath,
    async (store) => {
      await Promise.resolve();
      const entry = store[sessionKey] as PluginEntry | undefined;
      if (entry === undefined) return undefined;
      entry.counter = (entry.counter ?? 0) + removed;
      store[sessionKey] = { ...entry, updatedAt: Date.now(), totalTokens: undefined as unknown as number };
      return store[sessionKey];
    },
    { activeSessionKey: sessionKey, skipMaintenance: true },
  );
  await updateSessionStore(storePath, (store) => {
    store[sessionKey] = { sessionId: "new", updatedAt: 1 };
  });
  console.log(next?.label);
  return updateSessionStoreEntry({
    storePath,
    sessionKey,
    update: async (entry) => (entry.abortedLastRun ? null : { abortedLastRun: true, updatedAt: Date.now() }),
  });
}

export async function inbound(
  storePath: string,
  ctx: { From: string; Body: string; SessionKey: string },
): Promise<void> {
  const entry: SessionEntry | null = await recordSessionMetaFromInbound({ storePath, sessionKey: ctx.SessionKey, ctx });
  await recordSessionMetaFromInbound({
    storePath,
    sessionKey: ctx.SessionKey,
    ctx,
    groupResolution: null,
    createIfMissing: false,
  });
  const routed: SessionEntry = await updateLastRoute({
    storePath,
    sessionKey: ctx.SessionKey,
    channel: "telegram",
    to: "telegram:1",
    accountId: "default",
    threadId: 7,
  });
  await updateLastRoute({
    storePath,
    sessionKey: ctx.SessionKey,
    deliveryContext: { channel: "slack", to: "c1", threadId: "17.01" },
    ctx,
    groupResolution: { key: "slack:channel:c1", channel: "slack", id: "c1", chatType: "channel" },
  });
  const { deliveryContext, threadId } = extractDeliveryInfo(ctx.SessionKey);
  console.log(entry?.origin?.from, routed.lastTo, deliveryContext?.to, threadId);
}

export async function transcripts(storePath: string, sessionStore: Record<string, SessionEntry>): Promise<string> {
  const { sessionFile, sessionEntry } = await resolveAndPersistSessionFile({
    sessionId: "id",
    sessionKey: "agent:main:main",
    sessionStore,
    storePath,
    sessionEntry: sessionStore["agent:main:main"],
    agentId: "main",
    sessionsDir: "/sessions",
    fallbackSessionFile: "/sessions/id.jsonl",
    activeSessionKey: "agent:main:main",
  });
  return `${sessionFile} ${sessionEntry.updatedAt}`;
}

export function selecting(
  cfg: { session?: { store?: string } },
  opts: { agent?: string; allAgents?: boolean },
): string[] {
  const targets = resolveSessionStoreTargetsOrExit({
    cfg,
    opts,
    // A literal, as the command line of the gateway writes it.
    runtime: {
      log: (...lines: unknown[]) => console.log(...lines),
      error: (line) => console.error(line),
      exit: (code) => process.exit(code),
    },
  });
  return (targets ?? []).map(({ agentId, storePath }) => `${agentId} ${storePath}`);
}

export async function migrating(storePath: string, stateDir: string): Promise<string[]> {
  await migrateSessionStoreToDirectory(storePath);
  await migrateSessionStoreToLegacy(storePath);
  const log = { info: (message: string) => console.log(message), warn: (message: string) => console.warn(message) };
  const results = await runStartupSessionStoreMigration({ stateDir, configuredStorePath: storePath, log });
  return results.map(({ outcome, warnings }) => `${outcome} ${warnings.length}`);
}
