/** What a gateway looks up across the stores of its agents. The rules are in combined.ts, delivery-info.ts and subagent-depth.ts. */

import { combineSessionStores, combineSharedSessionStore } from "./combined.js";
import { deliveryInfoOfSession, type ExtractedDeliveryInfo } from "./delivery-info.js";
import { readGatewayConfigBestEffort } from "./gateway-config.js";
import { loadSessionStore, readSessionEntryBestEffort, readStore } from "./load.js";
import { resolveStorePath } from "./paths.js";
import { normalizeAgentId, parseAgentSessionKey } from "./session-key.js";
import { normalizeOptionalString } from "./strings.js";
import {
  getSubagentDepthFromSessionStore as depthInStores,
  type SessionDepthStore,
  type SubagentDepthOptions,
} from "./subagent-depth.js";
import { resolveAllAgentSessionStoreTargetsSync } from "./targets.js";
import { TrackedView } from "./tracked-view.js";
import type { OpenClawConfig, SessionEntry } from "./types.js";

type StoreConfig = Pick<OpenClawConfig, "session" | "agents">;

/** Every session of every agent under its canonical key: of the one configured file, or of all stores there are. */
export function loadCombinedSessionStoreForGateway(cfg: StoreConfig): {
  storePath: string;
  store: Record<string, SessionEntry>;
} {
  const configured = normalizeOptionalString(cfg.session?.store);
  if (configured !== undefined && !configured.includes("{agentId}")) {
    const storePath = resolveStorePath(configured);
    return combineSharedSessionStore({ cfg, storePath, store: loadSessionStore(storePath) });
  }
  const sources = resolveAllAgentSessionStoreTargetsSync(cfg).map(({ agentId, storePath }) => {
    return { agentId, storePath, store: loadSessionStore(storePath) };
  });
  return combineSessionStores({ cfg, sources });
}

/**
 * The route that a session key leads to; without one when there is none, or it cannot be read. Looks in the store of the
 * agent that the key names, then in that of the default agent. Without `cfg`, by the gateway's own configuration file.
 */
export function extractDeliveryInfo(sessionKey: string | undefined, cfg?: StoreConfig): ExtractedDeliveryInfo {
  const { session } = cfg ?? readGatewayConfigBestEffort();
  return deliveryInfoOfSession(sessionKey, (key) => {
    for (const storePath of new Set([
      resolveStorePath(session?.store, agentOf(key)),
      resolveStorePath(session?.store),
    ])) {
      const entry = readSessionEntryBestEffort(storePath, key);
      if (entry !== undefined) return entry;
    }
    return undefined;
  });
}

function agentOf(sessionKey: string): { agentId?: string } {
  const agentId = parseAgentSessionKey(sessionKey)?.agentId;
  return agentId === undefined ? {} : { agentId: normalizeAgentId(agentId) };
}

/**
 * How deep a session lies in a tree of sub-agents; see subagent-depth.ts. Without `store`, the stores that `cfg` names
 * are read - in either form, and only the sessions on the way.
 */
export function getSubagentDepthFromSessionStore(
  sessionKey: string | null | undefined,
  options: SubagentDepthOptions = {},
): number {
  const { cfg } = options;
  if (options.store !== undefined || options.readStore !== undefined || cfg === undefined) {
    return depthInStores(sessionKey, options);
  }
  const readDepth = (agentId: string) => readSparsely(resolveStorePath(cfg.session?.store, { agentId }));
  return depthInStores(sessionKey, { ...options, readStore: readDepth });
}

/** A store of which only what is asked for is read, each time as it is then. */
function readSparsely(storePath: string): SessionDepthStore | undefined {
  const look = <Result>(read: (store: SessionDepthStore) => Result, otherwise: Result): Result => {
    try {
      return readStore(storePath, (source) => read(new TrackedView(source).store));
    } catch {
      return otherwise;
    }
  };
  return new Proxy({} as Record<string, never>, {
    get: (_target, name) => look((store) => (typeof name === "string" ? store[name] : undefined), undefined),
    getOwnPropertyDescriptor: (_target, name) =>
      look((store) => Object.getOwnPropertyDescriptor(store, name), undefined),
    ownKeys: () => look((store) => Reflect.ownKeys(store), []),
  });
}
