/** SSE and MMX instructions that have 64-bit operands in 64-bit code, with REX.W. */
import { assertEquals } from "@std/assert";
import * as S from "../../accel/x86/state.ts";
import { writeCr0, writeCr4, writeEfer } from "../../accel/x86/system/control.ts";
import { A_CODE, Bed, CODE, code, DATA, FREE, LARGE, P, RW } from "./bed.ts";

/** 64-bit code of ring 0, the first 2 MiB where they lie. */
function long(): Bed {
  const bed = new Bed("qemu64").protect(), { R, cpu: { x86 } } = bed;
  bed.write32(0x34000, 0x35000 | P | RW);
  bed.write32(0x35000, 0x36000 | P | RW);
  bed.write32(0x36000, LARGE | P | RW);
  writeEfer(x86, S.EFER_LME, 0);
  writeCr4(x86, S.CR4_PAE | S.CR4_OSFXSR | S.CR4_OSXMMEXCPT);
  R[S.CR3] = 0x34000;
  writeCr0(x86, R[S.CR0] | S.CR0_PG | S.CR0_WP);
  bed.segment(FREE, A_CODE, { flags: 0xa });
  bed.load(S.CS, FREE);
  R[S.RIP] = CODE;
  return bed;
}

const RAX = 0x7ffd8462e5f0n, MINUS = -0x123456789abcdefn;

/** Runs code on RAX and gives RCX; it may use memory at RBX. */
function run(rax: bigint, text: string): bigint {
  const bed = long(), { R } = bed;
  R[S.RAX] = Number(BigInt.asIntN(32, rax));
  R[S.RAX + 1] = Number(BigInt.asIntN(32, rax >> 32n));
  R[S.RBX] = DATA;
  R[S.RBX + 1] = 0;
  R[S.MXCSR] = 0x1f80;
  bed.write32(DATA, Number(rax & 0xffffffffn));
  bed.write32(DATA + 4, Number((rax >> 32n) & 0xffffffffn));
  bed.put(CODE, code(text + "\n f4 ; hlt"));
  assertEquals([bed.run(), R[S.RIP] - CODE], [undefined, code(text).length + 1], text);
  return BigInt.asIntN(64, (BigInt(R[S.RCX + 1]) << 32n) | BigInt(R[S.RCX] >>> 0));
}

Deno.test("MOVQ moves 64 bits between a general register, or memory, and XMM or MMX, MOVD 32", () => {
  const ways = [
    "66 48 0f 6e c0 ; movq xmm0,rax\n 66 48 0f 7e c1 ; movq rcx,xmm0",
    "66 48 0f 6e 03 ; movq xmm0,[rbx]\n 66 48 0f 7e c1 ; movq rcx,xmm0",
    "66 48 0f 6e c0 ; movq xmm0,rax\n 66 48 0f 7e 43 08 ; movq [rbx+8],xmm0\n 48 8b 4b 08 ; mov rcx,[rbx+8]",
    "66 4c 0f 6e c8 ; movq xmm9,rax\n 66 4c 0f 7e c9 ; movq rcx,xmm9",
    "48 0f 6e c0 ; movq mm0,rax\n 48 0f 7e c1 ; movq rcx,mm0",
    "48 0f 6e 03 ; movq mm0,[rbx]\n 48 0f 7e 43 08 ; movq [rbx+8],mm0\n 48 8b 4b 08 ; mov rcx,[rbx+8]",
    "48 0f c3 43 08 ; movnti [rbx+8],rax\n 48 8b 4b 08 ; mov rcx,[rbx+8]",
    // The upper half of the register becomes zero, and the lower is copied there.
    "66 48 0f 6e c0 ; movq xmm0,rax\n 66 0f 6c c0 ; punpcklqdq xmm0,xmm0\n 66 0f 73 d8 08 ; psrldq xmm0,8\n 66 48 0f 7e c1 ; movq rcx,xmm0",
  ];
  for (const way of ways) for (const rax of [RAX, MINUS]) assertEquals(run(rax, way), rax, way);
  const narrow = "66 0f 6e c0 ; movd xmm0,eax\n 66 48 0f 7e c1 ; movq rcx,xmm0";
  assertEquals(run(RAX, narrow), RAX & 0xffffffffn);
  const cut = "66 48 0f 6e c0 ; movq xmm0,rax\n 66 0f 7e c1 ; movd ecx,xmm0";
  assertEquals(run(MINUS, cut), MINUS & 0xffffffffn);
});

Deno.test("Conversions between 64-bit integers and doubles or singles round, saturate to the indefinite, and keep signs", () => {
  const there = "f2 48 0f 2a c0 ; cvtsi2sd xmm0,rax\n",
    single = "f3 48 0f 2a c0 ; cvtsi2ss xmm0,rax\n";
  const bits = "66 48 0f 7e c1 ; movq rcx,xmm0";
  const back = "f2 48 0f 2d c8 ; cvtsd2si rcx,xmm0", cut = "f3 48 0f 2c c8 ; cvttss2si rcx,xmm0";
  const double = (value: number) => new BigInt64Array(new Float64Array([value]).buffer)[0];
  for (const value of [0n, 5n, RAX, MINUS, (1n << 53n) + 1n, (1n << 53n) + 3n, -(1n << 63n)]) {
    assertEquals(run(value, there + bits), double(Number(value)), `${value}`);
    assertEquals(run(value, there + back), BigInt(Number(value)), `${value}`);
    const rounded = BigInt(Math.fround(Number(value)));
    assertEquals(run(value, single + cut), rounded, `${value}`);
  }
  // 2^63 does not fit.
  assertEquals(run((1n << 63n) - 1n, there + back), -(1n << 63n));
  const from = "66 48 0f 6e c0 ; movq xmm0,rax\n";
  assertEquals(run(double(-2.5), from + "f2 48 0f 2c c8 ; cvttsd2si rcx,xmm0"), -2n);
  assertEquals(run(double(-3.5), from + back), -4n);
  assertEquals(run(double(NaN), from + back), -(1n << 63n));
  assertEquals(run(double(2 ** 40), from + back), 1n << 40n);
  // Without REX.W the integer has 32 bits, and the register's upper half becomes zero.
  assertEquals(run(double(-1), from + "f2 0f 2d c8 ; cvtsd2si ecx,xmm0"), 0xffffffffn);
  assertEquals(run(double(2 ** 40), from + "f2 0f 2d c8 ; cvtsd2si ecx,xmm0"), 0x80000000n);
});
