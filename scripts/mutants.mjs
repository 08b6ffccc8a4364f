/**
 * `npm run mutants [-- NAME ...]`: takes every sync, lock, check and limit out of the compiled code, one at a time, and
 * runs the suite that must notice. With names, only the mutants whose name has one of them in it.
 *
 * Prints a line per mutant with the test that killed it, and "N mutants, N killed, N equivalent, N survived" at the end;
 * writes the same to results/mutants.json. Exits with 1 when a mutant survived, when the text it replaces is not there
 * exactly once ("mutant out of date"), or when its suite fails without it too.
 */

import { mkdirSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { allMutants } from "./lib/mutants.mjs";
import { endSuitesOnExit, Workshop } from "./lib/mutants-workshop.mjs";
import { installPostgresPackages } from "./lib/postgres-packages.mjs";
import { inProject } from "./lib/project.mjs";
import { setUp } from "./setup.mjs";

const benchesMax = 2;

const names = process.argv.slice(2);
const mutants = allMutants().filter(({ name }) => names.length === 0 || names.some((part) => name.includes(part)));
if (mutants.length === 0) fail(`No mutant has ${names.join(" or ")} in its name.`);
const doubled = mutants.filter(({ name }, index) => mutants.findIndex((other) => other.name === name) !== index);
if (doubled.length > 0) fail(`Two mutants are called ${doubled[0].name}.`);

setUp();
if (mutants.some(({ suite = [] }) => [suite].flat().some((file) => file.includes("postgres"))))
  installPostgresPackages();
endSuitesOnExit();
console.log("Compiling ...");
const workshop = Workshop.compile(Math.min(benchesMax, availableParallelism()));
const startedMs = Date.now();
const results = [];
const waiting = [...mutants];
await Promise.all(workshop.benches.map(work));
report();

async function work(bench) {
  for (let mutant = waiting.shift(); mutant !== undefined; mutant = waiting.shift()) {
    const startMs = Date.now();
    const result = { ...summaryOf(mutant), ...(await workshop.judge(mutant, bench)), ms: Date.now() - startMs };
    results.push(result);
    console.log(lineOf(result));
  }
}

function summaryOf({ name, rule, file, find, replace, argument }) {
  return { name, rule, file, find, replace, ...(argument === undefined ? {} : { argument }) };
}

function lineOf({ name, rule, outcome, killer, argument, problem }) {
  const label = `${rule === undefined ? "" : `${rule} `}${name}`;
  if (outcome === "killed") return `killed      ${label}: by ${killer}`;
  if (outcome === "equivalent") return `equivalent  ${label}: ${argument}`;
  return `${outcome.toUpperCase().padEnd(11)} ${label}: ${problem}`;
}

function report() {
  const count = (outcome) => results.filter((result) => result.outcome === outcome).length;
  const broken = count("broken");
  const summary = `${results.length} mutants, ${count("killed")} killed, ${count("equivalent")} equivalent, ${count("survived")} survived`;
  mkdirSync(inProject("results"), { recursive: true });
  results.sort((left, right) => left.name.localeCompare(right.name));
  writeFileSync(
    inProject("results", "mutants.json"),
    `${JSON.stringify({ summary, seconds: Math.round((Date.now() - startedMs) / 1_000), results }, null, 2)}\n`,
  );
  const notGood = results.filter(({ outcome }) => outcome === "survived" || outcome === "broken");
  if (notGood.length > 0) console.log(`\n${notGood.map(lineOf).join("\n")}`);
  console.log(`\n${summary}${broken > 0 ? `, ${broken} could not be judged` : ""}`);
  process.exit(notGood.length === 0 ? 0 : 1);
}

function fail(message) {
  console.error(message);
  process.exit(1);
}
