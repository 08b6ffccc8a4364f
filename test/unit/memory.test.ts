import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryBackend } from "../../src/backends/memory/backend.js";
import { defaultLimits } from "../../src/limits.js";
import { createSessionStore } from "../../src/store.js";
import { rejectsWith, take } from "../support/store-reading.js";

const port = {
  nowMs: () => 5,
  monotonicMs: () => 0,
  random: () => 0,
  randomBytes: (count: number) => new Uint8Array(count).fill(7),
  sleep: async () => {},
};

test("versions are the commit numbers 1, 2, 3 with the store's incarnation", async () => {
  const store = createSessionStore<Record<string, unknown>>(new MemoryBackend(port), { clock: port });
  await store.update("a", () => ({ n: 1 }));
  await store.update("b", () => ({ n: 1 }));
  await store.remove("a");
  await store.update("a", () => ({ n: 1 }));
  assert.equal((await store.getWithVersion("a"))?.version, "4.0707070707070707");
  assert.equal((await store.getWithVersion("b"))?.version, "2.0707070707070707");
});

test("a watcher that is behind a bounded history gets a reset and goes on", async () => {
  const backend = new MemoryBackend(port, { historyChangesMax: 3 });
  const store = createSessionStore<Record<string, unknown>>(backend, { clock: port });
  const start = await store.cursor();
  for (let n = 0; n < 5; n++) await store.update("a", () => ({ n }));
  const behind = store.watch({ since: start });
  assert.equal((await take(behind, 1))[0]?.type, "reset");
  await store.update("a", () => ({ n: "after" }));
  assert.deepEqual((await take(behind, 1))[0]?.entry, { n: "after" });
  await behind.return?.();
});

test("more sessions than the limit are limit_exceeded, and nothing of the commit is done", async () => {
  const backend = new MemoryBackend(port, { limits: { ...defaultLimits, sessions: 2 } });
  const store = createSessionStore<Record<string, unknown>>(backend, { clock: port });
  await store.update("a", () => ({ n: 1 }));
  const both = store.transaction((transaction) => {
    transaction.set("b", { n: 1 });
    transaction.set("c", { n: 1 });
  });
  await rejectsWith("limit_exceeded", both);
  assert.equal(await store.get("b"), undefined);
  await store.update("b", () => ({ n: 1 }));
  await rejectsWith(
    "limit_exceeded",
    store.update("c", () => ({ n: 1 })),
  );
  await store.update("a", () => ({ n: 2 }));
  await store.remove("a");
  await store.update("c", () => ({ n: 1 }));
});
