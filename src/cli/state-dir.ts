/**
 * Which stores `migrate`, `rollback` and `detect` work on: those that are named with --store, all of a state directory,
 * or both; each once, by whatever spellings and links it is reached. Looks only.
 */

import path from "node:path";
import type { Command } from "commander";
import { parseStoreLocation, type StoreLocation } from "../backends/directory/layout.js";
import type { DiscoveryProblem } from "../discovery/agent-folders.js";
import { realPathOfDeepest } from "../discovery/real-paths.js";
import { resolveUserPath } from "../discovery/state-dir.js";
import type { DirectoryForm } from "../discovery/store-forms.js";
import { type DiscoverOptions, discoverSessionStores } from "../discovery/stores.js";
import { fromSystemError, SessionStoreError } from "../errors.js";
import { nodePort } from "../fs/node-port.js";
import { hasCode, type Port } from "../fs/port.js";
import { shownLocation } from "../options.js";
import { type Action, type CommonOptions, defineCommand } from "./command.js";
import { UsageError } from "./failures.js";
import { givenLocation } from "./store-access.js";
import { noteColor, printNote, safeText } from "./terminal.js";

export interface StoreSelection extends Omit<CommonOptions, "store"> {
  store?: string[];
  stateDir?: string;
}

export interface SelectedStore {
  /** The legacy path. */
  readonly path: string;
  /** "named": with --store, or by default; then a store that is not there is an error. */
  readonly origin: "named" | "found";
  /** What lay in the directory's place, of a store that was found. */
  readonly directory: DirectoryForm | undefined;
}

export interface Selection {
  /** Named ones in the order they were given, then those that were found, sorted. */
  readonly stores: readonly SelectedStore[];
  /** Places that were passed over. */
  readonly problems: readonly DiscoveryProblem[];
  /** Where stores were looked for. */
  readonly stateDir: string | undefined;
}

/** A command with `--store` any number of times, and `--state-dir`. */
export function defineStoresCommand<Options extends StoreSelection>(
  program: Command,
  name: string,
  description: string,
  examples: readonly string[],
  action: (options: Options) => Promise<number>,
): Command {
  const command = defineCommand(program, name, description, examples, action as unknown as Action<Options>);
  const store = command.options.find((option) => option.long === "--store");
  store?.argParser((location: string, given: string[] | undefined) => [...(given ?? []), location]);
  if (store) store.description = "a sessions.json or *.d directory, {agentId} for every agent; may be given again";
  command.option("--state-dir <directory>", "all stores of a gateway: <directory>/agents/*/sessions");
  return command.addHelpText("after", defaults);
}

const defaults = `
Without --store and --state-dir: $SESSIONDIR_STORE, else the store here, else all stores of $OPENCLAW_STATE_DIR.`;

export async function selectStores(options: StoreSelection): Promise<Selection> {
  const { named, stateDir } = chooseDefaults(options);
  const collector = new Collector();
  for (const location of named) {
    if (location.includes(agentIdMark)) await collector.addTemplate(location, stateDir);
    else collector.addNamed(location);
  }
  if (stateDir !== undefined) {
    checkStateDir(stateDir);
    await collector.addFound({ stateDir });
  }
  return { stores: [...collector.stores.values()], problems: [...collector.problems.values()], stateDir };
}

/** Those that were named and are not there, neither as a file nor as a directory: a misspelt path is an error. */
export function missingOf({ stores }: Selection): string[] {
  const port = nodePort();
  return stores.filter(({ origin, path: at }) => origin === "named" && !isThere(port, at)).map(({ path: at }) => at);
}

function isThere(port: Port, legacyPath: string): boolean {
  const { parentPath, legacyName, directoryName } = parseStoreLocation(legacyPath) as StoreLocation;
  try {
    const parent = port.openRoot(parentPath);
    try {
      return [legacyName, directoryName].some((name) => port.statName(parent, name) !== undefined);
    } finally {
      port.closeDirectory(parent);
    }
  } catch (error) {
    // What cannot be looked at may be there: whoever works on it says what is wrong.
    return !hasCode(error, "ENOENT", "ENOTDIR");
  }
}

/** Places that were passed over, and that nothing was found. */
export function reportSelection({ stores, problems, stateDir }: Selection): void {
  for (const { code, message } of problems) printNote(`${noteColor.red("error")} [${code}]: ${safeText(message)}`);
  if (stores.length > 0 || stateDir === undefined) return;
  printNote(`Looked for ${safeText(path.join(stateDir, "agents", "*", "sessions", "sessions.json"))} and sessions.d.`);
}

const agentIdMark = "{agentId}";

function chooseDefaults({ store, stateDir }: StoreSelection): { named: readonly string[]; stateDir?: string } {
  if (stateDir !== undefined) {
    if (stateDir.trim() === "") throw new UsageError("--state-dir needs a directory.");
    return { named: store ?? [], stateDir: resolveUserPath(stateDir) };
  }
  if (store !== undefined) return { named: store };
  try {
    return { named: [givenLocation({})] };
  } catch (error) {
    const fromEnvironment = process.env.OPENCLAW_STATE_DIR?.trim() ?? "";
    if (error instanceof UsageError && fromEnvironment !== "") {
      return { named: [], stateDir: resolveUserPath(fromEnvironment) };
    }
    if (!(error instanceof UsageError)) throw error;
    throw new UsageError(
      "which stores? There is no sessions.json or sessions.d here. Give --store PATH, or --state-dir DIR for all of a gateway (~/.openclaw).",
    );
  }
}

/** A misspelt directory is not one without stores. */
function checkStateDir(stateDir: string): void {
  const port = nodePort();
  try {
    port.closeDirectory(port.openRoot(stateDir));
  } catch (error) {
    if (!hasCode(error, "ENOENT", "ENOTDIR")) {
      throw fromSystemError(error, { operation: "look for session stores", path: stateDir });
    }
    throw new SessionStoreError("store_missing", "there is no such directory", {
      operation: "look for session stores",
      path: stateDir,
      onDisk: "Nothing was changed.",
      nextStep: "Give the directory that holds agents/, usually ~/.openclaw.",
      cause: error,
    });
  }
}

class Collector {
  readonly stores = new Map<string, SelectedStore>();
  readonly problems = new Map<string, DiscoveryProblem>();

  addNamed(given: string): void {
    if (given.trim() === "") throw new UsageError("--store needs a path.");
    const location = given.includes("\0") ? undefined : parseStoreLocation(given);
    if (location === undefined) {
      throw new UsageError(`${shownLocation(given)} is neither a *.json file nor a *.d directory.`);
    }
    const { parentPath, legacyName } = location;
    this.#add(path.join(realPathOfDeepest(nodePort(), parentPath), legacyName), {
      path: path.join(parentPath, legacyName),
      origin: "named",
      directory: undefined,
    });
  }

  /** The stores of a template that are there: nobody named an agent. None at all is a misspelt path. */
  async addTemplate(configuredStorePath: string, stateDir: string | undefined): Promise<void> {
    const before = this.problems.size;
    const isFound = await this.addFound({ configuredStorePath, stateDir }, "configured");
    if (isFound || this.problems.size > before) return;
    throw new SessionStoreError("store_missing", "no agent has a store at this path", {
      operation: "look for session stores",
      path: configuredStorePath,
      onDisk: "Nothing was changed.",
      nextStep: "Check the path: {agentId} stands for the name of an agent.",
    });
  }

  /** Whether there is any store of them; it may be known already. */
  async addFound(options: DiscoverOptions, origin?: "configured"): Promise<boolean> {
    let isFound = false;
    const { stores, problems } = await discoverSessionStores(options);
    for (const problem of problems) this.problems.set(`${problem.path}\0${problem.code}`, problem);
    for (const store of stores) {
      const { realPath, directory, legacy } = store;
      if (origin !== undefined && store.origin !== origin) continue;
      if (!legacy && (directory === "absent" || directory === "unknown")) continue;
      isFound = true;
      this.#add(realPath, { path: store.path, origin: "found", directory });
    }
    return isFound;
  }

  #add(identity: string, store: SelectedStore): void {
    if (!this.stores.has(identity)) this.stores.set(identity, store);
  }
}
