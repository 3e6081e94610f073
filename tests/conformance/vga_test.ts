/** The VGA joins the conformance suite here. */
import { assert, assertEquals } from "@std/assert";
import { drawFont } from "../../hw/vga/font.ts";
import { FRAME_BUFFER_BAR, MMIO_BAR, Vga } from "../../hw/vga/vga.ts";
import { WINDOW_SIZE } from "../../hw/vga/window.ts";
import { type Bench, conformance, type Space, type Subject } from "./suite.ts";

const ALL = [1, 2, 4] as const;

/** A picture larger than this is not drawn on each occasion. */
const SMALL = 100_000;

function create(bench: Bench): Subject {
  const vga = new Vga({
    clock: bench.clock,
    vram: bench.memory,
    vramWritten: (offset, length) => {
      assert(offset >= 0 && length >= 0 && offset + length <= bench.memory.length);
    },
  }, { romSize: 0x10000 });
  for (const bar of [FRAME_BUFFER_BAR, MMIO_BAR, "rom"] as const) {
    vga.config.connectBar(bar, {
      move: bench.sink(`bar ${bar}`),
      setEnabled: bench.wire(`bar ${bar} enabled`),
    });
  }
  vga.watchText(bench.sink("text"));
  const config: Space = {
    name: "config",
    access: {
      read: (offset, size) => vga.config.read(offset, size),
      write: (offset, size, value) => vga.config.write(offset, size, value),
    },
    count: 256,
    sizes: ALL,
  };
  let looks = 0;
  return {
    chips: [vga],
    spaces: [
      ...vga.ports.map(({ base, count, access }) => ({ name: base.toString(16), access, count })),
      { name: "dispi", access: vga.dispi, count: 4, sizes: [2] },
      // The chip sees offsets at random; a part of the window is enough to try each of them.
      { name: "window", access: vga.window, count: WINDOW_SIZE >> 6, sizes: ALL },
      { name: "mmio", access: vga.mmio, count: 0x620, sizes: ALL },
      config,
    ],
    events: [
      (random) => {
        // Registers that exist, so that modes come about.
        const [port, count] = random.pick([[4, 5], [14, 9]]);
        const access = vga.ports[2].access;
        access.write(port, 1, random.int(count));
        access.write(port + 1, 1, random.int(0x100));
      },
      (random) => {
        const { access } = vga.ports[random.bool() ? 0 : 3];
        access.write(0, 1, random.int(0x19));
        access.write(1, 1, random.int(0x100));
      },
      (random) => {
        vga.dispi.write(0, 2, random.int(11));
        vga.dispi.write(1, 2, random.int(random.pick([2, 0x40, 0x400, 0x10000])));
      },
      (random) => {
        const offset = random.int(WINDOW_SIZE);
        vga.window.write(offset, 1, random.int(0x100));
        return vga.window.read(offset, 1);
      },
      (random) => {
        if (random.oneIn(20)) vga.setTextMode(drawFont());
      },
    ],
    invariants() {
      const lines = vga.textLines();
      const cursor = vga.cursor;
      assertEquals(lines === undefined, cursor === undefined);
      if (lines !== undefined) {
        const row = Math.min(3, lines.length - 1);
        assertEquals(vga.textLine(row), lines[row]);
        assertEquals(vga.textLine(lines.length), undefined);
        assert(lines.every((line) => line.length === lines[0].length));
      }
      if (++looks % 16 !== 0) return;
      const { width, height, data } = vga.render();
      assertEquals(data.length, width * height * 4);
      if (width * height > SMALL) return;
      for (let i = 3; i < data.length; i += 4) assert(data[i] === 255);
    },
  };
}

conformance({ name: "Vga", create });
