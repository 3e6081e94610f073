import { assertEquals } from "@std/assert";
import * as S from "../state.ts";
import {
  absent,
  CODE,
  CODE0,
  CODE1,
  CODE3,
  CONFORMING,
  DATA,
  DATA0,
  DATA1,
  DATA3,
  dpl,
  FREE,
  READ_ONLY,
  STACK0,
  STACK1,
  STACK3,
  TASK_A,
  Testbed,
  TSS_A,
} from "./testbed.ts";

const GATE = FREE + 0x40, GATE32 = 0x8c, GATE16 = 0x84;

const where = (bed: Testbed) => [bed.R[S.SEG_SEL + S.CS], bed.R[S.RIP], bed.R[S.CPL]];

/** Both far transfers, whose rules for the target are the same. */
const BOTH = ["jmp_far", "call_far"] as const;

Deno.test("a far jump in protected mode enters code of the same ring with the CPL in its RPL", () => {
  const bed = new Testbed().protect(3);
  bed.segment(FREE, dpl(CODE & ~1, 3), { base: 0x8000, limit: 0xfff, flags: 4 });
  bed.succeeds("jmp_far", 0x123, FREE);
  assertEquals(where(bed), [FREE + 3, 0x123, 3]);
  assertEquals(bed.R[S.SEG_BASE + S.CS], 0x8000);
  assertEquals(bed.R[S.SEG_FLAT + S.CS], 0);
  assertEquals(bed.access(FREE), dpl(CODE, 3));
});

Deno.test("far jumps and calls truncate the offset to the operand size", () => {
  for (const name of BOTH) {
    const bed = new Testbed().protect(0);
    bed.cpu.operandSize = 16;
    bed.succeeds(name, 0x12345678, CODE0);
    assertEquals(where(bed), [CODE0, 0x5678, 0]);
  }
});

Deno.test("far jumps and calls enter conforming code of an inner ring without changing CPL", () => {
  for (const name of BOTH) {
    const bed = new Testbed().protect(3);
    bed.segment(FREE, CONFORMING);
    bed.succeeds(name, 0x100, FREE);
    assertEquals(where(bed), [FREE + 3, 0x100, 3]);
  }
});

Deno.test("far jumps and calls raise the fault that the target deserves", () => {
  for (const name of BOTH) {
    const bed = new Testbed().protect(3);
    bed.segment(0, dpl(CODE, 3)); // A null selector never reaches its descriptor.
    bed.faults(S.GP, 0, name, 0, 0);
    bed.faults(S.GP, 0, name, 0, 3);
    bed.faults(S.GP, 0x800, name, 0, 0x803); // Beyond the GDT.
    bed.faults(S.GP, DATA3 & ~3, name, 0, DATA3); // Not code.
    bed.faults(S.GP, CODE0, name, 0, CODE0); // DPL != CPL.
    bed.segment(FREE, dpl(absent(CODE), 3));
    bed.faults(S.NP, FREE, name, 0, FREE + 3); // Absent.
    bed.segment(FREE, dpl(CODE, 3), { limit: 0xff, flags: 4 });
    bed.faults(S.GP, 0, name, 0x100, FREE + 3); // Beyond the limit.
    bed.segment(FREE, dpl(0x82, 3));
    bed.faults(S.GP, FREE, name, 0, FREE + 3); // A system descriptor that is no way in.
    const inner = new Testbed().protect(1);
    inner.faults(S.GP, CODE1 & ~3, name, 0, CODE1 + 2); // RPL > CPL.
    inner.segment(FREE, dpl(CONFORMING, 3));
    inner.faults(S.GP, FREE, name, 0, FREE); // Conforming with DPL > CPL.
    inner.faults(S.GP, CODE3 & ~3, name, 0, CODE3);
  }
});

Deno.test("far jumps and calls through gates raise the fault that the gate deserves", () => {
  for (const name of BOTH) {
    const bed = new Testbed().protect(3);
    bed.gate(GATE, GATE32, CODE3, 0);
    bed.faults(S.GP, GATE, name, 0, GATE); // Gate's DPL < CPL.
    const inner = new Testbed().protect(1);
    inner.gate(GATE, dpl(GATE32, 1), CODE1, 0);
    inner.faults(S.GP, GATE, name, 0, GATE + 3); // Gate's DPL < RPL.
    bed.gate(GATE, dpl(absent(GATE32), 3), CODE3, 0);
    bed.faults(S.NP, GATE, name, 0, GATE);
    const to = (selector: number, offset = 0) => bed.gate(GATE, dpl(GATE32, 3), selector, offset);
    bed.segment(0, dpl(CODE, 3));
    to(0);
    bed.faults(S.GP, 0, name, 0, GATE);
    to(0x800);
    bed.faults(S.GP, 0x800, name, 0, GATE);
    to(DATA3);
    bed.faults(S.GP, DATA3 & ~3, name, 0, GATE);
    bed.segment(FREE, dpl(absent(CODE), 3));
    to(FREE);
    bed.faults(S.NP, FREE, name, 0, GATE);
    bed.segment(FREE, dpl(CODE, 3), { limit: 0xff, flags: 4 });
    to(FREE, 0x100);
    bed.faults(S.GP, 0, name, 0, GATE);
    inner.gate(GATE, dpl(GATE32, 1), CODE3, 0);
    inner.faults(S.GP, CODE3 & ~3, name, 0, GATE); // Code of an outer ring.
  }
});

Deno.test("a far jump through a call gate stays in its ring, or is #GP", () => {
  const bed = new Testbed().protect(3);
  bed.gate(GATE, dpl(GATE32, 3), CODE0, 0x1234);
  bed.faults(S.GP, CODE0, "jmp_far", 0, GATE);
  bed.gate(GATE, dpl(GATE32, 3), CODE3, 0x12345678);
  bed.succeeds("jmp_far", 0x9999, GATE);
  assertEquals(where(bed), [CODE3, 0x12345678, 3]);
  bed.gate(GATE, dpl(GATE16, 3), CODE3, 0x12345678);
  bed.succeeds("jmp_far", 0x9999, GATE);
  assertEquals(where(bed), [CODE3, 0x5678, 3]);
});

Deno.test("a far call pushes CS and the return address in its operand size", () => {
  const bed = new Testbed().protect(0);
  bed.succeeds("call_far", 0x777, CODE0);
  assertEquals(where(bed), [CODE0, 0x777, 0]);
  assertEquals(bed.R[S.RSP], STACK0 - 8);
  assertEquals([bed.read32(STACK0 - 8), bed.read32(STACK0 - 4)], [0x5002, CODE0]);
  bed.cpu.operandSize = 16;
  bed.R[S.RSP] = STACK0;
  bed.succeeds("call_far", 0x777, CODE0);
  assertEquals(bed.R[S.RSP], STACK0 - 4);
  assertEquals([bed.read16(STACK0 - 4), bed.read16(STACK0 - 2)], [0x5002, CODE0]);
});

Deno.test("a far call for which the stack has no room is #SS(0) and writes nothing", () => {
  const bed = new Testbed().protect(0);
  bed.segment(FREE, 0x97, { limit: STACK0 - 5, flags: 4 }); // Expand-down: four bytes are left.
  bed.load(S.SS, FREE);
  bed.write32(STACK0 - 4, 0x55555555);
  bed.faults(S.SS_FAULT, 0, "call_far", 0x777, CODE0);
  assertEquals(bed.read32(STACK0 - 4), 0x55555555);
  bed.gate(GATE, GATE32, CODE0, 0);
  bed.faults(S.SS_FAULT, 0, "call_far", 0, GATE);
});

Deno.test("a far call whose second push would page-fault writes nothing", () => {
  const bed = new Testbed().protect(0);
  bed.page();
  bed.mapPage(STACK0 - 0x1000, 1);
  bed.R[S.RSP] = STACK0 + 4;
  bed.write32(STACK0, 0x55555555);
  bed.faults(S.PAGE_FAULT, 3, "call_far", 0x777, CODE0);
  assertEquals(bed.read32(STACK0), 0x55555555);
});

Deno.test("a far call through a 386 gate to an inner ring switches stacks and copies parameters", () => {
  const bed = new Testbed().protect(3);
  bed.gate(GATE, dpl(GATE32, 3), CODE0, 0x2468, 2);
  bed.write32(STACK3, 0x11111111);
  bed.write32(STACK3 + 4, 0x22222222);
  bed.succeeds("call_far", 0, GATE);
  assertEquals(where(bed), [CODE0, 0x2468, 0]);
  assertEquals(bed.R[S.SEG_SEL + S.SS], DATA0);
  assertEquals(bed.R[S.RSP], STACK0 - 24);
  const frame = [0, 4, 8, 12, 16, 20].map((at) => bed.read32(STACK0 - 24 + at));
  assertEquals(frame, [0x5002, CODE3, 0x11111111, 0x22222222, STACK3, DATA3]);
});

Deno.test("a far call through a 286 gate pushes words", () => {
  const bed = new Testbed().protect(3);
  bed.gate(GATE, dpl(GATE16, 3), CODE1, 0x2468, 1);
  bed.write16(STACK3, 0x1111);
  bed.succeeds("call_far", 0, GATE);
  assertEquals(where(bed), [CODE1, 0x2468, 1]);
  assertEquals(bed.R[S.RSP], STACK1 - 10);
  const frame = [0, 2, 4, 6, 8].map((at) => bed.read16(STACK1 - 10 + at));
  assertEquals(frame, [0x5002, CODE3, 0x1111, STACK3, DATA3]);
});

Deno.test("a far call through a gate to the same ring keeps the stack", () => {
  const bed = new Testbed().protect(0);
  bed.gate(GATE, GATE32, CODE0, 0x2468, 2);
  bed.succeeds("call_far", 0, GATE);
  assertEquals(bed.R[S.RSP], STACK0 - 8);
});

Deno.test("an inner stack that does not pass is #TS, #SS when absent or too small", () => {
  const bed = new Testbed().protect(3);
  bed.gate(GATE, dpl(GATE32, 3), CODE0, 0x2468, 1);
  const stack = (selector: number) => bed.write32(TSS_A + 8, selector);
  bed.segment(0, DATA);
  stack(0);
  bed.faults(S.TS, 0, "call_far", 0, GATE);
  stack(0x800);
  bed.faults(S.TS, 0x800, "call_far", 0, GATE);
  stack(DATA0 + 1); // RPL.
  bed.faults(S.TS, DATA0, "call_far", 0, GATE);
  stack(DATA1 & ~3); // DPL.
  bed.faults(S.TS, DATA1 & ~3, "call_far", 0, GATE);
  bed.segment(FREE, READ_ONLY);
  stack(FREE);
  bed.faults(S.TS, FREE, "call_far", 0, GATE);
  bed.segment(FREE, absent(DATA));
  bed.faults(S.SS_FAULT, FREE, "call_far", 0, GATE);
  bed.segment(FREE, DATA, { limit: STACK0 - 0x100, flags: 4 });
  bed.faults(S.SS_FAULT, FREE, "call_far", 0, GATE);
  bed.R[S.SEG_LIMIT + S.TR] = 8; // SS0 lies beyond.
  bed.faults(S.TS, TASK_A, "call_far", 0, GATE);
});

Deno.test("parameters that cannot be read from the outer stack are #SS(0)", () => {
  const bed = new Testbed().protect(3);
  bed.gate(GATE, dpl(GATE32, 3), CODE0, 0x2468, 2);
  bed.segment(FREE, dpl(DATA, 3), { limit: STACK3 + 3, flags: 4 });
  bed.load(S.SS, FREE + 3);
  bed.faults(S.SS_FAULT, 0, "call_far", 0, GATE);
});

Deno.test("far transfers in real mode are limited by the code segment's limit", () => {
  for (const name of BOTH) {
    const bed = new Testbed().real();
    bed.succeeds(name, 0x1234, 0xf000);
    assertEquals(where(bed), [0xf000, 0x1234, 0]);
    assertEquals(bed.R[S.SEG_BASE + S.CS], 0xf0000);
    bed.cpu.operandSize = 32;
    bed.faults(S.GP, 0, name, 0x10000, 0xf000);
  }
});

Deno.test("a far call in real mode wraps SP and is #SS(0) when a push would straddle the limit", () => {
  const bed = new Testbed().real();
  bed.R[S.RSP] = 2;
  bed.succeeds("call_far", 0x1234, 0xf000);
  assertEquals(bed.R[S.RSP] & 0xffff, 0xfffe);
  bed.real();
  bed.R[S.RSP] = 1;
  bed.faults(S.SS_FAULT, 0, "call_far", 0x1234, 0xf000);
});

Deno.test("far pointers are read from memory with the operand's segment", () => {
  for (const name of ["jmp_far_mem", "call_far_mem"]) {
    const bed = new Testbed().protect(0);
    bed.R[S.INSN_SEG] = S.DS;
    bed.write32(0x6000, 0x1234);
    bed.write16(0x6004, CODE0);
    bed.succeeds(name, 0x6000);
    assertEquals(where(bed), [CODE0, 0x1234, 0]);
    bed.succeeds("mov_to_sreg", S.DS, 0);
    bed.faults(S.GP, 0, name, 0x6000);
  }
});

/** Puts doublewords on top of the stack. */
function frame(bed: Testbed, ...values: number[]): void {
  bed.R[S.RSP] -= values.length * 4;
  values.forEach((value, i) => bed.write32(bed.R[S.RSP] + i * 4, value));
}

Deno.test("RETF to the same ring pops the pointer and its parameters", () => {
  const bed = new Testbed().protect(0);
  frame(bed, 0x1234, CODE0, 1, 2);
  bed.succeeds("retf_imm", 8);
  assertEquals(where(bed), [CODE0, 0x1234, 0]);
  assertEquals(bed.R[S.RSP], STACK0);
});

Deno.test("RETF to an outer ring takes its stack, releases parameters on both and drops inner data segments", () => {
  const bed = new Testbed().protect(0);
  bed.segment(FREE, CONFORMING);
  bed.load(S.FS, FREE);
  bed.load(S.GS, DATA3);
  frame(bed, 0x1234, CODE3, 0xaaaa, 0x7000, DATA3);
  bed.succeeds("retf_imm", 4);
  assertEquals(where(bed), [CODE3, 0x1234, 3]);
  assertEquals(bed.R[S.SEG_SEL + S.SS], DATA3);
  assertEquals(bed.R[S.RSP], 0x7004);
  const selectors = [S.ES, S.DS, S.FS, S.GS].map((s) => bed.R[S.SEG_SEL + s]);
  assertEquals(selectors, [0, 0, FREE, DATA3]);
  assertEquals(bed.R[S.SEG_ATTR + S.DS], 0);
});

Deno.test("a return to a 16-bit stack leaves the high half of ESP alone", () => {
  const bed = new Testbed().protect(0);
  bed.segment(FREE, dpl(DATA, 3), { limit: 0xffff, flags: 0 });
  frame(bed, 0x1234, CODE3, 0x56781234, FREE + 3);
  bed.R[S.RSP] += 0x100000;
  for (let i = 0; i < 4; i++) bed.write32(bed.R[S.RSP] + i * 4, bed.read32(STACK0 - 16 + i * 4));
  bed.succeeds("retf");
  assertEquals(bed.R[S.RSP], 0x101234);
});

/** The checks of code and stack that RETF and IRET share. */
const RETURNS: [string, (ip: number, cs: number, ...outer: number[]) => number[]][] = [
  ["retf", (ip, cs, ...outer) => [ip, cs, ...outer]],
  ["iret", (ip, cs, ...outer) => [ip, cs, 2, ...outer]],
];

Deno.test("far returns raise the fault that the code selector deserves", () => {
  for (const [name, pops] of RETURNS) {
    const bed = new Testbed().protect(1);
    const refuse = (vector: number, error: number, ip: number, cs: number) => {
      bed.R[S.RSP] = STACK1;
      frame(bed, ...pops(ip, cs));
      bed.faults(vector, error, name);
    };
    bed.segment(0, CONFORMING);
    refuse(S.GP, 0, 0, 1);
    refuse(S.GP, 0x800, 0, 0x801);
    refuse(S.GP, CODE0, 0, CODE0); // RPL < CPL.
    refuse(S.GP, DATA1 & ~3, 0, DATA1); // Not code.
    refuse(S.GP, CODE0, 0, CODE0 + 1); // Nonconforming: DPL != RPL.
    bed.segment(FREE, dpl(CONFORMING, 3));
    refuse(S.GP, FREE, 0, FREE + 1); // Conforming: DPL > RPL.
    bed.segment(FREE, dpl(absent(CODE), 1));
    refuse(S.NP, FREE, 0, FREE + 1);
    bed.segment(FREE, dpl(CODE, 1), { limit: 0xff, flags: 4 });
    refuse(S.GP, 0, 0x100, FREE + 1);
  }
});

Deno.test("far returns to an outer ring raise the fault that the stack selector deserves", () => {
  for (const [name, pops] of RETURNS) {
    const bed = new Testbed().protect(0);
    const refuse = (vector: number, error: number, ss: number, ip = 0x1234, cs = CODE3) => {
      bed.R[S.RSP] = STACK0;
      frame(bed, ...pops(ip, cs, 0x7000, ss));
      bed.faults(vector, error, name);
    };
    bed.segment(0, dpl(DATA, 3));
    refuse(S.GP, 0, 3);
    refuse(S.GP, 0x800, 0x803);
    refuse(S.GP, DATA3 & ~3, DATA3 & ~3); // RPL.
    refuse(S.GP, DATA0, DATA0 + 3); // DPL.
    bed.segment(FREE, dpl(READ_ONLY, 3));
    refuse(S.GP, FREE, FREE + 3);
    bed.segment(FREE, dpl(absent(DATA), 3));
    refuse(S.SS_FAULT, FREE, FREE + 3);
    bed.segment(FREE, dpl(CODE, 3), { limit: 0xff, flags: 4 });
    refuse(S.GP, 0, DATA3, 0x100, FREE + 3);
  }
});

Deno.test("far returns whose frame lies beyond the stack limit are #SS(0)", () => {
  for (const [name, pops] of RETURNS) {
    for (const outer of [false, true]) {
      const bed = new Testbed().protect(0);
      const values = pops(0x1234, outer ? CODE3 : CODE0, ...(outer ? [0x7000, DATA3] : []));
      frame(bed, ...values);
      bed.segment(FREE, DATA, { limit: STACK0 - 2, flags: 4 });
      bed.load(S.SS, FREE);
      bed.faults(S.SS_FAULT, 0, name);
    }
  }
});

Deno.test("far returns in real mode stay within the code limit", () => {
  for (const [name, pops] of RETURNS) {
    const bed = new Testbed().real();
    bed.cpu.operandSize = 32;
    frame(bed, ...pops(0x10000, 0x100));
    bed.faults(S.GP, 0, name);
    bed.write32(bed.R[S.RSP], 0x1234);
    bed.succeeds(name);
    assertEquals(where(bed), [0x100, 0x1234, 0]);
    assertEquals(bed.R[S.RSP], 0x7000);
    bed.R[S.RSP] = 0xfffe;
    bed.faults(S.SS_FAULT, 0, name);
  }
});

const ALL = S.ARITH_FLAGS | S.TF | S.IF | S.DF | S.IOPL | S.NT | S.RF | S.AC | S.VIF | S.VIP |
  S.ID;
const flagsOf = (bed: Testbed) => S.readEflags(bed.R) & ~2;

Deno.test("IRET in ring 0 restores every flag, in 16 bits only the low half", () => {
  const bed = new Testbed().protect(0);
  frame(bed, 0x1234, CODE0, ALL);
  bed.succeeds("iret");
  assertEquals(flagsOf(bed), ALL);
  assertEquals(bed.R[S.RSP], STACK0);
  const small = new Testbed().protect(0);
  small.cpu.operandSize = 16;
  small.R[S.RSP] -= 6;
  small.write16(STACK0 - 6, 0x1234);
  small.write16(STACK0 - 4, CODE0);
  small.write16(STACK0 - 2, ALL);
  small.succeeds("iret");
  assertEquals(flagsOf(small), ALL & 0xffff);
});

Deno.test("IRET in an outer ring cannot change IOPL, VIF and VIP, nor IF above IOPL", () => {
  const bed = new Testbed().protect(3);
  frame(bed, 0x1234, CODE3, ALL);
  bed.succeeds("iret");
  assertEquals(flagsOf(bed), ALL & ~(S.IOPL | S.IF | S.VIF | S.VIP));
  const trusted = new Testbed().protect(3);
  trusted.R[S.EFLAGS] |= S.IOPL;
  frame(trusted, 0x1234, CODE3, 0);
  trusted.write32(STACK3 - 4, S.IF);
  trusted.succeeds("iret");
  assertEquals(flagsOf(trusted), S.IF | S.IOPL);
});

Deno.test("IRET to an outer ring applies the flags by the rules of the ring it leaves", () => {
  const bed = new Testbed().protect(0);
  frame(bed, 0x1234, CODE3, S.IF | S.IOPL | S.CF, 0x7000, DATA3);
  bed.succeeds("iret");
  assertEquals(where(bed), [CODE3, 0x1234, 3]);
  assertEquals(flagsOf(bed), S.IF | S.IOPL | S.CF);
  assertEquals(bed.R[S.SEG_SEL + S.DS], 0);
});

Deno.test("IRET from ring 0 enters virtual-8086 mode with all its segments", () => {
  const bed = new Testbed().protect(0);
  const flags = S.VM | S.IF | S.CF | S.VIF;
  frame(bed, 0x1234, 0x1000, flags, 0x5678, 0x2000, 0x3000, 0x4000, 0x5000, 0x6000);
  bed.succeeds("iret");
  assertEquals(where(bed), [0x1000, 0x1234, 3]);
  assertEquals(bed.R[S.RSP], 0x5678);
  assertEquals(flagsOf(bed), flags);
  const segments = [S.SS, S.ES, S.DS, S.FS, S.GS].map((s) => bed.R[S.SEG_BASE + s]);
  assertEquals(segments, [0x20000, 0x30000, 0x40000, 0x50000, 0x60000]);
});

Deno.test("IRET to virtual-8086 mode is #GP(0) beyond 64 KiB and #SS(0) when the frame is cut off", () => {
  const bed = new Testbed().protect(0);
  frame(bed, 0x10000, 0x1000, S.VM, 0x5678, 0, 0, 0, 0, 0);
  bed.faults(S.GP, 0, "iret");
  bed.segment(FREE, DATA, { limit: STACK0 - 2, flags: 4 });
  bed.load(S.SS, FREE);
  bed.write32(bed.R[S.RSP], 0x1234);
  bed.faults(S.SS_FAULT, 0, "iret");
});

Deno.test("IRET outside ring 0 ignores VM in the popped flags", () => {
  const bed = new Testbed().protect(3);
  frame(bed, 0x1234, CODE3, S.VM);
  bed.succeeds("iret");
  assertEquals(flagsOf(bed), 0);
});

Deno.test("IRET in virtual-8086 mode needs IOPL 3, or VME and 16 bits", () => {
  const bed = new Testbed().virtual8086(0);
  bed.faults(S.GP, 0, "iret");
  bed.R[S.CR4] |= S.CR4_VME;
  const top = 0x5020 + 0x800;
  const pops = (flags: number) => {
    bed.R[S.RSP] = 0x7fa;
    [0x1234, 0x1000, flags].forEach((v, i) => bed.write16(top - 6 + i * 2, v));
  };
  pops(S.IF | S.CF | S.IOPL);
  bed.succeeds("iret");
  assertEquals(where(bed), [0x1000, 0x1234, 3]);
  assertEquals(flagsOf(bed), S.VM | S.VIF | S.CF);
  pops(S.TF);
  bed.faults(S.GP, 0, "iret");
  bed.R[S.EFLAGS] |= S.VIP;
  pops(S.IF);
  bed.faults(S.GP, 0, "iret");
  pops(0);
  bed.succeeds("iret");
  assertEquals(flagsOf(bed), S.VM | S.VIP);
  bed.cpu.operandSize = 32;
  bed.faults(S.GP, 0, "iret");
});

Deno.test("IRET in virtual-8086 mode with IOPL 3 sets IF and keeps IOPL, VM and the virtual flags", () => {
  const bed = new Testbed().virtual8086(3);
  bed.R[S.RSP] = 0x7f4;
  bed.cpu.operandSize = 32;
  [0x1234, 0x1000, S.IF | S.VIF | S.ID].forEach((v, i) => bed.write32(0x5020 + 0x7f4 + i * 4, v));
  bed.succeeds("iret");
  assertEquals(flagsOf(bed), S.VM | S.IOPL | S.IF | S.ID);
});

Deno.test("IRET unblocks NMIs even when it faults", () => {
  const bed = new Testbed().protect(0);
  bed.R[S.NMI_BLOCKED] = 1;
  frame(bed, 0, 0, 0);
  bed.faults(S.GP, 0, "iret");
  assertEquals(bed.R[S.NMI_BLOCKED], 0);
});

Deno.test("SYSENTER and SYSEXIT switch between flat rings 0 and 3", () => {
  const bed = new Testbed().protect(3);
  bed.R[S.SYSENTER_CS] = 0x70;
  bed.R[S.SYSENTER_ESP] = 0x8888;
  bed.R[S.SYSENTER_EIP] = 0x9999;
  bed.R[S.EFLAGS] |= S.IF;
  bed.succeeds("sysenter");
  assertEquals(where(bed), [0x70, 0x9999, 0]);
  assertEquals([bed.R[S.SEG_SEL + S.SS], bed.R[S.RSP]], [0x78, 0x8888]);
  assertEquals(flagsOf(bed), 0);
  assertEquals([bed.R[S.SEG_FLAT + S.CS], bed.R[S.SEG_FLAT + S.SS]], [1, 1]);
  bed.R[S.RDX] = 0x1111;
  bed.R[S.RCX] = 0x2222;
  bed.succeeds("sysexit");
  assertEquals(where(bed), [0x83, 0x1111, 3]);
  assertEquals([bed.R[S.SEG_SEL + S.SS], bed.R[S.RSP]], [0x8b, 0x2222]);
  assertEquals([bed.R[S.SEG_ATTR + S.CS], bed.R[S.SEG_ATTR + S.SS]], [0xc0fb, 0xc0f3]);
});

Deno.test("SYSENTER and SYSEXIT are #GP(0) in real mode, with a null SYSENTER_CS, and SYSEXIT outside ring 0", () => {
  const bed = new Testbed().protect(0);
  for (const name of ["sysenter", "sysexit"]) {
    bed.R[S.SYSENTER_CS] = 3;
    bed.faults(S.GP, 0, name);
    bed.R[S.SYSENTER_CS] = 0x70;
    const real = new Testbed().real();
    real.R[S.SYSENTER_CS] = 0x70;
    real.faults(S.GP, 0, name);
  }
  bed.enter(3);
  bed.faults(S.GP, 0, "sysexit");
});
