/**
 * What happened to a commit whose answer was lost. Each place of the pool has a row in `sessiondir_writer`, and every
 * commit writes its version there, in the same transaction and only if it applies. To find out, the epoch of the row is
 * raised: that waits for a commit that is still at work, shuts out one that has not begun, and tells the last one that
 * went through. So the answer is final, and nothing is ever repeated that has happened. (A commit of one session that
 * expects a version is not shut out, and need not be: it cannot happen after its repetition, because the version is gone
 * then; but when the repetition finds another version, the last word is here.)
 *
 * Raising the epoch is a commit of its own, after the one in question. With a synchronous standby, its acknowledgement
 * therefore says that the standby has both.
 */

import type { Connection, Statement } from "./connection.js";
import type { Place } from "./pool.js";
import { nowMicroseconds } from "./rows.js";

const registerStatement: Statement = {
  name: "sessiondir_register_1",
  text: `INSERT INTO sessiondir_writer AS w (store, writer, epoch, version, seen_us)
  VALUES ($1, $2, 1, '', ${nowMicroseconds})
  ON CONFLICT (store, writer) DO UPDATE SET epoch = w.epoch + 1, seen_us = EXCLUDED.seen_us RETURNING epoch`,
};

const raiseStatement: Statement = {
  name: "sessiondir_raise_1",
  text: `UPDATE sessiondir_writer SET epoch = epoch + 1, seen_us = ${nowMicroseconds}
  WHERE store = $1 AND writer = $2 RETURNING epoch, version`,
};

/** The epoch of the place; its row is made when it has none. */
export async function registeredEpoch(connection: Connection, store: string, place: Place): Promise<number> {
  if (place.epoch === undefined) {
    const { rows } = await connection.query(registerStatement, [store, place.writer]);
    place.epoch = Number(rows[0]?.epoch);
  }
  return place.epoch;
}

/**
 * What the last commit that went through wrote into the writer's row; nothing that was sent before comes after it.
 * `undefined`: no row. The server lost it together with everything after it, in a failover without a synchronous
 * standby, so the commit in question is not there either.
 */
export async function lastThrough(connection: Connection, store: string, place: Place): Promise<string | undefined> {
  place.epoch = undefined;
  const { rows } = await connection.query(raiseStatement, [store, place.writer]);
  if (rows[0] === undefined) return undefined;
  place.epoch = Number(rows[0].epoch);
  return String(rows[0].version);
}
