/**
 * The grammar of session keys: `agent:<agentId>:<rest>`, what the rest may say, and how such keys are built. Total: any
 * string is a key, and a question about it has an answer. Colons that follow each other count as one when an agent key
 * is taken apart; letters of any case are read as lower case.
 */

import { normalizeAgentId } from "../sessions/agent-id.js";
import { isBlockedObjectKey } from "./prototype-keys.js";
import {
  normalizeLowercaseStringOrEmpty,
  normalizeOptionalLowercaseString,
  normalizeOptionalString,
} from "./strings.js";
import type { DmScope, SessionChatType } from "./types.js";

export { isValidAgentId, normalizeAgentId } from "../sessions/agent-id.js";

export const DEFAULT_AGENT_ID = "main";
export const DEFAULT_MAIN_KEY = "main";
export const DEFAULT_ACCOUNT_ID = "default";

type Key = string | null | undefined;

export interface ParsedAgentSessionKey {
  agentId: string;
  rest: string;
}

export type SessionKeyShape = "missing" | "agent" | "legacy_or_alias" | "malformed_agent";

/** The two parts of an agent key in lower case; null for anything with fewer than three parts that are not empty. */
export function parseAgentSessionKey(sessionKey: Key): ParsedAgentSessionKey | null {
  const parts = normalizeLowercaseStringOrEmpty(sessionKey)
    .split(":")
    .filter((part) => part.trim() !== "");
  if (parts.length < 3 || parts[0] !== "agent") return null;
  return { agentId: parts[1]!.trim(), rest: parts.slice(2).join(":") };
}

/** What a key looks like, before anything is known about its store. */
export function classifySessionKeyShape(sessionKey: Key): SessionKeyShape {
  const key = normalizeOptionalLowercaseString(sessionKey);
  if (key === undefined) return "missing";
  if (parseAgentSessionKey(key) !== null) return "agent";
  return key.startsWith("agent:") ? "malformed_agent" : "legacy_or_alias";
}

/** The agent a key belongs to; the default agent for every other key. */
export function resolveAgentIdFromSessionKey(sessionKey: Key): string {
  return normalizeAgentId(parseAgentSessionKey(sessionKey)?.agentId ?? DEFAULT_AGENT_ID);
}

/** The key as people write it, without the agent; undefined for a blank one. */
export function toAgentRequestSessionKey(storeKey: Key): string | undefined {
  return parseAgentSessionKey(storeKey)?.rest ?? normalizeOptionalString(storeKey);
}

/**
 * The key under which a store keeps what was asked for: blank and `main` are the agent's main session, an agent key
 * stays with its own agent, and everything else gets the agent in front.
 */
export function toAgentStoreSessionKey(params: { agentId: string; requestKey: Key; mainKey?: string }): string {
  const requested = normalizeLowercaseStringOrEmpty(params.requestKey);
  if (requested === "" || requested === DEFAULT_MAIN_KEY) return buildAgentMainSessionKey(params);
  const parsed = parseAgentSessionKey(requested);
  if (parsed !== null) return `agent:${parsed.agentId}:${parsed.rest}`;
  // A malformed agent key under another agent's name would be a second, plausible key for the same mistake.
  return requested.startsWith("agent:") ? requested : `agent:${normalizeAgentId(params.agentId)}:${requested}`;
}

/** `main` unless another name is configured; lower case. */
export function normalizeMainKey(mainKey: Key): string {
  return normalizeOptionalLowercaseString(mainKey) ?? DEFAULT_MAIN_KEY;
}

const cleanAccountId = /^[a-z0-9][a-z0-9_-]{0,63}$/;

/** The account in a form fit for a key, `default` when blank; names that reach a prototype are refused as if blank. */
export function normalizeAccountId(accountId: Key): string {
  return normalizeOptionalAccountId(accountId) ?? DEFAULT_ACCOUNT_ID;
}

/** As `normalizeAccountId`, with undefined in place of the default. */
export function normalizeOptionalAccountId(accountId: Key): string | undefined {
  const account = normalizeOptionalLowercaseString(accountId);
  if (account === undefined) return undefined;
  const clean = cleanAccountId.test(account)
    ? account
    : account
        .replace(/[^a-z0-9_-]+/g, "-")
        .replace(/^-+|-+$/g, "")
        .slice(0, 64);
  return clean === "" || isBlockedObjectKey(clean) ? undefined : clean;
}

export function buildAgentMainSessionKey(params: { agentId: string; mainKey?: string }): string {
  return `agent:${normalizeAgentId(params.agentId)}:${normalizeMainKey(params.mainKey)}`;
}

/** `dm` is the older name of `direct`. */
export type SessionPeerKind = SessionChatType | "dm";

export interface AgentPeerSessionKeyParams {
  agentId: string;
  mainKey?: string;
  channel: string;
  accountId?: string | null;
  /** Default `direct`. */
  peerKind?: SessionPeerKind | null;
  peerId?: string | null;
  identityLinks?: Record<string, string[]>;
  /** Default `main`: all direct messages share the main session. */
  dmScope?: DmScope;
}

/** The key of a conversation with a peer: a person, a group or a channel. */
export function buildAgentPeerSessionKey(params: AgentPeerSessionKeyParams): string {
  const agent = `agent:${normalizeAgentId(params.agentId)}`;
  const channel = normalizeOptionalLowercaseString(params.channel) ?? "unknown";
  const kind = params.peerKind === "dm" ? "direct" : (params.peerKind ?? "direct");
  if (kind !== "direct")
    return `${agent}:${channel}:${kind}:${normalizeOptionalLowercaseString(params.peerId) ?? "unknown"}`;
  const scope = params.dmScope ?? "main";
  const peer = scope === "main" ? undefined : directPeer(params, channel);
  if (peer === undefined) return buildAgentMainSessionKey(params);
  if (scope === "per-peer") return `${agent}:direct:${peer}`;
  if (scope === "per-channel-peer") return `${agent}:${channel}:direct:${peer}`;
  return `${agent}:${channel}:${normalizeAccountId(params.accountId)}:direct:${peer}`;
}

/** The peer, or the person that several peers are known to be; undefined when there is none. */
function directPeer(params: AgentPeerSessionKeyParams, channel: string): string | undefined {
  const peer = normalizeOptionalLowercaseString(params.peerId);
  if (peer === undefined) return undefined;
  const names = new Set([peer, `${channel}:${peer}`]);
  for (const [canonical, linked] of Object.entries(params.identityLinks ?? {})) {
    const person = normalizeOptionalLowercaseString(canonical);
    if (person === undefined || !Array.isArray(linked)) continue;
    if (linked.some((name) => names.has(normalizeLowercaseStringOrEmpty(name)))) return person;
  }
  return peer;
}

/** The key of a group's history, which is kept per account and not per agent. */
export function buildGroupHistoryKey(params: {
  channel: string;
  accountId?: string | null;
  peerKind: "group" | "channel";
  peerId: string;
}): string {
  const channel = normalizeOptionalLowercaseString(params.channel) ?? "unknown";
  const peer = normalizeOptionalLowercaseString(params.peerId) ?? "unknown";
  return `${channel}:${normalizeAccountId(params.accountId)}:${params.peerKind}:${peer}`;
}
