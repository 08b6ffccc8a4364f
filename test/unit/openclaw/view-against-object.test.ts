/**
 * Whole updates held against a plain object: whatever a callback does to its view - move entries, share them, hide them
 * behind getters, replace everything -, the store is afterwards what the object would have been saved as.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  closeSessionStores,
  loadSessionStore,
  type SessionEntry,
  updateSessionStore,
} from "../../../src/openclaw/index.js";
import { makePlace } from "./store-support.js";

type Plain = Record<string, Record<string, unknown>>;

const keys = ["a", "b", "agent:main:c", "7", "10", "constructor", "tostring", "__proto__"];

function session(number: number): Record<string, unknown> {
  return { sessionId: `id-${number}`, updatedAt: number, list: [3, 1, { deep: [2] }], nested: { n: 1 } };
}

interface Step {
  readonly operation: string;
  readonly key: string;
  readonly other: string;
  readonly number: number;
}

/** An object with an own property of any name; `store["__proto__"] = x` is the one thing a view does better. */
function set(store: Plain, key: string, value: unknown): void {
  Object.defineProperty(store, key, { value, writable: true, enumerable: true, configurable: true });
}

const own = (store: Plain, key: string) => (Object.hasOwn(store, key) ? store[key] : undefined);

/** What callbacks do to stores, each on one or two keys. */
const operations: Record<string, (store: Plain, step: Step) => void> = {
  put: (store, { key, number }) => set(store, key, session(number)),
  putUndefined: (store, { key }) => set(store, key, undefined),
  spreadEntry: (store, { key, number }) => {
    const found = own(store, key);
    if (found !== undefined) set(store, key, { ...found, label: `l${number}`, model: undefined });
  },
  remove: (store, { key }) => void delete store[key],
  move: (store, { key, other }) => {
    const found = own(store, key);
    if (found === undefined || key === other) return;
    set(store, other, found);
    delete store[key];
  },
  share: (store, { key, other }) => {
    const found = own(store, key);
    if (found !== undefined) set(store, other, found);
  },
  shareNested: (store, { key, other }) => {
    const [found, target] = [own(store, key), own(store, other)];
    if (found !== undefined && target !== undefined) target.nested = found.nested;
  },
  changeNested: (store, { key, number }) => {
    const nested = own(store, key)?.nested as Record<string, unknown> | undefined;
    if (nested !== undefined) nested.n = number;
  },
  sortNested: (store, { key }) => {
    const list = own(store, key)?.list as unknown[] | undefined;
    list?.sort((left, right) => String(left).localeCompare(String(right)));
  },
  pushNested: (store, { key, number }) => void (own(store, key)?.list as unknown[] | undefined)?.push({ number }),
  deleteField: (store, { key }) => void delete own(store, key)?.nested,
  changeBack: (store, { key }) => {
    const found = own(store, key);
    if (found === undefined) return;
    const before = found.updatedAt;
    found.updatedAt = -1;
    found.updatedAt = before;
  },
  getter: (store, { key, number }) => {
    const found = own(store, key);
    if (found !== undefined && !Object.isFrozen(found)) {
      Object.defineProperty(found, "computed", { get: () => number, enumerable: true, configurable: true });
    }
  },
  hiddenField: (store, { key, number }) => {
    const found = own(store, key);
    if (found !== undefined) Object.defineProperty(found, "hidden", { value: number, configurable: true });
  },
  freezeEntry: (store, { key }) => void Object.freeze(own(store, key)),
  assignAll: (store, { number }) => {
    for (const key of Object.keys(store)) set(store, key, Object.assign({}, own(store, key), { touched: number }));
  },
  replaceAll: (store, { key, number }) => {
    const next: Plain = { ...store };
    for (const name of Object.keys(store)) delete store[name];
    for (const name of Object.keys(next)) if (name !== key) set(store, name, own(next, name));
    set(store, "b", session(number));
  },
  fromText: (store) => {
    const copy = JSON.parse(JSON.stringify(store)) as Plain;
    for (const name of Object.keys(copy)) set(store, name, own(copy, name));
  },
  removeWhileLooking: (store, { key, number }) => {
    for (const name in store) {
      if (name === key) delete store[name];
      else if (own(store, name) !== undefined) (own(store, name) as { seen?: number }).seen = number;
    }
  },
  removeMatching: (store, { number }) => {
    for (const [name, entry] of Object.entries(store)) if (entry?.updatedAt === number) delete store[name];
  },
};

const steps = fc.array(
  fc.record({
    operation: fc.constantFrom(...Object.keys(operations)),
    key: fc.constantFrom(...keys),
    other: fc.constantFrom(...keys),
    number: fc.nat(9),
  }),
  { minLength: 1, maxLength: 10 },
);

/** Runs the steps as one callback would; a frozen entry makes some of them throw, for both alike. */
function perform(store: Plain, list: readonly Step[]): string[] {
  const thrown: string[] = [];
  for (const step of list) {
    try {
      operations[step.operation]!(store, step);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      thrown.push(step.operation);
    }
  }
  return thrown;
}

/** As a file would hold it, in an order of its own. */
function asSaved(store: object): unknown[] {
  const text = JSON.stringify(store);
  const saved = JSON.parse(text) as Plain;
  return Object.keys(saved)
    .sort()
    .map((key) => [key, own(saved, key)]);
}

test("after any callbacks the store is what a plain object would have been saved as", async (context) => {
  const { folder } = makePlace(context);
  let run = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(steps, { minLength: 1, maxLength: 3 }), fc.boolean(), async (callbacks, isCloning) => {
      run += 1;
      const storePath = `${folder}/s${run}.json`;
      let model: Plain = {};
      for (const list of [[{ operation: "put", key: "a", other: "b", number: 1 }], ...callbacks]) {
        const expected = perform(model, list);
        const onView = (store: object) => perform(store as Plain, list);
        // Half of them on the ordinary object that stands in for a view that is cloned.
        const onObject = (store: object) => perform(structuredClone(store) && (store as Plain), list);
        const thrown = await updateSessionStore(storePath, isCloning ? onObject : onView);
        assert.deepEqual(thrown, expected);
        model = Object.fromEntries(asSaved(model) as [string, Record<string, unknown>][]);
        assert.deepEqual(asSaved(loadSessionStore(storePath)), asSaved(model), JSON.stringify(list));
      }
    }),
    { numRuns: 150, seed: 20260425 },
  );
});

test("concurrent callbacks lose nothing: every count counts, every field stays, one that throws leaves nothing", async (context) => {
  const { folder } = makePlace(context);
  const callback = fc.record({
    /** The sessions that it counts in, one after the other. */
    counts: fc.array(fc.constantFrom("a", "b", "c"), { minLength: 1, maxLength: 3 }),
    /** How often it lets others go first, before each of them. */
    pauses: fc.nat(3),
    throws: fc.boolean(),
    /** A nested update of a session, from within. */
    nested: fc.option(fc.constantFrom("a", "d"), { nil: undefined }),
  });
  let run = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(callback, { minLength: 2, maxLength: 6 }), fc.boolean(), async (callbacks, areThere) => {
      run += 1;
      const storePath = `${folder}/c${run}.json`;
      const there = areThere ? ["a", "b", "c"] : [];
      await updateSessionStore(storePath, (store) => {
        for (const key of there) store[key] = { sessionId: key, updatedAt: 1, count: 5 } as SessionEntry;
      });
      const count = (store: Record<string, SessionEntry>, key: string, field: string) => {
        store[key] ??= { sessionId: key, updatedAt: 1 };
        const entry = store[key];
        entry[field] = Number(entry[field] ?? 0) + 1;
      };
      const results = await Promise.allSettled(
        callbacks.map(({ counts, pauses, throws, nested }, index) => {
          let isFirstRun = true;
          return updateSessionStore(storePath, async (store) => {
            for (const key of counts) {
              count(store, key, "count");
              for (let pause = 0; pause < pauses; pause += 1) await new Promise((resolve) => setImmediate(resolve));
              count(store, key, `by${index}`);
            }
            if (nested !== undefined && isFirstRun) {
              isFirstRun = false;
              await updateSessionStore(storePath, (inner) => count(inner, nested, `nested${index}`));
            }
            if (throws) throw new Error("thrown away");
          });
        }),
      );
      const expected: Record<string, Record<string, number>> = {};
      for (const key of there) expected[key] = { count: 5 };
      const add = (key: string, field: string) => {
        expected[key] ??= {};
        expected[key][field] = (expected[key][field] ?? 0) + 1;
      };
      callbacks.forEach(({ counts, throws, nested }, index) => {
        assert.equal(results[index]?.status, throws ? "rejected" : "fulfilled");
        if (nested !== undefined) add(nested, `nested${index}`);
        if (throws) return;
        for (const key of counts) for (const field of ["count", `by${index}`]) add(key, field);
      });
      const found = Object.entries(loadSessionStore(storePath)).map(
        ([key, { sessionId: _, updatedAt: __, ...rest }]) => [key, rest],
      );
      assert.deepEqual(Object.fromEntries(found), expected);
    }),
    { numRuns: 60, seed: 20260426 },
  );
});

test("a view that its callback keeps: what is changed in it later is written nowhere, and it still can be read", async (context) => {
  const { storePath } = makePlace(context);
  await updateSessionStore(storePath, (store) => {
    store.a = { sessionId: "a", updatedAt: 1, origin: { label: "x" } };
    store.b = { sessionId: "b", updatedAt: 1 };
  });
  let kept: Record<string, SessionEntry> = {};
  const entry = await updateSessionStore(storePath, (store) => {
    kept = store;
    store.a!.label = "committed";
    return store.a!;
  });
  entry.label = "later";
  kept.a!.origin!.label = "later";
  kept.c = { sessionId: "c", updatedAt: 1 };
  // Also when the version that it began with is gone.
  await closeSessionStores();
  assert.equal(kept.b?.sessionId, "b");
  assert.deepEqual(loadSessionStore(storePath), {
    a: { sessionId: "a", updatedAt: 1, origin: { label: "x" }, label: "committed" },
    b: { sessionId: "b", updatedAt: 1 },
  });
});

test("a callback may return its view: what comes back is the whole store", async (context) => {
  const { storePath } = makePlace(context);
  await updateSessionStore(storePath, (store) => {
    store.a = { sessionId: "a", updatedAt: 1 };
    store.b = { sessionId: "b", updatedAt: 1 };
  });
  const returned = await updateSessionStore(storePath, (store) => {
    store.a!.label = "x";
    return store;
  });
  assert.deepEqual(structuredClone(returned), {
    a: { sessionId: "a", updatedAt: 1, label: "x" },
    b: { sessionId: "b", updatedAt: 1 },
  });
  const inside = await updateSessionStore(storePath, (store) => ({ store }));
  assert.deepEqual(Object.keys(inside.store), ["a", "b"]);
  assert.equal(JSON.stringify(inside.store), JSON.stringify(loadSessionStore(storePath)));
});
