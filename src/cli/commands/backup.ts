/** `sessiondir backup create | verify | restore`: consistent backups beside live writers, and the way back. */

import type { Command } from "commander";
import { shortenKey } from "../../errors.js";
import { gatewayLimits } from "../../limits.js";
import { type CommonOptions, defineCommand, definePlainCommand } from "../command.js";
import { exitFailed } from "../failures.js";
import { countOf } from "../format.js";
import { findLocation, toPlace, warnings } from "../store-access.js";
import { color, printJson, printLine, safeText } from "../terminal.js";
import {
  allowDamagedOption,
  allowEmptyOption,
  backendOption,
  endTransfer,
  uncounted,
  warnOfProblems,
  withProgress,
} from "../transfers.js";

interface CreateOptions extends CommonOptions {
  name?: string;
  allowDamaged?: boolean;
  allowEmpty?: boolean;
  backend?: string;
}

interface RestoreCommandOptions extends CommonOptions {
  replace?: boolean;
  acceptLoss?: boolean;
  dryRun?: boolean;
}

export function defineBackup(program: Command): void {
  const backup = program.command("backup").description("make, verify and restore backups");
  defineCommand(
    backup,
    "create <directory>",
    "make a backup <directory>/<store>.<time>, beside live writers",
    ["backup create /mnt/backups --store agents/main/sessions/sessions.json"],
    create,
  )
    .option("--name <name>", "the first part of the backup's name (default: that of the store)")
    .option(...allowDamagedOption)
    .option(...allowEmptyOption)
    .option(...backendOption);
  definePlainCommand(
    backup,
    "verify <backup>",
    "read a backup back: every session, count and hash",
    ["backup verify /mnt/backups/sessions.2026-11-21T12-53-14.123Z"],
    verify,
  );
  defineCommand(
    backup,
    "restore <backup>",
    "verify a backup and make a store of it; an existing store is only replaced on request, and kept",
    [
      "backup restore /mnt/backups/sessions.2026-11-21T12-53-14.123Z --store /srv/new/sessions.json",
      "backup restore /mnt/backups/sessions.2026-11-21T12-53-14.123Z --replace --dry-run",
    ],
    restore,
  )
    .option("--replace", "put it in the place of an existing store, which is renamed to .bak.<ms>")
    .option("--accept-loss", "replace even a store with more or newer sessions than the backup")
    .option("--dry-run", "verify and compare, but change nothing");
}

async function create(options: CreateOptions, [directory]: string[]): Promise<number> {
  const { createBackup } = await import("../../transfer/backup.js");
  const result = await withProgress("backing up", (progress) =>
    createBackup(toPlace(findLocation(options), options.backend), directory!, {
      ...(options.name === undefined ? {} : { name: options.name }),
      allowDamaged: options.allowDamaged ?? false,
      allowEmpty: options.allowEmpty ?? false,
      onProgress: uncounted(progress),
    }),
  );
  return endTransfer(options, result, (isComplete) => {
    warnOfProblems(
      "left out",
      result.damaged.map(({ message }) => ({ message })),
    );
    const word = isComplete ? color.green("backed up") : color.red("backed up in part");
    printLine(`${word} ${countOf(result.manifest.sessions, "session")} to ${safeText(result.path)}`);
  });
}

async function verify(options: CommonOptions, [backup]: string[]): Promise<number> {
  const { verifyBackup } = await import("../../transfer/backup.js");
  const manifest = await verifyBackup(backup!, { limits: gatewayLimits });
  const ok = manifest.damaged === 0;
  if (options.json) {
    printJson({ ok, ...manifest });
    return ok ? 0 : exitFailed;
  }
  if (!ok) {
    const lacks = countOf(manifest.damaged, "session");
    warnings.warn(`the backup lacks ${lacks} that could not be read; the last line of sessions.jsonl names them`);
  }
  const what = `${countOf(manifest.sessions, "session")} of ${safeText(manifest.source.name)}, ${safeText(manifest.created)}`;
  printLine(
    `${ok ? color.green("ok") : color.red("whole, but in part only")}: ${what}, content ${manifest.contentSha256}`,
  );
  return ok ? 0 : exitFailed;
}

async function restore(options: RestoreCommandOptions, [backup]: string[]): Promise<number> {
  const { restoreBackup } = await import("../../transfer/restore.js");
  const result = await withProgress("restoring", (progress) =>
    restoreBackup(backup!, findLocation(options), {
      replace: options.replace ?? false,
      acceptLoss: options.acceptLoss ?? false,
      dryRun: options.dryRun ?? false,
      onProgress: progress.update,
      logger: warnings,
    }),
  );
  return endTransfer(options, result, (isComplete) => {
    for (const key of result.backup.damaged) warnings.warn(`the backup lacks ${shortenKey(key)}`);
    const { replaced, storePath, asidePath } = result;
    if (replaced !== undefined) {
      const old =
        replaced === "unreadable"
          ? "a store that cannot be read"
          : `a store with ${countOf(replaced.sessions, "session")}`;
      const now = asidePath === undefined ? "" : `; it is ${safeText(asidePath)} now`;
      printLine(`${result.dryRun ? "would replace" : "replaced"} ${old}${now}`);
    }
    const count = countOf(result.backup.sessions, "session");
    const word = isComplete ? color.green("restored") : color.red("restored what there was:");
    if (result.dryRun) printLine(`would restore ${count} to ${safeText(storePath)}; nothing was changed`);
    else printLine(`${word} ${count} to ${safeText(storePath)}`);
  });
}
