/** `sessiondir backup create | verify | restore`: consistent backups beside live writers, and the way back. */

import type { Command } from "commander";
import { type CommonOptions, defineCommand, definePlainCommand } from "../command.js";
import { exitFailed } from "../failures.js";
import { countOf } from "../format.js";
import { findLocation, toPlace, warnings } from "../store-access.js";
import { color, printJson, printLine, safeText, startProgress } from "../terminal.js";

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
    .option("--allow-damaged", "go on without sessions that cannot be read; the exit code is 1 all the same")
    .option("--allow-empty", "an empty store is no error")
    .option("--backend <name>", "open the store with this backend, for example json");
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
  const progress = startProgress("backing up");
  const result = await createBackup(toPlace(findLocation(options), options.backend), directory!, {
    ...(options.name === undefined ? {} : { name: options.name }),
    allowDamaged: options.allowDamaged ?? false,
    allowEmpty: options.allowEmpty ?? false,
    onProgress: (done) => progress.update(done, done),
  }).finally(progress.stop);
  const ok = result.outcome === "complete";
  if (options.json) {
    printJson(result);
  } else {
    for (const { message } of result.damaged) warnings.warn(`left out: ${message}`);
    printLine(
      `${ok ? color.green("backed up") : color.red("backed up in part")} ${countOf(result.manifest.sessions, "session")} to ${safeText(result.path)}`,
    );
  }
  return ok ? 0 : exitFailed;
}

async function verify(options: CommonOptions, [backup]: string[]): Promise<number> {
  const { verifyBackup } = await import("../../transfer/backup.js");
  const manifest = await verifyBackup(backup!);
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
  const progress = startProgress("restoring");
  const result = await restoreBackup(backup!, findLocation(options), {
    replace: options.replace ?? false,
    acceptLoss: options.acceptLoss ?? false,
    dryRun: options.dryRun ?? false,
    onProgress: progress.update,
    logger: warnings,
  }).finally(progress.stop);
  const ok = result.outcome === "complete";
  if (options.json) {
    printJson(result);
    return ok ? 0 : exitFailed;
  }
  for (const key of result.backup.damaged) warnings.warn(`the backup lacks ${JSON.stringify(key)}`);
  const { replaced, storePath, asidePath } = result;
  if (replaced !== undefined) {
    const old =
      replaced === "unreadable"
        ? "a store that cannot be read"
        : `a store with ${countOf(replaced.sessions, "session")}`;
    printLine(
      `${result.dryRun ? "would replace" : "replaced"} ${old}${asidePath === undefined ? "" : `; it is ${safeText(asidePath)} now`}`,
    );
  }
  const count = countOf(result.backup.sessions, "session");
  if (result.dryRun) printLine(`would restore ${count} to ${safeText(storePath)}; nothing was changed`);
  else printLine(`${color.green("restored")} ${count} to ${safeText(storePath)}`);
  return ok ? 0 : exitFailed;
}
