/** `sessiondir repair`: the explicit counterpart of verify. Keeps every original. */

import type { Command } from "commander";
import type { RepairReport } from "../../backends/directory/repair.js";
import { type CommonOptions, defineCommand } from "../command.js";
import { exitFailed } from "../failures.js";
import { countOf } from "../format.js";
import { findLocation, warnings } from "../store-access.js";
import { color, printJson, printLine, safeText, startProgress } from "../terminal.js";

interface RepairOptions extends CommonOptions {
  dryRun?: boolean;
  accept?: string[];
}

export function defineRepair(program: Command): void {
  const examples = ["repair --dry-run", "repair", "repair --accept agent:main:main"];
  defineCommand(program, "repair", "salvage what verify found damaged; keeps every original", examples, repair)
    .option("--dry-run", "only say what would be done")
    .option("--accept <key>", "adopt the hand edit of this session; may be given again", (key, keys: string[] = []) => [
      ...keys,
      key,
    ]);
}

async function repair(options: RepairOptions): Promise<number> {
  const { repairStore } = await import("../../backends/directory/repair.js");
  const progress = startProgress("repairing");
  const report = await repairStore(findLocation(options), {
    dryRun: options.dryRun ?? false,
    accept: options.accept ?? [],
    onProgress: progress.update,
    logger: warnings,
  }).finally(progress.stop);
  if (options.json) {
    printJson(report);
  } else {
    for (const { code, key, path, message } of report.actions) {
      const where = [key, path]
        .filter((text) => text !== undefined)
        .map(safeText)
        .join(", ");
      const label = changesNothing.has(code) ? "left" : report.dryRun ? "would" : "done";
      printLine(`${label} [${code}] ${safeText(message)}${where ? color.dim(` (${where})`) : ""}`);
    }
    printLine(summarize(report));
  }
  if (report.actions.some(({ code }) => code === "accept_unused")) return exitFailed;
  return report.dryRun || report.findingsAfter === 0 ? 0 : exitFailed;
}

/** Actions that only say why nothing was done. */
const changesNothing = new Set(["entry_left", "accept_unused"]);

function summarize(report: RepairReport): string {
  const done = report.actions.filter(({ code }) => !changesNothing.has(code)).length;
  const counted = `${countOf(report.findingsBefore, "finding")}, ${countOf(done, "thing")}`;
  if (report.dryRun) return `${counted} to do; nothing was changed`;
  if (report.findingsBefore === 0 && report.actions.length === 0) return color.green("ok: nothing to repair");
  const left =
    report.findingsAfter === 0 ? "nothing is wrong any more" : `${report.findingsAfter} left: run sessiondir verify`;
  return `${counted} done; ${left}`;
}
