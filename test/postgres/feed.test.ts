/** The change feed under what loses changes elsewhere: slow transactions, rollbacks, lost notifications, old cursors. */

import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import { test } from "node:test";
import pg from "pg";
import { nodePort } from "../../src/fs/node-port.js";
import type { PostgresOptions } from "../../src/index.js";
import { openSessionStore } from "../../src/open.js";
import { openBackend } from "../../src/open-backend.js";
import { checkOpenOptions } from "../../src/open-options.js";
import { sharedPostgres, skipWithoutPostgres } from "../support/postgres-harness.js";
import { applyChanges, changesSince, readAll } from "../support/store-reading.js";

type AnyEntry = Record<string, unknown>;
const skip = skipWithoutPostgres();
const url = sharedPostgres();

async function openSeveral(count: number, postgres: PostgresOptions = {}) {
  const storeName = `feed-${randomUUID()}`;
  const location = await url();
  const open = () => openSessionStore<AnyEntry>(location, { storeName, postgres: { connections: 4, ...postgres } });
  const stores = await Promise.all(Array.from({ length: count }, open));
  const close = () => Promise.all(stores.map((store) => store.close()));
  return { storeName, stores, close };
}

async function withClient(body: (client: pg.Client) => Promise<void>) {
  const client = new pg.Client({ connectionString: await url() });
  await client.connect();
  try {
    await body(client);
  } finally {
    await client.end();
  }
}

/** Holds the lanes of some keys in a transaction of its own for a while, and commits or rolls back. */
async function disturb(client: pg.Client, storeName: string, round: number) {
  await client.query("BEGIN");
  await client.query(
    "SELECT 1 FROM sessiondir_lane WHERE store = $1 AND lane BETWEEN $2 AND $2 + 8 ORDER BY lane FOR UPDATE",
    [storeName, (round * 7) % 56],
  );
  await client.query("UPDATE sessiondir_lane SET rev = rev + 1 WHERE store = $1 AND lane = $2", [
    storeName,
    (round * 7) % 56,
  ]);
  await client.query("SELECT pg_sleep(0.01)");
  await client.query(round % 2 === 0 ? "ROLLBACK" : "COMMIT");
}

for (const notify of [true, false]) {
  test(`twelve writers with slow transactions and rollbacks: no change is lost (${notify ? "notified" : "polling"})`, {
    skip,
  }, async () => {
    const writers = 12;
    const { stores, storeName, close } = await openSeveral(4, { notify, pollMs: notify ? 1_000 : 5 });
    const reader = stores[0]!;
    const start = await reader.cursor();
    /** Every version of every session that was acknowledged, in order. */
    const written = new Map<string, number[]>();
    const seen = new Map<string, number[]>();
    const stop = new AbortController();
    const following = (async () => {
      for await (const change of reader.watch({ since: start, signal: stop.signal })) {
        assert.notEqual(change.type, "reset");
        if (change.key === "end") return;
        const list = seen.get(change.key!) ?? [];
        list.push(change.entry?.n as number);
        seen.set(change.key!, list);
      }
    })();
    await withClient(async (client) => {
      let done = false;
      const disturbing = (async () => {
        for (let round = 0; !done; round++) await disturb(client, storeName, round);
      })();
      await Promise.all(
        Array.from({ length: writers }, async (_, writer) => {
          const store = stores[writer % stores.length]!;
          for (let n = 1; n <= 40; n++) {
            const own = `writer${writer}:${n % 5}`;
            if (n % 4 === 0) {
              await store.transaction((transaction) => {
                for (const key of [own, `pair${writer}:${n}`, `other${writer}:${n % 3}`]) {
                  transaction.set(key, { n });
                }
              });
              written.set(`pair${writer}:${n}`, [n]);
            } else {
              await store.update(own, () => ({ n }));
            }
            if (n % 10 === 0) {
              // A commit that fails half way: nothing of it may appear.
              await assert.rejects(
                store.transaction((transaction) => {
                  transaction.set("never", { n });
                  throw new Error("changed my mind");
                }),
              );
            }
            written.set(own, [...(written.get(own) ?? []), n]);
          }
        }),
      );
      done = true;
      await disturbing;
    });
    const final = await readAll(reader);
    await stores[1]!.update("end", () => ({}));
    await following;
    for (const [key, list] of written) {
      const told = seen.get(key) ?? [];
      assert.deepEqual(
        told,
        [...told].sort((left, right) => left - right),
        `${key} in order`,
      );
      assert.equal(told.at(-1), list.at(-1), `${key} ends with what was written last`);
      assert.equal(new Set(told).size, told.length, `${key}: nothing twice`);
    }
    assert.ok(!seen.has("never"));
    const states = applyChanges(new Map(), await changesSince(stores[2]!, start));
    states.delete("end");
    assert.deepEqual(new Map([...states].sort()), new Map([...final].sort()));
    stop.abort();
    await close();
  });
}

test("a listener whose connection is ended goes on, and misses nothing", { skip }, async () => {
  const { stores, close } = await openSeveral(2, { pollMs: 60_000 });
  const [writer, reader] = stores as [(typeof stores)[0], (typeof stores)[0]];
  const watch = reader.watch({ since: await reader.cursor() });
  await writer.update("a", () => ({ n: 0 }));
  assert.deepEqual((await watch.next()).value?.entry, { n: 0 });
  await withClient(async (client) => {
    for (let n = 1; n <= 3; n++) {
      const next = watch.next();
      // All connections, the listening ones among them; the commit comes while nobody listens.
      await client.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sessiondir' AND query LIKE 'LISTEN%'",
      );
      await writer.update("a", () => ({ n }));
      assert.deepEqual((await next).value?.entry, { n });
    }
  });
  await watch.return?.();
  await close();
});

test("without a listener nobody notifies, and a new one is told of what is committed right after it came", {
  skip,
}, async () => {
  const { stores, storeName, close } = await openSeveral(2, { pollMs: 60_000 });
  const [writer, reader] = stores as [(typeof stores)[0], (typeof stores)[0]];
  await withClient(async (client) => {
    const channel = `sessiondir_${createHash("sha256").update(storeName).digest("hex").slice(0, 16)}`;
    let notified = 0;
    client.on("notification", () => {
      notified += 1;
    });
    await client.query(`LISTEN "${channel}"`);
    for (let n = 0; n < 5; n++) await writer.update("a", () => ({ n }));
    // Notifications come before the answer to the next statement.
    await client.query("SELECT 1");
    assert.equal(notified, 0);
    // The writer has just seen that nobody listens, and goes on believing it for a moment.
    let listening = false;
    const busy = (async () => {
      for (let n = 0; !listening; n++) await writer.update("b", () => ({ n }));
    })();
    const watch = reader.watch({ since: await reader.cursor() });
    const told = (async () => {
      for await (const { key, entry } of watch) if (key === "a") return entry;
      return undefined;
    })();
    while (!(await listens(client, storeName))) await new Promise((resolve) => setImmediate(resolve));
    listening = true;
    await busy;
    await writer.update("a", () => ({ n: 100 }));
    assert.deepEqual(await told, { n: 100 });
    // Later it knows.
    for (let n = 101; notified === 0; n++) {
      await writer.update("a", () => ({ n }));
      await client.query("SELECT 1");
    }
  });
  await close();
});

async function listens(client: pg.Client, storeName: string): Promise<boolean> {
  const { rowCount } = await client.query(
    "SELECT 1 FROM sessiondir_lease WHERE store = $1 AND name = 'listeners' AND until_us > 0",
    [storeName],
  );
  return rowCount === 1;
}

test("a watcher that may only read is told soon too, although no writer can know of it", { skip }, async () => {
  const storeName = `feed-${randomUUID()}`;
  const owner = await openSessionStore<AnyEntry>(await url(), { storeName });
  await owner.update("a", () => ({ n: 0 }));
  const role = `reader_${randomUUID().replaceAll("-", "")}`;
  await withClient(async (client) => {
    await client.query(`CREATE ROLE ${role} LOGIN PASSWORD 'secret'`);
    await client.query(`GRANT SELECT ON ALL TABLES IN SCHEMA public TO ${role}`);
    try {
      const location = (await url()).replace(/\/\/[^@]*@/, `//${role}:secret@`);
      const reader = await openSessionStore<AnyEntry>(location, {
        storeName,
        readOnly: true,
        postgres: { pollMs: 60_000 },
      });
      const watch = reader.watch();
      await reader.get("a");
      for (let n = 1; n <= 3; n++) {
        const next = watch.next();
        await owner.update("a", () => ({ n }));
        assert.deepEqual((await next).value?.entry, { n });
      }
      await watch.return?.();
      await reader.close();
      assert.equal(await listens(client, storeName), false);
    } finally {
      await client.query(`DROP OWNED BY ${role}`);
      await client.query(`DROP ROLE ${role}`);
    }
  });
  await owner.close();
});

test("a large entry is told whole, and one that was replaced meanwhile is told once, as it is", { skip }, async () => {
  const { stores, close } = await openSeveral(1, { pollMs: 5 });
  const [store] = stores as [(typeof stores)[0]];
  const start = await store.cursor();
  for (let n = 0; n < 5; n++) await store.update(`large${n}`, () => ({ n, text: "x".repeat(40_000) }));
  const watch = store.watch({ since: start });
  assert.equal((await watch.next()).value?.entry?.n, 0);
  await store.patch("large3", { n: 33 });
  const rest: unknown[] = [];
  for (let count = 0; count < 4; count++) rest.push((await watch.next()).value?.entry?.n);
  assert.deepEqual(rest, [1, 2, 4, 33]);
  await watch.return?.();
  await close();
});

test("what was removed too long ago is a reset, not a silence; a cursor after it still resumes", { skip }, async () => {
  const { stores, close } = await openSeveral(1, { tombstoneRetentionMs: 0, maintenanceMs: 0 });
  const [store] = stores as [(typeof stores)[0]];
  await store.update("a", () => ({ n: 1 }));
  await store.update("b", () => ({ n: 1 }));
  const before = await store.cursor();
  await store.remove("a");
  const after = await store.cursor();
  await store.checkpoint();
  assert.equal((await store.stats()).tombstones, 0);
  assert.deepEqual(await changesSince(store, after), []);
  await store.update("a", () => ({ n: 2 }));
  assert.equal((await store.watch({ since: before }).next()).value?.type, "reset");
  assert.deepEqual(
    (await changesSince(store, after)).map(({ entry }) => entry),
    [{ n: 2 }],
  );
  await close();
});

test("maintenance is made by one process at a time, the one that has the lease", { skip }, async () => {
  const { stores, storeName, close } = await openSeveral(2, { tombstoneRetentionMs: 0, maintenanceMs: 3_600_000 });
  const [first, second] = stores as [(typeof stores)[0], (typeof stores)[0]];
  await first.checkpoint();
  await second.update("a", () => ({ n: 1 }));
  await second.remove("a");
  await second.checkpoint();
  assert.equal((await second.stats()).tombstones, 1, "the lease is the first one's");
  await withClient(async (client) => {
    await client.query("DELETE FROM sessiondir_lease WHERE store = $1", [storeName]);
  });
  await second.checkpoint();
  assert.equal((await second.stats()).tombstones, 0);
  await close();
});

test("a cursor of another store of this name, or of another history of the server, is a reset", { skip }, async () => {
  const { stores, close } = await openSeveral(1);
  const [store] = stores as [(typeof stores)[0]];
  await store.update("a", () => ({ n: 1 }));
  const cursor = await store.cursor();
  await store.update("a", () => ({ n: 2 }));
  const parts = cursor.split(".");
  for (const at of [1, 2]) {
    const other = parts.map((part, index) => (index === at ? "another" : part)).join(".");
    assert.equal((await store.watch({ since: other }).next()).value?.type, "reset", other);
  }
  assert.equal((await store.watch({ since: cursor }).next()).value?.type, "put");
  await close();
});

test("a history that was rewound is a reset", { skip }, async () => {
  const { stores, storeName, close } = await openSeveral(1);
  const [store] = stores as [(typeof stores)[0]];
  await withClient(async (client) => {
    await store.update("a", () => ({ n: 1 }));
    const saved = await client.query("SELECT lane, rev FROM sessiondir_lane WHERE store = $1 AND rev > 0", [storeName]);
    await store.update("a", () => ({ n: 2 }));
    const cursor = await store.cursor();
    // As if an older backup had been put back.
    await client.query("UPDATE sessiondir_lane SET rev = $2 WHERE store = $1 AND rev > 0", [
      storeName,
      saved.rows[0].rev,
    ]);
    await client.query("UPDATE sessiondir_session SET rev = $2 WHERE store = $1", [storeName, saved.rows[0].rev]);
    await store.update("b", () => ({ n: 1 }));
    assert.equal((await store.watch({ since: cursor }).next()).value?.type, "reset");
  });
  await close();
});

test("three caches that follow the feed agree with the store when it comes to rest", { skip }, async () => {
  const { stores, storeName, close } = await openSeveral(3);
  const location = await url();
  const keys = Array.from({ length: 20 }, (_, index) => `key${index}`);
  const followers = stores.map(async (_, index) => {
    const backend = await openBackend(nodePort(), location, checkOpenOptions({ storeName }));
    const snapshot = await backend.scan();
    const cache = new Map<string, unknown>();
    for await (const { key, entry } of snapshot) cache.set(key, entry);
    let ends = 0;
    for await (const change of backend.changes(snapshot.cursor)) {
      assert.notEqual(change.type, "reset");
      if (change.type === "put") cache.set(change.key, change.entry);
      if (change.type === "remove") cache.delete(change.key);
      if (change.type === "put" && change.key.startsWith("end") && ++ends === stores.length) break;
    }
    await backend.close();
    return { index, cache };
  });
  await Promise.all(
    stores.map(async (store, writer) => {
      for (let n = 0; n < 60; n++) {
        const key = keys[(n * 7 + writer * 3) % keys.length]!;
        if (n % 9 === 8) await store.remove(key);
        else await store.patch(key, { n, writer }, { createIfMissing: true });
      }
      await store.update(`end${writer}`, () => ({}));
    }),
  );
  const truth = new Map([...(await readAll(stores[0]!))].sort());
  for (const { cache, index } of await Promise.all(followers)) {
    // The marks of the ends come in the order of their commits, so a cache that has all of them has everything.
    assert.deepEqual(new Map([...cache].sort() as [string, AnyEntry][]), truth, `cache ${index}`);
  }
  await close();
});
