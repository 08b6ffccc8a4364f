/**
 * Everything a fresh clone needs before any other script: a Node that is new enough and the installed packages. Nothing
 * happens when they are there. Needs Node and npm, nothing else.
 */

import { existsSync, statSync, utimesSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { inProject, root, runProgram } from "./lib/project.mjs";

const nodeMinimum = [20, 19];

export function setUp() {
  checkNode(process.versions.node);
  if (packagesAreCurrent()) return;
  console.log("Installing packages (npm ci) ...");
  const startedAt = Date.now();
  const { status, output } = runNpm(["ci", "--no-audit", "--no-fund", "--include=dev"]);
  if (status !== 0) {
    console.error(output);
    console.error("npm ci failed: see above. It needs the npm registry once; check the network and run it again.");
    process.exit(1);
  }
  // npm keeps the old time of this file when nothing changed; the next run would install again.
  utimesSync(installedList(), new Date(), new Date());
  console.log(`Packages installed in ${Math.round((Date.now() - startedAt) / 1000)} s.`);
}

function checkNode(version) {
  const [major, minor] = version.split(".").map(Number);
  if (major > nodeMinimum[0] || (major === nodeMinimum[0] && minor >= nodeMinimum[1])) return;
  console.error(
    `sessiondir needs Node ${nodeMinimum.join(".")} or newer; this is Node ${version} (${process.execPath}).`,
  );
  console.error("Install a current Node from https://nodejs.org (or: nvm install) and run the command again.");
  process.exit(1);
}

function packagesAreCurrent() {
  if (!existsSync(installedList())) return false;
  return statSync(installedList()).mtimeMs >= statSync(inProject("package-lock.json")).mtimeMs;
}

/** npm writes this file at the end of an installation. */
function installedList() {
  return inProject("node_modules", ".package-lock.json");
}

function runNpm(args) {
  const npmScript = process.env.npm_execpath ?? "";
  if (/npm-cli\.[cm]?js$/.test(npmScript)) return runProgram(process.execPath, [npmScript, ...args], { cwd: root });
  return runProgram("npm", args, { cwd: root, shell: process.platform === "win32" });
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) setUp();
