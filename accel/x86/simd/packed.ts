/** Packed integer operations that cross 32-bit words: on `words` words (2 for MMX, 4 for XMM) at index a, from b. */
import { mulHigh } from "../fpu/softfloat.ts";

function saturate16(v: number): number {
  return (v < -32768 ? -32768 : v > 32767 ? 32767 : v) & 0xffff;
}

function saturate8(v: number): number {
  return (v < -128 ? -128 : v > 127 ? 127 : v) & 0xff;
}

function saturateU8(v: number): number {
  return v < 0 ? 0 : v > 255 ? 255 : v;
}

/** Two words become one. */
export type Narrow = (x: number, y: number) => number;

const packBytes: Narrow = (x, y) =>
  saturate8((x << 16) >> 16) | (saturate8(x >> 16) << 8) | (saturate8((y << 16) >> 16) << 16) |
  (saturate8(y >> 16) << 24);
const packUnsigned: Narrow = (x, y) =>
  saturateU8((x << 16) >> 16) | (saturateU8(x >> 16) << 8) | (saturateU8((y << 16) >> 16) << 16) |
  (saturateU8(y >> 16) << 24);
const packWords: Narrow = (x, y) => saturate16(x) | (saturate16(y) << 16);

/** Narrows the pairs of words at a, then those at b. */
export function pack(narrow: Narrow): PackedOperation {
  return (R, a, b, words) => {
    if (words === 2) {
      const low = narrow(R[a], R[a + 1]);
      R[a + 1] = narrow(R[b], R[b + 1]);
      R[a] = low;
      return;
    }
    const r0 = narrow(R[a], R[a + 1]), r1 = narrow(R[a + 2], R[a + 3]);
    const r2 = narrow(R[b], R[b + 1]);
    R[a + 3] = narrow(R[b + 2], R[b + 3]);
    R[a + 2] = r2;
    R[a + 1] = r1;
    R[a] = r0;
  };
}

/** Interleaves the low 16 bits of two words by bytes. */
function interleave(x: number, y: number): number {
  return (x & 0xff) | ((y & 0xff) << 8) | ((x & 0xff00) << 8) | ((y & 0xff00) << 16);
}

/** Interleaves the low or high half of a with that of b. `low` and `high` give the two words that a pair of words makes. */
function unpack(upper: boolean, low: Narrow, high: Narrow): PackedOperation {
  return (R, a, b, words) => {
    if (words === 2) {
      const x = R[upper ? a + 1 : a], y = R[upper ? b + 1 : b];
      R[a] = low(x, y);
      R[a + 1] = high(x, y);
      return;
    }
    const at = upper ? 2 : 0;
    const x0 = R[a + at], x1 = R[a + at + 1], y0 = R[b + at], y1 = R[b + at + 1];
    R[a] = low(x0, y0);
    R[a + 1] = high(x0, y0);
    R[a + 2] = low(x1, y1);
    R[a + 3] = high(x1, y1);
  };
}

const bytesLow: Narrow = interleave;
const bytesHigh: Narrow = (x, y) => interleave(x >>> 16, y >>> 16);
const wordsLow: Narrow = (x, y) => (x & 0xffff) | (y << 16);
const wordsHigh: Narrow = (x, y) => (x >>> 16) | (y & 0xffff0000);
const first: Narrow = (x) => x;
const second: Narrow = (_, y) => y;

/** An operation on `words` words at a with those at b, or with a count in place of b. */
export type PackedOperation = (R: Int32Array, a: number, b: number, words: number) => void;

/** The count of a shift from the low 64 bits at b: anything too large is 64 (or 128). */
export function shiftCount(R: Int32Array, b: number): number {
  return R[b + 1] !== 0 || (R[b] >>> 0) > 64 ? 64 : R[b];
}

/** Shifts of 16-, 32- and 64-bit lanes by one count. */
export const SHIFTS: Record<string, PackedOperation> = {
  psllw: (R, a, n, words) => {
    const mask = n > 15 ? 0 : (0xffff << n) & 0xffff;
    for (let i = a; i < a + words; i++) R[i] = n > 15 ? 0 : (R[i] << n) & (mask | (mask << 16));
  },
  psrlw: (R, a, n, words) => {
    const mask = n > 15 ? 0 : 0xffff >>> n;
    for (let i = a; i < a + words; i++) R[i] = n > 15 ? 0 : (R[i] >>> n) & (mask | (mask << 16));
  },
  psraw: (R, a, n, words) => {
    const k = n > 15 ? 15 : n;
    for (let i = a; i < a + words; i++) {
      R[i] = (((R[i] << 16) >> (16 + k)) & 0xffff) | ((R[i] >> k) & 0xffff0000);
    }
  },
  pslld: (R, a, n, words) => {
    for (let i = a; i < a + words; i++) R[i] = n > 31 ? 0 : R[i] << n;
  },
  psrld: (R, a, n, words) => {
    for (let i = a; i < a + words; i++) R[i] = n > 31 ? 0 : R[i] >>> n;
  },
  psrad: (R, a, n, words) => {
    for (let i = a; i < a + words; i++) R[i] = R[i] >> (n > 31 ? 31 : n);
  },
  psllq: (R, a, n, words) => {
    for (let i = a; i < a + words; i += 2) {
      const lo = R[i], hi = R[i + 1];
      if (n === 0) continue;
      R[i + 1] = n > 63 ? 0 : n > 31 ? lo << (n - 32) : (hi << n) | (lo >>> (32 - n));
      R[i] = n > 31 ? 0 : lo << n;
    }
  },
  psrlq: (R, a, n, words) => {
    for (let i = a; i < a + words; i += 2) {
      const lo = R[i], hi = R[i + 1];
      if (n === 0) continue;
      R[i] = n > 63 ? 0 : n > 31 ? hi >>> (n - 32) : (lo >>> n) | (hi << (32 - n));
      R[i + 1] = n > 31 ? 0 : hi >>> n;
    }
  },
};

/** Sum of the absolute differences of four bytes. */
function differences(x: number, y: number): number {
  let sum = 0;
  for (let n = 0; n < 32; n += 8) sum += Math.abs(((x >>> n) & 255) - ((y >>> n) & 255));
  return sum;
}

/** The rest, with a source operand. */
export const PACKED: Record<string, PackedOperation> = {
  packsswb: pack(packBytes),
  packuswb: pack(packUnsigned),
  packssdw: pack(packWords),
  punpcklbw: unpack(false, bytesLow, bytesHigh),
  punpckhbw: unpack(true, bytesLow, bytesHigh),
  punpcklwd: unpack(false, wordsLow, wordsHigh),
  punpckhwd: unpack(true, wordsLow, wordsHigh),
  punpckldq: unpack(false, first, second),
  punpckhdq: unpack(true, first, second),
  paddq: (R, a, b, words) => {
    for (let i = 0; i < words; i += 2) {
      const lo = (R[a + i] >>> 0) + (R[b + i] >>> 0);
      R[a + i + 1] += R[b + i + 1] + (lo > 0xffffffff ? 1 : 0);
      R[a + i] = lo;
    }
  },
  psubq: (R, a, b, words) => {
    for (let i = 0; i < words; i += 2) {
      const lo = (R[a + i] >>> 0) - (R[b + i] >>> 0);
      R[a + i + 1] -= R[b + i + 1] + (lo < 0 ? 1 : 0);
      R[a + i] = lo;
    }
  },
  pmuludq: (R, a, b, words) => {
    for (let i = 0; i < words; i += 2) {
      const x = R[a + i], y = R[b + i];
      R[a + i] = Math.imul(x, y);
      R[a + i + 1] = mulHigh(x, y);
    }
  },
  psadbw: (R, a, b, words) => {
    for (let i = 0; i < words; i += 2) {
      R[a + i] = differences(R[a + i], R[b + i]) + differences(R[a + i + 1], R[b + i + 1]);
      R[a + i + 1] = 0;
    }
  },
};

/** The 16-bit lane n of the words at b. */
export function lane16(R: Int32Array, b: number, n: number): number {
  return (R[b + (n >> 1)] >>> ((n & 1) << 4)) & 0xffff;
}

/** Shuffles four 16-bit lanes at b by the pairs of bits in `order` into two words at a. */
export function shuffleWords(R: Int32Array, a: number, b: number, order: number): void {
  const low = lane16(R, b, order & 3) | (lane16(R, b, (order >> 2) & 3) << 16);
  R[a + 1] = lane16(R, b, (order >> 4) & 3) | (lane16(R, b, (order >> 6) & 3) << 16);
  R[a] = low;
}

/** The top bits of `words` * 4 bytes. */
export function byteMask(R: Int32Array, b: number, words: number): number {
  let mask = 0;
  for (let i = words - 1; i >= 0; i--) {
    const w = R[b + i];
    mask = (mask << 4) | ((w >>> 7) & 1) | ((w >>> 14) & 2) | ((w >>> 21) & 4) | ((w >>> 28) & 8);
  }
  return mask;
}
