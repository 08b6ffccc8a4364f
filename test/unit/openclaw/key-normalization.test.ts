import assert from "node:assert/strict";
import { test } from "node:test";
import {
  canonicalizeSpawnedByForAgent,
  classifySessionKey,
  deriveSessionKey,
  type MsgContext,
  normalizeExplicitSessionKey,
  normalizeStoreSessionKey,
  type OpenClawConfig,
  resolveSessionKey,
  resolveSessionStoreAgentId,
  resolveSessionStoreEntry,
  resolveSessionStoreKey,
  type SessionEntry,
} from "../../../src/openclaw/index.js";

const entry = (updatedAt: number): SessionEntry => ({ sessionId: `s${updatedAt}`, updatedAt });
const cfg: OpenClawConfig = {
  session: { mainKey: "Home" },
  agents: { list: [{ id: "a" }, { id: "Ops", default: true }] },
};

test("normalizeStoreSessionKey trims and lower-cases, and a blank key is empty", () => {
  assert.equal(normalizeStoreSessionKey(" Agent:Main:X "), "agent:main:x");
  assert.equal(normalizeStoreSessionKey(" \t"), "");
});

test("the entry under the normalised key is found, without other spellings", () => {
  const store = { "agent:main:x": entry(1), other: entry(9) };
  assert.deepEqual(resolveSessionStoreEntry({ store, sessionKey: " Agent:Main:X" }), {
    normalizedKey: "agent:main:x",
    existing: entry(1),
    legacyKeys: [],
  });
  assert.equal(resolveSessionStoreEntry({ store, sessionKey: "none" }).existing, undefined);
});

test("an entry that only exists as typed is found and is a legacy key", () => {
  const found = resolveSessionStoreEntry({ store: { "Agent:Main:X": entry(1) }, sessionKey: " Agent:Main:X " });
  assert.deepEqual(found, { normalizedKey: "agent:main:x", existing: entry(1), legacyKeys: ["Agent:Main:X"] });
});

test("of equally old spellings, the one as typed comes before others", () => {
  const store = { "x ": entry(5), X: entry(5) };
  assert.equal(resolveSessionStoreEntry({ store, sessionKey: "X" }).existing, store.X);
});

test("every other key that normalises to the same string is a legacy key", () => {
  const store = { X: entry(1), " x": entry(2), x: entry(3), y: entry(4) };
  const found = resolveSessionStoreEntry({ store, sessionKey: "x" });
  assert.deepEqual(found.legacyKeys.sort(), [" x", "X"]);
  assert.equal(found.existing, store.x);
});

test("another spelling replaces the entry only when strictly newer, and a missing updatedAt is 0", () => {
  const equal = { x: entry(5), X: entry(5) };
  assert.equal(resolveSessionStoreEntry({ store: equal, sessionKey: "x" }).existing, equal.x);
  const newer = { x: entry(5), X: entry(6) };
  assert.equal(resolveSessionStoreEntry({ store: newer, sessionKey: "x" }).existing, newer.X);
  const older = { x: entry(0), X: { sessionId: "n" } as SessionEntry };
  assert.equal(resolveSessionStoreEntry({ store: older, sessionKey: "x" }).existing, older.x);
  const missing = { x: { sessionId: "n" } as SessionEntry, X: entry(1) };
  assert.equal(resolveSessionStoreEntry({ store: missing, sessionKey: "x" }).existing, missing.X);
});

test("null in place of an entry is no entry, but its key is still another spelling", () => {
  const store = { x: null, X: null, " x": entry(1) } as unknown as Record<string, SessionEntry>;
  assert.deepEqual(resolveSessionStoreEntry({ store, sessionKey: "x" }), {
    normalizedKey: "x",
    existing: entry(1),
    legacyKeys: ["X", " x"],
  });
  assert.equal(resolveSessionStoreEntry({ store: { X: store.x! }, sessionKey: "X" }).existing, undefined);
});

test("resolving changes nothing and reads no entry of another session", () => {
  const reads: PropertyKey[] = [];
  const store = new Proxy({ X: entry(1), y: entry(2) } as Record<string, SessionEntry>, {
    get: (target, key) => {
      reads.push(key);
      return Reflect.get(target, key);
    },
    set: () => assert.fail("written"),
    deleteProperty: () => assert.fail("deleted"),
  });
  assert.equal(resolveSessionStoreEntry({ store, sessionKey: "x" }).existing?.sessionId, "s1");
  assert.equal(reads.includes("y"), false);
});

test("a blank key has the normalised key empty and matches keys that trim to blank", () => {
  const found = resolveSessionStoreEntry({ store: { "  ": entry(1), x: entry(2) }, sessionKey: " " });
  assert.deepEqual(found, { normalizedKey: "", existing: entry(1), legacyKeys: ["  "] });
});

test("what the prototype has is no entry, and a session may be called __proto__", () => {
  for (const sessionKey of ["__proto__", "constructor", "toString"])
    assert.equal(resolveSessionStoreEntry({ store: {}, sessionKey }).existing, undefined);
  const store = JSON.parse('{"__proto__":{"sessionId":"s","updatedAt":1}}') as Record<string, SessionEntry>;
  assert.equal(resolveSessionStoreEntry({ store, sessionKey: "__PROTO__" }).existing?.sessionId, "s");
});

test("resolveSessionStoreKey: blank stays blank, global and unknown are lower-cased", () => {
  assert.equal(resolveSessionStoreKey({ cfg, sessionKey: " " }), "");
  assert.equal(resolveSessionStoreKey({ cfg, sessionKey: " GLOBAL" }), "global");
  assert.equal(resolveSessionStoreKey({ cfg, sessionKey: "Unknown" }), "unknown");
  assert.equal(resolveSessionStoreKey({ cfg: { session: { mainKey: "global" } }, sessionKey: "global" }), "global");
});

test("resolveSessionStoreKey: agent keys in lower case, their main aliases by the one name", () => {
  assert.equal(resolveSessionStoreKey({ cfg, sessionKey: "Agent:A:Slack:Channel:C" }), "agent:a:slack:channel:c");
  assert.equal(resolveSessionStoreKey({ cfg, sessionKey: "agent:a:main" }), "agent:a:home");
  assert.equal(resolveSessionStoreKey({ cfg, sessionKey: "agent:broken" }), "agent:broken");
});

test("resolveSessionStoreKey: a bare main is the main key of the default agent", () => {
  for (const sessionKey of ["main", "HOME"])
    assert.equal(resolveSessionStoreKey({ cfg, sessionKey }), "agent:ops:home");
  assert.equal(resolveSessionStoreKey({ cfg: { session: { scope: "global" } }, sessionKey: "main" }), "global");
});

test("resolveSessionStoreKey: everything else gets the default agent", () => {
  assert.equal(resolveSessionStoreKey({ cfg, sessionKey: "Discord:Group:Dev" }), "agent:ops:discord:group:dev");
  assert.equal(resolveSessionStoreKey({ cfg: {}, sessionKey: "x" }), "agent:main:x");
});

test("resolveSessionStoreAgentId: the key's agent, and the default one for global, unknown and bare keys", () => {
  assert.equal(resolveSessionStoreAgentId(cfg, "agent:A:x"), "a");
  for (const key of ["global", "unknown", "x"]) assert.equal(resolveSessionStoreAgentId(cfg, key), "ops");
});

test("canonicalizeSpawnedByForAgent names the parent as the agent means it", () => {
  assert.equal(canonicalizeSpawnedByForAgent(cfg, "A", " "), undefined);
  assert.equal(canonicalizeSpawnedByForAgent(cfg, "A", undefined), undefined);
  assert.equal(canonicalizeSpawnedByForAgent(cfg, "A", "Global"), "global");
  assert.equal(canonicalizeSpawnedByForAgent(cfg, "A", "main"), "agent:a:home");
  assert.equal(canonicalizeSpawnedByForAgent(cfg, "A", "Agent:B:Main"), "agent:b:home");
  assert.equal(canonicalizeSpawnedByForAgent(cfg, "A", "subagent:1"), "agent:a:subagent:1");
});

test("classifySessionKey: global, unknown, group by the entry or the key, else direct", () => {
  assert.equal(classifySessionKey("global"), "global");
  assert.equal(classifySessionKey("unknown"), "unknown");
  assert.equal(classifySessionKey("discord:group:dev"), "group");
  assert.equal(classifySessionKey("agent:main:slack:channel:c"), "group");
  assert.equal(classifySessionKey("main"), "direct");
  assert.equal(classifySessionKey("main", { chatType: "group" }), "group");
  assert.equal(classifySessionKey("main", { chatType: "channel" }), "group");
  assert.equal(classifySessionKey("main", { chatType: "direct" }), "direct");
});

test("deriveSessionKey: global under that scope, a group's key, else E.164 of From, else unknown", () => {
  const group: MsgContext = { ChatType: "group", From: "telegram:group:G" };
  assert.equal(deriveSessionKey("global", group), "global");
  assert.equal(deriveSessionKey("per-sender", group), "telegram:group:g");
  assert.equal(deriveSessionKey("per-sender", { From: "whatsapp:+1 (555) 0" }), "+15550");
  assert.equal(deriveSessionKey("per-sender", { From: "1555" }), "+1555");
  for (const From of [undefined, "", "telegram:"]) assert.equal(deriveSessionKey("per-sender", { From }), "unknown");
});

test("resolveSessionKey: a key that the message brings wins", () => {
  const ctx: MsgContext = { SessionKey: " Agent:Ops:X ", ChatType: "group", From: "telegram:group:g" };
  assert.equal(resolveSessionKey("global", ctx), "agent:ops:x");
});

test("resolveSessionKey: direct messages share the main session, groups have their own", () => {
  assert.equal(resolveSessionKey("per-sender", { From: "+1555" }), "agent:main:main");
  assert.equal(resolveSessionKey("per-sender", { From: "+1555" }, "Home"), "agent:main:home");
  assert.equal(resolveSessionKey("per-sender", { From: "telegram:group:G" }), "agent:main:telegram:group:g");
  assert.equal(resolveSessionKey("global", { From: "+1555" }), "global");
});

test("normalizeExplicitSessionKey lower-cases, and leaves other channels' words alone", () => {
  const ctx: MsgContext = { Surface: "slack", ChatType: "direct", From: "slack:U123" };
  assert.equal(normalizeExplicitSessionKey(" Agent:Fina:Slack:DM:ABC ", ctx), "agent:fina:slack:dm:abc");
  assert.equal(normalizeExplicitSessionKey("discord:dm:1", ctx), "discord:dm:1");
});

test("normalizeExplicitSessionKey gives direct conversations of Discord their present name", () => {
  const ctx: MsgContext = { Surface: "Discord", ChatType: "direct", From: "discord:123" };
  assert.equal(normalizeExplicitSessionKey("Discord:DM:123", ctx), "discord:direct:123");
  assert.equal(normalizeExplicitSessionKey("agent:a:discord:dm:123", ctx), "agent:a:discord:direct:123");
  assert.equal(normalizeExplicitSessionKey("discord:channel:123", ctx), "discord:direct:123");
  assert.equal(normalizeExplicitSessionKey("discord:channel:9", ctx), "discord:channel:9");
  assert.equal(normalizeExplicitSessionKey("discord:dm:1", { ...ctx, ChatType: "channel" }), "discord:dm:1");
});
