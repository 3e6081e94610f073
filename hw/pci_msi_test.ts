import { assertEquals, assertThrows } from "@std/assert";
import { COMMAND, COMMAND_MASTER, PciConfig } from "./pci.ts";
import { Msi, Msix } from "./pci_msi.ts";

const IDENTITY = { vendor: 0x1af4, device: 1, classCode: 0x020000, interruptPin: 1 } as const;
const MSI = 0x50, MSIX = 0x70;

function bed() {
  const config = new PciConfig(IDENTITY);
  const sent: string[] = [];
  const pin: boolean[] = [];
  config.connectMessages((address, data) => sent.push(`${address.toString(16)}=${data}`));
  config.connectInterrupt((level) => pin.push(level));
  config.write(COMMAND, 2, COMMAND_MASTER);
  return { config, sent, pin };
}

function withMsi(vectors: number) {
  const { config, sent, pin } = bed();
  const msi = new Msi(config, { offset: MSI, vectors });
  const program = (control: number) => {
    config.write(MSI + 4, 4, 0xfee01003);
    config.write(MSI + 12, 2, 0x4047);
    config.write(MSI + 2, 2, control);
  };
  return { config, msi, sent, pin, program };
}

Deno.test("Capabilities form a list that software can walk", () => {
  const { config } = bed();
  assertEquals([config.get16(6) & 0x10, config.get8(0x34)], [0, 0]);
  new Msi(config, { offset: MSI });
  new Msix(config, {
    offset: MSIX,
    vectors: 3,
    bar: 1,
    tableOffset: 0x2000,
    pendingOffset: 0x3000,
  });
  config.reset();
  assertEquals(config.get16(6) & 0x10, 0x10);
  assertEquals([config.get8(0x34), config.get8(MSI), config.get8(MSI + 1)], [MSI, 5, MSIX]);
  assertEquals([config.get8(MSIX), config.get8(MSIX + 1)], [0x11, 0]);
  assertEquals(config.get16(MSIX + 2), 2);
  assertEquals([config.get32(MSIX + 4), config.get32(MSIX + 8)], [0x2001, 0x3001]);
  assertThrows(() => config.capability(9, 0x41), RangeError, "0x41");
  assertThrows(() => new Msi(config, { offset: 0x90, vectors: 3 }), RangeError, "3 vectors");
});

Deno.test("Msi sends its message only while enabled, and by a bus master", () => {
  const { config, msi, sent, program } = withMsi(1);
  program(0);
  msi.notify();
  assertEquals(sent, []);
  program(1);
  msi.notify();
  assertEquals(sent, ["fee01000=16455"]);
  config.write(COMMAND, 2, 0);
  msi.notify();
  assertEquals(sent.length, 1);
});

Deno.test("Msi puts the vector into the bits of data that it was granted", () => {
  const { msi, sent, program } = withMsi(8);
  program(1 | (2 << 4));
  for (const vector of [0, 3, 6]) msi.notify(vector);
  assertEquals(sent, [0x4044, 0x4047, 0x4046].map((data) => `fee01000=${data}`));
  sent.length = 0;
  // It takes no more than it can have.
  program(1 | (5 << 4));
  msi.notify(7);
  assertEquals(sent, [`fee01000=${0x4047}`]);
});

Deno.test("Msi keeps masked vectors pending until they are opened", () => {
  const { config, msi, sent, program } = withMsi(2);
  program(1 | (1 << 4));
  config.write(MSI + 16, 4, 0xffffffff);
  assertEquals(config.get32(MSI + 16), 3);
  msi.notify(1);
  assertEquals([sent.length, config.get32(MSI + 20)], [0, 2]);
  config.write(MSI + 16, 4, 1);
  assertEquals([sent, config.get32(MSI + 20)], [["fee01000=16455"], 0]);
});

Deno.test("Msi stands in for the interrupt pin", () => {
  const { config, pin, program } = withMsi(1);
  config.setInterrupt(true);
  assertEquals(pin.at(-1), true);
  program(1);
  assertEquals(pin.at(-1), false);
  program(0);
  assertEquals(pin.at(-1), true);
});

Deno.test("Msix sends each entry's own message, and keeps what is masked", () => {
  const { config, sent } = bed();
  const msix = new Msix(config, {
    offset: MSIX,
    vectors: 2,
    bar: 0,
    tableOffset: 0,
    pendingOffset: 0x800,
  });
  const entry = (n: number, address: number, data: number, control: number) =>
    [address, 0, data, control].forEach((word, i) =>
      msix.tableAccess.write(16 * n + 4 * i, 4, word)
    );
  assertEquals([msix.tableAccess.read(12, 4), msix.tableAccess.read(28, 4)], [1, 1]);
  entry(0, 0xfee00000, 0x41, 0);
  entry(1, 0xfee01000, 0x51, 1);
  msix.notify(0);
  assertEquals(sent, []);
  config.write(MSIX + 2, 2, 0x8000);
  msix.notify(0);
  msix.notify(1);
  msix.notify(2);
  assertEquals([sent, msix.pendingAccess.read(0, 4)], [["fee00000=65"], 2]);
  msix.tableAccess.write(28, 4, 0);
  assertEquals([sent.at(-1), msix.pendingAccess.read(0, 4)], ["fee01000=81", 0]);
  config.write(MSIX + 2, 2, 0xc000);
  msix.notify(0);
  assertEquals([sent.length, msix.pendingAccess.read(0, 4)], [2, 1]);
  config.write(MSIX + 2, 2, 0x8000);
  assertEquals([sent.length, msix.pendingAccess.read(0, 4)], [3, 0]);
});

Deno.test("Messages above 4 GiB reach nobody", () => {
  const { config, msi, sent, program } = withMsi(1);
  config.write(MSI + 8, 4, 1);
  program(1);
  msi.notify();
  assertEquals(sent, []);
});
