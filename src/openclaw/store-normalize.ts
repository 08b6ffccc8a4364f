/**
 * What a store goes through between the disk and its readers: fields of older versions get their present names, and
 * routes and models one form. Both work in place, on plain objects as well as on records without a prototype, and
 * replace or change an entry only when something differs - that is what lets a save see that nothing changed.
 */

import { normalizeSessionDeliveryFields, storedThreadId } from "./delivery.js";
import { normalizeSessionRuntimeModelFields } from "./entry.js";
import { ownValue, setOwnValue } from "./prototype-keys.js";
import type { DeliveryContext, SessionEntry } from "./types.js";

/** Normalises the model fields, then the delivery fields of each entry. What is no object is left for others. */
export function normalizeSessionStore(store: Record<string, SessionEntry>): void {
  for (const key of Object.keys(store)) {
    const entry = ownValue(store, key);
    if (!isObject(entry)) continue;
    const normalized = normalizeSessionEntry(entry as SessionEntry);
    if (normalized !== entry) setOwnValue(store, key, normalized);
  }
}

/** The same object when it already is in normal form. */
export function normalizeSessionEntry(entry: SessionEntry): SessionEntry {
  return normalizeDelivery(normalizeSessionRuntimeModelFields(entry));
}

function normalizeDelivery(entry: SessionEntry): SessionEntry {
  const { channel, lastChannel, lastTo, lastAccountId, deliveryContext } = entry;
  const normal = normalizeSessionDeliveryFields({
    channel,
    lastChannel,
    lastTo,
    lastAccountId,
    lastThreadId: storedThreadId(entry),
    deliveryContext,
  });
  const same =
    sameRoute(deliveryContext, normal.deliveryContext) &&
    mirrors.every((field) => (entry[field] ?? undefined) === normal[field]);
  if (same) return entry;
  const next: SessionEntry = { ...entry };
  for (const field of mirrors) setOrDelete(next, field, normal[field]);
  const route = normal.deliveryContext;
  setOrDelete(next, "deliveryContext", route === undefined ? undefined : withoutUndefined(route));
  return next;
}

const mirrors = ["lastChannel", "lastTo", "lastAccountId", "lastThreadId"] as const;
const routeFields = ["channel", "to", "accountId", "threadId"] as const;

function sameRoute(stored: DeliveryContext | undefined, normal: DeliveryContext | undefined): boolean {
  if (!isObject(stored)) return (stored ?? undefined) === normal;
  return normal !== undefined && routeFields.every((field) => (stored[field] ?? undefined) === normal[field]);
}

/** A field that is there as undefined would make two equal entries look different until they are saved. */
function setOrDelete(entry: SessionEntry, field: string, value: unknown): void {
  if (value === undefined) delete entry[field];
  else entry[field] = value;
}

function withoutUndefined(route: DeliveryContext): DeliveryContext {
  return Object.fromEntries(Object.entries(route).filter(([, value]) => value !== undefined)) as DeliveryContext;
}

/**
 * Gives fields of older versions their present names: `provider` -> `channel`, `lastProvider` -> `lastChannel`, `room` ->
 * `groupChannel`. The present name wins when it already holds a string; a `room` that lost is removed, a `provider` that
 * lost stays where it is, because other code may still mean something else by it.
 */
export function applySessionStoreMigrations(store: Record<string, SessionEntry>): void {
  for (const key of Object.keys(store)) {
    const entry: unknown = ownValue(store, key);
    if (!isObject(entry)) continue;
    const fields = entry as Record<string, unknown>;
    rename(fields, "provider", "channel");
    rename(fields, "lastProvider", "lastChannel");
    rename(fields, "room", "groupChannel");
    if (Object.hasOwn(fields, "room")) delete fields.room;
  }
}

function rename(fields: Record<string, unknown>, from: string, to: string): void {
  if (typeof fields[to] === "string" || typeof fields[from] !== "string") return;
  fields[to] = fields[from];
  delete fields[from];
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
