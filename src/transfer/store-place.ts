/**
 * Opening the two ends of a transfer: a location alone, or a location with options of `openSessionStore`. The source is
 * only ever read. No transfer takes a legacy file over on the way; that is a decision of its own.
 */

import path from "node:path";
import type { OpenOptions } from "../api.js";
import type { Backend, KeyRule, Logger } from "../contract.js";
import { SessionStoreError } from "../errors.js";
import type { Port } from "../fs/port.js";
import { limitCaps } from "../limits.js";
import { openBackend } from "../open-backend.js";
import { type CheckedOpenOptions, checkOpenOptions } from "../open-options.js";
import { describeType, invalidOption } from "../options.js";

/** Where a store lies: its location, or the location and how to open it. */
export type StorePlace = string | (Omit<OpenOptions, "readOnly" | "migrate"> & { readonly location: string });

export function locationOf(place: StorePlace, where: string): string {
  const location: unknown = typeof place === "string" ? place : place?.location;
  if (typeof location === "string" && location !== "") return location;
  throw invalidOption(where, `a store is given by its location, a string, not ${describeType(location)}`);
}

/** Opens an existing store for reading; `store_missing` when there is none. */
export function openForReading(port: Port, place: StorePlace, where: string): Promise<Backend> {
  const options = optionsOf(place);
  return openBackend(port, locationOf(place, where), { ...options, readOnly: true, migrate: "never" });
}

export async function openForReadingIfExists(
  port: Port,
  place: StorePlace,
  where: string,
): Promise<Backend | undefined> {
  try {
    return await openForReading(port, place, where);
  } catch (error) {
    if (error instanceof SessionStoreError && error.code === "store_missing") return undefined;
    throw error;
  }
}

/** Opens a store for writing, and creates it - with this key rule, unless the place names one - when there is none. */
export function openForWriting(
  port: Port,
  place: StorePlace,
  keyRule: KeyRule,
  where: string,
  logger?: Logger,
): Promise<Backend> {
  const options = optionsOf(place);
  const given = typeof place === "string" ? undefined : place.keys;
  return openBackend(port, locationOf(place, where), {
    ...options,
    readOnly: false,
    migrate: "never",
    keyRule: given ?? keyRule,
    logger: options.logger ?? logger,
  });
}

/** The folder in which relative paths of transcripts begin: that of the store. None for stores without a folder. */
export function folderOf(backend: Backend): string | undefined {
  return path.isAbsolute(backend.location) ? path.dirname(backend.location) : undefined;
}

function optionsOf(place: StorePlace): CheckedOpenOptions {
  const { location: _location, ...options } = typeof place === "string" ? { location: place } : place;
  const checked = checkOpenOptions(options);
  // The other end of a transfer may be slow; whoever asked for another time gets it.
  const scanMaxMs = (options as OpenOptions).limits?.scanMaxMs ?? limitCaps.scanMaxMs;
  return { ...checked, limits: { ...checked.limits, scanMaxMs } };
}
