/** What `sessiondir sessions cleanup` prints for people, in the words and columns of the gateway's own command. */

import { shellWord } from "../../shell-word.js";
import { actionsHeader, actionsLine } from "../openclaw-rows.js";
import { printLine, printNote, safeText } from "../terminal.js";
import type { Preview, Run, Summary } from "./sessions-cleanup-run.js";

export function printPlans(run: Run, results: readonly Preview[], namesAgents: boolean): void {
  for (const [index, { summary, rows, kept }] of results.entries()) {
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
    printFiles("Would delete files", summary.files);
    printKept(summary, kept);
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
  for (const [index, { summary, kept, removed }] of results.entries()) {
    if (index > 0) printLine("");
    if (namesAgents) printLine(`Agent: ${safeText(summary.agentId)}`);
    printLine(`Session store: ${safeText(summary.storePath)}`);
    printLine(`Applied maintenance. Current entries: ${summary.appliedCount ?? 0}`);
    if (removed !== undefined && removed.count > 0) printRemoved(summary, removed);
    printFiles("Deleted files", summary.files);
    printKept(summary, kept);
  }
}

/** How many went, why, and where they are now. */
function printRemoved(summary: Summary, { count, inTrash, evicted, copy }: NonNullable<Preview["removed"]>): void {
  const { storePath, missing, pruned, capped } = summary;
  printLine(
    `Removed entries: ${count} (missing transcript ${missing}, stale ${pruned}, overflow ${capped}, disk budget ${evicted})`,
  );
  const store = shellWord(storePath);
  if (inTrash > 0) printLine(`In the trash: ${inTrash}; see: sessiondir trash list --store ${store}`);
  const isGone = count - inTrash;
  if (copy !== undefined) printLine(`The file as it was before: ${safeText(copy)}`);
  else if (isGone > 0) printLine(`Gone for good, to make room: ${isGone}`);
}

const reasons = {
  "disk-budget": "disk budget",
  "expired-archive": "archive past its time",
  "surplus-copy": "older copy of a rotation",
} as const;

function printFiles(what: string, files: Summary["files"]): void {
  if (files === undefined) return;
  printLine(`${what}: ${files.length}`);
  for (const { path, sizeBytes, reason } of files) {
    printLine(`  ${safeText(path)} (${reasons[reason]}, ${sizeBytes} bytes)`);
  }
}

/** What an operator may wonder about when the budget does not count it. */
function printKept({ diskBudget }: Summary, kept: Preview["kept"]): void {
  if (diskBudget === null || kept.length === 0) return;
  const bytes = kept.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  printLine(`Backups, which the budget neither counts nor removes: ${kept.length} (${bytes} bytes)`);
}
