/** A process of writer.ts, as its supervisor sees it. */

import { type ChildProcess, fork, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Said, WriterLife } from "./sessions.js";

const program = fileURLToPath(new URL("./writer.js", import.meta.url));

export class WriterProcess implements AsyncDisposable {
  readonly child: ChildProcess;
  /** Resolves when the process has ended and everything that it said was heard. */
  readonly ended: Promise<void>;
  readonly #listeners = new Set<(said: Said | undefined) => void>();
  readonly #hear: (said: Said) => void;
  #over = false;

  /** `limits`: what a shell sets before it becomes the program, for example "ulimit -n 40". */
  static async start(hear: (said: Said) => void, limits?: string): Promise<WriterProcess> {
    const writer = new WriterProcess(hear, limits);
    await writer.says("ready");
    return writer;
  }

  private constructor(hear: (said: Said) => void, limits: string | undefined) {
    this.#hear = hear;
    const stdio: ["ignore", "pipe", "inherit", "ipc"] = ["ignore", "pipe", "inherit", "ipc"];
    this.child =
      limits === undefined
        ? fork(program, [], { stdio })
        : spawn("sh", ["-c", `${limits} && exec "$0" "$1"`, process.execPath, program], { stdio });
    this.child.on("error", () => {}); // A message to a process that was killed; `ended` tells.
    this.ended = new Promise((resolve) => {
      this.child.once("close", () => {
        this.#over = true;
        for (const listener of [...this.#listeners]) listener(undefined);
        resolve();
      });
    });
    let unfinished = "";
    this.child.stdout!.setEncoding("utf8").on("data", (text: string) => {
      const lines = (unfinished + text).split("\n");
      unfinished = lines.pop()!;
      for (const line of lines) this.#heard(JSON.parse(line) as Said);
    });
  }

  begin(life: WriterLife): void {
    this.child.send(life, () => {});
  }

  /** Begins a life that ends by itself, and waits for its end. */
  async liveThrough(life: WriterLife): Promise<void> {
    const finished = this.says("finished");
    this.begin(life);
    if (!(await finished)) throw new Error(`the writer of slot ${life.slot} ended before its work was done`);
  }

  /** Resolves when it says that for the `times`-th time from now on, or has ended; true when it said it. */
  says(kind: Said[0], times = 1): Promise<boolean> {
    return new Promise((resolve) => {
      let left = times;
      const listener = (said: Said | undefined) => {
        if (said?.[0] === kind) left -= 1;
        const over = said === undefined || said[0] === "broke";
        if (left > 0 && !over) return;
        this.#listeners.delete(listener);
        resolve(left <= 0);
      };
      if (this.#over) resolve(false);
      else this.#listeners.add(listener);
    });
  }

  async kill(): Promise<void> {
    this.child.kill("SIGKILL");
    await this.ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  #heard(said: Said): void {
    this.#hear(said);
    for (const listener of [...this.#listeners]) listener(said);
  }
}
