/** AES-NI (SDM vol. 1, 12.13; FIPS 197) and PCLMULQDQ. */
import type { Helper } from "../rows.ts";

/** The S-box and its inverse. */
const SBOX = new Uint8Array(256), INVERSE = new Uint8Array(256);

/** Products in GF(2^8) with the polynomial 11Bh. */
function multiply(x: number, y: number): number {
  let product = 0;
  for (; y !== 0; y >>= 1) {
    if ((y & 1) !== 0) product ^= x;
    x = (x << 1) ^ ((x & 0x80) !== 0 ? 0x11b : 0);
  }
  return product;
}

// FIPS 197, 5.1.1: the inverse, then an affine transformation. 3 generates the field.
for (let n = 0, x = 1, y = 1; n < 256; n++) {
  let value = n === 255 ? 0 : y;
  const inverse = n === 255 ? 0 : x;
  value ^= (value << 1) ^ (value << 2) ^ (value << 3) ^ (value << 4);
  value = (value ^ (value >> 8) ^ 0x63) & 0xff;
  SBOX[inverse] = value;
  INVERSE[value] = inverse;
  x = multiply(x, 3);
  y = multiply(y, 0xf6);
}

/** What a byte of row 0 contributes to its column after substitution and mixing; row n's is this rotated by n bytes. */
const MIXED = new Int32Array(256),
  UNMIXED = new Int32Array(256),
  INVERSE_MIXED = new Int32Array(256);

const column = (x: number, factors: number[]) =>
  factors.reduce((word, factor, i) => word | (multiply(x, factor) << (8 * i)), 0);
for (let n = 0; n < 256; n++) {
  MIXED[n] = column(SBOX[n], [2, 1, 1, 3]);
  INVERSE_MIXED[n] = column(n, [14, 9, 13, 11]);
  UNMIXED[n] = column(INVERSE[n], [14, 9, 13, 11]);
}

const rotate = (x: number, by: number) => (x << by) | (x >>> (32 - by));

/** A column from the bytes that row n takes from the column at n * `step`, through a table. */
function mixed(table: Int32Array, state: number[], c: number, step: number): number {
  return table[state[c] & 255] ^
    rotate(table[(state[(c + step) & 3] >>> 8) & 255], 8) ^
    rotate(table[(state[(c + 2 * step) & 3] >>> 16) & 255], 16) ^
    rotate(table[state[(c + 3 * step) & 3] >>> 24], 24);
}

/** The same without mixing, for last rounds. */
function substituted(box: Uint8Array, state: number[], c: number, step: number): number {
  return box[state[c] & 255] |
    (box[(state[(c + step) & 3] >>> 8) & 255] << 8) |
    (box[(state[(c + 2 * step) & 3] >>> 16) & 255] << 16) |
    (box[state[(c + 3 * step) & 3] >>> 24] << 24);
}

/** One round: rows shifted by `step` columns each, bytes substituted, columns mixed, the key at b added. */
function round(make: (state: number[], c: number) => number): Helper {
  return ({ R }, a, b) => {
    const state = [R[a], R[a + 1], R[a + 2], R[a + 3]];
    const key = [R[b], R[b + 1], R[b + 2], R[b + 3]];
    for (let c = 0; c < 4; c++) R[a + c] = make(state, c) ^ key[c];
  };
}

const substituteWord = (x: number) =>
  SBOX[x & 255] | (SBOX[(x >>> 8) & 255] << 8) | (SBOX[(x >>> 16) & 255] << 16) |
  (SBOX[x >>> 24] << 24);

/** 32 by 32 bits without carries: the low half of the product; the high half is left in `carrylessHigh`. */
function carryless(x: number, y: number): number {
  let lo = 0, hi = 0;
  for (; y !== 0; y &= y - 1) {
    const n = 31 - Math.clz32(y & -y);
    lo ^= x << n;
    if (n !== 0) hi ^= x >>> (32 - n);
  }
  carrylessHigh = hi;
  return lo;
}
let carrylessHigh = 0;

/** Helpers of this file. */
export const AES: Record<string, Helper> = {
  aesenc: round((state, c) => mixed(MIXED, state, c, 1)),
  aesenclast: round((state, c) => substituted(SBOX, state, c, 1)),
  aesdec: round((state, c) => mixed(UNMIXED, state, c, 3)),
  aesdeclast: round((state, c) => substituted(INVERSE, state, c, 3)),
  aesimc: ({ R }, a, b) => {
    for (let c = 0; c < 4; c++) {
      const x = R[b + c];
      R[a + c] = INVERSE_MIXED[x & 255] ^ rotate(INVERSE_MIXED[(x >>> 8) & 255], 8) ^
        rotate(INVERSE_MIXED[(x >>> 16) & 255], 16) ^ rotate(INVERSE_MIXED[x >>> 24], 24);
    }
  },
  aeskeygenassist: ({ R }, a, b, constant) => {
    const x = substituteWord(R[b + 1]), y = substituteWord(R[b + 3]);
    R[a] = x;
    R[a + 1] = rotate(x, 24) ^ (constant & 255);
    R[a + 2] = y;
    R[a + 3] = rotate(y, 24) ^ (constant & 255);
  },
  pclmulqdq: ({ R }, a, b, order) => {
    const x = a + (order & 1) * 2, y = b + ((order >> 4) & 1) * 2;
    const xl = R[x], xh = R[x + 1], yl = R[y], yh = R[y + 1];
    const low = carryless(xl, yl), lowHigh = carrylessHigh;
    const high = carryless(xh, yh), highHigh = carrylessHigh;
    // Karatsuba: the middle is the product of the sums, less both others.
    const middle = carryless(xl ^ xh, yl ^ yh) ^ low ^ high;
    const middleHigh = carrylessHigh ^ lowHigh ^ highHigh;
    R[a] = low;
    R[a + 1] = lowHigh ^ middle;
    R[a + 2] = high ^ middleHigh;
    R[a + 3] = highHigh;
  },
};
