/**
 * The options in a location, which are those of libpq. Most are passed to the driver as they are. One that neither it nor
 * this library knows is refused, and so is one that it cannot keep: a `sslmode` with a slip in its name must not mean "no
 * encryption". No value is ever in a message, because a password may be in it.
 */

import { invalidLocation } from "./failures.js";

/** What the driver takes from the text, or what it may do without: it only tunes, or is the same here anyway. */
const passed = new Set([
  ...["application_name", "fallback_application_name", "options", "user", "password", "host", "port"],
  ...["ssl", "sslmode", "sslcert", "sslkey", "sslrootcert", "sslnegotiation", "uselibpqcompat"],
  ...["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "query_timeout"],
]);
const withoutEffect = new Set([
  ...["keepalives_interval", "keepalives_count", "tcp_user_timeout", "load_balance_hosts", "sslcompression", "sslsni"],
  ...["krbsrvname", "gsslib", "gssdelegation", "min_protocol_version", "max_protocol_version"],
]);

/** What would weaken or change something if it were ignored, and what to do instead. */
const impossible: Readonly<Record<string, string>> = {
  hostaddr: "write the address as the host",
  passfile: "set PGPASSFILE",
  service: "write out what it stands for",
  servicefile: "write out what it stands for",
  replication: "leave it out",
  sslpassword: "use a key without a pass phrase",
  sslkeylogfile: "leave it out",
  sslcrl: "leave it out",
  sslcrldir: "leave it out",
  requirepeer: "use sslmode=verify-full",
  require_auth: "use sslmode=verify-full",
  ssl_min_protocol_version: "start Node with --tls-min-v1.3",
  ssl_max_protocol_version: "start Node with --tls-max-v1.2",
};

/** Values besides which an option cannot be kept. */
const only: Readonly<Record<string, readonly string[]>> = {
  target_session_attrs: ["read-write", "primary", "any"],
  sslmode: ["disable", "allow", "prefer", "require", "verify-ca", "verify-full", "no-verify"],
  sslcertmode: ["disable", "allow"],
  gssencmode: ["disable", "prefer"],
  client_encoding: ["auto", "utf8", "utf-8"],
  keepalives: ["0", "1"],
  channel_binding: ["disable", "prefer", "require"],
};

export interface UrlOptions {
  /** For the text that the driver gets. */
  readonly query: URLSearchParams;
  readonly store: string | undefined;
  readonly database: string | undefined;
  readonly connectTimeoutMs: number | undefined;
  /** Beside the text. */
  readonly driver: Readonly<Record<string, unknown>>;
}

/** Throws `invalid_option`. */
export function parseUrlOptions(text: string): UrlOptions {
  const given = new URLSearchParams(text);
  const query = new URLSearchParams();
  for (const [name, value] of given) {
    if (name === "store" || name === "dbname" || name === "connect_timeout" || withoutEffect.has(name)) continue;
    if (passed.has(name)) query.set(name, value);
    requirePossible(name, value);
  }
  const timeout = Number(given.get("connect_timeout") ?? Number.NaN);
  const idle = Number(given.get("keepalives_idle") ?? Number.NaN);
  const binding = given.get("channel_binding");
  return {
    query,
    store: given.get("store") ?? undefined,
    database: given.get("dbname") ?? undefined,
    connectTimeoutMs: timeout > 0 ? timeout * 1_000 : undefined,
    driver: {
      keepAlive: given.get("keepalives") !== "0",
      ...(idle > 0 ? { keepAliveInitialDelayMillis: idle * 1_000 } : {}),
      ...(binding === "prefer" || binding === "require" ? { enableChannelBinding: true } : {}),
    },
  };
}

function requirePossible(name: string, value: string): void {
  const values = only[name];
  if (values?.includes(value.toLowerCase())) return;
  if (name === "target_session_attrs") {
    throw invalidLocation("target_session_attrs is read-write: a standby would show what is no longer true");
  }
  if (values !== undefined) throw invalidLocation(`the URL's option ${name} is one of ${values.join(", ")} here`);
  if (Object.hasOwn(impossible, name)) {
    throw invalidLocation(`the URL's option ${name} cannot be kept by the driver pg; ${impossible[name]}`);
  }
  if (passed.has(name) || name === "keepalives_idle") return;
  // A piece of a password that has "?" or "&" in it looks like an option.
  const shown = /^[a-z_]{3,40}$/.test(name) && value !== "" ? ` ${name}` : "";
  throw invalidLocation(`the URL has an option${shown} that nobody knows; ? & in a password are written as %3F %26`);
}
