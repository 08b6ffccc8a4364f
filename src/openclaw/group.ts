/**
 * Groups and channels: the key of the one a message belongs to, and a short name for lists. Pure.
 */

import { normalizeChatType, normalizeMessageChannel } from "./channel-names.js";
import { normalizeOptionalLowercaseString, normalizeOptionalString } from "./strings.js";
import type { GroupKeyResolution, MsgContext } from "./types.js";

interface GroupAddress {
  channel?: string;
  kind?: "group" | "channel";
  id: string;
}

/**
 * The group or channel of a message; null for a direct one. The sender's address usually names it
 * (`telegram:group:-100`, `123@g.us`). Where it names a person although the message is of a group, the address to
 * answer to is asked next, and only then is the sender's own id taken. Ids are lower case, in the key and beside it.
 */
export function resolveGroupSessionKey(ctx: MsgContext): GroupKeyResolution | null {
  const chatType = normalizeChatType(ctx.ChatType);
  if (chatType === "direct") return null;
  const from = parseAddress(ctx.From);
  const isGroup = chatType !== undefined || from?.kind !== undefined;
  if (!isGroup) return null;
  const address = [from, parseAddress(ctx.OriginatingTo), parseAddress(ctx.To)].find((one) => one?.kind) ?? from;
  if (address === undefined) return null;
  const kind = address.kind ?? chatType ?? "group";
  const channel = address.channel ?? channelOfMessage(ctx);
  return { key: `${channel ?? "unknown"}:${kind}:${address.id}`, channel, id: address.id, chatType: kind };
}

/** `[<channel>[:<account>]:]<group|channel>:<id>`, the address of a WhatsApp group, or `<channel>:<id>`. */
function parseAddress(address: string | undefined): GroupAddress | undefined {
  const text = normalizeOptionalLowercaseString(address);
  if (text === undefined) return undefined;
  const parts = text.split(":");
  const at = parts.slice(0, 3).findIndex((part) => part === "group" || part === "channel");
  if (at >= 0) {
    const id = normalizeOptionalString(parts.slice(at + 1).join(":"));
    const channel = at === 0 ? undefined : normalizeMessageChannel(parts[0]);
    return id === undefined ? undefined : { channel, kind: parts[at] as "group" | "channel", id };
  }
  if (text.endsWith("@g.us")) return { channel: "whatsapp", kind: "group", id: text.replace(/^whatsapp:/, "") };
  if (parts.length === 1) return { id: text };
  const id = normalizeOptionalString(parts.slice(1).join(":"));
  return id === undefined ? undefined : { channel: normalizeMessageChannel(parts[0]), id };
}

function channelOfMessage(ctx: MsgContext): string | undefined {
  return (
    normalizeMessageChannel(ctx.OriginatingChannel) ??
    normalizeMessageChannel(ctx.Surface) ??
    normalizeMessageChannel(ctx.Provider)
  );
}

export interface GroupDisplayNameParams {
  provider?: string;
  subject?: string;
  groupChannel?: string;
  space?: string;
  id?: string;
  key: string;
}

/**
 * `<provider>:<slug>`. The slug comes from channel and space together, else from the channel, the subject, the space,
 * the id or the key, whichever is there first. A plain one gets `g-` in front, so that a group's name is not taken for
 * a person's. A missing provider is written as `group`.
 */
export function buildGroupDisplayName(params: GroupDisplayNameParams): string {
  const provider = normalizeOptionalLowercaseString(params.provider) ?? "group";
  const channel = normalizeOptionalString(params.groupChannel);
  const space = normalizeOptionalString(params.space);
  const name =
    channel !== undefined && space !== undefined
      ? `${space}#${channel.replace(/^#+/, "")}`
      : (channel ??
        normalizeOptionalString(params.subject) ??
        space ??
        normalizeOptionalString(params.id) ??
        params.key);
  const slug = toSlug(name);
  if (slug === "") return provider;
  const isPlain = !/^[@#]/.test(slug) && !slug.startsWith("g-") && !slug.includes("#");
  return `${provider}:${isPlain ? "g-" : ""}${slug}`;
}

/** Lower case, with a dash for every run of spaces or of characters that do not belong, and none at the ends. */
function toSlug(name: string): string {
  return name
    .toLowerCase()
    .replace(/\s+/g, "-")
    .replace(/[^a-z0-9#@._+-]+/g, "-")
    .replace(/-{2,}/g, "-")
    .replace(/^[-.]+|[-.]+$/g, "");
}
