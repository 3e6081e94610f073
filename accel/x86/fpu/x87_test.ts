import { assert, assertEquals } from "@std/assert";
import type { X86 } from "../cpu.ts";
import * as S from "../state.ts";
import { RECORDED, RECORDED_TRANSCENDENTAL } from "./recorded.ts";
import { FPU_GUARDS, FPU_HELPERS, FPU_ROWS } from "./rows.ts";
import { fpuTestCpu, hex, setSt, st, vectorOf } from "./testing.ts";

const ONE = "3fff:8000000000000000",
  PI = "4000:c90fdaa22168c235",
  INDEFINITE = "ffff:c000000000000000";

function call(cpu: X86, name: string, a = 0): number | void {
  return FPU_HELPERS[name](cpu, a, 0, 0);
}

function scratch(cpu: X86, bytes: number): string {
  return [...cpu.U8.subarray(S.SCRATCH * 4, S.SCRATCH * 4 + bytes)].map((b) => hex(b, 2)).join("");
}

/** What a recorded line's instruction does here: the right-hand side of the line. */
function replay(cpu: X86, line: string): { got: string; want: string } {
  const [left, want] = line.split(" = ");
  const [name, operand, fcw, tag, st0, st1, memory] = left.split(" ");
  const { R, U8 } = cpu;
  R.fill(0, S.ST0, S.ST0 + 32);
  R[S.FCW] = parseInt(fcw, 16);
  R[S.FSW] = 0;
  R[S.FTAG] = parseInt(tag, 16);
  setSt(R, 0, st0);
  setSt(R, 1, st1);
  R.fill(0, S.SCRATCH, S.SCRATCH + 4);
  if (memory !== "-") {
    memory.match(/../g)!.forEach((byte, i) => U8[S.SCRATCH * 4 + i] = parseInt(byte, 16));
  }
  R[S.INSN_EA] = 0x100;
  call(cpu, name, Number(operand));
  const got = `${hex(R[S.FSW], 4)} ${hex(R[S.FTAG], 2)} ${st(R, 0)} ${st(R, 1)} ${
    scratch(cpu, 10)
  }`;
  return { got, want };
}

Deno.test("x87 instructions give in every bit what silicon gave", () => {
  const cpu = fpuTestCpu();
  for (const line of RECORDED) {
    const { got, want } = replay(cpu, line);
    assertEquals(got, want, line);
  }
});

Deno.test("x87 transcendental instructions differ from silicon by one unit in the last place at most", () => {
  const cpu = fpuTestCpu();
  for (const line of RECORDED_TRANSCENDENTAL) {
    const { got, want } = replay(cpu, line);
    const g = got.split(" "), w = want.split(" ");
    assertEquals(parseInt(g[0], 16) & ~0x200, parseInt(w[0], 16) & ~0x200, line);
    for (const k of [2, 3]) {
      assertEquals(g[k].slice(0, 5), w[k].slice(0, 5), line);
      const apart = BigInt(`0x${g[k].slice(5)}`) - BigInt(`0x${w[k].slice(5)}`);
      assert(apart >= -1n && apart <= 1n, `${line}\nbut ${got}`);
    }
  }
});

Deno.test("x87 constants follow the rounding control", () => {
  const cpu = fpuTestCpu(), { R } = cpu;
  const load = (name: string, fcw: number) => {
    call(cpu, "fninit");
    R[S.FCW] = fcw;
    call(cpu, name);
    return st(R, 0);
  };
  assertEquals(load("fldpi", 0x37f), "4000:c90fdaa22168c235");
  assertEquals(load("fldpi", 0x77f), "4000:c90fdaa22168c234");
  assertEquals(load("fldpi", 0xb7f), "4000:c90fdaa22168c235");
  assertEquals(load("fldl2t", 0xb7f), "4000:d49a784bcd1b8aff");
  assertEquals(load("fldl2t", 0xf7f), "4000:d49a784bcd1b8afe");
  assertEquals(load("fldln2", 0xf7f), "3ffe:b17217f7d1cf79ab");
});

Deno.test("FCOMI reports in EFLAGS and FCMOV reads them", () => {
  const cpu = fpuTestCpu(), { R } = cpu;
  R[S.FTAG] = 0xff;
  setSt(R, 0, ONE);
  setSt(R, 1, PI);
  call(cpu, "fcomi", 1);
  assertEquals(S.arithFlags(R), S.CF);
  call(cpu, "fcmovnb", 1);
  assertEquals(st(R, 0), ONE);
  call(cpu, "fcmovb", 1);
  assertEquals(st(R, 0), PI);
  call(cpu, "fucomip", 1);
  assertEquals(S.arithFlags(R), S.ZF);
  assertEquals((R[S.FSW] >>> 11) & 7, 1);
});

Deno.test("An unmasked overflow leaves memory as it was and keeps the operand on the stack", () => {
  const cpu = fpuTestCpu(), { R } = cpu;
  R[S.FCW] = 0x37f & ~8;
  R[S.FTAG] = 1;
  setSt(R, 0, "7ffe:8000000000000000");
  R[S.INSN_EA] = 0x200;
  cpu.store32(0x200, 0x12345678);
  call(cpu, "fstp_m32");
  assertEquals(R[S.SCRATCH], 0x12345678);
  assertEquals(R[S.FTAG], 1);
  assertEquals(R[S.FSW] & 0x80ff, 0x8088);
});

Deno.test("A stack underflow gives the indefinite and clears C1, an overflow sets it", () => {
  const cpu = fpuTestCpu(), { R } = cpu;
  call(cpu, "fadd_st0", 1);
  assertEquals(st(R, 0), INDEFINITE);
  assertEquals(R[S.FSW] & 0x27f, 0x41);
  R[S.FTAG] = 0xff;
  call(cpu, "fld1");
  assertEquals(st(R, 0), INDEFINITE);
  assertEquals(R[S.FSW] & 0x27f, 0x241);
});

Deno.test("Instructions note their opcode, their place and their operand's", () => {
  const cpu = fpuTestCpu(), { R } = cpu;
  R[S.INSN_IP] = 0x4321;
  R[S.INSN_FOP] = 0x105;
  R[S.INSN_EA] = 0x888;
  call(cpu, "fld_m32");
  R[S.INSN_IP] = 0x5000;
  call(cpu, "fnstsw_ax");
  assertEquals(
    [R[S.FIP], R[S.FOP], R[S.FCS], R[S.FDP], R[S.FDS]],
    [0x4321, 0x105, 8, 0x888, 0x10],
  );
});

Deno.test("FNSAVE and FRSTOR round-trip in all four formats", () => {
  for (const [bits, real] of [[32, false], [16, false], [32, true], [16, true]] as const) {
    const cpu = fpuTestCpu(), { R } = cpu;
    cpu.operandSize = bits;
    if (real) R[S.CR0] &= ~S.CR0_PE;
    R[S.FCW] = 0x27f;
    R[S.FSW] = 0x1922;
    R[S.FTAG] = 0x0f;
    for (let i = 0; i < 8; i++) setSt(R, i, `40${i}0:c90fdaa22168c23${i}`);
    R[S.FIP] = 0x1234;
    R[S.FOP] = 0x7aa;
    R[S.FCS] = 8;
    const before = R.slice(S.FCW, S.ST0 + 32);
    call(cpu, "fnsave");
    assertEquals([R[S.FCW], R[S.FSW], R[S.FTAG]], [0x37f, 0, 0]);
    call(cpu, "frstor");
    const after = R.slice(S.FCW, S.ST0 + 32);
    // A real-mode image knows a linear address only; a 16-bit protected-mode one has no opcode.
    if (real) assertEquals(R[S.FIP], 0x1234 + 0x80);
    for (const word of [S.FIP, S.FCS, S.FOP]) after[word - S.FCW] = before[word - S.FCW];
    assertEquals(after, before, `${bits} bits, real ${real}`);
  }
});

Deno.test("FNSTENV computes the tag word and masks all exceptions", () => {
  const cpu = fpuTestCpu(), { R } = cpu;
  R[S.FCW] = 0x340;
  R[S.FTAG] = 0b1111;
  setSt(R, 0, ONE);
  setSt(R, 1, "0000:0000000000000000");
  setSt(R, 2, "7fff:8000000000000000");
  setSt(R, 3, "0000:0000000000000001");
  R[S.FIP] = 0x12345678;
  R[S.FOP] = 0x123;
  R[S.FCS] = 8;
  call(cpu, "fnstenv");
  const words = [...R.subarray(S.SCRATCH, S.SCRATCH + 7)].map((w) => hex(w));
  assertEquals(words.slice(0, 5), ["ffff0340", "ffff0000", "ffffffa4", "12345678", "01230008"]);
  assertEquals(R[S.FCW], 0x37f);
});

Deno.test("FNSTENV in real mode stores linear addresses", () => {
  const cpu = fpuTestCpu(), { R } = cpu;
  R[S.CR0] &= ~S.CR0_PE;
  R[S.FIP] = 0x5678;
  R[S.FCS] = 0xf000;
  R[S.FOP] = 0x123;
  R[S.FDP] = 0x10;
  R[S.FDS] = 0x1234;
  call(cpu, "fnstenv");
  const words = [...R.subarray(S.SCRATCH + 3, S.SCRATCH + 7)].map((w) => hex(w));
  assertEquals(words, ["ffff5678", "0000f123", "ffff2350", "00001000"]);
  cpu.operandSize = 16;
  call(cpu, "fnstenv");
  const short = [3, 4, 5, 6].map((i) => hex(cpu.view.getUint16(S.SCRATCH * 4 + 2 * i, true), 4));
  assertEquals(short, ["5678", "f123", "2350", "1000"]);
});

Deno.test("FXSAVE and FXRSTOR keep everything, XMM and MXCSR where they are switched on", () => {
  const cpu = fpuTestCpu(), { R } = cpu;
  R[S.FSW] = 0x2800;
  R[S.FTAG] = 0x83;
  R[S.MXCSR] = 0x3f80;
  for (let i = 0; i < 8; i++) setSt(R, i, `400${i}:c90fdaa22168c235`);
  for (let i = 0; i < 32; i++) R[S.XMM0 + i] = i * 0x01010101;
  const before = R.slice(S.FCW, S.XMM0 + 32);
  call(cpu, "fxsave");
  assertEquals(hex(R[S.SCRATCH]), "2800037f");
  assertEquals(R[S.SCRATCH + 1] & 0xff, 0x83);
  assertEquals(hex(R[S.SCRATCH + 7]), "0000ffff");
  R.fill(0, S.FCW, S.XMM0 + 32);
  call(cpu, "fxrstor");
  assertEquals(R.slice(S.FCW, S.XMM0 + 32), before);

  R[S.CR4] &= ~S.CR4_OSFXSR;
  R[S.XMM0] = 77;
  call(cpu, "fxrstor");
  assertEquals(R[S.XMM0], 77);
});

Deno.test("FXRSTOR refuses reserved MXCSR bits and misaligned images", () => {
  const cpu = fpuTestCpu(), { R } = cpu;
  R[S.SCRATCH + 6] = 0x10000;
  assertEquals(vectorOf(cpu, () => call(cpu, "fxrstor")), S.GP);
  R[S.SCRATCH + 6] = 0x1f80;
  R[S.INSN_EA] = 8;
  assertEquals(vectorOf(cpu, () => call(cpu, "fxrstor")), S.GP);
  assertEquals(vectorOf(cpu, () => call(cpu, "fxsave")), S.GP);
});

Deno.test("x87 instructions raise #NM with CR0.EM or CR0.TS, FWAIT with MP and TS", () => {
  const cpu = fpuTestCpu(), { R } = cpu;
  const raised = (guard: string, cr0: number) => {
    R[S.CR0] = cr0;
    return vectorOf(cpu, () => FPU_GUARDS[guard](cpu));
  };
  assertEquals(raised("x87", S.CR0_NE), -1);
  assertEquals(raised("x87", S.CR0_NE | S.CR0_EM), S.NM);
  assertEquals(raised("x87nowait", S.CR0_NE | S.CR0_TS), S.NM);
  assertEquals(raised("fwait", S.CR0_NE | S.CR0_TS), -1);
  assertEquals(raised("fwait", S.CR0_NE | S.CR0_TS | S.CR0_MP), S.NM);
  assertEquals(raised("fwait", S.CR0_NE | S.CR0_EM), -1);
});

Deno.test("An unmasked exception is #MF at the next waiting instruction with CR0.NE, FERR# without", () => {
  const cpu = fpuTestCpu(), { R } = cpu;
  const levels: boolean[] = [];
  cpu.ferr = (level) => levels.push(level);
  R[S.FCW] = 0x37f & ~4;
  const divide = () => {
    call(cpu, "fninit");
    R[S.FCW] = 0x37f & ~4;
    call(cpu, "fld1");
    call(cpu, "fldz");
    call(cpu, "fdivp", 1);
  };
  divide();
  assertEquals(R[S.FSW] & 0x80ff, 0x8084);
  assertEquals(vectorOf(cpu, () => FPU_GUARDS.x87nowait(cpu)), -1);
  assertEquals(vectorOf(cpu, () => FPU_GUARDS.x87(cpu)), S.MF);
  assertEquals(vectorOf(cpu, () => FPU_GUARDS.fwait(cpu)), S.MF);
  assertEquals(levels, []);
  call(cpu, "fnclex");
  assertEquals(vectorOf(cpu, () => FPU_GUARDS.x87(cpu)), -1);

  R[S.CR0] &= ~S.CR0_NE;
  divide();
  assertEquals(levels, [true]);
  assertEquals(vectorOf(cpu, () => FPU_GUARDS.x87(cpu)), -1);
  call(cpu, "fnclex");
  assertEquals(levels, [true, true, false]);
});

Deno.test("FLDCW raises and lowers the exception summary as it masks and unmasks", () => {
  const cpu = fpuTestCpu(), { R } = cpu;
  R[S.FSW] = 4;
  R[S.SCRATCH] = 0x37b;
  call(cpu, "fldcw");
  assertEquals(R[S.FSW], 0x8084);
  R[S.SCRATCH] = 0xffff;
  call(cpu, "fldcw");
  assertEquals(R[S.FSW], 4);
  assertEquals(R[S.FCW], 0x1f7f);
});

Deno.test("Every x87 row names a helper and a guard that exist, and every helper has a row", () => {
  const named = new Set(FPU_ROWS.map((r) => r.semantic));
  for (const r of FPU_ROWS) {
    assert(r.semantic in FPU_HELPERS, r.semantic);
    assert(r.guard !== undefined && r.guard in FPU_GUARDS, r.opcode);
  }
  for (const name of Object.keys(FPU_HELPERS)) assert(named.has(name), name);
});
