import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryBackend } from "../../src/backends/memory/backend.js";
import type { Backend, CommitRequest } from "../../src/contract.js";
import { openSessionStore } from "../../src/index.js";
import { defaultLimits } from "../../src/limits.js";
import { createSessionStore } from "../../src/store.js";
import { rejectsWith } from "../support/store-reading.js";

/** A clock that moves only when somebody sleeps. */
function makeClock() {
  let now = 0;
  const slept: number[] = [];
  return {
    slept,
    nowMs: () => 1_700_000_000_000 + now,
    monotonicMs: () => now,
    random: () => 0.99,
    randomBytes: (count: number) => new Uint8Array(count),
    sleep: async (ms: number) => {
      slept.push(ms);
      now += ms;
    },
  };
}

/** A memory backend that records what reaches it. */
function makeRecordingBackend(clock: ReturnType<typeof makeClock>, limits = defaultLimits) {
  const backend = new MemoryBackend(clock, { limits });
  const commits: CommitRequest[] = [];
  const reads: (readonly string[])[] = [];
  const read = backend.read.bind(backend);
  const commit = backend.commit.bind(backend);
  backend.read = (keys) => {
    reads.push(keys);
    return read(keys);
  };
  backend.commit = (request) => {
    commits.push(request);
    return commit(request);
  };
  return { backend: backend as Backend, commits, reads };
}

const manyFields = Object.fromEntries(Array.from({ length: 30 }, (_, index) => [`field${index}`, `value ${index}`]));

test("a small change of a large entry reaches the backend as a patch of the changed fields", async () => {
  const clock = makeClock();
  const { backend, commits } = makeRecordingBackend(clock);
  const store = createSessionStore<Record<string, unknown>>(backend, { clock });
  await store.update("a", () => ({ ...manyFields, big: { list: [1, 2, 3] } }));
  const before = (await store.get("a"))!;
  await store.update("a", (current) => {
    const { field1: _, ...rest } = current!;
    return { ...rest, field0: "changed", big: { list: [1, 2, 3] } };
  });
  const [operation] = commits[1]!.operations;
  assert.ok(operation?.type === "patch");
  assert.deepEqual(operation.set, { field0: "changed" });
  assert.deepEqual([...operation.unset], ["field1"]);
  assert.equal(operation.entry.big, before.big, "what did not change is shared");
  await store.update("a", () => ({ nothing: "in common" }));
  assert.equal(commits[2]!.operations[0]?.type, "put");
});

test("a conflict costs no second read, and no pause at first", async () => {
  const clock = makeClock();
  const { backend, commits, reads } = makeRecordingBackend(clock);
  const store = createSessionStore<Record<string, unknown>>(backend, { clock });
  await store.update("a", () => ({ n: 0 }));
  const readsBefore = reads.length;
  let runs = 0;
  await store.update("a", async (current) => {
    if (++runs === 1) {
      const version = (await backend.read(["a"])).get("a")!.version;
      await backend.commit({
        operations: [{ type: "put", key: "a", entry: Object.freeze({ n: 5 }) }],
        expected: new Map([["a", version]]),
      });
    }
    return { n: (current?.n as number) + 1 };
  });
  assert.deepEqual(await store.get("a"), { n: 6 });
  assert.equal(commits.length, 4);
  // One read by the update, one by its function above, one by the check.
  assert.equal(reads.length - readsBefore, 3);
  assert.deepEqual(clock.slept, []);
});

test("pauses between attempts stay within a few milliseconds, and conflictWaitMs ends them", async () => {
  const clock = makeClock();
  const backend = new MemoryBackend(clock);
  const store = createSessionStore<Record<string, unknown>>(backend, { clock, conflictWaitMs: 100 });
  let n = 0;
  const error = await rejectsWith(
    "conflict",
    store.update("a", async () => {
      await store.update("a", () => ({ n: ++n }));
      return { mine: true };
    }),
  );
  assert.ok(clock.slept.length > 10);
  assert.ok(clock.slept.every((ms) => ms <= 4));
  assert.ok(error.attempts! > 20);
  assert.match(error.message, /attempts in 10\d ms/);
});

test("a function that takes longer than conflictWaitMs still gets a second run", async () => {
  const clock = makeClock();
  const store = createSessionStore<Record<string, unknown>>(new MemoryBackend(clock), { clock, conflictWaitMs: 10 });
  let runs = 0;
  await store.update("a", async () => {
    await clock.sleep(1_000);
    if (++runs === 1) await store.update("a", () => ({ n: 1 }));
    return { n: 2 };
  });
  assert.equal(runs, 2);
});

test("an entry is written out for measuring only near the limit", async () => {
  const clock = makeClock();
  const { backend } = makeRecordingBackend(clock, { ...defaultLimits, entryBytes: 10_000 });
  const store = createSessionStore<Record<string, unknown>>(backend, { clock });
  const measured: number[] = [];
  const stringify = JSON.stringify;
  JSON.stringify = ((value: unknown) => {
    const text = stringify(value);
    measured.push(text.length);
    return text;
  }) as typeof JSON.stringify;
  try {
    await store.update("small", () => ({ text: "x".repeat(1_000) }));
    assert.deepEqual(measured, []);
    await store.update("large", () => ({ text: "x".repeat(8_000) }));
    assert.equal(measured.length, 1);
    measured.length = 0;
    for (let n = 0; n < 20; n++) await store.patch("large", { n });
    assert.ok(
      measured.every((bytes) => bytes < 100),
      "a patch of a large entry measures only what it changes",
    );
  } finally {
    JSON.stringify = stringify;
  }
});

test(":memory: is a fresh private store each time, typed by SessionEntry", async () => {
  await using one = await openSessionStore(":memory:");
  await using two = await openSessionStore(":memory:");
  await one.update("Agent:Main:Main", (current) => ({
    ...current,
    sessionId: current?.sessionId ?? "s1",
    updatedAt: 1,
    deliveryContext: { channel: "telegram" },
    unknownField: 5,
  }));
  const entry = await one.get("agent:main:main");
  const sessionId: string | undefined = entry?.sessionId;
  assert.equal(sessionId, "s1");
  assert.equal(entry?.unknownField, 5);
  assert.equal(await two.get("agent:main:main"), undefined);
});
