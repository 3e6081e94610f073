import { assertEquals } from "@std/assert";
import * as S from "../state.ts";
import { initState, resetState, resumeState } from "./reset.ts";
import { Testbed } from "./testbed.ts";

Deno.test("RESET puts every register where the SDM has it", () => {
  const bed = new Testbed("pentium3").protect(3);
  const { R } = bed;
  R.fill(0x5a5a5a5a, S.FCW, S.SCRATCH);
  R[S.RAX] =
    R[S.CR2] =
    R[S.CR4] =
    R[S.DR0] =
      5;
  bed.clock.skipTo(12345);
  resetState(bed.cpu);
  assertEquals([R[S.RIP], R[S.SEG_SEL + S.CS], R[S.SEG_BASE + S.CS] >>> 0], [
    0xfff0,
    0xf000,
    0xffff0000,
  ]);
  assertEquals(R[S.RDX], 0x673);
  assertEquals(R[S.RAX], 0);
  assertEquals(S.readEflags(R), 2);
  assertEquals(R[S.CR0] >>> 0, 0x60000010);
  assertEquals([R[S.CR2], R[S.CR3], R[S.CR4], R[S.CPL]], [0, 0, 0, 0]);
  for (const segment of [S.ES, S.SS, S.DS, S.FS, S.GS]) {
    const part = (at: number) => R[at + segment];
    assertEquals([S.SEG_SEL, S.SEG_BASE, S.SEG_LIMIT, S.SEG_ATTR].map(part), [0, 0, 0xffff, 0x93]);
  }
  assertEquals([R[S.GDTR_BASE], R[S.GDTR_LIMIT], R[S.IDTR_LIMIT]], [0, 0xffff, 0xffff]);
  assertEquals([R[S.DR0], R[S.DR6] >>> 0, R[S.DR7]], [0, 0xffff0ff0, 0x400]);
  assertEquals([R[S.FCW], R[S.FSW], R[S.FTAG], R[S.MXCSR]], [0x37f, 0, 0, 0x1f80]);
  assertEquals([R[S.ST0], R[S.XMM0]], [0, 0]);
  assertEquals(bed.cpu.msrs.timeStamp(), { low: 0, high: 0 });
});

Deno.test("INIT spares x87, SSE, the time-stamp counter and the cache bits of CR0", () => {
  const bed = new Testbed().protect(3);
  const { R } = bed;
  R.fill(0x5a5a5a5a, S.FCW, S.SCRATCH);
  R[S.CR0] = S.CR0_PE | S.CR0_CD | S.CR0_TS;
  bed.clock.skipTo(12345);
  initState(bed.cpu);
  assertEquals(R[S.CR0], S.CR0_CD | S.CR0_ET);
  assertEquals([R[S.RIP], R[S.CPL], R[S.FCW], R[S.XMM0]], [0xfff0, 0, 0x5a5a5a5a, 0x5a5a5a5a]);
  assertEquals(bed.cpu.msrs.timeStamp(), { low: 12345, high: 0 });
});

Deno.test("a restored processor watches its breakpoints and checks alignment again", () => {
  const bed = new Testbed().protect(3);
  const { R } = bed;
  R[S.CR0] |= S.CR0_AM;
  R[S.EFLAGS] |= S.AC;
  R[S.DR0] = 0x6000;
  R[S.DR7] = 0x10001 | 0x400;
  resumeState(bed.cpu);
  bed.cpu.store8(0x6000, 1);
  assertEquals(R[S.PENDING_DEBUG], 1);
  assertEquals(bed.attempt(() => bed.cpu.load16(0x6001)), { vector: S.AC_FAULT, error: 0 });
});
