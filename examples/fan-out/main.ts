/**
 * `npm run example:fan-out`: the load that brings a gateway with one sessions.json to its knees. A parent session spawns
 * 200 sub-agents and holds its own update open for 10 s while they announce to it, and 50 channels in two more processes
 * deliver messages. On a directory store, by its own methods and by the drop-in functions, then, for the record, on the
 * single file.
 *
 *     npm run example:fan-out
 *     npm run example:fan-out -- --hold 3 --sessions 1000 --way directory
 */

import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { percentile } from "../gateway/latencies.js";
import type { Way } from "./operations.js";
import { type Outcome, runScenario } from "./scenario.js";

const usage = "Usage: npm run example:fan-out -- [--hold SECONDS] [--sessions N] [--way directory|gateway|json]";
const subagents = 200;
const channels = 50;
const titles: Record<Way, string> = {
  directory: "A directory store",
  gateway: "A directory store, by the functions that OpenClaw's gateway calls",
  json: "The single sessions.json",
};

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`The run failed: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}

async function main(): Promise<number> {
  const { holdSeconds, sessions, ways } = readSettings();
  const outcomes = new Map<Way, Outcome>();
  for (const way of ways) {
    console.log(`\n${titles[way]}, ${sessions} sessions; the parent holds its update for ${holdSeconds} s`);
    if (way === "json") console.log("  This takes minutes: each change writes the whole file anew.");
    const directory = mkdtempSync(path.join(os.tmpdir(), "sessiondir-fan-out-"));
    try {
      const outcome = await runScenario({
        place: { way, location: path.join(directory, "sessions.json") },
        sessions,
        subagents,
        channels,
        holdMs: holdSeconds * 1_000,
        watchdogMs: holdSeconds * 1_000 + 300_000,
        onProgress: (text) => console.log(`  ${text}`),
      });
      outcomes.set(way, outcome);
      printOutcome(outcome);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  }
  const isWell = ({ announcedBeforeRelease, lost }: Outcome) =>
    announcedBeforeRelease === subagents && lost.length === 0;
  return [...outcomes.values()].every(isWell) ? 0 : 1;
}

function printOutcome({ announcedBeforeRelease, parentRuns, retries, messages, lost, latencies }: Outcome): void {
  const again = parentRuns === 1 ? "once" : `${parentRuns} times`;
  console.log(
    `  ${announcedBeforeRelease} of ${subagents} announcements were acknowledged before the parent let go of`,
  );
  console.log(`  its update; its function ran ${again}, ${retries} announcements had to be repeated.`);
  console.log(`  Lost: ${lost.length} of ${subagents} announcements and ${messages.toLocaleString("en-US")} messages.`);
  for (const text of lost.slice(0, 10)) console.log(`    ${text}`);
  console.log(`  ${"".padEnd(36)}${["count", "p50 ms", "p99 ms", "max ms"].map((head) => head.padStart(10)).join("")}`);
  for (const [name, list] of latencies) {
    const cells = [String(list.length), ...[0.5, 0.99, 1].map((share) => inMilliseconds(percentile(list, share)))];
    console.log(`  ${name.padEnd(36)}${cells.map((cell) => cell.padStart(10)).join("")}`);
  }
}

function inMilliseconds(microseconds: number): string {
  return (microseconds / 1_000).toFixed(2);
}

function readSettings(): { holdSeconds: number; sessions: number; ways: Way[] } {
  try {
    const { values } = parseArgs({
      options: { hold: { type: "string" }, sessions: { type: "string" }, way: { type: "string" } },
    });
    const all = Object.keys(titles) as Way[];
    const ways = all.filter((way) => values.way === undefined || way === values.way);
    if (ways.length === 0) throw new Error(`--way is one of ${all.join(", ")}, not "${values.way}".`);
    return {
      holdSeconds: parseNumber("--hold", values.hold ?? "10"),
      sessions: parseNumber("--sessions", values.sessions ?? "100"),
      ways,
    };
  } catch (error) {
    console.error(`${(error as Error).message}\n${usage}`);
    process.exit(2);
  }
}

function parseNumber(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new Error(`${name} takes a whole number above 0, not "${text}".`);
  return value;
}
