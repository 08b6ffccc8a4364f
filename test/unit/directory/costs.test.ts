/**
 * What operations cost, counted at the port. These are the promises that make the store fast however large it is; no
 * clock is involved, so nothing here depends on the machine.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import type { SessionStore } from "../../../src/api.js";
import type { Port } from "../../../src/fs/port.js";
import { openBackend } from "../../../src/open-backend.js";
import { checkOpenOptions } from "../../../src/open-options.js";
import { createSessionStore } from "../../../src/store.js";
import { CountingPort } from "../../sim/counting-port.js";
import type { PortCall } from "../../sim/intercepted-port.js";
import { SimulatedMachine } from "../../sim/machine.js";

type Entry = Record<string, unknown>;
type Options = Parameters<typeof checkOpenOptions>[0];

const legacyPath = "/home/agent/sessions.json";
const entriesPath = "/home/agent/sessions.d/entries/";
const lockPath = "/home/agent/sessions.d.lock";

interface Opened {
  readonly store: SessionStore<Entry>;
  readonly port: WatchedPort;
}

/** Also knows when the commit lock is held. */
class WatchedPort extends CountingPort {
  /** Appends, and whether the commit lock was held. */
  appends: { path: string; held: boolean }[] = [];
  /** Waits - for the disk, a timer, the event loop - that came to their end while the lock was held. */
  waitsEndedUnderLock = 0;
  #held = false;

  protected override intercept<T>(call: PortCall, proceed: (sizeBytes?: number) => T): T {
    const result = super.intercept(call, proceed);
    if (call.path === lockPath && call.method === "tryLock" && result === true) this.#held = true;
    if (call.path === lockPath && call.method === "unlock") this.#held = false;
    if (call.method === "append") this.appends.push({ path: call.path, held: this.#held });
    const noteEnd = () => {
      if (this.#held) this.waitsEndedUnderLock += 1;
    };
    if (result instanceof Promise) result.then(noteEnd, noteEnd);
    return result;
  }
}

/** Runs `body` on a machine of its own; every handle counts its own calls. */
async function onMachine(
  sessions: Record<string, Entry>,
  body: (open: (options?: Options) => Promise<Opened>) => Promise<void>,
): Promise<void> {
  const machine = new SimulatedMachine();
  machine.makeDirectory("/home/agent");
  machine.writeFile(legacyPath, JSON.stringify(sessions));
  const outcome = await machine.process().run(async (inner) => {
    const opened: Opened[] = [];
    await body(async (options) => {
      const handle = await open(inner, options);
      opened.push(handle);
      return handle;
    });
    for (const { store } of opened) await store.close();
  });
  if (outcome.status === "failed") throw outcome.error;
  assert.equal(outcome.status, "returned");
  assert.deepEqual(machine.misuses, []);
}

async function open(inner: Port, options: Options): Promise<Opened> {
  const port = new WatchedPort(inner, { trace: true });
  const checked = checkOpenOptions(options);
  const backend = await openBackend(port, legacyPath, checked);
  return { port, store: createSessionStore<Entry>(backend, { clock: port }) };
}

/** Only what touches files; the clock and random numbers cost nothing worth a promise. */
function fileCalls(port: CountingPort): string[] {
  return port.trace.filter(({ path }) => path !== "").map(({ method }) => method);
}

const largeEntry: Entry = {
  sessionId: "3c7f1f2e",
  updatedAt: 1_760_000_000_000,
  skillsSnapshot: { prompt: "s".repeat(41_000) },
  systemPromptReport: { text: "t".repeat(159_000) },
};

type Change = (store: SessionStore<Entry>, updatedAt: number) => Promise<unknown>;
const changes: Record<string, Change> = {
  "a patch of one field": (store, updatedAt) => store.patch("large", { updatedAt }),
  "an update whose function changes one field": (store, updatedAt) =>
    store.update("large", (current) => ({ ...current, updatedAt })),
  "a transaction that changes one field": (store, updatedAt) =>
    store.transaction((transaction) => transaction.patch("large", { updatedAt })),
};

for (const [what, change] of Object.entries(changes)) {
  test(`${what} of a 200 KB entry appends one record of less than 1 KB with one call`, async () => {
    await onMachine({ large: largeEntry }, async (openOne) => {
      const { store, port } = await openOne();
      // The first record of a segment also names the store: once with it and once without it.
      for (const updatedAt of [1, 2]) {
        port.reset();
        await change(store, updatedAt);
        assert.ok(port.counts.bytesAppended < 1_024, `${port.counts.bytesAppended} bytes`);
        assert.equal(port.count("append"), 1);
        assert.equal(port.count("rename") + port.count("setMode") + port.count("truncate"), 0);
      }
      assert.deepEqual(await store.get("large"), { ...largeEntry, updatedAt: 2 });
    });
  });
}

test("a commit appends once, and waits for nothing while it holds the lock", async () => {
  await onMachine({ a: { n: 0 }, b: { n: 0 } }, async (openOne) => {
    const { store, port } = await openOne({ limits: { segmentBytes: 600 } });
    port.reset();
    port.appends = [];
    const commits = 40;
    for (let n = 1; n <= commits / 2; n += 1) {
      await Promise.all(["a", "b"].map((key) => store.update(key, (current) => ({ ...current, n }))));
    }
    await store.checkpoint();
    assert.equal(port.waitsEndedUnderLock, 0);
    const inJournal = port.appends.filter(({ path }) => path.includes("/journal/"));
    assert.ok(
      inJournal.every(({ held }) => held),
      "nothing is appended to the journal without the lock",
    );
    const successors = port.trace.filter(({ method, path }) => method === "setMode" && path.includes("/journal/"));
    assert.ok(successors.length > 3, "the journal was rotated meanwhile");
    assert.equal(inJournal.length, commits + successors.length, "one for each commit, and one for each seal");
  });
});

test("the folder that the store lies in is looked at once a second, however many commits there are", async () => {
  await onMachine({ a: { n: 0 } }, async (openOne) => {
    const { store, port } = await openOne();
    for (const looks of [0, 1]) {
      await port.sleep(looks * 1_000);
      port.reset();
      for (let n = 1; n <= 20; n += 1) await store.update("a", (current) => ({ ...current, n }));
      assert.equal(port.count("statRoot"), looks);
      assert.ok(port.count("statName") >= 20, "the store's own name is looked at each time");
    }
  });
});

test("commits that are made at once share a sync", async () => {
  await onMachine({}, async (openOne) => {
    const { store, port } = await openOne();
    await store.update("first", () => ({}));
    port.reset();
    await Promise.all(Array.from({ length: 100 }, (_, n) => store.update(`session ${n}`, () => ({ n }))));
    assert.equal(port.count("append"), 100);
    assert.ok(port.count("syncFile") <= 4, `${port.count("syncFile")} syncs`);
  });
});

test("a warm get of an unchanged session is one stat", async () => {
  await onMachine({ a: { n: 1 } }, async (openOne) => {
    const { store, port } = await openOne();
    await store.get("a");
    await store.get("absent");
    for (const key of ["a", "absent"]) {
      port.reset();
      await store.get(key);
      assert.deepEqual(
        port.trace.map(({ method }) => method),
        ["stat"],
      );
    }
  });
});

/** By the simulated clock: from then on a process that writes by itself begins with what it knows. */
const longAfterOthersMs = 1_000;

test("an update right behind another one looks at the end of the journal once, under the lock", async () => {
  await onMachine({ a: { n: 0, kept: 0 } }, async (openOne) => {
    const { store, port } = await openOne({ durability: "interval" });
    await port.sleep(longAfterOthersMs);
    for (let n = 1; n <= 2; n += 1) await store.update("a", (current) => ({ ...current, n }));
    port.reset();
    await store.update("a", (current) => ({ ...current, n: 3 }));
    const looks = port.trace.filter(({ method, path }) => method === "stat" && path.includes("/journal/"));
    assert.equal(looks.length, 1);
  });
});

// Fails without the second looks in `updateSession` and `patchSession`.
test("what another handle changed right before an update is what the update's function decides on", async () => {
  await onMachine({ a: { n: 0, kept: 0 } }, async (openOne) => {
    const mine = await openOne({ durability: "interval" });
    const theirs = await openOne({ durability: "interval" });
    const interfere = async (n: number) => {
      await mine.store.get("a");
      await mine.port.sleep(longAfterOthersMs);
      await mine.store.update("a", (current) => ({ ...current, n: 0, mine: n }));
      await theirs.store.update("a", (current) => ({ ...current, n }));
    };
    await interfere(1);
    await mine.store.update("a", (current) => ({ ...current, seen: current?.n }));
    assert.deepEqual(await theirs.store.get("a"), { n: 1, kept: 0, mine: 1, seen: 1 });

    await interfere(2);
    assert.equal((await mine.store.update("a", () => undefined))?.n, 2, "no change is an answer to the present state");

    await interfere(3);
    await mine.store.update("a", (current) => {
      if (current?.n !== 3) throw new Error("an error that only an old state gives");
      return undefined;
    });

    await interfere(4);
    await mine.store.patch("a", { n: 0 });
    assert.equal((await theirs.store.get("a"))?.n, 0, "a patch that only an old state makes void is made");
  });
});

const thousands = Object.fromEntries(
  Array.from({ length: 10_000 }, (_, n) => [`agent:main:direct:${n}`, { n, updatedAt: 1 }]),
);
const changedKey = "agent:main:direct:5000";

test("after another handle changed one of 10,000 sessions, a get reads one record and no directory", async () => {
  await onMachine(thousands, async (openOne) => {
    const first = await openOne();
    const second = await openOne();
    await first.store.get(changedKey);
    await first.store.get("agent:main:direct:1");
    await first.store.list();

    // With the entry in the cache: a stat, and the record.
    second.port.reset();
    await second.store.patch(changedKey, { updatedAt: 2 });
    first.port.reset();
    assert.deepEqual(await first.store.get(changedKey), { n: 5000, updatedAt: 2 });
    assert.deepEqual(fileCalls(first.port), ["stat", "read"]);
    assert.equal(first.port.counts.bytesRead, second.port.counts.bytesAppended);

    // Whoever is not concerned reads nothing more.
    first.port.reset();
    assert.deepEqual(await first.store.get("agent:main:direct:1"), { n: 1, updatedAt: 1 });
    assert.deepEqual(fileCalls(first.port), ["stat"]);

    // The list too is brought up to date by what changed.
    second.port.reset();
    await second.store.patch(changedKey, { updatedAt: 3 });
    first.port.reset();
    const [newest] = (await first.store.list({ limit: 1 })).sessions;
    assert.equal(newest?.key, changedKey);
    assert.equal(first.port.counts.bytesRead, second.port.counts.bytesAppended);
    assertNoDirectory(first.port);
  });
});

test("a session that is not in the cache costs its own file, and nothing else", async () => {
  await onMachine(thousands, async (openOne) => {
    const first = await openOne();
    const second = await openOne();
    second.port.reset();
    await second.store.patch(changedKey, { updatedAt: 2 });
    const recordBytes = second.port.counts.bytesAppended;
    first.port.reset();
    assert.deepEqual(await first.store.get(changedKey), { n: 5000, updatedAt: 2 });
    assert.equal(first.port.count("open"), 1);
    assertNoDirectory(first.port);
    const reads = [...first.port.counts.byPath.keys()].filter((call) => call.startsWith("read "));
    assert.equal(reads.length, 2, "the journal and one entry file");
    assert.ok(first.port.counts.bytesRead < recordBytes + 1_000);

    first.port.reset();
    await first.store.get("agent:main:direct:77");
    assert.equal(first.port.count("open"), 1);
    assertNoDirectory(first.port);
  });
});

function assertNoDirectory(port: CountingPort): void {
  for (const method of ["list", "listInBatches", "openDirectory", "openRoot"] as const) {
    assert.equal(port.count(method), 0, method);
  }
}

test("opening reads the manifest and the journal, and no entry", async () => {
  await onMachine(thousands, async (openOne) => {
    await (await openOne()).store.close();
    const { port } = await openOne();
    assert.ok(port.counts.calls < 150, `${port.counts.calls} calls`);
    for (const call of port.counts.byPath.keys()) assert.ok(!call.includes(entriesPath), call);
  });
});

test("the cache holds no more than cacheBytes, whatever is read and written", async () => {
  const cacheBytes = 100_000;
  const sessions = Object.fromEntries(Array.from({ length: 500 }, (_, n) => [`s${n}`, { text: "x".repeat(n * 4) }]));
  await onMachine(sessions, async (openOne) => {
    const { store } = await openOne({ cacheBytes });
    let largest = 0;
    const look = async () => {
      const { cachedBytes } = await store.stats();
      assert.ok((cachedBytes as number) <= cacheBytes, `${cachedBytes} bytes`);
      largest = Math.max(largest, cachedBytes as number);
    };
    for (let n = 0; n < 500; n += 1) {
      await store.get(`s${n}`);
      if (n % 50 === 0) await look();
    }
    for (let n = 0; n < 500; n += 5) await store.patch(`s${n}`, { n });
    await look();
    await store.update("larger than the cache", () => ({ text: "x".repeat(cacheBytes * 2) }));
    await store.checkpoint();
    assert.equal(((await store.get("larger than the cache")) as { text: string }).text.length, cacheBytes * 2);
    await look();
    assert.ok(largest > cacheBytes / 2, "the cache was used");
  });
});
