/**
 * `npm run check`: types, lint and format, the layer rule, the examples in the documents and the recorded API. All
 * checks run even when one fails. The last line is "N checks passed, N failed".
 */

import { checkApiSurface } from "./api-surface.mjs";
import { checkDocs } from "./check-docs.mjs";
import { checkLayers } from "./check-layers.mjs";
import { runTypeScript } from "./lib/compile.mjs";
import { runPackage } from "./lib/project.mjs";
import { setUp } from "./setup.mjs";

const checks = [
  ["types", () => failedOutput(runTypeScript(["-p", "tsconfig.json", "--noEmit", "--pretty", "false"]))],
  ["lint and format", () => failedOutput(runPackage("@biomejs/biome/bin/biome", ["ci", "--colors=off", "."]))],
  ["layers", () => checkLayers()],
  ["docs examples", () => checkDocs().problems],
  ["API surface", () => checkApiSurface()],
];

setUp();
let failed = 0;
for (const [name, check] of checks) {
  const problems = tryCheck(check);
  if (problems.length === 0) {
    console.log(`ok      ${name}`);
  } else {
    failed += 1;
    console.log(`FAILED  ${name}\n${problems.join("\n").replace(/^/gm, "    ")}`);
  }
}
console.log(`${checks.length - failed} checks passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);

function tryCheck(check) {
  try {
    return check();
  } catch (error) {
    return [error.stack];
  }
}

function failedOutput({ status, output }) {
  return status === 0 ? [] : [output.trim() || `ended with exit code ${status}`];
}
