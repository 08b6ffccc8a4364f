/** Locations: hosts, options of libpq, and that no piece of a password is ever shown. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { parsePostgresLocation } from "../../../src/backends/postgres/location.js";
import { checkStoreName } from "../../../src/backends/postgres/store-row.js";
import { SessionStoreError } from "../../../src/errors.js";

const parse = (text: string, name?: string) => parsePostgresLocation(text, name);

function refusalOf(text: string): SessionStoreError {
  try {
    parse(text);
  } catch (error) {
    assert.ok(error instanceof SessionStoreError && error.code === "invalid_option");
    return error;
  }
  throw new assert.AssertionError({ message: `it was taken: ${text}` });
}

test("several hosts become one connection string each, before the path or among the options", () => {
  assert.deepEqual(parse("postgresql://me:p%40ss@one:1,two,three:3/db?sslmode=verify-full").connectionStrings, [
    "postgres://me:p%40ss@one:1/db?sslmode=verify-full",
    "postgres://me:p%40ss@two/db?sslmode=verify-full",
    "postgres://me:p%40ss@three:3/db?sslmode=verify-full",
  ]);
  const listed = parse("postgres://me:secret@/db?host=one,two&port=1,2");
  assert.deepEqual(listed.connectionStrings, [
    "postgres://me:secret@/db?host=one&port=1",
    "postgres://me:secret@/db?host=two&port=2",
  ]);
  assert.equal(listed.display, 'postgres://one,two/db (store "default")');
  assert.deepEqual(parse("postgres:///db?host=one,two&port=7").connectionStrings, [
    "postgres:///db?host=one&port=7",
    "postgres:///db?host=two&port=7",
  ]);
  assert.deepEqual(parse("postgres://localhost:5433/db?host=/run/postgresql").connectionStrings, [
    "postgres:///db?host=%2Frun%2Fpostgresql&port=5433",
  ]);
  assert.deepEqual(parse("postgres://[::1]:5432,[::2]/db").connectionStrings, [
    "postgres://[::1]:5432/db",
    "postgres://[::2]/db",
  ]);
});

test("options that the driver takes are passed as they are; those that it does not know are kept in another way", () => {
  const { connectionStrings, driverOptions, connectTimeoutMs, display } = parse(
    "postgres://h?dbname=other&application_name=a%20b&options=-c%20search_path%3Dx&keepalives=0&keepalives_idle=9" +
      "&channel_binding=require&connect_timeout=3&target_session_attrs=read-write&keepalives_count=4&client_encoding=UTF8",
  );
  assert.deepEqual(connectionStrings, ["postgres://h/other?application_name=a+b&options=-c+search_path%3Dx"]);
  assert.deepEqual(driverOptions, { keepAlive: false, keepAliveInitialDelayMillis: 9_000, enableChannelBinding: true });
  assert.equal(connectTimeoutMs, 3_000);
  assert.equal(display, 'postgres://h/other (store "default")');
  assert.deepEqual(parse("postgres://h/db").driverOptions, { keepAlive: true });
});

test("an option that cannot be kept is refused, with its name and never with its value", () => {
  for (const [option, pattern] of [
    // A slip in the name must not mean: no encryption.
    ["sslmod=secret", /sslmod/],
    ["sslmode=secret", /verify-full/],
    ["target_session_attrs=standby", /standby/],
    ["hostaddr=secret", /hostaddr/],
    ["passfile=secret", /PGPASSFILE/],
    ["service=secret", /service/],
    ["replication=secret", /replication/],
    ["ssl_min_protocol_version=secret", /--tls-min/],
    ["gssencmode=require", /gssencmode/],
    ["client_encoding=latin1", /client_encoding/],
    ["require_auth=secret", /require_auth/],
  ] as const) {
    const { message } = refusalOf(`postgres://h/db?${option}`);
    assert.match(message, pattern);
    assert.ok(!message.includes("secret"), message);
  }
});

test("a password with characters that end it too early is refused, and no piece of it is shown", () => {
  for (const text of [
    "postgres://someone:1234/topsecret@host/db",
    "postgres://someone:1234/topsecret@host:5432/db?sslmode=require",
    "postgres://someone:12?topsecret@host/db",
    "postgres://someone:12?topsecret=1@host/db",
    "postgres://someone:12?host=topsecret@host/db",
    "postgres://someone:12#topsecret@host/db",
    "postgres://someone:1@2/topsecret@host/db",
    "postgres://someone:1@2?topsecret@host/db",
    "postgres://someone:1@2?host=topsecret@host/db",
    "postgres://someone:12/3/topsecret",
    "postgres://someone:topsecret@[broken/db",
    "postgres://someone:topsecret@host:port/db",
  ]) {
    const error = refusalOf(text);
    for (const shown of [inspect(error, { depth: 10, showHidden: true }), JSON.stringify(error)]) {
      assert.ok(!shown.includes("topsecret"), `${text}: ${shown}`);
    }
  }
});

test("the store is named by the URL or the option, and not by both differently", () => {
  assert.equal(parse("postgres://h/db?store=x").storeName, "x");
  assert.equal(parse("postgres://h/db", "y").storeName, "y");
  assert.equal(parse("postgres://h/db?store=x", "x").storeName, "x");
  assert.throws(() => parse("postgres://h/db?store=x", "y"), { code: "invalid_option" });
});

test("the name of a store is a text of 1 to 200 bytes", () => {
  for (const name of ["a", "x".repeat(200), "ä".repeat(100)]) checkStoreName(name);
  for (const name of ["", "  ", "x".repeat(201), "ä".repeat(101), "a\0b", "\ud800"]) {
    assert.throws(() => checkStoreName(name), { code: "invalid_option" }, JSON.stringify(name.slice(0, 5)));
  }
});
