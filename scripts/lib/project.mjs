/** Where things lie, and how the scripts start other programs. */

import { spawnSync } from "node:child_process";
import path from "node:path";
import { fileURLToPath } from "node:url";

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..", "..");

/** The path of a file of the project. */
export function inProject(...parts) {
  return path.join(root, ...parts);
}

/** A path as the messages show it: relative to the project, with forward slashes. */
export function shown(file) {
  return path.relative(root, file).split(path.sep).join("/");
}

/** Runs a program of an installed package with this Node; returns { status, output }. */
export function runPackage(script, args, options = {}) {
  return runProgram(process.execPath, [inProject("node_modules", script), ...args], options);
}

/** Runs a program to its end and returns its status and everything it printed. */
export function runProgram(program, args, options = {}) {
  const result = spawnSync(program, args, {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 256 * 1024 * 1024,
    ...options,
  });
  const problem = result.error ? `${result.error.message}\n` : "";
  return { status: result.status ?? 1, output: `${result.stdout ?? ""}${result.stderr ?? ""}${problem}` };
}
