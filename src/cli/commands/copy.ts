/** `sessiondir copy SOURCE TARGET`: a store into another one, verified by count and content hash. */

import { type Command, Option } from "commander";
import { type CommonOptions, definePlainCommand } from "../command.js";
import { exitFailed } from "../failures.js";
import { countOf } from "../format.js";
import { toPlace, warnings } from "../store-access.js";
import { color, printJson, printLine, safeText, startProgress } from "../terminal.js";

interface CopyCommandOptions extends CommonOptions {
  dryRun?: boolean;
  overwrite?: boolean;
  newer?: boolean;
  allowEmpty?: boolean;
  sourceBackend?: string;
  targetBackend?: string;
}

export function defineCopy(program: Command): void {
  const examples = [
    "copy agents/main/sessions/sessions.d /mnt/new/sessions.d --dry-run",
    "copy agents/main/sessions/sessions.d /mnt/new/sessions.d",
  ];
  const description = "copy a store into another one and verify it; run it again to go on after an interruption";
  definePlainCommand(program, "copy <source> <target>", description, examples, copy)
    .option("--dry-run", "only say what would be done")
    .addOption(
      new Option("--overwrite", "write over sessions of the target that differ (default: report them)").conflicts(
        "newer",
      ),
    )
    .option("--newer", "write over sessions of the target that are older")
    .option("--allow-empty", "an empty source is no error")
    .option("--source-backend <name>", "open the source with this backend, for example json")
    .option("--target-backend <name>", "open the target with this backend, for example json");
}

async function copy(options: CopyCommandOptions, [source, target]: string[]): Promise<number> {
  const { copyStore } = await import("../../transfer/copy.js");
  const progress = startProgress("copying");
  const result = await copyStore(toPlace(source!, options.sourceBackend), toPlace(target!, options.targetBackend), {
    dryRun: options.dryRun ?? false,
    onConflict: options.overwrite ? "replace" : options.newer ? "newer" : "fail",
    allowEmpty: options.allowEmpty ?? false,
    onProgress: (done) => progress.update(done, done),
    logger: warnings,
  }).finally(progress.stop);
  const ok = result.outcome === "complete";
  if (options.json) {
    printJson(result);
    return ok ? 0 : exitFailed;
  }
  for (const warning of result.warnings) warnings.warn(warning);
  for (const { message } of result.damaged) warnings.warn(`not copied: ${message}`);
  for (const { key, message } of result.refused) warnings.warn(`not copied: ${JSON.stringify(key)}: ${message}`);
  for (const key of result.conflicts) {
    warnings.warn(`${JSON.stringify(key)} differs in the target and stays as it is there (--overwrite, --newer)`);
  }
  for (const key of result.changedSince) warnings.warn(`${JSON.stringify(key)} was changed in the target meanwhile`);
  const counts = `${countOf(result.created, "session")} new, ${result.replaced} overwritten, ${result.same} there already, ${result.skipped} left as they are`;
  if (result.dryRun) printLine(`would copy ${countOf(result.sessions, "session")}: ${counts}; nothing was changed`);
  else printLine(`${ok ? color.green("copied") : color.red("copied in part")}: ${counts}`);
  if (result.verified !== undefined) {
    const { sessions, contentSha256 } = result.verified;
    printLine(
      `verified ${countOf(sessions, "session")} in ${safeText(result.target.location)}, content ${contentSha256}`,
    );
  }
  return ok ? 0 : exitFailed;
}
