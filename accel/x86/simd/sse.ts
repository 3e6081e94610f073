/** SSE instructions on XMM registers, on singles (SDM vol. 1, chapter 10). */
import type { X86 } from "../cpu.ts";
import { MXCSR_MASK } from "../fpu/control.ts";
import { TRUNCATE } from "../fpu/softfloat.ts";
import type { Helper } from "../rows.ts";
import * as S from "../state.ts";
import * as L from "./float.ts";
import { touch, touchWritten } from "./mmx.ts";
import { RECIPROCAL } from "./reciprocal.ts";

const { T } = L;
const { MXCSR, SCRATCH } = S;

/** Moves T[0..3] to the XMM register at a. */
export function commit4(R: Int32Array, a: number): void {
  R[a] = T[0];
  R[a + 1] = T[1];
  R[a + 2] = T[2];
  R[a + 3] = T[3];
}

/** Copies the 16 bytes at b to a. */
export function move16(cpu: X86, a: number, b: number): void {
  const R = cpu.R;
  R[a] = R[b];
  R[a + 1] = R[b + 1];
  R[a + 2] = R[b + 2];
  R[a + 3] = R[b + 3];
}

/** Copies the 8 bytes at b to a. */
export function move8(R: Int32Array, a: number, b: number): void {
  R[a] = R[b];
  R[a + 1] = R[b + 1];
}

function packed(op: number): Helper {
  return (cpu, a, b) => {
    const flags = L.lane32(cpu, op, a, b, 0) | L.lane32(cpu, op, a + 1, b + 1, 1) |
      L.lane32(cpu, op, a + 2, b + 2, 2) | L.lane32(cpu, op, a + 3, b + 3, 3);
    L.settle(cpu, flags);
    commit4(cpu.R, a);
  };
}

function scalar(op: number): Helper {
  return (cpu, a, b) => {
    L.settle(cpu, L.lane32(cpu, op, a, b, 0));
    cpu.R[a] = T[0];
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

/** CVTPS2PI, CVTTPS2PI. */
function toMmx(cpu: X86, a: number, b: number, rc: number): void {
  const R = cpu.R;
  // The x87 state changes even if the conversion then raises #XM.
  touch(R);
  L.settle(cpu, L.toInt32(R, false, b, rc, 0) | L.toInt32(R, false, b + 1, rc, 1));
  move8T(R, a);
  touchWritten(R, a);
}

/** Moves T[0..1] to a. */
export function move8T(R: Int32Array, a: number): void {
  R[a] = T[0];
  R[a + 1] = T[1];
}

/** CVTSS2SI, CVTTSS2SI, and those of doubles: to 32 or 64 bits, as the operand size says. */
export function toGeneral(cpu: X86, double: boolean, b: number, rc: number): number {
  const R = cpu.R;
  if (cpu.operandSize === 64) {
    L.settle(cpu, L.toInt64(R, double, b, rc));
    R[S.HIGH] = T[1];
  } else L.settle(cpu, L.toInt32(R, double, b, rc, 0));
  return T[0];
}

/** Helpers of this file. */
export const SSE: Record<string, Helper> = {
  ...RECIPROCAL,
  mov16: move16,
  movss: (cpu, a, b) => {
    const R = cpu.R;
    R[a] = R[b];
    // A load clears the rest of the register, a copy does not.
    if (b === SCRATCH) R[a + 1] = R[a + 2] = R[a + 3] = 0;
  },
  mov_low: (cpu, a, b) => move8(cpu.R, a, b),
  mov_to_high: (cpu, a, b) => move8(cpu.R, a + 2, b),
  mov_from_high: (cpu, a, b) => move8(cpu.R, a, b + 2),
  movmskps: (cpu, _, b) => {
    const R = cpu.R;
    return (R[b] >>> 31) | ((R[b + 1] >>> 30) & 2) | ((R[b + 2] >>> 29) & 4) |
      ((R[b + 3] >>> 28) & 8);
  },
  unpcklps: (cpu, a, b) => {
    const R = cpu.R, x1 = R[a + 1], y0 = R[b], y1 = R[b + 1];
    R[a + 1] = y0;
    R[a + 2] = x1;
    R[a + 3] = y1;
  },
  unpckhps: (cpu, a, b) => {
    const R = cpu.R, y2 = R[b + 2], y3 = R[b + 3];
    R[a] = R[a + 2];
    R[a + 1] = y2;
    R[a + 2] = R[a + 3];
    R[a + 3] = y3;
  },
  shufps: (cpu, a, b, order) => {
    const R = cpu.R;
    const r0 = R[a + (order & 3)], r1 = R[a + ((order >> 2) & 3)];
    const r2 = R[b + ((order >> 4) & 3)], r3 = R[b + ((order >> 6) & 3)];
    R[a] = r0;
    R[a + 1] = r1;
    R[a + 2] = r2;
    R[a + 3] = r3;
  },
  cmpps: (cpu, a, b, predicate) => {
    const R = cpu.R;
    let flags = 0;
    for (let i = 0; i < 4; i++) flags |= L.compare32(R, a + i, b + i, predicate, i);
    L.settle(cpu, flags);
    commit4(R, a);
  },
  cmpss: (cpu, a, b, predicate) => {
    L.settle(cpu, L.compare32(cpu.R, a, b, predicate, 0));
    cpu.R[a] = T[0];
  },
  ucomiss: (cpu, a, b) => L.compareFlags(cpu, false, a, b, true),
  comiss: (cpu, a, b) => L.compareFlags(cpu, false, a, b, false),
  cvtpi2ps: (cpu, a, b) => {
    const R = cpu.R;
    // Deviation from the manual: a memory operand leaves the MMX and x87 state alone, as for CVTPI2PD.
    // So do AMD's processors.
    if (b !== SCRATCH) touch(R);
    L.settle(cpu, L.intTo32(R, R[b], 0) | L.intTo32(R, R[b + 1], 1));
    move8T(R, a);
  },
  cvtps2pi: (cpu, a, b) => toMmx(cpu, a, b, L.rounding(cpu.R)),
  cvttps2pi: (cpu, a, b) => toMmx(cpu, a, b, TRUNCATE),
  cvtsi2ss: (cpu, a, value) => {
    const R = cpu.R, hi = cpu.operandSize === 64 ? R[S.ARG_HI + 1] : value >> 31;
    L.settle(cpu, L.longTo32(R, value, hi, 0));
    R[a] = T[0];
  },
  cvtss2si: (cpu, _, b) => toGeneral(cpu, false, b, L.rounding(cpu.R)),
  cvttss2si: (cpu, _, b) => toGeneral(cpu, false, b, TRUNCATE),
  ldmxcsr: (cpu, value) => {
    if ((value & ~MXCSR_MASK) !== 0) cpu.raise(S.GP, 0);
    cpu.R[MXCSR] = value;
  },
  stmxcsr: (cpu) => cpu.R[MXCSR],
  movnti: (cpu, _, value) => {
    if (cpu.operandSize === 64) cpu.R[S.HIGH] = cpu.R[S.ARG_HI + 1];
    return value;
  },
  /** PREFETCHh, the fences, and CLFLUSH once its operand was read: nothing to see. */
  nothing: () => {},
};

for (const [name, op] of OPERATIONS) {
  SSE[`${name}ps`] = packed(op);
  SSE[`${name}ss`] = scalar(op);
}
