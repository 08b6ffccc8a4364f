/** The migration at the start of a gateway: no store stops another one, and one line says what became of them. */

import assert from "node:assert/strict";
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { FenceableStore } from "../../../src/backends/directory/fence.js";
import { SessionStoreError } from "../../../src/errors.js";
import type { Port } from "../../../src/fs/port.js";
import { migrateSessionStores } from "../../../src/index.js";
import { defaultLimits } from "../../../src/limits.js";
import {
  type MigrateSessionStoresOptions,
  type MigrationProgress,
  type MigrationReport,
  type MigrationResult,
  migrateSessionStoresOnPort,
} from "../../../src/migrate/report.js";
import { setAmbientPort } from "../../../src/openclaw/ambient.js";
import { runStartupSessionStoreMigration } from "../../../src/openclaw/startup.js";
import { InterceptedPort, type PortCall } from "../../sim/intercepted-port.js";
import { SimulatedMachine } from "../../sim/machine.js";
import { SystemError } from "../../sim/system-error.js";
import { inTemporaryDirectory, locationOf, snapshotTree } from "./support.js";

const skip = process.platform === "win32" && "skipped: needs posix links and paths";

const one = JSON.stringify({ "agent:a:main": { sessionId: "a", updatedAt: 1 } });
const storePath = (agent: string, name = "sessions.json") => `/state/agents/${agent}/sessions/${name}`;

/** A machine with a state directory at /state; agent -> content of its legacy file. */
function makeMachine(legacyFiles: Record<string, string>): SimulatedMachine {
  const machine = new SimulatedMachine();
  machine.makeDirectory("/state/agents");
  for (const [agent, text] of Object.entries(legacyFiles)) {
    machine.makeDirectory(path.posix.dirname(storePath(agent)));
    machine.writeFile(storePath(agent), text);
  }
  return machine;
}

interface Run extends MigrationReport {
  /** Each line with its level before it. */
  lines: string[];
}

async function migrate(
  machine: SimulatedMachine,
  options: MigrateSessionStoresOptions = {},
  wrap: (port: Port) => Port = (port) => port,
): Promise<Run> {
  const port = machine.process("gateway");
  const lines: string[] = [];
  const log = {
    info: (message: string) => void lines.push(`info ${message}`),
    warn: (message: string) => void lines.push(`warn ${message}`),
  };
  const all = { stateDir: "/state", env: {}, log, ...options };
  const report = await machine.settle(migrateSessionStoresOnPort(wrap(port), all));
  assert.deepEqual(port.openHandles(), [], "everything that was opened is closed");
  return { ...report, lines };
}

const outcomesOf = ({ results }: MigrationReport) => results.map(({ outcome }) => outcome);

function makeTwenty(): SimulatedMachine {
  const agents = Array.from({ length: 20 }, (_, index) => `agent-${String(index + 1).padStart(2, "0")}`);
  const texts = agents.map((agent, index) => [agent, index === 6 ? '{"agent:a:main": {' : one]);
  return makeMachine(Object.fromEntries(texts));
}

test("of twenty stores one is broken: the others are migrated, and one warning names it", { skip }, async () => {
  const machine = makeTwenty();
  const { lines, level, summaryLine, results } = await migrate(machine);
  assert.equal(results.length, 20);
  const broken = results[6] as MigrationResult;
  assert.deepEqual([broken.storePath, broken.outcome], [storePath("agent-07"), "skipped_invalid"]);
  assert.equal(results.filter(({ outcome }) => outcome === "migrated").length, 19);
  const counts = "inspected=20 migrated=19 already_directory=0 skipped_empty=0 skipped_invalid=1 missing=0 failed=0";
  const expected =
    `session-store migration summary: ${counts}; ` +
    `issues: ${storePath("agent-07")} (invalid legacy store); ${storePath("agent-07")} (${broken.error?.message})`;
  assert.deepEqual([level, summaryLine, lines], ["warn", expected, [`warn ${expected}`]]);
  for (const { storePath: where, outcome } of results) {
    assert.equal(machine.exists(where), outcome === "skipped_invalid", where);
    assert.equal(machine.exists(where.replace(/json$/, "d")), outcome === "migrated", where);
  }
});

test("when all is benign the line is for information, and a second start finds everything done", { skip }, async () => {
  const machine = makeMachine({ main: one, ops: "{}" });
  const configuredStorePath = "/elsewhere/chat.json";
  const first = await migrate(machine, { configuredStorePath });
  assert.deepEqual(first.lines, [
    "info session-store migration summary: inspected=3 migrated=1 already_directory=0 skipped_empty=1 skipped_invalid=0 missing=1 failed=0",
  ]);
  const second = await migrate(machine, { configuredStorePath });
  assert.deepEqual(second.lines, [
    "info session-store migration summary: inspected=3 migrated=0 already_directory=1 skipped_empty=1 skipped_invalid=0 missing=1 failed=0",
  ]);
  assert.deepEqual(second.counts.already_directory, 1);
});

test("without a store there is no line", { skip }, async () => {
  const machine = new SimulatedMachine();
  const { lines, summaryLine, results, level } = await migrate(machine, { stateDir: "/nowhere" });
  assert.deepEqual([lines, summaryLine, results, level], [[], undefined, [], "info"]);
});

test("what was left out is told even when all is benign", { skip }, async () => {
  const machine = makeMachine({ main: '{"a":{"updatedAt":1},"k":null}' });
  const { lines } = await migrate(machine);
  assert.match(lines.join(), /^info .* failed=0; issues: \/state\/agents\/main\S+ \(1 entry of 2 cannot be taken over/);
});

test("a store that is reached by two links and by the configuration is handled once", { skip }, async () => {
  await inTemporaryDirectory(async (parent) => {
    const stateDir = path.join(parent, "state");
    const folder = path.join(stateDir, "agents", "main", "sessions");
    mkdirSync(folder, { recursive: true });
    writeFileSync(path.join(folder, "sessions.json"), one);
    symlinkSync("main", path.join(stateDir, "agents", "alias"));
    symlinkSync(folder, path.join(parent, "chat"));
    symlinkSync("state", path.join(parent, "other-name"));
    const configuredStorePath = path.join(parent, "chat", "sessions.json");
    const report = await migrateSessionStores({
      stateDir: path.join(parent, "other-name"),
      env: {},
      configuredStorePath,
    });
    assert.deepEqual(outcomesOf(report), ["migrated"]);
    assert.match(report.summaryLine ?? "", /: inspected=1 migrated=1 /);
    assert.equal(readdirSync(folder).filter((name) => name.startsWith("sessions.json.bak.")).length, 1);
  });
});

test("two stores in one folder get two directories", { skip }, async () => {
  const machine = makeMachine({ main: one });
  machine.writeFile(storePath("main", "chat.json"), JSON.stringify({ "agent:b:main": { sessionId: "b" } }));
  const report = await migrate(machine, { configuredStorePath: storePath("main", "chat.json") });
  assert.deepEqual(
    report.results.map(({ outcome, directoryPath }) => [outcome, directoryPath]),
    [
      ["migrated", storePath("main", "chat.d")],
      ["migrated", storePath("main", "sessions.d")],
    ],
  );
});

test("a template names a store for each agent, those of the configuration too", { skip }, async () => {
  const machine = makeMachine({ main: one, ops: one });
  machine.makeDirectory("/chats");
  for (const agent of ["main", "extra"]) machine.writeFile(`/chats/${agent}.json`, one);
  const report = await migrate(machine, { configuredStorePath: "/chats/{agentId}.json", agentIds: ["extra"] });
  assert.deepEqual(
    report.results.map((result) => `${result.outcome} ${result.storePath}`),
    [
      "migrated /chats/extra.json",
      "migrated /chats/main.json",
      `migrated ${storePath("main")}`,
      `migrated ${storePath("ops")}`,
    ],
  );
});

// --- what must not stop anything ------------------------------------------------------------------------------------

test("an agents directory that cannot be read is a warning, not an exception", { skip }, async () => {
  const machine = makeMachine({ main: one });
  machine.setOwner("/state/agents", 4);
  const { lines, results, problems } = await migrate(machine);
  assert.deepEqual([results, problems.map(({ code }) => code)], [[], ["permission_denied"]]);
  assert.match(lines.join(), /^warn session-store migration summary: inspected=0 .*; issues: \/state\/agents \(/);
});

test("one agent that cannot be read hides no other", { skip }, async () => {
  const machine = makeMachine({ main: one, private: one });
  machine.setOwner("/state/agents/private", 4);
  const report = await migrate(machine);
  assert.deepEqual([outcomesOf(report), report.level, report.lines.length], [["migrated"], "warn", 1]);
  assert.match(report.summaryLine ?? "", /; issues: \/state\/agents\/private\/sessions \(.*permission denied/);
});

/** Throws what `fault` makes for calls at paths that contain `where`. */
class FaultyPort extends InterceptedPort {
  readonly where: string;
  readonly fault: (call: PortCall) => Error | undefined;

  constructor(inner: Port, where: string, fault: (call: PortCall) => Error | undefined) {
    super(inner);
    this.where = where;
    this.fault = fault;
  }

  protected override intercept<T>(call: PortCall, proceed: (sizeBytes?: number) => T): T {
    const error = call.path.includes(this.where) ? this.fault(call) : undefined;
    if (error !== undefined) throw error;
    return proceed();
  }
}

test("a bug that one store brings to light fails that store alone", { skip }, async () => {
  const machine = makeMachine({ main: one, odd: one, ops: one });
  const bug = ({ method }: PortCall) => (method === "statFileSystem" ? new TypeError("a bug") : undefined);
  const report = await migrate(machine, {}, (port) => new FaultyPort(port, "/odd/", bug));
  assert.deepEqual(outcomesOf(report), ["migrated", "failed", "migrated"]);
  assert.match(
    report.summaryLine ?? "",
    /failed=1; issues: \/state\/agents\/odd\S+ \(Migration failed: TypeError: a bug\)/,
  );
  assert.equal(machine.exists(storePath("odd")), true);
});

test("a disk that fails while stores are looked for is a warning, and touches no store", { skip }, async () => {
  const machine = makeMachine({ main: one });
  const failing = ({ method }: PortCall) =>
    method === "listInBatches" ? new SystemError("EMFILE", "readdir", "/state/agents") : undefined;
  const { lines, results, problems } = await migrate(machine, {}, (port) => new FaultyPort(port, "/agents", failing));
  assert.deepEqual([results, problems.map(({ code }) => code)], [[], ["too_many_files"]]);
  assert.match(lines.join(), /^warn session-store migration summary: inspected=0 /);
  assert.equal(machine.exists(storePath("main")), true);
});

test("options that make no sense are refused before anything is touched", { skip }, async () => {
  const isInvalid = (error: unknown) => error instanceof SessionStoreError && error.code === "invalid_option";
  const machine = makeMachine({ main: one });
  const before = machine.dump();
  await assert.rejects(migrate(machine, { stateDirectory: "/state" } as never), isInvalid);
  await assert.rejects(migrate(machine, { limits: { sessions: -1 } }), isInvalid);
  assert.deepEqual(machine.dump(), before);
});

// --- the line -------------------------------------------------------------------------------------------------------

test("a rollback that was interrupted is told in the line of its store", { skip }, async () => {
  const machine = makeMachine({ main: one });
  await migrate(machine);
  const store = FenceableStore.open(machine.process("rollback"), locationOf(storePath("main")), false, defaultLimits);
  await machine.settle(store.raise());
  store.close();
  machine.writeFile(storePath("main"), '{"agent:a:main":{"updatedAt":9}}');
  const report = await migrate(machine);
  assert.deepEqual(outcomesOf(report), ["migrated"]);
  assert.match(report.lines.join(), /^info .*issues: \S+ \(A rollback\b.* it was undone\.\); /);
});

test("a store that was rolled back is a failure with its way out, until it is forced", { skip }, async () => {
  const machine = makeMachine({ main: one });
  machine.writeFile(storePath("main", "sessions.d.rolled-back"), "{}");
  const { lines } = await migrate(machine);
  assert.match(lines.join(), /^warn .* failed=1; issues: .*was rolled back .*sessiondir migrate --force/);
  assert.deepEqual(outcomesOf(await migrate(machine, { force: true })), ["migrated"]);
});

test("no name of a stranger breaks the line or turns its text around", { skip }, async () => {
  const machine = makeMachine({ "x\nwarn forged": "[", "y\u202eexe": "[" });
  const { lines } = await migrate(machine);
  assert.equal(lines.length, 1);
  assert.doesNotMatch(lines.join(), /\n|\u202e/);
  assert.match(lines.join(), /agents\/x\\u\{a\}warn forged\//);
});

test("a hundred issues are enough for a line, and the failures are among them", { skip }, async () => {
  const warned = '{"a":{},"A":{}}';
  const many = Array.from({ length: 120 }, (_, index) => [`a${index}`, warned]);
  const machine = makeMachine({ ...Object.fromEntries(many), zzz: "[" });
  const { summaryLine, results } = await migrate(machine);
  assert.equal(results.length, 121);
  assert.match(summaryLine ?? "", /; issues: \/state\/agents\/zzz\S+ \(invalid legacy store\); .*; and 22 more$/);
});

// --- dry runs, progress, the names of the gateway -------------------------------------------------------------------

/** Whatever the real run makes and the dry run cannot know. */
function withoutBackups({ results }: MigrationReport): object[] {
  return results.map(({ backupPath: _backup, displacedPath: _displaced, ...rest }) => rest);
}

test("the dry run of a state directory predicts the real run, and touches nothing", { skip }, async () => {
  const machine = makeMachine({
    main: one,
    broken: "{",
    empty: "{}",
    Mixed: '{"agent:mixed:Main":{"updatedAt":1},"agent:mixed:main":{"updatedAt":2}," ":{}}',
    json5: "// by hand\n{a:{sessionId:'x',},}",
    orphan: one,
    merged: one,
    rolled: one,
  });
  machine.makeDirectory(storePath("orphan", "sessions.d/leftover"));
  machine.writeFile(storePath("rolled", "sessions.d.rolled-back"), "{}");
  await migrate(machine, { stateDir: "/other", configuredStorePath: storePath("merged") });
  machine.writeFile(storePath("merged"), '{"agent:a:main":{"updatedAt":9},"agent:a:new":{"updatedAt":1}}');
  const before = machine.dump();
  const dry = await migrate(machine, { dryRun: true });
  assert.deepEqual(machine.dump(), before);
  const real = await migrate(machine);
  assert.deepEqual(withoutBackups(dry), withoutBackups(real));
  assert.deepEqual([dry.counts, dry.level], [real.counts, real.level]);
  assert.equal(dry.summaryLine, real.summaryLine?.replace("summary:", "summary (dry run):"));
  assert.deepEqual(outcomesOf(real), [
    "migrated",
    "skipped_invalid",
    "skipped_empty",
    "migrated",
    "migrated",
    "migrated",
    "migrated",
    "failed",
  ]);
});

test("10,000 sessions are taken over with progress, store by store", async () => {
  await inTemporaryDirectory(async (stateDir) => {
    const sessions = 10_000;
    for (const [agent, count] of [
      ["big", sessions],
      ["small", 3],
    ] as const) {
      const folder = path.join(stateDir, "agents", agent, "sessions");
      mkdirSync(folder, { recursive: true });
      const entries = Array.from({ length: count }, (_, index) => [
        `agent:${agent}:direct:${index}`,
        { updatedAt: index },
      ]);
      writeFileSync(path.join(folder, "sessions.json"), JSON.stringify(Object.fromEntries(entries)));
    }
    const heard: MigrationProgress[] = [];
    const outcomes: string[] = [];
    const { results } = await migrateSessionStores({
      stateDir,
      env: {},
      onProgress: (progress) => void heard.push(progress),
      onResult: ({ outcome, migratedEntries }) => void outcomes.push(`${outcome} ${migratedEntries}`),
    });
    assert.deepEqual(outcomes, [`migrated ${sessions}`, "migrated 3"]);
    assert.equal(results.length, 2);
    const big = heard.filter(({ store }) => store === 1);
    assert.ok(big.length >= 100, `told ${big.length} times`);
    assert.ok(big.every(({ done }, index) => index === 0 || done >= big[index - 1]!.done));
    const { done, total, stores, storePath: where } = big.at(-1) as MigrationProgress;
    assert.deepEqual([done, total, stores], [sessions, sessions, 2]);
    assert.equal(where, path.join(stateDir, "agents", "big", "sessions", "sessions.json"));
    assert.deepEqual(heard.at(-1)?.store, 2);
    const directory = path.join(stateDir, "agents", "big", "sessions", "sessions.d", "entries");
    assert.equal(readdirSync(directory).filter((name) => name.startsWith("session-")).length, sessions);
  });
});

test("on the real disk, too, a dry run leaves every byte and every name as it was", async () => {
  await inTemporaryDirectory(async (stateDir) => {
    const folder = path.join(stateDir, "agents", "main", "sessions");
    mkdirSync(folder, { recursive: true });
    writeFileSync(path.join(folder, "sessions.json"), one);
    const before = snapshotTree(stateDir);
    const { level, counts } = await migrateSessionStores({ stateDir, env: {}, dryRun: true });
    assert.deepEqual([level, counts.migrated], ["info", 1]);
    assert.deepEqual(snapshotTree(stateDir), before);
  });
});

test("runStartupSessionStoreMigration does the same under the gateway's name", { skip }, async () => {
  const machine = makeMachine({ main: one, ops: "[" });
  const lines: string[] = [];
  setAmbientPort(machine.process("gateway"));
  try {
    const log = {
      info: (message: string) => void lines.push(`info ${message}`),
      warn: (message: string) => void lines.push(`warn ${message}`),
    };
    const params = { stateDir: "/state", configuredStorePath: storePath("main"), log };
    const results = await machine.settle(runStartupSessionStoreMigration(params));
    assert.deepEqual(
      results.map(({ outcome }) => outcome),
      ["migrated", "skipped_invalid"],
    );
    assert.deepEqual([lines.length, /^warn .*inspected=2 migrated=1 /.test(lines[0] ?? "")], [1, true]);
  } finally {
    setAmbientPort(undefined);
  }
});
