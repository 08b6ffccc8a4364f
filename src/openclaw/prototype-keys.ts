/**
 * Session keys are data, and `__proto__` is one of them. The gateway's stores are plain objects, so reading and
 * writing a key must never reach the prototype: these helpers are the only way this folder does either.
 */

/** True for exactly `__proto__`, `prototype` and `constructor`. */
export function isBlockedObjectKey(key: string): boolean {
  return key === "__proto__" || key === "prototype" || key === "constructor";
}

/** The record's own value; what the prototype has does not count. */
export function ownValue<T>(record: Readonly<Record<string, T>> | null | undefined, key: string): T | undefined {
  return record !== null && record !== undefined && Object.hasOwn(record, key) ? record[key] : undefined;
}

/** Sets an own value, whatever the key is called. A record that watches its writes sees an ordinary assignment. */
export function setOwnValue<T>(record: Record<string, T>, key: string, value: T): void {
  if (key === "__proto__")
    Object.defineProperty(record, key, { value, writable: true, enumerable: true, configurable: true });
  else record[key] = value;
}

/** An empty store that has no prototype to collide with. */
export function emptyRecord<T>(): Record<string, T> {
  return Object.create(null) as Record<string, T>;
}
