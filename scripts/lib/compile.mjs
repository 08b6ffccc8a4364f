/** Compiling with tsc: always into an empty directory, so that no file of an earlier version lives on. */

import { cpSync, rmSync } from "node:fs";
import { inProject, runPackage } from "./project.mjs";

/** Everything (src, test, examples) into build/. */
export function compileAll() {
  compile("tsconfig.json", "build");
  copySchema("build/src");
}

/** The package as it is published, into dist/. */
export function compilePackage() {
  compile("tsconfig.build.json", "dist");
  copySchema("dist");
}

/** The compiler takes only TypeScript along; the numbered SQL files are read at run time from beside their module. */
export function copySchema(outputDirectory) {
  const folder = "backends/postgres/schema";
  cpSync(inProject("src", folder), inProject(outputDirectory, folder), { recursive: true });
}

/** Throws with what the compiler found. */
function compile(config, outputDirectory) {
  rmSync(inProject(outputDirectory), { recursive: true, force: true });
  const { status, output } = runTypeScript(["-p", config]);
  if (status === 0) return;
  throw new Error(`${output}${config} does not compile: see above.`);
}

/** For the scripts that cannot go on: prints what the compiler found and ends the process. */
export function orExit(work) {
  try {
    work();
  } catch (error) {
    console.error(error.message);
    process.exit(1);
  }
}

export function runTypeScript(args) {
  return runPackage("typescript/bin/tsc", args);
}
