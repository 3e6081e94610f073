import { assertEquals } from "@std/assert";
import * as R from "./registers.ts";
import { Window, WINDOW_SIZE } from "./window.ts";

const VRAM = 256 * 1024;

interface Bench {
  state: R.VgaState;
  vram: Uint8Array;
  window: Window;
  writes: [offset: number, length: number][];
  /** Sets registers, then lets the window follow. */
  set(registers: { SR?: [number, number][]; GR?: [number, number][]; DISPI?: number[] }): void;
  /** The four planes at a planar address. */
  planes(address: number): number[];
}

function bench(): Bench {
  const state = R.initialState();
  const vram = new Uint8Array(VRAM);
  const writes: [number, number][] = [];
  const window = new Window(state, vram, (...write) => writes.push(write));
  const set: Bench["set"] = ({ SR = [], GR = [], DISPI }) => {
    for (const [index, value] of SR) state.SR[index] = value;
    for (const [index, value] of GR) state.GR[index] = value;
    if (DISPI !== undefined) state.DISPI = DISPI;
    window.configure();
  };
  // Planar memory at 0xa0000, all planes, all bits.
  set({
    SR: [[R.SR_MAP_MASK, 0x0f], [R.SR_MEMORY_MODE, 0x06]],
    GR: [[R.GR_MISCELLANEOUS, 0x05], [R.GR_BIT_MASK, 0xff], [R.GR_COLOR_DONT_CARE, 0x0f]],
  });
  const planes = (address: number) => [...vram.subarray(4 * address, 4 * address + 4)];
  return { state, vram, window, writes, set, planes };
}

Deno.test("the memory map select opens one of four parts of the window", () => {
  const { window, vram, set } = bench();
  vram.fill(0x11);
  const parts = [[0, 0x20000], [0, 0x10000], [0x10000, 0x8000], [0x18000, 0x8000]];
  parts.forEach(([first, size], map) => {
    set({ GR: [[R.GR_MISCELLANEOUS, map << R.MISC_MEMORY_MAP_SHIFT]] });
    for (const at of [0, 0xffff, 0x10000, 0x17fff, 0x18000, WINDOW_SIZE - 1]) {
      const open = at >= first && at < first + size;
      assertEquals(window.read(at, 1), open ? 0x11 : 0xff, `map ${map} at ${at.toString(16)}`);
    }
  });
});

Deno.test("what lies outside of the open part ignores writes", () => {
  const { window, vram } = bench();
  window.write(0x10000, 1, 0xff);
  assertEquals(vram.every((byte) => byte === 0), true);
});

Deno.test("the map mask chooses the planes that are written", () => {
  const { window, set, planes } = bench();
  set({ SR: [[R.SR_MAP_MASK, 0b0101]] });
  window.write(3, 1, 0xa5);
  assertEquals(planes(3), [0xa5, 0, 0xa5, 0]);
  assertEquals(planes(2), [0, 0, 0, 0]);
});

Deno.test("wide accesses are bytes at consecutive addresses", () => {
  const { window, planes } = bench();
  window.write(8, 4, 0x44332211);
  assertEquals([8, 9, 10, 11].map((at) => planes(at)[3]), [0x11, 0x22, 0x33, 0x44]);
  assertEquals(window.read(8, 4), 0x44332211);
  assertEquals(window.read(9, 2), 0x3322);
});

Deno.test("write mode 0 rotates, sets, combines with the latches and masks", () => {
  const { window, set, planes, vram } = bench();
  vram.set([0xf0, 0xf0, 0xf0, 0xf0], 0);
  window.read(0, 1);
  set({ GR: [[R.GR_DATA_ROTATE, 1]] });
  window.write(1, 1, 0x03);
  assertEquals(planes(1), [0x81, 0x81, 0x81, 0x81]);

  set({
    GR: [[R.GR_DATA_ROTATE, 0], [R.GR_ENABLE_SET_RESET, 0b0011], [R.GR_SET_RESET, 0b0001]],
  });
  window.write(1, 1, 0x55);
  assertEquals(planes(1), [0xff, 0x00, 0x55, 0x55]);

  set({ GR: [[R.GR_ENABLE_SET_RESET, 0]] });
  for (const [select, result] of [[1, 0x30], [2, 0xfc], [3, 0xcc]]) {
    set({ GR: [[R.GR_DATA_ROTATE, select << 3]] });
    window.write(1, 1, 0x3c);
    assertEquals(planes(1)[0], result, `function ${select}`);
  }

  set({ GR: [[R.GR_DATA_ROTATE, 0], [R.GR_BIT_MASK, 0x0f]] });
  window.write(1, 1, 0x05);
  assertEquals(planes(1), [0xf5, 0xf5, 0xf5, 0xf5]);
});

Deno.test("write mode 1 copies the latches whatever the data and the bit mask", () => {
  const { window, set, planes, vram } = bench();
  vram.set([1, 2, 3, 4], 0);
  set({ GR: [[R.GR_MODE, 1], [R.GR_BIT_MASK, 0]] });
  window.read(0, 1);
  window.write(7, 1, 0xee);
  assertEquals(planes(7), [1, 2, 3, 4]);
});

Deno.test("write mode 2 spreads four bits over the planes through the bit mask", () => {
  const { window, set, planes, vram } = bench();
  vram.set([0x55, 0x55, 0x55, 0x55], 0);
  set({ GR: [[R.GR_MODE, 2], [R.GR_BIT_MASK, 0x80]] });
  window.read(0, 1);
  window.write(0, 1, 0b1010);
  assertEquals(planes(0), [0x55, 0xd5, 0x55, 0xd5]);
});

Deno.test("write mode 3 masks set/reset with the rotated data", () => {
  const { window, set, planes, vram } = bench();
  vram.set([0x00, 0xff, 0x00, 0xff], 0);
  set({
    GR: [[R.GR_MODE, 3], [R.GR_SET_RESET, 0b0011], [R.GR_DATA_ROTATE, 4], [R.GR_BIT_MASK, 0xf0]],
  });
  window.read(0, 1);
  window.write(0, 1, 0x0c);
  assertEquals(planes(0), [0xc0, 0xff, 0x00, 0x3f]);
});

Deno.test("read mode 0 reads the selected plane and fills the latches", () => {
  const { window, set, vram, state } = bench();
  vram.set([0x11, 0x22, 0x33, 0x84], 20);
  set({ GR: [[R.GR_READ_MAP_SELECT, 2]] });
  assertEquals(window.read(5, 1), 0x33);
  assertEquals(state.latch, 0x84332211);
});

Deno.test("read mode 1 compares colours on the planes that count", () => {
  const { window, set, vram } = bench();
  // Pixels from the left: 0, 5, 15, 7 and again.
  vram.set([0x77, 0x33, 0x77, 0x22], 0);
  set({ GR: [[R.GR_MODE, R.MODE_READ_COMPARE], [R.GR_COLOR_COMPARE, 5]] });
  assertEquals(window.read(0, 1), 0b01000100);
  set({ GR: [[R.GR_COLOR_DONT_CARE, 0b0101]] });
  assertEquals(window.read(0, 1), 0b01110111);
  set({ GR: [[R.GR_COLOR_DONT_CARE, 0]] });
  assertEquals(window.read(0, 1), 0xff);
});

Deno.test("odd and even addresses are planes 1 and 0 of one cell", () => {
  const { window, set, planes, writes } = bench();
  set({
    SR: [[R.SR_MAP_MASK, 3], [R.SR_MEMORY_MODE, 0x02]],
    GR: [[R.GR_MODE, R.MODE_ODD_EVEN], [R.GR_MISCELLANEOUS, 0x0e]],
  });
  window.write(0x18000 + 160, 2, 0x1f41);
  assertEquals(planes(80), [0x41, 0x1f, 0, 0]);
  assertEquals(window.read(0x18000 + 160, 2), 0x1f41);
  assertEquals(writes, [[320, 4], [321, 3]]);
});

Deno.test("chain 4 makes the planes one linear memory", () => {
  const { window, set, vram } = bench();
  set({ SR: [[R.SR_MEMORY_MODE, 0x0e]] });
  window.write(0x1235, 4, 0x40302010);
  assertEquals([...vram.subarray(0x1234, 0x123a)], [0, 0x10, 0x20, 0x30, 0x40, 0]);
  assertEquals(window.read(0x1235, 4), 0x40302010);
  set({ SR: [[R.SR_MAP_MASK, 0b0010]] });
  window.write(0x1234, 4, 0xffffffff);
  assertEquals([...vram.subarray(0x1234, 0x1239)], [0, 0xff, 0x20, 0x30, 0x40]);
});

Deno.test("without extended memory addresses wrap at 16 KiB", () => {
  const { window, set, planes } = bench();
  set({ SR: [[R.SR_MEMORY_MODE, 0x04]] });
  window.write(0x4001, 1, 0x99);
  assertEquals(planes(1)[0], 0x99);
});

Deno.test("a VBE mode is reached in banks of 64 KiB", () => {
  const { window, set, vram, writes } = bench();
  const dispi = R.initialState().DISPI;
  dispi[R.DISPI_ENABLE] = R.DISPI_ENABLED;
  dispi[R.DISPI_BPP] = 32;
  dispi[R.DISPI_BANK] = 2;
  set({ DISPI: dispi, SR: [[R.SR_MAP_MASK, 0]], GR: [[R.GR_BIT_MASK, 0]] });
  window.write(0xfffe, 2, 0xbeef);
  assertEquals([...vram.subarray(0x2fffe, 0x30000)], [0xef, 0xbe]);
  assertEquals(window.read(0xffff, 1), 0xbe);
  assertEquals(writes, [[0x2fffe, 1], [0x2ffff, 1]]);
});
