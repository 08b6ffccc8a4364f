/** `sessiondir migrate`: takes a legacy sessions.json over into its directory store; the original is kept. */

import type { Command } from "commander";
import { type CommonOptions, defineCommand } from "../command.js";
import { exitFailed } from "../failures.js";
import { findLocation, warnings } from "../store-access.js";
import { color, printJson, printLine, printNote, safeText, startProgress } from "../terminal.js";

interface MigrateOptions extends CommonOptions {
  dryRun?: boolean;
}

export function defineMigrate(program: Command): void {
  const examples = [
    "migrate --store agents/main/sessions/sessions.json --dry-run",
    "migrate --store agents/main/sessions/sessions.json",
  ];
  const description = "take a legacy sessions.json over; the original stays as .bak.<time>";
  defineCommand(program, "migrate", description, examples, migrate).option("--dry-run", "only say what would be done");
}

async function migrate(options: MigrateOptions): Promise<number> {
  const { migrateStore } = await import("../../migrate/migrate.js");
  const dryRun = options.dryRun ?? false;
  const progress = startProgress("migrating");
  const result = await migrateStore(findLocation(options), {
    dryRun,
    onProgress: progress.update,
    logger: warnings,
  }).finally(progress.stop);
  if (options.json) {
    printJson({ dryRun, ...result });
  } else {
    for (const warning of result.warnings) printNote(`warning: ${safeText(warning)}`);
    printLine(describe(result, dryRun));
  }
  return ["migrated", "already_directory", "skipped_empty"].includes(result.outcome) ? 0 : exitFailed;
}

interface Result {
  storePath: string;
  outcome: string;
  legacyEntries: number;
  migratedEntries: number;
  backupPath?: string | undefined;
  directoryPath: string;
}

function describe(result: Result, dryRun: boolean): string {
  const { outcome, legacyEntries, migratedEntries, storePath, directoryPath, backupPath } = result;
  switch (outcome) {
    case "migrated": {
      if (dryRun) return `would migrate ${legacyEntries} sessions into ${safeText(directoryPath)}; nothing was changed`;
      const original = backupPath === undefined ? "" : `\nThe original is ${safeText(backupPath)}.`;
      return `${color.green("migrated")} ${migratedEntries} of ${legacyEntries} sessions into ${safeText(directoryPath)}.${original}`;
    }
    case "already_directory":
      return `Nothing to do: ${safeText(directoryPath)} is a directory store already.`;
    case "skipped_empty":
      return `Nothing to do: ${safeText(storePath)} holds no session.`;
    case "missing":
      return `There is no ${safeText(storePath)}; check the path.`;
    default:
      return `${color.red("not migrated")} (${outcome}): ${safeText(storePath)} is untouched; see the warnings above.`;
  }
}
