/** SSE2 instructions: doubles, and integers in XMM registers (SDM vol. 1, chapter 11). */
import type { X86 } from "../cpu.ts";
import { TRUNCATE } from "../fpu/softfloat.ts";
import type { Helper } from "../rows.ts";
import * as S from "../state.ts";
import * as L from "./float.ts";
import { XMM_LANES } from "./lanes.ts";
import { storeMasked, touch, touchWritten } from "./mmx.ts";
import { byteMask, lane16, PACKED, shiftCount, SHIFTS, shuffleWords } from "./packed.ts";
import { commit4, move8, move8T, toGeneral } from "./sse.ts";

const { T } = L;
const { SCRATCH } = S;

function packed(op: number): Helper {
  return (cpu, a, b) => {
    L.settle(cpu, L.lane64(cpu, op, a, b, 0) | L.lane64(cpu, op, a + 2, b + 2, 2));
    commit4(cpu.R, a);
  };
}

function scalar(op: number): Helper {
  return (cpu, a, b) => {
    L.settle(cpu, L.lane64(cpu, op, a, b, 0));
    move8T(cpu.R, a);
  };
}

const OPERATIONS: [string, number][] = [
  ["sqrt", L.SQRT],
  ["add", L.ADD],
  ["mul", L.MUL],
  ["sub", L.SUB],
  ["min", L.MIN],
  ["div", L.DIV],
  ["max", L.MAX],
];

/** Two doubles to two integers in T[0..1]. */
function doublesToInts(cpu: X86, b: number, rc: number): void {
  L.settle(cpu, L.toInt32(cpu.R, true, b, rc, 0) | L.toInt32(cpu.R, true, b + 2, rc, 1));
}

function doublesToMmx(cpu: X86, a: number, b: number, rc: number): void {
  // The x87 state changes even if the conversion then raises #XM.
  touch(cpu.R);
  doublesToInts(cpu, b, rc);
  move8T(cpu.R, a);
  touchWritten(cpu.R, a);
}

/** CVTPD2DQ, CVTTPD2DQ. */
function doublesToLow(cpu: X86, a: number, b: number, rc: number): void {
  doublesToInts(cpu, b, rc);
  move8T(cpu.R, a);
  cpu.R[a + 2] = cpu.R[a + 3] = 0;
}

/** CVTPS2DQ, CVTTPS2DQ. */
function singlesToInts(cpu: X86, a: number, b: number, rc: number): void {
  let flags = 0;
  for (let i = 0; i < 4; i++) flags |= L.toInt32(cpu.R, false, b + i, rc, i);
  L.settle(cpu, flags);
  commit4(cpu.R, a);
}

/** Two integers at b to two doubles at a. */
function intsToDoubles(R: Int32Array, a: number, b: number): void {
  const high = R[b + 1];
  L.intTo64(R[b], 0);
  L.intTo64(high, 2);
  commit4(R, a);
}

/** PSLLDQ and PSRLDQ by bytes. */
function shiftBytes(cpu: X86, a: number, count: number, left: boolean): void {
  const bytes = cpu.U8.subarray(a * 4, a * 4 + 16), n = Math.min(count & 255, 16);
  if (left) {
    bytes.copyWithin(n, 0);
    bytes.fill(0, 0, n);
  } else {
    bytes.copyWithin(0, n);
    bytes.fill(0, 16 - n);
  }
}

/** Helpers of this file. Those that MMX has as well end in `_x`. */
export const SSE2: Record<string, Helper> = {
  ...XMM_LANES,
  movsd: (cpu, a, b) => {
    const R = cpu.R;
    move8(R, a, b);
    if (b === SCRATCH) R[a + 2] = R[a + 3] = 0;
  },
  /** MOVQ to a register, MOVD from MMX's side: the upper half becomes zero. */
  movq_x: (cpu, a, b) => {
    const R = cpu.R;
    move8(R, a, b);
    if (a !== SCRATCH) R[a + 2] = R[a + 3] = 0;
  },
  movd_to_xmm: (cpu, a, value) => {
    const R = cpu.R;
    R[a] = value;
    R[a + 1] = cpu.operandSize === 64 ? R[S.ARG_HI + 1] : 0;
    R[a + 2] = R[a + 3] = 0;
  },
  movd_from_xmm: (cpu, _, b) => {
    if (cpu.operandSize === 64) cpu.R[S.HIGH] = cpu.R[b + 1];
    return cpu.R[b];
  },
  movq2dq: (cpu, a, b) => {
    const R = cpu.R;
    move8(R, a, b);
    R[a + 2] = R[a + 3] = 0;
    touch(R);
  },
  movdq2q: (cpu, a, b) => {
    move8(cpu.R, a, b);
    touchWritten(cpu.R, a);
  },
  movmskpd: (cpu, _, b) => (cpu.R[b + 1] >>> 31) | ((cpu.R[b + 3] >>> 30) & 2),
  unpcklpd: (cpu, a, b) => move8(cpu.R, a + 2, b),
  unpckhpd: (cpu, a, b) => {
    const R = cpu.R, lo = R[b + 2], hi = R[b + 3];
    move8(R, a, a + 2);
    R[a + 2] = lo;
    R[a + 3] = hi;
  },
  shufpd: (cpu, a, b, order) => {
    const R = cpu.R, x = a + (order & 1) * 2, y = b + (order & 2);
    const lo = R[y], hi = R[y + 1];
    move8(R, a, x);
    R[a + 2] = lo;
    R[a + 3] = hi;
  },
  cmppd: (cpu, a, b, predicate) => {
    const R = cpu.R;
    L.settle(cpu, L.compare64(R, a, b, predicate, 0) | L.compare64(R, a + 2, b + 2, predicate, 2));
    commit4(R, a);
  },
  cmpsd: (cpu, a, b, predicate) => {
    L.settle(cpu, L.compare64(cpu.R, a, b, predicate, 0));
    move8T(cpu.R, a);
  },
  ucomisd: (cpu, a, b) => L.compareFlags(cpu, true, a, b, true),
  comisd: (cpu, a, b) => L.compareFlags(cpu, true, a, b, false),
  cvtps2pd: (cpu, a, b) => {
    const R = cpu.R;
    L.settle(cpu, L.widen(R, R[b], 0) | L.widen(R, R[b + 1], 2));
    commit4(R, a);
  },
  cvtpd2ps: (cpu, a, b) => {
    const R = cpu.R;
    L.settle(cpu, L.narrow(R, b, 0) | L.narrow(R, b + 2, 1));
    move8T(R, a);
    R[a + 2] = R[a + 3] = 0;
  },
  cvtss2sd: (cpu, a, b) => {
    L.settle(cpu, L.widen(cpu.R, cpu.R[b], 0));
    move8T(cpu.R, a);
  },
  cvtsd2ss: (cpu, a, b) => {
    L.settle(cpu, L.narrow(cpu.R, b, 0));
    cpu.R[a] = T[0];
  },
  cvtdq2ps: (cpu, a, b) => {
    const R = cpu.R;
    let flags = 0;
    for (let i = 0; i < 4; i++) flags |= L.intTo32(R, R[b + i], i);
    L.settle(cpu, flags);
    commit4(R, a);
  },
  cvtps2dq: (cpu, a, b) => singlesToInts(cpu, a, b, L.rounding(cpu.R)),
  cvttps2dq: (cpu, a, b) => singlesToInts(cpu, a, b, TRUNCATE),
  cvtdq2pd: (cpu, a, b) => intsToDoubles(cpu.R, a, b),
  cvtpd2dq: (cpu, a, b) => doublesToLow(cpu, a, b, L.rounding(cpu.R)),
  cvttpd2dq: (cpu, a, b) => doublesToLow(cpu, a, b, TRUNCATE),
  cvtpi2pd: (cpu, a, b) => {
    intsToDoubles(cpu.R, a, b);
    // A memory operand leaves the MMX and x87 state alone.
    if (b !== SCRATCH) touch(cpu.R);
  },
  cvtpd2pi: (cpu, a, b) => doublesToMmx(cpu, a, b, L.rounding(cpu.R)),
  cvttpd2pi: (cpu, a, b) => doublesToMmx(cpu, a, b, TRUNCATE),
  cvtsi2sd: (cpu, a, value) => {
    const R = cpu.R;
    if (cpu.operandSize === 64) L.settle(cpu, L.longTo64(R, value, R[S.ARG_HI + 1]));
    else L.intTo64(value, 0);
    move8T(R, a);
  },
  cvtsd2si: (cpu, _, b) => toGeneral(cpu, true, b, L.rounding(cpu.R)),
  cvttsd2si: (cpu, _, b) => toGeneral(cpu, true, b, TRUNCATE),
  pshufd: (cpu, a, b, order) => {
    const R = cpu.R;
    for (let i = 0; i < 4; i++) T[i] = R[b + ((order >> (2 * i)) & 3)];
    commit4(R, a);
  },
  pshuflw: (cpu, a, b, order) => {
    const R = cpu.R, lo = R[b + 2], hi = R[b + 3];
    shuffleWords(R, a, b, order);
    R[a + 2] = lo;
    R[a + 3] = hi;
  },
  pshufhw: (cpu, a, b, order) => {
    const R = cpu.R, lo = R[b], hi = R[b + 1];
    shuffleWords(R, a + 2, b + 2, order);
    R[a] = lo;
    R[a + 1] = hi;
  },
  pinsrw_x: (cpu, a, value, n) => {
    const R = cpu.R, shift = (n & 1) << 4, i = a + ((n >> 1) & 3);
    R[i] = (R[i] & ~(0xffff << shift)) | ((value & 0xffff) << shift);
  },
  pextrw_x: (cpu, _, b, n) => lane16(cpu.R, b, n & 7),
  pmovmskb_x: (cpu, _, b) => byteMask(cpu.R, b, 4),
  maskmovdqu: (cpu, a, b) => storeMasked(cpu, a, b, 16),
  pslldq: (cpu, a, count) => shiftBytes(cpu, a, count, true),
  psrldq: (cpu, a, count) => shiftBytes(cpu, a, count, false),
  punpcklqdq: (cpu, a, b) => move8(cpu.R, a + 2, b),
};
SSE2.punpckhqdq = SSE2.unpckhpd;

for (const [name, op] of OPERATIONS) {
  SSE2[`${name}pd`] = packed(op);
  SSE2[`${name}sd`] = scalar(op);
}
for (const [name, operation] of Object.entries(PACKED)) {
  SSE2[`${name}_x`] = (cpu, a, b) => operation(cpu.R, a, b, 4);
}
for (const [name, operation] of Object.entries(SHIFTS)) {
  SSE2[`${name}_x`] = (cpu, a, b) => operation(cpu.R, a, shiftCount(cpu.R, b), 4);
  SSE2[`${name}_xi`] = (cpu, a, count) => operation(cpu.R, a, Math.min(count & 255, 64), 4);
}
