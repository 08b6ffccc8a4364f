/** Every method in every state: open, closed, read-only. And options that nobody meant. */

import assert from "node:assert/strict";
import type { SessionStore } from "../../src/api.js";
import { deferred, readAll, rejectsWith } from "../support/store-reading.js";
import { type AnyEntry, openReadOnly } from "./harness.js";
import type { Suite } from "./suite.js";

type AnyStore = SessionStore<AnyEntry>;

const never = () => assert.fail("the function must not run");

const readingCalls: Record<string, (store: AnyStore) => Promise<unknown>> = {
  get: (store) => store.get("a"),
  getMany: (store) => store.getMany(["a"]),
  getWithVersion: (store) => store.getWithVersion("a"),
  list: (store) => store.list(),
  entries: (store) => store.entries().next(),
  cursor: (store) => store.cursor(),
  stats: (store) => store.stats(),
  verify: (store) => store.verify().next(),
};

const writingCalls: Record<string, (store: AnyStore) => Promise<unknown>> = {
  update: (store) => store.update("a", never),
  patch: (store) => store.patch("a", { n: 1 }),
  remove: (store) => store.remove("a"),
  transaction: (store) => store.transaction(never),
  sync: (store) => store.sync(),
  checkpoint: (store) => store.checkpoint(),
};

export function statePromises({ promise, promiseUnopened }: Suite): void {
  promise("a closed store refuses every method with closed, and closing again does nothing", async ({ store }) => {
    await store.update("a", () => ({ n: 1 }));
    await store.close();
    const calls = { ...readingCalls, ...writingCalls, watch: (closed: AnyStore) => closed.watch().next() };
    for (const call of Object.values(calls)) await rejectsWith("closed", () => call(store));
    await Promise.all([store.close(), store.close()]);
    await store[Symbol.asyncDispose]();
  });

  promise("calls are refused from the moment close was called", async ({ store }) => {
    const closing = store.close();
    for (const call of Object.values({ ...readingCalls, ...writingCalls }))
      await rejectsWith("closed", () => call(store));
    await closing;
  });

  promise("close waits for writes that were started before it", async ({ store, backend }) => {
    let committed = false;
    const watching = backend
      .changes(await backend.cursor())
      [Symbol.asyncIterator]()
      .next();
    const writing = store
      .update("a", () => ({ n: 1 }))
      .then(() => {
        committed = true;
      });
    await store.close();
    await writing;
    assert.ok(committed);
    await watching;
  });

  promise("a scan that is under way ends with closed when the store is closed", async ({ store }) => {
    for (const key of ["a", "b", "c"]) await store.update(key, () => ({ n: 1 }));
    const scan = store.entries();
    await scan.next();
    await store.close();
    await rejectsWith("closed", scan.next());
  });

  promise("a function may close the store that waits for it", async ({ store }) => {
    const closed = deferred();
    const call = store.update("a", async () => {
      await store.close();
      closed.resolve();
      return { n: 1 };
    });
    await rejectsWith("closed", call);
    await closed.promise;
  });

  promiseUnopened("await using closes the store", async (harness) => {
    let kept: AnyStore | undefined;
    {
      await using store = (await harness.open()).store;
      await store.update("a", () => ({ n: 1 }));
      kept = store;
    }
    await rejectsWith("closed", kept.get("a"));
  });

  promiseUnopened("a read-only store reads everything and refuses every change with read_only", async (harness) => {
    const { store } = await openReadOnly(harness);
    for (const call of Object.values(readingCalls)) await call(store);
    for (const call of Object.values(writingCalls)) await rejectsWith("read_only", () => call(store));
    const expected = harness.capabilities.persistent ? new Map([["present", { n: 1 }]]) : new Map();
    assert.deepEqual(await readAll(store), expected);
    const watch = store.watch();
    const waiting = watch.next();
    await store.close();
    assert.equal((await waiting).done, true);
    await rejectsWith("closed", store.update("a", never));
  });

  promise("verify of a healthy store finds nothing", async ({ store }) => {
    for (let index = 0; index < 20; index++) await store.update(`key${index}`, () => ({ index }));
    await store.remove("key3");
    await store.checkpoint();
    for await (const finding of store.verify()) assert.fail(JSON.stringify(finding));
  });

  promise("stats and the properties say what the store is", async ({ store, backend }) => {
    await store.update("a", () => ({ n: 1 }));
    const stats = await store.stats();
    assert.equal(stats.backend, backend.kind);
    assert.equal(stats.location, store.location);
    assert.equal(typeof stats.version, "string");
    if (stats.sessions !== undefined) assert.equal(stats.sessions, 1);
    assert.equal(store.capabilities, backend.capabilities);
  });

  promise("a misspelt or impossible option is invalid_option and nothing is done", async ({ store }) => {
    const calls: [RegExp, () => Promise<unknown>][] = [
      [/"ifVersion"/, () => store.update("a", never, { ifversion: null } as object)],
      [/"onConflict"/, () => store.update("a", never, { onConflikt: "merge" } as object)],
      [/onConflict/, () => store.update("a", never, { onConflict: "retry" } as object)],
      [/ifVersion/, () => store.update("a", never, { ifVersion: 5 } as object)],
      [/signal/, () => store.update("a", never, { signal: true } as object)],
      [/actor/, () => store.update("a", never, { actor: {} } as object)],
      [/options/, () => store.update("a", never, null as unknown as object)],
      [/function/, () => store.update("a", { n: 1 } as never)],
      [/"createIfMissing"/, () => store.patch("a", {}, { createIfMising: true } as object)],
      [/createIfMissing/, () => store.patch("a", {}, { createIfMissing: 1 } as object)],
      [/"purge"/, () => store.remove("a", { purged: true } as object)],
      [/ifVersion/, () => store.transaction(never, { ifVersion: null } as object)],
      [/function/, () => store.transaction(undefined as never)],
      [/"since"/, () => store.watch({ sinse: "x" } as object).next()],
      [/"onDamaged"/, () => store.entries({ ondamaged: never } as object).next()],
      [/onProgress/, () => store.verify({ onProgress: 1 } as object).next()],
      [/iterable/, () => store.getMany("abc")],
      [/iterable/, () => store.getMany(undefined as never)],
    ];
    for (const [message, call] of calls) {
      const error = await rejectsWith("invalid_option", call);
      assert.match(error.message, message);
    }
    assert.equal((await readAll(store)).size, 0);
  });
}
