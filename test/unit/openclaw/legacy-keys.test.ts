import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  canonicalizeLegacySessionKey,
  canonicalizeLegacySessionStore,
  type SessionEntry,
} from "../../../src/openclaw/index.js";

const context = { agentId: "Ops", mainKey: "home" };
const canonical = (key: string, more: object = {}) => canonicalizeLegacySessionKey(key, { ...context, ...more });
const entry = (updatedAt: number, sessionId = `s${updatedAt}`): SessionEntry => ({ sessionId, updatedAt });

test("subagent:x gets the agent", () => {
  assert.equal(canonical("Subagent:X"), "agent:ops:subagent:x");
});

test("group:x@g.us is a WhatsApp group, and so is the bare address", () => {
  for (const key of ["group:12@g.us", "12@g.us", "whatsapp:12@g.us", "whatsapp:group:12@g.us"])
    assert.equal(canonical(key), "agent:ops:whatsapp:group:12@g.us", key);
});

test("group:x and channel:x are of an unknown channel", () => {
  assert.equal(canonical("group:X"), "agent:ops:unknown:group:x");
  assert.equal(canonical("channel:X"), "agent:ops:unknown:channel:x");
});

test("other bare keys get the agent in front, and names of the main session its one key", () => {
  assert.equal(canonical("telegram:group:1"), "agent:ops:telegram:group:1");
  for (const key of ["main", "Home", "agent:ops:main", "agent:main:main", "agent:main:home"])
    assert.equal(canonical(key), "agent:ops:home", key);
  assert.equal(canonical("main", { scope: "global" }), "global");
  for (const key of ["global", "unknown"]) assert.equal(canonical(key), key);
  assert.equal(canonical(" "), "");
});

test("a shared store never remaps another agent's keys", () => {
  for (const key of ["agent:main:main", "agent:other:main", "agent:main:x"])
    assert.equal(canonical(key, { isShared: true }), key);
  assert.equal(canonical("agent:ops:main", { isShared: true }), "agent:ops:home");
});

test("canonicalizing a key twice changes nothing more", () => {
  const part = fc.constantFrom("agent", "main", "home", "group", "channel", "whatsapp", "1@g.us", "x", "subagent", "");
  fc.assert(
    fc.property(fc.array(part, { maxLength: 6 }), fc.boolean(), (parts, isShared) => {
      const once = canonical(parts.join(":"), { isShared });
      assert.equal(canonical(once, { isShared }), once);
    }),
  );
});

const inStore = (store: Record<string, unknown>) =>
  canonicalizeLegacySessionStore(store as Record<string, SessionEntry>, context);

test("of several entries for one session the newest wins", () => {
  for (const store of [
    { main: entry(2), "agent:ops:home": entry(1) },
    { "agent:ops:home": entry(1), main: entry(2) },
  ]) {
    const result = inStore(store);
    assert.deepEqual({ ...result.store }, { "agent:ops:home": entry(2) });
    assert.deepEqual(result.renamedKeys, ["main"]);
  }
});

test("on a tie the key that was right already wins", () => {
  const right = entry(1, "right");
  for (const store of [
    { main: entry(1, "alias"), "agent:ops:home": right },
    { "agent:ops:home": right, main: entry(1, "alias") },
  ])
    assert.equal(inStore(store).store["agent:ops:home"], right);
  const never = { "agent:ops:home": entry(0, "right"), main: { sessionId: "alias" } };
  assert.equal(inStore(never).store["agent:ops:home"]!.sessionId, "right", "a missing updatedAt is 0");
});

test("entries without a string sessionId and blank keys are left out, and named", () => {
  const result = inStore({ a: { updatedAt: 1 }, b: null, c: { sessionId: 5 }, " ": entry(1), "agent:ops:d": entry(1) });
  assert.deepEqual(Object.keys(result.store), ["agent:ops:d"]);
  assert.deepEqual(result.droppedKeys, ["a", "b", "c", " "]);
  assert.deepEqual(result.renamedKeys, []);
});

test("a session called __proto__ keeps its entry", () => {
  const result = inStore(JSON.parse('{"__proto__":{"sessionId":"s","updatedAt":1}}') as Record<string, unknown>);
  assert.deepEqual(Object.keys(result.store), ["agent:ops:__proto__"]);
});
