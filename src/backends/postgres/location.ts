/**
 * Locations: `postgres://user:password@host1:5432,host2/database?option=value`. Several hosts mean "whichever is the
 * primary", as with libpq; every option that is not about choosing one of them is passed to the driver as it is.
 *
 * The password is in here and goes nowhere but to the driver: what is shown is `display`.
 */

import { invalidLocation } from "./failures.js";

export interface PostgresLocation {
  /** One connection string for each host, in the order in which they are tried. */
  readonly connectionStrings: readonly string[];
  /** Without user, password and options: for messages, logs and `store.location`. */
  readonly display: string;
  /** From `store`, so that a URL alone can name a store; otherwise the option, or "default". */
  readonly storeName: string;
  /** From `connect_timeout`, which the driver does not take from the text. */
  readonly connectTimeoutMs: number | undefined;
}

const scheme = /^postgres(ql)?:\/\//i;

/** What the driver would not know or would send to the server, which refuses it. */
const ourOptions = ["store", "target_session_attrs", "load_balance_hosts", "connect_timeout"];

export function isPostgresLocation(location: string): boolean {
  return scheme.test(location);
}

/** Throws `invalid_option`; the message never holds the text, because a password is in it. */
export function parsePostgresLocation(location: string, storeNameOption: string | undefined): PostgresLocation {
  const rest = location.replace(scheme, "");
  const authorityEnd = rest.search(/[/?#]/);
  const authority = authorityEnd === -1 ? rest : rest.slice(0, authorityEnd);
  const tail = authorityEnd === -1 ? "" : rest.slice(authorityEnd);
  const at = authority.lastIndexOf("@");
  const credentials = at === -1 ? "" : authority.slice(0, at + 1);
  const hosts = authority.slice(at + 1).split(",");
  const [pathPart, ...queryParts] = tail.split("?");
  const query = new URLSearchParams(queryParts.join("?"));
  const attributes = query.get("target_session_attrs");
  if (attributes !== null && !["read-write", "primary", "any"].includes(attributes)) {
    throw invalidLocation("target_session_attrs is read-write: a standby would show what is no longer true");
  }
  const named = query.get("store") ?? undefined;
  if (named !== undefined && storeNameOption !== undefined && named !== storeNameOption) {
    throw invalidLocation("the URL names one store and the option storeName another one");
  }
  const storeName = named ?? storeNameOption ?? "default";
  const timeout = Number(query.get("connect_timeout") ?? Number.NaN);
  for (const name of ourOptions) query.delete(name);
  const options = query.toString();
  const connectionStrings = hosts.map(
    (host) =>
      `postgres://${credentials}${host}${pathPart === "" ? "/" : pathPart}${options === "" ? "" : `?${options}`}`,
  );
  for (const text of connectionStrings) requireUrl(text);
  const socket = query.get("host");
  const shownHosts = socket ?? hosts.map((host) => host || "localhost").join(",");
  return {
    connectionStrings,
    display: `postgres://${shownHosts}${pathPart === "" ? "/" : pathPart} (store ${JSON.stringify(storeName)})`,
    storeName,
    connectTimeoutMs: timeout > 0 ? timeout * 1_000 : undefined,
  };
}

function requireUrl(text: string): void {
  // A socket directory leaves the host empty, which is no URL by the standard.
  const probe = text.replace(/^postgres:\/\/([^@/]*@)?(?=[/?])/, "postgres://$1localhost");
  if (URL.canParse(probe)) return;
  throw invalidLocation(
    "the location is not a valid URL; characters like @ / : # in a password are written as %40 ...",
  );
}
