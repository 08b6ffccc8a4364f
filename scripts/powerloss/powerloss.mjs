/**
 * `npm run powerloss`: power cuts at the block level. A real file system on a disk that records every write and flush,
 * the real store on top; then the disk as a power cut at any moment may have left it, mounted and opened again.
 *
 * Needs root, FUSE and loop devices; says what is missing and ends well without them. Writes results/powerloss.json.
 * Exits with 1 when anything was lost, half visible, resurrected or refused, when the rig does not find what a store
 * without syncs loses, or when a row met nothing of what it is about (verdict.mjs).
 */

import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { orExit, runTypeScript } from "../lib/compile.mjs";
import { inProject, shown } from "../lib/project.mjs";
import { setUp } from "../setup.mjs";
import { readOptions } from "./options.mjs";
import { installMissing, missingForAll, missingForFileSystem } from "./requirements.mjs";
import { countProblems, runProtocol } from "./run-protocol.mjs";
import { emptyRows } from "./verdict.mjs";
import { Workspace } from "./workspace.mjs";

const selfCheckStates = 20;

const options = readOptions(process.argv.slice(2));
if (options.install) installMissing(options.fileSystems);
const missing = missingForAll();
if (missing.length > 0) {
  console.log(`skipped: needs ${missing.join("; needs ")}`);
  process.exit(0);
}

setUp();
const results = inProject("results", "powerloss.json");
const report = { seed: options.seed, ok: false, selfChecks: [], rows: [], skipped: [] };
const workspace = new Workspace();
const packageUrl = compile();
const startedMs = performance.now();
console.log(`Seed ${options.seed}; ${options.states} states per file system and protocol.`);
try {
  for (const fileSystem of options.fileSystems) await runFileSystem(fileSystem);
} catch (error) {
  console.error(`the rig itself failed: ${error.message}`);
  process.exit(1);
} finally {
  workspace.close();
}
finish();

/** Into a directory of its own: another run may be going on. */
function compile() {
  const directory = inProject(`build-powerloss-${process.pid}`);
  workspace.take(() => rmSync(directory, { recursive: true, force: true }));
  orExit(() => {
    const { status, output } = runTypeScript(["-p", "tsconfig.build.json", "--outDir", directory]);
    if (status !== 0) throw new Error(`${output}The package does not compile: see above.`);
  });
  return pathToFileURL(path.join(directory, path.sep)).href;
}

async function runFileSystem(fileSystem) {
  const reason = missingForFileSystem(fileSystem);
  if (reason !== undefined) {
    report.skipped.push({ fileSystem, reason });
    console.log(`skipped: ${fileSystem} needs ${reason}`);
    return;
  }
  const settings = { fileSystem, packageUrl, seed: options.seed, failures: inProject("results", "powerloss-failures") };
  if (options.broken === undefined) {
    const row = await runProtocol(workspace, {
      ...settings,
      protocol: "commit",
      states: selfCheckStates,
      broken: "no-sync",
    });
    report.selfChecks.push(row);
    console.log(`${fileSystem}: without syncs ${row.lost} of ${row.states} states lose something, as they should`);
  }
  for (const protocol of options.protocols) {
    const row = await runProtocol(workspace, { ...settings, protocol, states: options.states, broken: options.broken });
    report.rows.push(row);
    showRow(row);
    save();
  }
}

function showRow(row) {
  const figures = ["lost", "partlyVisible", "resurrected", "refused", "leaked", "tornWrites", "unmountable"];
  const counts = figures.map((name) => `${row[name]} ${name}`).join(", ");
  console.log(
    `${row.fileSystem} ${row.protocol}: ${row.states} states, ${row.acknowledgements} acknowledgements, ${counts}; ` +
      `slowest ${row.slowest.ms} ms`,
  );
  if (options.broken !== undefined) return;
  for (const { seed, moment, mode, kind, detail } of row.examples) {
    const when = moment === undefined ? "" : ` at entry ${moment} (${mode})`;
    console.log(`    ${kind}${when} of ${seed}: ${detail.replaceAll("\n", "\n    ")}`);
  }
}

function save() {
  mkdirSync(path.dirname(results), { recursive: true });
  writeFileSync(results, `${JSON.stringify(report, null, 2)}\n`);
}

/** On a broken store every file system must show a loss; on the real one nothing may be wrong. */
function finish() {
  const sum = (rows, name) => rows.reduce((total, row) => total + row[name], 0);
  const blind = report.selfChecks.filter((row) => row.lost === 0).map((row) => row.fileSystem);
  const problems = report.rows.reduce((total, row) => total + countProblems(row), 0);
  const empty = emptyRows([...report.selfChecks, ...report.rows]);
  const isAsPromised = problems === 0 && blind.length === 0 && empty.length === 0;
  report.ok = options.broken === undefined ? isAsPromised : sum(report.rows, "lost") > 0;
  report.minutes = Number(((performance.now() - startedMs) / 60_000).toFixed(2));
  report.total = Object.fromEntries(
    ["states", "kills", "acknowledgements", "lost", "partlyVisible", "resurrected", "refused", "leaked"].map((name) => [
      name,
      sum(report.rows, name),
    ]),
  );
  save();
  if (report.rows.length === 0) {
    console.log("skipped: no file system could be tried, see above");
    process.exit(0);
  }
  for (const reason of empty) console.log(`${reason}: its figures prove nothing.`);
  if (blind.length > 0)
    console.log(`The rig found nothing without syncs on ${blind.join(", ")}: its figures prove nothing.`);
  console.log(
    `${Object.entries(report.total)
      .map(([name, count]) => `${count} ${name}`)
      .join(", ")}`,
  );
  console.log(`${report.ok ? "ok" : "FAILED"}; report in ${shown(results)}`);
  process.exit(report.ok ? 0 : 1);
}
