/** `sessiondir detect`: what lies at the place of each store, and what `migrate` would do about it. Changes nothing. */

import type { Command } from "commander";
import { gatewayLimits } from "../../limits.js";
import type { Detection, DetectionStatus } from "../../migrate/detect.js";
import { exitFailed } from "../failures.js";
import { formatBytes, formatCount } from "../format.js";
import { defineStoresCommand, reportSelection, type StoreSelection, selectStores } from "../state-dir.js";
import { warnings } from "../store-access.js";
import { color, printJson, printLine, safeText } from "../terminal.js";

export function defineDetect(program: Command): void {
  const examples = ["detect --state-dir ~/.openclaw", "detect --store agents/main/sessions/sessions.json --json"];
  const description = "what is there, a legacy file or a store, and what migrate would do; changes nothing";
  defineStoresCommand(program, "detect", description, examples, detect);
}

async function detect(options: StoreSelection): Promise<number> {
  const { detectSessionStore } = await import("../../migrate/detect.js");
  const selection = await selectStores(options);
  const { problems } = selection;
  const stores: Detection[] = [];
  for (const { path } of selection.stores) {
    const found = await detectSessionStore(path, { limits: gatewayLimits });
    stores.push(found);
    if (!options.json) report(found);
  }
  if (options.json) {
    printJson({ stores, problems });
  } else {
    reportSelection(selection);
    if (stores.length === 0 && problems.length === 0) printLine("No session stores found.");
  }
  // A path that somebody typed, and no store there, is a mistake.
  const isMissing = stores.some(({ status }, at) => status === "missing" && selection.stores[at]?.origin === "named");
  const isWrong = problems.length > 0 || isMissing || stores.some(({ status }) => status === "invalid_legacy");
  return isWrong ? exitFailed : 0;
}

function report(found: Detection): void {
  const { storePath, status, sizeBytes, legacyEntryCount, preview } = found;
  const size = sizeBytes === 0 ? "" : ` (${describeCount(legacyEntryCount)}, ${formatBytes(sizeBytes)})`;
  for (const warning of found.warnings) {
    warnings.warn(warning.includes(storePath) ? warning : `${storePath}: ${warning}`);
  }
  printLine(`${paint(status)(status)} ${safeText(storePath)}${size}`);
  for (const sentence of preview) printLine(`  ${safeText(sentence)}`);
}

function paint(status: DetectionStatus): (text: string) => string {
  if (status === "ready_to_migrate") return color.green;
  return status === "invalid_legacy" ? color.red : (text) => text;
}

function describeCount(entries: number): string {
  return `${formatCount(entries)} ${entries === 1 ? "entry" : "entries"}`;
}
