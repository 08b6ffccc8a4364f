import assert from "node:assert/strict";
import { test } from "node:test";
import {
  DEFAULT_RESET_AT_HOUR,
  DEFAULT_RESET_MODE,
  evaluateSessionFreshness,
  isThreadSessionKey,
  resolveChannelResetConfig,
  resolveDailyResetAtMs,
  resolveResetPreservedSelection,
  resolveSessionResetPolicy,
  resolveSessionResetType,
  resolveThreadFlag,
  type SessionEntry,
} from "../../../src/openclaw/index.js";

const at = (day: number, hour: number, minute = 0) => new Date(2026, 3, day, hour, minute).getTime();
const minutes = 60_000;

test("isThreadSessionKey knows threads and Telegram's topics, and no others", () => {
  for (const key of ["agent:main:slack:channel:c:Thread:1", "agent:main:telegram:group:1:topic:2"])
    assert.equal(isThreadSessionKey(key), true);
  for (const key of ["agent:main:main", "agent:main:feishu:group:a:topic:b", "", undefined, null])
    assert.equal(isThreadSessionKey(key), false);
});

test("resolveSessionResetType: thread, else group, else direct", () => {
  assert.equal(resolveSessionResetType({ sessionKey: "agent:main:slack:group:g:thread:1", isGroup: true }), "thread");
  assert.equal(resolveSessionResetType({ sessionKey: "agent:main:main", isThread: true }), "thread");
  assert.equal(resolveSessionResetType({ isGroup: true }), "group");
  assert.equal(resolveSessionResetType({ sessionKey: "agent:main:slack:Channel:c" }), "group");
  assert.equal(resolveSessionResetType({ sessionKey: "agent:main:telegram:direct:1" }), "direct");
  assert.equal(resolveSessionResetType({}), "direct");
});

test("resolveThreadFlag is true for any sign of a thread", () => {
  const signs = [
    { messageThreadId: 0 },
    { messageThreadId: "t" },
    { threadLabel: "l" },
    { threadStarterBody: "b" },
    { parentSessionKey: "p" },
    { sessionKey: "x:thread:1" },
  ];
  for (const sign of signs) assert.equal(resolveThreadFlag(sign), true, JSON.stringify(sign));
  assert.equal(resolveThreadFlag({ messageThreadId: " ", threadLabel: null, sessionKey: "agent:main:main" }), false);
});

test("resolveDailyResetAtMs is the last local boundary that is not after now", () => {
  assert.equal(resolveDailyResetAtMs(at(10, 9), 4), at(10, 4));
  assert.equal(resolveDailyResetAtMs(at(10, 4), 4), at(10, 4));
  assert.equal(resolveDailyResetAtMs(at(10, 3, 59), 4), at(9, 4));
  assert.equal(resolveDailyResetAtMs(at(1, 0), 23), new Date(2026, 2, 31, 23).getTime());
});

test("an hour outside the day is brought into it, and one that is no number is the default", () => {
  assert.equal(resolveDailyResetAtMs(at(10, 23, 30), 99), at(10, 23));
  assert.equal(resolveDailyResetAtMs(at(10, 1), -5), at(10, 0));
  assert.equal(resolveDailyResetAtMs(at(10, 9), Number.NaN), at(10, DEFAULT_RESET_AT_HOUR));
});

test("without configuration the policy is daily at 4, and says that nothing was configured", () => {
  assert.equal(DEFAULT_RESET_MODE, "daily");
  assert.equal(DEFAULT_RESET_AT_HOUR, 4);
  for (const sessionCfg of [undefined, {}])
    assert.deepEqual(resolveSessionResetPolicy({ sessionCfg, resetType: "direct" }), {
      mode: "daily",
      atHour: 4,
      idleMinutes: undefined,
      configured: false,
    });
});

test("precedence: the channel's override, the type, the general setting, the older idleMinutes", () => {
  const sessionCfg = {
    idleMinutes: 1,
    reset: { mode: "idle", idleMinutes: 2, atHour: 2 },
    resetByType: { group: { mode: "daily", atHour: 3 } },
  } as const;
  const policy = (more: object) => resolveSessionResetPolicy({ sessionCfg, resetType: "direct", ...more });
  assert.deepEqual(policy({ resetOverride: { mode: "daily", atHour: 9 } }), {
    mode: "daily",
    atHour: 9,
    idleMinutes: undefined,
    configured: true,
  });
  assert.deepEqual(policy({ resetType: "group" }), { mode: "daily", atHour: 3, idleMinutes: 2, configured: true });
  assert.deepEqual(policy({}), { mode: "idle", atHour: 2, idleMinutes: 2, configured: true });
  const older = resolveSessionResetPolicy({ sessionCfg: { idleMinutes: 90 }, resetType: "direct" });
  assert.deepEqual(older, { mode: "idle", atHour: 4, idleMinutes: 90, configured: true });
});

test("dm is accepted as an alias of direct, for direct sessions only", () => {
  const sessionCfg = { resetByType: { dm: { mode: "idle", idleMinutes: 45 } } } as const;
  assert.equal(resolveSessionResetPolicy({ sessionCfg, resetType: "direct" }).idleMinutes, 45);
  assert.equal(resolveSessionResetPolicy({ sessionCfg, resetType: "group" }).mode, "daily");
  const both = { resetByType: { ...sessionCfg.resetByType, direct: { mode: "idle", idleMinutes: 30 } } } as const;
  assert.equal(resolveSessionResetPolicy({ sessionCfg: both, resetType: "direct" }).idleMinutes, 30);
});

test("mode idle without minutes takes the default, 0, which is never", () => {
  const policy = resolveSessionResetPolicy({ sessionCfg: { reset: { mode: "idle" } }, resetType: "direct" });
  assert.equal(policy.idleMinutes, 0);
  assert.equal(evaluateSessionFreshness({ updatedAt: 1, now: at(10, 9), policy }).fresh, true);
});

test("idle minutes that are no whole number from 0 become one, or count as absent", () => {
  const minutesOf = (idleMinutes: number) =>
    resolveSessionResetPolicy({ sessionCfg: { reset: { mode: "daily", idleMinutes } }, resetType: "direct" })
      .idleMinutes;
  assert.deepEqual([-5, 0.5, 7.9].map(minutesOf), [0, 0, 7]);
  assert.equal(minutesOf(Number.NaN), undefined);
  assert.equal(minutesOf("5" as unknown as number), undefined);
});

test("resolveChannelResetConfig finds the setting by any name of the channel, and none by a prototype's", () => {
  const sessionCfg = { resetByChannel: { GChat: { mode: "idle", idleMinutes: 5 } } } as const;
  assert.equal(resolveChannelResetConfig({ sessionCfg, channel: " googlechat " })?.idleMinutes, 5);
  for (const channel of ["slack", "constructor", "__proto__", "", undefined])
    assert.equal(resolveChannelResetConfig({ sessionCfg, channel }), undefined);
  assert.equal(resolveChannelResetConfig({ channel: "slack" }), undefined);
});

test("daily: an activity before the last boundary is stale", () => {
  const policy = { mode: "daily", atHour: 4 } as const;
  const evaluate = (updatedAt: number) => evaluateSessionFreshness({ updatedAt, now: at(10, 9), policy });
  assert.deepEqual(evaluate(at(10, 3, 59)), { fresh: false, dailyResetAt: at(10, 4), idleExpiresAt: undefined });
  assert.equal(evaluate(at(10, 4)).fresh, true);
});

test("idle: an activity longer ago than idleMinutes is stale", () => {
  const policy = { mode: "idle", atHour: 4, idleMinutes: 30 } as const;
  const evaluate = (now: number) => evaluateSessionFreshness({ updatedAt: at(10, 1), now, policy });
  assert.equal(evaluate(at(10, 1, 30)).fresh, true);
  assert.equal(evaluate(at(10, 1, 30) + 1).fresh, false);
  assert.deepEqual(evaluate(at(10, 9)), {
    fresh: false,
    dailyResetAt: undefined,
    idleExpiresAt: at(10, 1) + 30 * minutes,
  });
});

test("daily with an idle window: either makes a session stale", () => {
  const policy = { mode: "daily", atHour: 4, idleMinutes: 30 } as const;
  const evaluate = (updatedAt: number) => evaluateSessionFreshness({ updatedAt, now: at(10, 4, 20), policy }).fresh;
  assert.equal(evaluate(at(10, 3, 55)), false);
  assert.equal(evaluate(at(10, 4, 5)), true);
  assert.equal(evaluateSessionFreshness({ updatedAt: at(10, 5), now: at(10, 9), policy }).fresh, false);
});

test("one idle minute is a window", () => {
  const policy = { mode: "idle", atHour: 4, idleMinutes: 1 } as const;
  assert.equal(evaluateSessionFreshness({ updatedAt: 0, now: minutes + 1, policy }).fresh, false);
});

test("idleMinutes 0 is never", () => {
  const policy = { mode: "idle", atHour: 4, idleMinutes: 0 } as const;
  assert.deepEqual(evaluateSessionFreshness({ updatedAt: 1_000, now: 3_600_000, policy }), {
    fresh: true,
    dailyResetAt: undefined,
    idleExpiresAt: undefined,
  });
});

const selection = (fields: Partial<SessionEntry>) =>
  resolveResetPreservedSelection({ entry: { sessionId: "s", updatedAt: 1, ...fields } });

test("a model that the user chose survives a reset, and so does one of unknown source", () => {
  const choice = { providerOverride: "p", modelOverride: "m", agentRuntimeOverride: "r" };
  assert.deepEqual(selection({ ...choice, modelOverrideSource: "user" }), { ...choice, modelOverrideSource: "user" });
  assert.deepEqual(selection(choice), { ...choice, modelOverrideSource: "user" });
  assert.deepEqual(selection({ modelOverride: "m" }), { modelOverride: "m", modelOverrideSource: "user" });
});

test("what the gateway chose by itself does not survive a reset", () => {
  assert.deepEqual(selection({ modelOverride: "m", modelOverrideSource: "auto" }), {});
  assert.deepEqual(selection({ authProfileOverride: "a", authProfileOverrideSource: "auto" }), {});
  assert.deepEqual(selection({ authProfileOverride: "a" }), {});
  assert.deepEqual(resolveResetPreservedSelection({}), {});
});

test("an account that the user chose survives with its count", () => {
  const account = {
    authProfileOverride: "a",
    authProfileOverrideSource: "user",
    authProfileOverrideCompactionCount: 0,
  } as const;
  assert.deepEqual(selection(account), account);
});
