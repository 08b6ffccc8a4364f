/** The tables: made once however many come at the same time, refused when they are newer, and never mixed up. */

import assert from "node:assert/strict";
import { randomBytes, randomUUID } from "node:crypto";
import { test } from "node:test";
import pg from "pg";
import { decodeKey, encodeKey } from "../../src/backends/postgres/rows.js";
import { openSessionStore } from "../../src/open.js";
import { sharedPostgres, skipWithoutPostgres } from "../support/postgres-harness.js";
import { listAll, readAll, rejectsWith } from "../support/store-reading.js";

type AnyEntry = Record<string, unknown>;
const skip = skipWithoutPostgres();
const url = sharedPostgres();

async function withDatabase(body: (location: string, client: pg.Client) => Promise<void>, creation = "") {
  const name = `schema_${randomUUID().replaceAll("-", "")}`;
  const administrator = new pg.Client({ connectionString: await url() });
  await administrator.connect();
  try {
    await administrator.query(`CREATE DATABASE ${name} ${creation}`);
    const location = (await url()).replace(/\/[^/]*$/, `/${name}`);
    const client = new pg.Client({ connectionString: location });
    await client.connect();
    try {
      await body(location, client);
    } finally {
      await client.end();
    }
  } finally {
    await administrator.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    await administrator.end();
  }
}

test("twenty that open an empty database at the same moment all get the same store", { skip }, async () => {
  await withDatabase(async (location, client) => {
    const stores = await Promise.all(
      Array.from({ length: 20 }, () => openSessionStore<AnyEntry>(location, { postgres: { connections: 1 } })),
    );
    await Promise.all(stores.map((store, index) => store.update(`key${index}`, () => ({ index }))));
    assert.equal((await readAll(stores[0]!)).size, 20);
    const { rows } = await client.query("SELECT number FROM sessiondir_migration WHERE number > 0");
    assert.deepEqual(rows, [{ number: 1 }]);
    assert.equal((await client.query("SELECT 1 FROM sessiondir_store")).rowCount, 1);
    await Promise.all(stores.map((store) => store.close()));
  });
});

test("a breaking change that this version does not know is refused, any other is not", { skip }, async () => {
  await withDatabase(async (location, client) => {
    await (await openSessionStore(location)).close();
    await client.query("INSERT INTO sessiondir_migration VALUES (1000, 'later', false)");
    await (await openSessionStore(location)).close();
    await client.query("INSERT INTO sessiondir_migration VALUES (1001, 'much-later', true)");
    const error = await rejectsWith("unsupported_layout", openSessionStore(location));
    assert.match(error.message, /1001/);
  });
});

test("a reader makes no tables and no store", { skip }, async () => {
  await withDatabase(async (location, client) => {
    await rejectsWith("store_missing", openSessionStore(location, { readOnly: true }));
    assert.equal((await client.query("SELECT to_regclass('sessiondir_migration') AS t")).rows[0].t, null);
    await (await openSessionStore(location, { storeName: "one" })).close();
    await rejectsWith("store_missing", openSessionStore(location, { readOnly: true, storeName: "two" }));
    assert.equal((await client.query("SELECT 1 FROM sessiondir_store")).rowCount, 1);
  });
});

test("the stores of one database know nothing of each other", { skip }, async () => {
  await withDatabase(async (location) => {
    const one = await openSessionStore<AnyEntry>(location, { storeName: "one", postgres: { pollMs: 5 } });
    const two = await openSessionStore<AnyEntry>(`${location}?store=two`, { keys: "exact" });
    const watch = one.watch();
    await two.update("a", () => ({ store: "two" }));
    await two.update("B", () => ({ store: "two" }));
    assert.equal(await one.get("a"), undefined);
    await one.update("a", () => ({ store: "one" }));
    assert.deepEqual((await watch.next()).value?.entry, { store: "one" });
    await two.remove("a");
    assert.deepEqual(await readAll(one), new Map([["a", { store: "one" }]]));
    assert.deepEqual(
      (await listAll(two)).map(({ key }) => key),
      ["B"],
    );
    assert.equal((await one.stats()).sessions, 1);
    assert.equal((await one.trash().next()).done, true);
    assert.equal((await two.trash().next()).value?.key, "a");
    const cursor = await two.cursor();
    assert.equal((await one.watch({ since: cursor }).next()).value?.type, "reset");
    await watch.return?.();
    await one.close();
    await two.close();
    await rejectsWith("invalid_option", openSessionStore(`${location}?store=two`, { storeName: "one" }));
    for (const storeName of ["", " ", "a\0", "x".repeat(201), "\ud800"]) {
      await rejectsWith("invalid_option", openSessionStore(location, { storeName }));
    }
  });
});

test("an entry is kept as exactly the JSON text that it is", { skip }, async () => {
  await withDatabase(async (location, client) => {
    const store = await openSessionStore<AnyEntry>(location);
    const text = '{"b":"\\u0000","a":"\\ud800","z":1.5,"__proto__":{"x":[]},"n":1e+21}';
    await store.update("a", () => JSON.parse(text) as AnyEntry, { actor: "\0\ud800", reason: "r\0" });
    const { rows } = await client.query("SELECT doc FROM sessiondir_session WHERE key = 'a'");
    assert.equal(rows[0].doc, text);
    await store.remove("a", { actor: "\0\ud800", reason: "r\0" });
    const { value } = await store.trash().next();
    assert.deepEqual([value?.actor, value?.reason, JSON.stringify(value?.entry)], ["\0\ud800", "r\0", text]);
    await store.close();
  });
});

test("keys are listed in the order of their code units, which is not PostgreSQL's", { skip }, async () => {
  const keys = [
    "z",
    "\ud7ff",
    "\ue000",
    "\ue001a",
    "\uffff",
    "\u{10000}",
    "\u{1f600}",
    "\u{10ffff}b",
    "a\ue000",
    "a\u{1f600}",
  ];
  for (const key of keys) assert.equal(decodeKey(encodeKey(key)), key);
  await withDatabase(async (location) => {
    const store = await openSessionStore<AnyEntry>(location, { keys: "exact" });
    for (const key of keys) await store.update(key, () => ({ key }));
    for (const order of ["key", "updatedAt"] as const) {
      const listed = await listAll(store, { order, limit: 3 });
      assert.deepEqual(
        listed.map(({ key }) => key),
        [...keys].sort(),
      );
    }
    assert.deepEqual(
      (await listAll(store, { search: "\ud83d" })).map(({ key }) => key),
      ["a\u{1f600}", "\u{1f600}"],
    );
    await store.close();
  });
});

test("a page costs the same at any depth: it is read along an index, without sorting", { skip }, async () => {
  await withDatabase(async (location, client) => {
    const store = await openSessionStore<AnyEntry>(location);
    await client.query(`INSERT INTO sessiondir_session
      (store, key, lane, rev, version, committed_us, doc, summary, recency, kind, search)
      SELECT 'default', 'agent:main:' || i, i % 64, i, 'v' || i, 0, '{}', '{"kind":"other","updatedAt":' || i / 100 || '}', -(i / 100), 'other', ''
      FROM generate_series(1, 20000) AS i`);
    await client.query("ANALYZE sessiondir_session");
    let reads = 0;
    let cursor: string | undefined;
    const pages: number[] = [];
    for (let page = 0; page < 300; page++) {
      const result = await store.list({ limit: 50, ...(cursor === undefined ? {} : { cursor }) });
      assert.equal(result.sessions.length, 50);
      cursor = result.nextCursor;
      reads += 1;
      pages.push(result.sessions[0]!.updatedAt!);
    }
    assert.equal(reads, 300);
    assert.equal(pages.at(-1), 200 - 150);
    const { rows } = await client.query(
      `EXPLAIN SELECT key, recency, summary FROM sessiondir_session WHERE store = 'default' AND doc IS NOT NULL
       AND (recency, key) > (-100::float8, 'agent:main:10050') ORDER BY recency, key LIMIT 51`,
    );
    const plan = rows.map((row) => row["QUERY PLAN"]).join("\n");
    assert.match(plan, /Index Scan using sessiondir_session_recent/);
    assert.match(plan, /Index Cond: .*ROW\(recency, key\) >/);
    assert.doesNotMatch(plan, /Sort/);
    await store.close();
  });
});

/** What the server counted of a table once every connection of a store is gone and has told it. */
async function readsOf(client: pg.Client, table: string): Promise<{ whole: number; rows: number }> {
  const others = `SELECT count(*)::int AS n FROM pg_stat_activity
    WHERE application_name = 'sessiondir' AND datname = current_database()`;
  while ((await client.query(others)).rows[0].n > 0) await new Promise((resolve) => setImmediate(resolve));
  const { rows } = await client.query(
    `SELECT seq_tup_read::int AS whole, coalesce(idx_tup_fetch, 0)::int AS rows
     FROM pg_stat_user_tables WHERE relname = $1`,
    [table],
  );
  return rows[0];
}

test("opening a store, reading, updating, listing and watching read no table whole", { skip }, async () => {
  await withDatabase(async (location, client) => {
    const first = await openSessionStore<AnyEntry>(location);
    await first.update("changed", () => ({ n: 1 }));
    await first.close();
    await client.query(`INSERT INTO sessiondir_session
      (store, key, lane, rev, version, committed_us, doc, summary, recency, kind, search)
      SELECT 'default', 'agent:main:' || i, i % 64, i + 1, 'v' || i, 0, '{"n":1}', '{"kind":"other","updatedAt":' || i || '}', -i, 'other', ''
      FROM generate_series(1, 20000) AS i`);
    await client.query(`INSERT INTO sessiondir_trash (store, id, key, doc, removed_us)
      SELECT 'default', 'id' || i, 'gone' || i, '{}', 0 FROM generate_series(1, 20000) AS i`);
    await client.query("UPDATE sessiondir_lane SET rev = 20001");
    await client.query("ANALYZE");
    const before = await readsOf(client, "sessiondir_session");
    const beforeTrash = await readsOf(client, "sessiondir_trash");
    const store = await openSessionStore<AnyEntry>(location, { postgres: { maintenanceMs: 0 } });
    const watch = store.watch();
    assert.deepEqual(await store.get("agent:main:7"), { n: 1 });
    await store.update("changed", () => ({ n: 2 }));
    assert.deepEqual((await watch.next()).value?.entry, { n: 2 });
    let cursor: string | undefined;
    for (let page = 0; page < 20; page++) {
      ({ nextCursor: cursor } = await store.list({ limit: 50, ...(cursor === undefined ? {} : { cursor }) }));
    }
    for await (const _ of store.trash()) break;
    await watch.return?.();
    await store.close();
    const after = await readsOf(client, "sessiondir_session");
    const trash = await readsOf(client, "sessiondir_trash");
    assert.equal(after.whole - before.whole, 0);
    assert.equal(trash.whole - beforeTrash.whole, 0);
    // Twenty pages of 51 rows, and a few rows for the rest.
    const rows = after.rows - before.rows;
    assert.ok(rows >= 20 * 50 && rows < 20 * 51 + 30, `${rows} rows were read`);
    assert.ok(trash.rows - beforeTrash.rows <= 51);
  });
});

test("who opens a store that another makes in a serializable transaction waits, and gets that one", {
  skip,
}, async () => {
  await withDatabase(async (location, client) => {
    const { database } = client;
    await client.query(`ALTER DATABASE ${database} SET default_transaction_isolation = 'serializable'`);
    await (await openSessionStore(location, { storeName: "first" })).close();
    await client.query("BEGIN");
    await client.query(
      `INSERT INTO sessiondir_store (store, incarnation, key_rule, lanes, created_us)
         SELECT 'second', 'made-elsewhere', key_rule, lanes, created_us FROM sessiondir_store`,
    );
    await client.query(
      `INSERT INTO sessiondir_lane (store, lane) SELECT 'second', lane FROM sessiondir_lane WHERE store = 'first'`,
    );
    const opening = openSessionStore<AnyEntry>(location, { storeName: "second" });
    const observer = new pg.Client({ connectionString: location });
    await observer.connect();
    const waiting = `SELECT count(*)::int AS n FROM pg_stat_activity
      WHERE wait_event_type = 'Lock' AND query LIKE '%INTO sessiondir_store%'`;
    while ((await observer.query<{ n: number }>(waiting)).rows[0]?.n === 0);
    await observer.end();
    await client.query("COMMIT");
    const store = await opening;
    assert.match(await store.cursor(), /made-elsewhere/);
    await store.close();
  });
});

test("a database in which everything is serializable works all the same", { skip }, async () => {
  await withDatabase(async (location, client) => {
    const { database } = client;
    await client.query(`ALTER DATABASE ${database} SET default_transaction_isolation = 'serializable'`);
    const open = () => openSessionStore<AnyEntry>(location, { conflictWaitMs: 60_000 });
    const stores = await Promise.all([open(), open(), open()]);
    const watch = stores[2]!.watch({ since: await stores[2]!.cursor() });
    const add = (current: AnyEntry | undefined) => ({ n: ((current?.n as number | undefined) ?? 0) + 1 });
    await Promise.all(
      Array.from({ length: 12 }, async (_, writer) => {
        const store = stores[writer % 3]!;
        for (let round = 0; round < 10; round++) {
          await store.update(`shared${round % 2}`, add);
          await store.list({ limit: 10 });
          if (round % 5 === 0) {
            await store.transaction(async (transaction) => {
              for (const key of ["x", "y"]) transaction.set(key, add(await transaction.get(key)));
            });
          }
        }
      }),
    );
    await stores[0]!.update("end", () => ({}));
    for await (const { key } of watch) if (key === "end") break;
    await stores[0]!.checkpoint();
    const all = await readAll(stores[1]!);
    assert.deepEqual(
      ["shared0", "shared1", "x", "y"].map((key) => all.get(key)?.n),
      [60, 60, 24, 24],
    );
    await Promise.all(stores.map((store) => store.close()));
  });
});

test("verify finds what somebody else wrote into the tables, and reads of the others go on", { skip }, async () => {
  await withDatabase(async (location, client) => {
    const store = await openSessionStore<AnyEntry>(location);
    for (const key of ["a", "b", "c", "d"]) await store.update(key, () => ({ key }));
    const findings = async () => {
      const codes: string[] = [];
      for await (const { code, key } of store.verify()) codes.push(`${code} ${key}`);
      return codes.sort();
    };
    assert.deepEqual(await findings(), []);
    await client.query("UPDATE sessiondir_session SET doc = 'no json' WHERE key = 'a'");
    await client.query("UPDATE sessiondir_session SET summary = '{}' WHERE key = 'b'");
    await client.query("UPDATE sessiondir_session SET rev = rev + 1000 WHERE key = 'c'");
    assert.deepEqual(await findings(), ["entry_damaged a", "lane_behind c", "summary_stale b"]);
    await rejectsWith("entry_damaged", store.get("a"));
    assert.deepEqual(await store.get("d"), { key: "d" });
    await rejectsWith("entry_damaged", readAll(store));
    const damaged: (string | undefined)[] = [];
    const seen: string[] = [];
    for await (const { key } of store.entries({ onDamaged: ({ key }) => damaged.push(key) })) seen.push(key);
    assert.deepEqual([damaged, seen], [["a"], ["b", "c", "d"]]);
    await client.query("DELETE FROM sessiondir_lane");
    assert.ok((await findings()).includes("lanes_missing undefined"));
    await rejectsWith(
      "store_gone",
      store.update("new", () => ({})),
    );
    await store.close();
  });
});

test("a key that no index can hold is refused as too long, and the others go on", { skip }, async () => {
  await withDatabase(async (location) => {
    const store = await openSessionStore<AnyEntry>(location, { keys: "exact", limits: { keyBytes: 4_096 } });
    // Nothing that could be compressed.
    const long = randomBytes(3_000).toString("base64url");
    const error = await rejectsWith(
      "limit_exceeded",
      store.update(long, () => ({ n: 1 })),
    );
    assert.match(error.message, /shorter keys/);
    await store.update(long.slice(0, 2_000), () => ({ n: 1 }));
    assert.equal((await store.list()).sessions.length, 1);
    await store.close();
  });
});

test("a database in another encoding is refused", { skip }, async () => {
  await withDatabase(async (location) => {
    const error = await rejectsWith("unsafe_server", openSessionStore(location));
    assert.match(error.message, /LATIN1.*UTF8/);
  }, "ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'");
});
