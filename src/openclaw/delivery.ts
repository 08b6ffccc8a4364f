/**
 * Where replies go. An entry says it twice: in `deliveryContext`, which decides, and in the four `last*` fields, which
 * older code reads; normalising brings both to one. Promises: nothing of one channel is ever combined with the address
 * of another. Pure.
 */

import { normalizeMessageChannel } from "./channel-names.js";
import { normalizeOptionalString } from "./strings.js";
import type { DeliveryContext, DeliveryContextSessionSource } from "./types.js";

/**
 * Trims the fields, brings the channel to its first name and cuts a thread number to a whole one. Undefined when
 * nothing is left. The fields are all there, as undefined where absent - except `threadId`, which is then left out.
 */
export function normalizeDeliveryContext(context?: DeliveryContext | null): DeliveryContext | undefined {
  if (typeof context !== "object" || context === null) return undefined;
  return makeContext(
    normalizeMessageChannel(context.channel),
    normalizeOptionalString(context.to),
    normalizeOptionalString(context.accountId),
    normalizeThreadId(context.threadId),
  );
}

function makeContext(
  channel: string | undefined,
  to: string | undefined,
  accountId: string | undefined,
  threadId: string | number | undefined,
): DeliveryContext | undefined {
  if (channel === undefined && to === undefined && accountId === undefined && threadId === undefined) return undefined;
  const context: DeliveryContext = { channel, to, accountId };
  if (threadId !== undefined) context.threadId = threadId;
  return context;
}

function normalizeThreadId(threadId: unknown): string | number | undefined {
  if (typeof threadId === "number") return Number.isFinite(threadId) ? Math.trunc(threadId) : undefined;
  return normalizeOptionalString(threadId);
}

/** Fills what the first context leaves open from the second - unless both name a channel, and not the same one. */
export function mergeDeliveryContext(
  primary?: DeliveryContext | null,
  fallback?: DeliveryContext | null,
): DeliveryContext | undefined {
  const first = normalizeDeliveryContext(primary);
  const second = normalizeDeliveryContext(fallback);
  if (first === undefined || second === undefined) return first ?? second;
  const conflict = first.channel !== undefined && second.channel !== undefined && first.channel !== second.channel;
  if (conflict) return first;
  return makeContext(
    first.channel ?? second.channel,
    first.to ?? second.to,
    first.accountId ?? second.accountId,
    first.threadId ?? second.threadId,
  );
}

export interface SessionDeliveryFields {
  deliveryContext?: DeliveryContext;
  lastChannel?: string;
  lastTo?: string;
  lastAccountId?: string;
  lastThreadId?: string | number;
}

/**
 * Both forms of an entry's route, from whichever of them is there; the context wins where they disagree. A bare
 * `channel` counts as the last one.
 */
export function normalizeSessionDeliveryFields(source?: DeliveryContextSessionSource | null): SessionDeliveryFields {
  const last: DeliveryContext = {
    channel: normalizeOptionalString(source?.lastChannel) ?? source?.channel,
    to: source?.lastTo,
    accountId: source?.lastAccountId,
    threadId: source?.lastThreadId,
  };
  const deliveryContext = mergeDeliveryContext(source?.deliveryContext, last);
  return {
    deliveryContext,
    lastChannel: deliveryContext?.channel,
    lastTo: deliveryContext?.to,
    lastAccountId: deliveryContext?.accountId,
    lastThreadId: deliveryContext?.threadId,
  };
}

/** The route of an entry; what it does not say itself is taken from where the conversation came from. */
export function deliveryContextFromSession(entry?: DeliveryContextSessionSource | null): DeliveryContext | undefined {
  if (entry === undefined || entry === null) return undefined;
  const { deliveryContext, lastChannel, lastTo, origin } = entry;
  return normalizeSessionDeliveryFields({
    channel: normalizeOptionalString(entry.channel) ?? origin?.provider,
    lastChannel,
    lastTo,
    lastAccountId: normalizeOptionalString(entry.lastAccountId) ?? origin?.accountId,
    lastThreadId: storedThreadId(entry),
    deliveryContext,
  }).deliveryContext;
}

/** The thread of an entry, wherever it stands: the newest form first. */
export function storedThreadId(entry: DeliveryContextSessionSource): string | number | undefined {
  return entry.lastThreadId ?? entry.deliveryContext?.threadId ?? entry.origin?.threadId;
}

/** `channel|to|account|thread`, by which two routes are the same; undefined without channel and recipient. */
export function deliveryContextKey(context?: DeliveryContext | null): string | undefined {
  const route = normalizeDeliveryContext(context);
  if (route?.channel === undefined || route.to === undefined) return undefined;
  return `${route.channel}|${route.to}|${route.accountId ?? ""}|${route.threadId ?? ""}`;
}
