/** Helpers of the command line's tests: where the project lies, and running the compiled command. */

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));

/** The checkout: this file is compiled to <build>/test/cli/. */
export const projectRoot = path.resolve(here, "..", "..", "..");

/** The compiled command line beside the compiled tests. */
export const commandLine = path.resolve(here, "..", "..", "src", "cli", "main.js");

export interface CommandResult {
  status: number | null;
  stdout: string;
  stderr: string;
}

/** Runs `sessiondir` to its end, as from a script: no terminal, no colours, no settings of the developer. */
export function runCommand(
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): CommandResult {
  const { SESSIONDIR_STORE: _store, FORCE_COLOR: _force, NODE_TEST_CONTEXT: _context, ...inherited } = process.env;
  const { status, stdout, stderr } = spawnSync(process.execPath, [commandLine, ...args], {
    encoding: "utf8",
    timeout: 60_000,
    cwd: options.cwd,
    env: { ...inherited, ...options.env },
  });
  return { status, stdout, stderr };
}

export function temporaryDirectory(context: TestContext): string {
  const directory = mkdtempSync(path.join(os.tmpdir(), "sessiondir-cli-"));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Everything under a directory: name -> kind, size, time of the last change and content. Equal means untouched. */
export function fingerprint(directory: string): Map<string, string> {
  const found = new Map<string, string>();
  const names = readdirSync(directory, { recursive: true }) as string[];
  for (const name of names.sort()) {
    const file = path.join(directory, name);
    const stat = lstatSync(file);
    const content = stat.isFile() ? createHash("sha256").update(readFileSync(file)).digest("hex") : "";
    found.set(name, [stat.mode, stat.size, stat.mtimeMs, content].join(" "));
  }
  return found;
}
