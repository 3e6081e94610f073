import { assertEquals, assertNotEquals } from "@std/assert";
import * as S from "../x86/state.ts";
import { type TestMachine, testMachine } from "./testing.ts";

/** A real-mode machine on which vector n leads to 2000h + n. */
function realMode(model: string): TestMachine {
  const m = testMachine({ bits: 16, model });
  for (let v = 0; v < 32; v++) m.put(v * 4, v, 0x20, 0, 0);
  m.R[S.CR0] &= ~(S.CR0_EM | S.CR0_TS);
  m.R[S.CR4] |= S.CR4_OSFXSR | S.CR4_OSXMMEXCPT;
  return m;
}

/** Executes one instruction: the vector it raises, or -1. */
function execute(m: TestMachine, ...code: number[]): number {
  m.R[S.RIP] = 0x1000;
  m.put(0x1000, ...code);
  m.cpu.run(1);
  const at = m.R[S.RIP];
  if (at < 0x2000) assertEquals(at, 0x1000 + code.length);
  return at < 0x2000 ? -1 : at - 0x2000;
}

/** One instruction of each feature. */
const ONE: Record<string, number[]> = {
  ssse3: [0x66, 0x0f, 0x38, 0x00, 0xc1],
  sse4_1: [0x66, 0x0f, 0x38, 0x17, 0xc1],
  sse4_2: [0xf2, 0x0f, 0x38, 0xf0, 0xc1],
  pclmulqdq: [0x66, 0x0f, 0x3a, 0x44, 0xc1, 0x11],
  aes: [0x66, 0x0f, 0x38, 0xdc, 0xc1],
  sha_ni: [0x0f, 0x38, 0xcc, 0xc1],
  popcnt: [0xf3, 0x0f, 0xb8, 0xc1],
  movbe: [0x0f, 0x38, 0xf0, 0x06, 0x00, 0x30],
  adx: [0x66, 0x0f, 0x38, 0xf6, 0xc1],
  rdrand: [0x0f, 0xc7, 0xf0],
  rdseed: [0x0f, 0xc7, 0xf8],
  rdtscp: [0x0f, 0x01, 0xf9],
  rdpid: [0xf3, 0x0f, 0xc7, 0xf8],
  clflushopt: [0x66, 0x0f, 0xae, 0x3e, 0x00, 0x30],
  clwb: [0x66, 0x0f, 0xae, 0x36, 0x00, 0x30],
};

Deno.test("each extension's feature decides whether its instructions exist", () => {
  const without = ["max", ...Object.keys(ONE).map((feature) => `-${feature}`)].join(",");
  const all = realMode("max"), none = realMode(without);
  for (const [feature, code] of Object.entries(ONE)) {
    assertEquals(execute(all, ...code), -1, feature);
    assertEquals(execute(none, ...code), S.UD, feature);
  }
});

Deno.test("without their features TZCNT and LZCNT are BSF and BSR, for which zero changes nothing", () => {
  const value = (m: TestMachine, op: number, source: number) => {
    [m.R[S.RAX], m.R[S.RCX]] = [0x55, source];
    assertEquals(execute(m, 0xf3, 0x0f, op, 0xc1), -1);
    return m.R[S.RAX];
  };
  const all = realMode("max"), none = realMode("max,-bmi1,-abm");
  const both = (source: number) =>
    [all, none].map((m) => [value(m, 0xbc, source), value(m, 0xbd, source)]);
  assertEquals(both(0x10), [[4, 11], [4, 4]]);
  assertEquals(both(0), [[16, 16], [0x55, 0x55]]);
});

const ANDN = [0xc4, 0xe2, 0x70, 0xf2, 0xc2]; // andn eax, ecx, edx

Deno.test("VEX instructions are #UD in real mode, and without their feature", () => {
  assertEquals(execute(realMode("max"), ...ANDN), S.UD);
  const run = (model: string) => {
    const m = testMachine({ model });
    [m.R[S.RCX], m.R[S.RDX]] = [0xf0, 0xff];
    m.put(0x1000, ...ANDN);
    m.cpu.run(1);
    return m.R[S.RAX];
  };
  assertEquals(run("max"), 0x0f);
  assertEquals(run("max,-bmi1"), 0);
});

Deno.test("C4 and C5 with memory are still LES and LDS outside 64-bit mode", () => {
  const m = realMode("max");
  m.put(0x3000, 0x34, 0x12, 0x78, 0x56);
  assertEquals(execute(m, 0xc4, 0x06, 0x00, 0x30), -1);
  assertEquals([m.R[S.RAX], m.R[S.SEG_SEL + S.ES]], [0x1234, 0x5678]);
  assertEquals(execute(m, 0xc5, 0xc0, 0, 0), S.UD);
});

Deno.test("extensions of SSE need CR4.OSFXSR, CR0.EM clear and CR0.TS clear", () => {
  const m = realMode("max"), { R } = m, cr0 = R[S.CR0], cr4 = R[S.CR4];
  const under = (name: string, clear4: number, set0: number) => {
    R[S.CR4] = cr4 & ~clear4;
    R[S.CR0] = cr0 | set0;
    return execute(m, ...ONE[name]);
  };
  for (const name of ["ssse3", "sse4_1", "aes", "sha_ni", "pclmulqdq"]) {
    assertEquals(under(name, S.CR4_OSFXSR, 0), S.UD);
    assertEquals(under(name, 0, S.CR0_EM | S.CR0_TS), S.UD);
    assertEquals(under(name, 0, S.CR0_TS), S.NM);
  }
  // CRC32 and those on general registers need none of it.
  assertEquals(under("sse4_2", S.CR4_OSFXSR, S.CR0_EM | S.CR0_TS), -1);
});

Deno.test("a misaligned operand of 16 bytes is #GP(0), but for string comparison", () => {
  const m = realMode("max");
  assertEquals(execute(m, 0x66, 0x0f, 0x38, 0x00, 0x06, 0x01, 0x30), S.GP);
  // AMD's processors, max among them, do not mind with SHA instructions; Intel's do.
  const sha = [0x0f, 0x38, 0xcc, 0x06, 0x01, 0x30];
  assertEquals(execute(m, ...sha), -1);
  assertEquals(execute(realMode("Nehalem,+sha_ni"), ...sha), S.GP);
  assertEquals(execute(m, 0x66, 0x0f, 0x3a, 0x63, 0x06, 0x01, 0x30, 0), -1);
});

Deno.test("RDRAND and RDSEED set CF alone, and give numbers that a snapshot and a second run give again", () => {
  const numbers = (m: TestMachine, count: number) =>
    Array.from({ length: count }, (_, i) => {
      S.setArithFlags(m.R, S.ZF | S.SF | S.OF | S.AF | S.PF);
      assertEquals(execute(m, 0x66, 0x0f, 0xc7, i % 2 === 0 ? 0xf0 : 0xf8), -1);
      assertEquals(S.arithFlags(m.R), S.CF);
      return m.R[S.RAX];
    });
  const m = realMode("max"), before = m.cpu.snapshot(), first = numbers(m, 64);
  assertEquals(new Set(first).size, 64);
  const second = numbers(m, 64);
  assertNotEquals(second, first);
  m.cpu.restore(before);
  assertEquals(numbers(m, 64), first);
  assertEquals(numbers(realMode("max"), 64), first);
  // RESET does not begin again.
  const state = m.R.slice(S.RANDOM, S.RANDOM + 4);
  m.cpu.reset();
  assertEquals(m.R.slice(S.RANDOM, S.RANDOM + 4), state);
});

Deno.test("RDPID gives TSC_AUX", () => {
  const m = realMode("max");
  m.cpu.x86.msrs.set(0xc0000103, 0x12345678, 0);
  assertEquals(execute(m, ...ONE.rdpid), -1);
  assertEquals(m.R[S.RAX], 0x12345678);
});
