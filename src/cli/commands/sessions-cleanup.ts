/**
 * `sessiondir sessions cleanup`: maintenance of the gateway's stores, now. The dry run and the real run make the same
 * plan; the real run then carries it out by ordinary commits, and removed sessions go to the store's trash. In mode
 * `warn`, which is the default, nothing is removed but what `--fix-missing` asks for. A legacy file is only read, unless
 * something is to be removed from it: then it is taken over first, as by any other change of the gateway's functions.
 */

import type { Command } from "commander";
import { resolveMaintenanceRules } from "../../openclaw/maintenance-config.js";
import type { SessionStoreTarget } from "../../openclaw/targets.js";
import { exitFailed, reportFailure } from "../failures.js";
import { loadCommandConfig } from "../openclaw-config.js";
import { newestFirst } from "../openclaw-rows.js";
import {
  runForGateway,
  type StoreFailure,
  selectTargets,
  type TargetOptions,
  toStoreFailure,
} from "../openclaw-selectors.js";
import { warnings } from "../store-access.js";
import { printJson } from "../terminal.js";
import { apply } from "./sessions-cleanup-apply.js";
import { type CleanupOptions, type Preview, plan, type Run, readOnly, toSummary } from "./sessions-cleanup-run.js";
import { printApplied, printPlans } from "./sessions-cleanup-text.js";

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

async function cleanup(options: CleanupOptions): Promise<number> {
  const config = loadCommandConfig(options.config);
  const targets = await selectTargets(config, options);
  const rules = resolveMaintenanceRules(config.cfg.session?.maintenance, warnings.warn);
  const mode = options.enforce ? "enforce" : rules.mode;
  const run: Run = { cfg: config.cfg, rules, mode, options };
  // Of one store its summary alone, also with --all-agents, as scripts know it.
  const several = targets.length > 1;
  const work = options.dryRun ? preview : apply;
  const results: Preview[] = [];
  const errors: StoreFailure[] = [];
  for (const target of targets) {
    try {
      results.push(await work(run, target));
    } catch (error) {
      // With one store the failure is the whole answer; of several, the others still get theirs.
      if (!several) throw error;
      if (!options.json) reportFailure(error, false);
      errors.push(toStoreFailure(target, error));
    }
  }
  if (options.json) printJson(toDocument(run, results, errors, several));
  else if (options.dryRun) printPlans(run, results, several);
  else printApplied(results, several);
  return errors.length > 0 ? exitFailed : 0;
}

function toDocument(
  { mode, options }: Run,
  results: readonly Preview[],
  errors: readonly StoreFailure[],
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

async function preview(run: Run, target: SessionStoreTarget): Promise<Preview> {
  const { reading, referencedFiles } = await readOnly(run, target);
  const planned = await plan(run, target.storePath, reading, "everything", referencedFiles);
  const rows = newestFirst(reading.rows).map((row) => ({ row, action: planned.removals.get(row.key) ?? "keep" }));
  return { summary: toSummary(run, target, planned), rows, kept: planned.kept };
}
