import assert from "node:assert/strict";
import { test } from "node:test";
import {
  buildGroupDisplayName,
  deriveGroupSessionPatch,
  deriveSessionMetaPatch,
  type MsgContext,
  resolveGroupSessionKey,
  type SessionEntry,
} from "../../../src/openclaw/index.js";

test("resolveGroupSessionKey is channel, group or channel, and the id in lower case", () => {
  assert.deepEqual(resolveGroupSessionKey({ ChatType: "group", From: "telegram:group:MiXeD" }), {
    key: "telegram:group:mixed",
    channel: "telegram",
    id: "mixed",
    chatType: "group",
  });
  assert.deepEqual(resolveGroupSessionKey({ ChatType: "channel", Provider: "slack", From: "slack:channel:C1" }), {
    key: "slack:channel:c1",
    channel: "slack",
    id: "c1",
    chatType: "channel",
  });
});

test("a direct message, and one that says nothing, has no group", () => {
  for (const ctx of [
    {},
    { From: "telegram:1" },
    { ChatType: "direct", From: "telegram:group:1" },
    { ChatType: "group" },
  ])
    assert.equal(resolveGroupSessionKey(ctx), null);
});

test("the form of the address is enough, and a WhatsApp group's address is one", () => {
  assert.equal(resolveGroupSessionKey({ From: "signal:group:Abc" })?.key, "signal:group:abc");
  assert.equal(resolveGroupSessionKey({ From: "123-4@g.us" })?.key, "whatsapp:group:123-4@g.us");
  assert.equal(resolveGroupSessionKey({ From: "whatsapp:123@g.us" })?.id, "123@g.us");
});

test("an address without a channel takes that of the message", () => {
  assert.equal(resolveGroupSessionKey({ From: "group:x", Provider: "IRC" })?.key, "irc:group:x");
  assert.equal(resolveGroupSessionKey({ From: "group:x" })?.key, "unknown:group:x");
  assert.equal(resolveGroupSessionKey({ From: "Room1", Surface: "irc", ChatType: "group" })?.key, "irc:group:room1");
});

test("when From names the sender, the address to answer to names the group", () => {
  const ctx: MsgContext = {
    Provider: "discord",
    ChatType: "channel",
    From: "discord:65",
    OriginatingTo: "channel:147",
  };
  assert.equal(resolveGroupSessionKey(ctx)?.key, "discord:channel:147");
  assert.equal(resolveGroupSessionKey({ ...ctx, OriginatingTo: undefined, To: "channel:9" })?.key, "discord:channel:9");
  assert.equal(resolveGroupSessionKey({ ...ctx, OriginatingTo: undefined })?.key, "discord:channel:65");
});

test("the word must stand where an address has it: group and channel are also parts of ids", () => {
  assert.equal(resolveGroupSessionKey({ From: "slack:account:channel:c" })?.key, "slack:channel:c");
  assert.equal(resolveGroupSessionKey({ From: "a:b:c:group:x" }), null);
});

test("an id keeps the colons it has", () => {
  assert.equal(resolveGroupSessionKey({ From: "matrix:channel:!r:example.org" })?.id, "!r:example.org");
});

test("buildGroupDisplayName is <provider>:<slug>, and space#channel when there are both", () => {
  const key = "k";
  assert.equal(
    buildGroupDisplayName({ provider: " Slack ", groupChannel: "#Dev", space: "My Team", key }),
    "slack:my-team#dev",
  );
  assert.equal(buildGroupDisplayName({ provider: "slack", groupChannel: "dev", space: "t", key }), "slack:t#dev");
  assert.equal(buildGroupDisplayName({ provider: "slack", groupChannel: "#dev", key }), "slack:#dev");
});

test("a slug without both gets g- in front, unless it starts with @ or # or g-, or contains #", () => {
  const name = (subject: string) => buildGroupDisplayName({ provider: "p", subject, key: "k" });
  assert.equal(name("Family"), "p:g-family");
  assert.equal(name("@team"), "p:@team");
  assert.equal(name("#room"), "p:#room");
  assert.equal(name("g-one"), "p:g-one");
  assert.equal(name("a#b"), "p:a#b");
});

test("a slug is lower case, with dashes for spaces and for characters that do not belong", () => {
  assert.equal(buildGroupDisplayName({ provider: "p", subject: "  Été & Co. +1_x ", key: "k" }), "p:g-t-co.-+1_x");
});

test("dashes of a name are not doubled by those that were put in", () => {
  assert.equal(buildGroupDisplayName({ provider: "p", subject: "a - b--c", key: "k" }), "p:g-a-b-c");
});

test("without names the id, and without an id the key is the slug", () => {
  assert.equal(buildGroupDisplayName({ provider: "telegram", id: "-100", key: "k" }), "telegram:g-100");
  assert.equal(buildGroupDisplayName({ provider: "p", key: "agent:main:x" }), "p:g-agent-main-x");
  assert.equal(buildGroupDisplayName({ key: "k" }), "group:g-k");
  assert.equal(buildGroupDisplayName({ provider: "p", subject: "???", key: "k" }), "p");
});

const sessionKey = "agent:main:slack:channel:c1";

test("deriveGroupSessionPatch is null unless a group channel is resolved", () => {
  assert.equal(deriveGroupSessionPatch({ ctx: { ChatType: "direct", From: "slack:u" }, sessionKey }), null);
  assert.equal(deriveGroupSessionPatch({ ctx: {}, sessionKey, groupResolution: { key: "unknown:group:x" } }), null);
});

test("deriveGroupSessionPatch sets kind, channel, id, subject, space and display name", () => {
  const ctx: MsgContext = { ChatType: "group", From: "telegram:group:-1", GroupSubject: " Ops ", GroupSpace: "s" };
  assert.deepEqual(deriveGroupSessionPatch({ ctx, sessionKey }), {
    chatType: "group",
    channel: "telegram",
    groupId: "-1",
    subject: "Ops",
    space: "s",
    displayName: "telegram:g-ops",
  });
});

test("the kind of a given resolution without one is group", () => {
  const patch = deriveGroupSessionPatch({
    ctx: {},
    sessionKey,
    groupResolution: { key: "k", channel: "irc", id: "x" },
  });
  assert.equal(patch?.chatType, "group");
  assert.equal(patch?.groupId, "x");
  const groupResolution = { key: "k", channel: "Slack" };
  const noId = deriveGroupSessionPatch({ ctx: { GroupSubject: "#a" }, sessionKey, groupResolution });
  assert.equal(noId?.groupChannel, "#a");
  assert.equal(Object.hasOwn(noId!, "groupId"), false, "an id that is known is not cleared");
});

test("a #... subject counts as the channel for channel-type surfaces only", () => {
  const patch = (From: string, ChatType: string) =>
    deriveGroupSessionPatch({ ctx: { From, ChatType, GroupSubject: "#general" }, sessionKey });
  assert.equal(patch("slack:group:g", "group")?.groupChannel, "#general");
  assert.equal(patch("slack:group:g", "group")?.subject, undefined);
  assert.equal(patch("custom:channel:c", "channel")?.groupChannel, "#general");
  assert.equal(patch("telegram:group:g", "group")?.subject, "#general");
});

test("names that a message lacks come from the entry for the display name, and are not cleared", () => {
  const existing: SessionEntry = { sessionId: "s", updatedAt: 1, space: "Team", groupChannel: "#dev" };
  const ctx: MsgContext = { ChatType: "channel", From: "slack:channel:c1" };
  const patch = deriveGroupSessionPatch({ ctx, sessionKey, existing });
  assert.equal(patch?.displayName, "slack:team#dev");
  assert.equal(Object.hasOwn(patch!, "space"), false);
  assert.equal(Object.hasOwn(patch!, "groupChannel"), false);
});

test("deriveSessionMetaPatch is the group patch and the merged origin, null when neither exists", () => {
  const ctx: MsgContext = { ChatType: "channel", From: "slack:channel:c1", Provider: "slack" };
  const patch = deriveSessionMetaPatch({ ctx, sessionKey });
  assert.equal(patch?.groupId, "c1");
  assert.equal(patch?.origin?.provider, "slack");
  assert.equal(deriveSessionMetaPatch({ ctx: {}, sessionKey }), null);
  const event: MsgContext = { Provider: "heartbeat", To: "x" };
  assert.equal(deriveSessionMetaPatch({ ctx: event, sessionKey, skipSystemEventOrigin: true }), null);
  assert.equal(deriveSessionMetaPatch({ ctx: event, sessionKey })?.origin?.provider, "heartbeat");
});
