/**
 * Where a gateway keeps its state: `OPENCLAW_STATE_DIR`, else `.openclaw` in the home directory, else what an older
 * version left as `.clawdbot`. Looks whether these directories exist and changes nothing.
 */

import path from "node:path";
import { nodePort } from "../fs/node-port.js";
import type { Port } from "../fs/port.js";

export type Environment = Readonly<Record<string, string | undefined>>;

export interface HomeOptions {
  /** The system; for tests and simulations. */
  readonly port?: Pick<Port, "realPath" | "homeDirectory"> | undefined;
  /** Instead of what the system says is the user's home. */
  readonly homedir?: (() => string | undefined) | undefined;
}

/**
 * `OPENCLAW_HOME` (which may begin with `~`), else `HOME`, else `USERPROFILE`, else what the system says, else the
 * current directory. Always absolute. The words "undefined" and "null", which scripts leave behind, are no value.
 */
export function resolveHomeDirectory(env: Environment = process.env, options: HomeOptions = {}): string {
  const userHome = meaningful(env.HOME) ?? meaningful(env.USERPROFILE) ?? systemHome(options);
  const chosen = meaningful(env.OPENCLAW_HOME);
  if (chosen === undefined) return path.resolve(userHome ?? ".");
  if (!startsWithTilde(chosen)) return path.resolve(chosen);
  return path.resolve(expandTilde(chosen, userHome ?? "."));
}

/** Absolute. A directory that does not exist is named, not made. */
export function resolveStateDir(env: Environment = process.env, options: HomeOptions = {}): string {
  const chosen = meaningful(env.OPENCLAW_STATE_DIR);
  if (chosen !== undefined) return resolveUserPath(chosen, env, options);
  const home = resolveHomeDirectory(env, options);
  const present = path.join(home, ".openclaw");
  const earlier = path.join(home, ".clawdbot");
  return !exists(present, options) && exists(earlier, options) ? earlier : present;
}

/** A path as a person writes it: `~` at the beginning is the home directory. Always absolute. */
export function resolveUserPath(somePath: string, env: Environment = process.env, options: HomeOptions = {}): string {
  const trimmed = somePath.trim();
  if (!startsWithTilde(trimmed)) return path.resolve(trimmed);
  return path.resolve(expandTilde(trimmed, resolveHomeDirectory(env, options)));
}

function startsWithTilde(somePath: string): boolean {
  return /^~(?=$|[\\/])/.test(somePath);
}

function expandTilde(somePath: string, home: string): string {
  return `${home}${somePath.slice(1)}`;
}

function meaningful(value: string | undefined): string | undefined {
  const trimmed = value?.trim();
  return trimmed === undefined || trimmed === "" || trimmed === "undefined" || trimmed === "null" ? undefined : trimmed;
}

function systemHome(options: HomeOptions): string | undefined {
  return meaningful(options.homedir ? options.homedir() : (options.port ?? nodePort()).homeDirectory);
}

function exists(somePath: string, options: HomeOptions): boolean {
  try {
    (options.port ?? nodePort()).realPath(somePath);
    return true;
  } catch {
    return false;
  }
}
