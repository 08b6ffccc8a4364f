/**
 * Lists: pages by key along an index, so that a page costs the same at any depth. The server filters by folded text,
 * which lets through a little too much; what a query means exactly is decided by `sessions/query.ts`, here as everywhere.
 */

import type { SessionPage, SessionQuery, SessionSummary } from "../../contract.js";
import { type CheckedQuery, checkQuery, matches, pageOfSummaries } from "../../sessions/query.js";
import type { Connection } from "./connection.js";
import { decodeKey, encodeKey, fold, parseSummary, recencyOf } from "./rows.js";

export async function listSessions(
  connection: Connection,
  store: string,
  query: SessionQuery,
  onDamaged: (key: string) => void,
): Promise<SessionPage> {
  const checked = checkQuery(query);
  const wanted = checked.limit + 1;
  const found: SessionSummary[] = [];
  let after: After | undefined =
    checked.after === undefined
      ? undefined
      : { recency: recencyOf(checked.after.updatedAt), key: encodeKey(checked.after.key) };
  while (found.length < wanted) {
    const { text, values } = pageStatement(store, checked, after, wanted);
    // Without a name: each combination of filters is a text of its own.
    const { rows } = await connection.query(text, values);
    for (const row of rows) {
      const key = decodeKey(String(row.key));
      const summary = parseSummary(key, row.summary);
      if (summary === undefined) onDamaged(key);
      else if (matches(summary, checked)) found.push(summary);
      after = { recency: Number(row.recency), key: String(row.key) };
    }
    if (rows.length < wanted) break;
  }
  return pageOfSummaries(found, query);
}

interface After {
  readonly recency: number;
  /** As it is stored. */
  readonly key: string;
}

function pageStatement(store: string, query: CheckedQuery, after: After | undefined, limit: number) {
  const values: unknown[] = [store];
  const bind = (value: unknown) => `$${values.push(value)}`;
  const conditions = ["store = $1", "doc IS NOT NULL"];
  if (query.agent !== undefined) conditions.push(`agent = ${bind(fold(query.agent))}`);
  if (query.kind !== undefined) conditions.push(`kind = ${bind(query.kind)}`);
  if (query.channel !== undefined) conditions.push(`channel = ${bind(fold(query.channel))}`);
  if (query.activeSince !== undefined) conditions.push(`recency <= ${bind(String(-query.activeSince))}::float8`);
  if (query.search) conditions.push(`position(${bind(fold(query.search))} IN search) > 0`);
  if (after !== undefined) {
    conditions.push(
      query.order === "key"
        ? `key > ${bind(after.key)}`
        : // A comparison of rows, which the index answers at any depth.
          `(recency, key) > (${bind(String(after.recency))}::float8, ${bind(after.key)})`,
    );
  }
  const order = query.order === "key" ? "key" : "recency, key";
  const text = `SELECT key, recency, summary FROM sessiondir_session WHERE ${conditions.join(" AND ")}
    ORDER BY ${order} LIMIT ${limit}`;
  return { text, values };
}
