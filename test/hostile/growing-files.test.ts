/**
 * Files that somebody appends to whenever they are read: each is read no further than the size that was checked, or
 * refused, and nobody who reads it goes on for ever.
 */

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import type { Operation } from "../../src/contract.js";
import { nodePort } from "../../src/fs/node-port.js";
import { SessionStoreError } from "../../src/index.js";
import { migrateStore } from "../../src/migrate/migrate.js";
import { openBackend } from "../../src/open-backend.js";
import { checkOpenOptions } from "../../src/open-options.js";
import { exportSessions } from "../../src/transfer/export.js";
import { importSessions } from "../../src/transfer/import.js";
import { type TemporaryPlace, withPlace } from "../process/support/temporary-store.js";
import { InterceptedPort, type PortCall } from "../sim/intercepted-port.js";
import { openBelow } from "./support/services.js";
import { entryPath, keepNothing, makeStore, victimEntry, victimKey } from "./support/store-tree.js";

const timeout = 60_000;
const growthBytes = 65_536;
/** A line of a bundle may be as long as an entry, 16 MiB; nothing else is read more than a few times. */
const readsMax = 600;

/** Before each read of one file, it is made longer. */
class GrowingPort extends InterceptedPort {
  reads = 0;
  readonly #grows: string;
  readonly #by: Uint8Array;

  constructor(grows: string, by: Uint8Array) {
    super(nodePort());
    this.#grows = grows;
    this.#by = by;
  }

  protected override intercept<T>(call: PortCall, proceed: () => T): T {
    if (call.method === "read" && path.basename(call.path) === this.#grows) {
      this.reads += 1;
      // Not an error of the system, which the library could answer: this test has failed.
      if (this.reads > readsMax) throw new Error("reads a growing file without an end");
      fs.appendFileSync(call.path, this.#by);
    }
    return proceed();
  }
}

const growths: Record<string, Uint8Array> = {
  zeros: new Uint8Array(growthBytes),
  "lines of garbage": Buffer.from("garbage\n".repeat(growthBytes / 8)),
  "one long line": Buffer.from("x".repeat(growthBytes)),
};

/** What is read, and which file grows meanwhile. Resolves to what it answers. */
interface Reading {
  readonly file: (place: TemporaryPlace) => string;
  readonly read: (port: InterceptedPort, place: TemporaryPlace) => Promise<unknown>;
  readonly answers: unknown;
}

const readings: Record<string, Reading> = {
  "an entry file": {
    file: (place) => entryPath(place, victimKey),
    read: async (port, place) => {
      const backend = await open(port, place);
      const found = await backend.read([victimKey]).finally(() => backend.close());
      return found.get(victimKey)?.entry;
    },
    answers: victimEntry,
  },
  "the manifest": { file: inStore("state.json"), read: listKeys, answers: "store_damaged" },
  "a segment": { file: newest("journal", ".jsonl"), read: listKeys, answers: "served" },
  "the head of the index": { file: inStore("summary-index", "head.json"), read: listKeys, answers: "served" },
  "a run of the index": { file: newest("summary-index", ".run"), read: listKeys, answers: "served" },
  "a file in the trash": {
    file: newest("trash", ".json"),
    read: async (port, place) => {
      const backend = await open(port, place);
      const found: string[] = [];
      for await (const { key } of backend.trash()) found.push(key);
      await backend.close();
      return found;
    },
    answers: ["removed"],
  },
  "a bundle": {
    file: ({ parent }) => path.join(parent, "sessions.jsonl"),
    read: async (port, { parent }) => {
      await importSessions(path.join(parent, "sessions.jsonl"), path.join(parent, "other.d"), { port });
      return "served";
    },
    answers: "invalid_bundle",
  },
  "a legacy file": {
    file: ({ parent }) => path.join(parent, "legacy.json"),
    read: async (port, { parent }) => {
      const { outcome, error } = await migrateStore(path.join(parent, "legacy.json"), { port });
      return error?.code ?? outcome;
    },
    answers: "invalid_legacy",
  },
};

function inStore(...names: string[]) {
  return ({ directory }: TemporaryPlace) => path.join(directory, ...names);
}

function newest(part: string, suffix: string) {
  return ({ directory }: TemporaryPlace) => {
    const names = fs.readdirSync(path.join(directory, part)).filter((name) => name.endsWith(suffix));
    return path.join(directory, part, names.sort().at(-1) as string);
  };
}

function open(port: InterceptedPort, { location }: TemporaryPlace) {
  return openBackend(port, location, checkOpenOptions({ readOnly: true }));
}

async function listKeys(port: InterceptedPort, place: TemporaryPlace): Promise<string> {
  const backend = await open(port, place);
  try {
    const { sessions } = await backend.list({ limit: 100, order: "key" } as never);
    assert.equal(sessions.length, 4);
    return "served";
  } finally {
    await backend.close();
  }
}

for (const [what, { file, read, answers }] of Object.entries(readings)) {
  for (const [growth, by] of Object.entries(growths)) {
    test(`${what} that grows by ${growth} whenever it is read is not read for ever`, { timeout }, async () => {
      await withPlace(async (place) => {
        await prepare(place);
        const port = new GrowingPort(path.basename(file(place)), by);
        const answered = await read(port, place).catch((error) => {
          if (error instanceof SessionStoreError) return error.code;
          throw error;
        });
        assert.ok(port.reads > 0, "it grew");
        assert.deepEqual(answered, answers);
        assert.deepEqual(openBelow(place.parent), [], "no descriptor stays open");
      });
    });
  }
}

async function prepare(place: TemporaryPlace): Promise<void> {
  await makeStore(place, keepNothing);
  const backend = await openBackend(nodePort(), place.location, checkOpenOptions(keepNothing));
  const commit = (operation: Operation) => backend.commit({ operations: [operation], expected: new Map() });
  await commit({ type: "put", key: "removed", entry: Object.freeze({}) });
  await commit({ type: "remove", key: "removed", purge: false });
  await backend.checkpoint();
  await backend.list({ limit: 100, order: "key" } as never);
  await commit({ type: "put", key: "healthy:0", entry: Object.freeze({ touched: true }) });
  // As if its process was killed: closing would empty the journal.
  const killed = path.join(place.parent, "killed");
  fs.cpSync(place.directory, killed, { recursive: true });
  await backend.close();
  fs.rmSync(place.directory, { recursive: true });
  fs.renameSync(killed, place.directory);
  await exportSessions(place.location, path.join(place.parent, "sessions.jsonl"));
  fs.writeFileSync(path.join(place.parent, "legacy.json"), JSON.stringify({ a: { n: 1 } }));
}
