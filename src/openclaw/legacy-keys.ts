/**
 * Session keys of older versions, brought to the present grammar: the pure half of what the gateway does with them when
 * it starts. The result is a new store; the one that was given is only read.
 */

import { canonicalizeSessionKeyForAgent, normalizeStoreSessionKey } from "./key-normalization.js";
import { canonicalizeMainSessionAlias } from "./main-session.js";
import { emptyRecord, ownValue, setOwnValue } from "./prototype-keys.js";
import { normalizeAgentId, parseAgentSessionKey } from "./session-key.js";
import type { SessionEntry, SessionScope } from "./types.js";

export interface LegacyKeyContext {
  /** The agent whose store it is. */
  agentId: string;
  mainKey?: string;
  scope?: SessionScope;
  /** True: several agents keep their sessions in this store. Then no key of another agent is touched. */
  isShared?: boolean;
}

/**
 * The present key of a session: groups get their channel (`whatsapp` by the form of the address, else `unknown`), bare
 * keys the agent, and every name of the main session its one key. A blank key is `""`.
 */
export function canonicalizeLegacySessionKey(sessionKey: string, context: LegacyKeyContext): string {
  const key = normalizeStoreSessionKey(sessionKey);
  const agentId = normalizeAgentId(context.agentId);
  const owner = parseAgentSessionKey(key)?.agentId;
  if (owner !== undefined && owner !== agentId && context.isShared === true) return key;
  const cfg = { session: { mainKey: context.mainKey, scope: context.scope } };
  return canonicalizeMainSessionAlias({
    cfg,
    agentId,
    sessionKey: canonicalizeSessionKeyForAgent(agentId, withChannel(key)),
  });
}

/** `group:x` and `channel:x` had no channel once, and a WhatsApp group not even the word. */
function withChannel(key: string): string {
  const address =
    /^(?:(?:whatsapp:)?group:)?([^:]+@g\.us)$/.exec(key)?.[1] ?? /^whatsapp:([^:]+@g\.us)$/.exec(key)?.[1];
  if (address !== undefined) return `whatsapp:group:${address}`;
  return /^(group|channel):/.test(key) ? `unknown:${key}` : key;
}

/**
 * The store under present keys. Of several entries for one session the newest wins, of equally old ones the one whose
 * key was right already. Left out are blank keys and what has no `sessionId` that is a string. `renamedKeys` are
 * those whose session goes by another key now, `droppedKeys` those that were left out.
 */
export function canonicalizeLegacySessionStore(
  store: Readonly<Record<string, SessionEntry>>,
  context: LegacyKeyContext,
): { store: Record<string, SessionEntry>; renamedKeys: string[]; droppedKeys: string[] } {
  const next = emptyRecord<SessionEntry>();
  const renamedKeys: string[] = [];
  const droppedKeys: string[] = [];
  for (const key of Object.keys(store)) {
    const entry = ownValue(store, key);
    const canonicalKey = canonicalizeLegacySessionKey(key, context);
    if (canonicalKey === "" || typeof entry?.sessionId !== "string") {
      droppedKeys.push(key);
      continue;
    }
    if (canonicalKey !== key) renamedKeys.push(key);
    const rival = ownValue(next, canonicalKey);
    const isTie = (entry.updatedAt ?? 0) === (rival?.updatedAt ?? 0);
    const isNewer = (entry.updatedAt ?? 0) > (rival?.updatedAt ?? 0);
    if (rival !== undefined && !isNewer && !(isTie && key === canonicalKey)) continue;
    setOwnValue(next, canonicalKey, entry);
  }
  return { store: next, renamedKeys, droppedKeys };
}
