/**
 * How deep a session lies in a tree of sub-agents. What an entry says comes first, then the chain of those that spawned
 * it, then the key. Pure: a store is given, or read by a function that is given. An entry may be anything, since it
 * comes from files, and the chain may be a ring.
 */

import { resolveDefaultAgentId } from "./agent-config.js";
import { ownValue } from "./prototype-keys.js";
import { normalizeAgentId, parseAgentSessionKey } from "./session-key.js";
import { getSubagentDepth } from "./session-key-kinds.js";
import { normalizeLowercaseStringOrEmpty, normalizeOptionalString } from "./strings.js";
import type { OpenClawConfig } from "./types.js";

export interface SessionDepthEntry {
  sessionId?: unknown;
  spawnDepth?: unknown;
  spawnedBy?: unknown;
}

export type SessionDepthStore = Readonly<Record<string, SessionDepthEntry | undefined>>;

export interface SubagentDepthOptions {
  cfg?: Pick<OpenClawConfig, "session" | "agents">;
  store?: SessionDepthStore;
  /** Reads the store of an agent when none is given; at most once per agent. Undefined when it cannot be read. */
  readStore?: (agentId: string) => SessionDepthStore | undefined;
}

/**
 * `spawnDepth` where it is a whole number from 0, also as a string; else one more than the session named by `spawnedBy`;
 * else the number of `:subagent:` in the key. An entry is found by its key, by the key behind the default agent, or by
 * its `sessionId`.
 */
export function getSubagentDepthFromSessionStore(
  sessionKey: string | null | undefined,
  options: SubagentDepthOptions = {},
): number {
  const find = entryFinder(options);
  const seen = new Set<string>();
  let key = normalizeOptionalString(sessionKey);
  let steps = 0;
  while (key !== undefined) {
    const name = key.toLowerCase();
    // In a ring nobody is at the top, so the key that closes it has to answer for itself.
    const entry = seen.has(name) ? undefined : find(key);
    seen.add(name);
    const depth = storedDepth(entry?.spawnDepth);
    if (depth !== undefined) return depth + steps;
    const parent = normalizeOptionalString(entry?.spawnedBy);
    if (parent === undefined) return getSubagentDepth(key) + steps;
    key = parent;
    steps += 1;
  }
  return 0;
}

function storedDepth(value: unknown): number | undefined {
  const depth = typeof value === "string" && /^\s*\+?\d+\s*$/.test(value) ? Number(value) : value;
  return typeof depth === "number" && Number.isSafeInteger(depth) && depth >= 0 ? depth : undefined;
}

function entryFinder(options: SubagentDepthOptions): (key: string) => SessionDepthEntry | undefined {
  const stores = new Map<string, SessionDepthStore | undefined>();
  const defaultAgent = resolveDefaultAgentId(options.cfg);
  const storeOf = (agentId: string) => {
    if (options.store !== undefined) return options.store;
    if (!stores.has(agentId)) stores.set(agentId, options.readStore?.(agentId));
    return stores.get(agentId);
  };
  return (key) => {
    const parsed = parseAgentSessionKey(key);
    const store = storeOf(parsed === null ? defaultAgent : normalizeAgentId(parsed.agentId));
    if (store === undefined) return undefined;
    const names = [key, key.toLowerCase(), ...(parsed === null ? [`agent:${defaultAgent}:${key.toLowerCase()}`] : [])];
    for (const name of names) {
      const entry = ownValue(store, name);
      if (isObject(entry)) return entry;
    }
    return findBySessionId(store, key);
  };
}

/** The only step that looks at the whole store; reached by names that are no key of it. */
function findBySessionId(store: SessionDepthStore, sessionId: string): SessionDepthEntry | undefined {
  const wanted = sessionId.toLowerCase();
  return Object.values(store).find(
    (entry) => isObject(entry) && normalizeLowercaseStringOrEmpty(entry.sessionId) === wanted,
  );
}

function isObject(value: unknown): value is SessionDepthEntry {
  return typeof value === "object" && value !== null;
}
