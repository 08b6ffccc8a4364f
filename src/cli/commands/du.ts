/**
 * `sessiondir du`: what takes the space. Sessions by agent, kind or age; or top-level fields over all sessions, with how
 * much of them is the same value again; and what the store needs beside them. One pass over a snapshot; what is kept in
 * memory is sums, and one hash for each larger value.
 */

import { createHash } from "node:crypto";
import { type Command, Option } from "commander";
import type { FrozenEntry } from "../../contract.js";
import { nodePort } from "../../fs/node-port.js";
import { classifySession, parseAgentKey } from "../../sessions/summary.js";
import { type CommonOptions, defineCommand } from "../command.js";
import { countOf, formatBytes, formatCount } from "../format.js";
import { type CommandStore, withReadOnlyStore } from "../store-access.js";
import {
  color,
  outputGone,
  printJson,
  printLine,
  printNote,
  printTable,
  safeText,
  startProgress,
} from "../terminal.js";

const groupings = ["agent", "kind", "age", "field"] as const;
type Grouping = (typeof groupings)[number];

interface DuOptions extends CommonOptions {
  by?: Grouping;
}

export function defineDu(program: Command): void {
  const examples = ["du", "du --by field", "du --by agent --json | jq '.groups[0]'"];
  const description = "what takes the space: sessions by agent, kind, age or field, and the store's own overhead";
  defineCommand(program, "du", description, examples, du).addOption(
    new Option("--by <grouping>", "only this grouping (default: agent, kind and age)").choices(groupings),
  );
}

async function du(options: DuOptions): Promise<number> {
  return withReadOnlyStore(options, async (store) => {
    const wanted: readonly Grouping[] = options.by === undefined ? ["agent", "kind", "age"] : [options.by];
    const usage = await measure(store, wanted);
    const overhead = await readOverhead(store);
    if (options.json) printJson(toDocument(usage, overhead, options.by));
    else printUsage(usage, overhead);
    return 0;
  });
}

// --- measuring -----------------------------------------------------------------------------------------------------------

export interface Group {
  name: string;
  sessions: number;
  bytes: number;
  /** The largest session of the group, or the session with the largest value of the field. */
  largestKey: string;
  largestBytes: number;
  /** Fields: bytes of values that another session has as well, all but one of each. */
  repeatedBytes?: number;
}

export interface Usage {
  sessions: number;
  bytes: number;
  damaged: number;
  groups: Map<Grouping, Group[]>;
}

/** The bytes of compact JSON, as a program would send them; the files hold them with indentation. */
export async function measure(store: Pick<CommandStore, "entries">, wanted: readonly Grouping[]): Promise<Usage> {
  const nowMs = nodePort().nowMs();
  const groups = new Map(wanted.map((grouping) => [grouping, new Map<string, Group>()]));
  const seenValues = new Set<string>();
  let sessions = 0;
  let bytes = 0;
  let damaged = 0;
  const progress = startProgress("measuring");
  try {
    const onDamaged = () => {
      damaged += 1;
    };
    for await (const { key, entry } of store.entries({ onDamaged })) {
      if (outputGone.aborted) break;
      const fields = measureFields(entry);
      const entryBytes = fields.reduce((sum, field) => sum + field.bytes, 2);
      sessions += 1;
      bytes += entryBytes;
      for (const [grouping, sums] of groups) {
        if (grouping === "field") for (const field of fields) addField(sums, key, field, seenValues);
        else add(sums, nameOf(grouping, key, entry, nowMs), key, entryBytes);
      }
      if (sessions % 100 === 0) progress.update(sessions, sessions);
    }
  } finally {
    progress.stop();
  }
  const sorted = [...groups].map(([grouping, sums]) => [grouping, [...sums.values()].sort(largestFirst)] as const);
  return { sessions, bytes, damaged, groups: new Map(sorted) };
}

interface MeasuredField {
  readonly name: string;
  readonly text: string;
  readonly bytes: number;
}

function measureFields(entry: FrozenEntry | Readonly<Record<string, unknown>>): MeasuredField[] {
  return Object.entries(entry).map(([name, value]) => {
    const text = JSON.stringify(value);
    // Quotes and colon of the name, and the comma behind the value.
    return { name, text, bytes: Buffer.byteLength(JSON.stringify(name)) + Buffer.byteLength(text) + 2 };
  });
}

/** Shorter values are not worth storing once, nor a hash in memory. */
const repeatedBytesMin = 64;

function addField(
  sums: Map<string, Group>,
  key: string,
  { name, text, bytes }: MeasuredField,
  seen: Set<string>,
): void {
  const group = add(sums, name, key, bytes);
  group.repeatedBytes ??= 0;
  if (bytes < repeatedBytesMin) return;
  const hash = createHash("sha256").update(`${name}\n${text}`).digest("base64").slice(0, 22);
  if (seen.has(hash)) group.repeatedBytes += bytes;
  else seen.add(hash);
}

function add(sums: Map<string, Group>, name: string, key: string, bytes: number): Group {
  let group = sums.get(name);
  if (group === undefined) {
    group = { name, sessions: 0, bytes: 0, largestKey: key, largestBytes: bytes };
    sums.set(name, group);
  }
  group.sessions += 1;
  group.bytes += bytes;
  if (bytes > group.largestBytes) {
    group.largestBytes = bytes;
    group.largestKey = key;
  }
  return group;
}

function nameOf(grouping: Grouping, key: string, entry: Readonly<Record<string, unknown>>, nowMs: number): string {
  if (grouping === "agent") return parseAgentKey(key)?.agent ?? "(none)";
  if (grouping === "kind") return classifySession(key, entry.chatType);
  return ageClass(entry.updatedAt, nowMs);
}

const dayMs = 86_400_000;

function ageClass(updatedAt: unknown, nowMs: number): string {
  if (typeof updatedAt !== "number") return "unknown";
  const days = (nowMs - updatedAt) / dayMs;
  if (days < 1) return "under 1 day";
  if (days < 7) return "1 to 7 days";
  if (days < 30) return "7 to 30 days";
  return days < 90 ? "30 to 90 days" : "over 90 days";
}

function largestFirst(left: Group, right: Group): number {
  return right.bytes - left.bytes || (left.name < right.name ? -1 : 1);
}

// --- the store's own overhead ----------------------------------------------------------------------------------------------

/** What a backend tells about the bytes it takes beside the sessions. */
const overheadNames = ["journalBytes", "trashBytes", "quarantineBytes"] as const;
type Overhead = Partial<Record<(typeof overheadNames)[number], number>>;

async function readOverhead(store: CommandStore): Promise<Overhead> {
  const stats = await store.stats();
  const overhead: Overhead = {};
  for (const name of overheadNames) {
    const bytes = stats[name];
    if (typeof bytes === "number") overhead[name] = bytes;
  }
  return overhead;
}

// --- showing -------------------------------------------------------------------------------------------------------------

function toDocument({ sessions, bytes, damaged, groups }: Usage, overhead: Overhead, by: Grouping | undefined): object {
  const common = { sessions, bytes, damaged, overhead };
  if (by !== undefined) return { by, ...common, groups: groups.get(by) };
  return { ...common, groups: Object.fromEntries(groups) };
}

function printUsage({ sessions, bytes, damaged, groups }: Usage, overhead: Overhead): void {
  for (const [grouping, list] of groups) {
    if (list.length === 0) continue;
    const isField = grouping === "field";
    const head = [
      grouping.toUpperCase(),
      "SESSIONS",
      "BYTES",
      "SHARE",
      "LARGEST",
      ...(isField ? ["REPEATED"] : []),
      "IN",
    ];
    const rows = list
      .slice(0, shownMax)
      .map((group) => [
        safeText(group.name),
        formatCount(group.sessions),
        formatBytes(group.bytes),
        `${Math.round((group.bytes / Math.max(1, bytes)) * 100)}%`,
        formatBytes(group.largestBytes),
        ...(isField ? [formatBytes(group.repeatedBytes ?? 0)] : []),
        safeText(group.largestKey),
      ]);
    printTable(head, rows, isField ? [1, 2, 3, 4, 5] : [1, 2, 3, 4]);
    if (list.length > shownMax) printNote(`${list.length - shownMax} more; --json has them all.`);
    printLine("");
  }
  const parts = overheadNames
    .filter((name) => overhead[name] !== undefined)
    .map((name) => `${name.replace("Bytes", "")} ${formatBytes(overhead[name] as number)}`);
  printLine(
    `${color.bold(countOf(sessions, "session"))}, ${formatBytes(bytes)}${parts.length > 0 ? `; ${parts.join(", ")}` : ""}`,
  );
  if (damaged > 0) printNote(`${countOf(damaged, "damaged session")} not counted; see sessiondir verify.`);
}

const shownMax = 40;
