/**
 * The manifest can be told from the rest: the incarnation from the journal, the naming rules from the names of the
 * entry files, the key rule from the keys. So losing it loses no session.
 */

import type { KeyRule } from "../../contract.js";
import { SessionStoreError } from "../../errors.js";
import { openChecked } from "../../fs/checked-file.js";
import { type Directory, hasCode, type Port } from "../../fs/port.js";
import { writeTemporaryFile } from "./entries/entry-file.js";
import { readFirstRecord } from "./journal/sealed-segment.js";
import * as layout from "./layout.js";
import { formatManifest, layoutVersion, type Manifest, manifestKind } from "./manifest.js";
import type { RepairContext } from "./repair.js";
import { StoreFiles } from "./store-files.js";
import { originStamp } from "./version.js";

export function manifestNeedsRepair(context: RepairContext): boolean {
  try {
    StoreFiles.open(context.port, context.location, true).close();
    return false;
  } catch (error) {
    if (error instanceof SessionStoreError && error.code === "store_damaged") return true;
    throw error;
  }
}

export async function repairManifest(context: RepairContext): Promise<void> {
  const { port, location } = context;
  await withDirectory(port, port.openRoot(location.parentPath), (parent) =>
    withDirectory(port, port.openDirectory(parent, location.directoryName), (store) => rebuildIn(context, store)),
  );
}

async function withDirectory<Result>(
  port: Port,
  directory: Directory,
  work: (directory: Directory) => Promise<Result>,
): Promise<Result> {
  try {
    return await work(directory);
  } finally {
    port.closeDirectory(directory);
  }
}

async function rebuildIn(context: RepairContext, store: Directory): Promise<void> {
  const { port } = context;
  for (const name of [layout.journalName, layout.entriesName]) makeMissingPart(context, store, name);
  if (context.dryRun) {
    context.note({
      code: "manifest_rebuilt",
      path: layout.manifestName,
      message: "the manifest would be rebuilt from the journal and the entry files",
    });
    return;
  }
  const manifest = await deriveManifest(context, store);
  await keepOld(context, store);
  const temporary = layout.temporaryName(port.randomBytes(16));
  await writeTemporaryFile(port, store, temporary, Buffer.from(formatManifest(manifest), "utf8"));
  port.rename(store, temporary, store, layout.manifestName);
  await port.syncDirectory(store);
  context.note({
    code: "manifest_rebuilt",
    path: layout.manifestName,
    message: `the manifest was rebuilt from the journal and the entry files (key rule "${manifest.keyRule}", ${manifest.fileNames} names)`,
  });
}

function makeMissingPart(context: RepairContext, store: Directory, name: string): void {
  if (context.port.statName(store, name) !== undefined) return;
  if (!context.dryRun) context.port.makeDirectory(store, name, layout.directoryMode);
  context.note({
    code: "directory_made",
    path: name,
    message: `${name}/ was missing and ${context.dryRun ? "would be" : "was"} made`,
  });
}

async function keepOld(context: RepairContext, store: Directory): Promise<void> {
  const { port } = context;
  const stat = port.statName(store, layout.manifestName);
  if (stat === undefined) return;
  if (port.statName(store, layout.quarantineName) === undefined)
    port.makeDirectory(store, layout.quarantineName, layout.directoryMode);
  const quarantine = port.openDirectory(store, layout.quarantineName);
  try {
    // A power cut would take a new quarantine/ away, with what was moved into it.
    await port.syncDirectory(store);
    const unique = Buffer.from(port.randomBytes(4)).toString("hex");
    port.rename(
      store,
      layout.manifestName,
      quarantine,
      layout.quarantineFileName(port.nowMs(), unique, layout.manifestName),
    );
    await port.syncDirectory(quarantine);
  } finally {
    port.closeDirectory(quarantine);
  }
}

async function deriveManifest(context: RepairContext, store: Directory): Promise<Manifest> {
  const { port } = context;
  return withDirectory(port, port.openDirectory(store, layout.journalName), (journal) =>
    withDirectory(port, port.openDirectory(store, layout.entriesName), (entries) =>
      deriveFrom(context, journal, entries),
    ),
  );
}

async function deriveFrom(context: RepairContext, journal: Directory, entries: Directory): Promise<Manifest> {
  const { port } = context;
  const firsts = listFirsts(context, journal);
  if (firsts.length === 0) {
    await writeTemporaryFile(port, journal, layout.segmentName(1), new Uint8Array(0));
    await port.syncDirectory(journal);
    firsts.push(1);
  }
  const names = entryNames(context, entries);
  return {
    kind: manifestKind,
    layoutVersion,
    storeId: randomHex(context),
    incarnation: findIncarnation(context, journal, firsts) ?? randomHex(context),
    createdMs: port.nowMs(),
    lockFamily: port.lockFamily,
    keyRule: guessKeyRule(names.flat),
    fileNames: names.flat.some((name) => /^session-hash-[0-9a-f]{64}\.json$/.test(name)) ? "hash" : "base64url",
    shardDigits: names.hasShards ? 2 : 0,
    features: { required: [], optional: [] },
    migration: null,
    // The oldest segment decides: everything before it is in the entry files, and nothing is applied twice (P14).
    checkpoint: { version: (firsts[0] as number) - 1, record: originStamp.record, timeMs: port.nowMs() },
  };
}

function listFirsts(context: RepairContext, journal: Directory): number[] {
  const firsts: number[] = [];
  for (const batch of context.port.listInBatches(journal, 512)) {
    for (const { name, kind } of batch) {
      const first = kind === "file" ? layout.parseSegmentName(name) : undefined;
      if (first !== undefined) firsts.push(first);
    }
  }
  return firsts.sort((a, b) => a - b);
}

/** Keeping the incarnation keeps the tokens and cursors that users hold. */
function findIncarnation(context: RepairContext, journal: Directory, firsts: readonly number[]): string | undefined {
  for (const first of firsts) {
    try {
      const file = openChecked(context.port, journal, layout.segmentName(first), "read", { uid: undefined });
      try {
        const record = readFirstRecord(context.port, file);
        if (record && record.type !== "seal" && record.store !== undefined) return record.store;
      } finally {
        context.port.close(file);
      }
    } catch (error) {
      if (!(error instanceof SessionStoreError) && !hasCode(error, "ENOENT", "ELOOP", "EACCES")) throw error;
    }
  }
  return undefined;
}

function entryNames(context: RepairContext, entries: Directory): { flat: string[]; hasShards: boolean } {
  const flat: string[] = [];
  let hasShards = false;
  for (const batch of context.port.listInBatches(entries, 512)) {
    for (const { name, kind } of batch) {
      if (kind === "directory" && layout.isShardName(name)) {
        hasShards = true;
        const shard = context.port.openDirectory(entries, name);
        try {
          for (const inner of context.port.listInBatches(shard, 512)) flat.push(...inner.map((entry) => entry.name));
        } finally {
          context.port.closeDirectory(shard);
        }
      } else {
        flat.push(name);
      }
    }
  }
  return { flat, hasShards };
}

/** A key that OpenClaw's rule would have changed can only come from a store with exact keys. */
function guessKeyRule(names: readonly string[]): KeyRule {
  for (const name of names) {
    const parsed = layout.parseEntryFileName(name);
    if (parsed && parsed !== "hashed" && parsed.key !== parsed.key.trim().toLowerCase()) return "exact";
  }
  return "openclaw";
}

function randomHex(context: RepairContext): string {
  return Buffer.from(context.port.randomBytes(16)).toString("hex");
}
