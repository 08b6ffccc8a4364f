/** As `facts-held-out.test.ts`: configured maintenance, whole situations, and the commands. */

import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import type { SessionEntry } from "../../../src/openclaw/index.js";
import * as openclaw from "../../../src/openclaw/index.js";
import { runCommand } from "../../cli/command-line.js";

type Store = Record<string, SessionEntry & Record<string, unknown>>;

const dayMs = 86_400_000;
const skip = process.platform === "win32" && "skipped: needs posix links and paths";

interface Here {
  readonly dir: string;
  readonly storePath: string;
  readonly folder: string;
  put(name: string, text: string): void;
  names(): string[];
}

/** A state directory with `maintenance` in its configuration and `store` as the store of the main agent. */
function makeHere(context: TestContext, options: { store?: unknown; maintenance?: object } = {}): Here {
  const dir = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "sessiondir-facts-")));
  const before = { state: process.env.OPENCLAW_STATE_DIR, config: process.env.OPENCLAW_CONFIG_PATH };
  process.env.OPENCLAW_STATE_DIR = dir;
  delete process.env.OPENCLAW_CONFIG_PATH;
  openclaw.setSessionStoreLogger({ info() {}, warn() {} });
  context.after(async () => {
    await openclaw.closeSessionStores();
    openclaw.setSessionStoreLogger(undefined);
    if (before.state === undefined) delete process.env.OPENCLAW_STATE_DIR;
    else process.env.OPENCLAW_STATE_DIR = before.state;
    if (before.config !== undefined) process.env.OPENCLAW_CONFIG_PATH = before.config;
    fs.rmSync(dir, { recursive: true, force: true });
  });
  const folder = path.join(dir, "agents", "main", "sessions");
  const storePath = path.join(folder, "sessions.json");
  fs.mkdirSync(folder, { recursive: true });
  const { store, maintenance } = options;
  if (store !== undefined) fs.writeFileSync(storePath, JSON.stringify(store));
  if (maintenance) fs.writeFileSync(path.join(dir, "openclaw.json"), JSON.stringify({ session: { maintenance } }));
  return {
    dir,
    storePath,
    folder,
    put: (name, text) => fs.writeFileSync(path.join(folder, name), text),
    names: () =>
      fs
        .readdirSync(folder)
        .filter((name) => name.includes(".jsonl"))
        .sort(),
  };
}

function entry(sessionId: string, updatedAt: number, more: Record<string, unknown> = {}): Store[string] {
  return { sessionId, updatedAt, ...more };
}

function load(storePath: string): Store {
  return openclaw.loadSessionStore(storePath, { skipCache: true }) as Store;
}

const stamp = (ms: number) => new Date(ms).toISOString().replaceAll(":", "-");

test("session.maintenance of the configuration is enforced at a save, archives are cleaned by their own ages", async (context) => {
  const now = Date.now();
  const maintenance = { mode: "enforce", pruneAfter: "7d", maxEntries: 500, resetArchiveRetention: "3d" };
  const { storePath, put, names } = makeHere(context, { maintenance });
  const files = [
    `x.jsonl.deleted.${stamp(now - 8 * dayMs)}`,
    `x.jsonl.deleted.${stamp(now - 1 * dayMs)}`,
    `x.jsonl.reset.${stamp(now - 4 * dayMs)}`,
    `x.jsonl.reset.${stamp(now - 1 * dayMs)}`,
    `x.jsonl.bak.${stamp(now - 99 * dayMs)}`,
    "stale.jsonl",
    "fresh.jsonl",
  ];
  for (const file of files) put(file, "{}\n");
  await openclaw.saveSessionStore(storePath, { stale: entry("stale", now - 30 * dayMs), fresh: entry("fresh", now) });
  assert.deepEqual(Object.keys(load(storePath)), ["fresh"]);
  const left = names();
  for (const gone of [files[0], files[2], "stale.jsonl"]) assert.ok(!left.includes(gone!), gone);
  for (const kept of [files[1], files[3], files[4], "fresh.jsonl"]) assert.ok(left.includes(kept!), kept);
  assert.equal(left.filter((name) => name.startsWith("stale.jsonl.deleted.")).length, 1);
});

test("without configured maintenance, or in warn mode, a save removes nothing", async (context) => {
  for (const maintenance of [undefined, { mode: "warn", pruneAfter: "1d", maxEntries: 1 }]) {
    const { storePath } = makeHere(context, maintenance === undefined ? {} : { maintenance });
    await openclaw.saveSessionStore(storePath, { a: entry("a", 1), b: entry("b", 2) });
    assert.equal(Object.keys(load(storePath)).length, 2);
  }
});

test("a transcript outside the store's folder, or one that another session has, is not archived", async (context) => {
  const now = Date.now();
  const { dir, storePath, put, names } = makeHere(context, { maintenance: { mode: "enforce", maxEntries: 1 } });
  const outside = path.join(dir, "outside.jsonl");
  fs.writeFileSync(outside, "x");
  put("shared.jsonl", "x");
  await openclaw.saveSessionStore(storePath, {
    old: entry("out", 1, { sessionFile: outside }),
    older: entry("shared", 2),
    now: entry("shared", now),
  });
  assert.deepEqual(Object.keys(load(storePath)), ["now"]);
  assert.ok(fs.existsSync(outside));
  assert.deepEqual(names(), ["shared.jsonl"]);
});

test("a save above the disk budget evicts the oldest sessions first, with their transcripts", async (context) => {
  const now = Date.now();
  const maintenance = { mode: "enforce", pruneAfter: "365d", maxDiskBytes: 900, highWaterBytes: 700 };
  const { storePath, put, names } = makeHere(context, { maintenance });
  put("old.jsonl", "x".repeat(500));
  put("new.jsonl", "y".repeat(500));
  await openclaw.saveSessionStore(storePath, { old: entry("old", now - dayMs), recent: entry("new", now) });
  assert.deepEqual(Object.keys(load(storePath)), ["recent"]);
  assert.deepEqual(names(), ["new.jsonl"]);
});

test("the budget counts the store file as what it will be: a large old file evicts nobody", async (context) => {
  const now = Date.now();
  const maintenance = { mode: "enforce", pruneAfter: "365d", maxDiskBytes: 900, highWaterBytes: 700 };
  const store = { noisy: entry("noisy", now, { payload: "x".repeat(4_000) }) };
  const { storePath } = makeHere(context, { maintenance, store });
  await openclaw.saveSessionStore(storePath, { old: entry("old", now - dayMs), recent: entry("new", now) });
  assert.deepEqual(Object.keys(load(storePath)).sort(), ["old", "recent"]);
});

test("a transcript whose name looks like an archive's stays while a session refers to it", async (context) => {
  const sessionId = "keep.deleted.keep";
  const { storePath, put, names } = makeHere(context);
  const store: Store = { "agent:main:main": entry(sessionId, Date.now()) };
  put(`${sessionId}.jsonl`, "x".repeat(200));
  put("old.jsonl.deleted.2026-02-02T00-00-00.000Z", "y".repeat(200));
  const result = await openclaw.enforceSessionDiskBudget({
    store,
    storePath,
    activeSessionKey: "agent:main:main",
    maintenance: { maxDiskBytes: 150, highWaterBytes: 100 },
    warnOnly: false,
  });
  assert.deepEqual(names(), [`${sessionId}.jsonl`]);
  assert.deepEqual([result?.removedFiles, result?.removedEntries], [1, 0]);
});

test("updateSessionStore keeps concurrent writes and concurrent deletions", async (context) => {
  const { storePath } = makeHere(context, { store: { gone: entry("g", 1), kept: entry("k", 2) } });
  await Promise.all([
    openclaw.updateSessionStore(storePath, (store) => void delete store.gone),
    openclaw.updateSessionStore(storePath, (store) => {
      store.one = entry("1", 3);
    }),
    openclaw.updateSessionStore(storePath, (store) => {
      store.two = entry("2", 4);
    }),
  ]);
  assert.deepEqual(Object.keys(load(storePath)).sort(), ["kept", "one", "two"]);
});

test("of two whole saves at once the later call wins: the store is what it says, and not a mixture", async (context) => {
  const { storePath } = makeHere(context, { store: { before: entry("b", 1) } });
  for (let round = 0; round < 3; round += 1) {
    const last = { [`y${round}`]: entry("y", round) };
    await Promise.all([
      openclaw.saveSessionStore(storePath, { [`x${round}`]: entry("x", round) }),
      openclaw.saveSessionStore(storePath, last),
    ]);
    assert.deepEqual({ ...load(storePath) }, last);
  }
});

test("a save that fails does not keep the next one from saving", async (context) => {
  const { storePath } = makeHere(context);
  const saved = await Promise.allSettled([
    openclaw.saveSessionStore(storePath, { "": entry("x", 1) }),
    openclaw.saveSessionStore(storePath, { y: entry("y", 1) }),
  ]);
  assert.deepEqual(
    saved.map(({ status }) => status),
    ["rejected", "fulfilled"],
  );
  assert.deepEqual(Object.keys(load(storePath)), ["y"]);
});

test("errors in a row poison nothing, and updates of another store do not wait", async (context) => {
  const { storePath, folder } = makeHere(context);
  const other = path.join(folder, "other.json");
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const slow = openclaw.updateSessionStore(storePath, async (store) => {
    await held;
    store.slow = entry("s", 1);
  });
  await openclaw.updateSessionStore(other, (store) => {
    store.quick = entry("q", 1);
  });
  assert.equal(load(other).quick?.sessionId, "q");
  for (let round = 0; round < 5; round += 1) {
    await assert.rejects(
      openclaw.updateSessionStore(other, () => Promise.reject(new Error(`no ${round}`))),
      /no \d/,
    );
  }
  await openclaw.updateSessionStore(other, (store) => {
    store.after = entry("a", 2);
  });
  release();
  await slow;
  assert.deepEqual(Object.keys(load(other)).sort(), ["after", "quick"]);
  assert.deepEqual(Object.keys(load(storePath)), ["slow"]);
});

test("routes are normalised when a mutator writes them", async (context) => {
  const { storePath } = makeHere(context);
  await openclaw.updateSessionStore(storePath, (store) => {
    store.k = entry("s", 1, { lastChannel: " WhatsApp ", lastTo: " +1555 ", lastAccountId: " acct-1 " });
  });
  const stored = openclaw.readSessionStoreReadOnly(storePath).k;
  assert.equal(stored?.lastChannel, "whatsapp");
  assert.equal(stored?.lastTo, "+1555");
  assert.deepEqual(stored?.deliveryContext, { channel: "whatsapp", to: "+1555", accountId: "acct-1" });
});

test("a patch of the model without its provider drops the stored provider", async (context) => {
  const { storePath } = makeHere(context, { store: { k: entry("s", 1, { model: "a", modelProvider: "p" }) } });
  await openclaw.updateSessionStoreEntry({ storePath, sessionKey: "k", update: async () => ({ model: "b" }) });
  const after = load(storePath).k!;
  assert.equal(after.model, "b");
  assert.equal(after.modelProvider, undefined);
});

test("updateLastRoute with ctx notes origin and group metadata in a new entry", async (context) => {
  const { storePath } = makeHere(context);
  const sessionKey = "agent:main:whatsapp:group:123@g.us";
  const ctx = { Provider: "whatsapp", ChatType: "group", GroupSubject: "Family", From: "123@g.us" };
  await openclaw.updateLastRoute({
    storePath,
    sessionKey,
    deliveryContext: { channel: "whatsapp", to: "123@g.us" },
    ctx,
  });
  const stored = load(storePath)[sessionKey]!;
  assert.equal(stored.subject, "Family");
  assert.equal(stored.channel, "whatsapp");
  assert.equal(stored.groupId, "123@g.us");
  assert.equal(stored.origin?.label, "Family id:123@g.us");
  assert.equal(stored.origin?.provider, "whatsapp");
  assert.equal(stored.displayName, "whatsapp:g-family");
  assert.ok(stored.sessionId.length === 36 && stored.updatedAt > 0);
});

test("resolveAndPersistSessionFile persists a new path once, and takes over no file of another session id", async (context) => {
  const { storePath, folder } = makeHere(context, { store: { k: entry("s1", 1) } });
  const sessionStore = load(storePath);
  const params = { sessionId: "s1", sessionKey: "k", sessionStore, storePath, sessionsDir: folder };
  const fallbackSessionFile = path.join(folder, "s1-topic-7.jsonl");
  const first = await openclaw.resolveAndPersistSessionFile({
    ...params,
    sessionEntry: sessionStore.k!,
    fallbackSessionFile,
  });
  assert.equal(first.sessionFile, fallbackSessionFile);
  assert.equal(load(storePath).k?.sessionFile, fallbackSessionFile);
  const next = await openclaw.resolveAndPersistSessionFile({
    ...params,
    sessionId: "s2",
    sessionEntry: first.sessionEntry,
  });
  assert.equal(next.sessionFile, path.join(folder, "s2.jsonl"));
  assert.equal(load(storePath).k?.sessionId, "s2");
});

test("keys named __proto__, constructor and toString are ordinary sessions", async (context) => {
  const { storePath } = makeHere(context);
  for (const sessionKey of ["__proto__", "constructor", "toString"]) {
    await openclaw.updateLastRoute({ storePath, sessionKey, channel: "slack", to: sessionKey });
    assert.ok(openclaw.readSessionUpdatedAt({ storePath, sessionKey }));
  }
  assert.deepEqual(Object.keys(load(storePath)).sort(), ["__proto__", "constructor", "tostring"]);
  assert.equal(({} as Record<string, unknown>).lastChannel, undefined);
});

test("a store that is written and read under a link is one store", { skip }, async (context) => {
  const { dir, storePath } = makeHere(context, { store: { k: entry("s", 1) } });
  const link = path.join(dir, "link");
  fs.symlinkSync(path.dirname(storePath), link);
  await openclaw.updateSessionStoreEntry({
    storePath: path.join(link, "sessions.json"),
    sessionKey: "k",
    update: async () => ({ label: "x" }),
  });
  assert.equal(load(storePath).k?.label, "x");
});

/* The commands */

/** Removing needs a store with a trash, so a legacy file is taken over before. */
async function takeOver(storePath: string): Promise<void> {
  await openclaw.migrateSessionStoreToDirectory(storePath);
}

function json(args: string[], dir: string) {
  const { status, stdout, stderr } = runCommand(args, {
    env: { OPENCLAW_STATE_DIR: dir, OPENCLAW_CONFIG_PATH: undefined },
  });
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout);
}

test("sessiondir sessions --json: path, count, activeMinutes, rows newest first, undefined fields omitted", (context) => {
  const now = Date.now();
  const store = {
    "agent:main:main": entry("m", now - 60_000, { totalTokens: 10, model: "x", systemSent: true }),
    "agent:main:whatsapp:group:1@g.us": entry("g", now, { chatType: "group" }),
    global: entry("gl", now - 3 * 3_600_000),
    unknown: entry("u", now - 4 * 3_600_000),
  };
  const { dir, storePath } = makeHere(context, { store });
  const all = json(["sessions", "--json"], dir);
  assert.equal(all.path, storePath);
  assert.equal("stores" in all, false);
  assert.deepEqual([all.count, all.activeMinutes], [4, null]);
  assert.deepEqual(
    all.sessions.map((row: { kind: string }) => row.kind),
    ["group", "direct", "global", "unknown"],
  );
  assert.equal(all.sessions[1].agentId, "main");
  assert.equal(all.sessions[1].totalTokens, 10);
  assert.equal("thinkingLevel" in all.sessions[1], false);
  const active = json(["sessions", "--json", "--active", "30"], dir);
  assert.deepEqual([active.count, active.activeMinutes], [2, 30]);
  const several = json(["sessions", "--json", "--all-agents"], dir);
  assert.equal(several.path, null);
  assert.equal(several.allAgents, true);
  assert.deepEqual(several.stores, [{ agentId: "main", path: storePath }]);
  const refused = runCommand(["sessions", "--agent", "main", "--all-agents"], { env: { OPENCLAW_STATE_DIR: dir } });
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, /--agent and --all-agents cannot be used together/);
});

test("sessiondir sessions cleanup --dry-run --json counts and changes nothing; --enforce applies the same", async (context) => {
  const now = Date.now();
  const store = {
    stale: entry("stale", now - 90 * dayMs),
    a: entry("a", now - 3_000),
    b: entry("b", now - 2_000),
    c: entry("c", now - 1_000),
  };
  const { dir, storePath } = makeHere(context, { store, maintenance: { pruneAfter: "30d", maxEntries: 2 } });
  const preview = json(["sessions", "cleanup", "--dry-run", "--enforce", "--json"], dir);
  const counts = { beforeCount: 4, afterCount: 2, missing: 0, pruned: 1, capped: 1, diskBudget: null };
  assert.deepEqual(preview, {
    agentId: "main",
    storePath,
    mode: "enforce",
    dryRun: true,
    ...counts,
    wouldMutate: true,
  });
  assert.deepEqual(JSON.parse(fs.readFileSync(storePath, "utf8")), store);
  const warned = json(["sessions", "cleanup", "--json"], dir);
  assert.deepEqual([warned.mode, warned.applied, warned.appliedCount], ["warn", true, 4]);
  assert.equal(Object.keys(load(storePath)).length, 4);
  await takeOver(storePath);
  const applied = json(["sessions", "cleanup", "--enforce", "--json"], dir);
  assert.deepEqual([applied.applied, applied.appliedCount, applied.pruned, applied.capped], [true, 2, 1, 1]);
  assert.deepEqual(Object.keys(load(storePath)).sort(), ["b", "c"]);
});

test("sessiondir sessions cleanup --fix-missing removes sessions whose transcript is not there, also in warn mode", async (context) => {
  const now = Date.now();
  const { dir, storePath, put } = makeHere(context, { store: { here: entry("here", now), gone: entry("gone", now) } });
  put("here.jsonl", "{}\n");
  const preview = json(["sessions", "cleanup", "--fix-missing", "--dry-run", "--json"], dir);
  assert.deepEqual([preview.missing, preview.afterCount, preview.wouldMutate], [1, 1, true]);
  await takeOver(storePath);
  const applied = json(["sessions", "cleanup", "--fix-missing", "--json"], dir);
  assert.deepEqual([applied.missing, applied.appliedCount], [1, 1]);
  assert.deepEqual(Object.keys(load(storePath)), ["here"]);
});
