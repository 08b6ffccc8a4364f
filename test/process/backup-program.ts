/**
 * A process for backup.test.ts. `move STORE SEED`: moves amounts between accounts, one transaction after the other, and
 * says "moved" after each acknowledgement, and "marked" when it is written to. `copy SOURCE TARGET COUNT`: copies, and stands still after COUNT sessions.
 */

import fs from "node:fs";
import { copyStore, openSessionStore } from "../../src/index.js";
import { SeededRandom } from "../sim/random.js";

interface Account extends Record<string, unknown> {
  balance: number;
}

const [action, location, more, count] = process.argv.slice(2) as [string, string, string, string];

if (action === "move") await move(Number(more));
if (action === "copy") await copy(Number(count));

async function move(seed: number): Promise<void> {
  const random = new SeededRandom(seed);
  const store = await openSessionStore<Account>(location, { durability: "interval" });
  const { sessions } = await store.list({ limit: 10_000 });
  const keys = sessions.map(({ key }) => key);
  process.stdin.on("data", () => fs.writeSync(1, "marked\n"));
  for (;;) {
    const from = random.pick(keys);
    const to = random.pick(keys.filter((key) => key !== from));
    await store.transaction(async (transaction) => {
      const [giver, taker] = [await transaction.get(from), await transaction.get(to)];
      transaction.patch(from, { balance: giver!.balance - 7 });
      transaction.patch(to, { balance: taker!.balance + 7 });
    });
    fs.writeSync(1, "moved\n");
  }
}

async function copy(stopAfter: number): Promise<void> {
  await copyStore(location, more, {
    onProgress: (done) => {
      if (done < stopAfter) return;
      fs.writeSync(1, "standing still\n");
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    },
  });
}
