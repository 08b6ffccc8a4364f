/** Processes that write as fast as they can while another one rolls the store back: what was acknowledged is in the file. */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { rollbackStore } from "../../src/migrate/rollback.js";
import { openSessionStore } from "../../src/open.js";
import { inTemporaryDirectory, snapshotTree } from "../unit/migrate/support.js";

const program = fileURLToPath(new URL("./rollback-writer.js", import.meta.url));
const writers = 2;

interface Writer {
  readonly child: ChildProcess;
  readonly lines: AsyncIterator<string>;
  readonly ended: Promise<number | null>;
}

interface Report {
  readonly acknowledged: string[];
  readonly errors: string[];
  readonly message: string;
}

function startWriter(location: string, name: string): Writer {
  const child = spawn(process.execPath, [program, location, name], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  return { child, ended, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator]() };
}

test("every commit that was acknowledged during a rollback is in the legacy file, and none lands in the backup", async () => {
  await inTemporaryDirectory(async (directory) => {
    const legacyPath = path.join(directory, "sessions.json");
    const store = await openSessionStore<Record<string, unknown>>(legacyPath);
    for (let number = 0; number < 200; number += 1)
      await store.patch(`agent:before:${number}`, { number }, { createIfMissing: true });
    const running = Array.from({ length: writers }, (_, index) => startWriter(legacyPath, `w${index}`));
    try {
      for (const { lines } of running) assert.equal((await lines.next()).value, "writing");
      const result = await rollbackStore(legacyPath);
      assert.equal(result.outcome, "restored", JSON.stringify(result));
      const backup = result.backupDirectoryPath as string;
      const backupThen = snapshotTree(backup);
      const text = fs.readFileSync(legacyPath, "utf8");
      const found = JSON.parse(text) as Record<string, unknown>;
      assert.equal(Object.keys(found).length, result.sessions);
      for (const { lines, ended } of running) {
        const { acknowledged, errors, message } = JSON.parse((await lines.next()).value as string) as Report;
        assert.equal(await ended, 0);
        assert.deepEqual(errors, ["read: store_fenced", "store_fenced"]);
        assert.ok(message.includes(legacyPath), message);
        assert.ok(acknowledged.length >= 50);
        for (const key of acknowledged) assert.ok(Object.hasOwn(found, key), `${key} was acknowledged`);
      }
      for (let number = 0; number < 200; number += 1) assert.ok(Object.hasOwn(found, `agent:before:${number}`));
      // The one that this process has open is shut as well.
      await assert.rejects(store.get("agent:before:0"), { code: "store_fenced" });
      await assert.rejects(store.patch("agent:late", {}, { createIfMissing: true }), { code: "store_fenced" });
      await store.close();
      assert.deepEqual(snapshotTree(backup), backupThen, "the backup is as the rollback left it");
      assert.equal(fs.readFileSync(legacyPath, "utf8"), text);
    } finally {
      for (const { child } of running) child.kill("SIGKILL");
    }
  });
});
