/** SeaBIOS and its VGA BIOS set every standard mode and some VBE modes, and draw in them through INT 10h. */
import { assert, assertEquals } from "@std/assert";
import { decode } from "fast-png";
import { Machine } from "../../mod.ts";
import { seabios } from "../../scripts/guests/guests.ts";
import { guestTest } from "../../scripts/guests/testing.ts";

/** A BIOS mode, and how a pixel of it becomes dots of the picture. */
interface Mode {
  number: number;
  width: number;
  height: number;
  /** Dots that one pixel takes, and the colour of color 1 as 0xrrggbb; absent for text. */
  pixel?: { width: number; height: number; color: number };
}

const BLUE = 0x0000aa;
const graphics = (
  [number, width, height]: readonly number[],
  pixel: [width: number, height: number],
  color = BLUE,
): Mode => ({ number, width, height, pixel: { width: pixel[0], height: pixel[1], color } });

const MODES: readonly Mode[] = [
  { number: 0x01, width: 720, height: 400 },
  { number: 0x03, width: 720, height: 400 },
  graphics([0x04, 640, 400], [2, 2], 0x55ffff),
  graphics([0x06, 640, 400], [1, 2], 0xffffff),
  graphics([0x0d, 640, 400], [2, 2]),
  graphics([0x0e, 640, 400], [1, 2]),
  graphics([0x10, 640, 350], [1, 1]),
  graphics([0x11, 640, 480], [1, 1], 0xffffff),
  graphics([0x12, 640, 480], [1, 1]),
  graphics([0x13, 640, 400], [2, 2]),
  // VBE: 640x400x8, 800x600x4, 320x200 in 24 bits, 640x480 in 15 and 16 bits
  graphics([0x100, 640, 400], [1, 1]),
  graphics([0x102, 800, 600], [1, 1]),
  graphics([0x10f, 320, 200], [1, 1]),
  graphics([0x110, 640, 480], [1, 1], 0x0000ad),
  graphics([0x111, 640, 480], [1, 1], 0x0000ad),
];

const X = 100, Y = 50;
const word = (value: number): [number, number] => [value & 0xff, value >> 8];

/** A boot sector that sets each mode, draws one pixel or letter, and reports to port 0x80. */
function bootSector(): Uint8Array {
  const code = [
    ...[0xfa, 0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xd0], // cli; xor ax, ax; mov ds, ax; mov ss, ax
    ...[0xbc, ...word(0x7c00), 0xfb], // mov sp, 0x7c00; sti
  ];
  MODES.forEach(({ number, pixel }, i) => {
    const INT10 = [0xcd, 0x10];
    if (number < 0x100) code.push(0xb8, number, 0x00, ...INT10); // mov ax, mode; int 0x10
    else code.push(0xbb, ...word(number), 0xb8, 0x02, 0x4f, ...INT10); // mov bx, mode; mov ax, 0x4f02
    if (pixel !== undefined) {
      code.push(0x31, 0xdb, 0xb9, ...word(X), 0xba, ...word(Y)); // xor bx, bx; mov cx, X; mov dx, Y
      code.push(0xb8, 0x01, 0x0c, ...INT10); // mov ax, 0x0c01: color 1
    } else code.push(0xbb, 0x07, 0x00, 0xb8, 0x41, 0x0e, ...INT10); // mov bx, 7; mov ax, 0x0e41: 'A'
    code.push(0xb0, i, 0xe6, 0x80); // mov al, i; out 0x80, al
  });
  code.push(0xf4, 0xeb, 0xfd); // hlt; jmp $-1
  assert(code.length <= 510);
  const sector = new Uint8Array(512);
  sector.set(code);
  sector.set([0x55, 0xaa], 510);
  return sector;
}

/** The colors in a picture that are not black, each with its dots. */
function drawn(png: Uint8Array): { size: number[]; dots: Map<number, number[][]> } {
  const { width, height, data } = decode(png);
  const dots = new Map<number, number[][]>();
  for (let i = 0; i < width * height; i++) {
    const color = (data[4 * i] << 16) | (data[4 * i + 1] << 8) | data[4 * i + 2];
    if (color === 0) continue;
    dots.set(color, [...dots.get(color) ?? [], [i % width, Math.floor(i / width)]]);
  }
  return { size: [width, height], dots };
}

guestTest("the VGA BIOS sets modes and draws in them, and the picture shows it", async () => {
  const { bios256k, vgaBios } = await seabios();
  const disk = new Uint8Array(2 ** 20);
  disk.set(bootSector());
  await using vm = await Machine.create({
    firmware: bios256k,
    optionRoms: [vgaBios],
    memory: "16M",
    drives: [{ bytes: disk }],
    bootOrder: "c",
  });
  await vm.screen.expect("Booting from Hard Disk", { within: "30s" });
  for (const [i, mode] of MODES.entries()) {
    await vm.port(0x80).nextWrite({ value: i, within: "10s" });
    const name = `mode ${mode.number.toString(16)}`;
    const { size, dots } = drawn(vm.screen.screenshot());
    assertEquals(size, [mode.width, mode.height], name);
    if (mode.pixel === undefined) {
      assertEquals(vm.screen.text().trimEnd(), "A", name);
      assertEquals(vm.screen.cursor, { row: 0, column: 1, visible: true }, name);
      continue;
    }
    assertEquals(vm.screen.lines(), [], name);
    const { width, height, color } = mode.pixel;
    const expected = [];
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) expected.push([X * width + x, Y * height + y]);
    }
    assertEquals([...dots], [[color, expected]], name);
  }
});
