/** Products and quotients of 64-bit operands; they leave their limbs in {@linkcode WIDE}. */

/** Low to high limbs of the last 128-bit product; or quotient (low, high) and remainder (low, high). */
export const WIDE: Int32Array<ArrayBuffer> = new Int32Array(4);

function multiplyUnsigned(al: number, ah: number, bl: number, bh: number): void {
  // Sixteen-bit limbs: every sum of partial products stays exact.
  const a = [al & 0xffff, al >>> 16, ah & 0xffff, ah >>> 16];
  const b = [bl & 0xffff, bl >>> 16, bh & 0xffff, bh >>> 16];
  let carry = 0;
  for (let k = 0; k < 8; k++) {
    let sum = carry;
    for (let i = Math.max(0, k - 3); i <= Math.min(3, k); i++) sum += a[i] * b[k - i];
    const limb = sum % 0x10000;
    carry = (sum - limb) / 0x10000;
    if ((k & 1) === 0) WIDE[k >> 1] = limb;
    else WIDE[k >> 1] |= limb << 16;
  }
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

const big = (lo: number, hi: number) => (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0);

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
  if ((dl | dh) === 0) return false;
  if (
    hl === 0 && hh === 0 && dh === 0 && lh >= 0 && (lh >>> 0) < 0x200000 && (signed === 0 || dl > 0)
  ) {
    // What compilers divide mostly fits a double exactly.
    const dividend = lh * 0x100000000 + (ll >>> 0), divisor = dl >>> 0;
    const quotient = Math.floor(dividend / divisor), remainder = dividend - quotient * divisor;
    WIDE[0] = quotient;
    WIDE[1] = Math.floor(quotient / 0x100000000);
    WIDE[2] = remainder;
    WIDE[3] = 0;
    return true;
  }
  // Long division of rare operands: arbitrary precision is simplest and was not found in profiles.
  let dividend = (big(hl, hh) << 64n) | big(ll, lh), divisor = big(dl, dh);
  if (signed !== 0) {
    dividend = BigInt.asIntN(128, dividend);
    divisor = BigInt.asIntN(64, divisor);
  }
  const quotient = dividend / divisor, remainder = dividend % divisor;
  const fits = signed !== 0
    ? BigInt.asIntN(64, quotient) === quotient
    : BigInt.asUintN(64, quotient) === quotient;
  if (!fits) return false;
  WIDE[0] = Number(BigInt.asIntN(32, quotient));
  WIDE[1] = Number(BigInt.asIntN(32, quotient >> 32n));
  WIDE[2] = Number(BigInt.asIntN(32, remainder));
  WIDE[3] = Number(BigInt.asIntN(32, remainder >> 32n));
  return true;
}
