import { assert, assertEquals, assertThrows } from "@std/assert";
import { HostMemory, PAGE_SIZE } from "../../core/bus/host_memory.ts";
import { MemoryMap } from "../../core/bus/memory_map.ts";
import { PortMap } from "../../core/bus/port_map.ts";
import { COMMAND, COMMAND_MEMORY } from "../pci.ts";
import { drawFont, findFont, FONT_BYTES } from "../vga/font.ts";
import type { Vga } from "../vga/vga.ts";
import { Properties } from "./devices.ts";
import { addDisplay, displayMemory, type DisplayPlan, isVgaBios, planDisplay } from "./display.ts";
import { BoardError, DeviceError } from "./errors.ts";

const MIB = 2 ** 20;

/** An option ROM with a PCI data structure. */
function optionRom(vendor: number, device: number, size = 1024): Uint8Array {
  const rom = new Uint8Array(size);
  rom.set([0x55, 0xaa, size / 512]);
  rom[0x18] = 0x40;
  rom.set([..."PCIR"].map((letter) => letter.charCodeAt(0)), 0x40);
  rom.set([vendor & 0xff, vendor >> 8, device & 0xff, device >> 8], 0x44);
  return rom;
}

interface Bench {
  memory: MemoryMap;
  ports: PortMap;
  vga: Vga;
}

function bench(plan: DisplayPlan): Bench {
  const memory = new MemoryMap(new HostMemory(MIB + displayMemory(plan)));
  const ports = new PortMap();
  // Something lies in front, as RAM does on a board.
  memory.addRam("ram", 0, 0xa0000, memory.host.allocate(MIB));
  return { memory, ports, vga: addDisplay(plan, { memory, ports, clock: { now: () => 0 } }) };
}

const vgaDevice = (...properties: [string, string][]) =>
  new Properties({ driver: "VGA", properties });

Deno.test("a board has a VGA of 16 MiB unless it is switched off", () => {
  assertEquals(planDisplay(undefined, [], []), { vramSize: 16 * MIB, rom: undefined });
  assertEquals(planDisplay("std", [], [])?.vramSize, 16 * MIB);
  assertEquals(planDisplay("none", [], []), undefined);
  assertEquals(displayMemory(undefined), 0);
});

Deno.test("a device VGA sets the size of video memory, rounded up to a power of two", () => {
  assertEquals(planDisplay(undefined, [vgaDevice(["vgamem_mb", "24"])], [])?.vramSize, 32 * MIB);
  assertEquals(planDisplay("none", [vgaDevice()], [])?.vramSize, 16 * MIB);
});

Deno.test("two VGAs, unknown adapters and sizes out of range are refused", () => {
  assertThrows(() => planDisplay(undefined, [vgaDevice(), vgaDevice()], []), DeviceError, "one");
  assertThrows(() => planDisplay("cirrus", [], []), BoardError, "std, none");
  for (const size of ["0", "257", "x"]) {
    const devices = [vgaDevice(["vgamem_mb", size])];
    assertThrows(() => planDisplay(undefined, devices, []), DeviceError, "vgamem_mb");
  }
});

Deno.test("the adapter's own ROM is known by its PCI data structure", () => {
  const own = { file: "vga.bin", bytes: optionRom(0x1234, 0x1111) };
  const other = { file: "net.bin", bytes: optionRom(0x8086, 0x100e) };
  const short = { file: "short.bin", bytes: new Uint8Array([0x55, 0xaa, 0]) };
  assertEquals([own, other, short].map(isVgaBios), [true, false, false]);
  assertEquals(planDisplay(undefined, [], [other, own])?.rom, own);
});

Deno.test("base address registers put the frame buffer, the registers and the ROM where they say", () => {
  const bytes = optionRom(0x1234, 0x1111, 3 * 512);
  const { memory, vga } = bench({ vramSize: MIB, rom: { file: "vga.bin", bytes } });
  const { config } = vga;
  assertEquals(memory.read(0xe0000000, 4), 0xffffffff);
  config.write(0x10, 4, 0xe0000000);
  config.write(0x18, 4, 0xe1000000);
  config.write(0x30, 4, 0xe2000001);
  config.write(COMMAND, 2, COMMAND_MEMORY);
  memory.write(0xe0000000, 4, 0x12345678);
  assertEquals(memory.read(0xe0000000, 4), 0x12345678);
  assertEquals(memory.read(0xe1000000, 4), 0xffffff00, "EDID");
  assertEquals(memory.read(0xe2000000, 2), 0xaa55);
  assertEquals(memory.read(0xe2000000 + 3 * 512, 1), 0xff);
  memory.write(0xe2000000, 1, 0);
  assertEquals(memory.read(0xe2000000, 1), 0x55);
});

Deno.test("the legacy window and ports reach the same memory as the frame buffer", () => {
  const { memory, ports, vga } = bench({ vramSize: MIB });
  vga.config.write(0x10, 4, 0xe0000000);
  vga.config.write(COMMAND, 2, COMMAND_MEMORY);
  vga.setTextMode(drawFont());
  memory.write(0xb8002, 2, 0x1f48);
  assertEquals(memory.read(0xe0000004, 2), 0x1f48);
  assertEquals(vga.textLine(0)?.trimEnd(), " H");
  ports.write(0x3d4, 2, 0x010d);
  assertEquals(vga.textLine(0)?.trimEnd(), "H");
  ports.write(0x1ce, 2, 0);
  assertEquals(ports.read(0x1cf, 2), 0xb0c5);
  assertEquals([ports.read(0x3d5, 1), ports.read(0x3b5, 1)], [1, 0xff]);
});

Deno.test("engines hear when the adapter changes video memory that holds code", () => {
  const { memory, ports, vga } = bench({ vramSize: MIB });
  vga.setTextMode(drawFont());
  // Behind the page that is never given out, and RAM.
  const host = PAGE_SIZE + MIB;
  memory.codePages[(host >>> 12) + 1] = 1;
  const heard: [number, number][] = [];
  memory.onCodeWrite = (at, length) => heard.push([at, length]);
  // Cell 1024 is at 4 KiB of video memory.
  memory.write(0xb8000 + 2 * 1024, 1, 0x90);
  assertEquals(heard, [[host + 0x1000, 0x1000]]);
  memory.write(0xb8000 + 2 * 1023, 1, 0x90);
  assertEquals(heard.length, 1);
  heard.length = 0;
  for (const [index, value] of [[1, 640], [2, 480], [3, 8], [4, 1]]) {
    ports.write(0x1ce, 2, index);
    ports.write(0x1cf, 2, value);
  }
  assertEquals(heard, [[host + 0x1000, 0x1000]], "the mode cleared the memory");
});

Deno.test("a font is found in a VGA BIOS by its blocks", () => {
  const font = drawFont();
  assertEquals(font.length, FONT_BYTES);
  const image = new Uint8Array(0x8000);
  image.set(font, 0x1235);
  assertEquals(findFont(image), font);
  assertEquals(findFont(new Uint8Array(0x8000)), undefined);
  assert(findFont(image.subarray(0, 0x1235 + FONT_BYTES - 1)) === undefined);
});
