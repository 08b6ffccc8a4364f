import assert from "node:assert/strict";
import { test } from "node:test";
import {
  deriveSessionMetaPatch,
  deriveSessionOrigin,
  type MsgContext,
  mergeSessionOrigin,
  resolveConversationLabel,
  snapshotSessionOrigin,
} from "../../../src/openclaw/index.js";

const full: MsgContext = {
  ConversationLabel: " Ops ",
  OriginatingChannel: "WhatsApp",
  Surface: " Discord ",
  Provider: "slack",
  ChatType: "Channel",
  From: " f ",
  OriginatingTo: "ot",
  To: "t",
  NativeChannelId: "nc",
  NativeDirectUserId: "nd",
  AccountId: "a",
  MessageThreadId: 7,
};

test("deriveSessionOrigin reads label, provider, surface, kind, addresses, native ids, account and thread", () => {
  assert.deepEqual(deriveSessionOrigin(full), {
    label: "Ops",
    provider: "whatsapp",
    surface: "discord",
    chatType: "channel",
    from: "f",
    to: "ot",
    nativeChannelId: "nc",
    nativeDirectUserId: "nd",
    accountId: "a",
    threadId: 7,
  });
});

test("the provider is OriginatingChannel, else Surface, else Provider; to is OriginatingTo, else To", () => {
  assert.equal(deriveSessionOrigin({ Surface: "Discord", Provider: "slack" })?.provider, "discord");
  assert.equal(deriveSessionOrigin({ OriginatingChannel: " ", Provider: "GChat" })?.provider, "googlechat");
  assert.equal(deriveSessionOrigin({ OriginatingTo: " ", To: "t" })?.to, "t");
});

test("an origin without anything in it is undefined", () => {
  assert.equal(deriveSessionOrigin({}), undefined);
  assert.equal(deriveSessionOrigin({ From: " ", MessageThreadId: "", Body: "hello" }), undefined);
});

test("skipSystemEventOrigin: heartbeat, cron-event and exec-event have no origin", () => {
  for (const Provider of ["heartbeat", "cron-event", "exec-event", " Heartbeat "]) {
    assert.equal(deriveSessionOrigin({ Provider, To: "t" }, { skipSystemEventOrigin: true }), undefined);
    assert.notEqual(deriveSessionOrigin({ Provider, To: "t" }), undefined);
  }
  assert.equal(deriveSessionOrigin({ Provider: "slack" }, { skipSystemEventOrigin: true })?.provider, "slack");
});

test("snapshotSessionOrigin is a shallow copy", () => {
  const origin = { label: "a" };
  const copy = snapshotSessionOrigin({ origin });
  assert.deepEqual(copy, origin);
  assert.notEqual(copy, origin);
  assert.equal(snapshotSessionOrigin({}), undefined);
  assert.equal(snapshotSessionOrigin(undefined), undefined);
});

test("merging origins: only truthy new values overwrite, and nothing is ever cleared", () => {
  const existing = { label: "a", from: "f", threadId: 1 };
  const merged = mergeSessionOrigin(existing, { label: "", from: "g", threadId: undefined, to: "t" });
  assert.deepEqual(merged, { label: "a", from: "g", threadId: 1, to: "t" });
  assert.deepEqual(existing, { label: "a", from: "f", threadId: 1 });
  assert.equal(mergeSessionOrigin(undefined, undefined), undefined);
  const patch = deriveSessionMetaPatch({
    ctx: { From: "g" },
    sessionKey: "k",
    existing: { sessionId: "s", updatedAt: 1, origin: existing },
  });
  assert.deepEqual(patch?.origin, { ...existing, label: "g", from: "g" });
});

test("resolveConversationLabel: the given label, else the thread's", () => {
  assert.equal(resolveConversationLabel({ ...full, ThreadLabel: "th" }), "Ops");
  assert.equal(resolveConversationLabel({ ConversationLabel: " ", ThreadLabel: "th", ChatType: "group" }), "th");
});

test("resolveConversationLabel of a direct conversation: the sender's name, else From", () => {
  assert.equal(resolveConversationLabel({ ChatType: "direct", SenderName: "Ada", From: "telegram:99" }), "Ada");
  assert.equal(resolveConversationLabel({ ChatType: "DM", From: "telegram:99" }), "telegram:99");
  assert.equal(resolveConversationLabel({ ChatType: "direct" }), undefined);
});

test("resolveConversationLabel of a group: channel, subject, space, From", () => {
  const ctx: MsgContext = { ChatType: "group", GroupSpace: "sp", From: "slack:channel:c" };
  assert.equal(resolveConversationLabel({ ...ctx, GroupSubject: "su", GroupChannel: "ch" }), "ch");
  assert.equal(resolveConversationLabel({ ...ctx, GroupSubject: "su" }), "su");
  assert.equal(resolveConversationLabel(ctx), "sp");
  assert.equal(resolveConversationLabel({ ChatType: "group", From: "slack:channel:c" }), "slack:channel:c");
});

test("` id:<id>` is appended for numeric ids and for ids that contain @g.us", () => {
  const label = (GroupSubject: string, From: string) =>
    resolveConversationLabel({ ChatType: "group", GroupSubject, From });
  assert.equal(label("Ops", "telegram:group:42"), "Ops id:42");
  assert.equal(label("Family", "whatsapp:group:123@g.us"), "Family id:123@g.us");
  assert.equal(label("Ops", "slack:channel:C1"), "Ops");
});

test("no id is appended when the name has it already or begins with # or @", () => {
  const label = (GroupSubject: string, From: string) =>
    resolveConversationLabel({ ChatType: "group", GroupSubject, From });
  assert.equal(label("Family id:123@g.us", "whatsapp:group:123@g.us"), "Family id:123@g.us");
  assert.equal(label("#general", "discord:channel:123"), "#general");
  assert.equal(label("@team", "discord:channel:123"), "@team");
});
