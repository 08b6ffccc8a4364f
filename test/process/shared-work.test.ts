import assert from "node:assert/strict";
import { test } from "node:test";
import { openSessionStore, type SessionStore } from "../../src/index.js";
import { SeededRandom } from "../sim/random.js";
import { errorsOf, journaledVersions, type TemporaryPlace, withPlace } from "./support/temporary-store.js";
import { delay, WorkerProcess } from "./support/worker-process.js";

type Entry = Record<string, unknown>;

const processes = 4;
const incrementsEach = 2_500;
const ownSessions = 100;
const killed = 12;
const killedOneByOne = 4;
const sharedKeys = Array.from({ length: 4 }, (_, index) => `agent:main:shared:${index}`);
const heldKey = sharedKeys[0] as string;
const seed = 20_260_101;

/** Every change that a watcher was told of, up to the session "end". */
async function watchToTheEnd(store: SessionStore<Entry>, since: string): Promise<Map<string, Entry>> {
  const seen = new Map<string, Entry>();
  const versions = new Map<string, number>();
  for await (const change of store.watch({ since })) {
    assert.equal(change.type, "put");
    if (change.type !== "put" || change.key === "end") break;
    const version = Number.parseInt(change.version, 10);
    assert.ok(version > (versions.get(change.key) ?? 0), `the changes of ${change.key} come in order`);
    versions.set(change.key, version);
    seen.set(change.key, change.entry);
  }
  return seen;
}

/** One process after the other is killed shortly after its first acknowledgement. */
async function killSome(place: TemporaryPlace, chain: number): Promise<WorkerProcess[]> {
  const random = new SeededRandom(seed + chain);
  const victims: WorkerProcess[] = [];
  for (let index = 0; index < killedOneByOne; index += 1) {
    const victim = await WorkerProcess.start();
    victims.push(victim);
    await victim.call("open", { location: place.location });
    const acknowledged = victim.hears("acknowledged");
    const writer = `victim-${chain}-${index}`;
    const keys = [...sharedKeys, `agent:main:${writer}`];
    const work = victim.call("increment", { writer, keys, count: 1_000_000, inFlight: 2, seed: random.below(1_000) });
    work.catch(() => {});
    await Promise.race([acknowledged, work]);
    await delay(random.between(0, 50));
    await victim.kill();
  }
  return victims;
}

test("four processes count exactly, beside processes that are killed and one that sits in its function", {
  timeout: 180_000,
}, async () => {
  await withPlace(async (place) => {
    const store = await openSessionStore<Entry>(place.location);
    const watched = watchToTheEnd(store, await store.cursor());
    const holder = await WorkerProcess.start();
    const workers = await Promise.all(Array.from({ length: processes }, () => WorkerProcess.start()));
    try {
      await store.update(heldKey, () => ({ total: 0 }));
      await holder.call("open", { location: place.location });
      const holding = holder.hears("holding");
      let held = "in its function";
      const hold = holder.call("hold", { key: heldKey, writer: "holder" }).then((result) => {
        held = "committed";
        return result;
      });
      await holding;

      const counting = workers.map(async (worker, index) => {
        await worker.call("open", { location: place.location });
        const own = Array.from({ length: ownSessions }, (_, session) => `agent:worker-${index}:own:${session}`);
        const writer = `worker-${index}`;
        const half = { writer, count: incrementsEach / 2, inFlight: 8, seed: seed + index };
        await Promise.all([
          worker.call("increment", { ...half, keys: sharedKeys }),
          worker.call("increment", { ...half, keys: own }),
        ]);
      });
      const killing = Array.from({ length: killed / killedOneByOne }, (_, chain) => killSome(place, chain));
      await Promise.all(counting);
      const victims = (await Promise.all(killing)).flat();

      // Everybody else is done, in this order; only now may the function return.
      assert.equal(held, "in its function");
      const before = await store.get(heldKey);
      await holder.call("release");
      const { runs, seen } = await hold;
      assert.equal(runs, 2, "the function ran again on the fresh session");
      assert.deepEqual(seen, [{ total: 0 }, before]);

      await Promise.all([...workers, holder].map((worker) => worker.call("close")));
      await store.update("end", () => ({}));
      await checkCounts(store, workers, victims, await watched);
      await store.close();
      const versions = journaledVersions(place.directory);
      assert.deepEqual(
        versions,
        versions.map((_, index) => index + 1),
        "versions are dense",
      );
    } finally {
      await Promise.all([...workers, holder].map((worker) => worker.kill()));
      await store.close();
    }
  });
});

async function checkCounts(
  store: SessionStore<Entry>,
  workers: readonly WorkerProcess[],
  victims: readonly WorkerProcess[],
  watched: ReadonlyMap<string, Entry>,
): Promise<void> {
  assert.deepEqual(await errorsOf(store), []);
  const writers = new Map<string, WorkerProcess>();
  for (const [index, worker] of workers.entries()) writers.set(`worker-${index}`, worker);
  for (const [index, victim] of victims.entries()) {
    writers.set(`victim-${Math.floor(index / killedOneByOne)}-${index % killedOneByOne}`, victim);
  }
  assert.equal(victims.length, killed);
  const commits = new Map<string, number>();
  for await (const { key, entry } of store.entries()) {
    if (key === "end") continue;
    assert.deepEqual(watched.get(key), entry, `the watcher saw the last state of ${key}`);
    const { total, holder = 0, ...counts } = entry as Record<string, number>;
    assert.equal(holder, key === heldKey ? 1 : 0);
    assert.equal(
      total,
      holder + sum(Object.values(counts)),
      `no increment of ${key} undid another: ${JSON.stringify(entry)}`,
    );
    for (const [writer, process] of writers) {
      const value = counts[writer] ?? 0;
      const acknowledged = process.count("acknowledged", key);
      const attempted = process.count("attempt", key);
      const range = `${writer} on ${key}: ${acknowledged} <= ${value} <= ${attempted}`;
      if (writer.startsWith("worker")) assert.equal(acknowledged, attempted, range);
      assert.ok(acknowledged <= value && value <= attempted, range);
      commits.set(writer, (commits.get(writer) ?? 0) + value);
    }
  }
  for (const index of workers.keys()) assert.equal(commits.get(`worker-${index}`), incrementsEach);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
