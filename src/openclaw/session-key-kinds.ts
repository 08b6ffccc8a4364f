/**
 * What a session key says about its session: sub-agent, cron job, ACP run, thread, group, direct conversation. Reads
 * keys only; an entry may know better. Threads here are the generic `:thread:`; a channel's own grammar for topics is
 * in `thread-info.ts`.
 */

import { parseAgentSessionKey } from "./session-key.js";
import {
  normalizeLowercaseStringOrEmpty,
  normalizeOptionalLowercaseString,
  normalizeOptionalString,
} from "./strings.js";
import type { SessionChatType } from "./types.js";

type Key = string | null | undefined;

/** The number of `:subagent:` in a key: how deep in a tree of sub-agents its session is. */
export function getSubagentDepth(sessionKey: Key): number {
  return normalizeLowercaseStringOrEmpty(sessionKey).split(":subagent:").length - 1;
}

export function isSubagentSessionKey(sessionKey: Key): boolean {
  return restOfKey(sessionKey).startsWith("subagent:");
}

export function isAcpSessionKey(sessionKey: Key): boolean {
  return restOfKey(sessionKey).startsWith("acp:");
}

/** A cron job of an agent, or one of its runs. A bare `cron:` key belongs to no agent and does not count. */
export function isCronSessionKey(sessionKey: Key): boolean {
  return parseAgentSessionKey(sessionKey)?.rest.startsWith("cron:") === true;
}

/** One run of a cron job: `agent:<id>:cron:<job>:run:<uuid>`. */
export function isCronRunSessionKey(sessionKey: Key): boolean {
  return /^cron:[^:]+:run:[^:]+$/.test(parseAgentSessionKey(sessionKey)?.rest ?? "");
}

/** What follows the agent, or the whole key where there is none: sub-agents and ACP runs also exist under bare keys. */
function restOfKey(sessionKey: Key): string {
  return parseAgentSessionKey(sessionKey)?.rest ?? normalizeLowercaseStringOrEmpty(sessionKey);
}

/** A key in two parts. Both are as they were written, because thread ids of some channels tell case. */
export interface ParsedThreadSessionSuffix {
  baseSessionKey: string | undefined;
  threadId: string | undefined;
}

const threadMarker = ":thread:";

/** Splits at the last `:thread:` of any case. Without one, or with nothing before it, the whole key is the base. */
export function parseThreadSessionSuffix(sessionKey: Key): ParsedThreadSessionSuffix {
  const key = normalizeOptionalString(sessionKey);
  if (key === undefined) return { baseSessionKey: undefined, threadId: undefined };
  const at = lastMarker(key, threadMarker);
  if (at <= 0) return { baseSessionKey: key, threadId: undefined };
  return { baseSessionKey: key.slice(0, at), threadId: normalizeOptionalString(key.slice(at + threadMarker.length)) };
}

/** Where the last `marker` begins, of any case; -1 for none. Lower case of ASCII only, so that offsets stay true. */
export function lastMarker(key: string, marker: string): number {
  return key.replace(/[A-Z]/g, (letter) => letter.toLowerCase()).lastIndexOf(marker);
}

/** The key of the conversation that a thread belongs to; null when the key is not one of a thread. */
export function resolveThreadParentSessionKey(sessionKey: Key): string | null {
  const { baseSessionKey, threadId } = parseThreadSessionSuffix(sessionKey);
  return threadId === undefined ? null : (normalizeOptionalString(baseSessionKey) ?? null);
}

export interface ThreadSessionKeysParams {
  baseSessionKey: string;
  threadId?: string | null;
  parentSessionKey?: string;
  /** False: the thread shares the session of its base. Default true. */
  useSuffix?: boolean;
  /** Default lower case. Channels whose ids tell case pass their own. */
  normalizeThreadId?: (threadId: string) => string;
}

/** The key of a thread's session. Without a thread it is the base, and there is no parent. */
export function resolveThreadSessionKeys(params: ThreadSessionKeysParams): {
  sessionKey: string;
  parentSessionKey?: string;
} {
  const threadId = normalizeOptionalString(params.threadId);
  if (threadId === undefined) return { sessionKey: params.baseSessionKey, parentSessionKey: undefined };
  const normalize = params.normalizeThreadId ?? ((id: string) => id.toLowerCase());
  const sessionKey =
    (params.useSuffix ?? true)
      ? `${params.baseSessionKey}${threadMarker}${normalize(threadId)}`
      : params.baseSessionKey;
  return { sessionKey, parentSessionKey: params.parentSessionKey };
}

/** The group or channel that a key names. */
export interface RawSessionConversationRef {
  channel: string;
  kind: "group" | "channel";
  /** As written, with everything that follows: a channel's own grammar may find a topic in it. */
  rawId: string;
  /** The key up to and without the id. */
  prefix: string;
}

/** Finds `<channel>:<group|channel>:<id>` in a key, with or without an agent; null for every other key. */
export function parseRawSessionConversationRef(sessionKey: Key): RawSessionConversationRef | null {
  const parts = (normalizeOptionalString(sessionKey) ?? "").split(":");
  const start = parts[0]!.toLowerCase() === "agent" ? 2 : 0;
  const channel = normalizeOptionalLowercaseString(parts[start]);
  const kind = normalizeOptionalLowercaseString(parts[start + 1]);
  if (channel === undefined || (kind !== "group" && kind !== "channel")) return null;
  if (start === 2 && normalizeOptionalString(parts[1]) === undefined) return null;
  const rawId = normalizeOptionalString(parts.slice(start + 2).join(":"));
  return rawId === undefined ? null : { channel, kind, rawId, prefix: parts.slice(0, start + 2).join(":") };
}

export type SessionKeyChatType = SessionChatType | "unknown";

/**
 * The kind of conversation that a key names. After the words of the grammar come two older forms - a WhatsApp group's
 * address, a Discord guild with its channel - and then whatever `legacyForms` recognise in the key without its agent.
 */
export function deriveSessionChatTypeFromKey(
  sessionKey: Key,
  legacyForms: readonly ((key: string) => SessionChatType | undefined)[] = [],
): SessionKeyChatType {
  const rest = restOfKey(sessionKey);
  const words = new Set(rest.split(":"));
  if (words.has("group")) return "group";
  if (words.has("channel")) return "channel";
  if (words.has("direct") || words.has("dm")) return "direct";
  if (/^(whatsapp:)?[0-9-]+@g\.us$/.test(rest)) return "group";
  if (/^discord:(?:[^:]+:)?guild-[^:]+:channel-[^:]+$/.test(rest)) return "channel";
  for (const recognise of rest === "" ? [] : legacyForms) {
    const chatType = recognise(rest);
    if (chatType !== undefined) return chatType;
  }
  return "unknown";
}
