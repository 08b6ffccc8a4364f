#!/usr/bin/env node
/** The `sessiondir` command: finds the subcommand and sets the exit code. Each command is a file in commands/. */

import { createRequire } from "node:module";
import { Command, CommanderError } from "commander";
import { defineBackup } from "./commands/backup.js";
import { defineCopy } from "./commands/copy.js";
import { defineDetect } from "./commands/detect.js";
import { defineDu } from "./commands/du.js";
import { defineExport } from "./commands/export.js";
import { defineGenerations } from "./commands/generations.js";
import { defineGet } from "./commands/get.js";
import { defineImport } from "./commands/import.js";
import { defineList } from "./commands/list.js";
import { defineMigrate } from "./commands/migrate.js";
import { definePatch } from "./commands/patch.js";
import { defineRemove } from "./commands/remove.js";
import { defineRepair } from "./commands/repair.js";
import { defineRollback } from "./commands/rollback.js";
import { defineSessions } from "./commands/sessions.js";
import { defineStats } from "./commands/stats.js";
import { defineTrash } from "./commands/trash.js";
import { defineVerify } from "./commands/verify.js";
import { defineWatch } from "./commands/watch.js";
import { reportFailure, UsageError } from "./failures.js";
import { outputGone } from "./terminal.js";

const program = new Command("sessiondir");
program
  .description("Look into and look after a session store: one JSON entry per conversation of a gateway.")
  .version(readVersion(), "-V, --version", "print the version of sessiondir")
  .enablePositionalOptions()
  .exitOverride()
  .configureHelp({ showGlobalOptions: false })
  // With --json the error is one document on stdout; its text must not also go to stderr.
  .configureOutput({ writeErr: (text) => (wantsJson() ? undefined : process.stderr.write(text)) })
  .showHelpAfterError("(add --help for the options and an example)")
  .addHelpText(
    "after",
    `
Examples:
  $ sessiondir list --store agents/main/sessions/sessions.json --active 60
  $ sessiondir verify --store agents/main/sessions/sessions.d

Exit codes: 0 ok, 1 failed (or: not found, something is wrong), 2 wrong usage.`,
  );

defineList(program);
defineGet(program);
definePatch(program);
defineRemove(program);
defineGenerations(program);
defineTrash(program);
defineWatch(program);
defineSessions(program);
defineStats(program);
defineDu(program);
defineVerify(program);
defineRepair(program);
defineDetect(program);
defineMigrate(program);
defineRollback(program);
defineCopy(program);
defineExport(program);
defineImport(program);
defineBackup(program);

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode === 0 ? 0 : 2;
  if (error.exitCode !== 0 && wantsJson()) reportFailure(new UsageError(error.message.replace(/^error: /, "")), true);
}
// A reader that went away may leave handles that would keep this process.
if (outputGone.aborted) process.exit();

function wantsJson(): boolean {
  return process.argv.includes("--json");
}

function readVersion(): string {
  const packageJson = createRequire(import.meta.url)("sessiondir/package.json") as { version: string };
  return packageJson.version;
}
