/** `sessiondir list`: the sessions of a store, newest first, by page. */

import { type Command, Option } from "commander";
import type { SessionKind, SessionOrder, SessionPage, SessionQuery, SessionSummary } from "../../contract.js";
import { nodePort } from "../../fs/node-port.js";
import { sessionKinds } from "../../sessions/query.js";
import { type CommonOptions, defineCommand } from "../command.js";
import { formatAge, formatCount, parseCount } from "../format.js";
import { type CommandStore, withReadOnlyStore } from "../store-access.js";
import { color, fitText, outputGone, printJson, printNote, printTable, safeText } from "../terminal.js";

interface ListOptions extends CommonOptions {
  agent?: string;
  channel?: string;
  kind?: SessionKind;
  active?: number;
  search?: string;
  order?: SessionOrder;
  limit?: number;
  cursor?: string;
  all?: boolean;
}

export function defineList(program: Command): void {
  const examples = [
    "list --store agents/main/sessions/sessions.json",
    "list --agent main --kind group --active 60",
    "list --all --json | jq -r '.sessions[].key'",
  ];
  defineCommand(program, "list", "list sessions, the most recently active first", examples, list)
    .option("--agent <id>", "only sessions of this agent")
    .option("--channel <name>", "only sessions of this channel, for example telegram")
    .addOption(new Option("--kind <kind>", "only sessions of this kind").choices(sessionKinds))
    .option("--active <minutes>", "only sessions active in the last so many minutes", parseCount)
    .option("--search <text>", "only sessions with this text in key, label, name or subject")
    .addOption(new Option("--order <field>", "order of the list").choices(["updatedAt", "key"]))
    .option("--limit <count>", "sessions on a page (default 100)", parseCount)
    .addOption(new Option("--cursor <cursor>", "go on after this page").conflicts("all"))
    .option("--all", "all pages");
}

async function list(options: ListOptions): Promise<number> {
  const nowMs = nodePort().nowMs();
  const page = await withReadOnlyStore(options, (store) =>
    readPages(store, toQuery(options, nowMs), options.all ?? false),
  );
  if (options.json) printJson(page);
  else printPage(page, nowMs);
  return 0;
}

function toQuery(options: ListOptions, nowMs: number): SessionQuery {
  const { agent, channel, kind, search, order, limit, cursor } = options;
  const activeSince = options.active === undefined ? undefined : nowMs - options.active * 60_000;
  const query = {
    agent,
    channel,
    kind,
    search,
    order,
    cursor,
    activeSince,
    limit: limit ?? (options.all ? 1_000 : undefined),
  };
  return Object.fromEntries(Object.entries(query).filter(([, value]) => value !== undefined));
}

async function readPages(store: CommandStore, query: SessionQuery, all: boolean): Promise<SessionPage> {
  const page = await store.list(query);
  while (all && page.nextCursor !== undefined && !outputGone.aborted) {
    const next = await store.list({ ...query, cursor: page.nextCursor });
    page.sessions.push(...next.sessions);
    delete page.nextCursor;
    if (next.nextCursor !== undefined) page.nextCursor = next.nextCursor;
  }
  return page;
}

function printPage({ sessions, nextCursor }: SessionPage, nowMs: number): void {
  if (sessions.length === 0) {
    printNote("No session matches.");
    return;
  }
  // A key is there to be copied: a narrow terminal rather wraps the line than loses the middle of the key.
  const keyWidth = Math.max(60, (process.stdout.columns ?? 0) - 62);
  printTable(
    ["AGENT", "KIND", "KEY", "AGE", "MODEL", "TOKENS"],
    sessions.map((session) => toRow(session, nowMs, keyWidth)),
    [3, 5],
  );
  const more = nextCursor === undefined ? "" : `; the next page: --cursor ${nextCursor} (or --all)`;
  printNote(`${sessions.length} ${sessions.length === 1 ? "session" : "sessions"}${more}`);
}

function toRow(session: SessionSummary, nowMs: number, keyWidth: number): string[] {
  return [
    safeText(session.agent ?? "-"),
    session.kind,
    fitText(safeText(session.key), keyWidth),
    session.updatedAt === undefined ? "-" : formatAge(nowMs - session.updatedAt),
    safeText(fitText(session.model ?? "-", 24)),
    session.totalTokens === undefined ? color.dim("-") : formatCount(session.totalTokens),
  ];
}
