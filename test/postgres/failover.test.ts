/**
 * A failover: the primary is killed with all its processes under sixteen writers, a synchronous standby is promoted. No
 * acknowledged commit is lost, and the writers go on without a restart, because the URL names both hosts.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import pg from "pg";
import { openSessionStore } from "../../src/open.js";
import { skipWithoutPostgres } from "../support/postgres-harness.js";
import { type PostgresServer, postgresPassword, startPostgres } from "../support/postgres-server.js";
import { deferred, readAll, rejectsWith } from "../support/store-reading.js";

type AnyEntry = Record<string, unknown>;
const skip = skipWithoutPostgres(18, true);
const writers = 16;

async function ask(server: PostgresServer, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: server.url() });
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

async function until(server: PostgresServer, text: string): Promise<void> {
  while ((await ask(server, text))[0]?.done !== true) await new Promise((resolve) => setTimeout(resolve, 20));
}

/** A primary and a synchronous standby, made from a copy of its data. */
async function startPair(): Promise<[PostgresServer, PostgresServer]> {
  const primary = await startPostgres({ settings: { wal_level: "replica", max_wal_senders: "4" } });
  await primary.stop();
  const standby = await startPostgres({
    copyOf: primary,
    files: { "standby.signal": "" },
    settings: {
      hot_standby: "on",
      primary_conninfo: `host=127.0.0.1 port=${primary.port} user=postgres password=${postgresPassword} application_name=standby`,
    },
  });
  await primary.start({ wal_level: "replica", synchronous_standby_names: "standby" });
  await until(primary, "SELECT count(*) > 0 AS done FROM pg_stat_replication WHERE sync_state = 'sync'");
  return [primary, standby];
}

test("the primary dies under sixteen writers: 0 acknowledged lost, and the writers go on", {
  skip,
}, async (context) => {
  const [primary, standby] = await startPair();
  try {
    await rejectsWith("unsafe_server", openSessionStore(standby.url()));
    const location = primary.url().replace(/(127\.0\.0\.1:\d+)/, `$1,127.0.0.1:${standby.port}`);
    const store = await openSessionStore<AnyEntry>(location, {
      postgres: { connections: 16, statementTimeoutMs: 10_000 },
    });
    const acknowledged = Array.from({ length: writers }, () => 0);
    const enough = deferred();
    let total = 0;
    let stop = false;
    const watch = store.watch();
    const work = acknowledged.map(async (_, writer) => {
      while (!stop) {
        const entry = await store.update(`writer${writer}`, (current) => ({
          n: ((current?.n as number | undefined) ?? 0) + 1,
        }));
        acknowledged[writer] = entry?.n as number;
        total += 1;
        if (total === 400) enough.resolve();
      }
    });
    await enough.promise;
    await primary.kill();
    const before = [...acknowledged];
    await ask(standby, "SELECT pg_promote()");
    // Each writer has to get through again, on the other server.
    while (acknowledged.some((n, writer) => n < before[writer]! + 2)) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    stop = true;
    await Promise.all(work);
    const all = await readAll(store);
    for (const [writer, n] of acknowledged.entries()) {
      // Exactly: none lost, and none made twice.
      assert.equal(all.get(`writer${writer}`)?.n, n, `writer ${writer}`);
    }
    context.diagnostic(`${before.reduce((sum, n) => sum + n, 0)} commits before, ${total} in all`);
    let reset = false;
    for await (const change of watch) {
      if (change.type !== "reset") continue;
      reset = true;
      break;
    }
    assert.ok(reset, "watchers are told that the history is another one");
    await store.close();
  } finally {
    await primary.destroy();
    await standby.destroy();
  }
});
