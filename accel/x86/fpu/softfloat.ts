/**
 * The arithmetic behind x87 and SSE: numbers unpacked into a fixed workspace, operated on with 64-bit
 * significands and a sticky extension, then rounded to any of the formats (SDM vol. 1, chapters 4 and 8).
 *
 * The workspace is one typed array and holds two operands, A and B, and a result, Z. Nothing allocates.
 * All routines are exact up to the one rounding in {@linkcode roundZ}.
 */
import { mulHigh } from "../wide.ts";
import { ROOT, squareRoot } from "./normal.ts";

export { mulHigh };

/** Exception flags, at their places in the x87 status word; MXCSR has the first six at the same places. */
export const IE = 1, DE = 2, ZE = 4, OE = 8, UE = 16, PE = 32;
/** Stack fault, and C1 as "the result was rounded up", at their places in the x87 status word. */
export const SF = 0x40, C1 = 0x200;
/** Rounding control as in FCW bits 11:10 and MXCSR bits 14:13. */
export const NEAREST = 0, DOWN = 1, UP = 2, TRUNCATE = 3;

/** Classes of an unpacked number. Everything from {@linkcode QNAN} on is not a number. */
export const ZERO = 0, FINITE = 1, INF = 2, QNAN = 3, SNAN = 4, UNSUPPORTED = 5;

/**
 * The workspace. An operand: sign, unbiased exponent, significand high and low (bit 63 set when finite),
 * class, and 1 if it was denormal. For NaN the significand as it would stand in the 80-bit format.
 * A result has, behind its significand, 32 more bits of which the last is sticky.
 */
export const W: Int32Array<ArrayBuffer> = new Int32Array(32);
/** Where operands and result lie in {@linkcode W}. */
export const A = 0, B = 8, Z = 16;
/** Fields of an operand. */
export const SIGN = 0, EXP = 1, HI = 2, LO = 3, CLS = 4, DEN = 5, EXT = 6;

// The same as literals of this module: the optimiser folds these, but not those of another module.
const A_SIGN = 0, A_EXP = 1, A_HI = 2, A_LO = 3, A_CLS = 4;
const B_SIGN = 8, B_EXP = 9, B_HI = 10, B_LO = 11, B_CLS = 12;
const Z_SIGN = 16, Z_EXP = 17, Z_HI = 18, Z_LO = 19, Z_CLS = 20, Z_DEN = 21, Z_EXT = 22;

const TOP = 0x80000000 | 0;

// --- Unpacking -----------------------------------------------------------------------------------

/** Unpacks the 80-bit number at `R[i..i+2]`. */
export function unpack80(slot: number, R: Int32Array, i: number): void {
  const lo = R[i], hi = R[i + 1], se = R[i + 2], e = se & 0x7fff;
  W[slot] = (se >>> 15) & 1;
  W[slot + EXP] = e - 16383;
  W[slot + HI] = hi;
  W[slot + LO] = lo;
  W[slot + DEN] = 0;
  if (e !== 0 && e !== 0x7fff) {
    W[slot + CLS] = hi < 0 ? FINITE : UNSUPPORTED;
  } else if (e === 0) {
    if ((hi | lo) === 0) W[slot + CLS] = ZERO;
    else denormal(slot, -16382);
  } else if (hi >= 0) {
    W[slot + CLS] = UNSUPPORTED;
  } else if (((hi & 0x7fffffff) | lo) === 0) {
    W[slot + CLS] = INF;
  } else {
    W[slot + CLS] = (hi & 0x40000000) !== 0 ? QNAN : SNAN;
  }
}

/** Normalises a nonzero significand whose bit 63 has the weight of exponent `exp`, as a denormal. */
function denormal(slot: number, exp: number): void {
  W[slot + CLS] = FINITE;
  W[slot + DEN] = 1;
  W[slot + EXP] = exp;
  normalize(slot);
}

/** Shifts a nonzero significand left until bit 63 is set, and lowers the exponent to match. */
export function normalize(slot: number): void {
  let hi = W[slot + HI], lo = W[slot + LO], exp = W[slot + EXP];
  if (hi === 0) {
    hi = lo;
    lo = 0;
    exp -= 32;
  }
  const n = Math.clz32(hi);
  if (n !== 0) {
    hi = (hi << n) | (lo >>> (32 - n));
    lo = lo << n;
    exp -= n;
  }
  W[slot + HI] = hi;
  W[slot + LO] = lo;
  W[slot + EXP] = exp;
}

/** Unpacks a double. With `daz` a denormal counts as zero. */
export function unpack64(slot: number, lo: number, hi: number, daz: boolean): void {
  const e = (hi >>> 20) & 0x7ff;
  W[slot] = hi >>> 31;
  W[slot + DEN] = 0;
  W[slot + EXP] = e - 1023;
  W[slot + HI] = TOP | ((hi & 0xfffff) << 11) | (lo >>> 21);
  W[slot + LO] = lo << 11;
  if (e !== 0 && e !== 0x7ff) {
    W[slot + CLS] = FINITE;
  } else if (e === 0x7ff) {
    const top = W[slot + HI] & 0x7fffffff;
    if ((top | W[slot + LO]) === 0) W[slot + CLS] = INF;
    else W[slot + CLS] = (top & 0x40000000) !== 0 ? QNAN : SNAN;
  } else if (((hi & 0xfffff) | lo) === 0 || daz) {
    W[slot + CLS] = ZERO;
    W[slot + HI] = 0;
    W[slot + LO] = 0;
  } else {
    W[slot + HI] &= 0x7fffffff;
    denormal(slot, -1022);
  }
}

/** Unpacks a single. With `daz` a denormal counts as zero. */
export function unpack32(slot: number, bits: number, daz: boolean): void {
  const e = (bits >>> 23) & 0xff;
  W[slot] = bits >>> 31;
  W[slot + DEN] = 0;
  W[slot + EXP] = e - 127;
  W[slot + HI] = TOP | ((bits & 0x7fffff) << 8);
  W[slot + LO] = 0;
  if (e !== 0 && e !== 0xff) {
    W[slot + CLS] = FINITE;
  } else if (e === 0xff) {
    if ((bits & 0x7fffff) === 0) W[slot + CLS] = INF;
    else W[slot + CLS] = (bits & 0x400000) !== 0 ? QNAN : SNAN;
  } else if ((bits & 0x7fffff) === 0 || daz) {
    W[slot + CLS] = ZERO;
    W[slot + HI] = 0;
  } else {
    W[slot + HI] &= 0x7fffffff;
    denormal(slot, -126);
  }
}

/** Unpacks a signed 64-bit integer. */
export function unpackInt(slot: number, lo: number, hi: number): void {
  W[slot] = hi >>> 31;
  W[slot + DEN] = 0;
  if (hi < 0) {
    lo = -lo | 0;
    hi = (lo === 0 ? -hi : ~hi) | 0;
  }
  W[slot + HI] = hi;
  W[slot + LO] = lo;
  if ((hi | lo) === 0) {
    W[slot + CLS] = ZERO;
    return;
  }
  W[slot + CLS] = FINITE;
  W[slot + EXP] = 63;
  normalize(slot);
}

/** Copies an operand, as an exact result if the target is Z. */
export function copyNumber(to: number, from: number): void {
  W[to] = W[from];
  W[to + EXP] = W[from + EXP];
  W[to + HI] = W[from + HI];
  W[to + LO] = W[from + LO];
  W[to + CLS] = W[from + CLS];
  W[to + DEN] = W[from + DEN];
  W[to + EXT] = 0;
}

/** Exchanges A and B. */
export function swapOperands(): void {
  for (let i = 0; i < 6; i++) {
    const a = W[i];
    W[i] = W[8 + i];
    W[8 + i] = a;
  }
}

// --- Packing -------------------------------------------------------------------------------------

/** Makes Z a zero, an infinity or another number without a significand of its own. */
export function setZ(cls: number, sign: number): void {
  W[Z_CLS] = cls;
  W[Z_SIGN] = sign;
  W[Z_EXP] = 0;
  W[Z_HI] = cls === INF ? TOP : 0;
  W[Z_LO] = 0;
  W[Z_EXT] = 0;
  W[Z_DEN] = 0;
}

/** Makes Z the real indefinite, the NaN that stands for a masked invalid operation. */
export function setIndefinite(): void {
  setZ(QNAN, 1);
  W[Z_HI] = 0xc0000000 | 0;
}

/** Stores Z, rounded to 64 bits, at `R[i..i+2]`. */
export function pack80(R: Int32Array, i: number): void {
  const cls = W[Z_CLS], hi = W[Z_HI];
  let e = 0x7fff;
  if (cls === FINITE) {
    e = W[Z_EXP] + 16383;
    // A denormal result keeps the smallest exponent and lacks its integer bit.
    if (hi >= 0) e = 0;
  } else if (cls === ZERO) {
    e = 0;
  }
  R[i] = W[Z_LO];
  R[i + 1] = hi;
  R[i + 2] = (W[Z_SIGN] << 15) | e;
}

/** Stores Z, rounded to 53 bits, at `R[i]` and `R[i + 1]`. */
export function pack64(R: Int32Array, i: number): void {
  const cls = W[Z_CLS], hi = W[Z_HI], lo = W[Z_LO];
  let e = 0x7ff;
  if (cls === FINITE) e = hi < 0 ? W[Z_EXP] + 1023 : 0;
  else if (cls === ZERO) e = 0;
  R[i] = (hi << 21) | (lo >>> 11);
  R[i + 1] = (W[Z_SIGN] << 31) | (e << 20) | ((hi >>> 11) & 0xfffff);
}

/** Z, rounded to 24 bits, as the bits of a single. */
export function pack32(): number {
  const cls = W[Z_CLS], hi = W[Z_HI];
  let e = 0xff;
  if (cls === FINITE) e = hi < 0 ? W[Z_EXP] + 127 : 0;
  else if (cls === ZERO) e = 0;
  return (W[Z_SIGN] << 31) | (e << 23) | ((hi >>> 8) & 0x7fffff);
}

// --- Rounding ------------------------------------------------------------------------------------

/**
 * The bits of Z below the last place kept, left-aligned with the rest folded into bit 0: zero means
 * exact, 0x80000000 a tie.
 */
function tail(prec: number, hi: number, lo: number, ext: number): number {
  if (prec === 64) return ext;
  if (prec === 53) return (lo << 21) | (ext !== 0 ? 1 : 0);
  return (hi << 24) | (lo >>> 8) | (((lo & 0xff) | ext) !== 0 ? 1 : 0);
}

/** Whether a number with this tail, sign and last bit is rounded away from zero. */
function roundsUp(rest: number, sign: number, odd: boolean, rc: number): boolean {
  if (rest === 0) return false;
  if (rc === NEAREST) return rest < 0 && (rest !== TOP || odd);
  return rc === DOWN ? sign === 1 : rc === UP ? sign === 0 : false;
}

/** The last kept bit of a significand. */
function isOdd(prec: number, hi: number, lo: number): boolean {
  return (prec === 64 ? lo & 1 : prec === 53 ? lo & 0x800 : hi & 0x100) !== 0;
}

/** Whether all kept bits are ones. */
function allOnes(prec: number, hi: number, lo: number): boolean {
  if (prec === 64) return (hi & lo) === -1;
  if (prec === 53) return hi === -1 && (lo | 0x7ff) === -1;
  return (hi | 0xff) === -1;
}

/**
 * Rounds a finite Z to `prec` (24, 53 or 64) bits and the exponent range that starts at `emin`.
 *
 * An overflow or underflow whose bit in `unmasked` is set gives a result with the exponent as it is,
 * out of range, for the caller to wrap or to drop.
 *
 * @returns PE, UE, OE, and C1 when rounded up
 */
export function roundZ(prec: number, emin: number, rc: number, unmasked: number): number {
  let hi = W[Z_HI], lo = W[Z_LO], ext = W[Z_EXT], exp = W[Z_EXP];
  if (prec === 64 && rc === NEAREST && exp >= emin && exp <= -emin) {
    // Nothing but the precision exception can come of it: what x87 code mostly does.
    if (ext === 0) return 0;
    W[Z_EXT] = 0;
    if (ext > 0 || (ext === TOP && (lo & 1) === 0)) return PE;
    W[Z_LO] = lo + 1;
    if (lo === -1) {
      W[Z_HI] = hi === -1 ? TOP : hi + 1;
      if (hi === -1) W[Z_EXP] = exp + 1;
    }
    return PE | C1;
  }
  const sign = W[Z_SIGN];
  let flags = 0, tiny = false;
  if (exp < emin) {
    // Tiny means: below the normal range even after rounding with an unbounded exponent.
    tiny = exp < emin - 1 || !allOnes(prec, hi, lo) ||
      !roundsUp(tail(prec, hi, lo, ext), sign, true, rc);
    if (tiny && (unmasked & UE) !== 0) {
      flags = UE;
    } else {
      const n = emin - exp;
      exp = emin;
      if (n >= 96) {
        ext = 1;
        lo = hi = 0;
      } else {
        let lost = 0;
        for (let words = n >>> 5; words > 0; words--) {
          lost |= ext;
          ext = lo;
          lo = hi;
          hi = 0;
        }
        const bits = n & 31;
        if (bits !== 0) {
          lost |= ext << (32 - bits);
          ext = (ext >>> bits) | (lo << (32 - bits));
          lo = (lo >>> bits) | (hi << (32 - bits));
          hi = hi >>> bits;
        }
        if (lost !== 0) ext |= 1;
      }
    }
  }
  const rest = tail(prec, hi, lo, ext);
  if (rest !== 0) flags |= tiny ? PE | UE : PE;
  const up = roundsUp(rest, sign, isOdd(prec, hi, lo), rc);
  if (prec === 53) {
    lo &= ~0x7ff;
  } else if (prec === 24) {
    lo = 0;
    hi &= ~0xff;
  }
  if (up) {
    flags |= C1;
    const before = hi;
    if (prec === 64) {
      lo = (lo + 1) | 0;
      if (lo === 0) hi = (hi + 1) | 0;
    } else if (prec === 53) {
      lo = (lo + 0x800) | 0;
      if (lo === 0) hi = (hi + 1) | 0;
    } else {
      hi = (hi + 0x100) | 0;
    }
    if (before < 0 && hi >= 0) {
      hi = TOP;
      exp++;
    }
  }
  W[Z_EXT] = 0;
  if (exp > 1 - emin) {
    if ((unmasked & OE) !== 0) {
      flags |= OE;
    } else {
      const toInfinity = rc === NEAREST || (rc === UP && sign === 0) || (rc === DOWN && sign === 1);
      flags = (flags & ~C1) | OE | PE;
      if (toInfinity) {
        flags |= C1;
        W[Z_CLS] = INF;
        hi = TOP;
        lo = 0;
      } else {
        exp = 1 - emin;
        hi = prec === 24 ? ~0xff : -1;
        lo = prec === 24 ? 0 : prec === 53 ? ~0x7ff : -1;
      }
    }
  } else if ((hi | lo) === 0) {
    W[Z_CLS] = ZERO;
  }
  W[Z_HI] = hi;
  W[Z_LO] = lo;
  W[Z_EXP] = exp;
  return flags;
}

// --- Arithmetic ----------------------------------------------------------------------------------

/** Compares magnitudes of two finite operands: negative, zero, positive. */
export function compareMagnitudes(): number {
  const d = W[A_EXP] - W[B_EXP];
  if (d !== 0) return d;
  const ah = W[A_HI], bh = W[B_HI];
  if (ah !== bh) return (ah >>> 0) < (bh >>> 0) ? -1 : 1;
  const al = W[A_LO], bl = W[B_LO];
  return al === bl ? 0 : (al >>> 0) < (bl >>> 0) ? -1 : 1;
}

/**
 * Z = A + B, or A - B with `flip` 1. The operands are no NaN.
 *
 * @returns IE for a difference of infinities, whose Z is the indefinite
 */
export function add(flip: number, rc: number): number {
  const signA = W[A_SIGN], signB = W[B_SIGN] ^ flip;
  if (W[A_CLS] !== FINITE || W[B_CLS] !== FINITE) return addSpecial(signA, signB, rc);
  let ah = W[A_HI], al = W[A_LO], bh = W[B_HI], bl = W[B_LO];
  let exp = W[A_EXP], sign = signA;
  const order = compareMagnitudes();
  if (order < 0) {
    let t = ah;
    ah = bh;
    bh = t;
    t = al;
    al = bl;
    bl = t;
    exp = W[B_EXP];
    sign = signB;
  }
  const d = order < 0 ? W[B_EXP] - W[A_EXP] : W[A_EXP] - W[B_EXP];
  let ext = 0;
  if (d !== 0) {
    if (d < 32) {
      ext = bl << (32 - d);
      bl = (bl >>> d) | (bh << (32 - d));
      bh = bh >>> d;
    } else if (d < 64) {
      const n = d - 32;
      if (n === 0) {
        ext = bl;
        bl = bh;
      } else {
        ext = (bl >>> n) | (bh << (32 - n)) | (bl << (32 - n) !== 0 ? 1 : 0);
        bl = bh >>> n;
      }
      bh = 0;
    } else if (d < 96) {
      const n = d - 64;
      const lost = n === 0 ? bl : (bh << (32 - n)) | bl;
      ext = (bh >>> n) | (lost !== 0 ? 1 : 0);
      bl = bh = 0;
    } else {
      ext = 1;
      bl = bh = 0;
    }
  }
  W[Z_SIGN] = sign;
  W[Z_CLS] = FINITE;
  W[Z_DEN] = 0;
  if (signA === signB) {
    let lo = (al + bl) | 0;
    const carry = ((al & bl) | ((al | bl) & ~lo)) >>> 31;
    let hi = (ah + bh + carry) | 0;
    if (((ah & bh) | ((ah | bh) & ~hi)) < 0) {
      ext = (ext >>> 1) | (lo << 31) | (ext & 1);
      lo = (lo >>> 1) | (hi << 31);
      hi = (hi >>> 1) | TOP;
      exp++;
    }
    W[Z_HI] = hi;
    W[Z_LO] = lo;
    W[Z_EXT] = ext;
    W[Z_EXP] = exp;
    return 0;
  }
  const borrow = ext !== 0 ? 1 : 0;
  ext = -ext | 0;
  let lo = (al - bl - borrow) | 0;
  const borrow2 = ((~al & bl) | ((~al | bl) & lo)) >>> 31;
  let hi = (ah - bh - borrow2) | 0;
  if (hi >= 0) {
    if ((hi | lo | ext) === 0) {
      setZ(ZERO, rc === DOWN ? 1 : 0);
      return 0;
    }
    while (hi === 0) {
      hi = lo;
      lo = ext;
      ext = 0;
      exp -= 32;
    }
    const n = Math.clz32(hi);
    if (n !== 0) {
      hi = (hi << n) | (lo >>> (32 - n));
      lo = (lo << n) | (ext >>> (32 - n));
      ext = ext << n;
      exp -= n;
    }
  }
  W[Z_HI] = hi;
  W[Z_LO] = lo;
  W[Z_EXT] = ext;
  W[Z_EXP] = exp;
  return 0;
}

function addSpecial(signA: number, signB: number, rc: number): number {
  const a = W[A_CLS], b = W[B_CLS];
  if (a === INF || b === INF) {
    if (a === b && signA !== signB) {
      setIndefinite();
      return IE;
    }
    setZ(INF, a === INF ? signA : signB);
  } else if (a === ZERO && b === ZERO) {
    setZ(ZERO, signA === signB ? signA : rc === DOWN ? 1 : 0);
  } else if (a === ZERO) {
    copyNumber(Z, B);
    W[Z_SIGN] = signB;
  } else {
    copyNumber(Z, A);
  }
  return 0;
}

/**
 * Z = A * B. The operands are no NaN.
 *
 * @returns IE for zero times infinity, whose Z is the indefinite
 */
export function mul(): number {
  const sign = W[A_SIGN] ^ W[B_SIGN];
  if (W[A_CLS] !== FINITE || W[B_CLS] !== FINITE) {
    const a = W[A_CLS], b = W[B_CLS];
    if (a !== INF && b !== INF) {
      setZ(ZERO, sign);
    } else if (a === ZERO || b === ZERO) {
      setIndefinite();
      return IE;
    } else {
      setZ(INF, sign);
    }
    return 0;
  }
  const ah = W[A_HI], al = W[A_LO], bh = W[B_HI], bl = W[B_LO];
  // Four words, w3 the highest; doubles hold sums of unsigned words exactly.
  const ll = mulHigh(al, bl) >>> 0, w0 = Math.imul(al, bl);
  const m1 = ll + (Math.imul(ah, bl) >>> 0) + (Math.imul(al, bh) >>> 0);
  const m2 = Math.floor(m1 / 4294967296) + (mulHigh(ah, bl) >>> 0) + (mulHigh(al, bh) >>> 0) +
    (Math.imul(ah, bh) >>> 0);
  const w1 = m1 | 0, w2 = m2 | 0;
  const w3 = (mulHigh(ah, bh) + Math.floor(m2 / 4294967296)) | 0;
  const ext = w0 !== 0 ? w1 | 1 : w1;
  W[Z_SIGN] = sign;
  W[Z_CLS] = FINITE;
  W[Z_DEN] = 0;
  if (w3 < 0) {
    W[Z_HI] = w3;
    W[Z_LO] = w2;
    W[Z_EXT] = ext;
    W[Z_EXP] = W[A_EXP] + W[B_EXP] + 1;
  } else {
    W[Z_HI] = (w3 << 1) | (w2 >>> 31);
    W[Z_LO] = (w2 << 1) | (w1 >>> 31);
    W[Z_EXT] = (w1 << 1) | (w0 !== 0 ? 1 : 0);
    W[Z_EXP] = W[A_EXP] + W[B_EXP];
  }
  return 0;
}

/** Remainder words of {@linkcode quotientDigit}. */
const rest = new Int32Array(3);

/** One 32-bit digit of the quotient of `rest` (96 bits) by d (64 bits, normalised); leaves the remainder. */
function quotientDigit(dh: number, dl: number): number {
  const den = (dh >>> 0) * 4294967296 + (dl >>> 0);
  const num = ((rest[2] >>> 0) * 4294967296 + (rest[1] >>> 0)) * 4294967296 + (rest[0] >>> 0);
  let q = Math.floor(num / den);
  if (q > 0xffffffff) q = 0xffffffff;
  const digit = q | 0;
  // The estimate is off by one at most; subtract and repair.
  const p0 = Math.imul(digit, dl);
  const m = (mulHigh(digit, dl) >>> 0) + (Math.imul(digit, dh) >>> 0);
  const p1 = m | 0, p2 = (mulHigh(digit, dh) + Math.floor(m / 4294967296)) | 0;
  const r0 = (rest[0] >>> 0) - (p0 >>> 0);
  const r1 = (rest[1] >>> 0) - (p1 >>> 0) - (r0 < 0 ? 1 : 0);
  const r2 = (rest[2] - p2 - (r1 < 0 ? 1 : 0)) | 0;
  rest[0] = r0;
  rest[1] = r1;
  rest[2] = r2;
  if (r2 < 0) {
    addRest(dh, dl);
    return (digit - 1) | 0;
  }
  const h = rest[1] >>> 0, dh0 = dh >>> 0;
  if (r2 > 0 || h > dh0 || (h === dh0 && (rest[0] >>> 0) >= (dl >>> 0))) {
    subRest(dh, dl);
    return (digit + 1) | 0;
  }
  return digit;
}

function addRest(dh: number, dl: number): void {
  const r0 = (rest[0] >>> 0) + (dl >>> 0);
  const r1 = (rest[1] >>> 0) + (dh >>> 0) + (r0 > 0xffffffff ? 1 : 0);
  rest[0] = r0;
  rest[1] = r1;
  rest[2] += r1 > 0xffffffff ? 1 : 0;
}

function subRest(dh: number, dl: number): void {
  const r0 = (rest[0] >>> 0) - (dl >>> 0);
  const r1 = (rest[1] >>> 0) - (dh >>> 0) - (r0 < 0 ? 1 : 0);
  rest[0] = r0;
  rest[1] = r1;
  rest[2] -= r1 < 0 ? 1 : 0;
}

/**
 * Z = A / B. The operands are no NaN.
 *
 * @returns IE for 0/0 and infinity/infinity, whose Z is the indefinite; ZE for a division by zero
 */
export function div(): number {
  const sign = W[A_SIGN] ^ W[B_SIGN], a = W[A_CLS], b = W[B_CLS];
  if (a !== FINITE || b !== FINITE) {
    if (a === b) {
      setIndefinite();
      return IE;
    }
    if (b === INF || a === ZERO) {
      setZ(ZERO, sign);
      return 0;
    }
    setZ(INF, sign);
    return b === ZERO && a !== INF ? ZE : 0;
  }
  const ah = W[A_HI], al = W[A_LO], dh = W[B_HI], dl = W[B_LO];
  const less = (ah >>> 0) < (dh >>> 0) || (ah === dh && (al >>> 0) < (dl >>> 0));
  let exp = W[A_EXP] - W[B_EXP];
  // The dividend is scaled so that the first digit has its top bit set.
  if (less) {
    rest[2] = ah;
    rest[1] = al;
    rest[0] = 0;
    exp--;
  } else {
    rest[2] = ah >>> 1;
    rest[1] = (ah << 31) | (al >>> 1);
    rest[0] = al << 31;
  }
  const hi = quotientDigit(dh, dl);
  rest[2] = rest[1];
  rest[1] = rest[0];
  rest[0] = 0;
  const lo = quotientDigit(dh, dl);
  // Compare twice the remainder with the divisor for the bits beyond.
  let ext = 0;
  const rh = rest[1], rl = rest[0];
  if ((rh | rl) !== 0) {
    const twice = (rh << 1) | (rl >>> 31), low = rl << 1;
    if (rh < 0 || (twice >>> 0) > (dh >>> 0)) ext = TOP | 1;
    else if (twice === dh && low === dl) ext = TOP;
    else ext = twice === dh && (low >>> 0) > (dl >>> 0) ? TOP | 1 : 1;
  }
  W[Z_SIGN] = sign;
  W[Z_CLS] = FINITE;
  W[Z_DEN] = 0;
  W[Z_HI] = hi;
  W[Z_LO] = lo;
  W[Z_EXT] = ext;
  W[Z_EXP] = exp;
  return 0;
}

/**
 * Z = square root of A, which is no NaN.
 *
 * @returns IE for a negative number other than -0, whose Z is the indefinite
 */
export function sqrt(): number {
  const cls = W[A_CLS];
  if (W[A_SIGN] === 1 && cls !== ZERO) {
    setIndefinite();
    return IE;
  }
  if (cls !== FINITE) {
    copyNumber(Z, A);
    return 0;
  }
  const exp = W[A_EXP], odd = exp & 1, hi = W[A_HI], lo = W[A_LO];
  if (odd) squareRoot(hi, lo, 0);
  else squareRoot(hi >>> 1, (hi << 31) | (lo >>> 1), lo << 31);
  W[Z_SIGN] = 0;
  W[Z_CLS] = FINITE;
  W[Z_DEN] = 0;
  W[Z_HI] = ROOT[0];
  W[Z_LO] = ROOT[1];
  W[Z_EXT] = ROOT[2];
  W[Z_EXP] = (exp - odd) >> 1;
  return 0;
}

/** How A compares with B, neither a NaN: -1, 0 or 1. */
export function compare(): number {
  const a = W[A_CLS], b = W[B_CLS];
  if (a === ZERO && b === ZERO) return 0;
  if (a === ZERO) return W[B_SIGN] === 1 ? 1 : -1;
  if (b === ZERO || W[A_SIGN] !== W[B_SIGN]) return W[A_SIGN] === 1 ? -1 : 1;
  const order = a === b ? (a === INF ? 0 : compareMagnitudes()) : a === INF ? 1 : -1;
  return order === 0 ? 0 : (order < 0) === (W[A_SIGN] === 0) ? -1 : 1;
}

/**
 * Rounds A to an integer, as Z with the full 64 bits. Not for NaN.
 *
 * @returns PE if A was no integer, and C1 if rounded away from zero
 */
export function roundToInteger(rc: number): number {
  copyNumber(Z, A);
  const exp = W[A_EXP];
  if (W[A_CLS] !== FINITE || exp >= 63) return 0;
  const sign = W[A_SIGN];
  let hi = 0, lo = 0, ext = 0;
  const n = 63 - exp;
  const ah = W[A_HI], al = W[A_LO];
  if (n < 32) {
    hi = ah >>> n;
    lo = (al >>> n) | (ah << (32 - n));
    ext = al << (32 - n);
  } else if (n === 32) {
    lo = ah;
    ext = al;
  } else if (n < 64) {
    lo = ah >>> (n - 32);
    ext = (ah << (64 - n)) | (al >>> (n - 32)) | (al << (64 - n) !== 0 ? 1 : 0);
  } else if (n === 64) {
    ext = ah | (al !== 0 ? 1 : 0);
  } else {
    ext = 1;
  }
  const up = roundsUp(ext, sign, (lo & 1) !== 0, rc);
  if (up) {
    lo = (lo + 1) | 0;
    if (lo === 0) hi = (hi + 1) | 0;
  }
  if ((hi | lo) === 0) {
    setZ(ZERO, sign);
  } else {
    W[Z_HI] = hi;
    W[Z_LO] = lo;
    W[Z_EXP] = 63;
    normalize(Z);
  }
  return (ext !== 0 ? PE : 0) | (up ? C1 : 0);
}

/**
 * Stores A, rounded, as a signed integer of `bits` (16, 32 or 64) at `out[i]` (and `out[i + 1]`).
 *
 * @returns PE and C1 as {@linkcode roundToInteger}, or IE when it does not fit: then nothing is stored
 */
export function toInteger(bits: number, rc: number, out: Int32Array, i: number): number {
  const cls = W[A_CLS];
  if (cls >= INF) return IE;
  if (cls === ZERO) {
    out[i] = 0;
    if (bits === 64) out[i + 1] = 0;
    return 0;
  }
  const flags = roundToInteger(rc);
  if (W[Z_CLS] === ZERO) {
    out[i] = 0;
    if (bits === 64) out[i + 1] = 0;
    return flags;
  }
  const exp = W[Z_EXP], sign = W[Z_SIGN];
  if (exp > bits - 1) return IE;
  let hi = W[Z_HI], lo = W[Z_LO];
  // Only the most negative number has the top bit.
  if (exp === bits - 1 && (sign === 0 || hi !== TOP || lo !== 0)) return IE;
  const n = 63 - exp;
  if (n >= 32) {
    lo = hi >>> (n - 32);
    hi = 0;
  } else if (n !== 0) {
    lo = (lo >>> n) | (hi << (32 - n));
    hi = hi >>> n;
  }
  if (sign === 1) {
    lo = -lo | 0;
    hi = (lo === 0 ? -hi : ~hi) | 0;
  }
  out[i] = lo;
  if (bits === 64) out[i + 1] = hi;
  return flags;
}
