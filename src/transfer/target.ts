/**
 * What a copy and an import have in common: the store that is written to, by the policy that the caller chose, and what is
 * reported of the writing.
 */

import type { Backend, KeyRule, Logger } from "../contract.js";
import type { Port } from "../fs/port.js";
import { checkOptions, invalidOption } from "../options.js";
import { type ConflictPolicy, conflictPolicies, SessionWriter } from "./session-writer.js";
import { openForReadingIfExists, openForWriting, type StorePlace } from "./store-place.js";

export interface TargetOptions {
  readonly onConflict?: ConflictPolicy | undefined;
  /** Only count; the target is opened for reading only, if it is there at all. */
  readonly dryRun?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly logger?: Logger | undefined;
}

/** Throws `invalid_option`, with the name that was meant. */
export function checkTargetOptions(options: TargetOptions, names: readonly string[], where: string): void {
  checkOptions(options, names, where);
  if (options.onConflict === undefined || conflictPolicies.includes(options.onConflict)) return;
  throw invalidOption(where, `the option onConflict is ${conflictPolicies.map((name) => `"${name}"`).join(", ")}`);
}

/** A store that is missing is made, with this key rule unless the place names one; `undefined` in a dry run. */
export function openTarget(
  port: Port,
  place: StorePlace,
  keyRule: KeyRule,
  { dryRun, logger }: TargetOptions,
  where: string,
): Promise<Backend | undefined> {
  if (dryRun) return openForReadingIfExists(port, place, where);
  return openForWriting(port, place, keyRule, where, logger);
}

/** `who` and why, as the journal and the trash have it. */
export function writerTo(
  target: Backend | undefined,
  { onConflict, dryRun, signal }: TargetOptions,
  who: { readonly actor: string; readonly reason: string },
): SessionWriter {
  return new SessionWriter(target, { policy: onConflict ?? "fail", dryRun: dryRun ?? false, signal, ...who });
}

/** The part of a result that tells of the target. */
export function describeTarget(target: Backend | undefined): { backend: string; location: string } {
  return { backend: target?.kind ?? "missing", location: target?.location ?? "" };
}

export function targetWarnings(target: Backend | undefined, { generationsLost }: SessionWriter): string[] {
  if (generationsLost === 0) return [];
  const lost = `those of ${generationsLost} sessions were left out`;
  return [`the target (${target?.kind}) keeps no earlier generations: ${lost}`];
}
