/**
 * The closed list of reasons for which a test may be skipped. A skipped test says in its name or its skip message
 * "skipped: <one of these>", for example "skipped: the backend declares crossProcess: false". Anything else fails the run: a test
 * that silently stops running proves nothing.
 */
export const skipReasons = [
  { pattern: /^the backend declares \w+: false$/, why: "the backend says that it lacks this capability" },
  { pattern: /^needs (python3|jq|mkfifo|strace|mkfs\.ext4)\b/, why: "the other program is not on this machine" },
  { pattern: /^needs a (non-root|root) user/, why: "permissions do not bind the root user" },
  { pattern: /^needs (linux|macos|windows|posix)\b/i, why: "another operating system" },
  {
    pattern: /^needs PostgreSQL binaries for [\w-]+$/,
    why: "npm has no PostgreSQL for this platform, or none was fetched",
  },
  {
    pattern: /^needs a PostgreSQL server of its own$/,
    why: "the server of SESSIONDIR_TEST_POSTGRES_URL is not the test's",
  },
  { pattern: /^needs a case-insensitive disk/, why: "the disk of this machine is case-sensitive" },
];

/** The reason of a skipped test, and whether it is on the list. */
export function explainSkip(name, message) {
  const text = typeof message === "string" ? message : "";
  const reason = findReason(text) ?? findReason(name);
  const allowed = reason !== undefined && skipReasons.some(({ pattern }) => pattern.test(reason));
  return { reason, allowed };
}

/** Up to the end, or to the bracket that closes "(skipped: ...)". */
function findReason(text) {
  return /skipped:\s*([^()\s][^()]*)/.exec(text)?.[1].trim();
}
