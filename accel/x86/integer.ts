/** Integer arithmetic too long to write out in generated code, and the rare general-purpose instructions. */
import type { X86 } from "./cpu.ts";
import { PURE_BITS } from "./bits.ts";
import { divide128, fits64, mulHigh, multiply128 } from "./wide.ts";
import type { Helper } from "./rows.ts";
import * as S from "./state.ts";
import { dropStack, peekStack, setStackPointer, Stack, stackMask } from "./system/stack.ts";

/** How far a quotient below 2^32 of doubles may be from the exact one, and more. */
const UNSURE = 2 ** -19;

/** Unsigned 64 by 32 bits; the quotient is known to fit. */
// hot: bench/microbench, muldiv.
function divide64(high: number, low: number, divisor: number): number {
  const quotient = ((high >>> 0) * 0x100000000 + (low >>> 0)) / (divisor >>> 0);
  const whole = Math.floor(quotient), part = quotient - whole;
  if (part > UNSURE && part < 1 - UNSURE) return whole | 0;
  return correct64(high, low, divisor, whole);
}

/** The quotient of which an estimate is known that is off by one at most. */
function correct64(high: number, low: number, divisor: number, estimate: number): number {
  const h = high >>> 0, l = low >>> 0, d = divisor >>> 0;
  let q = Math.min(estimate, 0xffffffff);
  const rest = (h - (mulHigh(q, d) >>> 0)) * 0x100000000 + (l - (Math.imul(q, d) >>> 0));
  if (rest < 0) q--;
  else if (rest >= d) q++;
  return q | 0;
}

/** The magnitude of the quotient of signed 64 by 32 bits; Infinity if that has more than 32 bits. */
function magnitude64(high: number, low: number, divisor: number): number {
  let h = high, l = low;
  if (high < 0) {
    l = (-l) | 0;
    h = (~h + (l === 0 ? 1 : 0)) | 0;
  }
  const d = Math.abs(divisor);
  return (h >>> 0) >= d ? Infinity : divide64(h, l, d) >>> 0;
}

/** Whether the quotient of signed 64 by 32 bits fits. */
function idivides64(high: number, low: number, divisor: number): boolean {
  return magnitude64(high, low, divisor) <= (high < 0 === divisor < 0 ? 0x7fffffff : 0x80000000);
}

/** Signed 64 by 32 bits; the quotient is known to fit. */
function idivide64(high: number, low: number, divisor: number): number {
  const q = magnitude64(high, low, divisor);
  return (high < 0 === divisor < 0 ? q : -q) | 0;
}

function rcl(d: number, count: number, carry: number, width: number): number {
  for (let i = 0; i < count; i++) {
    const out = (d >>> (width - 1)) & 1;
    d = (d << 1) | carry;
    carry = out;
  }
  return width === 32 ? d | 0 : d & (2 ** width - 1);
}

function rcr(d: number, count: number, carry: number, width: number): number {
  for (let i = 0; i < count; i++) {
    const out = d & 1;
    d = (d >>> 1) | (carry << (width - 1));
    carry = out;
  }
  return width === 32 ? d | 0 : d & (2 ** width - 1);
}

// SHLD and SHRD of words by more than 16: undefined in the SDM (vol. 2, SHLD); processors since P6 shift
// the destination concatenated with source and destination again.

function shld16(d: number, s: number, n: number): number {
  if (n <= 16) return ((((d << 16) | s) << n) >>> 16) & 0xffff;
  return ((((s << 16) | d) << (n - 16)) >>> 16) & 0xffff;
}
function shld16Carry(d: number, s: number, n: number): number {
  return n <= 16 ? (d >>> (16 - n)) & 1 : (s >>> (32 - n)) & 1;
}
function shrd16(d: number, s: number, n: number): number {
  if (n <= 16) return (((s << 16) | d) >>> n) & 0xffff;
  return (((d << 16) | s) >>> (n - 16)) & 0xffff;
}
function shrd16Carry(d: number, s: number, n: number): number {
  return n <= 16 ? (d >>> (n - 1)) & 1 : (s >>> (n - 17)) & 1;
}

function bitScanForward(s: number): number {
  return 31 - Math.clz32(s & -s);
}
function bitScanReverse(s: number): number {
  return 31 - Math.clz32(s);
}

/** Functions of their arguments alone, callable from semantics by name. */
export const PURE = {
  ...PURE_BITS,
  mulHigh,
  divide64,
  idivide64,
  idivides64,
  rcl,
  rcr,
  shld16,
  shld16Carry,
  shrd16,
  shrd16Carry,
  bitScanForward,
  bitScanReverse,
  fits64,
  multiply128,
  divide128,
};

// Decimal adjustment (SDM vol. 2; the pseudo-code's order of tests).

const al = (cpu: X86) => cpu.U8[0];

/** Sets the flags that follow an 8-bit result, with CF and AF as given and OF clear. */
function decimalFlags(cpu: X86, carry: boolean, auxiliary: boolean): void {
  const R = cpu.R;
  R[S.FR] = (al(cpu) << 24) >> 24;
  R[S.FC] = (carry ? 0xc0000000 : 0) | (auxiliary ? 8 : 0);
}

function decimalAdjust(sign: 1 | -1): Helper {
  return (cpu) => {
    const R = cpu.R, old = al(cpu);
    const carry = R[S.FC] < 0, auxiliary = (R[S.FC] & 8) !== 0;
    let value = old, nextCarry = false;
    const low = (old & 15) > 9 || auxiliary;
    if (low) {
      nextCarry = carry || (sign === 1 ? value + 6 > 255 : value < 6);
      value = (value + 6 * sign) & 0xff;
    }
    if (old > 0x99 || carry) {
      value = (value + 0x60 * sign) & 0xff;
      nextCarry = true;
    } else if (sign === 1) nextCarry = false;
    cpu.U8[0] = value;
    decimalFlags(cpu, nextCarry, low);
  };
}

function asciiAdjust(sign: 1 | -1): Helper {
  return (cpu) => {
    const adjust = (al(cpu) & 15) > 9 || (cpu.R[S.FC] & 8) !== 0;
    if (adjust) cpu.U16[0] = cpu.U16[0] + 0x106 * sign;
    cpu.U8[0] &= 15;
    decimalFlags(cpu, adjust, adjust);
  };
}

const aam: Helper = (cpu, base) => {
  if (base === 0) cpu.raise(S.DE);
  const value = al(cpu);
  cpu.U8[1] = Math.floor(value / base);
  cpu.U8[0] = value % base;
  decimalFlags(cpu, false, false);
};

const aad: Helper = (cpu, base) => {
  cpu.U16[0] = (cpu.U8[0] + Math.imul(cpu.U8[1], base)) & 0xff;
  decimalFlags(cpu, false, false);
};

const lahf: Helper = (cpu) => {
  cpu.U8[1] = (S.arithFlags(cpu.R) & 0xd5) | 2;
};

const sahf: Helper = (cpu) => {
  S.setArithFlags(cpu.R, (S.arithFlags(cpu.R) & S.OF) | (cpu.U8[1] & 0xd5));
};

const xlat: Helper = (cpu) => {
  const R = cpu.R, wide = cpu.addressSize === 32;
  const offset = wide ? (R[S.RBX] + cpu.U8[0]) | 0 : (cpu.U16[S.RBX * 2] + cpu.U8[0]) & 0xffff;
  cpu.U8[0] = cpu.load8(cpu.linear(R[S.INSN_SEG], offset, 1, false));
};

const cmpxchg8b: Helper = (cpu, offset) => {
  const R = cpu.R, linear = cpu.linear(R[S.INSN_SEG], offset, 8, true);
  cpu.probeWrite(linear, 8);
  const low = cpu.load32(linear), high = cpu.load32((linear + 4) | 0);
  const equal = low === R[S.RAX] && high === R[S.RDX];
  cpu.store32(linear, equal ? R[S.RBX] : low);
  cpu.store32((linear + 4) | 0, equal ? R[S.RCX] : high);
  if (!equal) {
    R[S.RAX] = low;
    R[S.RDX] = high;
  }
  // Only ZF changes.
  S.setArithFlags(R, (S.arithFlags(R) & ~S.ZF) | (equal ? S.ZF : 0));
};

/** BT and its kin on a bit string in memory: the signed bit offset selects the word. */
function bitString(change: (d: number, mask: number) => number, writes: boolean): Helper {
  return (cpu, offset, bit) => {
    const R = cpu.R, wide = cpu.operandSize === 32;
    const index = wide ? bit : (bit << 16) >> 16;
    let at = wide ? offset + (index >> 5) * 4 : offset + (index >> 4) * 2;
    at = cpu.addressSize === 32 ? at | 0 : at & 0xffff;
    const mask = 1 << (index & (wide ? 31 : 15));
    const linear = cpu.linear(R[S.INSN_SEG], at, wide ? 4 : 2, writes);
    if (writes) cpu.probeWrite(linear, wide ? 4 : 2);
    const d = wide ? cpu.load32(linear) : cpu.load16(linear);
    if (writes) {
      if (wide) cpu.store32(linear, change(d, mask));
      else cpu.store16(linear, change(d, mask));
    }
    if ((R[S.FC] < 0) !== ((d & mask) !== 0)) R[S.FC] ^= 0xc0000000;
  };
}

// Stack frames of several words.

const ALL = [S.RAX, S.RCX, S.RDX, S.RBX, S.RSP, S.RBP, S.RSI, S.RDI];
const POPPED = new Int32Array(8);

const pusha: Helper = (cpu) => {
  const { R } = cpu, size = (cpu.operandSize >> 3) as 2 | 4;
  const stack = Stack.current(cpu);
  stack.reserve(8, size);
  // ESP is pushed as it was: nothing changes before the end.
  for (let i = 0; i < 8; i++) stack.push(size, R[ALL[i]]);
  setStackPointer(cpu, stack.pointer);
};

const popa: Helper = (cpu) => {
  const { R, U16 } = cpu, size = (cpu.operandSize >> 3) as 2 | 4;
  // Read once before any register changes: the last may fault.
  for (let i = 0; i < 8; i++) POPPED[i] = peekStack(cpu, i * size, size);
  for (let i = 0; i < 8; i++) {
    const r = ALL[7 - i];
    if (r === S.RSP) continue;
    if (size === 4) R[r] = POPPED[i];
    else U16[r * 2] = POPPED[i];
  }
  dropStack(cpu, 8 * size);
};

const enter: Helper = (cpu, size, nesting) => {
  const { R, U16 } = cpu, width = (cpu.operandSize >> 3) as 2 | 4, level = nesting & 31;
  const mask = stackMask(cpu), frame = R[S.RBP];
  const load = (linear: number) => width === 4 ? cpu.load32(linear) : cpu.load16(linear);
  // Everything is checked in the order in which it is done.
  const stack = Stack.current(cpu), display: number[] = [];
  stack.reserve(1, width);
  for (let i = 1; i <= level; i++) {
    if (i < level) {
      const linear = cpu.linear(S.SS, (frame - i * width) & mask, width, false);
      display.push(linear);
      load(linear);
    }
    stack.reserve(i + 1, width);
  }
  const frameTemp = (R[S.RSP] & ~mask) | ((R[S.RSP] - width) & mask);
  const final = frameTemp - level * width - size;
  // The final stack pointer must be writable too (SDM vol. 2, ENTER).
  cpu.probeWrite(cpu.linear(S.SS, final & mask, width, true), width);
  stack.push(width, frame);
  // Display pointers are read one by one as they are pushed: the frames may overlap.
  for (const linear of display) stack.push(width, load(linear));
  if (level > 0) stack.push(width, frameTemp);
  if (width === 4) R[S.RBP] = frameTemp;
  else U16[S.RBP * 2] = frameTemp;
  setStackPointer(cpu, final);
};

const leave: Helper = (cpu) => {
  const { R, U16 } = cpu, width = (cpu.operandSize >> 3) as 2 | 4;
  const sp = R[S.RBP] & stackMask(cpu);
  const linear = cpu.linear(S.SS, sp, width, false);
  const value = width === 4 ? cpu.load32(linear) : cpu.load16(linear);
  setStackPointer(cpu, sp + width);
  if (width === 4) R[S.RBP] = value;
  else U16[S.RBP * 2] = value;
};

const bound: Helper = (cpu, value, offset) => {
  const bytes = cpu.operandSize >> 3, segment = cpu.R[S.INSN_SEG], unused = 32 - cpu.operandSize;
  const load = (at: number) => {
    const linear = cpu.linear(segment, at, bytes, false);
    return bytes === 4 ? cpu.load32(linear) : (cpu.load16(linear) << 16) >> 16;
  };
  const index = (value << unused) >> unused;
  const lower = load(offset >>> 0);
  // The upper bound's offset wraps around at the address size.
  const upper = load(cpu.addressSize === 16 ? (offset + bytes) & 0xffff : (offset + bytes) >>> 0);
  if (index < lower || index > upper) cpu.raise(S.BR);
};

/** Helpers of the general-purpose rows. */
export const INTEGER_HELPERS: Record<string, Helper> = {
  daa: decimalAdjust(1),
  das: decimalAdjust(-1),
  aaa: asciiAdjust(1),
  aas: asciiAdjust(-1),
  aam,
  aad,
  lahf,
  sahf,
  xlat,
  cmpxchg8b,
  bt_string: bitString((d) => d, false),
  bts_string: bitString((d, m) => d | m, true),
  btr_string: bitString((d, m) => d & ~m, true),
  btc_string: bitString((d, m) => d ^ m, true),
  pusha,
  popa,
  bound,
  enter,
  leave,
  pause: (cpu) => cpu.onPause(),
};
