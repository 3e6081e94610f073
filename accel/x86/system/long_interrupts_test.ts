import { assertEquals } from "@std/assert";
import * as S from "../state.ts";
import { deliver, deliverExternal, deliverFault } from "./interrupts.ts";
import { HIGH_HALF, LONG0, LONG3, LongTestbed, STACK_IST, START } from "./long_testbed.ts";
import {
  absent,
  CODE0,
  CODE3,
  DATA0,
  DATA3,
  dpl,
  FREE,
  STACK0,
  STACK3,
  TASK_A,
  TSS_A,
} from "./testbed.ts";

const INTERRUPT = 0x8e, TRAP = 0x8f;

Deno.test("an interrupt of 64-bit ring 3 pushes five quadwords on RSP0's stack", () => {
  const t = new LongTestbed().long(3), { R } = t;
  t.longGate(0x40, INTERRUPT, LONG0, 0x12345678, HIGH_HALF);
  R[S.RSP + 1] = HIGH_HALF;
  S.writeEflags(R, S.IF | S.CF | S.TF);
  deliverExternal(t.cpu, 0x40);
  assertEquals(t.pair(S.RIP), [0x12345678, HIGH_HALF]);
  assertEquals(t.pair(S.RSP), [STACK0 - 40, 0]);
  assertEquals([R[S.SEG_SEL + S.CS], R[S.SEG_SEL + S.SS], R[S.CPL], R[S.LONG]], [LONG0, 0, 0, 1]);
  assertEquals(t.quads(STACK0 - 40, 3), [START, LONG3, S.IF | S.CF | S.TF | 2]);
  assertEquals(t.read64(STACK0 - 16), [STACK3, HIGH_HALF]);
  assertEquals(t.quads(STACK0 - 8, 1), [DATA3]);
  assertEquals(S.readEflags(R), S.CF | 2);
});

Deno.test("an exception in the same ring aligns the stack and pushes its code as a quadword", () => {
  const t = new LongTestbed().long(0), { R } = t;
  t.longGate(S.GP, TRAP, LONG0, 0x6000);
  R[S.RSP] = STACK0 - 3;
  R[S.EFLAGS] |= S.IF;
  R[S.INSN_IP] = START;
  R[S.RIP] = START + 9;
  t.cpu.faultVector = S.GP;
  t.cpu.faultError = 0x18;
  deliverFault(t.cpu);
  const top = STACK0 - 16;
  assertEquals(t.pair(S.RSP), [top - 48, 0]);
  assertEquals(t.quads(top - 48, 6), [
    0x18,
    START,
    LONG0,
    S.IF | S.RF | 2,
    STACK0 - 3,
    DATA0,
  ]);
  assertEquals(R[S.SEG_SEL + S.SS], DATA0);
  assertEquals(R[S.EFLAGS] & S.IF, S.IF);
});

Deno.test("a fault in high addresses returns there", () => {
  const t = new LongTestbed().long(0), { R } = t;
  t.longGate(S.UD, INTERRUPT, LONG0, 0x6000);
  R[S.INSN_IP] = START;
  R[S.INSN_IP_HI] = HIGH_HALF;
  t.cpu.faultVector = S.UD;
  t.cpu.faultError = -1;
  deliverFault(t.cpu);
  assertEquals(t.read64(STACK0 - 40), [START, HIGH_HALF]);
  assertEquals(t.pair(S.RIP), [0x6000, 0]);
});

Deno.test("a gate with an IST index takes that stack in any ring", () => {
  for (const ring of [0, 3] as const) {
    const t = new LongTestbed().long(ring), { R } = t;
    t.longGate(S.NMI, INTERRUPT, LONG0, 0x6000, 0, 2);
    deliverExternal(t.cpu, S.NMI);
    assertEquals(t.pair(S.RSP), [STACK_IST - 40, HIGH_HALF]);
    assertEquals(t.quads(STACK_IST - 40, 2), [START, ring === 0 ? LONG0 : LONG3]);
    assertEquals(R[S.SEG_SEL + S.SS], ring === 0 ? DATA0 : 0);
  }
});

Deno.test("an interrupt of compatibility mode enters 64-bit mode with ESP and EIP zero-extended", () => {
  const t = new LongTestbed().long(3, false), { R } = t;
  t.longGate(0x80, dpl(INTERRUPT, 3), LONG0, 0x6000);
  R[S.RSP + 1] = 0x1234;
  assertEquals(t.attempt(() => deliver(t.cpu, 0x80, "int")), 0);
  assertEquals(R[S.LONG], 1);
  assertEquals(t.quads(STACK0 - 40, 5), [START, CODE3, 2, STACK3, DATA3]);
});

Deno.test("gates of long mode raise the fault they deserve", () => {
  const t = new LongTestbed().long(3), { cpu } = t;
  const fault = (vector: number, error: number, kind: "int" | "external" = "int") =>
    t.faultsIn(vector, error, () => deliver(cpu, 0x40, kind));
  t.segment(FREE + 0x60, 0x9b, { flags: 0xe });
  const user = dpl(INTERRUPT, 3);
  t.longGate(0x40, INTERRUPT, LONG0, 0x6000);
  fault(S.GP, 0x202);
  t.longGate(0x40, absent(user), LONG0, 0x6000);
  fault(S.NP, 0x202);
  // Neither task gates nor those of the 286, and only to 64-bit code.
  for (const type of [0xe5, 0xe6, 0xe7, 0xec]) {
    t.longGate(0x40, type, LONG0, 0x6000);
    fault(S.GP, 0x202);
  }
  t.longGate(0x40, user, CODE0, 0x6000);
  fault(S.GP, CODE0);
  t.longGate(0x40, user, FREE + 0x60, 0x6000);
  fault(S.GP, FREE + 0x60);
  t.longGate(0x40, user, 0, 0x6000);
  fault(S.GP, 0);
  fault(S.GP, 1, "external");
  t.longGate(0x40, user, LONG0, 0x6000, 0x8000);
  fault(S.GP, 0);
  t.longGate(0x40, user, LONG0, 0x6000);
  t.write64(TSS_A + 4, STACK0, 0x8000);
  fault(S.SS_FAULT, 0);
  t.R[S.SEG_LIMIT + S.TR] = 10;
  fault(S.TS, 0x90);
  t.R[S.IDTR_LIMIT] = 0x40e;
  fault(S.GP, 0x202);
});

Deno.test("a stack that is not mapped is a page fault, and a double fault takes its own stack", () => {
  const t = new LongTestbed().long(3), { R } = t;
  t.write64(TSS_A + 4, 0x400000, 0);
  t.longGate(S.PAGE_FAULT, INTERRUPT, LONG0, 0x6000);
  t.longGate(S.DOUBLE_FAULT, INTERRUPT, LONG0, 0x7000, 0, 2);
  t.faultsIn(S.PAGE_FAULT, 2, () => deliver(t.cpu, S.PAGE_FAULT, "exception", 4));
  assertEquals(t.pair(S.CR2), [0x400000 - 8, 0]);
  t.cpu.faultVector = S.PAGE_FAULT;
  t.cpu.faultError = 4;
  deliverFault(t.cpu);
  assertEquals(t.pair(S.RIP), [0x7000, 0]);
  assertEquals(t.pair(S.RSP), [STACK_IST - 48, HIGH_HALF]);
  assertEquals(R[S.ACTIVITY], 0);
});

/** Puts quadwords on the stack, the first on top. */
function frame(t: LongTestbed, values: number[], size = 8): void {
  const { R } = t;
  R[S.RSP] = STACK0 - values.length * size;
  values.forEach((value, i) => {
    if (size === 8) t.write64(R[S.RSP] + 8 * i, value, 0);
    else t.write32(R[S.RSP] + 4 * i, value);
  });
}

Deno.test("IRETQ goes to 64-bit ring 3, with RF and IF from the frame", () => {
  const t = new LongTestbed().long(0), { R } = t;
  frame(t, [0x6000, LONG3, S.IF | S.RF | S.ZF | S.VM, STACK3, DATA3]);
  t.write64(STACK0 - 16, STACK3, 0x7fff);
  t.write64(STACK0 - 40, 0x6000, 0x7ff0);
  t.succeeds("iret");
  assertEquals(t.pair(S.RIP), [0x6000, 0x7ff0]);
  assertEquals(t.pair(S.RSP), [STACK3, 0x7fff]);
  assertEquals([R[S.CPL], R[S.LONG], R[S.SEG_SEL + S.SS]], [3, 1, DATA3]);
  assertEquals(S.readEflags(R), S.IF | S.RF | S.ZF | 2);
  assertEquals(R[S.SEG_SEL + S.DS], 0); // Ring 0 data does not come along.
});

Deno.test("IRETQ goes to compatibility mode, where a 16-bit stack takes SP alone", () => {
  const t = new LongTestbed().long(0), { R } = t;
  frame(t, [0x6000, CODE3, 2, STACK3, DATA3]);
  t.succeeds("iret");
  assertEquals([R[S.LONG], R[S.CPL], R[S.RIP], R[S.RIP + 1]], [0, 3, 0x6000, 0]);
  assertEquals(R[S.RSP], STACK3);

  const u = new LongTestbed().long(0);
  u.segment(0xd3, dpl(0x93, 3), { limit: 0xffff, flags: 0 });
  frame(u, [0x6000, CODE3, 2, 0x1234, 0xd3]);
  u.R[S.RSP] |= 0x10000;
  for (let i = 0; i < 40; i += 4) u.write32(u.R[S.RSP] + i, u.read32((u.R[S.RSP] & 0xffff) + i));
  u.succeeds("iret");
  assertEquals(u.R[S.RSP], 0x11234);
});

Deno.test("IRETQ in ring 0 takes SS and RSP even from its own ring, and SS may be null", () => {
  const t = new LongTestbed().long(0), { R } = t;
  frame(t, [0x6000, LONG0, 2, 0x7777, 0]);
  t.succeeds("iret");
  assertEquals([R[S.RIP], R[S.RSP], R[S.SEG_SEL + S.SS], R[S.LONG]], [0x6000, 0x7777, 0, 1]);
});

Deno.test("IRETD works in 64-bit mode on a frame of doublewords", () => {
  const t = new LongTestbed().long(0), { R } = t;
  t.cpu.operandSize = 32;
  frame(t, [0x6000, CODE3, S.IF, 0x8888, DATA3], 4);
  t.succeeds("iret");
  assertEquals([R[S.RIP], R[S.RSP], R[S.RSP + 1], R[S.LONG]], [0x6000, 0x8888, 0, 0]);
});

Deno.test("IRET raises the faults of long mode", () => {
  const t = new LongTestbed().long(0), { R } = t;
  frame(t, [0x6000, LONG3, 2, STACK3, 3]);
  t.faults(S.GP, 0, "iret"); // Null SS in ring 3.
  frame(t, [0x6000, CODE0, 2, STACK3, 0]);
  t.faults(S.GP, 0, "iret"); // Null SS for 32-bit code.
  frame(t, [0x6000, LONG0, 2, STACK3, 0]);
  t.write64(R[S.RSP], 0x6000, 0x10000);
  t.faults(S.GP, 0, "iret"); // Not canonical.
  t.segment(0xd0, 0x9b, { flags: 0xe });
  frame(t, [0x6000, 0xd0, 2, STACK3, 0]);
  t.faults(S.GP, 0xd0, "iret"); // L and D.
  R[S.RSP + 1] = 0x8000;
  t.faults(S.SS_FAULT, 0, "iret");
  R[S.RSP + 1] = 0;
  R[S.EFLAGS] |= S.NT;
  t.faults(S.GP, 0, "iret");
});

Deno.test("tasks cannot be switched to in long mode", () => {
  const t = new LongTestbed().long(0);
  t.write64(0x5100, 0, 0);
  t.write16(0x5108, TASK_A);
  t.R[S.INSN_SEG] = S.DS;
  t.faults(S.GP, TASK_A, "jmp_far_mem", 0x5100);
});
