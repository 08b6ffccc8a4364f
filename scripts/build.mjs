/** `npm run build`: sets up and compiles the package into dist/. */

import { chmodSync, existsSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { compilePackage, orExit } from "./lib/compile.mjs";
import { inProject } from "./lib/project.mjs";
import { setUp } from "./setup.mjs";

export function build() {
  setUp();
  compilePackage();
  const commandLine = inProject("dist", "cli", "main.js");
  if (existsSync(commandLine)) chmodSync(commandLine, 0o755);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) orExit(build);
