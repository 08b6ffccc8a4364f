/**
 * The route that a session key leads to, as a restarted gateway looks it up to report back. Pure: whoever calls brings a
 * way to look at entries; what that throws is for the caller to swallow.
 */

import { deliveryContextFromSession } from "./delivery.js";
import { parseSessionThreadInfo } from "./thread-info.js";
import type { DeliveryContextSessionSource } from "./types.js";

export interface ExtractedDeliveryInfo {
  /** All fields as strings, a thread number written out. */
  deliveryContext?: { channel?: string; to?: string; accountId?: string; threadId?: string };
  /** The thread that the key names. */
  threadId?: string;
}

/**
 * The route of the session; if it has none, that of the conversation its thread belongs to. Only a route with a channel
 * and a recipient counts.
 */
export function deliveryInfoOfSession(
  sessionKey: string | null | undefined,
  findEntry: (sessionKey: string) => DeliveryContextSessionSource | null | undefined,
): ExtractedDeliveryInfo {
  const { baseSessionKey, threadId } = parseSessionThreadInfo(sessionKey);
  if (baseSessionKey === undefined) return { deliveryContext: undefined, threadId: undefined };
  const keys = threadId === undefined ? [baseSessionKey] : [sessionKey!.trim(), baseSessionKey];
  for (const key of keys) {
    const route = deliveryContextFromSession(findEntry(key));
    if (route?.channel === undefined || route.to === undefined) continue;
    const { channel, to, accountId, threadId: routeThread } = route;
    return {
      deliveryContext: {
        channel,
        to,
        accountId,
        threadId: routeThread === undefined ? undefined : String(routeThread),
      },
      threadId,
    };
  }
  return { deliveryContext: undefined, threadId };
}
