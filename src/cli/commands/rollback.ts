/** `sessiondir rollback`: makes legacy sessions.json files of directory stores again; the directories are kept. */

import type { Command } from "commander";
import type { RollbackResult } from "../../migrate/rollback.js";
import { type CommonOptions, defineCommand } from "../command.js";
import { exitFailed, UsageError } from "../failures.js";
import { findLocation, warnings } from "../store-access.js";
import { color, noteColor, printJson, printLine, printNote, safeText, startProgress } from "../terminal.js";

interface RollbackOptions extends Omit<CommonOptions, "store"> {
  store?: string[];
  stateDir?: string;
  dryRun?: boolean;
}

export function defineRollback(program: Command): void {
  const examples = [
    "rollback --store agents/main/sessions/sessions.json --dry-run",
    "rollback --store agents/main/sessions/sessions.json --store agents/work/sessions/sessions.json",
  ];
  const description = "go back to sessions.json, with what was written since; the directory stays as .bak.<time>";
  const command = defineCommand(program, "rollback", description, examples, rollback as never);
  const store = command.options.find((option) => option.long === "--store");
  store?.argParser((location: string, given: string[] | undefined) => [...(given ?? []), location]);
  if (store) store.description = `${store.description}; may be given again`;
  command.option("--dry-run", "only say what would be done");
}

async function rollback(options: RollbackOptions): Promise<number> {
  const { rollbackStore } = await import("../../migrate/rollback.js");
  const dryRun = options.dryRun ?? false;
  const results: RollbackResult[] = [];
  for (const location of await findLocations(options)) {
    const progress = startProgress("rolling back");
    const result = await rollbackStore(location, {
      dryRun,
      onProgress: progress.update,
      logger: warnings,
    }).finally(progress.stop);
    results.push(result);
    if (!options.json) report(result, dryRun);
  }
  const counts = { restored: countOf(results, "restored"), skipped: countOf(results, "skipped") };
  const failed = countOf(results, "failed");
  if (options.json) printJson({ dryRun, ...counts, failed, stores: results });
  else if (results.length === 0) printLine("No session stores found.");
  else printLine(summaryOf(counts, failed));
  return failed === 0 ? 0 : exitFailed;
}

async function findLocations({ store, stateDir }: RollbackOptions): Promise<string[]> {
  if (stateDir === undefined) return store ?? [findLocation({})];
  if (store !== undefined) throw new UsageError("give either --store or --state-dir, not both.");
  throw new UsageError("this version cannot look for stores in a state directory: give --store for each of them.");
}

function report(result: RollbackResult, dryRun: boolean): void {
  const path = safeText(result.legacyPath);
  if (result.outcome === "failed") {
    printNote(`${noteColor.red("error")} [${result.error?.code}]: ${safeText(result.error?.message ?? "")}`);
    printLine(`${color.red("failed")} ${path}`);
    return;
  }
  for (const warning of result.warnings) warnings.warn(warning);
  if (result.outcome === "skipped") {
    printNote(`${path}: ${safeText(result.reason ?? "")}`);
    printLine(`${dryRun ? "would skip" : "skipped"} ${path}`);
  } else {
    printLine(`${dryRun ? "would restore" : color.green("restored")} ${path}`);
  }
}

function countOf(results: readonly RollbackResult[], outcome: RollbackResult["outcome"]): number {
  return results.filter((result) => result.outcome === outcome).length;
}

function summaryOf({ restored, skipped }: { restored: number; skipped: number }, failed: number): string {
  return `Summary: restored ${restored}, skipped ${skipped}${failed === 0 ? "" : `, failed ${failed}`}`;
}
