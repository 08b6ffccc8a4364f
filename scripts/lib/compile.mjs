/** Compiling with tsc: always into an empty directory, so that no file of an earlier version lives on. */

import { rmSync } from "node:fs";
import { inProject, runPackage } from "./project.mjs";

/** Everything (src, test, examples) into build/. */
export function compileAll() {
  compile("tsconfig.json", "build");
}

/** The package as it is published, into dist/. */
export function compilePackage() {
  compile("tsconfig.build.json", "dist");
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
