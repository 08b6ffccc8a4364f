import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  buildAgentMainSessionKey,
  buildAgentPeerSessionKey,
  buildGroupHistoryKey,
  classifySessionKeyShape,
  isValidAgentId,
  normalizeAccountId,
  normalizeAgentId,
  normalizeMainKey,
  parseAgentSessionKey,
  resolveAgentIdFromSessionKey,
  toAgentRequestSessionKey,
  toAgentStoreSessionKey,
} from "../../../src/openclaw/index.js";

test("an agent key has at least three parts that are not empty, and is read in lower case", () => {
  assert.deepEqual(parseAgentSessionKey(" Agent:Ops:Telegram:Direct:X "), {
    agentId: "ops",
    rest: "telegram:direct:x",
  });
  assert.deepEqual(parseAgentSessionKey("agent:main:main"), { agentId: "main", rest: "main" });
  assert.deepEqual(parseAgentSessionKey("agent::main:a::b"), { agentId: "main", rest: "a:b" });
  for (const key of ["", " ", undefined, null, "main", "agent:main", "agent: :main", "agent:main:", "agents:a:b"])
    assert.equal(parseAgentSessionKey(key), null);
});

test("classifySessionKeyShape: missing, agent, legacy_or_alias, malformed_agent", () => {
  assert.equal(classifySessionKeyShape(undefined), "missing");
  assert.equal(classifySessionKeyShape("  "), "missing");
  assert.equal(classifySessionKeyShape("agent:research:subagent:worker"), "agent");
  assert.equal(classifySessionKeyShape("agent::broken"), "malformed_agent");
  assert.equal(classifySessionKeyShape("AGENT:main"), "malformed_agent");
  for (const key of ["main", "subagent:worker", "global"])
    assert.equal(classifySessionKeyShape(key), "legacy_or_alias");
});

test("resolveAgentIdFromSessionKey: the key's agent, else main", () => {
  assert.equal(resolveAgentIdFromSessionKey("agent:Ops:main"), "ops");
  assert.equal(resolveAgentIdFromSessionKey("agent:a b!:main"), "a-b");
  for (const key of ["main", "", undefined, "agent:ops"]) assert.equal(resolveAgentIdFromSessionKey(key), "main");
});

test("normalizeAgentId: a valid id in lower case; else bad runs become dashes, dashes at the ends go, at most 64", () => {
  assert.equal(normalizeAgentId(" My_Agent-1 "), "my_agent-1");
  assert.equal(normalizeAgentId("--hi  mom!--"), "hi-mom");
  assert.equal(normalizeAgentId("x".repeat(70)), "x".repeat(64));
  for (const empty of ["", " ", "###", undefined, null]) assert.equal(normalizeAgentId(empty), "main");
});

test("normalizing an agent id twice changes nothing more", () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 80, unit: "grapheme" }), (id) => {
      const once = normalizeAgentId(id);
      assert.equal(normalizeAgentId(once), once);
      assert.match(once, /^[a-z0-9_-]{1,64}$/);
    }),
  );
});

test("isValidAgentId: a letter or digit, then up to 63 of letters, digits, _ and -", () => {
  for (const id of ["a", "A1_-", "x".repeat(64)]) assert.equal(isValidAgentId(id), true);
  for (const id of ["", "-a", "_a", "a b", "../x", "x".repeat(65), undefined, null])
    assert.equal(isValidAgentId(id), false);
});

test("normalizeAccountId: default when blank, and object keys that reach a prototype are refused", () => {
  assert.equal(normalizeAccountId(" Team-99 "), "team-99");
  assert.equal(normalizeAccountId("a@b.c"), "a-b-c");
  assert.equal(normalizeAccountId("a-"), "a-");
  assert.equal(normalizeAccountId("!".repeat(3) + "x".repeat(70)), "x".repeat(64));
  for (const blank of ["", " ", undefined, null, "!!", "__proto__", "constructor", "Prototype"])
    assert.equal(normalizeAccountId(blank), "default");
});

test("normalizeMainKey: main unless configured, in lower case", () => {
  assert.equal(normalizeMainKey(undefined), "main");
  assert.equal(normalizeMainKey(" "), "main");
  assert.equal(normalizeMainKey(" Home "), "home");
});

test("toAgentRequestSessionKey takes the agent off", () => {
  assert.equal(toAgentRequestSessionKey("agent:main:telegram:direct:1"), "telegram:direct:1");
  assert.equal(toAgentRequestSessionKey(" Custom "), "Custom");
  assert.equal(toAgentRequestSessionKey(" "), undefined);
  assert.equal(toAgentRequestSessionKey(null), undefined);
});

test("toAgentStoreSessionKey puts the agent in front", () => {
  const store = (requestKey: string | null) => toAgentStoreSessionKey({ agentId: "Ops", requestKey, mainKey: "home" });
  for (const key of ["", " ", null, "main", "MAIN"]) assert.equal(store(key), "agent:ops:home");
  assert.equal(store("Subagent:X"), "agent:ops:subagent:x");
  assert.equal(store("Agent:Other:Main"), "agent:other:main");
  assert.equal(store("agent::Other::x"), "agent:other:x");
  assert.equal(store("agent:broken"), "agent:broken");
});

test("buildAgentMainSessionKey is agent:<id>:<mainKey>", () => {
  assert.equal(buildAgentMainSessionKey({ agentId: "Ops" }), "agent:ops:main");
  assert.equal(buildAgentMainSessionKey({ agentId: "ops", mainKey: "Home" }), "agent:ops:home");
});

test("a direct peer's key follows dmScope", () => {
  const peer = { agentId: "ops", channel: "Telegram", accountId: "Acc", peerKind: "direct", peerId: " U1 " } as const;
  assert.equal(buildAgentPeerSessionKey({ ...peer, mainKey: "home" }), "agent:ops:home");
  assert.equal(buildAgentPeerSessionKey({ ...peer, dmScope: "main" }), "agent:ops:main");
  assert.equal(buildAgentPeerSessionKey({ ...peer, dmScope: "per-peer" }), "agent:ops:direct:u1");
  assert.equal(buildAgentPeerSessionKey({ ...peer, dmScope: "per-channel-peer" }), "agent:ops:telegram:direct:u1");
  assert.equal(
    buildAgentPeerSessionKey({ ...peer, dmScope: "per-account-channel-peer" }),
    "agent:ops:telegram:acc:direct:u1",
  );
  assert.equal(
    buildAgentPeerSessionKey({ ...peer, accountId: null, dmScope: "per-account-channel-peer" }),
    "agent:ops:telegram:default:direct:u1",
  );
  assert.equal(buildAgentPeerSessionKey({ ...peer, peerId: null, dmScope: "per-peer" }), "agent:ops:main");
  assert.equal(buildAgentPeerSessionKey({ ...peer, peerKind: "dm", dmScope: "per-peer" }), "agent:ops:direct:u1");
});

test("identityLinks map peers to a canonical name", () => {
  const identityLinks = { " ": ["77"], Alice: ["telegram:U1", "77"], odd: "u1" as unknown as string[] };
  const key = (channel: string, peerId: string) =>
    buildAgentPeerSessionKey({ agentId: "ops", channel, peerId, dmScope: "per-peer", identityLinks });
  assert.equal(key("telegram", "u1"), "agent:ops:direct:alice");
  assert.equal(key("discord", "u1"), "agent:ops:direct:u1");
  assert.equal(key("discord", "77"), "agent:ops:direct:alice");
  const main = buildAgentPeerSessionKey({ agentId: "ops", channel: "telegram", peerId: "u1", identityLinks });
  assert.equal(main, "agent:ops:main");
});

test("groups and channels have a key each", () => {
  const key = (peerKind: "group" | "channel", peerId: string) =>
    buildAgentPeerSessionKey({ agentId: "ops", channel: "Slack", peerKind, peerId });
  assert.equal(key("group", "G1"), "agent:ops:slack:group:g1");
  assert.equal(key("channel", "C1"), "agent:ops:slack:channel:c1");
  assert.equal(key("channel", " "), "agent:ops:slack:channel:unknown");
});

test("a group's history is kept per account", () => {
  assert.equal(
    buildGroupHistoryKey({ channel: "Slack", peerKind: "channel", peerId: "C1" }),
    "slack:default:channel:c1",
  );
  assert.equal(
    buildGroupHistoryKey({ channel: "", accountId: "A", peerKind: "group", peerId: "" }),
    "unknown:a:group:unknown",
  );
});
