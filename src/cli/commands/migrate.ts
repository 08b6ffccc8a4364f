/** `sessiondir migrate`: takes a legacy sessions.json over into its directory store; the original is kept. */

import type { Command } from "commander";
import { SessionStoreError } from "../../errors.js";
import type { MigrationResult } from "../../migrate/result.js";
import { type CommonOptions, defineCommand } from "../command.js";
import { exitFailed, reportFailure } from "../failures.js";
import { findLocation, warnings } from "../store-access.js";
import { color, printJson, printLine, safeText, startProgress } from "../terminal.js";

interface MigrateOptions extends CommonOptions {
  dryRun?: boolean;
  force?: boolean;
}

export function defineMigrate(program: Command): void {
  const examples = [
    "migrate --store agents/main/sessions/sessions.json --dry-run",
    "migrate --store agents/main/sessions/sessions.json",
  ];
  const description = "take a legacy sessions.json over; the original stays as .bak.<time>";
  defineCommand(program, "migrate", description, examples, migrate)
    .option("--dry-run", "only say what would be done")
    .option("--force", "also when the store was rolled back");
}

async function migrate(options: MigrateOptions): Promise<number> {
  const { migrateStore } = await import("../../migrate/migrate.js");
  const dryRun = options.dryRun ?? false;
  const progress = startProgress("migrating");
  const result = await migrateStore(findLocation(options), {
    dryRun,
    force: options.force ?? false,
    onProgress: progress.update,
    logger: warnings,
  }).finally(progress.stop);
  const done = ["migrated", "already_directory", "skipped_empty"].includes(result.outcome);
  if (options.json) {
    printJson({ dryRun, ...result });
  } else if (done) {
    for (const warning of result.warnings) warnings.warn(warning);
    printLine(describe(result, dryRun));
  } else {
    reportFailure(asError(result), false);
  }
  return done ? 0 : exitFailed;
}

function asError({ error, storePath }: MigrationResult): SessionStoreError {
  if (error !== undefined) return new SessionStoreError(error.code, error.message);
  return new SessionStoreError("store_missing", "there is neither a legacy file nor a store", {
    operation: "migrate",
    path: storePath,
    nextStep: "Check the path.",
  });
}

function describe(result: MigrationResult, dryRun: boolean): string {
  const { outcome, legacyEntries, migratedEntries, storePath, directoryPath, backupPath, displacedPath } = result;
  const place = safeText(directoryPath);
  if (outcome === "already_directory" && backupPath === undefined)
    return `Nothing to do: ${place} is a directory store already.`;
  if (outcome === "skipped_empty")
    return `Nothing to do: ${safeText(storePath)} holds no session. A gateway that opens it gets an empty store.`;
  if (dryRun) return `would migrate ${migratedEntries} of ${legacyEntries} sessions into ${place}; nothing was changed`;
  const done =
    outcome === "already_directory"
      ? `${place} is a directory store already; a legacy file beside it held nothing new.`
      : `${color.green("migrated")} ${migratedEntries} of ${legacyEntries} sessions into ${place}.`;
  const original = backupPath === undefined ? "" : `\nThe original is ${safeText(backupPath)}.`;
  const displaced = displacedPath === undefined ? "" : `\nThe directory that was there is ${safeText(displacedPath)}.`;
  return `${done}${original}${displaced}`;
}
