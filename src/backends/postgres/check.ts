/**
 * The check: reads every row of a store, and says what does not fit. Read-only, in pages, beside live writers; what a
 * writer changes between two looks is never a finding.
 */

import type { Finding } from "../../contract.js";
import { jsonEqual } from "../../sessions/json-equal.js";
import type { Pool } from "./pool.js";
import { columnsOf, decodeKey, encodeKey, laneOf, parseEntry } from "./rows.js";
import type { StoreRow } from "./store-row.js";

const pageRows = 200;

export async function* checkStore(
  pool: Pool,
  store: StoreRow,
  onProgress: ((done: number, total: number) => void) | undefined,
): AsyncGenerator<Finding> {
  const { rows: counted } = await pool.read((connection) =>
    connection.query(
      `SELECT (SELECT count(*) FROM sessiondir_session WHERE store = $1)::int AS rows,
        (SELECT count(*) FROM sessiondir_lane WHERE store = $1)::int AS lanes`,
      [store.name],
    ),
  );
  if (counted[0]?.lanes !== store.lanes) {
    yield finding("lanes_missing", undefined, "the store lacks rows of sessiondir_lane", "Restore the table.");
  }
  const total = Number(counted[0]?.rows);
  let done = 0;
  let last = "";
  for (;;) {
    const after = last;
    const { rows } = await pool.read((connection) =>
      connection.query(
        `SELECT s.key, s.lane, s.rev, s.doc, s.summary, s.recency, s.kind, s.agent, s.channel, s.search, l.rev AS head
         FROM sessiondir_session s LEFT JOIN sessiondir_lane l ON l.store = s.store AND l.lane = s.lane
         WHERE s.store = $1 AND s.key > $2 ORDER BY s.key LIMIT ${pageRows}`,
        [store.name, after],
      ),
    );
    for (const row of rows) {
      last = String(row.key);
      yield* checkRow(row, store);
    }
    done += rows.length;
    onProgress?.(done, Math.max(done, total));
    if (rows.length < pageRows) return;
  }
}

function* checkRow(row: Record<string, unknown>, store: StoreRow): Generator<Finding> {
  const stored = String(row.key);
  const key = decodeKey(stored);
  if (encodeKey(key) !== stored) {
    yield finding("key_damaged", key, "the key was not written by this library", "Remove the row.");
  }
  if (Number(row.lane) !== laneOf(key, store.lanes)) {
    yield finding("lane_wrong", key, "the session is in a lane that is not its own", "Write the session again.");
  }
  if (row.head === null || Number(row.rev) > Number(row.head)) {
    const problem = "the session is ahead of its lane: watchers would not be told of the next changes";
    yield finding("lane_behind", key, problem, "Raise rev of the lane above that of all its sessions.");
  }
  if (row.doc === null) return;
  let entry: ReturnType<typeof parseEntry>;
  try {
    entry = parseEntry(key, String(row.doc));
  } catch {
    const nextStep = "Replace the session by an update that does not read it, or restore the row from a backup.";
    yield finding("entry_damaged", key, "the row holds no JSON object", nextStep);
    return;
  }
  const right = columnsOf(key, entry);
  const listed =
    sameJson(row.summary, right.summary) &&
    Number(row.recency) === Number(right.recency) &&
    row.kind === right.kind &&
    row.agent === right.agent &&
    row.channel === right.channel &&
    row.search === right.search;
  if (!listed) {
    yield {
      ...finding("summary_stale", key, "lists show something else than the session holds", "Write the session again."),
      severity: "warning",
    };
  }
}

function sameJson(left: unknown, right: string): boolean {
  try {
    return jsonEqual(withoutSize(JSON.parse(String(left))), withoutSize(JSON.parse(right)));
  } catch {
    return false;
  }
}

/** The size is an estimate, which depends on how the entry came to be. */
function withoutSize(summary: unknown): unknown {
  return { ...(summary as object), entryBytes: 0 };
}

function finding(code: string, key: string | undefined, message: string, nextStep: string): Finding {
  return { severity: "error", code, ...(key === undefined ? {} : { key }), message, nextStep };
}
