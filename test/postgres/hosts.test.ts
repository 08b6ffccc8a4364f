/** What the URL says about hosts and connections reaches the server: lists of hosts, sockets, TLS, options. */

import assert from "node:assert/strict";
import net from "node:net";
import path from "node:path";
import { test } from "node:test";
import pg from "pg";
import { openSessionStore } from "../../src/open.js";
import { skipWithoutPostgres } from "../support/postgres-harness.js";
import { startPostgres } from "../support/postgres-server.js";
import { rejectsWith } from "../support/store-reading.js";

type AnyEntry = Record<string, unknown>;
const skip = skipWithoutPostgres(18, true);

/** A host that takes connections and does with them what it is told. */
async function startHost(onConnection: (socket: net.Socket) => void) {
  const sockets = new Set<net.Socket>();
  let connections = 0;
  const server = net.createServer((socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on("error", () => {});
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as net.AddressInfo).port,
    connections: () => connections,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

test("lists of hosts, sockets, application_name and options reach the server", { skip }, async () => {
  const server = await startPostgres();
  try {
    const { username, password } = new URL(server.url());
    const directory = path.dirname(server.dataDirectory);
    const refusing = await startHost((socket) => socket.destroy());
    for (const location of [
      `postgres://${username}:${password}@127.0.0.1:${refusing.port},127.0.0.1:${server.port}/postgres?store=a`,
      `postgres://${username}:${password}@/postgres?host=127.0.0.1,127.0.0.1&port=${refusing.port},${server.port}&store=b`,
      `postgres:///postgres?user=${username}&password=${password}&host=${directory}&port=${server.port}&store=c`,
      `postgres://${username}:${password}@${encodeURIComponent(directory)}:${server.port}/?dbname=postgres&store=d`,
    ]) {
      const store = await openSessionStore<AnyEntry>(
        `${location}&application_name=my%20gateway&options=-c%20work_mem%3D7MB&target_session_attrs=read-write`,
      );
      await store.update("a", () => ({ n: 1 }));
      assert.ok(!JSON.stringify([store.location, await store.stats()]).includes(password), store.location);
      const client = new pg.Client({ connectionString: server.url() });
      await client.connect();
      const { rows } = await client.query(
        "SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = 'my gateway'",
      );
      assert.ok(rows[0].n > 0, "application_name");
      await client.end();
      await store.close();
    }
    await refusing.close();
  } finally {
    await server.destroy();
  }
});

test("a host that does not answer holds up one connection, and not each", { skip }, async () => {
  const server = await startPostgres();
  const silent = await startHost(() => {});
  try {
    const location = server.url().replace("127.0.0.1:", `127.0.0.1:${silent.port},127.0.0.1:`);
    const store = await openSessionStore<AnyEntry>(`${location}?connect_timeout=1`, {
      postgres: { notify: false, connections: 4 },
    });
    await Promise.all([1, 2, 3, 4].map((n) => store.transaction((transaction) => transaction.set(`key${n}`, { n }))));
    assert.equal(silent.connections(), 1);
    await store.close();
  } finally {
    await silent.close();
    await server.destroy();
  }
});

test("a server that may lose commits is refused also when it takes over from another one", { skip }, async () => {
  const [first, second] = await Promise.all([startPostgres(), startPostgres({ settings: { fsync: "off" } })]);
  try {
    const location = first.url().replace(/(127\.0\.0\.1:\d+)/, `$1,127.0.0.1:${second.port}`);
    const postgres = { notify: false, reconnectWaitMs: 300 };
    const store = await openSessionStore<AnyEntry>(location, { postgres });
    await store.update("a", () => ({ n: 1 }));
    await first.kill();
    const error = await rejectsWith("unsafe_server", store.get("a"));
    assert.match(error.message, /fsync is off/);
    await store.close();
  } finally {
    await Promise.all([first.destroy(), second.destroy()]);
  }
});

test("sslmode asks for TLS, and disable does not", async () => {
  const sslRequest = 80_877_103;
  for (const [mode, expected] of [
    ["require", true],
    ["verify-full", true],
    ["disable", false],
  ] as const) {
    let asked: boolean | undefined;
    const host = await startHost((socket) => {
      socket.once("data", (bytes) => {
        asked = bytes.readInt32BE(4) === sslRequest;
        socket.end("N");
      });
    });
    const error = await rejectsWith(
      "connection_failed",
      openSessionStore(`postgres://someone:topsecret@127.0.0.1:${host.port}/db?sslmode=${mode}`),
    );
    assert.equal(asked, expected, mode);
    if (expected) assert.match(error.message, /does not support SSL/);
    await host.close();
  }
});

test("a certificate that is not there is told as what it is", async () => {
  const error = await rejectsWith(
    "invalid_option",
    openSessionStore("postgres://someone:topsecret@127.0.0.1:1/db?sslmode=verify-full&sslrootcert=/no/such/file"),
  );
  assert.match(error.message, /no\/such\/file/);
});
