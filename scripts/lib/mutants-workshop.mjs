/**
 * Where mutants are made and tried. The project is compiled once; each bench is a copy of what came out, in which one
 * file at a time is changed and put back. `src` is never touched.
 *
 * A mutant counts as killed only when a test by name fails, and the same suite passes without the mutant. A suite that
 * hangs kills only a mutant that says so (`hangs: true`).
 */

import { spawn } from "node:child_process";
import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { copySchema, runTypeScript } from "./compile.mjs";
import { inProject, root } from "./project.mjs";

const suiteTimeoutMs = 90_000;
/** A mutant that hangs does nothing else, so there is no point in waiting longer. */
const hangTimeoutMs = 15_000;

export class Workshop {
  /** Compiled copies of the project, as paths relative to it. */
  benches;
  #timeouts;
  #healthy = new Map();

  constructor(benches, timeouts = { suiteMs: suiteTimeoutMs, hangMs: hangTimeoutMs }) {
    this.benches = benches;
    this.#timeouts = timeouts;
  }

  /** Benches are directories beside build/, so that what lies at a fixed distance from there is found from here too. */
  static compile(count) {
    const benches = Array.from({ length: count }, (_, index) => `build-mutants-${index + 1}`);
    const [first, ...others] = benches;
    for (const bench of benches) rmSync(inProject(bench), { recursive: true, force: true });
    // Types are the business of `npm run check`: what is compiled in spite of an error can be mutated all the same.
    const { output } = runTypeScript(["-p", "tsconfig.json", "--outDir", first]);
    if (output.trim() !== "") console.log(output.trim());
    copySchema(`${first}/src`);
    for (const bench of others) cpSync(inProject(first), inProject(bench), { recursive: true });
    return new Workshop(benches);
  }

  /** { outcome: "killed", killer } and so on; `problem` says why it is "survived" or "broken". */
  async judge(mutant, bench) {
    const file = inProject(bench, mutant.file.replace(/\.ts$/, ".js"));
    const original = readFileSync(file, "utf8");
    const mutated = mutate(original, mutant);
    if (mutated === undefined) return { outcome: "broken", problem: "mutant out of date: its text is not there once" };
    if (mutant.argument !== undefined) return { outcome: "equivalent" };
    for (const suite of [mutant.suite].flat()) {
      const problem = await this.#healthProblem(suite, mutant.test, bench);
      if (problem) return { outcome: "broken", problem };
      writeFileSync(file, mutated);
      try {
        const run = await runSuite(
          bench,
          suite,
          mutant.test,
          mutant.hangs ? this.#timeouts.hangMs : this.#timeouts.suiteMs,
        );
        if (run.failed !== undefined) return { outcome: "killed", killer: `${suite}: ${run.failed}` };
        if (run.hung && mutant.hangs) return { outcome: "killed", killer: `${suite}: hangs, as declared` };
        if (run.hung) return { outcome: "broken", problem: `${suite} hangs, which is not declared` };
        if (run.status !== 0) return { outcome: "broken", problem: `${suite} does not run: ${run.output.slice(-500)}` };
      } finally {
        writeFileSync(file, original);
      }
    }
    return { outcome: "survived", problem: `${[mutant.suite].flat().join(" and ")} did not notice` };
  }

  /** What is wrong with a suite that no mutant is in; asked once for each. */
  #healthProblem(suite, test, bench) {
    const key = `${suite} ${test ?? ""}`;
    if (!this.#healthy.has(key)) this.#healthy.set(key, findHealthProblem(bench, suite, test, this.#timeouts.suiteMs));
    return this.#healthy.get(key);
  }
}

async function findHealthProblem(bench, suite, test, timeoutMs) {
  const run = await runSuite(bench, suite, test, timeoutMs);
  if (run.failed !== undefined) return `${suite} fails without a mutant too: ${run.failed}`;
  if (run.hung || run.status !== 0) return `${suite} does not run without a mutant: ${run.output.slice(-500)}`;
  if (!/^ *ok \d+ - (?!.*# SKIP)/m.test(run.output)) return `${suite} has no test ${test ?? ""} that runs here`;
  return undefined;
}

/** The text with the one place replaced; `undefined` unless it is there exactly once. */
export function mutate(text, { find, replace }) {
  const place = findOnce(text, find);
  return place && text.slice(0, place.from) + replace + text.slice(place.to);
}

/** Where the text is, from and to; `undefined` unless it is there exactly once. White space fits any white space. */
export function findOnce(text, find) {
  const pattern = find
    .trim()
    .split(/\s+/)
    .map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"))
    .join("\\s+");
  const [place, second] = text.matchAll(new RegExp(pattern, "g"));
  if (place === undefined || second !== undefined) return undefined;
  return { from: place.index, to: place.index + place[0].length };
}

const running = new Set();

/** Ends with the first test that fails: one is enough. */
function runSuite(bench, suite, test, timeoutMs) {
  // Inside of a test, Node would give results in the form that its own runner reads.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const file = inProject(bench, suite.replace(/\.ts$/, ".js"));
  const pattern = test === undefined ? [] : [`--test-name-pattern=${test}`];
  const child = spawn(process.execPath, ["--test-reporter=tap", ...pattern, file], {
    cwd: root,
    env,
    // A group of its own: a suite may have started processes, which must not outlive it.
    detached: process.platform !== "win32",
    stdio: ["ignore", "pipe", "pipe"],
  });
  running.add(child);
  let output = "";
  let failed;
  let hung = false;
  const read = (chunk) => {
    output += chunk;
    failed ??= /^ *not ok \d+ - (.*?)(?: # (?!TODO|SKIP).*)?$/m.exec(output)?.[1];
    if (failed !== undefined) end(child);
  };
  child.stdout.setEncoding("utf8").on("data", read);
  child.stderr.setEncoding("utf8").on("data", (chunk) => {
    output += chunk;
  });
  const timer = setTimeout(() => {
    hung = true;
    end(child);
  }, timeoutMs);
  return new Promise((resolve) => {
    child.on("close", (status) => {
      clearTimeout(timer);
      running.delete(child);
      resolve({ failed, hung: hung && failed === undefined, status, output });
    });
  });
}

function end(child) {
  try {
    if (process.platform === "win32") child.kill("SIGKILL");
    else process.kill(-child.pid, "SIGKILL");
  } catch {
    // It has ended already.
  }
}

/** Nothing that was started here may go on after us. */
export function endSuitesOnExit() {
  const endAll = () => {
    for (const child of running) end(child);
  };
  process.on("exit", endAll);
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(130));
}
