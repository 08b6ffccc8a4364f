/** Transactions: all or nothing, read-your-writes, serialisable on the sessions they touched. */

import assert from "node:assert/strict";
import type { Transaction } from "../../src/api.js";
import { changesSince, deferred, readAll, rejectsWith } from "../support/store-reading.js";
import type { AnyEntry } from "./harness.js";
import type { Suite } from "./suite.js";

export function transactionPromises({ promise }: Suite): void {
  promise("a transaction sees its own writes, others see them only after the commit", async ({ store }) => {
    await store.update("a", () => ({ n: 1 }));
    const result = await store.transaction(async (transaction) => {
      transaction.set("b", { n: 2 });
      assert.deepEqual(await transaction.get("b"), { n: 2 });
      await transaction.patch("a", { n: 10 });
      assert.deepEqual(await transaction.get("a"), { n: 10 });
      assert.equal(await transaction.remove("a"), true);
      assert.equal(await transaction.get("a"), undefined);
      assert.equal(await transaction.remove("a"), false);
      assert.deepEqual(await readAll(store), new Map([["a", { n: 1 }]]));
      return "result";
    });
    assert.equal(result, "result");
    assert.deepEqual(await readAll(store), new Map([["b", { n: 2 }]]));
  });

  promise("several operations on one session become one change", async ({ store }) => {
    await store.update("a", () => ({ n: 1, old: 1 }));
    await store.update("b", () => ({ n: 1 }));
    const since = await store.cursor();
    await store.transaction(async (transaction) => {
      await transaction.remove("a");
      transaction.set("a", { n: 2 });
      await transaction.patch("a", { m: 3 });
      await transaction.patch("b", { n: 5 });
      await transaction.patch("b", { n: 1 });
      transaction.set("c", { n: 1 });
      await transaction.remove("c");
    });
    const changes = await changesSince(store, since);
    assert.deepEqual(
      changes.map(({ type, key, entry }) => [type, key, entry]),
      [["put", "a", { n: 2, m: 3 }]],
    );
    assert.deepEqual(
      await readAll(store),
      new Map<string, AnyEntry>([
        ["a", { n: 2, m: 3 }],
        ["b", { n: 1 }],
      ]),
    );
  });

  promise("set over a session that was never read, then remove, removes what is stored", async ({ store }) => {
    await store.update("a", () => ({ n: 1 }));
    await store.transaction(async (transaction) => {
      transaction.set("a", { n: 2 });
      assert.equal(await transaction.remove("a"), true);
    });
    assert.equal(await store.get("a"), undefined);
  });

  promise("a transaction that writes nothing commits nothing", async ({ store }) => {
    const cursor = await store.cursor();
    const result = await store.transaction(async (transaction) => (await transaction.get("a")) ?? "nothing");
    assert.equal(result, "nothing");
    assert.equal(await store.cursor(), cursor);
  });

  promise("all sessions of a transaction change at once, for every reader", async ({ store }) => {
    const keys = ["a", "b", "c"];
    const write = (n: number) =>
      store.transaction((transaction) => {
        for (const key of keys) transaction.set(key, { n });
      });
    await write(0);
    const writing = (async () => {
      for (let n = 1; n <= 30; n++) await write(n);
    })();
    for (let round = 0; round < 30; round++) {
      const together = await store.getMany(keys);
      assert.equal(new Set([...together.values()].map(({ n }) => n)).size, 1, "one state at a time");
      const scanned = await readAll(store);
      assert.equal(new Set([...scanned.values()].map(({ n }) => n)).size, 1, "one state at a time");
    }
    await writing;
  });

  promise("a transaction runs again when a session it only read was changed", async ({ store }) => {
    await store.update("rate", () => ({ n: 2 }));
    let runs = 0;
    await store.transaction(async (transaction) => {
      runs++;
      const rate = (await transaction.get("rate"))?.n as number;
      if (runs === 1) await store.patch("rate", { n: 3 });
      transaction.set("price", { n: 10 * rate });
    });
    assert.equal(runs, 2);
    assert.deepEqual(await store.get("price"), { n: 30 });
  });

  promise("a transaction runs again when a session it found missing was created", async ({ store }) => {
    let runs = 0;
    await store.transaction(async (transaction) => {
      runs++;
      const found = await transaction.get("a");
      if (runs === 1) await store.update("a", () => ({ n: 1 }));
      transaction.set("found", { found: found !== undefined });
    });
    assert.equal(runs, 2);
    assert.deepEqual(await store.get("found"), { found: true });
  });

  promise("a session written without being read is written whatever it was", async ({ store }) => {
    let runs = 0;
    await store.transaction(async (transaction) => {
      runs++;
      transaction.set("a", { by: "transaction" });
      if (runs === 1) await store.update("a", () => ({ by: "others" }));
    });
    assert.equal(runs, 1);
    assert.deepEqual(await store.get("a"), { by: "transaction" });
  });

  promise("write skew is impossible: of two on call, one stays", async ({ store }) => {
    for (let round = 0; round < 10; round++) {
      await store.update("alice", () => ({ onCall: true }));
      await store.update("bob", () => ({ onCall: true }));
      const leave = (me: string, other: string) =>
        store.transaction(async (transaction) => {
          const stays = (await transaction.get(other))?.onCall === true;
          await transaction.get(me);
          if (stays) await transaction.patch(me, { onCall: false });
        });
      await Promise.all([leave("alice", "bob"), leave("bob", "alice")]);
      const onCall = [...(await readAll(store)).values()].filter((entry) => entry.onCall);
      assert.equal(onCall.length, 1);
    }
  });

  promise("concurrent transfers neither make nor lose anything", async ({ store }) => {
    const accounts = ["a", "b", "c", "d"];
    for (const key of accounts) await store.update(key, () => ({ amount: 100 }));
    await Promise.all(
      Array.from({ length: 40 }, (_, index) =>
        store.transaction(async (transaction) => {
          const from = accounts[index % 4]!;
          const to = accounts[(index * 3 + 1) % 4]!;
          if (from === to) return;
          const source = (await transaction.get(from))?.amount as number;
          const target = (await transaction.get(to))?.amount as number;
          await transaction.patch(from, { amount: source - 7 });
          await transaction.patch(to, { amount: target + 7 });
        }),
      ),
    );
    const amounts = [...(await readAll(store)).values()].map((entry) => entry.amount as number);
    assert.equal(
      amounts.reduce((sum, amount) => sum + amount, 0),
      400,
    );
  });

  promise("reading a session twice in one run gives the same entry", async ({ store }) => {
    await store.update("a", () => ({ n: 1 }));
    let runs = 0;
    await store.transaction(async (transaction) => {
      const first = await transaction.get("a");
      if (++runs === 1) await store.patch("a", { n: 2 });
      assert.equal(await transaction.get("a"), first);
      transaction.set("b", { copied: first?.n });
    });
    assert.deepEqual(await store.get("b"), { copied: 2 });
  });

  promise("patch in a transaction is not_found for an unknown session, unless it may create it", async ({ store }) => {
    await store.transaction(async (transaction) => {
      await rejectsWith("not_found", transaction.patch("a", { n: 1 }));
      await transaction.patch("b", { n: 1, no: undefined }, { createIfMissing: true });
    });
    assert.deepEqual(await readAll(store), new Map([["b", { n: 1 }]]));
  });

  promise("bad keys, entries and options in a transaction are refused like anywhere else", async ({ store }) => {
    await store.transaction(async (transaction) => {
      await rejectsWith("invalid_key", transaction.get(""));
      await rejectsWith("invalid_key", () => transaction.set("a\0", {}));
      await rejectsWith("invalid_entry", () => transaction.set("a", { n: Number.NaN }));
      await rejectsWith("invalid_entry", transaction.patch("a", { n: 1n }, { createIfMissing: true }));
      await rejectsWith("invalid_option", transaction.remove("a", { purged: true } as object));
    });
    assert.deepEqual(await readAll(store), new Map());
  });

  promise("a transaction that has ended is closed", async ({ store }) => {
    let kept: Transaction<AnyEntry> | undefined;
    await store.transaction((transaction) => {
      kept = transaction;
      transaction.set("a", { n: 1 });
    });
    await rejectsWith("closed", kept!.get("a"));
    await rejectsWith("closed", () => kept!.set("a", { n: 2 }));
    await rejectsWith("closed", kept!.patch("a", { n: 2 }));
    await rejectsWith("closed", kept!.remove("a"));
    assert.deepEqual(await store.get("a"), { n: 1 });
  });

  promise("transactions inside updates and updates inside transactions do not deadlock", async ({ store }) => {
    await store.update("a", async () => {
      await store.transaction(async (transaction) => {
        transaction.set("b", { n: 1 });
        await store.update("c", () => ({ n: 1 }));
      });
      return { n: 1 };
    });
    assert.equal((await readAll(store)).size, 3);
  });

  promise("a transaction that hangs delays no other one on the same sessions", async ({ store }) => {
    const started = deferred();
    const hung = store.transaction(async (transaction) => {
      await transaction.get("a");
      transaction.set("a", { by: "hung" });
      started.resolve();
      await new Promise(() => {});
    });
    const outcome = rejectsWith("closed", hung);
    await started.promise;
    await store.transaction((transaction) => transaction.set("a", { by: "other" }));
    assert.deepEqual(await store.get("a"), { by: "other" });
    await store.close();
    await outcome;
  });
}
