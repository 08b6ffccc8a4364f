/** Keys of older versions, renamed when a gateway starts; and the transcript a run writes to. */

import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import test, { type TestContext } from "node:test";
import { openSessionStore } from "../../../src/open.js";
import {
  closeSessionStores,
  loadSessionStore,
  migrateOrphanedSessionKeys,
  resolveSessionTranscriptFile,
  runStartupSessionMigration,
} from "../../../src/openclaw/index.js";

function makeState(context: TestContext, entries: object): { storePath: string; env: NodeJS.ProcessEnv } {
  const directory = realpathSync(mkdtempSync(path.join(os.tmpdir(), "sessiondir-keys-")));
  context.after(async () => {
    await closeSessionStores();
    rmSync(directory, { recursive: true, force: true });
  });
  const storePath = path.join(directory, "agents", "ops", "sessions", "sessions.json");
  mkdirSync(path.dirname(storePath), { recursive: true });
  writeFileSync(storePath, JSON.stringify(entries));
  return { storePath, env: { OPENCLAW_STATE_DIR: directory } };
}

const cfg = { agents: { list: [{ id: "ops" }] } };

test("old keys get their present form, the newest of two wins, and the loser is in the trash", async (context) => {
  const { storePath, env } = makeState(context, {
    "subagent:x": { sessionId: "1", updatedAt: 1 },
    main: { sessionId: "old", updatedAt: 1 },
    "agent:ops:main": { sessionId: "new", updatedAt: 2 },
    "agent:ops:direct:1": { sessionId: "kept", updatedAt: 3 },
    broken: { updatedAt: 4 },
  });
  const { changes, warnings } = await migrateOrphanedSessionKeys({ cfg, env });
  assert.deepEqual([changes, warnings], [[`Brought 2 session key(s) to their present form in ${storePath}`], []]);
  const ids = Object.entries(loadSessionStore(storePath)).map(([key, entry]) => `${key} ${entry.sessionId}`);
  assert.deepEqual(ids.sort(), [
    "agent:ops:direct:1 kept",
    "agent:ops:main new",
    "agent:ops:subagent:x 1",
    "broken undefined",
  ]);
  await closeSessionStores();
  const store = await openSessionStore(storePath, { readOnly: true });
  const trashed: string[] = [];
  for await (const { key } of store.trash()) trashed.push(key);
  await store.close();
  assert.ok(trashed.includes("main"));
  assert.deepEqual(await migrateOrphanedSessionKeys({ cfg, env }), { changes: [], warnings: [] }, "once is enough");
});

test("nothing to rename: the legacy file stays as it is", async (context) => {
  const { storePath, env } = makeState(context, { "agent:ops:main": { sessionId: "1", updatedAt: 1 } });
  assert.deepEqual(await migrateOrphanedSessionKeys({ cfg, env }), { changes: [], warnings: [] });
  assert.ok(existsSync(storePath) && !existsSync(storePath.replace(/json$/, "d")));
});

test("a start never fails over it: what was done and what was not is logged", async () => {
  const lines: string[] = [];
  const log = {
    info: (text: string) => lines.push(`info ${text}`),
    warn: (text: string) => lines.push(`warn ${text}`),
  };
  const migrated = async () => ({ changes: ["a"], warnings: ["b"] });
  await runStartupSessionMigration({ cfg, log, deps: { migrateOrphanedSessionKeys: migrated } });
  const failing = async () => {
    throw new Error("no");
  };
  await runStartupSessionMigration({ cfg, log, deps: { migrateOrphanedSessionKeys: failing } });
  assert.deepEqual(lines, [
    "info session keys: a",
    "warn session keys: b",
    "warn session keys of older versions could not be looked at: no",
  ]);
});

test("the transcript of a run: by the topic of its key, written down when a store is at hand", async (context) => {
  const { storePath } = makeState(context, {});
  const folder = path.dirname(storePath);
  const sessionKey = "agent:ops:telegram:group:1:topic:9";
  const bare = { sessionId: "s1", sessionKey, agentId: "ops", sessionEntry: undefined };
  const sessionStore = {};
  const { sessionFile, sessionEntry } = await resolveSessionTranscriptFile({ ...bare, sessionStore, storePath });
  assert.equal(sessionFile, path.join(folder, "s1-topic-9.jsonl"));
  assert.equal(loadSessionStore(storePath)[sessionKey]?.sessionFile, sessionFile);
  const again = { ...bare, sessionStore, storePath, sessionEntry, threadId: 10 };
  assert.equal((await resolveSessionTranscriptFile(again)).sessionFile, sessionFile, "its own file comes first");
  const without = await resolveSessionTranscriptFile({ ...bare, storePath });
  assert.deepEqual(without, { sessionFile: path.join(folder, "s1.jsonl"), sessionEntry: undefined });
});
