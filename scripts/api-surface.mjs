/**
 * The recorded public API: the declarations of the package's entry points and of every module they refer to, in one file
 * that a reviewer can read. `npm run api` (--write) records it; the check fails when the code says something else.
 */

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { runTypeScript } from "./lib/compile.mjs";
import { inProject } from "./lib/project.mjs";
import { readSource } from "./lib/source-text.mjs";
import { setUp } from "./setup.mjs";

/** What package.json exports. */
const entryPoints = ["index.d.ts", "openclaw/index.d.ts", "postgres.d.ts"];
const recordFile = inProject("api", "sessiondir.api.d.ts");

/** The differences as lines of text; none when the record is current. */
export function checkApiSurface() {
  if (!existsSync(inProject("src", "index.ts"))) return ["src/index.ts does not exist"];
  const recorded = existsSync(recordFile) ? readFileSync(recordFile, "utf8") : "";
  const current = describeApi();
  if (recorded === current) return [];
  return [
    ...differingLines(recorded, current).slice(0, 20),
    "The public API differs from api/sessiondir.api.d.ts. If that is meant: npm run api, and commit the file.",
  ];
}

function describeApi() {
  const directory = mkdtempSync(path.join(os.tmpdir(), "sessiondir-api-"));
  try {
    const options = ["--declaration", "--emitDeclarationOnly", "--removeComments", "--outDir", directory];
    // Errors of the types are the business of another check; declarations are written in spite of them.
    const { output } = runTypeScript(["-p", "tsconfig.build.json", ...options]);
    const missing = entryPoints.find((file) => !existsSync(path.join(directory, file)));
    if (missing !== undefined) throw new Error(`${missing} was not written:\n${output}`);
    const files = reachableFiles(directory, entryPoints);
    const parts = files.map((file) => `// --- ${file}\n${readDeclarations(path.join(directory, file))}`);
    return `// The public API, recorded by \`npm run api\`. Do not edit.\n\n${parts.join("\n")}`;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The declaration files that the entries refer to, directly or not, sorted by name. */
function reachableFiles(directory, entries) {
  const seen = new Set();
  const queue = [...entries];
  for (const file of queue) {
    if (seen.has(file)) continue;
    seen.add(file);
    for (const { specifier } of readSource(readFileSync(path.join(directory, file), "utf8")).imports) {
      if (!specifier.startsWith(".")) continue;
      queue.push(path.posix.join(path.posix.dirname(file), specifier).replace(/\.js$/, ".d.ts"));
    }
  }
  return [...seen].sort();
}

function readDeclarations(file) {
  const text = readFileSync(file, "utf8");
  return `${text.replace(/^\/\/# sourceMappingURL.*$/gm, "").trim()}\n`;
}

function differingLines(recorded, current) {
  const old = new Set(recorded.split("\n"));
  const fresh = new Set(current.split("\n"));
  const removed = [...old].filter((line) => !fresh.has(line)).map((line) => `- ${line}`);
  const added = [...fresh].filter((line) => !old.has(line)).map((line) => `+ ${line}`);
  return [...removed, ...added];
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  setUp();
  if (process.argv.includes("--write")) {
    mkdirSync(path.dirname(recordFile), { recursive: true });
    writeFileSync(recordFile, describeApi());
    console.log("Recorded the public API in api/sessiondir.api.d.ts.");
  } else {
    const differences = checkApiSurface();
    for (const line of differences) console.log(line);
    process.exit(differences.length === 0 ? 0 : 1);
  }
}
