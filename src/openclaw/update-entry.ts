/**
 * The writes of one session that a gateway makes for every message. Each reads and writes that session and no other,
 * whatever the size of the store. Spellings of the key that a legacy file holds become one session on the way.
 */

import {
  deliveryContextFromSession,
  mergeDeliveryContext,
  normalizeDeliveryContext,
  normalizeSessionDeliveryFields,
} from "./delivery.js";
import { mergeSessionEntry, mergeSessionEntryPreserveActivity } from "./entry.js";
import { cloneJson } from "./json-clone.js";
import { normalizeStoreSessionKey, resolveSessionStoreEntry } from "./key-normalization.js";
import { deriveSessionMetaPatch } from "./metadata.js";
import { setOwnValue } from "./prototype-keys.js";
import { sharedStore } from "./shared-handles.js";
import type { DeliveryContext, GroupKeyResolution, MsgContext, SessionEntry } from "./types.js";
import { runUpdate } from "./update.js";
import type { SaveSessionStoreOptions } from "./write-options.js";

type Store = Record<string, SessionEntry>;
type WriteOptions = Pick<
  SaveSessionStoreOptions,
  "skipMaintenance" | "maintenanceOverride" | "maintenanceConfig" | "onWarn"
>;

/**
 * Merges what `update` returns into the session and counts as activity. `null` for a session that does not exist;
 * `update` is not called then. When `update` returns nothing, nothing is written. `update` gets a copy, and runs again
 * only when somebody else changed one of the fields that it returned, meanwhile, to another value.
 */
export async function updateSessionStoreEntry(
  params: WriteOptions & {
    storePath: string;
    sessionKey: string;
    update: (entry: SessionEntry) => Promise<Partial<SessionEntry> | null> | Partial<SessionEntry> | null;
  },
): Promise<SessionEntry | null> {
  const opts = optionsOf(params);
  const { skipMaintenance } = opts;
  return runUpdate(
    sharedStore(params.storePath),
    async (store) => {
      const resolved = resolveSessionStoreEntry({ store, sessionKey: params.sessionKey });
      const { existing } = resolved;
      const patch = existing === undefined ? null : await params.update(cloneJson(existing));
      const isIdle = existing === undefined || patch === null || patch === undefined;
      // Nothing is saved, so there is nothing to maintain either.
      opts.skipMaintenance = isIdle || skipMaintenance === true;
      if (isIdle) return existing ?? null;
      return put(store, resolved, mergeSessionEntry(existing, patch));
    },
    opts,
  );
}

/**
 * Notes where a message came from: the group's names and the origin. Not activity: `updatedAt` of a session that exists
 * stays. A new session gets a random id, unless `createIfMissing` is false: then `null`.
 */
export async function recordSessionMetaFromInbound(
  params: WriteOptions & {
    storePath: string;
    sessionKey: string;
    ctx: MsgContext;
    groupResolution?: GroupKeyResolution | null;
    /** Default true. */
    createIfMissing?: boolean;
  },
): Promise<SessionEntry | null> {
  const { ctx, groupResolution, createIfMissing = true } = params;
  return runUpdate(
    sharedStore(params.storePath),
    (store) => {
      const resolved = resolveSessionStoreEntry({ store, sessionKey: params.sessionKey });
      const { normalizedKey, existing } = resolved;
      const patch = deriveSessionMetaPatch({
        ctx,
        sessionKey: normalizedKey,
        ...(existing === undefined ? {} : { existing }),
        groupResolution,
      });
      if (patch === null) {
        // The other spellings of the key go all the same.
        return existing === undefined ? null : put(store, resolved, existing);
      }
      if (existing === undefined && !createIfMissing) return null;
      return put(store, resolved, mergeSessionEntryPreserveActivity(existing, patch));
    },
    optionsOf(params),
  );
}

/**
 * Notes where the next reply goes. What is not given stays as it is stored, but nothing of one channel is combined with
 * another, and a new route without a thread drops the stored one. `updatedAt` of a session that exists stays.
 */
export async function updateLastRoute(
  params: WriteOptions & {
    storePath: string;
    sessionKey: string;
    channel?: string;
    to?: string;
    accountId?: string;
    threadId?: string | number;
    /** Wins over the four fields above. */
    deliveryContext?: DeliveryContext;
    /** Also note where the message came from. */
    ctx?: MsgContext | null;
    groupResolution?: GroupKeyResolution | null;
  },
): Promise<SessionEntry> {
  return runUpdate(
    sharedStore(params.storePath),
    (store) => {
      const resolved = resolveSessionStoreEntry({ store, sessionKey: params.sessionKey });
      const { normalizedKey, existing } = resolved;
      const { deliveryContext, lastChannel, lastTo, lastAccountId, lastThreadId } = routeAfter(params, existing);
      const route = { deliveryContext, lastChannel, lastTo, lastAccountId, lastThreadId };
      const meta =
        params.ctx === undefined || params.ctx === null
          ? null
          : deriveSessionMetaPatch({
              ctx: params.ctx,
              sessionKey: normalizedKey,
              ...(existing === undefined ? {} : { existing }),
              groupResolution: params.groupResolution,
            });
      return put(store, resolved, mergeSessionEntryPreserveActivity(existing, { ...route, ...meta }));
    },
    optionsOf(params),
  );
}

function routeAfter(params: Parameters<typeof updateLastRoute>[0], existing: SessionEntry | undefined) {
  const explicit = normalizeDeliveryContext(params.deliveryContext);
  const { channel, to, accountId, threadId } = params;
  const inline = normalizeDeliveryContext({ channel, to, accountId, threadId });
  const given = mergeDeliveryContext(explicit, inline);
  const namesRoute = [explicit, inline].some((route) => route?.channel !== undefined || route?.to !== undefined);
  const namesThread = explicit?.threadId !== undefined || inline?.threadId !== undefined;
  let stored = deliveryContextFromSession(existing);
  if (namesRoute && !namesThread && stored !== undefined) {
    const { threadId: _dropped, ...rest } = stored;
    stored = rest;
  }
  return normalizeSessionDeliveryFields({ deliveryContext: mergeDeliveryContext(given, stored) });
}

function optionsOf(params: WriteOptions & { sessionKey: string }): SaveSessionStoreOptions {
  const { sessionKey, skipMaintenance, maintenanceOverride, maintenanceConfig, onWarn } = params;
  return {
    activeSessionKey: normalizeStoreSessionKey(sessionKey),
    ...(skipMaintenance === undefined ? {} : { skipMaintenance }),
    ...(maintenanceOverride === undefined ? {} : { maintenanceOverride }),
    ...(maintenanceConfig === undefined ? {} : { maintenanceConfig }),
    ...(onWarn === undefined ? {} : { onWarn }),
  };
}

/** Under the normalised key, and under no other spelling. */
function put(
  store: Store,
  { normalizedKey, legacyKeys }: { normalizedKey: string; legacyKeys: readonly string[] },
  entry: SessionEntry,
): SessionEntry {
  for (const key of legacyKeys) delete store[key];
  setOwnValue(store, normalizedKey, entry);
  return entry;
}
