import assert from "node:assert/strict";
import { test } from "node:test";
import { getSubagentDepthFromSessionStore, type SessionDepthStore } from "../../../src/openclaw/index.js";

const key = "agent:main:subagent:one";
const depth = (store: SessionDepthStore, sessionKey: string | null | undefined = key) =>
  getSubagentDepthFromSessionStore(sessionKey, { store });

test("a spawnDepth that is a whole number from 0 wins, also as a string", () => {
  assert.equal(depth({ [key]: { spawnDepth: 2, spawnedBy: "agent:main:main" } }), 2);
  assert.equal(depth({ [key]: { spawnDepth: 0 } }), 0);
  assert.equal(depth({ [key]: { spawnDepth: " 3 " } }), 3);
});

test("any other spawnDepth is passed over", () => {
  for (const spawnDepth of [-1, 1.5, "x", "", "1.5", Number.NaN, null, true, {}])
    assert.equal(depth({ [key]: { spawnDepth } }), 1, String(spawnDepth));
});

test("else it is one more than the session that spawned it", () => {
  const store = {
    "agent:main:subagent:three": { spawnedBy: "agent:main:subagent:two" },
    "agent:main:subagent:two": { spawnedBy: key },
    [key]: { spawnedBy: "agent:main:main" },
    "agent:main:main": {},
  };
  assert.equal(depth(store, "agent:main:subagent:three"), 3);
  assert.equal(depth({ ...store, [key]: { spawnDepth: 5 } }, "agent:main:subagent:three"), 7);
});

test("a parent that is in no store answers by its key", () => {
  assert.equal(depth({ [key]: { spawnedBy: "agent:main:subagent:a:subagent:b" } }), 3);
});

test("a ring of parents ends", () => {
  const other = "agent:main:subagent:two";
  assert.equal(depth({ [key]: { spawnedBy: key } }), 2);
  assert.equal(depth({ [key]: { spawnedBy: key.toUpperCase() } }), 2);
  assert.equal(depth({ [key]: { spawnedBy: other }, [other]: { spawnedBy: key } }), 3);
});

test("a chain of ten thousand parents does not exhaust the stack", () => {
  const store: Record<string, object> = {};
  for (let i = 0; i < 10_000; i += 1) store[`agent:main:s${i}`] = { spawnedBy: `agent:main:s${i + 1}` };
  assert.equal(depth(store, "agent:main:s0"), 10_000);
});

test("else it is the number of :subagent: in the key", () => {
  assert.equal(depth({}), 1);
  assert.equal(depth({}, "agent:main:subagent:a:subagent:b"), 2);
  assert.equal(depth({}, "main"), 0);
  for (const none of [undefined, null, " "]) assert.equal(getSubagentDepthFromSessionStore(none), 0);
});

test("an entry is found by its key, by the key behind the default agent, or by its sessionId", () => {
  const cfg = { agents: { list: [{ id: "ops" }] } };
  const found = (sessionKey: string, store: SessionDepthStore) =>
    getSubagentDepthFromSessionStore(sessionKey, { cfg, store });
  assert.equal(found("Agent:Main:X", { "agent:main:x": { spawnDepth: 4 } }), 4);
  assert.equal(found("Subagent:X", { "agent:ops:subagent:x": { spawnDepth: 4 } }), 4);
  assert.equal(found("ABC-1", { "agent:ops:y": { sessionId: "abc-1", spawnDepth: 4 } }), 4);
  assert.equal(found("abc-2", { "agent:ops:y": { sessionId: "abc-1", spawnDepth: 4 } }), 0);
});

test("the reader is asked once per agent, for the agent of the key or the default one", () => {
  const asked: string[] = [];
  const readStore = (agentId: string): SessionDepthStore | undefined => {
    asked.push(agentId);
    if (agentId === "gone") return undefined;
    return {
      "agent:a:x": { spawnedBy: "agent:b:y" },
      "agent:b:y": { spawnedBy: "bare" },
      bare: { spawnedBy: "agent:a:z" },
    };
  };
  assert.equal(getSubagentDepthFromSessionStore("agent:a:x", { readStore }), 3);
  assert.deepEqual(asked, ["a", "b", "main"]);
  assert.equal(getSubagentDepthFromSessionStore("agent:gone:subagent:x", { readStore }), 1);
});

test("entries of any shape, and names of the prototype, do no harm", () => {
  const odd = { [key]: 5, other: null } as unknown as SessionDepthStore;
  assert.equal(depth(odd), 1);
  for (const name of ["constructor", "__proto__", "toString"]) assert.equal(depth({}, name), 0);
});
