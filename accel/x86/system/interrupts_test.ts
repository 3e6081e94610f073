import { assertEquals } from "@std/assert";
import * as S from "../state.ts";
import {
  deliver,
  deliverExternal,
  deliverFault,
  deliverNmi,
  type EventKind,
} from "./interrupts.ts";
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
  GDT,
  IDT,
  LDT_SEL,
  READ_ONLY,
  STACK0,
  STACK1,
  STACK3,
  TASK_A,
  TASK_B,
  Testbed,
  TSS_A,
} from "./testbed.ts";

const INT32 = 0x8e, TRAP32 = 0x8f, INT16 = 0x86, TRAP16 = 0x87, TASK = 0x85;
const where = (bed: Testbed) => [bed.R[S.SEG_SEL + S.CS], bed.R[S.RIP], bed.R[S.CPL]];
const longs = (bed: Testbed, at: number, count: number) =>
  Array.from({ length: count }, (_, i) => bed.read32(at + i * 4));
const words = (bed: Testbed, at: number, count: number) =>
  Array.from({ length: count }, (_, i) => bed.read16(at + i * 2));

/** Raises a fault as an instruction does, and delivers it as an engine does. */
function fault(bed: Testbed, vector: number, error = -1): void {
  bed.attempt(() => bed.cpu.raise(vector, error));
  deliverFault(bed.cpu);
}

/** Every kind of event with the EXT bit that it sets. */
const KINDS: [EventKind, number][] = [
  ["external", 1],
  ["exception", 1],
  ["int1", 1],
  ["int", 0],
  ["int3", 0],
];

Deno.test("an interrupt in real mode goes through the table at the IDT base", () => {
  const bed = new Testbed().real(0x10);
  bed.write16(0x21 * 4, 0x4444);
  bed.write16(0x21 * 4 + 2, 0x3000);
  bed.R[S.EFLAGS] |= S.IF | S.TF | S.AC | S.NT;
  S.setArithFlags(bed.R, S.CF);
  bed.succeeds("int", 0x21);
  assertEquals(where(bed), [0x3000, 0x4444, 0]);
  assertEquals(bed.R[S.SEG_BASE + S.CS], 0x30000);
  assertEquals(S.readEflags(bed.R), S.NT | S.CF | 2);
  assertEquals(bed.R[S.RSP], 0x6ffa);
  const pushed = (S.IF | S.TF | S.NT | S.CF | 2) & 0xffff;
  assertEquals(words(bed, 0x70fa, 3), [0x102, 0x10, pushed]);
});

Deno.test("an interrupt in real mode beyond the IDT limit is #GP, without room on the stack #SS, beyond the code limit #GP", () => {
  const bed = new Testbed().real();
  bed.R[S.IDTR_LIMIT] = 0x21 * 4 + 2;
  bed.faults(S.GP, 0x21 * 8 + 2, "int", 0x21);
  bed.R[S.IDTR_LIMIT] = 0x3ff;
  bed.R[S.RSP] = 1;
  bed.faults(S.SS_FAULT, 0, "int", 0x21);
  bed.R[S.RSP] = 0x7000;
  bed.R[S.SEG_LIMIT + S.CS] = 0xff;
  bed.write16(0x21 * 4, 0x100);
  bed.faults(S.GP, 0, "int", 0x21);
});

Deno.test("a fault in real mode pushes no error code", () => {
  const bed = new Testbed().real();
  bed.write16(S.GP * 4, 0x4444);
  fault(bed, S.GP, 0);
  assertEquals(where(bed), [0, 0x4444, 0]);
  assertEquals(bed.R[S.RSP], 0x6ffa);
  assertEquals(bed.read16(0x6ffa), 0x100);
});

Deno.test("an interrupt gate clears IF, a trap gate leaves it; TF, NT, RF and VM go in both", () => {
  for (const [access, interrupts] of [[INT32, 0], [TRAP32, S.IF]]) {
    const bed = new Testbed().protect(0);
    bed.interruptGate(0x30, access, CODE0, 0x12345678);
    bed.R[S.EFLAGS] |= S.IF | S.TF | S.NT | S.AC | S.IOPL | S.RF;
    S.setArithFlags(bed.R, S.ZF | S.OF);
    const before = S.readEflags(bed.R);
    deliverExternal(bed.cpu, 0x30);
    assertEquals(where(bed), [CODE0, 0x12345678, 0]);
    assertEquals(S.readEflags(bed.R), S.AC | S.IOPL | S.ZF | S.OF | 2 | interrupts);
    assertEquals(bed.R[S.RSP], STACK0 - 12);
    assertEquals(longs(bed, STACK0 - 12, 3), [0x5000, CODE0, before]);
  }
});

Deno.test("a 286 gate pushes words and enters at a 16-bit offset", () => {
  for (const access of [INT16, TRAP16]) {
    const bed = new Testbed().protect(3);
    bed.interruptGate(S.GP, access, CODE0, 0x12345678);
    fault(bed, S.GP, 0x1230);
    assertEquals(where(bed), [CODE0, 0x5678, 0]);
    assertEquals(bed.R[S.RSP], STACK0 - 12);
    assertEquals(words(bed, STACK0 - 12, 6), [0x1230, 0x5000, CODE3, 2, STACK3, DATA3]);
  }
});

Deno.test("an event from an outer ring switches to the stack in the TSS", () => {
  const bed = new Testbed().protect(3);
  bed.interruptGate(0x80, dpl(TRAP32, 3), CODE1, 0x777);
  bed.succeeds("int", 0x80);
  assertEquals(where(bed), [CODE1, 0x777, 1]);
  assertEquals(bed.R[S.SEG_SEL + S.SS], DATA1);
  assertEquals(bed.R[S.RSP], STACK1 - 20);
  assertEquals(longs(bed, STACK1 - 20, 5), [0x5002, CODE3, 2, STACK3, DATA3]);
  // The data segments stay.
  assertEquals(bed.R[S.SEG_SEL + S.DS], DATA3);
});

Deno.test("conforming handlers run in the ring that was interrupted", () => {
  const bed = new Testbed().protect(3);
  bed.segment(FREE, CONFORMING);
  bed.interruptGate(0x80, dpl(TRAP32, 3), FREE, 0x777);
  bed.succeeds("int", 0x80);
  assertEquals(where(bed), [FREE + 3, 0x777, 3]);
  assertEquals(bed.R[S.RSP], STACK3 - 12);
});

Deno.test("a fault returns to its instruction, sets RF in the pushed image and pushes its error code", () => {
  const bed = new Testbed().protect(3);
  bed.interruptGate(S.PAGE_FAULT, INT32, CODE0, 0x777);
  bed.R[S.RIP] = 0x5002;
  fault(bed, S.PAGE_FAULT, 7);
  assertEquals(bed.R[S.RSP], STACK0 - 24);
  assertEquals(longs(bed, STACK0 - 24, 4), [7, 0x5000, CODE3, S.RF | 2]);
  assertEquals(bed.R[S.EFLAGS] & S.RF, 0);
});

Deno.test("an interrupt between instructions pushes RF only in the middle of a repeated string instruction", () => {
  for (const repeating of [false, true]) {
    const bed = new Testbed().protect(0);
    bed.interruptGate(0x30, INT32, CODE0, 0x777);
    deliverExternal(bed.cpu, 0x30, repeating);
    assertEquals(bed.read32(STACK0 - 4), repeating ? S.RF | 2 : 2);
  }
});

Deno.test("delivery wakes the processor and ends an interrupt shadow", () => {
  const bed = new Testbed().protect(0);
  bed.interruptGate(0x30, INT32, CODE0, 0x777);
  bed.R[S.ACTIVITY] = 1;
  bed.R[S.SHADOW] = 1;
  deliverExternal(bed.cpu, 0x30);
  assertEquals([bed.R[S.ACTIVITY], bed.R[S.SHADOW]], [0, 0]);
});

Deno.test("an NMI blocks further ones", () => {
  const bed = new Testbed().protect(0);
  bed.interruptGate(S.NMI, INT32, CODE0, 0x777);
  deliverNmi(bed.cpu);
  assertEquals(bed.R[S.NMI_BLOCKED], 1);
  assertEquals(where(bed), [CODE0, 0x777, 0]);
});

Deno.test("INT1 ignores the gate's DPL, INT n, INT3 and INTO do not", () => {
  const bed = new Testbed().protect(3);
  for (const vector of [1, 3, 4, 0x80]) bed.interruptGate(vector, INT32, CODE0, 0x777);
  S.setArithFlags(bed.R, S.OF);
  bed.faults(S.GP, 0x80 * 8 + 2, "int", 0x80);
  bed.faults(S.GP, 3 * 8 + 2, "int3");
  bed.faults(S.GP, 4 * 8 + 2, "into");
  bed.faults(S.GP, 3 * 8 + 2, "int", 3);
  bed.succeeds("int1");
  assertEquals(where(bed), [CODE0, 0x777, 0]);
  assertEquals(bed.read32(STACK0 - 20), 0x5002);
});

Deno.test("INTO does nothing without OF", () => {
  const bed = new Testbed().protect(3);
  bed.succeeds("into");
  assertEquals(where(bed), [CODE3, 0x5002, 3]);
});

Deno.test("a gate that does not pass raises #GP or #NP with its own index, IDT and EXT bits", () => {
  for (const [kind, ext] of KINDS) {
    const bed = new Testbed().protect(0);
    const code = 0x30 * 8 + 2 + ext;
    const refuse = (vector: number, error: number) =>
      bed.faultsIn(vector, error, () => deliver(bed.cpu, 0x30, kind), kind);
    for (const type of [0x80, 0x82, 0x84, 0x89, 0x8c, 0x9e]) {
      bed.interruptGate(0x30, type, CODE0, 0);
      refuse(S.GP, code);
    }
    bed.interruptGate(0x30, absent(INT32), CODE0, 0);
    refuse(S.NP, code);
    bed.R[S.IDTR_LIMIT] = 0x30 * 8 + 6;
    refuse(S.GP, code);
  }
});

Deno.test("a handler's code segment that does not pass raises #GP or #NP with its selector and EXT", () => {
  for (const [kind, ext] of KINDS) {
    const bed = new Testbed().protect(0);
    const refuse = (vector: number, error: number, selector: number, offset = 0) => {
      bed.interruptGate(0x30, INT32, selector, offset);
      bed.faultsIn(vector, error, () => deliver(bed.cpu, 0x30, kind), kind);
    };
    bed.segment(0, CODE); // A null selector never reaches its descriptor.
    refuse(S.GP, ext, 0);
    refuse(S.GP, 0x800 + ext, 0x800);
    refuse(S.GP, DATA0 + ext, DATA0);
    refuse(S.GP, (CODE3 & ~3) + ext, CODE3); // Outer ring.
    bed.segment(FREE, absent(CODE));
    refuse(S.NP, FREE + ext, FREE);
    bed.segment(FREE, CODE, { limit: 0xff, flags: 4 });
    refuse(S.GP, ext, FREE, 0x100);
  }
});

Deno.test("a handler's stack that does not pass raises #TS or #SS with its selector and EXT", () => {
  for (const [kind, ext] of KINDS) {
    const bed = new Testbed().protect(3);
    bed.interruptGate(0x30, dpl(INT32, 3), CODE0, 0x777);
    const refuse = (vector: number, error: number, selector: number) => {
      bed.write32(TSS_A + 8, selector);
      bed.faultsIn(vector, error, () => deliver(bed.cpu, 0x30, kind), kind);
    };
    bed.segment(0, DATA);
    refuse(S.TS, ext, 0);
    refuse(S.TS, 0x800 + ext, 0x800);
    refuse(S.TS, DATA0 + ext, DATA0 + 1);
    refuse(S.TS, (DATA1 & ~3) + ext, DATA1 & ~3);
    bed.segment(FREE, READ_ONLY);
    refuse(S.TS, FREE + ext, FREE);
    bed.segment(FREE, absent(DATA));
    refuse(S.SS_FAULT, FREE + ext, FREE);
    bed.segment(FREE, DATA, { limit: 0xfff, flags: 4 });
    refuse(S.SS_FAULT, FREE + ext, FREE);
    bed.R[S.SEG_LIMIT + S.TR] = 8;
    refuse(S.TS, TASK_A + ext, DATA0);
  }
});

Deno.test("a same-ring frame that does not fit is #SS with EXT alone", () => {
  for (const [kind, ext] of KINDS) {
    const bed = new Testbed().protect(0);
    bed.interruptGate(0x30, INT32, CODE0, 0x777);
    bed.segment(FREE, 0x97, { limit: STACK0 - 9, flags: 4 });
    bed.load(S.SS, FREE);
    bed.faultsIn(S.SS_FAULT, ext, () => deliver(bed.cpu, 0x30, kind), kind);
  }
});

Deno.test("a page fault in the middle of the frame leaves the stack unwritten", () => {
  const bed = new Testbed().protect(3);
  bed.interruptGate(0x80, dpl(INT32, 3), CODE0, 0x777);
  bed.page();
  bed.mapPage(STACK0 - 0x1000, 0);
  bed.write32(TSS_A + 4, STACK0 + 8);
  bed.write32(STACK0 + 4, 0x55555555);
  bed.faults(S.PAGE_FAULT, 2, "int", 0x80);
  assertEquals(bed.R[S.CR2], STACK0 - 4);
  assertEquals(bed.read32(STACK0 + 4), 0x55555555);
});

Deno.test("an event in virtual-8086 mode pushes the segment registers and clears them", () => {
  for (const [access, size] of [[INT32, 4], [INT16, 2]]) {
    const bed = new Testbed().virtual8086(3);
    bed.R[S.EFLAGS] |= S.IF;
    bed.interruptGate(0x30, access, CODE0, 0x777);
    const flags = S.readEflags(bed.R);
    deliverExternal(bed.cpu, 0x30);
    assertEquals(where(bed), [CODE0, 0x777, 0]);
    assertEquals(S.readEflags(bed.R), S.IOPL | 2);
    assertEquals(bed.R[S.RSP], STACK0 - 9 * size);
    const pushed = size === 4 ? longs(bed, STACK0 - 36, 9) : words(bed, STACK0 - 18, 9);
    const image = size === 4 ? flags : flags & 0xffff;
    assertEquals(pushed, [0x100, 0x501, image, 0x800, 0x502, 0x500, 0x503, 0x504, 0x505]);
    for (const segment of [S.ES, S.DS, S.FS, S.GS]) {
      assertEquals([bed.R[S.SEG_SEL + segment], bed.R[S.SEG_ATTR + segment]], [0, 0]);
    }
    assertEquals(bed.R[S.SEG_SEL + S.SS], DATA0);
  }
});

Deno.test("a handler for virtual-8086 mode must be nonconforming code of ring 0", () => {
  for (const [kind, ext] of KINDS) {
    const bed = new Testbed().virtual8086(3);
    bed.interruptGate(0x30, dpl(INT32, 3), CODE1, 0);
    bed.faultsIn(S.GP, (CODE1 & ~3) + ext, () => deliver(bed.cpu, 0x30, kind), kind);
    bed.segment(FREE, CONFORMING);
    bed.interruptGate(0x30, dpl(INT32, 3), FREE, 0);
    bed.faultsIn(S.GP, FREE + ext, () => deliver(bed.cpu, 0x30, kind), kind);
    bed.interruptGate(0x30, dpl(INT32, 3), CODE3, 0);
    bed.faultsIn(S.GP, (CODE3 & ~3) + ext, () => deliver(bed.cpu, 0x30, kind), kind);
  }
});

Deno.test("INT n in virtual-8086 mode is #GP(0) below IOPL 3, INT3 is not", () => {
  const bed = new Testbed().virtual8086(2);
  bed.interruptGate(3, dpl(INT32, 3), CODE0, 0x777);
  bed.faults(S.GP, 0, "int", 3);
  bed.succeeds("int3");
  assertEquals(where(bed), [CODE0, 0x777, 0]);
});

Deno.test("INT n in virtual-8086 mode with IOPL 3 goes to the protected-mode handler, by its DPL", () => {
  const bed = new Testbed().virtual8086(3);
  bed.interruptGate(0x21, INT32, CODE0, 0x777);
  bed.faults(S.GP, 0x21 * 8 + 2, "int", 0x21);
  bed.interruptGate(0x21, dpl(INT32, 3), CODE0, 0x777);
  bed.succeeds("int", 0x21);
  assertEquals(where(bed), [CODE0, 0x777, 0]);
});

/** Virtual-8086 mode with VME and one vector of the 8086 program. */
function vme(iopl: number): Testbed {
  const bed = new Testbed().virtual8086(iopl);
  bed.R[S.CR4] |= S.CR4_VME;
  bed.write16(0x21 * 4, 0x4444);
  bed.write16(0x21 * 4 + 2, 0x3000);
  return bed;
}

Deno.test("VME redirects INT n to the 8086 program's handler and gives it VIF for IF", () => {
  const bed = vme(0);
  bed.R[S.EFLAGS] |= S.VIF | S.TF | S.IF;
  bed.succeeds("int", 0x21);
  assertEquals(where(bed), [0x3000, 0x4444, 3]);
  assertEquals(S.readEflags(bed.R), S.VM | S.IF | 2);
  assertEquals(words(bed, 0x5020 + 0x7fa, 3), [0x102, 0x501, S.IF | S.IOPL | S.TF | 2]);
  const off = vme(0);
  off.R[S.EFLAGS] |= S.IF;
  off.succeeds("int", 0x21);
  assertEquals(off.read16(0x5020 + 0x7fe), S.IOPL | 2);
});

Deno.test("VME with IOPL 3 redirects INT n and clears IF itself", () => {
  const bed = vme(3);
  bed.R[S.EFLAGS] |= S.IF;
  bed.succeeds("int", 0x21);
  assertEquals(S.readEflags(bed.R), S.VM | S.IOPL | 2);
  assertEquals(bed.read16(0x5020 + 0x7fe), S.IF | S.IOPL | 2);
});

Deno.test("a set bit in the redirection bitmap keeps INT n for the monitor", () => {
  const bed = vme(0);
  bed.write8(TSS_A + 0x68 + 4, 1 << 1);
  bed.faults(S.GP, 0, "int", 0x21);
  const trusted = vme(3);
  trusted.write8(TSS_A + 0x68 + 4, 1 << 1);
  trusted.interruptGate(0x21, dpl(INT32, 3), CODE0, 0x777);
  trusted.succeeds("int", 0x21);
  assertEquals(where(trusted), [CODE0, 0x777, 0]);
});

Deno.test("a redirection bitmap beyond the TSS limit is #GP(0), a redirected frame that does not fit #SS(0)", () => {
  const bed = vme(0);
  bed.R[S.SEG_LIMIT + S.TR] = 0x6b;
  bed.faults(S.GP, 0, "int", 0x21);
  // The word at 66h is beyond the limit and does not count, wherever it points.
  bed.R[S.SEG_LIMIT + S.TR] = 0x66;
  bed.write16(TSS_A + 0x66, 0x40);
  bed.faults(S.GP, 0, "int", 0x21);
  const full = vme(0);
  full.R[S.RSP] = 1;
  full.faults(S.SS_FAULT, 0, "int", 0x21);
});

Deno.test("a fault in the delivery of a contributory fault is a double fault with code 0", () => {
  const bed = new Testbed().protect(0);
  bed.interruptGate(S.DOUBLE_FAULT, INT32, CODE0, 0x888);
  for (const first of [S.DE, S.TS, S.NP, S.SS_FAULT, S.GP, S.PAGE_FAULT]) {
    bed.enter(0);
    fault(bed, first, first === S.DE ? -1 : 0x10);
    assertEquals(where(bed), [CODE0, 0x888, 0], `after ${first}`);
    assertEquals(longs(bed, STACK0 - 16, 3), [0, 0x5000, CODE0]);
  }
});

Deno.test("a page fault in the delivery of a page fault is a double fault, in that of #GP it is not", () => {
  const bed = new Testbed().protect(3);
  bed.page();
  bed.mapPage(STACK0 - 0x1000, 0);
  bed.interruptGate(S.PAGE_FAULT, INT32, CODE0, 0xeee);
  bed.interruptGate(S.GP, INT32, CODE0, 0xddd);
  bed.segment(FREE, DATA);
  bed.write32(TSS_A + 4, STACK0);
  // The double fault's handler is a task of its own.
  bed.interruptGate(S.DOUBLE_FAULT, TASK, TASK_B, 0);
  bed.write32(0x3400 + 0x1c, bed.R[S.CR3]);
  bed.write32(0x3400 + 0x20, 0x888);
  bed.write32(0x3400 + 0x38, 0x6000);
  for (const [at, selector] of [[0x48, DATA0], [0x4c, CODE0], [0x50, DATA0], [0x54, DATA0]]) {
    bed.write32(0x3400 + at, selector);
  }
  fault(bed, S.PAGE_FAULT, 4);
  assertEquals(where(bed), [CODE0, 0x888, 0]);
  assertEquals(bed.read32(0x6000 - 4), 0);
  // #GP then #PF: the page fault is delivered in its own right, here through a conforming handler.
  const serial = new Testbed().protect(3);
  serial.page();
  serial.segment(FREE, CONFORMING);
  serial.mapPage(STACK0 - 0x1000, 0);
  serial.interruptGate(S.GP, INT32, CODE0, 0xddd);
  serial.interruptGate(S.PAGE_FAULT, INT32, FREE, 0xeee);
  fault(serial, S.GP, 0);
  assertEquals(where(serial), [FREE + 3, 0xeee, 3]);
  assertEquals(serial.read32(STACK3 - 16), 2);
});

Deno.test("faults in the delivery of benign events are delivered in their place", () => {
  const bed = new Testbed().protect(0);
  bed.interruptGate(S.GP, INT32, CODE0, 0xddd);
  fault(bed, S.UD);
  assertEquals(where(bed), [CODE0, 0xddd, 0]);
  assertEquals(longs(bed, STACK0 - 16, 2), [S.UD * 8 + 3, 0x5000]);
  bed.enter(0);
  bed.R[S.RIP] = 0x5002;
  deliverExternal(bed.cpu, 0x44);
  assertEquals(longs(bed, STACK0 - 16, 2), [0x44 * 8 + 3, 0x5002]);
});

Deno.test("a fault in the delivery of a double fault is shutdown", () => {
  const bed = new Testbed().protect(0);
  fault(bed, S.GP, 0);
  assertEquals(bed.R[S.ACTIVITY], 2);
  const real = new Testbed().real();
  real.R[S.IDTR_LIMIT] = 0;
  fault(real, S.UD);
  assertEquals(real.R[S.ACTIVITY], 2);
});

Deno.test("events that chase each other end in shutdown, not in an endless loop", () => {
  const bed = new Testbed().protect(3);
  bed.R[S.CR0] |= S.CR0_AM;
  bed.R[S.EFLAGS] |= S.AC;
  bed.R[S.RSP] = STACK3 - 1;
  bed.segment(FREE, CONFORMING);
  bed.cpu.mmu.setAlignmentChecks(true);
  bed.interruptGate(S.AC_FAULT, INT32, FREE, 0x777);
  fault(bed, S.AC_FAULT, 0);
  assertEquals(bed.R[S.ACTIVITY], 2);
});

Deno.test("a task gate that does not lead to an available TSS raises #GP or #NP with the TSS selector", () => {
  for (const [kind, ext] of KINDS) {
    const bed = new Testbed().protect(0);
    const refuse = (vector: number, error: number, selector: number) => {
      bed.interruptGate(0x30, TASK, selector, 0);
      bed.faultsIn(vector, error, () => deliver(bed.cpu, 0x30, kind), kind);
    };
    refuse(S.GP, ext, 0);
    refuse(S.GP, 0x14 + ext, 0x14); // In the LDT.
    refuse(S.GP, 0x800 + ext, 0x800);
    refuse(S.GP, TASK_A + ext, TASK_A); // Busy.
    refuse(S.GP, LDT_SEL + ext, LDT_SEL); // Another system segment.
    bed.segment(TASK_B, 0x09, { base: 0x3400, limit: 0x67, flags: 0 });
    refuse(S.NP, TASK_B + ext, TASK_B);
    bed.segment(TASK_B, 0x89, { base: 0x3400, limit: 0x66, flags: 0 });
    refuse(S.TS, TASK_B + ext, TASK_B);
  }
});

Deno.test("the IDT is read as supervisor, and a page fault on it is precise", () => {
  const bed = new Testbed().protect(3);
  bed.interruptGate(0x80, dpl(INT32, 3), CODE0, 0x777);
  bed.page();
  bed.mapPage(IDT, 0);
  bed.faults(S.PAGE_FAULT, 0, "int", 0x80);
  bed.mapPage(IDT, 3);
  bed.mapPage(GDT, 3);
  bed.succeeds("int", 0x80);
  assertEquals(where(bed), [CODE0, 0x777, 0]);
});
