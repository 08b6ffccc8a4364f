/**
 * The gateway's own configuration file, for the functions that it calls without passing its configuration:
 * `OPENCLAW_CONFIG_PATH`, else `<state>/openclaw.json`. JSON or JSON5, read anew each time; includes and variables in it
 * are not expanded.
 */

import path from "node:path";
import { resolveUserPath } from "../discovery/state-dir.js";
import { readStableFile } from "../fs/stable-file.js";
import { parseLegacyText } from "../sessions/legacy-text.js";
import { ambientPort } from "./ambient.js";
import { resolveStateDir } from "./paths.js";
import { inFolderOf } from "./single-names.js";
import type { OpenClawConfig } from "./types.js";

const configBytesMax = 16 * 1024 * 1024;

/** Undefined for a file that holds no object; throws what the system says, ENOENT for one that is missing. */
export function readGatewayConfig(configFile: string = configPath()): OpenClawConfig | undefined {
  const port = ambientPort();
  const realPath = port.realPath(resolveUserPath(configFile, process.env, { port }));
  const found = inFolderOf(port, realPath, (folder, name) => readStableFile(port, folder, name, configBytesMax));
  if (found.state !== "read") return undefined;
  const text = parseLegacyText(found.bytes);
  return text.state === "object" ? (text.value as OpenClawConfig) : undefined;
}

/** Empty where there is none that can be read. */
export function readGatewayConfigBestEffort(): OpenClawConfig {
  try {
    return readGatewayConfig() ?? {};
  } catch {
    return {};
  }
}

function configPath(): string {
  const given = process.env.OPENCLAW_CONFIG_PATH?.trim();
  return given ? given : path.join(resolveStateDir(), "openclaw.json");
}
