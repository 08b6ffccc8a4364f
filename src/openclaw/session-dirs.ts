/** The sessions folders of all agents, by the names of their directories alone: what is in them is not looked at. */

import path from "node:path";
import { type Directory, hasCode, type Port } from "../fs/port.js";
import { ambientPort } from "./ambient.js";

/** Sorted. A state directory without agents has none; every other error throws. */
export async function resolveAgentSessionDirs(stateDir: string): Promise<string[]> {
  return resolveAgentSessionDirsFromAgentsDir(path.join(stateDir, "agents"));
}

export async function resolveAgentSessionDirsFromAgentsDir(agentsDir: string): Promise<string[]> {
  return resolveAgentSessionDirsFromAgentsDirSync(agentsDir);
}

export function resolveAgentSessionDirsFromAgentsDirSync(agentsDir: string): string[] {
  try {
    return sessionDirs(agentsDir).sort();
  } catch (error) {
    if (hasCode(error, "ENOENT")) return [];
    throw error;
  }
}

/** In the order of the directory, and nothing when it cannot be read, for whatever reason. */
export async function listAgentSessionDirs(stateDir: string): Promise<string[]> {
  try {
    return sessionDirs(path.join(stateDir, "agents"));
  } catch {
    return [];
  }
}

/** Of real directories: a link is no agent. */
function sessionDirs(agentsDir: string): string[] {
  const port: Port = ambientPort();
  const found: string[] = [];
  const directory: Directory = port.openRoot(port.realPath(path.resolve(agentsDir)));
  try {
    for (const batch of port.listInBatches(directory, 512)) {
      for (const { name, kind } of batch) if (kind === "directory") found.push(path.join(agentsDir, name, "sessions"));
    }
  } finally {
    port.closeDirectory(directory);
  }
  return found;
}
