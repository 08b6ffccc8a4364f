/** The command line shows no password, whatever goes wrong. */

import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import { openSessionStore } from "../../src/open.js";
import { runCommand, temporaryDirectory } from "../cli/command-line.js";
import { sharedPostgres, skipWithoutPostgres } from "../support/postgres-harness.js";
import { postgresPassword } from "../support/postgres-server.js";

const url = sharedPostgres();
const secret = "topsecret";

/** Commands that take a store, one of each way to open it. */
function callsOf(store: string, directory: string): string[][] {
  const file = path.join(directory, "sessions.json");
  return [
    ["list", "--store", store],
    ["watch", "--count", "1", "--store", store],
    ["sessions", "--store", store],
    ["sessions", "cleanup", "--store", store],
    ["stats", "--store", store],
    ["du", "--store", store],
    ["verify", "--store", store],
    ["repair", "--store", store],
    ["detect", "--store", store],
    ["migrate", "--store", store],
    ["rollback", "--store", store],
    ["copy", store, file],
    ["copy", file, store],
    ["export", "--all", "--store", store],
    ["import", path.join(directory, "bundle"), "--store", store],
    ["backup", "create", path.join(directory, "backups"), "--store", store],
    ["backup", "restore", path.join(directory, "backup"), "--store", store],
  ];
}

test("no command shows the password of a URL that does not work", async (context) => {
  const directory = temporaryDirectory(context);
  const unreachable = `postgres://someone:${secret}@127.0.0.1:1/db`;
  for (const call of callsOf(unreachable, directory)) {
    const { status, stdout, stderr } = runCommand([...call, "--json"]);
    assert.ok(!`${stdout}${stderr}`.includes(secret), `${call.join(" ")}: ${stdout}${stderr}`);
    assert.notEqual(status, 0, call.join(" "));
  }
  for (const store of [
    // One slash, another scheme, and a password with a slash in it.
    `postgres:/someone:${secret}@127.0.0.1:1/db`,
    `postgress://someone:${secret}@127.0.0.1:1/db`,
    `postgres://someone:1/${secret}@127.0.0.1:1/db`,
    `postgres://someone:${secret}@127.0.0.1:1/db?sslmod=require`,
  ]) {
    const { stdout, stderr } = runCommand(["list", "--store", store]);
    assert.ok(!`${stdout}${stderr}`.includes(secret), `${store}: ${stdout}${stderr}`);
  }
});

test("no command shows the password of a URL that works", { skip: skipWithoutPostgres(18, true) }, async (context) => {
  const directory = temporaryDirectory(context);
  const location = await url();
  const wrong = location.replace(postgresPassword, secret);
  const { stdout, stderr } = runCommand(["list", "--store", wrong]);
  assert.ok(!`${stdout}${stderr}`.includes(secret) && /permission_denied/.test(stderr), stdout + stderr);
  await (await openSessionStore(location)).close();
  assert.equal(runCommand(["patch", "a", "--create", "--set-json", '{"n":1}', "--store", location]).status, 0);
  for (const [name, ...more] of callsOf(location, directory)) {
    if (!["stats", "copy", "export", "backup"].includes(name!)) continue;
    const shown = runCommand([name!, ...more]);
    assert.ok(!`${shown.stdout}${shown.stderr}`.includes(postgresPassword), `${name}: ${shown.stdout}${shown.stderr}`);
  }
});
