/** The trash: what was removed, kept beside the sessions by the commit that removed it. */

import type { TrashedSession } from "../../contract.js";
import type { Connection } from "./connection.js";
import type { Pool } from "./pool.js";
import { decodeKey, parseEntry, parseList, parseOrigin } from "./rows.js";

const pageRows = 50;

/**
 * Everything that was removed before the call, newest first. Later removals may be in it or not; what is taken out of the
 * trash meanwhile is passed over.
 */
export async function* readTrash(
  pool: Pool,
  store: string,
  onDamaged: (key: string) => void,
): AsyncGenerator<TrashedSession> {
  let after: readonly unknown[] = [];
  for (;;) {
    const position = after;
    const rows = await pool.read((connection) => readPage(connection, store, position));
    for (const row of rows) {
      const key = decodeKey(String(row.key));
      const session = toTrashed(key, row);
      if (session === undefined) onDamaged(key);
      else yield session;
    }
    if (rows.length < pageRows) return;
    const last = rows.at(-1)!;
    after = [last.removed_us, last.key, last.id];
  }
}

/** Returns how many were there. */
export async function emptyTrash(connection: Connection, store: string, ids: readonly string[]): Promise<number> {
  // PostgreSQL refuses what no name of ours holds.
  const possible = ids.filter((id) => /^[\w.-]{1,100}$/.test(id));
  if (possible.length === 0) return 0;
  const { rowCount } = await connection.query(
    {
      name: "sessiondir_empty_trash_1",
      text: "DELETE FROM sessiondir_trash WHERE store = $1 AND id = ANY ($2::text[])",
    },
    [store, possible],
  );
  return rowCount ?? 0;
}

async function readPage(connection: Connection, store: string, after: readonly unknown[]) {
  const further = after.length === 0 ? "" : `AND (removed_us < $2 OR (removed_us = $2 AND (key, id) > ($3, $4)))`;
  const { rows } = await connection.query(
    `SELECT id, key, doc, generations, removed_us, origin FROM sessiondir_trash
     WHERE store = $1 ${further} ORDER BY removed_us DESC, key, id LIMIT ${pageRows}`,
    [store, ...after],
  );
  return rows;
}

function toTrashed(key: string, row: Record<string, unknown>): TrashedSession | undefined {
  try {
    const { actor, reason } = parseOrigin(row.origin);
    const generations = parseList(row.generations as string | null);
    return {
      id: String(row.id),
      key,
      entry: parseEntry(key, String(row.doc)),
      ...(generations === undefined ? {} : { generations }),
      removedMs: Math.floor(Number(row.removed_us) / 1_000),
      ...(actor === undefined ? {} : { actor }),
      ...(reason === undefined ? {} : { reason }),
    };
  } catch {
    return undefined;
  }
}
