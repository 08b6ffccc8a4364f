/** `sessiondir import FILE`: the sessions of a bundle into a store. */

import { type Command, Option } from "commander";
import type { ConflictPolicy } from "../../transfer/session-writer.js";
import { type CommonOptions, defineCommand } from "../command.js";
import { exitFailed } from "../failures.js";
import { countOf } from "../format.js";
import { findLocation, toPlace, warnings } from "../store-access.js";
import { color, printJson, printLine, safeText, startProgress } from "../terminal.js";

interface ImportCommandOptions extends CommonOptions {
  onConflict?: ConflictPolicy;
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
    .addOption(
      new Option("--on-conflict <policy>", "when the store has a session with another content")
        .choices(["fail", "skip", "newer", "replace"])
        .default("fail"),
    )
    .option("--fresh-ids", "give each session a new transcript id")
    .option("--dry-run", "only say what would be done")
    .option("--backend <name>", "open the store with this backend, for example json");
}

async function importBundle(options: ImportCommandOptions, [file]: string[]): Promise<number> {
  const { importSessions } = await import("../../transfer/import.js");
  const progress = startProgress("importing");
  const result = await importSessions(file!, toPlace(findLocation(options), options.backend), {
    onConflict: options.onConflict,
    freshIds: options.freshIds ?? false,
    dryRun: options.dryRun ?? false,
    onProgress: progress.update,
    logger: warnings,
  }).finally(progress.stop);
  const ok = result.outcome === "complete";
  if (options.json) {
    printJson(result);
    return ok ? 0 : exitFailed;
  }
  for (const warning of result.warnings) warnings.warn(warning);
  for (const { key, message } of result.refused) warnings.warn(`not imported: ${JSON.stringify(key)}: ${message}`);
  for (const key of result.damagedInSource) {
    warnings.warn(`the bundle lacks ${JSON.stringify(key)}: it could not be read when the bundle was made`);
  }
  const counts = `${countOf(result.created, "session")} new, ${result.replaced} replaced, ${result.same} there already, ${result.skipped} left as they are`;
  if (result.dryRun) printLine(`would import: ${counts}; nothing was changed`);
  else
    printLine(
      `${ok ? color.green("imported") : color.red("imported in part")}: ${counts} (${safeText(result.target.location)})`,
    );
  return ok ? 0 : exitFailed;
}
