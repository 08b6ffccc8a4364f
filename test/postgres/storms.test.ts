/** Connections that are killed all the time: nothing that was acknowledged is lost, nothing happens twice. */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import pg from "pg";
import type { PostgresOptions } from "../../src/index.js";
import { openSessionStore } from "../../src/open.js";
import { sharedPostgres, skipWithoutPostgres } from "../support/postgres-harness.js";
import { startProxy } from "../support/postgres-proxy.js";
import { readAll } from "../support/store-reading.js";

type AnyEntry = Record<string, unknown>;
const skip = skipWithoutPostgres();
const url = sharedPostgres();

const writers = 16;
const rounds = 24;

for (const postgres of [{}, { prepare: false, notify: false }] as PostgresOptions[]) {
  test(`sixteen writers while connections are terminated: 0 lost, 0 twice (${JSON.stringify(postgres)})`, {
    skip,
  }, async (context) => {
    const storeName = `storm-${randomUUID()}`;
    const location = await url();
    const stores = await Promise.all(
      [1, 2].map(() =>
        openSessionStore<AnyEntry>(location, {
          storeName,
          // A slow machine makes conflicts last, and what is counted here is not time.
          conflictWaitMs: 120_000,
          postgres: { connections: 8, reconnectWaitMs: 120_000, ...postgres },
        }),
      ),
    );
    const client = new pg.Client({ connectionString: location });
    await client.connect();
    let terminated = 0;
    let done = false;
    const storm = (async () => {
      while (!done) {
        const { rowCount } = await client.query(
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sessiondir' AND random() < 0.15",
        );
        terminated += rowCount ?? 0;
        await client.query("SELECT pg_sleep(0.05)");
      }
    })();
    await Promise.all(
      Array.from({ length: writers }, async (_, writer) => {
        const store = stores[writer % stores.length]!;
        const add = (current: AnyEntry | undefined) => ({ n: ((current?.n as number | undefined) ?? 0) + 1 });
        for (let round = 0; round < rounds; round++) {
          await store.update(`own${writer}`, add);
          await store.update(`shared${round % 4}`, add);
          if (round % 8 === 0) {
            await store.transaction(async (transaction) => {
              for (const key of ["total", `part${writer % 3}`]) {
                const current = await transaction.get(key);
                transaction.set(key, add(current));
              }
            });
          }
        }
      }),
    ).finally(() => {
      done = true;
    });
    await storm;
    const all = await readAll(stores[0]!);
    const sum = (prefix: string) =>
      [...all].filter(([key]) => key.startsWith(prefix)).reduce((total, [, entry]) => total + (entry.n as number), 0);
    context.diagnostic(`${terminated} connections terminated`);
    assert.ok(terminated > 5, "the storm blew");
    for (let writer = 0; writer < writers; writer++) assert.equal(all.get(`own${writer}`)?.n, rounds);
    assert.equal(sum("shared"), writers * rounds);
    assert.equal(sum("total"), writers * (rounds / 8));
    assert.equal(sum("part"), writers * (rounds / 8));
    await client.end();
    await Promise.all(stores.map((store) => store.close()));
  });
}

test("a server that lost the rows of its writers still tells once what happened", { skip }, async () => {
  const storeName = `amnesia-${randomUUID()}`;
  const location = await url();
  const proxy = await startProxy({ host: new URL(location).hostname, port: Number(new URL(location).port) });
  const store = await openSessionStore<AnyEntry>(proxy.url(location), {
    storeName,
    postgres: { notify: false, prepare: false, connections: 1 },
  });
  await store.update("a", () => ({ n: 1 }));
  const client = new pg.Client({ connectionString: location });
  await client.connect();
  // As after a failover to a standby that had not received them: the connection goes, and so does the row.
  proxy.loseStatement(/FROM sessiondir_session/);
  await store.get("a");
  await client.query("DELETE FROM sessiondir_writer WHERE store = $1", [storeName]);
  await client.end();
  proxy.loseAnswerTo(/UPDATE sessiondir_session t SET rev/);
  await store.update("a", (current) => ({ n: (current!.n as number) + 1 }));
  await proxy.lost;
  assert.deepEqual(await store.get("a"), { n: 2 });
  await store.close();
  await proxy.close();
});
