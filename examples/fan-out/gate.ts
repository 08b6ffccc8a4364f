/** A promise that is opened from outside. */

export interface Gate<Value> {
  readonly opened: Promise<Value>;
  readonly open: (value: Value) => void;
  readonly reject: (error: Error) => void;
}

export function createGate<Value>(): Gate<Value> {
  let open: Gate<Value>["open"] = () => {};
  let reject: Gate<Value>["reject"] = () => {};
  const opened = new Promise<Value>((resolve, fail) => {
    open = resolve;
    reject = fail;
  });
  return { opened, open, reject };
}
