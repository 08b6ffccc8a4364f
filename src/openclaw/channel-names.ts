/**
 * Names of channels: one spelling each. The gateway also asks its plugins; here are only the second names of the
 * channels it ships with, and which of those have rooms beside groups.
 */

import { normalizeOptionalLowercaseString } from "./strings.js";
import type { SessionChatType } from "./types.js";

const secondNames = new Map([
  ["gchat", "googlechat"],
  ["google-chat", "googlechat"],
  ["imsg", "imessage"],
  ["internet-relay-chat", "irc"],
  ["teams", "msteams"],
]);

/** Channels whose conversations can be rooms (`#general`), whatever a message says of its own kind. */
const channelsWithRooms = new Set(["discord", "irc", "matrix", "mattermost", "msteams", "slack"]);

/** Trimmed, lower case, and the first of several names; undefined for a blank one. */
export function normalizeMessageChannel(channel: string | null | undefined): string | undefined {
  const name = normalizeOptionalLowercaseString(channel);
  return name === undefined ? undefined : (secondNames.get(name) ?? name);
}

export function channelHasRooms(channel: string): boolean {
  return channelsWithRooms.has(channel);
}

/** `direct`, `group` or `channel`; `dm` is the older name of `direct`. Undefined for anything else. */
export function normalizeChatType(chatType: string | null | undefined): SessionChatType | undefined {
  const kind = normalizeOptionalLowercaseString(chatType);
  if (kind === "dm") return "direct";
  return kind === "direct" || kind === "group" || kind === "channel" ? kind : undefined;
}
