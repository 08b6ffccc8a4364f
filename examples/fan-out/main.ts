/**
 * `npm run example:fan-out`: the load that brings a gateway with one sessions.json to its knees. A parent session spawns
 * 200 sub-agents and holds its own update open for 10 s while they announce to it, and 50 channels in two more processes
 * deliver messages. First on a directory store, then, for the record, on the single file.
 *
 *     npm run example:fan-out
 *     npm run example:fan-out -- --hold 3 --sessions 1000 --backend directory
 */

import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { percentile } from "../gateway/latencies.js";
import type { Backend } from "./operations.js";
import { type Outcome, runScenario } from "./scenario.js";

const usage = "Usage: npm run example:fan-out -- [--hold SECONDS] [--sessions N] [--backend directory|json]";
const subagents = 200;
const channels = 50;
const titles: Record<Backend, string> = { directory: "A directory store", json: "The single sessions.json" };

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`The run failed: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}

async function main(): Promise<number> {
  const { holdSeconds, sessions, backends } = readSettings();
  const outcomes = new Map<Backend, Outcome>();
  for (const backend of backends) {
    console.log(`\n${titles[backend]}, ${sessions} sessions; the parent holds its update for ${holdSeconds} s`);
    if (backend === "json") console.log("  This takes minutes: each change writes the whole file anew.");
    const directory = mkdtempSync(path.join(os.tmpdir(), "sessiondir-fan-out-"));
    try {
      const outcome = await runScenario({
        place: { backend, location: path.join(directory, "sessions.json") },
        sessions,
        subagents,
        channels,
        holdMs: holdSeconds * 1_000,
        watchdogMs: holdSeconds * 1_000 + 300_000,
        onProgress: (text) => console.log(`  ${text}`),
      });
      outcomes.set(backend, outcome);
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

function readSettings(): { holdSeconds: number; sessions: number; backends: Backend[] } {
  try {
    const { values } = parseArgs({
      options: { hold: { type: "string" }, sessions: { type: "string" }, backend: { type: "string" } },
    });
    const backend = values.backend;
    if (backend !== undefined && backend !== "directory" && backend !== "json") {
      throw new Error(`--backend is directory or json, not "${backend}".`);
    }
    return {
      holdSeconds: parseNumber("--hold", values.hold ?? "10"),
      sessions: parseNumber("--sessions", values.sessions ?? "100"),
      backends: backend === undefined ? ["directory", "json"] : [backend],
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
