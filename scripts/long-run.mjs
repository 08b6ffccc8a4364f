/**
 * `npm run long-run -- [PART ...]`: sets up, compiles everything into build/ and runs what takes
 * too long for `npm test`. See test/long-run/main.ts.
 */

import { spawn } from "node:child_process";
import { compileAll, orExit } from "./lib/compile.mjs";
import { inProject, root } from "./lib/project.mjs";
import { setUp } from "./setup.mjs";

setUp();
console.log("Compiling ...");
orExit(compileAll);
const program = inProject("build", "test", "long-run", "main.js");
const child = spawn(process.execPath, [program, ...process.argv.slice(2)], { cwd: root, stdio: "inherit" });
child.once("close", (status) => process.exit(status ?? 1));
