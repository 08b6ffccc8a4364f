/** The row of a store: made by whoever opens it first, and what is fixed with it. */

import type { KeyRule } from "../../contract.js";
import { SessionStoreError } from "../../errors.js";
import type { Port } from "../../fs/port.js";
import type { Connection } from "./connection.js";
import { isTransient } from "./failures.js";
import { laneCount, nowMicroseconds } from "./rows.js";

/** How often a store is looked for, and made. */
const attemptsMax = 5;

export interface StoreRow {
  readonly name: string;
  readonly incarnation: string;
  readonly keyRule: KeyRule;
  readonly lanes: number;
}

/** Finds the store or makes it; `undefined` when it is not there and may not be made. */
export async function findOrCreateStore(
  connection: Connection,
  port: Port,
  name: string,
  keyRule: KeyRule,
  mayCreate: boolean,
): Promise<StoreRow | undefined> {
  const incarnation = Buffer.from(port.randomBytes(9)).toString("base64url");
  for (let attempt = 1; ; attempt += 1) {
    try {
      const found = await findStore(connection, name);
      if (found !== undefined || !mayCreate || attempt > attemptsMax) return found;
      // One statement: nobody ever sees a store without its lanes. Of several that come at once, one wins.
      await connection.query(
        `WITH s AS (INSERT INTO sessiondir_store (store, incarnation, key_rule, lanes, created_us)
           VALUES ($1, $2, $3, $4, ${nowMicroseconds}) ON CONFLICT DO NOTHING RETURNING store, lanes)
         INSERT INTO sessiondir_lane (store, lane) SELECT s.store, lane FROM s, generate_series(0, s.lanes - 1) AS lane`,
        [name, incarnation, keyRule, laneCount],
      );
    } catch (error) {
      // Where everything is serializable, whoever loses is told so.
      if (!isTransient(error) || attempt >= attemptsMax) throw error;
    }
  }
}

async function findStore(connection: Connection, name: string): Promise<StoreRow | undefined> {
  const { rows } = await connection.query(
    "SELECT incarnation, key_rule, lanes FROM sessiondir_store WHERE store = $1",
    [name],
  );
  const [row] = rows;
  if (row === undefined) return undefined;
  if (row.key_rule !== "openclaw" && row.key_rule !== "exact") {
    throw new SessionStoreError("store_damaged", `the store's row names an unknown rule of keys`, {
      nextStep: "Restore the row from a backup.",
    });
  }
  return { name, incarnation: String(row.incarnation), keyRule: row.key_rule, lanes: Number(row.lanes) };
}

/** Throws `store_gone` when the rows that belong to the store are not there any more. */
export async function requireLanes(
  connection: Connection,
  store: string,
  lanes: number,
  location: string,
): Promise<void> {
  const { rows } = await connection.query("SELECT count(*)::int AS lanes FROM sessiondir_lane WHERE store = $1", [
    store,
  ]);
  if (rows[0]?.lanes === lanes) return;
  throw new SessionStoreError("store_gone", "the store is no longer in the database", {
    path: location,
    nextStep: "Restore it from a backup, or open it again to create a new one.",
  });
}

/** Throws `invalid_option`. */
export function checkStoreName(name: string): void {
  const bytes = Buffer.byteLength(name);
  if (name.trim() !== "" && bytes <= 200 && !/[\0\p{Surrogate}]/u.test(name)) return;
  throw new SessionStoreError("invalid_option", "the option storeName is a text of 1 to 200 bytes, not blank", {
    operation: "openSessionStore",
  });
}
