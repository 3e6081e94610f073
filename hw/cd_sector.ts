/**
 * Sectors as they are on a data CD: synchronisation, address, user data, error detection and correction.
 *
 * ECMA-130, section 14 and annex A; ISO/IEC 10149.
 */

/** Bytes of user data in a sector of mode 1. */
export const CD_BLOCK_SIZE = 2048;
/** Bytes of a whole sector. */
export const CD_RAW_SIZE = 2352;
/** Frames before logical block 0. */
const PREGAP = 150;
const FRAMES = 75;

/** Minute, second and frame of a logical block, as in tables of contents. */
export function toMsf(block: number): [minute: number, second: number, frame: number] {
  const frames = block + PREGAP;
  return [
    Math.floor(frames / (60 * FRAMES)) & 0xff,
    Math.floor(frames / FRAMES) % 60,
    frames % FRAMES,
  ];
}

function bcd(value: number): number {
  return (Math.floor(value / 10) % 10) << 4 | value % 10;
}

/** Multiplication by α in GF(2^8) over x^8 + x^4 + x^3 + x^2 + 1. */
function timesAlpha(value: number): number {
  return (value << 1 ^ ((value & 0x80) !== 0 ? 0x11d : 0)) & 0xff;
}

/** Division by α + 1. */
const OVER_ALPHA_PLUS_1 = new Uint8Array(256);
for (let i = 0; i < 256; i++) OVER_ALPHA_PLUS_1[timesAlpha(i) ^ i] = i;

/** Reflected polynomial (x^16 + x^15 + x^2 + 1)(x^16 + x^2 + x + 1) of the error detection code. */
const EDC_POLYNOMIAL = 0xd8018001;
const EDC_TABLE = new Uint32Array(256);
for (let i = 0; i < 256; i++) {
  let value = i;
  for (let bit = 0; bit < 8; bit++) {
    value = (value & 1) !== 0 ? (value >>> 1) ^ EDC_POLYNOMIAL : value >>> 1;
  }
  EDC_TABLE[i] = value;
}

// The code words run over the 16-bit words from the header on, low and high bytes apart.
const HEADER = 12, EDC = 2064, P_WORDS = 43, P_LENGTH = 24, Q_WORDS = 26, Q_LENGTH = 43;
const Q_START = P_WORDS * (P_LENGTH + 2);

/** Puts the two parity bytes after the data bytes of one (n, n-2) Reed-Solomon code word. */
function addParity(sector: Uint8Array, length: number, byteAt: (index: number) => number): void {
  let sum = 0, horner = 0;
  for (let i = 0; i < length; i++) {
    const byte = sector[byteAt(i)];
    sum ^= byte;
    horner = timesAlpha(horner) ^ byte;
  }
  const first = OVER_ALPHA_PLUS_1[timesAlpha(timesAlpha(horner)) ^ sum];
  sector[byteAt(length)] = first;
  sector[byteAt(length + 1)] = first ^ sum;
}

/** Builds the whole sector of mode 1 around 2,048 bytes of user data. */
export function rawSector(block: number, data: Uint8Array): Uint8Array {
  const sector = new Uint8Array(CD_RAW_SIZE);
  sector.fill(0xff, 1, 11);
  const [minute, second, frame] = toMsf(block);
  sector.set([bcd(minute), bcd(second), bcd(frame), 1], HEADER);
  sector.set(data, HEADER + 4);
  let edc = 0;
  for (let i = 0; i < EDC; i++) edc = EDC_TABLE[(edc ^ sector[i]) & 0xff] ^ (edc >>> 8);
  for (let i = 0; i < 4; i++) sector[EDC + i] = edc >>> (8 * i);
  for (let half = 0; half < 2; half++) {
    const at = (word: number) => HEADER + 2 * word + half;
    for (let n = 0; n < P_WORDS; n++) addParity(sector, P_LENGTH, (m) => at(P_WORDS * m + n));
    for (let n = 0; n < Q_WORDS; n++) {
      addParity(sector, Q_LENGTH, (m) =>
        at(
          m < Q_LENGTH ? (44 * m + P_WORDS * n) % Q_START : Q_START + Q_WORDS * (m - Q_LENGTH) + n,
        ));
    }
  }
  return sector;
}
