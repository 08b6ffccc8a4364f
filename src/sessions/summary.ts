/**
 * The summary of a session: the few fields a list shows, read from its key and entry. Total: any key and any JSON entry
 * has a summary, because an entry that somebody else wrote must not break the list of all others.
 */

import type { FrozenEntry, SessionKind, SessionSummary } from "../contract.js";
import { estimateJsonBytes } from "./entry-value.js";

export function summarizeSession(key: string, entry: FrozenEntry): SessionSummary {
  const agentKey = parseAgentKey(key);
  const summary: SessionSummary = { key, kind: classifySession(key, entry.chatType) };
  if (agentKey !== undefined) summary.agent = agentKey.agent;
  const channel = sessionChannel(entry);
  if (channel !== undefined) summary.channel = channel;
  for (const name of textFields) {
    const value = entry[name];
    if (typeof value === "string") summary[name] = value;
  }
  for (const name of numberFields) {
    const value = entry[name];
    if (typeof value === "number") summary[name] = value;
  }
  summary.entryBytes = estimateJsonBytes(entry);
  return summary;
}

const textFields = ["sessionId", "label", "displayName", "subject", "model", "modelProvider"] as const;
const numberFields = ["updatedAt", "totalTokens", "contextTokens"] as const;

/** `agent:<agent>:<rest>`: at least three parts that are not empty. */
export function parseAgentKey(key: string): { agent: string; rest: string } | undefined {
  const parts = key.split(":").filter((part) => part !== "");
  if (parts.length < 3 || parts[0]!.toLowerCase() !== "agent") return undefined;
  return { agent: parts[1]!.toLowerCase(), rest: parts.slice(2).join(":").toLowerCase() };
}

/**
 * The kind of a session from the grammar of its key; the entry's `chatType` decides only where the key does not say.
 * The order matters: a thread inside a group is a thread, a sub-agent of a cron job is a sub-agent.
 */
export function classifySession(key: string, chatType?: unknown): SessionKind {
  const lowered = key.toLowerCase();
  if (lowered === "global" || lowered === "unknown") return lowered;
  const rest = parseAgentKey(key)?.rest ?? lowered;
  const parts = rest.split(":");
  // A heartbeat's own session `<base>:heartbeat` is of the kind of its base.
  if (parts.length > 1 && parts.at(-1) === "heartbeat") parts.pop();
  const first = parts[0]!;
  if (parts.includes("subagent")) return "subagent";
  if (first === "cron" || first === "acp" || first === "hook") return first;
  if (first === "explicit") return kindOfChatType(chatType);
  if (parts.length === 1 && first === "main") return "main";
  if (parts.indexOf("thread", 1) !== -1) return "thread";
  // Only Telegram writes topics of a group into the key; elsewhere ":topic:" is part of somebody's identifier.
  if (first === "telegram" && parts.indexOf("topic", 1) !== -1) return "thread";
  for (const part of parts.slice(0, 3)) {
    if (part === "group" || part === "channel" || part === "direct") return part;
    if (part === "dm") return "direct";
  }
  return kindOfChatType(chatType);
}

function kindOfChatType(chatType: unknown): SessionKind {
  return chatType === "direct" || chatType === "group" || chatType === "channel" ? chatType : "other";
}

function sessionChannel(entry: FrozenEntry): string | undefined {
  if (typeof entry.channel === "string") return entry.channel;
  if (typeof entry.lastChannel === "string") return entry.lastChannel;
  const delivery = entry.deliveryContext;
  if (typeof delivery !== "object" || delivery === null) return undefined;
  const { channel } = delivery as { channel?: unknown };
  return typeof channel === "string" ? channel : undefined;
}
