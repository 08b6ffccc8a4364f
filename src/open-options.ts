/** Checks what callers of `openSessionStore` give, and fills in the defaults. */

import type { OpenOptions } from "./api.js";
import type { Durability, KeyRule, Logger } from "./contract.js";
import { defaultLimits, fixedLimits, type LimitOptions, type Limits, limitCaps } from "./limits.js";
import { checkOptions, describeType, invalidOption } from "./options.js";
import { checkPostgresOptions, type PostgresOptions, postgresOptionNames } from "./postgres-options.js";

const optionNames = [
  "durability",
  "readOnly",
  "backend",
  "migrate",
  "rotateBytes",
  "keys",
  "lockWaitMs",
  "conflictWaitMs",
  "cacheBytes",
  "limits",
  "storeName",
  "postgres",
  "logger",
] as const satisfies readonly (keyof OpenOptions)[];

export interface CheckedOpenOptions {
  readonly durability: Durability;
  readonly readOnly: boolean;
  readonly backend: "auto" | "json";
  readonly migrate: "auto" | "never";
  readonly rotateBytes: number;
  readonly keyRule: KeyRule;
  readonly lockWaitMs: number;
  readonly conflictWaitMs: number;
  readonly cacheBytes: number;
  readonly limits: Readonly<Limits>;
  readonly logger: Logger | undefined;
  readonly storeName: string | undefined;
  readonly postgres: PostgresOptions | undefined;
}

const where = "openSessionStore";

export function checkOpenOptions(given: OpenOptions | undefined): CheckedOpenOptions {
  checkOptions(given, optionNames, where);
  const options = given ?? {};
  return {
    durability: oneOf("durability", options.durability, ["commit", "interval"], "commit"),
    readOnly: flag("readOnly", options.readOnly),
    backend: oneOf("backend", options.backend, ["auto", "json"], "auto"),
    rotateBytes: amount("rotateBytes", options.rotateBytes, limitCaps.legacyFileBytes, fixedLimits.rotateBytesDefault),
    migrate: oneOf("migrate", options.migrate, ["auto", "never"], "auto"),
    keyRule: oneOf("keys", options.keys, ["openclaw", "exact"], "openclaw"),
    lockWaitMs: amount("lockWaitMs", options.lockWaitMs, fixedLimits.lockWaitMsMax, fixedLimits.lockWaitMsDefault),
    conflictWaitMs: amount(
      "conflictWaitMs",
      options.conflictWaitMs,
      Number.MAX_SAFE_INTEGER,
      fixedLimits.conflictWaitMsDefault,
    ),
    cacheBytes: amount("cacheBytes", options.cacheBytes, Number.MAX_SAFE_INTEGER, fixedLimits.cacheBytesDefault),
    limits: checkLimits(options.limits),
    logger: checkLogger(options.logger),
    storeName: text("storeName", options.storeName),
    postgres: checkPostgres(options.postgres),
  };
}

/** One that throws must not make what was done look failed. */
function checkLogger(given: Logger | undefined): Logger | undefined {
  if (given === undefined) return undefined;
  const isLogger =
    typeof given === "object" &&
    given !== null &&
    typeof given.warn === "function" &&
    (given.info === undefined || typeof given.info === "function");
  if (!isLogger) {
    const problem = "the option logger is an object with a function warn, and with a function info or none";
    throw invalidOption(where, `${problem}, not ${describeType(given)}`);
  }
  const quietly = (call: () => void) => {
    try {
      call();
    } catch {
      // Nobody is left to be told.
    }
  };
  return {
    info: (message, fields) => quietly(() => given.info?.(message, fields)),
    warn: (message, fields) => quietly(() => given.warn(message, fields)),
  };
}

function checkPostgres(given: PostgresOptions | undefined): PostgresOptions | undefined {
  checkOptions(given, postgresOptionNames, `${where}, postgres`);
  checkPostgresOptions(given);
  return given;
}

/** Each limit may be set up to its hard cap. */
export function checkLimits(given: LimitOptions | undefined): Readonly<Limits> {
  const names = Object.keys(defaultLimits) as (keyof Limits)[];
  checkOptions(given, names, `${where}, limits`);
  const limits: Limits = { ...defaultLimits };
  for (const name of names)
    limits[name] = amount(`limits.${name}`, given?.[name], limitCaps[name], defaultLimits[name]);
  return limits;
}

function oneOf<Value extends string>(name: string, given: unknown, values: readonly Value[], fallback: Value): Value {
  if (given === undefined) return fallback;
  if (values.includes(given as Value)) return given as Value;
  const shown = typeof given === "string" ? JSON.stringify(given.slice(0, 60)) : describeType(given);
  throw invalidOption(where, `the option ${name} is ${values.map((value) => `"${value}"`).join(" or ")}, not ${shown}`);
}

function text(name: string, given: unknown): string | undefined {
  if (given === undefined || typeof given === "string") return given;
  throw invalidOption(where, `the option ${name} is a text, not ${describeType(given)}`);
}

function flag(name: string, given: unknown): boolean {
  if (given === undefined || typeof given === "boolean") return given ?? false;
  throw invalidOption(where, `the option ${name} is true or false, not ${describeType(given)}`);
}

function amount(name: string, given: unknown, max: number, fallback: number): number {
  if (given === undefined) return fallback;
  if (typeof given === "number" && given >= 0 && given <= max) return given;
  throw invalidOption(
    where,
    `the option ${name} is a number from 0 to ${max}, not ${typeof given === "number" ? given : describeType(given)}`,
  );
}
