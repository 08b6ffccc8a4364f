/**
 * Entry values: what comes from a caller is checked and copied in one pass into a private, deep-frozen JSON object;
 * what comes from `JSON.parse` is frozen in place. Both are then shared between all readers without cloning.
 *
 * Every object made here is registered with its size and depth, so a value that was frozen before and comes back
 * inside another one - the usual `{ ...current, updatedAt }` - is neither walked nor copied again. Of parsed JSON only the
 * outermost object is: registering each part costs more than parsing it, and a field that an update puts together
 * from such parts is written as a whole anyway.
 *
 * Relies on nothing. Promises: no getter is read twice, no prototype is ever written to, an own `__proto__` field
 * survives as data, the caller's object is never frozen or changed. Symbol-keyed and non-enumerable properties are
 * not part of JSON and are left out, like fields that are `undefined`.
 */

import type { FrozenEntry } from "../contract.js";
import { SessionStoreError, shortenKey } from "../errors.js";
import { limitCaps } from "../limits.js";
import { describe, formatPath } from "./refused-value.js";

export interface ValueLimits {
  /** Levels of nesting; the entry itself is level 1. */
  readonly nestingLevels: number;
  /** Bytes of the entry as JSON. */
  readonly entryBytes: number;
}

/** A private deep-frozen copy of an entry. Throws `invalid_entry` with the path, or `limit_exceeded`. */
export function privatizeEntry(value: unknown, limits: ValueLimits): FrozenEntry {
  return new Copier(limits).entry(value);
}

/**
 * Like `privatizeEntry` for an entry that was made from `base`, as a difference: fields that are still those of `base`
 * are neither copied nor looked into, which makes a small change of a large entry cheap. The fields in `set` may be
 * equal to those of `base`; `patch.ts` compares them.
 */
export function privatizeChanges(value: unknown, base: FrozenEntry, limits: ValueLimits): PrivateFields {
  const next = isPlainObject(value) ? value : new Copier(limits).plainObject(value);
  const changed: Record<string, unknown> = {};
  let absent: Set<string> | undefined;
  let shared = 0;
  /** Of the changed fields: what to look into or to measure, which most changes have nothing of. */
  let hasOthers = false;
  let characters = 0;
  for (const name of Object.keys(next)) {
    const field = next[name];
    if (field === undefined) {
      absent ??= new Set();
      absent.add(name);
      // Inherited values (`constructor`, `__proto__`) are functions or the one prototype, so they are never skipped.
    } else if (field === base[name] && typeof field !== "function" && field !== Object.prototype) {
      shared++;
    } else {
      if (Object.hasOwn(base, name)) shared++;
      // 0 may be -0, which JSON does not tell from it.
      setField(changed, name, field === 0 ? 0 : field);
      if (typeof field === "string") characters += field.length;
      else if (typeof field !== "boolean" && field !== null && !Number.isFinite(field)) hasOthers = true;
    }
  }
  const isSimple = !hasOthers && characters <= limits.entryBytes;
  const set = isSimple ? Object.freeze(changed) : new Copier(limits).fieldsOf(next, changed);
  const names = Object.keys(base);
  if (shared === names.length) return { set, unset: noNames };
  return { set, unset: names.filter((name) => absent?.has(name) || !Object.hasOwn(next, name)) };
}

const noNames: readonly string[] = Object.freeze([]);

export interface PrivateFields {
  readonly set: FrozenEntry;
  readonly unset: readonly string[];
}

/** Like `privatizeEntry` for the fields of a patch, where `undefined` means "remove this field". */
export function privatizeFields(value: unknown, limits: ValueLimits): PrivateFields {
  const copier = new Copier(limits);
  const set = copier.entry(value);
  const unset: string[] = [];
  for (const name of Object.keys(value as object)) {
    if (!Object.hasOwn(set, name)) unset.push(name);
  }
  return { set, unset };
}

/**
 * Freezes the result of `JSON.parse` in place and registers it. It must be nobody else's. Throws `invalid_entry` for
 * what JSON text can say but an entry cannot hold: too many levels, or a number out of range (`1e999`).
 */
export function freezeParsedJson<Value>(value: Value, nestingLevelsMax: number = limitCaps.nestingLevels): Value {
  if (typeof value === "object" && value !== null) registerParsed(value, 1, nestingLevelsMax);
  return value;
}

/** True for what is registered: deep-frozen, plain JSON, shared by nobody who could change it. */
export function isOurFrozen(value: unknown): boolean {
  return typeof value === "object" && value !== null && registry.has(value);
}

/**
 * Freezes an object whose field values are all private already (primitives or registered values) and registers it.
 * For objects put together from parts of others, as a patch does.
 */
export function registerShallow(entry: Record<string, unknown>): FrozenEntry {
  let bytes = 2;
  let levels = 1;
  for (const name of Object.keys(entry)) {
    const field = fieldMeasure(name, entry[name]);
    bytes += field.bytes;
    if (field.levels >= levels) levels = field.levels + 1;
  }
  return register(entry, bytes, levels);
}

/** `registerShallow` for `base` with the fields of `set` over it, looking only at these. */
export function registerOver(entry: Record<string, unknown>, base: FrozenEntry, set: FrozenEntry): FrozenEntry {
  const baseMeasure = registry.get(base);
  if (baseMeasure === undefined) return registerShallow(entry);
  let { bytes, levels } = baseMeasure;
  for (const name of Object.keys(set)) {
    if (Object.hasOwn(base, name)) {
      const replaced = fieldMeasure(name, base[name]);
      // The deepest field may be gone: look at all of them.
      if (replaced.levels > 0 && replaced.levels + 1 === baseMeasure.levels) return registerShallow(entry);
      bytes -= replaced.bytes;
    }
    const field = fieldMeasure(name, set[name]);
    bytes += field.bytes;
    if (field.levels >= levels) levels = field.levels + 1;
  }
  return register(entry, bytes, levels);
}

/**
 * Bytes of a value as compact JSON, about: exact for ASCII text without escapes, never too high by more than a byte
 * per container, and never below a sixth of the truth (a character takes at most six bytes, as `\u0000`).
 */
export function estimateJsonBytes(value: unknown): number {
  if (typeof value !== "object" || value === null) return primitiveBytes(value);
  const known = registry.get(value);
  if (known !== undefined) return known.bytes;
  let bytes = 2;
  for (const [name, part] of Object.entries(value)) {
    bytes += estimateJsonBytes(part) + (Array.isArray(value) ? 1 : name.length + 4);
  }
  return bytes;
}

/** Sets a field as data, whatever its name: assigning to `__proto__` would replace the prototype instead. */
export function setField(target: Record<string, unknown>, name: string, value: unknown): void {
  if (name === "__proto__") {
    Object.defineProperty(target, name, { value, enumerable: true, configurable: true, writable: true });
  } else {
    target[name] = value;
  }
}

// --- copying -------------------------------------------------------------------------------------------------------

interface Measure {
  readonly bytes: number;
  readonly levels: number;
}

const registry = new WeakMap<object, Measure>();

function register<Value extends object>(value: Value, bytes: number, levels: number): Readonly<Value> {
  Object.freeze(value);
  registry.set(value, { bytes, levels });
  return value;
}

class Copier {
  readonly #limits: ValueLimits;
  /** The containers around the value at hand and the names that lead down to it: for messages. */
  readonly #ancestors: object[] = [];
  readonly #path: (string | number)[] = [];
  #bytes = 0;
  /** Levels below and including the container that was copied last. */
  #levels = 0;

  constructor(limits: ValueLimits) {
    this.#limits = limits;
  }

  entry(value: unknown): FrozenEntry {
    return this.#container(this.plainObject(value)) as FrozenEntry;
  }

  /**
   * Makes the values of `fields`, an object of ours with fields of `source`, private, and freezes it. It is not
   * registered: it lives as long as its commit is journaled and is never part of an entry.
   */
  fieldsOf(source: object, fields: Record<string, unknown>): FrozenEntry {
    this.#ancestors.push(source);
    this.#count(2);
    for (const name of Object.keys(fields)) this.#field(fields, name);
    this.#ancestors.pop();
    return Object.freeze(fields);
  }

  plainObject(value: unknown): Record<string, unknown> {
    if (typeof value !== "object" || value === null) this.#refuse(`is ${describe(value)}, not an object`);
    if (Array.isArray(value)) this.#refuse("is an array, not an object");
    if (!isPlainObject(value)) this.#refuse(`is ${describe(value)}, not a plain JSON object`);
    return value;
  }

  #container(source: object): object {
    const level = this.#ancestors.length + 1;
    const known = registry.get(source);
    if (known !== undefined) {
      if (level + known.levels - 1 > this.#limits.nestingLevels) this.#refuseDepth(source);
      this.#count(known.bytes);
      this.#levels = known.levels;
      return source;
    }
    if (level > this.#limits.nestingLevels) this.#refuseDepth(source);
    this.#ancestors.push(source);
    const copy = Array.isArray(source) ? this.#array(source) : this.#object(this.plainObject(source));
    this.#ancestors.pop();
    return copy;
  }

  #object(source: Record<string, unknown>): object {
    const start = this.#bytes;
    this.#count(2);
    let levels = 0;
    // Spreading keeps the engine's fast layout, which building field by field loses - and with it a factor of ten on
    // every later `{ ...current }`. It reads each getter once and takes an own `__proto__` as data.
    const copy: Record<string, unknown> = { ...source };
    let dropped = false;
    for (const name of Object.keys(copy)) {
      const value = copy[name];
      if (value === undefined) {
        dropped = true;
        continue;
      }
      this.#field(copy, name);
      if (typeof value === "object" && this.#levels > levels) levels = this.#levels;
    }
    this.#levels = levels + 1;
    return register(dropped ? withoutUndefined(copy) : copy, this.#bytes - start, this.#levels);
  }

  #field(target: Record<string, unknown>, name: string): void {
    const value = target[name];
    this.#count(name.length + 4);
    const checked = this.#value(value, name);
    // 0 may have been -0, which compares equal.
    if (checked !== value || checked === 0) setField(target, name, checked);
  }

  #array(source: readonly unknown[]): object {
    if (Object.getPrototypeOf(source) !== Array.prototype) this.#refuse(`is ${describe(source)}, not a plain array`);
    const start = this.#bytes;
    this.#count(2);
    let levels = 0;
    const copy: unknown[] = [];
    const { length } = source;
    for (let index = 0; index < length; index++) {
      const value = source[index];
      this.#count(1);
      copy.push(this.#value(value, index));
      if (typeof value === "object" && this.#levels > levels) levels = this.#levels;
    }
    this.#levels = levels + 1;
    return register(copy, this.#bytes - start, this.#levels);
  }

  #value(value: unknown, name: string | number): unknown {
    switch (typeof value) {
      case "string":
      case "boolean":
        this.#count(primitiveBytes(value));
        return value;
      case "number":
        if (!Number.isFinite(value)) this.#refuse(`is ${value}, which JSON cannot hold`, name);
        this.#count(primitiveBytes(value));
        return value === 0 ? 0 : value;
      case "object": {
        this.#levels = 0;
        if (value === null) {
          this.#count(4);
          return null;
        }
        this.#path.push(name);
        const copy = this.#container(value);
        this.#path.pop();
        return copy;
      }
      default:
        return this.#refuse(`is ${describe(value)}, which JSON cannot hold`, name);
    }
  }

  /** The estimate is never above the truth by more than commas, so this ends runaway input (a value that contains one
   * array many times over) early; the exact check comes later. */
  #count(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > this.#limits.entryBytes * 2 + 1024) {
      throw new SessionStoreError(
        "limit_exceeded",
        `the entry has more than ${this.#limits.entryBytes} bytes, the limit (entryBytes)`,
        { nextStep: "Keep large content outside the session entry, or raise the limit." },
      );
    }
  }

  #refuseDepth(value: object): never {
    if (this.#ancestors.includes(value)) this.#refuse("refers back to an object around it (a cycle)");
    return this.#refuse(`is nested too deep: the limit (nestingLevels) is ${this.#limits.nestingLevels} levels`);
  }

  #refuse(problem: string, last?: string | number): never {
    const path = last === undefined ? this.#path : [...this.#path, last];
    throw new SessionStoreError("invalid_entry", `${formatPath(path)} ${problem}`);
  }
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  // An array whose prototype was replaced is still an array.
  return (prototype === Object.prototype || prototype === null) && !Array.isArray(value);
}

function withoutUndefined(source: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(source).filter(([, value]) => value !== undefined));
}

function fieldMeasure(name: string, value: unknown): Measure {
  if (typeof value !== "object" || value === null) return { bytes: name.length + 4 + primitiveBytes(value), levels: 0 };
  const measure = registry.get(value) ?? registerParsed(value, 2, limitCaps.nestingLevels);
  return { bytes: name.length + 4 + measure.bytes, levels: measure.levels };
}

// --- freezing in place ---------------------------------------------------------------------------------------------

function registerParsed(value: object, level: number, levelsMax: number): Measure {
  const measure = freezeInPlace(value, level, levelsMax);
  registry.set(value, measure);
  return measure;
}

function freezeInPlace(value: object, level: number, levelsMax: number): Measure {
  const known = registry.get(value);
  if (known !== undefined) return known;
  if (level > levelsMax) {
    throw new SessionStoreError("invalid_entry", `the value is nested too deep: the limit is ${levelsMax} levels`);
  }
  let bytes = 2;
  let levels = 1;
  const isArray = Array.isArray(value);
  const names = isArray ? undefined : Object.keys(value);
  const count = names === undefined ? (value as unknown[]).length : names.length;
  for (let index = 0; index < count; index++) {
    const name = names === undefined ? index : names[index]!;
    const part = (value as Record<string | number, unknown>)[name];
    bytes += names === undefined ? 1 : names[index]!.length + 4;
    if (typeof part === "object" && part !== null) {
      const measure = freezeInPlace(part, level + 1, levelsMax);
      bytes += measure.bytes;
      if (measure.levels >= levels) levels = measure.levels + 1;
    } else {
      if (typeof part === "number" && !Number.isFinite(part)) {
        throw new SessionStoreError(
          "invalid_entry",
          `the field ${typeof name === "number" ? name : shortenKey(name)} holds a number out of range`,
        );
      }
      bytes += primitiveBytes(part);
    }
  }
  Object.freeze(value);
  return { bytes, levels };
}

// --- small helpers -------------------------------------------------------------------------------------------------

function primitiveBytes(value: unknown): number {
  if (typeof value === "string") return value.length + 2;
  if (typeof value === "number") return numberBytes(value);
  return value === false ? 5 : 4;
}

/** Counting digits by comparison is many times cheaper than making a string of them. */
function numberBytes(value: number): number {
  if (!Number.isSafeInteger(value)) return String(value).length;
  let digits = value < 0 ? 2 : 1;
  for (let rest = Math.abs(value); rest >= 10; rest /= 10) digits++;
  return digits;
}
