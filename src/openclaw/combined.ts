/**
 * One view of several stores, as the gateway lists them: every session once, under its canonical key. Pure: the stores
 * have been read by others, and none of their entries is changed.
 */

import { resolveDefaultAgentId } from "./agent-config.js";
import { canonicalizeSessionKeyForAgent, canonicalizeSpawnedByForAgent } from "./key-normalization.js";
import { canonicalizeMainSessionAlias } from "./main-session.js";
import { emptyRecord, ownValue, setOwnValue } from "./prototype-keys.js";
import { normalizeAgentId, parseAgentSessionKey } from "./session-key.js";
import { normalizeOptionalString } from "./strings.js";
import type { OpenClawConfig, SessionEntry } from "./types.js";

type StoreConfig = Pick<OpenClawConfig, "session" | "agents">;

/** A store that has been read, and the agent it belongs to. */
export interface CombinedStoreSource {
  agentId: string;
  storePath: string;
  store: Record<string, SessionEntry>;
}

/** In place of a path, when the sessions come from several. */
export const MULTIPLE_STORE_PATHS = "(multiple)";

/**
 * The sessions of all sources. Of two entries under one key the newer one wins field by field and the older one fills
 * its gaps; of equally old ones, the later source counts as newer. `storePath` is that of the only source, else the
 * configured template, else `(multiple)`.
 */
export function combineSessionStores(params: { cfg: StoreConfig; sources: readonly CombinedStoreSource[] }): {
  storePath: string;
  store: Record<string, SessionEntry>;
} {
  const { cfg, sources } = params;
  const store = emptyRecord<SessionEntry>();
  for (const source of sources) {
    for (const key of Object.keys(source.store)) {
      const entry = ownValue(source.store, key);
      if (typeof entry !== "object" || entry === null) continue;
      const canonicalKey = canonicalKeyInStore(cfg, source.agentId, key);
      mergeSessionEntryIntoCombined({ cfg, combined: store, entry, agentId: source.agentId, canonicalKey });
    }
  }
  return { storePath: combinedStorePath(cfg, sources), store };
}

/**
 * The sessions of the one file that all agents share. There is no agent but the default one to put in front of a bare
 * key, and a key that names an agent stays with it.
 */
export function combineSharedSessionStore(params: {
  cfg: StoreConfig;
  storePath: string;
  store: Record<string, SessionEntry>;
}): { storePath: string; store: Record<string, SessionEntry> } {
  const { cfg, storePath, store } = params;
  return combineSessionStores({ cfg, sources: [{ agentId: resolveDefaultAgentId(cfg), storePath, store }] });
}

function canonicalKeyInStore(cfg: StoreConfig, agentId: string, key: string): string {
  const sessionKey = canonicalizeSessionKeyForAgent(agentId, key);
  const owner = parseAgentSessionKey(sessionKey)?.agentId;
  return owner === undefined ? sessionKey : canonicalizeMainSessionAlias({ cfg, agentId: owner, sessionKey });
}

/** Puts one entry under its canonical key, together with what is already there. */
export function mergeSessionEntryIntoCombined(params: {
  cfg: StoreConfig;
  combined: Record<string, SessionEntry>;
  entry: SessionEntry;
  agentId: string;
  canonicalKey: string;
}): void {
  const { cfg, combined, entry, canonicalKey } = params;
  const existing = ownValue(combined, canonicalKey);
  const existingIsNewer = existing !== undefined && (existing.updatedAt ?? 0) > (entry.updatedAt ?? 0);
  const [newer, older] = existingIsNewer ? [existing, entry] : [entry, existing];
  const merged: SessionEntry = { ...older, ...newer };
  const agentId = normalizeAgentId(params.agentId);
  const spawnedBy = canonicalizeSpawnedByForAgent(cfg, agentId, newer.spawnedBy ?? older?.spawnedBy);
  if (spawnedBy === undefined) delete merged.spawnedBy;
  else merged.spawnedBy = spawnedBy;
  setOwnValue(combined, canonicalKey, merged);
}

function combinedStorePath(cfg: StoreConfig, sources: readonly CombinedStoreSource[]): string {
  const only = sources.length === 1 ? sources[0]?.storePath : undefined;
  return only ?? normalizeOptionalString(cfg.session?.store) ?? MULTIPLE_STORE_PATHS;
}
