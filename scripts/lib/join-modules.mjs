/**
 * Joins the modules that a program always loads together into one file. Loading a module costs Node about as much as
 * reading a session a hundred times - it is resolved, opened, read and linked by itself -, and a command that opens a
 * store loads eighty. Each module becomes a function that is called once, in the order in which they would be loaded; its
 * file stays, as a door to what the function returned, so that modules which are loaded later find the same classes and
 * the same state.
 *
 * Reads what the compiler writes, not JavaScript at large: imports and exports at the beginning of a line, each on one
 * line. Throws for anything that it could not join rightly: cycles, `export default`, `export *`, paths relative to a
 * module.
 */

import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";

const importLine = /^import (?:([\w$]+)(?:, )?)?(?:\* as ([\w$]+)|\{ ([^}]*) \})? ?from "([^"]+)";$/gm;
const reexportLine = /^export \{ ([^}]*) \} from "([^"]+)";$/gm;
const exportList = /^export \{ ?([^}]*?) ?\};$/gm;
const exportedDeclaration = /^export ((?:async )?(?:function\*?|class|const|let) ([\w$]+))/gm;

/** Joins what `entry` loads statically into the file `joined`, both relative to `directory`. Returns how many modules. */
export function joinModules(directory, entry, joined) {
  const modules = inLoadingOrder(directory, entry);
  const outside = new Map();
  const parts = modules.map((module) => asFunction(module, modules, outside));
  const imports = [...outside].map(([specifier, name]) => `import * as ${name} from ${JSON.stringify(specifier)};\n`);
  const header = "// Modules that are always loaded together; npm run build joins them.\n";
  writeFileSync(path.join(directory, joined), `${header}${imports.join("")}${parts.join("")}`);
  for (const { file, name, exported } of modules) {
    const up = path.posix.relative(path.posix.dirname(file), joined);
    const door = `import { ${name} } from "${up.startsWith(".") ? up : `./${up}`}";\nexport const { ${exported.join(", ")} } = ${name};\n`;
    writeFileSync(path.join(directory, file), exported.length === 0 ? "export {};\n" : door);
  }
  return modules.length;
}

/** Depth first, as Node evaluates them: whoever is imported comes first. */
function inLoadingOrder(directory, entry) {
  const modules = [];
  const state = new Map();
  const visit = (file) => {
    if (state.get(file) === "done") return;
    if (state.get(file) === "begun") throw new Error(`${file} imports itself in the end: it cannot be joined`);
    state.set(file, "begun");
    const text = readFileSync(path.join(directory, file), "utf8");
    for (const specifier of specifiersOf(text)) if (specifier.startsWith(".")) visit(resolve(file, specifier));
    state.set(file, "done");
    modules.push({ file, name: `m${modules.length}`, text, exported: [] });
  };
  visit(entry);
  return modules;
}

function specifiersOf(text) {
  const found = [];
  for (const match of text.matchAll(importLine)) found.push({ at: match.index, specifier: match[4] });
  for (const match of text.matchAll(reexportLine)) found.push({ at: match.index, specifier: match[2] });
  return found.sort((left, right) => left.at - right.at).map(({ specifier }) => specifier);
}

function resolve(file, specifier) {
  return path.posix.join(path.posix.dirname(file), specifier);
}

function asFunction(module, modules, outside) {
  const { file, name, exported } = module;
  const given = [];
  const returned = [];
  const nameOf = (specifier) => {
    if (specifier.startsWith(".")) return modules.find((other) => other.file === resolve(file, specifier)).name;
    if (!outside.has(specifier)) outside.set(specifier, `outside${outside.size}`);
    return outside.get(specifier);
  };
  const give = (local, value) => {
    exported.push(local);
    returned.push(value === local ? local : `${local}: ${value}`);
  };
  const code = module.text
    .replace(importLine, (_, byDefault, all, named, specifier) => {
      const from = nameOf(specifier);
      const lines = [];
      if (byDefault !== undefined) lines.push(`const ${byDefault} = ${from}.default;`);
      if (all !== undefined) lines.push(`const ${all} = ${from};`);
      if (named !== undefined) lines.push(`const { ${named.replaceAll(" as ", ": ")} } = ${from};`);
      return lines.join(" ");
    })
    .replace(reexportLine, (_, names, specifier) => {
      for (const [source, local] of namesIn(names)) give(local, `${nameOf(specifier)}.${source}`);
      return "";
    })
    .replace(exportList, (_, names) => {
      for (const [source, local] of namesIn(names)) give(local, source);
      return "";
    })
    .replace(exportedDeclaration, (_, declaration, local) => {
      if (declaration.startsWith("let")) throw new Error(`${file} exports ${local}, which changes`);
      give(local, local);
      return declaration;
    })
    .replace(/\bimport\("(\.[^"]+)"\)/g, (_, specifier) => `import("./${resolve(file, specifier)}")`);
  const left = /^(import|export)\b.*$/m.exec(code) ?? /new URL\([^)]*import\.meta\.url/.exec(code);
  if (left) throw new Error(`${file} has what cannot be joined: ${left[0]}`);
  given.push(`\n// --- ${file}\nexport const ${name} = (() => {\n${code}\nreturn { ${returned.join(", ")} };\n})();\n`);
  return given.join("");
}

function namesIn(list) {
  return list
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "")
    .map((item) => item.split(" as "))
    .map(([source, local = source]) => [source, local]);
}
