import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { privatizeEntry } from "../../../src/sessions/entry-value.js";
import { classifySession, parseAgentKey, summarizeSession } from "../../../src/sessions/summary.js";

const kinds: [string, string][] = [
  ["global", "global"],
  ["unknown", "unknown"],
  ["main", "main"],
  ["agent:main:main", "main"],
  ["agent:main:main:heartbeat", "main"],
  ["agent:main:main:thread:5", "thread"],
  ["agent:main:direct:+4312345", "direct"],
  ["agent:main:telegram:direct:5", "direct"],
  ["agent:main:telegram:account:direct:5", "direct"],
  ["agent:main:telegram:dm:5", "direct"],
  ["agent:main:telegram:group:-100", "group"],
  ["agent:main:telegram:group:-100:topic:7", "thread"],
  ["agent:main:feishu:group:oc_1:topic:om_2", "group"],
  ["agent:main:slack:channel:c1", "channel"],
  ["agent:main:slack:channel:c1:thread:1.2", "thread"],
  ["agent:main:cron:job", "cron"],
  ["agent:main:cron:job:run:1", "cron"],
  ["agent:main:cron:job:subagent:1", "subagent"],
  ["agent:main:subagent:1:subagent:2", "subagent"],
  ["agent:main:acp:1", "acp"],
  ["agent:main:acp:binding:discord:default:hash", "acp"],
  ["agent:main:hook:mail", "hook"],
  ["agent:main:explicit:main", "other"],
  ["agent:main:explicit:group", "other"],
  ["group:123", "group"],
  ["whatsapp:group:1@g.us", "group"],
  ["subagent:1", "subagent"],
  ["+4312345", "other"],
  ["agent:main", "other"],
  ["agent::", "other"],
];

for (const [key, kind] of kinds) {
  test(`the kind of ${key} is ${kind}`, () => {
    assert.equal(classifySession(key), kind);
    assert.equal(classifySession(key.toUpperCase()), kind);
  });
}

test("the chat type decides only where the key does not", () => {
  assert.equal(classifySession("agent:main:something", "group"), "group");
  assert.equal(classifySession("agent:main:something", "party"), "other");
  assert.equal(classifySession("agent:main:main", "group"), "main");
});

test("an agent key has at least three parts that are not empty", () => {
  assert.deepEqual(parseAgentKey("agent:Work:a:b"), { agent: "work", rest: "a:b" });
  assert.equal(parseAgentKey("agent:work"), undefined);
  assert.equal(parseAgentKey("agent::x"), undefined);
  assert.equal(parseAgentKey("agents:a:b"), undefined);
});

test("every key and every entry has a summary of the right types", () => {
  fc.assert(
    fc.property(fc.string(), fc.dictionary(fc.string(), fc.jsonValue()), fc.jsonValue(), (key, rest, anything) => {
      const fields = ["updatedAt", "label", "model", "channel", "deliveryContext", "chatType", "totalTokens"];
      const entry = { ...rest, ...Object.fromEntries(fields.map((field) => [field, anything])) };
      const summary = summarizeSession(key, privatizeEntry(entry, { nestingLevels: 256, entryBytes: 1e9 }));
      for (const [field, value] of Object.entries(summary)) {
        const isNumber = ["updatedAt", "totalTokens", "contextTokens", "entryBytes"].includes(field);
        assert.equal(typeof value, isNumber ? "number" : "string", field);
      }
    }),
  );
});

test("the channel is the entry's own, then the last one, then that of the delivery", () => {
  const channelOf = (entry: Record<string, unknown>) => summarizeSession("k", entry).channel;
  const deliveryContext = { channel: "c" };
  assert.equal(channelOf({ channel: "a", lastChannel: "b", deliveryContext }), "a");
  assert.equal(channelOf({ lastChannel: "b", deliveryContext }), "b");
  assert.equal(channelOf({ deliveryContext }), "c");
  assert.equal(channelOf({ deliveryContext: null, channel: 5 }), undefined);
});
