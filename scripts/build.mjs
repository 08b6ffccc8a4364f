/** `npm run build`: sets up, compiles the package into dist/, and joins what is always loaded together. */

import { chmodSync, existsSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { compilePackage, orExit } from "./lib/compile.mjs";
import { joinModules } from "./lib/join-modules.mjs";
import { inProject } from "./lib/project.mjs";
import { setUp } from "./setup.mjs";

export function build() {
  setUp();
  compilePackage();
  joinModules(inProject("dist"), "index.js", "core.js");
  const commandLine = inProject("dist", "cli", "main.js");
  if (existsSync(commandLine)) chmodSync(commandLine, 0o755);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) orExit(build);
