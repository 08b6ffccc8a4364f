/**
 * Threads and topics in session keys, each channel's grammar included. The gateway asks its plugins; the only bundled
 * channel whose topics are threads of their own is Telegram (`...:topic:<id>`). Elsewhere `:topic:` is part of an id.
 */

import { parseAgentSessionKey } from "./session-key.js";
import { lastMarker, type ParsedThreadSessionSuffix, parseThreadSessionSuffix } from "./session-key-kinds.js";
import { normalizeOptionalString } from "./strings.js";

/** The conversation and the thread that a key names; without a thread, the whole key is the conversation. */
export function parseSessionThreadInfo(sessionKey: string | null | undefined): ParsedThreadSessionSuffix {
  const generic = parseSessionThreadInfoFast(sessionKey);
  const key = generic.baseSessionKey;
  if (generic.threadId !== undefined || key === undefined || !isTelegramKey(key)) return generic;
  const at = lastMarker(key, topicMarker);
  const threadId = at > 0 ? normalizeOptionalString(key.slice(at + topicMarker.length)) : undefined;
  return threadId === undefined ? generic : { baseSessionKey: key.slice(0, at), threadId };
}

const topicMarker = ":topic:";

function isTelegramKey(key: string): boolean {
  return (parseAgentSessionKey(key)?.rest ?? key.toLowerCase()).startsWith("telegram:");
}

/** The same by the generic `:thread:` alone, for callers that know the channel has no grammar of its own. */
export function parseSessionThreadInfoFast(sessionKey: string | null | undefined): ParsedThreadSessionSuffix {
  return parseThreadSessionSuffix(sessionKey);
}
