import assert from "node:assert/strict";
import { test } from "node:test";
import {
  DEFAULT_IDLE_MINUTES,
  DEFAULT_RESET_TRIGGER,
  DEFAULT_RESET_TRIGGERS,
  isSessionTotalTokensFresh,
  mergeSessionEntry,
  mergeSessionEntryPreserveActivity,
  mergeSessionEntryWithPolicy,
  normalizeSessionRuntimeModelFields,
  resolveFreshSessionTotalTokens,
  resolveSessionPluginStatusLines,
  resolveSessionPluginTraceLines,
  resolveSessionTotalTokens,
  type SessionEntry,
  setSessionRuntimeModel,
} from "../../../src/openclaw/index.js";

const entry = (fields: Partial<SessionEntry> = {}): SessionEntry => ({ sessionId: "s1", updatedAt: 100, ...fields });
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

test("the sessionId of a merge is the patch's, else the existing one, else a random UUID", () => {
  assert.equal(mergeSessionEntry(entry(), { sessionId: "s2" }).sessionId, "s2");
  assert.equal(mergeSessionEntry(entry(), { sessionId: undefined }).sessionId, "s1");
  assert.match(mergeSessionEntry(undefined, {}).sessionId, uuid);
});

test("touch: updatedAt is the greatest of existing, patch and now", () => {
  const merge = (existing: SessionEntry | undefined, patch: Partial<SessionEntry>, now: number) =>
    mergeSessionEntryWithPolicy(existing, patch, { now }).updatedAt;
  assert.equal(merge(entry({ updatedAt: 300 }), { updatedAt: 200 }, 250), 300);
  assert.equal(merge(entry(), { updatedAt: 400 }, 250), 400);
  assert.equal(merge(entry(), {}, 250), 250);
  assert.equal(merge(undefined, {}, 250), 250);
});

test("preserve with an existing entry: its updatedAt, else the patch's, else now", () => {
  const preserve = (existing: SessionEntry | undefined, patch: Partial<SessionEntry>) =>
    mergeSessionEntryWithPolicy(existing, patch, { policy: "preserve-activity", now: 250 }).updatedAt;
  assert.equal(preserve(entry(), { updatedAt: 400 }), 100);
  const without = { sessionId: "s1" } as SessionEntry;
  assert.equal(preserve(without, { updatedAt: 400 }), 400);
  assert.equal(preserve(without, {}), 250);
  assert.equal(mergeSessionEntryPreserveActivity(entry(), { label: "x" }).updatedAt, 100);
});

test("preserve without an existing entry counts as activity", () => {
  const merged = mergeSessionEntryWithPolicy(undefined, { updatedAt: 10 }, { policy: "preserve-activity", now: 250 });
  assert.equal(merged.updatedAt, 250);
});

test("a merge is a shallow spread, and an explicit undefined clears a field", () => {
  const existing = entry({ label: "old", origin: { label: "a", from: "b" }, counter: 1 });
  const merged = mergeSessionEntry(existing, { label: undefined, origin: { label: "c" } });
  assert.equal(merged.label, undefined);
  assert.deepEqual(merged.origin, { label: "c" });
  assert.equal(merged.counter, 1);
  assert.equal(existing.label, "old");
});

test("a patch that changes the model without its provider drops the provider", () => {
  const existing = entry({ model: "m1", modelProvider: "p1" });
  assert.equal(mergeSessionEntry(existing, { model: "m2" }).modelProvider, undefined);
  assert.equal(mergeSessionEntry(existing, { model: " m1 " }).modelProvider, "p1");
  assert.equal(mergeSessionEntry(existing, { model: "m2", modelProvider: "p2" }).modelProvider, "p2");
  assert.equal(mergeSessionEntry(existing, { label: "x" }).modelProvider, "p1");
});

test("a merge ends with normalised model fields", () => {
  const merged = mergeSessionEntry(entry(), { model: " m ", modelProvider: " p " });
  assert.deepEqual([merged.model, merged.modelProvider], ["m", "p"]);
  const cleared = mergeSessionEntry(entry({ model: "m", modelProvider: "p" }), { model: undefined });
  assert.deepEqual([cleared.model, cleared.modelProvider], [undefined, undefined]);
});

test("keys such as __proto__ in a patch are data and reach no prototype", () => {
  const patch = JSON.parse('{"__proto__":{"polluted":true},"constructor":1}') as Partial<SessionEntry>;
  const merged = mergeSessionEntry(entry(), patch);
  assert.equal(Object.getPrototypeOf(merged), Object.prototype);
  assert.ok(Object.hasOwn(merged, "__proto__"));
  assert.equal(({} as { polluted?: boolean }).polluted, undefined);
});

test("normalizeSessionRuntimeModelFields trims model and provider", () => {
  const normal = normalizeSessionRuntimeModelFields(entry({ model: " m ", modelProvider: " p " }));
  assert.deepEqual(normal, entry({ model: "m", modelProvider: "p" }));
});

test("a blank model removes both fields, a blank provider only itself", () => {
  assert.deepEqual(normalizeSessionRuntimeModelFields(entry({ model: " ", modelProvider: "p" })), entry());
  assert.deepEqual(normalizeSessionRuntimeModelFields(entry({ modelProvider: "p" })), entry());
  const provider = normalizeSessionRuntimeModelFields(entry({ model: "m", modelProvider: " " }));
  assert.deepEqual(provider, entry({ model: "m" }));
});

test("an entry whose model fields are in order comes back as the same object", () => {
  for (const one of [entry(), entry({ model: "m" }), entry({ model: "m", modelProvider: "p" })])
    assert.equal(normalizeSessionRuntimeModelFields(one), one);
});

test("setSessionRuntimeModel changes the entry, and is false when either part is blank", () => {
  const target = entry();
  assert.equal(setSessionRuntimeModel(target, { provider: " ", model: "m" }), false);
  assert.equal(setSessionRuntimeModel(target, { provider: "p", model: "" }), false);
  assert.deepEqual(target, entry());
  assert.equal(setSessionRuntimeModel(target, { provider: " p ", model: " m " }), true);
  assert.deepEqual(target, entry({ model: "m", modelProvider: "p" }));
});

test("resolveFreshSessionTotalTokens wants a finite number from 0 that is not marked as stale", () => {
  assert.equal(resolveFreshSessionTotalTokens({ totalTokens: 0 }), 0);
  assert.equal(resolveFreshSessionTotalTokens({ totalTokens: 5, totalTokensFresh: true }), 5);
  assert.equal(resolveFreshSessionTotalTokens({ totalTokens: 5, totalTokensFresh: false }), undefined);
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, -1, "5" as unknown as number, undefined])
    assert.equal(resolveFreshSessionTotalTokens({ totalTokens: bad }), undefined);
  assert.equal(resolveFreshSessionTotalTokens(undefined), undefined);
  assert.equal(resolveFreshSessionTotalTokens(null), undefined);
});

test("isSessionTotalTokensFresh says whether there is a fresh count", () => {
  assert.equal(isSessionTotalTokensFresh({ totalTokens: 0 }), true);
  assert.equal(isSessionTotalTokensFresh({ totalTokens: 1, totalTokensFresh: false }), false);
  assert.equal(isSessionTotalTokensFresh({}), false);
});

test("resolveSessionTotalTokens ignores the fresh flag", () => {
  const stale = entry({ totalTokens: 5, totalTokensFresh: false });
  assert.equal(resolveSessionTotalTokens(stale), 5);
  assert.equal(resolveSessionTotalTokens({ totalTokens: -1 }), undefined);
});

test("plugin lines are split into trace lines - magnifier, Debug: or Trace: - and status lines", () => {
  const magnifier = " \u{1f50e} looked up";
  const withLines = entry({
    pluginDebugEntries: [
      { pluginId: "a", lines: ["ready", magnifier, "  "] },
      { pluginId: "b", lines: ["Debug: x", "my Trace: y", "busy"] },
    ],
  });
  assert.deepEqual(resolveSessionPluginTraceLines(withLines), [magnifier, "Debug: x", "my Trace: y"]);
  assert.deepEqual(resolveSessionPluginStatusLines(withLines), ["ready", "busy"]);
});

test("plugin lines of a shape nobody expects are no lines", () => {
  for (const reports of [undefined, null, "x", [null, 1, { lines: "x" }, { lines: [1, null] }]]) {
    const odd = { pluginDebugEntries: reports } as unknown as SessionEntry;
    assert.deepEqual(resolveSessionPluginStatusLines(odd), []);
    assert.deepEqual(resolveSessionPluginTraceLines(odd), []);
  }
  assert.deepEqual(resolveSessionPluginStatusLines(undefined), []);
});

test("the constants are those of the target version", () => {
  assert.equal(DEFAULT_RESET_TRIGGER, "/new");
  assert.deepEqual(DEFAULT_RESET_TRIGGERS, ["/new", "/reset"]);
  assert.equal(DEFAULT_IDLE_MINUTES, 0);
});
