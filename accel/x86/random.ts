/**
 * RDRAND and RDSEED (SDM vol. 2). Their numbers come from a generator whose state belongs to the processor's:
 * the same run has the same numbers, and a snapshot continues where it was.
 */
import type { Helper } from "./rows.ts";
import * as S from "./state.ts";

/** Fills the generator's state for processor `index`: every processor has numbers of its own. */
export function seed(R: Int32Array, index: number): void {
  let x = Math.imul(index + 1, 0x9e3779b1);
  for (let i = 0; i < 4; i++) {
    // The finalizer of MurmurHash3.
    x = (x + 0x6d2b79f5) | 0;
    let h = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
    R[S.RANDOM + i] = h ^ (h >>> 16);
  }
}

/** The next 32 bits: xoshiro128++ by Blackman and Vigna. */
export function random(R: Int32Array): number {
  const s = S.RANDOM, s0 = R[s], s1 = R[s + 1], s3 = R[s + 3], sum = (s0 + s3) | 0;
  const result = (((sum << 7) | (sum >>> 25)) + s0) | 0;
  const s2 = R[s + 2] ^ s0, t3 = s3 ^ s1;
  R[s + 1] = s1 ^ s2;
  R[s] = s0 ^ t3;
  R[s + 2] = s2 ^ (s1 << 9);
  R[s + 3] = (t3 << 11) | (t3 >>> 21);
  return result;
}

/** Helpers of this file. */
export const RANDOM_HELPERS: Record<string, Helper> = {
  /** CF tells that there was a number, as there always is; the other flags are cleared. */
  rdrand: (cpu) => {
    const { R } = cpu, low = random(R);
    R[S.HIGH] = cpu.operandSize === 64 ? random(R) : 0;
    S.setArithFlags(R, S.CF);
    return low;
  },
};
