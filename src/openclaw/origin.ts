/**
 * Where a conversation came from: read off each inbound message, kept in the entry. What was once known is never
 * cleared, because a later message may just say less. Pure.
 */

import { normalizeChatType, normalizeMessageChannel } from "./channel-names.js";
import { resolveConversationLabel } from "./conversation-label.js";
import { normalizeOptionalLowercaseString, normalizeOptionalString } from "./strings.js";
import type { MsgContext, SessionEntry, SessionOrigin } from "./types.js";

export interface DeriveSessionOriginOptions {
  /** True: heartbeats, cron and exec events have no origin. They happen in a session without coming from anywhere. */
  skipSystemEventOrigin?: boolean;
}

const systemEventProviders = new Set(["heartbeat", "cron-event", "exec-event"]);

/** What a message says of its origin, with absent fields left out; undefined when it says nothing. */
export function deriveSessionOrigin(
  ctx: MsgContext,
  options: DeriveSessionOriginOptions = {},
): SessionOrigin | undefined {
  const provider = normalizeOptionalLowercaseString(ctx.Provider);
  if (options.skipSystemEventOrigin === true && provider !== undefined && systemEventProviders.has(provider))
    return undefined;
  const channel =
    normalizeOptionalString(ctx.OriginatingChannel) ??
    normalizeOptionalString(ctx.Surface) ??
    normalizeOptionalString(ctx.Provider);
  return mergeSessionOrigin(undefined, {
    label: resolveConversationLabel(ctx),
    provider: normalizeMessageChannel(channel),
    surface: normalizeOptionalLowercaseString(ctx.Surface),
    chatType: normalizeChatType(ctx.ChatType),
    from: normalizeOptionalString(ctx.From),
    to: normalizeOptionalString(ctx.OriginatingTo) ?? normalizeOptionalString(ctx.To),
    nativeChannelId: normalizeOptionalString(ctx.NativeChannelId),
    nativeDirectUserId: normalizeOptionalString(ctx.NativeDirectUserId),
    accountId: normalizeOptionalString(ctx.AccountId),
    threadId: ctx.MessageThreadId,
  });
}

const originFields = [
  "label",
  "provider",
  "surface",
  "chatType",
  "from",
  "to",
  "nativeChannelId",
  "nativeDirectUserId",
  "accountId",
  "threadId",
] as const satisfies readonly (keyof SessionOrigin)[];

/** The first origin with every field that the second one truly has; undefined when neither has any. */
export function mergeSessionOrigin(
  existing: SessionOrigin | null | undefined,
  next: SessionOrigin | null | undefined,
): SessionOrigin | undefined {
  const merged: Record<string, unknown> = { ...existing };
  for (const field of originFields) {
    const value = next?.[field];
    if (value) merged[field] = value;
  }
  return Object.keys(merged).length === 0 ? undefined : (merged as SessionOrigin);
}

/** A shallow copy of an entry's origin. */
export function snapshotSessionOrigin(entry?: Pick<SessionEntry, "origin"> | null): SessionOrigin | undefined {
  return entry?.origin ? { ...entry.origin } : undefined;
}
