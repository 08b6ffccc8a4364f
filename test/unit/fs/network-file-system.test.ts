import assert from "node:assert/strict";
import { test } from "node:test";
import { refuseNetworkFileSystem } from "../../../src/fs/network-file-system.js";
import type { Port } from "../../../src/fs/port.js";
import { SimulatedMachine } from "../../sim/machine.js";

/** A port of a machine whose disk reports this type, with the locks of Linux. */
function portOn(fileSystemType: number): Port {
  const machine = new SimulatedMachine({ fileSystemType });
  machine.makeDirectory("/home/agent");
  const port = machine.process("p");
  return new Proxy(port as Port, {
    get: (target, name) => {
      if (name === "lockFamily") return "ofd";
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

const check = (type: number, logger?: { warn: (message: string) => void }) => {
  const port = portOn(type);
  refuseNetworkFileSystem(port, port.openRoot("/home/agent"), logger);
};

for (const [name, type] of [
  ["NFS", 0x6969],
  ["SMB", 0xfe534d42],
  ["CIFS, reported as a signed number", 0xff534d42 | 0],
  ["9p", 0x01021997],
] as const) {
  test(`a writer refuses ${name}, whose locks do not hold between machines`, () => {
    assert.throws(() => check(type), { code: "unsupported_platform" });
  });
}

for (const [name, type] of [
  ["ext4", 0xef53],
  ["xfs", 0x58465342],
  ["btrfs", 0x9123683e],
  ["tmpfs", 0x01021994],
  ["overlay", 0x794c7630],
] as const) {
  test(`a writer accepts ${name}`, () => check(type));
}

test("a FUSE file system is used, and mentioned", () => {
  const warnings: string[] = [];
  check(0x65735546, { warn: (message) => warnings.push(message) });
  assert.equal(warnings.length, 1);
});
