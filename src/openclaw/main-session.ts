/**
 * The main session of an agent: its key, and the other names it goes by. Pure, but for the one function that reads the
 * configuration file; everywhere else the configuration is a parameter.
 */

import { resolveDefaultAgentId } from "./agent-config.js";
import { readGatewayConfigBestEffort } from "./gateway-config.js";
import { buildAgentMainSessionKey, DEFAULT_AGENT_ID, DEFAULT_MAIN_KEY, normalizeMainKey } from "./session-key.js";
import { normalizeOptionalLowercaseString, normalizeOptionalString } from "./strings.js";
import type { OpenClawConfig } from "./types.js";

export { resolveAgentIdFromSessionKey } from "./session-key.js";

type MainKeyConfig = { session?: { mainKey?: string } };
type ScopeConfig = { session?: { scope?: string; mainKey?: string } };

/** The main session of the default agent; `global` when there is one session for everything. */
export function resolveMainSessionKey(cfg?: ScopeConfig & Pick<OpenClawConfig, "agents">): string {
  if (cfg?.session?.scope === "global") return "global";
  return resolveAgentMainSessionKey({ cfg, agentId: resolveDefaultAgentId(cfg) });
}

/** The same, by the gateway's own configuration file; see gateway-config.ts. Without one, `agent:main:main`. */
export function resolveMainSessionKeyFromConfig(): string {
  return resolveMainSessionKey(readGatewayConfigBestEffort());
}

/** The main session of one agent. The scope plays no part: who asks for an agent means that agent's. */
export function resolveAgentMainSessionKey(params: { cfg?: MainKeyConfig; agentId: string }): string {
  return buildAgentMainSessionKey({ agentId: params.agentId, mainKey: params.cfg?.session?.mainKey });
}

/** The main session of an agent that was named; undefined when none was. */
export function resolveExplicitAgentSessionKey(params: {
  cfg?: MainKeyConfig;
  agentId?: string | null;
}): string | undefined {
  const agentId = normalizeOptionalString(params.agentId);
  return agentId === undefined ? undefined : resolveAgentMainSessionKey({ cfg: params.cfg, agentId });
}

/**
 * Turns every name of an agent's main session into its one key, or into `global` under that scope: `main`, the main
 * key, both behind `agent:<id>:`, and both behind `agent:main:`, under which all main sessions once were. A key that
 * is no such name comes back trimmed and otherwise as it was; a blank one comes back blank.
 */
export function canonicalizeMainSessionAlias(params: {
  cfg?: ScopeConfig;
  agentId: string;
  sessionKey: string;
}): string {
  const key = normalizeOptionalString(params.sessionKey);
  if (key === undefined) return "";
  const main = resolveAgentMainSessionKey(params);
  const agent = main.slice(0, main.indexOf(":", "agent:".length));
  const names = [DEFAULT_MAIN_KEY, normalizeMainKey(params.cfg?.session?.mainKey)];
  const aliases = names.flatMap((name) => [name, `${agent}:${name}`, `agent:${DEFAULT_AGENT_ID}:${name}`]);
  if (!aliases.includes(normalizeOptionalLowercaseString(key)!)) return key;
  return params.cfg?.session?.scope === "global" ? "global" : main;
}
