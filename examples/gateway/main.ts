/**
 * `npm start`: a gateway in small. Takes over the legacy sessions.json files of three agents, lets four processes work on
 * the sessions at once, and then proves that nothing was lost. Read on in inbound.ts: what a gateway does per message.
 *
 *     npm start                              makes a sample state directory here
 *     npm start -- --state-dir DIR           works on the stores of DIR/agents/*\/sessions
 *     npm start -- --sessions 1000 --seconds 30
 */

import { statSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { openSessionStore } from "sessiondir";
import { compareCounters, readCounters } from "./audit.js";
import { runProcesses, subagentCount } from "./processes.js";
import { startRunProgress } from "./progress.js";
import { printAudit, printLatencies, printNextSteps } from "./report.js";
import { type AgentStore, createStateDirectory, findStores } from "./state-directory.js";

interface Settings {
  stateDirectory: string | undefined;
  sessions: number;
  seconds: number;
}

try {
  process.exitCode = await main(readSettings());
} catch (error) {
  console.error(`The run failed: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}

async function main(settings: Settings): Promise<number> {
  const stores = prepareStores(settings);
  const tookOver = await migrate(stores);
  const before = await readCounters(stores);
  const results = await run(stores, settings.seconds);
  const audit = compareCounters(before, await readCounters(stores), results);
  printAudit(audit, results);
  const findings = await verify(stores);
  printNextSteps(stores, tookOver);
  const problems = results.flatMap((result) => result.problems);
  return audit.differences.length + problems.length + findings === 0 ? 0 : 1;
}

function readSettings(): Settings {
  try {
    const { values } = parseArgs({
      options: { "state-dir": { type: "string" }, sessions: { type: "string" }, seconds: { type: "string" } },
    });
    return {
      stateDirectory: values["state-dir"],
      sessions: parseCount("--sessions", values.sessions ?? "250"),
      seconds: parseCount("--seconds", values.seconds ?? "12"),
    };
  } catch (error) {
    return endWith(`${(error as Error).message}\nUsage: npm start -- [--state-dir DIR] [--sessions N] [--seconds N]`);
  }
}

function prepareStores({ stateDirectory, sessions }: Settings): AgentStore[] {
  if (stateDirectory !== undefined) {
    const found = findStores(stateDirectory);
    if (found.length > 0) {
      console.log(
        `Working on the ${found.length} stores of ${stateDirectory}. This adds demo counters to their sessions.`,
      );
      return found;
    }
    return endWith(`There is no agents/*/sessions/sessions.json (or sessions.d) in ${path.resolve(stateDirectory)}.`);
  }
  const stamp = new Date().toISOString().slice(0, 19).replace(/[-:]/g, "").replace("T", "-");
  const directory = `demo-state-${stamp}`;
  createStateDirectory(directory, sessions);
  console.log(`Made a legacy state directory with about ${sessions} sessions of three agents: ${directory}`);
  return findStores(directory);
}

/** Opening the path of a legacy sessions.json takes it over; opening it again finds the store. True if one was there. */
async function migrate(agentStores: readonly AgentStore[]): Promise<boolean> {
  let tookOver = false;
  for (const { agent, location } of agentStores) {
    const legacy = statSync(location, { throwIfNoEntry: false });
    tookOver ||= legacy !== undefined;
    const startedAt = performance.now();
    const store = await openSessionStore(location, { logger: { warn: (message) => console.log(`  ${message}`) } });
    const { sessions } = await store.list({ limit: 10_000 });
    await store.close();
    const took = `${Math.round(performance.now() - startedAt)} ms`;
    const what = legacy
      ? `took over ${(legacy.size / 1e6).toFixed(1)} MB of legacy file in ${took}`
      : `opened in ${took}`;
    console.log(`  ${agent}: ${sessions.length} sessions, ${what}`);
  }
  return tookOver;
}

async function run(agentStores: AgentStore[], seconds: number) {
  console.log(
    `\nFour processes work on them for ${seconds} s: two deliver messages, one is a parent agent that holds an`,
  );
  console.log(`update open while ${subagentCount} sub-agents announce to it, one lists, reads and watches.`);
  const interrupted = new AbortController();
  process.on("SIGINT", () => interrupted.abort());
  const progress = startRunProgress();
  const startedAt = performance.now();
  const workerResults = await runProcesses({
    stores: agentStores,
    parent: await chooseParent(agentStores),
    seconds,
    signal: interrupted.signal,
    onActivity: ({ operations, announced, parentHolds }, elapsedMs) => {
      const parent = parentHolds ? ", the parent holds its update open" : "";
      const counts = `${operations.toLocaleString("en-US")} operations, ${announced} of ${subagentCount} sub-agents${parent}`;
      const finishing = elapsedMs > seconds * 1_000 ? ", finishing: each session goes to its own file" : "";
      progress.update(elapsedMs / (seconds * 1_000), `${counts}${finishing}`);
    },
  }).finally(progress.stop);
  console.log("");
  printLatencies(workerResults, (performance.now() - startedAt) / 1_000);
  console.log("");
  return workerResults;
}

/** The main session of the main agent, or, in a given directory without one, the session that was active last. */
async function chooseParent(agentStores: readonly AgentStore[]): Promise<{ agent: string; key: string }> {
  const { agent, location } = agentStores.find((candidate) => candidate.agent === "main") ?? agentStores[0]!;
  const store = await openSessionStore(location, { readOnly: true });
  const { sessions } = await store.list({ limit: 1 });
  const key = (await store.get("agent:main:main")) ? "agent:main:main" : sessions[0]?.key;
  await store.close();
  return key === undefined
    ? endWith(`The store of ${agent} holds no session; there is nothing to work on.`)
    : { agent, key };
}

async function verify(agentStores: readonly AgentStore[]): Promise<number> {
  let count = 0;
  for (const { agent, location } of agentStores) {
    const store = await openSessionStore(location, { readOnly: true });
    for await (const finding of store.verify()) {
      count += 1;
      console.log(`  ${agent}: ${finding.severity} [${finding.code}] ${finding.message} ${finding.nextStep}`);
    }
    await store.close();
  }
  console.log(count === 0 ? "verify: nothing is wrong in any store." : `verify: ${count} findings, see above.`);
  return count;
}

function parseCount(name: string, text: string): number {
  const count = Number(text);
  if (!Number.isSafeInteger(count) || count < 1)
    throw new Error(`${name} takes a whole number above 0, not "${text}".`);
  return count;
}

function endWith(message: string): never {
  console.error(message);
  process.exit(2);
}
