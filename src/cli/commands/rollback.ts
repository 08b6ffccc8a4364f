/** `sessiondir rollback`: makes legacy sessions.json files of directory stores again; the directories are kept. */

import type { Command } from "commander";
import { gatewayLimits } from "../../limits.js";
import type { RollbackResult } from "../../migrate/rollback.js";
import { exitFailed } from "../failures.js";
import {
  defineStoresCommand,
  missingOf,
  reportSelection,
  type SelectedStore,
  type StoreSelection,
  selectStores,
} from "../state-dir.js";
import { warnings } from "../store-access.js";
import { color, noteColor, printJson, printLine, printNote, safeText } from "../terminal.js";
import { dryRunOption, withProgress } from "../transfers.js";

interface RollbackOptions extends StoreSelection {
  dryRun?: boolean;
}

export function defineRollback(program: Command): void {
  const examples = [
    "rollback --state-dir ~/.openclaw --dry-run",
    "rollback --state-dir ~/.openclaw",
    "rollback --store agents/main/sessions/sessions.json --store agents/work/sessions/sessions.json",
  ];
  const description = "go back to sessions.json, with what was written since; the directory stays as .bak.<time>";
  defineStoresCommand(program, "rollback", description, examples, rollback).option(...dryRunOption);
}

async function rollback(options: RollbackOptions): Promise<number> {
  const selection = await selectStores(options);
  const { stores, problems } = selection;
  const missing = missingOf(selection);
  const { dryRun = false, json = false } = options;
  const results: RollbackResult[] = [];
  for (const [index, store] of stores.entries()) {
    const result = await rollBack(store, dryRun, stores.length === 1 ? "" : ` ${index + 1}/${stores.length}`);
    results.push(result);
    if (!json) report(result, dryRun);
  }
  const counts = { restored: countOf(results, "restored"), skipped: countOf(results, "skipped") };
  const failed = countOf(results, "failed");
  if (json) printJson({ dryRun, ...counts, failed, stores: results, problems });
  else {
    reportSelection(selection);
    if (stores.length === 0 && problems.length === 0) printLine("No session stores found.");
    else printLine(summaryOf(counts, failed));
  }
  return failed + problems.length + missing.length === 0 ? 0 : exitFailed;
}

async function rollBack({ path }: SelectedStore, dryRun: boolean, which: string): Promise<RollbackResult> {
  const { rollbackStore } = await import("../../migrate/rollback.js");
  return await withProgress(`rolling back${which}`, ({ update }) =>
    rollbackStore(path, { dryRun, limits: gatewayLimits, onProgress: update, logger: warnings }),
  );
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
