/**
 * Which store a command works on, and opening it. No command migrates a legacy file on the way, and those that work on a
 * store do not create one: only `sessiondir migrate` takes a store over, and a misspelt path is an error.
 */

import type { SessionStore } from "../api.js";
import { parseStoreLocation } from "../backends/directory/layout.js";
import { SessionStoreError } from "../errors.js";
import { nodePort } from "../fs/node-port.js";
import { hasCode, type Port } from "../fs/port.js";
import { gatewayLimits } from "../limits.js";
import { openSessionStore } from "../open.js";
import { shownLocation } from "../options.js";
import { shellWord } from "../shell-word.js";
import type { StorePlace } from "../transfer/store-place.js";
import { UsageError } from "./failures.js";
import { noteColor, printNote, safeText } from "./terminal.js";

export type CommandStore = SessionStore<Record<string, unknown>>;

export interface StoreOption {
  store?: string;
}

/** `--store`, else SESSIONDIR_STORE, else the store in the current directory. Throws for what cannot be a store's place. */
export function findLocation(options: StoreOption): string {
  return checkLocation(givenLocation(options));
}

/** Gives the location back. What can be no store is a mistake in the call, whatever lies there. */
export function checkLocation(location: string): string {
  const isUrl = /^postgres(ql)?:\/\//i.test(location);
  if (isUrl || (!location.includes("\0") && parseStoreLocation(location) !== undefined)) return location;
  throw new UsageError(
    `${shownLocation(location)} is neither a *.json file, nor a *.d directory, nor a postgres:// URL.`,
  );
}

/** The same, unchecked. */
export function givenLocation(options: StoreOption): string {
  // As an unset variable in a script leaves it: the store here is not what was meant.
  if (options.store?.trim() === "") throw new UsageError("--store needs a path.");
  const given = options.store ?? process.env.SESSIONDIR_STORE;
  if (given !== undefined && given !== "") return given;
  const port = nodePort();
  const here = openHere(port);
  try {
    if (exists(port, here, "sessions.d") || exists(port, here, "sessions.json")) return "sessions.json";
  } finally {
    port.closeDirectory(here);
  }
  throw new UsageError(
    "which store? There is no sessions.json or sessions.d here. Give --store PATH or set SESSIONDIR_STORE.",
  );
}

function openHere(port: Port): ReturnType<Port["openRoot"]> {
  try {
    return port.openRoot(".");
  } catch (error) {
    if (hasCode(error, "ENOENT")) throw new UsageError("the current directory does not exist any more.");
    throw error;
  }
}

function exists(port: Port, directory: ReturnType<Port["openRoot"]>, name: string): boolean {
  return port.statName(directory, name) !== undefined;
}

/** Opens the store for reading, gives it to `work` and closes it; returns what `work` returned. */
export function withReadOnlyStore<Result>(
  options: StoreOption,
  work: (store: CommandStore) => Promise<Result>,
): Promise<Result> {
  return withStore(findLocation(options), true, work);
}

/** The same for a command that writes to an existing store. */
export async function withWritableStore<Result>(
  options: StoreOption,
  work: (store: CommandStore) => Promise<Result>,
): Promise<Result> {
  const location = findLocation(options);
  // Opening for writing would create a store; opening for reading first says "missing" without leaving anything.
  await withStore(location, true, async () => {});
  return withStore(location, false, work);
}

async function withStore<Result>(
  location: string,
  readOnly: boolean,
  work: (store: CommandStore) => Promise<Result>,
): Promise<Result> {
  const store = await open(location, readOnly);
  try {
    return await work(store);
  } catch (error) {
    throw inWordsOfCommands(error);
  } finally {
    await store.close();
  }
}

/** The library's advice is for programs. */
function inWordsOfCommands(error: unknown): unknown {
  if (!(error instanceof SessionStoreError) || error.code !== "conflict" || error.key === undefined) return error;
  const { operation, path, key, onDisk, attempts } = error;
  const isOwnVersion = error.problem.includes("ifVersion");
  if (!isOwnVersion && !error.problem.startsWith("others kept changing")) return error;
  return new SessionStoreError("conflict", error.problem.replaceAll("ifVersion", "--if-version"), {
    ...(operation === undefined ? {} : { operation }),
    ...(path === undefined ? {} : { path }),
    key,
    ...(onDisk === undefined ? {} : { onDisk }),
    ...(attempts === undefined ? {} : { attempts }),
    nextStep: isOwnVersion
      ? `Read it again and decide on its present state: sessiondir get ${shellWord(key)} --version.`
      : "Something writes this session all the time. Try again when it is quieter.",
    cause: error,
  });
}

async function open(location: string, readOnly: boolean): Promise<CommandStore> {
  try {
    return await openSessionStore(location, { readOnly, migrate: "never", limits: gatewayLimits, logger: warnings });
  } catch (error) {
    if (!(error instanceof SessionStoreError)) throw error;
    if (error.code === "store_missing") {
      throw new SessionStoreError("store_missing", error.problem, {
        operation: "open the store",
        path: error.path ?? location,
        onDisk: error.onDisk,
        nextStep:
          "Check the path. Only import, copy and backup restore create a store; so does the library when it opens one for writing.",
        cause: error,
      });
    }
    if (error.code !== "legacy_store") throw error;
    await requireMigratable(location);
    throw new SessionStoreError("legacy_store", "this is a legacy sessions.json that no store has taken over yet", {
      operation: "open the store",
      path: location,
      onDisk: "The file is untouched.",
      nextStep: `Run: sessiondir migrate --store ${shellWord(location)} (with --dry-run to see first what it would do).`,
      cause: error,
    });
  }
}

/** Nobody is sent to `migrate` with what it refuses: a file of another program, or one of a store itself. */
async function requireMigratable(location: string): Promise<void> {
  const { detectSessionStore } = await import("../migrate/detect.js");
  const { status, warnings: reasons } = await detectSessionStore(location, { limits: gatewayLimits });
  if (status !== "invalid_legacy") return;
  const [problem = "this is no session store"] = reasons;
  throw new SessionStoreError("invalid_legacy", problem, {});
}

/** A location for the functions that transfer sessions, with the backend that the user named, if any. */
export function toPlace(location: string, backend: string | undefined): StorePlace {
  checkLocation(location);
  const place: StorePlace = { location, limits: gatewayLimits };
  return backend === undefined ? place : ({ ...place, backend } as StorePlace);
}

/** Warnings of the library go to stderr; the rest is not for a person at a terminal. */
export const warnings = {
  warn: (message: string) => printNote(`${noteColor.yellow("warning")}: ${safeText(message)}`),
};
