/**
 * When a session starts anew by itself: at a local hour of the day, or after a time without activity. Pure; the time is
 * a parameter. The local hour follows the time zone of the process, also over its changes between summer and winter.
 */

import { normalizeMessageChannel } from "./channel-names.js";
import { DEFAULT_IDLE_MINUTES } from "./entry.js";
import { ownValue } from "./prototype-keys.js";
import { normalizeLowercaseStringOrEmpty, normalizeOptionalString } from "./strings.js";
import { parseSessionThreadInfo } from "./thread-info.js";
import type { SessionConfig, SessionResetConfig, SessionResetMode, SessionResetType } from "./types.js";

export type { SessionResetMode, SessionResetType } from "./types.js";

export const DEFAULT_RESET_MODE: SessionResetMode = "daily";
/** Local hour. */
export const DEFAULT_RESET_AT_HOUR = 4;

type ResetSettings = Pick<SessionConfig, "reset" | "resetByType" | "resetByChannel" | "idleMinutes">;

export interface SessionResetPolicy {
  mode: SessionResetMode;
  atHour: number;
  /** 0 is never. With mode `daily`, absent unless configured. */
  idleMinutes?: number;
  /** False: nothing was configured, these are the defaults. */
  configured?: boolean;
}

export interface SessionFreshness {
  fresh: boolean;
  /** The last daily boundary, milliseconds since 1970. */
  dailyResetAt?: number;
  idleExpiresAt?: number;
}

/** True for a key that names a thread, or a topic by the grammar of its channel. */
export function isThreadSessionKey(sessionKey?: string | null): boolean {
  return parseSessionThreadInfo(sessionKey).threadId !== undefined;
}

/** The kind of a session as far as resets go. A thread inside a group is a thread. */
export function resolveSessionResetType(params: {
  sessionKey?: string | null;
  isGroup?: boolean;
  isThread?: boolean;
}): SessionResetType {
  if (params.isThread === true || isThreadSessionKey(params.sessionKey)) return "thread";
  const key = normalizeLowercaseStringOrEmpty(params.sessionKey);
  return params.isGroup === true || key.includes(":group:") || key.includes(":channel:") ? "group" : "direct";
}

/** True when anything about a message says that it belongs to a thread. */
export function resolveThreadFlag(params: {
  sessionKey?: string | null;
  messageThreadId?: string | number | null;
  threadLabel?: string | null;
  threadStarterBody?: string | null;
  parentSessionKey?: string | null;
}): boolean {
  const { messageThreadId } = params;
  return (
    typeof messageThreadId === "number" ||
    [messageThreadId, params.threadLabel, params.threadStarterBody, params.parentSessionKey].some(
      (sign) => normalizeOptionalString(sign) !== undefined,
    ) ||
    isThreadSessionKey(params.sessionKey)
  );
}

/** The last local `atHour` o'clock that is not after `now`, milliseconds since 1970. */
export function resolveDailyResetAtMs(now: number, atHour: number): number {
  const boundary = new Date(now);
  boundary.setHours(normalizeHour(atHour), 0, 0, 0);
  if (boundary.getTime() > now) boundary.setDate(boundary.getDate() - 1);
  return boundary.getTime();
}

function normalizeHour(atHour: unknown): number {
  if (typeof atHour !== "number" || !Number.isFinite(atHour)) return DEFAULT_RESET_AT_HOUR;
  return Math.min(23, Math.max(0, Math.floor(atHour)));
}

/**
 * The policy for a session. Each field comes from the first that has it: the channel's override, which stands alone; or
 * else the setting for the type (`dm` for `direct` in older files), the general one, and the older `idleMinutes`,
 * which by itself means mode `idle`.
 */
export function resolveSessionResetPolicy(params: {
  sessionCfg?: ResetSettings;
  resetType: SessionResetType;
  resetOverride?: SessionResetConfig;
}): SessionResetPolicy {
  const { sessionCfg, resetOverride } = params;
  const settings = resetOverride !== undefined ? [resetOverride] : configuredResets(sessionCfg, params.resetType);
  const olderIdleMinutes = resetOverride === undefined ? sessionCfg?.idleMinutes : undefined;
  const isOlderOnly = typeof olderIdleMinutes === "number" && settings.length === 0 && !sessionCfg?.resetByType;
  const mode = first(settings, "mode") ?? (isOlderOnly ? "idle" : DEFAULT_RESET_MODE);
  const idleMinutes = first(settings, "idleMinutes") ?? olderIdleMinutes;
  return {
    mode,
    atHour: normalizeHour(first(settings, "atHour")),
    idleMinutes: normalizeIdleMinutes(idleMinutes) ?? (mode === "idle" ? DEFAULT_IDLE_MINUTES : undefined),
    configured: settings.length > 0 || olderIdleMinutes !== undefined,
  };
}

function configuredResets(sessionCfg: ResetSettings | undefined, type: SessionResetType): SessionResetConfig[] {
  const byType = sessionCfg?.resetByType;
  const forType = byType?.[type] ?? (type === "direct" ? byType?.dm : undefined);
  return [forType, sessionCfg?.reset].filter((setting) => setting !== undefined && setting !== null);
}

function first<Name extends keyof SessionResetConfig>(
  settings: readonly SessionResetConfig[],
  name: Name,
): SessionResetConfig[Name] {
  return settings.find((setting) => setting[name] !== undefined && setting[name] !== null)?.[name];
}

function normalizeIdleMinutes(minutes: unknown): number | undefined {
  if (typeof minutes !== "number" || !Number.isFinite(minutes)) return undefined;
  return Math.max(0, Math.floor(minutes));
}

/** The setting of a channel, found by any of its names. */
export function resolveChannelResetConfig(params: {
  sessionCfg?: ResetSettings;
  channel?: string | null;
}): SessionResetConfig | undefined {
  const byChannel = params.sessionCfg?.resetByChannel;
  const name = normalizeMessageChannel(params.channel);
  if (byChannel === undefined || name === undefined) return undefined;
  const written = Object.keys(byChannel).find((channel) => normalizeMessageChannel(channel) === name);
  return written === undefined ? undefined : ownValue(byChannel, written);
}

/**
 * Whether a session goes on. It does not when its last activity lies before the last daily boundary (mode `daily`), or
 * longer ago than `idleMinutes` (either mode).
 */
export function evaluateSessionFreshness(params: {
  updatedAt: number;
  now: number;
  policy: SessionResetPolicy;
}): SessionFreshness {
  const { updatedAt, now, policy } = params;
  const dailyResetAt = policy.mode === "daily" ? resolveDailyResetAtMs(now, policy.atHour) : undefined;
  const idleMinutes = policy.idleMinutes ?? 0;
  const idleExpiresAt = idleMinutes > 0 ? updatedAt + idleMinutes * 60_000 : undefined;
  const isStale =
    (dailyResetAt !== undefined && updatedAt < dailyResetAt) || (idleExpiresAt !== undefined && now > idleExpiresAt);
  return { fresh: !isStale, dailyResetAt, idleExpiresAt };
}
