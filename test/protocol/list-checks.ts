/** What every list must be, whatever it was made from: the pages that the sessions of a scan make, and their count. */

import assert from "node:assert/strict";
import type { DirectoryBackend } from "../../src/backends/directory/backend.js";
import type { SessionPage, SessionQuery, SessionSummary } from "../../src/contract.js";
import type { Port } from "../../src/fs/port.js";
import { pageOfSummaries } from "../../src/sessions/query.js";
import { summarizeSession } from "../../src/sessions/summary.js";
import { storePath } from "./simulated-store.js";

export const queries: readonly SessionQuery[] = [
  { limit: 7 },
  { limit: 200 },
  { order: "key", limit: 60 },
  { agent: "work", limit: 5 },
  { activeSince: 40, limit: 30 },
  { search: "7", limit: 4 },
];

export async function assertListsEqualScan(
  backend: DirectoryBackend,
  context: string,
  asked: readonly SessionQuery[] = queries,
): Promise<void> {
  const summaries: SessionSummary[] = [];
  for await (const { key, entry } of await backend.scan()) summaries.push(summarizeSession(key, entry));
  for (const query of asked) await assertPages(backend, summaries, query, context);
  const { sessions } = await backend.stats();
  if (sessions !== undefined) assert.equal(sessions, summaries.length, `${context}: the count`);
}

export async function assertPages(
  backend: DirectoryBackend,
  summaries: readonly SessionSummary[],
  query: SessionQuery,
  context: string,
): Promise<void> {
  let cursor: string | undefined;
  do {
    const asked = cursor === undefined ? query : { ...query, cursor };
    const page: SessionPage = await backend.list(asked);
    assert.deepEqual(page, pageOfSummaries(summaries, asked), `${context}: ${JSON.stringify(asked)}`);
    cursor = page.nextCursor;
  } while (cursor !== undefined);
}

/** The names in `summary-index/`; empty when it does not exist. */
export function indexFiles(port: Port): string[] {
  const store = port.openRoot(storePath);
  try {
    if (port.statName(store, "summary-index") === undefined) return [];
    const index = port.openDirectory(store, "summary-index");
    const names = port.list(index, 1_000).map(({ name }) => name);
    port.closeDirectory(index);
    return names.sort();
  } finally {
    port.closeDirectory(store);
  }
}

/** Changes one file of the index behind everybody's back; `undefined` as its new content removes it. */
export function changeIndexFile(port: Port, name: string, change: (bytes: Buffer) => Buffer | undefined): void {
  const index = port.openRoot(`${storePath}/summary-index`);
  const file = port.open(index, name, "read");
  const bytes = Buffer.alloc(port.stat(file).sizeBytes);
  port.read(file, bytes, 0);
  port.close(file);
  port.unlink(index, name);
  const changed = change(bytes);
  if (changed) {
    const copy = port.open(index, name, "create");
    port.append(copy, changed);
    port.setMode(copy, 0o600);
    port.close(copy);
  }
  port.closeDirectory(index);
}
