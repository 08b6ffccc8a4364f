/** Carrying out the plan of a cleanup beside others who are at work. */

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import test, { type TestContext } from "node:test";
import type { SessionStore } from "../../../src/api.js";
import type { VersionToken } from "../../../src/contract.js";
import { openSessionStore } from "../../../src/open.js";
import { applyCleanup } from "../../../src/openclaw/cleanup-apply.js";
import { type CleanupPlanParams, planCleanup } from "../../../src/openclaw/cleanup-plan.js";
import { resolveMaintenanceConfigFromInput } from "../../../src/openclaw/maintenance-config.js";
import type { SessionEntry } from "../../../src/openclaw/types.js";

const dayMs = 86_400_000;
const old = () => Date.now() - 31 * dayMs;

interface Case {
  folder: string;
  storePath: string;
  session: SessionStore<Record<string, unknown>>;
}

async function makeStore(context: TestContext, entries: Record<string, SessionEntry>): Promise<Case> {
  const folder = realpathSync(mkdtempSync(path.join(os.tmpdir(), "sessiondir-cleanup-")));
  const storePath = path.join(folder, "sessions.json");
  const session = await openSessionStore<Record<string, unknown>>(storePath);
  context.after(async () => {
    await session.close();
    rmSync(folder, { recursive: true, force: true });
  });
  for (const [key, entry] of Object.entries(entries)) await session.update(key, () => ({ ...entry }));
  return { folder, storePath, session };
}

async function planFor(
  { storePath, session }: Case,
  settings: Parameters<typeof resolveMaintenanceConfigFromInput>[0],
  more: Partial<CleanupPlanParams> = {},
) {
  const store: Record<string, SessionEntry> = {};
  const versions = new Map<string, VersionToken>();
  for await (const { key, entry, version } of session.entries()) {
    store[key] = entry as unknown as SessionEntry;
    versions.set(key, version);
  }
  const maintenance = resolveMaintenanceConfigFromInput({ mode: "enforce", ...settings });
  const plan = await planCleanup({ storePath, store, maintenance, extent: "everything", ...more });
  return { plan, store, versions, storePath, session, actor: "test" };
}

test("a session that came back to life after the plan was made stays, with its transcript, and is not counted", async (context) => {
  const case_ = await makeStore(context, {
    awake: { sessionId: "awake", updatedAt: old() },
    asleep: { sessionId: "asleep", updatedAt: old() },
  });
  for (const name of ["awake", "asleep"]) writeFileSync(path.join(case_.folder, `${name}.jsonl`), "t");
  const planned = await planFor(case_, {});
  assert.deepEqual([...planned.plan.removals.keys()].sort(), ["asleep", "awake"]);
  await case_.session.patch("awake", { updatedAt: Date.now() });
  const applied = await applyCleanup(planned);
  assert.deepEqual([applied.pruned, applied.afterCount, applied.mutated], [1, 1, true]);
  assert.ok(existsSync(path.join(case_.folder, "awake.jsonl")));
  assert.ok(!existsSync(path.join(case_.folder, "asleep.jsonl")));
});

test("a budget's file that a session refers to since the plan was made stays", async (context) => {
  const case_ = await makeStore(context, { main: { sessionId: "one", updatedAt: Date.now() } });
  writeFileSync(path.join(case_.folder, "one.jsonl"), "t".repeat(50));
  writeFileSync(path.join(case_.folder, "two.jsonl"), "t".repeat(50_000));
  const planned = await planFor(case_, { maxDiskBytes: 20_000 });
  assert.deepEqual(
    planned.plan.files.map(({ name }) => name),
    ["two.jsonl"],
  );
  await case_.session.update("new", () => ({ sessionId: "two", updatedAt: Date.now() }));
  const applied = await applyCleanup(planned);
  assert.ok(existsSync(path.join(case_.folder, "two.jsonl")));
  const { removedFiles, freedBytes, totalBytesBefore, totalBytesAfter } = applied.diskBudget!;
  assert.deepEqual([removedFiles, freedBytes, totalBytesAfter], [0, 0, totalBytesBefore]);
  assert.equal(applied.mutated, false);
});

test("a transcript that two sessions share outlives one of them", async (context) => {
  const case_ = await makeStore(context, {
    old: { sessionId: "a", sessionFile: "shared.jsonl", updatedAt: old() },
    new: { sessionId: "b", sessionFile: "shared.jsonl", updatedAt: Date.now() },
    older: { sessionId: "c", updatedAt: old() },
    twin: { sessionId: "c", updatedAt: Date.now() },
  });
  for (const name of ["shared", "a", "c"]) writeFileSync(path.join(case_.folder, `${name}.jsonl`), "t");
  await applyCleanup(await planFor(case_, {}));
  const transcripts = readdirSync(case_.folder).filter((name) => name.includes(".jsonl"));
  assert.deepEqual(
    transcripts.map((name) => name.replace(/deleted\..*/, "deleted")),
    ["a.jsonl.deleted", "c.jsonl", "shared.jsonl"],
  );
});

test("archives that are past their time go in enforce mode, also when no session does", async (context) => {
  const case_ = await makeStore(context, { main: { sessionId: "one", updatedAt: Date.now() } });
  const archives = ["x.jsonl.deleted.2020-01-01T00-00-00.000Z", "x.jsonl.reset.2020-01-01T00-00-00.000Z"];
  const backup = "x.jsonl.bak.2020-01-01T00-00-00.000Z";
  for (const name of [...archives, backup]) writeFileSync(path.join(case_.folder, name), "t");
  await applyCleanup(await planFor(case_, {}, { extent: "missing-only" }));
  for (const name of archives) assert.ok(existsSync(path.join(case_.folder, name)), "in mode warn they stay");
  const planned = await planFor(case_, {});
  const { files, mutated } = await applyCleanup(planned);
  assert.deepEqual(
    files.map(({ path: at, sizeBytes, reason }) => [path.basename(at), sizeBytes, reason]),
    archives.map((name) => [name, 1, "expired-archive"]),
  );
  assert.equal(mutated, planned.plan.wouldMutate);
  for (const name of archives) assert.ok(!existsSync(path.join(case_.folder, name)));
  assert.ok(existsSync(path.join(case_.folder, backup)));
});

test("what goes by its age makes room before the budget looks: it is named once, and no session goes for it", async (context) => {
  const case_ = await makeStore(context, { main: { sessionId: "one", updatedAt: Date.now() } });
  const archive = "x.jsonl.deleted.2020-01-01T00-00-00.000Z";
  writeFileSync(path.join(case_.folder, archive), "t".repeat(50_000));
  const planned = await planFor(case_, { maxDiskBytes: 20_000 });
  const { archives, files, diskBudget, removals } = planned.plan;
  assert.deepEqual([archives.map(({ name }) => name), files, removals.size], [[archive], [], 0]);
  assert.equal(diskBudget?.overBudget, false);
  assert.equal((await applyCleanup(planned)).files.length, 1);
});

test("the session at work is in no plan, whatever the reason and however its key is spelt", async (context) => {
  const case_ = await makeStore(context, {
    "agent:main:main": { sessionId: "none", updatedAt: old() - dayMs },
    other: { sessionId: "none-either", updatedAt: old() },
  });
  const settings = { maxEntries: 1, maxDiskBytes: 1, highWaterBytes: 1 };
  const { plan } = await planFor(case_, settings, { fixMissing: true, activeKey: " Agent:Main:MAIN " });
  assert.deepEqual([...plan.removals], [["other", "prune-missing"]]);
  const { plan: unprotected } = await planFor(case_, settings, { fixMissing: true });
  assert.equal(unprotected.removals.size, 2);
});

test("a transcript counts as missing only when the system says that it is not there", async (context) => {
  const case_ = await makeStore(context, {
    gone: { sessionId: "gone", updatedAt: 1 },
    blank: { sessionId: " ", updatedAt: 1 },
    unsafe: { sessionId: "../x", updatedAt: 1 },
    none: { updatedAt: 1 } as SessionEntry,
    elsewhere: { sessionId: "e", sessionFile: "sub/e.jsonl", updatedAt: 1 },
  });
  // A file in the place of a folder: what would lie in it cannot be told.
  writeFileSync(path.join(case_.folder, "sub"), "");
  const { plan } = await planFor(case_, { pruneAfter: "90000d" }, { fixMissing: true, extent: "missing-only" });
  assert.deepEqual([...plan.removals], [["gone", "prune-missing"]]);
});
