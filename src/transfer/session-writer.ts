/**
 * Writes sessions that come from elsewhere into a store, in batches, and decides what becomes of each: a session that
 * is there with the same content is left alone - which is what makes every transfer resumable and repeatable -, one
 * that differs is a conflict, for which there is a policy. Never overwrites what it has not compared: each commit names
 * the versions it was decided on, and what changed meanwhile is decided again.
 */

import type { Backend, FrozenEntry, Operation, Versioned, VersionToken } from "../contract.js";
import { SessionStoreError } from "../errors.js";
import { estimateJsonBytes } from "../sessions/entry-value.js";
import { jsonEqual } from "../sessions/json-equal.js";
import { normalizeKey } from "../sessions/keys.js";
import { checkEntryBytes } from "../store-entry-size.js";
import type { PortableSession } from "./content-hash.js";

/**
 * What becomes of a session that the target has with another content. `fail` and `skip` leave it (and differ in whether
 * that is a failure), `newer` writes only over a strictly older `updatedAt`, `replace` writes.
 */
export type ConflictPolicy = "fail" | "skip" | "newer" | "replace";

export const conflictPolicies: readonly ConflictPolicy[] = ["fail", "skip", "newer", "replace"];

/** A session that could not be transferred, and why. */
export interface SessionProblem {
  readonly key: string | undefined;
  readonly message: string;
}

export interface WriteCounts {
  /** New in the target. */
  created: number;
  /** Were there with another content, which was replaced. */
  replaced: number;
  /** Were there with this content already. */
  same: number;
  /** Were there with another content, and stay as they are by the policy. */
  skipped: number;
}

export interface SessionWriterOptions {
  readonly policy: ConflictPolicy;
  /** Only count. */
  readonly dryRun: boolean;
  readonly actor: string;
  readonly reason: string;
  readonly signal?: AbortSignal | undefined;
}

const batchSessionsMax = 256;
const batchBytesMax = 4 * 1024 * 1024;
/** The bytes of a session are an estimate, never below a sixth of the truth. */
const recordShare = 8;
/** The target is busy with exactly these sessions; each attempt compares them anew. */
const attemptsMax = 50;

export class SessionWriter {
  readonly counts: WriteCounts = { created: 0, replaced: 0, same: 0, skipped: 0 };
  /** Keys of sessions that differ, under the policy "fail". */
  readonly conflicts: string[] = [];
  /** Keys of sessions that differ and stay as they are, as the policy says. */
  readonly skippedKeys: string[] = [];
  /** Sessions that the target cannot take. */
  readonly refused: SessionProblem[] = [];
  /** Sessions whose earlier generations the target cannot keep. */
  generationsLost = 0;

  readonly #target: Backend | undefined;
  readonly #options: SessionWriterOptions;
  readonly #batchBytesMax: number;
  #batch: PortableSession[] = [];
  #batchBytes = 0;

  /** Without a target - a dry run into a store that does not exist - every session is new. */
  constructor(target: Backend | undefined, options: SessionWriterOptions) {
    this.#target = target;
    this.#options = options;
    this.#batchBytesMax = Math.min(
      batchBytesMax,
      (target?.limits.recordBytes ?? Number.POSITIVE_INFINITY) / recordShare,
    );
  }

  async add(session: PortableSession): Promise<void> {
    const problem = this.#findProblem(session);
    if (problem !== undefined) {
      this.refused.push({ key: session.key, message: problem });
      return;
    }
    if (this.#target?.capabilities.generations === false && session.generations?.length) this.generationsLost += 1;
    this.#batch.push(session);
    this.#batchBytes += estimateJsonBytes(session.entry);
    if (this.#batch.length >= batchSessionsMax || this.#batchBytes >= this.#batchBytesMax) await this.flush();
  }

  /** Resolves when everything added so far is as durable as the target was opened for. */
  async flush(): Promise<void> {
    const batch = this.#batch;
    this.#batch = [];
    this.#batchBytes = 0;
    if (batch.length === 0) return;
    requireNotAborted(this.#options.signal);
    if (this.#target === undefined) this.counts.created += batch.length;
    else await this.#write(this.#target, batch);
  }

  /** What the target would not take: it relies on normalised keys and on entries within its limits. */
  #findProblem({ key, entry }: PortableSession): string | undefined {
    if (this.#target === undefined) return undefined;
    const { keyRule, limits } = this.#target;
    try {
      if (normalizeKey(key, keyRule, limits.keyBytes) !== key) {
        return `the target's key rule (${keyRule}) would change the key`;
      }
      checkEntryBytes(entry, limits.entryBytes, key);
      return undefined;
    } catch (error) {
      if (!(error instanceof SessionStoreError)) throw error;
      return error.problem;
    }
  }

  async #write(target: Backend, batch: readonly PortableSession[]): Promise<void> {
    let open = batch;
    for (let attempt = 1; ; attempt += 1) {
      const { found, readable } = await this.#read(target, open);
      const plan = this.#plan(target, readable, found);
      const settled = plan.operations.length === 0 || this.#options.dryRun;
      if (settled || (await this.#commit(target, plan))) {
        for (const count of Object.keys(plan.counts) as (keyof WriteCounts)[]) this.counts[count] += plan.counts[count];
        this.conflicts.push(...plan.conflicts);
        this.skippedKeys.push(...plan.skippedKeys);
        return;
      }
      if (attempt >= attemptsMax) throw keptChanging(target);
      open = readable;
    }
  }

  /** A damaged session of the target is no reason to stop: it is reported and left for `sessiondir repair`. */
  async #read(
    target: Backend,
    batch: readonly PortableSession[],
  ): Promise<{ found: Map<string, Versioned>; readable: readonly PortableSession[] }> {
    try {
      return { found: await target.read(batch.map(({ key }) => key)), readable: batch };
    } catch (error) {
      if (!isDamage(error)) throw error;
    }
    const found = new Map<string, Versioned>();
    const readable: PortableSession[] = [];
    for (const session of batch) {
      try {
        for (const [key, versioned] of await target.read([session.key])) found.set(key, versioned);
        readable.push(session);
      } catch (error) {
        if (!isDamage(error)) throw error;
        this.refused.push({ key: session.key, message: `damaged in the target: ${error.problem}` });
      }
    }
    return { found, readable };
  }

  #plan(target: Backend, batch: readonly PortableSession[], found: ReadonlyMap<string, Versioned>): Plan {
    const plan: Plan = {
      operations: [],
      expected: new Map(),
      counts: { created: 0, replaced: 0, same: 0, skipped: 0 },
      conflicts: [],
      skippedKeys: [],
    };
    const { generations: keepsGenerations } = target.capabilities;
    for (const session of batch) {
      const there = found.get(session.key);
      const fate = this.#decide(session, there, keepsGenerations);
      if (fate === "conflict") plan.conflicts.push(session.key);
      else plan.counts[fate] += 1;
      if (fate === "skipped") plan.skippedKeys.push(session.key);
      if (fate !== "created" && fate !== "replaced") continue;
      const { key, entry } = session;
      const put = { type: "put" as const, key, entry };
      plan.operations.push(keepsGenerations ? { ...put, generations: session.generations ?? [] } : put);
      plan.expected.set(key, there?.version ?? null);
    }
    return plan;
  }

  #decide(
    session: PortableSession,
    there: Versioned | undefined,
    keepsGenerations: boolean,
  ): keyof WriteCounts | "conflict" {
    if (there === undefined) return "created";
    if (
      jsonEqual(session.entry, there.entry) &&
      (!keepsGenerations || jsonEqual(session.generations ?? [], there.generations ?? []))
    ) {
      return "same";
    }
    const { policy } = this.#options;
    if (policy === "fail") return "conflict";
    if (policy === "replace") return "replaced";
    return policy === "newer" && updatedAtOf(session.entry) > updatedAtOf(there.entry) ? "replaced" : "skipped";
  }

  async #commit(target: Backend, { operations, expected }: Plan): Promise<boolean> {
    const { actor, reason, signal } = this.#options;
    const result = await target.commit({ operations, expected, actor, reason, signal });
    return result.status === "committed";
  }
}

interface Plan {
  readonly operations: Operation[];
  readonly expected: Map<string, VersionToken | null>;
  readonly counts: WriteCounts;
  readonly conflicts: string[];
  readonly skippedKeys: string[];
}

export function updatedAtOf(entry: FrozenEntry): number {
  return typeof entry.updatedAt === "number" ? entry.updatedAt : 0;
}

export function requireNotAborted(signal: AbortSignal | undefined): void {
  if (!signal?.aborted) return;
  throw new SessionStoreError("aborted", "the signal was aborted", {
    operation: "transfer sessions",
    onDisk: "What was written before stays; running it again goes on from there.",
    cause: signal.reason,
  });
}

function isDamage(error: unknown): error is SessionStoreError {
  return error instanceof SessionStoreError && error.code === "entry_damaged";
}

function keptChanging(target: Backend): SessionStoreError {
  return new SessionStoreError("conflict", `others kept changing the same sessions: ${attemptsMax} attempts`, {
    operation: "transfer sessions",
    path: target.location,
    attempts: attemptsMax,
    nextStep: "Run it again when the target is less busy; it goes on from there.",
  });
}
