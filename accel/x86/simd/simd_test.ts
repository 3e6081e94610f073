import { assert, assertEquals } from "@std/assert";
import { fpuTestCpu, hex, vectorOf } from "../fpu/testing.ts";
import type { X86 } from "../cpu.ts";
import type { Row } from "../rows.ts";
import * as S from "../state.ts";
import { OPERANDS, RECORDED } from "./recorded.ts";
import { EXTENSION_HELPERS, EXTENSION_ROWS } from "./extension_rows.ts";
import { SIMD_GUARDS, SIMD_HELPERS, SIMD_ROWS } from "./rows.ts";

const { XMM0, ST0 } = S;
const X1 = XMM0 + 4, X2 = XMM0 + 8, M1 = ST0 + 4, M2 = ST0 + 8;

function call(cpu: X86, name: string, ...args: number[]): number | void {
  return SIMD_HELPERS[name](cpu, args[0], args[1], args[2]);
}

/** Puts words, lowest first, at an index. */
function put(cpu: X86, at: number, words: string): void {
  words.split(" ").forEach((w, i) => cpu.R[at + i] = parseInt(w, 16));
}

function words(cpu: X86, at: number, count = 4): string {
  return [...cpu.R.subarray(at, at + count)].map((w) => hex(w)).join(" ");
}

/** Runs the register form of a row on xmm1, xmm2, mm1, mm2 and EAX; gives the first operand. */
function runRow(cpu: X86, row: Row): string {
  let first = "-";
  const args: number[] = [];
  const operands = row.operands === "" ? [] : row.operands.split(",");
  let result: (value: number | void) => void = () => {};
  operands.forEach((text, i) => {
    const kind = text.replace(/[=+]/, "")[0];
    const at = { V: X1, W: X2, U: X2, P: M1, Q: M2, N: M2 }[kind];
    if (at !== undefined) {
      args.push(at);
      if (i === 0) result = () => first = words(cpu, at, "VWU".includes(kind) ? 4 : 2);
    } else if (kind === "I") {
      args.push(/cmp/.test(row.semantic) ? 6 : /shuf/.test(row.semantic) ? 0x1b : 3);
    } else {
      args.push(text.endsWith("w") ? 0xcdef : 0x89abcdef | 0);
      if (i === 0) result = (value) => first = hex(value as number);
    }
  });
  SIMD_GUARDS[row.guard!](cpu);
  result(call(cpu, row.semantic, ...args));
  return first;
}

Deno.test("MMX and SSE instructions give in every bit what silicon gave", () => {
  const cpu = fpuTestCpu(), { R } = cpu;
  const rows = new Map(SIMD_ROWS.map((r) => [`${r.opcode}: ${r.semantic}`, r]));
  for (const line of RECORDED) {
    const [left, want] = line.split(" = ");
    const key = left.slice(0, left.lastIndexOf(" ")), set = Number(left.slice(key.length));
    const row = rows.get(key);
    assert(row !== undefined, key);
    R[S.MXCSR] = 0x1f80;
    R[S.FSW] = 0x2800;
    R[S.FTAG] = 0;
    S.setArithFlags(R, 0);
    OPERANDS[set].forEach((text, i) => {
      put(cpu, i === 0 ? X1 : X2, text);
      put(cpu, i === 0 ? M1 : M2, text.slice(0, 17));
    });
    const first = runRow(cpu, row);
    const state = [
      hex(R[S.MXCSR], 4),
      hex(R[S.FSW], 4),
      hex(R[S.FTAG], 2),
      hex(S.arithFlags(R), 3),
    ];
    assertEquals(`${state.join(" ")} ${first}`, want, line);
  }
});

Deno.test("MMX writes set the register's exponent to all ones, reads do not", () => {
  const cpu = fpuTestCpu(), { R } = cpu;
  R[M1 + 2] = 0x3fff;
  R[M2 + 2] = 0x3fff;
  call(cpu, "paddb", M1, M2);
  assertEquals([R[M1 + 2], R[M2 + 2]], [0xffff, 0x3fff]);
  call(cpu, "emms");
  assertEquals(R[S.FTAG], 0);
});

Deno.test("A load of a scalar clears the rest of the register, a copy leaves it", () => {
  const cpu = fpuTestCpu();
  put(cpu, X1, "1 2 3 4");
  put(cpu, X2, "5 6 7 8");
  put(cpu, S.SCRATCH, "9 a");
  call(cpu, "movss", X1, X2);
  assertEquals(words(cpu, X1), "00000005 00000002 00000003 00000004");
  call(cpu, "movsd", X1, S.SCRATCH);
  assertEquals(words(cpu, X1), "00000009 0000000a 00000000 00000000");
});

Deno.test("Unmasked SSE exceptions are #XM, or #UD without OSXMMEXCPT, and leave the destination", () => {
  const cpu = fpuTestCpu(), { R } = cpu;
  const divide = (mxcsr: number) => {
    put(cpu, X1, "3f800000 3f800000 3f800000 3f800000");
    put(cpu, X2, "40400000 00000000 3f800000 3f800000");
    R[S.MXCSR] = mxcsr;
    return vectorOf(cpu, () => call(cpu, "divps", X1, X2));
  };
  // Division by zero is found first: the inexact third of the first lane is not reported.
  assertEquals(divide(0x1f80 & ~0x200), S.XM);
  assertEquals(hex(R[S.MXCSR], 4), "1d84");
  assertEquals(R[X1], 0x3f800000);
  assertEquals(divide(0x1f80 & ~0x1000), S.XM);
  assertEquals(hex(R[S.MXCSR], 4), "0fa4");
  R[S.CR4] &= ~S.CR4_OSXMMEXCPT;
  assertEquals(divide(0x1f80 & ~0x200), S.UD);
});

Deno.test("DAZ takes denormals for zeros and FTZ makes zeros of tiny results", () => {
  const cpu = fpuTestCpu(), { R } = cpu;
  const multiply = (mxcsr: number, a: string, b: string) => {
    put(cpu, X1, a);
    put(cpu, X2, b);
    R[S.MXCSR] = mxcsr;
    call(cpu, "mulss", X1, X2);
    return `${hex(R[X1])} ${hex(R[S.MXCSR], 4)}`;
  };
  const DENORMAL = "80000003", TWO = "40000000", SMALL = "00800000", HALF = "3f000000";
  assertEquals(multiply(0x1f80, DENORMAL, TWO), "80000006 1f82");
  assertEquals(multiply(0x1fc0, DENORMAL, TWO), "80000000 1fc0");
  assertEquals(multiply(0x1f80, SMALL, HALF), "00400000 1f80");
  assertEquals(multiply(0x9f80, SMALL, HALF), "00000000 9fb0");
});

Deno.test("The host's arithmetic and softfloat give the same results", () => {
  const cpu = fpuTestCpu(), { R } = cpu;
  let seed = 7;
  const next = () => {
    seed = (Math.imul(seed, 1103515245) + 12345) | 0;
    return seed >>> 0;
  };
  const random = (e: number) => ((next() & 0x80ffffff) | ((e + (next() >>> 29)) << 20)) | 0;
  for (let i = 0; i < 4000; i++) {
    const e = i % 3 === 0 ? 1020 : i % 3 === 1 ? 505 : 1530;
    const a = [next() | 0, random(e), next() | 0, random(e)];
    const b = [next() | 0, random(e), next() | 0, random(e)];
    for (const name of ["addpd", "subpd", "mulpd", "divpd", "addps", "mulps", "divps", "sqrtps"]) {
      const results = [0x1f80, 0x1fa0].map((mxcsr) => {
        R.set(a, X1);
        R.set(b, X2);
        R[S.MXCSR] = mxcsr;
        call(cpu, name, X1, X2);
        return `${words(cpu, X1)} ${hex(R[S.MXCSR] | 0x20)}`;
      });
      assertEquals(results[1], results[0], name);
    }
  }
});

Deno.test("MASKMOVDQU stores the chosen bytes at DS:EDI or DS:DI and checks all before it writes", () => {
  const cpu = fpuTestCpu(), { R } = cpu;
  put(cpu, X1, "03020100 07060504 0b0a0908 0f0e0d0c");
  put(cpu, X2, "80000000 00000080 00000000 80800000");
  R[S.RDI] = 0x11000;
  cpu.addressSize = 16;
  for (let i = 0; i < 4; i++) cpu.store32(0x1000 + 4 * i, -1);
  call(cpu, "maskmovdqu", X1, X2);
  const memory = [0, 1, 2, 3].map((i) => hex(cpu.load32(0x1000 + 4 * i)));
  assertEquals(memory, ["03ffffff", "ffffff04", "ffffffff", "0f0effff"]);
  // A segment that ends in the middle of the operand.
  R[S.SEG_FLAT + S.DS] = 0;
  R[S.SEG_LIMIT + S.DS] = 0x100f;
  R[S.RDI] = 0x1004;
  assertEquals(vectorOf(cpu, () => call(cpu, "maskmovdqu", X1, X2)), S.GP);
  assertEquals(hex(cpu.load32(0x1004)), "ffffff04");
});

Deno.test("LDMXCSR refuses reserved bits", () => {
  const cpu = fpuTestCpu();
  assertEquals(vectorOf(cpu, () => call(cpu, "ldmxcsr", 0x10000)), S.GP);
  call(cpu, "ldmxcsr", 0x9fc0);
  assertEquals(call(cpu, "stmxcsr", 0), 0x9fc0);
});

Deno.test("Reciprocals stay within 1.5 * 2^-12 over all significands", () => {
  const cpu = fpuTestCpu(), { view } = cpu;
  for (let i = 0; i < 1 << 15; i++) {
    const x = 1 + i * 2 ** -14;
    view.setFloat32(X2 * 4, x, true);
    call(cpu, "rcpss", X1, X2);
    assert(Math.abs(view.getFloat32(X1 * 4, true) * x - 1) <= 1.5 * 2 ** -12, `${x}`);
    call(cpu, "rsqrtss", X1, X2);
    assert(Math.abs(view.getFloat32(X1 * 4, true) * Math.sqrt(x) - 1) <= 1.5 * 2 ** -12, `${x}`);
  }
});

Deno.test("MMX and SSE raise #UD and #NM as the control registers say, and MMX pending x87 errors", () => {
  const cpu = fpuTestCpu(), { R } = cpu;
  const raised = (guard: string, cr0: number, cr4: number) => {
    R[S.CR0] = S.CR0_NE | cr0;
    R[S.CR4] = cr4;
    return vectorOf(cpu, () => SIMD_GUARDS[guard](cpu));
  };
  const { CR0_EM, CR0_TS, CR4_OSFXSR } = S;
  assertEquals(raised("mmx", 0, 0), -1);
  assertEquals(raised("mmx", CR0_EM | CR0_TS, 0), S.UD);
  assertEquals(raised("mmx", CR0_TS, 0), S.NM);
  assertEquals(raised("sse", 0, CR4_OSFXSR), -1);
  assertEquals(raised("sse", 0, 0), S.UD);
  assertEquals(raised("sse", CR0_EM, CR4_OSFXSR), S.UD);
  assertEquals(raised("sse", CR0_TS, CR4_OSFXSR), S.NM);
  R[S.FSW] = 0x8081;
  assertEquals(raised("mmx", 0, 0), S.MF);
  assertEquals(raised("sse_mmx", 0, CR4_OSFXSR), S.MF);
  assertEquals(raised("sse", 0, CR4_OSFXSR), -1);
});

Deno.test("Every SIMD row names a helper and a guard that exist, and every helper has a row", () => {
  const rows = [...SIMD_ROWS, ...EXTENSION_ROWS];
  const helpers = { ...SIMD_HELPERS, ...EXTENSION_HELPERS };
  const named = new Set(rows.map((r) => r.semantic));
  for (const r of rows) {
    assert(r.semantic in helpers, r.semantic);
    assert(r.guard === undefined || r.guard in SIMD_GUARDS, r.opcode);
  }
  for (const name of Object.keys(helpers)) assert(named.has(name), name);
});
