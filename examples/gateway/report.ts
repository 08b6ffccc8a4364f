/** What the run says at its end: throughput, latencies, what was lost, where the stores lie and what to try next. */

import path from "node:path";
import type { Audit } from "./audit.js";
import { mergeLatencies, percentile } from "./latencies.js";
import type { WorkerResult } from "./messages.js";
import type { AgentStore } from "./state-directory.js";

export function printLatencies(results: readonly WorkerResult[], seconds: number): void {
  const merged = mergeLatencies(results.map(({ latencies }) => latencies));
  const rows = [...merged].map(([name, list]) => [
    name,
    list.length.toLocaleString("en-US"),
    Math.round(list.length / seconds).toLocaleString("en-US"),
    formatMilliseconds(percentile(list, 0.5)),
    formatMilliseconds(percentile(list, 0.99)),
  ]);
  printColumns([["operation", "count", "per second", "p50 ms", "p99 ms"], ...rows]);
}

export function printAudit(audit: Audit, results: readonly WorkerResult[]): void {
  for (const note of results.flatMap(({ notes }) => notes)) console.log(note);
  console.log("");
  console.log(
    `${audit.acknowledged.toLocaleString("en-US")} changes were acknowledged to four processes; lost: ${audit.lost}.`,
  );
  for (const difference of audit.differences.slice(0, 20)) console.log(`  ${difference}`);
  for (const problem of results.flatMap(({ problems }) => problems).slice(0, 20)) console.log(`  ${problem}`);
}

export function printNextSteps(stores: readonly AgentStore[], tookOver: boolean): void {
  const command = "node dist/cli/main.js";
  const { location } = stores.find(({ agent }) => agent === "main") ?? stores[0]!;
  const store = quote(path.relative(process.cwd(), location) || location);
  const folder = path.dirname(store);
  console.log(`
The stores lie in ${folder}${stores.length > 1 ? " and beside it, one per agent" : ""}: plain files, made to be looked at.
Try next:
  ${command} list --store ${store} --limit 10
  ${command} get agent:main:main --store ${store} | head -20
  ${command} patch agent:main:main label="my session" --store ${store}
  ${command} watch --store ${store}          (and patch in a second terminal)
  ${command} verify --store ${store}
  ls ${store.replace(/\.json('?)$/, ".d$1")}`);
  if (tookOver) console.log("The legacy files are still there as sessions.json.bak.<time>.");
}

function formatMilliseconds(microseconds: number): string {
  return (microseconds / 1_000).toFixed(2);
}

/** The first column to the left, the others to the right. */
function printColumns(rows: readonly string[][]): void {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  for (const row of rows) {
    const cells = row.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]! + 2),
    );
    console.log(`  ${cells.join("")}`);
  }
}

function quote(text: string): string {
  return /^[\w./:@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
