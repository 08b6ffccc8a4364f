/**
 * What every part of `sessiondir sessions cleanup` works on: the run, a store as it was read, and the summary that a
 * script gets. Planning is the same for the dry run and the real one.
 */

import type { DamagedSession, VersionToken } from "../../contract.js";
import { nodePort } from "../../fs/node-port.js";
import { type CleanupFile, type CleanupPlan, filesOf, planCleanup } from "../../openclaw/cleanup-plan.js";
import type { BudgetFile, SessionDiskBudgetSweepResult } from "../../openclaw/disk-budget.js";
import { normalizeStoreSessionKey } from "../../openclaw/key-normalization.js";
import { updatedAtOf } from "../../openclaw/maintenance.js";
import type { ResolvedSessionMaintenanceConfig, SessionMaintenanceMode } from "../../openclaw/maintenance-config.js";
import { emptyRecord, setOwnValue } from "../../openclaw/prototype-keys.js";
import type { SessionStoreTarget } from "../../openclaw/targets.js";
import type { OpenClawConfig, SessionEntry } from "../../openclaw/types.js";
import { countOf } from "../format.js";
import { type SessionRow, toRow } from "../openclaw-rows.js";
import type { TargetOptions } from "../openclaw-selectors.js";
import { type FoundSession, findForm, readSessions, staysFile } from "../openclaw-stores.js";
import { type CommandStore, warnings } from "../store-access.js";
import { startProgress } from "../terminal.js";

export interface CleanupOptions extends TargetOptions {
  dryRun?: boolean;
  enforce?: boolean;
  fixMissing?: boolean;
  activeKey?: string;
}

/** In the order in which a script finds the fields in the JSON. */
export interface Summary {
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
  /** Every file that is deleted; there when one is. */
  files?: CleanupFile[];
  applied?: true;
  appliedCount?: number;
}

/** What is the same for every store of a run. */
export interface Run {
  cfg: OpenClawConfig;
  rules: ResolvedSessionMaintenanceConfig;
  mode: SessionMaintenanceMode;
  options: CleanupOptions;
}

export interface Preview {
  summary: Summary;
  rows: { row: SessionRow; action: string }[];
  /** Backups that a budget leaves alone. */
  kept: readonly BudgetFile[];
  /** Of a real run that removed sessions. */
  removed?: { count: number; inTrash: number; evicted: number; copy?: string };
}

/** A store as it was read, and what planning needs of it. */
export class Reading {
  readonly store = emptyRecord<SessionEntry>();
  readonly versions = new Map<string, VersionToken>();
  readonly rows: SessionRow[] = [];
  damaged = 0;
  readonly damagedKeys = new Set<string>();
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

  readonly onDamaged = ({ key }: DamagedSession) => {
    this.damaged += 1;
    if (key !== undefined) this.damagedKeys.add(key);
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

export function plan(
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
    isSingleFile: staysFile(storePath),
  });
}

/** A budget must not take the transcripts of earlier generations for orphans. */
export async function earlierTranscripts({ rules }: Run, store: CommandStore, reading: Reading): Promise<Set<string>> {
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

/** The sessions that a file's entries are once something is removed from it: of the spellings of one key the newest. */
class FileSessions {
  readonly sessions = new Map<string, FoundSession>();

  readonly take = (session: FoundSession) => {
    const key = normalizeStoreSessionKey(session.key);
    const isEntry = typeof session.entry === "object" && session.entry !== null && !Array.isArray(session.entry);
    if (key === "" || !isEntry) return;
    const other = this.sessions.get(key);
    if (other === undefined || updatedAtOf(session.entry) >= updatedAtOf(other.entry)) this.sessions.set(key, session);
  };
}

/** Reads a store that is not to be changed. */
export async function readOnly(
  run: Run,
  { agentId, storePath }: SessionStoreTarget,
): Promise<{ reading: Reading; referencedFiles: ReadonlySet<string> }> {
  const progress = startProgress("reading");
  const reading = new Reading(run, agentId, progress);
  try {
    let referencedFiles: ReadonlySet<string> = new Set();
    const file = findForm(storePath).kind === "legacy" ? new FileSessions() : undefined;
    await readSessions(storePath, file?.take ?? reading.take, {
      onDamaged: reading.onDamaged,
      afterwards: async (store) => {
        referencedFiles = await earlierTranscripts(run, store, reading);
      },
    });
    for (const session of file?.sessions.values() ?? []) reading.take(session);
    tellDamaged(run, storePath, reading);
    return { reading, referencedFiles };
  } finally {
    progress.stop();
  }
}

export function tellDamaged({ rules }: Run, storePath: string, { damaged }: Reading): void {
  if (damaged === 0) return;
  const budget = rules.maxDiskBytes === null ? "" : ", and the disk budget frees nothing meanwhile";
  warnings.warn(
    `${storePath}: ${countOf(damaged, "damaged session")} left alone${budget}; see sessiondir verify --store PATH`,
  );
}

export function toSummary(
  { mode, options }: Run,
  { agentId, storePath }: SessionStoreTarget,
  planned: CleanupPlan,
): Summary {
  const files = filesOf(planned, storePath);
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
    ...(files.length === 0 ? {} : { files }),
  };
}
