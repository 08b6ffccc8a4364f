/**
 * The one error class of the library, with a closed list of codes. Each error says what was tried, where, what is on
 * disk now, and what to do next. docs/errors.md has one section per code; a test compares the two.
 */

export const errorCodes = [
  "invalid_key",
  "invalid_entry",
  "invalid_option",
  "invalid_cursor",
  "limit_exceeded",
  "not_found",
  "conflict",
  "aborted",
  "closed",
  "read_only",
  "lock_timeout",
  "entry_damaged",
  "store_damaged",
  "store_missing",
  "store_gone",
  "store_fenced",
  "legacy_store",
  "invalid_legacy",
  "invalid_bundle",
  "unsupported_layout",
  "unsupported_platform",
  "unsafe_path",
  "disk_full",
  "permission_denied",
  "too_many_files",
  "io_error",
  "outcome_unknown",
  "snapshot_expired",
  "driver_missing",
  "connection_failed",
  "unsafe_server",
] as const;

export type SessionStoreErrorCode = (typeof errorCodes)[number];

export interface SessionStoreErrorDetails {
  /** What was tried, as a verb phrase: "commit", "open the store". */
  operation?: string;
  /** Where: the path of the store or file. */
  path?: string;
  /** The session key. */
  key?: string;
  /** What is on disk now, as a sentence. */
  onDisk?: string;
  /** What the reader should do next, as a sentence. */
  nextStep?: string;
  /** The version of a commit whose outcome is unknown. */
  version?: string;
  /** For `conflict`: the number of attempts that were made. */
  attempts?: number;
  cause?: unknown;
}

export class SessionStoreError extends Error {
  override readonly name = "SessionStoreError";
  readonly code: SessionStoreErrorCode;
  /** What is wrong, alone: the message adds where, what is on disk and what to do. */
  readonly problem: string;
  readonly operation: string | undefined;
  readonly path: string | undefined;
  /** As it is, for a program to act on: a stranger may have chosen it, so no terminal should see it unescaped. */
  readonly key: string | undefined;
  readonly onDisk: string | undefined;
  readonly nextStep: string | undefined;
  readonly version: string | undefined;
  readonly attempts: number | undefined;

  constructor(code: SessionStoreErrorCode, problem: string, details: SessionStoreErrorDetails = {}) {
    super(composeMessage(problem, details), details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.problem = problem;
    this.operation = details.operation;
    this.path = details.path;
    this.key = details.key;
    this.onDisk = details.onDisk;
    this.nextStep = details.nextStep;
    this.version = details.version;
    this.attempts = details.attempts;
  }
}

function composeMessage(problem: string, details: SessionStoreErrorDetails): string {
  const parts = [details.operation ? `${details.operation}: ${problem}` : problem];
  if (details.key !== undefined) parts.push(`session ${shortenKey(details.key)}`);
  if (details.path !== undefined) parts.push(`at ${details.path}`);
  let text = parts.join(" - ");
  if (!/[.!?]$/.test(text)) text += ".";
  if (details.onDisk) text += ` ${details.onDisk}`;
  if (details.nextStep) text += ` ${details.nextStep}`;
  return text;
}

/** Keys come from strangers: logs and messages carry at most 80 printable characters of one, as a JSON string. */
export function shortenKey(key: string): string {
  const shown = key.length > 80 ? `${key.slice(0, 60)}...${key.slice(-16)}` : key;
  return JSON.stringify(shown).replace(unprintable, escapeCharacter);
}

/** What JSON leaves as it is, and terminals obey: more control characters, invisible ones, changes of direction. */
const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

function escapeCharacter(character: string): string {
  return Array.from({ length: character.length }, (_, at) => {
    return `\\u${character.charCodeAt(at).toString(16).padStart(4, "0")}`;
  }).join("");
}

/** An error of the operating system as one of ours; any other as it is: a mistake of ours must not look like one. */
export function translateIfOfSystem(error: unknown, details: SessionStoreErrorDetails): unknown {
  return isSystemError(error) ? fromSystemError(error, details) : error;
}

/** Runs work whose errors are translated so. */
export async function translatingSystemErrors<Result>(
  details: SessionStoreErrorDetails,
  work: () => Promise<Result>,
): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    throw translateIfOfSystem(error, details);
  }
}

/** It carries a code of the operating system, and not one of Node's or ours. */
function isSystemError(error: unknown): boolean {
  if (!(error instanceof Error) || error instanceof SessionStoreError) return false;
  const { code } = error as { code?: unknown };
  return typeof code === "string" && /^E(?!RR_)[A-Z0-9]+$/.test(code);
}

/** Translates an error of the operating system. A `SessionStoreError` passes through unchanged. */
export function fromSystemError(error: unknown, details: SessionStoreErrorDetails): SessionStoreError {
  if (error instanceof SessionStoreError) return error;
  const given = typeof error === "object" && error !== null ? (error as { code?: unknown }).code : undefined;
  const systemCode = typeof given === "string" ? given : "";
  const [code, problem, nextStep] = systemErrors[systemCode] ?? [
    "io_error",
    `the system reported ${systemCode || error}`,
    undefined,
  ];
  return new SessionStoreError(code, problem, { nextStep, ...details, cause: error });
}

const systemErrors: Record<string, [SessionStoreErrorCode, string, string | undefined]> = {
  ENOSPC: ["disk_full", "the disk is full (ENOSPC)", "Free some space and try again."],
  EDQUOT: ["disk_full", "the disk quota is used up (EDQUOT)", "Free some space or raise the quota and try again."],
  EFBIG: ["disk_full", "the file size limit is reached (EFBIG)", "Raise the limit (ulimit -f) and try again."],
  EROFS: ["read_only", "the file system is read-only (EROFS)", "Open the store with { readOnly: true } or remount it."],
  EACCES: ["permission_denied", "permission denied (EACCES)", "Run as the owner of the store."],
  EPERM: ["permission_denied", "operation not permitted (EPERM)", "Run as the owner of the store."],
  EMFILE: [
    "too_many_files",
    "this process has too many open files (EMFILE)",
    "Raise its limit (ulimit -n) and try again.",
  ],
  ENFILE: ["too_many_files", "the system has too many open files (ENFILE)", "Close other programs and try again."],
  EOVERFLOW: [
    "limit_exceeded",
    "a directory holds more files than a store can have (EOVERFLOW)",
    "Find out who made them, then move away what does not belong there.",
  ],
  ENAMETOOLONG: ["io_error", "a name is longer than the file system allows (ENAMETOOLONG)", "Use a shorter path."],
  ELOOP: [
    "unsafe_path",
    "the path is a symbolic link, which a store never follows (ELOOP)",
    "Replace the link by what it points to.",
  ],
};
