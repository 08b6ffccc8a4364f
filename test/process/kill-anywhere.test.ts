/**
 * Writers are killed at any moment of their lives - while they open, work, checkpoint and close, on a journal that is
 * rotated all the time. Two at a time, so that what one leaves behind is met by another at work.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { openSessionStore, type SessionStore } from "../../src/index.js";
import { SeededRandom } from "../sim/random.js";
import { errorsOf, type TemporaryPlace, withPlace } from "./support/temporary-store.js";
import { delay, WorkerProcess } from "./support/worker-process.js";

type Entry = Record<string, unknown>;

const rounds = 30;
const seed = 4_711;
const sharedKeys = ["shared:a", "shared:b"];
/** What a victim says when it begins something, and how long after it it may be killed. */
const moments: readonly [said: string, delayMs: number][] = [
  ["opening", 15],
  ["working", 40],
  ["acknowledged", 30],
  ["removing", 5],
  ["checkpointing", 20],
  ["closing", 20],
];

/** What is known of all the victims so far. */
interface Known {
  /** Each counter as it was found last. */
  readonly totals: Map<string, number>;
  /** Sessions that must be there, and those that must not. */
  readonly present: Set<string>;
  readonly absent: Set<string>;
}

async function liveAndDie(place: TemporaryPlace, random: SeededRandom, writer: string): Promise<WorkerProcess> {
  const victim = await WorkerProcess.start();
  const [moment, delayMs] = random.pick(moments);
  const times = 1 + random.below(moment === "acknowledged" ? 40 : 3);
  const reached = victim.hears(moment, times);
  const options = {
    limits: { segmentBytes: random.pick([500, 2_000, 8_000]), segmentRetentionBytes: random.pick([0, 20_000]) },
  };
  const life = victim.call("live", { location: place.location, options, writer, sharedKeys, seed: random.below(1e9) });
  reached.catch(() => {});
  life.catch(() => {});
  try {
    // A life has no end: it can only fail.
    await Promise.race([reached, life]);
    await delay(random.between(0, delayMs));
  } finally {
    await victim.kill();
  }
  await life.catch((error: { code?: string }) => {
    if (error.code !== "killed") throw error;
  });
  return victim;
}

async function checkAll(store: SessionStore<Entry>, victims: readonly WorkerProcess[], known: Known): Promise<void> {
  assert.deepEqual(await errorsOf(store), [], "nothing needs repair");
  const found = new Map<string, Entry>();
  for await (const { key, entry } of store.entries()) found.set(key, entry);
  checkCounters(found, victims, known);
  for (const victim of victims) noteShortLived(victim, found, known);
  for (const key of known.present) assert.ok(found.has(key), `${key} was acknowledged and never removed`);
  for (const key of known.absent) assert.ok(!found.has(key), `the removal of ${key} was acknowledged`);
  const listed = (await store.list({ limit: 10_000 })).sessions.map(({ key }) => key);
  assert.deepEqual(listed.sort(), [...found.keys()].sort());
}

function checkCounters(found: ReadonlyMap<string, Entry>, victims: readonly WorkerProcess[], known: Known): void {
  const counters = new Set([...known.totals.keys(), ...victims.flatMap((victim) => victim.subjects("attempt"))]);
  for (const key of counters) {
    const before = known.totals.get(key) ?? 0;
    const total = (found.get(key)?.total as number | undefined) ?? 0;
    const acknowledged = victims.reduce((sum, victim) => sum + victim.count("acknowledged", key), before);
    const attempted = victims.reduce((sum, victim) => sum + victim.count("attempt", key), before);
    assert.ok(acknowledged <= total && total <= attempted, `${key}: ${acknowledged} <= ${total} <= ${attempted}`);
    known.totals.set(key, total);
  }
}

/** What was said last is what must be; what was only begun is what it is, from now on. */
function noteShortLived(victim: WorkerProcess, found: ReadonlyMap<string, Entry>, known: Known): void {
  for (const key of victim.subjects("creating")) {
    const isThere = found.has(key);
    if (victim.count("removed", key) > 0) known.absent.add(key);
    else if (victim.count("removing", key) > 0) (isThere ? known.present : known.absent).add(key);
    else if (victim.count("created", key) > 0) known.present.add(key);
    else (isThere ? known.present : known.absent).add(key);
  }
}

test("after kill -9 at any moment the next open needs no repair and every acknowledged commit is there", {
  timeout: 180_000,
}, async () => {
  await withPlace(async (place) => {
    const random = new SeededRandom(seed);
    const known: Known = { totals: new Map(), present: new Set(), absent: new Set() };
    await (await openSessionStore(place.location)).close();
    for (let round = 0; round < rounds; round += 1) {
      const lives = [0, 1].map((slot) => liveAndDie(place, random.branch(), `${round}-${slot}`));
      const victims = await Promise.all(lives);
      // Most of the time only looked at, so that the next ones find what was left behind.
      const readOnly = random.chance(0.7);
      const store = await openSessionStore<Entry>(place.location, { readOnly });
      try {
        await checkAll(store, victims, known);
      } catch (error) {
        throw new Error(`in round ${round} of seed ${seed}`, { cause: error });
      } finally {
        await store.close();
      }
    }
    assert.ok(known.present.size > 50 && known.absent.size > 50, "enough was done in between");
  });
});
