/**
 * Writes the sessions of an open store as a bundle. Streams: memory holds one chunk and a digest per session. Fails -
 * the bundle then lacks its trailer - when there is nothing to write, or when sessions are damaged and nobody said that
 * a part will do.
 */

import { createHash } from "node:crypto";
import type { Backend, DamagedSession } from "../contract.js";
import { SessionStoreError, shortenKey } from "../errors.js";
import { Pace } from "../fs/pace.js";
import type { Port } from "../fs/port.js";
import { normalizeKey } from "../sessions/keys.js";
import { parseAgentKey } from "../sessions/summary.js";
import {
  type BundleHeader,
  type BundleTrailer,
  bundleFormat,
  bundleFormatVersion,
  formatSessionLine,
  formatTrailerEnd,
} from "./bundle-format.js";
import { makePathsRelative } from "./bundle-paths.js";
import { combineDigests, digestSession, type PortableSession, type SessionDigest } from "./content-hash.js";
import type { ByteSink } from "./output-file.js";
import { requireNotAborted, type SessionProblem, updatedAtOf } from "./session-writer.js";
import { folderOf } from "./store-place.js";

export interface BundleOptions {
  /** Only these; all of them must exist. */
  readonly keys?: readonly string[] | undefined;
  /** Only sessions of this agent. */
  readonly agent?: string | undefined;
  /** Write what can be read even if some cannot; the trailer names them. */
  readonly allowDamaged?: boolean | undefined;
  readonly allowEmpty?: boolean | undefined;
  readonly onProgress?: ((done: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface WrittenBundle {
  readonly header: BundleHeader;
  readonly trailer: BundleTrailer;
  /** Of the whole file, trailer included. */
  readonly fileSha256: string;
  readonly fileBytes: number;
  /** The newest `updatedAt` of all sessions, 0 when none has one. */
  readonly newestUpdatedAt: number;
  readonly damaged: readonly SessionProblem[];
}

/** The trailer names them all; a store with more needs a repair, not a backup. */
const damagedMax = 10_000;
/** Lines are put together to chunks of about this size. */
const chunkBytes = 64 * 1024;

export async function writeBundle(
  port: Port,
  source: Backend,
  sink: ByteSink,
  options: BundleOptions,
): Promise<WrittenBundle> {
  const damaged: SessionProblem[] = [];
  const { cursor, sessions } = await select(source, options, damaged);
  const output = new HashingOutput(sink);
  const folder = folderOf(source);
  const header: BundleHeader = {
    format: bundleFormat,
    formatVersion: bundleFormatVersion,
    created: new Date(port.nowMs()).toISOString(),
    source: { backend: source.kind, keyRule: source.keyRule, cursor },
  };
  const digests: SessionDigest[] = [];
  const pace = new Pace(port);
  let newestUpdatedAt = 0;
  await output.add(`${JSON.stringify(header)}\n`);
  for await (const found of sessions) {
    requireNotAborted(options.signal);
    const marked = makePathsRelative(found, folder);
    await output.add(formatSessionLine(marked));
    digests.push(digestSession(marked.session));
    newestUpdatedAt = Math.max(newestUpdatedAt, updatedAtOf(found.entry));
    options.onProgress?.(digests.length);
    await pace.breathe();
  }
  if (damaged.length > (options.allowDamaged ? damagedMax : 0)) throw someDamaged(source, damaged);
  if (digests.length === 0 && !options.allowEmpty) throw nothingToWrite(source, options);
  const unhashed: Omit<BundleTrailer, "bytesSha256"> = {
    end: true,
    sessions: digests.length,
    contentSha256: combineDigests(digests),
    damaged: damaged.map(({ key }) => key ?? ""),
  };
  await output.add(JSON.stringify(unhashed).slice(0, -1));
  const trailer: BundleTrailer = { ...unhashed, bytesSha256: output.hashSoFar() };
  await output.add(`${formatTrailerEnd(trailer.bytesSha256)}\n`);
  await output.flush();
  return { header, trailer, fileSha256: output.hashSoFar(), fileBytes: output.sizeBytes, newestUpdatedAt, damaged };
}

async function select(
  source: Backend,
  options: BundleOptions,
  damaged: SessionProblem[],
): Promise<{ cursor: string; sessions: AsyncIterable<PortableSession> }> {
  if (options.keys !== undefined) {
    const cursor = await source.cursor();
    return { cursor, sessions: await readChosen(source, options.keys, damaged) };
  }
  const snapshot = await source.scan({
    onDamaged: ({ key, error }: DamagedSession) => {
      if (isWanted(key, options.agent)) damaged.push({ key, message: error.message });
    },
    ...(options.signal ? { signal: options.signal } : {}),
  });
  return { cursor: snapshot.cursor, sessions: filter(snapshot, options.agent) };
}

async function* filter(
  sessions: AsyncIterable<PortableSession>,
  agent: string | undefined,
): AsyncGenerator<PortableSession> {
  for await (const session of sessions) if (isWanted(session.key, agent)) yield session;
}

/** A damaged session whose key is not known may be one of the agent's. */
function isWanted(key: string | undefined, agent: string | undefined): boolean {
  return agent === undefined || key === undefined || parseAgentKey(key)?.agent === agent.toLowerCase();
}

/** In one call, so that they are of one moment; only if one of them is damaged, one by one. */
async function readChosen(
  source: Backend,
  given: readonly string[],
  damaged: SessionProblem[],
): Promise<AsyncIterable<PortableSession>> {
  const keys = [...new Set(given.map((key) => normalizeKey(key, source.keyRule, source.limits.keyBytes)))];
  const found = new Map<string, PortableSession>();
  const take = async (some: readonly string[]) => {
    for (const [key, { entry, generations }] of await source.read(some)) {
      found.set(key, { key, entry, ...(generations === undefined ? {} : { generations }) });
    }
  };
  try {
    await take(keys);
  } catch (error) {
    if (!(error instanceof SessionStoreError) || error.code !== "entry_damaged") throw error;
    for (const key of keys) {
      await take([key]).catch((problem: unknown) => {
        if (!(problem instanceof SessionStoreError) || problem.code !== "entry_damaged") throw problem;
        damaged.push({ key, message: problem.message });
      });
    }
  }
  const unreadable = new Set(damaged.map(({ key }) => key));
  const missing = keys.filter((key) => !found.has(key) && !unreadable.has(key));
  if (missing.length > 0) throw notThere(source, missing);
  return (async function* () {
    for (const key of keys) {
      const session = found.get(key);
      if (session !== undefined) yield session;
    }
  })();
}

class HashingOutput {
  sizeBytes = 0;
  readonly #sink: ByteSink;
  readonly #hash = createHash("sha256");
  #lines: string[] = [];
  #pendingLength = 0;

  constructor(sink: ByteSink) {
    this.#sink = sink;
  }

  async add(line: string): Promise<void> {
    this.#hash.update(line, "utf8");
    this.#lines.push(line);
    this.#pendingLength += line.length;
    if (this.#pendingLength >= chunkBytes) await this.flush();
  }

  /** Of everything that was added. */
  hashSoFar(): string {
    return this.#hash.copy().digest("hex");
  }

  async flush(): Promise<void> {
    const bytes = Buffer.from(this.#lines.join(""), "utf8");
    this.#lines = [];
    this.#pendingLength = 0;
    if (bytes.byteLength === 0) return;
    this.sizeBytes += bytes.byteLength;
    await this.#sink.write(bytes);
  }
}

const shownMax = 5;

function notThere(source: Backend, missing: readonly string[]): SessionStoreError {
  const shown = missing.slice(0, shownMax).map(shortenKey);
  const more = missing.length > shown.length ? ` and ${missing.length - shown.length} more` : "";
  return new SessionStoreError("not_found", `there is no session ${shown.join(", ")}${more}`, {
    operation: "export sessions",
    path: source.location,
    onDisk: "No bundle was made.",
    nextStep: "See which there are: sessiondir list.",
  });
}

function nothingToWrite(source: Backend, { agent }: BundleOptions): SessionStoreError {
  const which =
    agent === undefined ? "the store holds no session" : `there is no session of the agent ${shortenKey(agent)}`;
  return new SessionStoreError("not_found", which, {
    operation: "export sessions",
    path: source.location,
    onDisk: "No bundle was made: an empty one would be mistaken for a good one.",
    nextStep: "Check the path of the store.",
  });
}

function someDamaged(source: Backend, damaged: readonly SessionProblem[]): SessionStoreError {
  const shown = damaged.slice(0, shownMax).map(({ message }) => message);
  return new SessionStoreError(
    "entry_damaged",
    `${damaged.length} of the sessions cannot be read: ${shown.join(" ")}`,
    {
      operation: "export sessions",
      path: source.location,
      onDisk: "No bundle was made: it would lack them.",
      nextStep: "Run `sessiondir repair`, or take what can be read: { allowDamaged: true } (--allow-damaged).",
    },
  );
}
