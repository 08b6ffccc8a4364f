/**
 * `sessiondir migrate` for one store: an outcome instead of an exception, so that one bad store never stops the others,
 * and a dry run that says exactly what the real run does, without changing anything.
 */

import type { DirectoryBackend } from "../backends/directory/backend.js";
import { parseStoreLocation, type StoreLocation } from "../backends/directory/layout.js";
import type { Provenance } from "../backends/directory/manifest.js";
import { StoreFiles } from "../backends/directory/store-files.js";
import type { KeyRule, Logger } from "../contract.js";
import { SessionStoreError } from "../errors.js";
import { nodePort } from "../fs/node-port.js";
import { type Directory, hasCode, type Port } from "../fs/port.js";
import { defaultLimits, type Limits, limitCaps } from "../limits.js";
import { checkOptions, invalidOption, shownLocation } from "../options.js";
import { countOf, describeSessions, type LegacySessions } from "./legacy-content.js";
import { type Fingerprint, inspectLegacyFile } from "./legacy-file.js";
import {
  knownContents,
  type MergeOutcome,
  type MergeTarget,
  mergeLegacyFile,
  openForMerge,
  predictMerge,
  targetOf,
} from "./merge.js";
import { takenOf } from "./merge-plan.js";
import { readOpenClawDirectory } from "./openclaw-directory.js";
import { emptyResult, type MigrationResult } from "./result.js";
import { openPastFence, predictSettling } from "./rollback-recovery.js";
import { markerTimeMs, rolledBack, type Survey, survey } from "./survey.js";
import * as takeOver from "./take-over.js";

export type { MergeCounts, MigrationOutcome, MigrationResult } from "./result.js";

export interface MigrateOptions {
  /** Only say what would happen; touches nothing. */
  readonly dryRun?: boolean | undefined;
  /** Also take over what a rollback left; the rollback's marker is renamed aside. */
  readonly force?: boolean | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly logger?: Logger | undefined;
  /** How keys are normalised; fixed once the store is made. Default: "openclaw". */
  readonly keys?: KeyRule | undefined;
  readonly limits?: Partial<Limits> | undefined;
  readonly port?: Port | undefined;
}

const optionNames = ["dryRun", "force", "onProgress", "logger", "keys", "limits", "port"] as const;

/**
 * Takes over what lies at `location` (the path of the `*.json` file, or of the `*.d` directory beside it): a legacy
 * file, a directory in OpenClaw's layout, or both. Beside a store that is there already, a legacy file is merged into it.
 *
 * Throws only for options and locations that make no sense; everything else is an outcome. A store that was rolled back
 * is not taken over without `force`: the outcome is "failed" with the code `legacy_store`, and nothing is changed.
 */
export async function migrateStore(location: string, options: MigrateOptions = {}): Promise<MigrationResult> {
  checkOptions(options, optionNames, "migrate");
  const place = location.includes("\0") ? undefined : parseStoreLocation(location);
  if (place === undefined) {
    throw invalidOption("migrate", `${shownLocation(location)} is neither a *.json file nor a *.d directory`);
  }
  const run: Run = {
    port: options.port ?? nodePort(),
    location: place,
    dryRun: options.dryRun ?? false,
    force: options.force ?? false,
    rules: {
      keyRule: options.keys ?? "openclaw",
      limits: checkLimits(options.limits),
      onProgress: options.onProgress,
    },
  };
  try {
    const fenceOptions = { readOnly: run.dryRun, limits: run.rules.limits, logger: options.logger };
    const result = await openPastFence(run.port, place, fenceOptions, () => migrate(run));
    if (result.outcome === "migrated" && !run.dryRun) {
      const many = countOf(result.migratedEntries, "session", "sessions");
      options.logger?.info?.(`took ${many} over from ${result.storePath}`, { backupPath: result.backupPath });
    }
    return result;
  } catch (error) {
    return failed(error, place);
  }
}

export function checkLimits(given: Partial<Limits> | undefined, operation = "migrate"): Readonly<Limits> {
  const names = Object.keys(defaultLimits) as (keyof Limits)[];
  checkOptions(given, names, `${operation}, limits`);
  const limits: Limits = { ...defaultLimits, ...given };
  for (const name of names) {
    if (typeof limits[name] === "number" && limits[name] >= 0 && limits[name] <= limitCaps[name]) continue;
    throw invalidOption(operation, `the option limits.${name} is a number from 0 to ${limitCaps[name]}`);
  }
  return limits;
}

interface Run {
  readonly port: Port;
  readonly location: StoreLocation;
  readonly dryRun: boolean;
  readonly force: boolean;
  readonly rules: takeOver.TakeOverOptions;
}

async function migrate(run: Run): Promise<MigrationResult> {
  const { port, location, rules } = run;
  const seen = survey(port, location, rules);
  const { place, legacy } = seen;
  if (place.state === "store" || legacy.state === "not_looked_at") return await visitStore(run, location);
  if (seen.rolledBackMs !== undefined && !run.force) throw rolledBack(location, seen.rolledBackMs);
  if (place.state === "ready") return await finish(run, place.name);
  if (place.state === "openclaw") {
    // Also before the real run: what is refused is refused before a lock file is made.
    const predicted = await predictImport(run, seen);
    if (run.dryRun || predicted.outcome !== "migrated") return predicted;
  } else {
    if (legacy.state === "missing")
      return { ...emptyResult(location, "missing"), warnings: takeOver.leftAlone(place, location) };
    if (legacy.state === "empty") return emptyResult(location, "skipped_empty");
    if (legacy.state === "invalid") throw takeOver.invalidLegacy(legacy, location);
    const predicted = predict(run, seen, legacy);
    if (run.dryRun) return predicted;
  }
  const started = place.state === "openclaw" ? ({ state: "missing" } as const) : legacy;
  const mode = { whenNothing: "leave", force: run.force } as const;
  let lateBackup: string | undefined;
  const onLateWrite = (name: string) => {
    lateBackup = name;
  };
  const result = await takeOver.takeOver(port, location, { ...rules, onLateWrite }, started, mode);
  // Somebody else was faster, or the file was written to meanwhile, or lies beside a directory that was imported.
  if (result.outcome === "already_directory") return await visitStore(run, location);
  return result.outcome === "migrated" ? await visitStore(run, location, result, lateBackup) : result;
}

// --- there is a store -----------------------------------------------------------------------------------------------

/** The store must be one that can be opened; a legacy file beside it is merged. `made`: it came from there just now. */
async function visitStore(
  run: Run,
  location: StoreLocation,
  made?: MigrationResult,
  lateBackup?: string,
): Promise<MigrationResult> {
  const { port, rules } = run;
  const [result, isAlone] = inStore(port, location, ({ manifest, parent }) => [
    made ?? alreadyThere(location, manifest.migration),
    port.statName(parent, location.legacyName) === undefined,
  ]);
  if (isAlone && lateBackup === undefined) return result;
  let backend: DirectoryBackend;
  try {
    backend = await openForMerge(port, location, rules.limits, run.dryRun);
  } catch (error) {
    if (!run.dryRun || !hasCode(error, "store_fenced")) throw error;
    return predictBehindFence(run, location, result);
  }
  try {
    if (!run.dryRun) return withMerge(result, await mergeLegacyFile(port, backend, location, { ...rules, lateBackup }));
    const known = knownContents(backend.readManifest());
    return withMerge(result, await predictBeside(run, targetOf(backend), known));
  } finally {
    await backend.close();
  }
}

/** The real run settles an interrupted rollback first. With its file in place, that is the store, and has a marker. */
function predictBehindFence(run: Run, location: StoreLocation, result: MigrationResult): MigrationResult {
  const { port, rules } = run;
  const settling = predictSettling(port, location, rules.limits);
  if (settling !== "finished") {
    return { ...result, warnings: [...result.warnings, "A rollback that was interrupted is undone first."] };
  }
  if (!run.force) throw inParent(run, (parent) => rolledBack(location, markerTimeMs(port, parent, location)));
  const legacy = inParent(run, (parent) => inspectLegacyFile(port, parent, location.legacyName, rules));
  if (legacy.state === "missing") return emptyResult(location, "missing");
  if (legacy.state === "empty") return emptyResult(location, "skipped_empty");
  if (legacy.state === "invalid") throw takeOver.invalidLegacy(legacy, location);
  return predict(run, { place: { state: "free" }, legacy, rolledBackMs: undefined }, legacy);
}

function alreadyThere(location: StoreLocation, migration: Provenance | null): MigrationResult {
  const result = emptyResult(location, "already_directory");
  if (migration === null) return result;
  return { ...result, legacyEntries: migration.sourceEntries, migratedEntries: migration.migratedEntries };
}

function withMerge(result: MigrationResult, merged: MergeOutcome): MigrationResult {
  const next: MigrationResult = { ...result, warnings: [...result.warnings, ...merged.warnings] };
  if (merged.backupPath !== undefined) next.backupPath = merged.backupPath;
  if (merged.state !== "merged") return next;
  next.merge = merged.counts;
  if (result.outcome === "migrated") {
    next.legacyEntries += merged.legacyEntries;
    next.migratedEntries += merged.counts.added;
  } else if (takenOf(merged.counts) > 0) {
    next.outcome = "migrated";
    next.legacyEntries = merged.legacyEntries;
    next.migratedEntries = takenOf(merged.counts);
  }
  return next;
}

/** Somebody died when the store was complete but not in its place yet. */
async function finish(run: Run, readyName: string): Promise<MigrationResult> {
  const { port, location, rules } = run;
  const asIfThere = { ...location, directoryName: readyName };
  const migration = inStore(port, asIfThere, ({ manifest }) => manifest.migration);
  const made = alreadyThere(location, migration);
  if (migration !== null) made.outcome = "migrated";
  if (!run.dryRun) {
    await takeOver.takeOver(port, location, rules, { state: "missing" }, { whenNothing: "leave", force: run.force });
    return await visitStore(run, location, made);
  }
  const result = await visitStore(run, asIfThere, made);
  return result;
}

// --- dry runs -------------------------------------------------------------------------------------------------------

function predict(run: Run, { place }: Survey, legacy: LegacySessions & Fingerprint): MigrationResult {
  inParent(run, (parent) => {
    takeOver.checkFreeSpace(run.port, parent, run.location, legacy);
    run.port.requireWritable?.(parent);
  });
  const result = emptyResult(run.location, "migrated");
  const warnings = [...takeOver.describePlace(place, run.location), ...describeSessions(legacy)];
  return { ...result, ...takeOver.figuresOf(legacy), warnings };
}

async function predictImport(run: Run, { place, legacy }: Survey): Promise<MigrationResult> {
  const { port, location, rules } = run;
  const store = inParent(run, (parent) => {
    const found = readOpenClawDirectory(port, parent, location, rules);
    if (found.state === "invalid") throw takeOver.invalidDirectory(found, location);
    if (found.state !== "valid") return found;
    takeOver.checkFreeSpace(port, parent, location, found);
    port.requireWritable?.(parent);
    return found;
  });
  if (store.state === "empty") return emptyResult(location, "skipped_empty");
  const warnings = [...takeOver.describePlace(place, location), ...describeSessions(store)];
  const result = { ...emptyResult(location, "migrated"), ...takeOver.figuresOf(store), warnings };
  if (legacy.state === "missing") return result;
  const target: MergeTarget = {
    read: async () => new Map([...store.entries].map(([key, entry]) => [key, { entry }])),
    removals: async () => new Map(),
  };
  return withMerge(result, await predictBeside(run, target, [store]));
}

async function predictBeside(run: Run, target: MergeTarget, known: readonly Fingerprint[]): Promise<MergeOutcome> {
  const { port, location, rules } = run;
  const parent = port.openRoot(location.parentPath);
  try {
    return await predictMerge(port, parent, location, target, rules, known);
  } finally {
    port.closeDirectory(parent);
  }
}

function inStore<Result>(port: Port, location: StoreLocation, work: (files: StoreFiles) => Result): Result {
  const files = StoreFiles.open(port, location, true);
  try {
    return work(files);
  } finally {
    files.close();
  }
}

function inParent<Result>({ port, location }: Run, work: (parent: Directory) => Result): Result {
  const parent = port.openRoot(location.parentPath);
  try {
    return work(parent);
  } finally {
    port.closeDirectory(parent);
  }
}

/** Errors of ours and of the system become an outcome; anything else is a bug and is thrown on. */
function failed(error: unknown, location: StoreLocation): MigrationResult {
  const known = takeOver.fromTakeOver(error, location);
  if (!(known instanceof SessionStoreError)) throw known;
  const outcome = known.code === "invalid_legacy" ? "skipped_invalid" : "failed";
  const result = emptyResult(location, outcome);
  return { ...result, warnings: [known.message], error: { code: known.code, message: known.message } };
}
