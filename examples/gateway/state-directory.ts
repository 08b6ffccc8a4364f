/**
 * The state directory of a gateway: `agents/<agent>/sessions/sessions.json`. Makes one with sample sessions, or finds
 * the stores in one that is there. Reading and changing sessions is the store's job, so nothing here does.
 */

import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { agents, sampleSessions } from "./sample-sessions.js";

export interface AgentStore {
  agent: string;
  /** What `openSessionStore` gets: the legacy file, or where it was before it was taken over. */
  location: string;
}

/** Writes one legacy sessions.json per agent; the main agent has half of the sessions. */
export function createStateDirectory(directory: string, sessionCount: number): void {
  const shares = [0.5, 0.3, 0.2];
  agents.forEach((agent, index) => {
    const folder = path.join(directory, "agents", agent, "sessions");
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const sessions = sampleSessions(agent, Math.max(2, Math.round(sessionCount * shares[index]!)));
    const text = JSON.stringify(Object.fromEntries(sessions), undefined, 2);
    writeFileSync(path.join(folder, "sessions.json"), text, { mode: 0o600, flag: "wx" });
  });
}

/** Every agent that has a legacy file or a store that took one over. */
export function findStores(directory: string): AgentStore[] {
  const folder = path.join(directory, "agents");
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .sort()
    .map((agent) => ({ agent, location: path.join(folder, agent, "sessions", "sessions.json") }))
    .filter(({ location }) => existsSync(location) || existsSync(location.replace(/\.json$/, ".d")));
}
