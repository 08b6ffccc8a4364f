/** `sessiondir import FILE`: the sessions of a bundle into a store. */

import type { Command } from "commander";
import { shortenKey } from "../../errors.js";
import { type CommonOptions, defineCommand } from "../command.js";
import { findLocation, toPlace, warnings } from "../store-access.js";
import { color, printLine, safeText } from "../terminal.js";
import {
  backendOption,
  type ConflictOptions,
  describeCounts,
  dryRunOption,
  endTransfer,
  onConflictOption,
  warnOfProblems,
  withProgress,
} from "../transfers.js";

interface ImportCommandOptions extends CommonOptions, ConflictOptions {
  freshIds?: boolean;
  dryRun?: boolean;
  backend?: string;
}

export function defineImport(program: Command): void {
  const examples = [
    "import main.jsonl --dry-run",
    "import sessions.jsonl --store new/sessions.json --on-conflict newer",
  ];
  const description = "take the sessions of a bundle into a store, which is created when there is none";
  defineCommand(program, "import <file>", description, examples, importBundle)
    .addOption(onConflictOption())
    .option("--fresh-ids", "give each session a new transcript id")
    .option(...dryRunOption)
    .option(...backendOption);
}

async function importBundle(options: ImportCommandOptions, [file]: string[]): Promise<number> {
  const { importSessions } = await import("../../transfer/import.js");
  const result = await withProgress("importing", (progress) =>
    importSessions(file!, toPlace(findLocation(options), options.backend), {
      onConflict: options.onConflict,
      freshIds: options.freshIds ?? false,
      dryRun: options.dryRun ?? false,
      onProgress: progress.update,
      logger: warnings,
    }),
  );
  return endTransfer(options, result, (isComplete) => {
    for (const warning of result.warnings) warnings.warn(warning);
    warnOfProblems("not imported", result.refused);
    for (const key of result.damagedInSource) {
      warnings.warn(`the bundle lacks ${shortenKey(key)}: it could not be read when the bundle was made`);
    }
    const counts = describeCounts(result);
    if (result.dryRun) printLine(`would import: ${counts}; nothing was changed`);
    else {
      const word = isComplete ? color.green("imported") : color.red("imported in part");
      printLine(`${word}: ${counts} (${safeText(result.target.location)})`);
    }
  });
}
