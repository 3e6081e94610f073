import { assertEquals, assertThrows } from "@std/assert";
import { HostMemory } from "../core/bus/host_memory.ts";
import { MemoryMap } from "../core/bus/memory_map.ts";
import { StateError } from "../core/chip.ts";
import { I440fx, PAM_SEGMENTS, SMRAM_WINDOW } from "./i440fx.ts";

function board() {
  const host = new HostMemory(3 << 20);
  const map = new MemoryMap(host);
  const ram = host.allocate(1 << 20), rom = host.allocate(1 << 20);
  host.bytes.fill(0x11, ram, ram + (1 << 20));
  host.bytes.fill(0x22, rom, rom + (1 << 20));
  map.addRam("ram", 0, 0xa0000, ram);
  map.addRom("rom", 0xc0000, 0x40000, rom);
  map.addMmio("vga", 0xa0000, 0x20000, { read: () => 0x33, write: () => {} });
  const pam = PAM_SEGMENTS.map(({ base, size }) =>
    map.addRam(`pam ${base.toString(16)}`, base, size, ram + base, { priority: 1 })
  );
  const smram = map.addRam("smram", SMRAM_WINDOW.base, SMRAM_WINDOW.size, ram + 0xa0000, {
    priority: 1,
  });
  return { map, chip: new I440fx({ pam, smram }) };
}

Deno.test("I440fx identifies itself as the 82441FX", () => {
  const { chip } = board();
  assertEquals(chip.config.read(0, 4), 0x12378086);
  assertEquals(chip.config.read(8, 4), 0x06000002);
  assertEquals(chip.config.read(0x2c, 4), 0x11001af4);
});

Deno.test("I440fx shows ROM and drops writes everywhere after reset", () => {
  const { map } = board();
  for (const { base } of PAM_SEGMENTS) {
    map.write(base, 1, 0x99);
    assertEquals(map.read(base, 1), 0x22);
  }
});

Deno.test("I440fx opens each PAM segment by its own nibble, reads and writes apart", () => {
  for (let i = 0; i < PAM_SEGMENTS.length; i++) {
    const { map, chip } = board();
    const offset = 0x59 + ((i + 1) >> 1), shift = (i + 1) % 2 * 4;
    const { base, size } = PAM_SEGMENTS[i];
    chip.config.write(offset, 1, 2 << shift);
    map.write(base, 1, 0x44);
    assertEquals(map.read(base, 1), 0x22);
    chip.config.write(offset, 1, 1 << shift);
    assertEquals([map.read(base, 1), map.read(base + size - 1, 1)], [0x44, 0x11]);
    map.write(base, 1, 0x55);
    assertEquals(map.read(base, 1), 0x44);
    const open = PAM_SEGMENTS.filter((s) => map.read(s.base + 1, 1) === 0x11);
    assertEquals(open, [PAM_SEGMENTS[i]]);
    chip.reset();
    assertEquals(map.read(base, 1), 0x22);
  }
});

Deno.test("I440fx has no use for PAM0's lower nibble", () => {
  const { chip } = board();
  chip.config.write(0x59, 1, 0xff);
  assertEquals(chip.config.read(0x59, 1), 0x30);
});

Deno.test("I440fx opens SMRAM over the VGA window until it is locked", () => {
  const { map, chip } = board();
  assertEquals([chip.config.read(0x72, 1), map.read(0xa0000, 1)], [0x02, 0x33]);
  chip.config.write(0x72, 1, 0x4a);
  assertEquals(map.read(0xbffff, 1), 0x11);
  chip.config.write(0x72, 1, 0x5a);
  assertEquals([chip.config.read(0x72, 1), map.read(0xa0000, 1)], [0x1a, 0x33]);
  chip.config.write(0x72, 1, 0x6a);
  assertEquals(chip.config.read(0x72, 1), 0x3a);
  chip.reset();
  assertEquals(chip.config.read(0x72, 1), 0x02);
});

Deno.test("I440fx restores the shadowing and the lock", () => {
  const first = board();
  first.chip.config.write(0x59, 1, 0x30);
  first.chip.config.write(0x72, 1, 0x1a);
  const second = board();
  second.chip.restore(first.chip.snapshot());
  assertEquals(second.map.read(0xf0000, 1), 0x11);
  second.chip.config.write(0x72, 1, 0x4a);
  assertEquals(second.chip.config.read(0x72, 1), 0x1a);
  const wrong = first.chip.snapshot();
  (wrong.config as Uint8Array)[2] = 0;
  assertThrows(() => second.chip.restore(wrong), StateError);
  assertThrows(() => new I440fx({ pam: [] }), RangeError, "13");
});
