/**
 * `npm start`: sets up, compiles, and runs the main job, examples/gateway/main.ts, with the arguments given after "--".
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
await import(pathToFileURL(inProject("build", "examples", "gateway", "main.js")).href);
