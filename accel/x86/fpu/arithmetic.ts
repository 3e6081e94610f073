/** x87 arithmetic and comparison: FADD to FDIVR, FCOM, FTST, FXAM, FSQRT, FPREM, FRNDINT, FSCALE, FXTRACT. */
import type { X86 } from "../cpu.ts";
import type { Helper } from "../rows.ts";
import * as S from "../state.ts";
import * as F from "./softfloat.ts";
import * as N from "./normal.ts";
import { remainder } from "./remainder.ts";
import * as K from "./stack.ts";

const { W } = F;
const { FCW, FSW, SCRATCH } = S;
const CLS_A = F.A + F.CLS, CLS_B = F.B + F.CLS;

/** Operations as in the ModRM reg field of D8. */
const ADD = 0, MUL = 1, COM = 2, COMP = 3, SUB = 4, SUBR = 5, DIV = 6, DIVR = 7;

/** Z = A op B with precision control, A being the destination. Returns all flags. */
function dyadic(op: number, fcw: number): number {
  if (W[CLS_A] >= F.QNAN || W[CLS_B] >= F.QNAN) return K.nan2();
  let flags = K.denormalAB();
  switch (op) {
    case ADD:
      flags |= F.add(0, (fcw >>> 10) & 3);
      break;
    case MUL:
      flags |= F.mul();
      break;
    case SUB:
      flags |= F.add(1, (fcw >>> 10) & 3);
      break;
    case SUBR:
      F.swapOperands();
      flags |= F.add(1, (fcw >>> 10) & 3);
      break;
    case DIV:
      flags |= F.div();
      break;
    case DIVR:
      F.swapOperands();
      flags |= F.div();
      break;
  }
  if ((flags & (F.IE | F.ZE)) !== 0) return flags & ~F.DE;
  if ((flags & ~fcw & F.DE) !== 0) return flags;
  return flags | K.roundByControl(fcw);
}

/** Rounding and precision control, and their value for 64 bits to nearest. */
const CONTROL = 0xf00, NEAREST64 = 0x300;

/** R[d..] = R[a..] op R[b..] where `normal.ts` can do it: PE and C1, or -1. */
function normal(R: Int32Array, op: number, d: number, a: number, b: number): number {
  if ((R[FCW] & CONTROL) !== NEAREST64) return -1;
  switch (op) {
    case ADD:
      return N.addNormal(R, d, a, b, 0);
    case MUL:
      return N.mulNormal(R, d, a, b);
    case SUB:
      return N.addNormal(R, d, a, b, 0x8000);
    case SUBR:
      return N.addNormal(R, d, b, a, 0x8000);
    case DIV:
      return N.divNormal(R, d, a, b);
    default:
      return N.divNormal(R, d, b, a);
  }
}

/**
 * R[d..] = R[a..] op R[b..] by `softfloat.ts`, with all exceptions masked.
 *
 * @returns what becomes of the status word's exception flags and C1
 */
function operate(R: Int32Array, op: number, d: number, a: number, b: number): number {
  F.unpack80(F.A, R, a);
  F.unpack80(F.B, R, b);
  const flags = dyadic(op, R[FCW]);
  F.pack80(R, d);
  return flags & (F.C1 | 0x7f);
}

/** R[d..] = R[a..] + R[b..], or their difference where `flip` is 0x8000; likewise. */
export function add80(R: Int32Array, d: number, a: number, b: number, flip: number): number {
  if ((R[FCW] & CONTROL) === NEAREST64) {
    const flags = N.addNormal(R, d, a, b, flip);
    if (flags >= 0) return flags;
  }
  return operate(R, flip === 0 ? ADD : SUB, d, a, b);
}

/** R[d..] = R[a..] * R[b..], likewise. */
export function mul80(R: Int32Array, d: number, a: number, b: number): number {
  if ((R[FCW] & CONTROL) === NEAREST64) {
    const flags = N.mulNormal(R, d, a, b);
    if (flags >= 0) return flags;
  }
  return operate(R, MUL, d, a, b);
}

/** R[d..] = R[a..] / R[b..], likewise. */
export function div80(R: Int32Array, d: number, a: number, b: number): number {
  if ((R[FCW] & CONTROL) === NEAREST64) {
    const flags = N.divNormal(R, d, a, b);
    if (flags >= 0) return flags;
  }
  return operate(R, DIV, d, a, b);
}

/** R[d..] = square root of R[a..], likewise. */
export function sqrt80(R: Int32Array, d: number, a: number): number {
  const flags = (R[FCW] & CONTROL) === NEAREST64 ? N.sqrtNormal(R, d, a) : -1;
  if (flags >= 0) return flags;
  F.unpack80(F.A, R, a);
  const all = W[CLS_A] >= F.QNAN ? K.nan1() : squareRoot(R[FCW]);
  F.pack80(R, d);
  return all & (F.C1 | 0x7f);
}

/** How two normal numbers or zeros compare: -1, 0 or 1; 2 for others. */
export function compare80(R: Int32Array, a: number, b: number): number {
  const as = R[a + 2], bs = R[b + 2], ea = as & 0x7fff, eb = bs & 0x7fff;
  const ah = R[a + 1], bh = R[b + 1], al = R[a], bl = R[b];
  if (ah >= 0 ? (as & 0x7fff) !== 0 || (ah | al) !== 0 : ea === 0 || ea === 0x7fff) return 2;
  if (bh >= 0 ? (bs & 0x7fff) !== 0 || (bh | bl) !== 0 : eb === 0 || eb === 0x7fff) return 2;
  if (((as ^ bs) & 0x8000) !== 0) {
    return (ah | bh) === 0 ? 0 : (as & 0x8000) !== 0 ? -1 : 1;
  }
  // A zero has the smallest exponent and no significand.
  let order = ea - eb;
  if (order === 0) order = (ah >>> 0) - (bh >>> 0);
  if (order === 0) order = (al >>> 0) - (bl >>> 0);
  if (order === 0) return 0;
  return order < 0 === ((as & 0x8000) === 0) ? -1 : 1;
}

/** Stores the masked response or result Z in ST(i), unless an unmasked exception forbids it. */
function commit(cpu: X86, i: number, flags: number): boolean {
  const R = cpu.R, blocked = K.isBlocked(R, flags);
  if (!blocked) {
    F.pack80(R, K.st(R, i));
    K.fill(R, i);
  }
  K.report(cpu, flags);
  return !blocked;
}

/** ST(dst) = ST(dst) op ST(src). */
function registers(cpu: X86, op: number, dst: number, src: number, pops: boolean): void {
  const R = cpu.R;
  K.note(cpu);
  let flags: number;
  if (K.isEmpty(R, dst) || K.isEmpty(R, src)) {
    F.setIndefinite();
    flags = K.UNDERFLOW;
  } else {
    const to = K.st(R, dst);
    flags = normal(R, op, to, to, K.st(R, src));
    if (flags >= 0) {
      K.report(cpu, flags);
      if (pops) K.pop(R);
      return;
    }
    F.unpack80(F.A, R, to);
    F.unpack80(F.B, R, K.st(R, src));
    flags = dyadic(op, R[FCW]);
  }
  if (commit(cpu, dst, flags) && pops) K.pop(R);
}

/** Loads B from SCRATCH: single, double, word or doubleword integer. */
function loadOperand(R: Int32Array, kind: number): void {
  switch (kind) {
    case 0:
      F.unpack32(F.B, R[SCRATCH], false);
      break;
    case 1:
      F.unpackInt(F.B, R[SCRATCH], R[SCRATCH] >> 31);
      break;
    case 2:
      F.unpack64(F.B, R[SCRATCH], R[SCRATCH + 1], false);
      break;
    default: {
      const value = (R[SCRATCH] << 16) >> 16;
      F.unpackInt(F.B, value, value >> 31);
    }
  }
}

/** ST(0) = ST(0) op memory. */
function memory(cpu: X86, op: number, kind: number): void {
  const R = cpu.R;
  K.noteOperand(cpu);
  let flags: number;
  if (K.isEmpty(R, 0)) {
    F.setIndefinite();
    flags = K.UNDERFLOW;
  } else {
    F.unpack80(F.A, R, K.st(R, 0));
    loadOperand(R, kind);
    flags = dyadic(op, R[FCW]);
  }
  commit(cpu, 0, flags);
}

/** Condition codes of a comparison of A and B; `quiet` comparisons take QNaNs without complaint. */
function relation(quiet: boolean): number {
  const a = W[CLS_A], b = W[CLS_B];
  if (a >= F.QNAN || b >= F.QNAN) {
    const invalid = !quiet || a > F.QNAN || b > F.QNAN;
    return K.C0 | K.C2 | K.C3 | (invalid ? F.IE : 0);
  }
  const order = F.compare();
  return (order < 0 ? K.C0 : order === 0 ? K.C3 : 0) | K.denormalAB();
}

/** Sets the condition codes from {@linkcode relation} unless blocked. */
function setConditions(cpu: X86, result: number): boolean {
  const R = cpu.R, codes = K.C0 | K.C2 | K.C3, blocked = K.isBlocked(R, result);
  R[FSW] = (R[FSW] & ~codes) | (result & codes);
  K.report(cpu, result & ~codes);
  return !blocked;
}

function compareRegister(cpu: X86, i: number, quiet: boolean, pops: number): void {
  const R = cpu.R;
  K.note(cpu);
  let result = K.C0 | K.C2 | K.C3 | K.UNDERFLOW;
  if (!K.isEmpty(R, 0) && !K.isEmpty(R, i)) {
    F.unpack80(F.A, R, K.st(R, 0));
    F.unpack80(F.B, R, K.st(R, i));
    result = relation(quiet);
  }
  if (setConditions(cpu, result)) { for (let n = 0; n < pops; n++) K.pop(R); }
}

function compareMemory(cpu: X86, kind: number, pops: boolean): void {
  const R = cpu.R;
  K.noteOperand(cpu);
  let result = K.C0 | K.C2 | K.C3 | K.UNDERFLOW;
  if (!K.isEmpty(R, 0)) {
    F.unpack80(F.A, R, K.st(R, 0));
    loadOperand(R, kind);
    result = relation(false);
  }
  if (setConditions(cpu, result) && pops) K.pop(R);
}

/** FCOMI and its kin: the result in ZF, PF and CF. */
function compareFlags(cpu: X86, i: number, quiet: boolean, pops: boolean): void {
  const R = cpu.R;
  K.note(cpu);
  let result = K.C0 | K.C2 | K.C3 | K.UNDERFLOW;
  if (!K.isEmpty(R, 0) && !K.isEmpty(R, i)) {
    F.unpack80(F.A, R, K.st(R, 0));
    F.unpack80(F.B, R, K.st(R, i));
    result = relation(quiet);
  }
  const blocked = K.isBlocked(R, result);
  // C1 stays as it is but for a stack fault.
  K.report(cpu, (result & 0x7f) | ((result & F.SF) !== 0 ? 0 : R[FSW] & F.C1));
  S.setArithFlags(
    R,
    ((result & K.C0) !== 0 ? S.CF : 0) | ((result & K.C2) !== 0 ? S.PF : 0) |
      ((result & K.C3) !== 0 ? S.ZF : 0),
  );
  if (!blocked && pops) K.pop(R);
}

function ftst(cpu: X86): void {
  const R = cpu.R;
  K.note(cpu);
  let result = K.C0 | K.C2 | K.C3 | K.UNDERFLOW;
  if (!K.isEmpty(R, 0)) {
    F.unpack80(F.A, R, K.st(R, 0));
    F.unpackInt(F.B, 0, 0);
    result = relation(false);
  }
  setConditions(cpu, result);
}

/** FXAM classifies ST(0) in C3, C2, C0 (SDM vol. 2, FXAM) and puts its sign in C1. */
function fxam(cpu: X86): void {
  const R = cpu.R, i = K.st(R, 0);
  K.note(cpu);
  const sign = (R[i + 2] & 0x8000) !== 0 ? F.C1 : 0;
  let codes = 0;
  if (K.isEmpty(R, 0)) {
    codes = K.C3 | K.C0;
  } else {
    F.unpack80(F.A, R, i);
    switch (W[CLS_A]) {
      case F.ZERO:
        codes = K.C3;
        break;
      case F.FINITE:
        codes = W[F.A + F.DEN] === 1 ? K.C3 | K.C2 : K.C2;
        break;
      case F.INF:
        codes = K.C2 | K.C0;
        break;
      case F.QNAN:
      case F.SNAN:
        codes = K.C0;
    }
  }
  R[FSW] = (R[FSW] & ~(K.C0 | F.C1 | K.C2 | K.C3)) | codes | sign;
}

/** An operation on ST(0) alone: from A to Z, flags returned. */
function monadic(cpu: X86, operation: (fcw: number) => number): void {
  const R = cpu.R;
  K.note(cpu);
  let flags: number;
  if (K.isEmpty(R, 0)) {
    F.setIndefinite();
    flags = K.UNDERFLOW;
  } else {
    F.unpack80(F.A, R, K.st(R, 0));
    flags = W[CLS_A] >= F.QNAN ? K.nan1() : operation(R[FCW]);
  }
  commit(cpu, 0, flags);
}

function squareRoot(fcw: number): number {
  const flags = F.sqrt();
  if (flags !== 0) return flags;
  const den = K.denormalA();
  return (den & ~fcw) !== 0 ? den : den | K.roundByControl(fcw);
}

function roundInteger(fcw: number): number {
  const den = K.denormalA();
  return (den & ~fcw) !== 0 ? den : den | F.roundToInteger((fcw >>> 10) & 3);
}

function fscale(cpu: X86): void {
  const R = cpu.R;
  K.note(cpu);
  let flags: number;
  if (K.isEmpty(R, 0) || K.isEmpty(R, 1)) {
    F.setIndefinite();
    flags = K.UNDERFLOW;
  } else {
    F.unpack80(F.A, R, K.st(R, 0));
    F.unpack80(F.B, R, K.st(R, 1));
    flags = scale(R[FCW]);
  }
  commit(cpu, 0, flags);
}

/** Z = A times 2 to the power of B, B truncated. */
function scale(fcw: number): number {
  const a = W[CLS_A], b = W[CLS_B];
  if (a >= F.QNAN || b >= F.QNAN) return K.nan2();
  const flags = K.denormalAB();
  F.copyNumber(F.Z, F.A);
  if (b === F.INF) {
    const down = W[F.B + F.SIGN] === 1;
    if (a === (down ? F.INF : F.ZERO)) {
      F.setIndefinite();
      return F.IE;
    }
    F.setZ(down ? F.ZERO : F.INF, W[F.A + F.SIGN]);
    return flags;
  }
  if (a !== F.FINITE || (flags & ~fcw) !== 0) return flags;
  const exp = b === F.ZERO ? -1 : W[F.B + F.EXP];
  if (exp >= 0) {
    // Beyond 2^16 every result is out of range in either direction.
    const n = exp > 15 ? 0x10000 : W[F.B + F.HI] >>> (31 - exp);
    W[F.Z + F.EXP] += W[F.B + F.SIGN] === 1 ? -n : n;
  }
  const rounded = K.round80(fcw), scaled = W[F.Z + F.EXP];
  // Too far out even for a wrapped exponent.
  if (W[F.Z + F.CLS] !== F.FINITE || (scaled >= K.EMIN80 && scaled <= 1 - K.EMIN80)) {
    return flags | rounded;
  }
  const over = scaled > 0;
  F.setZ(over ? F.INF : F.ZERO, W[F.Z + F.SIGN]);
  return flags | rounded | F.PE | (over ? F.C1 : 0);
}

function fxtract(cpu: X86): void {
  const R = cpu.R;
  K.note(cpu);
  let flags: number;
  if (K.isEmpty(R, 0) || !K.isEmpty(R, 7)) {
    flags = K.isEmpty(R, 0) ? K.UNDERFLOW : K.OVERFLOW;
    if (!K.isBlocked(R, flags)) {
      F.setIndefinite();
      F.pack80(R, K.st(R, 0));
      K.fill(R, 0);
      K.push(R);
      F.pack80(R, K.st(R, 0));
    }
    K.report(cpu, flags);
    return;
  }
  F.unpack80(F.A, R, K.st(R, 0));
  const cls = W[CLS_A], exp = W[F.A + F.EXP];
  flags = cls >= F.QNAN ? K.nan1() : cls === F.ZERO ? F.ZE : K.denormalA();
  if (!K.isBlocked(R, flags)) {
    if (cls >= F.QNAN) F.copyNumber(F.B, F.Z);
    else F.copyNumber(F.B, F.A);
    if (cls === F.ZERO) F.setZ(F.INF, 1);
    else if (cls === F.INF) F.setZ(F.INF, 0);
    else if (cls === F.FINITE) {
      F.unpackInt(F.Z, exp, exp >> 31);
      W[F.B + F.EXP] = 0;
    }
    F.pack80(R, K.st(R, 0));
    K.push(R);
    F.copyNumber(F.Z, F.B);
    F.pack80(R, K.st(R, 0));
  }
  K.report(cpu, flags);
}

/** FPREM (truncating) and FPREM1 (to nearest). */
function fprem(cpu: X86, nearest: boolean): void {
  const R = cpu.R;
  K.note(cpu);
  R[FSW] &= ~K.C2;
  if (K.isEmpty(R, 0) || K.isEmpty(R, 1)) {
    F.setIndefinite();
    commit(cpu, 0, K.UNDERFLOW);
    return;
  }
  F.unpack80(F.A, R, K.st(R, 0));
  F.unpack80(F.B, R, K.st(R, 1));
  if (W[CLS_A] >= F.QNAN || W[CLS_B] >= F.QNAN) {
    commit(cpu, 0, K.nan2());
    return;
  }
  if (W[CLS_A] === F.INF || W[CLS_B] === F.ZERO) {
    F.setIndefinite();
    commit(cpu, 0, F.IE);
    return;
  }
  let flags = K.denormalAB(), quotient = 0;
  if (K.isBlocked(R, flags)) {
    commit(cpu, 0, flags);
    return;
  }
  if (W[CLS_A] === F.ZERO || W[CLS_B] === F.INF) F.copyNumber(F.Z, F.A);
  else quotient = remainder(nearest);
  flags |= K.round80(R[FCW]);
  const codes = quotient < 0
    ? K.C2
    : ((quotient & 4) !== 0 ? K.C0 : 0) | ((quotient & 2) !== 0 ? K.C3 : 0);
  R[FSW] = (R[FSW] & ~(K.C0 | K.C3)) | codes;
  commit(cpu, 0, flags);
  if (quotient > 0 && (quotient & 1) !== 0) R[FSW] |= F.C1;
}

/** FABS and FCHS, which look at nothing but the sign. */
function changeSign(cpu: X86, clear: number, flip: number): void {
  const R = cpu.R;
  K.note(cpu);
  if (K.isEmpty(R, 0)) {
    F.setIndefinite();
    commit(cpu, 0, K.UNDERFLOW);
    return;
  }
  const i = K.st(R, 0);
  R[i + 2] = (R[i + 2] & ~clear) ^ flip;
  R[FSW] &= ~F.C1;
}

const NAMES = ["fadd", "fmul", "fcom", "fcomp", "fsub", "fsubr", "fdiv", "fdivr"];
const KINDS = ["m32", "i32", "m64", "i16"];

/** Helpers of this file. */
export const ARITHMETIC: Record<string, Helper> = {
  fcom: (cpu, i) => compareRegister(cpu, i, false, 0),
  fcomp: (cpu, i) => compareRegister(cpu, i, false, 1),
  fcompp: (cpu) => compareRegister(cpu, 1, false, 2),
  fucom: (cpu, i) => compareRegister(cpu, i, true, 0),
  fucomp: (cpu, i) => compareRegister(cpu, i, true, 1),
  fucompp: (cpu) => compareRegister(cpu, 1, true, 2),
  fcomi: (cpu, i) => compareFlags(cpu, i, false, false),
  fcomip: (cpu, i) => compareFlags(cpu, i, false, true),
  fucomi: (cpu, i) => compareFlags(cpu, i, true, false),
  fucomip: (cpu, i) => compareFlags(cpu, i, true, true),
  ftst,
  fxam,
  fsqrt: (cpu) => monadic(cpu, squareRoot),
  frndint: (cpu) => monadic(cpu, roundInteger),
  fscale,
  fxtract,
  fprem: (cpu) => fprem(cpu, false),
  fprem1: (cpu) => fprem(cpu, true),
  fabs: (cpu) => changeSign(cpu, 0x8000, 0),
  fchs: (cpu) => changeSign(cpu, 0, 0x8000),
};

for (const [op, name] of NAMES.entries()) {
  for (const [kind, suffix] of KINDS.entries()) {
    ARITHMETIC[`${name}_${suffix}`] = op === COM || op === COMP
      ? (cpu) => compareMemory(cpu, kind, op === COMP)
      : (cpu) => memory(cpu, op, kind);
  }
  if (op === COM || op === COMP) continue;
  // D8: ST(0) = ST(0) op ST(i). DC and DE: ST(i) = ST(i) op ST(0).
  ARITHMETIC[`${name}_st0`] = (cpu, i) => registers(cpu, op, 0, i, false);
  ARITHMETIC[`${name}_sti`] = (cpu, i) => registers(cpu, op, i, 0, false);
  ARITHMETIC[`${name}p`] = (cpu, i) => registers(cpu, op, i, 0, true);
}
