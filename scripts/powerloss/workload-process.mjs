/**
 * The process that works on the recorded disk. It notes what it begins and what was acknowledged, each with the number
 * of log entries at that moment, in a file that does not lie on that disk: `[entries, "begun" | "acknowledged", lane,
 * steps]`.
 */

import { execFile } from "node:child_process";
import { appendFileSync, fsyncSync, openSync, writeSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { storeOpener } from "./ports.mjs";
import { planStores } from "./workloads.mjs";
import { countLogged } from "./write-log.mjs";

const { packageUrl, protocol, seed, mounted, log, notes, broken } = JSON.parse(process.argv[2]);
const openStore = await storeOpener(packageUrl, broken);
const logDescriptor = openSync(log, "r");
const foreignFile = openSync(path.join(mounted, "foreign.txt"), "a");

for (const store of planStores(protocol, seed)) await workOnStore(store);

async function workOnStore({ location, openOptions, lanes }) {
  const finished = new Map(lanes.map((lane) => [lane, 0]));
  for (const lane of lanes) note("begun", lane, lane.steps[0].kind === "open" ? 1 : 0);
  const store = await openStore(path.join(mounted, location), openOptions);
  await Promise.all(lanes.map((lane) => runLane(store, lane, openOptions.durability === "interval", finished)));
  await store.close();
  for (const lane of lanes) note("acknowledged", lane, lane.steps.length);
}

async function runLane(store, lane, isInterval, finished) {
  for (const [index, step] of lane.steps.entries()) {
    note("begun", lane, index + 1);
    const beforeSync = [...finished];
    await runStep(store, step);
    finished.set(lane, index + 1);
    // With "interval", only what was there before `sync` was called is promised by it.
    if (!isInterval) note("acknowledged", lane, index + 1);
    else if (step.kind === "sync") for (const [each, steps] of beforeSync) note("acknowledged", each, steps);
  }
}

async function runStep(store, step) {
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
      writeSync(foreignFile, "x".repeat(100));
      return fsyncSync(foreignFile);
    case "writeBack":
      // The kernel may write everything out whenever it likes, also what was not synced.
      return promisify(execFile)("sync", ["-f", mounted]);
  }
}

function note(kind, lane, steps) {
  appendFileSync(notes, `${JSON.stringify([countLogged(logDescriptor), kind, lane.name, steps])}\n`);
}
