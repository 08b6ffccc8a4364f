/** What `openSessionStore` makes of a logger, and the store's methods of what looks like a signal. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { openSessionStore } from "../../src/index.js";
import { checkOpenOptions } from "../../src/open-options.js";
import { rejectsWith } from "../support/store-reading.js";

test("a logger without a function warn is refused before anything is opened", () => {
  for (const logger of [{}, 5, "console", null, { warn: "yes" }, { warn() {}, info: 1 }]) {
    assert.throws(() => checkOpenOptions({ logger: logger as never }), { code: "invalid_option", message: /logger/ });
  }
  assert.equal(checkOpenOptions({}).logger, undefined);
});

test("a logger is called on itself, and what it throws reaches nobody", () => {
  class Log {
    readonly lines: string[] = [];
    warn(message: string): void {
      this.lines.push(message);
      throw new Error("the log is full");
    }
  }
  const log = new Log();
  const { logger } = checkOpenOptions({ logger: log });
  logger?.warn("one");
  logger?.info?.("two");
  assert.deepEqual(log.lines, ["one"]);
});

test("what could never be let go of is no signal", async () => {
  const store = await openSessionStore<{ n: number }>(":memory:");
  const signal = { aborted: false, addEventListener() {} } as unknown as AbortSignal;
  await rejectsWith("invalid_option", () => store.update("a", () => ({ n: 1 }), { signal }));
  assert.equal(await store.get("a"), undefined);
  await store.close();
});

test("a name that the file system cannot hold is an error of ours, with advice", async () => {
  for (const length of [240, 300]) {
    const location = `/tmp/${"n".repeat(length)}.json`;
    const error = await rejectsWith("io_error", () => openSessionStore(location));
    assert.match(error.message, /longer than the file system allows/);
  }
});

test("one signal for many calls has one listener, and is let go of", async () => {
  const store = await openSessionStore<{ n: number }>(":memory:");
  const stopping = new AbortController();
  let listeners = 0;
  const { signal } = stopping;
  const [add, remove] = [signal.addEventListener.bind(signal), signal.removeEventListener.bind(signal)];
  signal.addEventListener = (...args: Parameters<typeof add>) => {
    listeners += 1;
    add(...args);
  };
  signal.removeEventListener = (...args: Parameters<typeof remove>) => {
    listeners -= 1;
    remove(...args);
  };
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const update = (n: number) => store.update(`a${n}`, () => held.then(() => ({ n })), { signal });
  const first = Array.from({ length: 20 }, (_, n) => update(n));
  await new Promise(setImmediate);
  assert.equal(listeners, 1);
  release();
  await Promise.all(first);
  assert.equal(listeners, 0);
  const waiting = Array.from({ length: 20 }, (_, n) =>
    store.update(`b${n}`, () => new Promise<never>(() => {}), { signal }),
  );
  await new Promise(setImmediate);
  stopping.abort();
  for (const update of await Promise.allSettled(waiting)) {
    assert.equal(update.status === "rejected" && update.reason.code, "aborted");
  }
  assert.equal(listeners, 0);
  await store.close();
});
