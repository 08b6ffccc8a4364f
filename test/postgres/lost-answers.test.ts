/** What happens to a commit whose answer is lost: found out, never repeated blindly, and never reported as failed. */

import assert from "node:assert/strict";
import { test } from "node:test";
import pg from "pg";
import { laneOf } from "../../src/backends/postgres/rows.js";
import type { PostgresOptions } from "../../src/index.js";
import { openSessionStore } from "../../src/open.js";
import { sharedPostgres, skipWithoutPostgres } from "../support/postgres-harness.js";
import { startProxy } from "../support/postgres-proxy.js";
import { changesSince, rejectsWith } from "../support/store-reading.js";

type AnyEntry = Record<string, unknown>;
const skip = skipWithoutPostgres();
const url = sharedPostgres();

async function withProxy(
  name: string,
  body: (parts: {
    proxy: Awaited<ReturnType<typeof startProxy>>;
    open: (through: "proxy" | "direct", postgres?: PostgresOptions) => ReturnType<typeof openSessionStore<AnyEntry>>;
  }) => Promise<void>,
) {
  const direct = await url();
  const { hostname, port } = new URL(direct);
  const proxy = await startProxy({ host: hostname, port: Number(port) });
  const opened: { close(): Promise<void> }[] = [];
  try {
    await body({
      proxy,
      open: async (through, postgres = {}) => {
        const location = through === "proxy" ? proxy.url(direct) : direct;
        // Only what the test says is sent: no notifications, and no plans with names instead of texts.
        const store = await openSessionStore<AnyEntry>(location, {
          storeName: name,
          postgres: { notify: false, prepare: false, pollMs: 5, ...postgres },
        });
        opened.push(store);
        return store;
      },
    });
  } finally {
    proxy.refuse(true);
    await Promise.all(opened.map((store) => store.close()));
    await proxy.close();
  }
}

const ways: [string, RegExp, (store: Awaited<ReturnType<typeof openSessionStore<AnyEntry>>>) => Promise<unknown>][] = [
  ["a creation", /INSERT INTO sessiondir_session AS t/, (store) => store.update("new", () => ({ n: 1 }))],
  [
    "an update",
    /UPDATE sessiondir_session t SET rev/,
    (store) => store.update("a", (a) => ({ n: (a!.n as number) + 1 })),
  ],
  ["a removal", /doc = NULL/, (store) => store.remove("a")],
  [
    "a transaction",
    // With the end of the text: BEGIN has the word in it too.
    /COMMIT\0/,
    (store) =>
      store.transaction(async (transaction) => {
        const a = await transaction.get("a");
        transaction.set("a", { n: (a!.n as number) + 1 });
        transaction.set("b", { n: 1 });
      }),
  ],
];

for (const [what, pattern, write] of ways) {
  for (const lose of ["loseAnswerTo", "loseStatement"] as const) {
    const how = lose === "loseAnswerTo" ? "whose answer is lost" : "that never arrives";
    test(`${what} ${how} happens exactly once`, { skip }, async () => {
      await withProxy(`once ${what} ${how}`, async ({ proxy, open }) => {
        const store = await open("proxy");
        await store.update("a", () => ({ n: 1 }));
        const since = await store.cursor();
        proxy[lose](pattern);
        await write(store);
        await proxy.lost;
        const after = await changesSince(store, since);
        const expected: Record<string, number> =
          what === "a creation" ? { new: 1 } : what === "a transaction" ? { a: 2, b: 1 } : { a: 2 };
        const seen = Object.fromEntries(after.map(({ key, entry }) => [key, entry?.n]));
        if (what === "a removal")
          assert.deepEqual(
            after.map(({ type, key }) => [type, key]),
            [["remove", "a"]],
          );
        else assert.deepEqual(seen, expected);
        assert.equal(after.length, Object.keys(expected).length, "no change was made twice");
      });
    });
  }
}

for (const [what, pattern, write] of ways.filter(([what]) => what !== "a removal")) {
  test(`${what} whose outcome nobody can tell is outcome_unknown, with its version`, { skip }, async () => {
    await withProxy(`unknown ${what}`, async ({ proxy, open }) => {
      const store = await open("proxy", { reconnectWaitMs: 50 });
      const other = await open("direct");
      await store.update("a", () => ({ n: 1 }));
      proxy.loseAnswerTo(pattern);
      void proxy.lost.then(() => proxy.refuse(true));
      const error = await rejectsWith("outcome_unknown", write(store));
      const [key, n] = what === "a creation" ? ["new", 1] : ["a", 2];
      const { entry, version } = (await other.getWithVersion(key as string))!;
      assert.deepEqual(entry, { n });
      assert.equal(error.version, version);
    });
  });
}

test("a server that cannot be reached is connection_failed, and the store works again when it can", {
  skip,
}, async () => {
  await withProxy("away", async ({ proxy, open }) => {
    const store = await open("proxy", { reconnectWaitMs: 50 });
    await store.update("a", () => ({ n: 1 }));
    proxy.refuse(true);
    proxy.loseStatement(/FROM sessiondir_session/);
    await rejectsWith("connection_failed", store.get("a"));
    await rejectsWith(
      "connection_failed",
      store.update("a", () => ({ n: 2 })),
    );
    proxy.refuse(false);
    assert.deepEqual(await store.get("a"), { n: 1 });
  });
});

test("a session that was removed by others meanwhile is not created twice", { skip }, async () => {
  await withProxy("abd", async ({ proxy, open }) => {
    const store = await open("proxy");
    const other = await open("direct");
    proxy.refuse(false);
    proxy.loseAnswerTo(/INSERT INTO sessiondir_session AS t/);
    // While the writer does not know what happened to its creation, somebody removes what it created.
    const removed = proxy.lost.then(async () => {
      proxy.refuse(true);
      assert.equal(await other.remove("a"), true);
      proxy.refuse(false);
    });
    await store.update("a", () => ({ n: 1 }));
    await removed;
    assert.equal(await other.get("a"), undefined);
  });
});

// Found by taking the fence out of the creation, and the last look out of commit.ts: each test failed without its line.
test("a creation that arrives late does not happen any more", { skip }, async () => {
  await withProxy("late creation", async ({ proxy, open }) => {
    const store = await open("proxy");
    const other = await open("direct");
    const deliver = proxy.delayStatement(/INSERT INTO sessiondir_session AS t/);
    await store.update("a", () => ({ n: 1 }));
    assert.equal(await other.remove("a"), true);
    await deliver();
    assert.equal(await other.get("a"), undefined);
  });
});

test("an update that arrives late does not happen any more", { skip }, async () => {
  await withProxy("late update", async ({ proxy, open }) => {
    const store = await open("proxy");
    await store.update("a", () => ({ n: 1 }));
    const since = await store.cursor();
    const deliver = proxy.delayStatement(/UPDATE sessiondir_session t SET rev/);
    await store.update("a", (current) => ({ n: (current!.n as number) + 1 }));
    await deliver();
    assert.deepEqual(
      (await changesSince(store, since)).map(({ entry }) => entry),
      [{ n: 2 }],
    );
  });
});

test("an update that happens between the question and its repetition is counted once", { skip }, async () => {
  await withProxy("overtaken", async ({ proxy, open }) => {
    const store = await open("proxy");
    await store.update("a", () => ({ n: 1 }));
    const client = new pg.Client({ connectionString: await url() });
    const observer = new pg.Client({ connectionString: await url() });
    await Promise.all([client.connect(), observer.connect()]);
    await client.query("BEGIN");
    await client.query("SELECT 1 FROM sessiondir_lane WHERE store = 'overtaken' ORDER BY lane FOR UPDATE");
    // The first attempt waits for the lane when its connection goes; the server does not notice that while it waits.
    proxy.cutAfter(/UPDATE sessiondir_session t SET rev/);
    const updated = store.update("a", (current) => ({ n: (current!.n as number) + 1 }));
    const waiting =
      "SELECT count(*)::int AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%SET rev%'";
    while ((await observer.query(waiting)).rows[0].n < 2) await new Promise((resolve) => setImmediate(resolve));
    await client.query("COMMIT");
    await updated;
    await Promise.all([client.end(), observer.end()]);
    assert.deepEqual(await store.get("a"), { n: 2 });
  });
});

type Store = Awaited<ReturnType<typeof openSessionStore<AnyEntry>>>;
const addOne = (current: AnyEntry | undefined) => ({ n: ((current?.n as number | undefined) ?? 0) + 1 });
const addToBoth = (store: Store) =>
  store.transaction(async (transaction) => {
    for (const key of ["x", "y"]) transaction.set(key, addOne(await transaction.get(key)));
  });

/** A client of its own, and another one to look with. */
async function withClients(body: (client: pg.Client, waiting: (like: string) => Promise<number>) => Promise<void>) {
  const [client, observer] = await Promise.all(
    [0, 1].map(async () => {
      const made = new pg.Client({ connectionString: await url() });
      await made.connect();
      return made;
    }),
  );
  const waiting = async (like: string) => {
    const text = `SELECT count(*)::int AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE $1`;
    return (await observer!.query(text, [like])).rows[0].n as number;
  };
  try {
    await body(client!, waiting);
  } finally {
    await Promise.all([client!.end(), observer!.end()]);
  }
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setImmediate(resolve));
}

// Each write compares once more, after it waited for the lane; taking out one of these comparisons fails one of these.
// In a serializable database it is the server that refuses the second one (40001), and it is tried again.
for (const isolation of ["read committed", "serializable"]) {
  test(`of two that begin with one version and wait for one lane, one is made upon the other (${isolation})`, {
    skip,
    timeout: 60_000,
  }, async () => {
    const storeName = `races ${isolation}`;
    const location = `${await url()}?options=${encodeURIComponent(`-c default_transaction_isolation=${isolation.replace(" ", "\\ ")}`)}`;
    const open = () => openSessionStore<AnyEntry>(location, { storeName, postgres: { notify: false, prepare: false } });
    const stores: [Store, Store] = [await open(), await open()];
    const [store] = stores;
    let removals = 0;
    const races: Record<string, [(store: Store) => Promise<unknown>, (store: Store) => Promise<unknown>]> = {
      updates: [(one) => one.update("a", addOne), (other) => other.update("a", addOne)],
      creations: [(one) => one.update("new", addOne), (other) => other.update("new", addOne)],
      transactions: [addToBoth, addToBoth],
      "an update and a removal": [
        (one) => one.update("r", addOne),
        (other) =>
          other.transaction(async (transaction) => {
            await transaction.get("r");
            removals += 1;
            await transaction.remove("r");
          }),
      ],
    };
    await Promise.all(["a", "r", "x", "y"].map((key) => store.update(key, addOne)));
    for (const [what, [first, second]] of Object.entries(races)) {
      await withClients(async (client, waiting) => {
        await client.query("BEGIN");
        await client.query("SELECT 1 FROM sessiondir_lane WHERE store = $1 ORDER BY lane FOR UPDATE", [storeName]);
        const done = [first(stores[0])];
        await until(async () => (await waiting("%sessiondir_%")) >= 1);
        done.push(second(stores[1]));
        await until(async () => (await waiting("%sessiondir_%")) >= 2);
        await client.query("COMMIT");
        await Promise.all(done);
      });
      if (what === "an update and a removal") assert.equal(removals, 2, "it saw the update, and removed that");
    }
    const found = await store.getMany(["a", "new", "x", "y", "r"]);
    assert.deepEqual(
      ["a", "new", "x", "y", "r"].map((key) => found.get(key)?.n),
      [3, 2, 3, 3, undefined],
    );
    await Promise.all(stores.map((one) => one.close()));
  });
}

test("a transaction that the server ends because of a deadlock is made again", { skip, timeout: 60_000 }, async () => {
  const storeName = "deadlock";
  const location = `${await url()}?options=${encodeURIComponent("-c deadlock_timeout=20ms")}`;
  const store = await openSessionStore<AnyEntry>(location, { storeName, postgres: { notify: false, prepare: false } });
  const keys = ["x", "y", "z"];
  const [low, middle, high] = keys.map((key) => laneOf(key)).sort((left, right) => left - right);
  assert.equal(new Set([low, middle, high]).size, 3);
  await withClients((blocker) =>
    withClients(async (client, waiting) => {
      const lock = (by: pg.Client, lane: number | undefined) =>
        by.query("SELECT 1 FROM sessiondir_lane WHERE store = $1 AND lane = $2 FOR UPDATE", [storeName, lane]);
      for (const by of [client, blocker]) await by.query("BEGIN");
      // Who waits for so long finds a deadlock, and is ended: not this one.
      await client.query("SET LOCAL deadlock_timeout = '1h'");
      await lock(blocker, middle);
      await lock(client, high);
      let ended = false;
      const done = store
        .transaction(async (transaction) => {
          for (const key of keys) transaction.set(key, addOne(await transaction.get(key)));
        })
        .finally(() => {
          ended = true;
        });
      await until(async () => (await waiting("%sessiondir_lane%")) >= 1);
      const locked = lock(client, low);
      await until(async () => (await waiting("%sessiondir_lane%")) >= 2);
      // Now it goes on to the lane that waits for it.
      await blocker.query("COMMIT");
      await locked;
      assert.equal(ended, false);
      await client.query("COMMIT");
      await done;
    }),
  );
  assert.deepEqual([...(await store.getMany(keys)).values()], [{ n: 1 }, { n: 1 }, { n: 1 }]);
  await store.close();
});

// Fails without FOR UPDATE in the fence of the creation: then the answer is there before the creation has ended.
test("whoever asks what became of a creation that is still at work waits for its end", {
  skip,
  timeout: 60_000,
}, async () => {
  await withProxy("at work", async ({ proxy, open }) => {
    const store = await open("proxy");
    await withClients(async (client, waiting) => {
      await client.query("BEGIN");
      await client.query("SELECT 1 FROM sessiondir_lane WHERE store = 'at work' ORDER BY lane FOR UPDATE");
      proxy.cutAfter(/INSERT INTO sessiondir_session AS t/);
      const created = store.update("a", addOne);
      await until(async () => (await waiting("%sessiondir_%")) >= 2);
      assert.equal(await waiting("%SET epoch = epoch + 1%"), 1);
      await client.query("COMMIT");
      await created;
    });
    assert.deepEqual(await store.get("a"), { n: 1 });
  });
});

test("a transaction whose writer's row is gone makes the row again, and happens once", { skip }, async () => {
  await withProxy("forgotten", async ({ open }) => {
    const store = await open("direct");
    await addToBoth(store);
    await withClients(async (client) => {
      await client.query("DELETE FROM sessiondir_writer WHERE store = 'forgotten'");
      await addToBoth(store);
      const { rows } = await client.query("SELECT version FROM sessiondir_writer WHERE store = 'forgotten'");
      assert.equal(rows.length, 1, "or nobody could tell what became of the next one");
    });
    assert.deepEqual([...(await store.getMany(["x", "y"])).values()], [{ n: 2 }, { n: 2 }]);
  });
});

test("writing to a store that is gone from the database says so", { skip, timeout: 60_000 }, async () => {
  await withProxy("dropped", async ({ open }) => {
    const store = await open("direct");
    await addToBoth(store);
    await withClients(async (client) => {
      for (const table of ["lane", "session", "store"]) {
        await client.query(`DELETE FROM sessiondir_${table} WHERE store = 'dropped'`);
      }
    });
    await rejectsWith("store_gone", addToBoth(store));
    await rejectsWith("store_gone", store.update("a", addOne));
  });
});
