/**
 * How far results may be from the recorded ones. Everything is bit exact but:
 *
 * - `x87`: F2XM1, FYL2X, FYL2XP1, FPTAN, FPATAN, FSIN, FCOS, FSINCOS, whose error is below 1 ulp in
 *   round-to-nearest and 1.5 ulp in the other modes (SDM vol. 1, 8.3.10), on either side;
 * - `reciprocal`: RCPPS, RCPSS, RSQRTPS, RSQRTSS, whose relative error is at most 1.5 * 2^-12
 *   (SDM vol. 2, RCPPS and RSQRTPS), on either side.
 */

/** Whether the 16 bytes at `at` are a permitted deviation. */
export function closeEnough(
  tolerance: "x87" | "reciprocal" | undefined,
  want: Int32Array,
  have: Int32Array,
  at: number,
): boolean {
  if (tolerance === "x87") return closeExtended(want, have, at);
  if (tolerance === "reciprocal") {
    for (let k = 0; k < 4; k++) if (!closeSingle(want[at + k], have[at + k])) return false;
    return true;
  }
  return false;
}

/** At most one unit in the last place apart, as 80-bit numbers of one sign. */
function closeExtended(want: Int32Array, have: Int32Array, at: number): boolean {
  if (((want[at + 2] ^ have[at + 2]) & 0x8000) !== 0) return false;
  const order = (words: Int32Array) =>
    (BigInt(words[at + 2] & 0x7fff) << 63n) + (BigInt(words[at + 1] >>> 0) << 32n) +
    BigInt(words[at] >>> 0);
  const difference = order(want) - order(have);
  return difference >= -1n && difference <= 1n;
}

const bits = new DataView(new ArrayBuffer(8));

function closeSingle(want: number, have: number): boolean {
  if (want === have) return true;
  bits.setInt32(0, want);
  bits.setInt32(4, have);
  const w = bits.getFloat32(0), h = bits.getFloat32(4);
  return Number.isFinite(w) && Number.isFinite(h) && w !== 0 &&
    Math.abs(w - h) <= Math.abs(w) * 3 * 2 ** -12;
}
