/**
 * Sessions as the gateway's own commands show them: rows for JSON, and cells of fixed width for text, so that what reads
 * their columns goes on working. Pure; the colours are for a terminal only.
 */

import { isSessionTotalTokensFresh, resolveSessionTotalTokens } from "../openclaw/entry.js";
import { classifySessionKey } from "../openclaw/key-normalization.js";
import { parseAgentSessionKey } from "../openclaw/session-key.js";
import { normalizeOptionalString } from "../openclaw/strings.js";
import type { OpenClawConfig, SessionEntry } from "../openclaw/types.js";
import { color, safeText } from "./terminal.js";

export type SessionRow = Record<string, unknown> & {
  key: string;
  updatedAt: number | null;
  ageMs: number | null;
  agentId: string;
  kind: string;
};

/** Copied as they are; those that are not there are not in the row. */
const copiedFields = [
  ...["sessionId", "systemSent", "abortedLastRun", "thinkingLevel", "verboseLevel", "traceLevel", "reasoningLevel"],
  ...["elevatedLevel", "responseUsage", "groupActivation", "inputTokens", "outputTokens"],
] as const;

/** `agentId`: of the store, for a key that names none. */
export function toRow(
  key: string,
  entry: Readonly<SessionEntry> | null | undefined,
  { agentId, nowMs, cfg }: { agentId: string; nowMs: number; cfg: OpenClawConfig },
): SessionRow {
  const fields = (typeof entry === "object" && entry !== null ? entry : {}) as Readonly<Record<string, unknown>>;
  const updatedAt = typeof fields.updatedAt === "number" ? fields.updatedAt : null;
  const row: SessionRow = {
    key,
    updatedAt,
    ageMs: updatedAt ? nowMs - updatedAt : null,
    agentId: parseAgentSessionKey(key)?.agentId ?? agentId,
    kind: classifySessionKey(key, entry),
  };
  for (const name of copiedFields) if (fields[name] !== undefined) row[name] = fields[name];
  row.totalTokens = resolveSessionTotalTokens(entry) ?? null;
  row.totalTokensFresh = isSessionTotalTokensFresh(entry);
  const model = normalizeOptionalString(fields.model);
  const provider = model === undefined ? undefined : normalizeOptionalString(fields.modelProvider);
  if (model !== undefined) row.model = model;
  if (provider !== undefined) row.modelProvider = provider;
  for (const name of ["providerOverride", "modelOverride"]) if (fields[name] !== undefined) row[name] = fields[name];
  const contextTokens = fields.contextTokens ?? defaultsOf(cfg).contextTokens;
  if (contextTokens !== undefined) row.contextTokens = contextTokens;
  return row;
}

/** Newest first; of equally new ones in the order of the store, as a stable sort leaves them. */
export function newestFirst(rows: SessionRow[]): SessionRow[] {
  return rows.sort((left, right) => (right.updatedAt ?? 0) - (left.updatedAt ?? 0));
}

function defaultsOf(cfg: OpenClawConfig): Readonly<Record<string, unknown>> {
  const defaults: unknown = cfg.agents?.defaults;
  return typeof defaults === "object" && defaults !== null ? (defaults as Record<string, unknown>) : {};
}

// --- cells -----------------------------------------------------------------------------------------------------------------

const widths = { Agent: 10, Kind: 6, Key: 26, Age: 9, Model: 14, "Tokens (ctx %)": 20, Action: 16 } as const;

export function sessionsHeader(showsAgent: boolean): string {
  const titles = [
    ...(showsAgent ? (["Agent"] as const) : []),
    "Kind",
    "Key",
    "Age",
    "Model",
    "Tokens (ctx %)",
  ] as const;
  return color.bold([...titles.map((title) => title.padEnd(widths[title])), "Flags"].join(" "));
}

export function sessionsLine(row: SessionRow, cfg: OpenClawConfig, showsAgent: boolean): string {
  const cells = [
    ...(showsAgent ? [color.cyan(safeText(row.agentId).padEnd(widths.Agent))] : []),
    kindCell(row.kind),
    keyCell(row.key),
    ageCell(row.ageMs),
    modelCell(row, cfg),
    tokensCell(row),
    flagsCell(row),
  ];
  return cells.join(" ").trimEnd();
}

export function actionsHeader(): string {
  const titles = ["Action", "Key", "Age", "Model"] as const;
  return color.bold([...titles.map((title) => title.padEnd(widths[title])), "Flags"].join(" "));
}

export function actionsLine(row: SessionRow, action: string, cfg: OpenClawConfig): string {
  const padded = action.padEnd(widths.Action);
  const actionCell = action === "keep" ? color.dim(padded) : color.yellow(padded);
  return [actionCell, keyCell(row.key), ageCell(row.ageMs), modelCell(row, cfg), flagsCell(row)].join(" ").trimEnd();
}

function kindCell(kind: string): string {
  const padded = kind.padEnd(widths.Kind);
  return kind === "direct" ? color.cyan(padded) : kind === "group" ? color.magenta(padded) : color.dim(padded);
}

/** Both ends of a key tell it apart: 16 characters, three dots, 6 characters. */
function keyCell(key: string): string {
  const shown = safeText(key);
  const width = widths.Key;
  const text = shown.length <= width ? shown.padEnd(width) : `${shown.slice(0, width - 10)}...${shown.slice(-6)} `;
  return color.cyan(text);
}

function ageCell(ageMs: number | null): string {
  return color.dim((ageMs === null ? "unknown" : formatTimeAgo(ageMs)).padEnd(widths.Age));
}

/** "just now", "5m ago", "3h ago", "2d ago"; hours up to two days. */
export function formatTimeAgo(ageMs: number): string {
  const minutes = Math.round(Math.max(0, ageMs) / 60_000);
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${minutes}m ago`;
  const hours = Math.round(minutes / 60);
  return hours < 48 ? `${hours}h ago` : `${Math.round(hours / 24)}d ago`;
}

/** The model of the last run, else the one chosen for the session, else the configured one. */
function modelCell(row: SessionRow, cfg: OpenClawConfig): string {
  const model =
    normalizeOptionalString(row.model) ??
    normalizeOptionalString(row.modelOverride) ??
    configuredModel(cfg) ??
    "unknown";
  return safeText(model).padEnd(widths.Model);
}

/** `agents.defaults.model`: `provider/model`, or an object with that as `primary`. */
function configuredModel(cfg: OpenClawConfig): string | undefined {
  const { model } = defaultsOf(cfg);
  const primary = typeof model === "object" && model !== null ? (model as { primary?: unknown }).primary : model;
  const name = normalizeOptionalString(primary);
  return name === undefined ? undefined : normalizeOptionalString(name.slice(name.indexOf("/") + 1));
}

function tokensCell({ totalTokens, contextTokens }: SessionRow): string {
  const context = typeof contextTokens === "number" && contextTokens > 0 ? contextTokens : undefined;
  const ofContext = context === undefined ? "?" : inThousands(context);
  if (typeof totalTokens !== "number") return color.dim(`unknown/${ofContext} (?%)`.padEnd(widths["Tokens (ctx %)"]));
  const percent = context === undefined ? undefined : Math.min(999, Math.round((totalTokens / context) * 100));
  const padded = `${inThousands(totalTokens)}/${ofContext} (${percent ?? "?"}%)`.padEnd(widths["Tokens (ctx %)"]);
  if (percent === undefined) return padded;
  return percent >= 95 ? color.red(padded) : percent >= 80 ? color.yellow(padded) : padded;
}

function inThousands(tokens: number): string {
  return `${(tokens / 1_000).toFixed(tokens >= 10_000 ? 0 : 1)}k`;
}

const valueFlags = [
  ["think", "thinkingLevel"],
  ["verbose", "verboseLevel"],
  ["trace", "traceLevel"],
  ["reasoning", "reasoningLevel"],
  ["elev", "elevatedLevel"],
  ["usage", "responseUsage"],
  ["activation", "groupActivation"],
] as const;

function flagsCell(row: SessionRow): string {
  const flags = valueFlags.filter(([, field]) => row[field]).map(([flag, field]) => `${flag}:${row[field]}`);
  if (row.systemSent) flags.push("system");
  if (row.abortedLastRun) flags.push("aborted");
  if (row.sessionId) flags.push(`id:${row.sessionId}`);
  return color.dim(safeText(flags.join(" ")));
}
