/** Conversions between 80-bit numbers at places in `R` and what memory holds, with all exceptions masked. */
import * as F from "./softfloat.ts";
import * as S from "../state.ts";

const { W } = F;
const EXCEPTIONS = 0x7f | F.C1;

/** R[at..] = a signed 64-bit integer. */
export function loadInteger80(R: Int32Array, at: number, lo: number, hi: number): void {
  F.unpackInt(F.Z, lo, hi);
  F.pack80(R, at);
}

/**
 * R[at], R[at + 1] = R[from..] as a double.
 *
 * @returns the status word's exception flags and C1, or -1, with nothing written, for what is no number
 */
export function storeDouble(R: Int32Array, from: number, at: number): number {
  const lo = R[from], hi = R[from + 1], se = R[from + 2], e = (se & 0x7fff) - 15360;
  if (hi >= 0 || e <= 0 || e >= 2046 || (R[S.FCW] & 0xc00) !== 0) return storeReal(R, from, at, 53);
  let low = (lo >>> 11) | (hi << 21), flags = 0;
  let high = ((se & 0x8000) << 16) | (e << 20) | ((hi & 0x7fffffff) >>> 11);
  const rest = lo & 0x7ff;
  if (rest !== 0) {
    flags = F.PE;
    if (rest > 0x400 || (rest === 0x400 && (low & 1) !== 0)) {
      flags = F.PE | F.C1;
      low = (low + 1) | 0;
      if (low === 0) high++;
    }
  }
  R[at] = low;
  R[at + 1] = high;
  return flags;
}

/** R[at] = R[from..] as a single, likewise. */
export function storeSingle(R: Int32Array, from: number, at: number): number {
  return storeReal(R, from, at, 24);
}

function storeReal(R: Int32Array, from: number, at: number, precision: 53 | 24): number {
  F.unpack80(F.A, R, from);
  const cls = W[F.A + F.CLS];
  if (cls >= F.QNAN) return -1;
  F.copyNumber(F.Z, F.A);
  const flags = cls === F.FINITE
    ? F.roundZ(precision, precision === 53 ? -1022 : -126, (R[S.FCW] >>> 10) & 3, 0)
    : 0;
  if (precision === 53) F.pack64(R, at);
  else R[at] = F.pack32();
  return flags & EXCEPTIONS;
}

/** R[at..] = R[from..] as a signed integer of `bits`, likewise; -1 too for what does not fit. */
export function storeInteger80(
  R: Int32Array,
  bits: number,
  rounding: number,
  from: number,
  at: number,
): number {
  F.unpack80(F.A, R, from);
  const flags = F.toInteger(bits, rounding, R, at);
  return (flags & F.IE) !== 0 ? -1 : flags & EXCEPTIONS;
}
