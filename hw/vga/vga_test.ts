import { assert, assertEquals, assertThrows } from "@std/assert";
import { StateError } from "../../core/chip.ts";
import { monitorEdid } from "./edid.ts";
import * as R from "./registers.ts";
import { textBench, VgaBench } from "./testing.ts";
import { Vga } from "./vga.ts";

Deno.test("the CRT controller answers at 3Dxh in colour and at 3Bxh in monochrome", () => {
  const bench = new VgaBench();
  bench.out(0x3b4, 0x0f);
  bench.out(0x3b5, 0x5a);
  assertEquals([bench.in(0x3b5), bench.in(0x3d5)], [0x5a, 0xff]);
  bench.out(0x3c2, R.MISC_COLOR);
  assertEquals([bench.in(0x3b5), bench.in(0x3d5)], [0xff, 0x5a]);
  assertEquals(bench.in(0x3cc), R.MISC_COLOR);
});

Deno.test("registers keep the bits that exist", () => {
  const bench = new VgaBench();
  bench.out(0x3c2, 0xff);
  assertEquals(bench.in(0x3cc), 0xef);
  R.SR_MASKS.forEach((mask, i) => {
    bench.setIndexed(0x3c4, [[i, 0xff]]);
    assertEquals(bench.indexed(0x3c4, i), mask, `SR${i}`);
  });
  R.GR_MASKS.forEach((mask, i) => {
    bench.setIndexed(0x3ce, [[i, 0xff]]);
    assertEquals(bench.indexed(0x3ce, i), mask, `GR${i}`);
  });
  for (const [port, index] of [[0x3c4, 5], [0x3ce, 9], [0x3d4, 0x19]]) {
    bench.setIndexed(port, [[index, 0xff]]);
    assertEquals(bench.indexed(port, index), 0);
  }
});

Deno.test("the first eight CRT controller registers are protected but for the line compare", () => {
  const bench = new VgaBench();
  bench.out(0x3c2, R.MISC_COLOR);
  bench.setIndexed(0x3d4, [[1, 0x4f], [7, 0x0f], [0x11, R.RETRACE_END_PROTECT]]);
  bench.setIndexed(0x3d4, [[1, 0x27], [7, 0xf0], [8, 3]]);
  assertEquals(bench.indexed(0x3d4, 1), 0x4f);
  assertEquals(bench.indexed(0x3d4, 7), 0x1f);
  assertEquals(bench.indexed(0x3d4, 8), 3);
  bench.setIndexed(0x3d4, [[0x11, 0], [1, 0x27]]);
  assertEquals(bench.indexed(0x3d4, 1), 0x27);
});

Deno.test("the attribute controller takes index and data in turns, input status 1 begins anew", () => {
  const bench = new VgaBench();
  bench.out(0x3c2, R.MISC_COLOR);
  bench.out(0x3c0, 0x01, 0x3f);
  bench.out(0x3c0, 0x12);
  assertEquals(bench.in(0x3c0), 0x12);
  bench.in(0x3da);
  bench.out(0x3c0, 0x01);
  assertEquals(bench.in(0x3c1), 0x3f);
  bench.out(0x3c0, 0xff);
  assertEquals(bench.in(0x3c1), 0x3f, "a palette register has six bits");
});

Deno.test("the DAC takes and gives colours in threes and counts on", () => {
  const bench = new VgaBench();
  bench.out(0x3c8, 0xff);
  assertEquals(bench.in(0x3c7), 0);
  bench.out(0x3c9, 1, 2, 3, 0xff, 5, 6);
  assertEquals(bench.in(0x3c8), 1);
  bench.out(0x3c7, 0xff);
  assertEquals(bench.in(0x3c7), 3);
  const components = Array.from({ length: 6 }, () => bench.in(0x3c9));
  assertEquals(components, [1, 2, 3, 0x3f, 5, 6]);
});

Deno.test("an unfinished colour changes nothing", () => {
  const bench = new VgaBench();
  bench.out(0x3c8, 7);
  bench.out(0x3c9, 1, 2);
  bench.out(0x3c8, 8);
  bench.out(0x3c9, 9, 9, 9);
  bench.out(0x3c7, 7);
  assertEquals([bench.in(0x3c9), bench.in(0x3c9), bench.in(0x3c9)], [0, 0, 0]);
});

Deno.test("input status 1 follows the beam of mode 3 at 70 Hz", () => {
  const bench = textBench();
  const lineNs = 100 * 9 / 28.322 * 1000, frameNs = lineNs * 449;
  const status = (line: number, part: number, frame = 0) => {
    bench.now = Math.round(frame * frameNs + (line + part) * lineNs);
    return bench.in(0x3da);
  };
  assertEquals(status(0, 0.1), 0);
  assertEquals(status(0, 0.85), R.STATUS_1_DISPLAY_OFF);
  assertEquals(status(399, 0.5), 0);
  assertEquals(status(400, 0.5), R.STATUS_1_DISPLAY_OFF);
  assertEquals(status(411, 0.5), R.STATUS_1_DISPLAY_OFF);
  const retrace = R.STATUS_1_DISPLAY_OFF | R.STATUS_1_VERTICAL_RETRACE;
  assertEquals(status(412, 0.5), retrace);
  assertEquals(status(413, 0.5), retrace);
  assertEquals(status(414, 0.5), R.STATUS_1_DISPLAY_OFF);
  assertEquals(status(412, 0.5, 700), retrace);
});

Deno.test("a program that waits for the retrace gets it before the VGA is set up, too", () => {
  const bench = new VgaBench();
  const seen = new Set<number>();
  for (bench.now = 0; bench.now < 20e6; bench.now += 10_000) seen.add(bench.in(0x3ba));
  assertEquals([...seen].sort(), [0, 1, 9]);
});

Deno.test("text is read from the screen, also after scrolling by the start address", () => {
  const bench = textBench();
  const { vga } = bench;
  bench.print(0, "Hello");
  bench.print(81, "\x01\xc9\xff", 0x1f);
  const lines = vga.textLines()!;
  assertEquals([lines.length, lines[0].length], [25, 80]);
  assertEquals(lines[0].trimEnd(), "Hello");
  assertEquals(lines[1].trimEnd(), " ☺╔");
  assertEquals(vga.textLine(0), lines[0]);
  assertEquals(vga.textLine(25), undefined);
  bench.setIndexed(0x3d4, [[0x0d, 80]]);
  assertEquals(vga.textLines()![0].trimEnd(), " ☺╔");
});

Deno.test("below the line compare the text begins at address 0", () => {
  const bench = textBench();
  bench.print(0, "status");
  bench.print(2000, "first");
  // 24 rows of 16 scan lines, then the split
  bench.setIndexed(0x3d4, [[0x0c, 2000 >> 8], [0x0d, 2000 & 0xff], [0x11, 0]]);
  const line = 24 * 16 - 1;
  bench.setIndexed(0x3d4, [[0x18, line & 0xff], [0x07, 0x1f & ~0x10 | ((line >> 8) << 4)], [
    9,
    0x0f,
  ]]);
  const lines = bench.vga.textLines()!;
  assertEquals(lines[0].trimEnd(), "first");
  assertEquals(lines[24].trimEnd(), "status");
});

Deno.test("the cursor is where its location points", () => {
  const bench = textBench();
  bench.setIndexed(0x3d4, [[0x0e, 0x07], [0x0f, 0xcf]]);
  assertEquals(bench.vga.cursor, { row: 24, column: 79, visible: true });
  bench.setIndexed(0x3d4, [[0x0a, R.CURSOR_OFF | 13]]);
  assertEquals(bench.vga.cursor, { row: 24, column: 79, visible: false });
  bench.setIndexed(0x3d4, [[0x0a, 15]]);
  assertEquals(bench.vga.cursor?.visible, false, "start below end");
  bench.setIndexed(0x3d4, [[0x0a, 13], [0x0c, 0x08]]);
  assertEquals(bench.vga.cursor?.visible, false, "outside of the screen");
});

Deno.test("graphics modes have neither text nor cursor", () => {
  const bench = textBench();
  bench.setIndexed(0x3ce, [[6, 0x05]]);
  assertEquals([bench.vga.textLines(), bench.vga.textLine(0)], [undefined, undefined]);
  assertEquals(bench.vga.cursor, undefined);
});

Deno.test("watchers hear of characters on screen by row, and of changes of the screen", () => {
  const bench = textBench();
  const heard: number[] = [];
  const seen: string[] = [];
  const stop = bench.vga.watchText((row) => {
    heard.push(row);
    seen.push(bench.vga.textLine(Math.max(row, 0))?.trimEnd() ?? "");
  });
  const take = () => heard.splice(0);
  bench.print(160, "A");
  assertEquals([take(), seen], [[2], ["A"]], "after the change, not for the attribute");
  bench.print(2000, "B");
  assertEquals(take(), [], "beyond the last row");
  bench.vga.window.write(0x18001, 1, 0x70);
  bench.setIndexed(0x3d4, [[0x0e, 0x01], [0x0f, 0x20]]);
  assertEquals(take(), [], "attributes and the cursor");
  bench.setIndexed(0x3d4, [[0x0d, 80]]);
  assertEquals(take(), [-1]);
  bench.setIndexed(0x3d4, [[0x0d, 80]]);
  assertEquals(take(), []);
  bench.print(160, "C");
  assertEquals(take(), [1]);
  bench.setVbe(640, 480, 32);
  assertEquals(take(), [-1]);
  bench.vga.window.write(0, 1, 1);
  assertEquals(take(), []);
  bench.vga.reset();
  assertEquals(take(), [-1]);
  stop();
  bench.vga.setTextMode(new Uint8Array(4096));
  assertEquals(take(), []);
});

Deno.test("the display interface has its identity, its capabilities and its memory size", () => {
  const bench = new VgaBench();
  assertEquals(bench.dispi(R.DISPI_ID), 0xb0c5);
  bench.setDispi(R.DISPI_ID, 0xb0c0);
  assertEquals(bench.dispi(R.DISPI_ID), 0xb0c0);
  bench.setDispi(R.DISPI_ID, 0xb0c6);
  assertEquals(bench.dispi(R.DISPI_ID), 0xb0c0);
  assertEquals(bench.dispi(R.DISPI_VIDEO_MEMORY_64K), 16);
  assertEquals(bench.dispi(0x0b), 0);
  bench.setDispi(R.DISPI_ENABLE, R.DISPI_GETCAPS);
  const capabilities = [R.DISPI_XRES, R.DISPI_YRES, R.DISPI_BPP].map((i) => bench.dispi(i));
  assertEquals(capabilities, [16000, 12000, 32]);
  assertEquals(bench.vga.dispi.read(0, 2), R.DISPI_BPP);
  assertEquals(bench.vga.dispi.read(2, 2), 32);
});

Deno.test("a VBE mode is made to fit and clears the memory unless told not to", () => {
  const bench = new VgaBench();
  bench.vram.fill(0xee);
  bench.setVbe(643, 5000, 17);
  assertEquals(bench.dispi(R.DISPI_XRES), 640);
  assertEquals(bench.dispi(R.DISPI_BPP), 8);
  assertEquals(bench.dispi(R.DISPI_YRES), Math.floor(2 ** 20 / 640));
  assertEquals(bench.dispi(R.DISPI_VIRT_WIDTH), 640);
  assertEquals(bench.vram[640 * 1638 - 1], 0);
  assertEquals(bench.vram[640 * 1638], 0xee);
  assertEquals(bench.writes, [[0, 640 * 1638]]);

  bench.vram.fill(0xee);
  bench.setVbe(320, 200, 16, R.DISPI_ENABLED | R.DISPI_NOCLEARMEM);
  assertEquals(bench.vram[0], 0xee);
  assertEquals(bench.dispi(R.DISPI_VIRT_HEIGHT), Math.floor(2 ** 20 / 640));
  bench.setDispi(R.DISPI_VIRT_WIDTH, 1024);
  assertEquals(bench.dispi(R.DISPI_VIRT_HEIGHT), 512);
  bench.setDispi(R.DISPI_Y_OFFSET, 312);
  assertEquals(bench.dispi(R.DISPI_Y_OFFSET), 312);
  bench.setDispi(R.DISPI_Y_OFFSET, 313);
  assertEquals(bench.dispi(R.DISPI_Y_OFFSET), 0, "no longer fits");
  bench.setDispi(R.DISPI_BANK, 0x1f);
  assertEquals(bench.dispi(R.DISPI_BANK), 0x0f);
});

Deno.test("a VBE mode shows in the VGA's registers", () => {
  const bench = textBench();
  bench.setVbe(800, 600, 16);
  assertEquals(bench.indexed(0x3ce, 6) & 0x0f, 0x07);
  assertEquals(bench.indexed(0x3ce, 5) & 0x60, 0x40);
  assertEquals(bench.indexed(0x3d4, 1), 99);
  assertEquals(bench.indexed(0x3d4, 0x12), 599 & 0xff);
  assertEquals(bench.indexed(0x3d4, 0x13), 800 * 2 >> 3);
  assertEquals(bench.vga.textLines(), undefined);
});

Deno.test("the DAC has eight bits when the display interface says so", () => {
  const bench = new VgaBench();
  bench.setVbe(320, 200, 8, R.DISPI_ENABLED | R.DISPI_8BIT_DAC);
  bench.out(0x3c8, 0);
  bench.out(0x3c9, 0xff, 0x80, 0x41);
  bench.out(0x3c7, 0);
  assertEquals([bench.in(0x3c9), bench.in(0x3c9), bench.in(0x3c9)], [0xff, 0x80, 0x41]);
});

Deno.test("registers in memory are the ports, the display interface and the monitor's EDID", () => {
  const { vga } = new VgaBench();
  const { mmio } = vga;
  mmio.write(0x402, 1, R.MISC_COLOR);
  assertEquals(mmio.read(0x40c, 1), R.MISC_COLOR);
  mmio.write(0x414, 2, 0x660f);
  assertEquals(mmio.read(0x415, 1), 0x66);
  mmio.write(0x500 + 2 * R.DISPI_XRES, 4, 480 << 16 | 640);
  assertEquals(mmio.read(0x500 + 2 * R.DISPI_YRES, 2), 480);
  assertEquals(mmio.read(0x500 + 2 * R.DISPI_XRES, 2), 640);
  mmio.write(0x500 + 2 * R.DISPI_XRES, 1, 1);
  assertEquals(mmio.read(0x500 + 2 * R.DISPI_XRES, 2), 640, "a byte is no register");
  assertEquals(mmio.read(0x514, 2), 16);
  assertEquals([mmio.read(0x600, 4), mmio.read(0x604, 4)], [8, 0x1e1e1e1e]);
  assertEquals(mmio.read(0, 4), 0xffffff00);
  assertEquals(mmio.read(0x80, 4), 0);
});

Deno.test("the monitor's EDID has 128 bytes whose sum is 0 and prefers 1024 by 768", () => {
  const edid = monitorEdid();
  assertEquals(edid.length, 128);
  assertEquals(edid.reduce((sum, byte) => (sum + byte) & 0xff, 0), 0);
  assertEquals(edid[56] | ((edid[58] & 0xf0) << 4), 1024);
  assertEquals(edid[59] | ((edid[61] & 0xf0) << 4), 768);
});

Deno.test("snapshots with bits that no register has are refused", () => {
  const bench = textBench();
  const before = bench.vga.snapshot();
  const refuse = (change: (registers: R.VgaState) => void) => {
    const state = structuredClone(before);
    change(state.registers as unknown as R.VgaState);
    assertThrows(() => bench.vga.restore(state), StateError);
    assertEquals(bench.vga.snapshot(), before);
  };
  refuse((r) => r.SR[2] = 0x10);
  refuse((r) => r.GR[0] = 0x10);
  refuse((r) => r.AR[0] = 0x40);
  refuse((r) => r.MISC = 0x10);
  refuse((r) => r.FCR = 0x01);
  refuse((r) => r.DISPI[R.DISPI_BANK] = 16);
  refuse((r) => r.DISPI[R.DISPI_ENABLE] = R.DISPI_ENABLED);
});

Deno.test("a restored VGA shows the same screen", () => {
  const bench = textBench();
  bench.print(5, "kept");
  bench.setIndexed(0x3d4, [[0x0d, 5]]);
  const twin = new VgaBench();
  twin.vram.set(bench.vram);
  twin.vga.restore(bench.vga.snapshot());
  assertEquals(twin.vga.textLines(), bench.vga.textLines());
  assertEquals(twin.vga.render(), bench.vga.render());
});

Deno.test("video memory of no power of two is refused", () => {
  const make = (size: number) => new Vga({ clock: { now: () => 0 }, vram: new Uint8Array(size) });
  assertThrows(() => make(3 * 2 ** 20), RangeError, "power of two");
  assertThrows(() => make(2 ** 17), RangeError, "256 KiB");
  assert(make(2 ** 18).config.shapes.length === 2);
});
