/** sessions: the rows, tables and texts that scripts written for the gateway's own command read. */

import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import test, { type TestContext } from "node:test";
import { openSessionStore } from "../../src/open.js";
import { fingerprint, runCommand, temporaryDirectory } from "./command-line.js";

const minuteMs = 60_000;

interface State {
  directory: string;
  storeOf(agent: string): string;
  run(...args: string[]): ReturnType<typeof runCommand>;
}

/** A state directory; `config` is the text of its configuration. */
function makeState(context: TestContext, config?: string): State {
  const directory = temporaryDirectory(context);
  if (config !== undefined) writeFileSync(path.join(directory, "openclaw.json"), config);
  const env = { OPENCLAW_STATE_DIR: directory, OPENCLAW_CONFIG_PATH: "", OPENCLAW_HOME: "" };
  return {
    directory,
    storeOf: (agent) => path.join(directory, "agents", agent, "sessions", "sessions.json"),
    run: (...args) => runCommand(["sessions", ...args], { cwd: directory, env }),
  };
}

type Entries = Record<string, Record<string, unknown> | null>;

function writeLegacy(storePath: string, entries: Entries): void {
  mkdirSync(path.dirname(storePath), { recursive: true });
  writeFileSync(storePath, JSON.stringify(entries));
}

async function writeDirectory(storePath: string, entries: Entries): Promise<void> {
  mkdirSync(path.dirname(storePath), { recursive: true });
  const store = await openSessionStore<object>(storePath);
  for (const [key, entry] of Object.entries(entries)) await store.update(key, () => entry ?? {});
  await store.close();
}

const agents = "{ agents: { list: [{ id: 'main' }, { id: 'Ops', default: true, }] } } // JSON5";

/** One session with every field that a row shows, and what no row shows. */
function fullEntry(now: number): Record<string, unknown> {
  return {
    sessionId: "s-1",
    updatedAt: now - 5 * minuteMs,
    systemSent: true,
    abortedLastRun: false,
    thinkingLevel: "high",
    verboseLevel: "on",
    traceLevel: "off",
    reasoningLevel: "stream",
    elevatedLevel: "ask",
    responseUsage: "tokens",
    groupActivation: "always",
    inputTokens: 1,
    outputTokens: 2,
    totalTokens: 12_345,
    totalTokensFresh: true,
    model: " model-a ",
    modelProvider: "provider-a",
    providerOverride: "provider-b",
    modelOverride: "model-b",
    contextTokens: 200_000,
    skillsSnapshot: { prompt: "x".repeat(1_000) },
    label: "not in a row",
  };
}

for (const form of ["directory store", "legacy file"]) {
  test(`a row has the fields of the gateway's own, from a ${form}; those that are undefined are not there`, async (context) => {
    const { run, storeOf, directory } = makeState(context);
    const now = Date.now();
    const entries = {
      "agent:main:telegram:group:7": fullEntry(now),
      bare: { sessionId: "s-2", totalTokens: 5, totalTokensFresh: false },
      global: { sessionId: "s-3", updatedAt: now - minuteMs },
    };
    if (form === "legacy file") writeLegacy(storeOf("main"), entries);
    else await writeDirectory(storeOf("main"), entries);
    const before = fingerprint(directory);
    const { status, stdout, stderr } = run("--json");
    assert.deepEqual([status, stderr], [0, ""]);
    assert.deepEqual(fingerprint(directory), before, "reading changes nothing and takes nothing over");
    const document = JSON.parse(stdout);
    const { sessions, ...rest } = document;
    assert.deepEqual(rest, { path: storeOf("main"), count: 3, activeMinutes: null });
    assert.deepEqual(
      sessions.map(({ key }: { key: string }) => key),
      ["global", "agent:main:telegram:group:7", "bare"],
      "newest first",
    );
    const [global, group, bare] = sessions;
    const { skillsSnapshot: _, label: __, ...shown } = fullEntry(now);
    assert.ok(group.ageMs >= 5 * minuteMs && group.ageMs < 6 * minuteMs);
    assert.deepEqual(group, {
      key: "agent:main:telegram:group:7",
      ageMs: group.ageMs,
      agentId: "main",
      kind: "group",
      ...shown,
      model: "model-a",
    });
    // A count that is not fresh is shown as it is, and said to be stale; no time is null.
    const nothing = { updatedAt: null, ageMs: null };
    const stale = { totalTokens: 5, totalTokensFresh: false };
    assert.deepEqual(bare, { key: "bare", ...nothing, sessionId: "s-2", agentId: "main", kind: "direct", ...stale });
    const absent = { totalTokens: null, totalTokensFresh: false };
    const { ageMs, updatedAt } = global;
    assert.deepEqual(global, {
      key: "global",
      updatedAt,
      ageMs,
      sessionId: "s-3",
      agentId: "main",
      kind: "global",
      ...absent,
    });
  });
}

test("text: the store, the count and columns of fixed width, with the middle of a long key left out", async (context) => {
  const { run, storeOf } = makeState(context);
  const now = Date.now();
  await writeDirectory(storeOf("main"), {
    "agent:main:telegram:group:123456789": { ...fullEntry(now), totalTokensFresh: false },
    "agent:main:main": { updatedAt: now - 49 * 60 * minuteMs, totalTokens: 999, abortedLastRun: true },
    unknown: {},
  });
  const { status, stdout } = run();
  assert.equal(status, 0);
  assert.deepEqual(stdout.split("\n"), [
    `Session store: ${storeOf("main")}`,
    "Sessions listed: 3",
    "Kind   Key                        Age       Model          Tokens (ctx %)       Flags",
    "group  agent:main:teleg...456789  5m ago    model-a        12k/200k (6%)        think:high verbose:on trace:off " +
      "reasoning:stream elev:ask usage:tokens activation:always system id:s-1",
    "direct agent:main:main            2d ago    unknown        1.0k/? (?%)          aborted",
    "unknown unknown                    unknown   unknown        unknown/? (?%)",
    "",
  ]);
});

test("no store, an empty store and a filter that nothing passes: no sessions found", async (context) => {
  const { run, storeOf, directory } = makeState(context);
  const before = fingerprint(directory);
  assert.equal(run().stdout, `Session store: ${storeOf("main")}\nSessions listed: 0\nNo sessions found.\n`);
  assert.deepEqual(fingerprint(directory), before, "nothing is created");
  writeLegacy(storeOf("main"), { "agent:main:main": { updatedAt: Date.now() - 61 * minuteMs }, undated: {} });
  const filtered = `Session store: ${storeOf("main")}\nSessions listed: 0\nFiltered to last 60 minute(s)\nNo sessions found.\n`;
  assert.equal(run("--active", "60").stdout, filtered);
  const { count, activeMinutes, sessions } = JSON.parse(run("--active", "62", "--json").stdout);
  assert.deepEqual([count, activeMinutes, sessions[0].key], [1, 62, "agent:main:main"], "undated ones are not active");
});

test("--all-agents combines the stores of all configured agents, with a column for the agent", async (context) => {
  const { run, storeOf, directory } = makeState(context, agents);
  const now = Date.now();
  await writeDirectory(storeOf("main"), { "agent:main:main": { updatedAt: now - minuteMs } });
  writeLegacy(storeOf("ops"), { bare: { updatedAt: now } });
  const document = JSON.parse(run("--all-agents", "--json").stdout);
  assert.equal(document.path, null);
  assert.equal(document.allAgents, true);
  const stores = ["main", "ops"].map((agentId) => ({ agentId, path: storeOf(agentId) }));
  assert.deepEqual(document.stores, stores);
  assert.deepEqual(
    document.sessions.map(({ key, agentId }: Record<string, unknown>) => [key, agentId]),
    [
      ["bare", "ops"],
      ["agent:main:main", "main"],
    ],
  );
  const lines = run("--all-agents").stdout.split("\n");
  assert.deepEqual(lines.slice(0, 3), [
    "Session stores: 2 (main, ops)",
    "Sessions listed: 2",
    "Agent      Kind   Key                        Age       Model          Tokens (ctx %)       Flags",
  ]);
  assert.match(lines[3]!, /^ops {8}direct bare {23}just now /);
  // Without a flag the default agent's, with --agent that agent's, with --store that one.
  assert.equal(JSON.parse(run("--json").stdout).path, storeOf("ops"));
  assert.equal(JSON.parse(run("--agent", "MAIN", "--json").stdout).path, storeOf("main"));
  const elsewhere = path.join(directory, "elsewhere.json");
  assert.deepEqual(JSON.parse(run("--store", "elsewhere.json", "--json").stdout), {
    path: elsewhere,
    count: 0,
    activeMinutes: null,
    sessions: [],
  });
});

test("--all-agents without a configuration: every store in the state directory", async (context) => {
  const { run, storeOf } = makeState(context);
  await writeDirectory(storeOf("one"), { "agent:one:main": {} });
  writeLegacy(storeOf("two"), { "agent:two:main": {} });
  const document = JSON.parse(run("--all-agents", "--json").stdout);
  const agentIds = document.stores.map(({ agentId }: { agentId: string }) => agentId);
  assert.deepEqual([document.count, agentIds], [2, ["one", "two"]]);
});

test("contradictory flags are told in the gateway's words, and the exit code is 1", (context) => {
  const { run } = makeState(context, agents);
  const unknown = 'Unknown agent id "nobody". Use "openclaw agents list" to see configured agents.\n';
  const cases: [string[], string][] = [
    [["--agent", "main", "--all-agents"], "--agent and --all-agents cannot be used together\n"],
    [["--store", "x.json", "--agent", "main"], "--store cannot be combined with --agent or --all-agents\n"],
    [["--store", "x.json", "--all-agents"], "--store cannot be combined with --agent or --all-agents\n"],
    [["--agent", "nobody"], unknown],
    [["--active", "0"], "--active must be a positive integer (minutes)\n"],
    [["--active", "soon"], "--active must be a positive integer (minutes)\n"],
  ];
  for (const [flags, expected] of cases) {
    const { status, stdout, stderr } = run(...flags);
    assert.deepEqual({ status, stdout, stderr }, { status: 1, stdout: "", stderr: expected });
  }
  const { status, stdout } = run("--agent", "nobody", "--json");
  assert.deepEqual([status, JSON.parse(stdout)], [1, { error: { code: "usage", message: unknown.trim() } }]);
});

test("the configured store, context size and model are used", (context) => {
  const config = {
    session: { store: "{agentId}-work.json" },
    agents: { defaults: { contextTokens: 1_000, model: { primary: "p/m-1" } } },
  };
  const { run, directory } = makeState(context, JSON.stringify(config));
  writeLegacy(path.join(directory, "main-work.json"), { "agent:main:main": { totalTokens: 990 } });
  const [row] = JSON.parse(run("--json").stdout).sessions;
  assert.equal(row.contextTokens, 1_000);
  assert.equal(row.model, undefined);
  assert.match(run().stdout, /m-1 {12}1\.0k\/1\.0k \(99%\)$/m);
});

test("a configuration that is there and cannot be read fails: its stores might be others", (context) => {
  const broken = makeState(context, "{ session: ");
  const { status, stderr } = broken.run();
  assert.equal(status, 1);
  assert.match(stderr, /\[invalid_option\].*neither strict JSON nor JSON5/s);
  const missing = broken.run("--config", "no-such.json", "--json");
  assert.equal(missing.status, 1);
  assert.match(JSON.parse(missing.stdout).error.message, /there is no such configuration file/);
  assert.equal(broken.run("--config", "/dev/null").status, 1);
});

test("a legacy file that cannot be understood is an error, not an empty list", (context) => {
  const { run, storeOf, directory } = makeState(context);
  mkdirSync(path.dirname(storeOf("main")), { recursive: true });
  writeFileSync(storeOf("main"), '{"agent:main:main": {');
  const before = fingerprint(directory);
  const { status, stdout } = run("--json");
  assert.deepEqual([status, JSON.parse(stdout).error.code], [1, "invalid_legacy"]);
  assert.deepEqual(fingerprint(directory), before);
});

test("a store that cannot be understood hides no other: the others are listed, and it is named", async (context) => {
  const { run, storeOf } = makeState(context, agents);
  await writeDirectory(storeOf("main"), { "agent:main:main": { updatedAt: 1 } });
  mkdirSync(path.dirname(storeOf("ops")), { recursive: true });
  writeFileSync(storeOf("ops"), "{bad");
  const json = run("--all-agents", "--json");
  const { count, sessions, errors, stores } = JSON.parse(json.stdout);
  assert.deepEqual([json.status, count, stores.length, sessions[0].key], [1, 1, 2, "agent:main:main"]);
  const [{ agentId, storePath, code }] = errors;
  assert.deepEqual([agentId, storePath, code], ["ops", storeOf("ops"), "invalid_legacy"]);
  const text = run("--all-agents");
  assert.equal(text.status, 1);
  assert.match(text.stdout, /^Session stores: 2 \(main, ops\)\nSessions listed: 1\n.*\nmain /);
  assert.match(text.stderr, /\[invalid_legacy\]/);
});

test("an active directory store of OpenClaw is listed, and not taken over", (context) => {
  const { run, storeOf, directory } = makeState(context);
  const store = storeOf("main").replace(/\.json$/, ".d");
  mkdirSync(path.join(store, "entries"), { recursive: true });
  const state = {
    kind: "openclaw-session-store-directory",
    layoutVersion: 1,
    version: 1,
    activatedAt: 1,
    updatedAt: 1,
  };
  writeFileSync(path.join(store, "state.json"), JSON.stringify(state));
  const key = "agent:main:main";
  const name = `session-${Buffer.from(key).toString("base64url")}.json`;
  writeFileSync(
    path.join(store, "entries", name),
    JSON.stringify({ sessionKey: key, entry: { sessionId: "s", updatedAt: 1 } }),
  );
  const before = fingerprint(directory);
  const { stdout, stderr } = run("--json");
  assert.equal(JSON.parse(stdout).sessions[0]?.key, key, stderr);
  assert.deepEqual(fingerprint(directory), before);
});

test("keys and flags from strangers reach the terminal escaped, and a null entry is a row", (context) => {
  const { run, storeOf } = makeState(context);
  writeLegacy(storeOf("main"), { "a\u001b[2Jb": { thinkingLevel: "\u0007" }, nothing: null });
  const { stdout } = run();
  assert.ok(!stdout.includes("\u001b") && !stdout.includes("\u0007"));
  assert.match(stdout, /a\\u001b\[2Jb .*think:\\u0007/);
  assert.match(stdout, /^direct nothing/m);
});

test("--verbose says what was read, on stderr; a word that is no command is wrong usage", async (context) => {
  const { run, storeOf } = makeState(context);
  await writeDirectory(storeOf("main"), { "agent:main:main": {} });
  assert.equal(run("--verbose", "--json").stderr, `${storeOf("main")}: directory store, 1 session\n`);
  const { status, stderr } = run("clean");
  assert.equal(status, 2);
  assert.match(stderr, /too many arguments for 'sessions'/);
});
