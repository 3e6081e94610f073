import { assertEquals } from "@std/assert";
import { parseCpuModel } from "../models.ts";
import * as S from "../state.ts";
import { cpuid } from "./cpuid.ts";
import { LongTestbed } from "./long_testbed.ts";
import { initState } from "./reset.ts";

const AREA = 0x6000, STATE_BV = AREA + 512, COMP_BV = AREA + 520;
const FILL = 0xa5a5a5a5;

/** A processor with XSAVE enabled, its area filled with a pattern below a clear header. */
function ready({ model = "max", ring = 0, xcr0 = 3, wide = true }: {
  model?: string;
  ring?: 0 | 3;
  xcr0?: number;
  wide?: boolean;
} = {}): LongTestbed {
  const t = new LongTestbed(model).long(ring, wide), { R } = t;
  R[S.CR4] |= S.CR4_OSFXSR | S.CR4_OSXSAVE;
  R[S.XCR0] = xcr0;
  R[S.INSN_SEG] = S.DS;
  R[S.RAX] = -1;
  R[S.RDX] = -1;
  for (let at = AREA; at < AREA + 576; at += 4) t.write32(at, at < STATE_BV ? FILL : 0);
  return t;
}

/** Puts something into every component. */
function dirty(t: LongTestbed): void {
  const { R } = t;
  R[S.FCW] = 0x27f;
  R[S.FTAG] = 0x80;
  R[S.FSW] = 0x3800;
  [R[S.FIP], R[S.FIP_HI], R[S.FDP], R[S.FDP_HI]] = [0x1111, 0x7f, 0x2222, 0x7e];
  [R[S.ST0 + 28], R[S.ST0 + 29], R[S.ST0 + 30]] = [1, -1, 0x3fff];
  for (let i = 0; i < 64; i++) R[S.XMM0 + i] = i + 1;
  R[S.MXCSR] = 0x1f81;
}

Deno.test("XSAVE and its kin need CR4.OSXSAVE, a clear CR0.TS and an aligned area", () => {
  for (const name of ["xsave", "xsaveopt", "xsavec", "xrstor"]) {
    const t = ready();
    t.faults(S.GP, 0, name, AREA + 16);
    t.R[S.CR0] |= S.CR0_TS;
    t.faults(S.NM, -1, name, AREA + 16);
    t.R[S.CR4] &= ~S.CR4_OSXSAVE;
    t.faults(S.UD, -1, name, AREA + 16);
  }
  for (const name of ["xgetbv", "xsetbv"]) {
    const t = ready();
    t.R[S.CR4] &= ~S.CR4_OSXSAVE;
    t.faults(S.UD, -1, name);
  }
});

Deno.test("an area that cannot be written faults before anything is stored", () => {
  const t = ready();
  dirty(t);
  // The 2 MiB page that everything lies in ends at 200000h.
  t.faults(S.PAGE_FAULT, 2, "xsave", 0x200000 - 64);
  assertEquals(t.read32(0x200000 - 64), 0);
});

Deno.test("XSAVE writes the components asked for, and of the header their bits", () => {
  const t = ready(), { R } = t;
  dirty(t);
  t.write32(STATE_BV, 0x80);
  t.succeeds("xsave", AREA);
  assertEquals(t.read32(AREA), 0x3800_027f);
  assertEquals(t.quads(AREA + 8, 0).length, 0);
  assertEquals([t.read64(AREA + 8), t.read64(AREA + 16)], [[0x1111, 0x7f], [0x2222, 0x7e]]);
  assertEquals(t.read64(AREA + 24), [0x1f81, 0xffff]);
  assertEquals([t.read64(AREA + 32), t.read32(AREA + 40)], [[1, -1], 0x3fff]);
  assertEquals([t.read32(AREA + 160), t.read32(AREA + 412)], [1, 64]);
  assertEquals(t.read32(AREA + 416), FILL);
  assertEquals([t.read64(STATE_BV), t.read64(COMP_BV)], [[0x83, 0], [0, 0]]);

  const u = ready();
  dirty(u);
  u.R[S.RAX] = 2;
  u.succeeds("xsave", AREA);
  assertEquals([u.read32(AREA), u.read32(AREA + 24), u.read32(AREA + 160)], [FILL, 0x1f81, 1]);
  assertEquals(u.read64(STATE_BV), [2, 0]);
  // SSE is not asked for while XCR0 does not have it.
  const v = ready({ xcr0: 1 });
  dirty(v);
  v.succeeds("xsave", AREA);
  assertEquals([v.read32(AREA + 24), v.read32(AREA + 160)], [FILL, FILL]);
  assertEquals(v.read64(STATE_BV), [1, 0]);
  assertEquals(R[S.XCR0], 3);
});

Deno.test("XSAVE with 32-bit operands writes selectors beside the pointers", () => {
  const t = ready();
  dirty(t);
  [t.R[S.FCS], t.R[S.FDS]] = [0x33, 0x2b];
  t.cpu.operandSize = 32;
  t.succeeds("xsave", AREA);
  assertEquals([t.read64(AREA + 8), t.read64(AREA + 16)], [[0x1111, 0x33], [0x2222, 0x2b]]);
});

Deno.test("XSAVE writes components in their initial configuration, XSAVEOPT leaves them out", () => {
  const t = ready();
  t.succeeds("xsave", AREA);
  assertEquals([t.read32(AREA), t.read32(AREA + 24), t.read32(AREA + 160)], [0x37f, 0x1f80, 0]);
  assertEquals(t.read64(STATE_BV), [0, 0]);
  const u = ready();
  u.write32(STATE_BV, 3);
  u.succeeds("xsaveopt", AREA);
  // MXCSR goes with the SSE component that was asked for, whether in use or not.
  assertEquals([u.read32(AREA), u.read32(AREA + 24), u.read32(AREA + 160)], [FILL, 0x1f80, FILL]);
  assertEquals(u.read64(STATE_BV), [0, 0]);
  const v = ready();
  v.R[S.XMM0 + 63] = 1;
  v.succeeds("xsaveopt", AREA);
  assertEquals([v.read32(AREA), v.read32(AREA + 412)], [FILL, 1]);
  assertEquals(v.read64(STATE_BV), [2, 0]);
});

Deno.test("XSAVEC writes the compacted format: what is in use, MXCSR with SSE", () => {
  const t = ready();
  t.R[S.RAX] = 3;
  t.succeeds("xsavec", AREA);
  assertEquals([t.read32(AREA), t.read32(AREA + 24), t.read32(AREA + 160)], [FILL, FILL, FILL]);
  assertEquals([t.read64(STATE_BV), t.read64(COMP_BV)], [[0, 0], [3, 0x80000000 | 0]]);
  t.R[S.MXCSR] = 0x1f00;
  t.succeeds("xsavec", AREA);
  assertEquals([t.read32(AREA + 24), t.read32(AREA + 160)], [0x1f00, 0]);
  assertEquals(t.read64(STATE_BV), [2, 0]);
});

Deno.test("XRSTOR loads what XSAVE, XSAVEOPT and XSAVEC saved", () => {
  for (const name of ["xsave", "xsaveopt", "xsavec"]) {
    const t = ready(), { R } = t;
    dirty(t);
    const before = R.slice(S.FCW, S.SCRATCH);
    t.succeeds(name, AREA);
    R.fill(-1, S.XMM0, S.SCRATCH);
    R.fill(0, S.ST0, S.XMM0);
    [R[S.FCW], R[S.FSW], R[S.FTAG], R[S.MXCSR], R[S.FIP]] = [0x37f, 0, 0, 0x1f80, 0];
    t.succeeds("xrstor", AREA);
    assertEquals(R.slice(S.FCW, S.SCRATCH), before, name);
  }
});

Deno.test("XRSTOR puts what the header lacks into its initial configuration, if asked for", () => {
  const t = ready(), { R } = t;
  dirty(t);
  t.write32(AREA + 24, 0x1fc0);
  t.succeeds("xrstor", AREA);
  assertEquals([R[S.FCW], R[S.FSW], R[S.FTAG], R[S.FIP], R[S.FIP_HI]], [0x37f, 0, 0, 0, 0]);
  assertEquals([R[S.ST0 + 28], R[S.XMM0], R[S.XMM0 + 63]], [0, 0, 0]);
  // The standard format gives MXCSR in any case.
  assertEquals(R[S.MXCSR], 0x1fc0);
  dirty(t);
  t.write64(COMP_BV, 3, 0x80000000);
  t.succeeds("xrstor", AREA);
  assertEquals([R[S.MXCSR], R[S.XMM0]], [0x1f80, 0]);
  dirty(t);
  R[S.RAX] = 1;
  t.succeeds("xrstor", AREA);
  assertEquals([R[S.FCW], R[S.XMM0], R[S.MXCSR]], [0x37f, 1, 0x1f81]);
});

Deno.test("outside 64-bit mode the upper XMM registers are left alone", () => {
  const t = ready({ wide: false }), { R } = t;
  dirty(t);
  t.succeeds("xsave", AREA);
  assertEquals([t.read32(AREA + 284), t.read32(AREA + 288)], [32, FILL]);
  t.write32(STATE_BV, 0);
  t.write32(AREA + 24, 0x1f80);
  t.succeeds("xrstor", AREA);
  assertEquals([R[S.XMM0 + 31], R[S.XMM0 + 32]], [0, 33]);
  // The registers that the mode has are clear: the component is not in use.
  t.succeeds("xsaveopt", AREA);
  assertEquals(t.read64(STATE_BV), [0, 0]);
});

Deno.test("XRSTOR refuses headers and MXCSR that it does not know, and changes nothing", () => {
  const headers: [offset: number, low: number, high: number][] = [
    [0, 4, 0], // A component that XCR0 lacks.
    [0, 0, 1],
    [8, 1, 0], // XCOMP_BV of the standard format.
    [8, 0, 1],
    [16, 1, 0],
    [8, 4, 0x80000000 | 0], // Compacted: a component that XCR0 lacks,
    [8, 1, 0x80000001 | 0],
  ];
  for (const [offset, low, high] of headers) {
    const t = ready();
    dirty(t);
    const before = t.R.slice(S.FCW, S.SCRATCH);
    t.write32(AREA + 24, 0x1f80);
    t.write64(STATE_BV + offset, low, high);
    t.faults(S.GP, 0, "xrstor", AREA);
    assertEquals(t.R.slice(S.FCW, S.SCRATCH), before, `${offset} ${low} ${high}`);
  }
  const t = ready();
  t.write64(COMP_BV, 1, 0x80000000); // One that XCOMP_BV lacks,
  t.write32(STATE_BV, 2);
  t.faults(S.GP, 0, "xrstor", AREA);
  t.write32(STATE_BV, 1);
  t.write32(AREA + 512 + 60, 1); // and bytes behind the header's fields.
  t.faults(S.GP, 0, "xrstor", AREA);
  t.write32(AREA + 512 + 60, 0);
  t.write32(AREA + 28, 0);
  t.succeeds("xrstor", AREA);
  const u = ready();
  u.write32(AREA + 24, 0x10000);
  u.faults(S.GP, 0, "xrstor", AREA);
  u.R[S.RAX] = 1;
  u.succeeds("xrstor", AREA);
  // Without XSAVEC there is no compacted format.
  const v = ready({ model: "max,-xsavec" });
  v.write64(COMP_BV, 3, 0x80000000);
  v.faults(S.GP, 0, "xrstor", AREA);
});

Deno.test("XSETBV takes x87 with or without SSE, in ring 0, and XGETBV reads it in any", () => {
  const t = ready({ xcr0: 1 }), { R } = t;
  const set = (index: number, low: number, high = 0) => {
    [R[S.RCX], R[S.RAX], R[S.RDX]] = [index, low, high];
    return t.call("xsetbv");
  };
  const fault = { vector: S.GP, error: 0 };
  assertEquals(set(0, 3), 0);
  assertEquals([set(0, 2), set(0, 0), set(0, 7), set(0, 3, 1), set(1, 3)], Array(5).fill(fault));
  assertEquals(R[S.XCR0], 3);
  const u = ready({ ring: 3 });
  [u.R[S.RCX], u.R[S.RAX], u.R[S.RDX]] = [0, 3, 0];
  u.faults(S.GP, 0, "xsetbv");
  u.succeeds("xgetbv");
  assertEquals([...u.pair(S.RAX), ...u.pair(S.RDX)], [3, 0, 0, 0]);
  u.R[S.RCX] = 1;
  u.R[S.XMM0] = 1;
  u.succeeds("xgetbv");
  assertEquals(u.R[S.RAX], 2);
  u.R[S.RCX] = 2;
  u.faults(S.GP, 0, "xgetbv");
});

Deno.test("XCR0 has x87 alone after reset, and INIT leaves it", () => {
  const t = new LongTestbed("max");
  assertEquals(t.R[S.XCR0], 1);
  t.R[S.XCR0] = 3;
  initState(t.cpu);
  assertEquals(t.R[S.XCR0], 3);
});

Deno.test("CPUID tells components, sizes and kinds of XSAVE, and whether it is enabled", () => {
  const model = parseCpuModel("max");
  assertEquals(cpuid(model, 0xd, 0), [3, 576, 576, 0]);
  assertEquals(cpuid(model, 0xd, 1), [7, 576, 0, 0]);
  assertEquals(cpuid(model, 0xd, 2), [0, 0, 0, 0]);
  assertEquals(cpuid(parseCpuModel("qemu64"), 0xd, 0), [0, 0, 0, 0]);
  assertEquals(cpuid(parseCpuModel("Nehalem,+xsave"), 0xd, 1), [0, 0, 0, 0]);
  const t = ready(), { R } = t;
  const osxsave = () => {
    R[S.RAX] = 1;
    t.succeeds("cpuid");
    return (R[S.RCX] >>> 27) & 1;
  };
  assertEquals(osxsave(), 1);
  R[S.CR4] &= ~S.CR4_OSXSAVE;
  assertEquals(osxsave(), 0);
  t.succeeds("mov_to_cr", 4, R[S.CR4] | S.CR4_OSXSAVE);
  new LongTestbed("qemu64").long(0).faults(S.GP, 0, "mov_to_cr", 4, R[S.CR4]);
});
