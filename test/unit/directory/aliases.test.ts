import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { openSessionStore } from "../../../src/index.js";

test("a store that is reached through a linked parent directory is the same store, under the same locks", async () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sessiondir-"));
  try {
    fs.mkdirSync(path.join(directory, "real"));
    fs.symlinkSync("real", path.join(directory, "alias"));
    const direct = await openSessionStore<{ n: number }>(path.join(directory, "real", "sessions.json"));
    const linked = await openSessionStore<{ n: number }>(path.join(directory, "alias", "sessions.json"));
    const increment = (current: { n: number } | undefined) => ({ n: (current?.n ?? 0) + 1 });
    await Promise.all(
      [direct, linked].map(async (store) => {
        for (let round = 0; round < 20; round += 1) await store.update("agent:main:main", increment);
      }),
    );
    assert.deepEqual(await direct.get("agent:main:main"), { n: 40 });
    await direct.close();
    await linked.close();
    assert.deepEqual(fs.readdirSync(path.join(directory, "real")).sort(), [
      "sessions.d",
      "sessions.d.checkpoint.lock",
      "sessions.d.lock",
      "sessions.d.scan.lock",
    ]);
  } finally {
    fs.rmSync(directory, { recursive: true, force: true });
  }
});
