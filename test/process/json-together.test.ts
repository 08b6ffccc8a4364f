/** Real processes on one legacy file: every increment counts, and a killed writer holds nobody up. */

import assert from "node:assert/strict";
import fs from "node:fs";
import { test } from "node:test";
import { withPlace } from "./support/temporary-store.js";
import { WorkerProcess } from "./support/worker-process.js";

const options = { backend: "json", lockWaitMs: 30_000, conflictWaitMs: 60_000, rotateBytes: 100 } as const;

test("two processes that count on one session of a legacy file lose no increment", async () => {
  await withPlace(async ({ location }) => {
    const workers = await Promise.all([WorkerProcess.start(), WorkerProcess.start()]);
    try {
      for (const worker of workers) await worker.call("open", { location, options });
      await Promise.all(
        workers.map((worker, index) =>
          worker.call("increment", { writer: `w${index}`, keys: ["shared"], count: 40, inFlight: 4, seed: index }),
        ),
      );
      const found = (await workers[0]?.call("get", { key: "shared" })) as Record<string, unknown>;
      assert.deepEqual([found.total, found.w0, found.w1], [80, 40, 40]);
      for (const worker of workers) await worker.call("close");
      assert.deepEqual(JSON.parse(fs.readFileSync(location, "utf8")), { shared: found });
      assert.ok(!fs.existsSync(`${location}.lock`));
    } finally {
      for (const worker of workers) await worker.kill();
    }
  });
});

test("a writer that is killed at work leaves a whole file, and the next one goes on at once", async () => {
  await withPlace(async ({ location }) => {
    for (let round = 0; round < 4; round += 1) {
      await using victim = await WorkerProcess.start();
      await victim.call("open", { location, options });
      const work = victim.call("increment", {
        writer: "victim",
        keys: ["shared"],
        count: 10_000,
        inFlight: 8,
        seed: round,
      });
      work.catch(() => {});
      // Killed behind an acknowledged commit, wherever it is then.
      const before = fs.existsSync(location) ? fs.readFileSync(location, "utf8") : "";
      while (!fs.existsSync(location) || fs.readFileSync(location, "utf8") === before) {
        await new Promise((resolve) => setImmediate(resolve));
      }
      await victim.kill();
      const total = (JSON.parse(fs.readFileSync(location, "utf8")) as { shared: { total: number } }).shared.total;
      await using next = await WorkerProcess.start();
      await next.call("open", { location, options: { ...options, lockWaitMs: 40_000 } });
      await next.call("increment", { writer: "next", keys: ["shared"], count: 1, inFlight: 1, seed: round });
      const found = (await next.call("get", { key: "shared" })) as { total: number };
      assert.equal(found.total, total + 1);
      await next.call("close");
    }
  });
});
