/**
 * `npm run example:fan-out`: sets up, compiles, and runs examples/fan-out/main.ts with the arguments given after "--".
 */

import { pathToFileURL } from "node:url";
import { build } from "./build.mjs";
import { compileAll, orExit } from "./lib/compile.mjs";
import { inProject } from "./lib/project.mjs";
import { setUp } from "./setup.mjs";

setUp();
console.log("Compiling ...");
orExit(build);
orExit(compileAll);
await import(pathToFileURL(inProject("build", "examples", "fan-out", "main.js")).href);
