/**
 * The life of a store that moves: a legacy file is migrated, backed up, rolled back, and the backup is restored, while
 * somebody swaps what it works on. Promised is what swap-lives.ts says; and every session stays in a file of ours.
 */

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { SessionStoreError } from "../../../src/errors.js";
import { migrateStore } from "../../../src/migrate/migrate.js";
import { rollbackStore } from "../../../src/migrate/rollback.js";
import { createBackup } from "../../../src/transfer/backup.js";
import { restoreBackup } from "../../../src/transfer/restore.js";
import type { TemporaryPlace } from "../../process/support/temporary-store.js";
import { makeFifo } from "./store-tree.js";
import { type Swap, SwappingPort, swapFor } from "./swapping-port.js";

const keys = ["agent:main:a", "agent:main:b", "agent:main:c"];

/** A legacy file; and outside, where everything is that links may lead to, the store that was made of one. */
export async function makeLegacyPlace(directory: string, text: string): Promise<void> {
  const location = path.join(directory, "sessions.json");
  const entries = Object.fromEntries(keys.map((key, index) => [key, { updatedAt: index + 1, text: `${text} ${key}` }]));
  fs.writeFileSync(location, JSON.stringify(entries), { mode: 0o600 });
  if (path.basename(directory) !== "outside") return;
  assert.equal((await migrateStore(location, { port: new SwappingPort() })).outcome, "migrated");
  const { path: backup } = await createBackup(location, path.join(directory, "backups"), { port: new SwappingPort() });
  fs.renameSync(backup, path.join(directory, "backups", "one"));
  fs.writeFileSync(location, JSON.stringify(entries), { mode: 0o600 });
}

/** Resolves to what did not succeed. Errors without a code fail the test. */
export async function moveAround(port: SwappingPort, location: string): Promise<string[]> {
  const failures: string[] = [];
  const attempt = async <T>(what: string, work: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof SessionStoreError)) {
        throw new Error(`an error without a code in ${what}, swapped before ${port.swappedBefore}`, { cause: error });
      }
      failures.push(`${what}: ${error.code}`);
      return undefined;
    }
  };
  const parent = path.dirname(location);
  const migrated = await attempt("migration", () => migrateStore(location, { port }));
  if (migrated !== undefined && migrated.outcome !== "migrated") failures.push(`migration: ${migrated.outcome}`);
  const backup = await attempt("backup", () => createBackup(location, path.join(parent, "backups"), { port }));
  const rolledBack = await attempt("rollback", () => rollbackStore(location, { port }));
  if (rolledBack !== undefined && rolledBack.outcome !== "restored") failures.push(`rollback: ${rolledBack.outcome}`);
  if (backup === undefined) return failures;
  await attempt("restore", () => restoreBackup(backup.path, path.join(parent, "restored.json"), { port }));
  return failures;
}

/** Beside the backup, in which they are for certain. */
export function assertSessionsKept({ parent }: TemporaryPlace, text: string, stolen: string, label: string): void {
  let ours = "";
  for (const { name, entry } of below(parent)) {
    if (!entry.isFile()) continue;
    const content = fs.readFileSync(path.join(parent, name), "utf8");
    assert.ok(!content.includes(stolen), `${label}: something outside was read into ${name}`);
    if (!/^(backups|restored)/.test(name)) ours += content;
  }
  for (const key of keys) assert.ok(ours.includes(`${text} ${key}`), `${label}: ${key} is nowhere`);
}

/** Names relative to the directory, not behind links, which `recursive` would follow. */
function* below(directory: string, prefix = ""): Generator<{ name: string; entry: fs.Dirent }> {
  for (const entry of fs.readdirSync(path.join(directory, prefix), { withFileTypes: true })) {
    const name = path.posix.join(prefix, entry.name);
    yield { name, entry };
    if (entry.isDirectory()) yield* below(directory, name);
  }
}

/** Swaps whatever has such a path below the parent just now. */
const swapping =
  (pattern: RegExp, make: (at: string, outside: string) => void) =>
  ({ parent }: TemporaryPlace, outside: string): Swap =>
  () => {
    for (const { name } of below(parent)) {
      if (pattern.test(name)) return swapFor(path.join(parent, name), (at) => make(at, outside));
    }
    return undefined;
  };

const linkTo =
  (...names: string[]) =>
  (at: string, outside: string) =>
    fs.symlinkSync(path.join(outside, ...names), at);

/** `outside` was made by `makeLegacyPlace`. */
export const kindsOfMovingSwap: Record<string, (place: TemporaryPlace, outside: string) => Swap> = {
  "the legacy file for a link": swapping(/^sessions\.json$/, linkTo("sessions.json")),
  "the legacy file for a FIFO": swapping(/^sessions\.json$/, makeFifo),
  "the migrated store for a link": swapping(/^sessions\.d$/, linkTo("sessions.d")),
  // Not that of a restore, which is opened by its path.
  "a staging directory for a link": swapping(/^sessions\.d\.staging-[^/]+$/, linkTo("sessions.d")),
  "entries/ of a migrated store for a link": swapping(/^sessions\.d\/entries$/, linkTo("sessions.d", "entries")),
  "the export of a rollback for a link": swapping(/^sessions\.json\.rollback-[^/]+$/, linkTo("sessions.json")),
  "the marker of a rollback for a link": swapping(/^sessions\.d\.rolled-back/, linkTo("victim")),
  "the bundle of a backup for a link": swapping(/^backups\/.*\.jsonl$/, linkTo("backups", "one", "sessions.jsonl")),
  "the manifest of a backup for a link": swapping(
    /^backups\/.*\/manifest\.json$/,
    linkTo("backups", "one", "manifest.json"),
  ),
};
