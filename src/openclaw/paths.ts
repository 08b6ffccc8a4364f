/**
 * Where an agent's store and its transcripts lie. The functions only build and compare paths: a transcript path that an
 * entry names is taken when it lies in a sessions folder after all links are followed, else the path that its session id
 * gives. Nothing is created, and what is found may change until it is used.
 */

import path from "node:path";
import { isInside, realPathOfDeepest } from "../discovery/real-paths.js";
import {
  type Environment,
  resolveStateDir as resolveStateDirOn,
  resolveUserPath as resolveUserPathOn,
} from "../discovery/state-dir.js";
import { isValidAgentId, normalizeAgentId } from "../sessions/agent-id.js";
import { ambientPort } from "./ambient.js";
import { MULTIPLE_STORE_PATHS } from "./combined.js";
import { normalizeOptionalString } from "./strings.js";

type HomeDirectory = (() => string | undefined) | undefined;

/** `OPENCLAW_STATE_DIR`, else `.openclaw` in the home directory, else an existing `.clawdbot`. Absolute. */
export function resolveStateDir(env: Environment = process.env, homedir?: HomeDirectory): string {
  return resolveStateDirOn(env, { port: ambientPort(), homedir });
}

/**
 * The path of a store: what the configuration says, with every `{agentId}` replaced by the agent's id and `~` by the home
 * directory; without a configured one `<state>/agents/<id>/sessions/sessions.json`. Always absolute.
 */
export function resolveStorePath(store?: string, opts: { agentId?: string; env?: Environment } = {}): string {
  const agentId = normalizeAgentId(opts.agentId);
  const env = opts.env ?? process.env;
  const configured = normalizeOptionalString(store);
  if (configured === undefined) return path.join(resolveSessionTranscriptsDirForAgent(agentId, env), storeFileName);
  const expanded = configured.replaceAll("{agentId}", () => agentId);
  return resolveUserPathOn(expanded, env, { port: ambientPort() });
}

const storeFileName = "sessions.json";

/** The path without a configuration. */
export function resolveDefaultSessionStorePath(agentId?: string): string {
  return resolveStorePath(undefined, agentId === undefined ? {} : { agentId });
}

/** Of the main agent. */
export function resolveSessionTranscriptsDir(env?: Environment, homedir?: HomeDirectory): string {
  return resolveSessionTranscriptsDirForAgent(undefined, env, homedir);
}

export function resolveSessionTranscriptsDirForAgent(
  agentId?: string,
  env: Environment = process.env,
  homedir?: HomeDirectory,
): string {
  return path.join(resolveStateDir(env, homedir), "agents", normalizeAgentId(agentId), "sessions");
}

/** Session ids become file names, so nothing else is one. */
export const SAFE_SESSION_ID_RE = /^[a-z0-9][a-z0-9._-]{0,127}$/i;

/** The id without blanks around it. Throws `Invalid session ID: <id>`. */
export function validateSessionId(sessionId: string): string {
  const trimmed = sessionId.trim();
  if (!SAFE_SESSION_ID_RE.test(trimmed)) throw new Error(`Invalid session ID: ${sessionId}`);
  return trimmed;
}

/** `<id>.jsonl`, or `<id>-topic-<topic>.jsonl`. Throws for an invalid id. */
export function resolveSessionTranscriptPathInDir(
  sessionId: string,
  sessionsDir: string,
  topicId?: string | number,
): string {
  const id = validateSessionId(sessionId);
  // A lone surrogate has no encoding; it would throw instead of naming a file.
  const topic = topicId === undefined ? "" : `-topic-${encodeURIComponent(Buffer.from(String(topicId)).toString())}`;
  return path.join(path.resolve(sessionsDir), `${id}${topic}.jsonl`);
}

export function resolveSessionTranscriptPath(sessionId: string, agentId?: string, topicId?: string | number): string {
  return resolveSessionTranscriptPathInDir(sessionId, resolveSessionTranscriptsDirForAgent(agentId), topicId);
}

export interface SessionFilePathOptions {
  agentId?: string;
  sessionsDir?: string;
}

/**
 * The transcript of a session: `entry.sessionFile` when it lies in the sessions folder, in that of another agent beside
 * it, or is shaped like `.../agents/<id>/sessions/<file>` (a state directory that was moved); else the path that the id
 * gives. Links are followed first, so one that leads elsewhere does not count. Throws when the id is needed and invalid.
 */
export function resolveSessionFilePath(
  sessionId: string,
  entry?: { sessionFile?: string } | null,
  opts: SessionFilePathOptions = {},
): string {
  const given = normalizeOptionalString(opts.sessionsDir);
  const sessionsDir = given === undefined ? resolveSessionTranscriptsDirForAgent(opts.agentId) : path.resolve(given);
  const sessionFile = normalizeOptionalString(entry?.sessionFile);
  const accepted = sessionFile === undefined ? undefined : acceptSessionFile(sessionFile, sessionsDir, opts.agentId);
  return accepted ?? resolveSessionTranscriptPathInDir(sessionId, sessionsDir);
}

/** Without links; `undefined` when it lies in no sessions folder. */
function acceptSessionFile(sessionFile: string, sessionsDir: string, agentId: string | undefined): string | undefined {
  if (sessionFile.includes("\0")) return undefined;
  const port = ambientPort();
  const realDir = realPathOfDeepest(port, sessionsDir);
  const candidate = realPathOfDeepest(port, path.resolve(sessionsDir, sessionFile));
  if (isInside(realDir, candidate)) return candidate;
  // A relative path means this folder; that it leads out of it is never meant.
  if (!path.isAbsolute(sessionFile)) return undefined;
  const agentsDir = agentsDirOf(realDir);
  if (agentsDir !== undefined && isInSessionsOf(agentsDir, candidate)) return candidate;
  if (agentId !== undefined) {
    const ofAgent = realPathOfDeepest(port, resolveSessionTranscriptsDirForAgent(agentId));
    if (isInside(ofAgent, candidate)) return candidate;
  }
  return agentsDirOf(path.dirname(candidate)) === undefined ? undefined : candidate;
}

/** `<X>/agents` of `<X>/agents/<valid id>/sessions`. */
function agentsDirOf(sessionsDir: string): string | undefined {
  const agentDir = path.dirname(sessionsDir);
  const agentsDir = path.dirname(agentDir);
  const isShaped = path.basename(sessionsDir) === "sessions" && path.basename(agentsDir) === "agents";
  return isShaped && isValidAgentId(path.basename(agentDir)) ? agentsDir : undefined;
}

function isInSessionsOf(agentsDir: string, candidate: string): boolean {
  if (!isInside(agentsDir, candidate)) return false;
  const [agentId, sessions, ...rest] = path.relative(agentsDir, candidate).split(path.sep);
  return isValidAgentId(agentId) && sessions === "sessions" && rest.length > 0;
}

/** What `resolveSessionFilePath` takes, from what callers know. `(multiple)` stands for no path. */
export function resolveSessionFilePathOptions(params: {
  agentId?: string;
  storePath?: string;
}): SessionFilePathOptions | undefined {
  const agentId = normalizeOptionalString(params.agentId);
  const storePath = normalizeOptionalString(params.storePath);
  if (storePath !== undefined && storePath !== MULTIPLE_STORE_PATHS) {
    const sessionsDir = path.dirname(path.resolve(storePath));
    return agentId === undefined ? { sessionsDir } : { sessionsDir, agentId };
  }
  return agentId === undefined ? undefined : { agentId };
}

/** `<X>/agents` when the path is exactly `<X>/agents/<id>/sessions/sessions.json`. */
export function resolveAgentsDirFromSessionStorePath(storePath: string): string | undefined {
  const absolute = path.resolve(storePath);
  const sessionsDir = path.dirname(absolute);
  const agentsDir = path.dirname(path.dirname(sessionsDir));
  const isShaped =
    path.basename(absolute) === storeFileName &&
    path.basename(sessionsDir) === "sessions" &&
    path.basename(agentsDir) === "agents";
  return isShaped ? agentsDir : undefined;
}
