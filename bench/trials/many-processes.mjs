/** Trials of several processes on one store: writers of different sessions, of one session, and a watcher. */

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { keyOf, picker, touched } from "../sessions.mjs";
import { quantile } from "../statistics.mjs";
import { oneAfterTheOther, updateWarmUpSeconds } from "./measure.mjs";

const program = fileURLToPath(new URL("../child.mjs", import.meta.url));

/** Starts `count` processes of one role at the same moment and collects what they print. */
async function together(context, count, role) {
  const children = Array.from({ length: count }, (_, index) => start(context, { trial: role, index, count }));
  await Promise.all(children.map(({ ready }) => ready));
  for (const { child } of children) child.stdin.write("go\n");
  return Promise.all(children.map(({ result }) => result));
}

function start({ peerName, directory, sessions, seconds, url }, more) {
  const job = { peerName, directory, sessions, seconds, url, ...more };
  const child = spawn(process.execPath, [program, JSON.stringify(job)], { stdio: ["pipe", "pipe", "inherit"] });
  let becomeReady;
  const ready = new Promise((resolve) => {
    becomeReady = resolve;
  });
  const result = new Promise((resolve, reject) => {
    let figures;
    createInterface({ input: child.stdout }).on("line", (line) => {
      if (line === "ready") becomeReady();
      else figures = JSON.parse(line);
    });
    child.once("close", (status) => {
      becomeReady();
      if (figures === undefined) reject(new Error(`a process of ${more.trial} ended with ${status}`));
      else resolve(figures);
    });
  });
  return { child, ready, result };
}

/** Says that it is ready and waits until all are. */
export async function waitForTheOthers() {
  console.log("ready");
  await new Promise((resolve) => process.stdin.once("data", resolve));
  process.stdin.pause();
}

export async function writersOfDifferentSessions(context) {
  return summed(await together(context, context.processes, "writer"));
}

export async function writersOfOneSession(context) {
  return summed(await together(context, context.processes, "sameWriter"));
}

function summed(all) {
  return {
    perSecond: all.reduce((sum, { perSecond }) => sum + perSecond, 0),
    p99Us: Math.max(...all.map(({ p99Us }) => p99Us)),
    maxUs: Math.max(...all.map(({ maxUs }) => maxUs)),
  };
}

export async function writer({ peer, directory, sessions, seconds, index, count }) {
  const driver = await peer.open(directory);
  const pick = picker(10 + index, Math.floor(sessions / count));
  await waitForTheOthers();
  const figures = await oneAfterTheOther(
    (round) => driver.update(keyOf(index + count * pick()), (entry) => touched(entry, round)),
    seconds,
    updateWarmUpSeconds,
  );
  await driver.close();
  return figures;
}

export async function sameWriter({ peer, directory, seconds }) {
  const driver = await peer.open(directory);
  await waitForTheOthers();
  const figures = await oneAfterTheOther(
    (round) => driver.update(keyOf(7), (entry) => touched(entry, round)),
    seconds,
    updateWarmUpSeconds,
  );
  await driver.close();
  return figures;
}

/** A change of one process, until the watcher of another has it. Both read one clock of the machine. */
export async function changeSeenElsewhere(context) {
  const watcher = start(context, { trial: "watcher" });
  await watcher.ready;
  const driver = await context.peer.open(context.directory);
  await patchAndSleep(driver, context.seconds);
  watcher.child.stdin.write("end\n");
  const figures = await watcher.result;
  await driver.close();
  return figures;
}

async function patchAndSleep(driver, seconds) {
  const endMs = Date.now() + seconds * 1_000;
  for (let round = 0; Date.now() < endMs; round += 1) {
    await driver.patch(keyOf(round % 100), { sentNs: String(process.hrtime.bigint()) });
    await sleep(3 + (round % 7));
  }
}

export async function watcher({ peer, directory, url }) {
  const driver = await peer.open(directory, { readOnly: true, ...(url === undefined ? {} : { url }) });
  const ended = new AbortController();
  const changes = driver.store.watch({ signal: ended.signal });
  console.log("ready");
  process.stdin.once("data", () => ended.abort());
  const latenciesUs = [];
  for await (const { entry } of changes) {
    if (entry?.sentNs !== undefined) latenciesUs.push(Number(process.hrtime.bigint() - BigInt(entry.sentNs)) / 1_000);
  }
  process.stdin.pause();
  await driver.close();
  return { p50Us: quantile(latenciesUs, 0.5), p99Us: quantile(latenciesUs, 0.99), changes: latenciesUs.length };
}

/** The same on a server, which the first process starts and the watcher finds by its URL. */
export async function changeSeenOnServer(context) {
  const { peer, directory, seconds } = context;
  const driver = await peer.open(directory);
  const watcher = start({ ...context, url: driver.url }, { trial: "watcher" });
  await watcher.ready;
  await patchAndSleep(driver, seconds);
  watcher.child.stdin.write("end\n");
  const figures = await watcher.result;
  await driver.close();
  return figures;
}

/** Taking a legacy file over, in a fresh process each time. */
export async function migrate({ peer, directory, sessions }) {
  const from = Number(process.hrtime.bigint());
  const driver = await peer.open(directory);
  const ms = (Number(process.hrtime.bigint()) - from) / 1e6;
  if ((await driver.get(keyOf(sessions - 1))) === undefined) throw new Error("the last session is not there");
  await driver.close();
  return { ms };
}
