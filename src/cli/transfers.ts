/**
 * What the commands that move sessions - copy, export, import, backup - have in common: their options, the bar, and how
 * they end. A result in part is a failure: its exit code is 1.
 */

import { Option } from "commander";
import { shortenKey } from "../errors.js";
import type { ConflictPolicy, WriteCounts } from "../transfer/session-writer.js";
import type { CommonOptions } from "./command.js";
import { exitFailed } from "./failures.js";
import { countOf } from "./format.js";
import { warnings } from "./store-access.js";
import { type Progress, printJson, startProgress } from "./terminal.js";

export const dryRunOption = ["--dry-run", "only say what would be done"] as const;
export const backendOption = ["--backend <name>", "open the store with this backend, for example json"] as const;
export const allowEmptyOption = ["--allow-empty", "an empty store is no error"] as const;
export const allowDamagedOption = [
  "--allow-damaged",
  "go on without sessions that cannot be read; the exit code is 1 all the same",
] as const;

export interface ConflictOptions {
  onConflict?: ConflictPolicy;
}

export function onConflictOption(): Option {
  return new Option("--on-conflict <policy>", "when the store has a session with another content")
    .choices(["fail", "skip", "newer", "replace"])
    .default("fail");
}

/** A bar while `work` is at work; it is gone before anything is printed. */
export async function withProgress<Result>(
  label: string,
  work: (progress: Progress) => Promise<Result>,
): Promise<Result> {
  const progress = startProgress(label);
  return await work(progress).finally(progress.stop);
}

/** For work that does not know how much there is. */
export function uncounted({ update }: Progress): (done: number) => void {
  return (done) => update(done, done);
}

/** The one document for programs, or what `print` tells a person; returns the exit code. */
export function endTransfer<Result extends { readonly outcome: "complete" | "partial" }>(
  { json }: CommonOptions,
  result: Result,
  print: (isComplete: boolean) => void,
): number {
  const isComplete = result.outcome === "complete";
  if (json) printJson(result);
  else print(isComplete);
  return isComplete ? 0 : exitFailed;
}

/** Of sessions that were left out: the message names the session, unless a key is given. */
export function warnOfProblems(
  what: string,
  problems: readonly { readonly key?: string | undefined; readonly message: string }[],
): void {
  for (const { key, message } of problems) {
    warnings.warn(`${what}: ${key === undefined ? "" : `${shortenKey(key)}: `}${message}`);
  }
}

export function describeCounts({ created, replaced, same, skipped }: WriteCounts): string {
  return `${countOf(created, "session")} new, ${replaced} replaced, ${same} there already, ${skipped} left as they are`;
}
