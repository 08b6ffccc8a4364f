/**
 * Opens every store on a disk that a power cut left, and says what is wrong: `[{ kind, detail }]` with the kinds
 *
 * - "lost": something acknowledged is not there;
 * - "partlyVisible": a commit is there in part, or something that nobody wrote;
 * - "resurrected": a removed session is back;
 * - "refused": the store cannot be opened, read, checked or written, or not a second time;
 * - "leaked": something was left open.
 */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { canonical } from "./workloads.mjs";

const hangMs = 60_000;
const newKey = "agent:main:after-the-crash";

/** `progress` maps each lane's name to `{ acknowledged, begun }`, numbers of steps. */
export async function checkStores(openStore, mounted, stores, progress, isReadOnlyFirst) {
  const problems = [];
  for (const store of stores) {
    const location = path.join(mounted, store.location);
    const report = (kind, detail) => problems.push({ kind, detail: `${store.location}: ${detail}` });
    try {
      await orHang(checkStore(openStore, location, store, progress, isReadOnlyFirst, report));
    } catch (error) {
      report("refused", error.stack ?? String(error));
      const promised = store.lanes.some(({ name }) => progress.get(name).acknowledged > 0);
      if (promised) report("lost", "nothing of what was acknowledged can be read");
    }
  }
  return problems;
}

async function checkStore(openStore, location, plan, progress, isReadOnlyFirst, report) {
  if (plan.legacyText !== undefined) checkOriginal(location, plan, progress, report);
  const isThere = existsSync(location.replace(/json$/, "d"));
  if (plan.isRolledBack) checkRolledBack(location, plan, progress, report);
  // A fence that a rollback left is settled by an opening for writing.
  const seenOnly =
    isReadOnlyFirst && isThere && !plan.isRolledBack
      ? await readAll(openStore, location, { readOnly: true })
      : undefined;

  const store = await openStore(location, plan.openOptions);
  let found;
  try {
    found = await entriesOf(store);
    for (const lane of plan.lanes) judgeLane(lane, progress.get(lane.name), found, report);
    const known = new Set(plan.lanes.flatMap(({ keys }) => keys));
    for (const key of found.keys()) if (!known.has(key)) report("partlyVisible", `nobody ever wrote ${key}`);
    if (seenOnly && !areEqual(seenOnly, found)) report("refused", "a read-only opening saw something else");
    await requireNoFinding(store);
    await store.update(newKey, () => ({ isNew: true }));
    found.set(newKey, canonical({ isNew: true }));
  } finally {
    await store.close();
  }
  const again = await readAll(openStore, location, { readOnly: true });
  if (!areEqual(again, found)) report("refused", "a second opening saw something else");
}

/** The legacy file is there, under its own name or as the backup, and as it was. */
function checkOriginal(location, { legacyText, lanes }, progress, report) {
  const directory = path.dirname(location);
  const names = readdirSync(directory);
  const originals = names.filter((name) => name === "sessions.json" || name.startsWith("sessions.json.bak."));
  if (originals.length !== 1) report("lost", `the original is there ${originals.length} times: ${names}`);
  for (const name of originals) {
    if (readFileSync(path.join(directory, name), "utf8") !== legacyText) report("lost", `${name} is not as it was`);
  }
  const isAcknowledged = progress.get(lanes[0].name).acknowledged > 0;
  if (isAcknowledged && !names.includes("sessions.d")) report("lost", "an acknowledged migration is gone");
}

/** There is a store of one kind at any moment, and after an acknowledged rollback it is the legacy file. */
function checkRolledBack(location, { lanes: [lane] }, progress, report) {
  const { acknowledged } = progress.get(lane.name);
  const hasFile = existsSync(location);
  const hasDirectory = existsSync(location.replace(/json$/, "d"));
  if (acknowledged > 0 && !hasFile && !hasDirectory) report("lost", "there is neither a directory nor a file");
  if (acknowledged < lane.steps.length) return;
  if (hasDirectory || !hasFile) return report("lost", "an acknowledged rollback is gone");
  const found = Object.entries(JSON.parse(readFileSync(location, "utf8")));
  const expected = lane.states.at(-1);
  const isAll = found.length === expected.size && found.every(([key, entry]) => expected.get(key) === canonical(entry));
  if (!isAll) report("lost", "the legacy file of an acknowledged rollback is not what it was");
}

async function readAll(openStore, location, options) {
  const store = await openStore(location, options);
  try {
    return await entriesOf(store);
  } finally {
    await store.close();
  }
}

async function entriesOf(store) {
  const found = new Map();
  for await (const { key, entry } of store.entries()) found.set(key, canonical(entry));
  return found;
}

async function requireNoFinding(store) {
  for await (const finding of store.verify()) {
    if (finding.severity === "error") throw new Error(`verify found ${JSON.stringify(finding)}`);
  }
}

/** The lane is as after one of the steps from the last acknowledged to the last begun. */
function judgeLane({ name, keys, states }, { acknowledged, begun }, found, report) {
  const isAsIn = (state) => keys.every((key) => found.get(key) === state.get(key));
  const allowed = states.slice(acknowledged, begun + 1);
  if (allowed.some(isAsIn)) return;
  const steps = `${name}, steps ${acknowledged} to ${begun} of ${states.length - 1}`;
  const resurrected = keys.filter((key) => found.has(key) && !allowed.some((state) => state.has(key)));
  if (resurrected.length > 0) return report("resurrected", `${steps}: ${resurrected} should not be there`);
  const wrong = keys.filter((key) => !allowed.some((state) => state.get(key) === found.get(key)));
  if (wrong.length === 0) return report("partlyVisible", `${steps}: each session is as it may be, but not together`);
  const older = states.findIndex(isAsIn);
  const shown = `${wrong[0]} is ${found.get(wrong[0])?.slice(0, 60) ?? "absent"}`;
  report("lost", `${steps}: ${shown}${older >= 0 ? `, all as after step ${older}` : ""}`);
}

function areEqual(left, right) {
  return left.size === right.size && [...left].every(([key, text]) => right.get(key) === text);
}

async function orHang(work) {
  let timer;
  const hang = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`hung for ${hangMs} ms`)), hangMs);
  });
  try {
    return await Promise.race([work, hang]);
  } finally {
    clearTimeout(timer);
  }
}
