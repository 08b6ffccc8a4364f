import assert from "node:assert/strict";
import { test } from "node:test";
import { applySessionStoreMigrations, normalizeSessionStore, type SessionEntry } from "../../../src/openclaw/index.js";

const entry = (fields: Record<string, unknown> = {}): SessionEntry => ({ sessionId: "s1", updatedAt: 100, ...fields });

function normalized(fields: Record<string, unknown>): SessionEntry {
  const store = { k: entry(fields) };
  normalizeSessionStore(store);
  return store.k;
}

test("normalizeSessionStore trims the model fields of each entry", () => {
  assert.deepEqual(normalized({ model: " m ", modelProvider: " " }), entry({ model: "m" }));
});

test("channel names are lower-cased and brought to their first name, to and accountId are trimmed", () => {
  const route = { channel: " WhatsApp ", to: " +1 ", accountId: " a " };
  assert.deepEqual(
    normalized({ deliveryContext: route }),
    entry({
      deliveryContext: { channel: "whatsapp", to: "+1", accountId: "a" },
      lastChannel: "whatsapp",
      lastTo: "+1",
      lastAccountId: "a",
    }),
  );
  assert.equal(normalized({ lastChannel: "imsg" }).lastChannel, "imessage");
});

test("deliveryContext is made from the last* fields and the other way round", () => {
  const fromLast = normalized({ lastChannel: "telegram", lastTo: "1", lastThreadId: 7 });
  assert.deepEqual(fromLast.deliveryContext, { channel: "telegram", to: "1", threadId: 7 });
  const fromContext = normalized({ deliveryContext: { channel: "slack", to: "c" } });
  assert.deepEqual([fromContext.lastChannel, fromContext.lastTo], ["slack", "c"]);
});

test("the thread is lastThreadId, else that of the context, else that of the origin", () => {
  const lastChannel = "telegram";
  assert.equal(normalized({ lastChannel, lastThreadId: 1, origin: { threadId: 3 } }).lastThreadId, 1);
  assert.equal(normalized({ lastChannel, deliveryContext: { threadId: 2 }, origin: { threadId: 3 } }).lastThreadId, 2);
  assert.equal(normalized({ lastChannel, origin: { threadId: 3 } }).lastThreadId, 3);
});

test("an entry object is only replaced when something differs", () => {
  const store: Record<string, SessionEntry> = {
    bare: entry(),
    normal: entry({ deliveryContext: { channel: "slack", to: "c" }, lastChannel: "slack", lastTo: "c" }),
    empty: entry({ deliveryContext: null, lastTo: null }),
    odd: entry({ lastChannel: "Slack" }),
  };
  const before = { ...store };
  normalizeSessionStore(store);
  assert.equal(store.bare, before.bare);
  assert.equal(store.normal, before.normal);
  assert.equal(store.empty, before.empty);
  assert.notEqual(store.odd, before.odd);
  assert.equal(before.odd!.lastChannel, "Slack");
  const once = { ...store };
  normalizeSessionStore(store);
  for (const key of Object.keys(store)) assert.equal(store[key], once[key], key);
});

test("fields that come out empty are removed, not kept as undefined", () => {
  const result = normalized({ lastTo: " ", lastChannel: "slack" });
  assert.equal(Object.hasOwn(result, "lastTo"), false);
  assert.deepEqual(Object.keys(result.deliveryContext!), ["channel"]);
});

test("a context that is not in order is replaced, also beside fields that are", () => {
  const fields = { lastChannel: "slack", lastTo: "c", deliveryContext: { channel: "Slack", to: " c " } };
  assert.deepEqual(normalized(fields).deliveryContext, { channel: "slack", to: "c" });
  assert.equal(Object.hasOwn(normalized({ deliveryContext: { to: " " } }), "deliveryContext"), false);
});

test("entries that are no objects are passed over, by both", () => {
  const store = { a: null, b: 1, c: "x", d: [], e: undefined } as unknown as Record<string, SessionEntry>;
  const before = { ...store };
  normalizeSessionStore(store);
  applySessionStoreMigrations(store);
  assert.deepEqual(store, before);
});

test("delivery fields of a wrong type do no harm", () => {
  const result = normalized({ deliveryContext: "telegram", lastTo: 5, lastChannel: null });
  assert.equal(result.deliveryContext, undefined);
  assert.equal(result.lastTo, undefined);
});

test("a session whose key is __proto__ is normalised and migrated like any other", () => {
  const store = JSON.parse(
    '{"__proto__":{"sessionId":"s","updatedAt":1,"provider":" Slack ","lastChannel":"Slack"},"constructor":{"sessionId":"s","updatedAt":1,"room":"r"}}',
  ) as Record<string, SessionEntry>;
  applySessionStoreMigrations(store);
  normalizeSessionStore(store);
  assert.deepEqual(Object.keys(store), ["__proto__", "constructor"]);
  assert.equal(Object.getOwnPropertyDescriptor(store, "__proto__")!.value.lastChannel, "slack");
  assert.equal(Object.getPrototypeOf(store), Object.prototype);
  assert.equal(Object.getOwnPropertyDescriptor(store, "constructor")!.value.groupChannel, "r");
});

function migrated(fields: Record<string, unknown>): SessionEntry {
  const store = { k: entry(fields) };
  applySessionStoreMigrations(store);
  return store.k;
}

test("provider becomes channel when channel is not a string", () => {
  assert.deepEqual(migrated({ provider: "slack" }), entry({ channel: "slack" }));
  assert.deepEqual(migrated({ provider: "slack", channel: null }), entry({ channel: "slack" }));
  assert.equal(migrated({ provider: "slack", channel: "telegram" }).channel, "telegram");
});

test("lastProvider becomes lastChannel likewise", () => {
  assert.deepEqual(migrated({ lastProvider: "slack" }), entry({ lastChannel: "slack" }));
  assert.equal(migrated({ lastProvider: "slack", lastChannel: "telegram" }).lastChannel, "telegram");
});

test("room becomes groupChannel when groupChannel is not a string; otherwise room is just deleted", () => {
  assert.deepEqual(migrated({ room: "#r" }), entry({ groupChannel: "#r" }));
  assert.deepEqual(migrated({ room: "#r", groupChannel: "#g" }), entry({ groupChannel: "#g" }));
  assert.deepEqual(migrated({ room: 5 }), entry());
});

test("better: a name of an older version that is no string never becomes a channel", () => {
  assert.equal(migrated({ provider: { id: 1 } }).channel, undefined);
});
