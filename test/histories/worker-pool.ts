/** Processes of worker.ts, kept from one history to the next: starting one costs more than a short history. */

import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Recorder } from "./client.js";
import type { WorkerJob } from "./worker.js";

const program = fileURLToPath(new URL("./worker.js", import.meta.url));

/** No job takes that long, on any machine: who does hangs. */
const jobWaitMs = 120_000;

export class HistoryWorker {
  readonly #child: ChildProcess;
  readonly #ready: Promise<void>;
  readonly #ended: Promise<void>;
  #becomeReady = () => {};
  #recorder: (Recorder & { finish: (how: "finished" | "killed" | Error) => void }) | undefined;
  dead = false;

  constructor() {
    this.#child = fork(program, [], { stdio: ["ignore", "pipe", "inherit", "ipc"] });
    this.#child.on("error", () => {}); // A job for a process that was killed; its end tells.
    this.#ready = new Promise((resolve) => {
      this.#becomeReady = resolve;
    });
    this.#ended = new Promise((resolve) => {
      this.#child.once("close", () => {
        this.dead = true;
        this.#recorder?.finish("killed");
        this.#becomeReady();
        resolve();
      });
    });
    let unfinished = "";
    this.#child.stdout!.setEncoding("utf8").on("data", (text: string) => {
      const lines = (unfinished + text).split("\n");
      unfinished = lines.pop()!;
      for (const line of lines) this.#hear(JSON.parse(line) as [string, ...never[]]);
    });
  }

  async ready(): Promise<this> {
    await this.#ready;
    return this;
  }

  /** Resolves when it has finished or was killed. */
  async run(job: WorkerJob, recorder: Recorder): Promise<"finished" | "killed"> {
    let patience: NodeJS.Timeout | undefined;
    const how = await new Promise<"finished" | "killed" | Error>((finish) => {
      patience = setTimeout(() => finish(new Error("a process hangs: its work takes too long")), jobWaitMs);
      this.#recorder = { ...recorder, finish };
      if (this.dead) finish("killed");
      else this.#child.send(job, () => {});
    });
    clearTimeout(patience);
    this.#recorder = undefined;
    if (how instanceof Error) throw how;
    return how;
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }

  #hear([kind, ...parts]: [string, ...never[]]): void {
    if (kind === "ready") this.#becomeReady();
    if (kind === "called") this.#recorder?.called(...(parts as unknown as Parameters<Recorder["called"]>));
    if (kind === "returned") this.#recorder?.returned(...(parts as unknown as Parameters<Recorder["returned"]>));
    if (kind === "finished") this.#recorder?.finish("finished");
    if (kind === "broke") this.#recorder?.finish(new Error(String(parts[0])));
  }
}

export class HistoryWorkers implements AsyncDisposable {
  #idle: HistoryWorker[] = [];

  /** So many workers, for the time of `body`; killed ones are replaced. */
  async use<Result>(count: number, body: (workers: readonly HistoryWorker[]) => Promise<Result>): Promise<Result> {
    const workers = Array.from({ length: count }, () => this.#idle.pop() ?? new HistoryWorker());
    try {
      return await body(await Promise.all(workers.map((worker) => worker.ready())));
    } catch (error) {
      // They may still be at work.
      await Promise.all(workers.map((worker) => worker.kill()));
      throw error;
    } finally {
      this.#idle.push(...workers.filter(({ dead }) => !dead));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#idle.map((worker) => worker.kill()));
    this.#idle = [];
  }
}
