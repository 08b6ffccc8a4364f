/** Which stores are meant, sentence by sentence, on a simulated machine. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { listAgentIds, resolveDefaultAgentId } from "../../../src/openclaw/agent-config.js";
import { setAmbientPort } from "../../../src/openclaw/ambient.js";
import {
  listAgentSessionDirs,
  resolveAgentSessionDirs,
  resolveAgentSessionDirsFromAgentsDir,
  resolveAgentSessionDirsFromAgentsDirSync,
} from "../../../src/openclaw/session-dirs.js";
import {
  resolveAllAgentSessionStoreTargets,
  resolveAllAgentSessionStoreTargetsSync,
  resolveSessionStoreTargets,
  resolveSessionStoreTargetsOrExit,
  type SessionStoreTarget,
} from "../../../src/openclaw/targets.js";
import type { OpenClawConfig } from "../../../src/openclaw/types.js";
import { FailingPort } from "../../sim/failing-port.js";
import { SimulatedMachine } from "../../sim/machine.js";

const skip = process.platform === "win32" && "skipped: needs posix links and paths";
const env = { OPENCLAW_STATE_DIR: "/state" };
const storeOf = (agent: string, root = "/state") => `${root}/agents/${agent}/sessions/sessions.json`;
const agents = (...ids: string[]): OpenClawConfig["agents"] => ({ list: ids.map((id) => ({ id })) });

function makeMachine(...stores: string[]): SimulatedMachine {
  const machine = new SimulatedMachine();
  machine.makeDirectory("/state/agents");
  for (const file of stores) {
    machine.makeDirectory(file.slice(0, file.lastIndexOf("/")));
    machine.writeFile(file, "{}");
  }
  return machine;
}

/** Both forms, which must agree. */
async function allTargets(machine: SimulatedMachine, cfg: OpenClawConfig): Promise<SessionStoreTarget[]> {
  const port = machine.process();
  setAmbientPort(port);
  try {
    const targets = await machine.settle(resolveAllAgentSessionStoreTargets(cfg, { env }));
    assert.deepEqual(resolveAllAgentSessionStoreTargetsSync(cfg, { env }), targets);
    assert.deepEqual(port.openHandles(), []);
    return targets;
  } finally {
    setAmbientPort(undefined);
  }
}

// --- by configuration alone ------------------------------------------------------------------------------------------

test("no selection is the default agent", { skip }, () => {
  const cfg = { agents: { list: [{ id: "a" }, { id: "B", default: true }] } };
  assert.deepEqual(resolveSessionStoreTargets(cfg, {}, { env }), [{ agentId: "b", storePath: storeOf("b") }]);
  assert.deepEqual(resolveSessionStoreTargets({}, {}, { env }), [{ agentId: "main", storePath: storeOf("main") }]);
});

test("a store is one target, for the default agent", { skip }, () => {
  const targets = resolveSessionStoreTargets({ agents: agents("ops") }, { store: "/d/{agentId}.json" }, { env });
  assert.deepEqual(targets, [{ agentId: "ops", storePath: "/d/ops.json" }]);
});

test("allAgents are the configured agents, deduped by store path, the first agent wins", { skip }, () => {
  const cfg = { agents: agents("a", "b", "A") };
  assert.deepEqual(resolveSessionStoreTargets(cfg, { allAgents: true }, { env }), [
    { agentId: "a", storePath: storeOf("a") },
    { agentId: "b", storePath: storeOf("b") },
  ]);
  const shared = { ...cfg, session: { store: "/d/shared.json" } };
  assert.deepEqual(resolveSessionStoreTargets(shared, { allAgents: true }, { env }), [
    { agentId: "a", storePath: "/d/shared.json" },
  ]);
});

test("an agent is found by its normalised id, and one that is not configured is an error", { skip }, () => {
  const cfg = { agents: agents("ops-team") };
  assert.deepEqual(resolveSessionStoreTargets(cfg, { agent: "Ops Team" }, { env }), [
    { agentId: "ops-team", storePath: storeOf("ops-team") },
  ]);
  assert.throws(() => resolveSessionStoreTargets(cfg, { agent: "Nobody" }, { env }), {
    message: 'Unknown agent id "Nobody". Use "openclaw agents list" to see configured agents.',
  });
});

test("contradicting selections are errors with OpenClaw's texts", { skip }, () => {
  assert.throws(() => resolveSessionStoreTargets({}, { agent: "a", allAgents: true }), {
    message: "--agent and --all-agents cannot be used together",
  });
  for (const other of [{ agent: "a" }, { allAgents: true }]) {
    assert.throws(() => resolveSessionStoreTargets({}, { store: "/s.json", ...other }), {
      message: "--store cannot be combined with --agent or --all-agents",
    });
  }
});

test("resolveSessionStoreTargetsOrExit prints the error, exits with 1, and returns null", { skip }, () => {
  const said: unknown[] = [];
  const runtime = { error: (message: string) => said.push(message), exit: (code: number) => void said.push(code) };
  const opts = { agent: "a", allAgents: true };
  assert.equal(resolveSessionStoreTargetsOrExit({ cfg: {}, opts, runtime }), null);
  assert.deepEqual(said, ["--agent and --all-agents cannot be used together", 1]);
  const targets = resolveSessionStoreTargetsOrExit({ cfg: {}, opts: {}, runtime, env });
  assert.deepEqual(targets, [{ agentId: "main", storePath: storeOf("main") }]);
  assert.equal(said.length, 2);
});

test("listAgentIds and resolveDefaultAgentId: normalised, deduped, main when there are none", () => {
  assert.deepEqual(listAgentIds({}), ["main"]);
  assert.deepEqual(listAgentIds({ agents: agents("B", "b", "A b") }), ["b", "a-b"]);
  assert.equal(resolveDefaultAgentId({}), "main");
  assert.equal(resolveDefaultAgentId({ agents: agents("X", "y") }), "x");
});

// --- with what lies on the disk --------------------------------------------------------------------------------------

test("configured targets come first, then those found on the disk", { skip }, async () => {
  const machine = makeMachine(storeOf("zed"), storeOf("ops"), storeOf("Retired Bot"));
  assert.deepEqual(await allTargets(machine, { agents: agents("zed") }), [
    { agentId: "zed", storePath: storeOf("zed") },
    { agentId: "retired-bot", storePath: storeOf("Retired Bot") },
    { agentId: "ops", storePath: storeOf("ops") },
  ]);
});

test("a configured target of the usual shape must exist as a regular file that is no link", { skip }, async () => {
  const machine = makeMachine("/elsewhere/s.json");
  for (const agent of ["link", "fifo"]) machine.makeDirectory(`/state/agents/${agent}/sessions`);
  machine.makeSymlink("/elsewhere/s.json", storeOf("link"));
  machine.makeFifo(storeOf("fifo"));
  assert.deepEqual(await allTargets(machine, { agents: agents("missing", "link", "fifo") }), []);
});

test("a configured path of another shape is kept as it is, even when it is missing", { skip }, async () => {
  const cfg = { session: { store: "/d/{agentId}.json" }, agents: agents("a") };
  assert.deepEqual(await allTargets(makeMachine(storeOf("b")), cfg), [
    { agentId: "a", storePath: "/d/a.json" },
    { agentId: "b", storePath: storeOf("b") },
  ]);
});

test("agents roots are those of the configured paths and that of the state directory", { skip }, async () => {
  const machine = makeMachine(storeOf("a", "/other"), storeOf("retired", "/other"), storeOf("b"));
  const cfg = { session: { store: "/other/agents/{agentId}/sessions/sessions.json" }, agents: agents("a") };
  assert.deepEqual(await allTargets(machine, cfg), [
    { agentId: "a", storePath: storeOf("a", "/other") },
    { agentId: "retired", storePath: storeOf("retired", "/other") },
    { agentId: "b", storePath: storeOf("b") },
  ]);
});

test("a store whose real path is outside the real agents root is dropped", { skip }, async () => {
  const machine = makeMachine("/victim/sessions.json", storeOf("inner"));
  for (const agent of ["out", "in"]) machine.makeDirectory(`/state/agents/${agent}`);
  machine.makeSymlink("/victim", "/state/agents/out/sessions");
  machine.makeSymlink("../inner/sessions", "/state/agents/in/sessions");
  machine.makeSymlink("/victim", "/state/agents/linked");
  machine.makeSymlink("inner", "/state/agents/alias");
  assert.deepEqual(await allTargets(machine, { agents: agents("out", "linked") }), [
    { agentId: "in", storePath: storeOf("inner") },
  ]);
});

test("a state directory behind a link gives real paths, each once", { skip }, async () => {
  const machine = makeMachine(storeOf("main", "/disk"));
  machine.rename("/state/agents", "/state/before");
  machine.makeSymlink("/disk/agents", "/state/agents");
  assert.deepEqual(await allTargets(machine, {}), [{ agentId: "main", storePath: storeOf("main", "/disk") }]);
});

test("names that merely normalise to main are skipped, and the real path is kept", { skip }, async () => {
  const machine = makeMachine(storeOf("###"), storeOf("MAIN"));
  assert.deepEqual(await allTargets(machine, { agents: agents("x") }), [
    { agentId: "main", storePath: storeOf("MAIN") },
  ]);
});

test("an active directory store counts when sessions.json is absent, and is named by it", { skip }, async () => {
  const state = { kind: "openclaw-session-store-directory", layoutVersion: 1, version: 1, updatedAt: 5 };
  const machine = makeMachine();
  for (const agent of ["theirs", "ours", "inactive"])
    machine.makeDirectory(`/state/agents/${agent}/sessions/sessions.d`);
  machine.makeDirectory("/state/agents/theirs/sessions/sessions.d/entries");
  machine.writeFile("/state/agents/theirs/sessions/sessions.d/state.json", JSON.stringify(state));
  machine.writeFile("/state/agents/ours/sessions/sessions.d/state.json", '{"kind":"sessiondir-store"}');
  machine.writeFile("/state/agents/inactive/sessions/sessions.d/state.json", JSON.stringify({ ...state, version: 0 }));
  machine.makeDirectory("/state/agents/outside/sessions");
  machine.makeSymlink("/state/agents/ours/sessions/sessions.d", "/state/agents/outside/sessions/sessions.d");
  assert.deepEqual(await allTargets(machine, { agents: agents("ours") }), [
    { agentId: "ours", storePath: storeOf("ours") },
    { agentId: "theirs", storePath: storeOf("theirs") },
  ]);
});

test("EACCES, ELOOP, ENOENT, ENOTDIR, EPERM and ESTALE are not fatal, others are", { skip }, () => {
  for (const code of ["EACCES", "ELOOP", "ENOENT", "ENOTDIR", "EPERM", "ESTALE", "EIO"]) {
    for (const [method, where] of [
      ["openRoot", "/state/agents"],
      ["listInBatches", "/state/agents"],
      ["openDirectory", "/state/agents/bad"],
      ["statName", "/state/agents/bad/sessions/sessions.json"],
    ] as const) {
      const machine = makeMachine(storeOf("bad"), storeOf("good"));
      const matches = (call: { path: string }) => call.path === where;
      const port = new FailingPort(machine.process(), { failAt: 1, code, methods: [method], matches });
      setAmbientPort(port);
      const run = () => resolveAllAgentSessionStoreTargetsSync({ agents: agents("x") }, { env });
      if (code === "EIO") assert.throws(run, { code: "io_error" });
      else {
        const expected = where.includes("bad") ? [{ agentId: "good", storePath: storeOf("good") }] : [];
        assert.deepEqual(run(), expected, `${code} ${method}`);
      }
      assert.equal(port.failures.length, 1, `${code} ${method}`);
      setAmbientPort(undefined);
    }
  }
});

// --- session folders -------------------------------------------------------------------------------------------------

test("resolveAgentSessionDirs: sorted <dir>/sessions of every directory, [] on ENOENT, other errors throw", {
  skip,
}, async () => {
  const machine = makeMachine(storeOf("b"), storeOf("a"));
  machine.makeDirectory("/state/agents/empty");
  machine.writeFile("/state/agents/file", "");
  machine.makeSymlink("a", "/state/agents/link");
  setAmbientPort(machine.process());
  const expected = ["a", "b", "empty"].map((agent) => `/state/agents/${agent}/sessions`);
  assert.deepEqual(await resolveAgentSessionDirs("/state"), expected);
  assert.deepEqual(await resolveAgentSessionDirsFromAgentsDir("/state/agents"), expected);
  assert.deepEqual(resolveAgentSessionDirsFromAgentsDirSync("/state/agents"), expected);
  assert.deepEqual(await resolveAgentSessionDirs("/nowhere"), []);
  assert.throws(() => resolveAgentSessionDirsFromAgentsDirSync("/state/agents/file"), { code: "ENOTDIR" });
  assert.deepEqual((await listAgentSessionDirs("/state")).sort(), expected);
  assert.deepEqual(await listAgentSessionDirs("/state/agents/file"), []);
  setAmbientPort(undefined);
});
