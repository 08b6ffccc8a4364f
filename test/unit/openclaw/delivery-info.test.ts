import assert from "node:assert/strict";
import { test } from "node:test";
import { deliveryInfoOfSession } from "../../../src/openclaw/delivery-info.js";
import type { DeliveryContextSessionSource } from "../../../src/openclaw/index.js";

const base = "agent:main:telegram:group:1";
const topic = `${base}:topic:55`;
const route = { channel: "telegram", to: "1" };

function extract(sessionKey: string | undefined, entries: Record<string, DeliveryContextSessionSource>) {
  const asked: string[] = [];
  const info = deliveryInfoOfSession(sessionKey, (key) => {
    asked.push(key);
    return entries[key];
  });
  return { ...info, asked };
}

test("the key is tried first, and its thread is written out as a string", () => {
  assert.deepEqual(
    extract(` ${topic} `, { [topic]: { deliveryContext: { ...route, accountId: "a", threadId: 55 } } }),
    {
      deliveryContext: { ...route, accountId: "a", threadId: "55" },
      threadId: "55",
      asked: [topic],
    },
  );
});

test("for a thread or topic, the base key is tried next", () => {
  assert.deepEqual(extract(topic, { [base]: { deliveryContext: route } }), {
    deliveryContext: { ...route, accountId: undefined, threadId: undefined },
    threadId: "55",
    asked: [topic, base],
  });
});

test("only a context with channel and to counts", () => {
  const entries = { [topic]: { deliveryContext: { channel: "telegram" } }, [base]: { deliveryContext: route } };
  assert.equal(extract(topic, entries).deliveryContext?.to, "1");
  assert.equal(extract(base, { [base]: { deliveryContext: { to: "1" } } }).deliveryContext, undefined);
});

test("a key without a thread asks for itself alone, and no key asks for nothing", () => {
  assert.deepEqual(extract(base, {}), { deliveryContext: undefined, threadId: undefined, asked: [base] });
  assert.deepEqual(extract(undefined, {}), { deliveryContext: undefined, threadId: undefined, asked: [] });
});
