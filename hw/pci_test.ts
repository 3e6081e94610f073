import { assertEquals, assertThrows } from "@std/assert";
import { HostMemory } from "../core/bus/host_memory.ts";
import { MemoryMap } from "../core/bus/memory_map.ts";
import { PortMap } from "../core/bus/port_map.ts";
import { StateError } from "../core/chip.ts";
import { PciConfig, PciHost } from "./pci.ts";

function board() {
  const ports = new PortMap();
  const host = new PciHost();
  ports.claim("pci address", 0xcf8, 4, host.address, { sizes: [4] });
  ports.claim("pci data", 0xcfc, 4, host.data, { sizes: [1, 2, 4] });
  const select = (device: number, func: number, offset: number) =>
    ports.write(0xcf8, 4, (0x80000000 | (device << 11) | (func << 8) | (offset & 0xfc)) >>> 0);
  const read = (device: number, func: number, offset: number, size: 1 | 2 | 4) => {
    select(device, func, offset);
    return ports.read(0xcfc + (offset & 3), size);
  };
  const write = (
    device: number,
    func: number,
    offset: number,
    size: 1 | 2 | 4,
    value: number,
  ) => {
    select(device, func, offset);
    ports.write(0xcfc + (offset & 3), size, value);
  };
  return { ports, host, read, write };
}

function vga(): PciConfig {
  return new PciConfig({
    vendor: 0x1234,
    device: 0x1111,
    classCode: 0x030000,
    revision: 2,
    interruptPin: 1,
  });
}

const at = 0x10000000;
const echo = { read: (offset: number) => offset, write: () => {} };

Deno.test("PciHost answers the presence test of mechanism #1", () => {
  const { ports } = board();
  ports.write(0xcfb, 1, 1);
  ports.write(0xcf8, 4, 0x80000000);
  assertEquals(ports.read(0xcf8, 4), 0x80000000);
});

Deno.test("PciHost reads configuration space in bytes, words, dwords and across the port's end", () => {
  const { ports, host, read } = board();
  host.attach(2, 0, vga());
  assertEquals(read(2, 0, 0, 4), 0x11111234);
  assertEquals(read(2, 0, 2, 2), 0x1111);
  assertEquals(read(2, 0, 1, 2), 0x1112);
  assertEquals(read(2, 0, 8, 4), 0x03000002);
  assertEquals(read(2, 0, 0x0b, 1), 3);
  assertEquals(read(2, 0, 0x2c, 4), 0x11001af4);
  assertEquals(ports.read(0xcff, 2) >>> 8, 0xff);
});

Deno.test("PciHost reads ones and ignores writes where there is no function, bus or enable bit", () => {
  const { ports, host, read, write } = board();
  host.attach(2, 0, vga());
  assertEquals(read(3, 0, 0, 4), 0xffffffff);
  assertEquals(read(2, 1, 0, 2), 0xffff);
  write(3, 0, 4, 2, 7);
  ports.write(0xcf8, 4, 0x80010000 | (2 << 11));
  assertEquals(ports.read(0xcfc, 4), 0xffffffff);
  ports.write(0xcf8, 4, 2 << 11);
  assertEquals(ports.read(0xcfc, 4), 0xffffffff);
});

Deno.test("PciHost leaves byte accesses at 0xcf9 to another chip and keeps its address whole", () => {
  const { ports } = board();
  let rcr = 0;
  ports.claim("rcr", 0xcf9, 1, { read: () => rcr, write: (_o, _s, v) => rcr = v }, { priority: 1 });
  ports.write(0xcf8, 4, 0x80001234);
  ports.write(0xcf9, 1, 6);
  assertEquals(rcr, 6);
  assertEquals(ports.read(0xcf8, 4), 0x80001234);
});

Deno.test("PciHost refuses two functions in one place and finds free devices", () => {
  const { host } = board();
  host.attach(1, 0, vga());
  assertThrows(() => host.attach(1, 0, vga()), RangeError, "taken");
  assertThrows(() => host.attach(32, 0, vga()), RangeError, "does not exist");
  assertEquals(host.freeDevice(), 2);
  assertEquals(host.list().map((f) => f.device), [1]);
});

Deno.test("PciHost refuses an address that no guest could have written", () => {
  const { host } = board();
  assertThrows(() => host.restore({ CONFADD: 3 }), StateError);
  assertThrows(() => host.restore({ CONFADD: 0, more: 1 }), StateError);
});

Deno.test("PciConfig keeps read-only bits and clears status bits by writing ones", () => {
  const config = vga();
  config.write(0, 4, 0);
  assertEquals(config.read(0, 4), 0x11111234);
  config.write(4, 2, 0xffff);
  assertEquals(config.read(4, 2), 0x0547);
  config.bytes[7] |= 0x20;
  config.write(4, 4, 0x20000000);
  assertEquals(config.read(6, 2), 0x0200);
  assertEquals(config.read(4, 2), 0);
  config.write(0x3c, 2, 0xff0b);
  assertEquals(config.read(0x3c, 2), 0x010b);
});

Deno.test("PciConfig reports the size of each base address register to a sizing guest", () => {
  const config = vga();
  config.bar(0, { kind: "memory", size: 16 << 20, prefetchable: true });
  config.bar(1, { kind: "io", size: 32 });
  config.bar(2, { kind: "memory", size: 0x4000, wide: true });
  config.romBar(65536);
  for (const offset of [0x10, 0x14, 0x18, 0x1c, 0x20, 0x30]) config.write(offset, 4, 0xffffffff);
  assertEquals(config.read(0x10, 4), 0xff000008);
  assertEquals(config.read(0x14, 4), 0xffffffe1);
  assertEquals(config.read(0x18, 4), 0xffffc004);
  assertEquals(config.read(0x1c, 4), 0xffffffff);
  assertEquals(config.read(0x20, 4), 0);
  assertEquals(config.read(0x30, 4), 0xffff0001);
  assertThrows(() => config.bar(3, { kind: "io", size: 24 }), RangeError);
});

Deno.test("PciConfig moves and switches ports as the guest programs them", () => {
  const ports = new PortMap();
  const config = vga();
  config.bar(4, { kind: "io", size: 16 });
  config.connectBar(4, ports.claim("io", 0, 16, echo, { enabled: false }));
  config.write(0x20, 4, 0xc000);
  assertEquals(ports.read(0xc003, 1), 0xff);
  config.write(4, 2, 1);
  assertEquals(ports.read(0xc003, 1), 3);
  config.write(0x21, 1, 0xd0);
  assertEquals(ports.read(0xc003, 1), 0xff);
  assertEquals(ports.read(0xd003, 1), 3);
  config.write(0x20, 4, 0xffffffff);
  assertEquals(ports.list(), []);
  config.write(0x20, 4, 0xc000);
  config.reset();
  assertEquals(ports.list(), []);
});

Deno.test("PciConfig moves and switches memory, and the expansion ROM by its own bit", () => {
  const map = new MemoryMap(new HostMemory(65536));
  const config = vga();
  config.bar(0, { kind: "memory", size: 4096 });
  config.bar(2, { kind: "memory", size: 4096, wide: true });
  config.romBar(4096);
  config.connectBar(0, map.addMmio("bar0", 0, 4096, echo, { enabled: false }));
  config.connectBar(2, map.addMmio("bar2", 0, 4096, echo, { enabled: false }));
  config.connectBar("rom", map.addMmio("rom", 0, 4096, { read: () => 0x55, write: () => {} }));
  config.write(0x10, 4, at);
  config.write(0x18, 4, at + 0x1000);
  config.write(0x30, 4, at + 0x2000);
  config.write(4, 2, 2);
  assertEquals(map.read(at + 5, 1), 5);
  assertEquals(map.read(at + 0x1007, 1), 7);
  assertEquals(map.read(at + 0x2000, 1), 0xff);
  config.write(0x30, 4, at + 0x2001);
  assertEquals(map.read(at + 0x2000, 1), 0x55);
  config.write(0x1c, 4, 1);
  assertEquals(map.read(at + 0x1007, 1), 0xff);
  config.write(0x10, 4, 0xffffffff);
  assertEquals(map.read(0xfffff000, 1), 0xff);
  assertEquals(config.barAddress(0), undefined);
  assertEquals(config.barAddress("rom"), at + 0x2000);
});

Deno.test("PciConfig drives its interrupt, shows it in the status and obeys interrupt disable", () => {
  const config = vga();
  let level = false;
  config.connectInterrupt((l) => level = l);
  config.setInterrupt(true);
  assertEquals([level, config.read(6, 2)], [true, 0x0208]);
  config.write(4, 2, 0x400);
  assertEquals([level, config.read(6, 2)], [false, 0x0208]);
  config.write(4, 2, 0);
  assertEquals(level, true);
});

Deno.test("PciConfig restores ranges and refuses bytes that no guest can write", () => {
  const ports = new PortMap();
  const config = vga();
  config.bar(0, { kind: "io", size: 16 });
  config.connectBar(0, ports.claim("io", 0, 16, echo, { enabled: false }));
  config.write(0x10, 4, 0xe000);
  config.write(4, 2, 1);
  const kept = config.bytes.slice();
  config.reset();
  config.check("vga", kept);
  config.restore(kept);
  assertEquals(ports.read(0xe001, 1), 1);
  kept[0]++;
  assertThrows(() => config.check("vga", kept), StateError, "0x0");
});
