/**
 * The gateway's configuration, for the commands that take its flags: `--config FILE`, else OPENCLAW_CONFIG_PATH, else
 * `openclaw.json` in the state directory. JSON or JSON5; includes and variables in it are not expanded.
 *
 * A file that is there and cannot be read fails the command: with the defaults it would look at other stores than were
 * meant.
 */

import path from "node:path";
import { resolveUserPath } from "../discovery/state-dir.js";
import { SessionStoreError } from "../errors.js";
import { nodePort } from "../fs/node-port.js";
import { hasCode } from "../fs/port.js";
import { readStableFile, type StableFile } from "../fs/stable-file.js";
import { resolveStateDir } from "../openclaw/paths.js";
import { inFolderOf } from "../openclaw/single-names.js";
import type { OpenClawConfig } from "../openclaw/types.js";
import { parseLegacyText } from "../sessions/legacy-text.js";

export interface CommandConfig {
  readonly cfg: OpenClawConfig;
  /** Where it was read; undefined when there is none, and everything is a default. */
  readonly path: string | undefined;
}

const configBytesMax = 16 * 1024 * 1024;

/** `given`: the value of `--config`. */
export function loadCommandConfig(given: string | undefined): CommandConfig {
  const named = given ?? nonBlank(process.env.OPENCLAW_CONFIG_PATH);
  const configPath =
    named === undefined ? path.join(resolveStateDir(), "openclaw.json") : resolveUserPath(named, process.env);
  const found = readConfigFile(configPath);
  if (found === undefined || found.state === "missing") {
    if (named === undefined) return { cfg: {}, path: undefined };
    throw refusal(configPath, "there is no such configuration file", "Check the path.");
  }
  if (found.state !== "read") throw refusal(configPath, problemOf(found), "Put an ordinary file of your own there.");
  const text = parseLegacyText(found.bytes);
  if (text.state === "invalid") {
    const reason = text.reason.replace("an object of sessions", "an object");
    throw refusal(configPath, `the configuration ${reason}`, "Correct it, or name another one with --config.");
  }
  return { cfg: text.value as OpenClawConfig, path: configPath };
}

function nonBlank(text: string | undefined): string | undefined {
  const trimmed = text?.trim();
  return trimmed === "" ? undefined : trimmed;
}

function readConfigFile(configPath: string): StableFile | undefined {
  const port = nodePort();
  try {
    // A link to the file is common among people who keep their settings elsewhere.
    const realPath = port.realPath(configPath);
    return inFolderOf(port, realPath, (folder, name) => readStableFile(port, folder, name, configBytesMax));
  } catch (error) {
    if (hasCode(error, "ENOENT")) return undefined;
    throw refusal(configPath, error instanceof Error ? error.message : String(error), "Check the path.", error);
  }
}

function problemOf(found: Exclude<StableFile, { state: "read" | "missing" }>): string {
  if (found.state === "unsafe") return `the configuration ${found.problem}`;
  if (found.state === "changing") return "the configuration keeps changing while it is read";
  return `the configuration has ${found.sizeBytes} bytes, more than ${configBytesMax}`;
}

function refusal(configPath: string, problem: string, nextStep: string, cause?: unknown): SessionStoreError {
  const onDisk = "Nothing was changed.";
  return new SessionStoreError("invalid_option", problem, {
    operation: "read the configuration",
    path: configPath,
    onDisk,
    nextStep,
    cause,
  });
}
