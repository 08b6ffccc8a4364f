/** Commits that wait go to the server in one statement: each has its own outcome, also when the answer is lost. */

import assert from "node:assert/strict";
import { test } from "node:test";
import pg from "pg";
import { laneOf } from "../../src/backends/postgres/rows.js";
import { openSessionStore } from "../../src/open.js";
import { sharedPostgres, skipWithoutPostgres } from "../support/postgres-harness.js";
import { type PostgresProxy, startProxy } from "../support/postgres-proxy.js";
import { changesSince } from "../support/store-reading.js";

type Counter = Record<string, unknown>;
const skip = skipWithoutPostgres();
const url = sharedPostgres();
const group = /WITH ORDINALITY/;
const laneCount = 64;

/** Two sessions whose lanes are held, so that everything after them waits; and others in lanes of their own. */
const keys = Array.from({ length: 200 }, (_, index) => `session-${index}`);
const first = keys.slice(0, 2);
const firstLanes = first.map((key) => laneOf(key, laneCount));
const others = keys.filter((key) => !firstLanes.includes(laneOf(key, laneCount))).slice(0, 12);
const otherLanes = others.map((key) => laneOf(key, laneCount));

interface Scene {
  readonly proxy: PostgresProxy;
  readonly store: Awaited<ReturnType<typeof openSessionStore<Counter>>>;
  readonly direct: Awaited<ReturnType<typeof openSessionStore<Counter>>>;
  /** Locks lanes until the function that is returned is called. */
  hold(lanes: readonly number[]): Promise<() => Promise<void>>;
  untilWaiting(count: number, like?: string): Promise<void>;
  /** Adds one to each of `others`, all in one statement, which is sent when `release` is called. */
  gather(): Promise<{ release(): Promise<void>; done: Promise<unknown> }>;
}

async function withScene(name: string, body: (scene: Scene) => Promise<void>) {
  const location = await url();
  const { hostname, port } = new URL(location);
  const proxy = await startProxy({ host: hostname, port: Number(port) });
  const options = { storeName: name, postgres: { notify: false, prepare: false } };
  const store = await openSessionStore<Counter>(proxy.url(location), options);
  const direct = await openSessionStore<Counter>(location, options);
  const clients: pg.Client[] = [];
  const connect = async () => {
    const client = new pg.Client({ connectionString: location });
    await client.connect();
    clients.push(client);
    return client;
  };
  const observer = await connect();
  const hold = async (lanes: readonly number[]) => {
    const client = await connect();
    await client.query("BEGIN");
    await client.query("SELECT 1 FROM sessiondir_lane WHERE store = $1 AND lane = ANY ($2) ORDER BY lane FOR UPDATE", [
      name,
      lanes,
    ]);
    return async () => void (await client.query("COMMIT"));
  };
  const untilWaiting = async (count: number, like = "%sessiondir_%") => {
    const waiting = `SELECT count(*)::int AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE $1`;
    const look = async () => (await observer.query(waiting, [like])).rows[0].n;
    while ((await look()) < count) await new Promise((resolve) => setImmediate(resolve));
  };
  const gather = async () => {
    const release = await hold(firstLanes);
    const running: Promise<unknown>[] = first.map((key) => store.update(key, addOne));
    await untilWaiting(first.length);
    let computed = 0;
    await new Promise<void>((resolve) => {
      for (const key of others) {
        running.push(
          store.update(key, (current) => {
            computed += 1;
            if (computed === others.length) setImmediate(resolve);
            return addOne(current);
          }),
        );
      }
    });
    return { release, done: Promise.all(running) };
  };
  try {
    await direct.transaction((transaction) => {
      for (const key of [...first, ...others]) transaction.set(key, { n: 1 });
    });
    await body({ proxy, store, direct, hold, untilWaiting, gather });
  } finally {
    await Promise.all([store.close(), direct.close(), ...clients.map((client) => client.end())]);
    await proxy.close();
  }
}

function addOne(current: Counter | undefined): Counter {
  return { n: (current!.n as number) + 1 };
}

async function countsOf(store: Scene["direct"], wanted: readonly string[]) {
  const found = await store.getMany(wanted);
  return wanted.map((key) => found.get(key)?.n);
}

for (const lose of ["loseAnswerTo", "loseStatement"] as const) {
  const how = lose === "loseAnswerTo" ? "whose answer is lost" : "that never arrives";
  test(`every commit of a group ${how} happens exactly once`, { skip, timeout: 60_000 }, async () => {
    await withScene(`group ${how}`, async ({ proxy, direct, gather }) => {
      const since = await direct.cursor();
      const { release, done } = await gather();
      proxy[lose](group);
      await release();
      await proxy.lost;
      await done;
      assert.deepEqual(await countsOf(direct, others), Array(others.length).fill(2));
      assert.equal((await changesSince(direct, since)).length, first.length + others.length, "no change twice");
    });
  });
}

test("a group that is still at work when its connection goes is waited for, and counted once", {
  skip,
  timeout: 60_000,
}, async () => {
  await withScene("group overtaken", async ({ proxy, direct, hold, untilWaiting, gather }) => {
    const { release, done } = await gather();
    const releaseOthers = await hold(otherLanes);
    proxy.cutAfter(group);
    await release();
    await proxy.lost;
    // The group, which waits for its lanes, and whoever asks what became of it.
    await untilWaiting(2);
    // Fails without FOR UPDATE in the fence of the group: then there is an answer before the group has ended.
    await untilWaiting(1, "%SET epoch = epoch + 1%");
    await releaseOthers();
    await done;
    assert.deepEqual(await countsOf(direct, others), Array(others.length).fill(2));
  });
});

test("in one group some apply and some meet a change of somebody else, and none is lost", {
  skip,
  timeout: 60_000,
}, async () => {
  await withScene("group conflict", async ({ direct, gather }) => {
    const since = await direct.cursor();
    const { release, done } = await gather();
    const overtaken = others.filter((_, index) => index % 3 === 0);
    for (const key of overtaken) await direct.update(key, (current) => ({ n: (current!.n as number) + 10 }));
    await release();
    await done;
    const expected = others.map((key) => (overtaken.includes(key) ? 12 : 2));
    assert.deepEqual(await countsOf(direct, others), expected);
    const changes = await changesSince(direct, since);
    assert.equal(changes.at(-1)?.type, "put", "the feed goes on after a group");
  });
});

test("a change that a group waits behind is not lost", { skip, timeout: 60_000 }, async () => {
  await withScene("group behind", async ({ direct, hold, untilWaiting, gather }) => {
    const { release, done } = await gather();
    const releaseOthers = await hold(otherLanes);
    const [key] = others as [string];
    const changed = direct.update(key, (current) => ({ n: (current!.n as number) + 10 }));
    await untilWaiting(first.length + 1);
    await release();
    // One statement for each half of the lanes.
    await untilWaiting(new Set(otherLanes.map((lane) => lane % 2)).size, "%WITH ORDINALITY%");
    await releaseOthers();
    await Promise.all([changed, done]);
    assert.deepEqual(await countsOf(direct, others), [12, ...Array(others.length - 1).fill(2)]);
  });
});

test("closing waits for commits that wait for their turn", { skip, timeout: 60_000 }, async () => {
  await withScene("group closing", async ({ store, direct, gather }) => {
    const { release, done } = await gather();
    const closed = store.close();
    await release();
    await Promise.all([closed, done]);
    assert.deepEqual(await countsOf(direct, others), Array(others.length).fill(2));
  });
});
