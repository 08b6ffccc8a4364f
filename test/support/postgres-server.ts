/**
 * A real PostgreSQL for tests: the binaries of test/postgres/node_modules (no install script has to have run), a data
 * directory of its own below the system's temporary directory, a free port of the loopback interface. As root it runs as
 * an unprivileged user, because the server refuses root. What a killed test run left behind, the next start removes.
 *
 * `SESSIONDIR_TEST_POSTGRES_URL` names a server to use instead; then nothing is started, and tests that stop servers or
 * need a second one are skipped.
 */

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

export interface PostgresServer {
  readonly version: number;
  readonly port: number;
  readonly dataDirectory: string;
  /** The URL of a database of this server, by default the one that is always there. */
  url(database?: string): string;
  /** Ends it in order; what is running is rolled back. The data stay. */
  stop(): Promise<void>;
  /** `kill -9` of every process of it, as when the machine dies. */
  kill(): Promise<void>;
  /** Starts it again on its data, with other settings if they are given. */
  start(settings?: Readonly<Record<string, string>>): Promise<void>;
  /** Ends it and removes its data. */
  destroy(): Promise<void>;
}

export interface StartOptions {
  readonly version?: 15 | 18;
  readonly settings?: Readonly<Record<string, string>>;
  readonly initArguments?: readonly string[];
  /** Start on a copy of the data of another server, which is stopped. */
  readonly copyOf?: PostgresServer;
  /** Files to put into the data directory first, with their content. */
  readonly files?: Readonly<Record<string, string>>;
}

export const givenUrl = process.env.SESSIONDIR_TEST_POSTGRES_URL;
export const postgresPassword = "correct-horse-battery";

/** build/test/support, or a build directory of another name at the same place. */
const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..", "..", "..");
const packages = path.join(root, "test", "postgres", "node_modules");
const prefix = "sessiondir-postgres-";
/** "nobody" on every system that has it; a server needs no entry of its own. */
const unprivileged = 65_534;
const startWaitMs = 30_000;

/** Why no server can be started here, in the words of the closed list of skip reasons; `undefined` when one can. */
export function whyNoPostgres(version: 15 | 18 = 18): string | undefined {
  if (givenUrl !== undefined) return "needs a PostgreSQL server of its own";
  if (!fs.existsSync(nativeDirectory(version))) {
    return `needs PostgreSQL binaries for ${process.platform}-${process.arch}`;
  }
  return undefined;
}

export async function startPostgres(options: StartOptions = {}): Promise<PostgresServer> {
  sweepLeftovers();
  const version = options.version ?? 18;
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), prefix));
  fs.writeFileSync(path.join(directory, "runner.pid"), String(process.pid));
  const runAs = process.getuid?.() === 0 ? { uid: unprivileged, gid: unprivileged } : {};
  if (process.getuid?.() === 0) fs.chownSync(directory, unprivileged, unprivileged);
  const native = reachableBinaries(nativeDirectory(version), directory, runAs);
  const environment = { ...process.env, LC_ALL: "C", ...libraryPath(native, directory) };
  const dataDirectory = path.join(directory, "data");
  const program = (name: string) => path.join(native, "bin", name);
  if (options.copyOf === undefined) {
    const passwordFile = path.join(directory, "password");
    fs.writeFileSync(passwordFile, `${postgresPassword}\n`, { mode: 0o644 });
    const initArguments = ["-D", dataDirectory, "-U", "postgres", "-A", "scram-sha-256", "--pwfile", passwordFile];
    initArguments.push("-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions", ...(options.initArguments ?? []));
    const result = spawnSync(program("initdb"), initArguments, { ...runAs, env: environment, encoding: "utf8" });
    if (result.status !== 0) throw new Error(`initdb failed: ${result.error ?? ""}${result.stdout}${result.stderr}`);
  } else {
    fs.cpSync(options.copyOf.dataDirectory, dataDirectory, { recursive: true, preserveTimestamps: true });
    fs.rmSync(path.join(dataDirectory, "postmaster.pid"), { force: true });
    if (process.getuid?.() === 0) chownAll(dataDirectory);
  }
  for (const [name, content] of Object.entries(options.files ?? {})) {
    fs.writeFileSync(path.join(dataDirectory, name), content);
    if (process.getuid?.() === 0) fs.chownSync(path.join(dataDirectory, name), unprivileged, unprivileged);
  }
  const server = new Server(version, directory, (port, settings) => {
    const given = { ...defaultSettings(directory), ...options.settings, ...settings };
    const set = Object.entries(given).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
    return spawn(program("postgres"), ["-D", dataDirectory, "-p", String(port), ...set], {
      ...runAs,
      env: environment,
      cwd: directory,
      stdio: ["ignore", "ignore", "pipe"],
    });
  });
  await server.start();
  return server;
}

class Server implements PostgresServer {
  readonly version: number;
  readonly dataDirectory: string;
  port = 0;
  readonly #directory: string;
  readonly #spawn: (port: number, settings: Readonly<Record<string, string>>) => ChildProcess;
  #child: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();
  readonly #killAtExit = () => this.#child?.kill("SIGQUIT");

  constructor(version: number, directory: string, start: StartProgram) {
    this.version = version;
    this.#directory = directory;
    this.dataDirectory = path.join(directory, "data");
    this.#spawn = start;
  }

  url(database = "postgres"): string {
    return `postgres://postgres:${postgresPassword}@127.0.0.1:${this.port}/${database}`;
  }

  async start(settings: Readonly<Record<string, string>> = {}): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      if (this.port === 0) this.port = await freePort();
      const child = this.#spawn(this.port, settings);
      this.#child = child;
      this.#ended = new Promise((resolve) => child.once("close", () => resolve()));
      process.once("exit", this.#killAtExit);
      const problem = await readiness(child);
      if (problem === undefined) return;
      await this.kill();
      // Somebody else may have taken the port meanwhile.
      if (attempt === 3 || !/could not bind|could not create any TCP/.test(problem)) {
        throw new Error(`the server did not start: ${problem}`);
      }
      this.port = 0;
    }
  }

  async stop(): Promise<void> {
    this.#child?.kill("SIGINT");
    await this.#gone();
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (child?.pid !== undefined) {
      // Each child of a server leads a session of its own, so there is no group to kill. The parent first: it would
      // start others.
      const children = childrenOf(child.pid);
      child.kill("SIGKILL");
      for (const pid of children) killIfAlive(pid, "SIGKILL");
    }
    await this.#gone();
  }

  async destroy(): Promise<void> {
    this.#child?.kill("SIGQUIT");
    await this.#gone();
    fs.rmSync(this.#directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  }

  async #gone(): Promise<void> {
    await this.#ended;
    process.removeListener("exit", this.#killAtExit);
    this.#child = undefined;
  }
}

type StartProgram = (port: number, settings: Readonly<Record<string, string>>) => ChildProcess;

function defaultSettings(directory: string): Record<string, string> {
  return {
    listen_addresses: "127.0.0.1",
    unix_socket_directories: directory,
    max_connections: "200",
    shared_buffers: "64MB",
    max_wal_size: "256MB",
    min_wal_size: "64MB",
    logging_collector: "off",
    log_statement: "none",
  };
}

/** `undefined` when it takes connections, else what it said before it ended. */
function readiness(child: ChildProcess): Promise<string | undefined> {
  return new Promise((resolve) => {
    let said = "";
    const patience = setTimeout(() => resolve(`it is not ready after ${startWaitMs} ms: ${said}`), startWaitMs);
    const finish = (problem: string | undefined) => {
      clearTimeout(patience);
      resolve(problem);
    };
    child.once("error", (error) => finish(String(error)));
    child.once("close", () => finish(`it ended: ${said}`));
    child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      said = (said + text).slice(-4_000);
      if (/database system is ready to accept/.test(said)) finish(undefined);
    });
  });
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as net.AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

function nativeDirectory(version: number): string {
  return path.join(packages, `postgres-${version}-${process.platform}-${process.arch}`, "native");
}

/** The binaries, or a copy of them where the user that runs the server cannot reach the project. */
function reachableBinaries(native: string, directory: string, runAs: { uid?: number; gid?: number }): string {
  const environment = { ...process.env, ...libraryPath(native, directory) };
  const postgres = path.join(native, "bin", "postgres");
  if (spawnSync(postgres, ["--version"], { ...runAs, env: environment, cwd: "/" }).status === 0) return native;
  const copy = path.join(directory, "native");
  fs.cpSync(native, copy, { recursive: true });
  return copy;
}

/** The packages leave their symbolic links to an install script; here they lie in the temporary directory. */
function libraryPath(native: string, directory: string): Record<string, string> {
  const links = path.join(directory, "lib");
  fs.mkdirSync(links, { recursive: true });
  const list = JSON.parse(fs.readFileSync(path.join(native, "pg-symlinks.json"), "utf8")) as {
    source: string;
    target: string;
  }[];
  for (const { source, target } of list) {
    const link = path.join(links, path.basename(target));
    if (!target.startsWith("native/lib/")) continue;
    fs.rmSync(link, { force: true });
    fs.symlinkSync(path.join(path.dirname(native), source), link);
  }
  const directories = `${links}${path.delimiter}${path.join(native, "lib")}`;
  return process.platform === "darwin" ? { DYLD_LIBRARY_PATH: directories } : { LD_LIBRARY_PATH: directories };
}

function chownAll(directory: string): void {
  fs.chownSync(directory, unprivileged, unprivileged);
  for (const entry of fs.readdirSync(directory, { recursive: true, withFileTypes: true })) {
    fs.lchownSync(path.join(entry.parentPath, entry.name), unprivileged, unprivileged);
  }
}

function childrenOf(pid: number): number[] {
  try {
    const text = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
    return text.trim().split(/\s+/).filter(Boolean).map(Number);
  } catch {
    const { stdout } = spawnSync("pgrep", ["-P", String(pid)], { encoding: "utf8" });
    return (stdout ?? "").trim().split(/\s+/).filter(Boolean).map(Number);
  }
}

function killIfAlive(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch {
    return false;
  }
}

/** A server whose test run was killed lives on: its directory says which run it belonged to. */
function sweepLeftovers(): void {
  for (const name of fs.readdirSync(os.tmpdir())) {
    if (!name.startsWith(prefix)) continue;
    const directory = path.join(os.tmpdir(), name);
    try {
      const runner = Number(fs.readFileSync(path.join(directory, "runner.pid"), "utf8"));
      if (!Number.isInteger(runner) || runner <= 0 || killIfAlive(runner, 0)) continue;
      const postmaster = path.join(directory, "data", "postmaster.pid");
      const pid = fs.existsSync(postmaster) ? Number(fs.readFileSync(postmaster, "utf8").split("\n")[0]) : 0;
      // Only if it still is what the file says: process numbers are used again.
      if (pid > 0 && fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(directory)) killIfAlive(pid, "SIGQUIT");
      fs.rmSync(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
    } catch {
      // Somebody else's, or being made or removed at this moment.
    }
  }
}
