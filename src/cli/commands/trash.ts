/** `sessiondir trash list | restore | empty`: removed sessions, bringing one back, throwing them away. */

import path from "node:path";
import type { Command } from "commander";
import { parseStoreLocation, rollbackMarkerName } from "../../backends/directory/layout.js";
import { readRollbackDetails } from "../../backends/directory/rollback-details.js";
import type { KeyRule, TrashedSession } from "../../contract.js";
import { SessionStoreError, shortenKey } from "../../errors.js";
import { nodePort } from "../../fs/node-port.js";
import { limitCaps } from "../../limits.js";
import { parseSessionArchiveTimestamp } from "../../openclaw/artifacts.js";
import { resolveSessionFilePath } from "../../openclaw/paths.js";
import { inFolderOf } from "../../openclaw/single-names.js";
import type { SessionEntry } from "../../openclaw/types.js";
import { estimateJsonBytes } from "../../sessions/entry-value.js";
import { normalizeKey } from "../../sessions/keys.js";
import { shellWord } from "../../shell-word.js";
import { type CommonOptions, defineCommand } from "../command.js";
import { UsageError } from "../failures.js";
import { countOf, formatAge, formatBytes, parseDuration } from "../format.js";
import { type CommandStore, findLocation, withReadOnlyStore, withWritableStore } from "../store-access.js";
import { color, fitText, outputGone, printJson, printLine, printNote, printTable, safeText } from "../terminal.js";

interface RestoreOptions extends CommonOptions {
  replace?: boolean;
  reason?: string;
  dryRun?: boolean;
}

interface EmptyOptions extends CommonOptions {
  olderThan?: number;
  all?: boolean;
  dryRun?: boolean;
}

export function defineTrash(program: Command): void {
  const trash = program
    .command("trash")
    .description("removed sessions: list them, bring one back, throw them away")
    .addHelpText("after", "\nExamples:\n  $ sessiondir trash list\n  $ sessiondir trash restore agent:main:main");
  defineCommand(trash, "list", "list removed sessions, the newest removal first", ["trash list --json"], list);
  const restoring = ["trash restore agent:main:main", "trash restore 1763729638123-42-9f3a12bc4d5e --replace"];
  defineCommand(trash, "restore <id|key>", "put a removed session back, with its generations", restoring, restore)
    .option("--replace", "when the key is taken again: move the session that is there now to the trash")
    .option("--reason <text>", "why; kept in the journal")
    .option("--dry-run", "only say what would be done");
  const emptying = ["trash empty --older-than 7d --dry-run", "trash empty --all"];
  defineCommand(trash, "empty [id...]", "throw removed sessions away for good", emptying, empty)
    .option("--older-than <age>", "those that were removed longer ago: 90s, 30m, 12h, 7d", parseDuration)
    .option("--all", "all of them")
    .option("--dry-run", "only say what would be thrown away");
}

async function list(options: CommonOptions): Promise<number> {
  return withReadOnlyStore(options, async (store) => {
    const items = await readItems(store);
    if (options.json) printJson({ sessions: items });
    else printItems(items, `The trash is empty.${noteOfRollback(findLocation(options))}`);
    return 0;
  });
}

/** A legacy file has no trash: what was removed before a rollback stayed in the directory. */
function noteOfRollback(given: string): string {
  const location = parseStoreLocation(given);
  if (location === undefined) return "";
  const port = nodePort();
  const parent = port.openRoot(location.parentPath);
  try {
    if (port.statName(parent, rollbackMarkerName(location.directoryName)) === undefined) return "";
    const backup = readRollbackDetails(port, parent, location.directoryName)?.backupDirectory;
    const name = safeText(backup ?? `${location.directoryName}.bak.<ms>`);
    return ` The store was rolled back: what was removed before is in ${name}/trash.`;
  } finally {
    port.closeDirectory(parent);
  }
}

async function restore(options: RestoreOptions, [idOrKey]: string[]): Promise<number> {
  const { json, replace = false, reason } = options;
  if (options.dryRun) return withReadOnlyStore(options, (store) => previewRestore(store, idOrKey!, replace, json));
  return withWritableStore(options, async (store) => {
    const by = { actor: "cli", ...(reason === undefined ? {} : { reason }) };
    const { id, key } = await store.restore(idOrKey!, { replace, ...by });
    const archived = archivedTranscript(store.location, await store.get(key));
    if (json)
      printJson({ id, key, restored: true, ...(archived === undefined ? {} : { archivedTranscript: archived }) });
    else printLine(`${color.green("restored")} ${safeText(key)}`);
    if (archived !== undefined) tellArchived(archived);
    return 0;
  });
}

interface ArchivedTranscript {
  /** The newest archive of it. */
  archive: string;
  /** Where the session looks for it. */
  transcript: string;
}

/** A cleanup archives the transcript of a session that it removes; the session alone comes back from the trash. */
function archivedTranscript(
  location: string,
  entry: Readonly<Record<string, unknown>> | undefined,
): ArchivedTranscript | undefined {
  const sessionId = entry?.sessionId;
  if (!path.isAbsolute(location) || typeof sessionId !== "string") return undefined;
  const port = nodePort();
  try {
    const sessionsDir = path.dirname(location);
    const transcript = resolveSessionFilePath(sessionId, entry as Partial<SessionEntry>, { sessionsDir });
    return inFolderOf(port, transcript, (folder, name) => {
      if (port.statName(folder, name) !== undefined) return undefined;
      const archives: { name: string; timeMs: number }[] = [];
      for (const batch of port.listInBatches(folder, 512)) {
        for (const { name: found } of batch) {
          const timeMs = parseSessionArchiveTimestamp(found, "deleted");
          if (timeMs !== null && found.startsWith(`${name}.deleted.`)) archives.push({ name: found, timeMs });
        }
      }
      const newest = archives.sort((left, right) => right.timeMs - left.timeMs)[0];
      return newest && { archive: path.join(path.dirname(transcript), newest.name), transcript };
    });
  } catch {
    // A session without a transcript in a folder that can be read.
    return undefined;
  }
}

function tellArchived({ archive, transcript }: ArchivedTranscript): void {
  printNote(
    `Its transcript is still archived, and a cleanup with --fix-missing would remove the session again. To bring it back: mv ${safeText(shellWord(archive))} ${safeText(shellWord(transcript))}`,
  );
}

/** Says what `restore` would say, and changes nothing. */
async function previewRestore(store: CommandStore, idOrKey: string, replace: boolean, json = false): Promise<number> {
  const item = await findItem(store, idOrKey);
  const isTaken = (await store.get(item.key)) !== undefined;
  if (isTaken && !replace) {
    throw new SessionStoreError("conflict", "there is a session of this key again", {
      operation: "restore",
      key: item.key,
      onDisk: "Nothing was changed.",
      nextStep: "Add --replace to move the one that is there now to the trash.",
    });
  }
  if (json) printJson({ id: item.id, key: item.key, restored: false, dryRun: true, replaces: isTaken });
  else printLine(`would restore ${safeText(item.key)}${isTaken ? "; the one there now would go to the trash" : ""}`);
  return 0;
}

async function findItem(store: CommandStore, idOrKey: string): Promise<TrashedSession> {
  const { keyRule } = await store.stats();
  const key = normalizeIfValid(idOrKey, keyRule === "exact" ? "exact" : "openclaw");
  let newest: TrashedSession | undefined;
  for await (const item of store.trash()) {
    if (item.id === idOrKey) return item;
    if (item.key === key) newest ??= item;
  }
  if (newest) return newest;
  throw new SessionStoreError("not_found", "the trash holds no such session", {
    operation: "restore",
    key: idOrKey,
    path: store.location,
    nextStep: "See what it holds: sessiondir trash list.",
  });
}

function normalizeIfValid(text: string, rule: KeyRule): string | undefined {
  try {
    return normalizeKey(text, rule, limitCaps.keyBytes);
  } catch {
    return undefined;
  }
}

async function empty(options: EmptyOptions, ids: string[]): Promise<number> {
  const { olderThan, all = false, dryRun = false, json } = options;
  if (!all && olderThan === undefined && ids.length === 0) {
    throw new UsageError("what is to go for good? Give --older-than 7d, ids of `trash list`, or --all");
  }
  if (all && (olderThan !== undefined || ids.length > 0)) {
    throw new UsageError("--all is everything; give it alone, or leave it out");
  }
  const removedBeforeMs = olderThan === undefined ? Number.POSITIVE_INFINITY : nodePort().nowMs() - olderThan;
  const chosen = { removedBeforeMs, ...(ids.length > 0 ? { ids } : {}) };
  if (dryRun) return withReadOnlyStore(options, (store) => previewEmpty(store, chosen, json));
  return withWritableStore(options, async (store) => {
    await requireInTrash(store, ids);
    const emptied = await store.emptyTrash(chosen);
    if (json) printJson({ emptied });
    else printLine(`${color.green("emptied")}: ${countOf(emptied, "removed session")} gone for good`);
    return 0;
  });
}

async function previewEmpty(
  store: CommandStore,
  { ids, removedBeforeMs }: { ids?: string[]; removedBeforeMs: number },
  json = false,
): Promise<number> {
  await requireInTrash(store, ids ?? []);
  const items = (await readItems(store)).filter(
    ({ id, removedMs }) => removedMs < removedBeforeMs && (ids === undefined || ids.includes(id)),
  );
  if (json) printJson({ emptied: 0, dryRun: true, wouldEmpty: items.length, sessions: items });
  else {
    printItems(items, "Nothing of the trash would go.");
    if (items.length > 0) printNote(`${countOf(items.length, "removed session")} would be gone for good.`);
  }
  return 0;
}

/** A mistyped id is an error: nothing goes, so that what was meant is not taken for gone. */
async function requireInTrash(store: CommandStore, ids: readonly string[]): Promise<void> {
  const unknown = new Set(ids);
  if (unknown.size > 0) for await (const { id } of store.trash()) unknown.delete(id);
  if (unknown.size === 0) return;
  const shown = [...unknown].slice(0, 5).map(shortenKey).join(", ");
  throw new SessionStoreError("not_found", `the trash holds no removed session with the id ${shown}`, {
    operation: "empty the trash",
    path: store.location,
    onDisk: "Nothing was thrown away.",
    nextStep: "See the ids: sessiondir trash list.",
  });
}

/** An item without its entry, which may be large. */
interface ShownItem {
  id: string;
  key: string;
  removedMs: number;
  actor?: string;
  reason?: string;
  sessionId?: string;
  entryBytes: number;
  generations: number;
}

async function readItems(store: CommandStore): Promise<ShownItem[]> {
  const items: ShownItem[] = [];
  for await (const item of store.trash()) {
    if (outputGone.aborted) break;
    items.push(toShown(item));
  }
  return items;
}

function toShown({ id, key, entry, generations, removedMs, actor, reason }: TrashedSession): ShownItem {
  const { sessionId } = entry;
  return {
    id,
    key,
    removedMs,
    ...(actor === undefined ? {} : { actor }),
    ...(reason === undefined ? {} : { reason }),
    ...(typeof sessionId === "string" ? { sessionId } : {}),
    entryBytes: estimateJsonBytes(entry),
    generations: generations?.length ?? 0,
  };
}

function printItems(items: readonly ShownItem[], nothing: string): void {
  if (items.length === 0) {
    printNote(nothing);
    return;
  }
  const nowMs = nodePort().nowMs();
  const rows = items.map(({ id, key, removedMs, actor, reason, entryBytes }) => [
    id,
    safeText(key),
    formatAge(nowMs - removedMs),
    formatBytes(entryBytes),
    safeText(actor ?? "-"),
    fitText(safeText(reason ?? "-"), 40),
  ]);
  printTable(["ID", "KEY", "REMOVED", "SIZE", "BY", "REASON"], rows, [2, 3]);
}
