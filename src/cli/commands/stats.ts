/** `sessiondir stats`: what the store knows about itself. */

import type { Command } from "commander";
import { type CommonOptions, defineCommand } from "../command.js";
import { formatCount } from "../format.js";
import { type CommandStore, withReadOnlyStore } from "../store-access.js";
import { color, printJson, printLine, safeText } from "../terminal.js";

export function defineStats(program: Command): void {
  defineCommand(
    program,
    "stats",
    "sizes, counts and the current position",
    ["stats", "stats --json | jq .sessions"],
    stats,
  );
}

function stats(options: CommonOptions): Promise<number> {
  return withReadOnlyStore(options, async (store) => {
    const details = await store.stats();
    const all = { sessions: await countSessions(store), ...details, cursor: await store.cursor() };
    if (options.json) {
      printJson(all);
      return 0;
    }
    const width = Math.max(...Object.keys(all).map((name) => name.length));
    for (const [name, value] of Object.entries(all)) printLine(`${color.bold(name.padEnd(width))}  ${show(value)}`);
    return 0;
  });
}

/** Not every backend keeps the exact number; the list knows it. */
async function countSessions(store: CommandStore): Promise<number> {
  let count = 0;
  let cursor: string | undefined;
  do {
    const page = await store.list({ order: "key", limit: 10_000, ...(cursor === undefined ? {} : { cursor }) });
    count += page.sessions.length;
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return count;
}

function show(value: unknown): string {
  if (typeof value === "number") return formatCount(value);
  return safeText(typeof value === "string" ? value : JSON.stringify(value));
}
