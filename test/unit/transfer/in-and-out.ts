/**
 * A store of any size on a real disk, through every way in and out: migrate, copy, export, import, backup, verify, restore,
 * roll back. After each, every session is compared with the legacy file that it came from, and the file is as it was.
 */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { detectSessionStore } from "../../../src/migrate/detect.js";
import { migrateStore } from "../../../src/migrate/migrate.js";
import { rollbackStore } from "../../../src/migrate/rollback.js";
import { createBackup, verifyBackup } from "../../../src/transfer/backup.js";
import { combineDigests, digestSession } from "../../../src/transfer/content-hash.js";
import { copyStore } from "../../../src/transfer/copy.js";
import { exportSessions } from "../../../src/transfer/export.js";
import { importSessions } from "../../../src/transfer/import.js";
import { restoreBackup } from "../../../src/transfer/restore.js";
import { open } from "./support.js";

export interface LegacySize {
  readonly sessions: number;
  /** Of each entry, about. */
  readonly entryBytes: number;
}

export interface StepCost {
  readonly ms: number;
  /** Of these, those that this process computed; the rest it waited, for the disk mostly. */
  readonly cpuMs: number;
  /** At the end of the step. */
  readonly memoryBytes: number;
}

export type OnStep = (step: string, cost: StepCost) => void;

/** Writes a legacy file as a gateway would have it; its content hash. */
export function writeLegacyFile(file: string, { sessions, entryBytes }: LegacySize): string {
  const output = fs.openSync(file, "wx");
  const digests: string[] = [];
  try {
    let text = "{\n";
    for (let number = 0; number < sessions; number += 1) {
      const key = `agent:main:telegram:dm:${number}`;
      const entry = {
        sessionId: createHash("md5").update(key).digest("hex"),
        updatedAt: 1_700_000_000_000 + number,
        lastChannel: "telegram",
        inputTokens: number,
        skillsSnapshot: { prompt: `${number} ${"the quick brown fox; ".repeat(Math.ceil(entryBytes / 21))}` },
      };
      digests.push(digestSession({ key, entry }));
      text += `  ${JSON.stringify(key)}: ${JSON.stringify(entry, undefined, 2).replaceAll("\n", "\n  ")}${number < sessions - 1 ? ",\n" : "\n}"}`;
      if (text.length < 1024 * 1024 && number < sessions - 1) continue;
      fs.writeSync(output, text);
      text = "";
    }
  } finally {
    fs.closeSync(output);
  }
  return combineDigests(digests);
}

/** Everything below `directory`, which is empty. */
export async function goInAndOut(directory: string, size: LegacySize, onStep: OnStep = () => {}): Promise<void> {
  const legacy = path.join(directory, "sessions.json");
  const at = (name: string) => path.join(directory, name);
  const { sessions } = size;
  const step = async <Result>(name: string, work: () => Promise<Result>): Promise<Result> => {
    const startedMs = performance.now();
    const before = process.cpuUsage();
    const result = await work();
    const { user, system } = process.cpuUsage(before);
    const ms = performance.now() - startedMs;
    onStep(name, { ms, cpuMs: (user + system) / 1_000, memoryBytes: process.memoryUsage().rss });
    return result;
  };
  const content = writeLegacyFile(legacy, size);
  const original = hashOf(legacy);

  const detected = await step("detect", () => detectSessionStore(legacy));
  assert.deepEqual([detected.status, detected.normalizedEntryCount], ["ready_to_migrate", sessions]);
  const dry = await step("migrate, dry run", () => migrateStore(legacy, { dryRun: true }));
  const migrated = await step("migrate", () => migrateStore(legacy));
  const { backupPath, ...figures } = migrated;
  assert.deepEqual(figures, dry);
  assert.deepEqual([migrated.outcome, migrated.migratedEntries], ["migrated", sessions]);
  assert.equal(hashOf(backupPath as string), original, "the original is as it was");
  assert.equal(await step("read", () => contentOf(legacy)), content);

  const copied = await step("copy", () => copyStore(at("sessions.d"), at("copy.d")));
  assert.deepEqual([copied.outcome, copied.created], ["complete", sessions]);
  assert.deepEqual(copied.verified, { sessions, contentSha256: content });
  const again = await step("copy again", () => copyStore(at("sessions.d"), at("copy.d")));
  assert.deepEqual([again.outcome, again.same], ["complete", sessions]);

  const exported = await step("export", () => exportSessions(legacy, at("bundle.jsonl")));
  assert.deepEqual([exported.sessions, exported.contentSha256], [sessions, content]);
  const imported = await step("import", () => importSessions(at("bundle.jsonl"), at("imported.d")));
  assert.deepEqual([imported.outcome, imported.created, imported.contentSha256], ["complete", sessions, content]);
  assert.equal(await contentOf(at("imported.d")), content);

  const backup = await step("backup create", () => createBackup(legacy, at("backups")));
  assert.deepEqual([backup.outcome, backup.manifest.contentSha256], ["complete", content]);
  assert.equal((await step("backup verify", () => verifyBackup(backup.path))).sessions, sessions);
  const restored = await step("backup restore", () => restoreBackup(backup.path, at("imported.d"), { replace: true }));
  assert.deepEqual([restored.outcome, restored.contentSha256], ["complete", content]);
  assert.equal(await contentOf(at("imported.d")), content);

  const dryBack = await step("rollback, dry run", () => rollbackStore(legacy, { dryRun: true }));
  const back = await step("rollback", () => rollbackStore(legacy));
  assert.deepEqual([dryBack.outcome, dryBack.sessions, dryBack.warnings], [back.outcome, back.sessions, back.warnings]);
  assert.deepEqual([back.outcome, back.sessions], ["restored", sessions]);
  assert.equal(contentOfFile(legacy), content);
  const forth = await step("migrate again", () => migrateStore(legacy, { force: true }));
  assert.deepEqual([forth.outcome, forth.migratedEntries], ["migrated", sessions]);
  assert.equal(await contentOf(legacy), content, "rollback, then migrate, changes no entry");
  assert.equal(hashOf(backupPath as string), original, "the first original is as it was");
}

function hashOf(file: string): string {
  return createHash("sha256").update(fs.readFileSync(file)).digest("hex");
}

function contentOfFile(file: string): string {
  const found = JSON.parse(fs.readFileSync(file, "utf8")) as Record<string, Record<string, unknown>>;
  return combineDigests(Object.entries(found).map(([key, entry]) => digestSession({ key, entry })));
}

async function contentOf(location: string): Promise<string> {
  const store = await open(location, { readOnly: true });
  try {
    const digests: string[] = [];
    for await (const session of await store.scan()) digests.push(digestSession(session));
    return combineDigests(digests);
  } finally {
    await store.close();
  }
}
