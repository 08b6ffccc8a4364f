/**
 * Reading a store in whatever form it lies: a directory store, a legacy file that nothing has taken over, OpenClaw's own
 * directory, or nothing at all. Reading changes nothing and takes nothing over.
 */

import path from "node:path";
import { parseStoreLocation, rollbackMarkerName, type StoreLocation } from "../backends/directory/layout.js";
import { readLegacyStoreSync } from "../backends/json/legacy-reader.js";
import type { DamagedSession, VersionToken } from "../contract.js";
import { hasActiveDirectory, inspectStoreForms } from "../discovery/store-forms.js";
import { fromSystemError, SessionStoreError } from "../errors.js";
import { nodePort } from "../fs/node-port.js";
import { hasCode } from "../fs/port.js";
import { gatewayLimits } from "../limits.js";
import { readOpenClawDirectory } from "../migrate/openclaw-directory.js";
import { openSessionStore } from "../open.js";
import { inFolder } from "../openclaw/single-names.js";
import type { SessionEntry } from "../openclaw/types.js";
import { type CommandStore, warnings } from "./store-access.js";
import { outputGone } from "./terminal.js";

/** - `legacy`: readable, and never written to by these commands. */
export type StoreForm = "directory" | "legacy" | "missing";

export interface FoundSession {
  readonly key: string;
  readonly entry: Readonly<SessionEntry>;
  /** Of a session in a directory store. */
  readonly version?: VersionToken;
}

export interface ReadOptions {
  onDamaged?: (damaged: DamagedSession) => void;
  /** With the directory store that was read, as long as it is open. */
  afterwards?: (store: CommandStore) => Promise<void>;
}

/**
 * Gives every session to `visit`, one after the other. Throws `invalid_legacy` for a file that cannot be understood, and
 * whatever opening or reading the store says.
 */
export async function readSessions(
  storePath: string,
  visit: (session: FoundSession) => void | Promise<void>,
  options: ReadOptions = {},
): Promise<StoreForm> {
  const form = findForm(storePath);
  if (form.kind === "missing") return "missing";
  if (form.kind === "directory") {
    const store = await openSessionStore<Record<string, unknown>>(storePath, {
      readOnly: true,
      migrate: "never",
      limits: gatewayLimits,
      logger: warnings,
    });
    try {
      await visitStore(store, visit, options);
      await options.afterwards?.(store);
    } finally {
      await store.close();
    }
    return "directory";
  }
  for (const [key, entry] of readLegacy(form)) await visit({ key, entry: entry as SessionEntry });
  return "legacy";
}

/** The sessions of an open store. */
export async function visitStore(
  store: CommandStore,
  visit: (session: FoundSession) => void | Promise<void>,
  { onDamaged = () => {} }: ReadOptions,
): Promise<void> {
  for await (const { key, entry, version } of store.entries({ onDamaged })) {
    if (outputGone.aborted) break;
    await visit({ key, entry: entry as unknown as SessionEntry, version });
  }
}

export interface FoundForm {
  readonly kind: StoreForm | "openclaw";
  readonly location: StoreLocation;
}

/** A path of any name may be a legacy file; only `*.json` and `*.d` can be directory stores. */
export function findForm(storePath: string): FoundForm {
  const absolute = path.resolve(storePath);
  const parsed = parseStoreLocation(absolute);
  const legacyName = path.basename(absolute);
  const location = parsed ?? { parentPath: path.dirname(absolute), legacyName, directoryName: `${legacyName}.d` };
  const port = nodePort();
  try {
    return inFolder(port, location.parentPath, (folder) => {
      const forms = inspectStoreForms(port, folder, location);
      if (parsed !== undefined && hasActiveDirectory(forms)) {
        return { kind: forms.directory === "openclaw" ? "openclaw" : "directory", location };
      }
      const unsafe = forms.unsafe.find(({ name }) => name === location.legacyName || parsed !== undefined);
      if (unsafe !== undefined && !forms.legacy) {
        throw new SessionStoreError("unsafe_path", `it ${unsafe.problem}`, {
          operation: "read the sessions",
          path: path.join(location.parentPath, unsafe.name),
          nextStep: "Move it away, or name the store with --store.",
        });
      }
      return { kind: forms.legacy ? "legacy" : "missing", location };
    });
  } catch (error) {
    if (hasCode(error, "ENOENT")) return { kind: "missing", location };
    if (error instanceof SessionStoreError) throw error;
    throw fromSystemError(error, { operation: "read the sessions", path: location.parentPath });
  }
}

/** Whether the sessions are in a single file and stay there when something is removed: it was rolled back. */
export function staysFile(storePath: string): boolean {
  const { kind, location } = findForm(storePath);
  if (kind !== "legacy") return false;
  const port = nodePort();
  const marker = rollbackMarkerName(location.directoryName);
  return inFolder(port, location.parentPath, (folder) => port.statName(folder, marker) !== undefined);
}

function readLegacy({ kind, location }: FoundForm): Iterable<[string, unknown]> {
  const port = nodePort();
  if (kind === "legacy") return Object.entries(readLegacyStoreSync(port, location, gatewayLimits).entries);
  return inFolder(port, location.parentPath, (folder) => {
    const found = readOpenClawDirectory(port, folder, location, { keyRule: "openclaw", limits: gatewayLimits });
    if (found.state !== "invalid") return found.entries;
    throw new SessionStoreError("invalid_legacy", `the directory ${found.reason}`, {
      operation: "read the sessions",
      path: path.join(location.parentPath, location.directoryName),
      nextStep: found.nextStep,
    });
  });
}
