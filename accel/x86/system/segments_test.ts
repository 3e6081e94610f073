import { assertEquals } from "@std/assert";
import * as S from "../state.ts";
import { loadSegment } from "./segments.ts";
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
  GDT,
  LDT_BASE,
  LDT_SEL,
  READ_ONLY,
  STACK0,
  Testbed,
} from "./testbed.ts";

const mov = (bed: Testbed, segment: number, selector: number) =>
  bed.call("mov_to_sreg", segment, selector);

Deno.test("MOV to a data segment register loads base, limit and rights and marks the descriptor accessed", () => {
  const bed = new Testbed().protect(0);
  bed.segment(FREE, DATA & ~1, { base: 0x12345678, limit: 0x1234, flags: 4 });
  assertEquals(mov(bed, S.ES, FREE), 0);
  assertEquals(bed.R[S.SEG_SEL + S.ES], FREE);
  assertEquals(bed.R[S.SEG_BASE + S.ES], 0x12345678);
  assertEquals(bed.R[S.SEG_LIMIT + S.ES], 0x1234);
  assertEquals(bed.R[S.SEG_ATTR + S.ES], 0x4093);
  assertEquals(bed.R[S.SEG_FLAT + S.ES], 0);
  assertEquals(bed.access(FREE), DATA);
});

Deno.test("a page-granular limit counts in 4 KiB units with the low bits set", () => {
  const bed = new Testbed().protect(0);
  bed.segment(FREE, DATA, { limit: 2, flags: 0xc });
  mov(bed, S.DS, FREE);
  assertEquals(bed.R[S.SEG_LIMIT + S.DS], 0x2fff);
});

Deno.test("SEG_FLAT holds exactly for flat, writable, expand-up data", () => {
  const bed = new Testbed().protect(0);
  const flat = (access: number, options = {}) => {
    bed.segment(FREE, access, options);
    mov(bed, S.ES, FREE);
    return bed.R[S.SEG_FLAT + S.ES];
  };
  assertEquals(flat(DATA), 1);
  assertEquals(flat(READ_ONLY), 0);
  assertEquals(flat(CODE), 0);
  assertEquals(flat(0x97), 0); // Expand-down.
  assertEquals(flat(DATA, { base: 1 }), 0);
  assertEquals(flat(DATA, { limit: 0xffffe }), 0);
  mov(bed, S.ES, 0);
  assertEquals(bed.R[S.SEG_FLAT + S.ES], 0);
  assertEquals(bed.R[S.SEG_FLAT + S.CS], 1);
});

Deno.test("a null selector makes a data segment unusable without a fault and keeps its value", () => {
  const bed = new Testbed().protect(3);
  for (const selector of [0, 1, 2, 3]) {
    assertEquals(mov(bed, S.GS, selector), 0);
    assertEquals(bed.R[S.SEG_SEL + S.GS], selector);
    assertEquals(bed.R[S.SEG_ATTR + S.GS], 0);
  }
  assertEquals(bed.attempt(() => bed.cpu.linear(S.GS, 0, 1, false)), {
    vector: S.GP,
    error: 0,
  });
});

Deno.test("MOV to CS and to segment registers 6 and 7 is #UD", () => {
  const bed = new Testbed().protect(0);
  for (const segment of [S.CS, 6, 7]) bed.faults(S.UD, -1, "mov_to_sreg", segment, DATA0);
});

Deno.test("loading a data segment raises #GP with the selector for everything that is not readable at this privilege", () => {
  const bed = new Testbed().protect(3);
  bed.segment(FREE, dpl(EXECUTE_ONLY, 3));
  bed.segment(FREE + 8, dpl(0x82, 3)); // A system descriptor.
  bed.faults(S.GP, FREE, "mov_to_sreg", S.DS, FREE + 3);
  bed.faults(S.GP, FREE + 8, "mov_to_sreg", S.DS, FREE + 8 + 3);
  bed.faults(S.GP, 0x7f8 + 8, "mov_to_sreg", S.DS, 0x800 + 3); // Beyond the GDT.
  bed.faults(S.GP, 0x104, "mov_to_sreg", S.DS, 0x104); // Beyond the LDT.
  bed.faults(S.GP, DATA0, "mov_to_sreg", S.DS, DATA0); // CPL > DPL.
  bed.faults(S.GP, CODE0, "mov_to_sreg", S.DS, CODE0); // Nonconforming code is no exception.
  const inner = new Testbed().protect(0);
  inner.faults(S.GP, DATA0, "mov_to_sreg", S.DS, DATA0 + 3); // RPL > DPL.
});

Deno.test("an LDT selector is #GP when there is no LDT", () => {
  const bed = new Testbed().protect(0);
  bed.segment(0x14, DATA, { base: 0x777 });
  assertEquals(mov(bed, S.DS, 0x14), 0);
  assertEquals(bed.R[S.SEG_BASE + S.DS], 0x777);
  assertEquals(bed.read32(LDT_BASE + 0x10) >>> 16, 0x777);
  bed.succeeds("lldt", 0);
  bed.faults(S.GP, 0x14, "mov_to_sreg", S.DS, 0x14);
});

Deno.test("readable conforming code may be loaded as data from any ring", () => {
  const bed = new Testbed().protect(3);
  bed.segment(FREE, CONFORMING);
  assertEquals(mov(bed, S.DS, FREE + 3), 0);
});

Deno.test("loading an absent data segment is #NP, an absent stack #SS", () => {
  const bed = new Testbed().protect(0);
  bed.segment(FREE, absent(DATA));
  bed.faults(S.NP, FREE, "mov_to_sreg", S.DS, FREE);
  bed.faults(S.SS_FAULT, FREE, "mov_to_sreg", S.SS, FREE);
});

Deno.test("loading SS raises #GP(0) for null and #GP with the selector for a wrong RPL, DPL, type or index", () => {
  const bed = new Testbed().protect(3);
  bed.segment(0, dpl(DATA, 3)); // A null selector never reaches its descriptor.
  bed.faults(S.GP, 0, "mov_to_sreg", S.SS, 0);
  bed.faults(S.GP, 0, "mov_to_sreg", S.SS, 3);
  bed.faults(S.GP, 0x800, "mov_to_sreg", S.SS, 0x803);
  bed.faults(S.GP, DATA3 & ~3, "mov_to_sreg", S.SS, DATA3 & ~3); // RPL.
  bed.faults(S.GP, DATA0, "mov_to_sreg", S.SS, DATA0 + 3); // DPL.
  bed.faults(S.GP, CODE3 & ~3, "mov_to_sreg", S.SS, CODE3); // Code.
  bed.segment(FREE, dpl(READ_ONLY, 3));
  bed.faults(S.GP, FREE, "mov_to_sreg", S.SS, FREE + 3);
});

Deno.test("MOV SS and POP SS hold off interrupts and debug traps for one instruction", () => {
  const bed = new Testbed().protect(0);
  mov(bed, S.SS, DATA0);
  assertEquals(bed.R[S.SHADOW], 2);
  bed.R[S.SHADOW] = 0;
  bed.write32(STACK0 - 4, DATA0);
  bed.R[S.RSP] = STACK0 - 4;
  bed.succeeds("pop_ss");
  assertEquals(bed.R[S.SHADOW], 2);
  assertEquals(bed.R[S.RSP], STACK0);
  bed.R[S.SHADOW] = 0;
  mov(bed, S.DS, DATA0);
  assertEquals(bed.R[S.SHADOW], 0);
});

Deno.test("a page fault on the descriptor table is raised before anything changes", () => {
  const bed = new Testbed().protect(0);
  bed.segment(FREE, DATA & ~1);
  bed.page();
  bed.mapPage(GDT, 5); // Read-only: the Accessed bit cannot be set.
  bed.faults(S.PAGE_FAULT, 3, "mov_to_sreg", S.DS, FREE);
  bed.mapPage(GDT, 0);
  bed.faults(S.PAGE_FAULT, 0, "mov_to_sreg", S.DS, FREE);
  assertEquals(bed.R[S.CR2], GDT + FREE);
});

Deno.test("descriptor tables are read as supervisor from ring 3", () => {
  const bed = new Testbed().protect(3);
  bed.page();
  bed.mapPage(GDT, 3);
  assertEquals(mov(bed, S.DS, DATA3), 0);
});

Deno.test("a real-mode load changes selector and base and keeps limit and rights", () => {
  const bed = new Testbed().protect(0);
  mov(bed, S.DS, DATA0);
  bed.R[S.CR0] &= ~S.CR0_PE;
  mov(bed, S.DS, 0x1234);
  assertEquals(bed.R[S.SEG_BASE + S.DS], 0x12340);
  assertEquals(bed.R[S.SEG_LIMIT + S.DS], -1);
  assertEquals(bed.R[S.SEG_ATTR + S.DS], 0xc093);
  assertEquals(bed.cpu.linear(S.DS, 0x100000, 4, true), 0x112340);
  assertEquals(bed.R[S.SEG_FLAT + S.DS], 0);
  mov(bed, S.DS, 0);
  assertEquals(bed.R[S.SEG_FLAT + S.DS], 1);
});

Deno.test("a virtual-8086 load gives a 64 KiB segment of ring 3", () => {
  const bed = new Testbed().virtual8086();
  loadSegment(bed.cpu, S.FS, 0xf000);
  assertEquals(bed.R[S.SEG_BASE + S.FS], 0xf0000);
  assertEquals(bed.R[S.SEG_LIMIT + S.FS], 0xffff);
  assertEquals(bed.R[S.SEG_ATTR + S.FS], 0xf3);
  bed.faultsIn(S.GP, 0, () => {
    bed.cpu.linear(S.FS, 0xffff, 2, false);
  });
});

Deno.test("PUSH and POP of segment registers move the stack by the operand size", () => {
  const bed = new Testbed().protect(0);
  bed.write32(STACK0 - 4, 0xffffffff);
  bed.succeeds("push_ds");
  assertEquals(bed.R[S.RSP], STACK0 - 4);
  assertEquals(bed.read32(STACK0 - 4), DATA0);
  bed.succeeds("pop_es");
  assertEquals(bed.R[S.RSP], STACK0);
  bed.cpu.operandSize = 16;
  bed.succeeds("push_cs");
  assertEquals(bed.R[S.RSP], STACK0 - 2);
  assertEquals(bed.read16(STACK0 - 2), CODE0);
});

Deno.test("POP of a bad selector leaves the stack pointer alone", () => {
  const bed = new Testbed().protect(0);
  bed.write32(STACK0 - 4, 0x800);
  bed.R[S.RSP] = STACK0 - 4;
  for (const name of ["pop_es", "pop_ss", "pop_ds", "pop_fs", "pop_gs"]) {
    bed.faults(S.GP, 0x800, name);
  }
});

Deno.test("PUSH and POP of segment registers beyond the stack limit are #SS(0)", () => {
  const bed = new Testbed().protect(0);
  bed.segment(FREE, DATA, { limit: 0xfff, flags: 4 });
  bed.load(S.SS, FREE);
  bed.R[S.RSP] = 0x2000;
  bed.faults(S.SS_FAULT, 0, "push_ds");
  bed.faults(S.SS_FAULT, 0, "pop_ds");
});

Deno.test("LDS and its kin load the pointer, return the offset, and change nothing when they fault", () => {
  const bed = new Testbed().protect(0);
  bed.R[S.INSN_SEG] = S.DS;
  bed.write32(0x6000, 0xdeadbeef);
  bed.write16(0x6004, DATA0);
  for (
    const [name, segment] of [
      ["lds", S.DS],
      ["les", S.ES],
      ["lfs", S.FS],
      ["lgs", S.GS],
      ["lss", S.SS],
    ] as const
  ) {
    bed.R[S.SEG_SEL + segment] = 0;
    assertEquals(bed.succeeds(name, 0, 0x6000) >>> 0, 0xdeadbeef);
    assertEquals(bed.R[S.SEG_SEL + segment], DATA0);
  }
  assertEquals(bed.R[S.SHADOW], 0);
  bed.write16(0x6004, 0x800);
  bed.faults(S.GP, 0x800, "les", 0, 0x6000);
  bed.segment(FREE, DATA, { limit: 0x6004, flags: 4 });
  bed.load(S.DS, FREE);
  bed.faults(S.GP, 0, "les", 0, 0x6000);
  bed.cpu.operandSize = 16;
  bed.write16(0x6002, DATA0);
  assertEquals(bed.succeeds("les", 0, 0x6000), 0xbeef);
});

Deno.test("a selector reads back from every segment register", () => {
  const bed = new Testbed().protect(0);
  assertEquals(bed.succeeds("mov_from_sreg", 0, S.CS), CODE0);
  assertEquals(bed.succeeds("mov_from_sreg", 0, S.GS), DATA0);
  bed.load(S.GS, LDT_SEL);
  assertEquals(bed.succeeds("mov_from_sreg", 0, S.GS), LDT_SEL);
});
