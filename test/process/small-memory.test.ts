/** Processes with little memory. With larger journals: `npm run long-run -- small-memory`. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { openSessionStore } from "../../src/index.js";
import { openInSmallMemory } from "./small-memory.js";
import { Ledger } from "./storm/ledger.js";
import { assertNothingLost, lifeOf } from "./storm/supervise.js";
import { WriterProcess } from "./storm/writer-process.js";
import { withPlace } from "./support/temporary-store.js";

const timeout = 120_000;

test("a journal larger than the heap is opened when its sessions are few", { timeout }, async () => {
  assert.deepEqual(await openInSmallMemory(20, 80), { sessions: 20 });
});

test("a process that dies because the sessions of a journal do not fit into its heap harms nobody", {
  timeout,
}, async () => {
  assert.equal(await openInSmallMemory(800, 80), undefined);
});

const posix = { timeout, skip: process.platform === "win32" && "skipped: needs posix (ulimit)" };

test("a writer with little address space works, and loses nothing", posix, async () => {
  await withPlace(async ({ location }) => {
    const ledger = new Ledger(1);
    await (await openSessionStore(location)).close();
    // 1.5 GB, in KiB: Node reserves 0.6 GB before it does anything.
    await using writer = await WriterProcess.start((said) => ledger.hear(0, said), "ulimit -v 1500000");
    await writer.liveThrough(lifeOf(location, 0, { operations: 100 }));
    await writer.kill();
    assert.equal(ledger.counts.acknowledgements, 100);
    await assertNothingLost(location, ledger);
  });
});
