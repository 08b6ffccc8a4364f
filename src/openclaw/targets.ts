/**
 * Which stores a command or a gateway means: by configuration alone, or with everything that lies on the disk. A store
 * found on the disk is one only when it is really inside its agents directory; where the place cannot be reached, there
 * is none. A folder whose store was migrated counts, and is named by its `sessions.json` all the same.
 */

import path from "node:path";
import { parseStoreLocation, type StoreLocation } from "../backends/directory/layout.js";
import { type AgentsRoot, listAgentNames, openAgentsRoot, visitSessionsFolder } from "../discovery/agent-folders.js";
import type { Environment } from "../discovery/state-dir.js";
import { hasStore, inspectStoreForms } from "../discovery/store-forms.js";
import type { Port } from "../fs/port.js";
import { isOwnAgentFolder, normalizeAgentId } from "../sessions/agent-id.js";
import { listAgentIds, resolveDefaultAgentId } from "./agent-config.js";
import { ambientPort } from "./ambient.js";
import { resolveAgentsDirFromSessionStorePath, resolveStateDir, resolveStorePath } from "./paths.js";
import { normalizeOptionalString } from "./strings.js";
import type { OpenClawConfig } from "./types.js";

type TargetConfig = Pick<OpenClawConfig, "session" | "agents">;

export interface SessionStoreTarget {
  agentId: string;
  storePath: string;
}

export interface SessionStoreSelectionOptions {
  store?: string;
  agent?: string;
  allAgents?: boolean;
}

/**
 * What the options of a command select, from the configuration alone: the files need not exist. Nothing selected means
 * the default agent. Throws when two options contradict each other, or for an agent that is not configured.
 */
export function resolveSessionStoreTargets(
  cfg: TargetConfig,
  opts: SessionStoreSelectionOptions,
  params: { env?: Environment } = {},
): SessionStoreTarget[] {
  const env = params.env ?? process.env;
  const defaultAgent = resolveDefaultAgentId(cfg);
  const agent = normalizeOptionalString(opts.agent);
  const store = normalizeOptionalString(opts.store);
  const allAgents = opts.allAgents === true;
  if (agent !== undefined && allAgents) throw new Error("--agent and --all-agents cannot be used together");
  if (store !== undefined && (agent !== undefined || allAgents)) {
    throw new Error("--store cannot be combined with --agent or --all-agents");
  }
  if (store !== undefined) {
    return [{ agentId: defaultAgent, storePath: resolveStorePath(store, { agentId: defaultAgent, env }) }];
  }
  if (allAgents) return configuredTargets(cfg, listAgentIds(cfg), env);
  if (agent === undefined) return configuredTargets(cfg, [defaultAgent], env);
  const requested = normalizeAgentId(agent);
  if (!listAgentIds(cfg).includes(requested)) {
    throw new Error(`Unknown agent id "${opts.agent}". Use "openclaw agents list" to see configured agents.`);
  }
  return configuredTargets(cfg, [requested], env);
}

/** Where two agents share a store, the first of them gives it its name. */
function configuredTargets(cfg: TargetConfig, agentIds: readonly string[], env: Environment): SessionStoreTarget[] {
  const targets = agentIds.map((agentId) => {
    return { agentId, storePath: resolveStorePath(cfg.session?.store, { agentId, env }) };
  });
  return withoutRepetition(targets);
}

function withoutRepetition(targets: readonly SessionStoreTarget[]): SessionStoreTarget[] {
  const byPath = new Map<string, SessionStoreTarget>();
  for (const target of targets) if (!byPath.has(target.storePath)) byPath.set(target.storePath, target);
  return [...byPath.values()];
}

/** The configured stores and those on the disk; the loop of other work goes on meanwhile. */
export async function resolveAllAgentSessionStoreTargets(
  cfg: TargetConfig,
  params: { env?: Environment } = {},
): Promise<SessionStoreTarget[]> {
  const port = ambientPort();
  const search = searchTargets(port, cfg, params.env ?? process.env);
  for (;;) {
    const step = search.next();
    if (step.done) return step.value;
    await port.yieldToEventLoop();
  }
}

export function resolveAllAgentSessionStoreTargetsSync(
  cfg: TargetConfig,
  params: { env?: Environment } = {},
): SessionStoreTarget[] {
  const search = searchTargets(ambientPort(), cfg, params.env ?? process.env);
  for (;;) {
    const step = search.next();
    if (step.done) return step.value;
  }
}

const agentsPerStep = 64;

/** A configured store below an agents directory must exist there; any other is kept as it is, even when it is missing. */
function* searchTargets(port: Port, cfg: TargetConfig, env: Environment): Generator<void, SessionStoreTarget[]> {
  const configured = configuredTargets(cfg, listAgentIds(cfg), env);
  const agentsDirs = new Set<string>();
  for (const { storePath } of configured) {
    const agentsDir = resolveAgentsDirFromSessionStorePath(storePath);
    if (agentsDir !== undefined) agentsDirs.add(agentsDir);
  }
  agentsDirs.add(path.join(resolveStateDir(env), "agents"));
  const roots = new Map<string, AgentsRoot>();
  try {
    for (const agentsDir of agentsDirs) {
      const root = openAgentsRoot(port, agentsDir, passOver);
      if (root !== undefined) roots.set(agentsDir, root);
    }
    const targets: SessionStoreTarget[] = [];
    for (const target of configured) {
      const agentsDir = resolveAgentsDirFromSessionStorePath(target.storePath);
      if (agentsDir === undefined) {
        targets.push(target);
        continue;
      }
      const agentFolder = path.basename(path.dirname(path.dirname(target.storePath)));
      const storePath = storeInAgentFolder(port, roots.get(agentsDir), agentFolder);
      if (storePath !== undefined) targets.push({ agentId: target.agentId, storePath });
    }
    let looks = 0;
    for (const root of roots.values()) {
      for (const { name, kind } of listAgentNames(port, root, passOver)) {
        if (kind !== "directory" || !isOwnAgentFolder(name)) continue;
        const storePath = storeInAgentFolder(port, root, name);
        if (storePath !== undefined) targets.push({ agentId: normalizeAgentId(name), storePath });
        if (++looks % agentsPerStep === 0) yield;
      }
    }
    return withoutRepetition(targets);
  } finally {
    for (const root of roots.values()) port.closeDirectory(root.directory);
  }
}

/** What cannot be reached is no target, and nothing is said about it; `discoverSessionStores` reports it. */
function passOver(): void {}

/** The real path of the store, `.../sessions.json` in either form. */
function storeInAgentFolder(port: Port, root: AgentsRoot | undefined, agentFolder: string): string | undefined {
  let found: string | undefined;
  if (root === undefined) return undefined;
  visitSessionsFolder(port, root, agentFolder, passOver, (folder) => {
    const storePath = path.join(folder.realPath, "sessions.json");
    if (hasStore(inspectStoreForms(port, folder.directory, parseStoreLocation(storePath) as StoreLocation))) {
      found = storePath;
    }
  });
  return found;
}

export interface TargetRuntime {
  /** Accepted and not used. */
  log?(...message: unknown[]): void;
  error(message: string): void;
  exit(code: number): void;
}

/** For commands: a contradiction in the options is printed, the exit code is 1, and there are no targets. */
export function resolveSessionStoreTargetsOrExit(params: {
  cfg: TargetConfig;
  opts: SessionStoreSelectionOptions;
  runtime: TargetRuntime;
  env?: Environment;
}): SessionStoreTarget[] | null {
  const { cfg, opts, runtime, env } = params;
  try {
    return resolveSessionStoreTargets(cfg, opts, env === undefined ? {} : { env });
  } catch (error) {
    runtime.error(error instanceof Error ? error.message : String(error));
    runtime.exit(1);
    return null;
  }
}
