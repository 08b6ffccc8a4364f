import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import {
  canonicalizeMainSessionAlias,
  listAgentIds,
  type OpenClawConfig,
  resolveAgentMainSessionKey,
  resolveDefaultAgentId,
  resolveExplicitAgentSessionKey,
  resolveMainSessionKey,
  resolveMainSessionKeyFromConfig,
} from "../../../src/openclaw/index.js";

const cfg: OpenClawConfig = {
  session: { mainKey: "Home" },
  agents: { list: [{ id: "a" }, { id: "Ops", default: true }] },
};

test("listAgentIds: normalised, each once, main when there are none", () => {
  assert.deepEqual(listAgentIds({ agents: { list: [{ id: "B b" }, { id: "a" }, { id: "b-B" }] } }), ["b-b", "a"]);
  for (const none of [undefined, null, {}, { agents: {} }, { agents: { list: [{ id: " " }, {}] } }])
    assert.deepEqual(listAgentIds(none), ["main"]);
  assert.deepEqual(listAgentIds({ agents: { list: [null, "x"] } } as unknown as OpenClawConfig), ["main"]);
});

test("resolveDefaultAgentId: the first marked as default, else the first, else main", () => {
  assert.equal(resolveDefaultAgentId(cfg), "ops");
  assert.equal(resolveDefaultAgentId({ agents: { list: [{ id: "X" }, { id: "y" }] } }), "x");
  assert.equal(resolveDefaultAgentId({}), "main");
});

test("resolveMainSessionKey: global under that scope, else the default agent's main key", () => {
  assert.equal(resolveMainSessionKey({ ...cfg, session: { scope: "global" } }), "global");
  assert.equal(resolveMainSessionKey(cfg), "agent:ops:home");
  assert.equal(resolveMainSessionKey(), "agent:main:main");
});

test("resolveAgentMainSessionKey and resolveExplicitAgentSessionKey are for a named agent", () => {
  assert.equal(resolveAgentMainSessionKey({ cfg, agentId: "B" }), "agent:b:home");
  assert.equal(resolveAgentMainSessionKey({ agentId: "B" }), "agent:b:main");
  assert.equal(resolveExplicitAgentSessionKey({ cfg, agentId: " B " }), "agent:b:home");
  for (const agentId of [undefined, null, " "])
    assert.equal(resolveExplicitAgentSessionKey({ cfg, agentId }), undefined);
});

test("every alias of the main session becomes agent:<id>:<mainKey>", () => {
  const aliases = [
    "main",
    "home",
    "agent:b:main",
    "agent:b:home",
    "agent:main:main",
    "agent:main:home",
    " AGENT:B:Main ",
  ];
  for (const sessionKey of aliases)
    assert.equal(canonicalizeMainSessionAlias({ cfg, agentId: "B", sessionKey }), "agent:b:home", sessionKey);
});

test("an alias is global under that scope", () => {
  const global: OpenClawConfig = { session: { scope: "global" } };
  assert.equal(canonicalizeMainSessionAlias({ cfg: global, agentId: "b", sessionKey: "main" }), "global");
  assert.equal(canonicalizeMainSessionAlias({ cfg: global, agentId: "b", sessionKey: "agent:b:x" }), "agent:b:x");
});

test("a blank key stays blank, and what is no alias stays as it is", () => {
  const keep = (sessionKey: string) => canonicalizeMainSessionAlias({ cfg, agentId: "b", sessionKey });
  assert.equal(keep(" "), "");
  for (const key of ["agent:c:main", "agent:b:x", "X", "constructor"]) assert.equal(keep(key), key);
});

test("resolveMainSessionKeyFromConfig: by the gateway's own file, else agent:main:main", (context) => {
  const directory = mkdtempSync(path.join(os.tmpdir(), "sessiondir-config-"));
  const { OPENCLAW_STATE_DIR: before, OPENCLAW_CONFIG_PATH: beforePath } = process.env;
  context.after(() => {
    rmSync(directory, { recursive: true, force: true });
    for (const [name, value] of Object.entries({ OPENCLAW_STATE_DIR: before, OPENCLAW_CONFIG_PATH: beforePath })) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  });
  process.env.OPENCLAW_STATE_DIR = directory;
  delete process.env.OPENCLAW_CONFIG_PATH;
  assert.equal(resolveMainSessionKeyFromConfig(), "agent:main:main");
  writeFileSync(
    path.join(directory, "openclaw.json"),
    "{ session: { mainKey: 'Home' }, agents: { list: [{ id: 'ops' }] } }",
  );
  assert.equal(resolveMainSessionKeyFromConfig(), "agent:ops:home");
  writeFileSync(path.join(directory, "openclaw.json"), "[");
  assert.equal(resolveMainSessionKeyFromConfig(), "agent:main:main");
});
