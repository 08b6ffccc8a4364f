/**
 * A pooler in transaction mode, as small as it gets: each client gets a server connection when it begins something and
 * gives it back when the server is ready outside of a transaction. Which one it gets next is the one that was given back
 * last - what the client left on another one is gone.
 *
 * It answers the log-in itself, with the parameters of a connection of its own, and asks for no password.
 */

import net from "node:net";
import pg from "pg";

export interface Pooler {
  readonly url: (url: string) => string;
  close(): Promise<void>;
}

interface ServerConnection {
  readonly stream: net.Socket;
  end(): Promise<void>;
}

const readyForQuery = 0x5a;
const sync = 0x53;
const simpleQuery = 0x51;
const terminate = 0x58;

export async function startPooler(url: string): Promise<Pooler> {
  const idle: ServerConnection[] = [];
  const all: ServerConnection[] = [];
  const clients = new Set<net.Socket>();

  const take = async (): Promise<ServerConnection> => {
    const kept = idle.pop();
    if (kept) return kept;
    // The driver logs in; afterwards only its socket is used.
    const client = new pg.Client({ connectionString: url });
    client.on("error", () => {});
    await client.connect();
    const { stream } = (client as unknown as { connection: { stream: net.Socket } }).connection;
    stream.removeAllListeners("data");
    stream.on("error", () => {});
    const connection = { stream, end: async () => void stream.destroy() };
    all.push(connection);
    return connection;
  };

  const server = net.createServer((client) => {
    clients.add(client);
    client.on("close", () => clients.delete(client));
    client.on("error", () => client.destroy());
    let loggedIn = false;
    let waiting = Buffer.alloc(0);
    let mine: ServerConnection | undefined;
    let queue: Promise<void> = Promise.resolve();

    const handle = async (message: Buffer) => {
      if (message[0] === terminate) return;
      mine ??= await take();
      const { stream } = mine;
      if (message[0] !== sync && message[0] !== simpleQuery) {
        stream.write(message);
        return;
      }
      // The answer ends with "ready", which says whether a transaction is open.
      await new Promise<void>((resolve) => {
        const onData = (bytes: Buffer) => {
          client.write(bytes);
          if (bytes.length < 6 || bytes[bytes.length - 6] !== readyForQuery) return;
          stream.removeListener("data", onData);
          if (bytes[bytes.length - 1] === 0x49 && mine) {
            idle.push(mine);
            mine = undefined;
          }
          resolve();
        };
        stream.on("data", onData);
        stream.write(message);
      });
    };

    client.on("data", (bytes) => {
      waiting = Buffer.concat([waiting, bytes]);
      if (!loggedIn) {
        if (waiting.length < 4 || waiting.length < waiting.readInt32BE(0)) return;
        waiting = waiting.subarray(waiting.readInt32BE(0));
        loggedIn = true;
        client.write(welcome());
      }
      while (waiting.length >= 5 && waiting.length >= 1 + waiting.readInt32BE(1)) {
        const length = 1 + waiting.readInt32BE(1);
        const message = Buffer.from(waiting.subarray(0, length));
        waiting = waiting.subarray(length);
        queue = queue.then(() => handle(message)).catch(() => void client.destroy());
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  return {
    url: (given) => given.replace(/@[^/]+\//, `@127.0.0.1:${port}/`),
    close: async () => {
      for (const client of clients) client.destroy();
      await Promise.all(all.map((connection) => connection.end()));
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** AuthenticationOk, two parameters, ReadyForQuery. */
function welcome(): Buffer {
  const parameter = (name: string, value: string) => {
    const body = Buffer.from(`${name}\0${value}\0`);
    const head = Buffer.alloc(5);
    head[0] = 0x53;
    head.writeInt32BE(body.length + 4, 1);
    return Buffer.concat([head, body]);
  };
  return Buffer.concat([
    Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 0]),
    parameter("client_encoding", "UTF8"),
    parameter("server_version", "18.0"),
    Buffer.from([readyForQuery, 0, 0, 0, 5, 0x49]),
  ]);
}
