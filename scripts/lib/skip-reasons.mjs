/**
 * The closed list of reasons for which a test may be skipped. A skipped test says in its name or its skip message
 * "skipped: <one of these>", for example "skipped: needs capability crossProcess". Anything else fails the run: a test
 * that silently stops running proves nothing.
 */
export const skipReasons = [
  { pattern: /^needs capability \w+/, why: "the backend declares that it lacks this capability" },
  { pattern: /^needs (python3|jq|mkfifo)\b/, why: "the other program is not on this machine" },
  { pattern: /^needs a (non-root|root) user/, why: "permissions do not bind the root user" },
  { pattern: /^needs (linux|macos|windows|posix)\b/i, why: "another operating system" },
  { pattern: /^needs a case-insensitive disk/, why: "the disk of this machine is case-sensitive" },
];

/** The reason of a skipped test, and whether it is on the list. */
export function explainSkip(name, message) {
  const text = typeof message === "string" ? message : "";
  const reason = /skipped:\s*(\S.*)$/.exec(text)?.[1] ?? /skipped:\s*(\S.*)$/.exec(name)?.[1];
  const allowed = reason !== undefined && skipReasons.some(({ pattern }) => pattern.test(reason));
  return { reason, allowed };
}
