/**
 * The program of a process that takes part in histories, one after the other. What it reports goes to standard output,
 * one JSON array per line, by a synchronous write: whatever was called or returned before a SIGKILL has been said.
 */

import fs from "node:fs";
import type { OpenOptions } from "../../src/api.js";
import { nodePort } from "../../src/fs/node-port.js";
import { openBackend } from "../../src/open-backend.js";
import { checkOpenOptions } from "../../src/open-options.js";
import { createSessionStore } from "../../src/store.js";
import { type ClientWork, runClient, tellingVersions } from "./client.js";

export interface WorkerJob {
  readonly location: string;
  readonly options: OpenOptions;
  readonly clients: readonly ClientWork[];
}

function say(kind: string, ...parts: unknown[]): void {
  fs.writeSync(1, `${JSON.stringify([kind, ...parts])}\n`);
}

async function run({ location, options, clients }: WorkerJob): Promise<void> {
  const port = nodePort();
  const checked = checkOpenOptions(options);
  const backend = await openBackend(port, location, checked);
  const store = createSessionStore<Record<string, unknown>>(tellingVersions(backend), {
    clock: port,
    conflictWaitMs: checked.conflictWaitMs,
  });
  try {
    const recorder = {
      called: (call: unknown) => say("called", call),
      returned: (id: string, at: number, outcome: unknown) => say("returned", id, at, outcome),
    };
    await Promise.all(clients.map((work) => runClient(store, work, recorder)));
  } finally {
    await store.close();
  }
}

process.on("message", (job: WorkerJob) => {
  run(job).then(
    () => say("finished"),
    (error: unknown) => say("broke", String((error as Error)?.stack ?? error)),
  );
});
process.on("disconnect", () => process.exit(1));
say("ready");
