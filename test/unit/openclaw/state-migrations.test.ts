/** Sessions of the first versions, `<state>/sessions`, become those of the default agent; nothing is lost on the way. */

import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { setAmbientPort } from "../../../src/openclaw/ambient.js";
import {
  autoMigrateLegacyState,
  detectLegacyStateMigrations,
  type LegacyStateDetection,
  loadSessionStore,
  runLegacyStateMigrations,
  type SessionEntry,
} from "../../../src/openclaw/index.js";
import { InterceptedPort, type PortCall } from "../../sim/intercepted-port.js";
import { SimulatedMachine } from "../../sim/machine.js";
import { makePlace } from "./store-support.js";

interface State {
  readonly stateDir: string;
  readonly legacyDir: string;
  readonly targetDir: string;
  readonly targetStore: string;
  readonly env: NodeJS.ProcessEnv;
  put(folder: "legacy" | "target", name: string, text: string): void;
}

const cfg = { agents: { list: [{ id: "other" }, { id: "Ops", default: true }] } };

function makeState(context: TestContext): State {
  const { folder: stateDir } = makePlace(context);
  const legacyDir = path.join(stateDir, "sessions");
  const targetDir = path.join(stateDir, "agents", "ops", "sessions");
  const put = (folder: "legacy" | "target", name: string, text: string) => {
    const place = folder === "legacy" ? legacyDir : targetDir;
    mkdirSync(place, { recursive: true });
    writeFileSync(path.join(place, name), text);
  };
  const env = { OPENCLAW_STATE_DIR: stateDir };
  return { stateDir, legacyDir, targetDir, targetStore: path.join(targetDir, "sessions.json"), env, put };
}

const entry = (sessionId: string, updatedAt: number, more: Partial<SessionEntry> = {}) => ({
  sessionId,
  updatedAt,
  ...more,
});

function filesIn(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => !/\.lock$|\.d$/.test(name))
    .sort();
}

test("detectLegacyStateMigrations says what lies where, and changes nothing", async (context) => {
  const { stateDir, legacyDir, targetDir, targetStore, env, put } = makeState(context);
  const nothing = await detectLegacyStateMigrations({ cfg, env });
  assert.deepEqual(nothing, {
    targetAgentId: "ops",
    targetMainKey: "main",
    stateDir,
    sessions: {
      legacyDir,
      legacyStorePath: path.join(legacyDir, "sessions.json"),
      targetDir,
      targetStorePath: targetStore,
      hasLegacy: false,
      legacyKeys: [],
    },
    preview: [],
  });
  put("legacy", "x.jsonl", "{}");
  put("target", "sessions.json", JSON.stringify({ main: entry("1", 1), "agent:ops:direct:1": entry("2", 2) }));
  const found = await detectLegacyStateMigrations({ cfg, env: {}, homedir: () => "/nowhere" });
  assert.equal(found.stateDir, path.resolve("/nowhere/.openclaw"));
  const { sessions, preview } = await detectLegacyStateMigrations({ cfg, env });
  assert.deepEqual([sessions.hasLegacy, sessions.legacyKeys], [true, ["main"]]);
  assert.deepEqual(preview, [
    `- Sessions: ${legacyDir} → ${targetDir}`,
    `- Sessions: canonicalize legacy keys in ${targetStore}`,
  ]);
  assert.deepEqual([filesIn(legacyDir), filesIn(targetDir)], [["x.jsonl"], ["sessions.json"]]);
});

test("runLegacyStateMigrations moves <state>/sessions/* to <state>/agents/<id>/sessions/, under canonical keys, newest first", async (context) => {
  const { legacyDir, targetDir, targetStore, env, put } = makeState(context);
  const old = {
    main: entry("newer-main", 9),
    "subagent:x": entry("sub", 1, { sessionFile: path.join(legacyDir, "odd.jsonl") }),
    "group:7@g.us": entry("group", 1),
    "agent:ops:direct:1": entry("older", 1),
    "agent:ops:direct:2": entry("as-old", 3),
    nameless: { updatedAt: 5 },
  };
  const text = `${JSON.stringify(old)} // JSON5`;
  put("legacy", "sessions.json", text);
  for (const name of ["newer-main.jsonl", "odd.jsonl", "both.jsonl", "gone.jsonl.deleted.2026-01-01T00-00-00Z"]) {
    put("legacy", name, "legacy");
  }
  put("target", "both.jsonl", "target");
  const there = {
    "agent:ops:main": entry("older-main", 2),
    "agent:ops:direct:1": entry("newer", 3),
    "agent:ops:direct:2": entry("its-own", 3),
  };
  put("target", "sessions.json", JSON.stringify(there));
  const detected = await detectLegacyStateMigrations({ cfg, env });
  const { changes, warnings } = await runLegacyStateMigrations({ detected, now: () => 1 });
  assert.deepEqual(loadSessionStore(targetStore), {
    "agent:ops:direct:1": entry("newer", 3),
    "agent:ops:direct:2": entry("its-own", 3),
    "agent:ops:main": entry("newer-main", 9),
    "agent:ops:subagent:x": entry("sub", 1, { sessionFile: path.join(targetDir, "odd.jsonl") }),
    "agent:ops:whatsapp:group:7@g.us": entry("group", 1),
  });
  const [kept, ...rest] = filesIn(legacyDir).reverse();
  assert.match(kept!, /^sessions\.json\.bak\.\d+$/);
  assert.equal(readFileSync(path.join(legacyDir, kept!), "utf8"), text, "nothing of the old file is lost");
  assert.deepEqual(rest, ["both.jsonl"]);
  assert.equal(readFileSync(path.join(targetDir, "both.jsonl"), "utf8"), "target", "nothing is written over");
  assert.ok(existsSync(path.join(targetDir, "odd.jsonl")));
  assert.deepEqual(changes, [
    `Merged 3 session(s) into ${targetStore}`,
    `Kept the legacy sessions store as ${path.join(legacyDir, kept!)}`,
    "Moved gone.jsonl.deleted.2026-01-01T00-00-00Z → agents/ops/sessions",
    "Moved newer-main.jsonl → agents/ops/sessions",
    "Moved odd.jsonl → agents/ops/sessions",
  ]);
  assert.deepEqual(warnings, [
    `${path.join(legacyDir, "both.jsonl")} stays: there is a file of that name in ${targetDir}`,
  ]);
});

test("a legacy store that cannot be understood stays where it is, with a warning; its transcripts move", async (context) => {
  const { legacyDir, targetDir, env, put } = makeState(context);
  put("legacy", "sessions.json", '{"main": ');
  put("legacy", "a.jsonl", "");
  const detected = await detectLegacyStateMigrations({ cfg, env });
  const { changes, warnings } = await runLegacyStateMigrations({ detected });
  assert.deepEqual(changes, ["Moved a.jsonl → agents/ops/sessions"]);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0]!, /^Legacy sessions store stays at /);
  assert.deepEqual([filesIn(legacyDir), filesIn(targetDir)], [["sessions.json"], ["a.jsonl"]]);
});

test("a gateway that writes the old file while it is taken over loses nothing: it is read again", async (context) => {
  const { legacyDir, targetStore, env, put } = makeState(context);
  put("legacy", "sessions.json", JSON.stringify({ main: entry("first", 1) }));
  const detected = await detectLegacyStateMigrations({ cfg, env });
  const { setAmbientPort, ambientPort } = await import("../../../src/openclaw/ambient.js");
  const port = ambientPort();
  const rename = port.rename.bind(port);
  let isWritten = false;
  // The store's own files are renamed while it is made: long after the old file was read.
  port.rename = (...args) => {
    if (!isWritten) put("legacy", "sessions.json", JSON.stringify({ main: entry("second", 2) }));
    isWritten = true;
    return rename(...args);
  };
  setAmbientPort(port);
  const { warnings } = await runLegacyStateMigrations({ detected });
  assert.deepEqual(warnings, []);
  assert.equal(loadSessionStore(targetStore)["agent:ops:main"]?.sessionId, "second");
  assert.equal(filesIn(legacyDir).length, 1);
});

test("autoMigrateLegacyState does all of it and the keys of every store, logs it, and finds nothing the second time", async (context) => {
  const { stateDir, targetStore, env, put } = makeState(context);
  put("legacy", "sessions.json", JSON.stringify({ main: entry("m", 1) }));
  const otherStore = path.join(stateDir, "agents", "other", "sessions", "sessions.json");
  mkdirSync(path.dirname(otherStore), { recursive: true });
  writeFileSync(otherStore, JSON.stringify({ "subagent:x": entry("x", 1) }));
  const lines: string[] = [];
  const log = {
    info: (text: string) => lines.push(`info ${text}`),
    warn: (text: string) => lines.push(`warn ${text}`),
  };
  const first = await autoMigrateLegacyState({ cfg, env, log });
  assert.deepEqual([first.migrated, first.skipped, first.warnings], [true, false, []]);
  assert.deepEqual(Object.keys(loadSessionStore(targetStore)), ["agent:ops:main"]);
  assert.deepEqual(Object.keys(loadSessionStore(otherStore)), ["agent:other:subagent:x"]);
  assert.deepEqual(lines, [`info Auto-migrated legacy state:\n${first.changes.map((line) => `- ${line}`).join("\n")}`]);
  const second = await autoMigrateLegacyState({ cfg, env, log });
  assert.deepEqual(second, { migrated: false, skipped: false, changes: [], warnings: [] });
  assert.equal(lines.length, 1);
});

// Fails without either sync of `moveFiles`, and when the folder that the file left is synced first: not every file system
// moves a name from one folder to another in one step, as the simulated one does, and then the file is in neither.
test("the new name of a transcript that is moved is on the disk before the old one is gone from it", {
  skip: process.platform === "win32" && "skipped: needs posix paths",
}, async (context) => {
  const [legacyDir, targetDir] = ["/s/sessions", "/s/agents/main/sessions"];
  const machine = new SimulatedMachine({ fileSystem: "weak" });
  for (const folder of [legacyDir, targetDir]) machine.makeDirectory(folder);
  machine.writeFile(`${legacyDir}/t.jsonl`, "said");
  let calls: string[] = [];
  class NotingPort extends InterceptedPort {
    protected override intercept<T>({ method, path: at }: PortCall, proceed: () => T): T {
      if (method === "rename") calls = [];
      if (method === "syncDirectory") calls.push(at);
      return proceed();
    }
  }
  setAmbientPort(new NotingPort(machine.process()));
  context.after(() => setAmbientPort(undefined));
  const detected: LegacyStateDetection = {
    targetAgentId: "main",
    targetMainKey: "main",
    stateDir: "/s",
    sessions: {
      legacyDir,
      legacyStorePath: `${legacyDir}/sessions.json`,
      targetDir,
      targetStorePath: `${targetDir}/sessions.json`,
      hasLegacy: true,
      legacyKeys: [],
    },
    preview: [],
  };
  const { changes, warnings } = await machine.settle(runLegacyStateMigrations({ detected }));
  assert.deepEqual([changes, warnings], [["Moved t.jsonl → agents/main/sessions"], []]);
  assert.deepEqual(calls, [targetDir, legacyDir]);
  for (const image of machine.powerLossImages(20)) {
    assert.ok(image.exists(`${targetDir}/t.jsonl`));
    assert.ok(!image.exists(`${legacyDir}/t.jsonl`));
  }
});
