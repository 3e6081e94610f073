import { assertEquals, assertThrows } from "@std/assert";
import { I8237 } from "./i8237.ts";

function dma() {
  const memory = new Uint8Array(1 << 24);
  const chip = new I8237({
    memory: {
      read: (address) => memory[address],
      write: (address, value) => {
        memory[address] = value;
      },
    },
  });
  const { master, slave, pages } = chip;
  const out = (port: number, value: number) => {
    if (port < 0x10) master.write(port, 1, value);
    else if (port < 0x90) pages.write(port - 0x81, 1, value);
    else slave.write(port - 0xc0, 1, value);
  };
  const inp = (port: number) => {
    if (port < 0x10) return master.read(port, 1);
    return port < 0x90 ? pages.read(port - 0x81, 1) : slave.read(port - 0xc0, 1);
  };
  /** As the floppy driver of a BIOS sets up channel 2. */
  const setUp = (mode: number, address: number, count: number) => {
    out(0x0a, 0x06);
    out(0x0c, 0);
    out(0x0b, mode | 2);
    out(0x04, address & 0xff);
    out(0x04, (address >> 8) & 0xff);
    out(0x81, address >> 16);
    out(0x05, count & 0xff);
    out(0x05, count >> 8);
    out(0x0a, 0x02);
    out(0xd4, 0x00);
  };
  return { chip, memory, out, inp, setUp };
}

Deno.test("I8237 reads and writes 16-bit registers through its flip-flop", () => {
  const { out, inp } = dma();
  out(0x0c, 0);
  out(0x02, 0x34);
  out(0x02, 0x12);
  assertEquals([inp(0x02), inp(0x02)], [0x34, 0x12]);
  inp(0x02);
  out(0x0c, 0);
  assertEquals(inp(0x02), 0x34);
  out(0xd8, 0);
  out(0xc6, 0x78);
  out(0xc6, 0x56);
  assertEquals([inp(0xc6), inp(0xc6), inp(0xc7)], [0x78, 0x56, 0xff]);
});

Deno.test("I8237 has page registers that read back, spare ones included", () => {
  const { out, inp } = dma();
  for (let port = 0x81; port <= 0x8f; port++) out(port, port ^ 0xff);
  for (let port = 0x81; port <= 0x8f; port++) assertEquals(inp(port), port ^ 0xff);
});

Deno.test("I8237 moves a device's bytes to memory and masks the channel at terminal count", () => {
  const { chip, memory, setUp, inp } = dma();
  setUp(0x44, 0x12fffe, 3);
  assertEquals(chip.transfer(2, Uint8Array.of(1, 2)), { bytes: 2, terminal: false });
  assertEquals(chip.transfer(2, Uint8Array.of(3, 4, 5)), { bytes: 2, terminal: true });
  // Addresses wrap within 64 KiB.
  assertEquals([memory[0x12fffe], memory[0x12ffff], memory[0x120000], memory[0x120001]], [
    1,
    2,
    3,
    4,
  ]);
  assertEquals([inp(0x08), inp(0x08), inp(0x0f)], [0x04, 0, 0xff]);
  assertEquals(chip.transfer(2, Uint8Array.of(6)), { bytes: 0, terminal: false });
});

Deno.test("I8237 moves memory to a device, downwards, and starts over with autoinitialize", () => {
  const { chip, memory, setUp } = dma();
  memory.set([10, 11, 12], 0x2000);
  setUp(0x78, 0x2002, 2);
  const buffer = new Uint8Array(3);
  assertEquals(chip.transfer(2, buffer), { bytes: 3, terminal: true });
  assertEquals([...buffer], [12, 11, 10]);
  assertEquals(chip.transfer(2, buffer).bytes, 3);
});

Deno.test("I8237 verifies without touching memory", () => {
  const { chip, memory, setUp } = dma();
  setUp(0x40, 0x3000, 0);
  assertEquals(chip.transfer(2, Uint8Array.of(9)), { bytes: 1, terminal: true });
  assertEquals(memory[0x3000], 0);
});

Deno.test("I8237 moves words on the upper channels", () => {
  const { chip, memory, out } = dma();
  out(0xd8, 0);
  out(0xd6, 0x45);
  out(0xc4, 0x00);
  out(0xc4, 0x80);
  out(0x8b, 0x03);
  out(0xc6, 1);
  out(0xc6, 0);
  out(0xd4, 0x01);
  assertEquals(chip.transfer(5, Uint8Array.of(1, 2, 3, 4, 5)), { bytes: 4, terminal: true });
  assertEquals([...memory.subarray(0x30000, 0x30005)], [1, 2, 3, 4, 0]);
});

Deno.test("I8237 serves nobody while disabled, masked, or with the cascade masked", () => {
  const { chip, setUp, out } = dma();
  assertEquals(chip.isReady(2), false);
  setUp(0x44, 0, 9);
  assertEquals(chip.isReady(2), true);
  out(0x08, 0x04);
  assertEquals(chip.isReady(2), false);
  out(0x08, 0);
  out(0xd4, 0x04);
  assertEquals(chip.isReady(2), false);
  out(0xdc, 0);
  assertEquals(chip.isReady(2), true);
  out(0x0d, 0);
  assertEquals(chip.isReady(2), false);
});

Deno.test("I8237 shows requests in its status", () => {
  const { chip, inp, out } = dma();
  chip.setRequest(3, true);
  assertEquals(inp(0x08), 0x80);
  chip.setRequest(3, false);
  out(0x09, 0x05);
  assertEquals(inp(0x08), 0x20);
  assertThrows(() => chip.setRequest(4, true), RangeError);
  assertThrows(() => chip.isReady(8), RangeError);
});

Deno.test("I8237 copies memory to memory on a software request", () => {
  const { memory, out, inp } = dma();
  memory.set([7, 8, 9], 0x4000);
  out(0x0c, 0);
  for (const [port, value] of [[0x00, 0x4000], [0x02, 0x5000], [0x03, 2]] as const) {
    out(port, value & 0xff);
    out(port, value >> 8);
  }
  out(0x08, 0x01);
  out(0x09, 0x04);
  assertEquals([...memory.subarray(0x5000, 0x5004)], [7, 8, 9, 0]);
  assertEquals([inp(0x0d), inp(0x08)], [9, 0x02]);
});
