/** SSSE3, whose instructions exist for MMX and for XMM registers (SDM vol. 1, 12.6); what is lane by lane is in `lanes.ts`. */
import type { X86 } from "../cpu.ts";
import type { Helper } from "../rows.ts";
import { touchWritten } from "./mmx.ts";
import { type Narrow, pack, type PackedOperation } from "./packed.ts";

function clamp16(v: number): number {
  return v < -32768 ? -32768 : v > 32767 ? 32767 : v;
}

/** Two 16-bit results from the halves of two words. */
const halves = (operate: (low: number, high: number) => number): Narrow => (x, y) =>
  (operate((x << 16) >> 16, x >> 16) & 0xffff) | (operate((y << 16) >> 16, y >> 16) << 16);

/** Horizontal operations: pairs of the destination, then pairs of the source. */
const HORIZONTAL: Record<string, PackedOperation> = {
  phaddw: pack(halves((low, high) => low + high)),
  phaddsw: pack(halves((low, high) => clamp16(low + high))),
  phaddd: pack((x, y) => (x + y) | 0),
  phsubw: pack(halves((low, high) => low - high)),
  phsubsw: pack(halves((low, high) => clamp16(low - high))),
  phsubd: pack((x, y) => (x - y) | 0),
};

const copy = new Uint8Array(32);

/** PSHUFB of `size` bytes. */
function shuffle(cpu: X86, a: number, b: number, size: number): void {
  const { U8 } = cpu, to = a * 4, from = b * 4;
  for (let i = 0; i < size; i++) copy[i] = U8[to + i];
  for (let i = 0; i < size; i++) {
    const n = U8[from + i];
    // A destination that is the source is overwritten behind what is still read.
    U8[to + i] = (n & 0x80) !== 0 ? 0 : copy[n & (size - 1)];
  }
}

/** PALIGNR of `size` bytes: the destination before the source, shifted right by bytes. */
function align(cpu: X86, a: number, b: number, by: number, size: number): void {
  const { U8 } = cpu, n = by & 255;
  for (let i = 0; i < size; i++) {
    copy[i] = U8[b * 4 + i];
    copy[size + i] = U8[a * 4 + i];
  }
  for (let i = 0; i < size; i++) U8[a * 4 + i] = i + n < 2 * size ? copy[i + n] : 0;
}

/** Helpers of this file; those on XMM registers end in `_x`. */
export const SSSE3: Record<string, Helper> = {
  pshufb: (cpu, a, b) => {
    shuffle(cpu, a, b, 8);
    touchWritten(cpu.R, a);
  },
  pshufb_x: (cpu, a, b) => shuffle(cpu, a, b, 16),
  palignr: (cpu, a, b, by) => {
    align(cpu, a, b, by, 8);
    touchWritten(cpu.R, a);
  },
  palignr_x: (cpu, a, b, by) => align(cpu, a, b, by, 16),
};

for (const [name, operation] of Object.entries(HORIZONTAL)) {
  SSSE3[name] = (cpu, a, b) => {
    operation(cpu.R, a, b, 2);
    touchWritten(cpu.R, a);
  };
  SSSE3[`${name}_x`] = (cpu, a, b) => operation(cpu.R, a, b, 4);
}
