/** One step of a plan, done to an open store or to the file system beside it. */

import { execFile } from "node:child_process";
import { closeSync, fsyncSync, openSync, writeSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";

/** Resolves when the store has acknowledged it. */
export async function runStep(store, step, mounted) {
  switch (step.kind) {
    case "set":
      return store.update(step.key, () => step.entry);
    case "patch":
      return store.patch(step.key, step.fields);
    case "remove":
      return store.remove(step.key, { purge: step.purge });
    case "transaction":
      return store.transaction(async (transaction) => {
        for (const [key, entry] of Object.entries(step.puts)) transaction.set(key, entry);
        for (const key of step.removes) await transaction.remove(key);
      });
    case "checkpoint":
      return store.checkpoint();
    case "sync":
      return store.sync();
    case "foreignSync":
      // Other programs make the file system write its journal, also between our steps.
      return writeForeignFile(path.join(mounted, "foreign.txt"));
    case "writeBack":
      // The kernel may write everything out whenever it likes, also what was not synced.
      return promisify(execFile)("sync", ["-f", mounted]);
  }
}

function writeForeignFile(file) {
  const descriptor = openSync(file, "a");
  try {
    writeSync(descriptor, "x".repeat(100));
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
