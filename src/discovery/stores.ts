/**
 * All stores of an installation: below its agents directory, and where the configuration says. Read-only. A store that
 * was migrated - `sessions.d`, no `sessions.json` - is one like any other, a folder reached by two spellings is looked at
 * once, and a place that cannot be read never hides the others.
 */

import path from "node:path";
import { parseStoreLocation, type StoreLocation } from "../backends/directory/layout.js";
import { nodePort } from "../fs/node-port.js";
import { type Directory, hasCode, type Port } from "../fs/port.js";
import { isOwnAgentFolder, isValidAgentId, normalizeAgentId } from "../sessions/agent-id.js";
import {
  type AgentsRoot,
  type DiscoveryProblem,
  listAgentNames,
  openAgentsRoot,
  reportUnreachable,
  storeFileName,
  unsafePlace,
  visitSessionsFolder,
} from "./agent-folders.js";
import { realPathOfDeepest } from "./real-paths.js";
import { type Environment, resolveStateDir, resolveUserPath } from "./state-dir.js";
import { type DirectoryForm, hasStore, inspectStoreForms } from "./store-forms.js";

export interface DiscoverOptions {
  /** The system; for tests and simulations. */
  readonly port?: Port | undefined;
  /** Instead of what `env` says. */
  readonly stateDir?: string | undefined;
  readonly env?: Environment | undefined;
  /** `session.store` of the configuration: a path, perhaps with `{agentId}` in it and `~` before it. */
  readonly configuredStorePath?: string | undefined;
  /** Agents that the configuration names. Those found on the disk, and `main`, count anyway. */
  readonly agentIds?: Iterable<string> | undefined;
}

export interface DiscoveredStore {
  /** The legacy path, `<folder>/<name>.json`, in the first spelling by which it was reached. */
  readonly path: string;
  /** The same without links. */
  readonly realPath: string;
  /** The agent whose store it is; `undefined` for one that several agents share, or whose folder is no agent's name. */
  readonly agentId: string | undefined;
  /** "configured" also when it lies in the state directory. */
  readonly origin: "configured" | "state_dir";
  /** An ordinary file lies at the path. */
  readonly legacy: boolean;
  /** Neither this nor `legacy`: a configured store that does not exist yet. */
  readonly directory: DirectoryForm;
}

export interface Discovery {
  /** Sorted by path, each once. */
  readonly stores: DiscoveredStore[];
  /** What was passed over, sorted by path. */
  readonly problems: DiscoveryProblem[];
}

/** Throws only for errors that say nothing about a place: no descriptor left, a failing disk. */
export async function discoverSessionStores(options: DiscoverOptions = {}): Promise<Discovery> {
  const port = options.port ?? nodePort();
  const search = new StoreSearch(port, options);
  for (const _step of search.run()) await port.yieldToEventLoop();
  return search.result();
}

/** The same, for callers that cannot wait: a directory of ten thousand agents blocks for about a second. */
export function discoverSessionStoresSync(options: DiscoverOptions = {}): Discovery {
  const search = new StoreSearch(options.port ?? nodePort(), options);
  for (const _step of search.run());
  return search.result();
}

const agentsPerStep = 64;

interface Wish {
  readonly path: string;
  readonly agentId: string | undefined;
  readonly origin: DiscoveredStore["origin"];
  /** It is a result even where nothing lies. */
  readonly isNamed: boolean;
}

class StoreSearch {
  readonly #port: Port;
  readonly #env: Environment;
  readonly #stateDir: string;
  readonly #options: DiscoverOptions;
  readonly #found = new Map<string, DiscoveredStore>();
  readonly #problems = new Map<string, DiscoveryProblem>();
  readonly #report = (problem: DiscoveryProblem): void => {
    this.#problems.set(`${problem.path}\0${problem.code}`, problem);
  };

  constructor(port: Port, options: DiscoverOptions) {
    this.#port = port;
    this.#options = options;
    this.#env = options.env ?? process.env;
    this.#stateDir =
      options.stateDir === undefined
        ? resolveStateDir(this.#env, { port })
        : resolveUserPath(options.stateDir, this.#env, { port });
  }

  result(): Discovery {
    return { stores: sortByPath(this.#found.values()), problems: sortByPath(this.#problems.values()) };
  }

  /** Stops now and then, so that an asynchronous caller can let others run. */
  *run(): Generator<void> {
    const configured = this.#options.configuredStorePath?.trim() ?? "";
    const roots: AgentsRoot[] = [];
    try {
      for (const agentsPath of new Set([
        path.join(this.#stateDir, "agents"),
        ...agentsPathOf(this.#expand(configured)),
      ])) {
        const root = openAgentsRoot(this.#port, agentsPath, this.#report);
        if (root !== undefined) roots.push(root);
      }
      const names = roots.map((root) => listAgentNames(this.#port, root, this.#report).map(({ name }) => name));
      let looks = 0;
      for (const wish of this.#configuredStores(configured, names.flat())) {
        this.#lookAt(wish);
        if (++looks % agentsPerStep === 0) yield;
      }
      for (const [index, root] of roots.entries()) {
        for (const name of names[index]!) {
          this.#lookAtAgent(root, name);
          if (++looks % agentsPerStep === 0) yield;
        }
      }
    } finally {
      for (const root of roots) this.#port.closeDirectory(root.directory);
    }
  }

  #configuredStores(configured: string, namesOnDisk: readonly string[]): Wish[] {
    if (configured === "") return [];
    const origin = "configured";
    if (!configured.includes(agentIdMark)) {
      const storePath = this.#expand(configured);
      return [{ path: storePath, agentId: agentIdOf(storePath), origin, isNamed: true }];
    }
    const named = new Set(["main", ...(this.#options.agentIds ?? [])].map((id) => normalizeAgentId(id)));
    const all = new Set([...named, ...namesOnDisk.filter((name) => isValidAgentId(name)).map(normalizeAgentId)]);
    return [...all].map((agentId) => {
      const storePath = this.#expand(configured.replaceAll(agentIdMark, () => agentId));
      return { path: storePath, agentId, origin, isNamed: named.has(agentId) };
    });
  }

  #expand(configured: string): string {
    return configured === "" ? "" : resolveUserPath(configured, this.#env, { port: this.#port });
  }

  /** A path that the operator chose: links in it are his, except in the last step, which a store never follows. */
  #lookAt(wish: Wish): void {
    const location = parseStoreLocation(wish.path);
    if (location === undefined) {
      const message = `${wish.path} is no path of a session store: it must end in .json or .d`;
      this.#report({ path: wish.path, code: "invalid_option", message });
      return;
    }
    let folder: Directory;
    try {
      folder = this.#port.openRoot(this.#port.realPath(location.parentPath));
    } catch (error) {
      if (!hasCode(error, "ENOENT")) reportUnreachable(error, location.parentPath, this.#report);
      else if (wish.isNamed) this.#addMissing(wish, location);
      return;
    }
    try {
      this.#lookInto(folder, this.#port.realPath(location.parentPath), location, wish);
    } catch (error) {
      reportUnreachable(error, wish.path, this.#report);
    } finally {
      this.#port.closeDirectory(folder);
    }
  }

  #lookAtAgent(root: AgentsRoot, name: string): void {
    visitSessionsFolder(this.#port, root, name, this.#report, (folder) => {
      const storePath = path.join(folder.path, storeFileName);
      const agentId = isOwnAgentFolder(name) ? normalizeAgentId(name) : undefined;
      const location = parseStoreLocation(storePath) as StoreLocation;
      const wish = { path: storePath, agentId, origin: "state_dir", isNamed: false } as const;
      this.#lookInto(folder.directory, folder.realPath, location, wish);
    });
  }

  #lookInto(folder: Directory, realFolder: string, location: StoreLocation, wish: Wish): void {
    const identity = `${this.#identityOf(folder, realFolder)}\0${location.legacyName}`;
    if (this.#found.has(identity)) return;
    const forms = inspectStoreForms(this.#port, folder, location);
    for (const { name, problem } of forms.unsafe) {
      this.#report(unsafePlace(path.join(location.parentPath, name), problem));
    }
    const isMissing = !hasStore(forms);
    if (isMissing && (!wish.isNamed || forms.unsafe.length > 0)) return;
    this.#found.set(identity, {
      path: path.join(location.parentPath, location.legacyName),
      realPath: path.join(realFolder, location.legacyName),
      agentId: wish.agentId,
      origin: wish.origin,
      legacy: forms.legacy,
      directory: forms.directory,
    });
  }

  /** Two mounts of one folder have two real paths. Where inodes say nothing, the path has to do. */
  #identityOf(folder: Directory, realFolder: string): string {
    if (this.#port.userId === undefined) return realFolder;
    const { device, inode } = this.#port.statDirectory(folder);
    return `${device}:${inode}`;
  }

  #addMissing(wish: Wish, location: StoreLocation): void {
    const realFolder = realPathOfDeepest(this.#port, location.parentPath);
    const realPath = path.join(realFolder, location.legacyName);
    if (this.#found.has(realPath)) return;
    const { agentId, origin } = wish;
    const storePath = path.join(location.parentPath, location.legacyName);
    this.#found.set(realPath, { path: storePath, realPath, agentId, origin, legacy: false, directory: "absent" });
  }
}

const agentIdMark = "{agentId}";

/** Of a template `<X>/agents/{agentId}/sessions/sessions.json` the directory that holds the agents. */
function agentsPathOf(template: string): string[] {
  const sessions = path.dirname(template);
  const agent = path.dirname(sessions);
  const agents = path.dirname(agent);
  const isCanonical =
    path.basename(template) === storeFileName &&
    path.basename(sessions) === "sessions" &&
    path.basename(agent) === agentIdMark &&
    path.basename(agents) === "agents" &&
    !agents.includes(agentIdMark);
  return isCanonical ? [agents] : [];
}

/** The agent of `<X>/agents/<id>/sessions/sessions.json`. */
function agentIdOf(storePath: string): string | undefined {
  const match = /[\\/]agents[\\/]([^\\/]+)[\\/]sessions[\\/]sessions\.json$/.exec(storePath);
  return match && isOwnAgentFolder(match[1]!) ? normalizeAgentId(match[1]) : undefined;
}

function sortByPath<Item extends { readonly path: string }>(items: Iterable<Item>): Item[] {
  return [...items].sort((left, right) => (left.path < right.path ? -1 : left.path > right.path ? 1 : 0));
}
