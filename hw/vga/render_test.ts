import { assert, assertEquals } from "@std/assert";
import * as R from "./registers.ts";
import { textBench, VgaBench } from "./testing.ts";

/** A pixel as 0xrrggbb. */
function pixel(bench: VgaBench, x: number, y: number): number {
  const { width, data } = bench.vga.render();
  const at = (y * width + x) * 4;
  assertEquals(data[at + 3], 255);
  return (data[at] << 16) | (data[at + 1] << 8) | data[at + 2];
}

/** Part of a row of the picture. */
function row(bench: VgaBench, y: number, from: number, to: number): number[] {
  const { width, data } = bench.vga.render();
  return Array.from({ length: to - from }, (_, i) => {
    const at = (y * width + from + i) * 4;
    return (data[at] << 16) | (data[at + 1] << 8) | data[at + 2];
  });
}

function size(bench: VgaBench): [number, number] {
  const { width, height } = bench.vga.render();
  return [width, height];
}

const BLACK = 0, GREY = 0xaaaaaa, WHITE = 0xffffff, BLUE = 0x0000aa, YELLOW = 0xffff55;

/** Gives character `code` of the font at `font` one pattern in all rows. */
function setGlyph(bench: VgaBench, code: number, bits: number, font = 0): void {
  for (let y = 0; y < 32; y++) bench.vram[4 * (font * 0x2000 + code * 32 + y) + 2] = bits;
}

/** A graphics mode with the standard 16 colours; the DAC's first 256 entries are distinct. */
function graphics(
  options: { columns: number; lines: number; mode: number; attributeMode: number },
): VgaBench {
  const bench = textBench();
  const end = options.lines - 1;
  bench.setIndexed(0x3c4, [[1, 0x01], [2, 0x0f], [4, 0x06]]);
  bench.setIndexed(0x3ce, [[5, options.mode], [6, 0x05]]);
  bench.setIndexed(0x3d4, [[0x11, 0], [0x01, options.columns - 1], [0x0a, 0x20]]);
  bench.setIndexed(0x3d4, [
    [0x07, 0x10 | ((end >> 7) & 2) | ((end >> 3) & 0x40)],
    [0x09, 0x40],
    [0x12, end & 0xff],
    [0x13, options.columns / 2],
    [0x14, 0],
    [0x17, 0xe3],
    [0x18, 0xff],
  ]);
  bench.setAttributes([[0x10, options.attributeMode], [0x13, 0]]);
  bench.vram.fill(0);
  return bench;
}

Deno.test("mode 3 is 720 by 400, with nine dots a character", () => {
  const bench = textBench();
  assertEquals(size(bench), [720, 400]);
  setGlyph(bench, 0x41, 0b10000001);
  bench.print(0, "AA", 0x1e);
  bench.setIndexed(0x3d4, [[0x0a, R.CURSOR_OFF]]);
  const A = [YELLOW, BLUE, BLUE, BLUE, BLUE, BLUE, BLUE, YELLOW, BLUE];
  assertEquals(row(bench, 0, 0, 19), [...A, ...A, BLACK]);
  assertEquals(row(bench, 15, 0, 9), A);
  assertEquals(pixel(bench, 0, 16), BLACK);
});

Deno.test("line graphics characters repeat their eighth dot in the ninth", () => {
  const bench = textBench();
  for (const code of [0xbf, 0xc0, 0xdf, 0xe0]) setGlyph(bench, code, 0x01);
  bench.print(1, "\xbf\xc0\xdf\xe0");
  const ninth = () => [1, 2, 3, 4].map((cell) => pixel(bench, cell * 9 + 8, 3));
  assertEquals(ninth(), [BLACK, GREY, GREY, BLACK]);
  bench.setAttributes([[0x10, 0x08]]);
  assertEquals(ninth(), [BLACK, BLACK, BLACK, BLACK]);
});

Deno.test("eight dots a character make 640, a halved dot clock makes dots wide", () => {
  const bench = textBench();
  bench.setIndexed(0x3c4, [[1, 0x01]]);
  assertEquals(size(bench), [640, 400]);
  bench.setIndexed(0x3c4, [[1, 0x09]]);
  bench.setIndexed(0x3d4, [[0x11, 0], [0x01, 39], [0x0a, R.CURSOR_OFF]]);
  assertEquals(size(bench), [640, 400]);
  setGlyph(bench, 0x41, 0b01000000);
  bench.print(0, "A");
  assertEquals(row(bench, 0, 0, 6), [BLACK, BLACK, GREY, GREY, BLACK, BLACK]);
});

Deno.test("attribute bit 7 is blinking or a bright background", () => {
  const bench = textBench();
  bench.print(5, " ", 0x9f);
  assertEquals(pixel(bench, 45, 0), BLUE);
  bench.setAttributes([[0x10, 0x04]]);
  assertEquals(pixel(bench, 45, 0), 0x5555ff);
});

Deno.test("attribute bit 3 chooses between two fonts", () => {
  const bench = textBench();
  // Font B is at 0, font A at 24 KiB, which is number 5 in the order of registers.
  bench.setIndexed(0x3c4, [[3, 0x24]]);
  setGlyph(bench, 0x41, 0x80, 0);
  setGlyph(bench, 0x41, 0x40, 3);
  bench.print(1, "A", 0x07);
  bench.print(2, "A", 0x0f);
  assertEquals(row(bench, 0, 9, 11), [GREY, BLACK]);
  assertEquals(row(bench, 0, 18, 20), [BLACK, WHITE]);
});

Deno.test("the cursor fills its scan lines in the colour of the character", () => {
  const bench = textBench();
  bench.print(80, " ", 0x0e);
  bench.setIndexed(0x3d4, [[0x0a, 14], [0x0b, 15], [0x0f, 80]]);
  assertEquals(
    [28, 29, 30, 31].map((y) => pixel(bench, 4, y)),
    [BLACK, BLACK, BLACK, BLACK]
      .fill(0xffff55, 2),
  );
  assertEquals(pixel(bench, 8, 31), YELLOW);
  assertEquals(pixel(bench, 9, 31), BLACK);
  bench.setIndexed(0x3d4, [[0x0a, 0x20 | 14]]);
  assertEquals(pixel(bench, 4, 31), BLACK);
});

Deno.test("monochrome text is underlined where its attribute says so", () => {
  const bench = textBench();
  bench.setIndexed(0x3d4, [[0x14, 0x0d]]);
  bench.print(1, "  ", 0x01);
  assertEquals(pixel(bench, 10, 13), BLACK);
  bench.setAttributes([[0x10, 0x0e]]);
  assertEquals([12, 13, 14].map((y) => pixel(bench, 10, y)), [BLACK, BLUE, BLACK]);
});

Deno.test("panning moves text to the left dot by dot and pulls the next column in", () => {
  const bench = textBench();
  setGlyph(bench, 0x41, 0b10000000);
  bench.print(1, "A");
  bench.print(80, "A");
  bench.setIndexed(0x3d4, [[0x0a, R.CURSOR_OFF]]);
  bench.setAttributes([[0x13, 2]]);
  assertEquals(row(bench, 0, 5, 8), [BLACK, GREY, BLACK]);
  // Three dots of the cell after the last one: the first of the next row
  assertEquals(row(bench, 0, 716, 720), [BLACK, GREY, BLACK, BLACK]);
});

Deno.test("preset row scan shifts text up by scan lines", () => {
  const bench = textBench();
  setGlyph(bench, 0x41, 0xff);
  bench.print(80, "A");
  bench.setIndexed(0x3d4, [[0x08, 5]]);
  assertEquals([pixel(bench, 0, 10), pixel(bench, 0, 11)], [BLACK, GREY]);
});

Deno.test("planar modes take one bit of each plane through palette and plane enable", () => {
  const bench = graphics({ columns: 80, lines: 480, mode: 0, attributeMode: 0x01 });
  assertEquals(size(bench), [640, 480]);
  bench.vram.set([0b10100000, 0b01100000, 0, 0b00010000], 4 * 80);
  assertEquals(row(bench, 1, 0, 5), [BLUE, 0x00aa00, 0x00aaaa, 0x555555, BLACK]);
  bench.setAttributes([[0x12, 0x07]]);
  assertEquals(row(bench, 1, 0, 4), [BLUE, 0x00aa00, 0x00aaaa, BLACK]);
  bench.setAttributes([[0x12, 0x0f], [2, 0x3f]]);
  assertEquals(pixel(bench, 1, 1), WHITE);
});

Deno.test("colour select replaces the upper bits of colours", () => {
  const bench = graphics({ columns: 80, lines: 480, mode: 0, attributeMode: 0x01 });
  bench.out(0x3c8, 0x71);
  bench.out(0x3c9, 63, 0, 0);
  bench.out(0x3c8, 0x41);
  bench.out(0x3c9, 0, 63, 0);
  bench.vram[0] = 0x80;
  bench.setAttributes([[0x14, 0x07]]);
  assertEquals(pixel(bench, 0, 0), 0x00ff00);
  bench.setAttributes([[0x10, 0x81]]);
  assertEquals(pixel(bench, 0, 0), 0xff0000);
  bench.out(0x3c6, 0x01);
  assertEquals(pixel(bench, 0, 0), BLUE);
});

Deno.test("mode 13h is chained bytes, each two dots wide and two lines high", () => {
  const bench = graphics({ columns: 80, lines: 400, mode: 0x40, attributeMode: 0x41 });
  bench.setIndexed(0x3c4, [[4, 0x0e]]);
  bench.setIndexed(0x3d4, [[0x09, 0x41], [0x14, 0x40], [0x17, 0xa3]]);
  bench.out(0x3c8, 200);
  bench.out(0x3c9, 63, 32, 1);
  bench.vga.window.write(320 * 3 + 5, 1, 200);
  assertEquals(size(bench), [640, 400]);
  const color = 0xff8204;
  assertEquals(row(bench, 6, 9, 13), [BLACK, color, color, BLACK]);
  assertEquals([5, 6, 7, 8].map((y) => pixel(bench, 10, y)), [BLACK, color, color, BLACK]);
  bench.setAttributes([[0x13, 2]]);
  assertEquals(pixel(bench, 8, 6), color);
});

Deno.test("mode X is four planes of bytes with a start address for pages", () => {
  const bench = graphics({ columns: 80, lines: 480, mode: 0x40, attributeMode: 0x41 });
  bench.setIndexed(0x3d4, [[0x09, 0x41], [0x0c, 0x4b], [0x0d, 0x00]]);
  bench.setIndexed(0x3c4, [[2, 0x04]]);
  bench.vga.window.write(0x4b00 + 80, 1, 4);
  assertEquals(row(bench, 2, 3, 7), [BLACK, 0xaa0000, 0xaa0000, BLACK]);
});

Deno.test("the four colour CGA mode interleaves rows in two halves of memory", () => {
  const bench = graphics({ columns: 40, lines: 400, mode: 0x30, attributeMode: 0x01 });
  bench.setIndexed(0x3c4, [[1, 0x09], [2, 0x03], [4, 0x02]]);
  bench.setIndexed(0x3ce, [[6, 0x0f]]);
  bench.setIndexed(0x3d4, [[0x09, 0xc1], [0x17, 0xa2]]);
  assertEquals(size(bench), [640, 400]);
  bench.vga.window.write(0x18000, 2, 0x011b);
  bench.vga.window.write(0x18000 + 0x2000, 1, 0x40);
  bench.vga.window.write(0x18000 + 80, 1, 0x80);
  const [one, two, three] = [BLUE, 0x00aa00, 0x00aaaa];
  assertEquals(row(bench, 0, 0, 18), [
    ...[BLACK, BLACK, one, one, two, two, three, three],
    ...[BLACK, BLACK, BLACK, BLACK, BLACK, BLACK, one, one, BLACK, BLACK],
  ]);
  assertEquals([1, 2, 3, 4, 5].map((y) => pixel(bench, 0, y)), [BLACK, one, one, two, two]);
});

Deno.test("the two colour CGA mode uses bytes of one plane", () => {
  const bench = graphics({ columns: 80, lines: 400, mode: 0, attributeMode: 0x01 });
  bench.setIndexed(0x3c4, [[2, 0x01]]);
  bench.setIndexed(0x3ce, [[6, 0x0d]]);
  bench.setIndexed(0x3d4, [[0x09, 0xc1], [0x17, 0xc2]]);
  bench.setAttributes([[0x12, 0x01]]);
  bench.vga.window.write(0x18000 + 0x2000 + 1, 1, 0x80);
  assertEquals(pixel(bench, 8, 1), BLACK);
  assertEquals([pixel(bench, 8, 2), pixel(bench, 9, 2)], [BLUE, BLACK]);
});

Deno.test("below the line compare the picture begins at address 0, unpanned if so told", () => {
  const bench = graphics({ columns: 80, lines: 480, mode: 0, attributeMode: 0x01 });
  bench.vram.set([0x80], 0);
  bench.vram.set([0x80], 4 * 0x4000);
  bench.setIndexed(0x3d4, [[0x0c, 0x40], [0x18, 99], [0x07, 0x42], [0x09, 0]]);
  assertEquals([0, 1, 99, 100, 101].map((y) => pixel(bench, 0, y)), [
    ...[BLUE, BLACK, BLACK, BLUE, BLACK],
  ]);
  bench.vram.set([0x20], 0);
  bench.vram.set([0x20], 4 * 0x4000);
  bench.setAttributes([[0x13, 2]]);
  assertEquals([pixel(bench, 0, 0), pixel(bench, 0, 100)], [BLUE, BLUE]);
  bench.setAttributes([[0x10, 0x21]]);
  assertEquals([pixel(bench, 0, 0), pixel(bench, 2, 100)], [BLUE, BLUE]);
});

Deno.test("a screen that is switched off is black, one without palette shows the border", () => {
  const bench = textBench();
  bench.print(0, "\xdb");
  assertEquals(pixel(bench, 0, 0), GREY);
  bench.setAttributes([[0x11, 1]]);
  bench.out(0x3c0, 0);
  assertEquals(pixel(bench, 0, 0), BLUE);
  bench.setIndexed(0x3c4, [[1, 0x20]]);
  assertEquals(pixel(bench, 0, 0), BLACK);
  assertEquals(size(bench), [720, 400]);
});

Deno.test("VBE modes of 8 to 32 bits show their colours", () => {
  const bench = textBench();
  const show = (bpp: number, bytes: number[]) => {
    bench.setVbe(64, 4, bpp);
    const pitch = 64 * (bpp === 15 ? 2 : bpp / 8);
    bench.vram.set(bytes, pitch + bytes.length);
    assertEquals(size(bench), [64, 4]);
    assertEquals(row(bench, 1, 0, 3), [BLACK, pixel(bench, 1, 1), BLACK]);
    return pixel(bench, 1, 1);
  };
  assertEquals(show(8, [14]), 0xaaaa55);
  assertEquals(show(15, [0x1f, 0x40]), 0x8400ff);
  assertEquals(show(16, [0x00, 0xf8]), 0xff0000);
  assertEquals(show(16, [0xe0, 0x07]), 0x00ff00);
  assertEquals(show(24, [0x11, 0x22, 0x33]), 0x332211);
  assertEquals(show(32, [0x44, 0x55, 0x66, 0x77]), 0x665544);
});

Deno.test("a VBE mode of 4 bits is planar", () => {
  const bench = textBench();
  bench.setIndexed(0x3c4, [[4, 0x06], [2, 0x04]]);
  bench.setIndexed(0x3ce, [[5, 0]]);
  bench.setVbe(64, 4, 4);
  bench.vga.window.write(8, 1, 0x40);
  assertEquals(row(bench, 1, 0, 3), [BLACK, 0xaa0000, BLACK]);
});

Deno.test("a virtual width and offsets choose the part of the memory that is shown", () => {
  const bench = textBench();
  bench.setVbe(64, 4, 32);
  bench.setDispi(R.DISPI_VIRT_WIDTH, 128);
  bench.setDispi(R.DISPI_X_OFFSET, 10);
  bench.setDispi(R.DISPI_Y_OFFSET, 20);
  bench.vram.set([1, 2, 3], 4 * (21 * 128 + 13));
  assertEquals(pixel(bench, 3, 1), 0x030201);
});

Deno.test("a VGA that nobody has set up shows something black and small", () => {
  const { vga } = new VgaBench();
  const { width, height, data } = vga.render();
  assertEquals([width, height], [9, 1]);
  assert(data.every((value, i) => value === (i % 4 === 3 ? 255 : 0)));
  assertEquals(vga.textLines(), [" "]);
});
