/** Updates that begin with what the process knows: one round trip, and never an answer from the past. */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { openSessionStore } from "../../src/open.js";
import { sharedPostgres, skipWithoutPostgres } from "../support/postgres-harness.js";
import { startProxy } from "../support/postgres-proxy.js";
import { rejectsWith } from "../support/store-reading.js";

type Counter = Record<string, unknown>;
const skip = skipWithoutPostgres();
const url = sharedPostgres();

const addOne = (current: Counter | undefined) => ({ ...current, n: ((current?.n as number | undefined) ?? 0) + 1 });

async function withTwo(
  body: (mine: Awaited<ReturnType<typeof open>>, other: Awaited<ReturnType<typeof open>>) => Promise<void>,
) {
  const storeName = `recall-${randomUUID()}`;
  const location = await url();
  const stores = [await open(location, storeName), await open(location, storeName)] as const;
  try {
    await body(...stores);
  } finally {
    await Promise.all(stores.map((store) => store.close()));
  }
}

function open(location: string, storeName: string) {
  return openSessionStore<Counter>(location, { storeName, postgres: { maintenanceMs: 0 } });
}

test("an update of a session that the process knows is one round trip, of one that others changed three", {
  skip,
}, async () => {
  const location = await url();
  const { hostname, port } = new URL(location);
  const proxy = await startProxy({ host: hostname, port: Number(port) });
  const storeName = `trips-${randomUUID()}`;
  const options = { storeName, postgres: { notify: false, connections: 1, maintenanceMs: 0 } };
  const store = await openSessionStore<Counter>(proxy.url(location), options);
  const other = await openSessionStore<Counter>(location, options);
  try {
    const tripsOf = async (work: () => Promise<unknown>) => {
      const before = proxy.answers;
      await work();
      return proxy.answers - before;
    };
    await store.update("a", addOne);
    assert.equal(await tripsOf(() => store.update("a", addOne)), 1, "known from its own commit");
    assert.equal(await tripsOf(() => store.patch("a", { label: "x" })), 1, "a patch too");
    await store.transaction((transaction) => transaction.set("b", { n: 1 }));
    await store.get("b");
    assert.equal(await tripsOf(() => store.update("b", addOne)), 1, "known from a read");
    await other.update("a", addOne);
    // The commit that is refused, what is there instead, and the commit upon that.
    assert.equal(await tripsOf(() => store.update("a", addOne)), 3);
    assert.equal(await tripsOf(() => store.update("a", addOne)), 2, "others change it: first a look");
    assert.equal(await tripsOf(() => store.update("a", addOne)), 1, "and they do not any more");
    assert.deepEqual(await other.get("a"), { n: 6, label: "x" });
  } finally {
    await Promise.all([store.close(), other.close()]);
    await proxy.close();
  }
});

test("no change, an error and a version that is asked for: each is decided on the newest state", { skip }, async () => {
  await withTwo(async (mine, other) => {
    await mine.update("a", () => ({ n: 1 }));
    await other.update("a", addOne);
    assert.deepEqual(await mine.update("a", () => undefined), { n: 2 }, "no change of what is there now");

    await mine.update("b", () => ({ open: false }));
    await other.update("b", () => ({ open: true }));
    // What it throws upon a state that is no more is nobody's business.
    const entered = await mine.update("b", (current) => {
      if (current?.open !== true) throw new Error("closed");
      return { ...current, entered: true };
    });
    assert.deepEqual(entered, { open: true, entered: true });

    await mine.update("c", () => ({ n: 1 }));
    let runs = 0;
    const failing = mine.update("c", () => {
      runs += 1;
      throw new Error("no");
    });
    await assert.rejects(failing, /^Error: no$/);
    assert.equal(runs, 1, "a state that is the newest is not tried twice");
    const unchanged = await mine.update("c", () => {
      runs += 1;
      return undefined;
    });
    assert.deepEqual(unchanged, { n: 1 });
    assert.equal(runs, 2);

    await mine.update("d", () => ({ n: 1 }));
    const { version } = (await mine.getWithVersion("d"))!;
    await other.update("d", addOne);
    await rejectsWith("conflict", mine.update("d", addOne, { ifVersion: version }));
    await mine.update("e", () => ({ n: 1 }));
    await other.remove("e");
    assert.deepEqual(await mine.update("e", addOne, { ifVersion: null }), { n: 1 });

    await mine.update("f", () => ({ n: 1 }));
    await other.remove("f");
    await rejectsWith("not_found", mine.patch("f", { n: 2 }));
    await mine.update("g", () => ({ n: 1 }));
    await other.update("g", () => ({ n: 7 }));
    assert.deepEqual(await mine.patch("g", { n: 1 }), { n: 1 }, "a patch that would change nothing of the old state");
    assert.deepEqual(await other.get("g"), { n: 1 });
  });
});

test("many that change one session in one process take turns instead of meeting each other on the server", {
  skip,
}, async () => {
  const location = await url();
  const { hostname, port } = new URL(location);
  const proxy = await startProxy({ host: hostname, port: Number(port) });
  const storeName = `turns-${randomUUID()}`;
  const options = { storeName, postgres: { notify: false, maintenanceMs: 0 } };
  const store = await openSessionStore<Counter>(proxy.url(location), { ...options, conflictWaitMs: 120_000 });
  try {
    await store.update("a", () => ({ n: 0 }));
    const before = proxy.answers;
    await Promise.all(Array.from({ length: 40 }, () => store.update("a", addOne)));
    assert.equal((await store.get("a"))?.n, 40);
    // Forty commits; pauses between attempts end with a look, many of which go together. Without turns about 1,900.
    const trips = proxy.answers - before;
    assert.ok(trips < 400, `${trips} round trips`);
  } finally {
    await store.close();
    await proxy.close();
  }
});

test("merging begins with what was known, and keeps what others wrote", { skip }, async () => {
  await withTwo(async (mine, other) => {
    await mine.update("a", () => ({ mine: 1, theirs: 1 }));
    await other.patch("a", { theirs: 2 });
    let runs = 0;
    const change = (current: Counter | undefined) => {
      runs += 1;
      return { ...current, mine: 2 };
    };
    assert.deepEqual(await mine.update("a", change, { onConflict: "merge" }), { mine: 2, theirs: 2 });
    assert.equal(runs, 1);
  });
});

test("earlier generations are kept by updates that begin with what was known", { skip }, async () => {
  await withTwo(async (mine, other) => {
    const ids = async () => (await other.generations("a")).map(({ sessionId }) => sessionId);
    await mine.update("a", () => ({ sessionId: "1", n: 0 }));
    await mine.update("a", (current) => ({ ...current, sessionId: "2" }));
    await mine.update("a", addOne);
    await mine.update("a", (current) => ({ ...current, sessionId: "3" }));
    assert.deepEqual(await ids(), ["1", "2"]);
    await other.update("a", (current) => ({ ...current, sessionId: "4" }));
    await mine.update("a", (current) => ({ ...current, sessionId: "5" }));
    assert.deepEqual(await ids(), ["1", "2", "3", "4"]);
    await mine.remove("a");
    await mine.update("a", () => ({ sessionId: "6", n: 0 }));
    await mine.update("a", (current) => ({ ...current, sessionId: "7" }));
    assert.deepEqual(await ids(), ["6"]);
  });
});

test("nothing is kept with cacheBytes 0", { skip }, async () => {
  const storeName = `recall-${randomUUID()}`;
  const store = await openSessionStore<Counter>(await url(), { storeName, cacheBytes: 0 });
  const other = await openSessionStore<Counter>(await url(), { storeName });
  await store.update("a", addOne);
  await other.update("a", addOne);
  const seen: unknown[] = [];
  await store.update("a", (current) => {
    seen.push(current?.n);
    return addOne(current);
  });
  assert.deepEqual(seen, [2], "it was read first");
  await Promise.all([store.close(), other.close()]);
});
