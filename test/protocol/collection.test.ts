/**
 * Garbage collection - a checkpoint, the segments that nobody needs any more, the trash - while somebody reads. With few
 * context switches a collection gets from one sync to the next only; here it happens as a whole, between any two calls of
 * the reader. The other way round, and the pair's schedules: `interleavings.test.ts`.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { type PendingCall, scriptedSchedule } from "../sim/schedule.js";
import { judge, type Pair, pairs, preparePair } from "./pairs.js";

const [collector, reader] = [0, 1];

/** Calls that neither change what others see nor look at what others change. */
const unrelated = new Set([
  "openRoot",
  "statRoot",
  "openDirectory",
  "closeDirectory",
  "statDirectory",
  "close",
  "record",
  "wait",
  "start",
]);

// Fails without the retries for segments that vanish (`readSegmentsIfExist`), and for the reader's journal.
test("whatever a reader is about to look at, all that can be collected may be collected first", async () => {
  const pair = pairs.find(({ name }) => name.startsWith("garbage collection")) as Pair;
  const play = await preparePair(pair);
  let stopped = 0;
  for (let calls = 0; ; calls += 1) {
    let isStopped = false;
    let left = calls;
    const until = (call: PendingCall) => {
      isStopped = !unrelated.has(call.method) && left-- === 0;
      return isStopped;
    };
    const schedule = scriptedSchedule([{ process: reader, until }, { process: collector }]);
    await judge(`the reader is stopped before call ${calls} that matters`, () => play(schedule));
    if (!isStopped) break;
    stopped += 1;
  }
  assert.ok(stopped > 40, `only ${stopped} places`);
});
