/** Products and quotients of 64-bit operands; they leave their limbs in {@linkcode WIDE}. */

/** Low to high limbs of the last 128-bit product; or quotient (low, high) and remainder (low, high). */
export const WIDE: Int32Array<ArrayBuffer> = new Int32Array(4);

/** High half of the product of two unsigned 32-bit numbers. The sums have 32 bits at most. */
export function mulHigh(a: number, b: number): number {
  const al = a & 0xffff, ah = a >>> 16, bl = b & 0xffff, bh = b >>> 16;
  const t = (Math.imul(ah, bl) + (Math.imul(al, bl) >>> 16)) | 0;
  const u = (Math.imul(al, bh) + (t & 0xffff)) | 0;
  return (Math.imul(ah, bh) + (t >>> 16) + (u >>> 16)) | 0;
}

// hot: bench/micro.ts, muldiv. Doubles hold sums of unsigned words exactly.
function multiplyUnsigned(al: number, ah: number, bl: number, bh: number): void {
  const m1 = (mulHigh(al, bl) >>> 0) + (Math.imul(al, bh) >>> 0) + (Math.imul(ah, bl) >>> 0);
  const m2 = Math.floor(m1 / 0x100000000) + (mulHigh(al, bh) >>> 0) + (mulHigh(ah, bl) >>> 0) +
    (Math.imul(ah, bh) >>> 0);
  WIDE[0] = Math.imul(al, bl);
  WIDE[1] = m1;
  WIDE[2] = m2;
  WIDE[3] = mulHigh(ah, bh) + Math.floor(m2 / 0x100000000);
}

/** Whether a signed 64-bit product fits 64 bits: 1 or 0. */
export function fits64(al: number, ah: number, bl: number, bh: number): number {
  const p = Math.abs((ah * 0x100000000 + (al >>> 0)) * (bh * 0x100000000 + (bl >>> 0)));
  if (p < 0x7fffffff00000000) return 1;
  if (p > 0x8000000100000000) return 0;
  multiply128(al, ah, bl, bh, 1);
  const sign = WIDE[1] >> 31;
  return WIDE[2] === sign && WIDE[3] === sign ? 1 : 0;
}

/** 64 by 64 bits to 128; with `signed` 1 as two's complement. */
export function multiply128(al: number, ah: number, bl: number, bh: number, signed: number): void {
  multiplyUnsigned(al, ah, bl, bh);
  if (signed === 0) return;
  if (ah < 0) subtractHigh(bl, bh);
  if (bh < 0) subtractHigh(al, ah);
}

function subtractHigh(lo: number, hi: number): void {
  const low = WIDE[2];
  WIDE[2] = low - lo;
  WIDE[3] = WIDE[3] - hi - ((low >>> 0) < (lo >>> 0) ? 1 : 0);
}

/** 128 by 64 bits; false when the divisor is 0 or the quotient does not fit. `h` and `l` are the dividend's high and low quadwords. */
export function divide128(
  hl: number,
  hh: number,
  ll: number,
  lh: number,
  dl: number,
  dh: number,
  signed: number,
): boolean {
  if (signed === 0 || (hh >= 0 && dh >= 0)) {
    return divideUnsigned(hl, hh, ll, lh, dl, dh) && (signed === 0 || WIDE[1] >= 0);
  }
  const negative = hh < 0, opposite = (hh ^ dh) < 0;
  if (negative) {
    // The carry goes up as long as words are zero.
    ll = -ll | 0;
    lh = (~lh + (ll === 0 ? 1 : 0)) | 0;
    const carry = (ll | lh) === 0 ? 1 : 0;
    hl = (~hl + carry) | 0;
    hh = (~hh + (carry !== 0 && hl === 0 ? 1 : 0)) | 0;
  }
  if (dh < 0) {
    dl = -dl | 0;
    dh = (~dh + (dl === 0 ? 1 : 0)) | 0;
  }
  if (!divideUnsigned(hl, hh, ll, lh, dl, dh)) return false;
  if (opposite) {
    // Down to -2^63.
    if (WIDE[1] < 0 && ((WIDE[1] & 0x7fffffff) | WIDE[0]) !== 0) return false;
    negate(0);
  } else if (WIDE[1] < 0) return false;
  if (negative) negate(2);
  return true;
}

/** Negates the quadword at `WIDE[i]`. */
function negate(i: number): void {
  const low = -WIDE[i] | 0;
  WIDE[i] = low;
  WIDE[i + 1] = ~WIDE[i + 1] + (low === 0 ? 1 : 0);
}

// hot: bench/micro.ts, muldiv.
function divideUnsigned(
  hl: number,
  hh: number,
  ll: number,
  lh: number,
  dl: number,
  dh: number,
): boolean {
  if ((hl | hh) === 0 && (lh >>> 0) < 0x100000 && (dh >>> 0) < 0x100000) {
    if ((dl | dh) === 0) return false;
    // What compilers divide mostly fits doubles exactly.
    const dividend = lh * 0x100000000 + (ll >>> 0), divisor = dh * 0x100000000 + (dl >>> 0);
    let quotient = Math.floor(dividend / divisor), remainder = dividend - quotient * divisor;
    if (remainder < 0) {
      quotient--;
      remainder += divisor;
    }
    WIDE[0] = quotient;
    WIDE[1] = Math.floor(quotient / 0x100000000);
    WIDE[2] = remainder;
    WIDE[3] = Math.floor(remainder / 0x100000000);
    return true;
  }
  // The quotient fits exactly if the high quadword is less than the divisor, which excludes 0.
  if ((hh >>> 0) > (dh >>> 0) || (hh === dh && (hl >>> 0) >= (dl >>> 0))) return false;
  // Two digits of 32 bits by a divisor whose top bit is set (Knuth, TAOCP vol. 2, 4.3.1, algorithm D).
  let shift = 0;
  if (dh === 0) {
    dh = dl;
    dl = 0;
    hh = hl;
    hl = lh;
    lh = ll;
    ll = 0;
    shift = 32;
  }
  const n = Math.clz32(dh);
  if (n !== 0) {
    dh = (dh << n) | (dl >>> (32 - n));
    dl = dl << n;
    hh = (hh << n) | (hl >>> (32 - n));
    hl = (hl << n) | (lh >>> (32 - n));
    lh = (lh << n) | (ll >>> (32 - n));
    ll = ll << n;
  }
  const den = (dh >>> 0) * 0x100000000 + (dl >>> 0);
  let r2 = hh, r1 = hl, r0 = lh, high = 0, digit = 0;
  for (let i = 0; i < 2; i++) {
    const num = ((r2 >>> 0) * 0x100000000 + (r1 >>> 0)) * 0x100000000 + (r0 >>> 0);
    let q = Math.floor(num / den);
    if (q > 0xffffffff) q = 0xffffffff;
    digit = q | 0;
    // The estimate is off by one at most: subtract and repair.
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
    } else if (
      r2 > 0 || (r1 >>> 0) > (dh >>> 0) || (r1 === dh && (r0 >>> 0) >= (dl >>> 0))
    ) {
      digit = (digit + 1) | 0;
      const d0 = (r0 >>> 0) - (dl >>> 0);
      r1 = ((r1 >>> 0) - (dh >>> 0) - (d0 < 0 ? 1 : 0)) | 0;
      r0 = d0 | 0;
    }
    if (i === 0) {
      high = digit;
      r2 = r1;
      r1 = r0;
      r0 = ll;
    }
  }
  WIDE[0] = digit;
  WIDE[1] = high;
  // The remainder is scaled as the divisor is.
  const lo = n === 0 ? r0 : (r0 >>> n) | (r1 << (32 - n)), hi = r1 >>> n;
  WIDE[2] = shift === 32 ? hi : lo;
  WIDE[3] = shift === 32 ? 0 : hi;
  return true;
}
