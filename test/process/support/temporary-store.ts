/** A place for a store on the real disk, and looks at what lies there. */

import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import type { Finding } from "../../../src/contract.js";
import type { SessionStore } from "../../../src/index.js";

export interface TemporaryPlace {
  /** The directory that the store lies in. */
  readonly parent: string;
  /** `sessions.json` in it. */
  readonly location: string;
  /** `sessions.d` in it. */
  readonly directory: string;
}

/** Runs `body` with a directory of its own, which is removed afterwards. */
export async function withPlace(body: (place: TemporaryPlace) => Promise<void>): Promise<void> {
  const parent = fs.mkdtempSync(path.join(os.tmpdir(), "sessiondir-"));
  try {
    await body({
      parent,
      location: path.join(parent, "sessions.json"),
      directory: path.join(parent, "sessions.d"),
    });
  } finally {
    fs.rmSync(parent, { recursive: true, force: true });
  }
}

export async function findingsOf(store: SessionStore<Record<string, unknown>>): Promise<Finding[]> {
  const findings: Finding[] = [];
  for await (const finding of store.verify()) findings.push(finding);
  return findings;
}

/** What damage was found; warnings tell of leftovers. */
export async function errorsOf(store: SessionStore<Record<string, unknown>>): Promise<Finding[]> {
  return (await findingsOf(store)).filter(({ severity }) => severity === "error");
}

/** The versions of all commits in the journal, in the order in which they lie there. */
export function journaledVersions(directory: string): number[] {
  const journal = path.join(directory, "journal");
  return fs
    .readdirSync(journal)
    .sort()
    .flatMap((name) => fs.readFileSync(path.join(journal, name), "utf8").split("\n"))
    .filter((line) => line !== "")
    .map((line) => (JSON.parse(line) as { version?: number }).version)
    .filter((version) => version !== undefined);
}
