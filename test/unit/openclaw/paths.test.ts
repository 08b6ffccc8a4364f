/** Paths of stores and transcripts, sentence by sentence, on a simulated machine. */

import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import { setAmbientPort } from "../../../src/openclaw/ambient.js";
import {
  resolveAgentsDirFromSessionStorePath,
  resolveDefaultSessionStorePath,
  resolveSessionFilePath,
  resolveSessionFilePathOptions,
  resolveSessionTranscriptPath,
  resolveSessionTranscriptPathInDir,
  resolveSessionTranscriptsDir,
  resolveSessionTranscriptsDirForAgent,
  resolveStateDir,
  resolveStorePath,
  SAFE_SESSION_ID_RE,
  validateSessionId,
} from "../../../src/openclaw/paths.js";
import { SimulatedMachine } from "../../sim/machine.js";

const skip = process.platform === "win32" && "skipped: needs posix links and paths";
const env = { OPENCLAW_STATE_DIR: "/state" };
process.env.OPENCLAW_STATE_DIR = "/state";

function withMachine(body: (machine: SimulatedMachine) => void): void {
  const machine = new SimulatedMachine();
  machine.makeDirectory("/state/agents/main/sessions");
  setAmbientPort(machine.process("gateway", { homeDirectory: "/home/system" }));
  try {
    body(machine);
  } finally {
    setAmbientPort(undefined);
  }
}

test("resolveStateDir: the variable, else .openclaw at home, with the home that a caller gives", { skip }, () => {
  withMachine(() => {
    assert.equal(resolveStateDir(env), "/state");
    assert.equal(
      resolveStateDir({}, () => "/home/x"),
      "/home/x/.openclaw",
    );
    assert.equal(resolveStateDir({}), "/home/system/.openclaw");
  });
});

test("resolveStorePath: no store is the default path of the normalised agent", { skip }, () => {
  withMachine(() => {
    assert.equal(resolveStorePath(undefined, { env }), "/state/agents/main/sessions/sessions.json");
    assert.equal(resolveStorePath("", { agentId: "Ops Team", env }), "/state/agents/ops-team/sessions/sessions.json");
    assert.equal(resolveStorePath("   ", { env }), "/state/agents/main/sessions/sessions.json");
    assert.equal(resolveDefaultSessionStorePath(), resolveStorePath());
    assert.equal(resolveDefaultSessionStorePath("b"), "/state/agents/b/sessions/sessions.json");
  });
});

test("resolveStorePath: {agentId} is replaced everywhere by the normalised id, main by default", { skip }, () => {
  withMachine(() => {
    assert.equal(resolveStorePath("/d/{agentId}/{agentId}.json", { agentId: "Bot 7" }), "/d/bot-7/bot-7.json");
    assert.equal(resolveStorePath("/d/{agentId}.json"), "/d/main.json");
    // An id is data, not a pattern of replacement.
    assert.equal(resolveStorePath("/d/{agentId}.json", { agentId: "$&" }), "/d/main.json");
  });
});

test("resolveStorePath: a leading ~ is expanded, and the path is always absolute", { skip }, () => {
  withMachine(() => {
    const home = { OPENCLAW_HOME: "/home/o", HOME: "/home/a" };
    assert.equal(resolveStorePath("~/s/{agentId}.json", { env: home }), "/home/o/s/main.json");
    assert.equal(resolveStorePath("s.json", { env: home }), path.resolve("s.json"));
    assert.equal(resolveStorePath("/a/../b/s.json", { env: home }), "/b/s.json");
  });
});

test("resolveSessionTranscriptsDir is that of the main agent, ForAgent that of the one asked for", { skip }, () => {
  withMachine(() => {
    assert.equal(resolveSessionTranscriptsDir(env), "/state/agents/main/sessions");
    assert.equal(resolveSessionTranscriptsDirForAgent("Ops", env), "/state/agents/ops/sessions");
    assert.equal(
      resolveSessionTranscriptsDir({}, () => "/h"),
      "/h/.openclaw/agents/main/sessions",
    );
  });
});

test("validateSessionId returns the trimmed id, or throws Invalid session ID", () => {
  assert.equal(validateSessionId("  Abc-1._x "), "Abc-1._x");
  assert.ok(SAFE_SESSION_ID_RE.test("a".repeat(128)));
  for (const id of ["", " ", "../x", "a/b", ".a", "-a", "a".repeat(129), "a b", "ä", "a\0", "a\nb"]) {
    assert.throws(() => validateSessionId(id), { message: `Invalid session ID: ${id}` });
  }
});

test("a transcript is <id>.jsonl, or <id>-topic-<encoded topic>.jsonl", { skip }, () => {
  withMachine(() => {
    assert.equal(resolveSessionTranscriptPathInDir("s1", "/d"), "/d/s1.jsonl");
    assert.equal(resolveSessionTranscriptPathInDir("s1", "/d", 42), "/d/s1-topic-42.jsonl");
    assert.equal(resolveSessionTranscriptPathInDir("s1", "/d", "../a b/ü"), "/d/s1-topic-..%2Fa%20b%2F%C3%BC.jsonl");
    assert.equal(resolveSessionTranscriptPathInDir("s1", "/d", "\ud800"), "/d/s1-topic-%EF%BF%BD.jsonl");
    assert.equal(resolveSessionTranscriptPath("s1", "Ops", "t"), "/state/agents/ops/sessions/s1-topic-t.jsonl");
    assert.throws(() => resolveSessionTranscriptPathInDir("../s1", "/d"), /Invalid session ID: \.\.\/s1/);
  });
});

const sessionsDir = "/state/agents/main/sessions";

test("resolveSessionFilePath uses entry.sessionFile when it lies inside the sessions dir", { skip }, () => {
  withMachine((machine) => {
    const inside = `${sessionsDir}/other.jsonl`;
    assert.equal(resolveSessionFilePath("s1", { sessionFile: inside }, { sessionsDir }), inside);
    assert.equal(resolveSessionFilePath("s1", { sessionFile: "other.jsonl" }, { sessionsDir }), inside);
    assert.equal(resolveSessionFilePath("s1", { sessionFile: ` ${inside} ` }), inside);
    machine.makeSymlink(sessionsDir, "/alias");
    assert.equal(resolveSessionFilePath("s1", { sessionFile: "/alias/other.jsonl" }, { sessionsDir }), inside);
    assert.equal(resolveSessionFilePath("s1", { sessionFile: inside }, { sessionsDir: "/alias" }), inside);
  });
});

test("resolveSessionFilePath accepts a sibling agent's sessions dir, and the exact shape under another root", {
  skip,
}, () => {
  withMachine((machine) => {
    for (const file of [
      "/state/agents/bot/sessions/a.jsonl",
      "/state/agents/bot/sessions/deeper/a.jsonl",
      "/backup/agents/bot/sessions/a.jsonl",
    ]) {
      assert.equal(resolveSessionFilePath("s1", { sessionFile: file }, { sessionsDir }), file);
    }
    machine.makeDirectory("/data");
    const ofAgent = "/state/agents/bot/sessions/deeper/b.jsonl";
    assert.equal(
      resolveSessionFilePath("s1", { sessionFile: ofAgent }, { sessionsDir: "/data", agentId: "bot" }),
      ofAgent,
    );
  });
});

test("resolveSessionFilePath falls back silently to the derived path for any other place", { skip }, () => {
  withMachine(() => {
    for (const file of [
      "/etc/passwd",
      "../../../../etc/passwd",
      "../../bot/sessions/a.jsonl",
      "/state/agents/main/sessions",
      "/backup/agents/bot/sessions/deeper/a.jsonl",
      "/backup/agents/no id/sessions/a.jsonl",
      "/backup/agents/bot/other/a.jsonl",
      "a\0b.jsonl",
      "   ",
    ]) {
      assert.equal(
        resolveSessionFilePath("s1", { sessionFile: file }, { sessionsDir }),
        `${sessionsDir}/s1.jsonl`,
        file,
      );
    }
    assert.equal(resolveSessionFilePath("s1", null, { agentId: "Ops" }), "/state/agents/ops/sessions/s1.jsonl");
    assert.equal(resolveSessionFilePath("s1"), `${sessionsDir}/s1.jsonl`);
  });
});

test("resolveSessionFilePath still throws for an invalid session id when it needs it", { skip }, () => {
  withMachine(() => {
    assert.throws(() => resolveSessionFilePath("../x", { sessionFile: "/etc/passwd" }), /Invalid session ID/);
    assert.equal(resolveSessionFilePath("../x", { sessionFile: "a.jsonl" }, { sessionsDir }), `${sessionsDir}/a.jsonl`);
  });
});

test("symlinks that escape the sessions dir are rejected, for files that exist and for those that do not", {
  skip,
}, () => {
  withMachine((machine) => {
    machine.makeDirectory("/secret");
    machine.writeFile("/secret/key", "x");
    machine.makeSymlink("/secret/key", `${sessionsDir}/link.jsonl`);
    machine.makeSymlink("/secret", `${sessionsDir}/folder`);
    for (const file of ["link.jsonl", `${sessionsDir}/link.jsonl`, `${sessionsDir}/folder/new.jsonl`, "folder/key"]) {
      assert.equal(
        resolveSessionFilePath("s1", { sessionFile: file }, { sessionsDir }),
        `${sessionsDir}/s1.jsonl`,
        file,
      );
    }
  });
});

test("resolveSessionFilePathOptions: the store's folder, (multiple) ignored, nothing is undefined", { skip }, () => {
  assert.deepEqual(resolveSessionFilePathOptions({ storePath: "/d/s.json" }), { sessionsDir: "/d" });
  assert.deepEqual(resolveSessionFilePathOptions({ storePath: "/d/s.json", agentId: "a" }), {
    sessionsDir: "/d",
    agentId: "a",
  });
  assert.deepEqual(resolveSessionFilePathOptions({ storePath: "(multiple)", agentId: "a" }), { agentId: "a" });
  assert.equal(resolveSessionFilePathOptions({ storePath: "(multiple)" }), undefined);
  assert.equal(resolveSessionFilePathOptions({ storePath: "  ", agentId: " " }), undefined);
});

test("resolveAgentsDirFromSessionStorePath: only of exactly <X>/agents/<id>/sessions/sessions.json", { skip }, () => {
  assert.equal(resolveAgentsDirFromSessionStorePath("/x/agents/a/sessions/sessions.json"), "/x/agents");
  for (const other of [
    "/x/agents/a/sessions/s.json",
    "/x/agents/a/b/sessions.json",
    "/x/bots/a/sessions/sessions.json",
  ]) {
    assert.equal(resolveAgentsDirFromSessionStorePath(other), undefined, other);
  }
});
