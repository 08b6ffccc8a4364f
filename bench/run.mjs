/**
 * `npm run bench [-- --quick | --full] [--only TRIAL]...`: builds the package, installs the peers, and runs every trial for
 * every peer in a process of its own, the repetitions of the peers taking turns. Writes bench/results/latest.json and
 * docs/benchmarks.md, and prints the goals. `--goals` only prints them from the last results.
 */

import { spawn, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { cpus, release, tmpdir, totalmem } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { build } from "../scripts/build.mjs";
import { checkGoals, printGoals } from "./goals.mjs";
import { writeReport } from "./report.mjs";
import { summarize } from "./statistics.mjs";
import { trials } from "./trials/index.mjs";

const here = path.dirname(fileURLToPath(import.meta.url));
const resultsPath = path.join(here, "results", "latest.json");
let peers;

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    full: { type: "boolean", default: false },
    goals: { type: "boolean", default: false },
    report: { type: "boolean", default: false },
    only: { type: "string", multiple: true },
    directory: { type: "string" },
    "lts-node": { type: "string", default: process.env.BENCH_LTS_NODE ?? "" },
  },
});
const mode = values.full ? "full" : values.quick ? "quick" : "standard";
const seconds = { quick: 0.6, standard: 2, full: 3 }[mode];
/** A child that takes longer is killed. A million sessions are seeded, or read for the first time, in a few minutes. */
const childMsMax = { quick: 300_000, standard: 300_000, full: 3_600_000 }[mode];
const repetitions = { quick: 3, standard: 5, full: 7 }[mode];

if (values.goals || values.report) {
  if (!existsSync(resultsPath)) throw new Error("there are no results: npm run bench");
  const results = JSON.parse(readFileSync(resultsPath, "utf8"));
  if (values.report) writeReport(results);
  printGoals(checkGoals(results));
} else await bench();

async function bench() {
  build();
  installPeers();
  // Our own peer imports the package that was just built.
  ({ peers } = await import("./peers/index.mjs"));
  const chosen = trials.filter(({ name }) => values.only === undefined || values.only.includes(name));
  if (chosen.length === 0) throw new Error(`the trials are ${trials.map(({ name }) => name).join(", ")}`);
  const root = mkdtempSync(path.join(values.directory ?? tmpdir(), "sessiondir-bench-"));
  const startedMs = Date.now();
  const missing = new Map();
  const measured = [];
  try {
    for (const trial of chosen) {
      const fromMs = Date.now();
      for (const given of trial.cases) {
        if ((given.onlyFull && mode !== "full") || (given.notQuick && mode === "quick")) continue;
        measured.push(await runCase(root, trial, given, missing));
      }
      console.log(`(${Math.round((Date.now() - fromMs) / 1_000)} s)`);
    }
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
  const results = { machine: describeMachine(root), mode, tookSeconds: (Date.now() - startedMs) / 1_000 };
  const kept = values.only === undefined ? [] : keptFromBefore(chosen);
  results.versions = peerVersions();
  results.missing = { ...missingBefore(kept, measured), ...Object.fromEntries(missing) };
  results.trials = [...kept, ...measured];
  mkdirSync(path.dirname(resultsPath), { recursive: true });
  writeFileSync(resultsPath, `${JSON.stringify(results, null, 2)}\n`);
  writeReport(results);
  printGoals(checkGoals(results));
  console.log(`\n${resultsPath} and docs/benchmarks.md written, ${Math.round(results.tookSeconds)} s`);
}

/** With `--only`, the other trials keep the results of the run before: each carries the mode it was run in. */
function keptFromBefore(chosen) {
  if (!existsSync(resultsPath)) return [];
  const names = new Set(chosen.map(({ name }) => name));
  return JSON.parse(readFileSync(resultsPath, "utf8")).trials.filter(({ trial }) => !names.has(trial));
}

/** Peers that were missing when the kept results were made, and were not tried since. */
function missingBefore(kept, measured) {
  if (kept.length === 0) return {};
  const tried = new Set(measured.flatMap((result) => Object.keys(result.peers)));
  const before = JSON.parse(readFileSync(resultsPath, "utf8")).missing ?? {};
  return Object.fromEntries(Object.entries(before).filter(([name]) => !tried.has(name)));
}

function peerVersions() {
  const wanted = JSON.parse(readFileSync(path.join(here, "package.json"), "utf8")).optionalDependencies;
  const versions = {};
  for (const name of Object.keys(wanted)) {
    const file = path.join(here, "node_modules", name, "package.json");
    if (existsSync(file)) versions[name] = JSON.parse(readFileSync(file, "utf8")).version;
  }
  return versions;
}

function installPeers() {
  if (existsSync(path.join(here, "node_modules", ".package-lock.json"))) return;
  console.log("Installing the peers ...");
  // Optional packages: one that cannot be installed or built here is left out, and its goals are "not measured".
  spawnSync("npm", ["install", "--no-audit", "--no-fund", "--no-package-lock"], { cwd: here, stdio: "inherit" });
}

async function runCase(root, trial, given, missing) {
  const figuresOf = new Map();
  const count = repetitionsOf(trial);
  for (let repetition = 0; repetition < count; repetition += 1) {
    for (const peerName of given.peers) {
      if (missing.has(peerName)) continue;
      try {
        const directory = await prepare(root, given, peerName, repetition);
        const seededLegacy = given.needsLegacy ? await seedOnce(root, "legacy", "legacy whole file", given) : undefined;
        const job = { trial: trial.role, peerName, directory, seededLegacy, seconds, ...given };
        if (repetition === 0) for (let run = 0; run < (given.warmUpRuns ?? 0); run += 1) await runChild(job, trial);
        const figures = await runChild(job, trial);
        if (!figuresOf.has(peerName)) figuresOf.set(peerName, []);
        figuresOf.get(peerName).push(figures);
        if (given.fromLegacy) rmSync(directory, { recursive: true });
      } catch (error) {
        if (!isMissing(error)) throw error;
        missing.set(peerName, firstLine(error.message));
      }
    }
  }
  const result = { trial: trial.name, title: trial.title, figure: trial.figure, label: given.label, mode };
  result.lowerIsBetter = trial.lowerIsBetter === true;
  result.sessions = given.sessions;
  result.peers = Object.fromEntries([...figuresOf].map(([name, all]) => [name, summarizeAll(name, all)]));
  printCase(result);
  return result;
}

function repetitionsOf(trial) {
  if (mode === "quick") return Math.min(trial.quickRepetitions ?? trial.repetitions ?? repetitions, repetitions);
  return Math.min(trial.repetitions ?? repetitions, repetitions + 2);
}

function summarizeAll(peerName, all) {
  const names = Object.keys(all[0]).filter((name) => typeof all[0][name] === "number");
  const figures = Object.fromEntries(names.map((name) => [name, summarize(all.map((figures) => figures[name]))]));
  const { node } = all[0];
  return { durability: peers[peerName].durability, figures, ...(node === process.version ? {} : { node }) };
}

/** The seeded store of a peer's family and size; peers of one family share it. A migration gets a legacy file of its own. */
async function prepare(root, { sessions, bytes, fromLegacy }, peerName, repetition) {
  const given = { sessions, bytes };
  if (!fromLegacy) return seedOnce(root, peers[peerName].family, peerName, given);
  const seeded = await seedOnce(root, "legacy", "legacy whole file", given);
  const copy = path.join(root, `take-over-${sessions}-${repetition}`);
  cpSync(seeded, copy, { recursive: true });
  return copy;
}

async function seedOnce(root, family, peerName, { sessions, bytes }) {
  const directory = path.join(root, `${family}-${sessions}-${bytes}`);
  if (!existsSync(directory)) await runChild({ trial: "seed", peerName, directory, sessions, bytes }, {});
  return directory;
}

function runChild(job, { nodeOptions = [] }) {
  const program = fileURLToPath(new URL("./child.mjs", import.meta.url));
  const node =
    job.peerName.startsWith("node:sqlite") && values["lts-node"] !== "" ? values["lts-node"] : process.execPath;
  return new Promise((resolve, reject) => {
    const from = performance.now();
    const child = spawn(node, ["--no-warnings", ...nodeOptions, program, JSON.stringify(job)], {
      stdio: ["ignore", "pipe", "pipe"],
      timeout: childMsMax,
      killSignal: "SIGKILL",
    });
    let [output, complaints] = ["", ""];
    child.stdout.on("data", (chunk) => {
      output += chunk;
    });
    child.stderr.on("data", (chunk) => {
      complaints += chunk;
    });
    child.once("close", (status, signal) => {
      const processMs = performance.now() - from;
      if (status !== 0)
        reject(new Error(`${job.peerName}, ${job.trial}: ended with ${status ?? signal}\n${complaints}`));
      else resolve(output === "" ? {} : { ...JSON.parse(output), processMs });
    });
  });
}

function isMissing({ message }) {
  return /ERR_MODULE_NOT_FOUND|Cannot find (module|package)|Could not locate the bindings|No such built-in module|ERR_UNKNOWN_BUILTIN_MODULE|No native build|invalid ELF/i.test(
    message,
  );
}

function firstLine(text) {
  return (
    text
      .split("\n")
      .find((line) => /Error|Cannot|Could not|No such|No native/.test(line))
      ?.trim() ?? text.slice(0, 120)
  );
}

function printCase({ title, label, figure, peers: all }) {
  console.log(`\n${title} - ${label}`);
  for (const [name, { figures }] of Object.entries(all)) {
    const { median, least, greatest } = figures[figure];
    console.log(`  ${name.padEnd(26)} ${format(median).padStart(12)}   (${format(least)} to ${format(greatest)})`);
  }
}

function format(value) {
  return value >= 100 ? Math.round(value).toLocaleString("en") : value.toPrecision(3);
}

function describeMachine(root) {
  const fileSystems = {
    61267: "ext4",
    16914836: "tmpfs",
    1481003842: "xfs",
    2435016766: "btrfs",
    2035054128: "overlay",
  };
  const { type } = statfsSync(path.dirname(root));
  return {
    node: process.version,
    platform: `${process.platform} ${process.arch} ${release().split("-")[0]}`,
    cores: cpus().length,
    processor: cpus()[0]?.model ?? "unknown",
    memoryGb: Math.round(totalmem() / 2 ** 30),
    fileSystem: fileSystems[type] ?? `type ${type}`,
  };
}
