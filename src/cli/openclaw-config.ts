/**
 * The gateway's configuration, for the commands that take its flags: `--config FILE`, else OPENCLAW_CONFIG_PATH, else
 * `openclaw.json` in the state directory. JSON or JSON5; includes and variables in it are not expanded.
 *
 * A file that is there and cannot be read fails the command: with the defaults it would look at other stores than were
 * meant. A single setting of `session.maintenance` that means nothing turns its own rule off and is told: the default in
 * its place might remove more than its author wanted to keep.
 */

import path from "node:path";
import { resolveUserPath } from "../discovery/state-dir.js";
import { SessionStoreError } from "../errors.js";
import { nodePort } from "../fs/node-port.js";
import { hasCode } from "../fs/port.js";
import { readStableFile, type StableFile } from "../fs/stable-file.js";
import { parseByteSize, parseDurationMs } from "../openclaw/durations.js";
import {
  type ResolvedSessionMaintenanceConfig,
  resolveMaintenanceConfigFromInput,
} from "../openclaw/maintenance-config.js";
import { resolveStateDir } from "../openclaw/paths.js";
import { inFolderOf } from "../openclaw/single-names.js";
import type { OpenClawConfig } from "../openclaw/types.js";
import { parseLegacyText } from "../sessions/legacy-text.js";

export interface CommandConfig {
  readonly cfg: OpenClawConfig;
  /** Where it was read; undefined when there is none, and everything is a default. */
  readonly path: string | undefined;
}

const configBytesMax = 16 * 1024 * 1024;

/** `given`: the value of `--config`. */
export function loadCommandConfig(given: string | undefined): CommandConfig {
  const named = given ?? nonBlank(process.env.OPENCLAW_CONFIG_PATH);
  const configPath =
    named === undefined ? path.join(resolveStateDir(), "openclaw.json") : resolveUserPath(named, process.env);
  const found = readConfigFile(configPath);
  if (found === undefined || found.state === "missing") {
    if (named === undefined) return { cfg: {}, path: undefined };
    throw refusal(configPath, "there is no such configuration file", "Check the path.");
  }
  if (found.state !== "read") throw refusal(configPath, problemOf(found), "Put an ordinary file of your own there.");
  const text = parseLegacyText(found.bytes);
  if (text.state === "invalid") {
    const reason = text.reason.replace("an object of sessions", "an object");
    throw refusal(configPath, `the configuration ${reason}`, "Correct it, or name another one with --config.");
  }
  return { cfg: text.value as OpenClawConfig, path: configPath };
}

function nonBlank(text: string | undefined): string | undefined {
  const trimmed = text?.trim();
  return trimmed === "" ? undefined : trimmed;
}

function readConfigFile(configPath: string): StableFile | undefined {
  const port = nodePort();
  try {
    // A link to the file is common among people who keep their settings elsewhere.
    const realPath = port.realPath(configPath);
    return inFolderOf(port, realPath, (folder, name) => readStableFile(port, folder, name, configBytesMax));
  } catch (error) {
    if (hasCode(error, "ENOENT")) return undefined;
    throw refusal(configPath, error instanceof Error ? error.message : String(error), "Check the path.", error);
  }
}

function problemOf(found: Exclude<StableFile, { state: "read" | "missing" }>): string {
  if (found.state === "unsafe") return `the configuration ${found.problem}`;
  if (found.state === "changing") return "the configuration keeps changing while it is read";
  return `the configuration has ${found.sizeBytes} bytes, more than ${configBytesMax}`;
}

function refusal(configPath: string, problem: string, nextStep: string, cause?: unknown): SessionStoreError {
  const onDisk = "Nothing was changed.";
  return new SessionStoreError("invalid_option", problem, {
    operation: "read the configuration",
    path: configPath,
    onDisk,
    nextStep,
    cause,
  });
}

/** The rules of a cleanup; `warn` is told of each setting that means nothing. */
export function cleanupRules(cfg: OpenClawConfig, warn: (message: string) => void): ResolvedSessionMaintenanceConfig {
  const given: unknown = cfg.session?.maintenance;
  const rules = resolveMaintenanceConfigFromInput(cfg.session?.maintenance);
  if (typeof given !== "object" || given === null) return rules;
  const settings = given as Record<string, unknown>;
  const isWrong = (name: string, isValid: (value: unknown) => boolean, consequence: string): boolean => {
    const value = settings[name];
    if (value === undefined || isValid(value)) return false;
    warn(`session.maintenance.${name} means nothing (${JSON.stringify(value)}): ${consequence}`);
    return true;
  };
  isWrong("mode", (value) => value === "warn" || value === "enforce", 'the mode is "warn"');
  // The deprecated name counts only where the present one is absent.
  const age = settings.pruneAfter === undefined ? "pruneDays" : "pruneAfter";
  const isAge = age === "pruneDays" ? isPositiveInteger : isDuration;
  if (isWrong(age, isAge, "no session is too old")) {
    rules.pruneAfterMs = Number.POSITIVE_INFINITY;
    if (settings.resetArchiveRetention === undefined) rules.resetArchiveRetentionMs = null;
  }
  if (isWrong("maxEntries", isPositiveInteger, "there is no limit to their number")) {
    rules.maxEntries = Number.POSITIVE_INFINITY;
  }
  if (
    isWrong("resetArchiveRetention", (value) => value === false || isDuration(value), "archives of resets are kept")
  ) {
    rules.resetArchiveRetentionMs = null;
  }
  isWrong("maxDiskBytes", isSize, "there is no disk budget");
  if (isWrong("highWaterBytes", isSize, "a cleanup frees no more than the budget asks for")) {
    rules.highWaterBytes = rules.maxDiskBytes;
  }
  return rules;
}

function isPositiveInteger(value: unknown): boolean {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0;
}

function isDuration(value: unknown): boolean {
  return isParsable(value, (raw) => parseDurationMs(raw, { defaultUnit: "d" }));
}

function isSize(value: unknown): boolean {
  return isParsable(value, (raw) => parseByteSize(raw));
}

function isParsable(value: unknown, parse: (raw: string | number) => number): boolean {
  if (typeof value !== "number" && typeof value !== "string") return false;
  try {
    parse(value);
    return true;
  } catch {
    return false;
  }
}
