/** Compare-and-swap, what happens on conflicts, and that nobody ever waits for somebody else's function. */

import assert from "node:assert/strict";
import type { FrozenEntry, Operation } from "../../src/contract.js";
import { privatizeEntry } from "../../src/sessions/entry-value.js";
import { deferred, readAll, rejectsWith } from "../support/store-reading.js";
import type { Suite } from "./suite.js";

export function conflictPromises(suite: Suite): void {
  const { promise } = suite;
  compareAndSwap(suite);
  callbacks(suite);

  promise("rerun: the function runs again on the entry that others wrote meanwhile", async ({ store }) => {
    await store.update("a", () => ({ n: 1 }));
    const seen: unknown[] = [];
    await store.update("a", async (current) => {
      seen.push(current?.n);
      if (seen.length === 1) await store.patch("a", { n: 5 });
      return { ...current, n: (current?.n as number) + 1 };
    });
    assert.deepEqual(seen, [1, 5]);
    assert.deepEqual(await store.get("a"), { n: 6 });
  });

  promise("rerun: a session that others removed or created meanwhile is such a conflict too", async ({ store }) => {
    const seen: unknown[] = [];
    await store.update("a", async (current) => {
      seen.push(current);
      if (seen.length === 1) await store.update("a", () => ({ by: "others" }));
      if (seen.length === 2) await store.remove("a");
      return { by: "me" };
    });
    assert.deepEqual(seen, [undefined, { by: "others" }, undefined]);
    assert.deepEqual(await store.get("a"), { by: "me" });
  });

  promise("merge: fields that only one side changed are merged without running again", async ({ store }) => {
    await store.update("a", () => ({ mine: 1, theirs: 1, both: 1, gone: 1 }));
    let runs = 0;
    const result = await store.update(
      "a",
      async (current) => {
        runs++;
        await store.patch("a", { theirs: 2, both: 7, added: 1 });
        const { gone: _, ...rest } = current ?? {};
        return { ...rest, mine: 2, both: 7 };
      },
      { onConflict: "merge" },
    );
    assert.equal(runs, 1);
    assert.deepEqual(result, { mine: 2, theirs: 2, both: 7, added: 1 });
    assert.deepEqual(await store.get("a"), result);
  });

  promise("merge: a field that both changed differently makes the function run again", async ({ store }) => {
    await store.update("a", () => ({ n: 1, other: 1 }));
    let runs = 0;
    await store.update(
      "a",
      async (current) => {
        runs++;
        if (runs === 1) await store.patch("a", { n: 10, other: 2 });
        return { ...current, n: (current?.n as number) + 1 };
      },
      { onConflict: "merge" },
    );
    assert.equal(runs, 2);
    assert.deepEqual(await store.get("a"), { n: 11, other: 2 });
  });

  promise("merge: a session that was removed meanwhile is not brought back by a merge", async ({ store }) => {
    await store.update("a", () => ({ n: 1, other: 1 }));
    const seen: unknown[] = [];
    await store.update(
      "a",
      async (current) => {
        seen.push(current);
        if (seen.length === 1) await store.remove("a");
        return current && { ...current, n: 2 };
      },
      { onConflict: "merge" },
    );
    assert.deepEqual(seen, [{ n: 1, other: 1 }, undefined]);
    assert.equal(await store.get("a"), undefined);
  });

  promise("concurrent increments of one session are all counted", async ({ store }) => {
    const increment = (current: FrozenEntry | undefined) => ({ n: ((current?.n as number) ?? 0) + 1 });
    await Promise.all(
      Array.from({ length: 40 }, (_, index) =>
        store.update("a", index % 2 === 0 ? increment : async (current) => increment(current)),
      ),
    );
    assert.deepEqual(await store.get("a"), { n: 40 });
  });

  promise("concurrent patches of different fields all arrive", async ({ store }) => {
    await store.update("a", () => ({}));
    await Promise.all(Array.from({ length: 40 }, (_, index) => store.patch("a", { [`field${index}`]: index })));
    assert.equal(Object.keys((await store.get("a")) ?? {}).length, 40);
  });

  promise(
    "a write that others overtake again and again ends with a conflict that counts its attempts",
    async ({ store }) => {
      let n = 0;
      await store.update("a", () => ({ n }));
      const overtaken = store.update("a", async () => {
        await store.patch("a", { n: ++n });
        return { n: "mine" };
      });
      const error = await rejectsWith("conflict", overtaken);
      assert.ok((error.attempts ?? 0) >= 2);
      assert.ok(error.nextStep);
      assert.deepEqual(await store.get("a"), { n });
    },
    { conflictWaitMs: 0 },
  );

  promise("an aborted signal ends a call before it does anything", async ({ store }) => {
    await store.update("a", () => ({ n: 1 }));
    const signal = AbortSignal.abort();
    const never = () => assert.fail("the function must not run");
    await rejectsWith("aborted", store.update("a", never, { signal }));
    await rejectsWith("aborted", store.transaction(never, { signal }));
    await rejectsWith("aborted", store.patch("a", { n: 2 }, { signal }));
    await rejectsWith("aborted", store.remove("a", { signal }));
    await rejectsWith("aborted", store.entries({ signal }).next());
    assert.deepEqual(await store.get("a"), { n: 1 });
  });

  promise("aborting while the function runs rejects at once, and its late result is ignored", async ({ store }) => {
    for (const kind of ["update", "transaction"] as const) {
      const abort = new AbortController();
      const late = deferred<{ n: number }>();
      const started = deferred();
      const call =
        kind === "update"
          ? store.update(
              "a",
              () => {
                started.resolve();
                return late.promise;
              },
              { signal: abort.signal },
            )
          : store.transaction(
              async (transaction) => {
                transaction.set("a", { n: 1 });
                started.resolve();
                await late.promise;
              },
              { signal: abort.signal },
            );
      const outcome = rejectsWith("aborted", call);
      await started.promise;
      abort.abort(new Error("not needed any more"));
      const error = await outcome;
      assert.match(String(error.cause), /not needed/);
      late.resolve({ n: 2 });
      await late.promise;
      assert.equal(await store.get("a"), undefined);
    }
  });
}

function compareAndSwap({ promise }: Suite): void {
  promise("ifVersion: writes only over the version that was read", async ({ store }) => {
    await store.update("a", () => ({ n: 1 }));
    const first = await store.getWithVersion("a");
    await store.update("a", () => ({ n: 2 }), { ifVersion: first!.version });
    const never = () => assert.fail("the function must not run");
    const ifVersion = first!.version;
    await rejectsWith("conflict", store.update("a", never, { ifVersion }));
    await rejectsWith("conflict", store.patch("a", { n: 3 }, { ifVersion }));
    await rejectsWith("conflict", store.remove("a", { ifVersion }));
    assert.deepEqual(await store.get("a"), { n: 2 });
    const second = await store.getWithVersion("a");
    await store.patch("a", { n: 3 }, { ifVersion: second!.version });
    const third = await store.getWithVersion("a");
    assert.equal(await store.remove("a", { ifVersion: third!.version }), true);
    await rejectsWith("conflict", store.update("a", never, { ifVersion: third!.version }));
  });

  promise("ifVersion null: only if the session does not exist", async ({ store }) => {
    await store.update("a", () => ({ n: 1 }), { ifVersion: null });
    const never = () => assert.fail("the function must not run");
    await rejectsWith("conflict", store.update("a", never, { ifVersion: null }));
    await rejectsWith("conflict", store.patch("a", { n: 2 }, { ifVersion: null, createIfMissing: true }));
    await rejectsWith("conflict", store.remove("a", { ifVersion: null }));
    await store.patch("b", { n: 2 }, { ifVersion: null, createIfMissing: true });
    assert.deepEqual(await store.getMany(["a", "b"]), new Map([...entriesOf({ a: { n: 1 }, b: { n: 2 } })]));
  });

  promise("ifVersion: a change while the function runs is a conflict and not a second run", async ({ store }) => {
    await store.update("a", () => ({ n: 1, other: 1 }));
    const { version } = (await store.getWithVersion("a"))!;
    let runs = 0;
    const call = store.update(
      "a",
      async (current) => {
        runs++;
        await store.patch("a", { other: 2 });
        return { ...current, n: 2 };
      },
      { ifVersion: version, onConflict: "merge" },
    );
    await rejectsWith("conflict", call);
    assert.equal(runs, 1);
    assert.deepEqual(await store.get("a"), { n: 1, other: 2 });
  });

  promise("of several that create the same session with ifVersion null, one does", async ({ store }) => {
    const results = await Promise.allSettled(
      Array.from({ length: 10 }, (_, index) => store.update("a", async () => ({ index }), { ifVersion: null })),
    );
    const winners = results.flatMap((result, index) => (result.status === "fulfilled" ? [index] : []));
    assert.equal(winners.length, 1);
    assert.deepEqual(await store.get("a"), { index: winners[0] });
  });

  promise("a version is never used again, not even for the same entry created again", async ({ store }) => {
    const versions = new Set<string>();
    for (let round = 0; round < 20; round++) {
      await store.update("a", () => ({ n: 1 }));
      versions.add((await store.getWithVersion("a"))!.version);
      await store.patch("a", { n: 2 });
      versions.add((await store.getWithVersion("a"))!.version);
      await store.remove("a");
    }
    assert.equal(versions.size, 40);
  });

  promise("the version of a session changes only with the session", async ({ store }) => {
    await store.update("a", () => ({ n: 1 }));
    const before = await store.getWithVersion("a");
    await store.update("b", () => ({ n: 1 }));
    await store.remove("b");
    assert.deepEqual(await store.getWithVersion("a"), before);
  });

  promise("contract: a failed expectation changes nothing and names what each key is now", async ({ backend }) => {
    const put = (key: string, n: number): Operation => ({
      type: "put",
      key,
      entry: privatizeEntry({ n }, backend.limits),
    });
    const created = await backend.commit({ operations: [put("a", 1), put("b", 1)], expected: new Map() });
    assert.equal(created.status, "committed");
    const { version } = created as { version: string };
    const changed = await backend.commit({ operations: [put("b", 2)], expected: new Map([["b", version]]) });
    assert.equal(changed.status, "committed");
    const result = await backend.commit({
      operations: [put("a", 9), put("c", 9), { type: "remove", key: "b", purge: false }],
      expected: new Map<string, string | null>([
        ["a", version],
        ["b", version],
        ["c", null],
        ["missing", "0.none"],
      ]),
    });
    assert.ok(result.status === "conflict");
    assert.deepEqual([...result.current.keys()].sort(), ["b", "missing"]);
    assert.deepEqual(result.current.get("b"), { entry: { n: 2 }, version: (changed as { version: string }).version });
    assert.equal(result.current.get("missing"), undefined);
    const now = await backend.read(["a", "b", "c"]);
    assert.deepEqual([...now].map(([key, { entry }]) => [key, entry.n]).sort(), [
      ["a", 1],
      ["b", 2],
    ]);
  });

  promise("contract: all sessions of a commit get its version", async ({ backend }) => {
    const entry = privatizeEntry({ n: 1 }, backend.limits);
    const operations = ["a", "b", "c"].map((key): Operation => ({ type: "put", key, entry }));
    const result = await backend.commit({ operations, expected: new Map() });
    const versions = [...(await backend.read(["a", "b", "c"])).values()].map(({ version }) => version);
    const expected = (result as { version: string }).version;
    assert.deepEqual(versions, [expected, expected, expected]);
  });
}

function callbacks({ promise }: Suite): void {
  promise("a function that never returns delays nobody", async ({ store }) => {
    const started = deferred();
    const hung = store.update("a", () => {
      started.resolve();
      return new Promise<undefined>(() => {});
    });
    const outcome = rejectsWith("closed", hung);
    const hungTransaction = rejectsWith(
      "closed",
      store.transaction(async (transaction) => {
        await transaction.get("a");
        await new Promise(() => {});
      }),
    );
    await started.promise;
    await store.update("a", () => ({ n: 1 }));
    await store.patch("a", { n: 2 });
    await store.transaction((transaction) => transaction.patch("a", { n: 3 }));
    await store.update("b", () => ({ n: 1 }));
    assert.equal(await store.remove("b"), true);
    assert.deepEqual(await readAll(store), new Map([["a", { n: 3 }]]));
    await store.sync();
    await store.checkpoint();
    await store.close();
    await outcome;
    await hungTransaction;
  });

  promise("an update inside an update of another session does not wait for it", async ({ store }) => {
    await store.update("outer", async () => {
      await store.update("inner", async () => ({ n: 1 }));
      return { inner: (await store.get("inner"))?.n };
    });
    assert.deepEqual(await store.get("outer"), { inner: 1 });
  });

  promise("an update inside an update of the same session causes a second run, not a deadlock", async ({ store }) => {
    let runs = 0;
    await store.update("a", async (current) => {
      runs++;
      await store.update("a", () => ({ nested: true }));
      return { ...current, outer: true };
    });
    assert.equal(runs, 2);
    assert.deepEqual(await store.get("a"), { nested: true, outer: true });
  });

  promise("while one update holds on, a hundred others of the same session are done before it", async ({ store }) => {
    const release = deferred();
    const started = deferred();
    const order: string[] = [];
    const parent = store
      .update("a", async (current) => {
        started.resolve();
        await release.promise;
        return { ...current, parent: true };
      })
      .then(() => order.push("parent"));
    await started.promise;
    await Promise.all(
      Array.from({ length: 100 }, async (_, index) => {
        await store.patch("a", { [`child${index}`]: true }, { createIfMissing: true });
        order.push("child");
      }),
    );
    release.resolve();
    await parent;
    assert.equal(order.indexOf("parent"), 100);
    assert.equal(Object.keys((await store.get("a")) ?? {}).length, 101);
  });
}

function entriesOf(record: Record<string, unknown>): [string, Record<string, unknown>][] {
  return Object.entries(record) as [string, Record<string, unknown>][];
}
