/** MMX instructions, those that SSE and SSE2 added on MMX registers included (SDM vol. 1, chapter 9). */
import type { X86 } from "../cpu.ts";
import type { Helper } from "../rows.ts";
import * as S from "../state.ts";
import { alignmentChecked } from "../system/stack.ts";
import { MMX_LANES } from "./lanes.ts";
import { byteMask, lane16, PACKED, shiftCount, SHIFTS, shuffleWords } from "./packed.ts";

const { FSW, FTAG } = S;

/** What MMX instructions do to the x87 state: TOP becomes 0 and all registers count as full (SDM vol. 1, 9.5). */
export function touch(R: Int32Array): void {
  R[FSW] &= ~0x3800;
  R[FTAG] = 0xff;
}

/** As {@linkcode touch}, for a written register: its exponent becomes all ones. */
export function touchWritten(R: Int32Array, a: number): void {
  R[FSW] &= ~0x3800;
  R[FTAG] = 0xff;
  R[a + 2] = 0xffff;
}

/** MASKMOVQ and MASKMOVDQU: stores at DS:rDI the bytes at a whose masks at b have their top bit set. */
export function storeMasked(cpu: X86, a: number, b: number, size: number): void {
  const { R, U8 } = cpu, mask = byteMask(R, b, size >> 2);
  if (mask === 0) return;
  const offset = cpu.addressSize === 16 ? cpu.U16[S.RDI * 2] : R[S.RDI];
  const at = R[S.LONG] === 1
    ? cpu.linear64(R[S.INSN_SEG], offset, cpu.addressSize === 64 ? R[S.RDI + 1] : 0)
    : cpu.linear(R[S.INSN_SEG], offset, size, true);
  // All is checked before anything is written. Both forms need an alignment of 8 at most.
  if ((at & 7) !== 0 && alignmentChecked(cpu)) cpu.raise(S.AC_FAULT, 0);
  cpu.probeWrite(at, size);
  for (let i = 0; i < size; i++) if ((mask >>> i) & 1) cpu.store8(at + i, U8[a * 4 + i]);
}

/** Helpers of this file. */
export const MMX: Record<string, Helper> = {
  ...MMX_LANES,
  emms: (cpu) => {
    cpu.R[FSW] &= ~0x3800;
    cpu.R[FTAG] = 0;
  },
  movd_to_mmx: (cpu, a, value) => {
    const R = cpu.R;
    R[a] = value;
    R[a + 1] = cpu.operandSize === 64 ? R[S.ARG_HI + 1] : 0;
    touchWritten(R, a);
  },
  movd_from_mmx: (cpu, _, b) => {
    touch(cpu.R);
    if (cpu.operandSize === 64) cpu.R[S.HIGH] = cpu.R[b + 1];
    return cpu.R[b];
  },
  movq: (cpu, a, b) => {
    const R = cpu.R;
    R[a] = R[b];
    R[a + 1] = R[b + 1];
    touchWritten(R, a);
  },
  pshufw: (cpu, a, b, order) => {
    shuffleWords(cpu.R, a, b, order);
    touchWritten(cpu.R, a);
  },
  pinsrw: (cpu, a, value, n) => {
    const R = cpu.R, shift = (n & 1) << 4, i = a + ((n >> 1) & 1);
    R[i] = (R[i] & ~(0xffff << shift)) | ((value & 0xffff) << shift);
    touchWritten(R, a);
  },
  pextrw: (cpu, _, b, n) => {
    touch(cpu.R);
    return lane16(cpu.R, b, n & 3);
  },
  pmovmskb: (cpu, _, b) => {
    touch(cpu.R);
    return byteMask(cpu.R, b, 2);
  },
  maskmovq: (cpu, a, b) => {
    storeMasked(cpu, a, b, 8);
    touch(cpu.R);
  },
};

for (const [name, operation] of Object.entries(PACKED)) {
  MMX[name] = (cpu, a, b) => {
    operation(cpu.R, a, b, 2);
    touchWritten(cpu.R, a);
  };
}
for (const [name, operation] of Object.entries(SHIFTS)) {
  MMX[name] = (cpu, a, b) => {
    operation(cpu.R, a, shiftCount(cpu.R, b), 2);
    touchWritten(cpu.R, a);
  };
  MMX[`${name}_i`] = (cpu, a, count) => {
    operation(cpu.R, a, Math.min(count & 255, 64), 2);
    touchWritten(cpu.R, a);
  };
}
