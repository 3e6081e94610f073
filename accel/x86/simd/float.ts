/**
 * SSE and SSE2 floating point on single lanes: arithmetic, comparison and conversion with MXCSR's
 * rounding, DAZ, FTZ and exception flags (SDM vol. 1, 10.2.3 and 11.5).
 *
 * Lanes write into {@linkcode T} and return flags; an instruction commits T once no unmasked exception
 * is left. The common case is taken by the host's own arithmetic: round to nearest, all exceptions
 * masked, PE already set, operands zero or normal and a result well inside the normal range. Then no
 * flag can change and the host's result is the result. Everything else goes through `softfloat.ts`.
 */
import type { X86 } from "../cpu.ts";
import * as F from "../fpu/softfloat.ts";
import * as S from "../state.ts";

const { W } = F;
const { MXCSR } = S;
const CLS_A = F.A + F.CLS, CLS_B = F.B + F.CLS, CLS_Z = F.Z + F.CLS;

/** MXCSR fields. */
const DAZ = 0x40, FTZ = 0x8000;
/** Masks, rounding control and PE, and their values where the host's arithmetic serves. */
const FAST_FIELDS = 0x7fa0, FAST = 0x1fa0;

/** Results of the lanes of an instruction. */
export const T: Int32Array<ArrayBuffer> = new Int32Array(4);
const T64 = new Float64Array(T.buffer), T32 = new Float32Array(T.buffer);

/** Operations, by the low bits of their opcodes 58 to 5F; SQRT is 51. */
export const SQRT = 1, ADD = 8, MUL = 9, SUB = 0xc, MIN = 0xd, DIV = 0xe, MAX = 0xf;

/**
 * Merges an instruction's exception flags into MXCSR and raises what is unmasked: #XM, or #UD if the
 * system does not support that.
 */
export function settle(cpu: X86, flags: number): void {
  const R = cpu.R, mxcsr = R[MXCSR], open = flags & ~(mxcsr >>> 7) & 0x3f;
  if (open === 0) {
    R[MXCSR] = mxcsr | (flags & 0x3f);
    return;
  }
  // An exception found before the operation keeps the others from being found after it.
  const before = F.IE | F.DE | F.ZE;
  R[MXCSR] = mxcsr | (flags & ((open & before) !== 0 ? before : 0x3f));
  cpu.raise((R[S.CR4] & S.CR4_OSXMMEXCPT) !== 0 ? S.XM : S.UD);
}

/** Z from A and B, of which one at least is a NaN: the first of them, quieted. */
function nan(): number {
  const flags = W[CLS_A] === F.SNAN || W[CLS_B] === F.SNAN ? F.IE : 0;
  F.copyNumber(F.Z, W[CLS_A] >= F.QNAN ? F.A : F.B);
  W[CLS_Z] = F.QNAN;
  W[F.Z + F.HI] |= 0x40000000;
  return flags;
}

function denormals(): number {
  return (W[F.A + F.DEN] | W[F.B + F.DEN]) << 1;
}

/** Rounds Z to 53 or 24 bits, flushing to zero where MXCSR says so. */
function round(prec: number, mxcsr: number): number {
  if (W[CLS_Z] !== F.FINITE) return 0;
  const emin = prec === 53 ? -1022 : -126, rc = (mxcsr >>> 13) & 3;
  if ((mxcsr & FTZ) !== 0 && (mxcsr & 0x800) !== 0) {
    const flags = F.roundZ(prec, emin, rc, F.UE | ~(mxcsr >>> 7));
    if ((flags & F.UE) === 0) return flags;
    F.setZ(F.ZERO, W[F.Z + F.SIGN]);
    return F.UE | F.PE;
  }
  return F.roundZ(prec, emin, rc, ~(mxcsr >>> 7));
}

/** Z = A op B, unpacked, rounded to `prec` bits. Returns flags. */
function operate(op: number, prec: number, mxcsr: number): number {
  if (W[CLS_A] >= F.QNAN || W[CLS_B] >= F.QNAN) return nan();
  const rc = (mxcsr >>> 13) & 3;
  let flags = 0;
  switch (op) {
    case ADD:
      flags = F.add(0, rc);
      break;
    case SUB:
      flags = F.add(1, rc);
      break;
    case MUL:
      flags = F.mul();
      break;
    case DIV:
      flags = F.div();
      break;
    case SQRT:
      flags = F.sqrt();
      break;
  }
  if ((flags & (F.IE | F.ZE)) !== 0) return flags;
  flags = op === SQRT ? W[F.A + F.DEN] << 1 : denormals();
  return flags | round(prec, mxcsr);
}

/** Whether a double, by its words, is zero or normal. */
function plain64(lo: number, hi: number): boolean {
  const e = hi & 0x7ff00000;
  return e !== 0x7ff00000 && (e !== 0 || ((hi << 1) | lo) === 0);
}

/** T[t..] = R[a..] op R[b..] as doubles. For SQRT, of b alone. */
// hot: bench/micro.ts, matmul.
export function lane64(cpu: X86, op: number, a: number, b: number, t: number): number {
  const R = cpu.R, mxcsr = R[MXCSR];
  if (op === MIN || op === MAX) return extreme64(R, op, a, b, t);
  if (
    (mxcsr & FAST_FIELDS) === FAST && plain64(R[b], R[b + 1]) &&
    (op === SQRT || plain64(R[a], R[a + 1]))
  ) {
    const x = cpu.view.getFloat64(a * 4, true), y = cpu.view.getFloat64(b * 4, true);
    let r = 0, exactZero = true;
    switch (op) {
      case ADD:
        r = x + y;
        break;
      case SUB:
        r = x - y;
        break;
      case MUL:
        r = x * y;
        exactZero = x === 0 || y === 0;
        break;
      case DIV:
        r = x / y;
        exactZero = x === 0;
        break;
      case SQRT:
        r = Math.sqrt(y);
        break;
    }
    T64[t >> 1] = r;
    const e = T[t + 1] & 0x7ff00000;
    // A result with the smallest exponent may have been tiny before it was rounded.
    if ((e >= 0x200000 && e !== 0x7ff00000) || (r === 0 && exactZero)) return 0;
  }
  const daz = (mxcsr & DAZ) !== 0;
  F.unpack64(F.B, R[b], R[b + 1], daz);
  if (op === SQRT) F.copyNumber(F.A, F.B);
  else F.unpack64(F.A, R[a], R[a + 1], daz);
  const flags = operate(op, 53, mxcsr);
  F.pack64(T, t);
  return flags;
}

/** Whether a single, by its bits, is zero or normal. */
function plain32(bits: number): boolean {
  const e = bits & 0x7f800000;
  return e !== 0x7f800000 && (e !== 0 || bits << 1 === 0);
}

/** T[t] = R[a] op R[b] as singles. For SQRT, of b alone. */
// hot: bench/micro.ts, matmul.
export function lane32(cpu: X86, op: number, a: number, b: number, t: number): number {
  const R = cpu.R, mxcsr = R[MXCSR];
  if (op === MIN || op === MAX) return extreme32(R, op, a, b, t);
  if (
    (mxcsr & FAST_FIELDS) === FAST && plain32(R[b]) && (op === SQRT || plain32(R[a]))
  ) {
    // Rounding a double result once more is innocuous: 53 bits are more than twice 24 and 2.
    const x = cpu.view.getFloat32(a * 4, true), y = cpu.view.getFloat32(b * 4, true);
    let r = 0, exactZero = true;
    switch (op) {
      case ADD:
        r = x + y;
        break;
      case SUB:
        r = x - y;
        break;
      case MUL:
        r = x * y;
        exactZero = x === 0 || y === 0;
        break;
      case DIV:
        r = x / y;
        exactZero = x === 0;
        break;
      case SQRT:
        r = Math.sqrt(y);
        break;
    }
    T32[t] = r;
    const e = T[t] & 0x7f800000;
    if ((e >= 0x1000000 && e !== 0x7f800000) || (r === 0 && exactZero)) return 0;
  }
  const daz = (mxcsr & DAZ) !== 0;
  F.unpack32(F.B, R[b], daz);
  if (op === SQRT) F.copyNumber(F.A, F.B);
  else F.unpack32(F.A, R[a], daz);
  const flags = operate(op, 24, mxcsr);
  T[t] = F.pack32();
  return flags;
}

/** Whether MIN or MAX takes A; when in doubt (NaN, two zeros, equal) it takes B. Sets `extremeFlags`. */
function takesFirst(op: number): boolean {
  if (W[CLS_A] >= F.QNAN || W[CLS_B] >= F.QNAN) {
    extremeFlags = F.IE;
    return false;
  }
  extremeFlags = denormals();
  const order = F.compare();
  return op === MIN ? order < 0 : order > 0;
}

let extremeFlags = 0;

function extreme64(R: Int32Array, op: number, a: number, b: number, t: number): number {
  const daz = (R[MXCSR] & DAZ) !== 0;
  F.unpack64(F.A, R[a], R[a + 1], daz);
  F.unpack64(F.B, R[b], R[b + 1], daz);
  const first = takesFirst(op), from = first ? a : b;
  T[t] = R[from];
  T[t + 1] = R[from + 1];
  if (daz && W[(first ? F.A : F.B) + F.CLS] === F.ZERO) {
    T[t] = 0;
    T[t + 1] &= 0x80000000;
  }
  return extremeFlags;
}

function extreme32(R: Int32Array, op: number, a: number, b: number, t: number): number {
  const daz = (R[MXCSR] & DAZ) !== 0;
  F.unpack32(F.A, R[a], daz);
  F.unpack32(F.B, R[b], daz);
  const first = takesFirst(op);
  T[t] = R[first ? a : b];
  if (daz && W[(first ? F.A : F.B) + F.CLS] === F.ZERO) T[t] &= 0x80000000;
  return extremeFlags;
}

// --- Comparison ----------------------------------------------------------------------------------

/** Unordered, as {@linkcode relation} puts it. */
const UNORDERED = 2;
let relationFlags = 0;

/** How A compares with B: -1, 0, 1 or UNORDERED. Sets `relationFlags`; a `quiet` comparison takes QNaNs. */
function relation(quiet: boolean): number {
  const a = W[CLS_A], b = W[CLS_B];
  if (a >= F.QNAN || b >= F.QNAN) {
    relationFlags = !quiet || a === F.SNAN || b === F.SNAN ? F.IE : 0;
    return UNORDERED;
  }
  relationFlags = denormals();
  return F.compare();
}

/** Whether a predicate of CMPPS (its immediate's low three bits) holds. */
function holds(predicate: number, order: number): boolean {
  let result: boolean;
  switch (predicate & 3) {
    case 0:
      result = order === 0;
      break;
    case 1:
      result = order < 0;
      break;
    case 2:
      result = order <= 0;
      break;
    default:
      result = order === UNORDERED;
  }
  return (predicate & 4) !== 0 ? !result : result;
}

/** Whether a predicate complains about QNaNs: those of less and less-or-equal. */
function isQuiet(predicate: number): boolean {
  return (predicate & 3) === 0 || (predicate & 3) === 3;
}

/** T[t..] = all ones if the predicate holds for R[a..] and R[b..], else zero. */
export function compare64(
  R: Int32Array,
  a: number,
  b: number,
  predicate: number,
  t: number,
): number {
  const daz = (R[MXCSR] & DAZ) !== 0;
  F.unpack64(F.A, R[a], R[a + 1], daz);
  F.unpack64(F.B, R[b], R[b + 1], daz);
  const result = holds(predicate, relation(isQuiet(predicate))) ? -1 : 0;
  T[t] = result;
  T[t + 1] = result;
  return relationFlags;
}

/** T[t] likewise, for singles. */
export function compare32(
  R: Int32Array,
  a: number,
  b: number,
  predicate: number,
  t: number,
): number {
  const daz = (R[MXCSR] & DAZ) !== 0;
  F.unpack32(F.A, R[a], daz);
  F.unpack32(F.B, R[b], daz);
  T[t] = holds(predicate, relation(isQuiet(predicate))) ? -1 : 0;
  return relationFlags;
}

/** COMISS to UCOMISD: the comparison as EFLAGS. */
export function compareFlags(
  cpu: X86,
  double: boolean,
  a: number,
  b: number,
  quiet: boolean,
): void {
  const R = cpu.R, daz = (R[MXCSR] & DAZ) !== 0;
  if (double) {
    F.unpack64(F.A, R[a], R[a + 1], daz);
    F.unpack64(F.B, R[b], R[b + 1], daz);
  } else {
    F.unpack32(F.A, R[a], daz);
    F.unpack32(F.B, R[b], daz);
  }
  const order = relation(quiet);
  settle(cpu, relationFlags);
  S.setArithFlags(
    R,
    order === UNORDERED ? S.ZF | S.PF | S.CF : order === 0 ? S.ZF : order < 0 ? S.CF : 0,
  );
}

// --- Conversion ----------------------------------------------------------------------------------

/** T[t] = the single or double at R[b..] as a signed 32-bit integer, by rounding mode `rc`. */
export function toInt32(R: Int32Array, double: boolean, b: number, rc: number, t: number): number {
  return toInteger(R, double, b, rc, t, 32);
}

/** T[0..1] = the single or double at R[b..] as a signed 64-bit integer, by rounding mode `rc`. */
export function toInt64(R: Int32Array, double: boolean, b: number, rc: number): number {
  return toInteger(R, double, b, rc, 0, 64);
}

function toInteger(
  R: Int32Array,
  double: boolean,
  b: number,
  rc: number,
  t: number,
  bits: 32 | 64,
): number {
  const daz = (R[MXCSR] & DAZ) !== 0;
  if (double) F.unpack64(F.A, R[b], R[b + 1], daz);
  else F.unpack32(F.A, R[b], daz);
  const flags = F.toInteger(bits, rc, T, t);
  if ((flags & F.IE) !== 0) {
    T[t] = 0;
    T[t + (bits >> 5) - 1] = 0x80000000;
  }
  return flags & 0x3f;
}

/** The rounding mode in MXCSR. */
export function rounding(R: Int32Array): number {
  return (R[MXCSR] >>> 13) & 3;
}

/** T[t] = a signed integer as a single. */
export function intTo32(R: Int32Array, value: number, t: number): number {
  return longTo32(R, value, value >> 31, t);
}

/** T[t] = a signed 64-bit integer as a single. */
export function longTo32(R: Int32Array, lo: number, hi: number, t: number): number {
  F.unpackInt(F.Z, lo, hi);
  W[F.Z + F.EXT] = 0;
  const flags = round(24, R[MXCSR]);
  T[t] = F.pack32();
  return flags;
}

/** T[t..] = a signed integer as a double, exactly. */
export function intTo64(value: number, t: number): void {
  T64[t >> 1] = value;
}

/** T[0..1] = a signed 64-bit integer as a double. */
export function longTo64(R: Int32Array, lo: number, hi: number): number {
  F.unpackInt(F.Z, lo, hi);
  W[F.Z + F.EXT] = 0;
  const flags = round(53, R[MXCSR]);
  F.pack64(T, 0);
  return flags;
}

/** T[t..] = the single with these bits as a double. */
export function widen(R: Int32Array, bits: number, t: number): number {
  F.unpack32(F.A, bits, (R[MXCSR] & DAZ) !== 0);
  F.setZ(F.ZERO, 0);
  let flags: number;
  if (W[CLS_A] >= F.QNAN) {
    F.copyNumber(F.B, F.A);
    flags = nan();
  } else {
    F.copyNumber(F.Z, F.A);
    flags = W[F.A + F.DEN] << 1;
  }
  F.pack64(T, t);
  return flags;
}

/** T[t] = the double at R[b..] as a single. */
export function narrow(R: Int32Array, b: number, t: number): number {
  const mxcsr = R[MXCSR];
  F.unpack64(F.A, R[b], R[b + 1], (mxcsr & DAZ) !== 0);
  let flags: number;
  if (W[CLS_A] >= F.QNAN) {
    F.copyNumber(F.B, F.A);
    flags = nan();
  } else {
    F.copyNumber(F.Z, F.A);
    flags = (W[F.A + F.DEN] << 1) | round(24, mxcsr);
  }
  T[t] = F.pack32();
  return flags;
}
