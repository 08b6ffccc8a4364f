/**
 * PostgreSQL: our backend, and what it is compared with - one `UPDATE` by key of a row with the same payload, as a named
 * prepared statement in a transaction of its own, over as many connections, without a version, a feed or an index but the
 * primary key. The second bare peer reads the row first, as an update of ours does. The server is the one of the tests,
 * started anew for every run, or that of SESSIONDIR_TEST_POSTGRES_URL. What is seeded is only how many rows there are to be.
 */

import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { entryOf, keyOf } from "../sessions.mjs";

const connections = 10;
const rowsAtOnce = 500;
const root = fileURLToPath(new URL("../..", import.meta.url));
/** What starts servers for the tests: one file that imports nothing of ours, compiled for itself when it changed. */
const source = path.join(root, "test", "support", "postgres-server.ts");
const compiled = path.join(root, "build-bench", "test", "support", "postgres-server.js");

async function compileServerStarter() {
  if (existsSync(compiled) && statSync(compiled).mtimeMs > statSync(source).mtimeMs) return;
  const { runTypeScript } = await import("../../scripts/lib/compile.mjs");
  const place = ["--rootDir", root, "--outDir", path.join(root, "build-bench")];
  const language = ["--module", "nodenext", "--target", "es2023", "--skipLibCheck", "--types", "node"];
  const { status, output } = runTypeScript([source, "--ignoreConfig", ...place, ...language]);
  if (status !== 0) throw new Error(`test/support/postgres-server.ts does not compile: ${output}`);
}

/** Throws "Cannot find module" without the binaries: then the trials are "not measured". */
async function serverForOneRun() {
  await compileServerStarter();
  const { givenUrl, startPostgres, whyNoPostgres } = await import(pathToFileURL(compiled).href);
  if (givenUrl !== undefined) return { url: givenUrl, destroy: async () => {} };
  if (whyNoPostgres() !== undefined)
    throw new Error(`Cannot find module: ${whyNoPostgres()}; npm run start:postgres fetches it`);
  const server = await startPostgres();
  return { url: server.url(), destroy: () => server.destroy() };
}

function sizeFile(directory) {
  return path.join(directory, "size.json");
}

function seed(directory, sessions, bytes) {
  mkdirSync(directory, { recursive: true });
  writeFileSync(sizeFile(directory), JSON.stringify({ sessions, bytes }));
}

function* batchesOf({ sessions, bytes }) {
  for (let first = 0; first < sessions; first += rowsAtOnce) {
    const length = Math.min(rowsAtOnce, sessions - first);
    yield Array.from({ length }, (_, index) => [keyOf(first + index), entryOf(first + index, bytes)]);
  }
}

/** With the URL a second process opens the same store, and neither seeds nor ends the server. */
async function openOurs(directory, { url, ...options } = {}) {
  const server = url === undefined ? await serverForOneRun() : { url, destroy: async () => {} };
  const { openSessionStore } = await import("../../dist/index.js");
  const storeName = `bench-${path.basename(directory)}`;
  const store = await openSessionStore(server.url, { storeName, postgres: { connections }, ...options });
  if (url === undefined) {
    for (const batch of batchesOf(JSON.parse(readFileSync(sizeFile(directory), "utf8")))) {
      await store.transaction((transaction) => {
        for (const [key, entry] of batch) transaction.set(key, entry);
      });
    }
    await analyze(server.url, "sessiondir_session, sessiondir_lane");
  }
  return {
    url: server.url,
    store,
    update: (key, change) => store.update(key, change),
    patch: (key, fields) => store.patch(key, fields),
    close: async () => {
      await store.close();
      await server.destroy();
    },
  };
}

async function openBare(directory, readsFirst) {
  const server = await serverForOneRun();
  const { default: pg } = await import("pg");
  const pool = new pg.Pool({ connectionString: server.url, max: connections });
  await pool.query("DROP TABLE IF EXISTS bare");
  await pool.query(`CREATE TABLE bare (key text COLLATE "C" PRIMARY KEY, version text, committed_us bigint,
    summary text, recency double precision, doc text) WITH (fillfactor = 80)`);
  const entries = new Map();
  for (const batch of batchesOf(JSON.parse(readFileSync(sizeFile(directory), "utf8")))) {
    for (const [key, entry] of batch) entries.set(key, entry);
    await pool.query(
      "INSERT INTO bare SELECT k, '', 0, '{}', 0, d FROM unnest($1::text[], $2::text[]) AS given (k, d)",
      [batch.map(([key]) => key), batch.map(([, entry]) => JSON.stringify(entry))],
    );
  }
  await analyze(server.url, "bare");
  const read = async (key) => {
    const found = await pool.query({ name: "read", text: "SELECT doc FROM bare WHERE key = $1", values: [key] });
    return JSON.parse(found.rows[0].doc);
  };
  const text = "UPDATE bare SET version = $2, committed_us = $3, summary = $4, recency = $5, doc = $6 WHERE key = $1";
  let count = 0;
  return {
    update: async (key, change) => {
      const next = change(readsFirst ? await read(key) : entries.get(key));
      if (!readsFirst) entries.set(key, next);
      count += 1;
      const { updatedAt, channel, chatType } = next;
      const summary = JSON.stringify({ updatedAt, channel, chatType });
      const values = [key, `version-${count}`, Date.now() * 1_000, summary, -updatedAt, JSON.stringify(next)];
      await pool.query({ name: "update", text, values });
    },
    close: async () => {
      await pool.end();
      await server.destroy();
    },
  };
}

/** What autovacuum does after a minute. */
async function analyze(url, tables) {
  const { default: pg } = await import("pg");
  const client = new pg.Client(url);
  await client.connect();
  // Each for itself: in one text they would be a transaction, which VACUUM refuses.
  await client.query(`VACUUM (ANALYZE) ${tables}`);
  // Not every role may, and then the pages are logged whole for both peers.
  await client.query("CHECKPOINT").catch(() => {});
  await client.end();
}

const common = { family: "postgres", durability: "power loss", seed };

export const postgresPeers = {
  "sessiondir postgres": { ...common, open: openOurs },
  "bare UPDATE": { ...common, open: (directory) => openBare(directory, false) },
  "SELECT, bare UPDATE": { ...common, open: (directory) => openBare(directory, true) },
};
