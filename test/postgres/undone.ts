/**
 * Histories on PostgreSQL in which the server undoes much of what is sent: every statement is serializable, and another
 * program takes the locks of commits in the other order all the time, so that there are deadlocks.
 */

import { randomUUID } from "node:crypto";
import pg from "pg";
import { nodePort } from "../../src/fs/node-port.js";
import { openSessionStore } from "../../src/open.js";
import { openBackend } from "../../src/open-backend.js";
import { checkOpenOptions } from "../../src/open-options.js";
import { type HistoriesReport, runHistories } from "../histories/run.js";
import { type HistoryTarget, postgresTarget } from "../histories/targets.js";

export interface UndoneReport extends HistoriesReport {
  /** That the server found and ended. */
  readonly deadlocks: number;
}

/** Runs so many histories on the server at `url`, whose role must be a superuser. */
export async function runUndoneHistories(url: string, seed: number, count: number): Promise<UndoneReport> {
  // The tables are there.
  await (await openSessionStore(url, { storeName: "undone-first" })).close();
  const before = await countDeadlocks(url);
  let isOver = false;
  const disturbing = withClient(url, (client) => disturb(client, () => isOver));
  const histories = { seed, count, operationsMax: 40, target: strictTarget(url), quiet: true };
  const running = runHistories(histories).finally(() => {
    isOver = true;
  });
  const [report] = await Promise.all([running, disturbing]);
  return { ...report, deadlocks: (await countDeadlocks(url)) - before };
}

export async function withClient<T>(url: string, body: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await body(client);
  } finally {
    await client.end();
  }
}

/** On a connection of its own: the server shows one connection the figures of a moment for a while. */
function countDeadlocks(url: string): Promise<number> {
  return withClient(url, async (client) => {
    const { rows } = await client.query("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()");
    return Number(rows[0].deadlocks);
  });
}

/** Where every statement is serializable, and who waits looks for a deadlock at once. */
function strictTarget(base: string): HistoryTarget {
  const options = encodeURIComponent("-c default_transaction_isolation=serializable -c deadlock_timeout=5ms");
  return {
    ...postgresTarget(base),
    makePlace: () => {
      const location = `${base}?options=${options}&store=undone-${randomUUID()}`;
      return {
        location,
        open: (given) => openBackend(nodePort(), location, checkOpenOptions(given)),
        remove: async () => {},
      };
    },
  };
}

/** Locks a session, and then the lanes, which every commit locks in the other order. */
async function disturb(client: pg.Client, isOver: () => boolean): Promise<void> {
  // Most who wait for it have looked already when it begins to wait for them: then it is the one who is ended.
  await client.query("SET deadlock_timeout = '30ms'");
  while (!isOver()) {
    try {
      await client.query("BEGIN");
      const { rows } = await client.query(
        "SELECT store FROM sessiondir_session WHERE store LIKE 'undone-%' ORDER BY committed_us DESC LIMIT 1 FOR UPDATE",
      );
      await client.query("SELECT pg_sleep(0.003)");
      await client.query("SELECT 1 FROM sessiondir_lane WHERE store = $1 ORDER BY lane FOR UPDATE", [rows[0]?.store]);
    } catch (error) {
      if ((error as { code?: string }).code !== "40P01") throw error;
    }
    await client.query("ROLLBACK");
    await client.query("SELECT pg_sleep(0.01)");
  }
}
