/** The limit on the number of sessions: exact near the limit, and free of waits far from it. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { prepareCommit } from "../../../src/backends/postgres/commit-request.js";
import { Room } from "../../../src/backends/postgres/room.js";

function setUp(limit: number, sessions: number) {
  const world = { ms: 0, sessions, counts: 0, hangs: false };
  const count = async () => {
    world.counts += 1;
    if (world.hangs) await new Promise(() => {});
    return world.sessions;
  };
  return { world, room: new Room(limit, () => world.ms, count) };
}

test("near the limit every creation counts, and one too many is refused", async () => {
  const { world, room } = setUp(3, 0);
  for (let n = 0; n < 3; n++) {
    await room.require(1);
    world.sessions += 1;
  }
  assert.equal(world.counts, 3);
  await assert.rejects(room.require(1), { code: "limit_exceeded" });
  world.sessions = 1;
  await room.require(2);
  await assert.rejects(room.require(3), { code: "limit_exceeded" });
});

test("far from the limit a count is good for a minute, and nobody waits for the next", async () => {
  const { world, room } = setUp(10_000, 5_000);
  for (let n = 0; n < 50; n++) await room.require(1);
  assert.equal(world.counts, 1);
  world.ms = 60_000;
  world.hangs = true;
  await room.require(1);
  assert.equal(world.counts, 2, "it counts, for the next ones");
  world.hangs = false;
  // Filled by others in between: the count finds out.
  world.sessions = 9_999;
  world.ms = 125_000;
  await room.require(1);
  await assert.rejects(room.require(2), { code: "limit_exceeded" });
});

test("after a long time without creations the first one counts before it is let in", async () => {
  const { world, room } = setUp(10_000, 0);
  await room.require(1);
  world.ms = 10 * 60_000;
  world.sessions = 10_000;
  await assert.rejects(room.require(1), { code: "limit_exceeded" });
});

test("a count that fails in the background is nobody's error, and is made again", async () => {
  const world = { ms: 0, fails: false, counts: 0 };
  const count = async () => {
    world.counts += 1;
    if (world.fails) throw new Error("the server is away");
    return 0;
  };
  const room = new Room(10_000, () => world.ms, count);
  await room.require(1);
  world.ms = 61_000;
  world.fails = true;
  await room.require(1);
  await new Promise((resolve) => setImmediate(resolve));
  world.fails = false;
  await room.require(1);
  assert.equal(world.counts, 3);
});

test("a commit of more bytes than the limit (recordBytes) is refused before anything is sent", () => {
  const put = (n: number) => ({ type: "put" as const, key: `k${n}`, entry: Object.freeze({ text: "x".repeat(100) }) });
  const request = (count: number) => ({
    operations: Array.from({ length: count }, (_, n) => put(n)),
    expected: new Map(),
  });
  assert.equal(prepareCommit(request(3), "v", 400).columns.size, 3);
  assert.throws(() => prepareCommit(request(4), "v", 400), { code: "limit_exceeded" });
});
