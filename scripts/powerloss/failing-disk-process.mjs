/**
 * The process that works on a disk which begins to fail. Each lane goes on to its first failure; then other lanes try
 * the same open store, and others again a new one. Notes go to a file that does not lie on that disk: `[kind, lane,
 * steps, error?]` with the kinds "begun", "acknowledged", "failed" and "untyped" (an error that is not the store's own).
 */

import { appendFileSync } from "node:fs";
import path from "node:path";
import { storeOpener } from "./ports.mjs";
import { runStep } from "./run-step.mjs";
import { planStores } from "./workloads.mjs";

const { packageUrl, protocol, seed, mounted, notes, broken } = JSON.parse(process.argv[2]);
const openStore = await storeOpener(packageUrl, broken);
const [{ location, openOptions, lanes }] = planStores(protocol, seed);
const third = lanes.length / 3;

const store = await attempt(undefined, 0, () => openStore(path.join(mounted, location), openOptions));
if (store) {
  await Promise.all(lanes.slice(0, third).map((lane) => runToFailure(store, lane)));
  await Promise.all(lanes.slice(third, 2 * third).map((lane) => runToFailure(store, lane)));
  await attempt(undefined, 0, () => store.close());
}
const again = await attempt(undefined, 0, () => openStore(path.join(mounted, location), openOptions));
if (again) {
  await Promise.all(lanes.slice(2 * third).map((lane) => runToFailure(again, lane)));
  await attempt(undefined, 0, () => again.close());
}

async function runToFailure(target, lane) {
  for (const [index, step] of lane.steps.entries()) {
    note("begun", lane, index + 1);
    const done = await attempt(lane, index + 1, async () => {
      await runStep(target, step, mounted);
      return true;
    });
    if (!done) return;
    note("acknowledged", lane, index + 1);
  }
}

async function attempt(lane, steps, work) {
  try {
    return await work();
  } catch (error) {
    const kind = error.constructor.name === "SessionStoreError" ? "failed" : "untyped";
    note(kind, lane, steps, kind === "failed" ? error.code : error.stack);
    return undefined;
  }
}

function note(kind, lane, steps, error) {
  appendFileSync(notes, `${JSON.stringify([kind, lane?.name, steps, error])}\n`);
}
