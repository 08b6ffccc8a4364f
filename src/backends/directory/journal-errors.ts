/** What can be wrong with the journal as a whole; the same words wherever it is found. */

import { SessionStoreError } from "../../errors.js";
import type { StoreFiles } from "./store-files.js";

export function damagedJournal(files: StoreFiles, problem: string, onDisk: string): SessionStoreError {
  return new SessionStoreError("store_damaged", problem, {
    operation: "read the journal",
    path: files.journal.displayPath,
    onDisk,
    nextStep: "Run `sessiondir verify` to see the damage and `sessiondir repair` to salvage what can be.",
  });
}

export function foreignSegment(files: StoreFiles): SessionStoreError {
  return damagedJournal(
    files,
    "a segment belongs to another store or an earlier life of this one",
    "It was put here by a copy or restore.",
  );
}

export function storeFenced(files: StoreFiles): SessionStoreError {
  return new SessionStoreError("store_fenced", "the store was rolled back and closed for writing", {
    path: files.store.displayPath,
    onDisk: "Every acknowledged commit is in the exported sessions.json.",
    nextStep: "Open the store again by the path of its sessions.json.",
  });
}

export function storeGone(files: StoreFiles): SessionStoreError {
  return new SessionStoreError("store_gone", "the store directory was moved, replaced or deleted", {
    path: files.store.displayPath,
    onDisk: "Nothing was written to what lies there now.",
    nextStep: "Open the store again where it is now.",
  });
}
