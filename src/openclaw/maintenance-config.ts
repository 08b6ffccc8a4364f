/**
 * `session.maintenance`: what may be removed from a store, and when. Total: a value that means nothing is as if it were
 * not there, because whoever runs maintenance must never fail - or delete more - over a typing error.
 *
 * Unlike in OpenClaw from 2026.4.20 on, the mode is `warn` unless something else is asked for: nothing is deleted by
 * default.
 */

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

/** A configuration object, or the path of a configuration file. */
export type MaintenanceConfigSource = { session?: { maintenance?: SessionMaintenanceConfig } } | string;

/**
 * Of a configuration or of its file, which may be JSON5. Without either, the gateway's own file is read:
 * `OPENCLAW_CONFIG_PATH`, else `<state>/openclaw.json`. A file that is missing or wrong gives the defaults. It is read
 * anew each time; includes and variables in it are not expanded.
 */
export function resolveMaintenanceConfig(source?: MaintenanceConfigSource | null): ResolvedSessionMaintenanceConfig {
  try {
    const cfg = typeof source === "object" && source !== null ? source : readGatewayConfig(source ?? undefined);
    return resolveMaintenanceConfigFromInput(cfg?.session?.maintenance);
  } catch {
    return resolveMaintenanceConfigFromInput();
  }
}
