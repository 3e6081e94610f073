import { assertEquals, assertThrows } from "@std/assert";
import { MemoryDevice } from "../core/block/memory_device.ts";
import { type State, StateError } from "../core/chip.ts";
import { AtaDisk } from "./ata_disk.ts";
import { AtapiCdrom } from "./atapi_cdrom.ts";
import { BUS_MASTER, IDE, IdeBoard } from "./ide_testing.ts";

function board() {
  const b = new IdeBoard();
  const content = Uint8Array.from({ length: 1 << 20 }, (_, i) => (i >> 9) ^ i & 0xff);
  const block = new MemoryDevice(content);
  b.ide.attach(0, 0, new AtaDisk({ clock: b.clock, block }));
  const bytes = (address: number, length: number) => {
    const target = new Uint8Array(length);
    b.memory.readBlock(address, target);
    return target;
  };
  const readDma = (count: number) => b.command(0, count, 0, 0, 0, 0xe0, 0xc8);
  const writeDma = (count: number) => b.command(0, count, 0, 0, 0, 0xe0, 0xca);
  return { b, block, content, bytes, readDma, writeDma };
}

Deno.test("Piix3Ide identifies itself as a legacy IDE controller with a bus master", () => {
  const { config } = new IdeBoard().ide;
  assertEquals(config.read(0, 4), 0x70108086);
  assertEquals(config.read(8, 4), 0x01018000);
  assertEquals(config.read(0x20, 4), BUS_MASTER | 1);
  assertEquals(config.read(0x3c, 2), 0);
  // Both channels decode, for firmware that never says so.
  assertEquals(config.read(0x40, 4), 0x80008000);
});

Deno.test("Piix3Ide decodes a channel's ports when I/O and the channel are enabled", () => {
  const { b } = board();
  assertEquals(b.register(7), 0x50);
  b.ide.config.write(0x40, 2, 0);
  assertEquals([b.register(7), b.alternateStatus], [0xff, 0xff]);
  b.ide.config.write(0x40, 2, 0x8000);
  assertEquals(b.register(7), 0x50);
  b.ide.config.write(4, 2, 0);
  assertEquals(b.register(7), 0xff);
});

Deno.test("Piix3Ide reads zeros from devices that are not there, and ignores commands to them", () => {
  const { b } = board();
  b.command(undefined, 0x55, 0xaa, undefined, undefined, 0xb0);
  assertEquals([2, 3, 7].map((r) => b.register(r)), [0, 0, 0]);
  b.command(...new Array(6), 0xec);
  assertEquals([b.register(7), b.irqs[0], b.ports.read(IDE, 2)], [0, false, 0]);
  b.command(...new Array(5), 0xa0);
  assertEquals([2, 3, 7].map((r) => b.register(r)), [0x55, 0xaa, 0x50]);
  assertEquals(b.ports.read(0x177, 1), 0);
  assertThrows(
    () => b.ide.attach(0, 0, new AtapiCdrom({ clock: b.clock })),
    RangeError,
    "taken",
  );
});

Deno.test("Piix3Ide lets two devices share a channel, registers and diagnostics", () => {
  const { b } = board();
  b.ide.attach(0, 1, new AtapiCdrom({ clock: b.clock }));
  b.command(undefined, undefined, undefined, undefined, undefined, 0xb0);
  assertEquals([b.register(4), b.register(5)], [0x14, 0xeb]);
  b.command(...new Array(6), 0xa1);
  assertEquals([b.irqs[0], b.alternateStatus], [true, 0x58]);
  b.command(...new Array(5), 0xa0);
  assertEquals([b.irqs[0], b.alternateStatus], [false, 0x50]);
  b.command(...new Array(5), 0xb0, 0x90);
  assertEquals([b.irqs[0], b.register(1), b.register(7)], [true, 1, 0x50]);
  b.command(undefined, undefined, undefined, undefined, undefined, 0xb0);
  assertEquals([b.irqs[0], b.register(4), b.register(1)], [false, 0x14, 1]);
});

Deno.test("Piix3Ide moves a DMA read into scattered memory and ends with the interrupt alone", () => {
  const { b, content, bytes, readDma } = board();
  readDma(4);
  assertEquals([b.alternateStatus, b.irqs[0]], [0x58, false]);
  b.startDma(true, [[0x20000, 512], [0x30000, 1024], [0x40000, 512]]);
  assertEquals([b.busMasterStatus, b.irqs[0], b.register(7)], [4, true, 0x50]);
  assertEquals(bytes(0x20000, 512), content.slice(0, 512));
  assertEquals(bytes(0x30000, 1024), content.slice(512, 1536));
  assertEquals(bytes(0x40000, 513), Uint8Array.from([...content.slice(1536, 2048), 0]));
  b.ports.write(BUS_MASTER, 1, 8);
  b.ports.write(BUS_MASTER + 2, 1, 4);
  assertEquals(b.busMasterStatus, 0);
});

Deno.test("Piix3Ide started before the command waits for the device", () => {
  const { b, content, bytes, readDma } = board();
  b.startDma(true, [[0x20000, 512]]);
  assertEquals(b.busMasterStatus, 1);
  readDma(1);
  assertEquals([b.busMasterStatus, bytes(0x20000, 512)], [4, content.slice(0, 512)]);
});

Deno.test("Piix3Ide moves a DMA write of many chunks, and 0 is 64 KiB", () => {
  const { b, block, writeDma, bytes } = board();
  const data = Uint8Array.from({ length: 0x20000 }, (_, i) => (i * 13) >> 3);
  b.memory.writeBlock(0x20000, data);
  b.startDma(false, [[0x20000, 0], [0x30000, 0]]);
  writeDma(0);
  assertEquals([b.busMasterStatus, b.register(7)], [4, 0x50]);
  assertEquals(block.bytes.slice(0, 0x20000), data);
  assertEquals(bytes(0x20000, 0x20000), data);
});

Deno.test("Piix3Ide with more room than data stays active with the interrupt", () => {
  const { b, readDma } = board();
  b.startDma(true, [[0x20000, 4096]]);
  readDma(1);
  assertEquals(b.busMasterStatus, 5);
  b.ports.write(BUS_MASTER, 1, 0);
  assertEquals(b.busMasterStatus, 4);
});

Deno.test("Piix3Ide with less room than data goes inactive without an interrupt and can go on", () => {
  const { b, content, bytes, readDma } = board();
  b.startDma(true, [[0x20000, 512]]);
  readDma(2);
  assertEquals([b.busMasterStatus, b.irqs[0], b.alternateStatus], [0, false, 0x58]);
  b.ports.write(BUS_MASTER, 1, 0);
  b.startDma(true, [[0x30000, 512]]);
  assertEquals([b.busMasterStatus, b.irqs[0]], [4, true]);
  assertEquals(bytes(0x30000, 512), content.slice(512, 1024));
});

Deno.test("Piix3Ide moves nothing until it is allowed to be bus master", () => {
  const { b, content, bytes, readDma } = board();
  b.ide.config.write(4, 2, 1);
  b.startDma(true, [[0x20000, 512]]);
  readDma(1);
  assertEquals([b.busMasterStatus, b.irqs[0]], [1, false]);
  b.ide.config.write(4, 2, 5);
  assertEquals([b.busMasterStatus, b.irqs[0]], [4, true]);
  assertEquals(bytes(0x20000, 512), content.slice(0, 512));
});

Deno.test("Piix3Ide survives descriptors that point nowhere", () => {
  const { b, readDma } = board();
  b.startDma(true, [[0xfffffffe, 0xffff]]);
  readDma(16);
  assertEquals(b.register(7), 0x50);
  b.ports.write(BUS_MASTER, 1, 0);
  b.ports.write(BUS_MASTER + 4, 4, 0xfffffffc);
  b.ports.write(BUS_MASTER, 1, 9);
  readDma(128);
  assertEquals(b.register(7), 0x50);
});

Deno.test("Piix3Ide keeps bus master registers per channel and in all access sizes", () => {
  const { b } = board();
  b.ports.write(BUS_MASTER + 12, 4, 0x12345677);
  b.ports.write(BUS_MASTER + 4, 2, 0xabcd);
  assertEquals(b.ports.read(BUS_MASTER + 12, 4), 0x12345674);
  assertEquals(b.ports.read(BUS_MASTER + 4, 4), 0xabcc);
  b.ports.write(BUS_MASTER + 10, 1, 0xff);
  assertEquals([b.ports.read(BUS_MASTER + 10, 1), b.busMasterStatus], [0x60, 0]);
});

Deno.test("Piix3Ide keeps its interrupt through snapshots without making edges", () => {
  const first = board();
  first.b.ide.attach(0, 1, new AtaDisk({ clock: first.b.clock, block: new MemoryDevice(4096) }));
  first.b.command(...new Array(5), 0xf0, 0xe7);
  first.b.ports.write(BUS_MASTER + 2, 1, 4);
  const state = first.b.ide.snapshot();
  const second = board();
  second.b.ide.restore(state);
  assertEquals([second.b.irqs[0], second.b.busMasterStatus], [true, 0]);
  const primary = { ...state.primary as State, select: 2 };
  assertThrows(() => second.b.ide.restore({ ...state, primary }), StateError);
});
