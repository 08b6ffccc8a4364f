/** `sessiondir migrate`: takes legacy sessions.json files over into directory stores; the originals are kept. */

import path from "node:path";
import type { Command } from "commander";
import { SessionStoreError } from "../../errors.js";
import { nodePort } from "../../fs/node-port.js";
import { gatewayLimits } from "../../limits.js";
import type { MigrationOutcome, MigrationProgress, MigrationResult } from "../../migrate/report.js";
import { exitFailed, reportFailure } from "../failures.js";
import { countOf, formatCount } from "../format.js";
import {
  defineStoresCommand,
  reportSelection,
  type SelectedStore,
  type StoreSelection,
  selectStores,
} from "../state-dir.js";
import { warnings } from "../store-access.js";
import { color, type Progress, printJson, printLine, printNote, safeText, startProgress } from "../terminal.js";
import { dryRunOption } from "../transfers.js";

interface MigrateOptions extends StoreSelection {
  dryRun?: boolean;
  force?: boolean;
}

export function defineMigrate(program: Command): void {
  const examples = [
    "migrate --state-dir ~/.openclaw --dry-run",
    "migrate --state-dir ~/.openclaw",
    "migrate --store agents/main/sessions/sessions.json",
  ];
  const description = "take legacy sessions.json files over; the originals stay as .bak.<time>";
  defineStoresCommand(program, "migrate", description, examples, migrate)
    .option(...dryRunOption)
    .option("--force", "also what a rollback left");
}

async function migrate(options: MigrateOptions): Promise<number> {
  const { describeCounts, makeReport, migrateStores } = await import("../../migrate/report.js");
  const selection = await selectStores(options);
  const { stores, problems } = selection;
  const { dryRun = false, force = false, json = false } = options;
  const isAlone = stores.length === 1 && stores[0]?.origin === "named";
  const bars = new Bars();
  const results = await migrateStores(
    nodePort(),
    stores.map((store) => store.path),
    {
      dryRun,
      force,
      limits: gatewayLimits,
      onProgress: bars.update,
      onResult: (result) => {
        bars.stop();
        if (!json) report(result, dryRun, isAlone);
      },
    },
  ).finally(bars.stop);
  const { counts, summaryLine, level } = makeReport(results, problems, dryRun);
  if (json) {
    printJson({ dryRun, level, summary: summaryLine ?? null, counts, stores: results, problems });
  } else {
    reportSelection(selection);
    if (stores.length === 0 && problems.length === 0) printLine("No session stores found.");
    else if (!isAlone) printLine(describeCounts(counts, dryRun));
    if (dryRun && !isAlone && stores.length > 0) printNote("Nothing was changed.");
  }
  return level === "warn" || isNamedMissing(stores, results) ? exitFailed : 0;
}

/** A path that somebody typed, and nothing there, is a mistake. */
function isNamedMissing(stores: readonly SelectedStore[], results: readonly MigrationResult[]): boolean {
  return results.some(({ outcome }, index) => outcome === "missing" && stores[index]?.origin === "named");
}

/** One bar for each store that takes its time. */
class Bars {
  #bar: { storePath: string; progress: Progress } | undefined;

  readonly update = ({ storePath, store, stores, done, total }: MigrationProgress): void => {
    this.#bar ??= { storePath, progress: startProgress(stores === 1 ? "migrating" : `migrating ${store}/${stores}`) };
    this.#bar.progress.update(done, total);
  };

  readonly stop = (): void => {
    this.#bar?.progress.stop();
    this.#bar = undefined;
  };
}

// --- for people -----------------------------------------------------------------------------------------------------

function report(result: MigrationResult, dryRun: boolean, isAlone: boolean): void {
  const { storePath, outcome, error } = result;
  for (const warning of result.warnings) {
    if (warning === error?.message) continue;
    const named = isAlone || warning.includes(storePath) ? warning : `${storePath}: ${warning}`;
    warnings.warn(named);
  }
  const isBad = ["skipped_invalid", "failed", "missing"].includes(outcome);
  if (isBad) reportFailure(asError(result), false);
  if (!isAlone) printLine(describeShortly(result, dryRun));
  else if (!isBad) printLine(describe(result, dryRun));
}

function asError({ error, outcome, storePath, warnings: found }: MigrationResult): SessionStoreError | Error {
  if (error !== undefined) return new SessionStoreError(error.code, error.message);
  if (outcome !== "missing") return new Error(found.at(-1));
  return new SessionStoreError("store_missing", "there is neither a legacy file nor a store", {
    operation: "migrate",
    path: storePath,
    nextStep: "Check the path.",
  });
}

function describe(result: MigrationResult, dryRun: boolean): string {
  const { outcome, legacyEntries, migratedEntries, storePath, directoryPath, backupPath, displacedPath } = result;
  const place = safeText(directoryPath);
  if (outcome === "already_directory" && backupPath === undefined)
    return `Nothing to do: ${place} is a directory store already.`;
  if (outcome === "skipped_empty")
    return `Nothing to do: ${safeText(storePath)} holds no session. A gateway that opens it gets an empty store.`;
  if (dryRun) return `would migrate ${migratedEntries} of ${legacyEntries} sessions into ${place}; nothing was changed`;
  const done =
    outcome === "already_directory"
      ? `${place} is a directory store already; a legacy file beside it held nothing new.`
      : `${color.green("migrated")} ${migratedEntries} of ${legacyEntries} sessions into ${place}.`;
  const original = backupPath === undefined ? "" : `\nThe original is ${safeText(backupPath)}.`;
  const displaced = displacedPath === undefined ? "" : `\nThe directory that was there is ${safeText(displacedPath)}.`;
  return `${done}${original}${displaced}`;
}

/** One line, which begins with the outcome as the summary names it. */
function describeShortly(result: MigrationResult, dryRun: boolean): string {
  const { outcome, legacyEntries, migratedEntries, storePath, backupPath, displacedPath } = result;
  const kept = [backupPath, displacedPath].filter((kept) => kept !== undefined).map((kept) => path.basename(kept));
  const figures = outcome === "migrated" ? [describeFigures(migratedEntries, legacyEntries)] : [];
  const details = [...figures, ...(kept.length === 0 ? [] : [`kept as ${kept.join(" and ")}`])];
  const word = outcome === "migrated" && dryRun ? "would migrate" : outcome;
  return `${paint(outcome)(word)} ${safeText([storePath, ...details].join(", "))}`;
}

function paint(outcome: MigrationOutcome): (text: string) => string {
  if (outcome === "migrated") return color.green;
  return outcome === "skipped_invalid" || outcome === "failed" ? color.red : (text) => text;
}

/** Spellings of one key become one session, and some entries are none: the warnings say which. */
function describeFigures(sessions: number, entries: number): string {
  const text = countOf(sessions, "session");
  return sessions === entries ? text : `${text} from ${formatCount(entries)} entries`;
}
