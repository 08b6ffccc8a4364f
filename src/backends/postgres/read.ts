/** Reading sessions by key: one statement, answered by the primary, so every commit acknowledged before it is in it. */

import type { Versioned } from "../../contract.js";
import type { Connection, Statement } from "./connection.js";
import { decodeKey, encodeKey, type SessionRow, sessionOf } from "./rows.js";

const oneStatement: Statement = {
  name: "sessiondir_read_one_1",
  text: "SELECT key, version, doc, generations FROM sessiondir_session WHERE store = $1 AND key = $2 AND doc IS NOT NULL",
};

const someStatement: Statement = {
  name: "sessiondir_read_some_1",
  text: `SELECT key, version, doc, generations FROM sessiondir_session
  WHERE store = $1 AND key = ANY ($2::text[]) AND doc IS NOT NULL`,
};

/** Told of each session that is there; `size` in characters of its JSON text. */
export type OnFound = (key: string, session: Versioned, size: number) => void;

export async function readSessions(
  connection: Connection,
  store: string,
  keys: readonly string[],
  onFound?: OnFound,
): Promise<Map<string, Versioned>> {
  const found = new Map<string, Versioned>();
  if (keys.length === 0) return found;
  const { rows } =
    keys.length === 1
      ? await connection.query(oneStatement, [store, encodeKey(keys[0]!)])
      : await connection.query(someStatement, [store, keys.map(encodeKey)]);
  for (const row of rows) {
    const key = decodeKey(String(row.key));
    const session = sessionOf(key, row as unknown as SessionRow);
    found.set(key, session);
    onFound?.(key, session, String(row.doc).length);
  }
  return found;
}
