/**
 * Which places of the compiled code must lie under a mutant: every sync, lock, comparison of checksums, comparison with
 * a limit, and every thrower of `limit_exceeded`. Found by how they are written, so that a new one is found as well.
 *
 * A place is covered when the text of a mutant in its file overlaps it, or when an exception with a reason does.
 */

import { findOnce } from "./mutants-workshop.mjs";

const checksum = String.raw`\.(?:checksum|sha256|record)\b`;
const limit = String.raw`(?:[\w#]+\.)*(?:(?:[lL]imits|[cC]aps)\.\w+|#?\w*(?:[bB]ytes|[lL]evels|[lL]imit|[gG]enerations|[fF]iles)Max)\b`;

const kinds = [
  { kind: "sync", pattern: /\.(?:syncFile|syncDirectory|fsync|fdatasync|fsyncSync|fdatasyncSync)\(/g },
  { kind: "lock", pattern: /\.(?:tryLock|tryExclusive\w*|tryShared\w*)\(/g },
  {
    kind: "checksum",
    pattern: new RegExp(
      String.raw`\b(?:checksumOf|crc32)\((?:[^()]|\([^()]*\))*\)\s*[!=]==|[!=]==\s*(?:checksumOf|crc32)\(|\bdocumentIsIntact\(|${checksum}\s*[!=]==(?! ")|[!=]==\s*[\w.#]+${checksum}`,
      "g",
    ),
  },
  {
    kind: "limit",
    pattern: new RegExp(String.raw`[<>]=?\s*${limit}|(?<![\w.#])${limit}\s*[<>]|\b(?:readWhole|readStableFile)\(`, "g"),
  },
  { kind: "refusal", pattern: /(?<=SessionStoreError\(|code: )"limit_exceeded"/g },
];

/** Each place of one compiled file that nothing covers, as { kind, line }. */
export function findUncovered(text, mutants, exceptions = []) {
  const spans = [...mutants, ...exceptions]
    .map(({ find }) => findOnce(text, find))
    .filter((span) => span !== undefined);
  const isCovered = (from, to) => spans.some((span) => span.from < to && span.to > from);
  const uncovered = [];
  for (const { kind, pattern } of kinds) {
    for (const match of text.matchAll(pattern)) {
      const from = match.index;
      if (isInComment(text, from) || isDefinition(text, from)) continue;
      if (isCovered(from, from + match[0].length)) continue;
      if (kind === "refusal" && refusalIsGuarded(text, from, isCovered)) continue;
      uncovered.push({ kind, line: lineAt(text, from) });
    }
  }
  return uncovered;
}

/** The function around a refusal has a mutant in it, or one of its calls in the same file lies under one. */
function refusalIsGuarded(text, at, isCovered) {
  const header = /^(?:export )?(?:async )?function\*? (\w+)\(.*$|^ {4}(?:static )?(?:async )?\*?(#?\w+)\([^;]*\) \{$/gm;
  const headers = [...text.matchAll(header)].filter((match) => !["if", "for", "while", "switch"].includes(match[2]));
  const own = headers.findLast((match) => match.index < at);
  if (own === undefined) return false;
  const next = headers.find((match) => match.index > at);
  if (isCovered(own.index, next?.index ?? text.length)) return true;
  const calls = text.matchAll(new RegExp(`(?<![\\w#])${own[1] ?? own[2]}\\(`, "g"));
  return [...calls].some((call) => call.index !== own.index && isCovered(call.index, call.index + call[0].length));
}

function isInComment(text, at) {
  return /^\s*(?:\/\/|\/?\*)/.test(lineAt(text, at)) || /\/\/ .*$/.test(text.slice(text.lastIndexOf("\n", at) + 1, at));
}

function isDefinition(text, at) {
  return /\bfunction $/.test(text.slice(Math.max(0, at - 10), at));
}

function lineAt(text, at) {
  const end = text.indexOf("\n", at);
  return text.slice(text.lastIndexOf("\n", at) + 1, end < 0 ? undefined : end).trim();
}
