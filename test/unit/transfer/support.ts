/** Stores, bundles and backups for the tests of the transfer layer, on any port. */

import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import type { Backend, FrozenEntry } from "../../../src/contract.js";
import { SessionStoreError, type SessionStoreErrorCode } from "../../../src/errors.js";
import { nodePort } from "../../../src/fs/node-port.js";
import type { Port } from "../../../src/fs/port.js";
import { openBackend } from "../../../src/open-backend.js";
import { checkOpenOptions } from "../../../src/open-options.js";
import { freezeParsedJson } from "../../../src/sessions/entry-value.js";

export type Sessions = Record<string, Record<string, unknown>>;

export function open(location: string, options: { readOnly?: boolean; port?: Port } = {}): Promise<Backend> {
  const { port = nodePort(), readOnly = false } = options;
  return openBackend(port, location, checkOpenOptions({ readOnly, migrate: "never" }));
}

/** In one commit. */
export async function put(backend: Backend, sessions: Sessions): Promise<void> {
  const operations = Object.entries(sessions).map(([key, entry]) => {
    return { type: "put" as const, key, entry: freezeParsedJson(structuredClone(entry)) as FrozenEntry };
  });
  if (operations.length === 0) return;
  const result = await backend.commit({ operations, expected: new Map() });
  assert.equal(result.status, "committed");
}

/** Makes a store of these sessions and closes it. */
export async function makeStore(location: string, sessions: Sessions, port: Port = nodePort()): Promise<void> {
  const backend = await open(location, { port });
  await put(backend, sessions);
  await backend.close();
}

/** Every session as compact JSON, by key. */
export async function readTexts(backend: Backend): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for await (const { key, entry } of await backend.scan()) found.set(key, JSON.stringify(entry));
  return new Map([...found].sort(([left], [right]) => (left < right ? -1 : 1)));
}

export async function readStore(location: string, port: Port = nodePort()): Promise<Record<string, unknown>> {
  const backend = await open(location, { readOnly: true, port });
  try {
    const texts = await readTexts(backend);
    return Object.fromEntries([...texts].map(([key, text]) => [key, JSON.parse(text)]));
  } finally {
    await backend.close();
  }
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

export async function inTemporaryDirectory(body: (directory: string) => Promise<void>): Promise<void> {
  const directory = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "sessiondir-transfer-")));
  try {
    await body(directory);
  } finally {
    fs.rmSync(directory, { recursive: true, force: true });
  }
}

/** Content of every file below a directory, by path. */
export function snapshotTree(directory: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const name of fs.readdirSync(directory, { recursive: true, encoding: "utf8" }).sort()) {
    const at = path.join(directory, name);
    found.set(name, fs.lstatSync(at).isFile() ? fs.readFileSync(at, "base64") : "directory");
  }
  return found;
}
