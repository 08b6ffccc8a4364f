/**
 * The tests that documents cite: `test/hostile/swaps`, with or without `.test.ts`, a folder, or a name with stars. In
 * docs/testing.md the folder `test/` may be left out. What was renamed or never written must not stay cited.
 */

import { existsSync, readdirSync } from "node:fs";
import path from "node:path";

const folders =
  "bytes|cli|conformance|corpus|format|histories|hostile|long-run|postgres|process|protocol|sim|support|torture|unit";
const written = /\btest\/[\w*./-]+/g;
const shortened = new RegExp(`\`((?:${folders})/[\\w*./-]+)\``, "g");

/** The line and the path of each citation, as `test/...`. */
export function findCitedTests(document, text) {
  const found = [];
  for (const [index, line] of text.split("\n").entries()) {
    const paths = [...line.matchAll(written)].map(([cited]) => cited);
    if (document === "docs/testing.md") paths.push(...[...line.matchAll(shortened)].map((match) => `test/${match[1]}`));
    for (const cited of paths) found.push({ line: index + 1, cited: cited.replace(/[./]+$/, "") });
  }
  return found;
}

/** Whether there is such a file or folder below `root`. Packages are there only once they were fetched. */
export function isThere(root, cited) {
  if (cited.includes("/node_modules")) return true;
  const exact = [cited, `${cited}.ts`, `${cited}.test.ts`].some((name) => existsSync(path.join(root, name)));
  if (exact || !cited.includes("*")) return exact;
  const folder = path.join(root, path.dirname(cited));
  const pattern = new RegExp(
    `^${path.basename(cited).replaceAll(".", "\\.").replaceAll("*", ".*")}(\\.test)?(\\.ts)?$`,
  );
  return existsSync(folder) && readdirSync(folder).some((name) => pattern.test(name));
}
