/**
 * The agents that a configuration names. Pure. Ids are normalised, so two spellings of one agent are one agent.
 */

import { normalizeAgentId } from "../sessions/agent-id.js";
import { normalizeOptionalString } from "./strings.js";
import type { AgentConfig, OpenClawConfig } from "./types.js";

type AgentsConfig = Pick<OpenClawConfig, "agents">;

/** The configured agents in their order, each once; `main` when there are none. */
export function listAgentIds(cfg: AgentsConfig | null | undefined): string[] {
  const ids = new Set(namedAgents(cfg).map((agent) => normalizeAgentId(agent.id)));
  return ids.size === 0 ? ["main"] : [...ids];
}

/** The first agent marked as default, else the first of all, else `main`. */
export function resolveDefaultAgentId(cfg: AgentsConfig | null | undefined): string {
  const agents = namedAgents(cfg);
  const chosen = agents.find((agent) => agent.default === true) ?? agents[0];
  return normalizeAgentId(chosen?.id);
}

/** The list comes from a file that people edit: what is no agent with an id is passed over. */
function namedAgents(cfg: AgentsConfig | null | undefined): AgentConfig[] {
  const list: unknown = cfg?.agents?.list;
  if (!Array.isArray(list)) return [];
  return list.filter((agent): agent is AgentConfig => normalizeOptionalString(agent?.id) !== undefined);
}
