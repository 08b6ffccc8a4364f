/** Writers on a disk that is full, with few descriptors, a file size limit, or a mount that became read-only. */

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { type OpenOptions, openSessionStore, type SessionStore, SessionStoreError } from "../../src/index.js";
import { SeededRandom } from "../sim/random.js";
import { temporaryFilesIn } from "./full-disk.js";
import { Ledger } from "./storm/ledger.js";
import type { Said } from "./storm/sessions.js";
import { assertNothingLost, lifeOf, smallSegments, withWriters } from "./storm/supervise.js";
import { WriterProcess } from "./storm/writer-process.js";
import { fillDisk, mountAgain, tmpfs, withSmallDisk } from "./support/mounts.js";
import { errorsOf, withPlace } from "./support/temporary-store.js";

type Entry = Record<string, unknown>;
type Store = SessionStore<Entry>;

const timeout = 120_000;
const posix = { timeout, skip: process.platform === "win32" && "skipped: needs posix (ulimit)" };
const missing = tmpfs("1m").missing;
const mounting = { timeout, skip: missing !== undefined && `skipped: ${missing}` };

/** What is done to a full store: each either succeeds or says why not, and the book knows which. */
class Filler {
  readonly expected = new Map<string, Entry>();
  readonly codes = new Map<string, number>();
  readonly #store: Store;
  readonly #random: SeededRandom;
  #number = 0;

  constructor(store: Store, random: SeededRandom) {
    this.#store = store;
    this.#random = random;
  }

  /** True when it was done. */
  async doSomething(): Promise<boolean> {
    const n = ++this.#number;
    const entry = { n, ballast: "x".repeat(this.#random.below(6_000)) };
    const known = [...this.expected.keys()];
    const choice = known.length < 3 ? 0 : this.#random.below(10);
    const key = choice < 5 ? `s${n}` : this.#random.pick(known);
    if (choice < 5) {
      return this.#try(
        () => this.#store.update(key, () => entry),
        () => this.expected.set(key, entry),
      );
    }
    if (choice < 7) {
      const patched = { ...this.expected.get(key), touched: n };
      return this.#try(
        () => this.#store.patch(key, { touched: n }),
        () => this.expected.set(key, patched),
      );
    }
    if (choice < 8) {
      return this.#try(
        () => this.#store.remove(key),
        () => this.expected.delete(key),
      );
    }
    if (choice < 9)
      return this.#try(
        () => this.#store.checkpoint(),
        () => {},
      );
    const keys = [key, `t${n}`];
    const both = () =>
      this.#store.transaction((transaction) => {
        for (const each of keys) transaction.set(each, entry);
      });
    return this.#try(both, () => {
      for (const each of keys) this.expected.set(each, entry);
    });
  }

  async #try(attempt: () => Promise<unknown>, remember: () => unknown): Promise<boolean> {
    try {
      await attempt();
    } catch (error) {
      if (!(error instanceof SessionStoreError)) throw error;
      this.codes.set(error.code, (this.codes.get(error.code) ?? 0) + 1);
      return false;
    }
    remember();
    return true;
  }

  async check(store: Store): Promise<void> {
    const found = new Map<string, Entry>();
    for await (const { key, entry } of store.entries()) found.set(key, entry);
    assert.deepEqual(new Map([...found].sort()), new Map([...this.expected].sort()));
  }
}

for (const durability of ["commit", "interval"] as const) {
  test(
    `a full disk is disk_full and nothing else; nothing is lost, and freed space is used (${durability})`,
    mounting,
    async () => {
      await withSmallDisk(tmpfs("1m"), async ({ parent, location, directory }) => {
        const random = new SeededRandom(durability.length);
        const options: OpenOptions = {
          durability,
          limits: { segmentBytes: 20_000, segmentRetentionMs: 0, segmentRetentionBytes: 0 },
        };
        let store: Store = await openSessionStore<Entry>(location, options);
        const filler = new Filler(store, random);
        const ballast = path.join(parent, "ballast");
        try {
          for (let round = 0; round < 8; round += 1) {
            // A little room, in pages; then nothing; then all of it.
            const full = fillDisk(ballast, 4_096 * random.below(20));
            let refusals = 0;
            for (let attempts = 0; refusals < 12 && attempts < 400; attempts += 1) {
              if (!(await filler.doSomething())) refusals += 1;
            }
            assert.ok(full > 0 && refusals === 12, "the disk was full");
            await filler.check(store);
            const reader = await openSessionStore<Entry>(location, { readOnly: true });
            await filler.check(reader);
            await reader.close();
            fs.rmSync(ballast);
            assert.ok(await filler.doSomething(), `works again at once: ${JSON.stringify([...filler.codes])}`);
            await store.checkpoint();
            await filler.check(store);
            assert.deepEqual(await errorsOf(store), []);
          }
          assert.deepEqual([...filler.codes.keys()], ["disk_full"]);
          // A trash that is full of removed sessions is no leak; half-written files would be.
          assert.deepEqual(temporaryFilesIn(directory), []);
        } finally {
          await store.close();
        }
        store = await openSessionStore<Entry>(location);
        await filler.check(store);
        await store.close();
      });
    },
  );
}

test(
  "writers are killed on a full disk, and everything acknowledged is there when there is room again",
  mounting,
  async () => {
    await withSmallDisk(tmpfs("1m"), async ({ parent, location }) => {
      const ledger = new Ledger(2);
      const ballast = path.join(parent, "ballast");
      await (await openSessionStore(location)).close();
      for (let round = 0; round < 3; round += 1) {
        fillDisk(ballast, 4_096 * (2 + round * 6));
        await withWriters(2, ledger, async (writers) => {
          await Promise.all(
            writers.map(async (writer, slot) => {
              const heard = writer.says("refused", 5 + 3 * slot);
              writer.begin(lifeOf(location, slot, { name: `${slot}-${round}`, seed: round * 2 + slot }));
              await heard;
              await writer.kill();
            }),
          );
        });
        // A writer that cannot even open the store may say so and end.
        assert.deepEqual(
          ledger.problems.splice(0).filter((text) => !/disk_full|ENOSPC/.test(text)),
          [],
        );
        fs.rmSync(ballast);
        await assertNothingLost(location, ledger, ["disk_full"]);
      }
      assert.ok((ledger.refusals.get("disk_full") ?? 0) > 0);
    });
  },
);

test(
  "a mount that became read-only is read_only for writers; readers go on, and so does everybody afterwards",
  mounting,
  async () => {
    await withSmallDisk(tmpfs("4m"), async ({ parent, location }) => {
      const store = await openSessionStore<Entry>(location, smallSegments);
      for (let n = 0; n < 50; n += 1) await store.update(`s${n}`, () => ({ n }));
      await store.close();
      const before = await openSessionStore<Entry>(location, { readOnly: true });
      assert.ok(mountAgain(parent, "ro"));
      await assert.rejects(openSessionStore(location), (error) => {
        return error instanceof SessionStoreError && error.code === "read_only";
      });
      const after = await openSessionStore<Entry>(location, { readOnly: true });
      for (const reader of [before, after]) {
        assert.deepEqual(await reader.get("s7"), { n: 7 });
        assert.equal((await reader.list({ limit: 1_000 })).sessions.length, 50);
        assert.deepEqual(await errorsOf(reader), []);
      }
      assert.ok(mountAgain(parent, "rw"));
      const again = await openSessionStore<Entry>(location);
      await again.update("s7", () => ({ n: 8 }));
      assert.deepEqual(await before.get("s7"), { n: 8 });
      for (const each of [again, before, after]) await each.close();
    });
  },
);

/** As many as `ulimit -n 40` leaves a Node process: enough to open the store and to do anything with it. */
const descriptorsEnough = 22;

for (const descriptorsLeft of [0, 4, 7, 8, 9, 10, descriptorsEnough]) {
  test(
    `with ${descriptorsLeft} file descriptors left a writer works or says too_many_files, and leaks none`,
    posix,
    async () => {
      await withPlace(async ({ location }) => {
        const ledger = new Ledger(1);
        await (await openSessionStore(location)).close();
        // Node itself needs more than that to load a program, so they are taken away when it runs.
        const free = new Set<number>();
        const hear = (said: Said) => {
          ledger.hear(0, said);
          if (said[0] === "free") free.add(said[1]);
        };
        await using writer = await WriterProcess.start(hear, "ulimit -n 256");
        const finished = writer.says("finished");
        writer.begin(lifeOf(location, 0, { operations: 150, wish: { descriptorsLeft } }));
        const worked = await finished;
        await writer.kill();
        const broken = ledger.problems.splice(0);
        assert.deepEqual(
          broken.filter((text) => !text.includes("(EMFILE)")),
          [],
        );
        assert.equal(broken.length, worked ? 0 : 1, "it worked, or it said why it could not open the store");
        const refusals = [...ledger.refusals];
        if (descriptorsLeft === 0) assert.ok(!worked);
        if (descriptorsLeft === descriptorsEnough) assert.deepEqual([worked, refusals], [true, []]);
        // A leak would show as fewer and fewer; Node itself may take two for good, at some moment.
        const range = `free whenever the store is closed: ${[...free]}`;
        assert.ok(Math.min(...free) >= descriptorsLeft - 2 && Math.max(...free) <= descriptorsLeft, range);
        await assertNothingLost(location, ledger, ["too_many_files"]);
      });
    },
  );
}

test("a limit on the size of files is disk_full, and loses nothing of what fitted", posix, async () => {
  await withPlace(async ({ location }) => {
    const ledger = new Ledger(1);
    // 6 blocks of 512 bytes: less than the segments want to have.
    await using writer = await WriterProcess.start((said) => ledger.hear(0, said), "ulimit -f 6");
    const options: OpenOptions = { limits: { segmentBytes: 1_000_000 } };
    await writer.liveThrough(lifeOf(location, 0, { options, operations: 200 }));
    assert.ok(ledger.counts.acknowledgements > 0 && (ledger.refusals.get("disk_full") ?? 0) > 0);
    await writer.kill();
    await assertNothingLost(location, ledger, ["disk_full"]);
  });
});
