import assert from "node:assert/strict";
import { test } from "node:test";
import {
  combineSessionStores,
  combineSharedSessionStore,
  createExpiringMapCache,
  isCacheEnabled,
  type OpenClawConfig,
  resolveCacheTtlMs,
  resolveMirroredTranscriptText,
  type SessionEntry,
} from "../../../src/openclaw/index.js";

const cfg: OpenClawConfig = { session: { mainKey: "home" }, agents: { list: [{ id: "a" }, { id: "b" }] } };
const entry = (updatedAt: number, fields: Partial<SessionEntry> = {}): SessionEntry => ({
  sessionId: `s${updatedAt}`,
  updatedAt,
  ...fields,
});
const source = (agentId: string, store: Record<string, SessionEntry>) => ({
  agentId,
  storePath: `/x/${agentId}.json`,
  store,
});
const plain = (store: Record<string, SessionEntry>) => ({ ...store });

test("all sources are merged under canonical keys", () => {
  const { store } = combineSessionStores({
    cfg,
    sources: [
      source("a", { main: entry(1), "X:Y": entry(2), global: entry(3) }),
      source("b", { "Agent:B:Main": entry(4) }),
    ],
  });
  assert.deepEqual(plain(store), {
    "agent:a:home": entry(1),
    "agent:a:x:y": entry(2),
    global: entry(3),
    "agent:b:home": entry(4),
  });
});

test("the newer entry wins field by field, and the older one fills the gaps, in either order", () => {
  const older = { k: entry(1, { label: "old", subject: "kept" }) };
  const newer = { K: entry(2, { label: "new" }) };
  for (const sources of [
    [source("a", older), source("a", newer)],
    [source("a", newer), source("a", older)],
  ]) {
    const { store } = combineSessionStores({ cfg, sources });
    assert.deepEqual(plain(store), { "agent:a:k": entry(2, { label: "new", subject: "kept" }) });
  }
  assert.equal(older.k.label, "old");
});

test("of equally old entries the one of the later source wins", () => {
  const sources = [source("a", { k: entry(1, { label: "first" }) }), source("a", { k: entry(1, { label: "second" }) })];
  assert.equal(combineSessionStores({ cfg, sources }).store["agent:a:k"]!.label, "second");
});

test("spawnedBy names its parent canonically, taken from the older entry when the newer has none", () => {
  const { store } = combineSessionStores({
    cfg,
    sources: [source("b", { k: entry(1, { spawnedBy: "Main" }) }), source("b", { k: entry(2) })],
  });
  assert.equal(store["agent:b:k"]!.spawnedBy, "agent:b:home");
});

test("storePath is that of the only source, else the template, else (multiple)", () => {
  const two = [source("a", {}), source("b", {})];
  assert.equal(combineSessionStores({ cfg, sources: two.slice(0, 1) }).storePath, "/x/a.json");
  assert.equal(combineSessionStores({ cfg, sources: two }).storePath, "(multiple)");
  const template: OpenClawConfig = { session: { store: " ~/{agentId}.json " } };
  assert.equal(combineSessionStores({ cfg: template, sources: two }).storePath, "~/{agentId}.json");
});

test("in a shared file, bare keys belong to the default agent and others keep theirs", () => {
  const { store, storePath } = combineSharedSessionStore({
    cfg,
    storePath: "/one.json",
    store: { main: entry(1), "agent:b:x": entry(2) },
  });
  assert.equal(storePath, "/one.json");
  assert.deepEqual(Object.keys(store), ["agent:a:home", "agent:b:x"]);
});

test("a session called __proto__ is combined like any other, and what is no entry is passed over", () => {
  const odd = JSON.parse('{"agent:a:x":null,"__proto__":{"sessionId":"s","updatedAt":1}}') as Record<
    string,
    SessionEntry
  >;
  const { store } = combineSessionStores({ cfg, sources: [source("a", odd)] });
  assert.deepEqual(Object.keys(store), ["agent:a:__proto__"]);
  assert.equal(Object.getPrototypeOf(store), null);
});

test("a mirrored transcript has the text, then the names of the media", () => {
  const mirror = resolveMirroredTranscriptText;
  assert.equal(mirror({ text: "  hello " }), "hello");
  const mediaUrls = ["https://example.com/files/chart%20q3.png?token=abc#x", "/tmp/dir/voice.ogg", "C:\\a\\b.pdf"];
  assert.equal(mirror({ mediaUrls }), "chart q3.png, voice.ogg, b.pdf");
  assert.equal(mirror({ text: "See", mediaUrls: ["a.png"] }), "See\na.png");
});

test("media without a name is called media, and nothing at all is null", () => {
  const mirror = resolveMirroredTranscriptText;
  for (const url of [" data:image/png;base64,aGVsbG8=", " / ", "https://example.com"])
    assert.equal(mirror({ mediaUrls: [url] }), "media");
  assert.equal(mirror({ mediaUrls: ["https://x/100%.png"] }), "100%.png");
  for (const none of [{}, { text: " ", mediaUrls: ["  "] }, { text: null, mediaUrls: null }])
    assert.equal(mirror(none), null);
});

test("an entry of the cache expires when it is older than its time, not when it is as old", () => {
  let now = 1_000;
  const cache = createExpiringMapCache<string, number>({ ttlMs: 5_000, clock: () => now });
  cache.set("a", 1);
  now = 6_000;
  assert.equal(cache.get("a"), 1);
  now = 6_001;
  assert.equal(cache.get("a"), undefined);
  assert.equal(cache.size(), 0);
  assert.equal(cache.get("never"), undefined);
});

test("a time of one millisecond is a time, 0 and less is none", () => {
  assert.deepEqual([1, 0, -1].map(isCacheEnabled), [true, false, false]);
});

test("the cache looks at all entries at most once per interval, by default its time", () => {
  let now = 1_000;
  const cache = createExpiringMapCache<string, number>({ ttlMs: 100, clock: () => now });
  cache.set("a", 1);
  now = 1_050;
  cache.set("b", 2);
  now = 1_101;
  cache.set("c", 3);
  assert.deepEqual(cache.keys(), ["b", "c"]);
  now = 1_152;
  cache.set("d", 4);
  assert.deepEqual(cache.keys(), ["b", "c", "d"], "b is old, but nobody looked");
  assert.equal(cache.get("b"), undefined);
  now = 1_300;
  cache.pruneExpired();
  assert.deepEqual(cache.keys(), []);
});

test("the interval between two looks may be another, and is over when it is as long", () => {
  let now = 0;
  const cache = createExpiringMapCache<string, number>({
    ttlMs: 10,
    pruneIntervalMs: (ttl) => ttl * 2,
    clock: () => now,
  });
  cache.set("a", 1);
  now = 19;
  cache.set("b", 2);
  assert.deepEqual(cache.keys(), ["a", "b"]);
  now = 20;
  cache.set("c", 3);
  assert.deepEqual(cache.keys(), ["b", "c"]);
});

test("a cache with time 0 keeps nothing, and the time may change", () => {
  let ttlMs = 0;
  const cache = createExpiringMapCache<string, number>({ ttlMs: () => ttlMs, clock: () => 0 });
  cache.set("a", 1);
  assert.equal(cache.size(), 0);
  ttlMs = 10;
  cache.set("a", 1);
  cache.set("__proto__", 2);
  assert.equal(cache.get("__proto__"), 2);
  ttlMs = 0;
  assert.equal(cache.get("a"), undefined);
  cache.delete("a");
  assert.deepEqual(cache.keys(), ["__proto__"]);
  cache.clear();
  assert.equal(cache.size(), 0);
});

test("the time of the environment must be a plain whole number from 0, anything else is the default", () => {
  const ttl = (envValue: string | undefined) => resolveCacheTtlMs({ envValue, defaultTtlMs: 45_000 });
  assert.deepEqual(["0", "120000", "+5", " 7 ", "-0"].map(ttl), [0, 120_000, 5, 7, 0]);
  for (const bad of [undefined, "", "abc", "0abc", "15ms", "-1", "1.5", "1e3", "9007199254740993"])
    assert.equal(ttl(bad), 45_000, bad);
});
