/** Storms: writers that are killed, stopped, threads of one process, and on clocks that nobody should trust. */

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { openSessionStore, SessionStoreError } from "../../src/index.js";
import { SeededRandom } from "../sim/random.js";
import { Ledger } from "./storm/ledger.js";
import { type ClockName, clocks, type PortWish } from "./storm/ports.js";
import {
  assertNothingLost,
  lifeOf,
  smallSegments,
  untilStopped,
  WriterThreadHandle,
  withWriters,
} from "./storm/supervise.js";
import { killStorm } from "./storm.js";
import { withPlace } from "./support/temporary-store.js";

type Entry = Record<string, unknown>;

const timeout = 120_000;
const posix = { timeout, skip: process.platform === "win32" && "skipped: needs posix signals" };
const linux = { timeout, skip: process.platform !== "linux" && "skipped: needs linux (/proc)" };

for (const [writers, kills] of [
  [2, 12],
  [4, 16],
  [8, 24],
] as const) {
  test(
    `kill -9 of ${writers} writers at any moment loses nothing, shows nothing in part, brings nothing back`,
    posix,
    async () => {
      const { problems, ...counts } = await killStorm({ writers, kills, seed: 2_000 + writers, longPauses: 0.15 });
      assert.deepEqual(problems, []);
      assert.ok(counts.wrongClocks > 0 && counts.longPauses > 0, JSON.stringify(counts));
      assert.ok(counts.kills >= kills && counts.acknowledgements > 0, JSON.stringify(counts));
      assert.deepEqual([counts.lost, counts.partlyVisible, counts.resurrected], [0, 0, 0]);
    },
  );
}

test(
  "writers that are stopped 20 times in the middle of their work go on each time, and lose nothing",
  posix,
  async () => {
    await withPlace(async ({ location }) => {
      const random = new SeededRandom(7);
      const ledger = new Ledger(3);
      let pauses = 0;
      await withWriters(3, ledger, async (writers) => {
        // They live until they are killed: each is at work whenever it is stopped.
        for (const [slot, writer] of writers.entries()) writer.begin(lifeOf(location, slot));
        while (pauses < 20) {
          const writer = random.pick(writers);
          assert.ok(await writer.says("began", 1 + random.below(4)));
          writer.child.kill("SIGSTOP");
          await delay(random.between(1, 40));
          const goesOn = writer.says("acknowledged");
          writer.child.kill("SIGCONT");
          assert.ok(await goesOn);
          pauses += 1;
        }
      });
      assert.equal(pauses, 20);
      await assertNothingLost(location, ledger);
    });
  },
);

/** Where a writer falls asleep, and whether it holds the commit lock there. */
const sleeps: readonly (readonly [wish: NonNullable<PortWish["stopAt"]>, holdsLock: boolean])[] = [
  [{ method: "append", call: 5, when: "before" }, true],
  [{ method: "append", call: 5, when: "after" }, true],
  [{ method: "unlock", call: 6, when: "before" }, true],
  [{ method: "syncFile", call: 4, when: "before" }, false],
  [{ method: "syncFile", call: 4, when: "after" }, false],
];

for (const [stopAt, holdsLock] of sleeps) {
  const where = `${stopAt.when} its ${stopAt.method}`;
  const others = holdsLock ? "others get lock_timeout and its name" : "others go on";
  test(`a writer is stopped ${where}: ${others}, and nothing is lost when it goes on`, linux, async () => {
    await withPlace(async ({ location }) => {
      // Without rotation, so that the call is one of a commit.
      const options = { lockWaitMs: 150 };
      const store = await openSessionStore<Entry>(location, options);
      const ledger = new Ledger(1);
      try {
        await withWriters(1, ledger, async ([writer]) => {
          const stopping = writer!.says("stopping");
          const life = lifeOf(location, 0, { options: {}, operations: 30, wish: { stopAt } });
          const finished = writer!.liveThrough(life);
          assert.ok(await stopping);
          await untilStopped(writer!.child.pid!);
          const count = () => store.update("agent:main:other", (current) => ({ n: ((current?.n as number) ?? 0) + 1 }));
          if (holdsLock) {
            for (let attempt = 0; attempt < 2; attempt += 1) {
              await assert.rejects(count(), (error) => {
                assert.ok(error instanceof SessionStoreError && error.code === "lock_timeout", String(error));
                return error.message.includes(`pid ${writer!.child.pid}`);
              });
            }
            assert.equal(await store.get("agent:main:other"), undefined, "what timed out was not written");
          } else {
            await count();
            assert.deepEqual(await store.get("agent:main:other"), { n: 1 });
          }
          writer!.child.kill("SIGCONT");
          await finished;
          await count();
          assert.deepEqual(await store.get("agent:main:other"), { n: holdsLock ? 1 : 2 });
        });
      } finally {
        await store.close();
      }
      await assertNothingLost(location, ledger);
    });
  });
}

/** Where a process falls asleep in the middle of a checkpoint: the names are those of entry files, segments and the manifest. */
for (const stopAt of [
  { method: "rename", call: 2, when: "before" },
  { method: "rename", call: 5, when: "after" },
  { method: "unlink", call: 1, when: "before" },
] as const) {
  test(
    `a process is stopped inside a checkpoint, ${stopAt.when} its ${stopAt.method} ${stopAt.call}: others commit and read, and nothing is lost`,
    linux,
    async () => {
      await withPlace(async ({ location }) => {
        const store = await openSessionStore<Entry>(location, { ...smallSegments, lockWaitMs: 150 });
        const ledger = new Ledger(1);
        try {
          await withWriters(1, ledger, async ([writer]) => {
            const stopping = writer!.says("stopping");
            const finished = writer!.liveThrough(lifeOf(location, 0, { operations: 120, wish: { stopAt } }));
            assert.ok(await stopping, "it came to a checkpoint");
            await untilStopped(writer!.child.pid!);
            for (let n = 1; n <= 40; n += 1)
              await store.update("agent:main:other", () => ({ n, ballast: "x".repeat(200) }));
            assert.equal((await store.get("agent:main:other"))?.n, 40);
            const reader = await openSessionStore<Entry>(location, { readOnly: true });
            assert.equal((await reader.get("agent:main:other"))?.n, 40);
            await reader.close();
            writer!.child.kill("SIGCONT");
            await finished;
          });
          await store.checkpoint();
          assert.equal((await store.get("agent:main:other"))?.n, 40);
        } finally {
          await store.close();
        }
        await assertNothingLost(location, ledger);
      });
    },
  );
}

test("threads of one process exclude each other, and one that is terminated leaves no lock behind", {
  timeout,
}, async () => {
  await withPlace(async ({ location, parent }) => {
    const random = new SeededRandom(11);
    const ledger = new Ledger(4);
    await (await openSessionStore(location)).close();
    const threads = [0, 1, 2, 3].map((slot) => {
      const life = lifeOf(location, slot, slot < 2 ? { operations: 80 } : {});
      return new WriterThreadHandle(life, path.join(parent, `thread-${slot}.log`));
    });
    for (const victim of threads.slice(2)) {
      await victim.untilSaid(20 + random.below(60));
      await victim.worker.terminate();
    }
    await Promise.all(threads.map(({ ended }) => ended));
    for (const [slot, thread] of threads.entries()) thread.tellAll(ledger, slot);
    assert.ok(ledger.counts.acknowledgements >= 2 * 80, "the others worked to their end");
    await assertNothingLost(location, ledger);
  });
});

test("writers whose clocks are behind, ahead, frozen, jumping or running backwards lose nothing together", {
  timeout,
}, async () => {
  await withPlace(async ({ location }) => {
    const names = Object.keys(clocks) as ClockName[];
    const wishes: PortWish[] = [{}, ...names.map((clock) => ({ clock }))];
    const ledger = new Ledger(wishes.length);
    await withWriters(wishes.length, ledger, async (writers) => {
      await Promise.all(
        writers.map((writer, slot) => {
          return writer.liveThrough(lifeOf(location, slot, { operations: 40, wish: wishes[slot]! }));
        }),
      );
    });
    assert.equal(ledger.counts.acknowledgements, wishes.length * 40);
    await assertNothingLost(location, ledger);
  });
});

for (const clock of Object.keys(clocks) as ClockName[]) {
  test(`a store whose every writer has a clock ${clock} works and stays bounded`, { timeout }, async () => {
    await withPlace(async ({ location, directory }) => {
      const ledger = new Ledger(1);
      await withWriters(1, ledger, async ([writer]) => {
        await writer!.liveThrough(lifeOf(location, 0, { operations: 150, wish: { clock } }));
      });
      assert.equal(ledger.counts.acknowledgements, 150);
      const journal = journalBytes(directory);
      // Retention keeps 8,000 bytes of checkpointed segments beside the live ones.
      assert.ok(journal < 40_000, `${journal} bytes of journal`);
      await assertNothingLost(location, ledger);
    });
  });
}

function journalBytes(directory: string): number {
  const journal = path.join(directory, "journal");
  return fs.readdirSync(journal).reduce((sum, name) => sum + fs.statSync(path.join(journal, name)).size, 0);
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
