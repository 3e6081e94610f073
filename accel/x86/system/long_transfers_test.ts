import { assertEquals } from "@std/assert";
import * as S from "../state.ts";
import {
  GATE64,
  HIGH_HALF,
  LDT64,
  LONG0,
  LONG3,
  LongTestbed,
  START,
  TSS64,
} from "./long_testbed.ts";
import {
  CODE0,
  CODE3,
  CONFORMING,
  DATA0,
  DATA3,
  dpl,
  GDT,
  LDT_BASE,
  READ_ONLY,
  STACK0,
  STACK3,
} from "./testbed.ts";

const R11 = 22;
const STAR = 0xc0000081, LSTAR = 0xc0000082, CSTAR = 0xc0000083, FMASK = 0xc0000084;

/** The registers of SYSCALL: kernel code at DATA0 - 8, user code at CODE3. */
function arm(t: LongTestbed): LongTestbed {
  const { msrs } = t.cpu;
  msrs.set(STAR, 0x4444, (0x13 << 16) | CODE0);
  msrs.set(LSTAR, 0x1000, HIGH_HALF);
  msrs.set(CSTAR, 0x2000, HIGH_HALF);
  msrs.set(FMASK, S.IF | S.DF, 0);
  return t;
}

Deno.test("SYSCALL saves RIP and RFLAGS in RCX and R11 and enters LSTAR", () => {
  const t = arm(new LongTestbed().long(3)), { R } = t;
  R[S.NEXT_IP] = START + 2;
  S.writeEflags(R, S.IF | S.ZF | S.DF);
  R[S.RIP + 1] = 0x7f;
  t.succeeds("syscall");
  assertEquals([R[S.RCX], R[S.RCX + 1]], [START + 2, 0x7f]);
  assertEquals(t.pair(R11), [S.IF | S.ZF | S.DF | 2, 0]);
  assertEquals(S.readEflags(R), S.ZF | 2);
  assertEquals(t.pair(S.RIP), [0x1000, HIGH_HALF]);
  assertEquals([R[S.CPL], R[S.LONG]], [0, 1]);
  assertEquals([R[S.SEG_SEL + S.CS], R[S.SEG_SEL + S.SS]], [CODE0, CODE0 + 8]);
  assertEquals(R[S.RSP], STACK3);
});

Deno.test("SYSRET goes back to 64-bit code with 64-bit operands, else to compatibility mode", () => {
  const t = arm(new LongTestbed().long(0)), { R } = t;
  [R[S.RCX], R[S.RCX + 1]] = [0x6000, 0x7f];
  R[R11] = S.IF | S.CF | S.RF | S.VM;
  t.succeeds("sysret");
  assertEquals(t.pair(S.RIP), [0x6000, 0x7f]);
  assertEquals(S.readEflags(R), S.IF | S.CF | 2);
  assertEquals([R[S.CPL], R[S.LONG]], [3, 1]);
  assertEquals([R[S.SEG_SEL + S.CS], R[S.SEG_SEL + S.SS]], [0x23, 0x1b]);

  const u = arm(new LongTestbed().long(0));
  u.cpu.operandSize = 32;
  [u.R[S.RCX], u.R[S.RCX + 1]] = [0x6000, 0x7f];
  u.succeeds("sysret");
  assertEquals(u.pair(S.RIP), [0x6000, 0]);
  assertEquals([u.R[S.CPL], u.R[S.LONG], u.R[S.SEG_SEL + S.CS]], [3, 0, 0x13]);
});

Deno.test("SYSCALL from compatibility mode enters CSTAR on AMD's processors and is #UD on Intel's", () => {
  const t = arm(new LongTestbed().long(3, false)), { R } = t;
  t.succeeds("syscall");
  assertEquals(t.pair(S.RIP), [0x2000, HIGH_HALF]);
  assertEquals([R[S.RCX], R[S.RCX + 1], R[S.LONG]], [R[S.NEXT_IP], 0, 1]);
  const u = arm(new LongTestbed("Nehalem").long(3, false));
  u.faults(S.UD, -1, "syscall");
});

Deno.test("SYSCALL and SYSRET need EFER.SCE; SYSRET ring 0 and, on Intel's, a canonical address", () => {
  const t = arm(new LongTestbed().long(3));
  t.faults(S.GP, 0, "sysret");
  t.R[S.EFER] &= ~S.EFER_SCE;
  t.faults(S.UD, -1, "syscall");
  t.faults(S.UD, -1, "sysret");
  const u = arm(new LongTestbed("Nehalem").long(0));
  u.R[S.RCX + 1] = 0x8000;
  u.faults(S.GP, 0, "sysret");
});

Deno.test("SYSENTER and SYSEXIT are 64 bits wide on Intel's processors and #UD on AMD's", () => {
  const t = new LongTestbed("Nehalem").long(3), { R } = t;
  R[S.SYSENTER_CS] = CODE0;
  [R[S.SYSENTER_EIP], R[S.SYSENTER_EIP + 1]] = [0x1000, HIGH_HALF];
  [R[S.SYSENTER_ESP], R[S.SYSENTER_ESP + 1]] = [0x2000, HIGH_HALF];
  t.succeeds("sysenter");
  assertEquals([...t.pair(S.RIP), ...t.pair(S.RSP)], [0x1000, HIGH_HALF, 0x2000, HIGH_HALF]);
  assertEquals([R[S.CPL], R[S.LONG], R[S.SEG_SEL + S.CS]], [0, 1, CODE0]);
  [R[S.RCX], R[S.RCX + 1], R[S.RDX], R[S.RDX + 1]] = [1, 2, 3, 0x8000];
  t.faults(S.GP, 0, "sysexit");
  R[S.RDX + 1] = 4;
  t.succeeds("sysexit");
  assertEquals([...t.pair(S.RIP), ...t.pair(S.RSP)], [3, 4, 1, 2]);
  assertEquals([R[S.CPL], R[S.LONG], R[S.SEG_SEL + S.CS]], [3, 1, (CODE0 + 32) | 3]);
  new LongTestbed().long(3).faults(S.UD, -1, "sysenter");
  new LongTestbed().long(3, false).faults(S.UD, -1, "sysenter");
});

/** A far pointer in memory at 5100h. */
function pointer(t: LongTestbed, selector: number, offset: number, high = 0): number {
  t.R[S.INSN_SEG] = S.DS;
  t.write64(0x5100, offset, high);
  t.write16(0x5108, selector);
  return 0x5100;
}

Deno.test("far calls and returns move between 64-bit and compatibility mode", () => {
  const t = new LongTestbed().long(0), { R } = t;
  t.succeeds("call_far_mem", pointer(t, LONG0, 0x6000, HIGH_HALF));
  assertEquals(t.pair(S.RIP), [0x6000, HIGH_HALF]);
  assertEquals(t.quads(STACK0 - 16, 2), [R[S.NEXT_IP], LONG0]);
  t.succeeds("retf");
  assertEquals(t.pair(S.RIP), [R[S.NEXT_IP], 0]);
  assertEquals(t.pair(S.RSP), [STACK0, 0]);
  t.faults(S.GP, 0, "call_far_mem", pointer(t, LONG0, 0x6000, 0x8000));

  t.write64(STACK0 - 16, 0x7000, 0);
  t.write64(STACK0 - 8, CODE0, 0);
  R[S.RSP] = STACK0 - 16;
  t.succeeds("retf");
  assertEquals([R[S.LONG], R[S.RIP], R[S.SEG_SEL + S.CS]], [0, 0x7000, CODE0]);
});

Deno.test("RETF to an outer ring releases parameters of both stacks", () => {
  const t = new LongTestbed().long(0), { R } = t;
  R[S.RSP] = 0x8000;
  [[0x6000, 0x7f], [LONG3, 0], [1, 1], [0xffffffff | 0, 0], [DATA3, 0]]
    .forEach(([low, high], i) => t.write64(0x8000 + 8 * i, low, high));
  t.succeeds("retf_imm", 8);
  assertEquals(t.pair(S.RIP), [0x6000, 0x7f]);
  assertEquals(t.pair(S.RSP), [7, 1]);
  assertEquals(R[S.CPL], 3);
});

Deno.test("a call gate leads to 64-bit code in an inner ring with a null SS", () => {
  for (const wide of [true, false]) {
    const t = new LongTestbed().long(3, wide), { R } = t;
    t.wideGate(GDT + GATE64, dpl(0x8c, 3), LONG0, 0x6000, HIGH_HALF);
    t.cpu.operandSize = 32;
    R[S.INSN_SEG] = S.DS;
    t.write32(0x5100, 0);
    t.write16(0x5104, GATE64);
    t.succeeds("call_far_mem", 0x5100);
    assertEquals(t.pair(S.RIP), [0x6000, HIGH_HALF]);
    assertEquals([R[S.CPL], R[S.LONG], R[S.SEG_SEL + S.SS]], [0, 1, 0]);
    assertEquals(t.quads(STACK0 - 32, 4), [R[S.NEXT_IP], wide ? LONG3 : CODE3, STACK3, DATA3]);
  }
});

Deno.test("a jump through a call gate stays in its ring", () => {
  const t = new LongTestbed().long(3);
  t.segment(0xd0, CONFORMING, { flags: 0xa });
  t.wideGate(GDT + GATE64, dpl(0x8c, 3), 0xd0, 0x6000, 0x7f);
  t.succeeds("jmp_far_mem", pointer(t, GATE64, 0));
  assertEquals([...t.pair(S.RIP), t.R[S.CPL]], [0x6000, 0x7f, 3]);
  t.wideGate(GDT + GATE64, dpl(0x8c, 3), LONG0, 0x6000, 0x7f);
  t.faults(S.GP, LONG0, "jmp_far_mem", pointer(t, GATE64, 0));
});

Deno.test("call gates of long mode raise the fault they deserve", () => {
  const t = new LongTestbed().long(0);
  const call = () => pointer(t, GATE64, 0);
  t.wideGate(GDT + GATE64, 0x84, LONG0, 0x6000, 0);
  t.faults(S.GP, GATE64, "call_far_mem", call());
  t.wideGate(GDT + GATE64, 0x8c, CODE0, 0x6000, 0);
  t.faults(S.GP, CODE0, "call_far_mem", call());
  t.wideGate(GDT + GATE64, 0x8c, LONG0, 0x6000, 0x8000);
  t.faults(S.GP, GATE64, "call_far_mem", call());
  t.wideGate(GDT + GATE64, 0x8c, LONG0, 0x6000, 0);
  t.write32(GDT + GATE64 + 12, 0x100);
  t.faults(S.GP, GATE64, "call_far_mem", call());
});

Deno.test("LTR and LLDT read 16-byte descriptors", () => {
  const t = new LongTestbed().long(0), { R } = t;
  assertEquals([R[S.SEG_BASE + S.TR], R[S.SEG_BASE_HI + S.TR]], [0x3000, HIGH_HALF]);
  assertEquals(t.access(TSS64), 0x8b);
  t.faults(S.GP, TSS64, "ltr", TSS64); // Busy now.
  t.wideSegment(LDT64, 0x82, LDT_BASE, HIGH_HALF, 0xff);
  t.succeeds("lldt", LDT64);
  t.segment(0x0c, 0xf3);
  t.succeeds("mov_to_sreg", S.DS, 0x0c);
  assertEquals(R[S.SEG_SEL + S.DS], 0x0c);
  t.wideSegment(LDT64, 0x82, LDT_BASE, 0x8000, 0xff);
  t.faults(S.GP, LDT64, "lldt", LDT64);
  t.wideSegment(TSS64, 0x81, 0x3000, 0, 0xff); // A 286 TSS.
  t.faults(S.GP, TSS64, "ltr", TSS64);
  R[S.GDTR_LIMIT] = LDT64 + 14;
  t.wideSegment(LDT64, 0x82, LDT_BASE, 0, 0xff);
  t.faults(S.GP, LDT64, "lldt", LDT64);
  t.succeeds("lldt", 0);
});

Deno.test("LGDT and SGDT have ten bytes in 64-bit mode and six in compatibility mode", () => {
  const t = new LongTestbed().long(0), { R } = t;
  R[S.INSN_SEG] = S.DS;
  t.write16(0x5100, 0x7ff);
  t.write64(0x5102, GDT, HIGH_HALF);
  t.succeeds("lgdt", 0x5100);
  assertEquals([...t.pair(S.GDTR_BASE), R[S.GDTR_LIMIT]], [GDT, HIGH_HALF, 0x7ff]);
  t.succeeds("mov_to_sreg", S.ES, DATA0); // Read at its high address.
  t.succeeds("sgdt", 0x5200);
  assertEquals([t.read16(0x5200), ...t.read64(0x5202)], [0x7ff, GDT, HIGH_HALF]);
  t.write64(0x5102, GDT, 0x8000);
  t.faults(S.GP, 0, "lgdt", 0x5100);
  R[S.ARG_HI] = 0x8000;
  t.faults(S.GP, 0, "lidt", 0x5100);
  const u = new LongTestbed().long(0, false);
  u.R[S.INSN_SEG] = S.DS;
  u.write64(0x5206, 0x77777777, 0);
  u.succeeds("sidt", 0x5200);
  assertEquals([u.read16(0x5200), u.read32(0x5202), u.read16(0x5206)], [0xfff, 0x2000, 0x7777]);
});

Deno.test("64-bit mode has null stacks outside ring 3, compatibility mode has not", () => {
  const t = new LongTestbed().long(0), { R } = t;
  t.succeeds("mov_to_sreg", S.SS, 0);
  assertEquals(R[S.SEG_SEL + S.SS], 0);
  t.faults(S.GP, 0, "mov_to_sreg", S.SS, 3);
  new LongTestbed().long(3).faults(S.GP, 0, "mov_to_sreg", S.SS, 3);
  new LongTestbed().long(0, false).faults(S.GP, 0, "mov_to_sreg", S.SS, 0);
});

Deno.test("loading FS and GS gives them 32-bit bases, or none", () => {
  const t = new LongTestbed().long(0), { R } = t;
  t.segment(0xd0, READ_ONLY, { base: 0x80001234 | 0 });
  [R[S.SEG_BASE_HI + S.FS], R[S.SEG_BASE_HI + S.GS]] = [5, 5];
  t.succeeds("mov_to_sreg", S.FS, 0xd0);
  assertEquals([R[S.SEG_BASE + S.FS], R[S.SEG_BASE_HI + S.FS]], [0x80001234 | 0, 0]);
  t.succeeds("mov_to_sreg", S.GS, 0);
  assertEquals([R[S.SEG_BASE + S.GS], R[S.SEG_BASE_HI + S.GS]], [0, 0]);
});

Deno.test("pushes and pops of flags and segments are quadwords in 64-bit mode", () => {
  const t = new LongTestbed().long(0), { R } = t;
  R[S.RSP] = 0;
  R[S.RSP + 1] = HIGH_HALF + 1; // One below is in the page before, which is not mapped.
  t.faults(S.PAGE_FAULT, 2, "pushf");
  [R[S.RSP], R[S.RSP + 1]] = [0x8000, HIGH_HALF];
  S.writeEflags(R, S.CF | S.ID);
  t.succeeds("pushf");
  t.succeeds("push_fs");
  assertEquals(t.quads(0x7ff0, 2), [DATA0, S.CF | S.ID | 2]);
  t.succeeds("pop_gs");
  S.writeEflags(R, 0);
  t.succeeds("popf");
  assertEquals([S.readEflags(R), ...t.pair(S.RSP)], [S.CF | S.ID | 2, 0x8000, HIGH_HALF]);
});

Deno.test("LAR and LSL know the system descriptors of long mode only", () => {
  const t = new LongTestbed().long(0), { R } = t;
  assertEquals([t.succeeds("lar", 1, TSS64), R[S.HIGH]], [0x8b00, 0]);
  assertEquals(t.succeeds("lsl", 1, TSS64), 0x3ff);
  t.segment(0xd0, 0x83, { limit: 0x2b, flags: 0 });
  R[S.ARG_HI] = 77;
  assertEquals([t.succeeds("lar", 1, 0xd0), R[S.HIGH]], [1, 77]);
});
