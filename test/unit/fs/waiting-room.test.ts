import assert from "node:assert/strict";
import { test } from "node:test";
import { WaitingRoom } from "../../../src/fs/waiting-room.js";

/** A port whose sleeps end when the test says so. */
function sleepingPort() {
  const sleeps: { ms: number; end: () => void }[] = [];
  const sleep = (ms: number, signal?: AbortSignal) =>
    new Promise<void>((resolve, reject) => {
      sleeps.push({ ms, end: resolve });
      signal?.addEventListener("abort", () => reject(signal.reason));
    });
  return { sleeps, room: new WaitingRoom({ sleep }) };
}

test("everybody who waits is woken, and nobody before", async () => {
  const { room } = sleepingPort();
  const [first, second] = [room.enter(undefined), room.enter(undefined)];
  let woken = 0;
  const waits = [first.next(), second.next(1_000)].map((wait) => wait.then(() => (woken += 1)));
  await new Promise(setImmediate);
  assert.equal(woken, 0);
  room.wakeAll();
  await Promise.all(waits);
  assert.equal(woken, 2);
});

test("a wait ends with its time", async () => {
  const { room, sleeps } = sleepingPort();
  const wait = room.enter(undefined).next(20);
  assert.deepEqual(
    sleeps.map(({ ms }) => ms),
    [20],
  );
  sleeps[0]!.end();
  await wait;
});

test("a watcher that is woken again and again has one sleep under way", async () => {
  const { room, sleeps } = sleepingPort();
  const waiter = room.enter(undefined);
  for (let round = 0; round < 10; round += 1) {
    const wait = waiter.next(20);
    room.wakeAll();
    await wait;
  }
  assert.equal(sleeps.length, 1);
  sleeps[0]!.end();
  await new Promise(setImmediate);
  void waiter.next(20);
  assert.equal(sleeps.length, 2, "the next one begins when it is over");
});

test("a shorter wait does not last as long as the sleep that is under way", async () => {
  const { room, sleeps } = sleepingPort();
  const waiter = room.enter(undefined);
  const long = waiter.next(1_000);
  room.wakeAll();
  await long;
  const short = waiter.next(20);
  assert.deepEqual(
    sleeps.map(({ ms }) => ms),
    [1_000, 20],
  );
  sleeps[1]!.end();
  await short;
});

for (const ms of [undefined, 20]) {
  test(`the end of a watcher ends its wait ${ms === undefined ? "without" : "with"} a time, and each one after it`, async () => {
    const { room } = sleepingPort();
    const ended = new AbortController();
    const waiter = room.enter(ended.signal);
    const wait = waiter.next(ms);
    ended.abort();
    await wait;
    await waiter.next(ms);
  });
}
