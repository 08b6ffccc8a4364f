/**
 * `repair`: explicit, never run by itself. Salvages what can be, keeps every original in quarantine/, and says what it
 * did for each. In this order: the manifest, the journal, the entry files; a dry run says what would be done and
 * changes nothing. A crash in the middle is finished by running it again.
 */

import type { Finding, Logger } from "../../contract.js";
import { fromSystemError, SessionStoreError } from "../../errors.js";
import { openRealDirectory } from "../../fs/checked-file.js";
import { nodePort } from "../../fs/node-port.js";
import { type Directory, hasCode, type Port } from "../../fs/port.js";
import { defaultLimits, fixedLimits, limitCaps } from "../../limits.js";
import { normalizeKey } from "../../sessions/keys.js";
import { checkStore } from "./check.js";
import { lockNames, parseStoreLocation, rollbackMarkerName, type StoreLocation } from "./layout.js";
import { LockFile } from "./lock-file.js";
import { repairEntries } from "./repair-entries.js";
import { journalNeedsRepair, repairJournal } from "./repair-journal.js";
import { manifestNeedsRepair, repairManifest } from "./repair-manifest.js";
import { readRollbackDetails } from "./rollback-details.js";
import { requireStoreParts, StoreFiles } from "./store-files.js";

export interface RepairOptions {
  readonly dryRun?: boolean | undefined;
  /** Sessions whose entry files were edited by hand and are to be taken as they are now. */
  readonly accept?: readonly string[] | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly logger?: Logger | undefined;
  readonly port?: Port | undefined;
}

export interface RepairAction {
  /** Stable: "manifest_rebuilt", "journal_salvaged", "entry_accepted", "entry_salvaged", "file_quarantined" ... */
  readonly code: string;
  /** Relative to the store directory. */
  readonly path?: string;
  readonly key?: string;
  readonly message: string;
}

export interface RepairReport {
  readonly dryRun: boolean;
  readonly actions: readonly RepairAction[];
  readonly findingsBefore: number;
  readonly findingsAfter: number;
}

/** What the parts of a repair share. */
export interface RepairContext {
  readonly port: Port;
  readonly location: StoreLocation;
  readonly dryRun: boolean;
  readonly accept: ReadonlySet<string>;
  readonly logger: Logger | undefined;
  readonly note: (action: RepairAction) => void;
}

export async function repairStore(location: string, options: RepairOptions = {}): Promise<RepairReport> {
  const storeLocation = parseStoreLocation(location);
  if (storeLocation === undefined) {
    throw new SessionStoreError("invalid_option", "the location is neither a *.json file nor a *.d directory", {
      operation: "repair",
    });
  }
  const actions: RepairAction[] = [];
  const context: RepairContext = {
    port: options.port ?? nodePort(),
    location: storeLocation,
    dryRun: options.dryRun ?? false,
    accept: new Set(options.accept),
    logger: options.logger,
    note: (action) => actions.push(action),
  };
  try {
    return await underBothLocks(context, async () => {
      if (manifestNeedsRepair(context)) await repairManifest(context);
      const findingsBefore = await countFindings(context, options.onProgress);
      if (findingsBefore !== undefined) {
        if (journalNeedsRepair(context)) await repairJournal(context);
        await repairEntries(context);
      }
      const findingsAfter = context.dryRun ? findingsBefore : await countFindings(context, undefined);
      const manifestFindings = actions.some((action) => action.code === "manifest_rebuilt") ? 1 : 0;
      return {
        dryRun: context.dryRun,
        actions,
        findingsBefore: (findingsBefore ?? 0) + manifestFindings,
        findingsAfter: findingsAfter ?? manifestFindings,
      };
    });
  } catch (error) {
    if (hasCode(error, "ENOENT")) throw storeMissing(storeLocation);
    throw fromSystemError(error, {
      operation: "repair",
      path: `${storeLocation.parentPath}/${storeLocation.directoryName}`,
    });
  }
}

/** The keys to accept, normalised as the store does. */
export function acceptedKeys(context: RepairContext, files: StoreFiles): Set<string> {
  return new Set([...context.accept].map((key) => normalizeKey(key, files.manifest.keyRule, limitCaps.keyBytes)));
}

/** Nobody else writes meanwhile: writers wait, and get a `lock_timeout` that names us. */
async function underBothLocks<Result>(context: RepairContext, work: () => Promise<Result>): Promise<Result> {
  const { port, location } = context;
  const parent = port.openRoot(location.parentPath);
  try {
    const store = port.statName(parent, location.directoryName);
    if (store === undefined) throw storeMissing(location, describeInstead(port, parent, location));
    requireStore(port, parent, location);
    const owner = { uid: port.userId === undefined ? undefined : store.ownerUid };
    const names = lockNames(location.directoryName);
    const locks: LockFile[] = [];
    try {
      for (const name of [names.checkpoint, names.commit]) {
        const lock = openLock(context, () => LockFile.open(port, parent, name, owner, false));
        if (lock === undefined) continue;
        locks.push(lock);
        await acquire(port, lock);
      }
      return await work();
    } finally {
      for (const lock of locks.reverse()) {
        lock.release();
        lock.close();
      }
    }
  } finally {
    port.closeDirectory(parent);
  }
}

/** Before lock files are made beside what belongs to somebody else. */
function requireStore(port: Port, parent: Directory, location: StoreLocation): void {
  const store = openRealDirectory(port, parent, location.directoryName);
  try {
    requireStoreParts(port, store);
  } finally {
    port.closeDirectory(store);
  }
}

/** A dry run must also work where nothing may be written; then nobody else writes either. */
function openLock(context: RepairContext, open: () => LockFile): LockFile | undefined {
  try {
    return open();
  } catch (error) {
    if (context.dryRun && hasCode(error, "EROFS", "EACCES")) return undefined;
    throw error;
  }
}

async function acquire(port: Port, lock: LockFile): Promise<void> {
  const deadlineMs = port.monotonicMs() + fixedLimits.lockWaitMsMax;
  while (!lock.tryExclusiveChecked()) {
    if (port.monotonicMs() >= deadlineMs) throw lock.timeoutError("repair", fixedLimits.lockWaitMsMax);
    await port.sleep(2);
  }
}

/** `undefined` when the store cannot be opened at all. */
async function countFindings(
  context: RepairContext,
  onProgress: ((done: number, total: number) => void) | undefined,
): Promise<number | undefined> {
  let files: StoreFiles;
  try {
    files = StoreFiles.open(context.port, context.location, true);
  } catch (error) {
    if (error instanceof SessionStoreError && error.code === "store_damaged") return undefined;
    throw error;
  }
  try {
    const findings: Finding[] = [];
    for await (const finding of checkStore(files, { limits: defaultLimits, onProgress })) findings.push(finding);
    return findings.length;
  } finally {
    files.close();
  }
}

function storeMissing(location: StoreLocation, instead?: { problem: string; nextStep: string }): SessionStoreError {
  return new SessionStoreError("store_missing", instead?.problem ?? "there is no store", {
    operation: "repair",
    path: `${location.parentPath}/${location.directoryName}`,
    nextStep: instead?.nextStep ?? "Check the path.",
  });
}

/** The path is right, but the sessions are in a legacy file, which has nothing to be repaired from. */
function describeInstead(port: Port, parent: Directory, location: StoreLocation) {
  const { legacyName, directoryName } = location;
  if (port.statName(parent, legacyName) === undefined) return undefined;
  if (port.statName(parent, rollbackMarkerName(directoryName)) === undefined) {
    return {
      problem: `there is no directory store; ${legacyName} was not taken over yet`,
      nextStep: "Run `sessiondir detect` to see whether it can be.",
    };
  }
  const backup = readRollbackDetails(port, parent, directoryName)?.backupDirectory;
  return {
    problem: `there is no directory store: it was rolled back, and its sessions are in ${legacyName}`,
    nextStep: `Nothing is to be repaired there. The directory as it was is ${backup ?? `a ${directoryName}.bak.<ms>`}; \`sessiondir migrate --force\` makes a new one of the file.`,
  };
}
