/**
 * `session.maintenance`: what may be removed from a store, and when. Total: whoever runs maintenance must never fail over
 * a typing error.
 *
 * - `resolveMaintenanceConfigFromInput` is as in OpenClaw: a value that means nothing is as if it were not there. There a
 *   schema refuses such a configuration before it comes so far.
 * - Here nothing stands before the configuration that `resolveMaintenanceConfig` reads. So in it a setting that means
 *   nothing turns its own rule off: the default in its place might remove what its author wanted to keep.
 *
 * Unlike in OpenClaw from 2026.4.20 on, the mode is `warn` unless something else is asked for: nothing is deleted by
 * default.
 */

import { closestName } from "../options.js";
import { parseByteSize, parseDurationMs } from "./durations.js";
import { readGatewayConfig } from "./gateway-config.js";
import type { SessionMaintenanceConfig } from "./types.js";

export type SessionMaintenanceMode = "warn" | "enforce";

export interface ResolvedSessionMaintenanceConfig {
  mode: SessionMaintenanceMode;
  pruneAfterMs: number;
  maxEntries: number;
  rotateBytes: number;
  /** Null: archives of resets stay for ever. */
  resetArchiveRetentionMs: number | null;
  /** Null: there is no budget. */
  maxDiskBytes: number | null;
  /** What a cleanup frees down to; null without a budget. */
  highWaterBytes: number | null;
}

const dayMs = 86_400_000;
const pruneAfterMsDefault = 30 * dayMs;
const maxEntriesDefault = 500;
const rotateBytesDefault = 10 * 1024 * 1024;
const highWaterShare = 0.8;

/** Pure. `undefined` gives the defaults: warn, 30 days, 500 entries, 10 MiB, no budget. */
export function resolveMaintenanceConfigFromInput(
  maintenance?: SessionMaintenanceConfig | null,
): ResolvedSessionMaintenanceConfig {
  const given: SessionMaintenanceConfig = typeof maintenance === "object" && maintenance !== null ? maintenance : {};
  const pruneAfterMs = days(given.pruneAfter ?? positiveInteger(given.pruneDays)) ?? pruneAfterMsDefault;
  const maxDiskBytes = bytes(given.maxDiskBytes) ?? null;
  return {
    mode: given.mode === "enforce" ? "enforce" : "warn",
    pruneAfterMs,
    maxEntries: positiveInteger(given.maxEntries) ?? maxEntriesDefault,
    rotateBytes: bytes(given.rotateBytes) ?? rotateBytesDefault,
    resetArchiveRetentionMs:
      given.resetArchiveRetention === false ? null : (days(given.resetArchiveRetention) ?? pruneAfterMs),
    maxDiskBytes,
    highWaterBytes: maxDiskBytes === null ? null : highWater(maxDiskBytes, given.highWaterBytes),
  };
}

function highWater(maxDiskBytes: number, given: unknown): number {
  const byDefault = Math.max(1, Math.floor(maxDiskBytes * highWaterShare));
  return Math.min(maxDiskBytes, bytes(given) ?? byDefault);
}

/** A bare number is days. */
function days(value: unknown): number | undefined {
  return parsed(value, (raw) => parseDurationMs(raw, { defaultUnit: "d" }));
}

function bytes(value: unknown): number | undefined {
  return parsed(value, (raw) => parseByteSize(raw));
}

function parsed(value: unknown, parse: (raw: string | number) => number): number | undefined {
  if (typeof value !== "number" && (typeof value !== "string" || value.trim() === "")) return undefined;
  try {
    return parse(value);
  } catch {
    return undefined;
  }
}

function positiveInteger(value: unknown): number | undefined {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0 ? value : undefined;
}

const settingNames = [
  "mode",
  "pruneAfter",
  "pruneDays",
  "maxEntries",
  "rotateBytes",
  "resetArchiveRetention",
  "maxDiskBytes",
  "highWaterBytes",
] as const satisfies readonly (keyof SessionMaintenanceConfig)[];

type SettingName = (typeof settingNames)[number];

/**
 * The same for a configuration that nobody has checked: a setting that means nothing, or whose name is misspelt, turns
 * its own rule off, and `warn` is told of it.
 */
export function resolveMaintenanceRules(
  given: unknown,
  warn: (message: string) => void,
): ResolvedSessionMaintenanceConfig {
  const rules = resolveMaintenanceConfigFromInput(given as SessionMaintenanceConfig | undefined);
  if (typeof given !== "object" || given === null) return rules;
  const settings = given as Record<string, unknown>;
  const misspelt = misspeltNames(settings, warn);
  const isOff = (name: SettingName, isValid: (value: unknown) => boolean, consequence: string): boolean => {
    const value = settings[name];
    const wrongName = misspelt.get(name);
    if (value === undefined && wrongName !== undefined) {
      warn(`${noSetting(wrongName, name)}: ${consequence}`);
      return true;
    }
    if (value === undefined || isValid(value)) return false;
    warn(`session.maintenance.${name} means nothing (${shown(value)}): ${consequence}`);
    return true;
  };
  isOff("mode", (value) => value === "warn" || value === "enforce", 'the mode is "warn"');
  // The deprecated name counts only where the present one is absent.
  const isByDays = settings.pruneAfter === undefined && !misspelt.has("pruneAfter");
  const isTooOldOff = isByDays
    ? isOff("pruneDays", isPositiveInteger, "no session is too old")
    : isOff("pruneAfter", isDuration, "no session is too old");
  if (isTooOldOff) {
    rules.pruneAfterMs = Number.POSITIVE_INFINITY;
    if (settings.resetArchiveRetention === undefined) rules.resetArchiveRetentionMs = null;
  }
  if (isOff("maxEntries", isPositiveInteger, "there is no limit to their number")) {
    rules.maxEntries = Number.POSITIVE_INFINITY;
  }
  const isRetention = (value: unknown) => value === false || isDuration(value);
  if (isOff("resetArchiveRetention", isRetention, "archives of resets are kept")) rules.resetArchiveRetentionMs = null;
  isOff("maxDiskBytes", isSize, "there is no disk budget");
  if (isOff("highWaterBytes", isSize, "a cleanup frees no more than the budget asks for")) {
    rules.highWaterBytes = rules.maxDiskBytes;
  }
  isOff("rotateBytes", isSize, "the default counts");
  return rules;
}

/** By the setting that was probably meant; one that is set as well is passed over, and so is what resembles none. */
function misspeltNames(settings: Record<string, unknown>, warn: (message: string) => void): Map<string, string> {
  const misspelt = new Map<string, string>();
  for (const name of Object.keys(settings)) {
    if ((settingNames as readonly string[]).includes(name) || settings[name] === undefined) continue;
    const meant = closestName(name, settingNames);
    if (meant === undefined || settings[meant] !== undefined) warn(`${noSetting(name, meant)}: it is passed over`);
    else misspelt.set(meant, name);
  }
  return misspelt;
}

function noSetting(name: string, meant: string | undefined): string {
  const hint = meant === undefined ? "" : ` (did you mean ${JSON.stringify(meant)}?)`;
  return `session.maintenance has no setting ${shown(name)}${hint}`;
}

function shown(value: unknown): string {
  return JSON.stringify(value).slice(0, 80);
}

function isPositiveInteger(value: unknown): boolean {
  return positiveInteger(value) !== undefined;
}

function isDuration(value: unknown): boolean {
  return days(value) !== undefined;
}

function isSize(value: unknown): boolean {
  return bytes(value) !== undefined;
}

/** A configuration object, or the path of a configuration file. */
export type MaintenanceConfigSource = { session?: { maintenance?: SessionMaintenanceConfig } } | string;

/**
 * Of a configuration or of its file, which may be JSON5. Without either, the gateway's own file is read:
 * `OPENCLAW_CONFIG_PATH`, else `<state>/openclaw.json`. A file that is missing or wrong gives the defaults; a
 * setting in it that means nothing turns its own rule off, and `warn` is told. It is read anew each time; includes and
 * variables in it are not expanded.
 */
export function resolveMaintenanceConfig(
  source?: MaintenanceConfigSource | null,
  warn: (message: string) => void = () => {},
): ResolvedSessionMaintenanceConfig {
  try {
    const cfg = typeof source === "object" && source !== null ? source : readGatewayConfig(source ?? undefined);
    return resolveMaintenanceRules(cfg?.session?.maintenance, warn);
  } catch {
    return resolveMaintenanceConfigFromInput();
  }
}
