/**
 * Real sync failures: the disk's image lies on a small file system in memory; when that is full, the block device fails.
 * A failed sync must not be taken back by a later one: the kernel has marked the pages clean and still shows them. So
 * after the disk was mended it is mounted anew, and what was acknowledged - before, beside and after the failure - has
 * to be there.
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, statfsSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { checkStores } from "./check-image.mjs";
import { fileSystems } from "./file-systems.mjs";
import { storeOpener } from "./ports.mjs";
import { Random } from "./random.mjs";
import { copySparse, makeBaseImage, mountDevice, mountImage } from "./recorded-disk.mjs";
import { planStores } from "./workloads.mjs";
import { runSystem, unmount } from "./workspace.mjs";

const statesPerRun = 10;
const runMsMax = 120_000;
const spareBytesMax = 3 * 1024 * 1024;
const largeBytes = 1024 ** 3;
const program = fileURLToPath(new URL("failing-disk-process.mjs", import.meta.url));

/** One run for every ten states that are asked for: each is a process's life. Counts into the row. */
export async function runFailingDisk(workspace, settings, row, countState) {
  const base = makeBaseImage(workspace, settings.fileSystem, () => {}, fileSystems[settings.fileSystem].pageSectors);
  const openStore = await storeOpener(settings.packageUrl, undefined);
  for (let run = 0; run < Math.ceil(settings.states / statesPerRun); run += 1) {
    const seed = `${settings.seed}/${settings.fileSystem}/${run}`;
    row.seeds.push(seed);
    const startedMs = performance.now();
    const outcome = await runOnce(workspace, { ...settings, seed }, base, openStore, row);
    countState(row, { seed, isTorn: false }, outcome, Math.round(performance.now() - startedMs));
  }
}

async function runOnce(workspace, settings, base, openStore, row) {
  const small = workspace.file("small");
  mkdirSync(small, { recursive: true });
  runSystem("mount", "-t", "tmpfs", "-o", `size=${largeBytes}`, "sessiondir-powerloss", small);
  const drop = workspace.take(() => unmount(small));
  try {
    const image = path.join(small, "failing.raw");
    copySparse(base, image);
    const notes = workspace.file("notes.jsonl");
    writeFileSync(notes, "");
    const failing = mountFailing(workspace, settings.fileSystem, image);
    const { blocks, bfree, bsize } = statfsSync(small);
    const spareBytes = new Random(`${settings.seed}/spare`).below(spareBytesMax);
    resize(small, (blocks - bfree) * bsize + spareBytes);
    const ended = await runProcess(workspace, { ...settings, mounted: failing.where, notes });
    resize(small, largeBytes);
    const isClean = failing.release();
    const problems = ended.code === 0 ? [] : [{ kind: "refused", detail: `the process ended: ${ended.output}` }];
    if (!isClean) problems.push({ kind: "leaked", detail: "the disk was still in use after the process" });
    return await checkMended(workspace, settings, image, openStore, notes, problems, row);
  } finally {
    drop();
  }
}

/**
 * The loop driver takes a short write of its file for a whole one (seen on Linux 6.18: syncs succeed over data that was
 * never written, which no store can notice). Requests of one page are written whole or not at all.
 */
function mountFailing(workspace, fileSystem, image) {
  const device = runSystem("losetup", "--find", "--show", image);
  const detach = workspace.take(() => runSystem("losetup", "-d", device));
  writeFileSync(`/sys/block/${path.basename(device)}/queue/max_sectors_kb`, "4");
  const { where, release } = mountDevice(workspace, fileSystem, device);
  return {
    where,
    release: () => {
      const isClean = release();
      detach();
      return isClean;
    },
  };
}

function resize(small, bytes) {
  runSystem("mount", "-o", `remount,size=${bytes}`, small);
}

async function checkMended(workspace, { fileSystem, protocol, seed }, image, openStore, notes, problems, row) {
  const stores = planStores(protocol, seed);
  const progress = new Map(stores[0].lanes.map(({ name }) => [name, { acknowledged: 0, begun: 0 }]));
  let failures = 0;
  for (const line of readFileSync(notes, "utf8").split("\n").filter(Boolean)) {
    const [kind, lane, steps, error] = JSON.parse(line);
    if (kind === "acknowledged") row.acknowledgements += 1;
    if (kind === "acknowledged" && failures > 0) row.acknowledgedAfterFailure += 1;
    if (kind === "begun" || kind === "acknowledged") progress.get(lane)[kind] = steps;
    else failures += 1;
    if (kind === "failed") row.errors[error] = (row.errors[error] ?? 0) + 1;
    if (kind === "untyped") problems.push({ kind: "refused", detail: `not an error of the store: ${error}` });
  }
  if (failures > 0) row.runsWithFailures += 1;
  let mended;
  try {
    mended = mountImage(workspace, fileSystem, image);
  } catch (error) {
    return { isMounted: false, message: error.message, problems };
  }
  problems.push(...(await checkStores(openStore, mended.where, stores, progress, false)));
  if (!mended.release()) problems.push({ kind: "leaked", detail: "something was still open after close()" });
  return { isMounted: true, problems };
}

async function runProcess(workspace, { packageUrl, protocol, seed, mounted, notes, broken }) {
  const parameters = JSON.stringify({ packageUrl, protocol, seed, mounted, notes, broken });
  const child = spawn(process.execPath, [program, parameters], { stdio: ["ignore", "pipe", "pipe"] });
  const forget = workspace.take(() => child.kill("SIGKILL"));
  const timer = setTimeout(() => child.kill("SIGKILL"), runMsMax);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (text) => {
      output += text;
    });
  }
  const [code, signal] = await once(child, "close");
  clearTimeout(timer);
  forget();
  return { code, output: signal ? `killed after ${runMsMax} ms` : output };
}
