/** What may be removed and when: the configuration, pruning, capping, warnings, and the tracker that agrees with them. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { setAmbientPort } from "../../../src/openclaw/ambient.js";
import { parseByteSize, parseDurationMs } from "../../../src/openclaw/durations.js";
import { setSessionStoreLogger } from "../../../src/openclaw/log.js";
import {
  capEntryCount,
  formatSessionMaintenanceWarning,
  getActiveSessionMaintenanceWarning,
  pruneStaleEntries,
} from "../../../src/openclaw/maintenance.js";
import {
  resolveMaintenanceConfig,
  resolveMaintenanceConfigFromInput,
  resolveMaintenanceRules,
} from "../../../src/openclaw/maintenance-config.js";
import { MaintenanceTracker } from "../../../src/openclaw/maintenance-tracker.js";
import { SortedNumbers } from "../../../src/openclaw/sorted-numbers.js";
import type { SessionEntry, SessionMaintenanceConfig } from "../../../src/openclaw/types.js";
import { SimulatedMachine } from "../../sim/machine.js";
import { SeededRandom } from "../../sim/random.js";

const dayMs = 86_400_000;
const nowMs = 1_777_000_000_000;
const defaults = {
  mode: "warn",
  pruneAfterMs: 30 * dayMs,
  maxEntries: 500,
  rotateBytes: 10_485_760,
  resetArchiveRetentionMs: 30 * dayMs,
  maxDiskBytes: null,
  highWaterBytes: null,
};

function at<Result>(timeMs: number, body: () => Result): Result {
  setAmbientPort({ nowMs: () => timeMs, randomBytes: (count) => new Uint8Array(count) });
  try {
    return body();
  } finally {
    setAmbientPort(undefined);
  }
}

/** Entries by the time of their last activity; null is one that does not say. */
function storeOf(times: Record<string, number | null>): Record<string, SessionEntry> {
  const store = Object.create(null) as Record<string, SessionEntry>;
  for (const [key, updatedAt] of Object.entries(times)) {
    store[key] = (updatedAt === null ? { sessionId: key } : { sessionId: key, updatedAt }) as SessionEntry;
  }
  return store;
}

// --- durations and sizes ---------------------------------------------------------------------------------------------

test("a duration is a number with ms, s, m, h or d, decimals ok, or composite with a unit each", () => {
  const cases: [string | number, number][] = [
    ["250", 250],
    [250, 250],
    ["1.5s", 1_500],
    ["2m", 120_000],
    ["1H30M", 5_400_000],
    [" 7d ", 7 * dayMs],
    ["1d12h", 1.5 * dayMs],
    ["1m500ms", 60_500],
    ["0.4ms", 0],
  ];
  for (const [raw, ms] of cases) assert.equal(parseDurationMs(raw), ms, String(raw));
  assert.equal(parseDurationMs("3", { defaultUnit: "d" }), 3 * dayMs);
  for (const raw of ["", "-1d", "1h30", "1w", "1 h", "h", "1e3", "Infinity", Number.NaN, -5, `${"9".repeat(400)}d`]) {
    assert.throws(() => parseDurationMs(raw), /invalid duration \(use ms, s, m, h, d\)/, String(raw));
  }
});

test("a size is a number with b, kb/k, mb/m, gb/g, tb/t, 1024-based, case-insensitive, rounded", () => {
  const cases: [string | number, number][] = [
    [1.6, 2],
    ["10b", 10],
    ["1kb", 1_024],
    ["1.5K", 1_536],
    ["10MB", 10_485_760],
    ["2m", 2_097_152],
    ["1gb", 1_073_741_824],
    ["1G", 1_073_741_824],
    ["1tb", 1_099_511_627_776],
    ["1t", 1_099_511_627_776],
  ];
  for (const [raw, bytes] of cases) assert.equal(parseByteSize(raw), bytes, String(raw));
  for (const raw of ["", "-1", "1pb", "mb", "1 mb", "constructor", "1toString", "9".repeat(400)]) {
    assert.throws(() => parseByteSize(raw), /invalid size \(use b, kb, mb, gb, tb\)/, raw);
  }
});

// --- configuration ---------------------------------------------------------------------------------------------------

test("better: nothing configured is warn, so nothing is deleted unless asked; the other defaults are OpenClaw's", () => {
  assert.deepEqual(resolveMaintenanceConfigFromInput(), defaults);
  assert.deepEqual(resolveMaintenanceConfigFromInput(null), defaults);
  assert.equal(resolveMaintenanceConfigFromInput({ mode: "enforce" }).mode, "enforce");
  assert.equal(resolveMaintenanceConfigFromInput({ mode: "Enforce" } as never).mode, "warn");
});

test("pruneAfter in a bare number is days, and pruneDays counts only when it is absent", () => {
  const pruneAfterMs = (given: SessionMaintenanceConfig) => resolveMaintenanceConfigFromInput(given).pruneAfterMs;
  assert.equal(pruneAfterMs({ pruneAfter: 7 }), 7 * dayMs);
  assert.equal(pruneAfterMs({ pruneAfter: "36h" }), 1.5 * dayMs);
  assert.equal(pruneAfterMs({ pruneDays: 3 }), 3 * dayMs);
  assert.equal(pruneAfterMs({ pruneAfter: "5d", pruneDays: 3 }), 5 * dayMs);
});

test("resetArchiveRetention is pruneAfter unless given; false is never", () => {
  const retention = (given: SessionMaintenanceConfig) =>
    resolveMaintenanceConfigFromInput(given).resetArchiveRetentionMs;
  assert.equal(retention({ pruneAfter: "9d" }), 9 * dayMs);
  assert.equal(retention({ pruneAfter: "9d", resetArchiveRetention: "2d" }), 2 * dayMs);
  assert.equal(retention({ resetArchiveRetention: false }), null);
  assert.equal(retention({ pruneAfter: "9d", resetArchiveRetention: "nonsense" }), 9 * dayMs);
});

test("highWaterBytes is floor(0.8 x max), at least 1, clamped to max, and ignored without maxDiskBytes", () => {
  const budget = (given: SessionMaintenanceConfig) => {
    const { maxDiskBytes, highWaterBytes } = resolveMaintenanceConfigFromInput(given);
    return [maxDiskBytes, highWaterBytes];
  };
  assert.deepEqual(budget({ maxDiskBytes: 999 }), [999, 799]);
  assert.deepEqual(budget({ maxDiskBytes: "1kb", highWaterBytes: "100b" }), [1024, 100]);
  assert.deepEqual(budget({ maxDiskBytes: 100, highWaterBytes: 500 }), [100, 100]);
  assert.deepEqual(budget({ maxDiskBytes: 1 }), [1, 1]);
  assert.deepEqual(budget({ highWaterBytes: 500 }), [null, null]);
  assert.deepEqual(budget({ maxDiskBytes: "much" }), [null, null]);
});

test("unparsable values silently fall back", () => {
  const nonsense = {
    mode: "delete",
    pruneAfter: "soon",
    maxEntries: -5,
    rotateBytes: "big",
    resetArchiveRetention: {},
    maxDiskBytes: [],
    highWaterBytes: true,
  };
  assert.deepEqual(resolveMaintenanceConfigFromInput(nonsense as never), defaults);
  assert.deepEqual(resolveMaintenanceConfigFromInput("enforce" as never), defaults);
});

test("resolveMaintenanceConfig takes a config, a file that may be JSON5, or the gateway's own file; errors are defaults", () => {
  const machine = new SimulatedMachine();
  machine.makeDirectory("/state");
  machine.writeFile("/state/openclaw.json", "// mine\n{ session: { maintenance: { maxEntries: 7 } } }");
  machine.writeFile("/state/other.json", '{"session":{"maintenance":{"mode":"enforce"}}}');
  machine.writeFile("/state/broken.json", "{ session:");
  const before = process.env.OPENCLAW_STATE_DIR;
  process.env.OPENCLAW_STATE_DIR = "/state";
  setAmbientPort(machine.process());
  try {
    assert.equal(resolveMaintenanceConfig({ session: { maintenance: { maxEntries: 3 } } }).maxEntries, 3);
    assert.deepEqual(resolveMaintenanceConfig({}), defaults);
    assert.equal(resolveMaintenanceConfig("/state/other.json").mode, "enforce");
    assert.equal(resolveMaintenanceConfig().maxEntries, 7);
    for (const wrong of ["/state/broken.json", "/state/missing.json", "/state"]) {
      assert.deepEqual(resolveMaintenanceConfig(wrong), defaults, wrong);
    }
  } finally {
    setAmbientPort(undefined);
    if (before === undefined) delete process.env.OPENCLAW_STATE_DIR;
    else process.env.OPENCLAW_STATE_DIR = before;
  }
});

test("a setting of the configuration that means nothing turns its own rule off, however it is asked for", () => {
  const asked = (settings: object) => resolveMaintenanceConfig({ session: { maintenance: settings } } as never);
  const off = { pruneAfterMs: Number.POSITIVE_INFINITY, resetArchiveRetentionMs: null };
  assert.deepEqual(asked({ pruneAfter: "90 days" }), { ...defaults, ...off });
  assert.deepEqual(asked({ pruneDays: "90" }), { ...defaults, ...off });
  assert.deepEqual(asked({ pruneAfter: "soon", resetArchiveRetention: "2d" }).resetArchiveRetentionMs, 2 * dayMs);
  assert.equal(asked({ maxEntries: "5000" }).maxEntries, Number.POSITIVE_INFINITY);
  assert.equal(asked({ resetArchiveRetention: "never" }).resetArchiveRetentionMs, null);
  assert.equal(asked({ maxDiskBytes: "3 gigs" }).maxDiskBytes, null);
  assert.equal(asked({ maxDiskBytes: 100, highWaterBytes: "half" }).highWaterBytes, 100);
  assert.equal(asked({ mode: "Enforce" }).mode, "warn");
});

test("a setting whose name is misspelt counts as the one that was meant, and turns that rule off", () => {
  const told: string[] = [];
  const asked = (settings: object) => resolveMaintenanceRules(settings, (message) => told.push(message));
  assert.equal(asked({ pruneAfterDays: 90 }).pruneAfterMs, Number.POSITIVE_INFINITY);
  assert.equal(asked({ maxentries: 5_000 }).maxEntries, Number.POSITIVE_INFINITY);
  assert.equal(asked({ pruneAfterDays: 90, pruneAfter: "7d" }).pruneAfterMs, 7 * dayMs, "what was meant is there too");
  assert.deepEqual(asked({ somethingElseEntirely: 1 }), defaults);
  assert.deepEqual(told, [
    'session.maintenance has no setting "pruneAfterDays" (did you mean "pruneAfter"?): no session is too old',
    'session.maintenance has no setting "maxentries" (did you mean "maxEntries"?): there is no limit to their number',
    'session.maintenance has no setting "pruneAfterDays" (did you mean "pruneAfter"?): it is passed over',
    'session.maintenance has no setting "somethingElseEntirely": it is passed over',
  ]);
});

// --- pruning and capping ---------------------------------------------------------------------------------------------

test("pruneStaleEntries removes entries strictly older, keeps those without updatedAt, and mutates the store", () => {
  const store = storeOf({ old: nowMs - 1_001, exact: nowMs - 1_000, young: nowMs, undated: null });
  const pruned: string[] = [];
  const count = at(nowMs, () => pruneStaleEntries(store, 1_000, { onPruned: ({ key }) => pruned.push(key) }));
  assert.deepEqual([count, pruned, Object.keys(store)], [1, ["old"], ["exact", "young", "undated"]]);
});

test("pruneStaleEntries protects preserveKeys by the literal key, and treats __proto__ as a key", () => {
  const store = storeOf({ kept: 1, Other: 1, ["__proto__"]: 1 });
  const preserveKeys = new Set(["kept", "other"]);
  assert.equal(
    at(nowMs, () => pruneStaleEntries(store, 1_000, { preserveKeys })),
    2,
  );
  assert.deepEqual(Object.keys(store), ["kept"]);
});

test("capEntryCount keeps the newest, those without updatedAt are the oldest, ties keep their order", () => {
  const store = storeOf({ a: 5, undated: null, b: 7, tie1: 6, tie2: 6 });
  const capped: string[] = [];
  assert.equal(capEntryCount(store, 2, { onCapped: ({ key }) => capped.push(key) }), 3);
  assert.deepEqual(
    [capped, Object.keys(store)],
    [
      ["tie2", "a", "undated"],
      ["b", "tie1"],
    ],
  );
  assert.equal(capEntryCount(store, 2), 0);
  assert.equal(capEntryCount(store, 0), 2);
});

test("preserveKeys count against the limit but are never removed", () => {
  const store = storeOf({ kept: 1, a: 5, b: 6, c: 7 });
  assert.equal(capEntryCount(store, 2, { preserveKeys: new Set(["kept", "absent"]) }), 2);
  assert.deepEqual(Object.keys(store), ["kept", "c"]);
  assert.equal(capEntryCount(store, 1, { preserveKeys: new Set(["kept", "c"]) }), 0);
});

test("both log what they did unless log is false, and nothing when there was nothing to do", () => {
  const said: unknown[] = [];
  setSessionStoreLogger({ info: (message, fields) => said.push([message, fields]), warn: () => assert.fail() });
  try {
    at(nowMs, () => {
      pruneStaleEntries(storeOf({ a: 1 }), 1_000);
      capEntryCount(storeOf({ a: 1, b: 2 }), 1);
      pruneStaleEntries(storeOf({ a: 1 }), 1_000, { log: false });
      capEntryCount(storeOf({ a: 1, b: 2 }), 1, { log: false });
      pruneStaleEntries(storeOf({ a: nowMs }), 1_000);
      capEntryCount(storeOf({ a: 1 }), 1);
    });
  } finally {
    setSessionStoreLogger(undefined);
  }
  assert.deepEqual(said, [
    ["pruned stale session entries", { pruned: 1, maxAgeMs: 1_000 }],
    ["capped session entry count", { removed: 1, maxEntries: 1 }],
  ]);
});

// --- warnings --------------------------------------------------------------------------------------------------------

const rules = { pruneAfterMs: 1_000, maxEntries: 2, nowMs };

test("the warning says which rule would evict the active session; null when it is safe", () => {
  const store = storeOf({ a: nowMs, b: nowMs - 1, c: nowMs - 2, stale: nowMs - 1_001 });
  assert.equal(getActiveSessionMaintenanceWarning({ store, activeSessionKey: " a ", ...rules }), null);
  assert.deepEqual(getActiveSessionMaintenanceWarning({ store, activeSessionKey: " c ", ...rules }), {
    activeSessionKey: "c",
    activeUpdatedAt: nowMs - 2,
    totalEntries: 4,
    pruneAfterMs: 1_000,
    maxEntries: 2,
    wouldPrune: false,
    wouldCap: true,
  });
  const loose = { ...rules, maxEntries: 10 };
  const stale = getActiveSessionMaintenanceWarning({ store, activeSessionKey: "stale", ...loose });
  assert.deepEqual([stale?.wouldPrune, stale?.wouldCap], [true, false]);
});

test("of equally new sessions the first is kept, as capping keeps it", () => {
  const store = storeOf({ newest: nowMs, tie1: nowMs - 5, tie2: nowMs - 5 });
  assert.equal(getActiveSessionMaintenanceWarning({ store, activeSessionKey: "tie1", ...rules }), null);
  assert.ok(getActiveSessionMaintenanceWarning({ store, activeSessionKey: "tie2", ...rules })?.wouldCap);
  capEntryCount(store, rules.maxEntries);
  assert.deepEqual(Object.keys(store), ["newest", "tie1"]);
});

test("a blank or unknown key has no warning; the key is exact", () => {
  const store = storeOf({ a: 1 });
  for (const activeSessionKey of ["", "  ", "A", "toString", "__proto__"]) {
    assert.equal(getActiveSessionMaintenanceWarning({ store, activeSessionKey, ...rules }), null, activeSessionKey);
  }
});

test("a session without updatedAt would be capped first and never pruned", () => {
  const store = storeOf({ a: 1, b: 2, undated: null });
  const warning = getActiveSessionMaintenanceWarning({ store, activeSessionKey: "undated", ...rules });
  assert.deepEqual([warning?.wouldPrune, warning?.wouldCap], [false, true]);
  assert.ok(!Object.hasOwn(warning ?? {}, "activeUpdatedAt"));
});

test("the text for users names the rules, and how to have it cleaned up or kept", () => {
  const store = storeOf({ a: nowMs, b: nowMs - 1, c: nowMs - 31 * dayMs });
  const params = { store, activeSessionKey: "c", pruneAfterMs: 30 * dayMs, maxEntries: 2, nowMs };
  const text = formatSessionMaintenanceWarning(getActiveSessionMaintenanceWarning(params)!);
  for (const part of ["older than 30 days", "not in the most recent 2 sessions", 'mode: "enforce"', "warn-only"]) {
    assert.ok(text.includes(part), text);
  }
});

// --- the tracker -----------------------------------------------------------------------------------------------------

test("the tracker says after any changes what a pass over the whole store says", () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const random = new SeededRandom(seed);
    const store = storeOf({});
    const tracker = new MaintenanceTracker();
    const drawn = new Set<number>();
    // Each time once, but for sessions without one: the order among equals is the one thing that may differ.
    const time = () => {
      if (random.below(8) === 0) return null;
      let updatedAt = nowMs - random.below(4_000);
      while (drawn.has(updatedAt)) updatedAt = nowMs - random.below(4_000);
      drawn.add(updatedAt);
      return updatedAt;
    };
    for (let step = 0; step < 300; step += 1) {
      const key = `k${random.below(40)}`;
      const before = store[key];
      const updatedAt = time();
      if (random.below(4) === 0) {
        if (before) assert.ok(tracker.removed(before.updatedAt), `seed ${seed}`);
        delete store[key];
        continue;
      }
      if (before) assert.ok(tracker.changed(before.updatedAt, updatedAt), `seed ${seed}`);
      else tracker.added(updatedAt);
      Object.assign(store, storeOf({ [key]: updatedAt }));
      const limits = { pruneAfterMs: random.below(2_500), maxEntries: 1 + random.below(40) };
      const copy = { ...store };
      const prune = at(nowMs, () => pruneStaleEntries(copy, limits.pruneAfterMs));
      assert.deepEqual(
        tracker.plan(limits, nowMs),
        { prune, cap: capEntryCount(copy, limits.maxEntries) },
        `seed ${seed}`,
      );
      if (updatedAt === null) continue;
      assert.deepEqual(
        tracker.warningFor({ key, updatedAt }, limits, nowMs),
        getActiveSessionMaintenanceWarning({ store, activeSessionKey: key, ...limits, nowMs }),
        `seed ${seed}`,
      );
    }
    assert.equal(tracker.totalEntries, Object.keys(store).length);
    const again = new MaintenanceTracker();
    again.reset(Object.values(store));
    assert.deepEqual(again.plan(rules, nowMs), tracker.plan(rules, nowMs));
  }
});

test("a tracker that missed a change says so instead of counting wrong", () => {
  const tracker = new MaintenanceTracker();
  tracker.reset([{ updatedAt: 1 }, {}]);
  assert.equal(tracker.changed(2, 3), false);
  assert.equal(tracker.removed(2), false);
  assert.equal(tracker.totalEntries, 2);
  assert.equal(tracker.changed(undefined, 3), true);
  assert.equal(tracker.changed(3, 3), true);
});

test("sorted numbers count as a sorted list does, through many splits and removals", () => {
  const random = new SeededRandom(3);
  const numbers = new SortedNumbers();
  const list: number[] = [];
  for (let step = 0; step < 6_000; step += 1) {
    const value = random.below(step < 3_000 ? 50 : 100_000);
    if (step % 3 !== 2) {
      numbers.add(value);
      list.push(value);
    } else {
      const index = list.indexOf(value);
      assert.equal(numbers.remove(value), index >= 0);
      if (index >= 0) list.splice(index, 1);
    }
    if (step % 97 !== 0) continue;
    assert.equal(numbers.size, list.length);
    assert.equal(numbers.least, list.length === 0 ? undefined : Math.min(...list));
    assert.equal(numbers.countBelow(value), list.filter((other) => other < value).length);
    assert.equal(numbers.countAbove(value), list.filter((other) => other > value).length);
  }
});
