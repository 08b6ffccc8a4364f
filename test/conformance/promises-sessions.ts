/** Reading and writing one session: read-your-writes, no change without a difference, frozen results. */

import assert from "node:assert/strict";
import { readAll, rejectsWith } from "../support/store-reading.js";
import type { Suite } from "./suite.js";

export function sessionPromises({ promise }: Suite): void {
  promise("a session that was never written does not exist", async ({ store }) => {
    assert.equal(await store.get("absent"), undefined);
    assert.equal(await store.getWithVersion("absent"), undefined);
    assert.deepEqual([...(await store.getMany(["absent"]))], []);
    assert.equal(await store.remove("absent"), false);
    assert.deepEqual(await readAll(store), new Map());
  });

  promise("every way of reading sees a write that was acknowledged", async ({ store }) => {
    const written = await store.update("a", () => ({ n: 1 }));
    assert.deepEqual(written, { n: 1 });
    assert.deepEqual(await store.get("a"), { n: 1 });
    assert.deepEqual((await store.getWithVersion("a"))?.entry, { n: 1 });
    assert.deepEqual(await store.getMany(["b", "a", "a"]), new Map([["a", { n: 1 }]]));
    assert.deepEqual(await readAll(store), new Map([["a", { n: 1 }]]));
    assert.deepEqual(
      (await store.list()).sessions.map(({ key }) => key),
      ["a"],
    );
  });

  promise("update is given the present entry and replaces it as a whole", async ({ store }) => {
    await store.update("a", () => ({ kept: 1, dropped: 2 }));
    await store.update("a", (current) => {
      assert.deepEqual(current, { kept: 1, dropped: 2 });
      return { kept: current?.kept, added: 3 };
    });
    assert.deepEqual(await store.get("a"), { kept: 1, added: 3 });
  });

  promise("update awaits an asynchronous function", async ({ store }) => {
    await store.update("a", async () => {
      await null;
      return { n: 1 };
    });
    assert.deepEqual(await store.get("a"), { n: 1 });
  });

  promise("update that returns undefined changes nothing and creates nothing", async ({ store }) => {
    assert.equal(await store.update("a", () => undefined), undefined);
    assert.equal(await store.get("a"), undefined);
    await store.update("a", () => ({ n: 1 }));
    const before = await store.getWithVersion("a");
    assert.deepEqual(await store.update("a", async () => undefined), { n: 1 });
    assert.deepEqual(await store.getWithVersion("a"), before);
  });

  promise("a write that makes no difference commits nothing", async ({ store }) => {
    await store.update("a", () => ({ n: 1, deep: { list: [1, { x: null }] } }));
    const before = await store.getWithVersion("a");
    const cursor = await store.cursor();
    await store.update("a", () => ({ deep: { list: [1, { x: null }] }, n: 1 }));
    await store.update("a", (current) => ({ ...current, absent: undefined }));
    await store.patch("a", { n: 1, absent: undefined });
    await store.transaction((transaction) => transaction.patch("a", { n: 1 }));
    assert.deepEqual(await store.getWithVersion("a"), before);
    assert.equal(await store.cursor(), cursor);
  });

  promise("patch sets the given fields, unsets those given as undefined and leaves the others", async ({ store }) => {
    await store.update("a", () => ({ one: 1, two: { deep: [1] }, three: 3 }));
    const patched = await store.patch("a", { one: 10, three: undefined, four: "new" });
    assert.deepEqual(patched, { one: 10, two: { deep: [1] }, four: "new" });
    assert.deepEqual(await store.get("a"), patched);
    assert.deepEqual(Object.hasOwn(patched, "three"), false);
  });

  promise("a patch may leave no field at all", async ({ store }) => {
    await store.update("a", () => ({ one: 1 }));
    assert.deepEqual(await store.patch("a", { one: undefined }), {});
    assert.deepEqual(await store.get("a"), {});
  });

  promise("patch of an unknown session is not_found, unless it may create it", async ({ store }) => {
    await rejectsWith("not_found", store.patch("a", { n: 1 }));
    assert.equal(await store.get("a"), undefined);
    assert.deepEqual(await store.patch("a", { n: 1, no: undefined }, { createIfMissing: true }), { n: 1 });
    assert.deepEqual(await store.get("a"), { n: 1 });
  });

  promise("remove says whether there was something to remove", async ({ store }) => {
    await store.update("a", () => ({ n: 1 }));
    await store.update("b", () => ({ n: 2 }));
    assert.equal(await store.remove("a"), true);
    assert.equal(await store.remove("a"), false);
    assert.equal(await store.get("a"), undefined);
    assert.equal(await store.remove("b", { purge: true }), true);
    assert.deepEqual(await readAll(store), new Map());
  });

  promise("a removed session can be created again and has nothing of the old one", async ({ store }) => {
    await store.update("a", () => ({ old: 1, n: 1 }));
    await store.remove("a");
    await store.update("a", (current) => {
      assert.equal(current, undefined);
      return { n: 2 };
    });
    assert.deepEqual(await store.get("a"), { n: 2 });
  });

  promise("what a caller's function throws passes through unchanged, and nothing is written", async ({ store }) => {
    const mine = new TypeError("mine");
    const thrower = () => {
      throw mine;
    };
    await assert.rejects(store.update("a", thrower), (error) => error === mine);
    await assert.rejects(
      store.update("a", async () => thrower()),
      (error) => error === mine,
    );
    await assert.rejects(
      store.transaction(async (transaction) => {
        transaction.set("a", { n: 1 });
        throw mine;
      }),
      (error) => error === mine,
    );
    assert.equal(await store.get("a"), undefined);
  });

  promise("what is read is frozen to the bottom, and the caller's own object is not", async ({ store }) => {
    const mine = { list: [{ x: 1 }], deep: { er: {} } };
    const returned = await store.update("a", () => mine);
    for (const entry of [returned, await store.get("a"), (await store.getWithVersion("a"))?.entry]) {
      const read = entry as typeof mine;
      for (const part of [read, read.list, read.list[0], read.deep, read.deep.er]) assert.ok(Object.isFrozen(part));
      assert.throws(() => {
        read.list[0]!.x = 2;
      }, TypeError);
    }
    for await (const { entry } of store.entries()) assert.ok(Object.isFrozen(entry.list));
    for (const part of [mine, mine.list, mine.list[0], mine.deep]) assert.ok(!Object.isFrozen(part));
    mine.list[0]!.x = 3;
    mine.list.push({ x: 4 });
    assert.deepEqual(await store.get("a"), { list: [{ x: 1 }], deep: { er: {} } });
  });

  promise("parts of one session's entry may be given to another", async ({ store }) => {
    await store.update("a", () => ({ shared: { list: [1, 2] } }));
    const shared = (await store.get("a"))?.shared;
    await store.update("b", () => ({ again: { shared } }));
    await store.patch("a", { shared: { list: [3] } });
    assert.deepEqual(await store.get("b"), { again: { shared: { list: [1, 2] } } });
    assert.deepEqual(await store.get("a"), { shared: { list: [3] } });
  });

  promise("who did it and why comes with the change", async ({ store }) => {
    const watch = store.watch();
    await store.update("a", () => ({ n: 1 }), { actor: "agent main", reason: "inbound" });
    const change = (await watch.next()).value;
    assert.deepEqual([change?.actor, change?.reason], ["agent main", "inbound"]);
    await store.remove("a", { actor: "cli" });
    const removal = (await watch.next()).value;
    assert.deepEqual([removal?.type, removal?.actor, removal?.reason], ["remove", "cli", undefined]);
    await watch.return?.();
  });
}
