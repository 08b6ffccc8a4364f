/**
 * `npm run start:postgres`: the main job against a real PostgreSQL, with processes that stand for three machines. Starts
 * a server of its own for as long as it runs, or uses the one of SESSIONDIR_TEST_POSTGRES_URL.
 */

import { pathToFileURL } from "node:url";
import { build } from "./build.mjs";
import { compileAll, orExit } from "./lib/compile.mjs";
import { installPostgresPackages } from "./lib/postgres-packages.mjs";
import { inProject } from "./lib/project.mjs";
import { setUp } from "./setup.mjs";

setUp();
console.log("Compiling ...");
orExit(build);
orExit(compileAll);
installPostgresPackages();
const load = (...parts) => import(pathToFileURL(inProject("build", ...parts)).href);
const { givenUrl, startPostgres, whyNoPostgres } = await load("test", "support", "postgres-server.js");
const reason = whyNoPostgres();
if (givenUrl === undefined && reason !== undefined) {
  console.error(`The run ${reason}. Give the URL of a server in SESSIONDIR_TEST_POSTGRES_URL instead.`);
  process.exit(2);
}
const server = givenUrl === undefined ? await startPostgres() : undefined;
try {
  const { runOnPostgres } = await load("examples", "gateway", "postgres.js");
  process.exitCode = await runOnPostgres(givenUrl ?? server.url(), process.argv.slice(2));
} catch (error) {
  console.error(`The run failed: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
} finally {
  await server?.destroy();
}
