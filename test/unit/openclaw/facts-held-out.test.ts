/**
 * The drop-in functions as somebody tests them who knows only what OpenClaw documents: stores are files written with
 * `fs`, and everything is imported from the one public module. Each test is named after the sentence it holds us to.
 */

import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import type { SessionEntry } from "../../../src/openclaw/index.js";
import * as openclaw from "../../../src/openclaw/index.js";

type Store = Record<string, SessionEntry & Record<string, unknown>>;

const dayMs = 86_400_000;
const skip = process.platform === "win32" && "skipped: needs posix links and paths";

interface Here {
  readonly dir: string;
  readonly storePath: string;
}

/** `<dir>/agents/main/sessions/sessions.json`, with `store` in it. */
function makeHere(context: TestContext, store?: unknown): Here {
  const dir = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "sessiondir-facts-")));
  const before = process.env.OPENCLAW_STATE_DIR;
  process.env.OPENCLAW_STATE_DIR = dir;
  openclaw.setSessionStoreLogger({ info() {}, warn() {} });
  context.after(async () => {
    await openclaw.closeSessionStores();
    openclaw.setSessionStoreLogger(undefined);
    if (before === undefined) delete process.env.OPENCLAW_STATE_DIR;
    else process.env.OPENCLAW_STATE_DIR = before;
    fs.rmSync(dir, { recursive: true, force: true });
  });
  const storePath = path.join(dir, "agents", "main", "sessions", "sessions.json");
  fs.mkdirSync(path.dirname(storePath), { recursive: true });
  if (store !== undefined) fs.writeFileSync(storePath, typeof store === "string" ? store : JSON.stringify(store));
  return { dir, storePath };
}

function entry(sessionId: string, updatedAt: number, more: Record<string, unknown> = {}): Store[string] {
  return { sessionId, updatedAt, ...more };
}

function load(storePath: string, skipCache = false): Store {
  return openclaw.loadSessionStore(storePath, { skipCache }) as Store;
}

/** Lock files that stand for a holder, and temporary files. What carries a kernel lock stays by design and holds nothing. */
function leftovers(storePath: string): string[] {
  const names = fs.readdirSync(path.dirname(storePath));
  return names.filter((name) => name.endsWith(".json.lock") || name.endsWith(".jsonl.lock") || name.endsWith(".tmp"));
}

/* Loading and caching */

test("a missing, empty, malformed, array, primitive or null store loads as {} and never throws", (context) => {
  const { storePath } = makeHere(context);
  assert.deepEqual(load(storePath), {});
  for (const text of ["", "{", "[]", "[1]", "null", "3", '"x"', "{'a': 1}"]) {
    fs.writeFileSync(storePath, text);
    assert.deepEqual({ ...load(storePath, true) }, {}, text);
    assert.deepEqual({ ...openclaw.readSessionStoreReadOnly(storePath) }, {}, text);
  }
});

test("the write after a malformed file replaces it with an object", async (context) => {
  const { storePath } = makeHere(context, "not json");
  await openclaw.updateSessionStore(storePath, (store) => {
    store["agent:main:main"] = entry("s1", 1);
  });
  assert.equal(load(storePath)["agent:main:main"]?.sessionId, "s1");
});

test("mutating a loaded store, nested objects included, never leaks into the next load", (context) => {
  const { storePath } = makeHere(context, { a: entry("s1", 1, { origin: { label: "x" } }) });
  const first = load(storePath);
  first.a!.updatedAt = 99;
  first.a!.origin!.label = "changed";
  first.b = entry("s2", 2);
  const second = load(storePath);
  assert.equal(second.a?.updatedAt, 1);
  assert.equal(second.a?.origin?.label, "x");
  assert.equal(second.b, undefined);
});

test("better: a change by another program is seen at once, even with the same size and the same time", (context) => {
  const { storePath } = makeHere(context, { a: entry("s1", 1) });
  assert.equal(load(storePath).a?.sessionId, "s1");
  const { atime, mtime } = fs.statSync(storePath);
  const other = `${storePath}.other`;
  fs.writeFileSync(other, JSON.stringify({ a: entry("s2", 1) }));
  fs.utimesSync(other, atime, mtime);
  fs.renameSync(other, storePath);
  assert.equal(load(storePath).a?.sessionId, "s2");
  fs.rmSync(storePath);
  assert.deepEqual({ ...load(storePath) }, {});
});

test("a store written by another program after ours is seen by the next load and the next update", async (context) => {
  const { storePath } = makeHere(context, { a: entry("s1", 1) });
  await openclaw.updateSessionStore(storePath, (store) => {
    store.a!.label = "ours";
  });
  fs.writeFileSync(
    storePath,
    JSON.stringify({ a: entry("s1", Date.now() + 10, { label: "theirs" }), b: entry("s2", 2) }),
  );
  await openclaw.updateSessionStore(storePath, (store) => {
    store.c = entry("s3", 3);
  });
  const after = load(storePath);
  assert.equal(after.b?.sessionId, "s2");
  assert.equal(after.c?.sessionId, "s3");
  assert.equal(after.a?.label, "theirs");
});

test("saving and loading agree, without a cache lifetime and with OPENCLAW_SESSION_CACHE_TTL_MS=0 alike", async (context) => {
  const { storePath } = makeHere(context);
  const before = process.env.OPENCLAW_SESSION_CACHE_TTL_MS;
  context.after(() => {
    if (before === undefined) delete process.env.OPENCLAW_SESSION_CACHE_TTL_MS;
    else process.env.OPENCLAW_SESSION_CACHE_TTL_MS = before;
  });
  for (const ttl of [undefined, "0", "45000"]) {
    if (ttl === undefined) delete process.env.OPENCLAW_SESSION_CACHE_TTL_MS;
    else process.env.OPENCLAW_SESSION_CACHE_TTL_MS = ttl;
    const store: Store = { "session:1": entry("id-1", Date.now(), { displayName: `with ${ttl}` }) };
    await openclaw.saveSessionStore(storePath, store);
    assert.deepEqual({ ...load(storePath) }, store);
    assert.deepEqual({ ...load(storePath, true) }, store);
  }
});

test("OPENCLAW_SESSION_CACHE_TTL_MS is a strict non-negative integer, anything else is 45 000", (context) => {
  makeHere(context);
  const before = process.env.OPENCLAW_SESSION_CACHE_TTL_MS;
  const cases: [string, number][] = [
    ["0", 0],
    ["10", 10],
    ["+7", 7],
    ["-1", 45_000],
    ["1.5", 45_000],
    ["5s", 45_000],
    ["", 45_000],
  ];
  for (const [text, ttlMs] of cases) {
    process.env.OPENCLAW_SESSION_CACHE_TTL_MS = text;
    assert.equal(openclaw.getSessionStoreTtl(), ttlMs, text);
    assert.equal(openclaw.isSessionStoreCacheEnabled(), ttlMs > 0);
  }
  if (before === undefined) delete process.env.OPENCLAW_SESSION_CACHE_TTL_MS;
  else process.env.OPENCLAW_SESSION_CACHE_TTL_MS = before;
});

test("provider, lastProvider and room are renamed at load; a groupChannel that is there wins over room", (context) => {
  const { storePath } = makeHere(context, {
    a: entry("s1", 1, { provider: "slack", lastProvider: "telegram", lastTo: "1", room: "#r" }),
    b: entry("s2", 2, { room: "#old", groupChannel: "#new", channel: "discord", provider: "slack" }),
  });
  const { a, b } = load(storePath);
  assert.equal(a?.channel, "slack");
  assert.equal(a?.lastChannel, "telegram");
  assert.equal(a?.groupChannel, "#r");
  assert.equal(b?.groupChannel, "#new");
  assert.equal(b?.channel, "discord");
  for (const name of ["provider", "lastProvider", "room"]) assert.equal(name in a!, false, name);
  assert.equal("room" in b!, false);
});

test("routes are normalised at load: deliveryContext from last*, and last* from it", (context) => {
  const { storePath } = makeHere(context, {
    a: entry("s1", 1, { lastChannel: " WhatsApp ", lastTo: " +1 ", lastAccountId: " acc " }),
    b: entry("s2", 2, { deliveryContext: { channel: "telegram", to: "5", threadId: 7 } }),
  });
  const { a, b } = load(storePath);
  assert.deepEqual(a?.deliveryContext, { channel: "whatsapp", to: "+1", accountId: "acc" });
  assert.equal(a?.lastChannel, "whatsapp");
  assert.equal(b?.lastChannel, "telegram");
  assert.equal(b?.lastTo, "5");
  assert.equal(b?.lastThreadId, 7);
});

test("readSessionStoreReadOnly neither migrates nor normalises", (context) => {
  const stored = { a: entry("s1", 1, { provider: "slack", lastChannel: " WhatsApp " }) };
  const { storePath } = makeHere(context, stored);
  assert.deepEqual({ ...openclaw.readSessionStoreReadOnly(storePath) }, stored);
});

/* Keys */

test("normalizeStoreSessionKey trims and lower-cases", () => {
  assert.equal(openclaw.normalizeStoreSessionKey("  Agent:Main:WhatsApp:Direct:+1 "), "agent:main:whatsapp:direct:+1");
  assert.equal(openclaw.normalizeStoreSessionKey("   "), "");
});

test("resolveSessionStoreEntry: the newest spelling wins, ties stay with the normalised key, nothing is mutated", () => {
  const store: Store = {
    "Agent:Main:X": entry("upper", 5),
    "agent:main:x": entry("lower", 5),
    "AGENT:MAIN:X": entry("new", 9),
  };
  const found = openclaw.resolveSessionStoreEntry({ store, sessionKey: " agent:MAIN:x " });
  assert.equal(found.normalizedKey, "agent:main:x");
  assert.equal(found.existing?.sessionId, "new");
  assert.deepEqual([...found.legacyKeys].sort(), ["AGENT:MAIN:X", "Agent:Main:X"]);
  store["AGENT:MAIN:X"]!.updatedAt = 5;
  assert.equal(openclaw.resolveSessionStoreEntry({ store, sessionKey: "agent:main:x" }).existing?.sessionId, "lower");
  assert.equal(Object.keys(store).length, 3);
});

const mixedKey = "agent:main:signal:group:AbC==";

for (const [name, write] of [
  [
    "updateSessionStoreEntry",
    (at: Here) =>
      openclaw.updateSessionStoreEntry({
        storePath: at.storePath,
        sessionKey: mixedKey,
        update: async () => ({ label: "n" }),
      }),
  ],
  [
    "updateLastRoute",
    (at: Here) =>
      openclaw.updateLastRoute({ storePath: at.storePath, sessionKey: mixedKey, channel: "signal", to: "group:1" }),
  ],
  [
    "recordSessionMetaFromInbound",
    (at: Here) =>
      openclaw.recordSessionMetaFromInbound({
        storePath: at.storePath,
        sessionKey: mixedKey,
        ctx: { From: "signal:group:AbC==", ChatType: "group", Provider: "signal" },
      }),
  ],
] as const) {
  test(`${name} moves a mixed-case key to the normalised one and deletes the variants`, async (context) => {
    const here = makeHere(context, {
      [mixedKey]: entry("typed", 10),
      [mixedKey.toUpperCase()]: entry("upper", 20),
      other: entry("o", 1),
    });
    await write(here);
    const after = load(here.storePath, true);
    assert.deepEqual(Object.keys(after).sort(), [mixedKey.toLowerCase(), "other"].sort());
    assert.equal(after[mixedKey.toLowerCase()]?.sessionId, "upper");
  });
}

test("reads alone never rewrite: mixed-case keys stay as they are on the disk", (context) => {
  const { storePath } = makeHere(context, { "Agent:Main:X": entry("s", 7) });
  assert.equal(openclaw.readSessionUpdatedAt({ storePath, sessionKey: "agent:main:x" }), 7);
  assert.equal(openclaw.readSessionUpdatedAt({ storePath, sessionKey: "agent:main:none" }), undefined);
  assert.deepEqual(Object.keys(load(storePath)), ["Agent:Main:X"]);
  assert.deepEqual(Object.keys(JSON.parse(fs.readFileSync(storePath, "utf8"))), ["Agent:Main:X"]);
});

/* Writing and locking */

test("100 concurrent updateSessionStore increments give 100, and leave no lock and no temporary file", async (context) => {
  const { storePath } = makeHere(context, { counter: entry("s", 1, { counter: 0 }) });
  await Promise.all(
    Array.from({ length: 100 }, () =>
      openclaw.updateSessionStore(storePath, async (store) => {
        const one = (store as Store).counter!;
        const seen = one.counter as number;
        await Promise.resolve();
        one.counter = seen + 1;
      }),
    ),
  );
  assert.equal(load(storePath, true).counter?.counter, 100);
  assert.deepEqual(leftovers(storePath), []);
});

test("concurrent updates that replace the entry by a spread lose nothing", async (context) => {
  const { storePath } = makeHere(context, { counter: entry("s", 1, { counter: 0 }) });
  await Promise.all(
    Array.from({ length: 30 }, (_, index) =>
      openclaw.updateSessionStore(storePath, (store) => {
        const one = (store as Store).counter!;
        store.counter = { ...one, counter: (one.counter as number) + 1, [`field${index}`]: index } as SessionEntry;
      }),
    ),
  );
  const after = load(storePath, true).counter!;
  assert.equal(after.counter, 30);
  for (let index = 0; index < 30; index += 1) assert.equal(after[`field${index}`], index);
});

test("concurrent updateSessionStoreEntry calls of one session keep every field", async (context) => {
  const { storePath } = makeHere(context, { k: entry("s", 1) });
  const patches: Partial<SessionEntry>[] = [
    { modelOverride: "m" },
    { thinkingLevel: "high" },
    { systemSent: true },
    { label: "l" },
  ];
  await Promise.all(
    patches.map((patch) => openclaw.updateSessionStoreEntry({ storePath, sessionKey: "k", update: async () => patch })),
  );
  const after = load(storePath, true).k!;
  for (const patch of patches) for (const [field, value] of Object.entries(patch)) assert.equal(after[field], value);
});

test("a mutator that throws rejects, writes nothing, and the queue goes on with the next caller", async (context) => {
  const { storePath } = makeHere(context, { k: entry("s", 1) });
  const failing = openclaw.updateSessionStore(storePath, (store) => {
    store.k!.label = "lost";
    throw new Error("boom");
  });
  const next = openclaw.updateSessionStore(storePath, (store) => {
    store.k!.displayName = "kept";
    return "value";
  });
  await assert.rejects(failing, /boom/);
  assert.equal(await next, "value");
  assert.equal(load(storePath).k?.label, undefined);
  assert.equal(load(storePath).k?.displayName, "kept");
  assert.deepEqual(leftovers(storePath), []);
});

test("a store update from inside a mutator does not wait for its own caller", async (context) => {
  const { storePath } = makeHere(context, { a: entry("s1", 1), b: entry("s2", 2) });
  await openclaw.updateSessionStore(storePath, async (store) => {
    await openclaw.updateSessionStoreEntry({ storePath, sessionKey: "b", update: async () => ({ label: "inner" }) });
    store.a!.label = "outer";
  });
  const after = load(storePath);
  assert.equal(after.a?.label, "outer");
  assert.equal(after.b?.label, "inner");
});

test("a stale lock file that another program left does not keep anybody from writing", async (context) => {
  const { storePath } = makeHere(context, { a: entry("s1", 1) });
  fs.writeFileSync(`${storePath}.lock`, JSON.stringify({ pid: 2 ** 22 - 3, createdAt: new Date(0).toISOString() }));
  await openclaw.updateSessionStore(storePath, (store) => {
    store.a!.label = "written";
  });
  assert.equal(load(storePath).a?.label, "written");
});

test("saveSessionStore changes no updatedAt, keeps unknown fields, and removes what is not given", async (context) => {
  const { storePath } = makeHere(context, { a: entry("s1", 11, { counter: 4 }), b: entry("s2", 2) });
  const store = load(storePath);
  delete store.b;
  store.a!.label = "x";
  await openclaw.saveSessionStore(storePath, store);
  assert.deepEqual({ ...load(storePath, true) }, { a: entry("s1", 11, { counter: 4, label: "x" }) });
});

test("a save that changes nothing writes nothing", async (context) => {
  const { storePath } = makeHere(context, { a: entry("s1", 11) });
  const before = fs.readdirSync(path.dirname(storePath));
  const { mtimeMs, ino } = fs.statSync(storePath);
  await openclaw.saveSessionStore(storePath, load(storePath));
  assert.deepEqual(fs.readdirSync(path.dirname(storePath)), before);
  assert.deepEqual([fs.statSync(storePath).mtimeMs, fs.statSync(storePath).ino], [mtimeMs, ino]);
});

test("ACP metadata that a mutator drops is put back, unless the key is allowed to lose it", async (context) => {
  const acp = {
    backend: "b",
    agent: "a",
    runtimeSessionName: "r",
    mode: "persistent",
    state: "idle",
    lastActivityAt: 1,
  };
  const { storePath } = makeHere(context, { "agent:main:acp:1": entry("s1", 1, { acp }) });
  const drop = (opts = {}) =>
    openclaw.updateSessionStore(
      storePath,
      (store) => {
        store["agent:main:acp:1"] = { sessionId: "s1", updatedAt: 2 };
      },
      opts,
    );
  await drop();
  assert.deepEqual(load(storePath)["agent:main:acp:1"]?.acp, acp);
  await drop({ allowDropAcpMetaSessionKeys: ["AGENT:main:acp:1"] });
  assert.equal(load(storePath)["agent:main:acp:1"]?.acp, undefined);
});

test("updateSessionStoreEntry: missing gives null without a call, null writes nothing, a patch touches updatedAt", async (context) => {
  const { storePath } = makeHere(context, { K: entry("s", 1) });
  let calls = 0;
  const missing = await openclaw.updateSessionStoreEntry({
    storePath,
    sessionKey: "none",
    update: async () => {
      calls += 1;
      return {};
    },
  });
  assert.equal(missing, null);
  assert.equal(calls, 0);
  const same = await openclaw.updateSessionStoreEntry({ storePath, sessionKey: "k", update: async () => null });
  assert.equal(same?.sessionId, "s");
  assert.deepEqual(Object.keys(load(storePath)), ["K"]);
  const startMs = Date.now();
  const merged = await openclaw.updateSessionStoreEntry({
    storePath,
    sessionKey: "k",
    update: async () => ({ label: "x" }),
  });
  assert.ok(merged!.updatedAt >= startMs);
  assert.deepEqual(load(storePath).k, merged);
});

test("recordSessionMetaFromInbound keeps updatedAt, creates unless told not to, and gives a UUID", async (context) => {
  const { storePath } = makeHere(context, { k: entry("s", 5) });
  const ctx = { Provider: "whatsapp", ChatType: "direct", From: "whatsapp:+1", To: "+2", SenderName: "Ann" };
  const existing = await openclaw.recordSessionMetaFromInbound({ storePath, sessionKey: "K", ctx });
  assert.equal(existing?.updatedAt, 5);
  assert.equal(existing?.origin?.label, "Ann");
  assert.equal(
    await openclaw.recordSessionMetaFromInbound({ storePath, sessionKey: "n", ctx, createIfMissing: false }),
    null,
  );
  assert.equal(load(storePath).n, undefined);
  const made = await openclaw.recordSessionMetaFromInbound({ storePath, sessionKey: "n", ctx });
  assert.match(made!.sessionId, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
});

test("updateLastRoute: explicit context over inline over stored; a new route without a thread drops it; updatedAt stays", async (context) => {
  const { storePath } = makeHere(context, {
    k: entry("s", 5, { deliveryContext: { channel: "telegram", to: "1", accountId: "acc", threadId: 42 } }),
  });
  const sessionKey = "k";
  const thread = await openclaw.updateLastRoute({ storePath, sessionKey, threadId: 43 });
  assert.equal(thread.lastThreadId, 43);
  const route = await openclaw.updateLastRoute({
    storePath,
    sessionKey,
    channel: "telegram",
    to: "2",
    deliveryContext: { channel: "telegram", to: "3" },
  });
  assert.equal(route.updatedAt, 5);
  assert.deepEqual(route.deliveryContext, { channel: "telegram", to: "3", accountId: "acc" });
  assert.equal(route.lastTo, "3");
  assert.equal(route.lastThreadId, undefined);
  const other = await openclaw.updateLastRoute({ storePath, sessionKey, channel: "slack" });
  assert.equal(other.lastChannel, "slack");
  assert.equal(other.lastTo, undefined);
  assert.equal(other.lastAccountId, undefined);
  assert.equal(load(storePath).k?.lastTo, undefined);
});

/* Pruning, capping, rotation */

test("pruneStaleEntries removes what is strictly older, keeps missing updatedAt and preserved keys", (context) => {
  makeHere(context);
  context.mock.timers.enable({ apis: ["Date"], now: 100 * dayMs });
  const store = {
    old: entry("o", 69 * dayMs),
    edge: entry("e", 70 * dayMs),
    fresh: entry("f", 99 * dayMs),
    none: { sessionId: "n" } as SessionEntry,
    kept: entry("k", 1),
  } as Store;
  const gone: string[] = [];
  const pruned = openclaw.pruneStaleEntries(store, 30 * dayMs, {
    onPruned: ({ key }) => gone.push(key),
    preserveKeys: new Set(["kept"]),
  });
  assert.equal(pruned, 1);
  assert.deepEqual(gone, ["old"]);
  assert.deepEqual(Object.keys(store), ["edge", "fresh", "none", "kept"]);
  assert.equal(openclaw.pruneStaleEntries({}, 1), 0);
});

test("capEntryCount keeps the N newest, missing updatedAt counts as oldest, ties keep the first", () => {
  const store = {
    none: { sessionId: "n" } as SessionEntry,
    a: entry("a", 5),
    b: entry("b", 5),
    c: entry("c", 9),
  } as Store;
  assert.equal(openclaw.capEntryCount(store, 2), 2);
  assert.deepEqual(Object.keys(store).sort(), ["a", "c"]);
  assert.equal(openclaw.capEntryCount(store, 2), 0);
  const active: Store = { old: entry("o", 1), mid: entry("m", 2), new: entry("n", 3) };
  assert.equal(openclaw.capEntryCount(active, 2, { preserveKeys: new Set(["old"]) }), 1);
  assert.deepEqual(Object.keys(active), ["old", "new"]);
});

test("getActiveSessionMaintenanceWarning: would prune, would cap, null when safe or unknown", () => {
  const store: Store = { a: entry("a", 1), b: entry("b", 50), c: entry("c", 60) };
  const base = { store, pruneAfterMs: 1_000, maxEntries: 2, nowMs: 100 };
  const warning = openclaw.getActiveSessionMaintenanceWarning({ ...base, activeSessionKey: " a " });
  assert.deepEqual(warning, {
    activeSessionKey: "a",
    activeUpdatedAt: 1,
    totalEntries: 3,
    pruneAfterMs: 1_000,
    maxEntries: 2,
    wouldPrune: false,
    wouldCap: true,
  });
  assert.equal(openclaw.getActiveSessionMaintenanceWarning({ ...base, activeSessionKey: "c" }), null);
  assert.equal(openclaw.getActiveSessionMaintenanceWarning({ ...base, activeSessionKey: " " }), null);
  assert.equal(openclaw.getActiveSessionMaintenanceWarning({ ...base, activeSessionKey: "A" }), null);
});

test("rotateSessionFile copies a large file to .bak.<ms>, keeps the store, and keeps three backups", async (context) => {
  const { storePath } = makeHere(context, { a: entry("s", 1, { label: "x".repeat(500) }) });
  const text = fs.readFileSync(storePath, "utf8");
  assert.equal(await openclaw.rotateSessionFile(storePath, 1_000_000), false);
  assert.equal(await openclaw.rotateSessionFile(`${storePath}.missing`, 1), false);
  for (let round = 0; round < 5; round += 1) assert.equal(await openclaw.rotateSessionFile(storePath, 100), true);
  const backups = fs.readdirSync(path.dirname(storePath)).filter((name) => /^sessions\.json\.bak\.\d+$/.test(name));
  assert.equal(backups.length, 3);
  assert.equal(fs.readFileSync(storePath, "utf8"), text);
  for (const name of backups) assert.equal(fs.readFileSync(path.join(path.dirname(storePath), name), "utf8"), text);
});

const enforce = (more: Record<string, unknown> = {}) =>
  openclaw.resolveMaintenanceConfigFromInput({ mode: "enforce", ...more });

test("an enforcing save prunes, caps, mutates the caller's store, reports, and archives the transcripts", async (context) => {
  const now = Date.now();
  const { storePath } = makeHere(context);
  const folder = path.dirname(storePath);
  const store: Store = {
    stale: entry("stale", now - 40 * dayMs),
    a: entry("a", now - 3),
    b: entry("b", now - 2),
    c: entry("c", now - 1),
  };
  for (const id of Object.keys(store)) fs.writeFileSync(path.join(folder, `${id}.jsonl`), "{}\n");
  let report: openclaw.SessionMaintenanceApplyReport | undefined;
  await openclaw.saveSessionStore(storePath, store, {
    maintenanceOverride: { mode: "enforce", pruneAfterMs: 30 * dayMs, maxEntries: 2 },
    onMaintenanceApplied: (applied) => {
      report = applied;
    },
  });
  assert.deepEqual(Object.keys(store), ["b", "c"]);
  assert.deepEqual(Object.keys(load(storePath, true)).sort(), ["b", "c"]);
  assert.deepEqual(
    { ...report, diskBudget: null },
    { mode: "enforce", beforeCount: 4, afterCount: 2, pruned: 1, capped: 1, diskBudget: null },
  );
  const names = fs
    .readdirSync(folder)
    .filter((name) => name.includes(".jsonl"))
    .sort();
  assert.equal(names.filter((name) => /^(a|stale)\.jsonl\.deleted\./.test(name)).length, 2);
  assert.ok(names.includes("b.jsonl") && names.includes("c.jsonl"));
});

test("an enforcing updateSessionStore prunes and caps, the active session stays", async (context) => {
  const now = Date.now();
  const { storePath } = makeHere(context, {
    active: entry("act", now - 90 * dayMs),
    old: entry("old", now - 50 * dayMs),
    a: entry("a", now - 3),
    b: entry("b", now - 2),
  });
  await openclaw.updateSessionStore(
    storePath,
    (store) => {
      store.c = entry("c", now);
    },
    { activeSessionKey: "active", maintenanceConfig: enforce({ maxEntries: 3 }) },
  );
  assert.deepEqual(Object.keys(load(storePath, true)).sort(), ["active", "b", "c"]);
});

test("warn mode removes nothing and tells that the active session would be evicted", async (context) => {
  const now = Date.now();
  const { storePath } = makeHere(context);
  const store: Store = { active: entry("act", now - 90 * dayMs), a: entry("a", now) };
  const warnings: openclaw.SessionMaintenanceWarning[] = [];
  let report: openclaw.SessionMaintenanceApplyReport | undefined;
  await openclaw.saveSessionStore(storePath, store, {
    activeSessionKey: "active",
    maintenanceOverride: { mode: "warn", maxEntries: 1 },
    onWarn: (warning) => {
      warnings.push(warning);
    },
    onMaintenanceApplied: (applied) => {
      report = applied;
    },
  });
  assert.equal(warnings.length, 1);
  assert.equal(warnings[0]?.wouldPrune, true);
  assert.equal(warnings[0]?.wouldCap, true);
  assert.deepEqual([report?.pruned, report?.capped, report?.afterCount], [0, 0, 2]);
  assert.equal(Object.keys(load(storePath)).length, 2);
});

test("skipMaintenance keeps even an enforcing save from removing anything", async (context) => {
  const { storePath } = makeHere(context);
  await openclaw.saveSessionStore(
    storePath,
    { a: entry("a", 1), b: entry("b", 2) },
    { skipMaintenance: true, maintenanceOverride: { mode: "enforce", maxEntries: 1 } },
  );
  assert.equal(Object.keys(load(storePath)).length, 2);
});

test("session.maintenance: defaults, days for bare numbers, pruneDays only without pruneAfter, unparsable falls back", () => {
  const resolve = openclaw.resolveMaintenanceConfigFromInput;
  assert.deepEqual(resolve(), {
    mode: "warn",
    pruneAfterMs: 30 * dayMs,
    maxEntries: 500,
    rotateBytes: 10_485_760,
    resetArchiveRetentionMs: 30 * dayMs,
    maxDiskBytes: null,
    highWaterBytes: null,
  });
  assert.equal(resolve({ pruneAfter: 7 }).pruneAfterMs, 7 * dayMs);
  assert.equal(resolve({ pruneAfter: "1h30m" }).pruneAfterMs, 5_400_000);
  assert.equal(resolve({ pruneAfter: "2d", pruneDays: 9 }).pruneAfterMs, 2 * dayMs);
  assert.equal(resolve({ pruneDays: 9 }).pruneAfterMs, 9 * dayMs);
  assert.equal(resolve({ pruneAfter: "soon" }).pruneAfterMs, 30 * dayMs);
  assert.equal(resolve({ pruneAfter: "7d" }).resetArchiveRetentionMs, 7 * dayMs);
  assert.equal(resolve({ resetArchiveRetention: false }).resetArchiveRetentionMs, null);
  assert.equal(resolve({ resetArchiveRetention: "3d" }).resetArchiveRetentionMs, 3 * dayMs);
  assert.equal(resolve({ rotateBytes: "1.5KB" }).rotateBytes, 1_536);
  assert.equal(resolve({ rotateBytes: 77 }).rotateBytes, 77);
  assert.deepEqual(
    [resolve({ maxDiskBytes: "1kb" }).highWaterBytes, resolve({ maxDiskBytes: 1 }).highWaterBytes],
    [819, 1],
  );
  assert.equal(resolve({ maxDiskBytes: 100, highWaterBytes: "1mb" }).highWaterBytes, 100);
  assert.equal(resolve({ highWaterBytes: 5 }).highWaterBytes, null);
});

/* Disk budget */

test("enforceSessionDiskBudget is null without limits and does nothing under them", async (context) => {
  const { storePath } = makeHere(context, { a: entry("a", 1) });
  const store = load(storePath);
  assert.equal(
    await openclaw.enforceSessionDiskBudget({
      store,
      storePath,
      maintenance: { maxDiskBytes: null, highWaterBytes: null },
      warnOnly: false,
    }),
    null,
  );
  const under = await openclaw.enforceSessionDiskBudget({
    store,
    storePath,
    maintenance: { maxDiskBytes: 1e6, highWaterBytes: 1e5 },
    warnOnly: false,
  });
  assert.equal(under?.overBudget, false);
  assert.equal(under?.totalBytesBefore, JSON.stringify(store, null, 2).length);
});

test("over budget: archives and unreferenced transcripts by age, then the oldest sessions, never the active one", async (context) => {
  const store: Store = { "agent:main:act": entry("act", 1), old: entry("old", 2), new: entry("new", 3) };
  const { storePath } = makeHere(context, store);
  const folder = path.dirname(storePath);
  const put = (name: string, size: number) => fs.writeFileSync(path.join(folder, name), "x".repeat(size));
  for (const id of ["act", "old", "new"]) put(`${id}.jsonl`, 1_000);
  put("orphan.jsonl", 1_000);
  put("gone.jsonl.deleted.2026-01-01T00-00-00.000Z", 1_000);
  const params = {
    storePath,
    activeSessionKey: "AGENT:main:act",
    maintenance: { maxDiskBytes: 3_000, highWaterBytes: 2_600 },
  };
  const warned = await openclaw.enforceSessionDiskBudget({ ...params, store: structuredClone(store), warnOnly: true });
  assert.deepEqual([warned?.overBudget, warned?.removedFiles, warned?.removedEntries], [true, 0, 0]);
  const dry = await openclaw.enforceSessionDiskBudget({
    ...params,
    store: structuredClone(store),
    warnOnly: false,
    dryRun: true,
  });
  assert.ok(fs.existsSync(path.join(folder, "orphan.jsonl")));
  const swept = await openclaw.enforceSessionDiskBudget({ ...params, store, warnOnly: false });
  assert.deepEqual(swept, dry);
  assert.deepEqual(Object.keys(store), ["agent:main:act", "new"]);
  assert.deepEqual(
    [swept?.removedFiles, swept?.removedEntries, swept?.freedBytes, swept?.overBudget],
    [3, 1, 3_000, true],
  );
  assert.deepEqual(fs.readdirSync(folder).sort(), ["act.jsonl", "new.jsonl", "sessions.json"]);
});

/* Paths and targets */

test("resolveStorePath: default, {agentId} everywhere, ~, always absolute", { skip }, (context) => {
  const { dir } = makeHere(context);
  const env = { OPENCLAW_STATE_DIR: dir, HOME: "/home/ann" };
  assert.equal(
    openclaw.resolveStorePath(undefined, { agentId: "Ops Team", env }),
    path.join(dir, "agents", "ops-team", "sessions", "sessions.json"),
  );
  assert.equal(
    openclaw.resolveStorePath("/x/{agentId}/y/{agentId}.json", { agentId: "A1", env }),
    path.resolve("/x/a1/y/a1.json"),
  );
  assert.equal(openclaw.resolveStorePath("~/s/{agentId}.json", { env }), path.resolve("/home/ann/s/main.json"));
  assert.ok(path.isAbsolute(openclaw.resolveStorePath("rel/s.json", { env })));
});

test("resolveSessionFilePath: inside, sibling agent, cross-root shape; else the derived path; an invalid id throws", {
  skip,
}, (context) => {
  const { dir, storePath } = makeHere(context);
  const sessionsDir = path.dirname(storePath);
  const derived = path.join(sessionsDir, "s1.jsonl");
  const resolve = (sessionFile?: string) =>
    openclaw.resolveSessionFilePath("s1", sessionFile === undefined ? undefined : { sessionFile }, { sessionsDir });
  assert.equal(resolve(), derived);
  assert.equal(resolve("sub.jsonl"), path.join(sessionsDir, "sub.jsonl"));
  assert.equal(resolve("../../../../etc/passwd"), derived);
  assert.equal(resolve("/etc/passwd"), derived);
  const sibling = path.join(dir, "agents", "ops", "sessions", "x.jsonl");
  assert.equal(resolve(sibling), sibling);
  assert.equal(
    resolve("/elsewhere/agents/ops/sessions/x.jsonl"),
    path.resolve("/elsewhere/agents/ops/sessions/x.jsonl"),
  );
  assert.equal(resolve("/elsewhere/agents/ops/other/x.jsonl"), derived);
  assert.throws(
    () => openclaw.resolveSessionFilePath("../x", undefined, { sessionsDir }),
    /Invalid session ID: \.\.\/x/,
  );
  fs.symlinkSync(os.tmpdir(), path.join(sessionsDir, "out"));
  assert.equal(resolve("out/x.jsonl"), derived);
  assert.equal(openclaw.resolveSessionFilePathOptions({ storePath: "(multiple)" }), undefined);
  assert.deepEqual(openclaw.resolveSessionFilePathOptions({ storePath }), { sessionsDir });
  assert.equal(openclaw.resolveAgentsDirFromSessionStorePath(storePath), path.join(dir, "agents"));
  assert.equal(openclaw.resolveAgentsDirFromSessionStorePath("/x/sessions.json"), undefined);
});

test("resolveSessionStoreTargets: the three errors, one target for a store, dedupe where agents share one", (context) => {
  const { dir } = makeHere(context);
  const env = { OPENCLAW_STATE_DIR: dir, HOME: dir };
  const cfg = { agents: { list: [{ id: "main" }, { id: "Ops", default: true }] } } as never;
  const resolve = (opts: openclaw.SessionStoreSelectionOptions, config = cfg) =>
    openclaw.resolveSessionStoreTargets(config, opts, { env });
  assert.throws(
    () => resolve({ agent: "main", allAgents: true }),
    /^Error: --agent and --all-agents cannot be used together$/,
  );
  assert.throws(
    () => resolve({ store: "x", agent: "main" }),
    /^Error: --store cannot be combined with --agent or --all-agents$/,
  );
  assert.throws(() => resolve({ store: "x", allAgents: true }), /--store cannot be combined/);
  assert.throws(
    () => resolve({ agent: "nope" }),
    /^Error: Unknown agent id "nope"\. Use "openclaw agents list" to see configured agents\.$/,
  );
  const at = (id: string) => ({ agentId: id, storePath: path.join(dir, "agents", id, "sessions", "sessions.json") });
  assert.deepEqual(resolve({}), [at("ops")]);
  assert.deepEqual(resolve({ agent: "MAIN" }), [at("main")]);
  assert.deepEqual(resolve({ allAgents: true }), [at("main"), at("ops")]);
  assert.deepEqual(resolve({ store: "/x/s.json" }), [{ agentId: "ops", storePath: path.resolve("/x/s.json") }]);
  const shared = { agents: { list: [{ id: "main" }, { id: "ops" }] }, session: { store: "/x/shared.json" } } as never;
  assert.deepEqual(resolve({ allAgents: true }, shared), [
    { agentId: "main", storePath: path.resolve("/x/shared.json") },
  ]);
});

test("resolveAllAgentSessionStoreTargets: configured and existing, discovered, no links, nothing for ###, both forms", {
  skip,
}, async (context) => {
  const { dir, storePath } = makeHere(context, { a: entry("s", 1) });
  const env = { OPENCLAW_STATE_DIR: dir, HOME: dir };
  const agentFile = (id: string) => path.join(dir, "agents", id, "sessions", "sessions.json");
  for (const id of ["Retired Agent", "###", "linked", "moved"])
    fs.mkdirSync(path.dirname(agentFile(id)), { recursive: true });
  fs.writeFileSync(agentFile("Retired Agent"), "{}");
  fs.writeFileSync(agentFile("###"), "{}");
  fs.writeFileSync(path.join(dir, "elsewhere.json"), "{}");
  fs.symlinkSync(path.join(dir, "elsewhere.json"), agentFile("linked"));
  await openclaw.saveSessionStore(agentFile("moved"), { m: entry("m", 1) });
  const cfg = { agents: { list: [{ id: "main" }, { id: "absent" }] } } as never;
  const targets = await openclaw.resolveAllAgentSessionStoreTargets(cfg, { env });
  assert.deepEqual(targets[0], { agentId: "main", storePath });
  assert.deepEqual(
    targets.slice(1).sort((a, b) => (a.agentId < b.agentId ? -1 : 1)),
    [
      { agentId: "moved", storePath: agentFile("moved") },
      { agentId: "retired-agent", storePath: agentFile("Retired Agent") },
    ],
  );
  assert.deepEqual(openclaw.resolveAllAgentSessionStoreTargetsSync(cfg, { env }), targets);
  const fixed = { session: { store: path.join(dir, "flat", "one.json") } } as never;
  assert.equal(
    openclaw.resolveAllAgentSessionStoreTargetsSync(fixed, { env })[0]?.storePath,
    path.join(dir, "flat", "one.json"),
  );
});

/* Transcripts and archives */

test("archiveSessionTranscripts renames to <file>.<reason>.<time> and returns the archives", (context) => {
  const { storePath } = makeHere(context);
  const folder = path.dirname(storePath);
  fs.writeFileSync(path.join(folder, "s1.jsonl"), "one");
  const archived = openclaw.archiveSessionTranscripts({ sessionId: "s1", storePath, reason: "reset" });
  assert.equal(archived.length, 1);
  assert.match(path.basename(archived[0]!), /^s1\.jsonl\.reset\.\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(\.\d{3})?Z$/);
  assert.equal(fs.readFileSync(archived[0]!, "utf8"), "one");
  assert.deepEqual(openclaw.archiveSessionTranscripts({ sessionId: "s1", storePath, reason: "reset" }), []);
});

test("cleanupArchivedSessionTranscripts removes strictly older archives of one reason; bad ages are a no-op", async (context) => {
  const { storePath } = makeHere(context);
  const folder = path.dirname(storePath);
  const nowMs = Date.UTC(2026, 3, 24);
  const name = (reason: string, ageMs: number) =>
    `s.jsonl.${reason}.${new Date(nowMs - ageMs).toISOString().replaceAll(":", "-")}`;
  const files = [
    name("deleted", 1_001),
    name("deleted", 1_000),
    name("deleted", 5),
    name("reset", 9_999),
    name("bak", 9_999),
    "s.jsonl",
  ];
  for (const file of files) fs.writeFileSync(path.join(folder, file), "");
  for (const olderThanMs of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
    assert.deepEqual(await openclaw.cleanupArchivedSessionTranscripts({ directories: [folder], olderThanMs, nowMs }), {
      removed: 0,
      scanned: 0,
    });
  }
  assert.deepEqual(
    await openclaw.cleanupArchivedSessionTranscripts({ directories: [folder, folder], olderThanMs: 1_000, nowMs }),
    { removed: 1, scanned: 3 },
  );
  assert.deepEqual(
    await openclaw.cleanupArchivedSessionTranscripts({
      directories: [folder],
      olderThanMs: 1_000,
      reason: "reset",
      nowMs,
    }),
    { removed: 1, scanned: 1 },
  );
  assert.deepEqual(fs.readdirSync(folder).sort(), files.filter((_, index) => index !== 0 && index !== 3).sort());
});

/* Reset and freshness */

test("reset policy: channel override, then type (dm for direct), then reset, then idleMinutes", () => {
  const policy = openclaw.resolveSessionResetPolicy;
  assert.deepEqual([policy({ resetType: "direct" }).mode, policy({ resetType: "direct" }).atHour], ["daily", 4]);
  const sessionCfg = {
    reset: { mode: "daily", atHour: 5 },
    resetByType: { dm: { mode: "idle", idleMinutes: 9 } },
  } as never;
  assert.deepEqual(
    [policy({ sessionCfg, resetType: "direct" }).mode, policy({ sessionCfg, resetType: "direct" }).idleMinutes],
    ["idle", 9],
  );
  assert.equal(policy({ sessionCfg, resetType: "group" }).atHour, 5);
  assert.equal(policy({ sessionCfg, resetType: "direct", resetOverride: { mode: "daily", atHour: 7 } }).atHour, 7);
  assert.deepEqual(
    [
      policy({ sessionCfg: { idleMinutes: 3 }, resetType: "direct" }).mode,
      policy({ sessionCfg: { idleMinutes: 3 }, resetType: "direct" }).idleMinutes,
    ],
    ["idle", 3],
  );
});

test("freshness: stale before the local daily boundary or after the idle time; idleMinutes 0 is never", () => {
  const now = new Date(2026, 3, 24, 10).getTime();
  const four = new Date(2026, 3, 24, 4).getTime();
  const daily = { mode: "daily", atHour: 4 } as const;
  assert.deepEqual(openclaw.evaluateSessionFreshness({ updatedAt: four - 1, now, policy: daily }).fresh, false);
  assert.equal(openclaw.evaluateSessionFreshness({ updatedAt: four, now, policy: daily }).fresh, true);
  assert.equal(openclaw.evaluateSessionFreshness({ updatedAt: four, now, policy: daily }).dailyResetAt, four);
  const idle = { mode: "idle", atHour: 4, idleMinutes: 10 } as const;
  assert.equal(openclaw.evaluateSessionFreshness({ updatedAt: now - 600_000, now, policy: idle }).fresh, true);
  assert.equal(openclaw.evaluateSessionFreshness({ updatedAt: now - 600_001, now, policy: idle }).fresh, false);
  assert.equal(
    openclaw.evaluateSessionFreshness({ updatedAt: 0, now, policy: { ...idle, idleMinutes: 0 } }).fresh,
    true,
  );
});

test("normalizeSessionDeliveryFields: both forms of a route from either, nothing across channels", () => {
  assert.deepEqual(
    openclaw.normalizeSessionDeliveryFields({
      deliveryContext: { channel: " Slack ", to: "C1" },
      lastChannel: "telegram",
      lastTo: "9",
      lastAccountId: "x",
    } as never),
    {
      deliveryContext: { channel: "slack", to: "C1", accountId: undefined },
      lastChannel: "slack",
      lastTo: "C1",
      lastAccountId: undefined,
      lastThreadId: undefined,
    },
  );
  assert.equal(openclaw.normalizeSessionDeliveryFields({} as never).deliveryContext, undefined);
  assert.equal(openclaw.deliveryContextKey({ channel: "slack", to: "C1", threadId: "7" }), "slack|C1||7");
  assert.equal(openclaw.deliveryContextKey({ channel: "slack" }), undefined);
});
