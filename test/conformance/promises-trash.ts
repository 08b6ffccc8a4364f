/** The trash: what is removed stays there with all it had, comes back whole, and goes only when somebody says so. */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { SessionStore } from "../../src/api.js";
import { MemoryBackend } from "../../src/backends/memory/backend.js";
import type { TrashedSession } from "../../src/contract.js";
import { nodePort } from "../../src/fs/node-port.js";
import { createSessionStore } from "../../src/store.js";
import { readAll, rejectsWith } from "../support/store-reading.js";
import type { AnyEntry, Harness } from "./harness.js";
import type { Suite } from "./suite.js";

type Store = SessionStore<AnyEntry>;

export function trashPromises(suite: Suite): void {
  const { harness: declared, promise, promiseAcrossReopen, promiseAcrossHandles } = suite;
  if (!declared.capabilities.trash) {
    for (const name of ["trash: removed sessions are kept", "trash: restored and emptied"])
      test(`${name} (skipped: the backend declares trash: false)`, { skip: true }, () => {});
    promise("without a trash nothing is listed, and a restore says why", async ({ store }) => {
      await store.update("a", () => ({ n: 1 }));
      await store.remove("a");
      assert.deepEqual(await list(store), []);
      assert.match((await rejectsWith("not_found", store.restore("a"))).message, /keeps no removed sessions/);
      assert.equal(await store.emptyTrash({ removedBeforeMs: Number.POSITIVE_INFINITY }), 0);
    });
    return;
  }
  removals(suite);
  restores(suite);
  emptying(suite);

  promiseAcrossReopen("what was removed is in the trash after a restart, under the same id", async (harness) => {
    const { store } = await harness.open();
    await store.update("a", () => ({ n: 1 }));
    await store.remove("a", { actor: "me", reason: "over" });
    const before = await list(store);
    await store.checkpoint();
    assert.deepEqual(await list(store), before);
    await store.close();
    const readOnly = await harness.reopen({ readOnly: true });
    assert.deepEqual(await list(readOnly.store), before);
    await rejectsWith("read_only", readOnly.store.restore("a"));
    await rejectsWith("read_only", readOnly.store.emptyTrash({ ids: [before[0]!.id] }));
    await readOnly.store.close();
    const { store: again } = await harness.reopen();
    await again.restore(before[0]!.id);
    assert.deepEqual(await again.get("a"), { n: 1 });
  });

  promiseAcrossHandles("what one handle removes, another one lists, restores and empties", async (harness) => {
    const { store } = await harness.open();
    const { store: other } = await harness.openSecond();
    await store.update("a", () => ({ n: 1 }));
    await store.remove("a");
    assert.deepEqual(await list(other), await list(store));
    await other.restore("a");
    assert.deepEqual(await store.get("a"), { n: 1 });
    assert.deepEqual(await list(store), []);
    await store.remove("a");
    assert.equal(await other.emptyTrash({ removedBeforeMs: Number.POSITIVE_INFINITY }), 1);
    assert.deepEqual(await list(store), []);
  });

  test(`trash and generations are those of the memory model, whatever happens (${suite.options.modelRuns} histories)`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const harness = declared.makeAnother();
        try {
          await compareWithModel(harness, steps);
        } finally {
          await harness.destroy();
        }
      }),
      { numRuns: suite.options.modelRuns },
    );
  });
}

function removals({ promise }: Suite): void {
  promise("a removed session is in the trash: entry, time, who and why", async ({ store }) => {
    const before = Date.now();
    await store.update("Agent:Main:X", () => ({ n: 1, deep: { list: [1] } }));
    await store.remove("agent:main:x", { actor: "cleanup", reason: "idle" });
    const [item, ...others] = await list(store);
    assert.deepEqual(others, []);
    assert.deepEqual(withoutId(item!), {
      key: "agent:main:x",
      entry: { n: 1, deep: { list: [1] } },
      removedMs: item!.removedMs,
      actor: "cleanup",
      reason: "idle",
    });
    assert.ok(item!.removedMs >= before && item!.removedMs <= Date.now());
    assert.ok(Object.isFrozen(item!.entry) && Object.isFrozen(item!.entry.deep));
  });

  promise(
    "each removal of a session is kept by itself, the newest first, before and after a checkpoint",
    async ({ store }) => {
      for (let n = 1; n <= 4; n++) {
        await store.update("a", () => ({ n }));
        if (n === 2) await store.checkpoint();
        await store.patch("a", { patched: n });
        await store.remove("a");
        if (n === 3) await store.checkpoint();
      }
      const wanted = [4, 3, 2, 1].map((n) => ({ n, patched: n }));
      const items = await list(store);
      assert.deepEqual(
        items.map(({ entry }) => entry),
        wanted,
      );
      assert.equal(new Set(items.map(({ id }) => id)).size, 4);
      await store.checkpoint();
      assert.deepEqual(await list(store), items);
    },
  );

  promise("a purged session, and one that a transaction made and removed, never come there", async ({ store }) => {
    await store.update("a", () => ({ n: 1 }));
    await store.remove("a", { purge: true });
    await store.transaction(async (transaction) => {
      transaction.set("b", { n: 1 });
      await transaction.remove("b");
    });
    assert.deepEqual(await list(store), []);
  });

  promise("removed and made again in one transaction: the removed one is kept, unless purged", async ({ store }) => {
    await store.update("a", () => ({ n: 1 }));
    await store.update("b", () => ({ n: 1 }));
    await store.transaction(async (transaction) => {
      await transaction.remove("a");
      transaction.set("a", { n: 2 });
      await transaction.remove("b", { purge: true });
      transaction.set("b", { n: 2 });
    });
    assert.deepEqual(
      (await list(store)).map(({ key, entry }) => [key, entry]),
      [["a", { n: 1 }]],
    );
    assert.deepEqual(await store.get("a"), { n: 2 });
  });

  promise("all sessions that one commit removed are listed", async ({ store }) => {
    const keys = ["a", "b", "__proto__", "k".repeat(300), "../é"];
    for (const key of keys) await store.update(key, () => ({ key }));
    await store.transaction(async (transaction) => {
      for (const key of keys) await transaction.remove(key);
    });
    const items = await list(store);
    assert.deepEqual(items.map(({ key }) => key).sort(), [...keys].sort());
    assert.equal(new Set(items.map(({ id }) => id)).size, keys.length);
    for (const { key, entry } of items) assert.deepEqual(entry, { key });
  });

  promise("leaving the list, and closing the store in the middle of it, does no harm", async ({ store }) => {
    for (const key of ["a", "b"]) {
      await store.update(key, () => ({ n: 1 }));
      await store.remove(key);
    }
    for await (const _ of store.trash()) break;
    const items = store.trash();
    await items.next();
    await store.close();
    await rejectsWith("closed", items.next());
    await rejectsWith("closed", store.trash().next());
    await rejectsWith("closed", store.restore("a"));
  });
}

function restores({ promise }: Suite): void {
  promise("restore by key brings the newest removal back, and only that leaves the trash", async ({ store }) => {
    for (const n of [1, 2]) {
      await store.update("a", () => ({ n }));
      await store.remove("a");
    }
    assert.deepEqual((await store.restore(" A ")).entry, { n: 2 });
    assert.deepEqual(await store.get("a"), { n: 2 });
    assert.deepEqual(
      (await list(store)).map(({ entry }) => entry),
      [{ n: 1 }],
    );
  });

  promise("restore by id brings exactly that removal back", async ({ store }) => {
    for (const n of [1, 2]) {
      await store.update("a", () => ({ n }));
      await store.remove("a");
    }
    const [, older] = await list(store);
    await store.restore(older!.id);
    assert.deepEqual(await store.get("a"), { n: 1 });
    assert.deepEqual(
      (await list(store)).map(({ entry }) => entry),
      [{ n: 2 }],
    );
  });

  promise("a restored session has a version that never was", async ({ store }) => {
    await store.update("a", () => ({ n: 1 }));
    const before = await store.getWithVersion("a");
    await store.remove("a");
    await store.restore("a");
    assert.notEqual((await store.getWithVersion("a"))?.version, before?.version);
    await rejectsWith("conflict", store.patch("a", { n: 2 }, { ifVersion: before!.version }));
  });

  promise("where the key is taken again a restore is a conflict that changes nothing", async ({ store }) => {
    await store.update("a", () => ({ n: 1 }));
    await store.remove("a");
    await store.update("a", () => ({ n: 2 }));
    const error = await rejectsWith("conflict", store.restore("a"));
    assert.match(error.message, /replace: true/);
    assert.deepEqual(await store.get("a"), { n: 2 });
    assert.equal((await list(store)).length, 1);
  });

  promise("with replace the two change places in one commit", async ({ store }) => {
    await store.update("a", () => ({ n: 1 }));
    await store.remove("a");
    await store.update("a", () => ({ n: 2 }));
    const watch = store.watch();
    await store.restore("a", { replace: true, actor: "me", reason: "the wrong one" });
    assert.deepEqual(await store.get("a"), { n: 1 });
    const [item, ...others] = await list(store);
    assert.deepEqual([item!.entry, item!.actor, item!.reason, others], [{ n: 2 }, "me", "the wrong one", []]);
    const change = (await watch.next()).value;
    assert.deepEqual([change?.type, change?.entry], ["put", { n: 1 }]);
    await watch.return?.();
    await store.checkpoint();
    assert.deepEqual(await list(store), [item]);
  });

  promise("replace on a free key is an ordinary restore", async ({ store }) => {
    await store.update("a", () => ({ n: 1 }));
    await store.remove("a");
    await store.restore("a", { replace: true });
    assert.deepEqual([await store.get("a"), await list(store)], [{ n: 1 }, []]);
  });

  promise(
    "two restores of one removal at the same time: one wins, the other is a conflict or finds it gone",
    async ({ store }) => {
      await store.update("a", () => ({ n: 1 }));
      await store.remove("a");
      const results = await Promise.allSettled([store.restore("a"), store.restore("a")]);
      assert.equal(results.filter(({ status }) => status === "fulfilled").length, 1);
      const lost = results.find((result) => result.status === "rejected") as PromiseRejectedResult;
      assert.ok(["conflict", "not_found"].includes(lost.reason.code), String(lost.reason));
      assert.deepEqual(await store.get("a"), { n: 1 });
    },
  );

  promise("what the trash does not hold is not_found, and nonsense is refused", async ({ store }) => {
    for (const name of ["a", "1-2-3", "1763729638123-4-0123456789ab", "../x"])
      await rejectsWith("not_found", store.restore(name));
    for (const name of ["", 5, undefined, null]) await rejectsWith("invalid_option", store.restore(name as string));
    await rejectsWith("invalid_option", store.restore("a", { replaces: true } as never));
    await rejectsWith("aborted", store.restore("a", { signal: AbortSignal.abort() }));
  });
}

function emptying({ promise }: Suite): void {
  promise("emptying by id takes these and no others, and counts those that were there", async ({ store }) => {
    for (const key of ["a", "b", "c"]) {
      await store.update(key, () => ({ key }));
      await store.remove(key);
    }
    const [c, , a] = await list(store);
    assert.equal(await store.emptyTrash({ ids: [a!.id, "no such id", c!.id] }), 2);
    assert.deepEqual(
      (await list(store)).map(({ key }) => key),
      ["b"],
    );
    assert.equal(await store.emptyTrash({ ids: [a!.id] }), 0);
    await rejectsWith("not_found", store.restore("a"));
    await store.checkpoint();
    assert.deepEqual(
      (await list(store)).map(({ key }) => key),
      ["b"],
    );
  });

  promise("emptying by age takes what was removed before", async ({ store }) => {
    await store.update("a", () => ({ n: 1 }));
    await store.remove("a");
    const [{ removedMs }] = (await list(store)) as [TrashedSession];
    assert.equal(await store.emptyTrash({ removedBeforeMs: removedMs }), 0);
    assert.equal(await store.emptyTrash({ removedBeforeMs: removedMs + 1, ids: [] }), 0);
    assert.equal(await store.emptyTrash({ removedBeforeMs: removedMs + 1 }), 1);
    assert.deepEqual(await list(store), []);
  });

  promise("emptying without saying what is refused", async ({ store }) => {
    for (const options of [{}, undefined, { ids: "a" }, { removedBeforeMs: Number.NaN }, { all: true }])
      await rejectsWith("invalid_option", store.emptyTrash(options as never));
  });
}

// --- against the model -------------------------------------------------------------------------------------------------

type Step =
  | { do: "put" | "blind" | "patch"; key: string; sessionId: string | undefined; n: number }
  | { do: "remove" | "purge" | "restore" | "replace" | "recreate" | "reopenGeneration"; key: string; n: number }
  | { do: "empty" | "checkpoint" | "restart"; n: number };

const key = fc.constantFrom("a", "b", "__proto__", "k".repeat(130));
const n = fc.integer({ min: 0, max: 9 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constantFrom("put" as const, "blind" as const, "patch" as const),
      key,
      sessionId: fc.constantFrom("s1", "s2", "s3", undefined),
      n,
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constantFrom("remove", "purge", "restore", "replace", "recreate", "reopenGeneration"),
      key,
      n,
    }) as fc.Arbitrary<Step>,
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom("empty", "checkpoint", "restart"), n }) as fc.Arbitrary<Step>,
  },
);

async function compareWithModel(harness: Harness, steps: readonly Step[]): Promise<void> {
  const model: Store = createSessionStore<AnyEntry>(new MemoryBackend(nodePort()), { clock: nodePort() });
  let { store } = await harness.open();
  for (const [index, step] of steps.entries()) {
    if (step.do === "restart") {
      if (harness.reopen === undefined) continue;
      await store.close();
      store = (await harness.reopen()).store;
    } else {
      assert.deepEqual(await outcomeOf(store, step, index), await outcomeOf(model, step, index), `${index} ${step.do}`);
    }
    if (index % 5 === 4) assert.deepEqual(await picture(store), await picture(model), `after ${index} ${step.do}`);
  }
  assert.deepEqual(await picture(store), await picture(model));
  await store.checkpoint();
  assert.deepEqual(await picture(store), await picture(model), "after a checkpoint");
  await model.close();
}

/** What the step says: a value, or the code of the error. */
async function outcomeOf(store: Store, step: Exclude<Step, { do: "restart" }>, index: number): Promise<unknown> {
  const by = { actor: `actor ${step.n}`, ...(step.n % 2 === 0 ? { reason: `step ${index}` } : {}) };
  try {
    switch (step.do) {
      case "put":
      case "patch":
      case "blind": {
        const file = step.n % 3 === 0 ? { sessionFile: `${step.n}.jsonl` } : {};
        const entry = { n: step.n, ...file, ...(step.sessionId === undefined ? {} : { sessionId: step.sessionId }) };
        if (step.do === "put") return await store.update(step.key, () => entry, by);
        if (step.do === "patch") return await store.patch(step.key, entry, { ...by, createIfMissing: true });
        return await store.transaction((transaction) => transaction.set(step.key, entry), by);
      }
      case "remove":
      case "purge":
        return await store.remove(step.key, { ...by, purge: step.do === "purge" });
      case "recreate":
        return await store.transaction(async (transaction) => {
          await transaction.remove(step.key);
          transaction.set(step.key, { sessionId: "again" });
        }, by);
      case "restore":
      case "replace":
        return (await store.restore(step.key, { ...by, replace: step.do === "replace" })).entry;
      case "reopenGeneration":
        return await store.reopenGeneration(step.key, `s${step.n % 4}`, by);
      case "empty": {
        const items = await list(store);
        // Which one is meant must not depend on removals of the same millisecond.
        const chosen = items.filter(({ entry }) => (entry.n as number) === step.n).map(({ id }) => id);
        return await store.emptyTrash({ ids: chosen });
      }
      case "checkpoint":
        return await store.checkpoint();
    }
  } catch (error) {
    return (error as { code?: string }).code ?? error;
  }
}

/** Everything but times and ids. */
async function picture(store: Store) {
  const sessions = [...(await readAll(store))].sort(([left], [right]) => (left < right ? -1 : 1));
  const withGenerations = [];
  for (const [key, entry] of sessions) {
    const generations = (await store.generations(key)).map(({ endedMs: _, ...rest }) => rest);
    withGenerations.push({ key, entry, generations });
  }
  const trash = (await list(store)).map(({ id: _, removedMs: __, generations = [], ...rest }) => ({
    ...rest,
    generations: generations.map(({ endedMs: _, ...generation }) => generation),
  }));
  return { sessions: withGenerations, trash };
}

async function list(store: Store): Promise<TrashedSession[]> {
  const items: TrashedSession[] = [];
  for await (const item of store.trash()) items.push(item);
  for (const [index, item] of items.entries()) {
    const before = items[index - 1];
    assert.ok(before === undefined || before.removedMs >= item.removedMs, "the newest removal comes first");
  }
  return items;
}

function withoutId({ id: _, ...item }: TrashedSession): Omit<TrashedSession, "id"> {
  return item;
}
