/** One process with channels, seen from the main process. */

import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { createGate } from "./gate.js";
import type { ChannelJob, ChannelResult, ToChannels, ToMain } from "./messages.js";

export class ChannelProcess {
  /** Every channel of it has delivered once. */
  readonly delivering: Promise<void>;
  readonly #result: Promise<ChannelResult>;
  readonly #process: ChildProcess;

  constructor(job: ChannelJob) {
    // "advanced" lets Maps travel between the processes.
    this.#process = fork(fileURLToPath(new URL("./channels.js", import.meta.url)), { serialization: "advanced" });
    const delivering = createGate<void>();
    const result = createGate<ChannelResult>();
    const fail = (error: Error) => {
      delivering.reject(error);
      result.reject(error);
    };
    this.#process.on("message", (message: ToMain) => {
      if (message.type === "delivering") delivering.open();
      if (message.type === "result") result.open(message.result);
      if (message.type === "failed") fail(new Error(`a process with channels failed: ${message.message}`));
    });
    this.#process.on("error", fail);
    this.#process.on("exit", (code, signal) => fail(new Error(`a process with channels ended: ${signal ?? code}`)));
    // Whoever waits for one of them gets the failure; nobody has to wait for both.
    delivering.opened.catch(() => {});
    result.opened.catch(() => {});
    this.delivering = delivering.opened;
    this.#result = result.opened;
    this.#tell({ type: "start", job });
  }

  stop(): Promise<ChannelResult> {
    this.#tell({ type: "stop" });
    return this.#result;
  }

  /** For the case that something else failed. */
  kill(): void {
    if (this.#process.connected) this.#process.kill();
  }

  #tell(message: ToChannels): void {
    if (this.#process.connected) this.#process.send(message, () => {});
  }
}
