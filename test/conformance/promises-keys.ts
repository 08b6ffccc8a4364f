/** Session keys: what is refused, what is normalised, and that everything else is ordinary data. */

import assert from "node:assert/strict";
import { changesSince, listAll, readAll, rejectsWith } from "../support/store-reading.js";
import type { Suite } from "./suite.js";
import { hostileKeys, invalidKeys } from "./tables.js";

export function keyPromises({ promise }: Suite): void {
  promise("every key that is not refused is ordinary data, whatever it looks like", async ({ store }) => {
    const since = await store.cursor();
    for (const key of hostileKeys) await store.update(key, () => ({ key }));
    for (const key of hostileKeys) assert.deepEqual(await store.get(key), { key });
    const expected = new Map([...hostileKeys].sort().map((key) => [key, { key }]));
    const sorted = (map: Map<string, unknown>) => new Map([...map].sort(([left], [right]) => (left < right ? -1 : 1)));
    assert.deepEqual(sorted(await readAll(store)), expected);
    assert.deepEqual(sorted(await store.getMany(hostileKeys)), expected);
    assert.deepEqual(
      (await listAll(store, { order: "key", limit: 7 })).map(({ key }) => key),
      [...expected.keys()],
    );
    const changes = await changesSince(store, since);
    assert.deepEqual(
      changes.map(({ key }) => key),
      hostileKeys,
    );
    await store.checkpoint();
    for (const key of hostileKeys) assert.deepEqual(await store.get(key), { key });
    for (const key of hostileKeys) assert.equal(await store.remove(key), true);
    assert.equal((await readAll(store)).size, 0);
    assert.equal(({} as Record<string, unknown>).key, undefined, "no prototype was written to");
  });

  promise("refused keys are invalid_key in every method, and the message says why", async ({ store }) => {
    for (const [bad, why] of invalidKeys) {
      const key = bad as string;
      for (const call of [
        () => store.get(key),
        () => store.getWithVersion(key),
        () => store.getMany(["fine", key]),
        () => store.update(key, () => assert.fail("the function must not run")),
        () => store.patch(key, { n: 1 }, { createIfMissing: true }),
        () => store.remove(key),
        () => store.transaction((transaction) => transaction.get(key)),
        () => store.transaction((transaction) => transaction.set(key, {})),
        () => store.transaction((transaction) => transaction.patch(key, {}, { createIfMissing: true })),
        () => store.transaction((transaction) => transaction.remove(key)),
      ]) {
        const error = await rejectsWith("invalid_key", call);
        assert.match(error.message, why);
        assert.ok(error.message.length < 400, "a huge key does not make a huge message");
      }
    }
    assert.equal((await readAll(store)).size, 0);
  });

  promise(
    'rule "openclaw": keys are trimmed and lower-cased',
    async ({ store }) => {
      await store.update("  Agent:Main:MAIN\n", () => ({ n: 1 }));
      assert.deepEqual(await readAll(store), new Map([["agent:main:main", { n: 1 }]]));
      assert.deepEqual(await store.get("AGENT:main:Main "), { n: 1 });
      assert.deepEqual([...(await store.getMany(["AGENT:MAIN:MAIN", "agent:main:main"])).keys()], ["agent:main:main"]);
      await store.transaction((transaction) => transaction.patch("AGENT:MAIN:main", { n: 2 }));
      assert.deepEqual(await store.get("agent:main:main"), { n: 2 });
      assert.equal(await store.remove("Agent:main:main"), true);
    },
    { keys: "openclaw" },
  );

  promise(
    'rule "exact": keys are taken as they are',
    async ({ store }) => {
      const keys = ["a", "A", " a", "a ", "É", "é"];
      for (const key of keys) await store.update(key, () => ({ key }));
      await store.checkpoint();
      for (const key of keys) assert.deepEqual(await store.get(key), { key });
      assert.deepEqual([...(await readAll(store)).keys()].sort(), [...keys].sort());
      await rejectsWith("invalid_key", store.get("  "));
    },
    { keys: "exact" },
  );
}
