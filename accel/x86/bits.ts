/** Pure functions of the bit-manipulation instructions, too long to write out in generated code. */
import { WIDE } from "./wide.ts";

function populationCount(x: number): number {
  x -= (x >>> 1) & 0x55555555;
  x = (x & 0x33333333) + ((x >>> 2) & 0x33333333);
  return Math.imul((x + (x >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/** PDEP of 32 bits: the low bits of `s` go to where `mask` has ones, in order. */
function deposit(s: number, mask: number): number {
  let result = 0;
  for (; mask !== 0; mask &= mask - 1, s >>>= 1) {
    if ((s & 1) !== 0) result |= mask & -mask;
  }
  return result;
}

/** PEXT of 32 bits: the bits of `s` where `mask` has ones, gathered. */
function extract(s: number, mask: number): number {
  let result = 0;
  for (let bit = 1; mask !== 0; mask &= mask - 1, bit <<= 1) {
    if ((s & mask & -mask) !== 0) result |= bit;
  }
  return result;
}

/** PDEP of 64 bits into WIDE[0..1]. */
function deposit64(lo: number, hi: number, maskLo: number, maskHi: number): void {
  const used = populationCount(maskLo);
  const rest = used === 0 ? lo : used === 32 ? hi : (lo >>> used) | (hi << (32 - used));
  WIDE[0] = deposit(lo, maskLo);
  WIDE[1] = deposit(rest, maskHi);
}

/** PEXT of 64 bits into WIDE[0..1]. */
function extract64(lo: number, hi: number, maskLo: number, maskHi: number): void {
  const used = populationCount(maskLo), low = extract(lo, maskLo), high = extract(hi, maskHi);
  WIDE[0] = used === 32 ? low : low | (high << used);
  WIDE[1] = used === 0 ? 0 : used === 32 ? high : high >>> (32 - used);
}

/** Bytes of the CRC with the polynomial 11EDC6F41h, both reflected (SDM vol. 2, CRC32). */
const CRC = new Int32Array(256).map((_, n) => {
  let crc = n;
  for (let i = 0; i < 8; i++) crc = (crc & 1) !== 0 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

/** CRC32 of `bytes` bytes of `value`. */
function crc32c(crc: number, value: number, bytes: number): number {
  for (let i = 0; i < bytes; i++) crc = CRC[(crc ^ (value >>> (8 * i))) & 255] ^ (crc >>> 8);
  return crc;
}

/** Callable from semantics by name. */
export const PURE_BITS = {
  populationCount,
  deposit,
  extract,
  deposit64,
  extract64,
  crc32c,
};
