/**
 * What can be done to one entry: merging a patch into it, naming the model of its last run, reading its token count
 * and what plugins reported. Relies on the ambient clock and random numbers, unless a time is given. Promises: no
 * function changes its arguments, except `setSessionRuntimeModel`, whose purpose it is.
 */

import { makeUuid, nowMs } from "./ambient.js";
import { normalizeOptionalString } from "./strings.js";
import type { SessionEntry, SessionEntryMergePolicy } from "./types.js";

export const DEFAULT_RESET_TRIGGER = "/new";
export const DEFAULT_RESET_TRIGGERS = ["/new", "/reset"];
/** 0 is never. */
export const DEFAULT_IDLE_MINUTES = 0;

export interface MergeSessionEntryOptions {
  /** Default `touch-activity`. */
  policy?: SessionEntryMergePolicy;
  /** Default the clock, milliseconds since 1970. */
  now?: number;
}

/** Merges and counts as activity: `updatedAt` becomes at least now. */
export function mergeSessionEntry(existing: SessionEntry | undefined, patch: Partial<SessionEntry>): SessionEntry {
  return mergeSessionEntryWithPolicy(existing, patch);
}

/** Merges without counting as activity: an existing entry keeps its `updatedAt`, even against a newer patch. */
export function mergeSessionEntryPreserveActivity(
  existing: SessionEntry | undefined,
  patch: Partial<SessionEntry>,
): SessionEntry {
  return mergeSessionEntryWithPolicy(existing, patch, { policy: "preserve-activity" });
}

/**
 * The entry with the patch's top-level fields in place of its own; an explicit `undefined` clears a field. Without any
 * `sessionId` a random UUID is taken. A patch that changes the model without naming the provider drops the provider,
 * which belonged to the earlier model.
 */
export function mergeSessionEntryWithPolicy(
  existing: SessionEntry | undefined,
  patch: Partial<SessionEntry>,
  options: MergeSessionEntryOptions = {},
): SessionEntry {
  const merged: SessionEntry = {
    ...existing,
    ...patch,
    sessionId: patch.sessionId ?? existing?.sessionId ?? makeUuid(),
    updatedAt: mergedActivity(existing, patch, options),
  };
  const modelChanged =
    Object.hasOwn(patch, "model") && normalizeOptionalString(patch.model) !== normalizeOptionalString(existing?.model);
  if (modelChanged && !Object.hasOwn(patch, "modelProvider")) delete merged.modelProvider;
  return normalizeSessionRuntimeModelFields(merged);
}

function mergedActivity(
  existing: SessionEntry | undefined,
  patch: Partial<SessionEntry>,
  options: MergeSessionEntryOptions,
): number {
  if (options.policy === "preserve-activity" && existing !== undefined)
    return existing.updatedAt ?? patch.updatedAt ?? options.now ?? nowMs();
  return Math.max(existing?.updatedAt ?? 0, patch.updatedAt ?? 0, options.now ?? nowMs());
}

/**
 * The entry with `model` and `modelProvider` trimmed. A blank model takes the provider with it, a blank provider goes
 * alone. The same object comes back when nothing changes.
 */
export function normalizeSessionRuntimeModelFields(entry: SessionEntry): SessionEntry {
  const model = normalizeOptionalString(entry.model);
  const provider = model === undefined ? undefined : normalizeOptionalString(entry.modelProvider);
  if (model === entry.model && provider === entry.modelProvider) return entry;
  const next: SessionEntry = { ...entry };
  if (model === undefined) delete next.model;
  else next.model = model;
  if (provider === undefined) delete next.modelProvider;
  else next.modelProvider = provider;
  return next;
}

/** Names the model of the last run, in the entry itself. False, and nothing changed, when either part is blank. */
export function setSessionRuntimeModel(entry: SessionEntry, runtime: { provider: string; model: string }): boolean {
  const provider = normalizeOptionalString(runtime.provider);
  const model = normalizeOptionalString(runtime.model);
  if (provider === undefined || model === undefined) return false;
  entry.modelProvider = provider;
  entry.model = model;
  return true;
}

type TokenFields = Pick<SessionEntry, "totalTokens" | "totalTokensFresh">;

/** The token count, fresh or stale; undefined unless it is a finite number from 0. */
export function resolveSessionTotalTokens(entry?: Pick<SessionEntry, "totalTokens"> | null): number | undefined {
  const total = entry?.totalTokens;
  return typeof total === "number" && Number.isFinite(total) && total >= 0 ? total : undefined;
}

/** The token count, or undefined when it is absent, no count, or marked as stale. */
export function resolveFreshSessionTotalTokens(entry?: TokenFields | null): number | undefined {
  return entry?.totalTokensFresh === false ? undefined : resolveSessionTotalTokens(entry);
}

export function isSessionTotalTokensFresh(entry?: TokenFields | null): boolean {
  return resolveFreshSessionTotalTokens(entry) !== undefined;
}

type PluginFields = Pick<SessionEntry, "pluginDebugEntries">;

/** What plugins say about their state: every line of theirs that is not a trace line. */
export function resolveSessionPluginStatusLines(entry: PluginFields | null | undefined): string[] {
  return pluginLines(entry).filter((line) => !isTraceLine(line));
}

/** What plugins say for finding faults: lines that start with the magnifier, or contain `Debug:` or `Trace:`. */
export function resolveSessionPluginTraceLines(entry: PluginFields | null | undefined): string[] {
  return pluginLines(entry).filter(isTraceLine);
}

/** Plugins own these fields, so their shape is not trusted. */
function pluginLines(entry: PluginFields | null | undefined): string[] {
  const reports: unknown = entry?.pluginDebugEntries;
  if (!Array.isArray(reports)) return [];
  const lines = reports.flatMap((report: unknown) => {
    const own = (report as { lines?: unknown } | null | undefined)?.lines;
    return Array.isArray(own) ? own : [];
  });
  return lines.filter((line): line is string => normalizeOptionalString(line) !== undefined);
}

const magnifier = "\u{1f50e}";

function isTraceLine(line: string): boolean {
  return line.trim().startsWith(magnifier) || line.includes("Debug:") || line.includes("Trace:");
}
