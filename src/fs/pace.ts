/** Keeps long work from blocking the event loop: after each slice of about 2 ms, others get their turn. */

import type { Port } from "./port.js";

const sliceMs = 2;

export class Pace {
  private readonly port: Port;
  private lastYieldMs: number;

  constructor(port: Port) {
    this.port = port;
    this.lastYieldMs = port.monotonicMs();
  }

  /** A promise when it is time to let others run, otherwise nothing. */
  breathe(): Promise<void> | undefined {
    if (this.port.monotonicMs() - this.lastYieldMs < sliceMs) return undefined;
    return this.port.yieldToEventLoop().then(() => {
      this.lastYieldMs = this.port.monotonicMs();
    });
  }
}
