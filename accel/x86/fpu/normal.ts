/**
 * Arithmetic on 80-bit numbers in place, for what x87 code mostly does: normal operands, a normal result,
 * 64 bits of precision, rounding to nearest. Everything else is for `softfloat.ts`, and these functions say
 * so by returning -1, with nothing written.
 *
 * Numbers are three words of `R`: significand low and high, then sign and exponent.
 */
// hot: bench/micro.ts, nbody.
import { mulHigh } from "../wide.ts";

const PE = 32, C1 = 0x200, TOP = 0x80000000 | 0;

/**
 * Rounds to nearest and stores at `R[d..]`. `ext` is what lies beyond the 64 bits, its last bit sticky; `e` is
 * the biased exponent.
 *
 * @returns PE and C1, or -1 where the exponent leaves the normal range
 */
function put(
  R: Int32Array,
  d: number,
  sign: number,
  e: number,
  hi: number,
  lo: number,
  ext: number,
): number {
  let flags = 0;
  if (e <= 0) return -1;
  if (ext !== 0) {
    flags = PE;
    if (ext < 0 && (ext !== TOP || (lo & 1) !== 0)) {
      flags = PE | C1;
      lo = (lo + 1) | 0;
      if (lo === 0) {
        hi = (hi + 1) | 0;
        if (hi === 0) {
          hi = TOP;
          e++;
        }
      }
    }
  }
  if (e >= 0x7fff) return -1;
  R[d] = lo;
  R[d + 1] = hi;
  R[d + 2] = sign | e;
  return flags;
}

/** Whether one unsigned word is less than another, as 1 or 0: the carry of a sum that is less than what it was made of. */
function below(sum: number, term: number): number {
  return (sum ^ TOP) < (term ^ TOP) ? 1 : 0;
}

/** Whether a biased exponent and high word are those of a normal number. */
function isNormal(e: number, hi: number): boolean {
  return hi < 0 && e !== 0 && e !== 0x7fff;
}

/** R[d..] = R[a..] + R[b..], the sign of b changed if `flip` is 0x8000. */
export function addNormal(R: Int32Array, d: number, a: number, b: number, flip: number): number {
  let ah = R[a + 1], al = R[a], bh = R[b + 1], bl = R[b];
  const as = R[a + 2], bs = R[b + 2] ^ flip;
  let e = as & 0x7fff, n = e - (bs & 0x7fff), sign = as & 0x8000;
  if (!isNormal(e, ah) || !isNormal(bs & 0x7fff, bh)) return -1;
  if (n < 0 || (n === 0 && (ah === bh ? (al >>> 0) < (bl >>> 0) : (ah >>> 0) < (bh >>> 0)))) {
    const h = ah, l = al;
    ah = bh;
    al = bl;
    bh = h;
    bl = l;
    e = bs & 0x7fff;
    sign = bs & 0x8000;
    n = -n;
  }
  let ext = 0;
  if (n !== 0) {
    if (n < 32) {
      ext = bl << (32 - n);
      bl = (bl >>> n) | (bh << (32 - n));
      bh = bh >>> n;
    } else if (n === 32) {
      ext = bl;
      bl = bh;
      bh = 0;
    } else if (n < 64) {
      ext = (bl >>> (n - 32)) | (bh << (64 - n)) | (bl << (64 - n) !== 0 ? 1 : 0);
      bl = bh >>> (n - 32);
      bh = 0;
    } else {
      // Below the last place: from a quarter of it on only that something is there matters.
      ext = n === 64
        ? bh | (bl !== 0 ? 1 : 0)
        : n === 65
        ? (bh >>> 1) | (((bh & 1) | bl) !== 0 ? 1 : 0)
        : 1;
      bl = bh = 0;
    }
  }
  if (((as ^ bs) & 0x8000) === 0) {
    let lo = (al + bl) | 0;
    const carry = ((al & bl) | ((al | bl) & ~lo)) >>> 31;
    let hi = (ah + bh + carry) | 0;
    if (((ah & bh) | ((ah | bh) & ~hi)) < 0) {
      ext = (ext >>> 1) | (lo << 31) | (ext & 1);
      lo = (lo >>> 1) | (hi << 31);
      hi = (hi >>> 1) | TOP;
      e++;
    }
    return put(R, d, sign, e, hi, lo, ext);
  }
  const borrow = ext !== 0 ? 1 : 0;
  ext = -ext | 0;
  let lo = (al - bl - borrow) | 0;
  const borrow2 = ((~al & bl) | ((~al | bl) & lo)) >>> 31;
  let hi = (ah - bh - borrow2) | 0;
  if (hi >= 0) {
    // An exact zero's sign depends on more than is known here.
    if ((hi | lo | ext) === 0) return -1;
    while (hi === 0) {
      hi = lo;
      lo = ext;
      ext = 0;
      e -= 32;
    }
    const shift = Math.clz32(hi);
    if (shift !== 0) {
      hi = (hi << shift) | (lo >>> (32 - shift));
      lo = (lo << shift) | (ext >>> (32 - shift));
      ext = ext << shift;
      e -= shift;
    }
  }
  return put(R, d, sign, e, hi, lo, ext);
}

/** R[d..] = R[a..] * R[b..]. */
export function mulNormal(R: Int32Array, d: number, a: number, b: number): number {
  const ah = R[a + 1], al = R[a], bh = R[b + 1], bl = R[b], as = R[a + 2], bs = R[b + 2];
  const ea = as & 0x7fff, eb = bs & 0x7fff, sign = (as ^ bs) & 0x8000;
  if (!isNormal(ea, ah) || !isNormal(eb, bh)) return -1;
  const e = ea + eb - 16383;
  // By pieces of 16 bits, as in `mulHigh`: int32 operations throughout.
  const a0 = al & 0xffff, a1 = al >>> 16, a2 = ah & 0xffff, a3 = ah >>> 16;
  const b0 = bl & 0xffff, b1 = bl >>> 16, b2 = bh & 0xffff, b3 = bh >>> 16;
  let t = (Math.imul(a3, b2) + (Math.imul(a2, b2) >>> 16)) | 0;
  let u = (Math.imul(a2, b3) + (t & 0xffff)) | 0;
  let w3 = (Math.imul(a3, b3) + (t >>> 16) + (u >>> 16)) | 0, w2 = Math.imul(ah, bh);
  let w1 = 0, w0 = 0;
  if ((al | bl) !== 0) {
    t = (Math.imul(a1, b0) + (Math.imul(a0, b0) >>> 16)) | 0;
    u = (Math.imul(a0, b1) + (t & 0xffff)) | 0;
    const ll = (Math.imul(a1, b1) + (t >>> 16) + (u >>> 16)) | 0;
    t = (Math.imul(a1, b2) + (Math.imul(a0, b2) >>> 16)) | 0;
    u = (Math.imul(a0, b3) + (t & 0xffff)) | 0;
    const lh = (Math.imul(a1, b3) + (t >>> 16) + (u >>> 16)) | 0, x = Math.imul(al, bh);
    t = (Math.imul(a3, b0) + (Math.imul(a2, b0) >>> 16)) | 0;
    u = (Math.imul(a2, b1) + (t & 0xffff)) | 0;
    const hl = (Math.imul(a3, b1) + (t >>> 16) + (u >>> 16)) | 0, y = Math.imul(ah, bl);
    w0 = Math.imul(al, bl);
    const s = (ll + x) | 0, v = (w2 + lh) | 0, w = (v + hl) | 0;
    w1 = (s + y) | 0;
    const carries = below(s, x) + below(w1, y);
    const sum = (w + carries) | 0;
    w3 = (w3 + below(v, lh) + below(w, hl) + below(sum, carries)) | 0;
    w2 = sum;
  }
  const sticky = w0 !== 0 ? 1 : 0;
  if (w3 < 0) return put(R, d, sign, e + 1, w3, w2, w1 | sticky);
  return put(R, d, sign, e, (w3 << 1) | (w2 >>> 31), (w2 << 1) | (w1 >>> 31), (w1 << 1) | sticky);
}

/** R[d..] = R[a..] / R[b..]. */
export function divNormal(R: Int32Array, d: number, a: number, b: number): number {
  const ah = R[a + 1], al = R[a], dh = R[b + 1], dl = R[b], as = R[a + 2], bs = R[b + 2];
  const ea = as & 0x7fff, eb = bs & 0x7fff;
  if (!isNormal(ea, ah) || !isNormal(eb, dh)) return -1;
  const less = (ah >>> 0) < (dh >>> 0) || (ah === dh && (al >>> 0) < (dl >>> 0));
  // The dividend is scaled so that the first digit has its top bit set.
  let r2 = less ? ah : ah >>> 1;
  let r1 = less ? al : (ah << 31) | (al >>> 1);
  let r0 = less ? 0 : al << 31;
  const den = (dh >>> 0) * 0x100000000 + (dl >>> 0);
  let high = 0, digit = 0;
  for (let i = 0; i < 2; i++) {
    const num = ((r2 >>> 0) * 0x100000000 + (r1 >>> 0)) * 0x100000000 + (r0 >>> 0);
    let q = Math.floor(num / den);
    if (q > 0xffffffff) q = 0xffffffff;
    digit = q | 0;
    // The estimate is off by one at most: subtract and repair, as in `wide.ts`.
    const m = (mulHigh(digit, dl) >>> 0) + (Math.imul(digit, dh) >>> 0);
    const s0 = (r0 >>> 0) - (Math.imul(digit, dl) >>> 0);
    const s1 = (r1 >>> 0) - ((m | 0) >>> 0) - (s0 < 0 ? 1 : 0);
    r2 = (r2 - mulHigh(digit, dh) - Math.floor(m / 0x100000000) - (s1 < 0 ? 1 : 0)) | 0;
    r1 = s1 | 0;
    r0 = s0 | 0;
    if (r2 < 0) {
      digit = (digit - 1) | 0;
      const a0 = (r0 >>> 0) + (dl >>> 0);
      r1 = ((r1 >>> 0) + (dh >>> 0) + (a0 > 0xffffffff ? 1 : 0)) | 0;
      r0 = a0 | 0;
    } else if (r2 > 0 || (r1 >>> 0) > (dh >>> 0) || (r1 === dh && (r0 >>> 0) >= (dl >>> 0))) {
      digit = (digit + 1) | 0;
      const d0 = (r0 >>> 0) - (dl >>> 0);
      r1 = ((r1 >>> 0) - (dh >>> 0) - (d0 < 0 ? 1 : 0)) | 0;
      r0 = d0 | 0;
    }
    if (i === 0) {
      high = digit;
      r2 = r1;
      r1 = r0;
      r0 = 0;
    }
  }
  // Twice the remainder against the divisor says what lies beyond.
  let ext = 0;
  if ((r1 | r0) !== 0) {
    const twice = (r1 << 1) | (r0 >>> 31), low = r0 << 1;
    if (r1 < 0 || (twice >>> 0) > (dh >>> 0)) ext = TOP | 1;
    else if (twice === dh && low === dl) ext = TOP;
    else ext = twice === dh && (low >>> 0) > (dl >>> 0) ? TOP | 1 : 1;
  }
  return put(R, d, (as ^ bs) & 0x8000, ea - eb + (less ? 16382 : 16383), high, digit, ext);
}

/** Root of {@linkcode squareRoot}: high and low word, and what lies beyond. */
export const ROOT: Int32Array<ArrayBuffer> = new Int32Array(3);

/**
 * Square root of the 128-bit number whose high words are x3 to x1, the lowest zero; one of the top two bits is
 * set. By a root of half the length and one division (Zimmermann, "Karatsuba Square Root", 1999).
 */
export function squareRoot(x3: number, x2: number, x1: number): void {
  let s1 = Math.floor(Math.sqrt((x3 >>> 0) * 0x100000000 + (x2 >>> 0)));
  if (s1 > 0xffffffff) s1 = 0xffffffff;
  let square = mulHigh(s1, s1) >>> 0;
  let r1 = ((x3 >>> 0) - square) * 0x100000000 + ((x2 >>> 0) - (Math.imul(s1, s1) >>> 0));
  if (r1 < 0) {
    s1--;
    r1 += 2 * s1 + 1;
  } else if (r1 > 2 * s1) {
    s1++;
    r1 -= 2 * s1 - 1;
  }
  // The remainder, followed by the next word, by twice the root.
  const half = Math.floor(r1 / 2), low = (((r1 % 2) << 31) | (x1 >>> 1)) >>> 0;
  let q = Math.floor((half * 0x100000000 + low) / s1);
  if (q > 0xffffffff) q = 0xffffffff;
  // Exactly: the difference of two products, both close together.
  let u = (half - (mulHigh(q, s1) >>> 0)) * 0x100000000 + (low - (Math.imul(q, s1) >>> 0));
  if (u < 0) {
    q--;
    u += s1;
  } else if (u >= s1 && q < 0xffffffff) {
    q++;
    u -= s1;
  }
  u = 2 * u + (x1 & 1);
  square = mulHigh(q, q) >>> 0;
  let rh = u - square, rl = -(Math.imul(q, q) >>> 0);
  if (rl < 0) {
    rl += 0x100000000;
    rh--;
  }
  let hi = s1, lo = q;
  if (rh < 0) {
    // One too much: the remainder gains twice the root less one.
    rl += ((lo << 1) >>> 0) - 1;
    rh += 2 * hi + (lo >= 0x80000000 ? 1 : 0);
    if (rl < 0) {
      rl += 0x100000000;
      rh--;
    } else if (rl >= 0x100000000) {
      rl -= 0x100000000;
      rh++;
    }
    lo--;
    if (lo < 0) {
      lo += 0x100000000;
      hi--;
    }
  }
  ROOT[0] = hi;
  ROOT[1] = lo;
  // Above half a unit in the last place exactly when the remainder exceeds the root.
  const above = rh > hi || (rh === hi && rl > lo);
  ROOT[2] = rh === 0 && rl === 0 ? 0 : above ? TOP | 1 : 1;
}

/** R[d..] = square root of R[a..]. */
export function sqrtNormal(R: Int32Array, d: number, a: number): number {
  const ah = R[a + 1], al = R[a], as = R[a + 2], e = as & 0x7fff;
  if (!isNormal(e, ah) || (as & 0x8000) !== 0) return -1;
  // The exponent, less its bias, is odd where the biased one is even.
  if ((e & 1) === 0) squareRoot(ah, al, 0);
  else squareRoot(ah >>> 1, (ah << 31) | (al >>> 1), al << 31);
  return put(R, d, 0, (e + 16383) >> 1, ROOT[0], ROOT[1], ROOT[2]);
}
