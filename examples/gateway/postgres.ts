/**
 * `npm run start:postgres`: the same gateway on PostgreSQL. Every process opens the stores by URL, as it would on a machine
 * of its own; nothing but the server is shared. At the end every counter is compared with what was acknowledged.
 */

import { randomUUID } from "node:crypto";
import { parseArgs } from "node:util";
import { openSessionStore } from "sessiondir";
import { compareCounters, readCounters } from "./audit.js";
import { runProcesses, subagentCount } from "./processes.js";
import { startRunProgress } from "./progress.js";
import { printAudit, printLatencies } from "./report.js";
import { agents, sampleSessions } from "./sample-sessions.js";
import type { AgentStore } from "./state-directory.js";

/** Returns the exit code: 0 when nothing was lost and nothing is wrong. */
export async function runOnPostgres(url: string, args: string[]): Promise<number> {
  const { values } = parseArgs({ args, options: { sessions: { type: "string" }, seconds: { type: "string" } } });
  const sessions = Number(values.sessions ?? 250);
  const seconds = Number(values.seconds ?? 12);
  if (!(sessions >= 1) || !(seconds >= 1)) {
    console.error("Usage: npm run start:postgres -- [--sessions N] [--seconds N]");
    return 2;
  }
  const stores = await fillStores(url, sessions);
  const before = await readCounters(stores);
  console.log(
    `\nThree machines work on them for ${seconds} s, each a process or two that knows nothing but the URL: the`,
  );
  console.log("first delivers messages, the second delivers and is a parent agent that holds an update open while");
  console.log(`${subagentCount} sub-agents announce to it, the third lists, reads and watches.`);
  const progress = startRunProgress();
  const startedAt = performance.now();
  const results = await runProcesses({
    stores,
    parent: { agent: "main", key: "agent:main:main" },
    seconds,
    signal: interruption(),
    onActivity: ({ operations, announced }, elapsedMs) => {
      const counts = `${operations.toLocaleString("en-US")} operations, ${announced} of ${subagentCount} sub-agents`;
      progress.update(elapsedMs / (seconds * 1_000), counts);
    },
  }).finally(progress.stop);
  console.log("");
  printLatencies(results, (performance.now() - startedAt) / 1_000);
  console.log("");
  const audit = compareCounters(before, await readCounters(stores), results);
  printAudit(audit, results);
  const findings = await verify(stores);
  const problems = results.flatMap((result) => result.problems);
  return audit.differences.length + problems.length + findings === 0 ? 0 : 1;
}

/** One store for each agent, of a name that no earlier run had. */
async function fillStores(url: string, sessionCount: number): Promise<AgentStore[]> {
  const run = randomUUID().slice(0, 8);
  const shares = [0.5, 0.3, 0.2];
  const stores: AgentStore[] = [];
  for (const [index, agent] of agents.entries()) {
    const location = `${url}${url.includes("?") ? "&" : "?"}store=${agent}-${run}`;
    const store = await openSessionStore(location);
    const count = Math.max(2, Math.round(sessionCount * shares[index]!));
    await store.transaction((transaction) => {
      for (const [key, entry] of sampleSessions(agent, count)) transaction.set(key, entry);
    });
    console.log(`  ${agent}: ${(await store.stats()).sessions} sessions in ${store.location}`);
    await store.close();
    stores.push({ agent, location });
  }
  return stores;
}

async function verify(stores: readonly AgentStore[]): Promise<number> {
  let count = 0;
  for (const { agent, location } of stores) {
    const store = await openSessionStore(location, { readOnly: true });
    for await (const { severity, code, message } of store.verify()) {
      count += 1;
      console.log(`  ${agent}: ${severity} [${code}] ${message}`);
    }
    await store.close();
  }
  console.log(count === 0 ? "verify: nothing is wrong in any store." : `verify: ${count} findings, see above.`);
  return count;
}

function interruption(): AbortSignal {
  const interrupted = new AbortController();
  process.once("SIGINT", () => interrupted.abort());
  return interrupted.signal;
}
