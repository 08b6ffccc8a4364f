/**
 * A channel between a worker and its coordinator in shared memory: the worker asks and blocks until it has the answer.
 * A round trip costs a few microseconds, against 30 or more with messages.
 *
 * Only one of the two runs at any time: the one whose turn it is owns the memory. A message is JSON with an optional
 * attachment of bytes.
 */

export interface Message {
  readonly json: unknown;
  readonly bytes: Uint8Array;
}

const headerBytes = 64;
/** Virtual memory; what is never written costs nothing. */
const messageBytesMax = 64 * 1024 * 1024;
const workerHasTurn = 0;
const coordinatorHasTurn = 1;
const noBytes = new Uint8Array(0);

export function makeChannelMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(headerBytes + messageBytesMax);
}

abstract class ChannelEnd {
  readonly #header: Int32Array;
  readonly #body: Buffer;

  constructor(memory: SharedArrayBuffer) {
    this.#header = new Int32Array(memory, 0, headerBytes / 4);
    this.#body = Buffer.from(memory, headerBytes);
  }

  protected passTurn(to: number, json: unknown, bytes: Uint8Array = noBytes): void {
    const text = JSON.stringify(json) ?? "null";
    if (text.length * 3 + bytes.length > this.#body.length) throw new Error("channel: the message is too large");
    const jsonBytes = this.#body.write(text, 0, "utf8");
    this.#body.set(bytes, jsonBytes);
    this.#header[1] = jsonBytes;
    this.#header[2] = bytes.length;
    Atomics.store(this.#header, 0, to);
    Atomics.notify(this.#header, 0);
  }

  /**
   * Blocks until it is my turn; false after `timeoutMs`. Without spinning before: that is faster on an idle machine only,
   * and takes the cores from those who have the turn on a busy one.
   */
  protected awaitTurn(mine: number, timeoutMs = Number.POSITIVE_INFINITY): boolean {
    while (Atomics.load(this.#header, 0) !== mine) {
      if (Atomics.wait(this.#header, 0, 1 - mine, timeoutMs) === "timed-out") return false;
    }
    return true;
  }

  /** The bytes are a view of the shared memory, good until the turn is passed on. */
  protected message(): Message {
    const jsonBytes = this.#header[1]!;
    const json: unknown = JSON.parse(this.#body.toString("utf8", 0, jsonBytes));
    return { json, bytes: this.#body.subarray(jsonBytes, jsonBytes + this.#header[2]!) };
  }
}

export class WorkerEnd extends ChannelEnd {
  /** Asks, and blocks this thread until the answer is there. */
  call(json: unknown, bytes?: Uint8Array): Message {
    this.passTurn(coordinatorHasTurn, json, bytes);
    this.awaitTurn(workerHasTurn);
    return this.message();
  }
}

export class CoordinatorEnd extends ChannelEnd {
  /** Blocks this thread until the worker asks; undefined when it does not within `timeoutMs`. */
  receive(timeoutMs: number): Message | undefined {
    return this.awaitTurn(coordinatorHasTurn, timeoutMs) ? this.message() : undefined;
  }

  /** Lets the worker go on. */
  answer(json: unknown, bytes?: Uint8Array): void {
    this.passTurn(workerHasTurn, json, bytes);
  }
}
