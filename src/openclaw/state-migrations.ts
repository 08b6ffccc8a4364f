/**
 * The sessions of the first versions, which had one agent and kept everything in `<state>/sessions`: their store becomes
 * part of the default agent's, and their transcripts move to `<state>/agents/<id>/sessions`. This is the part of the
 * gateway's state migrations that concerns sessions; credentials and agent folders are left to it.
 *
 * Nothing is deleted and nothing is written over: of two entries for one session the newer counts, a file whose name is
 * taken stays where it is, and the old store file is renamed to `.bak.<ms>` once its sessions are on the disk. Running
 * it again, also after it was interrupted anywhere, changes nothing that was done.
 */

import path from "node:path";
import { freeBackupName } from "../fs/backup-name.js";
import { openOrMakeParent } from "../fs/parent-directory.js";
import { type Directory, type FileStat, hasCode, type Port } from "../fs/port.js";
import { isSameFile } from "../fs/stable-file.js";
import { resolveDefaultAgentId } from "./agent-config.js";
import { ambientPort } from "./ambient.js";
import { renameLegacyKeys } from "./key-renaming.js";
import { canonicalizeLegacySessionStore, type LegacyKeyContext } from "./legacy-keys.js";
import { loadSessionStore, readStore } from "./load.js";
import { migrateOrphanedSessionKeys } from "./orphaned-keys.js";
import { resolveStateDir } from "./paths.js";
import { ownValue, setOwnValue } from "./prototype-keys.js";
import { copyOfStore } from "./read-copy.js";
import { normalizeMainKey } from "./session-key.js";
import { inFolder } from "./single-names.js";
import type { OpenClawConfig, SessionEntry, SessionScope } from "./types.js";
import { updateSessionStore } from "./update.js";

type MigrationConfig = Pick<OpenClawConfig, "session" | "agents">;

export interface LegacyStateDetection {
  /** The default agent: whose sessions those of the first versions become. */
  targetAgentId: string;
  targetMainKey: string;
  targetScope?: SessionScope;
  stateDir: string;
  sessions: {
    legacyDir: string;
    legacyStorePath: string;
    targetDir: string;
    targetStorePath: string;
    /** A store or a transcript lies in the old folder. */
    hasLegacy: boolean;
    /** Keys in the agent's own store that are not of the present grammar. */
    legacyKeys: string[];
  };
  /** What would be done, one line each. */
  preview: string[];
}

export interface LegacyStateResult {
  changes: string[];
  warnings: string[];
}

const storeName = "sessions.json";

/** Looks, and changes nothing. What cannot be read has nothing to migrate. */
export async function detectLegacyStateMigrations(params: {
  cfg: MigrationConfig;
  env?: NodeJS.ProcessEnv;
  homedir?: () => string;
}): Promise<LegacyStateDetection> {
  const { cfg, env, homedir } = params;
  const stateDir = resolveStateDir(env, homedir);
  const targetAgentId = resolveDefaultAgentId(cfg);
  const legacyDir = path.join(stateDir, "sessions");
  const targetDir = path.join(stateDir, "agents", targetAgentId, "sessions");
  const scope = cfg.session?.scope;
  const detected: LegacyStateDetection = {
    targetAgentId,
    targetMainKey: normalizeMainKey(cfg.session?.mainKey),
    ...(scope === undefined ? {} : { targetScope: scope }),
    stateDir,
    sessions: {
      legacyDir,
      legacyStorePath: path.join(legacyDir, storeName),
      targetDir,
      targetStorePath: path.join(targetDir, storeName),
      hasLegacy: filesIn(legacyDir).some((name) => name === storeName || name.endsWith(".jsonl")),
      legacyKeys: [],
    },
    preview: [],
  };
  const { sessions, preview } = detected;
  sessions.legacyKeys = canonicalizeLegacySessionStore(
    loadSessionStore(sessions.targetStorePath),
    contextOf(detected),
  ).renamedKeys;
  if (sessions.hasLegacy) preview.push(`- Sessions: ${legacyDir} → ${targetDir}`);
  if (sessions.legacyKeys.length > 0) {
    preview.push(`- Sessions: canonicalize legacy keys in ${sessions.targetStorePath}`);
  }
  return detected;
}

function contextOf({ targetAgentId, targetMainKey, targetScope }: LegacyStateDetection): LegacyKeyContext {
  return {
    agentId: targetAgentId,
    mainKey: targetMainKey,
    ...(targetScope === undefined ? {} : { scope: targetScope }),
  };
}

/** Ordinary files, sorted; none when the folder cannot be read, or is a link. */
function filesIn(folderPath: string): string[] {
  const names: string[] = [];
  try {
    inFolder(ambientPort(), folderPath, (folder) => {
      for (const batch of ambientPort().listInBatches(folder, 512)) {
        for (const { name, kind } of batch) if (kind === "file") names.push(name);
      }
    });
  } catch (error) {
    if (!hasCode(error, "ENOENT", "ENOTDIR", "EACCES", "EPERM", "ELOOP")) throw error;
  }
  return names.sort();
}

/** Does what was detected. Never rejects because of what lies there: `warnings` say what was left, and why. */
export async function runLegacyStateMigrations(params: {
  detected: LegacyStateDetection;
  /** Accepted and not used. */
  now?: () => number;
}): Promise<LegacyStateResult> {
  const { detected } = params;
  const { sessions, targetAgentId } = detected;
  const result: LegacyStateResult = { changes: [], warnings: [] };
  const attempt = async (what: string, work: () => Promise<void>) => {
    try {
      await work();
    } catch (error) {
      result.warnings.push(`${what}: ${error instanceof Error ? error.message : String(error)}`);
    }
  };
  if (sessions.hasLegacy) {
    await attempt(`Legacy sessions store stays at ${sessions.legacyStorePath}`, () => mergeStore(detected, result));
    await attempt(`Legacy transcripts stay in ${sessions.legacyDir}`, () => moveFiles(detected, result));
  }
  await attempt(`Session keys of an older version stay as they are in ${sessions.targetStorePath}`, async () => {
    const count = await renameLegacyKeys(sessions.targetStorePath, contextOf(detected));
    if (count > 0) result.changes.push(`Canonicalized ${count} legacy session key(s) of agent ${targetAgentId}`);
  });
  return result;
}

/** A gateway of that time may still write the file, so it is set aside only as it was when it was read. */
async function mergeStore(detected: LegacyStateDetection, result: LegacyStateResult): Promise<void> {
  const port = ambientPort();
  const { legacyDir, legacyStorePath, targetStorePath } = detected.sessions;
  for (;;) {
    const before = statOf(port, legacyDir);
    if (before === undefined) return;
    const store = readStore(legacyStorePath, (source) => copyOfStore(source));
    const merged = await mergeInto(targetStorePath, store, detected);
    const aside = setAside(port, legacyDir, before);
    if (aside === undefined) continue;
    if (merged > 0) result.changes.push(`Merged ${merged} session(s) into ${targetStorePath}`);
    result.changes.push(`Kept the legacy sessions store as ${path.join(legacyDir, aside)}`);
    return;
  }
}

/** How many sessions of the old store are newer than what is there. Those without a `sessionId` stay in the old file. */
function mergeInto(
  targetStorePath: string,
  legacy: Record<string, SessionEntry>,
  detected: LegacyStateDetection,
): Promise<number> {
  const { store } = canonicalizeLegacySessionStore(legacy, contextOf(detected));
  return updateSessionStore(
    targetStorePath,
    (target) => {
      let merged = 0;
      for (const key of Object.keys(store)) {
        const entry = moved(ownValue(store, key) as SessionEntry, detected);
        const rival = ownValue(target, key);
        if (rival !== undefined && (rival.updatedAt ?? 0) >= (entry.updatedAt ?? 0)) continue;
        setOwnValue(target, key, entry);
        merged += 1;
      }
      return merged;
    },
    { skipMaintenance: true },
  );
}

/** A transcript that the entry names by its old place moves with the others. */
function moved(entry: SessionEntry, { sessions }: LegacyStateDetection): SessionEntry {
  const { sessionFile } = entry;
  if (typeof sessionFile !== "string" || path.dirname(sessionFile) !== sessions.legacyDir) return entry;
  return { ...entry, sessionFile: path.join(sessions.targetDir, path.basename(sessionFile)) };
}

function statOf(port: Port, legacyDir: string): FileStat | undefined {
  return inFolder(port, legacyDir, (folder) => port.statName(folder, storeName));
}

/** Its new name; undefined when somebody wrote it meanwhile. */
function setAside(port: Port, legacyDir: string, read: FileStat): string | undefined {
  return inFolder(port, legacyDir, (folder) => {
    if (!isSameFile(read, port.statName(folder, storeName))) return undefined;
    const aside = freeBackupName(port, folder, storeName);
    port.rename(folder, storeName, folder, aside);
    return aside;
  });
}

async function moveFiles(detected: LegacyStateDetection, result: LegacyStateResult): Promise<void> {
  const port = ambientPort();
  const { legacyDir, targetDir } = detected.sessions;
  const names = filesIn(legacyDir).filter((name) => !name.startsWith(storeName) && !/\.(lock|tmp)$/.test(name));
  if (names.length === 0) return;
  const target = await openOrMakeParent(port, targetDir);
  try {
    await inFolder(port, legacyDir, async (folder) => {
      for (const name of names) moveFile(port, folder, target, name, detected, result);
      await port.syncDirectory(target);
      await port.syncDirectory(folder);
    });
  } finally {
    port.closeDirectory(target);
  }
}

function moveFile(
  port: Port,
  folder: Directory,
  target: Directory,
  name: string,
  { targetAgentId, sessions }: LegacyStateDetection,
  { changes, warnings }: LegacyStateResult,
): void {
  if (port.statName(target, name) !== undefined) {
    warnings.push(
      `${path.join(sessions.legacyDir, name)} stays: there is a file of that name in ${sessions.targetDir}`,
    );
    return;
  }
  port.rename(folder, name, target, name);
  changes.push(`Moved ${name} → agents/${targetAgentId}/sessions`);
}

/**
 * Detects and does it, as a gateway does when it starts, and brings the keys of all stores to the present grammar. Logs
 * what was changed and what was not. Never skips: when there is nothing to do, that is what it finds.
 */
export async function autoMigrateLegacyState(params: {
  cfg: MigrationConfig;
  env?: NodeJS.ProcessEnv;
  homedir?: () => string;
  log?: { info(message: string): void; warn(message: string): void };
  now?: () => number;
}): Promise<LegacyStateResult & { migrated: boolean; skipped: boolean }> {
  const { cfg, env = process.env, log } = params;
  const detected = await detectLegacyStateMigrations(params);
  const result = await runLegacyStateMigrations({ detected });
  const orphans = await migrateOrphanedSessionKeys({ cfg, env: { ...env, OPENCLAW_STATE_DIR: detected.stateDir } });
  const changes = [...result.changes, ...orphans.changes];
  const warnings = [...result.warnings, ...orphans.warnings];
  if (changes.length > 0) log?.info(`Auto-migrated legacy state:\n${asList(changes)}`);
  if (warnings.length > 0) log?.warn(`Legacy state migration warnings:\n${asList(warnings)}`);
  return { migrated: changes.length > 0, skipped: false, changes, warnings };
}

function asList(lines: readonly string[]): string {
  return lines.map((line) => `- ${line}`).join("\n");
}
