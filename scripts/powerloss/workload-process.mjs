/**
 * The process that works on the recorded disk. It notes what it begins and what was acknowledged, each with the number
 * of log entries at that moment, in a file that does not lie on that disk: `[entries, "begun" | "acknowledged", lane,
 * steps]`.
 */

import { appendFileSync, openSync } from "node:fs";
import path from "node:path";
import { rollbackRunner, storeOpener } from "./ports.mjs";
import { runStep } from "./run-step.mjs";
import { planStores } from "./workloads.mjs";
import { countLogged } from "./write-log.mjs";

const { packageUrl, protocol, seed, mounted, log, notes, broken } = JSON.parse(process.argv[2]);
const openStore = await storeOpener(packageUrl, broken);
const rollBack = await rollbackRunner(packageUrl, broken);
const logDescriptor = openSync(log, "r");

for (const store of planStores(protocol, seed)) await workOnStore(store);

async function workOnStore({ location, openOptions, lanes, isRolledBack }) {
  const finished = new Map(lanes.map((lane) => [lane, 0]));
  for (const lane of lanes) note("begun", lane, lane.steps[0].kind === "open" ? 1 : 0);
  const store = await openStore(path.join(mounted, location), openOptions);
  await Promise.all(lanes.map((lane) => runLane(store, lane, openOptions.durability === "interval", finished)));
  await store.close();
  if (isRolledBack) {
    for (const lane of lanes) note("begun", lane, lane.steps.length);
    await rollBack(path.join(mounted, location));
  }
  for (const lane of lanes) note("acknowledged", lane, lane.steps.length);
}

async function runLane(store, lane, isInterval, finished) {
  for (const [index, step] of lane.steps.entries()) {
    if (step.kind === "rollback") return; // When all lanes have ended, and the store is closed.
    note("begun", lane, index + 1);
    const beforeSync = [...finished];
    await runStep(store, step, mounted);
    finished.set(lane, index + 1);
    // With "interval", only what was there before `sync` was called is promised by it.
    if (!isInterval) note("acknowledged", lane, index + 1);
    else if (step.kind === "sync") for (const [each, steps] of beforeSync) note("acknowledged", each, steps);
  }
}

function note(kind, lane, steps) {
  appendFileSync(notes, `${JSON.stringify([countLogged(logDescriptor), kind, lane.name, steps])}\n`);
}
