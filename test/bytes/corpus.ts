/**
 * Cases as files: every input on which the library and the pure functions ever disagreed is kept in test/corpus/, with
 * the reason, and replayed for ever.
 */

import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { lockFamily } from "./honest-store.js";
import { compareTakeOver } from "./legacy.js";
import { recoverPurely, type StoreBytes } from "./pure-recovery.js";
import {
  bytesOn,
  type Cost,
  compareRecoveries,
  differenceOf,
  type Opened,
  openReally,
  type Role,
} from "./real-recovery.js";

export type CorpusCase =
  | { readonly why: string; readonly role: Role; readonly store: StoreBytes }
  | { readonly why: string; readonly legacy: Uint8Array };

/** The library and the pure function disagree about an input. */
export class Disagreement extends Error {
  readonly found: CorpusCase;

  constructor(found: CorpusCase, difference: string) {
    super(`${found.why}: ${difference}`);
    this.found = found;
  }
}

/** Opens the bytes in this role; the two recoveries must agree, and their answer is returned. */
export async function openAgreed(store: StoreBytes, role: Role, why: string): Promise<Opened> {
  const { real, difference } = await compareRecoveries(store, role);
  if (difference !== undefined) throw new Disagreement({ why, role, store }, difference);
  return real;
}

export interface CaseOutcome {
  readonly kind: "states" | "refusals" | "legacyTaken" | "legacyRefused";
  readonly hasDamage: boolean;
  /** What the two disagree about. */
  readonly difference: string | undefined;
  /** Of the first opening; undefined for legacy files. */
  readonly cost?: Cost;
}

export async function replayCase(input: CorpusCase): Promise<CaseOutcome> {
  if ("legacy" in input) {
    const { taken, difference } = await compareTakeOver(input.legacy);
    return { kind: taken ? "legacyTaken" : "legacyRefused", hasDamage: false, difference };
  }
  const { store, role } = input;
  const { pure, real, machine, cost, difference } = await compareRecoveries(store, role);
  const kind = pure.kind === "state" ? "states" : "refusals";
  const hasDamage = pure.kind === "state" && pure.damaged.size > 0;
  if (difference !== undefined) return { kind, hasDamage, cost, difference };
  return { kind, hasDamage, cost, difference: await againDifference(machine, role, real) };
}

/** Recovered twice is recovered once: what lies on the disk now says the same, to both. */
async function againDifference(
  machine: Parameters<typeof openReally>[0],
  role: Role,
  first: Awaited<ReturnType<typeof openReally>>,
): Promise<string | undefined> {
  const left = recoverPurely(bytesOn(machine), role === "writer" ? lockFamily : undefined);
  const purely = differenceOf(left, first);
  if (purely !== undefined) return `what the first opening left: ${purely}`;
  const again = differenceOf(left, await openReally(machine, role));
  return again === undefined ? undefined : `opened again: ${again}`;
}

// --- files -------------------------------------------------------------------------------------------------------------

/** `test/corpus` of the project, wherever this was compiled to. */
export function corpusDirectory(): string {
  let directory = path.dirname(fileURLToPath(import.meta.url));
  while (!fs.existsSync(path.join(directory, "package.json"))) directory = path.dirname(directory);
  return path.join(directory, "test", "corpus");
}

export function saveCase(file: string, input: CorpusCase): void {
  const parts =
    "legacy" in input
      ? { legacy: encode(input.legacy) }
      : {
          role: input.role,
          manifest: encode(input.store.manifest),
          segments: encodeAll(input.store.segments),
          entries: encodeAll(input.store.entries),
        };
  fs.writeFileSync(file, `${JSON.stringify({ why: input.why, ...parts }, null, 2)}\n`);
}

export function loadCase(file: string): CorpusCase {
  const fields = JSON.parse(fs.readFileSync(file, "utf8"));
  if (fields.legacy !== undefined) return { why: fields.why, legacy: decode(fields.legacy) };
  const store = {
    manifest: decode(fields.manifest),
    segments: decodeAll(fields.segments),
    entries: decodeAll(fields.entries),
  };
  return { why: fields.why, role: fields.role, store };
}

/** As text where that keeps every byte, so that people can read the cases. */
function encode(bytes: Uint8Array): string {
  const text = Buffer.from(bytes).toString("utf8");
  return Buffer.compare(Buffer.from(text, "utf8"), bytes) === 0
    ? `text:${text}`
    : `base64:${Buffer.from(bytes).toString("base64")}`;
}

function decode(encoded: string): Uint8Array {
  const colon = encoded.indexOf(":");
  return Buffer.from(encoded.slice(colon + 1), encoded.startsWith("text:") ? "utf8" : "base64");
}

function encodeAll(files: ReadonlyMap<string, Uint8Array>): Record<string, string> {
  return Object.fromEntries([...files].map(([name, bytes]) => [name, encode(bytes)]));
}

function decodeAll(files: Record<string, string>): Map<string, Uint8Array> {
  return new Map(Object.entries(files).map(([name, encoded]) => [name, decode(encoded)]));
}
