/** The backends that histories are recorded on. One more backend is one more target, and nothing else. */

import { randomUUID } from "node:crypto";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { jsonCapabilities } from "../../src/backends/json/backend.js";
import { MemoryBackend, memoryCapabilities } from "../../src/backends/memory/backend.js";
import type { Backend, Capabilities } from "../../src/contract.js";
import { nodePort } from "../../src/fs/node-port.js";
import type { OpenOptions } from "../../src/index.js";
import { defaultLimits } from "../../src/limits.js";
import { openBackend } from "../../src/open-backend.js";
import { checkOpenOptions } from "../../src/open-options.js";

export interface HistoryTarget {
  readonly name: string;
  /** With `crossProcess` the clients are processes that open the location; without it they share one handle. */
  readonly capabilities: Pick<Capabilities, "crossProcess" | "denseVersions">;
  /** For every opening of the store, also in the clients' processes. */
  readonly options?: OpenOptions;
  /** A place for a store that does not exist yet. */
  makePlace(): HistoryPlace;
}

export interface HistoryPlace {
  readonly location: string;
  open(options: OpenOptions): Promise<Backend>;
  remove(): Promise<void>;
}

export const memoryTarget: HistoryTarget = {
  name: "memory",
  capabilities: memoryCapabilities,
  makePlace: () => ({
    location: ":memory:",
    open: async () => new MemoryBackend(nodePort(), { keyRule: "openclaw", limits: defaultLimits, readOnly: false }),
    remove: async () => {},
  }),
};

export const directoryTarget: HistoryTarget = {
  name: "directory",
  capabilities: { crossProcess: true, denseVersions: true },
  makePlace: makeDiskPlace,
};

export const jsonTarget: HistoryTarget = {
  name: "json",
  capabilities: jsonCapabilities,
  // Whoever is killed between making the gateway's lock file and writing its number into it is waited for 30 seconds.
  options: { backend: "json", rotateBytes: 1_000, lockWaitMs: 60_000, conflictWaitMs: 60_000 },
  makePlace: makeDiskPlace,
};

function makeDiskPlace(): HistoryPlace {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sessiondir-history-"));
  const location = path.join(directory, "sessions.json");
  return {
    location,
    open: (options) => openBackend(nodePort(), location, checkOpenOptions(options)),
    remove: async () => fs.rmSync(directory, { recursive: true, force: true }),
  };
}

/** A store of its own in a running PostgreSQL for each history. */
export function postgresTarget(url: string): HistoryTarget {
  return {
    name: "postgres",
    capabilities: { crossProcess: true, denseVersions: false },
    makePlace: () => {
      const location = `${url}?store=history-${randomUUID()}`;
      return {
        location,
        open: (options) => openBackend(nodePort(), location, checkOpenOptions(options)),
        remove: async () => {},
      };
    },
  };
}
