/**
 * The tables: numbered SQL files in schema/, applied in order, each once, by whoever comes first. Twenty processes that
 * start together agree through the lock of one row. The first line of a file says whether it breaks older versions of
 * this package: those refuse a database with a breaking change that they do not know, and work with any other.
 */

import { fileURLToPath } from "node:url";
import { SessionStoreError } from "../../errors.js";
import type { Port } from "../../fs/port.js";
import type { Connection } from "./connection.js";
import { sqlState } from "./failures.js";

export interface Migration {
  readonly number: number;
  readonly name: string;
  readonly breaking: boolean;
  readonly text: string;
}

const fileName = /^(\d{4})-[a-z0-9-]+\.sql$/;
const fileBytesMax = 1024 * 1024;

/** The numbered files that came with this version, in order. */
export function readMigrations(port: Port): Migration[] {
  const directory = port.openRoot(fileURLToPath(new URL("./schema", import.meta.url)));
  try {
    const migrations: Migration[] = [];
    for (const { name } of port.list(directory, 1_000)) {
      const number = Number(fileName.exec(name)?.[1] ?? Number.NaN);
      if (Number.isNaN(number)) continue;
      const file = port.open(directory, name, "read");
      try {
        const buffer = new Uint8Array(fileBytesMax);
        let bytes = 0;
        for (let count = -1; count !== 0; bytes += count) count = port.read(file, buffer.subarray(bytes), bytes);
        const text = Buffer.from(buffer.subarray(0, bytes)).toString("utf8");
        migrations.push({ number, name, breaking: /^-- breaking: yes$/m.test(text), text });
      } finally {
        port.close(file);
      }
    }
    return migrations.sort((left, right) => left.number - right.number);
  } finally {
    port.closeDirectory(directory);
  }
}

/** Somebody else made the same table at the same moment: what counts is that it is there. */
const raced = /^(23505|42P07|42710|XX000|40001|40P01)$/;

/** Brings the schema up to date; does nothing, and needs no right to create tables, when it is. */
export async function applyMigrations(
  connection: Connection,
  migrations: readonly Migration[],
  location: string,
  mayCreate: boolean,
): Promise<void> {
  const applied = await appliedMigrations(connection);
  refuseNewer(applied, migrations, location);
  if (migrations.every(({ number }) => applied.has(number))) return;
  if (!mayCreate) {
    throw new SessionStoreError("store_missing", "the database has not the tables of this version", {
      operation: "open the store",
      path: location,
      onDisk: "A reader creates nothing.",
      nextStep: "Open it for writing once, to create them.",
    });
  }
  for (let attempt = 1; ; attempt += 1) {
    try {
      await connection.query(
        `CREATE TABLE IF NOT EXISTS sessiondir_migration
           (number integer PRIMARY KEY, name text NOT NULL, breaking boolean NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`,
      );
      // The row that everybody locks.
      await connection.query("INSERT INTO sessiondir_migration VALUES (0, 'lock', false) ON CONFLICT DO NOTHING");
      await applyMissing(connection, migrations, location);
      return;
    } catch (error) {
      if (attempt === 10 || !raced.test(sqlState(error) ?? "")) throw error;
    }
  }
}

async function applyMissing(connection: Connection, migrations: readonly Migration[], location: string): Promise<void> {
  await connection.query("BEGIN");
  try {
    await connection.query("SELECT number FROM sessiondir_migration WHERE number = 0 FOR UPDATE");
    const applied = await appliedMigrations(connection);
    refuseNewer(applied, migrations, location);
    for (const { number, name, breaking, text } of migrations) {
      if (applied.has(number)) continue;
      await connection.query(text);
      await connection.query(
        `INSERT INTO sessiondir_migration (number, name, breaking) VALUES (${number}, '${name}', ${breaking})`,
      );
    }
    await connection.query("COMMIT");
  } catch (error) {
    if (!connection.broken) await connection.query("ROLLBACK");
    throw error;
  }
}

/** Number and whether it breaks; empty when the table is not there. */
async function appliedMigrations(connection: Connection): Promise<Map<number, boolean>> {
  const { rows: found } = await connection.query("SELECT to_regclass('sessiondir_migration') IS NOT NULL AS there");
  if (found[0]?.there !== true) return new Map();
  const { rows } = await connection.query("SELECT number, breaking FROM sessiondir_migration WHERE number > 0");
  return new Map(rows.map(({ number, breaking }) => [Number(number), breaking === true]));
}

function refuseNewer(applied: ReadonlyMap<number, boolean>, migrations: readonly Migration[], location: string): void {
  const newest = migrations.at(-1)?.number ?? 0;
  for (const [number, breaking] of applied) {
    if (number <= newest || !breaking) continue;
    throw new SessionStoreError(
      "unsupported_layout",
      `the tables have change ${number}, and this version knows them up to ${newest}`,
      { operation: "open the store", path: location, nextStep: "Install a newer version of sessiondir." },
    );
  }
}
