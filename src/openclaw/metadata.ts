/**
 * What an inbound message changes in the metadata of its session: the group's names, and where it came from. The result
 * is a patch for one of the merges in `entry.ts`; null is "nothing to write". Pure.
 */

import { channelHasRooms } from "./channel-names.js";
import { buildGroupDisplayName, resolveGroupSessionKey } from "./group.js";
import { deriveSessionOrigin, mergeSessionOrigin } from "./origin.js";
import { normalizeOptionalString } from "./strings.js";
import type { GroupKeyResolution, MsgContext, SessionEntry } from "./types.js";

export interface GroupSessionPatchParams {
  ctx: MsgContext;
  sessionKey: string;
  existing?: SessionEntry;
  /** Left out or null: found from the message. */
  groupResolution?: GroupKeyResolution | null;
}

export interface SessionMetaPatchParams extends GroupSessionPatchParams {
  skipSystemEventOrigin?: boolean;
}

/** The fields of a group or channel; null for any other message. A name that the message lacks is not cleared. */
export function deriveGroupSessionPatch(params: GroupSessionPatchParams): Partial<SessionEntry> | null {
  const { ctx, existing } = params;
  const group = params.groupResolution ?? resolveGroupSessionKey(ctx);
  const channel = normalizeOptionalString(group?.channel);
  if (group === null || channel === undefined) return null;
  const names = groupNames(ctx, group, channel);
  return {
    chatType: group.chatType ?? "group",
    channel,
    ...(group.id === undefined ? {} : { groupId: group.id }),
    ...names,
    displayName: buildGroupDisplayName({
      provider: channel,
      subject: names.subject ?? existing?.subject,
      groupChannel: names.groupChannel ?? existing?.groupChannel,
      space: names.space ?? existing?.space,
      id: group.id,
      key: params.sessionKey,
    }),
  };
}

/** Either a room or a subject, never both: some channels send the room's name as the subject. */
function groupNames(
  ctx: MsgContext,
  group: GroupKeyResolution,
  channel: string,
): Pick<Partial<SessionEntry>, "subject" | "groupChannel" | "space"> {
  const subject = normalizeOptionalString(ctx.GroupSubject);
  const space = normalizeOptionalString(ctx.GroupSpace);
  const canBeRoom = group.chatType === "channel" || channelHasRooms(channel.toLowerCase());
  const roomInSubject = canBeRoom && subject?.startsWith("#") === true ? subject : undefined;
  const groupChannel = normalizeOptionalString(ctx.GroupChannel) ?? roomInSubject;
  return {
    ...(groupChannel !== undefined ? { groupChannel } : subject !== undefined ? { subject } : {}),
    ...(space !== undefined ? { space } : {}),
  };
}

/** The group's fields and the origin, merged into the one that is known; null when the message has neither. */
export function deriveSessionMetaPatch(params: SessionMetaPatchParams): Partial<SessionEntry> | null {
  const group = deriveGroupSessionPatch(params);
  const derived = deriveSessionOrigin(params.ctx, { skipSystemEventOrigin: params.skipSystemEventOrigin });
  if (group === null && derived === undefined) return null;
  const origin = mergeSessionOrigin(params.existing?.origin, derived);
  return { ...group, ...(origin === undefined ? {} : { origin }) };
}
