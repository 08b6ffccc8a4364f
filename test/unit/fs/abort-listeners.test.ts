/** One listener on a signal for many calls, whatever kind of signal it is. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { onAborted } from "../../../src/fs/abort-listeners.js";

test("a signal of another realm that calls its listeners as plain functions reaches everybody who waits", () => {
  const added: (() => void)[] = [];
  const signal = {
    aborted: false,
    addEventListener: (_: string, listener: () => void) => void added.push(listener),
    removeEventListener: (_: string, listener: () => void) => void added.splice(added.indexOf(listener), 1),
  } as unknown as AbortSignal;
  const heard: string[] = [];
  const letGo = ["a", "b", "c"].map((name) => onAborted(signal, () => heard.push(name)));
  letGo[1]?.();
  for (const listener of [...added]) listener();
  assert.deepEqual(heard, ["a", "c"]);
  for (const release of letGo) release();
  assert.deepEqual(added, []);
});

test("who is let go of twice takes nobody else's listener away", () => {
  const controller = new AbortController();
  const heard: string[] = [];
  const first = onAborted(controller.signal, () => heard.push("first"));
  first();
  onAborted(controller.signal, () => heard.push("second"));
  first();
  controller.abort();
  assert.deepEqual(heard, ["second"]);
});
