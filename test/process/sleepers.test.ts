import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { type OpenOptions, openSessionStore, SessionStoreError } from "../../src/index.js";
import { snapshotTree } from "../unit/migrate/support.js";
import { errorsOf, withPlace } from "./support/temporary-store.js";
import { WorkerProcess } from "./support/worker-process.js";

type Entry = Record<string, unknown>;

const skip = process.platform === "win32" && "skipped: needs posix signals";
const timeout = 60_000;
const keepNothing: OpenOptions = {
  limits: { segmentBytes: 1_000, segmentRetentionMs: 0, segmentRetentionBytes: 0 },
};

/** Stops a process, does something meanwhile, and lets it go on. */
async function whileStopped(sleeper: WorkerProcess, body: () => Promise<void>): Promise<void> {
  sleeper.child.kill("SIGSTOP");
  try {
    await body();
  } finally {
    sleeper.child.kill("SIGCONT");
  }
}

function segmentsIn(directory: string): string[] {
  return fs.readdirSync(path.join(directory, "journal")).sort();
}

for (const readOnly of [false, true]) {
  const who = readOnly ? "reader" : "writer";
  test(`P2: a ${who} that slept through rotation, checkpoint and unlinking reads what is there now`, {
    skip,
    timeout,
  }, async () => {
    await withPlace(async (place) => {
      const store = await openSessionStore<Entry>(place.location, keepNothing);
      try {
        for (let n = 0; n < 20; n += 1) await store.update(`s${n}`, () => ({ n, round: 0 }));
        await using sleeper = await WorkerProcess.start();
        await sleeper.call("open", { location: place.location, options: { ...keepNothing, readOnly } });
        // Whatever it may remember, it remembers now: entries, absence, the list.
        assert.deepEqual(await sleeper.call("get", { key: "s1" }), { n: 1, round: 0 });
        assert.deepEqual(await sleeper.call("get", { key: "s2" }), { n: 2, round: 0 });
        assert.equal(await sleeper.call("get", { key: "new" }), undefined);
        assert.equal((await sleeper.call("list")).length, 20);
        const before = segmentsIn(place.directory);

        await whileStopped(sleeper, async () => {
          for (let round = 1; round <= 3; round += 1) {
            for (let n = 0; n < 20; n += 1) {
              if (n !== 2) await store.patch(`s${n}`, { round });
            }
            await store.checkpoint();
          }
          await store.remove("s2");
          await store.update("new", () => ({ round: 3 }));
          await store.checkpoint();
          assert.ok(
            segmentsIn(place.directory).every((name) => !before.includes(name)),
            "its segment is gone",
          );
        });

        assert.deepEqual(await sleeper.call("get", { key: "s1" }), { n: 1, round: 3 });
        assert.equal(await sleeper.call("get", { key: "s2" }), undefined);
        assert.deepEqual(await sleeper.call("get", { key: "new" }), { round: 3 });
        const listed = await sleeper.call("list");
        assert.ok(listed.length === 20 && listed.includes("new") && !listed.includes("s2"), listed.join(" "));
        const all = await sleeper.call("getAll");
        assert.ok(all.every(([, entry]) => entry.round === 3) && all.length === 20);
        if (readOnly) return;
        // And what it writes now is on top of that.
        await sleeper.call("increment", { writer: "sleeper", keys: ["s1"], count: 3, inFlight: 1, seed: 1 });
        assert.deepEqual(await store.get("s1"), { n: 1, round: 3, total: 3, sleeper: 3 });
        assert.deepEqual(await errorsOf(store), []);
      } finally {
        await store.close();
      }
    });
  });
}

test("a process that is stopped in the middle of its writes undoes nothing that others wrote meanwhile", {
  skip,
  timeout,
}, async () => {
  await withPlace(async (place) => {
    const store = await openSessionStore<Entry>(place.location, keepNothing);
    try {
      await using sleeper = await WorkerProcess.start();
      await sleeper.call("open", { location: place.location, options: { ...keepNothing, lockWaitMs: 60_000 } });
      let expected = 0;
      for (let round = 0; round < 8; round += 1) {
        const acknowledged = sleeper.hears("acknowledged", 3 + round);
        const work = sleeper.call("increment", { writer: "s", keys: ["s"], count: 20, inFlight: 2, seed: round });
        await acknowledged;
        // It may hold a lock just now - then we have to wait for it, and it goes on meanwhile.
        sleeper.child.kill("SIGSTOP");
        const ours = store.update("s", (current) => ({ ...current, total: ((current?.total as number) ?? 0) + 1 }));
        await Promise.race([ours, new Promise((resolve) => setTimeout(resolve, 100))]);
        sleeper.child.kill("SIGCONT");
        await Promise.all([ours, work]);
        expected += 21;
        assert.equal((await store.get("s"))?.total, expected);
        await store.checkpoint();
      }
      assert.deepEqual(await errorsOf(store), []);
    } finally {
      await store.close();
    }
  });
});

test("P20: whoever slept while the store was moved away writes nothing into it, and says store_gone", {
  skip,
  timeout,
}, async () => {
  await withPlace(async (place) => {
    await using sleeper = await WorkerProcess.start();
    await using second = await WorkerProcess.start();
    await sleeper.call("open", { location: place.location });
    await sleeper.call("set", { key: "s", entry: { n: 1 } });
    await second.call("open", { location: place.location });
    const moved = path.join(place.parent, "moved-away");
    let before = new Map<string, string>();
    await whileStopped(sleeper, async () => {
      fs.renameSync(place.directory, moved);
      before = snapshotTree(moved);
    });
    for (const worker of [sleeper, second]) {
      for (const attempt of [
        () => worker.call("set", { key: "s", entry: { n: 2 } }),
        () => worker.call("remove", { key: "s" }),
        () => worker.call("checkpoint"),
      ]) {
        await assert.rejects(attempt, { code: "store_gone" });
      }
      await worker.call("close");
    }
    assert.deepEqual(snapshotTree(moved), before, "nothing was written into the moved directory");

    // The path is free for a new store, and the old one can come back.
    const fresh = await openSessionStore<Entry>(place.location);
    assert.equal(await fresh.get("s"), undefined);
    await fresh.close();
    fs.rmSync(place.directory, { recursive: true });
    fs.renameSync(moved, place.directory);
    const back = await openSessionStore<Entry>(place.location);
    assert.deepEqual(await back.get("s"), { n: 1 });
    await back.close();
  });
});

for (const what of ["directory", "folder above it"]) {
  test(`P20: a store whose ${what} is moved says store_gone, and goes on when it is back in its place`, {
    skip,
    timeout,
  }, async () => {
    await withPlace(async (place) => {
      const location = path.join(place.parent, "agent", "sessions", path.basename(place.location));
      fs.mkdirSync(path.dirname(location), { recursive: true });
      const store = await openSessionStore<Entry>(location);
      await store.update("s", () => ({ n: 1 }));
      const moved = what === "directory" ? location.replace(/\.json$/, ".d") : path.dirname(location);
      fs.renameSync(moved, `${moved}.old`);
      for (const n of [2, 3]) await assert.rejects(store.patch("s", { n }), { code: "store_gone" });
      // A backup in its place is another store.
      fs.cpSync(`${moved}.old`, moved, { recursive: true });
      await assert.rejects(store.patch("s", { n: 4 }), { code: "store_gone" });
      fs.rmSync(moved, { recursive: true });
      fs.renameSync(`${moved}.old`, moved);
      await store.patch("s", { n: 5 });
      await store.close();
      const again = await openSessionStore<Entry>(location);
      assert.deepEqual(await again.get("s"), { n: 5 });
      await again.close();
    });
  });
}

test("P20: a store that was replaced by another one is refused too", { skip, timeout }, async () => {
  await withPlace(async (place) => {
    const old = await openSessionStore<Entry>(place.location);
    await old.update("s", () => ({ from: "the old store" }));
    fs.renameSync(place.directory, `${place.directory}.old`);
    const replacement = await openSessionStore<Entry>(place.location);
    await replacement.update("t", () => ({ from: "the new store" }));
    await assert.rejects(
      old.update("s", () => ({ n: 2 })),
      (error) => {
        return error instanceof SessionStoreError && error.code === "store_gone";
      },
    );
    await old.close();
    assert.deepEqual(
      (await replacement.list()).sessions.map(({ key }) => key),
      ["t"],
    );
    await replacement.close();
  });
});
