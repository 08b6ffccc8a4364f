/** Opens stores as `openSessionStore` does, on any port, and looks at what lies on the disk. */

import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { parseStoreLocation, type StoreLocation } from "../../../src/backends/directory/layout.js";
import type { Backend } from "../../../src/contract.js";
import { SessionStoreError, type SessionStoreErrorCode } from "../../../src/errors.js";
import type { Port } from "../../../src/fs/port.js";
import { defaultLimits } from "../../../src/limits.js";
import { legacyPathOf } from "../../../src/migrate/result.js";
import type { CreateOrTakeOverOptions } from "../../../src/migrate/take-over.js";
import { openBackend } from "../../../src/open-backend.js";
import { checkOpenOptions } from "../../../src/open-options.js";

export const takeOverOptions: CreateOrTakeOverOptions = { keyRule: "openclaw", limits: defaultLimits, migrate: "auto" };

export function locationOf(legacyPath: string): StoreLocation {
  return parseStoreLocation(legacyPath) as StoreLocation;
}

/** Opens the store, creates or takes over as needed, and returns every session in it. */
export async function openAndReadAll(
  port: Port,
  location: StoreLocation,
  options = takeOverOptions,
): Promise<Map<string, unknown>> {
  const backend = await openOrTakeOver(port, location, options);
  try {
    const sessions = new Map<string, unknown>();
    for await (const { key, entry } of await backend.scan()) sessions.set(key, entry);
    return sessions;
  } finally {
    await backend.close();
  }
}

/** The very way that `openSessionStore` takes. */
export function openOrTakeOver(port: Port, location: StoreLocation, options = takeOverOptions): Promise<Backend> {
  return openBackend(port, legacyPathOf(location), { ...checkOpenOptions({}), ...options });
}

export async function rejectsWith(code: SessionStoreErrorCode, promise: Promise<unknown>): Promise<SessionStoreError> {
  const outcome = await promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  assert.ok("error" in outcome, `rejects with ${code}, but resolved`);
  assert.ok(outcome.error instanceof SessionStoreError, `a SessionStoreError, not ${String(outcome.error)}`);
  assert.equal(outcome.error.code, code, outcome.error.message);
  return outcome.error;
}

/** Runs `body` in a directory of its own on the real disk. */
export async function inTemporaryDirectory(body: (directory: string) => Promise<void>): Promise<void> {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sessiondir-migrate-"));
  try {
    await body(directory);
  } finally {
    fs.rmSync(directory, { recursive: true, force: true });
  }
}

/** Every name below a directory with what it is: its bytes, its target, its mode, its identity. */
export function snapshotTree(directory: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const name of fs.readdirSync(directory, { recursive: true, encoding: "utf8" }).sort()) {
    const at = path.join(directory, name);
    const stat = fs.lstatSync(at);
    const content = stat.isFile() ? fs.readFileSync(at, "base64") : stat.isSymbolicLink() ? fs.readlinkSync(at) : "";
    const { mode, ino, nlink, mtimeMs } = stat;
    found.set(name, JSON.stringify({ mode, ino, nlink, mtimeMs: stat.isDirectory() ? 0 : mtimeMs, content }));
  }
  return found;
}
