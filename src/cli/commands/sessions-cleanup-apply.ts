/** The real run of `sessiondir sessions cleanup`: makes the plan of the dry run and carries it out by ordinary commits. */

import { parseStoreLocation } from "../../backends/directory/layout.js";
import { SessionStoreError } from "../../errors.js";
import { gatewayLimits } from "../../limits.js";
import { openSessionStore } from "../../open.js";
import { applyCleanup } from "../../openclaw/cleanup-apply.js";
import type { CleanupPlan } from "../../openclaw/cleanup-plan.js";
import { formatSessionMaintenanceWarning, getActiveSessionMaintenanceWarning } from "../../openclaw/maintenance.js";
import { rotateSessionFile } from "../../openclaw/rotate.js";
import type { SessionStoreTarget } from "../../openclaw/targets.js";
import { shellWord } from "../../shell-word.js";
import { findForm, visitStore } from "../openclaw-stores.js";
import { warnings } from "../store-access.js";
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
  const isDirectory = findForm(target.storePath).kind === "directory";
  const mayRemove = run.mode === "enforce" || run.options.fixMissing === true;
  if (isDirectory && mayRemove) return applyToDirectory(run, target);
  const { reading, referencedFiles } = await readOnly(run, target);
  const planned = await plan(run, target.storePath, reading, extentOf(run), referencedFiles);
  tellWarnings(run, target.storePath, reading, planned);
  // The first change takes a legacy file over; one that was rolled back stays a file, and is cleaned up as one.
  if (planned.wouldMutate) {
    if (parseStoreLocation(target.storePath) === undefined) throw staysSingleFile(target.storePath);
    return applyToDirectory(run, target);
  }
  return unchanged(run, target, planned);
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
  return { summary, rows: [] };
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

/** Reads with the store open for writing: nothing lies between what the plan relies on and the removals. */
async function applyToDirectory(run: Run, target: SessionStoreTarget): Promise<Preview> {
  const { agentId, storePath } = target;
  const session = await openSessionStore<Record<string, unknown>>(storePath, {
    limits: gatewayLimits,
    logger: warnings,
  });
  // A single file has no trash: a copy beside it keeps what goes.
  if (!session.capabilities.trash && !(await rotateSessionFile(storePath, anySizeBytes))) {
    await session.close();
    throw cannotBeKept(storePath);
  }
  const progress = startProgress("cleaning up");
  try {
    const reading = new Reading(run, agentId, progress);
    await visitStore(session, reading.take, { onDamaged: reading.onDamaged });
    const referencedFiles = await earlierTranscripts(run, session, reading);
    const planned = await plan(run, storePath, reading, extentOf(run), referencedFiles);
    tellDamaged(run, storePath, reading);
    tellWarnings(run, storePath, reading, planned);
    const applied = await applyCleanup({
      session,
      storePath,
      plan: planned,
      store: reading.store,
      versions: reading.versions,
      referencedFiles,
      damagedKeys: reading.damagedKeys,
      retention: run.mode === "enforce" ? run.rules : null,
      actor: "sessions cleanup",
      onProgress: progress.update,
    });
    const { afterCount, missing, pruned, capped, diskBudget, mutated } = applied;
    const summary: Summary = {
      ...toSummary(run, target, planned),
      afterCount,
      missing,
      pruned,
      capped,
      diskBudget,
      wouldMutate: mutated,
      applied: true,
      appliedCount: afterCount,
    };
    return { summary, rows: [] };
  } finally {
    progress.stop();
    await session.close();
  }
}
