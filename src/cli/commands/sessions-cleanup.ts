/**
 * `sessiondir sessions cleanup`: maintenance of the gateway's stores, now. The dry run and the real run make the same
 * plan; the real run then carries it out by ordinary commits, and removed sessions go to the store's trash. In mode
 * `warn`, which is the default, nothing is removed but what `--fix-missing` asks for. A legacy file is only read, unless
 * something is to be removed from it: then it is taken over first, as by any other change of the gateway's functions.
 */

import type { Command } from "commander";
import type { VersionToken } from "../../contract.js";
import { SessionStoreError } from "../../errors.js";
import { nodePort } from "../../fs/node-port.js";
import { openSessionStore } from "../../open.js";
import { applyCleanup } from "../../openclaw/cleanup-apply.js";
import { type CleanupPlan, planCleanup } from "../../openclaw/cleanup-plan.js";
import type { SessionDiskBudgetSweepResult } from "../../openclaw/disk-budget.js";
import { formatSessionMaintenanceWarning, getActiveSessionMaintenanceWarning } from "../../openclaw/maintenance.js";
import type { ResolvedSessionMaintenanceConfig, SessionMaintenanceMode } from "../../openclaw/maintenance-config.js";
import { emptyRecord, setOwnValue } from "../../openclaw/prototype-keys.js";
import type { SessionStoreTarget } from "../../openclaw/targets.js";
import type { OpenClawConfig, SessionEntry } from "../../openclaw/types.js";
import { exitFailed, reportFailure } from "../failures.js";
import { countOf } from "../format.js";
import { cleanupRules, loadCommandConfig } from "../openclaw-config.js";
import { actionsHeader, actionsLine, newestFirst, type SessionRow, toRow } from "../openclaw-rows.js";
import { runForGateway, selectTargets, type TargetOptions } from "../openclaw-selectors.js";
import { type FoundSession, findForm, readSessions, visitStore } from "../openclaw-stores.js";
import { type CommandStore, quoteForShell, warnings } from "../store-access.js";
import { printJson, printLine, printNote, safeText, startProgress } from "../terminal.js";

interface CleanupOptions extends TargetOptions {
  dryRun?: boolean;
  enforce?: boolean;
  fixMissing?: boolean;
  activeKey?: string;
}

export function defineSessionsCleanup(sessions: Command): void {
  sessions
    .command("cleanup")
    .description("remove old, surplus and broken sessions, as the configured maintenance says")
    .option("--store <path>", "this store (default: that of the default agent)")
    .option("--agent <id>", "the store of this configured agent")
    .option("--all-agents", "the stores of all configured agents; without a configuration, all that there are")
    .option("--dry-run", "only say what enforcing would remove")
    .option("--enforce", 'remove also when the configured mode is "warn"')
    .option("--fix-missing", "remove sessions whose transcript does not exist, in either mode")
    .option("--active-key <key>", "a session that is at work: it stays, whatever the rules say")
    .option("--json", "print JSON for programs instead of text for people")
    .option("--config <file>", "the gateway's configuration (default: openclaw.json in the state directory)")
    .addHelpText(
      "after",
      `
Examples:
  $ sessiondir sessions cleanup --dry-run
  $ sessiondir sessions cleanup --enforce --active-key agent:main:main
  $ sessiondir sessions cleanup --all-agents --fix-missing --dry-run --json

Removed sessions are in the store's trash: sessiondir trash list, sessiondir trash restore.`,
    )
    .action(async (own: CleanupOptions, command: Command) => {
      const options: CleanupOptions = { ...command.parent?.opts<TargetOptions>(), ...own };
      process.exitCode = await runForGateway(options, () => cleanup(options));
    });
}

/** In the order in which a script finds the fields in the JSON. */
interface Summary {
  agentId: string;
  storePath: string;
  mode: SessionMaintenanceMode;
  dryRun: boolean;
  beforeCount: number;
  afterCount: number;
  missing: number;
  pruned: number;
  capped: number;
  diskBudget: SessionDiskBudgetSweepResult | null;
  wouldMutate: boolean;
  applied?: true;
  appliedCount?: number;
}

/** What is the same for every store of a run. */
interface Run {
  cfg: OpenClawConfig;
  rules: ResolvedSessionMaintenanceConfig;
  mode: SessionMaintenanceMode;
  options: CleanupOptions;
}

interface Preview {
  summary: Summary;
  rows: { row: SessionRow; action: string }[];
}

async function cleanup(options: CleanupOptions): Promise<number> {
  const config = loadCommandConfig(options.config);
  const targets = await selectTargets(config, options);
  const rules = cleanupRules(config.cfg, warnings.warn);
  const mode = options.enforce ? "enforce" : rules.mode;
  const run: Run = { cfg: config.cfg, rules, mode, options };
  const several = targets.length > 1 || options.allAgents === true;
  const work = options.dryRun ? preview : apply;
  const results: Preview[] = [];
  const errors: { agentId: string; storePath: string; code: string; message: string }[] = [];
  for (const target of targets) {
    try {
      results.push(await work(run, target));
    } catch (error) {
      // With one store the failure is the whole answer; of several, the others still get theirs.
      if (!several) throw error;
      if (!options.json) reportFailure(error, false);
      const { code, message } = error instanceof SessionStoreError ? error : { code: "internal", message: `${error}` };
      errors.push({ ...target, code, message });
    }
  }
  if (options.json) printJson(toDocument(run, results, errors, several));
  else if (options.dryRun) printPlans(run, results);
  else printApplied(results);
  return errors.length > 0 ? exitFailed : 0;
}

function toDocument(
  { mode, options }: Run,
  results: readonly Preview[],
  errors: readonly object[],
  several: boolean,
): object {
  const [first] = results;
  if (!several && first !== undefined) return first.summary;
  const stores = results.map(({ summary }) => summary);
  return {
    allAgents: true,
    mode,
    dryRun: options.dryRun ?? false,
    stores,
    ...(errors.length > 0 ? { errors } : {}),
  };
}

// --- reading and planning --------------------------------------------------------------------------------------------------

/** A store as it was read, and what planning needs of it. */
class Reading {
  readonly store = emptyRecord<SessionEntry>();
  readonly versions = new Map<string, VersionToken>();
  readonly rows: SessionRow[] = [];
  damaged = 0;
  #count = 0;
  readonly #run: Run;
  readonly #agentId: string;
  readonly #nowMs = nodePort().nowMs();
  readonly #progress: ReturnType<typeof startProgress>;

  constructor(run: Run, agentId: string, progress: ReturnType<typeof startProgress>) {
    this.#run = run;
    this.#agentId = agentId;
    this.#progress = progress;
  }

  readonly onDamaged = () => {
    this.damaged += 1;
  };

  /** A budget counts bytes, so it gets whole entries; all other rules need three fields. */
  readonly take = ({ key, entry, version }: FoundSession) => {
    this.#count += 1;
    if (this.#count % 100 === 0) this.#progress.update(this.#count, this.#count);
    const isWhole = this.#run.rules.maxDiskBytes !== null || typeof entry !== "object" || entry === null;
    setOwnValue(this.store, key, (isWhole ? entry : slimOf(entry)) as SessionEntry);
    if (version !== undefined) this.versions.set(key, version);
    if (this.#run.options.dryRun && !this.#run.options.json) {
      this.rows.push(toRow(key, entry, { agentId: this.#agentId, nowMs: this.#nowMs, cfg: this.#run.cfg }));
    }
  };
}

function slimOf({ sessionId, sessionFile, updatedAt }: Readonly<SessionEntry>): Partial<SessionEntry> {
  return {
    ...(sessionId === undefined ? {} : { sessionId }),
    ...(sessionFile === undefined ? {} : { sessionFile }),
    ...(updatedAt === undefined ? {} : { updatedAt }),
  };
}

function plan(
  { rules, options }: Run,
  storePath: string,
  reading: Reading,
  extent: "everything" | "missing-only",
  referencedFiles: ReadonlySet<string>,
): Promise<CleanupPlan> {
  return planCleanup({
    storePath,
    store: reading.store,
    maintenance: rules,
    extent,
    fixMissing: options.fixMissing ?? false,
    activeKey: options.activeKey,
    referencedFiles,
    hasUnread: reading.damaged > 0,
  });
}

/** A budget must not take the transcripts of earlier generations for orphans. */
async function earlierTranscripts({ rules }: Run, store: CommandStore, reading: Reading): Promise<Set<string>> {
  const names = new Set<string>();
  if (rules.maxDiskBytes === null) return names;
  for (const key of Object.keys(reading.store)) {
    for (const { sessionId, sessionFile } of await store.generations(key)) {
      names.add(`${sessionId}.jsonl`);
      const name = sessionFile?.split(/[\\/]/).at(-1);
      if (name !== undefined) names.add(name);
    }
  }
  return names;
}

/** Reads a store that is not to be changed. */
async function readOnly(
  run: Run,
  { agentId, storePath }: SessionStoreTarget,
): Promise<{ reading: Reading; referencedFiles: ReadonlySet<string> }> {
  const progress = startProgress("reading");
  const reading = new Reading(run, agentId, progress);
  try {
    let referencedFiles: ReadonlySet<string> = new Set();
    await readSessions(storePath, reading.take, {
      onDamaged: reading.onDamaged,
      afterwards: async (store) => {
        referencedFiles = await earlierTranscripts(run, store, reading);
      },
    });
    tellDamaged(run, storePath, reading);
    return { reading, referencedFiles };
  } finally {
    progress.stop();
  }
}

function tellDamaged({ rules }: Run, storePath: string, { damaged }: Reading): void {
  if (damaged === 0) return;
  const budget = rules.maxDiskBytes === null ? "" : ", and the disk budget frees nothing meanwhile";
  warnings.warn(
    `${storePath}: ${countOf(damaged, "damaged session")} left alone${budget}; see sessiondir verify --store PATH`,
  );
}

async function preview(run: Run, target: SessionStoreTarget): Promise<Preview> {
  const { reading, referencedFiles } = await readOnly(run, target);
  const planned = await plan(run, target.storePath, reading, "everything", referencedFiles);
  const rows = newestFirst(reading.rows).map((row) => ({ row, action: planned.removals.get(row.key) ?? "keep" }));
  return { summary: toSummary(run, target, planned), rows };
}

function toSummary({ mode, options }: Run, { agentId, storePath }: SessionStoreTarget, planned: CleanupPlan): Summary {
  const { beforeCount, afterCount, missing, pruned, capped, diskBudget, wouldMutate } = planned;
  const dryRun = options.dryRun ?? false;
  return {
    agentId,
    storePath,
    mode,
    dryRun,
    beforeCount,
    afterCount,
    missing,
    pruned,
    capped,
    diskBudget,
    wouldMutate,
  };
}

// --- applying --------------------------------------------------------------------------------------------------------------

async function apply(run: Run, target: SessionStoreTarget): Promise<Preview> {
  const isDirectory = findForm(target.storePath).kind === "directory";
  const mayRemove = run.mode === "enforce" || run.options.fixMissing === true;
  if (isDirectory && mayRemove) return applyToDirectory(run, target);
  const { reading, referencedFiles } = await readOnly(run, target);
  const planned = await plan(run, target.storePath, reading, extentOf(run), referencedFiles);
  tellWarnings(run, target.storePath, reading, planned);
  // The first change takes a legacy file over; one that was rolled back stays as it is, and has no trash.
  if (planned.wouldMutate) return applyToDirectory(run, target);
  return unchanged(run, target, planned);
}

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

function legacyIsReadOnly(storePath: string): SessionStoreError {
  return new SessionStoreError("legacy_store", "sessions are to be removed from a legacy file, which has no trash", {
    operation: "clean up the store",
    path: storePath,
    onDisk: "Nothing was changed.",
    nextStep: `It was rolled back. Take it over first: sessiondir migrate --force --store ${quoteForShell(storePath)} (see what would go with --dry-run).`,
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
  const session = await openSessionStore<Record<string, unknown>>(storePath, { logger: warnings });
  if (!session.capabilities.trash) {
    await session.close();
    throw legacyIsReadOnly(storePath);
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

// --- text ------------------------------------------------------------------------------------------------------------------

function printPlans(run: Run, results: readonly Preview[]): void {
  for (const [index, { summary, rows }] of results.entries()) {
    if (index > 0) printLine("");
    if (results.length > 1) printLine(`Agent: ${safeText(summary.agentId)}`);
    printLine(`Session store: ${safeText(summary.storePath)}`);
    printLine(`Maintenance mode: ${summary.mode}`);
    const { beforeCount, afterCount, diskBudget } = summary;
    printLine(`Entries: ${beforeCount} -> ${afterCount} (remove ${beforeCount - afterCount})`);
    printLine(`Would prune missing transcripts: ${summary.missing}`);
    printLine(`Would prune stale: ${summary.pruned}`);
    printLine(`Would cap overflow: ${summary.capped}`);
    if (diskBudget !== null) {
      const { totalBytesBefore, totalBytesAfter, removedFiles, removedEntries } = diskBudget;
      const counts = `(files ${removedFiles}, entries ${removedEntries})`;
      printLine(`Would enforce disk budget: ${totalBytesBefore} -> ${totalBytesAfter} bytes ${counts}`);
    }
    if (rows.length === 0) continue;
    printLine("");
    printLine("Planned session actions:");
    printLine(actionsHeader());
    for (const { row, action } of rows) printLine(actionsLine(row, action, run.cfg));
  }
  const isHeldBack = run.mode === "warn" && results.some(({ summary }) => summary.wouldMutate);
  if (isHeldBack) {
    const exception = run.options.fixMissing ? "only sessions with a missing transcript are" : "nothing is";
    printNote(`This is what --enforce would remove. The mode is "warn": without --enforce ${exception} removed.`);
  }
}

function printApplied(results: readonly Preview[]): void {
  for (const [index, { summary }] of results.entries()) {
    if (index > 0) printLine("");
    if (results.length > 1) printLine(`Agent: ${safeText(summary.agentId)}`);
    printLine(`Session store: ${safeText(summary.storePath)}`);
    printLine(`Applied maintenance. Current entries: ${summary.appliedCount ?? 0}`);
  }
}
