/**
 * Which stores the commands with the gateway's flags work on. Contradictory flags are told in the gateway's own words, on
 * stderr, with exit code 1; every other failure as all our commands tell it.
 */

import { SessionStoreError } from "../errors.js";
import {
  resolveAllAgentSessionStoreTargets,
  resolveSessionStoreTargets,
  type SessionStoreTarget,
} from "../openclaw/targets.js";
import { exitFailed, reportFailure } from "./failures.js";
import type { CommandConfig } from "./openclaw-config.js";
import { printJson, printNote, safeText } from "./terminal.js";

/** The flags that select stores, and the configuration. */
export interface TargetOptions {
  config?: string;
  store?: string;
  agent?: string;
  allAgents?: boolean;
  json?: boolean;
}

/** A contradiction in the flags: told in the gateway's own words, with exit code 1. */
export class SelectorError extends Error {}

/**
 * Without any configuration, `--all-agents` means those that lie in the state directory: with no list of agents there is
 * nothing else that the word could mean. Throws `SelectorError`.
 */
export async function selectTargets(
  { cfg, path: configPath }: CommandConfig,
  { store, agent, allAgents }: TargetOptions,
): Promise<SessionStoreTarget[]> {
  if (store !== undefined && /^[a-z][a-z0-9+.-]+:\//i.test(store.trim())) {
    // Not the gateway's: its stores are files, and as a path the URL would be shown with its password.
    throw new SelectorError("--store is a path here; for a database use: sessiondir list --store URL");
  }
  let selected: SessionStoreTarget[];
  try {
    selected = resolveSessionStoreTargets(cfg, {
      ...(store === undefined ? {} : { store }),
      ...(agent === undefined ? {} : { agent }),
      ...(allAgents === undefined ? {} : { allAgents }),
    });
  } catch (error) {
    throw new SelectorError(error instanceof Error ? error.message : String(error), { cause: error });
  }
  if (configPath !== undefined || !allAgents) return selected;
  const found = await resolveAllAgentSessionStoreTargets(cfg);
  return found.length > 0 ? found : selected;
}

/** One of several stores that could not be worked on: the others still get their answer. */
export interface StoreFailure extends SessionStoreTarget {
  code: string;
  message: string;
}

export function toStoreFailure(target: SessionStoreTarget, error: unknown): StoreFailure {
  const { code, message } = error instanceof SessionStoreError ? error : { code: "internal", message: `${error}` };
  return { ...target, code, message };
}

/** Runs a command to its exit code. */
export async function runForGateway(options: TargetOptions, run: () => Promise<number>): Promise<number> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof SelectorError)) return reportFailure(error, options.json ?? false);
    printNote(safeText(error.message));
    if (options.json) printJson({ error: { code: "usage", message: error.message } });
    return exitFailed;
  }
}
