import { assertEquals, assertThrows } from "@std/assert";
import { HostMemory } from "../core/bus/host_memory.ts";
import { MemoryMap } from "../core/bus/memory_map.ts";
import { FirmwareError } from "./boot/image_error.ts";
import { checkOptionRom, isDisplayRom, mapFirmware, optionRomSize } from "./firmware.ts";

const KIB = 1024;

function mapped(size: number): MemoryMap {
  const image = new Uint8Array(size);
  for (let i = 0; i < size; i += 4 * KIB) image[i] = i / (4 * KIB);
  image[size - 16] = 0xea;
  const memory = new MemoryMap(new HostMemory(size));
  mapFirmware({ file: "bios.bin", bytes: image }, memory);
  return memory;
}

Deno.test("a system ROM ends at 4 GiB and its last 128 KiB also at 1 MiB", () => {
  const memory = mapped(256 * KIB);
  assertEquals(memory.read(0xfffffff0, 1), 0xea);
  assertEquals(memory.read(0xffff0, 1), 0xea);
  assertEquals(memory.read(0xfffc1000, 1), 1);
  assertEquals(memory.read(0xe0000, 1), 32);
  assertEquals(memory.read(0xdf000, 1), 0xff);
});

Deno.test("a system ROM of 64 KiB fills just the last segment", () => {
  const memory = mapped(64 * KIB);
  assertEquals(memory.read(0xffff0, 1), 0xea);
  assertEquals(memory.read(0xef000, 1), 0xff);
});

Deno.test("a guest cannot write to a system ROM", () => {
  const memory = mapped(128 * KIB);
  memory.write(0xffff0, 1, 0);
  assertEquals(memory.read(0xfffffff0, 1), 0xea);
});

for (const size of [0, 1, 65535, 100_000, 16 * KIB * KIB + 64 * KIB]) {
  Deno.test(`a system ROM of ${size} bytes is refused, naming file and size`, () => {
    const memory = new MemoryMap(new HostMemory(4 * KIB));
    const error = assertThrows(
      () => mapFirmware({ file: "bad.bin", bytes: new Uint8Array(size) }, memory),
      FirmwareError,
      `firmware bad.bin: it has ${size} bytes`,
    );
    assertEquals(error.file, "bad.bin");
  });
}

Deno.test("an option ROM is checked for signature and length", () => {
  const rom = new Uint8Array(40 * 512);
  rom.set([0x55, 0xaa, 40]);
  checkOptionRom("vga.bin", rom);
  assertEquals(optionRomSize(rom), 32 * KIB);
  assertThrows(() => checkOptionRom("vga.bin", new Uint8Array(512)), FirmwareError, "signature");
  assertThrows(
    () => checkOptionRom("vga.bin", rom.subarray(0, 1024)),
    FirmwareError,
    "its header tells of 20480 bytes, the file has 1024",
  );
  rom[2] = 0;
  assertThrows(() => checkOptionRom("vga.bin", rom), FirmwareError, "tells of 0 bytes");
});

Deno.test("a display adapter's ROM is known by its PCI class, or else by its name", () => {
  const bytes = new Uint8Array(512);
  assertEquals(isDisplayRom({ file: "/roms/vgabios-isavga.bin", bytes }), true);
  assertEquals(isDisplayRom({ file: "/vgabios/other.bin", bytes }), false);
  bytes.set([0x1c, 0], 0x18);
  bytes.set(new TextEncoder().encode("PCIR"), 0x1c);
  bytes[0x1c + 0x0f] = 3;
  assertEquals(isDisplayRom({ file: "a.rom", bytes }), true);
  bytes[0x1c + 0x0f] = 2;
  assertEquals(isDisplayRom({ file: "vgabios.bin", bytes }), false);
});
