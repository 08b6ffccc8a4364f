/**
 * The metadata that agents of the Agent Client Protocol keep in their sessions. Every other write preserves it; these
 * functions are the ones that may change and drop it. Without `cfg` they go by the gateway's own configuration file.
 */

import { mergeSessionEntry } from "./entry.js";
import { readGatewayConfigBestEffort } from "./gateway-config.js";
import { cloneJson } from "./json-clone.js";
import { resolveSessionStoreEntry } from "./key-normalization.js";
import { loadSessionStore, readSessionEntry } from "./load.js";
import { resolveStorePath } from "./paths.js";
import { ownValue, setOwnValue } from "./prototype-keys.js";
import { normalizeAgentId, parseAgentSessionKey } from "./session-key.js";
import { resolveAllAgentSessionStoreTargets } from "./targets.js";
import type { OpenClawConfig, SessionAcpMeta, SessionEntry } from "./types.js";
import { updateSessionStore } from "./update.js";

type AcpConfig = Pick<OpenClawConfig, "session" | "agents">;

export interface AcpSessionStoreEntry {
  cfg: AcpConfig;
  storePath: string;
  sessionKey: string;
  /** The key under which the store has it. */
  storeSessionKey: string;
  entry?: SessionEntry;
  acp?: SessionAcpMeta;
  /** The store, or this session, could not be read: that `entry` is missing says nothing. */
  storeReadFailed?: boolean;
}

/** `null` for a blank key. */
export function readAcpSessionEntry(params: { sessionKey: string; cfg?: AcpConfig }): AcpSessionStoreEntry | null {
  const sessionKey = params.sessionKey.trim();
  if (sessionKey === "") return null;
  const cfg = params.cfg ?? readGatewayConfigBestEffort();
  const storePath = storePathOf(sessionKey, cfg);
  const found = { cfg, storePath, sessionKey, storeSessionKey: sessionKey.toLowerCase() };
  try {
    const entry = readSessionEntry(storePath, sessionKey);
    return { ...found, ...(entry === undefined ? {} : { entry, ...(entry.acp ? { acp: entry.acp } : {}) }) };
  } catch {
    return { ...found, storeReadFailed: true };
  }
}

/** Every session of every agent that has such metadata. */
export async function listAcpSessionEntries(
  params: { cfg?: AcpConfig; env?: NodeJS.ProcessEnv } = {},
): Promise<AcpSessionStoreEntry[]> {
  const cfg = params.cfg ?? readGatewayConfigBestEffort();
  const targets = await resolveAllAgentSessionStoreTargets(cfg, params.env === undefined ? {} : { env: params.env });
  const found: AcpSessionStoreEntry[] = [];
  for (const { storePath } of targets) {
    const store = loadSessionStore(storePath);
    for (const sessionKey of Object.keys(store)) {
      const entry = ownValue(store, sessionKey);
      if (!entry?.acp) continue;
      found.push({ cfg, storePath, sessionKey, storeSessionKey: sessionKey, entry, acp: entry.acp });
    }
  }
  return found;
}

/**
 * `mutate` returns the metadata to have, `null` to drop it, `undefined` to leave everything as it is. A session that does
 * not exist is made, unless there is nothing to put into it. Resolves with the session, or `null` when there is none.
 */
export async function upsertAcpSessionMeta(params: {
  sessionKey: string;
  cfg?: AcpConfig;
  mutate: (current: SessionAcpMeta | undefined, entry: SessionEntry | undefined) => SessionAcpMeta | null | undefined;
}): Promise<SessionEntry | null> {
  const sessionKey = params.sessionKey.trim();
  if (sessionKey === "") return null;
  return updateSessionStore(
    storePathOf(sessionKey, params.cfg ?? readGatewayConfigBestEffort()),
    (store) => {
      const { normalizedKey, existing, legacyKeys } = resolveSessionStoreEntry({ store, sessionKey });
      const copy = cloneJson(existing);
      const wanted = params.mutate(copy?.acp, copy);
      if (wanted === undefined) return existing ?? null;
      if (wanted === null && existing === undefined) return null;
      const next = mergeSessionEntry(existing, { acp: wanted ?? undefined });
      if (wanted === null) delete next.acp;
      for (const key of legacyKeys) delete store[key];
      setOwnValue(store, normalizedKey, next);
      return next;
    },
    { activeSessionKey: sessionKey.toLowerCase(), allowDropAcpMetaSessionKeys: [sessionKey] },
  );
}

function storePathOf(sessionKey: string, cfg: AcpConfig): string {
  const agentId = parseAgentSessionKey(sessionKey)?.agentId;
  return resolveStorePath(cfg.session?.store, agentId === undefined ? {} : { agentId: normalizeAgentId(agentId) });
}
