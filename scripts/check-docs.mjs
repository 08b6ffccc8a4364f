/**
 * Checks the examples in README.md, ARCHITECTURE.md and docs/*.md: what a reader copies must compile and run. And in all
 * documents, that the tests they cite are there.
 * lib/doc-blocks.mjs says how a block is marked. All executed blocks of one document share one empty directory, so that
 * a tour may go on where it stopped; there `sessiondir` is the package and the command of this checkout.
 */

import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import os from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "./build.mjs";
import { findCitedTests, isThere } from "./lib/cited-tests.mjs";
import { runTypeScript } from "./lib/compile.mjs";
import { findBlocks } from "./lib/doc-blocks.mjs";
import { inProject, root } from "./lib/project.mjs";

const runTimeoutMs = 60_000;

/** The problems as lines of text, and what was checked. */
export function checkDocs() {
  const blocks = listDocuments().flatMap((document) => findBlocks(document, readFileSync(inProject(document), "utf8")));
  const problems = blocks.filter((block) => block.problem).map((block) => `${placeOf(block)} ${block.problem}`);
  problems.push(...checkCitedTests());
  const usable = blocks.filter((block) => !block.skip && !block.problem);
  const typed = usable.filter((block) => block.language !== "sh");
  const toRun = usable.filter((block) => block.run);
  const scratch = inProject("build-docs");
  rmSync(scratch, { recursive: true, force: true });
  if (typed.length > 0) problems.push(...typeCheck(typed, scratch));
  if (toRun.length > 0) problems.push(...execute(toRun, scratch));
  rmSync(scratch, { recursive: true, force: true });
  const summary = `${typed.length} blocks type-checked, ${toRun.length} executed, ${blocks.filter((b) => b.skip).length} not checked`;
  return { problems, summary };
}

function listDocuments() {
  const inDocs = existsSync(inProject("docs"))
    ? readdirSync(inProject("docs"), { recursive: true }).map((name) => `docs/${name.split(path.sep).join("/")}`)
    : [];
  return ["README.md", "ARCHITECTURE.md", ...inDocs.sort()].filter(
    (name) => name.endsWith(".md") && existsSync(inProject(name)),
  );
}

function checkCitedTests() {
  const documents = [...listDocuments(), "CONTRIBUTING.md", "SECURITY.md", "bench/README.md"];
  return documents.flatMap((document) =>
    findCitedTests(document, readFileSync(inProject(document), "utf8"))
      .filter(({ cited }) => !isThere(root, cited))
      .map(({ line, cited }) => `${document}:${line} cites ${cited}, which does not exist`),
  );
}

/** Every block is a module of its own; its compiled form stays for `execute`. */
function typeCheck(blocks, scratch) {
  mkdirSync(path.join(scratch, "source"), { recursive: true });
  const places = new Map();
  blocks.forEach((block, index) => {
    block.name = `block-${index + 1}`;
    const file = `${block.name}.${block.language === "ts" ? "ts" : "js"}`;
    places.set(file, block);
    writeFileSync(path.join(scratch, "source", file), `${block.text}\nexport {};\n`);
  });
  const config = {
    extends: "../tsconfig.json",
    compilerOptions: {
      rootDir: "..",
      outDir: "compiled",
      allowJs: true,
      checkJs: true,
      sourceMap: false,
      noUnusedLocals: false,
      noUnusedParameters: false,
      paths: { sessiondir: ["../src/index.ts"], "sessiondir/openclaw": ["../src/openclaw/index.ts"] },
    },
    include: ["source"],
  };
  writeFileSync(path.join(scratch, "tsconfig.json"), JSON.stringify(config));
  const { output } = runTypeScript(["-p", path.join(scratch, "tsconfig.json"), "--pretty", "false"]);
  return output
    .split("\n")
    .map((line) => /build-docs\/source\/([^(]+)\((\d+),\d+\): (.*)$/.exec(line))
    .filter((match) => match !== null)
    .map(([, file, line, message]) => {
      const block = places.get(file);
      return `${placeOf(block)} (line ${line} of the block) ${message}`;
    });
}

function execute(blocks, scratch) {
  build();
  const problems = [];
  for (const document of new Set(blocks.map((block) => block.document))) {
    const directory = mkdtempSync(path.join(os.tmpdir(), "sessiondir-docs-"));
    try {
      const environment = prepareDirectory(directory);
      for (const block of blocks.filter((candidate) => candidate.document === document)) {
        const { status, stdout, stderr, error } = runBlock(block, directory, scratch, environment);
        if (status === 0) continue;
        problems.push(
          `${placeOf(block)} ended with ${error?.message ?? `exit code ${status}`}:\n${stdout}${stderr}`.trimEnd(),
        );
      }
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  }
  return problems;
}

/** A directory in which the package is installed under its name. */
function prepareDirectory(directory) {
  const packages = path.join(directory, "node_modules");
  const programs = path.join(packages, ".bin");
  mkdirSync(programs, { recursive: true });
  symlinkSync(root, path.join(packages, "sessiondir"), "junction");
  const command = path.join(programs, "sessiondir");
  writeFileSync(command, `#!/bin/sh\nexec "${process.execPath}" "${inProject("dist", "cli", "main.js")}" "$@"\n`);
  chmodSync(command, 0o755);
  writeFileSync(path.join(directory, "package.json"), '{ "type": "module" }\n');
  return { ...process.env, PATH: `${programs}${path.delimiter}${process.env.PATH}`, NO_COLOR: "1" };
}

function runBlock(block, directory, scratch, env) {
  const options = { cwd: directory, env, encoding: "utf8", timeout: runTimeoutMs };
  if (block.language === "sh") return spawnSync("sh", ["-e", "-c", block.text], options);
  const program = path.join(directory, `${block.name}.js`);
  writeFileSync(program, readFileSync(path.join(scratch, "compiled", "build-docs", "source", `${block.name}.js`)));
  return spawnSync(process.execPath, [program], options);
}

function placeOf(block) {
  return `${block.document}:${block.line}`;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { problems, summary } = checkDocs();
  for (const problem of problems) console.log(problem);
  console.log(summary);
  process.exit(problems.length === 0 ? 0 : 1);
}
