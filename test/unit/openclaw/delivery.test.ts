import assert from "node:assert/strict";
import { test } from "node:test";
import {
  deliveryContextFromSession,
  deliveryContextKey,
  mergeDeliveryContext,
  normalizeChatType,
  normalizeDeliveryContext,
  normalizeMessageChannel,
  normalizeSessionDeliveryFields,
} from "../../../src/openclaw/index.js";

test("normalizeDeliveryContext trims, and writes the channel in lower case under its first name", () => {
  const normal = normalizeDeliveryContext({ channel: " GChat ", to: " x ", accountId: " A ", threadId: " t " });
  assert.deepEqual(normal, { channel: "googlechat", to: "x", accountId: "A", threadId: "t" });
});

test("a thread that is a number is cut to a whole one", () => {
  assert.equal(normalizeDeliveryContext({ threadId: 42.9 })?.threadId, 42);
  assert.equal(normalizeDeliveryContext({ threadId: -3.9 })?.threadId, -3);
  assert.equal(normalizeDeliveryContext({ threadId: Number.NaN }), undefined);
});

test("a context with nothing in it is undefined", () => {
  for (const empty of [undefined, null, {}, { channel: " ", to: "", accountId: " ", threadId: " " }])
    assert.equal(normalizeDeliveryContext(empty), undefined);
});

test("the threadId key is left out when there is no thread", () => {
  const normal = normalizeDeliveryContext({ channel: "slack", threadId: "" });
  assert.deepEqual(normal, { channel: "slack", to: undefined, accountId: undefined });
  assert.equal(Object.hasOwn(normal!, "threadId"), false);
});

test("mergeDeliveryContext fills the gaps of the first from the second", () => {
  assert.deepEqual(mergeDeliveryContext({ channel: "slack" }, { channel: "Slack", to: "c", threadId: 1 }), {
    channel: "slack",
    to: "c",
    accountId: undefined,
    threadId: 1,
  });
  assert.deepEqual(mergeDeliveryContext({ to: "x" }, { channel: "slack", accountId: "a" }), {
    channel: "slack",
    to: "x",
    accountId: "a",
  });
  assert.deepEqual(mergeDeliveryContext({ channel: "slack" }, { to: "c" })?.to, "c");
  assert.equal(mergeDeliveryContext(undefined, { channel: "slack" })?.channel, "slack");
  assert.equal(mergeDeliveryContext(undefined, undefined), undefined);
});

test("nothing is carried over from another channel", () => {
  const merged = mergeDeliveryContext(
    { channel: "telegram" },
    { channel: "slack", to: "c", accountId: "a", threadId: 1 },
  );
  assert.deepEqual(merged, { channel: "telegram", to: undefined, accountId: undefined });
});

test("normalizeSessionDeliveryFields brings context and last* fields to one, and the context decides", () => {
  assert.deepEqual(
    normalizeSessionDeliveryFields({
      channel: "telegram",
      lastChannel: "discord",
      lastTo: "user123",
      deliveryContext: { channel: "signal", to: "user456" },
    }),
    {
      deliveryContext: { channel: "signal", to: "user456", accountId: undefined },
      lastChannel: "signal",
      lastTo: "user456",
      lastAccountId: undefined,
      lastThreadId: undefined,
    },
  );
  assert.equal(normalizeSessionDeliveryFields(undefined).deliveryContext, undefined);
  assert.equal(normalizeSessionDeliveryFields({ channel: "slack" }).lastChannel, "slack");
});

test("deliveryContextFromSession prefers the entry and falls back to provider, account and thread of the origin", () => {
  assert.deepEqual(
    deliveryContextFromSession({ channel: "webchat", lastChannel: " telegram ", lastTo: " +1 ", lastAccountId: " a " }),
    { channel: "telegram", to: "+1", accountId: "a" },
  );
  const origin = { provider: "Slack", accountId: "o", threadId: "t" };
  assert.deepEqual(deliveryContextFromSession({ lastTo: "c", origin }), {
    channel: "slack",
    to: "c",
    accountId: "o",
    threadId: "t",
  });
  assert.equal(deliveryContextFromSession({ lastChannel: "slack", lastThreadId: "n", origin })?.threadId, "n");
  assert.equal(deliveryContextFromSession(undefined), undefined);
  assert.equal(deliveryContextFromSession({}), undefined);
});

test("deliveryContextKey is channel|to|account|thread, and undefined without channel and to", () => {
  assert.equal(deliveryContextKey({ channel: "slack", to: "c" }), "slack|c||");
  assert.equal(deliveryContextKey({ channel: "slack", to: "c", accountId: "a", threadId: 0 }), "slack|c|a|0");
  assert.equal(deliveryContextKey({ channel: "slack" }), undefined);
  assert.equal(deliveryContextKey({ to: "c" }), undefined);
  assert.equal(deliveryContextKey(undefined), undefined);
});

test("normalizeMessageChannel trims, lower-cases and knows second names", () => {
  assert.equal(normalizeMessageChannel(" WhatsApp "), "whatsapp");
  assert.equal(normalizeMessageChannel("google-chat"), "googlechat");
  assert.equal(normalizeMessageChannel("constructor"), "constructor");
  assert.equal(normalizeMessageChannel(" "), undefined);
});

test("normalizeChatType knows direct, group and channel, and dm as the older name of direct", () => {
  assert.deepEqual([" Direct ", "dm", "GROUP", "channel"].map(normalizeChatType), [
    "direct",
    "direct",
    "group",
    "channel",
  ]);
  for (const other of ["thread", "", undefined, null]) assert.equal(normalizeChatType(other), undefined);
});
