/**
 * Imports a bundle into a store, which is created when there is none.
 *
 * The whole bundle is verified, and compared with the target, before the first session is written. The sessions are then
 * written in batches; should that stop half-way - the disk is full, the machine stops -, the error says how far it came,
 * and importing the same bundle again finishes it: what is there already is left alone.
 */

import type { Backend, Logger } from "../contract.js";
import { SessionStoreError, shortenKey } from "../errors.js";
import { nodePort } from "../fs/node-port.js";
import { Pace } from "../fs/pace.js";
import type { Port } from "../fs/port.js";
import { checkLimits } from "../open-options.js";
import type { BundleTrailer } from "./bundle-format.js";
import { resolvePaths } from "./bundle-paths.js";
import { BundleReader, invalidBundle } from "./bundle-reader.js";
import type { PortableSession } from "./content-hash.js";
import { withFreshIds } from "./fresh-ids.js";
import type { ConflictPolicy, SessionProblem, SessionWriter, WriteCounts } from "./session-writer.js";
import { folderOf, type StorePlace } from "./store-place.js";
import { checkTargetOptions, describeTarget, openTarget, targetWarnings, writerTo } from "./target.js";

export interface ImportOptions {
  /** What becomes of sessions that the store has with another content; default "fail": nothing is imported at all. */
  readonly onConflict?: ConflictPolicy | undefined;
  /** Give each session a transcript of its own (see fresh-ids.ts). */
  readonly freshIds?: boolean | undefined;
  readonly dryRun?: boolean | undefined;
  /** Sessions done so far, and how many there are. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly logger?: Logger | undefined;
  readonly port?: Port | undefined;
}

export interface ImportResult extends WriteCounts {
  /** "partial": sessions that the store cannot take, or a bundle that was partial when it was made. */
  readonly outcome: "complete" | "partial";
  readonly dryRun: boolean;
  /** Sessions in the bundle. */
  readonly sessions: number;
  readonly contentSha256: string;
  readonly target: { readonly backend: string; readonly location: string };
  readonly refused: readonly SessionProblem[];
  /** Keys that the bundle lacks, because they could not be read when it was made. */
  readonly damagedInSource: readonly string[];
  readonly warnings: readonly string[];
}

const optionNames = ["onConflict", "freshIds", "dryRun", "onProgress", "signal", "logger", "port"];
const where = "importSessions";

export async function importSessions(
  bundlePath: string,
  store: StorePlace,
  options: ImportOptions = {},
): Promise<ImportResult> {
  checkTargetOptions(options, optionNames, where);
  const port = options.port ?? nodePort();
  const limits = checkLimits(typeof store === "string" ? undefined : store.limits);
  const bundle = BundleReader.open(port, bundlePath, limits, "import sessions");
  try {
    const trailer = await verifyBundle(port, bundle);
    if (trailer.sessions === 0) throw invalidBundle("the bundle holds no session", bundle.path);
    // What the import would do, before it does it: when it would end with conflicts, nothing at all is written.
    const before = await transfer(port, bundle, trailer, store, { ...options, dryRun: true });
    if (options.dryRun) return before;
    return await transfer(port, bundle, trailer, store, { ...options, dryRun: false });
  } finally {
    bundle.close();
  }
}

/** One pass over everything; the trailer. */
export async function verifyBundle(port: Port, bundle: BundleReader): Promise<BundleTrailer> {
  const pace = new Pace(port);
  for (const _ of bundle.sessions()) await pace.breathe();
  return bundle.trailer as BundleTrailer;
}

async function transfer(
  port: Port,
  bundle: BundleReader,
  trailer: BundleTrailer,
  store: StorePlace,
  options: ImportOptions,
): Promise<ImportResult> {
  const target = await openTarget(port, store, bundle.header!.source.keyRule, options, where);
  try {
    const writer = await writeSessions(port, bundle, trailer, target, options);
    if (writer.conflicts.length > 0) {
      throw options.dryRun ? differing(bundle, writer.conflicts) : overtaken(bundle, target, writer);
    }
    return toResult(writer, trailer, target, options.dryRun ?? false);
  } finally {
    await target?.close();
  }
}

async function writeSessions(
  port: Port,
  bundle: BundleReader,
  trailer: BundleTrailer,
  target: Backend | undefined,
  options: ImportOptions,
): Promise<SessionWriter> {
  const { dryRun } = options;
  const writer = writerTo(target, options, { actor: "sessiondir import", reason: "imported from a bundle" });
  const folder = target === undefined ? undefined : folderOf(target);
  const seed = `${trailer.bytesSha256}\n${target?.location ?? ""}`;
  const pace = new Pace(port);
  let done = 0;
  try {
    for (const marked of bundle.sessions()) {
      const session: PortableSession = resolvePaths(marked, folder);
      await writer.add(options.freshIds ? withFreshIds(session, seed) : session);
      done += 1;
      if (!dryRun) options.onProgress?.(done, trailer.sessions);
      await pace.breathe();
    }
    await writer.flush();
  } catch (error) {
    throw dryRun ? error : stoppedHalfWay(error, writer, trailer);
  }
  if (bundle.trailer?.bytesSha256 !== trailer.bytesSha256) {
    throw invalidBundle("the file was replaced by another bundle while it was read", bundle.path);
  }
  return writer;
}

function toResult(
  writer: SessionWriter,
  trailer: BundleTrailer,
  target: Backend | undefined,
  dryRun: boolean,
): ImportResult {
  return {
    outcome: writer.refused.length + trailer.damaged.length === 0 ? "complete" : "partial",
    dryRun,
    sessions: trailer.sessions,
    contentSha256: trailer.contentSha256,
    target: describeTarget(target),
    ...writer.counts,
    refused: writer.refused,
    damagedInSource: trailer.damaged,
    warnings: targetWarnings(target, writer),
  };
}

const shownMax = 5;

function listKeys(keys: readonly string[]): string {
  const shown = keys.slice(0, shownMax).map(shortenKey);
  return shown.join(", ") + (keys.length > shownMax ? ` and ${keys.length - shownMax} more` : "");
}

function differing(bundle: BundleReader, keys: readonly string[]): SessionStoreError {
  const problem = `the store has ${keys.length} of the sessions with another content: ${listKeys(keys)}`;
  return new SessionStoreError("conflict", problem, {
    operation: "import sessions",
    path: bundle.path,
    onDisk: "Nothing was imported.",
    nextStep: 'Say what should win: { onConflict: "skip", "newer" or "replace" } (--on-conflict).',
  });
}

function overtaken(
  bundle: BundleReader,
  target: Backend | undefined,
  { conflicts, counts }: SessionWriter,
): SessionStoreError {
  const problem = `others wrote ${conflicts.length} of the sessions during the import: ${listKeys(conflicts)}`;
  return new SessionStoreError("conflict", problem, {
    operation: "import sessions",
    path: bundle.path,
    onDisk: `${describeTarget(target).location} has got ${counts.created} of the other sessions; nothing was written over.`,
    nextStep: 'Say what should win: { onConflict: "skip", "newer" or "replace" } (--on-conflict).',
  });
}

function stoppedHalfWay(error: unknown, { counts }: SessionWriter, trailer: BundleTrailer): unknown {
  if (!(error instanceof SessionStoreError)) return error;
  const { code, problem, path, key, operation } = error;
  const written = counts.created + counts.replaced;
  return new SessionStoreError(code, problem, {
    operation: operation ?? "import sessions",
    ...(path === undefined ? {} : { path }),
    ...(key === undefined ? {} : { key }),
    onDisk: `${written} of ${trailer.sessions} sessions were imported, the others were not.`,
    nextStep: `${error.nextStep ?? "Remove the cause."} Then import the same bundle again: it goes on from there.`,
    cause: error,
  });
}
