/** What `sessiondir sessions cleanup` prints for people, in the words and columns of the gateway's own command. */

import { actionsHeader, actionsLine } from "../openclaw-rows.js";
import { printLine, printNote, safeText } from "../terminal.js";
import type { Preview, Run } from "./sessions-cleanup-run.js";

export function printPlans(run: Run, results: readonly Preview[], namesAgents: boolean): void {
  for (const [index, { summary, rows }] of results.entries()) {
    if (index > 0) printLine("");
    if (namesAgents) printLine(`Agent: ${safeText(summary.agentId)}`);
    printLine(`Session store: ${safeText(summary.storePath)}`);
    printLine(`Maintenance mode: ${summary.mode}`);
    const { beforeCount, afterCount, diskBudget } = summary;
    printLine(`Entries: ${beforeCount} -> ${afterCount} (remove ${beforeCount - afterCount})`);
    printLine(`Would prune missing transcripts: ${summary.missing}`);
    printLine(`Would prune stale: ${summary.pruned}`);
    printLine(`Would cap overflow: ${summary.capped}`);
    if (diskBudget !== null) {
      const { totalBytesBefore, totalBytesAfter, removedFiles, removedEntries } = diskBudget;
      const counts = `(files ${removedFiles}, entries ${removedEntries})`;
      printLine(`Would enforce disk budget: ${totalBytesBefore} -> ${totalBytesAfter} bytes ${counts}`);
    }
    if (rows.length === 0) continue;
    printLine("");
    printLine("Planned session actions:");
    printLine(actionsHeader());
    for (const { row, action } of rows) printLine(actionsLine(row, action, run.cfg));
  }
  const isHeldBack = run.mode === "warn" && results.some(({ summary }) => summary.wouldMutate);
  if (isHeldBack) {
    const exception = run.options.fixMissing ? "only sessions with a missing transcript are" : "nothing is";
    printNote(`This is what --enforce would remove. The mode is "warn": without --enforce ${exception} removed.`);
  }
}

export function printApplied(results: readonly Preview[], namesAgents: boolean): void {
  for (const [index, { summary }] of results.entries()) {
    if (index > 0) printLine("");
    if (namesAgents) printLine(`Agent: ${safeText(summary.agentId)}`);
    printLine(`Session store: ${safeText(summary.storePath)}`);
    printLine(`Applied maintenance. Current entries: ${summary.appliedCount ?? 0}`);
  }
}
