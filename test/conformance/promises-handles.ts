/** The same promises across handles: what one acknowledged, every other sees; what is closed, opens again. */

import assert from "node:assert/strict";
import { applyChanges, changesSince, readAll, rejectsWith, take } from "../support/store-reading.js";
import type { AnyEntry } from "./harness.js";
import type { Suite } from "./suite.js";

export function handlePromises({ promiseAcrossReopen, promiseAcrossHandles }: Suite): void {
  promiseAcrossReopen("acknowledged commits are there after close and open", async (harness) => {
    const { store } = await harness.open();
    await store.update("a", () => ({ n: 1 }));
    await store.patch("a", { m: 2 });
    await store.update("b", () => ({ n: 1 }));
    await store.remove("b");
    await store.checkpoint();
    await store.transaction((transaction) => {
      transaction.set("c", { n: 1 });
      transaction.set("d", { n: 1 });
    });
    const before = await store.getWithVersion("a");
    await store.close();
    const { store: reopened } = await harness.reopen();
    assert.deepEqual(
      await readAll(reopened),
      new Map<string, AnyEntry>([
        ["a", { n: 1, m: 2 }],
        ["c", { n: 1 }],
        ["d", { n: 1 }],
      ]),
    );
    assert.deepEqual(await reopened.getWithVersion("a"), before);
    await reopened.update("a", () => ({ n: 5 }), { ifVersion: before!.version });
  });

  promiseAcrossReopen("versions are not used again after close and open", async (harness) => {
    const versions = new Set<string>();
    let { store } = await harness.open();
    for (let round = 0; round < 5; round++) {
      await store.update("a", () => ({ n: 1 }));
      versions.add((await store.getWithVersion("a"))!.version);
      await store.remove("a");
      await store.close();
      ({ store } = await harness.reopen());
    }
    assert.equal(versions.size, 5);
  });

  promiseAcrossReopen("the rule of keys is that of the store's creation", async (harness) => {
    const { store } = await harness.open({ keys: "exact" });
    await store.update("A", () => ({ n: 1 }));
    await store.close();
    const { store: reopened } = await harness.reopen();
    assert.equal(await reopened.get("a"), undefined);
    assert.deepEqual(await reopened.get("A"), { n: 1 });
  });

  promiseAcrossReopen(
    "a watcher resumes across checkpoint, close and open without a reset",
    async (harness) => {
      let { store } = await harness.open();
      const start = await store.cursor();
      const cursors = [start];
      const states = [new Map<string, AnyEntry>()];
      for (let round = 0; round < 4; round++) {
        await store.update(`key${round}`, () => ({ round }));
        await store.transaction((transaction) => {
          transaction.set("shared", { round });
          transaction.set("other", { round });
        });
        if (round === 1) await store.remove("key0");
        if (round === 2) await store.checkpoint();
        cursors.push(await store.cursor());
        states.push(await readAll(store));
        await store.close();
        ({ store } = await harness.reopen());
      }
      const final = await readAll(store);
      for (const [index, cursor] of cursors.entries()) {
        const changes = await changesSince(store, cursor);
        assert.deepEqual(applyChanges(states[index]!, changes), final, `from state ${index}`);
      }
      assert.deepEqual(await changesSince(store, cursors.at(-1)!), []);
    },
    "changesAcrossRestart",
  );

  promiseAcrossHandles("every handle sees what another one had acknowledged", async (harness) => {
    const { store: one } = await harness.open();
    const { store: two } = await harness.openSecond();
    for (let round = 0; round < 10; round++) {
      await one.update("a", () => ({ round }));
      assert.deepEqual(await two.get("a"), { round });
      await two.patch("a", { two: round });
      assert.deepEqual(await one.get("a"), { round, two: round });
      assert.deepEqual(await one.getWithVersion("a"), await two.getWithVersion("a"));
      await one.remove("a");
      assert.equal(await two.get("a"), undefined);
      assert.deepEqual(await readAll(two), new Map());
      if (round === 5) await two.checkpoint();
      if (round === 7) await one.checkpoint();
      assert.deepEqual((await one.list()).sessions, []);
    }
  });

  promiseAcrossHandles("compare-and-swap holds across handles", async (harness) => {
    const { store: one } = await harness.open();
    const { store: two } = await harness.openSecond();
    await one.update("a", () => ({ n: 1 }));
    const { version } = (await one.getWithVersion("a"))!;
    await two.update("a", () => ({ n: 2 }), { ifVersion: version });
    await rejectsWith(
      "conflict",
      one.update("a", () => ({ n: 3 }), { ifVersion: version }),
    );
    await rejectsWith(
      "conflict",
      one.update("a", () => ({ n: 3 }), { ifVersion: null }),
    );
    assert.deepEqual(await one.get("a"), { n: 2 });
  });

  promiseAcrossHandles("concurrent increments through two handles are all counted", async (harness) => {
    const { store: one } = await harness.open();
    const { store: two } = await harness.openSecond();
    await Promise.all(
      Array.from({ length: 60 }, (_, index) =>
        (index % 2 === 0 ? one : two).update("a", async (current) => ({ n: ((current?.n as number) ?? 0) + 1 })),
      ),
    );
    assert.deepEqual(await one.get("a"), { n: 60 });
    assert.deepEqual(await two.get("a"), { n: 60 });
  });

  promiseAcrossHandles("write skew is impossible across handles", async (harness) => {
    const { store: one } = await harness.open();
    const { store: two } = await harness.openSecond();
    for (let round = 0; round < 5; round++) {
      await one.update("alice", () => ({ onCall: true }));
      await one.update("bob", () => ({ onCall: true }));
      const leave = (store: typeof one, me: string, other: string) =>
        store.transaction(async (transaction) => {
          if ((await transaction.get(other))?.onCall === true) await transaction.patch(me, { onCall: false });
        });
      await Promise.all([leave(one, "alice", "bob"), leave(two, "bob", "alice")]);
      const onCall = [...(await readAll(one)).values()].filter((entry) => entry.onCall);
      assert.equal(onCall.length, 1);
    }
  });

  promiseAcrossHandles(
    "a watch sees the commits of other handles, and its cursor works on any of them",
    async (harness) => {
      const { store: one } = await harness.open();
      const { store: two } = await harness.openSecond();
      const start = await two.cursor();
      // Without it, the start of the watch and the other handle's commit would happen at the same time.
      const watch = two.watch({ since: start });
      await one.update("a", () => ({ n: 1 }));
      const [first] = await take(watch, 1);
      assert.deepEqual([first?.key, first?.entry], ["a", { n: 1 }]);
      const waiting = take(watch, 1);
      await one.patch("a", { m: 1 });
      assert.deepEqual((await waiting)[0]?.entry, { n: 1, m: 1 });
      await watch.return?.();
      await two.update("b", () => ({ n: 2 }));
      const changes = await changesSince(one, start, two);
      assert.deepEqual(applyChanges(new Map(), changes), await readAll(one));
      assert.deepEqual(
        (await changesSince(one, first!.cursor)).map(({ key }) => key),
        ["a", "b"],
      );
    },
  );

  promiseAcrossHandles("a scan sees one state although another handle commits and checkpoints", async (harness) => {
    const { store: one } = await harness.open();
    const { store: two } = await harness.openSecond();
    for (let index = 0; index < 20; index++) await one.update(`key${index}`, () => ({ n: 0 }));
    await one.checkpoint();
    const seen = new Map<string, unknown>();
    const checkpoints: Promise<void>[] = [];
    let step = 0;
    for await (const { key, entry } of one.entries()) {
      seen.set(key, entry.n);
      await two.patch(`key${step}`, { n: 1 });
      await two.update(`new${step}`, () => ({ n: 1 }));
      if (step % 5 === 0) checkpoints.push(two.checkpoint());
      step++;
    }
    await Promise.all(checkpoints);
    assert.equal(seen.size, 20);
    assert.deepEqual([...new Set(seen.values())], [0]);
  });

  promiseAcrossHandles("closing one handle leaves the others working", async (harness) => {
    const { store: one } = await harness.open();
    const { store: two } = await harness.openSecond();
    await one.update("a", () => ({ n: 1 }));
    await one.close();
    await two.patch("a", { n: 2 });
    assert.deepEqual(await two.get("a"), { n: 2 });
  });
}
