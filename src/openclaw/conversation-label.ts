/**
 * The name of a conversation for people, from the message that came in. Pure.
 */

import { normalizeChatType } from "./channel-names.js";
import { normalizeOptionalString } from "./strings.js";
import type { MsgContext } from "./types.js";

/**
 * The label that the channel gave, else the thread's, else for a direct conversation its sender, else the group: its
 * channel, subject, space or address. A group's name gets ` id:<id>` behind it where groups of one name are common:
 * when the id is a number or a WhatsApp group's - not when the name has it already or begins with `#` or `@`.
 */
export function resolveConversationLabel(ctx: MsgContext): string | undefined {
  const given = normalizeOptionalString(ctx.ConversationLabel) ?? normalizeOptionalString(ctx.ThreadLabel);
  if (given !== undefined) return given;
  const from = normalizeOptionalString(ctx.From);
  if (normalizeChatType(ctx.ChatType) === "direct") return normalizeOptionalString(ctx.SenderName) ?? from;
  const name =
    normalizeOptionalString(ctx.GroupChannel) ??
    normalizeOptionalString(ctx.GroupSubject) ??
    normalizeOptionalString(ctx.GroupSpace) ??
    from;
  if (name === undefined || /^[#@]/.test(name)) return name;
  const id = normalizeOptionalString(from?.split(":").at(-1));
  const isTelling = id !== undefined && (/^\d+$/.test(id) || id.includes("@g.us"));
  return isTelling && !name.includes(id) ? `${name} id:${id}` : name;
}
