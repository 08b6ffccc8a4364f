/** A port whose calls of one kind fail, for files outside a store. */

import { nodePort } from "../../../src/fs/node-port.js";
import type { Port } from "../../../src/fs/port.js";

export function failCallOf(name: "append" | "syncFile" | "rename" | "syncDirectory", code: string): Port {
  const port = nodePort();
  const fail = () => {
    const error = Object.assign(new Error(`${code}: injected`), { code });
    if (name.startsWith("sync")) return Promise.reject(error);
    throw error;
  };
  return { ...port, [name]: fail } as Port;
}
