/** The change feed: nothing lost, nothing twice, in order for each session, resumable at every position. */

import assert from "node:assert/strict";
import type { SessionChange } from "../../src/api.js";
import { applyChanges, changesSince, readAll, rejectsWith, take } from "../support/store-reading.js";
import type { AnyEntry } from "./harness.js";
import type { Suite } from "./suite.js";

export function changePromises({ promise, promiseUnopened }: Suite): void {
  promise("a change says what the session is now, which commit did it and when", async ({ store }) => {
    const watch = store.watch();
    await store.update("a", () => ({ n: 1 }));
    const [put] = await take(watch, 1);
    assert.equal(put?.type, "put");
    assert.deepEqual(put?.entry, { n: 1 });
    assert.ok(Object.isFrozen(put?.entry));
    assert.equal(put?.version, (await store.getWithVersion("a"))?.version);
    assert.ok(put?.type === "put" && put.commitId !== "" && put.time > 1_600_000_000_000);
    await store.remove("a");
    const [removed] = await take(watch, 1);
    assert.deepEqual([removed?.type, removed?.key, removed?.entry], ["remove", "a", undefined]);
    await watch.return?.();
  });

  promise("watch without a cursor shows what is committed from the call on, and nothing older", async ({ store }) => {
    await store.update("before", () => ({ n: 1 }));
    const watch = store.watch();
    await store.update("after", () => ({ n: 1 }));
    const [first] = await take(watch, 1);
    assert.equal(first?.key, "after");
    await watch.return?.();
  });

  promise("a watch that has seen everything waits for more", async ({ store }) => {
    const watch = store.watch();
    for (let round = 0; round < 5; round++) {
      const next = take(watch, 1);
      await store.update("a", () => ({ round }));
      assert.deepEqual((await next)[0]?.entry, { round });
    }
    await watch.return?.();
  });

  promise("changes of one session come in order and end with its last state", async ({ store }) => {
    const since = await store.cursor();
    for (let n = 1; n <= 20; n++) {
      await store.update("a", () => ({ n }));
      await store.update("b", () => ({ n: -n }));
    }
    const changes = await changesSince(store, since);
    const seen = changes.filter(({ key }) => key === "a").map(({ entry }) => entry?.n as number);
    assert.deepEqual(
      seen,
      [...seen].sort((left, right) => left - right),
    );
    assert.equal(seen.at(-1), 20);
  });

  promise("all changes of a commit carry its identifier, and no other commit has it", async ({ store }) => {
    const since = await store.cursor();
    await store.update("x", () => ({ n: 0 }));
    await store.transaction((transaction) => {
      for (const key of ["a", "b", "c"]) transaction.set(key, { n: 1 });
    });
    await store.update("y", () => ({ n: 0 }));
    const changes = await changesSince(store, since);
    const byKey = new Map(changes.map((change) => [change.key, change]));
    const identifier = (key: string) => (byKey.get(key) as { commitId: string }).commitId;
    assert.equal(new Set(["a", "b", "c"].map(identifier)).size, 1);
    assert.equal(new Set(["x", "a", "y"].map(identifier)).size, 3);
    assert.equal(new Set(["a", "b", "c"].map((key) => byKey.get(key)?.version)).size, 1);
  });

  promise("resuming at every position loses nothing and repeats nothing of a finished commit", async ({ store }) => {
    const start = await store.cursor();
    await writeSomeHistory(store);
    const changes = await changesSince(store, start);
    const final = await readAll(store);
    assert.deepEqual(applyChanges(new Map(), changes), final);
    for (let index = 0; index < changes.length; index++) {
      const seen = changes.slice(0, index + 1);
      const resumed = await changesSince(store, changes[index]!.cursor);
      assert.deepEqual(applyChanges(applyChanges(new Map(), seen), resumed), final, `resumed at ${index}`);
      const known = new Set(seen.map(identify));
      const unfinished =
        commitOf(changes[index]!) === commitOf(changes[index + 1]) ? commitOf(changes[index]!) : undefined;
      for (const change of resumed) {
        if (known.has(identify(change))) assert.equal(commitOf(change), unfinished, `resumed at ${index}`);
      }
    }
  });

  promise("cursor() is the position after everything committed so far", async ({ store }) => {
    await writeSomeHistory(store);
    assert.deepEqual(await changesSince(store, await store.cursor()), []);
  });

  promise("several watchers see the same, each at its own pace", async ({ store }) => {
    const since = await store.cursor();
    const eager = store.watch({ since });
    const late = store.watch({ since });
    const seen: SessionChange<AnyEntry>[] = [];
    for (const key of ["a", "b", "c"]) {
      await store.update(key, () => ({ key }));
      seen.push(...(await take(eager, 1)));
    }
    const all = await take(late, 3);
    assert.deepEqual(all.map(identify), seen.map(identify));
    await eager.return?.();
    await late.return?.();
  });

  promise("a signal ends a watch that waits, without an error", async ({ store }) => {
    const abort = new AbortController();
    const watch = store.watch({ signal: abort.signal });
    const next = watch.next();
    await store.update("a", () => ({ n: 1 }));
    assert.equal((await next).value?.key, "a");
    const waiting = watch.next();
    abort.abort();
    assert.equal((await waiting).done, true);
    assert.equal((await store.watch({ signal: AbortSignal.abort() }).next()).done, true);
  });

  promise("leaving a watch that waits ends it", async ({ store }) => {
    const watch = store.watch();
    const waiting = watch.next();
    await watch.return?.();
    assert.equal((await waiting).done, true);
  });

  promise("closing the store ends a watch that waits, without an error", async ({ store }) => {
    const waiting = store.watch().next();
    await store.close();
    assert.equal((await waiting).done, true);
  });

  promiseUnopened("a cursor of another store is answered with a reset, and the watch goes on", async (harness) => {
    const { store } = await harness.open();
    await store.update("a", () => ({ n: 1 }));
    const foreign = await foreignCursor(harness);
    const watch = store.watch({ since: foreign });
    const [reset] = await take(watch, 1);
    assert.equal(reset?.type, "reset");
    await store.update("b", () => ({ n: 2 }));
    assert.equal((await take(watch, 1))[0]?.key, "b");
    await watch.return?.();
    const resumed = await changesSince(store, reset!.cursor);
    assert.deepEqual(
      resumed.map(({ key }) => key),
      ["b"],
    );
  });

  promise("a text that is no cursor is answered with a reset or refused, nothing else", async ({ store }) => {
    await store.update("a", () => ({ n: 1 }));
    for (const since of ["nonsense", "-1", "99999999999999999999", "%00", "0", "..", "a.b.c.d", "{}"]) {
      const watch = store.watch({ since });
      try {
        const first = await watch.next();
        assert.equal(first.value?.type, "reset", since);
      } catch (error) {
        assert.equal((error as { code?: string }).code, "invalid_cursor", since);
      }
      await watch.return?.();
    }
    for (const since of ["", 5, null, {}]) {
      await rejectsWith("invalid_option", store.watch({ since: since as string }).next());
    }
  });
}

async function writeSomeHistory(store: Parameters<typeof readAll>[0]): Promise<void> {
  for (let round = 0; round < 4; round++) {
    await store.update(`single${round}`, () => ({ round }));
    await store.transaction((transaction) => {
      transaction.set("shared", { round });
      transaction.set(`other${round}`, { round });
      transaction.set("third", { round });
    });
    await store.patch("shared", { patched: round });
    if (round > 0) await store.remove(`other${round - 1}`);
    if (round === 2) await store.checkpoint();
  }
}

/** A cursor of the same form that this store never gave out: of a second store of the same kind. */
async function foreignCursor(harness: Suite["harness"]): Promise<string> {
  const other = harness.makeAnother();
  try {
    const { store } = await other.open();
    await store.update("x", () => ({ n: 1 }));
    return await store.cursor();
  } finally {
    await other.destroy();
  }
}

function identify(change: SessionChange<AnyEntry>): string {
  return `${change.key} ${change.version}`;
}

function commitOf(change: SessionChange<AnyEntry> | undefined): string | undefined {
  return change === undefined || change.type === "reset" ? undefined : change.commitId;
}
