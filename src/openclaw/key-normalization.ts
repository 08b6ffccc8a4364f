/**
 * From a key that somebody names to the key under which a store keeps the session. Pure; stores are only read.
 */

import { resolveDefaultAgentId } from "./agent-config.js";
import { canonicalizeMainSessionAlias, resolveMainSessionKey } from "./main-session.js";
import { ownValue } from "./prototype-keys.js";
import { DEFAULT_MAIN_KEY, normalizeAgentId, normalizeMainKey, parseAgentSessionKey } from "./session-key.js";
import { normalizeLowercaseStringOrEmpty } from "./strings.js";
import { trackedViewOf } from "./tracked-view.js";
import type { OpenClawConfig, SessionEntry } from "./types.js";

export { deriveSessionKey, normalizeExplicitSessionKey, resolveSessionKey } from "./derive-session-key.js";
export { canonicalizeMainSessionAlias } from "./main-session.js";

type KeyConfig = Pick<OpenClawConfig, "session" | "agents">;

/** Trimmed and lower case; a blank key is `""`. */
export function normalizeStoreSessionKey(sessionKey: string): string {
  return normalizeLowercaseStringOrEmpty(sessionKey);
}

export interface ResolvedSessionStoreEntry<Entry = SessionEntry> {
  normalizedKey: string;
  existing: Entry | undefined;
  /** Other spellings of the key that the store holds; whoever writes removes them. */
  legacyKeys: string[];
}

/**
 * The entry of a session under whatever spelling the store has it. Of several, the one under the normalised key, or else
 * the one as it was typed, gives way only to a strictly newer one. Reads no entry of another session.
 */
export function resolveSessionStoreEntry<Entry extends { updatedAt?: number } = SessionEntry>(params: {
  store: Record<string, Entry>;
  sessionKey: string;
}): ResolvedSessionStoreEntry<Entry> {
  const { store } = params;
  const trimmedKey = params.sessionKey.trim();
  const normalizedKey = normalizeStoreSessionKey(trimmedKey);
  const legacyKeys: string[] = [];
  let existing = ownValue(store, normalizedKey) ?? undefined;
  if (existing === undefined && trimmedKey !== normalizedKey) {
    existing = ownValue(store, trimmedKey) ?? undefined;
  }
  // A view of a store knows the spellings without a look at every session.
  for (const key of trackedViewOf(store)?.spellingsOf(normalizedKey) ?? Object.keys(store)) {
    if (key === normalizedKey || normalizeStoreSessionKey(key) !== normalizedKey) continue;
    legacyKeys.push(key);
    const candidate = ownValue(store, key) ?? undefined;
    if (existing === undefined || (candidate?.updatedAt ?? 0) > (existing.updatedAt ?? 0)) existing = candidate;
  }
  return { normalizedKey, existing, legacyKeys };
}

/** The canonical key of a session for the gateway: always with its agent, the main session under its one name. */
export function resolveSessionStoreKey(params: { cfg: KeyConfig; sessionKey: string }): string {
  const { cfg } = params;
  const key = normalizeStoreSessionKey(params.sessionKey);
  if (isWholeKey(key)) return key;
  const parsed = parseAgentSessionKey(key);
  if (parsed !== null) return canonicalizeMainSessionAlias({ cfg, agentId: parsed.agentId, sessionKey: key });
  if (key === DEFAULT_MAIN_KEY || key === normalizeMainKey(cfg.session?.mainKey)) return resolveMainSessionKey(cfg);
  return canonicalizeSessionKeyForAgent(resolveDefaultAgentId(cfg), key);
}

/** The key in lower case and with an agent in front, unless it names one or needs none. */
export function canonicalizeSessionKeyForAgent(agentId: string, sessionKey: string): string {
  const key = normalizeStoreSessionKey(sessionKey);
  // A malformed agent key keeps its form: with another agent in front, it would be a second name for one mistake.
  if (key === "" || isWholeKey(key) || key.startsWith("agent:")) return key;
  return `agent:${normalizeAgentId(agentId)}:${key}`;
}

/** The agent in whose store a canonical key lies. */
export function resolveSessionStoreAgentId(cfg: KeyConfig, canonicalKey: string): string {
  const parsed = isWholeKey(canonicalKey) ? null : parseAgentSessionKey(canonicalKey);
  return parsed === null ? resolveDefaultAgentId(cfg) : normalizeAgentId(parsed.agentId);
}

/** The key of the session that spawned another, as the spawned one's agent means it; undefined for a blank one. */
export function canonicalizeSpawnedByForAgent(
  cfg: KeyConfig,
  agentId: string,
  spawnedBy?: string | null,
): string | undefined {
  const key = canonicalizeSessionKeyForAgent(agentId, spawnedBy ?? "");
  if (key === "") return undefined;
  const owner = parseAgentSessionKey(key)?.agentId;
  return owner === undefined ? key : canonicalizeMainSessionAlias({ cfg, agentId: owner, sessionKey: key });
}

/** What the gateway's lists call a session. The entry's own kind comes before what the key looks like. */
export function classifySessionKey(
  key: string,
  entry?: Pick<SessionEntry, "chatType"> | null,
): "global" | "unknown" | "group" | "direct" {
  if (key === "global" || key === "unknown") return key;
  if (entry?.chatType === "group" || entry?.chatType === "channel") return "group";
  return key.includes(":group:") || key.includes(":channel:") ? "group" : "direct";
}

/** The two keys that are whole by themselves. */
function isWholeKey(key: string): boolean {
  return key === "global" || key === "unknown";
}
