/**
 * Random histories, compared step by step with the simplest possible model: a Map. Where the backend can, the steps go
 * through two handles, and the store is closed and opened in between.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { SessionStore } from "../../src/api.js";
import { jsonEqual } from "../../src/sessions/json-equal.js";
import { applyChanges, changesSince, listAll, readAll } from "../support/store-reading.js";
import type { AnyEntry, Harness } from "./harness.js";
import type { Suite } from "./suite.js";

type Step =
  | { do: "put" | "patch"; handle: 0 | 1; key: string; fields: AnyEntry; unset: string[] }
  | { do: "remove" | "read"; handle: 0 | 1; key: string }
  | { do: "transaction"; handle: 0 | 1; writes: [string, AnyEntry | undefined][] }
  | { do: "scan" | "list" | "checkpoint" | "sync" | "reopen"; handle: 0 | 1 };

const key = fc.constantFrom("a", "b", "c", "agent:main:main", "__proto__", "../é", "k".repeat(130));
const handle = fc.constantFrom(0 as const, 1 as const);
const name = fc.constantFrom("n", "m", "updatedAt", "label", "__proto__", "constructor", "deep");
const value = fc.oneof(
  fc.integer({ min: 0, max: 3 }),
  fc.constantFrom<unknown>(null, "text", "ü\ud800", true, -0, [], {}, [{ x: [1] }]),
  fc.jsonValue({ maxDepth: 3 }),
);
const fields = fc
  .array(fc.tuple(name, value), { maxLength: 4 })
  .map((pairs) => Object.fromEntries(pairs) as Record<string, unknown>);

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant("put" as const), handle, key, fields, unset: fc.constant<string[]>([]) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("patch" as const),
      handle,
      key,
      fields,
      unset: fc.array<string>(name, { maxLength: 2 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("remove" as const, "read" as const), handle, key }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("transaction" as const),
      handle,
      writes: fc.array(fc.tuple(key, fc.option(fields, { nil: undefined })), { maxLength: 3 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom("scan" as const, "list" as const, "checkpoint" as const, "sync" as const, "reopen" as const),
      handle,
    }),
  },
);

export function modelPromises({ harness: declared, options }: Suite): void {
  test(`every history gives what a plain Map gives (${options.modelRuns} random ones)`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const harness = declared.makeAnother();
        try {
          await runHistory(harness, steps);
        } finally {
          await harness.destroy();
        }
      }),
      { numRuns: options.modelRuns },
    );
  });
}

async function runHistory(harness: Harness, steps: readonly Step[]): Promise<void> {
  const model = new Map<string, AnyEntry>();
  /** The version of each session when it was last looked at, and all that were ever seen with what they meant. */
  const versions = new Map<string, string>();
  const everSeen = new Set<string>();
  let stores = await openHandles(harness, false);
  const start = await stores[0].cursor();

  for (const step of steps) {
    const store = stores[step.handle];
    switch (step.do) {
      case "put": {
        const entry = clean(step.fields);
        assert.deepEqual(await store.update(step.key, () => step.fields), entry);
        if (!jsonEqual(model.get(step.key), entry)) versions.delete(step.key);
        model.set(step.key, entry);
        break;
      }
      case "patch": {
        const before = model.get(step.key);
        const after = without({ ...before, ...clean(step.fields) }, step.unset);
        const request = { ...step.fields, ...Object.fromEntries(step.unset.map((field) => [field, undefined])) };
        assert.deepEqual(await store.patch(step.key, request, { createIfMissing: true }), after);
        if (before === undefined || !jsonEqual(before, after)) versions.delete(step.key);
        model.set(step.key, after);
        break;
      }
      case "remove":
        assert.equal(await store.remove(step.key), model.delete(step.key));
        versions.delete(step.key);
        break;
      case "transaction":
        await store.transaction(async (transaction) => {
          for (const [key, written] of step.writes) {
            if (written === undefined) await transaction.remove(key);
            else transaction.set(key, written);
          }
        });
        for (const [key, written] of step.writes) {
          versions.delete(key);
          if (written === undefined) model.delete(key);
          else model.set(key, clean(written));
        }
        break;
      case "read":
        await compareOne(store, step.key);
        break;
      case "scan":
        assert.deepEqual(sorted(await readAll(store)), sorted(model));
        break;
      case "list":
        assert.deepEqual(
          (await listAll(store, { order: "key", limit: 2 })).map((summary) => summary.key),
          [...model.keys()].sort(),
        );
        break;
      case "checkpoint":
      case "sync":
        await store[step.do]();
        break;
      case "reopen":
        if (harness.reopen === undefined) break;
        for (const open of new Set(stores)) await open.close();
        stores = await openHandles(harness, true);
        break;
    }
  }
  for (const store of new Set(stores)) {
    assert.deepEqual(sorted(await readAll(store)), sorted(model));
    for (const key of model.keys()) await compareOne(store, key);
  }
  if (harness.capabilities.changesAcrossRestart || harness.reopen === undefined) {
    const changes = await changesSince(stores[0], start);
    assert.deepEqual(sorted(applyChanges(new Map(), changes)), sorted(model));
  }

  async function compareOne(store: SessionStore<AnyEntry>, key: string): Promise<void> {
    const found = await store.getWithVersion(key);
    assert.deepEqual(found?.entry, model.get(key));
    if (found === undefined) return;
    const known = versions.get(key);
    if (known !== undefined) {
      assert.equal(found.version, known, "the version changes only with the session");
    } else {
      // Sessions that one commit wrote share its version, so it is unique for each key only.
      assert.ok(!everSeen.has(`${found.version} ${key}`), "a version is never used again");
      everSeen.add(`${found.version} ${key}`);
      versions.set(key, found.version);
    }
  }
}

async function openHandles(
  harness: Harness,
  again: boolean,
): Promise<[SessionStore<AnyEntry>, SessionStore<AnyEntry>]> {
  const first = again ? await harness.reopen!() : await harness.open();
  const second = harness.openSecond === undefined ? first : await harness.openSecond();
  return [first.store, second.store];
}

/** What an entry is after it went through JSON. */
function clean(entry: AnyEntry): AnyEntry {
  return JSON.parse(JSON.stringify(entry)) as AnyEntry;
}

function without(entry: AnyEntry, names: readonly string[]): AnyEntry {
  return Object.fromEntries(Object.entries(entry).filter(([name]) => !names.includes(name)));
}

function sorted(map: ReadonlyMap<string, unknown>): [string, unknown][] {
  return [...map].sort(([left], [right]) => (left < right ? -1 : left > right ? 1 : 0));
}
