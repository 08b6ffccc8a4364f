/**
 * The maintenance that is configured, at the price of one stat for each write: the gateway's configuration file is read
 * again only when it changed. A folder that is not there is looked for again after a while.
 */

import path from "node:path";
import { WatchedFile } from "../backends/json/watched-file.js";
import { resolveUserPath } from "../discovery/state-dir.js";
import type { Port } from "../fs/port.js";
import { ambientPort } from "./ambient.js";
import { type ResolvedSessionMaintenanceConfig, resolveMaintenanceConfig } from "./maintenance-config.js";
import { resolveStateDir } from "./paths.js";
import type { SaveSessionStoreOptions } from "./write-options.js";

const configBytesMax = 16 * 1024 * 1024;
const lookAgainMs = 60_000;

interface Known {
  readonly port: Port;
  readonly file: string;
  /** Undefined while its folder is missing. */
  readonly watched: WatchedFile | undefined;
  readonly lookedMs: number;
  readonly isMissing: boolean;
  readonly config: ResolvedSessionMaintenanceConfig;
}

let known: Known | undefined;

/** What holds for one write: what it brought itself, else what is configured. */
export function maintenanceOf(
  opts: Pick<SaveSessionStoreOptions, "maintenanceConfig" | "maintenanceOverride">,
): ResolvedSessionMaintenanceConfig {
  return { ...(opts.maintenanceConfig ?? configuredMaintenance()), ...opts.maintenanceOverride };
}

function configuredMaintenance(): ResolvedSessionMaintenanceConfig {
  const port = ambientPort();
  const given = process.env.OPENCLAW_CONFIG_PATH?.trim();
  const id = `${given}\0${process.env.OPENCLAW_STATE_DIR}\0${process.env.HOME}`;
  if (known !== undefined && known.port === port && known.file === id) {
    if (known.watched === undefined) {
      if (port.monotonicMs() - known.lookedMs < lookAgainMs) return known.config;
    } else if (isUnchanged(known.watched, known.isMissing)) return known.config;
  }
  const file = given ? resolveUserPath(given, process.env, { port }) : path.join(resolveStateDir(), "openclaw.json");
  const watched = watch(port, file);
  const isMissing = watched?.look().state === "missing";
  known = { port, file: id, watched, isMissing, lookedMs: port.monotonicMs(), config: resolveMaintenanceConfig() };
  return known.config;
}

function isUnchanged(watched: WatchedFile, wasMissing: boolean): boolean {
  try {
    const { state } = watched.look();
    return state === "same" || (state === "missing" && wasMissing);
  } catch {
    return false;
  }
}

function watch(port: Port, file: string): WatchedFile | undefined {
  try {
    // Never closed: there is one for the life of the process.
    const folder = port.openRoot(path.dirname(file));
    return new WatchedFile(port, folder, path.basename(file), configBytesMax);
  } catch {
    return undefined;
  }
}
