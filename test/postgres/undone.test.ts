/**
 * What the server undoes - a deadlock (40P01), a serialisation failure (40001) - is tried again: often enough that
 * histories in the middle of them are linearizable, and not for ever. One by one they are in lost-answers.test.ts.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { openSessionStore } from "../../src/open.js";
import { sharedPostgres, skipWithoutPostgres } from "../support/postgres-harness.js";
import { changesSince, rejectsWith } from "../support/store-reading.js";
import { runUndoneHistories, withClient } from "./undone.js";

type AnyEntry = Record<string, unknown>;

const skip = skipWithoutPostgres();
const url = sharedPostgres();
/** Fifty and more: `npm run long-run -- undone`. */
const histories = 3;

const addOne = (current: AnyEntry | undefined) => ({ n: ((current?.n as number | undefined) ?? 0) + 1 });

// Fails without the deadline in `runToItsEnd`: then it goes on until the server gives way.
for (const state of ["40001", "40P01"]) {
  test(`what the server undoes with ${state} every time is given up, and has not happened`, {
    skip,
    timeout: 60_000,
  }, async () => {
    const storeName = `undone-${state}`;
    const options = { storeName, postgres: { notify: false, reconnectWaitMs: 300 } } as const;
    const store = await openSessionStore<AnyEntry>(await url(), options);
    await store.update("a", addOne);
    const since = await store.cursor();
    await withClient(await url(), async (client) => {
      const name = `undo_${state.toLowerCase()}`;
      // A sequence counts what was undone, too.
      await client.query(`CREATE SEQUENCE ${name};
        CREATE FUNCTION ${name}() RETURNS trigger LANGUAGE plpgsql AS $$
          BEGIN PERFORM nextval('${name}'); RAISE EXCEPTION 'undone' USING ERRCODE = '${state}'; END $$;
        CREATE TRIGGER ${name} BEFORE INSERT OR UPDATE ON sessiondir_session FOR EACH ROW
          WHEN (NEW.store = '${storeName}') EXECUTE FUNCTION ${name}()`);
      let before = 0;
      for (const write of [
        () => store.update("a", addOne),
        () => store.update("new", addOne),
        () => store.transaction((transaction) => transaction.set("a", { n: 7 })),
        () => store.remove("a"),
      ]) {
        await rejectsWith("connection_failed", write);
        const attempts = Number((await client.query(`SELECT last_value FROM ${name}`)).rows[0].last_value) - before;
        before += attempts;
        assert.ok(attempts >= 3 && attempts < 300, `${attempts} attempts`);
      }
      await client.query(`DROP TRIGGER ${name} ON sessiondir_session; DROP FUNCTION ${name}; DROP SEQUENCE ${name}`);
    });
    assert.deepEqual(await changesSince(store, since), []);
    assert.deepEqual(await store.update("a", addOne), { n: 2 });
    await store.close();
  });
}

test("histories in the middle of deadlocks and serialisation failures are linearizable", {
  skip,
  timeout: 120_000,
}, async (context) => {
  const report = await runUndoneHistories(await url(), 31_000, histories);
  const { operations, kills, deadlocks } = report;
  context.diagnostic(`${operations} operations, ${kills} kills, ${deadlocks} deadlocks`);
  assert.deepEqual(report.violations, []);
  assert.equal(report.histories, histories);
  assert.ok(deadlocks > 3, `only ${deadlocks} deadlocks`);
});
