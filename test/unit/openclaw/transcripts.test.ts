/** Names of transcripts and archives, where transcripts lie, and what archiving does to them. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { setAmbientPort } from "../../../src/openclaw/ambient.js";
import {
  archiveFileOnDisk,
  archiveRemovedSessionTranscripts,
  archiveSessionTranscripts,
  archiveSessionTranscriptsDetailed,
  cleanupArchivedSessionTranscripts,
} from "../../../src/openclaw/archives.js";
import {
  formatSessionArchiveTimestamp,
  isPrimarySessionTranscriptFileName,
  isSessionArchiveArtifactName,
  isUsageCountedSessionTranscriptFileName,
  parseSessionArchiveTimestamp,
  parseUsageCountedSessionIdFromFileName,
} from "../../../src/openclaw/artifacts.js";
import {
  resolveSessionTranscriptCandidates,
  resolveStableSessionEndTranscript,
} from "../../../src/openclaw/transcript-files.js";
import { SimulatedMachine } from "../../sim/machine.js";

const skip = process.platform === "win32" && "skipped: needs posix links and paths";
process.env.OPENCLAW_STATE_DIR = "/state";
process.env.OPENCLAW_HOME = "/home/a";

const nowMs = Date.parse("2026-04-24T08:15:30.123Z");
const stamp = "2026-04-24T08-15-30.123Z";
const dir = "/state/agents/main/sessions";
const storePath = `${dir}/sessions.json`;
const uuid = (digit: string) => `${digit.repeat(8)}-1111-4111-8111-111111111111`;

async function withMachine(
  files: readonly string[],
  body: (machine: SimulatedMachine) => void | Promise<void>,
): Promise<void> {
  const machine = new SimulatedMachine({ nowMs, callMicros: 0 });
  machine.makeDirectory(dir);
  for (const file of files) {
    machine.makeDirectory(file.slice(0, file.lastIndexOf("/")));
    machine.writeFile(file, file);
  }
  const port = machine.process("gateway", { homeDirectory: "/home/system" });
  setAmbientPort(port);
  try {
    await body(machine);
    assert.deepEqual(port.openHandles(), []);
  } finally {
    setAmbientPort(undefined);
  }
}

const filesOf = (machine: SimulatedMachine) => Object.keys(machine.dump()).filter((name) => !name.endsWith("/"));

// --- names -----------------------------------------------------------------------------------------------------------

test("an archive is <file>.<reason>.<time>, with or without milliseconds, and a store backup ends in digits", () => {
  for (const name of [
    `a.jsonl.bak.${stamp}`,
    `a.jsonl.reset.${stamp}`,
    "a.jsonl.deleted.2026-04-24T08-15-30Z",
    "sessions.json.bak.1777018530123",
  ]) {
    assert.ok(isSessionArchiveArtifactName(name), name);
    assert.ok(!isPrimarySessionTranscriptFileName(name), name);
  }
  for (const name of [
    "a.jsonl",
    `a.jsonl.moved.${stamp}`,
    "a.jsonl.deleted.2026-04-24T08:15:30Z",
    "a.jsonl.deleted.1777018530123",
    "a.jsonl.deleted.",
    "sessions.json.bak.x",
    "sessions.json",
  ]) {
    assert.ok(!isSessionArchiveArtifactName(name), name);
  }
});

test("a primary transcript is *.jsonl that is no archive", () => {
  assert.ok(isPrimarySessionTranscriptFileName("a.jsonl"));
  assert.ok(isPrimarySessionTranscriptFileName("a-topic-1.jsonl"));
  assert.ok(!isPrimarySessionTranscriptFileName("sessions.json"));
  assert.ok(!isPrimarySessionTranscriptFileName("a.jsonl.lock"));
});

test("primary, reset and deleted transcripts count for usage, with the id before .jsonl", () => {
  assert.equal(parseUsageCountedSessionIdFromFileName("a.b.jsonl"), "a.b");
  assert.equal(parseUsageCountedSessionIdFromFileName(`a.jsonl.reset.${stamp}`), "a");
  assert.equal(parseUsageCountedSessionIdFromFileName(`a.jsonl.deleted.${stamp}`), "a");
  for (const name of [`a.jsonl.bak.${stamp}`, "sessions.json", ".jsonl", `x.deleted.${stamp}`]) {
    assert.equal(parseUsageCountedSessionIdFromFileName(name), null, name);
    assert.ok(!isUsageCountedSessionTranscriptFileName(name), name);
  }
});

test("archive timestamps go there and back, and nothing else is one", () => {
  assert.equal(formatSessionArchiveTimestamp(nowMs), stamp);
  assert.equal(parseSessionArchiveTimestamp(`a.jsonl.deleted.${stamp}`, "deleted"), nowMs);
  assert.equal(parseSessionArchiveTimestamp(`a.jsonl.deleted.${stamp}`, "reset"), null);
  assert.equal(parseSessionArchiveTimestamp("a.jsonl.deleted.2026-13-41T08-15-30Z", "deleted"), null);
  assert.equal(parseSessionArchiveTimestamp(`.deleted.${stamp}`, "deleted"), null);
});

test("formatSessionArchiveTimestamp says now when no time is given", async () => {
  await withMachine([], () => assert.equal(formatSessionArchiveTimestamp(), stamp));
});

// --- places ----------------------------------------------------------------------------------------------------------

test("candidates: the session file, the derived path, the agent's path, the first versions' folder", {
  skip,
}, async () => {
  await withMachine([], () => {
    const id = uuid("1");
    assert.deepEqual(resolveSessionTranscriptCandidates(id, "/d/s.json", "/d/custom.jsonl", "ops"), [
      "/d/custom.jsonl",
      `/d/${id}.jsonl`,
      `/state/agents/ops/sessions/${id}.jsonl`,
      `/home/a/.openclaw/sessions/${id}.jsonl`,
    ]);
    const current = `/d/${id}-topic-1.jsonl`;
    assert.equal(resolveSessionTranscriptCandidates(id, "/d/s.json", current)[0], current);
  });
});

test("a session file that embeds another generated id is stale and comes last", { skip }, async () => {
  await withMachine([], () => {
    const stale = `/d/${uuid("2")}.jsonl`;
    const found = resolveSessionTranscriptCandidates(uuid("1"), "/d/s.json", stale);
    assert.equal(found[0], `/d/${uuid("1")}.jsonl`);
    assert.equal(found.at(-1), stale);
  });
});

test("unsafe ids and paths are dropped from the candidates", { skip }, async () => {
  await withMachine([], () => {
    assert.deepEqual(resolveSessionTranscriptCandidates("../x", "/d/s.json", undefined, "ops"), []);
    assert.deepEqual(resolveSessionTranscriptCandidates("x", "/d/s.json", "/etc/passwd"), [
      "/d/x.jsonl",
      "/home/a/.openclaw/sessions/x.jsonl",
    ]);
  });
});

test("without a store the session file stands for itself, or belongs to the agent", { skip }, async () => {
  await withMachine([], () => {
    const legacy = "/home/a/.openclaw/sessions/x.jsonl";
    assert.deepEqual(resolveSessionTranscriptCandidates("x", undefined, "/any/where.jsonl"), [
      "/any/where.jsonl",
      legacy,
    ]);
    assert.deepEqual(resolveSessionTranscriptCandidates("x", undefined, "y.jsonl", "ops"), [
      "/state/agents/ops/sessions/y.jsonl",
      "/state/agents/ops/sessions/x.jsonl",
      legacy,
    ]);
  });
});

// --- archiving -------------------------------------------------------------------------------------------------------

test("archiveFileOnDisk renames, and never over an archive of the same millisecond", { skip }, async () => {
  await withMachine([`${dir}/a.jsonl`, `${dir}/a.jsonl.deleted.${stamp}`], (machine) => {
    const archived = archiveFileOnDisk(`${dir}/a.jsonl`, "deleted");
    assert.equal(archived, `${dir}/a.jsonl.deleted.2026-04-24T08-15-30.124Z`);
    assert.equal(machine.readText(archived), `${dir}/a.jsonl`);
    assert.equal(machine.readText(`${dir}/a.jsonl.deleted.${stamp}`), `${dir}/a.jsonl.deleted.${stamp}`);
    assert.throws(() => archiveFileOnDisk(`${dir}/missing.jsonl`, "bak"), { code: "ENOENT" });
  });
});

test("archiveSessionTranscripts archives every existing candidate and returns the archived paths", {
  skip,
}, async () => {
  const legacy = "/home/a/.openclaw/sessions/s1.jsonl";
  await withMachine([`${dir}/s1.jsonl`, `${dir}/custom.jsonl`, legacy, `${dir}/other.jsonl`], (machine) => {
    const params = { sessionId: "s1", storePath, sessionFile: "custom.jsonl", reason: "reset" } as const;
    assert.deepEqual(archiveSessionTranscripts(params), [
      `${dir}/custom.jsonl.reset.${stamp}`,
      `${dir}/s1.jsonl.reset.${stamp}`,
      `${legacy}.reset.${stamp}`,
    ]);
    assert.ok(machine.exists(`${dir}/other.jsonl`));
    assert.deepEqual(archiveSessionTranscripts(params), []);
  });
});

test("restrictToStoreDir skips whatever lies outside the store's folder after links", { skip }, async () => {
  const legacy = "/home/a/.openclaw/sessions/s1.jsonl";
  const sibling = "/state/agents/bot/sessions/s1.jsonl";
  await withMachine([`${dir}/s1.jsonl`, legacy, sibling], (machine) => {
    machine.makeSymlink(dir, "/alias");
    const found = archiveSessionTranscriptsDetailed({
      sessionId: "s1",
      storePath: "/alias/sessions.json",
      sessionFile: sibling,
      agentId: "bot",
      reason: "deleted",
      restrictToStoreDir: true,
    });
    assert.deepEqual(found, [{ sourcePath: `${dir}/s1.jsonl`, archivedPath: `${dir}/s1.jsonl.deleted.${stamp}` }]);
    assert.ok(machine.exists(legacy) && machine.exists(sibling));
  });
});

test("a transcript that is a link or a directory is left alone", { skip }, async () => {
  await withMachine(["/secret/key"], (machine) => {
    machine.makeSymlink("/secret/key", `${dir}/s1.jsonl`);
    machine.makeDirectory(`${dir}/s2.jsonl`);
    const before = machine.dump();
    for (const sessionId of ["s1", "s2"]) {
      assert.deepEqual(archiveSessionTranscripts({ sessionId, storePath, reason: "deleted" }), []);
    }
    assert.deepEqual(machine.dump(), before);
  });
});

test("archiving is best effort: one that fails does not stop the others", { skip }, async () => {
  await withMachine([`${dir}/s1.jsonl`, "/locked/s1.jsonl"], (machine) => {
    machine.setMode("/locked", 0o500);
    const params = { sessionId: "s1", storePath: "/locked/sessions.json", agentId: "main", reason: "deleted" } as const;
    assert.deepEqual(archiveSessionTranscripts(params), [`${dir}/s1.jsonl.deleted.${stamp}`]);
    assert.ok(machine.exists("/locked/s1.jsonl"));
  });
});

test("archiveRemovedSessionTranscripts skips ids still referenced and returns the folders it archived in", {
  skip,
}, async () => {
  await withMachine([`${dir}/a.jsonl`, `${dir}/b.jsonl`, `${dir}/kept.jsonl`], async (machine) => {
    const folders = await archiveRemovedSessionTranscripts({
      removedSessionFiles: new Map([
        ["a", undefined],
        ["renamed", "b.jsonl"],
        ["kept", undefined],
        ["gone", undefined],
      ]),
      referencedSessionIds: new Set(["kept"]),
      storePath,
      reason: "deleted",
      restrictToStoreDir: true,
    });
    assert.deepEqual(folders, new Set([dir]));
    const names = [`${dir}/a.jsonl.deleted.${stamp}`, `${dir}/b.jsonl.deleted.${stamp}`, `${dir}/kept.jsonl`];
    assert.deepEqual(filesOf(machine), names);
  });
});

test("resolveStableSessionEndTranscript: the archive of its own file, the first archive, a transcript that exists, nothing", {
  skip,
}, async () => {
  await withMachine([`${dir}/s1.jsonl`], () => {
    const archivedTranscripts = [
      { sourcePath: `${dir}/x.jsonl`, archivedPath: "/first" },
      { sourcePath: `${dir}/own.jsonl`, archivedPath: "/own" },
    ];
    const params = { sessionId: "s1", storePath, archivedTranscripts };
    assert.deepEqual(resolveStableSessionEndTranscript({ ...params, sessionFile: `${dir}/own.jsonl` }), {
      sessionFile: "/own",
      transcriptArchived: true,
    });
    assert.deepEqual(resolveStableSessionEndTranscript({ ...params, sessionFile: `${dir}/none.jsonl` }), {
      sessionFile: "/first",
      transcriptArchived: true,
    });
    assert.deepEqual(resolveStableSessionEndTranscript({ sessionId: "s1", storePath, sessionFile: "none.jsonl" }), {
      sessionFile: `${dir}/s1.jsonl`,
      transcriptArchived: false,
    });
    assert.deepEqual(resolveStableSessionEndTranscript({ sessionId: "s2", storePath }), {});
  });
});

// --- cleaning up -----------------------------------------------------------------------------------------------------

const archiveAt = (name: string, ageMs: number, reason = "deleted") =>
  `${dir}/${name}.jsonl.${reason}.${formatSessionArchiveTimestamp(nowMs - ageMs)}`;

test("cleanup removes archives of the reason that are strictly older, and nothing else", { skip }, async () => {
  const kept = [
    archiveAt("exact", 1_000),
    archiveAt("young", 999),
    archiveAt("r", 5_000, "reset"),
    `${dir}/live.jsonl`,
  ];
  const old = [archiveAt("old", 1_001), archiveAt("older", 99_000)];
  await withMachine([...kept, ...old, "/elsewhere/x.jsonl"], async (machine) => {
    machine.makeDirectory(archiveAt("directory", 5_000));
    const cleaned = await machine.settle(
      cleanupArchivedSessionTranscripts({ directories: [dir, dir, "/missing"], olderThanMs: 1_000, nowMs }),
    );
    assert.deepEqual(cleaned, { removed: 2, scanned: 5 });
    assert.deepEqual(filesOf(machine), [...kept, "/elsewhere/x.jsonl"].sort());
    const resets = { directories: [dir], olderThanMs: 1_000, nowMs, reason: "reset" } as const;
    assert.deepEqual(await machine.settle(cleanupArchivedSessionTranscripts(resets)), { removed: 1, scanned: 1 });
  });
});

test("cleanup with an age that is negative or not finite does nothing", { skip }, async () => {
  await withMachine([archiveAt("old", 99_000)], async (machine) => {
    for (const olderThanMs of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
      const cleaned = await machine.settle(
        cleanupArchivedSessionTranscripts({ directories: [dir], olderThanMs, nowMs }),
      );
      assert.deepEqual(cleaned, { removed: 0, scanned: 0 });
    }
    assert.equal(filesOf(machine).length, 1);
  });
});
