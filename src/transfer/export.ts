/** Exports one, some or all sessions of a store as a bundle (bundle-format.ts), beside live writers. */

import path from "node:path";
import { nodePort } from "../fs/node-port.js";
import type { Port } from "../fs/port.js";
import { checkOptions, invalidOption } from "../options.js";
import { type BundleOptions, type WrittenBundle, writeBundle } from "./bundle-writer.js";
import { type ByteSink, writeFileAtomically } from "./output-file.js";
import type { SessionProblem } from "./session-writer.js";
import { openForReading, type StorePlace } from "./store-place.js";

export interface ExportOptions extends BundleOptions {
  /** Replace an existing file. */
  readonly force?: boolean | undefined;
  readonly port?: Port | undefined;
}

export interface ExportResult {
  /** "partial": some sessions could not be read, and `allowDamaged` said to go on without them. */
  readonly outcome: "complete" | "partial";
  /** The file; absent when the bundle went to a sink. */
  readonly path?: string;
  readonly sessions: number;
  readonly contentSha256: string;
  readonly sha256: string;
  readonly bytes: number;
  readonly damaged: readonly SessionProblem[];
}

const optionNames = ["keys", "agent", "allowDamaged", "allowEmpty", "onProgress", "signal", "force", "port"];
const where = "exportSessions";

/**
 * Writes a bundle of `store` to `output`: the path of a file, which appears whole or not at all, or a sink. A sink may
 * have been given a part when this rejects; that part has no trailer, and no import takes it.
 */
export async function exportSessions(
  store: StorePlace,
  output: string | ByteSink,
  options: ExportOptions = {},
): Promise<ExportResult> {
  checkOptions(options, optionNames, where);
  if (options.keys !== undefined && options.agent !== undefined) {
    throw invalidOption(where, "the options keys and agent exclude each other");
  }
  if (options.keys?.length === 0) throw invalidOption(where, "the option keys names no session");
  const port = options.port ?? nodePort();
  const source = await openForReading(port, store, where);
  try {
    const write = (sink: ByteSink) => writeBundle(port, source, sink, options);
    if (typeof output !== "string") return toResult(await write(output), undefined);
    const replace = options.force ?? false;
    const written = await writeFileAtomically(port, output, { replace, operation: "export sessions" }, write);
    return toResult(written, path.resolve(output));
  } finally {
    await source.close();
  }
}

function toResult({ trailer, fileSha256, fileBytes, damaged }: WrittenBundle, file: string | undefined): ExportResult {
  return {
    outcome: damaged.length === 0 ? "complete" : "partial",
    ...(file === undefined ? {} : { path: file }),
    sessions: trailer.sessions,
    contentSha256: trailer.contentSha256,
    sha256: fileSha256,
    bytes: fileBytes,
    damaged,
  };
}
