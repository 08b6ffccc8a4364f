/** `sessiondir remove KEY`: to the trash, or for good with --purge --yes. */

import type { Command } from "commander";
import { type CommonOptions, defineCommand } from "../command.js";
import { UsageError } from "../failures.js";
import { withWritableStore } from "../store-access.js";
import { color, printJson, printLine, safeText } from "../terminal.js";
import { sessionNotFound } from "./get.js";

interface RemoveOptions extends CommonOptions {
  purge?: boolean;
  yes?: boolean;
  ifVersion?: string;
  reason?: string;
}

export function defineRemove(program: Command): void {
  const examples = [
    'remove agent:main:cron:daily-report --reason "job deleted"',
    "remove agent:main:telegram:direct:4711 --purge --yes",
  ];
  defineCommand(program, "remove <key>", "remove one session; it stays in the trash for a while", examples, remove)
    .option("--purge", "do not keep it in the trash; needs --yes")
    .option("--yes", "yes, it cannot be undone")
    .option("--if-version <version>", "only if nobody changed the session since (see: get --version)")
    .option("--reason <text>", "why; kept in the journal and in the trash");
}

async function remove(options: RemoveOptions, [key]: string[]): Promise<number> {
  const purge = options.purge ?? false;
  if (purge && !options.yes) throw new UsageError("--purge cannot be undone; if you mean it, add --yes");
  return withWritableStore(options, async (store) => {
    const removed = await store.remove(key!, {
      purge,
      actor: "cli",
      ...(options.ifVersion === undefined ? {} : { ifVersion: options.ifVersion }),
      ...(options.reason === undefined ? {} : { reason: options.reason }),
    });
    if (!removed) throw sessionNotFound("remove", key!, store.location);
    if (options.json) printJson({ key, removed, purged: purge });
    else printLine(`${color.green("removed")} ${safeText(key!)}${purge ? " for good" : "; it is in the trash"}`);
    return 0;
  });
}
