/** `sessiondir watch`: every change as it happens, of all processes; one line each. */

import type { Command } from "commander";
import type { SessionChange } from "../../api.js";
import { type CommonOptions, defineCommand } from "../command.js";
import { parseCount } from "../format.js";
import { withReadOnlyStore } from "../store-access.js";
import { color, outputGone, printLine, printNote, safeText } from "../terminal.js";

interface WatchOptions extends CommonOptions {
  since?: string;
  count?: number;
}

export function defineWatch(program: Command): void {
  const examples = ["watch", 'watch --json --since "$(sessiondir stats --json | jq -r .cursor)" | jq .key'];
  defineCommand(program, "watch", "print every change as it happens, until Ctrl-C", examples, watch)
    .option("--since <cursor>", "begin after this position; each JSON line and stats --json carry one")
    .option("--count <changes>", "end after so many changes", parseCount);
}

async function watch(options: WatchOptions): Promise<number> {
  const interrupted = new AbortController();
  const interrupt = () => interrupted.abort();
  process.once("SIGINT", interrupt);
  process.once("SIGTERM", interrupt);
  const signal = AbortSignal.any([interrupted.signal, outputGone]);
  await withReadOnlyStore(options, async (store) => {
    if (process.stderr.isTTY) printNote(`Watching ${safeText(store.location)}; Ctrl-C ends.`);
    let seen = 0;
    for await (const change of store.watch({
      signal,
      ...(options.since === undefined ? {} : { since: options.since }),
    })) {
      printLine(options.json ? JSON.stringify(change) : describeChange(change));
      if (++seen === options.count) break;
    }
  });
  return 0;
}

function describeChange(change: SessionChange<Record<string, unknown>>): string {
  if (change.type === "reset") {
    return `${color.yellow("reset")}  the history since then is gone; read everything again (cursor ${change.cursor})`;
  }
  const time = new Date(change.time).toISOString();
  const what = change.type === "put" ? color.green("put   ") : color.red("remove");
  const who = [change.actor, change.reason].filter((text) => text !== undefined).map(safeText);
  return `${color.dim(time)} ${what} ${safeText(change.key)}${who.length > 0 ? color.dim(` (${who.join(": ")})`) : ""}`;
}
