/**
 * The layer rule: reads every file under src/ (or the directory given) and prints each import or call that
 * scripts/lib/layers.mjs does not allow. It reads the text, not the program: `const now = Date["now"]` escapes it.
 */

import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { exceptions, layers, networkModules, portCalls, portModules, terminalModules } from "./lib/layers.mjs";
import { inProject } from "./lib/project.mjs";
import { lineOf, readSource } from "./lib/source-text.mjs";

/** The violations, each as one line of text. */
export function checkLayers(sourceDirectory = inProject("src")) {
  const files = readdirSync(sourceDirectory, { recursive: true })
    .map((name) => name.split(path.sep).join("/"))
    .filter((name) => name.endsWith(".ts"))
    .sort();
  return files.flatMap((file) => checkFile(file, readFileSync(path.join(sourceDirectory, file), "utf8")));
}

function checkFile(file, text) {
  const layer = layerOf(file);
  if (layer === undefined) return [`src/${file}:1 belongs to no layer: add it to scripts/lib/layers.mjs`];
  const { code, imports } = readSource(text);
  const problems = imports.map(({ specifier, line }) => ({ line, text: checkImport(file, layer, specifier) }));
  if (layer.name !== "fs") problems.push(...checkCalls(file, code));
  return problems
    .filter((problem) => problem.text !== undefined)
    .map((problem) => `src/${file}:${problem.line} ${problem.text}`);
}

function checkImport(file, layer, specifier) {
  if (isException(file, specifier)) return undefined;
  if (!specifier.startsWith(".")) return checkNetwork(file, specifier) ?? checkModule(layer, specifier);
  const target = path.posix.join(path.posix.dirname(file), specifier).replace(/\.js$/, ".ts");
  const targetLayer = layerOf(target);
  if (targetLayer === undefined) return `imports ${specifier}, which belongs to no layer`;
  if (targetLayer.name === layer.name) {
    if (layer.name !== "backend" || backendOf(file) === backendOf(target)) return undefined;
    return `imports sideways from the ${backendOf(target)} backend`;
  }
  if (layer.mayImport.includes(targetLayer.name)) return undefined;
  return `imports ${specifier}: ${layer.name} may not import ${targetLayer.name}`;
}

function checkNetwork(file, specifier) {
  const client = networkModules.find(({ pattern }) => pattern.test(specifier));
  if (client === undefined || file.startsWith(client.folder)) return undefined;
  return `imports ${specifier}: only src/${client.folder} may`;
}

function checkModule(layer, specifier) {
  if (layer.name !== "fs" && portModules.some((pattern) => pattern.test(specifier))) {
    return `imports ${specifier}: only src/fs may`;
  }
  if (layer.name !== "cli" && terminalModules.some((pattern) => pattern.test(specifier))) {
    return `imports ${specifier}: only src/cli may`;
  }
  return undefined;
}

function checkCalls(file, code) {
  return portCalls.flatMap(({ pattern, name }) =>
    [...code.matchAll(pattern)]
      .filter(() => !isException(file, name))
      .map((match) => ({ line: lineOf(code, match.index), text: `uses ${name}: only src/fs may` })),
  );
}

function layerOf(file) {
  return layers.find(({ pattern }) => pattern.test(file));
}

function backendOf(file) {
  return file.split("/")[1];
}

function isException(file, what) {
  return exceptions.some((exception) => exception.file === file && exception.allows.includes(what));
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const violations = checkLayers(process.argv[2]);
  for (const violation of violations) console.log(violation);
  if (violations.length === 0) console.log("The layer rule holds.");
  process.exit(violations.length === 0 ? 0 : 1);
}
