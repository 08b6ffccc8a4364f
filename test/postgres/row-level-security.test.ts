/** The optional wall between tenants: a role reaches the stores that it was given, and nothing of any other. */

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import pg from "pg";
import { openSessionStore } from "../../src/open.js";
import { postgresSchemaDirectory } from "../../src/postgres.js";
import { sharedPostgres, skipWithoutPostgres } from "../support/postgres-harness.js";
import { readAll, take } from "../support/store-reading.js";

type AnyEntry = Record<string, unknown>;
const url = sharedPostgres();

test("a tenant sees its own store and no other, whatever it asks for", {
  skip: skipWithoutPostgres(18, true),
}, async () => {
  const owner = await openSessionStore<AnyEntry>(await url(), { storeName: "a" });
  await owner.update("secret", () => ({ of: "a" }));
  await owner.remove("secret");
  await owner.update("secret", () => ({ of: "a" }));
  const administrator = new pg.Client({ connectionString: await url() });
  await administrator.connect();
  const script = fs.readFileSync(path.join(postgresSchemaDirectory, "row-level-security.sql"), "utf8");
  // Twice: it may be run again after an upgrade.
  await administrator.query(script);
  await administrator.query(script);
  for (const tenant of ["a", "b"]) {
    await administrator.query(`CREATE ROLE tenant_${tenant} LOGIN PASSWORD 'secret'`);
    await administrator.query(`GRANT sessiondir_gateway TO tenant_${tenant}`);
    await administrator.query("INSERT INTO sessiondir_tenant VALUES ($1, $2)", [`tenant_${tenant}`, tenant]);
  }
  const as = async (tenant: string) => (await url()).replace(/\/\/[^@]*@/, `//tenant_${tenant}:secret@`);

  const a = await openSessionStore<AnyEntry>(await as("a"), { storeName: "a" });
  assert.deepEqual(await a.get("secret"), { of: "a" });
  const b = await openSessionStore<AnyEntry>(await as("b"), { storeName: "b" });
  const watch = b.watch();
  await b.update("own", () => ({ of: "b" }));
  await b.transaction((transaction) => transaction.set("more", { of: "b" }));
  assert.equal((await take(watch, 2)).length, 2);
  await watch.return?.();
  await b.remove("more");
  await b.checkpoint();
  assert.deepEqual(await readAll(b), new Map([["own", { of: "b" }]]));

  await assert.rejects(openSessionStore(await as("b"), { storeName: "a" }), { code: "permission_denied" });
  await assert.rejects(openSessionStore(await as("b"), { storeName: "c" }), { code: "permission_denied" });
  const client = new pg.Client({ connectionString: await as("b") });
  await client.connect();
  for (const table of ["store", "lane", "session", "trash", "writer", "lease"]) {
    const { rows } = await client.query(`SELECT DISTINCT store FROM sessiondir_${table}`);
    assert.deepEqual(
      rows.filter(({ store }) => store !== "b"),
      [],
      table,
    );
    assert.equal((await client.query(`UPDATE sessiondir_${table} SET store = store WHERE store = 'a'`)).rowCount, 0);
    assert.equal((await client.query(`DELETE FROM sessiondir_${table} WHERE store = 'a'`)).rowCount, 0);
    await assert.rejects(client.query(`UPDATE sessiondir_${table} SET store = 'a' WHERE store = 'b'`), table);
  }
  await assert.rejects(client.query("INSERT INTO sessiondir_tenant VALUES ('tenant_b', 'a')"));
  await assert.rejects(client.query("INSERT INTO sessiondir_lease VALUES ('a', 'x', 'y', 0)"));
  await client.end();
  assert.deepEqual(await readAll(a), new Map([["secret", { of: "a" }]]));
  for (const store of [owner, a, b]) await store.close();
  await administrator.end();
});
