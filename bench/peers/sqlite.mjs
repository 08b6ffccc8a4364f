/**
 * SQLite in WAL mode: better-sqlite3, and `node:sqlite` where Node has it. One table with the entry as JSON text and an
 * index on the time of the last update. Statements are prepared once; an update is one immediate transaction, a patch one
 * statement.
 */

import { mkdirSync } from "node:fs";
import path from "node:path";
import { entryOf, keyOf } from "../sessions.mjs";

const schema = `
  CREATE TABLE IF NOT EXISTS sessions (key TEXT PRIMARY KEY, updated_at INTEGER NOT NULL, doc TEXT NOT NULL) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS newest ON sessions (updated_at DESC, key);
`;
/** What a list shows of a session, without its entry. */
const summaryFields = ["sessionId", "channel", "model", "totalTokens"];

function driverOf(database) {
  const select = database.prepare("SELECT doc FROM sessions WHERE key = ?");
  const upsert = database.prepare(
    "INSERT INTO sessions VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET updated_at = excluded.updated_at, doc = excluded.doc",
  );
  const columns = summaryFields.map((field) => `json_extract(doc, '$.${field}') AS ${field}`).join(", ");
  const newest = database.prepare(
    `SELECT key, updated_at, ${columns} FROM sessions ORDER BY updated_at DESC, key LIMIT ?`,
  );
  const all = database.prepare("SELECT key, doc FROM sessions");
  const [begin, commit, rollback] = ["BEGIN IMMEDIATE", "COMMIT", "ROLLBACK"].map((sql) => database.prepare(sql));
  const put = (key, entry) => upsert.run(key, entry.updatedAt ?? 0, JSON.stringify(entry));
  const update = (key, change) => {
    begin.run();
    try {
      const row = select.get(key);
      put(key, change(row === undefined ? undefined : JSON.parse(row.doc)));
      commit.run();
    } catch (error) {
      rollback.run();
      throw error;
    }
  };
  // A merge patch inside the database: one statement, and the entry never becomes an object here.
  const patch = database.prepare(
    "UPDATE sessions SET doc = json_patch(doc, ?), updated_at = COALESCE(?, updated_at) WHERE key = ?",
  );
  return {
    update,
    patch: (key, fields) => patch.run(JSON.stringify(fields), fields.updatedAt ?? null, key),
    get: (key) => {
      const row = select.get(key);
      return row === undefined ? undefined : JSON.parse(row.doc);
    },
    newest: (count) => newest.all(count).length,
    scan: () => {
      let count = 0;
      for (const row of all.iterate()) {
        JSON.parse(row.doc);
        count += 1;
      }
      return count;
    },
    seed: (count, bytes) => {
      begin.run();
      for (let index = 0; index < count; index += 1) put(keyOf(index), entryOf(index, bytes));
      commit.run();
    },
    close: () => database.close(),
  };
}

function sqlitePeer({ load, openDatabase }, synchronous) {
  const open = async (directory) => {
    mkdirSync(directory, { recursive: true });
    const database = await openDatabase(path.join(directory, "sessions.sqlite"));
    database.exec(`PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL; PRAGMA synchronous = ${synchronous};`);
    database.exec(schema);
    return driverOf(database);
  };
  return {
    family: "sqlite",
    durability: synchronous === "FULL" ? "power loss" : "process crash",
    load,
    seed: async (directory, count, bytes) => {
      const driver = await open(directory);
      driver.seed(count, bytes);
      driver.close();
    },
    open,
  };
}

const loadBetterSqlite = () => import("better-sqlite3");
const loadNodeSqlite = () => import("node:sqlite");
const betterSqlite = {
  load: loadBetterSqlite,
  openDatabase: async (file) => new (await loadBetterSqlite()).default(file),
};
const nodeSqlite = {
  load: loadNodeSqlite,
  openDatabase: async (file) => new (await loadNodeSqlite()).DatabaseSync(file),
};

export const sqlitePeers = {
  "better-sqlite3 OFF": sqlitePeer(betterSqlite, "OFF"),
  "better-sqlite3 NORMAL": sqlitePeer(betterSqlite, "NORMAL"),
  "better-sqlite3 FULL": sqlitePeer(betterSqlite, "FULL"),
  "node:sqlite NORMAL": sqlitePeer(nodeSqlite, "NORMAL"),
  "node:sqlite FULL": sqlitePeer(nodeSqlite, "FULL"),
};
