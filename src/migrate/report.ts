/**
 * What a gateway calls when it starts: every store of an installation is taken over, one after the other, and one line
 * says what became of them.
 *
 * Promises: a store that cannot be taken over, a place that cannot be read, even a bug never stops the others; nothing
 * is thrown but for options that make no sense. One line at most, on one level; what came from strangers (names of
 * directories, session keys) cannot break it. Does not: open stores, or keep them open.
 */

import type { DiscoveryProblem } from "../discovery/agent-folders.js";
import { resolveStateDir } from "../discovery/state-dir.js";
import { type DiscoverOptions, type Discovery, discoverSessionStores } from "../discovery/stores.js";
import { fromSystemError, SessionStoreError } from "../errors.js";
import { nodePort } from "../fs/node-port.js";
import type { Port } from "../fs/port.js";
import { checkOptions } from "../options.js";
import { checkLimits, type MigrateOptions, migrateStore } from "./migrate.js";
import type { MigrationOutcome, MigrationResult } from "./result.js";

export type { DiscoveryProblem } from "../discovery/agent-folders.js";
export type { MergeCounts, MigrationOutcome, MigrationResult } from "./migrate.js";

/** Where the line goes. */
export interface MigrationLog {
  info(message: string): void;
  warn(message: string): void;
}

/** `done` of `total` sessions of the store at `storePath`, which is number `store` (from 1) of `stores`. */
export interface MigrationProgress {
  readonly storePath: string;
  readonly store: number;
  readonly stores: number;
  readonly done: number;
  readonly total: number;
}

export interface MigrateStoresOptions extends Pick<MigrateOptions, "dryRun" | "force" | "keys" | "limits"> {
  /** Told after each session that is written. */
  readonly onProgress?: ((progress: MigrationProgress) => void) | undefined;
  /** Told after each store. */
  readonly onResult?: ((result: MigrationResult) => void) | undefined;
}

export interface MigrateSessionStoresOptions extends Omit<DiscoverOptions, "port">, MigrateStoresOptions {
  /** Gets the one line. */
  readonly log?: MigrationLog | undefined;
}

export interface MigrationReport {
  /** One for each store, sorted by path. */
  results: MigrationResult[];
  /** Places that were passed over because they cannot be read, or lead out of the state directory. */
  problems: DiscoveryProblem[];
  counts: OutcomeCounts;
  /** `undefined` when there was nothing to inspect and nothing was passed over. */
  summaryLine: string | undefined;
  /** "warn": a store is invalid or failed, or a place was passed over. */
  level: "info" | "warn";
}

/** How many stores were inspected, and how many came to each outcome. */
export type OutcomeCounts = { inspected: number } & Record<MigrationOutcome, number>;

const migrateNames = ["dryRun", "force", "keys", "limits", "onProgress", "onResult"] as const;
const optionNames = ["stateDir", "env", "configuredStorePath", "agentIds", "log", ...migrateNames] as const;

/**
 * Finds every store of a state directory (`<stateDir>/agents/<agent>/sessions/sessions.json`, and its migrated form) and
 * the configured one - a path, or a template with `{agentId}` -, and takes over what is a legacy file. A store that is
 * there already is left as it is; a legacy file beside it is merged into it.
 *
 * Call it once when a gateway starts, before anything opens a store. `log` gets one line: `info` when all is benign,
 * `warn` when a store is invalid or failed, or a place could not be read; nothing when there is no store. With `dryRun`
 * nothing is changed, and the results are those of the real run, but for the names of backups.
 *
 * Throws `invalid_option` only.
 */
export async function migrateSessionStores(options: MigrateSessionStoresOptions = {}): Promise<MigrationReport> {
  return migrateSessionStoresOnPort(nodePort(), options);
}

/** The same on any port. */
export async function migrateSessionStoresOnPort(
  port: Port,
  options: MigrateSessionStoresOptions,
): Promise<MigrationReport> {
  checkOptions(options, optionNames, "migrateSessionStores");
  checkLimits(options.limits);
  const { stores, problems } = await discover(port, options);
  const paths = stores.map((store) => store.path);
  const results = await migrateStores(port, paths, options);
  const report = makeReport(results, problems, options.dryRun ?? false);
  if (report.summaryLine !== undefined) options.log?.[report.level](report.summaryLine);
  return report;
}

/** The same for stores that are known by their paths; the caller makes sure that none is named twice. */
export async function migrateStores(
  port: Port,
  locations: readonly string[],
  options: MigrateStoresOptions,
): Promise<MigrationResult[]> {
  const results: MigrationResult[] = [];
  for (const [index, location] of locations.entries()) {
    const result = await migrateOne(port, location, options, (done, total) => {
      options.onProgress?.({ storePath: location, store: index + 1, stores: locations.length, done, total });
    });
    results.push(result);
    options.onResult?.(result);
  }
  return results;
}

async function migrateOne(
  port: Port,
  location: string,
  options: MigrateStoresOptions,
  onProgress: (done: number, total: number) => void,
): Promise<MigrationResult> {
  const { dryRun, force, keys, limits } = options;
  // What was found on the way - an interrupted rollback, say - belongs to the result: there is one line, and it is last.
  const found: string[] = [];
  const logger = { warn: (message: string) => void found.push(sentence(message)) };
  try {
    const result = await migrateStore(location, { dryRun, force, keys, limits, port, onProgress, logger });
    return found.length === 0 ? result : { ...result, warnings: [...found, ...result.warnings] };
  } catch (error) {
    const known = error instanceof SessionStoreError ? { error: { code: error.code, message: error.message } } : {};
    const warnings = [...found, `Migration failed: ${String(error)}`];
    const none = { legacyEntries: 0, migratedEntries: 0 };
    return { storePath: location, directoryPath: location, outcome: "failed", ...none, warnings, ...known };
  }
}

async function discover(port: Port, options: MigrateSessionStoresOptions): Promise<Discovery> {
  const { stateDir, env, configuredStorePath, agentIds } = options;
  try {
    return await discoverSessionStores({ stateDir, env, configuredStorePath, agentIds, port });
  } catch (error) {
    // No descriptor left, a failing disk: no store is touched, and the gateway starts and says so.
    const where = stateDir ?? resolveStateDir(env, { port });
    const { code, message } = fromSystemError(error, { operation: "look for session stores", path: where });
    return { stores: [], problems: [{ path: where, code, message }] };
  }
}

// --- the line -------------------------------------------------------------------------------------------------------

export function makeReport(
  results: readonly MigrationResult[],
  problems: readonly DiscoveryProblem[],
  dryRun: boolean,
): MigrationReport {
  const counts = countOutcomes(results);
  const isEmpty = results.length === 0 && problems.length === 0;
  return {
    results: [...results],
    problems: [...problems],
    counts,
    summaryLine: isEmpty ? undefined : oneLine(`${describeCounts(counts, dryRun)}${listIssues(results, problems)}`),
    level: counts.skipped_invalid + counts.failed + problems.length > 0 ? "warn" : "info",
  };
}

const outcomes = ["migrated", "already_directory", "skipped_empty", "skipped_invalid", "missing", "failed"] as const;

function countOutcomes(results: readonly MigrationResult[]): OutcomeCounts {
  const counts: OutcomeCounts = {
    inspected: results.length,
    migrated: 0,
    already_directory: 0,
    skipped_empty: 0,
    skipped_invalid: 0,
    missing: 0,
    failed: 0,
  };
  for (const { outcome } of results) counts[outcome] += 1;
  return counts;
}

/** The line without its issues. Programs look for it: its form stays. */
export function describeCounts(counts: OutcomeCounts, dryRun: boolean): string {
  const figures = (["inspected", ...outcomes] as const).map((name) => `${name}=${counts[name]}`);
  return `session-store migration summary${dryRun ? " (dry run)" : ""}: ${figures.join(" ")}`;
}

/** More do not help in a line of a log; `results` has them all. */
const issuesShownMax = 100;

function listIssues(results: readonly MigrationResult[], problems: readonly DiscoveryProblem[]): string {
  const issues: string[] = [];
  // Whatever did not work comes first, so that it is never among those that are not shown.
  const urgent = ({ outcome }: MigrationResult) => outcome === "skipped_invalid" || outcome === "failed";
  for (const result of [...results.filter(urgent), ...results.filter((other) => !urgent(other))]) {
    if (result.outcome === "skipped_invalid") issues.push(`${result.storePath} (invalid legacy store)`);
    for (const warning of result.warnings) issues.push(`${result.storePath} (${warning})`);
  }
  issues.unshift(...problems.map(({ path, message }) => `${path} (${message})`));
  if (issues.length === 0) return "";
  const more = issues.length > issuesShownMax ? `; and ${issues.length - issuesShownMax} more` : "";
  return `; issues: ${issues.slice(0, issuesShownMax).join("; ")}${more}`;
}

/** Control characters, line separators and characters that change the direction of text, as escapes. */
function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => {
    return `\\u{${character.codePointAt(0)!.toString(16)}}`;
  });
}

function sentence(text: string): string {
  const begun = `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}
