/**
 * `npm test [-- part of a file name ...]`: sets up, compiles everything into build/ and runs the tests.
 *
 * The last line is always "N passed, N failed", with ", N skipped" when there are any. Exits with 1 when a test failed,
 * when a test file crashed, or when nothing ran.
 */

import { existsSync, readdirSync } from "node:fs";
import path from "node:path";
import { run } from "node:test";
import { build } from "./build.mjs";
import { compileAll, orExit } from "./lib/compile.mjs";
import { installPostgresPackages } from "./lib/postgres-packages.mjs";
import { inProject, root, shown } from "./lib/project.mjs";
import { TestResults } from "./lib/test-results.mjs";
import { setUp } from "./setup.mjs";

const fileTimeoutMs = 5 * 60_000;

const filters = process.argv.slice(2);
setUp();
console.log("Compiling ...");
// The example's tests use the package by its name, as its users do: that is dist/.
orExit(build);
orExit(compileAll);
const files = findTestFiles(filters);
if (files.length === 0) {
  console.log(`No test file${filters.length > 0 ? ` has ${filters.join(" or ")} in its name` : " was found"}.`);
  finish(new TestResults());
}
if (files.some((file) => file.includes("postgres"))) installPostgresPackages();
console.log(`Running ${files.length} test files ...`);

const results = new TestResults();
const printed = new Map();
const events = run({ files, concurrency: 2, timeout: fileTimeoutMs });
for await (const event of events) {
  results.add(event);
  if (event.type === "test:stdout" || event.type === "test:stderr") remember(event.data);
  if (event.type === "test:fail") showNewFailures();
}
showNewFailures();
showSkips();
showSlowestFiles();
finish(results);

function findTestFiles(parts) {
  const directory = inProject("build", "test");
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { recursive: true })
    .filter((name) => name.endsWith(".test.js"))
    .map((name) => path.join(directory, name))
    .filter((file) => parts.length === 0 || parts.some((part) => shown(file).includes(part)))
    .sort();
}

/** The end of what a test file printed is shown with its failure. */
function remember({ file, message }) {
  printed.set(file, `${printed.get(file) ?? ""}${message}`.slice(-4_000));
}

function showNewFailures() {
  for (const failure of results.failures) {
    if (failure.shown) continue;
    failure.shown = true;
    const name = failure.name === failure.file ? "" : `: ${failure.name}`;
    console.log(`\nFAILED ${shown(failure.file)}${name}`);
    console.log(indent(failure.text.replaceAll(root, ".")));
    const output = printed.get(failure.file);
    if (output) console.log(indent(`what the file printed last:\n${output.trimEnd()}`));
  }
}

function showSkips() {
  const reasons = new Map();
  for (const { reason } of results.skipped) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  for (const [reason, count] of reasons) console.log(`skipped ${count}: ${reason}`);
}

function showSlowestFiles() {
  const slowest = [...results.files].sort((a, b) => b[1].ms - a[1].ms).slice(0, 5);
  console.log("\nSlowest files:");
  for (const [file, { ms }] of slowest) console.log(`  ${(ms / 1000).toFixed(1).padStart(6)} s  ${shown(file)}`);
}

function finish({ passed, failures, skipped }) {
  const ok = failures.length === 0 && passed > 0;
  const skips = skipped.length > 0 ? `, ${skipped.length} skipped` : "";
  console.log(`\n${passed} passed, ${failures.length} failed${skips}`);
  process.exit(ok ? 0 : 1);
}

function indent(text) {
  return text.replace(/^/gm, "    ");
}
