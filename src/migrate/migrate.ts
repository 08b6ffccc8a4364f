/**
 * `sessiondir migrate` for one store: an outcome instead of an exception, so that one bad store never stops the others,
 * and a dry run that goes the same way as far as nothing is changed.
 */

import { parseStoreLocation, type StoreLocation } from "../backends/directory/layout.js";
import { StoreFiles } from "../backends/directory/store-files.js";
import type { KeyRule, Logger } from "../contract.js";
import { SessionStoreError } from "../errors.js";
import { nodePort } from "../fs/node-port.js";
import type { Port } from "../fs/port.js";
import { defaultLimits, type Limits } from "../limits.js";
import { invalidOption } from "../options.js";
import type { LegacySessions } from "./legacy-content.js";
import type { Fingerprint } from "./legacy-file.js";
import { finishTakeOver, predictSetAside } from "./original.js";
import { emptyResult, type MigrationResult } from "./result.js";
import * as takeOver from "./take-over.js";

export type { MigrationOutcome, MigrationResult } from "./result.js";

export interface MigrateOptions {
  /** Only say what would happen; touches nothing. */
  readonly dryRun?: boolean | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly logger?: Logger | undefined;
  /** How keys are normalised; fixed once the store is made. Default: "openclaw". */
  readonly keys?: KeyRule | undefined;
  readonly limits?: Partial<Limits> | undefined;
  readonly port?: Port | undefined;
}

/** Takes the legacy file at `location` over (the path of the `*.json` file, or of the `*.d` directory beside it). */
export async function migrateStore(location: string, options: MigrateOptions = {}): Promise<MigrationResult> {
  const place = location.includes("\0") ? undefined : parseStoreLocation(location);
  if (place === undefined) {
    throw invalidOption("migrate", `${JSON.stringify(location)} is neither a *.json file nor a *.d directory`);
  }
  const port = options.port ?? nodePort();
  try {
    const result = await migrate(port, place, options);
    if (result.outcome === "migrated" && !options.dryRun) {
      options.logger?.info?.(`took ${result.migratedEntries} sessions over from ${result.storePath}`);
    }
    return result;
  } catch (error) {
    return failed(error, place);
  }
}

async function migrate(port: Port, location: StoreLocation, options: MigrateOptions): Promise<MigrationResult> {
  const rules = {
    keyRule: options.keys ?? "openclaw",
    limits: { ...defaultLimits, ...options.limits },
    onProgress: options.onProgress,
  } as const;
  const seen = takeOver.inspectWithoutLock(port, location, rules);
  if (seen.state === "directory") return await visitDirectory(port, location, options.dryRun ?? false);
  if (seen.state === "missing") return emptyResult(location, "missing");
  if (seen.state === "empty") return emptyResult(location, "skipped_empty");
  if (seen.state === "invalid") throw takeOver.invalidLegacy(seen, location);
  if (options.dryRun) return predict(port, location, seen);
  return await takeOver.takeOver(port, location, rules, seen, { whenNothing: "leave" });
}

function predict(port: Port, location: StoreLocation, legacy: LegacySessions & Fingerprint): MigrationResult {
  const parent = port.openRoot(location.parentPath);
  try {
    takeOver.checkFreeSpace(port, parent, location, legacy);
  } finally {
    port.closeDirectory(parent);
  }
  const result = emptyResult(location, "migrated");
  return { ...result, ...takeOver.figuresOf(legacy), warnings: takeOver.warningsOf(legacy) };
}

/** There is something at the store's place: it must be a store, and an interrupted take-over is finished. */
async function visitDirectory(port: Port, location: StoreLocation, dryRun: boolean): Promise<MigrationResult> {
  const files = StoreFiles.open(port, location, true);
  try {
    const { manifest } = files;
    const result = emptyResult(location, "already_directory");
    if (manifest.migration !== null) {
      result.legacyEntries = manifest.migration.sourceEntries;
      result.migratedEntries = manifest.migration.migratedEntries;
    }
    const planned = dryRun ? predictSetAside(port, files.parent, location, manifest) : undefined;
    const done = planned === undefined ? await finishTakeOver(port, location, manifest) : planned;
    if (done === "rename") return result;
    if (done.backupPath !== undefined) result.backupPath = done.backupPath;
    if (done.warning !== undefined) result.warnings.push(done.warning);
    return result;
  } finally {
    files.close();
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
