/** `sessiondir copy SOURCE TARGET`: a store into another one, verified by count and content hash. */

import type { Command } from "commander";
import { shortenKey } from "../../errors.js";
import { type CommonOptions, definePlainCommand } from "../command.js";
import { countOf } from "../format.js";
import { toPlace, warnings } from "../store-access.js";
import { color, printLine, safeText } from "../terminal.js";
import {
  allowEmptyOption,
  type ConflictOptions,
  describeCounts,
  dryRunOption,
  endTransfer,
  onConflictOption,
  uncounted,
  warnOfProblems,
  withProgress,
} from "../transfers.js";

interface CopyCommandOptions extends CommonOptions, ConflictOptions {
  dryRun?: boolean;
  allowEmpty?: boolean;
  sourceBackend?: string;
  targetBackend?: string;
}

export function defineCopy(program: Command): void {
  const examples = [
    "copy agents/main/sessions/sessions.d /mnt/new/sessions.d --dry-run",
    "copy agents/main/sessions/sessions.d /mnt/new/sessions.d --on-conflict newer",
  ];
  const description = "copy a store into another one and verify it; run it again to go on after an interruption";
  definePlainCommand(program, "copy <source> <target>", description, examples, copy)
    .option(...dryRunOption)
    .addOption(onConflictOption())
    .option(...allowEmptyOption)
    .option("--source-backend <name>", "open the source with this backend, for example json")
    .option("--target-backend <name>", "open the target with this backend, for example json");
}

async function copy(options: CopyCommandOptions, [source, target]: string[]): Promise<number> {
  const { copyStore } = await import("../../transfer/copy.js");
  const places = [toPlace(source!, options.sourceBackend), toPlace(target!, options.targetBackend)] as const;
  const result = await withProgress("copying", (progress) =>
    copyStore(...places, {
      dryRun: options.dryRun ?? false,
      onConflict: options.onConflict,
      allowEmpty: options.allowEmpty ?? false,
      onProgress: uncounted(progress),
      logger: warnings,
    }),
  );
  return endTransfer(options, result, (isComplete) => {
    for (const warning of result.warnings) warnings.warn(warning);
    warnOfProblems(
      "not copied",
      result.damaged.map(({ message }) => ({ message })),
    );
    warnOfProblems("not copied", result.refused);
    for (const key of result.conflicts) {
      warnings.warn(
        `${shortenKey(key)} differs in the target and stays as it is there (--on-conflict newer or replace)`,
      );
    }
    for (const key of result.changedSince) warnings.warn(`${shortenKey(key)} was changed in the target meanwhile`);
    const counts = describeCounts(result);
    if (result.dryRun) printLine(`would copy ${countOf(result.sessions, "session")}: ${counts}; nothing was changed`);
    else printLine(`${isComplete ? color.green("copied") : color.red("copied in part")}: ${counts}`);
    if (result.verified === undefined) return;
    const { sessions, contentSha256 } = result.verified;
    const where = safeText(result.target.location);
    printLine(`verified ${countOf(sessions, "session")} in ${where}, content ${contentSha256}`);
  });
}
