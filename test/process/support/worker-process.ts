/** A process of `store-worker.ts`, as its parent sees it. */

import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Commands } from "./store-worker.js";

const program = fileURLToPath(new URL("./store-worker.js", import.meta.url));

type Parameters<Name extends keyof Commands> = Commands[Name] extends (parameters: infer Given) => unknown
  ? Given
  : never;
type Result<Name extends keyof Commands> = Awaited<ReturnType<Commands[Name]>>;

/** What a command of a worker failed with. */
export class WorkerError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

export class WorkerProcess implements AsyncDisposable {
  readonly child: ChildProcess;
  /** Resolves when the process has ended and everything that it said was heard. */
  readonly ended: Promise<void>;
  /** How often each thing was said, as "kind subject". */
  readonly said = new Map<string, number>();
  readonly #answers = new Map<number, { resolve: (result: never) => void; reject: (error: Error) => void }>();
  readonly #listeners = new Set<(kind: string, subject: string) => void>();
  #commands = 0;

  static async start(options: { uid?: number } = {}): Promise<WorkerProcess> {
    const worker = new WorkerProcess(options);
    await worker.hears("ready");
    return worker;
  }

  private constructor(options: { uid?: number }) {
    this.child = fork(program, [], {
      stdio: ["ignore", "pipe", "inherit", "ipc"],
      ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
    });
    this.child.on("error", () => {}); // A command to a process that was killed; `ended` tells.
    this.ended = new Promise((resolve) => {
      this.child.once("close", () => {
        for (const { reject } of this.#answers.values()) reject(new WorkerError("killed", "the process ended"));
        this.#answers.clear();
        for (const listener of this.#listeners) listener("ended", "");
        resolve();
      });
    });
    let unfinished = "";
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      const lines = (unfinished + text).split("\n");
      unfinished = lines.pop() as string;
      for (const line of lines) this.#hear(...(JSON.parse(line) as [string, unknown, unknown]));
    });
  }

  call<Name extends keyof Commands>(
    name: Name,
    ...parameters: unknown extends Parameters<Name> ? [] : [Parameters<Name>]
  ): Promise<Result<Name>> {
    const id = ++this.#commands;
    const answer = new Promise<Result<Name>>((resolve, reject) => {
      this.#answers.set(id, { resolve, reject });
    });
    this.child.send({ id, name, parameters: parameters[0] ?? {} }, () => {});
    return answer;
  }

  /** Resolves when the worker says something of this kind for the `times`-th time from now on; rejects when it ends. */
  hears(kind: string, times = 1): Promise<void> {
    return new Promise((resolve, reject) => {
      let left = times;
      const listener = (heard: string) => {
        if (heard === kind) left -= 1;
        if (left > 0 && heard !== "ended") return;
        this.#listeners.delete(listener);
        if (left === 0) resolve();
        else reject(new WorkerError("killed", `the process ended before it said "${kind}"`));
      };
      this.#listeners.add(listener);
    });
  }

  count(kind: string, key: string): number {
    return this.said.get(`${kind} ${key}`) ?? 0;
  }

  /** The subjects of everything of this kind. */
  subjects(kind: string): string[] {
    return [...this.said.keys()]
      .filter((said) => said.startsWith(`${kind} `))
      .map((said) => said.slice(kind.length + 1));
  }

  async kill(): Promise<void> {
    this.child.kill("SIGKILL");
    await this.ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  #hear(kind: string, subject: unknown, more: unknown): void {
    if (kind === "done" || kind === "failed") {
      const answer = this.#answers.get(subject as number);
      this.#answers.delete(subject as number);
      if (kind === "done") answer?.resolve((more ?? undefined) as never);
      const failure = more as { code: string; message: string };
      if (kind === "failed") answer?.reject(new WorkerError(failure.code, failure.message));
      return;
    }
    const said = `${kind} ${subject}`;
    this.said.set(said, (this.said.get(said) ?? 0) + 1);
    for (const listener of [...this.#listeners]) listener(kind, subject as string);
  }
}

export function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
