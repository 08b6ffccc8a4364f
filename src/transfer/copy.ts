/**
 * Copies a store into another one, whatever their backends: a snapshot of the source, in batched commits, then read back
 * from the target and compared by count and content hash. The source is opened for reading only.
 *
 * Resumable and repeatable: sessions that the target has already are left alone, so a copy that was interrupted is
 * finished by running it again. A session that the target has with another content is a conflict and stays as it is,
 * unless the caller says otherwise. What is committed to the source after the copy began is not part of it.
 *
 * A damaged session does not stop the others, but it makes the outcome "partial": look at the outcome, always.
 */

import type { Backend, DamagedSession, Logger, Snapshot } from "../contract.js";
import { SessionStoreError } from "../errors.js";
import { nodePort } from "../fs/node-port.js";
import { Pace } from "../fs/pace.js";
import type { Port } from "../fs/port.js";
import { invalidOption } from "../options.js";
import { combineDigests, digestAsKept, type PortableSession, type SessionDigest } from "./content-hash.js";
import { type ConflictPolicy, requireNotAborted, type SessionProblem, type WriteCounts } from "./session-writer.js";
import { openForReading, type StorePlace } from "./store-place.js";
import { checkTargetOptions, describeTarget, openTarget, targetWarnings, writerTo } from "./target.js";

export interface CopyOptions {
  /** Only say what would be done; the target is opened for reading only. */
  readonly dryRun?: boolean | undefined;
  /** What becomes of sessions that the target has with another content; default "fail": they stay and are reported. */
  readonly onConflict?: ConflictPolicy | undefined;
  /** An empty source is otherwise an error: it usually is the wrong one. */
  readonly allowEmpty?: boolean | undefined;
  /** Sessions done so far. */
  readonly onProgress?: ((done: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly logger?: Logger | undefined;
  readonly port?: Port | undefined;
}

export interface CopyResult extends WriteCounts {
  /** "complete": every session of the source's snapshot is in the target, as verified by reading it back. */
  readonly outcome: "complete" | "partial";
  readonly dryRun: boolean;
  readonly source: { readonly backend: string; readonly location: string };
  readonly target: { readonly backend: string; readonly location: string };
  /** Sessions in the snapshot that could be read. */
  readonly sessions: number;
  /** The content hash of these; absent in a dry run. */
  readonly contentSha256?: string;
  /** The sessions of these that the target holds, read back; the hash is equal to the one above when all agree. */
  readonly verified?: { readonly sessions: number; readonly contentSha256: string };
  /** In both with different contents; the target's were left as they are. */
  readonly conflicts: readonly string[];
  /** Could not be read from the source. */
  readonly damaged: readonly SessionProblem[];
  /** The target cannot take them. */
  readonly refused: readonly SessionProblem[];
  /** Were written, and read back with another content: somebody else wrote to the target meanwhile. */
  readonly changedSince: readonly string[];
  readonly warnings: readonly string[];
}

const optionNames = ["dryRun", "onConflict", "allowEmpty", "onProgress", "signal", "logger", "port"];
const where = "copyStore";

export async function copyStore(
  source: StorePlace,
  target: StorePlace,
  options: CopyOptions = {},
): Promise<CopyResult> {
  checkTargetOptions(options, optionNames, where);
  const port = options.port ?? nodePort();
  const from = await openForReading(port, source, where);
  let to: Backend | undefined;
  try {
    return await copyBackends(port, from, options, async (keyRule) => {
      to = await openTarget(port, target, keyRule, options, where);
      return to;
    });
  } finally {
    await to?.close();
    await from.close();
  }
}

/** Between open stores. The target is opened - and perhaps created - only when there is something to copy. */
export async function copyBackends(
  port: Port,
  source: Backend,
  options: CopyOptions,
  openTarget: (keyRule: Backend["keyRule"]) => Promise<Backend | undefined>,
): Promise<CopyResult> {
  const damaged: SessionProblem[] = [];
  const onDamaged = ({ key, error }: DamagedSession) => damaged.push({ key, message: error.message });
  const snapshot = await source.scan({ onDamaged, ...(options.signal ? { signal: options.signal } : {}) });
  const sessions = snapshot[Symbol.asyncIterator]();
  try {
    const first = await sessions.next();
    if (first.done && !(options.allowEmpty && damaged.length === 0)) throw nothingToCopy(source, damaged);
    const target = await openTarget(source.keyRule);
    if (target !== undefined) requireDifferentStores(source, target);
    const remaining = prepend(first.done ? undefined : first.value, sessions);
    return await copyBetween(port, source, remaining, target, damaged, options);
  } finally {
    await sessions.return?.();
  }
}

type Sessions = AsyncIterator<PortableSession>;

async function* prepend(first: PortableSession | undefined, rest: Sessions): AsyncGenerator<PortableSession> {
  if (first === undefined) return;
  yield first;
  for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
}

async function copyBetween(
  port: Port,
  source: Backend,
  sessions: AsyncIterable<PortableSession>,
  target: Backend | undefined,
  damaged: readonly SessionProblem[],
  options: CopyOptions,
): Promise<CopyResult> {
  const dryRun = options.dryRun ?? false;
  const writer = writerTo(target, options, { actor: "sessiondir copy", reason: "copied from another store" });
  const kept = target?.capabilities ?? source.capabilities;
  const digests = new Map<string, SessionDigest>();
  const pace = new Pace(port);
  let done = 0;
  for await (const session of sessions) {
    requireNotAborted(options.signal);
    await writer.add(session);
    if (!dryRun) digests.set(session.key, digestAsKept(session, kept));
    done += 1;
    options.onProgress?.(done);
    await pace.breathe();
  }
  await writer.flush();
  const untouched = new Set([...writer.conflicts, ...writer.skippedKeys, ...writer.refused.map(({ key }) => key)]);
  const back = dryRun || target === undefined ? undefined : await readBack(port, target, digests, untouched, options);
  const changedSince = back?.different ?? [];
  const failed = damaged.length + writer.conflicts.length + writer.refused.length + changedSince.length;
  return {
    outcome: failed === 0 ? "complete" : "partial",
    dryRun,
    source: { backend: source.kind, location: source.location },
    target: describeTarget(target),
    sessions: done,
    ...(dryRun ? {} : { contentSha256: combineDigests(digests.values()) }),
    ...(back === undefined ? {} : { verified: back.verified }),
    ...writer.counts,
    conflicts: writer.conflicts,
    damaged: [...damaged],
    refused: writer.refused,
    changedSince,
    warnings: targetWarnings(target, writer),
  };
}

/** Reads the target in one snapshot, so that what is compared is what is there - not what a cache remembers. */
async function readBack(
  port: Port,
  target: Backend,
  expected: ReadonlyMap<string, SessionDigest>,
  untouched: ReadonlySet<string | undefined>,
  options: CopyOptions,
): Promise<{ verified: { sessions: number; contentSha256: string }; different: string[] }> {
  const missing = new Set(expected.keys());
  const found: SessionDigest[] = [];
  const different: string[] = [];
  const pace = new Pace(port);
  // A session of the target that is damaged is either none of ours, or missing.
  const snapshot: Snapshot = await target.scan({ onDamaged: () => {} });
  for await (const session of snapshot) {
    requireNotAborted(options.signal);
    const digest = expected.get(session.key);
    if (digest === undefined) continue;
    missing.delete(session.key);
    const actual = digestAsKept(session, target.capabilities);
    found.push(actual);
    if (actual !== digest && !untouched.has(session.key)) different.push(session.key);
    await pace.breathe();
  }
  for (const key of missing) if (!untouched.has(key)) different.push(key);
  return { verified: { sessions: found.length, contentSha256: combineDigests(found) }, different };
}

function requireDifferentStores(source: Backend, target: Backend): void {
  if (source.kind === "memory" || source.kind !== target.kind || source.location !== target.location) return;
  throw invalidOption(where, "the source and the target are the same store");
}

function nothingToCopy(source: Backend, damaged: readonly SessionProblem[]): SessionStoreError {
  const problem = damaged.length > 0 ? "no session of the source can be read" : "the source holds no session";
  return new SessionStoreError(damaged.length > 0 ? "entry_damaged" : "not_found", problem, {
    operation: "copy the store",
    path: source.location,
    onDisk: "Nothing was copied, and no target was made.",
    nextStep:
      damaged.length > 0 ? "Run `sessiondir repair`." : "Check the path; { allowEmpty: true } copies an empty store.",
  });
}
