/**
 * What a disk budget must know of a store besides its sessions before it takes a transcript for an orphan: those of
 * earlier generations are not, and while a session cannot be read nobody can say which are its own.
 */

import path from "node:path";
import { SessionStoreError } from "../errors.js";
import type { ReadSource } from "./read-sources.js";
import type { SharedStore } from "./shared-handles.js";

export interface BudgetReferences {
  /** Names of files. */
  readonly referencedFiles: ReadonlySet<string>;
  /** Then a budget measures, and frees nothing. */
  readonly hasUnread: boolean;
}

/** Reads every session. */
export function budgetReferences(shared: SharedStore): BudgetReferences {
  try {
    return shared.read(referencesIn);
  } catch {
    return { referencedFiles: new Set(), hasUnread: true };
  }
}

function referencesIn(source: ReadSource): BudgetReferences {
  const referencedFiles = new Set<string>();
  let hasUnread = false;
  for (const name of source.names()) {
    try {
      for (const { sessionId, sessionFile } of source.read(name)?.generations ?? []) {
        referencedFiles.add(`${sessionId}.jsonl`);
        if (sessionFile !== undefined) referencedFiles.add(path.basename(sessionFile));
      }
    } catch (error) {
      if (!(error instanceof SessionStoreError && error.code === "entry_damaged")) throw error;
      hasUnread = true;
    }
  }
  return { referencedFiles, hasUnread };
}
