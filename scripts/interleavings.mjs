/**
 * `npm run interleavings -- [--switches 3] [--only PAIR]`: sets up, compiles everything into build/ and runs every
 * schedule of so many context switches. See test/protocol/all-interleavings.ts.
 */

import { spawn } from "node:child_process";
import { compileAll, orExit } from "./lib/compile.mjs";
import { inProject, root } from "./lib/project.mjs";
import { setUp } from "./setup.mjs";

setUp();
console.log("Compiling ...");
orExit(compileAll);
const program = inProject("build", "test", "protocol", "all-interleavings.js");
const child = spawn(process.execPath, [program, ...process.argv.slice(2)], { cwd: root, stdio: "inherit" });
child.once("close", (status) => process.exit(status ?? 1));
