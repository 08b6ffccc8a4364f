/**
 * `sessiondir sessions`: the sessions of the gateway's stores, with the flags, the table and the JSON of the gateway's own
 * command, so that scripts keep working. One pass over each store; of an entry nothing is kept but what its row shows.
 */

import type { Command } from "commander";
import { nodePort } from "../../fs/node-port.js";
import type { SessionStoreTarget } from "../../openclaw/targets.js";
import { exitFailed, reportFailure } from "../failures.js";
import { countOf } from "../format.js";
import { type CommandConfig, loadCommandConfig } from "../openclaw-config.js";
import { newestFirst, type SessionRow, sessionsHeader, sessionsLine, toRow } from "../openclaw-rows.js";
import {
  runForGateway,
  SelectorError,
  type StoreFailure,
  selectTargets,
  type TargetOptions,
  toStoreFailure,
} from "../openclaw-selectors.js";
import { type FoundSession, readSessions } from "../openclaw-stores.js";
import { warnings } from "../store-access.js";
import { outputGone, printJson, printLine, printNote, safeText, startProgress } from "../terminal.js";
import { defineSessionsCleanup } from "./sessions-cleanup.js";

interface SessionsOptions extends TargetOptions {
  active?: string;
  verbose?: boolean;
}

export function defineSessions(program: Command): void {
  const sessions = program
    .command("sessions")
    .description("sessions of the gateway's stores, found by its configuration; with the gateway's own flags")
    .option("--json", "print JSON for programs instead of text for people")
    .option("--verbose", "say on stderr what was read")
    .option("--store <path>", "this store (default: that of the default agent)")
    .option("--agent <id>", "the store of this configured agent")
    .option("--all-agents", "the stores of all configured agents; without a configuration, all that there are")
    .option("--active <minutes>", "only sessions active in the last so many minutes")
    .option("--config <file>", "the gateway's configuration (default: openclaw.json in the state directory)")
    .addHelpText(
      "after",
      `
Examples:
  $ sessiondir sessions --active 60
  $ sessiondir sessions --all-agents --json | jq -r '.sessions[].key'
  $ sessiondir sessions cleanup --dry-run

The state directory is $OPENCLAW_STATE_DIR, else .openclaw in $OPENCLAW_HOME or the home directory.`,
    )
    .action(async (options: SessionsOptions) => {
      process.exitCode = await runForGateway(options, () => list(options));
    });
  defineSessionsCleanup(sessions);
}

async function list(options: SessionsOptions): Promise<number> {
  const config = loadCommandConfig(options.config);
  const targets = await selectTargets(config, options);
  const activeMinutes = parseActive(options.active);
  const failures: StoreFailure[] = [];
  const onFailure = (target: SessionStoreTarget, error: unknown) => {
    // With one store the failure is the whole answer; of several, the others are listed.
    if (!isCombined(targets, options.allAgents ?? false)) throw error;
    if (!options.json) reportFailure(error, false);
    failures.push(toStoreFailure(target, error));
  };
  const rows = newestFirst(await readRows(targets, config, activeMinutes, options.verbose ?? false, onFailure));
  if (options.json) printJson(toDocument(rows, targets, activeMinutes, options.allAgents ?? false, failures));
  else printRows(rows, targets, activeMinutes, config, options.allAgents ?? false);
  return failures.length > 0 ? exitFailed : 0;
}

function parseActive(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const minutes = Number(text.trim());
  if (!/^\s*\d+\s*$/.test(text) || !Number.isSafeInteger(minutes) || minutes < 1) {
    throw new SelectorError("--active must be a positive integer (minutes)");
  }
  return minutes;
}

async function readRows(
  targets: readonly SessionStoreTarget[],
  { cfg }: CommandConfig,
  activeMinutes: number | undefined,
  isVerbose: boolean,
  onFailure: (target: SessionStoreTarget, error: unknown) => void,
): Promise<SessionRow[]> {
  const nowMs = nodePort().nowMs();
  const activeSince = activeMinutes === undefined ? undefined : nowMs - activeMinutes * 60_000;
  const rows: SessionRow[] = [];
  const progress = startProgress("reading");
  try {
    for (const target of targets) {
      if (outputGone.aborted) break;
      const { agentId, storePath } = target;
      let damaged = 0;
      const found: SessionRow[] = [];
      const onDamaged = () => {
        damaged += 1;
      };
      const take = ({ key, entry }: FoundSession) => {
        found.push(toRow(key, entry, { agentId, nowMs, cfg }));
        if (found.length % 100 === 0) progress.update(found.length, found.length);
      };
      try {
        const form = await readSessions(storePath, take, { onDamaged });
        if (isVerbose) printNote(`${safeText(storePath)}: ${formTexts[form]}, ${countOf(found.length, "session")}`);
      } catch (error) {
        onFailure(target, error);
        continue;
      }
      for (const row of found) if (activeSince === undefined || (row.updatedAt ?? 0) >= activeSince) rows.push(row);
      if (damaged > 0)
        warnings.warn(
          `${storePath}: ${countOf(damaged, "damaged session")} not listed; see sessiondir verify --store PATH`,
        );
    }
  } finally {
    progress.stop();
  }
  return rows;
}

const formTexts = { directory: "directory store", legacy: "legacy file", missing: "no store" } as const;

function isCombined(targets: readonly SessionStoreTarget[], allAgents: boolean): boolean {
  return allAgents || targets.length > 1;
}

function toDocument(
  rows: readonly SessionRow[],
  targets: readonly SessionStoreTarget[],
  activeMinutes: number | undefined,
  allAgents: boolean,
  failures: readonly StoreFailure[],
): object {
  const combined = isCombined(targets, allAgents);
  return {
    path: combined ? null : (targets[0]?.storePath ?? null),
    ...(combined ? { stores: targets.map(({ agentId, storePath }) => ({ agentId, path: storePath })) } : {}),
    ...(allAgents ? { allAgents: true } : {}),
    count: rows.length,
    activeMinutes: activeMinutes ?? null,
    sessions: rows,
    ...(failures.length > 0 ? { errors: failures } : {}),
  };
}

function printRows(
  rows: readonly SessionRow[],
  targets: readonly SessionStoreTarget[],
  activeMinutes: number | undefined,
  { cfg }: CommandConfig,
  allAgents: boolean,
): void {
  const combined = isCombined(targets, allAgents);
  const [first] = targets;
  if (targets.length === 1 && !allAgents) printLine(`Session store: ${safeText(first?.storePath ?? "")}`);
  else printLine(`Session stores: ${targets.length} (${targets.map(({ agentId }) => safeText(agentId)).join(", ")})`);
  printLine(`Sessions listed: ${rows.length}`);
  if (activeMinutes !== undefined) printLine(`Filtered to last ${activeMinutes} minute(s)`);
  if (rows.length === 0) {
    printLine("No sessions found.");
    return;
  }
  printLine(sessionsHeader(combined));
  for (const row of rows) printLine(sessionsLine(row, cfg, combined));
}
