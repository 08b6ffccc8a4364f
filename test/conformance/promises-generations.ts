/** Reset is not loss: the transcripts that a key had before stay listed, with who ended them, and can come back. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { fixedLimits } from "../../src/limits.js";
import { rejectsWith } from "../support/store-reading.js";
import type { Suite } from "./suite.js";

export function generationPromises(suite: Suite): void {
  const { harness, promise, promiseAcrossReopen, promiseAcrossHandles } = suite;
  if (!harness.capabilities.generations) {
    test("generations are kept (skipped: the backend declares generations: false)", { skip: true }, () => {});
    promise("without generations the list is empty, and there is none to make current", async ({ store }) => {
      await store.update("a", () => ({ sessionId: "one" }));
      await store.patch("a", { sessionId: "two" });
      assert.deepEqual(await store.generations("a"), []);
      await rejectsWith("not_found", store.reopenGeneration("a", "one"));
    });
    return;
  }
  resets(suite);
  reopening(suite);

  promiseAcrossReopen("generations outlive a checkpoint and a restart", async (own) => {
    const { store } = await own.open();
    await store.update("a", () => ({ sessionId: "one", sessionFile: "one.jsonl", n: 1 }));
    await store.patch("a", { sessionId: "two" }, { actor: "me", reason: "new day" });
    const before = await store.generations("a");
    await store.checkpoint();
    assert.deepEqual(await store.generations("a"), before);
    await store.patch("a", { n: 2 });
    assert.deepEqual(await store.generations("a"), before);
    await store.close();
    const reopened = await own.reopen();
    const again = reopened.store;
    assert.deepEqual(await again.generations("a"), before);
    await again.patch("a", { n: 3 });
    assert.deepEqual(await again.generations("a"), before);
    for await (const { generations } of await (
      (await own.openSecond?.()) ?? { backend: reopened.backend }
    ).backend.scan())
      assert.deepEqual(generations, before);
    await again.patch("a", { sessionId: "three" });
    assert.deepEqual(
      (await again.generations("a")).map(({ sessionId }) => sessionId),
      ["one", "two"],
    );
  });

  promiseAcrossHandles("of two resets at the same time through two handles no generation is lost", async (own) => {
    const { store } = await own.open();
    const { store: other } = await own.openSecond();
    await store.update("a", () => ({ sessionId: "start" }));
    const ids = Array.from({ length: 10 }, (_, index) => `id${index}`);
    await Promise.all(
      ids.map((sessionId, index) =>
        (index % 2 === 0 ? store : other).transaction((transaction) => transaction.set("a", { sessionId })),
      ),
    );
    const current = (await store.get("a"))!.sessionId as string;
    const listed = (await other.generations("a")).map(({ sessionId }) => sessionId);
    assert.deepEqual([...listed, current].sort(), ["start", ...ids].sort());
    assert.deepEqual(await store.generations("a"), await other.generations("a"));
  });
}

function resets({ promise }: Suite): void {
  promise("a reset keeps the earlier generation: id, file, time, who and why", async ({ store }) => {
    await store.update("a", () => ({ sessionId: "one", sessionFile: "one.jsonl", n: 1 }));
    assert.deepEqual(await store.generations("a"), []);
    const before = Date.now();
    await store.update("a", (current) => ({ ...current, sessionId: "two" }), {
      actor: "gateway",
      reason: "daily reset",
    });
    const [generation, ...others] = await store.generations("a");
    assert.deepEqual(others, []);
    assert.ok(generation!.endedMs >= before && generation!.endedMs <= Date.now());
    assert.deepEqual(generation, {
      sessionId: "one",
      sessionFile: "one.jsonl",
      endedMs: generation!.endedMs,
      actor: "gateway",
      reason: "daily reset",
    });
    assert.ok(Object.isFrozen(await store.generations("a")) && Object.isFrozen(generation));
  });

  promise("every way to write ends a generation, the newest is last", async ({ store }) => {
    await store.update("a", () => ({ sessionId: "0", keep: 1 }));
    await store.patch("a", { sessionId: "1" });
    await store.update("a", () => ({ sessionId: "2", other: 1 }));
    await store.update("a", () => ({ sessionId: "3" }));
    await store.update("a", (current) => ({ ...current, sessionId: "4" }), { onConflict: "merge" });
    await store.transaction((transaction) => transaction.set("a", { sessionId: "5" }));
    await store.transaction(async (transaction) => transaction.patch("a", { sessionId: "6" }));
    await store.transaction(async (transaction) => {
      await transaction.get("a");
      transaction.set("a", { sessionId: "7", keep: 2 });
    });
    assert.deepEqual(
      (await store.generations("a")).map(({ sessionId }) => sessionId),
      ["0", "1", "2", "3", "4", "5", "6"],
    );
  });

  promise("what does not change the transcript leaves the list as it is", async ({ store }) => {
    await store.update("a", () => ({ sessionId: "one" }));
    await store.patch("a", { sessionId: "two" });
    const before = await store.generations("a");
    await store.patch("a", { n: 1 });
    await store.patch("a", { sessionId: "two", n: 2 });
    await store.update("a", () => ({ sessionId: "two", quite: "another" }));
    await store.transaction((transaction) => transaction.set("a", { sessionId: "two", blind: true }));
    assert.deepEqual(await store.generations("a"), before);
  });

  promise("a session that loses its id keeps it on the list", async ({ store }) => {
    await store.update("a", () => ({ sessionId: "one" }));
    await store.patch("a", { sessionId: undefined });
    await store.patch("a", { sessionId: "two" });
    assert.deepEqual(
      (await store.generations("a")).map(({ sessionId }) => sessionId),
      ["one"],
    );
  });

  promise("a blind write over a reset that came in between loses neither generation", async ({ store }) => {
    await store.update("a", () => ({ sessionId: "one" }));
    let runs = 0;
    await store.transaction(async (transaction) => {
      runs++;
      transaction.set("a", { sessionId: "three" });
      if (runs === 1) await store.patch("a", { sessionId: "two" });
    });
    assert.equal(runs, 1);
    assert.deepEqual(
      (await store.generations("a")).map(({ sessionId }) => sessionId),
      ["one", "two"],
    );
  });

  promise("blind writes of one session at the same time lose no generation", async ({ store }) => {
    const ids = Array.from({ length: 20 }, (_, index) => `id${index}`);
    await Promise.all(ids.map((sessionId) => store.transaction((transaction) => transaction.set("a", { sessionId }))));
    const current = (await store.get("a"))!.sessionId as string;
    const listed = (await store.generations("a")).map(({ sessionId }) => sessionId);
    assert.deepEqual([...listed, current].sort(), [...ids].sort());
  });

  promise("the list holds the newest of many, and each transcript once", async ({ store }) => {
    const count = fixedLimits.generationsMax + 5;
    for (let index = 0; index < count; index++)
      await store.patch("a", { sessionId: `s${index}` }, { createIfMissing: true });
    let listed = (await store.generations("a")).map(({ sessionId }) => sessionId);
    assert.equal(listed.length, fixedLimits.generationsMax);
    assert.deepEqual([listed[0], listed.at(-1)], ["s4", `s${count - 2}`]);
    for (const sessionId of ["x", "y", "x", "y"]) await store.patch("a", { sessionId });
    listed = (await store.generations("a")).map(({ sessionId }) => sessionId);
    assert.deepEqual(listed.slice(-2), [`s${count - 1}`, "x"]);
    assert.equal(new Set(listed).size, listed.length);
  });

  promise("a removed session takes its list along, and a new one begins without", async ({ store, backend }) => {
    await store.update("a", () => ({ sessionId: "one" }));
    await store.patch("a", { sessionId: "two" });
    await store.remove("a");
    assert.deepEqual(await store.generations("a"), []);
    await store.update("a", () => ({ sessionId: "three" }));
    assert.deepEqual(await store.generations("a"), []);
    await store.transaction(async (transaction) => {
      await transaction.remove("a");
      transaction.set("a", { sessionId: "four" });
    });
    assert.deepEqual(await store.generations("a"), []);
    if (!backend.capabilities.trash) return;
    for await (const { entry, generations, id } of store.trash()) {
      if (entry.sessionId !== "two") continue;
      assert.deepEqual(
        generations?.map(({ sessionId }) => sessionId),
        ["one"],
      );
      await store.restore(id, { replace: true });
    }
    assert.deepEqual(
      (await store.generations("a")).map(({ sessionId }) => sessionId),
      ["one"],
    );
  });

  promise("the snapshot and the contract's read carry the list", async ({ store, backend }) => {
    await store.update("a", () => ({ sessionId: "one" }));
    await store.patch("a", { sessionId: "two" });
    const read = (await backend.read(["a"])).get("a")?.generations;
    assert.deepEqual(read, await store.generations("a"));
    for await (const { generations } of await backend.scan()) assert.deepEqual(generations, read);
    await store.update("b", () => ({ n: 1 }));
    assert.equal((await backend.read(["b"])).get("b")?.generations, undefined);
  });
}

function reopening({ promise }: Suite): void {
  promise("an earlier generation becomes current again, and the present one takes its place", async ({ store }) => {
    await store.update("a", () => ({ sessionId: "one", sessionFile: "one.jsonl", n: 1 }));
    await store.update("a", () => ({ sessionId: "two", n: 2 }));
    await store.update("a", () => ({ sessionId: "three", sessionFile: "three.jsonl", n: 3 }));
    assert.deepEqual(await store.reopenGeneration("a", "one", { actor: "me", reason: "go back" }), {
      sessionId: "one",
      sessionFile: "one.jsonl",
      n: 3,
    });
    const listed = await store.generations("a");
    assert.deepEqual(
      listed.map(({ sessionId }) => sessionId),
      ["two", "three"],
    );
    assert.deepEqual([listed[1]!.sessionFile, listed[1]!.actor, listed[1]!.reason], ["three.jsonl", "me", "go back"]);
    assert.deepEqual(await store.reopenGeneration("a", "two"), { sessionId: "two", n: 3 });
    assert.deepEqual(
      (await store.generations("a")).map(({ sessionId }) => sessionId),
      ["three", "one"],
    );
  });

  promise("the current generation is current already", async ({ store }) => {
    await store.update("a", () => ({ sessionId: "one" }));
    const before = await store.getWithVersion("a");
    assert.deepEqual(await store.reopenGeneration("a", "one"), { sessionId: "one" });
    assert.deepEqual(await store.getWithVersion("a"), before);
  });

  promise("a generation or a session that is not there is not_found, nonsense is refused", async ({ store }) => {
    await rejectsWith("not_found", store.reopenGeneration("a", "one"));
    await store.update("a", () => ({ sessionId: "one" }));
    await rejectsWith("not_found", store.reopenGeneration("a", "two"));
    for (const id of ["", undefined, 5]) await rejectsWith("invalid_option", store.reopenGeneration("a", id as string));
    await rejectsWith("conflict", store.reopenGeneration("a", "one", { ifVersion: null }));
    await rejectsWith("invalid_key", store.generations(" "));
  });
}
