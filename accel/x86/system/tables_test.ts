import { assertEquals } from "@std/assert";
import * as S from "../state.ts";
import {
  absent,
  CODE,
  CODE0,
  CODE3,
  CONFORMING,
  DATA,
  DATA0,
  DATA3,
  dpl,
  EXECUTE_ONLY,
  FREE,
  LDT_BASE,
  LDT_SEL,
  READ_ONLY,
  TASK_A,
  TASK_B,
  TASK_C16,
  Testbed,
  TSS_B,
} from "./testbed.ts";

const zero = (bed: Testbed) => (S.arithFlags(bed.R) & S.ZF) !== 0;

Deno.test("LGDT and LIDT load 16 bits of limit and 32 or 24 of base", () => {
  for (const [name, register] of [["lgdt", S.GDTR_BASE], ["lidt", S.IDTR_BASE]] as const) {
    const bed = new Testbed().protect(0);
    bed.R[S.INSN_SEG] = S.DS;
    bed.write16(0x6000, 0x1234);
    bed.write32(0x6002, 0x89abcdef);
    bed.succeeds(name, 0x6000);
    assertEquals([bed.R[register] >>> 0, bed.R[register + 2]], [0x89abcdef, 0x1234]);
    bed.cpu.operandSize = 16;
    bed.succeeds(name, 0x6000);
    assertEquals(bed.R[register], 0xabcdef);
    bed.segment(FREE, DATA, { limit: 0x6004, flags: 4 });
    bed.load(S.DS, FREE);
    bed.faults(S.GP, 0, name, 0x6000);
    bed.enter(3);
    bed.faults(S.GP, 0, name, 0x6000);
    const virtual = new Testbed().virtual8086(3);
    virtual.faults(S.GP, 0, name, 0);
  }
});

Deno.test("SGDT and SIDT store all six bytes or none", () => {
  const bed = new Testbed().protect(3);
  bed.R[S.INSN_SEG] = S.DS;
  bed.R[S.GDTR_BASE] = 0x89abcdef;
  bed.cpu.operandSize = 16;
  bed.succeeds("sgdt", 0x6000);
  assertEquals([bed.read16(0x6000), bed.read32(0x6002)], [0x7ff, 0x89abcdef]);
  bed.R[S.IDTR_LIMIT] = 0x123;
  bed.succeeds("sidt", 0x6000);
  assertEquals([bed.read16(0x6000), bed.read32(0x6002)], [0x123, 0x2000]);
  bed.R[S.GDTR_BASE] = 0x1000;
  bed.page();
  bed.mapPage(0x7000, 5);
  bed.write32(0x6ffc, 0);
  bed.faults(S.PAGE_FAULT, 7, "sgdt", 0x6ffc);
  assertEquals(bed.read32(0x6ffc), 0);
  bed.segment(FREE, dpl(READ_ONLY, 3));
  bed.load(S.DS, FREE);
  bed.faults(S.GP, 0, "sidt", 0x6000);
});

Deno.test("SGDT checks the alignment of the base when it must", () => {
  const bed = new Testbed().protect(3);
  bed.R[S.INSN_SEG] = S.DS;
  bed.R[S.CR0] |= S.CR0_AM;
  bed.R[S.EFLAGS] |= S.AC;
  for (const at of [0x6000, 0x6001, 0x6003]) bed.faults(S.AC_FAULT, 0, "sgdt", at);
  bed.succeeds("sgdt", 0x6002);
});

Deno.test("LLDT loads an LDT or none", () => {
  const bed = new Testbed().protect(0);
  bed.succeeds("lldt", 0);
  assertEquals(bed.R[S.SEG_ATTR + S.LDTR], 0);
  bed.succeeds("lldt", LDT_SEL);
  assertEquals([bed.R[S.SEG_BASE + S.LDTR], bed.R[S.SEG_LIMIT + S.LDTR]], [LDT_BASE, 0xff]);
  assertEquals(bed.succeeds("sldt"), LDT_SEL);
});

Deno.test("LLDT raises #GP for another descriptor or ring, #NP for an absent LDT", () => {
  const bed = new Testbed().protect(0);
  bed.segment(0x14, 0x82);
  bed.faults(S.GP, 0x14, "lldt", 0x14); // In the LDT.
  bed.faults(S.GP, 0x800, "lldt", 0x800);
  bed.faults(S.GP, DATA0, "lldt", DATA0);
  bed.faults(S.GP, TASK_B, "lldt", TASK_B);
  bed.segment(FREE, 0x02);
  bed.faults(S.NP, FREE, "lldt", FREE);
  bed.enter(3);
  bed.faults(S.GP, 0, "lldt", LDT_SEL);
});

Deno.test("LTR loads an available TSS and marks it busy", () => {
  const bed = new Testbed().protect(0);
  bed.succeeds("ltr", TASK_B);
  assertEquals(bed.access(TASK_B), 0x8b);
  assertEquals(bed.R[S.SEG_BASE + S.TR], TSS_B);
  assertEquals(bed.R[S.SEG_ATTR + S.TR], 0x8b);
  assertEquals(bed.succeeds("str"), TASK_B);
  bed.succeeds("ltr", TASK_C16);
  assertEquals(bed.R[S.SEG_ATTR + S.TR], 0x83);
});

Deno.test("LTR raises #GP for another descriptor or ring, #NP for an absent TSS", () => {
  const bed = new Testbed().protect(0);
  bed.segment(0, 0x89); // A null selector never reaches its descriptor.
  bed.segment(0x14, 0x89);
  bed.faults(S.GP, 0, "ltr", 0);
  bed.faults(S.GP, 0x14, "ltr", 0x14); // In the LDT.
  bed.faults(S.GP, 0x800, "ltr", 0x800);
  bed.faults(S.GP, DATA0, "ltr", DATA0);
  bed.faults(S.GP, TASK_A, "ltr", TASK_A); // Busy.
  bed.segment(FREE, 0x09);
  bed.faults(S.NP, FREE, "ltr", FREE);
  bed.enter(3);
  bed.faults(S.GP, 0, "ltr", TASK_B);
});

Deno.test("LLDT and LTR check the ring before their operand is read", () => {
  const bed = new Testbed().protect(3);
  bed.faults(S.GP, 0, "lldt", 0x14);
  bed.faults(S.GP, 0, "ltr", 0);
  bed.faults(S.GP, 0, "lmsw", 0);
});

Deno.test("ARPL raises a lower RPL and says so in ZF", () => {
  const bed = new Testbed().protect(3);
  assertEquals(bed.succeeds("arpl", 0x1230, 2), 0x1232);
  assertEquals(zero(bed), true);
  S.setArithFlags(bed.R, S.CF | S.ZF | S.SF);
  assertEquals(bed.succeeds("arpl", 0x1233, 2), 0x1233);
  assertEquals(S.arithFlags(bed.R), S.CF | S.SF);
});

Deno.test("VERR and VERW ask what a segment load and an access would find", () => {
  const bed = new Testbed().protect(3);
  bed.segment(FREE, dpl(READ_ONLY, 3));
  bed.segment(FREE + 8, dpl(EXECUTE_ONLY, 3));
  bed.segment(FREE + 0x10, CONFORMING);
  bed.segment(FREE + 0x18, absent(dpl(DATA, 3)));
  const ask = (name: string, selector: number) => {
    bed.succeeds(name, selector);
    return zero(bed);
  };
  const cases: [number, boolean, boolean][] = [
    [0, false, false],
    [3, false, false],
    [0x800, false, false],
    [DATA3, true, true],
    [DATA0, false, false],
    [DATA0 + 3, false, false],
    [CODE3, true, false],
    [FREE + 3, true, false],
    [FREE + 8 + 3, false, false],
    [FREE + 0x10, true, false],
    [FREE + 0x18, true, true], // Presence does not count.
    [TASK_A, false, false],
  ];
  for (const [selector, read, write] of cases) {
    assertEquals([ask("verr", selector), ask("verw", selector)], [read, write], `${selector}`);
  }
});

Deno.test("LAR and LSL describe what is visible at this privilege and keep the register otherwise", () => {
  const bed = new Testbed().protect(0);
  bed.segment(FREE, DATA, { limit: 0x12345, flags: 4 });
  assertEquals(bed.succeeds("lar", 7, FREE), 0x419300 | 0x10000);
  assertEquals(bed.succeeds("lsl", 7, FREE), 0x12345);
  assertEquals(bed.succeeds("lsl", 7, DATA0) >>> 0, 0xffffffff);
  assertEquals(zero(bed), true);
  const kept = (selector: number, name: string) => {
    assertEquals(bed.succeeds(name, 7, selector), 7, `${name} ${selector}`);
    assertEquals(zero(bed), false);
  };
  for (const name of ["lar", "lsl"]) {
    kept(0, name);
    kept(0x800, name);
    kept(DATA0 + 3, name); // RPL > DPL.
    for (const type of [0x80, 0x86, 0x87, 0x88, 0x8a, 0x8d, 0x8e, 0x8f]) {
      bed.segment(FREE, type);
      kept(FREE, name);
    }
  }
  for (const type of [0x81, 0x82, 0x83, 0x89, 0x8b]) {
    bed.segment(FREE, type, { limit: 0x67, flags: 0 });
    assertEquals(bed.succeeds("lar", 7, FREE), type << 8);
    assertEquals(bed.succeeds("lsl", 7, FREE), 0x67);
  }
  for (const type of [0x84, 0x85, 0x8c]) {
    bed.segment(FREE, type, { flags: 0, limit: 0 });
    assertEquals(bed.succeeds("lar", 7, FREE), type << 8);
    kept(FREE, "lsl");
  }
  bed.enter(3);
  kept(DATA0, "lar");
  kept(CODE0, "lsl");
  bed.segment(FREE, CONFORMING);
  bed.succeeds("lar", 7, FREE + 3);
  assertEquals(zero(bed), true);
  bed.segment(FREE, absent(dpl(CODE, 3)));
  bed.succeeds("lar", 7, FREE + 3);
  assertEquals(zero(bed), true);
});
