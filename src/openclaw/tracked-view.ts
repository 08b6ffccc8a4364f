/**
 * What the callback of `updateSessionStore` gets: it looks like the plain object that the gateway knows, but a session is
 * read only when it is touched, and only what was touched is compared and written.
 *
 * It is a proxy in front of a plain object that fills up as sessions are touched, so that every operation - `in`,
 * `delete`, spread, `Object.entries`, `defineProperty`, `JSON.stringify` - ends on a real object with real properties.
 * Values are private copies: what is changed inside them is found by comparing. What a proxy cannot do is be cloned by
 * `structuredClone` (the engine refuses proxies); `plain()` gives the whole store as the plain object itself for that,
 * and update.ts calls for it when it is needed.
 *
 * Which reads count: a session that was read by name, or written, is *relied on*, and the commit checks that it is still
 * what it was. One that was only met while everything was enumerated is not: otherwise whoever looks through the store
 * would conflict with everybody. The order of traps tells the two apart, and in doubt a read counts.
 */

import type { FrozenEntry } from "../contract.js";
import { SessionStoreError } from "../errors.js";
import { cloneJson } from "./json-clone.js";
import { normalizeStoreSessionKey } from "./key-normalization.js";
import { setOwnValue } from "./prototype-keys.js";
import type { ReadSource, StoredSession } from "./read-sources.js";
import { applySessionStoreMigrations, normalizeSessionEntry } from "./store-normalize.js";
import type { SessionEntry } from "./types.js";

type Store = Record<string, SessionEntry>;

export interface TouchedSession {
  /** As it is stored; undefined when there is none of this name. */
  readonly stored: StoredSession | undefined;
  /** As the callback found it, normalised. Its fields are the stored values. */
  readonly found: SessionEntry | undefined;
  /** As the callback left it; undefined when it is gone. */
  readonly left: unknown;
  readonly isReliedOn: boolean;
}

interface Touch {
  readonly stored: StoredSession | undefined;
  /** Why it cannot be read. Enumerations pass it over; whoever names it hears of it. */
  readonly damage: SessionStoreError | undefined;
  isReliedOn: boolean;
}

const views = new WeakMap<object, TrackedView>();
const inspectSymbol = Symbol.for("nodejs.util.inspect.custom");

/** The view behind a store that a callback was given; undefined for any other object. */
export function trackedViewOf(store: object): TrackedView | undefined {
  return views.get(store);
}

export class TrackedView {
  readonly store: Store;
  readonly #source: ReadSource;
  readonly #target: Store;
  readonly #touched = new Map<string, Touch>();
  #names: readonly string[] | undefined;
  /** Names of the source that were deleted once: when they come back they stand behind the others. */
  readonly #moved = new Set<string>();
  #enumeration: Enumeration | undefined;

  constructor(source: ReadSource) {
    this.#source = source;
    // Whoever prints a proxy sees the object behind it; this is how he sees the store.
    const shown = { [inspectSymbol]: { value: () => this.plain() } };
    this.#target = Object.create(Object.create(Object.prototype, shown) as object) as Store;
    this.store = new Proxy(this.#target, this.#traps());
    views.set(this.store, this);
  }

  /** The whole store as an ordinary object, in place of `store`, in the order in which the view shows it. */
  plain(): Store {
    const target = this.#target;
    const keys = this.#ownKeys();
    for (const name of this.#sourceNames()) this.#touch(name, false);
    if (!Object.isExtensible(target)) return target;
    if (Reflect.ownKeys(target).some((key, at) => key !== keys[at])) {
      for (const key of keys) {
        const property = Reflect.getOwnPropertyDescriptor(target, key);
        if (property?.configurable && Reflect.deleteProperty(target, key)) Object.defineProperty(target, key, property);
      }
    }
    Object.setPrototypeOf(target, Object.prototype);
    return target;
  }

  /** The names that are spellings of a normalised key, without a look at any other session. */
  spellingsOf(key: string): string[] {
    const names = new Set(this.#source.spellings(key));
    for (const name of Object.keys(this.#target)) if (normalizeStoreSessionKey(name) === key) names.add(name);
    for (const name of names) this.#touch(name, true);
    return [...names].filter((name) => Object.hasOwn(this.#target, name));
  }

  /** Everything that was touched, by the name it was touched by. */
  touched(): Map<string, TouchedSession> {
    // On the plain object nobody saw what was added.
    for (const name of Object.keys(this.#target)) this.#touch(name, false);
    // What was written under another spelling takes the place of what is stored under this one.
    for (const name of [...this.#touched.keys()]) {
      for (const spelling of this.#source.spellings(normalizeStoreSessionKey(name))) this.#touch(spelling, false);
    }
    const all = new Map<string, TouchedSession>();
    for (const [name, { stored, damage, isReliedOn }] of this.#touched) {
      if (damage !== undefined) {
        if (Object.hasOwn(this.#target, name)) throw damage;
        continue;
      }
      const left = Object.hasOwn(this.#target, name) ? this.#target[name] : undefined;
      all.set(name, { stored, found: stored && normalForm(stored.entry), left, isReliedOn });
    }
    return all;
  }

  #touch(name: string, isReliedOn: boolean): void {
    const known = this.#touched.get(name);
    if (known !== undefined) {
      if (known.damage !== undefined && isReliedOn) throw known.damage;
      known.isReliedOn ||= isReliedOn;
      return;
    }
    const { stored, damage } = this.#read(name, isReliedOn);
    this.#touched.set(name, { stored, damage, isReliedOn });
    if (stored !== undefined && !Object.hasOwn(this.#target, name)) {
      setOwnValue(this.#target, name, toCallerEntry(stored.entry));
    }
  }

  #read(name: string, isReliedOn: boolean): Pick<Touch, "stored" | "damage"> {
    try {
      return { stored: this.#source.read(name), damage: undefined };
    } catch (error) {
      const isDamage = error instanceof SessionStoreError && error.code === "entry_damaged";
      if (!isDamage || isReliedOn) throw error;
      return { stored: undefined, damage: error };
    }
  }

  #sourceNames(): readonly string[] {
    this.#names ??= this.#source.names();
    return this.#names;
  }

  /** In the order of a plain object: whole numbers first, then as they came. */
  #ownKeys(): (string | symbol)[] {
    const own = Reflect.ownKeys(this.#target);
    const there = new Set<string | symbol>(own);
    const names = this.#sourceNames().filter((name) => {
      return this.#touched.has(name) ? there.has(name) && !this.#moved.has(name) : true;
    });
    const listed = new Set<string | symbol>(names);
    const strings = [...names, ...own.filter((key) => !listed.has(key))];
    const numbers = strings.filter((key) => isArrayIndex(key)).sort((left, right) => Number(left) - Number(right));
    return [...numbers, ...strings.filter((key) => !isArrayIndex(key))];
  }

  #traps(): ProxyHandler<Store> {
    const target = this.#target;
    return {
      get: (_target, name, receiver) => {
        if (typeof name !== "string") return Reflect.get(target, name, receiver);
        this.#touch(name, !(this.#enumeration?.takesValue(name) ?? false));
        return Reflect.get(target, name, receiver === this.store ? target : receiver);
      },
      has: (_target, name) => {
        this.#touchByName(name);
        return Reflect.has(target, name);
      },
      getOwnPropertyDescriptor: (_target, name) => {
        if (typeof name === "string") {
          const isEnumerated = this.#enumeration?.takesDescriptor(name) ?? false;
          if (!isEnumerated) this.#enumeration = undefined;
          this.#touch(name, !isEnumerated);
        }
        return Reflect.getOwnPropertyDescriptor(target, name);
      },
      set: (_target, name, value, receiver) => {
        this.#touchByName(name);
        if (receiver !== this.store) return Reflect.set(target, name, value, receiver);
        // A session may have any name. On a plain object this one would be taken for the prototype, and be lost.
        if (name === "__proto__" && !Object.hasOwn(target, name)) {
          if (!Object.isExtensible(target)) return false;
          setOwnValue(target, name, value);
          return true;
        }
        return Reflect.set(target, name, value, target);
      },
      deleteProperty: (_target, name) => {
        this.#touchByName(name);
        const isDeleted = Reflect.deleteProperty(target, name);
        if (isDeleted && typeof name === "string") this.#moved.add(name);
        return isDeleted;
      },
      defineProperty: (_target, name, descriptor) => {
        this.#touchByName(name);
        return Reflect.defineProperty(target, name, descriptor);
      },
      ownKeys: () => {
        const keys = this.#ownKeys();
        this.#enumeration = new Enumeration(keys.filter((key): key is string => typeof key === "string"));
        return keys;
      },
      getPrototypeOf: () => {
        const prototype: unknown = Reflect.getPrototypeOf(target);
        const isOurs = prototype !== null && Object.hasOwn(prototype as object, inspectSymbol);
        return isOurs ? Object.prototype : (prototype as object | null);
      },
      preventExtensions: () => {
        // From now on the object behind must have everything that the view shows.
        this.plain();
        return Reflect.preventExtensions(target);
      },
    };
  }

  #touchByName(name: string | symbol): void {
    this.#enumeration = undefined;
    if (typeof name === "string") this.#touch(name, true);
  }
}

/**
 * Follows the steps of one enumeration. `Object.entries`, `Object.values` and spread ask for a descriptor and a value of
 * each name in turn; `Object.keys` and `for ... in` for descriptors alone. Anything else was asked by name.
 */
class Enumeration {
  readonly #names: readonly string[];
  #descriptors = 0;
  #values = 0;

  constructor(names: readonly string[]) {
    this.#names = names;
  }

  takesDescriptor(name: string): boolean {
    if (this.#names[this.#descriptors] !== name) return false;
    this.#descriptors += 1;
    return true;
  }

  /** Of a store with one session nobody can tell; then the read counts. */
  takesValue(name: string): boolean {
    if (this.#names.length < 2 || this.#values !== this.#descriptors - 1) return false;
    if (this.#names[this.#values] !== name) return false;
    this.#values += 1;
    return true;
  }
}

function isArrayIndex(key: string | symbol): boolean {
  return typeof key === "string" && /^(0|[1-9]\d{0,9})$/.test(key) && Number(key) < 4_294_967_295;
}

/** A private copy with the present names of all fields, routes and models in their one form. */
export function toCallerEntry(entry: FrozenEntry): SessionEntry {
  return cloneJson(normalForm(entry));
}

/** The same for who only looks: a new object, but its fields are the frozen values of the entry. */
export function normalForm(entry: FrozenEntry): SessionEntry {
  // Only fields are renamed and replaced; nothing inside them is touched.
  const store = { entry: { ...entry } as SessionEntry };
  applySessionStoreMigrations(store);
  return normalizeSessionEntry(store.entry);
}
