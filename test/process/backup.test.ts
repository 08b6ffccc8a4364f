/** Backups and exports beside four processes that write, and a copy that is killed in the middle. */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { copyStore, createBackup, exportSessions, restoreBackup, verifyBackup } from "../../src/index.js";
import { inTemporaryDirectory, makeStore, readStore, snapshotTree } from "../unit/transfer/support.js";

const program = fileURLToPath(new URL("./backup-program.js", import.meta.url));
const accounts = 64;
const balance = 1_000;
const writers = 4;

interface Running {
  readonly child: ChildProcess;
  /** The next line that it says. */
  readonly next: () => Promise<string>;
}

function start(...args: string[]): Running {
  const child = spawn(process.execPath, [program, ...args], { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const next = async () => {
    const line = await lines.next();
    assert.ok(!line.done, "the process goes on");
    return line.value;
  };
  return { child, next };
}

/** Resolves when it was told of so many commits that it began after this call. */
async function committed({ child, next }: Running, count: number): Promise<void> {
  child.stdin!.write("mark");
  while ((await next()) !== "marked") {
    // What it said before it read the mark is of an earlier time.
  }
  // The first one may have been on its way already.
  for (let left = count + 1; left > 0; left -= 1) assert.equal(await next(), "moved");
}

async function kill(child: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => child.once("close", resolve));
  child.kill("SIGKILL");
  await ended;
}

/** The sum over all accounts of a bundle; every account must be there. */
function sumOf(bundle: string): number {
  const lines = bundle.trimEnd().split("\n").slice(1, -1);
  assert.equal(lines.length, accounts);
  return lines.reduce((sum, line) => sum + JSON.parse(line).entry.balance, 0);
}

test("beside four writers, a backup shows one moment, and commits are acknowledged while one is being made", async () => {
  await inTemporaryDirectory(async (directory) => {
    const store = path.join(directory, "sessions.d");
    const padding = "x".repeat(4_096);
    const account = () => ({ balance, padding });
    await makeStore(store, Object.fromEntries(Array.from({ length: accounts }, (_, n) => [`account:${n}`, account()])));
    const running = Array.from({ length: writers }, (_, seed) => start("move", store, String(seed + 1)));
    try {
      for (const { next } of running) await next();
      const backups: string[] = [];
      for (let round = 0; round < 6; round += 1) {
        const backup = await createBackup(store, path.join(directory, "backups"));
        backups.push(backup.path);
        assert.equal(sumOf(fs.readFileSync(path.join(backup.path, "sessions.jsonl"), "utf8")), accounts * balance);
        for (const writer of running) await committed(writer, 1);
      }
      const hashes = await Promise.all(backups.map(async (at) => (await verifyBackup(at)).contentSha256));
      assert.ok(new Set(hashes).size > 1, "the writers did change what was backed up");

      // The export stands in the middle of its snapshot until each writer was told of many more commits.
      const chunks: Uint8Array[] = [];
      const write = async (bytes: Uint8Array) => {
        chunks.push(bytes);
        if (chunks.length > 2) return;
        for (const writer of running) await committed(writer, 50);
      };
      await exportSessions(store, { write });
      assert.ok(chunks.length > 2, "the export waited before its end");
      assert.equal(sumOf(Buffer.concat(chunks).toString("utf8")), accounts * balance);

      const restored = path.join(directory, "restored.d");
      await restoreBackup(backups[0]!, restored);
      const entries = Object.values(await readStore(restored)) as { balance: number }[];
      assert.equal(
        entries.reduce((sum, entry) => sum + entry.balance, 0),
        accounts * balance,
      );
    } finally {
      for (const { child } of running) await kill(child);
    }
  });
});

test("a copy that is killed in the middle is finished by the next one, and the source is untouched", async () => {
  await inTemporaryDirectory(async (directory) => {
    const [source, target] = [path.join(directory, "source.d"), path.join(directory, "target.d")];
    const sessions = Object.fromEntries(Array.from({ length: 1_000 }, (_, n) => [`agent:main:${n}`, { n }]));
    await makeStore(source, sessions);
    const before = snapshotTree(source);
    const { child, next } = start("copy", source, target, "700");
    try {
      await next();
    } finally {
      await kill(child);
    }
    const half = await readStore(target);
    assert.equal(Object.keys(half).length, 512, "the batches that were acknowledged");
    const result = await copyStore(source, target);
    assert.deepEqual([result.outcome, result.same, result.created], ["complete", 512, 488]);
    assert.equal(result.verified?.contentSha256, result.contentSha256);
    assert.deepEqual(await readStore(target), sessions);
    assert.deepEqual(snapshotTree(source), before);
  });
});
