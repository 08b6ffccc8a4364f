/**
 * Calls as a gateway and its plugins write them. Nothing here runs: that it compiles is the test. The types of the
 * callers are their own, wider than ours - a configuration with sections we never heard of, an entry with more fields,
 * a message that went through a pipeline.
 */

import type { DeliveryContext, GroupKeyResolution, MsgContext, SessionEntry } from "../../../src/openclaw/index.js";
import * as api from "../../../src/openclaw/index.js";

/** An interface and a type alias: TypeScript treats the two differently where index signatures are concerned. */
interface GatewayConfig {
  session?: {
    scope?: "per-sender" | "global";
    mainKey?: string;
    store?: string;
    dmScope?: "main" | "per-peer" | "per-channel-peer" | "per-account-channel-peer";
    identityLinks?: Record<string, string[]>;
    reset?: { mode?: "daily" | "idle"; atHour?: number; idleMinutes?: number };
    resetByType?: { direct?: { mode?: "daily" | "idle" }; group?: { mode?: "daily" | "idle" } };
    resetByChannel?: Record<string, { mode?: "daily" | "idle"; idleMinutes?: number }>;
    idleMinutes?: number;
    maintenance?: { mode?: "enforce" | "warn"; maxEntries?: number; pruneAfter?: string | number };
    somethingNew?: { deep: true };
  };
  agents?: { list?: { id: string; default?: boolean; tools?: { allow: string[] } }[]; defaults?: { model?: string } };
  channels?: { telegram?: { enabled?: boolean }; [channel: string]: unknown };
  experimental?: { flag: boolean };
}

type InboundContext = MsgContext & { Body: string; MediaPaths?: string[]; CommandAuthorized: boolean };

interface PluginEntry {
  sessionId: string;
  updatedAt: number;
  lastChannel?: string;
  lastTo?: string;
  origin?: { provider?: string; threadId?: string | number };
}

export function callSites(
  cfg: GatewayConfig,
  ctx: InboundContext,
  store: Record<string, SessionEntry>,
  maybeEntry: SessionEntry | undefined,
  nullableKey: string | null | undefined,
  pluginEntry: PluginEntry,
): unknown[] {
  const sessionCfg = cfg.session;
  const sessionKey = api.resolveSessionKey(sessionCfg?.scope ?? "per-sender", ctx, sessionCfg?.mainKey);
  const agentId = api.resolveAgentIdFromSessionKey(sessionKey);
  const entry: SessionEntry | undefined = store[sessionKey];
  const now = 1_700_000_000_000;

  // Session start of an inbound message.
  const groupResolution: GroupKeyResolution | null = api.resolveGroupSessionKey(ctx);
  const isGroup = ctx.ChatType?.toLowerCase() === "group" || Boolean(groupResolution);
  const isThread = api.resolveThreadFlag({
    sessionKey,
    messageThreadId: ctx.MessageThreadId,
    threadLabel: ctx.ThreadLabel,
    threadStarterBody: ctx.ThreadStarterBody,
    parentSessionKey: ctx.ParentSessionKey,
  });
  const nullFlags = api.resolveThreadFlag({
    sessionKey: nullableKey,
    messageThreadId: ctx.MessageThreadId ?? null,
    threadLabel: null,
    threadStarterBody: null,
    parentSessionKey: null,
  });
  const resetType: api.SessionResetType = api.resolveSessionResetType({ sessionKey, isGroup, isThread });
  const resetPolicy = api.resolveSessionResetPolicy({
    sessionCfg,
    resetType,
    resetOverride: api.resolveChannelResetConfig({
      sessionCfg,
      channel: groupResolution?.channel ?? ctx.OriginatingChannel ?? ctx.Surface ?? ctx.Provider,
    }),
  });
  const fresh = entry
    ? api.evaluateSessionFreshness({ updatedAt: entry.updatedAt, now, policy: resetPolicy }).fresh
    : false;
  const idleOnly = api.evaluateSessionFreshness({
    updatedAt: 0,
    now,
    policy: { mode: "idle", atHour: 4, idleMinutes: 0 },
  });
  const daily: number = api.resolveDailyResetAtMs(now, resetPolicy.atHour);
  const triggers: string[] = api.DEFAULT_RESET_TRIGGERS;
  const trigger: string = api.DEFAULT_RESET_TRIGGER;

  // Entries.
  const touched: SessionEntry = api.mergeSessionEntry(entry, {
    sessionId: "s",
    systemSent: false,
    abortedLastRun: false,
  });
  const preserved = api.mergeSessionEntryPreserveActivity(entry, { label: undefined });
  const merged = api.mergeSessionEntryWithPolicy(
    undefined,
    { lastChannel: "slack" },
    { policy: "touch-activity", now },
  );
  const custom = api.mergeSessionEntry(entry, { counter: 1, nested: { any: ["thing"] } });
  const normalized: SessionEntry = api.normalizeSessionRuntimeModelFields(touched);
  const changed: boolean = api.setSessionRuntimeModel(touched, { provider: "anthropic", model: "opus" });
  const tokens: number | undefined = api.resolveFreshSessionTotalTokens(maybeEntry);
  const anyTokens = api.resolveSessionTotalTokens({ totalTokens: 5 });
  const tokensFresh: boolean = api.isSessionTotalTokensFresh({ totalTokens: 1, totalTokensFresh: false });
  const lines = [...api.resolveSessionPluginStatusLines(maybeEntry), ...api.resolveSessionPluginTraceLines(maybeEntry)];
  const carried = { ...touched, ...api.resolveResetPreservedSelection({ entry: maybeEntry }) } satisfies SessionEntry;

  // Metadata and routes.
  const metaPatch: Partial<SessionEntry> | null = api.deriveSessionMetaPatch({
    ctx,
    sessionKey,
    existing: entry,
    groupResolution,
    skipSystemEventOrigin: true,
  });
  const withMeta: SessionEntry = metaPatch ? { ...touched, ...metaPatch } : touched;
  const groupPatch = api.deriveGroupSessionPatch({ ctx, sessionKey, groupResolution: undefined });
  const origin = api.deriveSessionOrigin(ctx);
  const eventOrigin = api.deriveSessionOrigin({ Provider: "heartbeat" }, { skipSystemEventOrigin: true });
  const snapshot = api.snapshotSessionOrigin(maybeEntry);
  const label: string | undefined = api.resolveConversationLabel(ctx);
  const displayName: string = api.buildGroupDisplayName({
    provider: withMeta.channel,
    subject: withMeta.subject,
    groupChannel: withMeta.groupChannel,
    space: withMeta.space,
    id: groupResolution?.id,
    key: sessionKey,
  });
  const route: DeliveryContext | undefined = api.mergeDeliveryContext(
    api.normalizeDeliveryContext({
      channel: ctx.OriginatingChannel,
      to: ctx.OriginatingTo,
      threadId: ctx.MessageThreadId,
    }),
    api.deliveryContextFromSession(maybeEntry),
  );
  const routeOfPlugin = api.deliveryContextFromSession(pluginEntry);
  const routeKey: string | undefined = api.deliveryContextKey(route);
  const fields = api.normalizeSessionDeliveryFields({
    deliveryContext: { channel: "slack", to: "c", threadId: undefined },
  });
  const entryFields = api.normalizeSessionDeliveryFields(entry);
  const withRoute: SessionEntry = { ...touched, ...fields, deliveryContext: entryFields.deliveryContext };

  // Keys.
  const resolved = api.resolveSessionStoreEntry({ store, sessionKey });
  const existing: SessionEntry | undefined = resolved.existing;
  for (const legacyKey of resolved.legacyKeys) delete store[legacyKey];
  const ofPlugins = api.resolveSessionStoreEntry({ store: { k: pluginEntry }, sessionKey: "k" }).existing?.lastTo;
  const storeKey = api.resolveSessionStoreKey({ cfg, sessionKey: api.normalizeStoreSessionKey(" X ") });
  const owner = api.resolveSessionStoreAgentId(cfg, storeKey);
  const spawnedBy: string | undefined = api.canonicalizeSpawnedByForAgent(cfg, owner, entry?.spawnedBy);
  const kind: "global" | "unknown" | "group" | "direct" = api.classifySessionKey(sessionKey, entry);
  const shape = api.classifySessionKeyShape(nullableKey) === "malformed_agent";
  const mainKeys = [
    api.resolveMainSessionKey(cfg),
    api.resolveMainSessionKey(),
    api.resolveAgentMainSessionKey({ cfg, agentId }),
    api.resolveExplicitAgentSessionKey({ cfg, agentId: undefined }),
    api.canonicalizeMainSessionAlias({ cfg, agentId, sessionKey }),
    api.normalizeMainKey(cfg.session?.mainKey),
    api.buildAgentMainSessionKey({ agentId, mainKey: cfg.session?.mainKey }),
  ];
  const peerKey = api.buildAgentPeerSessionKey({
    agentId: api.normalizeAgentId(nullableKey),
    channel: "telegram",
    accountId: ctx.AccountId,
    peerKind: "direct",
    peerId: ctx.SenderId,
    dmScope: cfg.session?.dmScope,
    identityLinks: cfg.session?.identityLinks,
  });
  const threadKeys = api.resolveThreadSessionKeys({
    baseSessionKey: peerKey,
    threadId: ctx.MessageThreadId === undefined ? undefined : String(ctx.MessageThreadId),
    parentSessionKey: undefined,
    useSuffix: true,
    normalizeThreadId: (threadId) => threadId,
  });
  const { baseSessionKey, threadId } = api.parseSessionThreadInfo(nullableKey);
  const parsed = api.parseAgentSessionKey(nullableKey);
  const requestKey = api.toAgentRequestSessionKey(sessionKey) ?? sessionKey;
  const candidate = api.toAgentStoreSessionKey({ agentId, requestKey, mainKey: cfg.session?.mainKey });
  const explicit = api.normalizeExplicitSessionKey(sessionKey, ctx);
  const derived = api.deriveSessionKey("per-sender", { From: "+1555", To: "", Body: "" });
  const conversation = api.parseRawSessionConversationRef(baseSessionKey ?? sessionKey)?.rawId;
  const chatType = api.deriveSessionChatTypeFromKey(nullableKey);
  const flags: boolean[] = [
    api.isCronSessionKey(nullableKey),
    api.isCronRunSessionKey(sessionKey),
    api.isSubagentSessionKey(nullableKey),
    api.isAcpSessionKey(sessionKey),
    api.isThreadSessionKey(sessionKey),
    api.isValidAgentId(nullableKey),
    api.isBlockedObjectKey(sessionKey),
  ];
  const parent = api.resolveThreadParentSessionKey(nullableKey);
  const historyKey = api.buildGroupHistoryKey({ channel: "slack", accountId: null, peerKind: "channel", peerId: "c" });
  const account = api.normalizeAccountId(ctx.AccountId);

  // Sub-agents, several stores, text.
  const depths = [
    api.getSubagentDepth(nullableKey),
    api.getSubagentDepthFromSessionStore(nullableKey, { cfg }),
    api.getSubagentDepthFromSessionStore(sessionKey, { cfg, store }),
    api.getSubagentDepthFromSessionStore(sessionKey, { store: { [sessionKey]: { spawnDepth: 2 } } }),
  ];
  const combined = api.combineSessionStores({ cfg, sources: [{ agentId, storePath: "/sessions.json", store }] });
  const mirror = api.resolveMirroredTranscriptText({ text: ctx.Body, mediaUrls: ctx.MediaPaths });
  api.normalizeSessionStore(store);
  api.applySessionStoreMigrations(store);
  const cache = api.createExpiringMapCache<string, { store: typeof store }>({ ttlMs: () => 45_000 });
  cache.set("path", { store });
  const text: string = api.stableStringify(combined.store);
  const agents = [...api.listAgentIds(cfg), api.resolveDefaultAgentId(cfg)];

  return [
    [
      nullFlags,
      fresh,
      idleOnly.idleExpiresAt,
      daily,
      triggers,
      trigger,
      preserved,
      merged,
      custom,
      normalized,
      changed,
    ],
    [tokens, anyTokens, tokensFresh, lines, carried, groupPatch, origin, eventOrigin, snapshot, label, displayName],
    [
      routeOfPlugin?.to,
      routeKey,
      withRoute,
      existing,
      ofPlugins,
      spawnedBy,
      kind,
      shape,
      mainKeys,
      threadKeys.sessionKey,
    ],
    [threadId, parsed?.rest, candidate, explicit, derived, conversation, chatType, flags, parent, historyKey, account],
    [depths, combined.storePath, mirror, cache.get("path")?.store, text, agents],
  ];
}
