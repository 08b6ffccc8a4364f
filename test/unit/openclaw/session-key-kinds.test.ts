import assert from "node:assert/strict";
import { test } from "node:test";
import {
  deriveSessionChatTypeFromKey,
  getSubagentDepth,
  isAcpSessionKey,
  isCronRunSessionKey,
  isCronSessionKey,
  isSubagentSessionKey,
  parseRawSessionConversationRef,
  parseSessionThreadInfo,
  parseSessionThreadInfoFast,
  parseThreadSessionSuffix,
  resolveThreadParentSessionKey,
  resolveThreadSessionKeys,
} from "../../../src/openclaw/index.js";

test("getSubagentDepth counts :subagent:", () => {
  assert.equal(getSubagentDepth("agent:main:main"), 0);
  assert.equal(getSubagentDepth("agent:main:Subagent:a"), 1);
  assert.equal(getSubagentDepth("agent:main:subagent:a:subagent:b"), 2);
  for (const none of ["", undefined, null, "main"]) assert.equal(getSubagentDepth(none), 0);
});

test("isSubagentSessionKey and isAcpSessionKey know keys with and without an agent", () => {
  for (const key of ["agent:main:subagent:x", "Subagent:x"]) assert.equal(isSubagentSessionKey(key), true);
  for (const key of ["agent:main:main", "agent:main:x:subagent:y", undefined])
    assert.equal(isSubagentSessionKey(key), false);
  for (const key of ["agent:main:acp:1", "acp:binding:x"]) assert.equal(isAcpSessionKey(key), true);
  for (const key of ["agent:acp:main", "main", null]) assert.equal(isAcpSessionKey(key), false);
});

test("cron jobs and their runs are told apart", () => {
  const job = "agent:main:cron:job-1";
  const run = "Agent:Main:Cron:job-1:run:abc";
  assert.deepEqual([isCronSessionKey(job), isCronRunSessionKey(job)], [true, false]);
  assert.deepEqual([isCronSessionKey(run), isCronRunSessionKey(run)], [true, true]);
  assert.equal(isCronRunSessionKey(`${run}:extra`), false);
  assert.deepEqual([isCronSessionKey("cron:job"), isCronSessionKey("agent:main:main")], [false, false]);
});

test("a thread is what follows the last :thread: of any case", () => {
  assert.deepEqual(parseThreadSessionSuffix("agent:main:slack:channel:C1:thread:a:Thread:123.4"), {
    baseSessionKey: "agent:main:slack:channel:C1:thread:a",
    threadId: "123.4",
  });
  assert.deepEqual(parseThreadSessionSuffix("agent:main:matrix:channel:!r:x:thread:$AbC"), {
    baseSessionKey: "agent:main:matrix:channel:!r:x",
    threadId: "$AbC",
  });
  assert.deepEqual(parseThreadSessionSuffix("agent:main:main"), {
    baseSessionKey: "agent:main:main",
    threadId: undefined,
  });
  assert.deepEqual(parseThreadSessionSuffix(" "), { baseSessionKey: undefined, threadId: undefined });
});

test("a marker with nothing before it is no thread", () => {
  assert.deepEqual(parseThreadSessionSuffix(":thread:1"), { baseSessionKey: ":thread:1", threadId: undefined });
});

test("letters that change length in lower case do not shift the split", () => {
  assert.deepEqual(parseThreadSessionSuffix("İİİ:THREAD:7"), { baseSessionKey: "İİİ", threadId: "7" });
});

test("resolveThreadParentSessionKey is the base of a thread, null otherwise", () => {
  assert.equal(resolveThreadParentSessionKey("agent:main:slack:channel:c:thread:1"), "agent:main:slack:channel:c");
  assert.equal(resolveThreadParentSessionKey("agent:main:feishu:group:oc:topic:om:sender:ou"), null);
  for (const none of ["agent:main:main", "", undefined, ":thread:1"])
    assert.equal(resolveThreadParentSessionKey(none), null);
});

test("parseSessionThreadInfo knows :thread: and Telegram's :topic:", () => {
  assert.deepEqual(parseSessionThreadInfo("agent:main:telegram:group:1:topic:55"), {
    baseSessionKey: "agent:main:telegram:group:1",
    threadId: "55",
  });
  assert.deepEqual(parseSessionThreadInfo("Telegram:group:1:Topic:55").threadId, "55");
  assert.deepEqual(parseSessionThreadInfo("agent:main:slack:channel:C1:thread:123.456"), {
    baseSessionKey: "agent:main:slack:channel:C1",
    threadId: "123.456",
  });
  assert.deepEqual(parseSessionThreadInfo(undefined), { baseSessionKey: undefined, threadId: undefined });
});

test("Feishu ids that contain :topic: are not threads", () => {
  const key = "agent:main:feishu:group:oc_chat:topic:om_root:sender:ou_user";
  assert.deepEqual(parseSessionThreadInfo(key), { baseSessionKey: key, threadId: undefined });
});

test("parseSessionThreadInfoFast knows the generic grammar only", () => {
  const topic = "agent:main:telegram:group:1:topic:55";
  assert.deepEqual(parseSessionThreadInfoFast(topic), { baseSessionKey: topic, threadId: undefined });
  assert.equal(parseSessionThreadInfoFast("a:thread:1").threadId, "1");
});

test("resolveThreadSessionKeys appends the thread, in lower case unless told otherwise", () => {
  const baseSessionKey = "agent:main:slack:channel:c";
  const keys = (more: object) => resolveThreadSessionKeys({ baseSessionKey, ...more });
  assert.equal(keys({ threadId: " T-1 " }).sessionKey, `${baseSessionKey}:thread:t-1`);
  assert.equal(keys({ threadId: "T", normalizeThreadId: (id: string) => id }).sessionKey, `${baseSessionKey}:thread:T`);
  assert.equal(keys({ threadId: "T", useSuffix: false }).sessionKey, baseSessionKey);
  assert.equal(keys({ threadId: "T", parentSessionKey: "p" }).parentSessionKey, "p");
  for (const threadId of [undefined, null, " "])
    assert.deepEqual(keys({ threadId, parentSessionKey: "p" }), {
      sessionKey: baseSessionKey,
      parentSessionKey: undefined,
    });
});

test("parseRawSessionConversationRef finds a group or channel with or without an agent", () => {
  assert.deepEqual(parseRawSessionConversationRef("Agent:main:Matrix:Channel:!room:[2001:db8::1]"), {
    channel: "matrix",
    kind: "channel",
    rawId: "!room:[2001:db8::1]",
    prefix: "Agent:main:Matrix:Channel",
  });
  assert.equal(parseRawSessionConversationRef("telegram:group:1:topic:2")?.rawId, "1:topic:2");
  for (const key of [
    "agent::matrix:channel:r",
    "agent:a:matrix::r",
    "agent:a:telegram:direct:1",
    "slack:group:",
    "",
    null,
  ])
    assert.equal(parseRawSessionConversationRef(key), null);
});

test("deriveSessionChatTypeFromKey reads group, channel, direct and dm, and the older forms", () => {
  const expected = {
    "agent:main:telegram:group:g1": "group",
    "agent:main:discord:channel:c1": "channel",
    "agent:main:telegram:dm:1": "direct",
    "telegram:direct:1": "direct",
    "12345-678@g.us": "group",
    "agent:main:whatsapp:123@g.us": "group",
    "discord:acc-1:guild-123:channel-456": "channel",
    "agent:main:discord:guild-123:channel-456": "channel",
    "agent:main:main": "unknown",
    "agent:main": "unknown",
    "": "unknown",
  };
  for (const [key, kind] of Object.entries(expected)) assert.equal(deriveSessionChatTypeFromKey(key), kind, key);
  const rooms = [(key: string) => (key.startsWith("room:") ? ("channel" as const) : undefined)];
  assert.equal(deriveSessionChatTypeFromKey("agent:main:room:abc", rooms), "channel");
});
