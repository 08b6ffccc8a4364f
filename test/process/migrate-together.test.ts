import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { inTemporaryDirectory } from "../unit/migrate/support.js";

const program = fileURLToPath(new URL("./migrate-program.js", import.meta.url));
const processes = 20;

interface Migrator {
  readonly child: ChildProcess;
  readonly lines: AsyncIterator<string>;
  readonly ended: Promise<number | null>;
}

function startMigrator(legacyPath: string): Migrator {
  const child = spawn(process.execPath, [program, legacyPath], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  return { child, ended, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator]() };
}

test("of twenty processes that open a legacy store at once, one takes it over and all see every session", async () => {
  await inTemporaryDirectory(async (directory) => {
    const legacyPath = path.join(directory, "sessions.json");
    const store = Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`agent:main:${index}`, { index }]));
    const text = JSON.stringify(store, null, 2);
    fs.writeFileSync(legacyPath, text);
    const migrators = Array.from({ length: processes }, () => startMigrator(legacyPath));
    try {
      for (const { lines } of migrators) assert.equal((await lines.next()).value, "ready");
      for (const { child } of migrators) child.stdin?.write("go\n");
      const results = await Promise.all(
        migrators.map(async ({ lines }) => JSON.parse((await lines.next()).value as string) as Record<string, unknown>),
      );
      assert.deepEqual(
        results.map(({ sessions }) => sessions),
        Array.from({ length: processes }, () => 500),
      );
      const outcomes = results.map(({ outcome }) => outcome).sort();
      assert.deepEqual(outcomes, [...Array.from({ length: processes - 1 }, () => "already_directory"), "migrated"]);
      for (const { ended } of migrators) assert.equal(await ended, 0);
    } finally {
      for (const { child } of migrators) child.kill("SIGKILL");
    }
    const names = fs.readdirSync(directory).sort();
    const backups = names.filter((name) => name.startsWith("sessions.json.bak."));
    assert.equal(backups.length, 1, names.join(" "));
    assert.equal(fs.readFileSync(path.join(directory, backups[0] as string), "utf8"), text);
    assert.deepEqual(
      names.filter((name) => !backups.includes(name)),
      ["sessions.d", "sessions.d.checkpoint.lock", "sessions.d.lock", "sessions.d.scan.lock"],
    );
  });
});
