/**
 * The maintenance that is configured, at the price of a stat or two for each write: the gateway's configuration file is
 * read again only when it changed. It may be a link, and the state directory may be made, moved or replaced while a
 * process runs; so the path is looked at too, and from its beginning once a second.
 */

import path from "node:path";
import { WatchedFile } from "../backends/json/watched-file.js";
import { realPathOfDeepest } from "../discovery/real-paths.js";
import { resolveUserPath } from "../discovery/state-dir.js";
import type { Directory, Port } from "../fs/port.js";
import { ambientPort } from "./ambient.js";
import { logWarning } from "./log.js";
import { type ResolvedSessionMaintenanceConfig, resolveMaintenanceConfig } from "./maintenance-config.js";
import { resolveStateDir } from "./paths.js";
import type { SaveSessionStoreOptions } from "./write-options.js";

const configBytesMax = 16 * 1024 * 1024;
const lookAtPathMs = 1_000;

interface Watch {
  /** Without links. */
  readonly file: string;
  readonly folder: Directory;
  readonly watched: WatchedFile;
}

interface Known {
  readonly port: Port;
  /** What the environment says about the place. */
  readonly environment: string;
  /** Undefined while its folder is missing: then every write looks for it. */
  readonly watch: Watch | undefined;
  readonly isMissing: boolean;
  readonly config: ResolvedSessionMaintenanceConfig;
  lookedAtPathMs: number;
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
  const environment = describeEnvironment();
  if (known !== undefined && known.port === port && known.environment === environment) {
    if (known.watch !== undefined && isInPlace(known, known.watch) && isUnchanged(known.watch, known.isMissing)) {
      return known.config;
    }
  }
  if (known?.watch !== undefined) known.port.closeDirectory(known.watch.folder);
  const watch = watchFile(port, configFile(port));
  const isMissing = watch?.watched.look().state === "missing";
  const config = resolveMaintenanceConfig(undefined, logWarning);
  known = { port, environment, watch, isMissing, config, lookedAtPathMs: port.monotonicMs() };
  return config;
}

const variables = ["OPENCLAW_CONFIG_PATH", "OPENCLAW_STATE_DIR", "OPENCLAW_HOME", "HOME", "USERPROFILE"] as const;

function describeEnvironment(): string {
  return variables.map((name) => process.env[name]).join("\0");
}

function configFile(port: Port): string {
  const given = process.env.OPENCLAW_CONFIG_PATH?.trim();
  const file = given ? resolveUserPath(given, process.env, { port }) : path.join(resolveStateDir(), "openclaw.json");
  return realPathOfDeepest(port, file);
}

/** Whether the folder that is watched is the one that lies at the path. */
function isInPlace(last: Known, { file, folder }: Watch): boolean {
  const { port } = last;
  const nowMs = port.monotonicMs();
  if (nowMs - last.lookedAtPathMs < lookAtPathMs) return isSameAtPath(port, folder, path.basename(file));
  if (configFile(port) !== file) return false;
  const there = openFolder(port, file);
  if (there === undefined) return false;
  try {
    const [mine, its] = [port.statDirectory(folder), port.statDirectory(there)];
    if (mine.device !== its.device || mine.inode !== its.inode) return false;
  } finally {
    port.closeDirectory(there);
  }
  last.lookedAtPathMs = nowMs;
  return true;
}

/** Where the port can tell for the price of a stat. */
function isSameAtPath(port: Port, folder: Directory, name: string): boolean {
  if (port.statAtPath === undefined) return true;
  const [atPath, inFolder] = [port.statAtPath(folder, name), port.statName(folder, name)];
  return atPath?.inode === inFolder?.inode && atPath?.device === inFolder?.device;
}

function isUnchanged({ watched }: Watch, wasMissing: boolean): boolean {
  try {
    const { state } = watched.look();
    return state === "same" || (state === "missing" && wasMissing);
  } catch {
    return false;
  }
}

function watchFile(port: Port, file: string): Watch | undefined {
  const folder = openFolder(port, file);
  if (folder === undefined) return undefined;
  // The port knows from now on that the folder lies at its path.
  port.statAtPath?.(folder, path.basename(file));
  return { file, folder, watched: new WatchedFile(port, folder, path.basename(file), configBytesMax) };
}

/** Undefined for one that is missing, or cannot be reached. */
function openFolder(port: Port, file: string): Directory | undefined {
  try {
    return port.openRoot(path.dirname(file));
  } catch {
    return undefined;
  }
}
