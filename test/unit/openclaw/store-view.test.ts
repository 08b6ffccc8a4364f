/** The view that a callback gets, held against a plain object: the same operations, the same results, whatever they are. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import fc from "fast-check";
import { MapSource, type StoredSession } from "../../../src/openclaw/read-sources.js";
import { TrackedView } from "../../../src/openclaw/tracked-view.js";
import { freezeParsedJson } from "../../../src/sessions/entry-value.js";

type Plain = Record<string, unknown>;

class CountingSource extends MapSource {
  readonly reads: string[] = [];

  override read(name: string): StoredSession | undefined {
    this.reads.push(name);
    return super.read(name);
  }
}

function sourceOf(sessions: Plain): CountingSource {
  const stored = Object.keys(sessions).map((key): [string, StoredSession] => {
    return [key, { entry: freezeParsedJson(JSON.parse(JSON.stringify(sessions[key]))), version: `v-${key}` }];
  });
  return new CountingSource("json", new Map(stored));
}

function session(sessionId: string): Plain {
  return { sessionId, updatedAt: 1, list: [1, { deep: true }] };
}

/** What can be done to a store, each with a result that can be compared. */
type Use = (store: Plain, key: string, value: unknown) => unknown;

const operations: Record<string, Use> = {
  get: (store, key) => store[key],
  set: (store, key, value) => {
    store[key] = value;
    return store[key];
  },
  delete: (store, key) => Reflect.deleteProperty(store, key),
  in: (store, key) => key in store,
  hasOwn: (store, key) => Object.hasOwn(store, key),
  keys: (store) => Object.keys(store),
  values: (store) => Object.values(store),
  entries: (store) => Object.entries(store),
  names: (store) => Reflect.ownKeys(store),
  spread: (store) => ({ ...store }),
  assign: (store, key, value) => Object.keys(Object.assign(store, { [key]: value })),
  forIn: (store) => {
    const names: string[] = [];
    for (const name in store) names.push(name);
    return names;
  },
  forInWithRemoval: (store, key) => {
    const names: string[] = [];
    for (const name in store) {
      names.push(name);
      delete store[key];
    }
    return names;
  },
  stringify: (store) => JSON.stringify(store),
  descriptor: (store, key) => Object.getOwnPropertyDescriptor(store, key),
  descriptors: (store) => Object.getOwnPropertyDescriptors(store),
  define: (store, key, value) => {
    Object.defineProperty(store, key, { value, writable: true, enumerable: true, configurable: true });
    return store[key];
  },
  defineHidden: (store, key, value) => {
    Object.defineProperty(store, key, { value, writable: true, enumerable: false, configurable: true });
    return Object.keys(store);
  },
  nested: (store, key, value) => {
    const entry = store[key] as Plain | undefined;
    if (typeof entry !== "object") return "none";
    entry.changed = value;
    return entry;
  },
  sameIdentity: (store, key) => {
    const first = store[key];
    return first === store[key];
  },
  isEmpty: (store) => Object.keys(store).length === 0,
  clear: (store) => {
    for (const name of Object.keys(store)) delete store[name];
    return Object.keys(store);
  },
  asText: (store) => String(store),
  inspect: (store) => inspect(store),
  prototype: (store) => Object.getPrototypeOf(store) === Object.prototype,
  freeze: (store) => Object.isFrozen(Object.freeze(store)),
};

const keys = ["agent:main:a", "agent:main:b", "c", "7", "10", "constructor", "missing"];

function run(operation: string, store: Plain, key: string, value: unknown): unknown {
  try {
    // A copy: what is compared later must not change with the store.
    return { result: copyOf((operations[operation] as Use)(store, key, copyOf(value))) };
  } catch (error) {
    return { threw: (error as Error).constructor.name };
  }
}

function copyOf(value: unknown): unknown {
  return typeof value === "function" ? String(value) : structuredClone(value);
}

test("the view answers every operation as a plain object does", () => {
  const step = fc.record({
    operation: fc.constantFrom(...Object.keys(operations)),
    key: fc.constantFrom(...keys),
    value: fc.constantFrom<unknown>(session("new"), undefined, null, { sessionId: "x" }),
  });
  const stored = fc.subarray(["10", "7", "agent:main:a", "agent:main:b", "c"]);
  fc.assert(
    fc.property(stored, fc.array(step, { maxLength: 12 }), (names, steps) => {
      const sessions = Object.fromEntries(names.map((name) => [name, session(name)]));
      const plain = structuredClone(sessions) as Plain;
      const view = new TrackedView(sourceOf(sessions)).store as Plain;
      for (const { operation, key, value } of steps) {
        assert.deepEqual(run(operation, view, key, value), run(operation, plain, key, value), `${operation} ${key}`);
      }
      assert.deepEqual(JSON.stringify(view), JSON.stringify(plain));
    }),
    { numRuns: 400, seed: 20260424 },
  );
});

test("a session is read when it is touched, and no other", () => {
  const source = sourceOf(Object.fromEntries(["a", "b", "c"].map((key) => [key, session(key)])));
  const { store } = new TrackedView(source);
  assert.equal(store.b?.sessionId, "b");
  assert.equal("c" in store, true);
  assert.deepEqual(source.reads, ["b", "c"]);
});

test("what was read by name is relied on, what was only enumerated is not", () => {
  const sessions = Object.fromEntries(["a", "b", "c"].map((key) => [key, session(key)]));
  const reliedOn = (use: (store: Plain) => void) => {
    const view = new TrackedView(sourceOf(sessions));
    use(view.store as Plain);
    return [...view.touched()].filter(([, { isReliedOn }]) => isReliedOn).map(([name]) => name);
  };
  assert.deepEqual(
    reliedOn((store) => void Object.entries(store)),
    [],
  );
  assert.deepEqual(
    reliedOn((store) => void { ...store }),
    [],
  );
  assert.deepEqual(
    reliedOn((store) => void Object.keys(store)),
    [],
  );
  assert.deepEqual(
    reliedOn((store) => void store.b),
    ["b"],
  );
  assert.deepEqual(
    reliedOn((store) => {
      const names = Object.keys(store);
      void store[names.at(-1) as string];
    }),
    ["c"],
  );
});

test("whoever prints the view sees the whole store, and it has the prototype of a plain object before and after", () => {
  const sessions = { a: session("a"), b: session("b") };
  for (const touch of [() => {}, (store: Plain) => void store.a, (store: Plain) => void Object.freeze(store)]) {
    const store = new TrackedView(sourceOf(sessions)).store as Plain;
    touch(store);
    assert.equal(Object.getPrototypeOf(store), Object.prototype);
    assert.equal(inspect(store), inspect(sessions));
    assert.equal(Object.getPrototypeOf(store), Object.prototype);
    assert.deepEqual(Reflect.ownKeys(store), ["a", "b"]);
  }
});

test("printing the view relies on nothing", () => {
  const view = new TrackedView(sourceOf({ a: session("a"), b: session("b") }));
  inspect(view.store);
  assert.deepEqual(
    [...view.touched().values()].map(({ isReliedOn }) => isReliedOn),
    [false, false],
  );
});

test("a session named __proto__ is a session like any other", () => {
  const view = new TrackedView(new MapSource("json", new Map()));
  view.store["__proto__" as string] = session("p") as never;
  assert.deepEqual(Object.keys(view.store), ["__proto__"]);
  assert.equal((view.touched().get("__proto__")?.left as Plain | undefined)?.sessionId, "p");
  assert.equal(Object.getPrototypeOf(view.store), Object.prototype);
});
