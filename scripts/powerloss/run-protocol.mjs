/**
 * One protocol on one file system: records workloads, makes crash states of them, checks each, and counts. States of
 * one recording are checked in the order of their moments.
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { checkStores } from "./check-image.mjs";
import { CrashImages, chooseMoments } from "./crash-images.mjs";
import { runFailingDisk } from "./failing-disk.mjs";
import { fileSystems } from "./file-systems.mjs";
import { storeOpener } from "./ports.mjs";
import { Random } from "./random.mjs";
import { copySparse, makeBaseImage, mountImage, record } from "./recorded-disk.mjs";
import { planStores, protocols } from "./workloads.mjs";
import { readLog } from "./write-log.mjs";

const statesPerRecording = 100;
const keptFailuresMax = 3;
const workloadProgram = fileURLToPath(new URL("workload-process.mjs", import.meta.url));

/** `settings`: `{ fileSystem, protocol, states, seed, broken, packageUrl, failures }`. Resolves with a report row. */
export async function runProtocol(workspace, settings) {
  const row = {
    fault: protocols[settings.protocol].isFailing ? "F7" : "F4",
    fileSystem: settings.fileSystem,
    protocol: settings.protocol,
    ...(settings.broken && { broken: settings.broken }),
    states: 0,
    kills: 0,
    acknowledgements: 0,
    lost: 0,
    partlyVisible: 0,
    resurrected: 0,
    refused: 0,
    leaked: 0,
    tornWrites: 0,
    unmountable: 0,
    seeds: [],
    slowest: { ms: 0 },
    examples: [],
  };
  if (protocols[settings.protocol].isFailing) {
    Object.assign(row, { runsWithFailures: 0, acknowledgedAfterFailure: 0, errors: {} });
    await runFailingDisk(workspace, settings, row, countState);
    return row;
  }
  for (let recording = 0; row.states < settings.states; recording += 1) {
    const seed = `${settings.seed}/${settings.fileSystem}/${recording}`;
    row.seeds.push(seed);
    const count = Math.min(statesPerRecording, settings.states - row.states);
    await runRecording(workspace, { ...settings, seed }, count, row);
  }
  return row;
}

/** Things that must not happen. */
export function countProblems(row) {
  return row.lost + row.partlyVisible + row.resurrected + row.refused + row.leaked;
}

async function runRecording(workspace, settings, count, row) {
  const { fileSystem, protocol, seed } = settings;
  const stores = planStores(protocol, seed);
  const base = makeBaseImage(workspace, fileSystem, (mounted) => writeLegacyFiles(mounted, stores));
  const notes = workspace.file("notes.jsonl");
  writeFileSync(notes, "");
  const logFile = await record(workspace, fileSystem, base, (mounted, log) =>
    runWorkload(workspace, { ...settings, mounted, log, notes }),
  );
  const history = readFileSync(notes, "utf8").trim().split("\n").map(JSON.parse);
  const acknowledgedAt = history.flatMap(([at, kind]) => (kind === "acknowledged" ? [at] : []));
  row.acknowledgements += acknowledgedAt.length;

  const entries = readLog(logFile);
  const random = new Random(`${seed}/${protocol}/states`);
  const images = new CrashImages(workspace, base, logFile, entries, fileSystems[fileSystem].untearableOffsets);
  const openStore = await storeOpener(settings.packageUrl, undefined);
  try {
    for (const moment of chooseMoments(entries, history[0][0], acknowledgedAt, count, random)) {
      const startedMs = performance.now();
      const made = images.make(moment, random);
      const progress = progressAt(moment, stores, history);
      const state = { seed, moment, ...made, image: undefined };
      const outcome = await checkImage(workspace, settings, made.image, (mounted) =>
        checkStores(openStore, mounted, stores, progress, random.chance(0.3)),
      );
      countState(row, state, outcome, Math.round(performance.now() - startedMs));
      // The check changed the image: for a person to look at, it is made again as it was.
      if (outcome.problems.length > 0) keepFailure(settings, row, state, images.remake(), { progress, history });
    }
  } finally {
    images.close();
    rmSync(logFile, { force: true });
  }
}

function writeLegacyFiles(mounted, stores) {
  for (const { location, legacyText } of stores) {
    if (legacyText === undefined) continue;
    const file = path.join(mounted, location);
    mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
    writeFileSync(file, legacyText, { mode: 0o600 });
  }
}

async function runWorkload(workspace, { packageUrl, protocol, seed, mounted, log, notes, broken }) {
  const parameters = JSON.stringify({ packageUrl, protocol, seed, mounted, log, notes, broken });
  const child = spawn(process.execPath, [workloadProgram, parameters], { stdio: ["ignore", "pipe", "pipe"] });
  const forget = workspace.take(() => child.kill("SIGKILL"));
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (output += text));
  const [code] = await once(child, "close");
  forget();
  if (code !== 0) throw new Error(`the workload ${protocol} of seed ${seed} failed:\n${output}`);
}

/** What was acknowledged before the moment, and what may have been begun. */
function progressAt(moment, stores, history) {
  const lanes = stores.flatMap((store) => store.lanes);
  const progress = new Map(lanes.map(({ name }) => [name, { acknowledged: 0, begun: 0 }]));
  for (const [at, kind, lane, steps] of history) {
    if (at > moment) continue;
    const known = progress.get(lane);
    known[kind] = Math.max(known[kind], steps);
  }
  return progress;
}

/** `isMounted: false` when the file system itself does not come back: nothing of ours can be said then. */
async function checkImage(workspace, { fileSystem }, image, check) {
  let mount;
  try {
    mount = mountImage(workspace, fileSystem, image);
  } catch (error) {
    return { isMounted: false, message: error.message, problems: [] };
  }
  const problems = await check(mount.where);
  if (!mount.release()) problems.push({ kind: "leaked", detail: "something on the disk was still open after close()" });
  return { isMounted: true, problems };
}

function countState(row, state, { isMounted, message, problems }, ms) {
  row.states += 1;
  if (state.isTorn) row.tornWrites += 1;
  if (!isMounted) {
    row.unmountable += 1;
    row.unmountableExample ??= { ...state, message };
  }
  // A state counts once for each kind of problem, however many sessions show it.
  for (const kind of new Set(problems.map((problem) => problem.kind))) row[kind] += 1;
  for (const problem of problems) if (row.examples.length < 5) row.examples.push({ ...state, ...problem });
  if (ms > row.slowest.ms) row.slowest = { ms, ...state };
}

function keepFailure(settings, row, state, image, { progress, history }) {
  row.kept = (row.kept ?? 0) + 1;
  if (settings.broken || row.kept > keptFailuresMax) return;
  mkdirSync(settings.failures, { recursive: true });
  const name = `${settings.fileSystem}-${settings.protocol}-${row.kept}`;
  copySparse(image, path.join(settings.failures, `${name}.raw`));
  const notes = { state, problems: row.examples, progress: Object.fromEntries(progress), history };
  writeFileSync(path.join(settings.failures, `${name}.json`), `${JSON.stringify(notes, null, 2)}\n`);
}
