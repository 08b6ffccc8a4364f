/**
 * The session key of an inbound message that brings none, and the form of one that it does bring. Pure.
 */

import { normalizeChatType, normalizeMessageChannel } from "./channel-names.js";
import { resolveGroupSessionKey } from "./group.js";
import { buildAgentMainSessionKey, DEFAULT_AGENT_ID } from "./session-key.js";
import { normalizeLowercaseStringOrEmpty, normalizeOptionalString } from "./strings.js";
import type { MsgContext, SessionScope } from "./types.js";

/** `global` under that scope, a group's key, else the sender's number as E.164; `unknown` when there is none. */
export function deriveSessionKey(scope: SessionScope, ctx: MsgContext): string {
  if (scope === "global") return "global";
  return resolveGroupSessionKey(ctx)?.key ?? normalizeE164(ctx.From) ?? "unknown";
}

/**
 * The key under which the message's session is stored. A key that the message brings wins. Direct messages share the
 * main session; groups and channels have their own. This function knows no agents: both lie under `agent:main:`.
 */
export function resolveSessionKey(scope: SessionScope, ctx: MsgContext, mainKey?: string): string {
  const explicit = normalizeOptionalString(ctx.SessionKey);
  if (explicit !== undefined) return normalizeExplicitSessionKey(explicit, ctx);
  if (scope === "global") return "global";
  const group = resolveGroupSessionKey(ctx);
  if (group !== null) return `agent:${DEFAULT_AGENT_ID}:${group.key}`;
  return buildAgentMainSessionKey({ agentId: DEFAULT_AGENT_ID, mainKey });
}

/** `+` and digits, from `whatsapp:+1 555`, `telegram:99` or a bare number; undefined without a digit. */
function normalizeE164(from: string | undefined): string | undefined {
  const digits = (from ?? "").replace(/^[a-z]+:/i, "").replace(/\D/g, "");
  return digits === "" ? undefined : `+${digits}`;
}

/**
 * A key that a message or a caller brings, in the form it is stored under: trimmed and lower case. Discord once named
 * its direct conversations by other words; in a direct message those become the present ones.
 */
export function normalizeExplicitSessionKey(sessionKey: string, ctx: MsgContext): string {
  const key = normalizeLowercaseStringOrEmpty(sessionKey);
  const match = /^((?:agent:[^:]+:)?discord:)(dm|channel):([^:]+)$/.exec(key);
  if (match === null || !isDirectOnDiscord(ctx)) return key;
  const [, prefix, kind, id] = match;
  if (kind === "channel" && id !== senderOf(ctx)) return key;
  return `${prefix}direct:${id}`;
}

function isDirectOnDiscord(ctx: MsgContext): boolean {
  const channel = normalizeMessageChannel(ctx.Surface) ?? normalizeMessageChannel(ctx.Provider);
  return normalizeChatType(ctx.ChatType) === "direct" && (channel === undefined || channel === "discord");
}

function senderOf(ctx: MsgContext): string {
  return (
    normalizeLowercaseStringOrEmpty(ctx.SenderId) || normalizeLowercaseStringOrEmpty(ctx.From).replace(/^discord:/, "")
  );
}
