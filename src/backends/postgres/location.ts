/**
 * Locations: `postgres://user:password@host1:5432,host2/database?option=value`. Several hosts mean "whichever is the
 * primary", as with libpq; what the options may be is in url-options.ts.
 *
 * The password is in here and goes nowhere but to the driver: what is shown is `display`.
 */

import { invalidLocation } from "./failures.js";
import { parseUrlOptions } from "./url-options.js";

export interface PostgresLocation {
  /** One connection string for each host, in the order in which they are tried. */
  readonly connectionStrings: readonly string[];
  /** Without user, password and options: for messages, logs and `store.location`. */
  readonly display: string;
  /** From `store`, so that a URL alone can name a store; otherwise the option, or "default". */
  readonly storeName: string;
  /** From `connect_timeout`, which the driver does not take from the text. */
  readonly connectTimeoutMs: number | undefined;
  /** More that the driver does not take from the text. */
  readonly driverOptions: Readonly<Record<string, unknown>>;
}

const scheme = /^postgres(ql)?:\/\//i;

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
  const [givenPath = "", ...queryParts] = tail.split("?");
  // With such a character in it, a password ends too early, and its rest would be taken for a database and be shown.
  const queryText = queryParts.join("?");
  if (givenPath.includes("@") || givenPath.lastIndexOf("/") > 0 || tail.includes("#")) throw notEncoded();
  if (givenPath === "" && queryText.includes("@")) throw notEncoded();
  const options = parseUrlOptions(queryText);
  const { store: named, query } = options;
  if (named !== undefined && storeNameOption !== undefined && named !== storeNameOption) {
    throw invalidLocation("the URL names one store and the option storeName another one");
  }
  const storeName = named ?? storeNameOption ?? "default";
  const path = options.database === undefined ? givenPath || "/" : `/${encodeURIComponent(options.database)}`;
  const hosts = hostsOf(authority.slice(at + 1), query);
  const connectionStrings = hosts.map(({ inUrl, inQuery }) => {
    const text = new URLSearchParams([...query, ...inQuery]).toString();
    return `postgres://${credentials}${inUrl}${path}${text === "" ? "" : `?${text}`}`;
  });
  for (const text of connectionStrings) requireUrl(text);
  return {
    connectionStrings,
    display: `postgres://${hosts.map(({ shown }) => shown).join(",")}${path} (store ${JSON.stringify(storeName)})`,
    storeName,
    connectTimeoutMs: options.connectTimeoutMs,
    driverOptions: options.driver,
  };
}

interface Host {
  readonly inUrl: string;
  readonly inQuery: readonly [string, string][];
  readonly shown: string;
}

/** From before the path or, as libpq has it too, from the options `host` and `port`, which are taken out of the query. */
function hostsOf(authority: string, query: URLSearchParams): Host[] {
  const listed = query.get("host");
  const ports = query.get("port")?.split(",");
  query.delete("host");
  query.delete("port");
  const portAt = (index: number) => (ports?.length === 1 ? ports[0] : ports?.[index]) || undefined;
  if (listed === null) {
    return authority.split(",").map((host, index) => {
      const port = portAt(index);
      return { inUrl: host, inQuery: port === undefined ? [] : [["port", port]], shown: host || "localhost" };
    });
  }
  // A port before the path counts for these too.
  const portInUrl = /:(\d+)$/.exec(authority)?.[1];
  return listed.split(",").map((host, index) => {
    const port = portAt(index) ?? portInUrl;
    const inQuery: [string, string][] = [
      ["host", host],
      ...(port === undefined ? [] : [["port", port] as [string, string]]),
    ];
    return { inUrl: "", inQuery, shown: host || "localhost" };
  });
}

function requireUrl(text: string): void {
  // A socket directory leaves the host empty, which is no URL by the standard.
  const probe = text.replace(/^postgres:\/\/([^@/]*@)?(?=[/?])/, "postgres://$1localhost");
  if (!URL.canParse(probe)) throw notEncoded();
}

function notEncoded() {
  return invalidLocation(
    "the location is not a valid URL; characters like @ / : # in a password are written as %40 ...",
  );
}
