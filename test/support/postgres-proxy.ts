/**
 * A small proxy that speaks just enough of PostgreSQL's protocol to know where messages end. It can lose the answer to a
 * statement after the server carried it out, cut every connection, stop answering, and share server connections between
 * transactions as a pooler does.
 */

import net from "node:net";

export interface PostgresProxy {
  readonly port: number;
  url(url: string): string;
  /** The next answer to a statement whose text matches is lost together with the connection. */
  loseAnswerTo(pattern: RegExp): void;
  /** The next such statement never reaches the server, and the connection is cut. */
  loseStatement(pattern: RegExp): void;
  /** The next such statement reaches the server, and the connection is cut before there can be an answer. */
  cutAfter(pattern: RegExp): void;
  /** The connection is cut at the next such statement; the server gets it when the function that is returned is called. */
  delayStatement(pattern: RegExp): () => Promise<void>;
  /** From now on new connections are refused (closed at once), until told otherwise. */
  refuse(refused: boolean): void;
  /** Resolves when something was lost as told. */
  readonly lost: Promise<void>;
  /** How many answers of the server came to their end: one for each round trip. */
  readonly answers: number;
  close(): Promise<void>;
}

const readyForQuery = "Z".charCodeAt(0);

export async function startProxy(target: { host: string; port: number }): Promise<PostgresProxy> {
  const sockets = new Set<net.Socket>();
  let refused = false;
  let answers = 0;
  let losing: { pattern: RegExp; what: "answer" | "statement" | "connection" | "delayed" } | undefined;
  let deliver: (() => Promise<void>) | undefined;
  let tellLost = () => {};
  let lost = new Promise<void>((resolve) => {
    tellLost = resolve;
  });
  const server = net.createServer((client) => {
    if (refused) return void client.destroy();
    const upstream = net.connect(target.port, target.host);
    let loseNextAnswer = false;
    const cut = () => {
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", cut);
      socket.on("close", () => {
        sockets.delete(socket);
        cut();
      });
    }
    client.on("data", (bytes) => {
      // Plans have names here, so a text comes once with its name, and later only the name: match both.
      if (losing?.pattern.test(bytes.toString("latin1"))) {
        const { what } = losing;
        losing = undefined;
        if (what === "statement") {
          tellLost();
          return cut();
        }
        if (what === "connection") {
          upstream.write(bytes, () => {
            tellLost();
            cut();
          });
          return;
        }
        if (what === "delayed") {
          // The server must not notice: only the client's side is closed.
          client.removeAllListeners("close");
          client.destroy();
          deliver = () =>
            new Promise((resolve) => {
              upstream.on("data", (answer) => {
                if (answer[answer.length - 6] === readyForQuery) resolve();
              });
              upstream.write(bytes);
            });
          return tellLost();
        }
        loseNextAnswer = true;
      }
      upstream.write(bytes);
    });
    upstream.on("data", (bytes) => {
      if (bytes.length >= 6 && bytes[bytes.length - 6] === readyForQuery) answers += 1;
      if (!loseNextAnswer) return void client.write(bytes);
      // The server is ready again: it has done it. Nothing of that answer gets through.
      if (bytes.length >= 6 && bytes[bytes.length - 6] === readyForQuery) {
        tellLost();
        cut();
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  const lose = (pattern: RegExp, what: "answer" | "statement" | "connection" | "delayed") => {
    losing = { pattern, what };
    lost = new Promise((resolve) => {
      tellLost = resolve;
    });
  };
  return {
    port,
    url: (url) => url.replace(`:${target.port}/`, `:${port}/`),
    loseAnswerTo: (pattern) => lose(pattern, "answer"),
    loseStatement: (pattern) => lose(pattern, "statement"),
    cutAfter: (pattern) => lose(pattern, "connection"),
    delayStatement: (pattern) => {
      lose(pattern, "delayed");
      return async () => deliver?.();
    },
    refuse: (now) => {
      refused = now;
    },
    get lost() {
      return lost;
    },
    get answers() {
      return answers;
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
