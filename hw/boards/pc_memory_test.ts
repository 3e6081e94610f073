import { assertEquals, assertThrows } from "@std/assert";
import { MemorySizeError } from "./errors.ts";
import { createPcMemory, loadBytes } from "./pc_memory.ts";

const MIB = 2 ** 20;

Deno.test("RAM lies around the legacy hole", () => {
  const { memory } = createPcMemory(4 * MIB, 0);
  for (const address of [0, 0x9fffc, 0x100000, 4 * MIB - 4]) {
    memory.write(address, 4, 0x12345678);
    assertEquals(memory.read(address, 4), 0x12345678);
  }
  for (const address of [0xa0000, 0xc0000, 0xffffc, 4 * MIB]) {
    memory.write(address, 4, 0x12345678);
    assertEquals(memory.read(address, 4), 0xffffffff);
  }
});

Deno.test("RAM that would reach the PCI devices goes on above 4 GiB", () => {
  const GIB = 1024 * MIB;
  for (const [size, below] of [[3583, 3583], [3584, 3072], [4096, 3072]]) {
    // ROMs and video memory have room behind the largest RAM too.
    const { memory } = createPcMemory(size * MIB, 16 * MIB);
    const ends = [below * MIB, 4 * GIB + (size - below) * MIB];
    const places = size === below ? [MIB, ends[0] - 4] : [MIB, ends[0] - 4, 4 * GIB, ends[1] - 4];
    places.forEach((address, i) => memory.write(address, 4, 0x12345678 + i));
    places.forEach((address, i) => assertEquals(memory.read(address, 4), 0x12345678 + i));
    for (const end of ends) assertEquals(memory.read(end, 4), 0xffffffff);
    const { host } = memory;
    const rom = host.allocate(16 * MIB);
    memory.addRom("rom", 4 * GIB - 16 * MIB, 16 * MIB, rom);
    host.setInt32(rom + 16 * MIB - 4, 0x55aa);
    assertEquals(memory.read(4 * GIB - 4, 4), 0x55aa);
    const touched = host.touched.subarray(0, rom / 4096).reduce((sum, n) => sum + n, 0);
    assertEquals(touched, places.length, "pages that were written");
  }
});

Deno.test("shadow RAM takes writes and reads apart", () => {
  const { memory, pam } = createPcMemory(2 * MIB, 0);
  pam[0].setAccess(false, true);
  memory.write(0xf0000, 1, 0x42);
  assertEquals(memory.read(0xf0000, 1), 0xff);
  pam[0].setAccess(true, false);
  memory.write(0xf0000, 1, 0x43);
  assertEquals(memory.read(0xf0000, 1), 0x42);
});

Deno.test("a board of 1 MiB has RAM in the hole and none above it", () => {
  const { memory, pam } = createPcMemory(MIB, 0);
  pam[0].setAccess(true, true);
  memory.write(0xffff0, 1, 7);
  assertEquals(memory.read(0xffff0, 1), 7);
  assertEquals(memory.read(0x100000, 1), 0xff);
});

for (
  const [size, message] of [
    [0, "0 MiB is out of range"],
    [MIB - 65536, "0.9375 MiB is out of range: the board takes 1 MiB to 4096 MiB"],
    [4097 * MIB, "4097 MiB is out of range"],
    [NaN, "NaN bytes is out of range"],
    [-1, "-1 bytes is out of range"],
    [MIB + 1, "1048577 bytes is not a multiple of 64 KiB: give 1114112"],
  ] as const
) {
  Deno.test(`memory of ${size} bytes is refused`, () => {
    const error = assertThrows(() => createPcMemory(size, 0), MemorySizeError, message);
    assertEquals(error.option, "memory");
  });
}

Deno.test("loaded bytes reach RAM unseen by watchers and are told to engines", () => {
  const { memory } = createPcMemory(2 * MIB, 0);
  const seen: number[] = [];
  const told: number[] = [];
  memory.watch(0x1000, 0x1000, { write: true }, ({ address }) => seen.push(address));
  const host = memory.hostOffset(0x1000);
  memory.codePages[host / 0x1000] = 1;
  memory.onCodeWrite = (offset, length) => told.push(offset, length);
  loadBytes(memory, 0xffe, new Uint8Array([1, 2, 3, 4]));
  assertEquals(memory.read(0xffe, 4), 0x04030201);
  assertEquals([seen, told], [[], [host, 2]]);
  assertThrows(() => loadBytes(memory, 0xa0000, new Uint8Array(1)), RangeError, "0xa0000");
});
