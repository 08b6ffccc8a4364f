/** `npm run format`: formats all files and applies the safe fixes of the linter. */

import { runPackage } from "./lib/project.mjs";
import { setUp } from "./setup.mjs";

setUp();
const { status, output } = runPackage("@biomejs/biome/bin/biome", ["check", "--write", "."]);
console.log(output.trimEnd());
process.exit(status);
