/** The SHA extensions (SDM vol. 2, SHA1RNDS4 to SHA256MSG2; FIPS 180-4). The first word of a text is the highest. */
import type { Helper } from "../rows.ts";
import { GP, INSN_EA, SCRATCH, XMM0 } from "../state.ts";

const left = (x: number, n: number) => (x << n) | (x >>> (32 - n));
const right = (x: number, n: number) => (x >>> n) | (x << (32 - n));

/** FIPS 180-4, 4.1.2: the two functions of the message schedule, and those of the rounds. */
const sigma0 = (x: number) => right(x, 7) ^ right(x, 18) ^ (x >>> 3);
const sigma1 = (x: number) => right(x, 17) ^ right(x, 19) ^ (x >>> 10);
const sum0 = (x: number) => right(x, 2) ^ right(x, 13) ^ right(x, 22);
const sum1 = (x: number) => right(x, 6) ^ right(x, 11) ^ right(x, 25);
const choose = (x: number, y: number, z: number) => (x & y) ^ (~x & z);
const majority = (x: number, y: number, z: number) => (x & y) ^ (x & z) ^ (y & z);
const parity = (x: number, y: number, z: number) => x ^ y ^ z;

/** FIPS 180-4, 4.1.1 and 4.2.1, by the immediate's low two bits. */
const FUNCTIONS = [choose, parity, majority, parity];
const CONSTANTS = [0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6];

const OPERATIONS: Record<string, Helper> = {
  sha1rnds4: ({ R }, a, b, n) => {
    const f = FUNCTIONS[n & 3], k = CONSTANTS[n & 3];
    // The first of the four words comes with E added: see SHA1NEXTE.
    const words = [R[b + 3], R[b + 2], R[b + 1], R[b]];
    let [A, B, C, D, E] = [R[a + 3], R[a + 2], R[a + 1], R[a], 0];
    for (const word of words) {
      const next = (f(B, C, D) + left(A, 5) + word + E + k) | 0;
      [A, B, C, D, E] = [next, A, left(B, 30), C, D];
    }
    R[a + 3] = A;
    R[a + 2] = B;
    R[a + 1] = C;
    R[a] = D;
  },
  sha1nexte: ({ R }, a, b) => {
    const e = left(R[a + 3], 30);
    R[a] = R[b];
    R[a + 1] = R[b + 1];
    R[a + 2] = R[b + 2];
    R[a + 3] = R[b + 3] + e;
  },
  sha1msg1: ({ R }, a, b) => {
    const w0 = R[a + 3], w1 = R[a + 2], w2 = R[a + 1], w3 = R[a], w4 = R[b + 3], w5 = R[b + 2];
    R[a + 3] = w2 ^ w0;
    R[a + 2] = w3 ^ w1;
    R[a + 1] = w4 ^ w2;
    R[a] = w5 ^ w3;
  },
  sha1msg2: ({ R }, a, b) => {
    const w13 = R[b + 2], w14 = R[b + 1], w15 = R[b];
    const w16 = left(R[a + 3] ^ w13, 1);
    R[a + 2] = left(R[a + 2] ^ w14, 1);
    R[a + 1] = left(R[a + 1] ^ w15, 1);
    R[a] = left(R[a] ^ w16, 1);
    R[a + 3] = w16;
  },
  sha256rnds2: ({ R }, a, b) => {
    let A = R[b + 3], B = R[b + 2], C = R[a + 3], D = R[a + 2];
    let E = R[b + 1], F = R[b], G = R[a + 1], H = R[a];
    for (const word of [R[XMM0], R[XMM0 + 1]]) {
      const t = (choose(E, F, G) + sum1(E) + word + H) | 0;
      const next = (t + majority(A, B, C) + sum0(A)) | 0, e = (t + D) | 0;
      [A, B, C, D, E, F, G, H] = [next, A, B, C, e, E, F, G];
    }
    R[a + 3] = A;
    R[a + 2] = B;
    R[a + 1] = E;
    R[a] = F;
  },
  sha256msg1: ({ R }, a, b) => {
    const w4 = R[b];
    R[a] += sigma0(R[a + 1]);
    R[a + 1] += sigma0(R[a + 2]);
    R[a + 2] += sigma0(R[a + 3]);
    R[a + 3] += sigma0(w4);
  },
  sha256msg2: ({ R }, a, b) => {
    const w14 = R[b + 2], w15 = R[b + 3];
    const w16 = (R[a] + sigma1(w14)) | 0, w17 = (R[a + 1] + sigma1(w15)) | 0;
    R[a] = w16;
    R[a + 1] = w17;
    R[a + 2] += sigma1(w16);
    R[a + 3] += sigma1(w17);
  },
};

/**
 * Helpers of this file. Intel's processors want a memory operand aligned as other instructions do (SDM vol. 2,
 * exceptions type 4); AMD's, by which the vectors were recorded, take any.
 */
export const SHA: Record<string, Helper> = Object.fromEntries(
  Object.entries(OPERATIONS).map(([name, operation]): [string, Helper] => [
    name,
    (cpu, a, b, c) => {
      if (b === SCRATCH && (cpu.R[INSN_EA] & 15) !== 0 && cpu.model.vendor === "GenuineIntel") {
        cpu.raise(GP, 0);
      }
      operation(cpu, a, b, c);
    },
  ]),
);
