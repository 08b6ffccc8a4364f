/** Entries: JSON objects come back exactly, everything else is refused with its path. */

import assert from "node:assert/strict";
import { readAll, rejectsWith } from "../support/store-reading.js";
import type { AnyEntry } from "./harness.js";
import type { Suite } from "./suite.js";
import { invalidEntries, nested, roundTripEntries } from "./tables.js";

export function valuePromises({ promise, promiseAcrossReopen }: Suite): void {
  for (const [name, entry] of roundTripEntries) {
    promise(`comes back as it went in: ${name}`, async ({ store }) => {
      await store.update("a", () => entry);
      await store.update("b", () => ({ before: 1, z: "stays" }));
      await store.patch("b", entry);
      const patched = { before: 1, z: "stays", ...entry };
      for (const round of ["before", "after"]) {
        assert.deepEqual(await store.get("a"), entry, `${round} a checkpoint`);
        assert.deepEqual(await store.get("b"), patched, `${round} a checkpoint`);
        assert.equal(JSON.stringify(sortedFields((await store.get("a"))!)), JSON.stringify(sortedFields(entry)));
        await store.checkpoint();
      }
    });
  }

  promiseAcrossReopen(
    "every entry comes back as it went in from a store that was closed and opened",
    async (harness) => {
      const { store } = await harness.open();
      for (const [name, entry] of roundTripEntries) await store.update(name, () => entry);
      await store.close();
      const { store: reopened } = await harness.reopen();
      for (const [name, entry] of roundTripEntries) assert.deepEqual(await reopened.get(name), entry, name);
      for (const [, entry] of await readAll(reopened)) assert.ok(Object.isFrozen(entry));
    },
  );

  promise("undefined fields are dropped, -0 becomes 0, null-prototype objects become plain", async ({ store }) => {
    const strange = Object.assign(Object.create(null), { x: undefined, y: -0, deep: { gone: undefined, list: [-0] } });
    const stored = await store.update("a", () => strange as AnyEntry);
    for (const entry of [stored, await store.get("a")]) {
      assert.deepEqual(entry, { y: 0, deep: { list: [0] } });
      assert.ok(Object.is((entry as { y: number }).y, 0));
      assert.equal(Object.getPrototypeOf(entry), Object.prototype);
    }
    await store.patch("a", { y: undefined, n: -0 });
    assert.ok(Object.is((await store.get("a"))?.n, 0));
  });

  promise("a getter is read once, and what it gave is what is stored", async ({ store }) => {
    let reads = 0;
    const entry = {
      get n() {
        return ++reads === 1 ? 1 : Number.NaN;
      },
    };
    await store.update("a", () => entry);
    assert.deepEqual(await store.get("a"), { n: 1 });
  });

  promise("an own __proto__ field never reaches a prototype", async ({ store }) => {
    const hostile = JSON.parse('{"__proto__":{"polluted":1},"n":1}') as AnyEntry;
    await store.update("a", () => hostile);
    await store.patch("a", JSON.parse('{"__proto__":{"polluted":2}}') as AnyEntry);
    await store.update("a", (current) => ({ ...current, n: 2 }));
    await store.checkpoint();
    const entry = (await store.get("a"))!;
    assert.deepEqual(Object.keys(entry).sort(), ["__proto__", "n"]);
    assert.deepEqual(Object.getOwnPropertyDescriptor(entry, "__proto__")?.value, { polluted: 2 });
    assert.equal(Object.getPrototypeOf(entry), Object.prototype);
    assert.equal(({} as { polluted?: number }).polluted, undefined);
    await store.patch("a", Object.fromEntries([["__proto__", undefined]]));
    assert.deepEqual(await store.get("a"), { n: 2 });
  });

  for (const [name, make, path] of invalidEntries) {
    promise(`is invalid_entry with its path: ${name}`, async ({ store }) => {
      await store.update("a", () => ({ n: 1 }));
      for (const call of [
        () => store.update("a", () => make() as AnyEntry),
        () => store.update("new", async () => make() as AnyEntry),
        () => store.patch("a", make() as AnyEntry),
        () => store.patch("new", make() as AnyEntry, { createIfMissing: true }),
        () => store.transaction((transaction) => transaction.set("a", make() as AnyEntry)),
        () => store.transaction((transaction) => transaction.patch("a", make() as AnyEntry)),
      ]) {
        const error = await rejectsWith("invalid_entry", call);
        assert.match(error.message, path);
        assert.ok(error.message.length < 500);
      }
      assert.deepEqual(await readAll(store), new Map([["a", { n: 1 }]]));
    });
  }

  promise("a stored part that is put deeper still counts its levels", async ({ store }) => {
    await store.update("a", () => nested(64));
    const part = (await store.get("a"))?.deeper;
    await store.update("b", () => ({ part }));
    await rejectsWith(
      "invalid_entry",
      store.update("c", () => ({ one: { more: part } })),
    );
    await rejectsWith("invalid_entry", store.patch("b", { one: { more: part } }));
  });
}

/** Field order is not promised. */
function sortedFields(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortedFields);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([name, part]) => [name, sortedFields(part)] as const);
  return entries.sort(([left], [right]) => (left < right ? -1 : 1));
}
