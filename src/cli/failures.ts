/**
 * What went wrong, told once: as text on stderr, or with `--json` as `{ error: { code, message, ... } }` on stdout. Exit
 * codes: 0 ok, 1 failed, 2 wrong usage.
 */

import { SessionStoreError } from "../errors.js";
import { noteColor, printJson, printNote, safeText } from "./terminal.js";

export const exitFailed = 1;
export const exitUsage = 2;

/** The command was called in a way that makes no sense; nothing was done. */
export class UsageError extends Error {}

export function reportFailure(error: unknown, json: boolean): number {
  const failure = describeFailure(error);
  if (json) printJson({ error: failure });
  else printNote(`${noteColor.red("error")} [${failure.code}]: ${safeText(failure.message)}`);
  return error instanceof UsageError ? exitUsage : exitFailed;
}

interface Failure {
  code: string;
  message: string;
  operation?: string | undefined;
  path?: string | undefined;
  key?: string | undefined;
  onDisk?: string | undefined;
  nextStep?: string | undefined;
}

function describeFailure(error: unknown): Failure {
  if (error instanceof UsageError) return { code: "usage", message: error.message };
  if (error instanceof SessionStoreError) {
    const { code, message, operation, path, key, onDisk, nextStep } = error;
    return { code, message, operation, path, key, onDisk, nextStep };
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { code: "internal", message: `This is an error in sessiondir itself; please report it. ${text}` };
}
