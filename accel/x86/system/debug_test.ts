import { assertEquals } from "@std/assert";
import * as S from "../state.ts";
import {
  afterInstruction,
  checkInstructionBreakpoint,
  DR6_BD,
  DR6_BS,
  DR7_GD,
  hasDebugWork,
} from "./debug.ts";
import { deliverFault } from "./interrupts.ts";
import { CODE0, DATA0, STACK0, Testbed } from "./testbed.ts";

const INT32 = 0x8e, HANDLER = 0x777, FIXED6 = 0xffff0ff0 | 0;

function ready(model = "max"): Testbed {
  const bed = new Testbed(model).protect(0);
  bed.interruptGate(S.DB, INT32, CODE0, HANDLER);
  return bed;
}

/** One instruction as an engine steps it: true when #DB came, before or after. */
function step(bed: Testbed, action: () => void, repeating = false): boolean {
  const { R, cpu } = bed;
  if (checkInstructionBreakpoint(cpu, R[S.RIP])) return true;
  R[S.SHADOW] = 0;
  R[S.INSN_IP] = R[S.RIP];
  R[S.NEXT_IP] = R[S.INSN_IP] + 2;
  R[S.RIP] = R[S.NEXT_IP];
  action();
  return afterInstruction(cpu, repeating);
}

/** DR7 for breakpoint n: enabled globally. */
const breakpoint = (n: number, kind: number, length: number) =>
  (2 << (2 * n)) | (((length - 1) << 2 | kind) << (16 + 4 * n));
const EXECUTE = 0, WRITE = 1, IO = 2, ACCESS = 3;

Deno.test("DR6 and DR7 keep their fixed bits, DR0 to DR3 any value", () => {
  const bed = ready();
  for (const n of [0, 1, 2, 3]) {
    bed.succeeds("mov_to_dr", n, 0x12345678 + n);
    assertEquals(bed.succeeds("mov_from_dr", 0, n), 0x12345678 + n);
  }
  bed.succeeds("mov_to_dr", 6, 0);
  assertEquals(bed.succeeds("mov_from_dr", 0, 6), FIXED6);
  bed.succeeds("mov_to_dr", 6, -1);
  assertEquals(bed.succeeds("mov_from_dr", 0, 6), 0xffffefff | 0);
  bed.succeeds("mov_to_dr", 7, 0);
  assertEquals(bed.succeeds("mov_from_dr", 0, 7), 0x400);
  bed.succeeds("mov_to_dr", 7, ~DR7_GD);
  assertEquals(bed.succeeds("mov_from_dr", 0, 7), 0xffff07ff | 0);
});

Deno.test("DR4 and DR5 are DR6 and DR7, or #UD with CR4.DE", () => {
  const bed = ready();
  bed.succeeds("mov_to_dr", 5, 0x401);
  assertEquals(bed.succeeds("mov_from_dr", 0, 7), 0x401);
  assertEquals(bed.succeeds("mov_from_dr", 0, 4), FIXED6);
  bed.R[S.CR4] |= S.CR4_DE;
  for (const n of [4, 5]) {
    bed.faults(S.UD, -1, "mov_to_dr", n, 0);
    bed.faults(S.UD, -1, "mov_from_dr", 0, n);
  }
});

Deno.test("MOV to and from debug registers is #GP(0) outside ring 0", () => {
  const bed = ready();
  bed.enter(3);
  bed.faults(S.GP, 0, "mov_to_dr", 0, 0);
  bed.faults(S.GP, 0, "mov_from_dr", 0, 7);
});

Deno.test("general detect traps every access to a debug register before it happens", () => {
  const bed = ready();
  bed.succeeds("mov_to_dr", 7, DR7_GD);
  assertEquals(bed.call("mov_from_dr", 0, 0), { vector: S.DB, error: -1 });
  assertEquals(bed.call("mov_to_dr", 0, 0), { vector: S.DB, error: -1 });
  assertEquals(bed.R[S.DR6], FIXED6 | DR6_BD);
  deliverFault(bed.cpu);
  // The handler may use the registers; it returns to the instruction.
  assertEquals(bed.R[S.DR7] & DR7_GD, 0);
  assertEquals(bed.read32(STACK0 - 12), 0x5000);
});

Deno.test("TF traps after the instruction that follows the one that set it", () => {
  const bed = ready();
  assertEquals(hasDebugWork(bed.cpu), false);
  assertEquals(step(bed, () => bed.R[S.EFLAGS] |= S.TF), false);
  assertEquals(hasDebugWork(bed.cpu), true);
  assertEquals(step(bed, () => {}), true);
  assertEquals(bed.R[S.RIP], HANDLER);
  assertEquals(bed.R[S.DR6], FIXED6 | DR6_BS);
  assertEquals(bed.R[S.EFLAGS] & S.TF, 0);
  const pushed = [12, 8, 4].map((at) => bed.read32(STACK0 - at));
  assertEquals(pushed, [0x5004, CODE0, S.TF | 2]);
});

Deno.test("the instruction that clears TF is still trapped", () => {
  const bed = ready();
  bed.R[S.EFLAGS] |= S.TF;
  assertEquals(step(bed, () => bed.R[S.EFLAGS] &= ~S.TF), true);
});

Deno.test("INT n under TF enters its handler without a trap", () => {
  const bed = ready();
  bed.interruptGate(0x30, INT32, CODE0, 0x888);
  bed.R[S.EFLAGS] |= S.TF;
  assertEquals(step(bed, () => bed.succeeds("int", 0x30)), false);
  assertEquals(bed.R[S.RIP], 0x888);
});

Deno.test("an instruction that loads SS is not trapped, the next one is", () => {
  const bed = ready();
  bed.R[S.EFLAGS] |= S.TF;
  assertEquals(step(bed, () => bed.succeeds("mov_to_sreg", S.SS, DATA0)), false);
  assertEquals(step(bed, () => {}), true);
  assertEquals(bed.read32(STACK0 - 12), 0x5004);
});

Deno.test("an instruction breakpoint faults before its instruction, without RF in the image", () => {
  const bed = ready();
  bed.succeeds("mov_to_dr", 1, 0x5000);
  bed.succeeds("mov_to_dr", 7, breakpoint(1, EXECUTE, 1));
  bed.R[S.RIP] = 0x5000;
  assertEquals(hasDebugWork(bed.cpu), true);
  let executed = false;
  assertEquals(step(bed, () => executed = true), true);
  assertEquals(executed, false);
  assertEquals(bed.R[S.DR6], FIXED6 | 2);
  assertEquals([bed.read32(STACK0 - 12), bed.read32(STACK0 - 4)], [0x5000, 2]);
});

Deno.test("RF lets one instruction pass its breakpoint and is clear afterwards", () => {
  const bed = ready();
  bed.succeeds("mov_to_dr", 0, 0x5000);
  bed.succeeds("mov_to_dr", 7, breakpoint(0, EXECUTE, 1));
  bed.R[S.RIP] = 0x5000;
  bed.R[S.EFLAGS] |= S.RF;
  assertEquals(step(bed, () => {}), false);
  assertEquals(bed.R[S.EFLAGS] & S.RF, 0);
  bed.R[S.RIP] = 0x5000;
  assertEquals(step(bed, () => {}), true);
});

Deno.test("the rest of a repeated instruction passes its own breakpoint", () => {
  const bed = ready();
  bed.succeeds("mov_to_dr", 0, 0x5000);
  bed.succeeds("mov_to_dr", 7, breakpoint(0, EXECUTE, 1));
  bed.R[S.RIP] = 0x5000;
  bed.R[S.EFLAGS] |= S.RF;
  assertEquals(step(bed, () => bed.R[S.RIP] = 0x5000, true), false);
  assertEquals(bed.R[S.EFLAGS] & S.RF, S.RF);
  assertEquals(step(bed, () => {}), false);
  assertEquals(bed.R[S.EFLAGS] & S.RF, 0);
});

Deno.test("a data breakpoint traps after writes, or reads and writes, that touch its range", () => {
  for (const kind of [WRITE, ACCESS]) {
    for (const length of [1, 2, 4]) {
      const bed = ready();
      bed.succeeds("mov_to_dr", 2, 0x6004);
      bed.succeeds("mov_to_dr", 7, breakpoint(2, kind, length));
      const hits = (action: () => void) => {
        bed.enter(0);
        bed.R[S.DR6] = FIXED6;
        const hit = step(bed, action);
        if (hit) assertEquals(bed.R[S.DR6], FIXED6 | 4);
        return hit;
      };
      assertEquals(hits(() => bed.cpu.store8(0x6003, 1)), false);
      assertEquals(hits(() => bed.cpu.store8(0x6004 + length, 1)), false);
      assertEquals(hits(() => bed.cpu.store8(0x6004 + length - 1, 1)), true);
      assertEquals(hits(() => bed.cpu.store32(0x6001, 1)), true);
      assertEquals(hits(() => bed.cpu.load32(0x6001)), kind === ACCESS);
      assertEquals(hits(() => bed.cpu.load32(0x6008)), false);
      assertEquals(bed.read32(0x6001) & 0xff, 1);
    }
  }
});

Deno.test("the address of a data breakpoint is aligned to its length", () => {
  const bed = ready();
  bed.succeeds("mov_to_dr", 0, 0x6007);
  bed.succeeds("mov_to_dr", 7, breakpoint(0, WRITE, 4));
  assertEquals(step(bed, () => bed.cpu.store8(0x6004, 1)), true);
});

Deno.test("a disabled breakpoint does not trap, but shows in DR6 beside one that does", () => {
  const bed = ready();
  bed.succeeds("mov_to_dr", 0, 0x6000);
  bed.succeeds("mov_to_dr", 1, 0x6000);
  const both = breakpoint(0, WRITE, 4) | breakpoint(1, WRITE, 4);
  bed.succeeds("mov_to_dr", 7, both & ~0xff);
  assertEquals(step(bed, () => bed.cpu.store8(0x6000, 1)), false);
  bed.succeeds("mov_to_dr", 7, both & ~2);
  assertEquals(step(bed, () => bed.cpu.store8(0x6000, 1)), true);
  assertEquals(bed.R[S.DR6], FIXED6 | 3);
});

Deno.test("a data breakpoint on the operand of MOV SS waits for the next instruction", () => {
  const bed = ready();
  bed.write16(0x6000, DATA0);
  bed.succeeds("mov_to_dr", 0, 0x6000);
  bed.succeeds("mov_to_dr", 7, breakpoint(0, ACCESS, 2));
  assertEquals(step(bed, () => bed.succeeds("mov_to_sreg", S.SS, bed.cpu.load16(0x6000))), false);
  assertEquals(step(bed, () => {}), true);
  assertEquals(bed.R[S.DR6], FIXED6 | 1);
});

Deno.test("a fault voids the data breakpoints of its instruction", () => {
  const bed = ready();
  bed.interruptGate(S.GP, INT32, CODE0, 0x888);
  bed.succeeds("mov_to_dr", 0, 0x6000);
  bed.succeeds("mov_to_dr", 7, breakpoint(0, ACCESS, 4));
  bed.attempt(() => {
    bed.cpu.load32(0x6000);
    bed.cpu.raise(S.GP, 0);
  });
  deliverFault(bed.cpu);
  assertEquals(bed.R[S.PENDING_DEBUG], 0);
  assertEquals(bed.R[S.RIP], 0x888);
});

Deno.test("I/O breakpoints need CR4.DE and trap after the access", () => {
  const bed = ready();
  bed.succeeds("mov_to_dr", 3, 0x3f8);
  bed.succeeds("mov_to_dr", 7, breakpoint(3, IO, 1));
  assertEquals(step(bed, () => bed.succeeds("out_dx", 0x3f6, 0)), false);
  bed.R[S.CR4] |= S.CR4_DE;
  assertEquals(step(bed, () => bed.succeeds("in_byte_dx", 0, 0x3f9)), false);
  assertEquals(step(bed, () => bed.succeeds("out_dx", 0x3f6, 0)), true);
  assertEquals(bed.R[S.DR6], FIXED6 | 8);
  assertEquals(bed.ports.length, 3);
});

Deno.test("DEBUGCTL.BTF makes TF trap after taken branches alone, once", () => {
  const bed = ready("pentium3");
  bed.cpu.msrs.write(0x1d9, 2, 0);
  bed.R[S.EFLAGS] |= S.TF;
  assertEquals(step(bed, () => {}), false);
  assertEquals(step(bed, () => bed.R[S.RIP] = 0x6000), true);
  assertEquals(bed.cpu.msrs.read(0x1d9), { low: 0, high: 0 });
});
