/** The real run of `sessiondir sessions cleanup`: makes the plan of the dry run and carries it out by ordinary commits. */

import { parseStoreLocation } from "../../backends/directory/layout.js";
import { backupNames } from "../../backends/json/rotate.js";
import type { VersionToken } from "../../contract.js";
import { SessionStoreError } from "../../errors.js";
import { nodePort } from "../../fs/node-port.js";
import { gatewayLimits } from "../../limits.js";
import { openSessionStore } from "../../open.js";
import { applyCleanup } from "../../openclaw/cleanup-apply.js";
import type { CleanupPlan } from "../../openclaw/cleanup-plan.js";
import { normalizeStoreSessionKey } from "../../openclaw/key-normalization.js";
import { formatSessionMaintenanceWarning, getActiveSessionMaintenanceWarning } from "../../openclaw/maintenance.js";
import { ownValue } from "../../openclaw/prototype-keys.js";
import { rotateSessionFile } from "../../openclaw/rotate.js";
import { inFolderOf } from "../../openclaw/single-names.js";
import type { SessionStoreTarget } from "../../openclaw/targets.js";
import type { SessionEntry } from "../../openclaw/types.js";
import { shellWord } from "../../shell-word.js";
import { type FoundSession, findForm, visitStore } from "../openclaw-stores.js";
import { type CommandStore, warnings } from "../store-access.js";
import { startProgress } from "../terminal.js";
import {
  earlierTranscripts,
  type Preview,
  plan,
  Reading,
  type Run,
  readOnly,
  type Summary,
  tellDamaged,
  toSummary,
} from "./sessions-cleanup-run.js";

export async function apply(run: Run, target: SessionStoreTarget): Promise<Preview> {
  const { storePath } = target;
  const isDirectory = findForm(storePath).kind === "directory";
  const mayRemove = run.mode === "enforce" || run.options.fixMissing === true;
  if (isDirectory && mayRemove) return applyToDirectory(run, target);
  const { reading, referencedFiles } = await readOnly(run, target);
  const planned = await plan(run, storePath, reading, extentOf(run), referencedFiles);
  tellWarnings(run, storePath, reading, planned);
  if (!planned.wouldMutate) return unchanged(run, target, planned);
  const work = { run, target, reading, planned, referencedFiles };
  if (planned.removals.size === 0) {
    // A session that came since has a transcript that is no orphan.
    const now = await readOnly(run, target);
    return carryOut({ ...work, ...now }, undefined, { versions: new Map() });
  }
  if (parseStoreLocation(storePath) === undefined) throw staysSingleFile(storePath);
  return applyToFile(work);
}

/** A plan, and what it was made from. */
interface Work {
  readonly run: Run;
  readonly target: SessionStoreTarget;
  readonly reading: Reading;
  readonly planned: CleanupPlan;
  readonly referencedFiles: ReadonlySet<string>;
}

/** Every file is larger. */
const anySizeBytes = -1;

function extentOf({ mode }: Run): "everything" | "missing-only" {
  return mode === "enforce" ? "everything" : "missing-only";
}

function unchanged(run: Run, target: SessionStoreTarget, planned: CleanupPlan): Preview {
  const summary: Summary = {
    ...toSummary(run, target, planned),
    applied: true,
    appliedCount: planned.afterCount,
  };
  return { summary, rows: [], kept: planned.kept };
}

function cannotBeKept(storePath: string): SessionStoreError {
  return new SessionStoreError(
    "legacy_store",
    "what would be removed from the single file cannot be kept in a copy of it",
    {
      operation: "clean up the store",
      path: storePath,
      onDisk: "Nothing was changed.",
      nextStep: `See whether there is room beside it. Or take it over first: sessiondir migrate --force --store ${shellWord(storePath)}.`,
    },
  );
}

function staysSingleFile(storePath: string): SessionStoreError {
  return new SessionStoreError("legacy_store", "sessions are to be removed from a single file, which has no trash", {
    operation: "clean up the store",
    path: storePath,
    onDisk: "Nothing was changed.",
    nextStep: "Name it *.json, so that it can be taken over; or leave it to the maintenance at each write.",
  });
}

/** What mode `warn` says in place of acting. */
function tellWarnings(
  { mode, rules, options }: Run,
  storePath: string,
  { store }: Reading,
  planned: CleanupPlan,
): void {
  if (mode !== "warn") return;
  const { pruneAfterMs, maxEntries } = rules;
  const activeSessionKey = options.activeKey ?? "";
  const warning = getActiveSessionMaintenanceWarning({ store, activeSessionKey, pruneAfterMs, maxEntries });
  if (warning !== null) warnings.warn(formatSessionMaintenanceWarning(warning));
  if (planned.diskBudget?.overBudget) {
    const { totalBytesBefore, maxBytes } = planned.diskBudget;
    warnings.warn(`${storePath}: the disk budget is exceeded (${totalBytesBefore} of ${maxBytes} bytes), warn-only`);
  }
}

/**
 * The first change takes a legacy file over; one that was rolled back stays a file. Either way the plan is the one that
 * was made of the file: its sessions are looked for in the store that there is now.
 */
async function applyToFile(work: Work): Promise<Preview> {
  const { storePath } = work.target;
  const session = await open(storePath);
  try {
    // A single file has no trash: a copy beside it keeps what goes.
    const copy = session.capabilities.trash ? undefined : await copyAside(storePath);
    return await carryOut(work, session, { ...(await recognise(work, session)), ...(copy ? { copy } : {}) });
  } finally {
    await session.close();
  }
}

async function copyAside(storePath: string): Promise<string> {
  const port = nodePort();
  const newest = () => inFolderOf(port, storePath, (folder, name) => backupNames(port, folder, name)[0]);
  const isCopied = await rotateSessionFile(storePath, anySizeBytes);
  const copy = isCopied ? newest() : undefined;
  if (copy === undefined) throw cannotBeKept(storePath);
  return copy;
}

/** One that somebody changed since it was read has no version, and stays. */
async function recognise(
  { planned, reading }: Work,
  session: CommandStore,
): Promise<Pick<Found, "versions" | "leftBehind">> {
  const versions = new Map<string, VersionToken>();
  const leftBehind = new Set(planned.removals.keys());
  const read = new Map([...leftBehind].map((key) => [normalizeStoreSessionKey(key), key] as const));
  const visit = ({ key, entry, version }: FoundSession) => {
    const readKey = read.get(normalizeStoreSessionKey(key));
    if (readKey === undefined) return;
    leftBehind.delete(readKey);
    if (version !== undefined && isAsRead(ownValue(reading.store, readKey), entry)) versions.set(readKey, version);
  };
  await visitStore(session, visit, { onDamaged: ({ key }) => key !== undefined && leftBehind.delete(key) });
  return { versions, leftBehind };
}

function isAsRead(before: SessionEntry | undefined, now: Readonly<SessionEntry>): boolean {
  if (before === undefined) return false;
  const { sessionId, sessionFile, updatedAt } = before;
  return sessionId === now.sessionId && sessionFile === now.sessionFile && updatedAt === now.updatedAt;
}

/** Reads with the store open for writing: nothing lies between what the plan relies on and the removals. */
async function applyToDirectory(run: Run, target: SessionStoreTarget): Promise<Preview> {
  const { agentId, storePath } = target;
  const session = await open(storePath);
  const progress = startProgress("reading");
  try {
    const reading = new Reading(run, agentId, progress);
    await visitStore(session, reading.take, { onDamaged: reading.onDamaged });
    const referencedFiles = await earlierTranscripts(run, session, reading);
    progress.stop();
    const planned = await plan(run, storePath, reading, extentOf(run), referencedFiles);
    tellDamaged(run, storePath, reading);
    tellWarnings(run, storePath, reading, planned);
    const { versions } = reading;
    return await carryOut({ run, target, reading, planned, referencedFiles }, session, { versions });
  } finally {
    progress.stop();
    await session.close();
  }
}

function open(storePath: string): Promise<CommandStore> {
  return openSessionStore<Record<string, unknown>>(storePath, { limits: gatewayLimits, logger: warnings });
}

/** The sessions of the plan in the open store. */
interface Found {
  readonly versions: ReadonlyMap<string, VersionToken>;
  readonly leftBehind?: ReadonlySet<string>;
  /** The name of the copy of a single file. */
  readonly copy?: string;
}

async function carryOut(work: Work, session: CommandStore | undefined, found: Found): Promise<Preview> {
  const { run, target, reading, planned, referencedFiles } = work;
  const { copy, ...sessions } = found;
  const progress = startProgress("cleaning up");
  try {
    const applied = await applyCleanup({
      session,
      storePath: target.storePath,
      plan: planned,
      store: reading.store,
      ...sessions,
      referencedFiles,
      damagedKeys: reading.damagedKeys,
      actor: "sessions cleanup",
      onProgress: progress.update,
    });
    const { afterCount, missing, pruned, capped, diskBudget, mutated, files, removed, purged } = applied;
    const { files: _planned, ...counted } = toSummary(run, target, planned);
    const summary: Summary = {
      ...counted,
      afterCount,
      missing,
      pruned,
      capped,
      diskBudget,
      wouldMutate: mutated,
      ...(files.length === 0 ? {} : { files }),
      applied: true,
      appliedCount: afterCount,
    };
    const gone = { count: removed, inTrash: copy === undefined ? removed - purged : 0, ...(copy ? { copy } : {}) };
    const evicted = diskBudget?.removedEntries ?? 0;
    return { summary, rows: [], kept: planned.kept, removed: { ...gone, evicted } };
  } finally {
    progress.stop();
  }
}
