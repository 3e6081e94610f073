import { assertEquals } from "@std/assert";
import * as S from "../state.ts";
import { STACK0, Testbed } from "./testbed.ts";

const flagsOf = (bed: Testbed) => S.readEflags(bed.R) & ~2;
const ALL = S.ARITH_FLAGS | S.TF | S.IF | S.DF | S.IOPL | S.NT | S.RF | S.VM | S.AC | S.VIF |
  S.VIP | S.ID;

Deno.test("PUSHF stores the flags without VM and RF", () => {
  const bed = new Testbed().protect(0);
  S.writeEflags(bed.R, ALL & ~S.VM);
  bed.succeeds("pushf");
  assertEquals(bed.read32(STACK0 - 4), (ALL & ~(S.VM | S.RF)) | 2);
  bed.cpu.operandSize = 16;
  bed.succeeds("pushf");
  assertEquals(bed.R[S.RSP], STACK0 - 6);
  assertEquals(bed.read16(STACK0 - 6), (ALL | 2) & 0xffff);
});

/** POPF of `value` with the given ring, IOPL and size: the flags that result from none but IOPL. */
function popped(bed: Testbed, value: number, size: 16 | 32): number {
  bed.cpu.operandSize = size;
  const top = bed.R[S.RSP];
  bed.write32(bed.R[S.SEG_BASE + S.SS] + top - 4, value << (size === 16 ? 16 : 0));
  bed.R[S.RSP] = top - size / 8;
  bed.succeeds("popf");
  assertEquals(bed.R[S.RSP], top);
  return flagsOf(bed);
}

Deno.test("POPF changes what ring and IOPL allow", () => {
  const kept = S.RF | S.VM | S.VIF | S.VIP;
  assertEquals(popped(new Testbed().protect(0), ALL, 32), ALL & ~kept);
  assertEquals(popped(new Testbed().protect(0), ALL, 16), ALL & 0xffff);
  assertEquals(popped(new Testbed().protect(3), ALL, 32), ALL & ~kept & ~(S.IF | S.IOPL));
  const trusted = new Testbed().protect(3);
  trusted.R[S.EFLAGS] |= S.IOPL;
  assertEquals(popped(trusted, ALL & ~S.IOPL, 32), ALL & ~kept);
  assertEquals(popped(new Testbed().real(), ALL, 32), ALL & ~kept);
});

Deno.test("POPF in virtual-8086 mode needs IOPL 3 and keeps it", () => {
  const bed = new Testbed().virtual8086(3);
  assertEquals(popped(bed, S.IF | S.CF, 16), S.VM | S.IOPL | S.IF | S.CF);
  assertEquals(popped(bed, S.AC, 32), S.VM | S.IOPL | S.AC);
  bed.virtual8086(0).R[S.EFLAGS] &= ~S.IOPL;
  for (const name of ["popf", "pushf", "cli", "sti"]) bed.faults(S.GP, 0, name);
});

Deno.test("VME lets 16-bit PUSHF and POPF of virtual-8086 code work on VIF", () => {
  const bed = new Testbed().virtual8086(0);
  bed.R[S.CR4] |= S.CR4_VME;
  bed.R[S.EFLAGS] |= S.IF;
  assertEquals(popped(bed, S.IF | S.IOPL, 16), S.VM | S.IF | S.VIF);
  bed.succeeds("pushf");
  assertEquals(bed.read16(0x5020 + 0x7fe), S.IF | S.IOPL | 2);
  bed.R[S.EFLAGS] &= ~S.VIF;
  bed.R[S.RSP] = 0x800;
  bed.succeeds("pushf");
  assertEquals(bed.read16(0x5020 + 0x7fe), S.IOPL | 2);
  bed.write16(0x5020 + 0x7fe, S.TF);
  bed.faults(S.GP, 0, "popf");
  bed.R[S.EFLAGS] |= S.VIP;
  bed.write16(0x5020 + 0x7fe, S.IF);
  bed.faults(S.GP, 0, "popf");
  bed.write16(0x5020 + 0x7fe, 0);
  bed.succeeds("popf");
  bed.cpu.operandSize = 32;
  bed.faults(S.GP, 0, "popf");
  bed.faults(S.GP, 0, "pushf");
});

Deno.test("PUSHF and POPF beyond the stack are #SS(0)", () => {
  const bed = new Testbed().real();
  bed.R[S.RSP] = 1;
  bed.faults(S.SS_FAULT, 0, "pushf");
  bed.R[S.RSP] = 0xffff;
  bed.faults(S.SS_FAULT, 0, "popf");
});

Deno.test("STI holds interrupts off for one instruction when they were off", () => {
  const bed = new Testbed().protect(0);
  bed.succeeds("sti");
  assertEquals([flagsOf(bed), bed.R[S.SHADOW]], [S.IF, 1]);
  bed.R[S.SHADOW] = 0;
  bed.succeeds("sti");
  assertEquals(bed.R[S.SHADOW], 0);
  bed.succeeds("cli");
  assertEquals(flagsOf(bed), 0);
});

Deno.test("CLI and STI above IOPL are #GP(0)", () => {
  const bed = new Testbed().protect(3);
  bed.faults(S.GP, 0, "cli");
  bed.faults(S.GP, 0, "sti");
  bed.R[S.EFLAGS] |= S.IOPL;
  bed.succeeds("sti");
  assertEquals(flagsOf(bed), S.IF | S.IOPL);
  const middle = new Testbed().protect(1);
  middle.R[S.CR4] |= S.CR4_PVI; // For ring 3 alone.
  middle.faults(S.GP, 0, "cli");
});

Deno.test("PVI in ring 3 and VME in virtual-8086 mode make CLI and STI work on VIF", () => {
  const protectedBed = new Testbed().protect(3);
  protectedBed.R[S.CR4] |= S.CR4_PVI;
  const virtual = new Testbed().virtual8086(0);
  virtual.R[S.CR4] |= S.CR4_VME;
  for (const bed of [protectedBed, virtual]) {
    const mode = flagsOf(bed);
    bed.succeeds("sti");
    assertEquals([flagsOf(bed), bed.R[S.SHADOW]], [mode | S.VIF, 0]);
    bed.succeeds("cli");
    assertEquals(flagsOf(bed), mode);
    bed.R[S.EFLAGS] |= S.VIP;
    bed.faults(S.GP, 0, "sti");
    bed.succeeds("cli");
  }
});

Deno.test("a change of AC turns alignment checks on and off", () => {
  const bed = new Testbed().protect(3);
  bed.R[S.CR0] |= S.CR0_AM;
  popped(bed, S.AC, 32);
  bed.faultsIn(S.AC_FAULT, 0, () => {
    bed.cpu.load32(0x6001);
  });
  popped(bed, 0, 32);
  bed.cpu.load32(0x6001);
});
