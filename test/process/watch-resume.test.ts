import assert from "node:assert/strict";
import { test } from "node:test";
import { type OpenOptions, openSessionStore, type SessionChange } from "../../src/index.js";
import { SeededRandom } from "../sim/random.js";
import { type TemporaryPlace, withPlace } from "./support/temporary-store.js";
import { WorkerProcess } from "./support/worker-process.js";

type Entry = Record<string, unknown>;
type Change = SessionChange<Entry>;

const seed = 99;
const stages = 12;
const hotKey = "hot";

/** The next changes behind a cursor, as a process that was just started gets them. */
async function resume(place: TemporaryPlace, since: string, enough: (change: Change) => boolean): Promise<Change[]> {
  const store = await openSessionStore<Entry>(place.location, { readOnly: true });
  const changes: Change[] = [];
  try {
    for await (const change of store.watch({ since })) {
      changes.push(change);
      if (enough(change)) return changes;
    }
    throw new Error("the watch ended by itself");
  } finally {
    await store.close();
  }
}

/** What happens, as a watcher should be told: each step is one commit. */
class Scenario {
  readonly expected: string[] = [];
  hot = 0;
  #next = 0;

  async work(writer: WorkerProcess, random: SeededRandom): Promise<void> {
    for (let left = 20 + random.below(20); left > 0; left -= 1) {
      const key = `event:${this.#next++}`;
      await writer.call("set", { key, entry: { key, ballast: "x".repeat(random.below(200)) } });
      this.expected.push(`put ${key}`);
      if (random.chance(0.2)) {
        await writer.call("remove", { key });
        this.expected.push(`remove ${key}`);
      }
      if (random.chance(0.3)) {
        await writer.call("increment", { writer: "w", keys: [hotKey], count: 1, inFlight: 1, seed: 1 });
        this.hot += 1;
      }
    }
  }

  /** No change lost, none told twice; the session that is patched all the time may be told of in larger steps. */
  check(changes: readonly Change[]): void {
    assert.ok(
      changes.every(({ type }) => type !== "reset"),
      "the history was there all the time",
    );
    const told = changes.filter(({ key }) => key !== hotKey && key !== "end");
    assert.deepEqual(
      told.map(({ type, key }) => `${type} ${key}`),
      this.expected,
    );
    const totals = changes.filter(({ key }) => key === hotKey).map(({ entry }) => (entry as { total: number }).total);
    assert.ok(
      totals.every((total, index) => index === 0 || total > (totals[index - 1] as number)),
      `${totals}`,
    );
    assert.equal(totals.at(-1), this.hot);
  }
}

test("a watcher resumes across rotation, checkpoint, reopening and kills, and neither loses nor repeats a change", {
  timeout: 120_000,
}, async () => {
  await withPlace(async (place) => {
    const random = new SeededRandom(seed);
    const scenario = new Scenario();
    const options: OpenOptions = { limits: { segmentBytes: 1_500 } };
    await using first = await WorkerProcess.start();
    let writer: WorkerProcess = first;
    await writer.call("open", { location: place.location, options });
    const start = await writer.call("cursor");
    // One watcher that stays, and one that comes back again and again with its cursor.
    const staying = resume(place, start, ({ key }) => key === "end");
    const told: Change[] = [];
    try {
      for (let stage = 0; stage < stages; stage += 1) {
        await scenario.work(writer, random);
        const behind = scenario.expected.length - told.filter(({ key }) => key !== hotKey).length;
        const take = random.below(behind) + 1;
        let left = take;
        const since = told.at(-1)?.cursor ?? start;
        told.push(...(await resume(place, since, ({ key }) => key !== hotKey && --left === 0)));
        const next = random.below(3);
        if (next === 0) await writer.call("checkpoint");
        if (next === 1) await writer.call("close");
        if (next === 2) await writer.kill();
        if (next > 0) {
          await writer.kill();
          writer = await WorkerProcess.start();
          await writer.call("open", { location: place.location, options });
        }
      }
      await writer.call("set", { key: "end", entry: {} });
      const since = told.at(-1)?.cursor as string;
      told.push(...(await resume(place, since, ({ key }) => key === "end")));
      scenario.check(told);
      scenario.check(await staying);
    } finally {
      await writer.kill();
    }
  });
});

const keepNothing: OpenOptions = {
  limits: { segmentBytes: 1_500, segmentRetentionMs: 0, segmentRetentionBytes: 0 },
};

test("when the history is gone a watcher gets one reset, and from there on every change", {
  timeout: 60_000,
}, async () => {
  await withPlace(async (place) => {
    await using writer = await WorkerProcess.start();
    await writer.call("open", { location: place.location, options: keepNothing });
    await writer.call("set", { key: "a", entry: { n: 1 } });
    const old = await writer.call("cursor");
    for (let n = 0; n < 30; n += 1) await writer.call("set", { key: `b${n}`, entry: { n } });
    await writer.call("checkpoint");

    let resets = 0;
    const store = await openSessionStore<Entry>(place.location, { readOnly: true });
    const seen: string[] = [];
    for await (const change of store.watch({ since: old })) {
      seen.push(`${change.type} ${change.key}`);
      if (change.type === "reset") {
        resets += 1;
        // Now, as it says: read everything, then go on from its cursor.
        assert.equal((await store.list()).sessions.length, 31);
        await writer.call("set", { key: "after", entry: {} });
        await writer.call("checkpoint");
        await writer.call("set", { key: "end", entry: {} });
      }
      if (change.key === "end") break;
    }
    assert.deepEqual(seen, ["reset undefined", "put after", "put end"]);
    assert.equal(resets, 1);
    await store.close();
  });
});

test("a watcher that missed nothing needs no reset, even if every old segment is gone", {
  timeout: 60_000,
}, async () => {
  await withPlace(async (place) => {
    await using writer = await WorkerProcess.start();
    await writer.call("open", { location: place.location, options: keepNothing });
    for (let n = 0; n < 30; n += 1) await writer.call("set", { key: `a${n}`, entry: { n } });
    const cursor = await writer.call("cursor");
    await writer.call("checkpoint");
    await writer.call("close");
    await writer.call("open", { location: place.location, options: keepNothing });
    await writer.call("set", { key: "end", entry: {} });
    const changes = await resume(place, cursor, () => true);
    assert.deepEqual(
      changes.map(({ type, key }) => `${type} ${key}`),
      ["put end"],
    );
  });
});
