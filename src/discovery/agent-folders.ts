/**
 * The folders `<agents>/<agent>/sessions` below one agents directory, opened one after the other. Links are followed as
 * long as they stay inside the agents directory: a name that leads out of it would let whoever made it have another
 * user's files read, migrated or archived.
 *
 * Every step opens a name inside an open directory. Only where a link is, a path is resolved.
 */

import path from "node:path";
import { fromSystemError, type SessionStoreErrorCode } from "../errors.js";
import { type Directory, type DirectoryEntry, hasCode, type Port } from "../fs/port.js";
import { isInside, isUnreachable } from "./real-paths.js";

export const sessionsFolderName = "sessions";
export const storeFileName = "sessions.json";

/** A place that was passed over, and why. */
export interface DiscoveryProblem {
  readonly path: string;
  readonly code: SessionStoreErrorCode;
  readonly message: string;
}

/** An open agents directory. */
export interface AgentsRoot {
  /** As it was asked for. */
  readonly path: string;
  readonly realPath: string;
  readonly directory: Directory;
}

/** `undefined` when there is none, or none that can be reached: then the problem is reported. */
export function openAgentsRoot(
  port: Port,
  agentsPath: string,
  report: (problem: DiscoveryProblem) => void,
): AgentsRoot | undefined {
  try {
    const realPath = port.realPath(agentsPath);
    return { path: agentsPath, realPath, directory: port.openRoot(realPath) };
  } catch (error) {
    // No agents directory is no problem: nothing has been stored yet.
    if (!hasCode(error, "ENOENT")) reportUnreachable(error, agentsPath, report);
    return undefined;
  }
}

/** The names that may be agents, sorted: directories and links. */
export function listAgentNames(
  port: Port,
  root: AgentsRoot,
  report: (problem: DiscoveryProblem) => void,
): DirectoryEntry[] {
  const names: DirectoryEntry[] = [];
  try {
    for (const batch of port.listInBatches(root.directory, 512)) {
      for (const entry of batch) if (entry.kind === "directory" || entry.kind === "symlink") names.push(entry);
    }
  } catch (error) {
    reportUnreachable(error, root.path, report);
  }
  return names.sort((left, right) => (left.name < right.name ? -1 : 1));
}

/** A sessions folder, open until the visit is over. */
export interface SessionsFolder {
  readonly path: string;
  readonly realPath: string;
  readonly directory: Directory;
}

/**
 * Opens the sessions folder of one agent for the time of the visit. An agent without one is passed over in silence; what
 * cannot be reached or leads out of the root is reported. Errors that say nothing about the place (EMFILE, EIO) throw.
 */
export function visitSessionsFolder(
  port: Port,
  root: AgentsRoot,
  agentName: string,
  report: (problem: DiscoveryProblem) => void,
  visit: (folder: SessionsFolder) => void,
): void {
  visitChild(port, root, root, agentName, report, (agent) => {
    visitChild(port, root, agent, sessionsFolderName, report, visit);
  });
}

function visitChild(
  port: Port,
  root: AgentsRoot,
  parent: SessionsFolder,
  name: string,
  report: (problem: DiscoveryProblem) => void,
  visit: (folder: SessionsFolder) => void,
): void {
  const childPath = path.join(parent.path, name);
  let child: SessionsFolder | undefined;
  try {
    child = openChild(port, root, parent, name, report);
  } catch (error) {
    reportUnreachable(error, childPath, report);
  }
  if (child === undefined) return;
  try {
    visit(child);
  } catch (error) {
    reportUnreachable(error, childPath, report);
  } finally {
    port.closeDirectory(child.directory);
  }
}

function openChild(
  port: Port,
  root: AgentsRoot,
  parent: SessionsFolder,
  name: string,
  report: (problem: DiscoveryProblem) => void,
): SessionsFolder | undefined {
  const childPath = path.join(parent.path, name);
  const kind = port.statName(parent.directory, name)?.kind;
  if (kind === undefined) return undefined;
  const realPath = path.join(parent.realPath, name);
  if (kind !== "symlink") return { path: childPath, realPath, directory: port.openDirectory(parent.directory, name) };
  const target = port.realPath(realPath);
  if (isInside(root.realPath, target)) {
    return { path: childPath, realPath: target, directory: port.openRoot(target) };
  }
  report(unsafePlace(childPath, `is a symbolic link that leads out of ${root.path}`));
  return undefined;
}

/** `problem` follows the path. */
export function unsafePlace(somePath: string, problem: string): DiscoveryProblem {
  return {
    path: somePath,
    code: "unsafe_path",
    message: `${somePath} ${problem}; it was passed over and nothing was changed`,
  };
}

/** Reports what makes a place one to pass over; throws everything else. */
export function reportUnreachable(error: unknown, somePath: string, report: (problem: DiscoveryProblem) => void): void {
  const translated = fromSystemError(error, { operation: "look for session stores", path: somePath });
  if (!isUnreachable(error) && translated.code !== "unsafe_path") throw translated;
  report({ path: somePath, code: translated.code, message: translated.message });
}
