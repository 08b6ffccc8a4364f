/** A commit with everything worked out that needs no server, and of which kind it is. */

import type { CommitRequest, VersionToken } from "../../contract.js";
import { SessionStoreError } from "../../errors.js";
import { columnsOf, originColumn, type SessionColumns } from "./rows.js";

export interface Prepared {
  readonly version: VersionToken;
  readonly origin: string | null;
  readonly request: CommitRequest;
  /** By key, of what is put or patched. */
  readonly columns: ReadonlyMap<string, SessionColumns>;
  /** Of a transaction: what it found before, and the generations that it left, by key. */
  readonly written: Map<string, { before: VersionToken | undefined; generations: string | null }>;
}

/** Throws `limit_exceeded`. */
export function prepareCommit(request: CommitRequest, version: VersionToken, recordBytesMax: number): Prepared {
  const columns = new Map<string, SessionColumns>();
  let bytes = 0;
  for (const operation of request.operations) {
    if (operation.type === "remove") continue;
    const made = columnsOf(operation.key, operation.entry);
    columns.set(operation.key, made);
    bytes += Buffer.byteLength(made.doc);
  }
  if (bytes > recordBytesMax) {
    throw new SessionStoreError(
      "limit_exceeded",
      `the entries of the commit have ${bytes} bytes, the limit (recordBytes) is ${recordBytesMax}`,
      { nextStep: "Make several smaller commits." },
    );
  }
  return { version, origin: originColumn(request), request, columns, written: new Map() };
}

/** One session, which must have a certain version: a statement that is its own fence. */
export function expectsOneVersion(request: CommitRequest): boolean {
  return isOne(request) && typeof request.expected.get(request.operations[0]!.key) === "string";
}

/** One session, which must not exist. */
export function createsOne(request: CommitRequest): boolean {
  const [only] = request.operations;
  return isOne(request) && only!.type === "put" && request.expected.get(only!.key) === null;
}

function isOne({ operations, expected }: CommitRequest): boolean {
  const [only] = operations;
  if (operations.length !== 1 || expected.size !== 1 || only === undefined) return false;
  return only.type !== "put" || only.trashPrevious !== true;
}
