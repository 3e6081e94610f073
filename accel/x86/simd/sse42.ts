/** SSE4.2: string comparison (SDM vol. 2, 4.1) and PCMPGTQ. CRC32 is with the bit-manipulation instructions. */
import type { X86 } from "../cpu.ts";
import type { Helper } from "../rows.ts";
import * as S from "../state.ts";

const { RAX, RCX, RDX, XMM0 } = S;

/** Elements of the two operands of the instruction under way. */
const first = new Int32Array(16), second = new Int32Array(16);

/** Takes the elements apart as the immediate's low two bits say; gives how many there are. */
function elements(cpu: X86, to: Int32Array, at: number, control: number): number {
  const words = (control & 1) !== 0, signed = (control & 2) !== 0, count = words ? 8 : 16;
  for (let i = 0; i < count; i++) {
    const v = words ? cpu.U16[at * 2 + i] : cpu.U8[at * 4 + i];
    to[i] = !signed ? v : words ? (v << 16) >> 16 : (v << 24) >> 24;
  }
  return count;
}

/** Elements before the first that is zero. */
function implicitLength(of: Int32Array, count: number): number {
  for (let i = 0; i < count; i++) if (of[i] === 0) return i;
  return count;
}

/** The absolute value of a length register, at most `count`. */
function explicitLength(cpu: X86, register: number, count: number): number {
  const { R } = cpu, lo = R[register];
  if (cpu.operandSize !== 64) return Math.min(Math.abs(lo), count);
  const value = Math.abs(R[register + 1] * 0x100000000 + (lo >>> 0));
  return Math.min(value, count);
}

/** IntRes1: a bit for each element of the second operand, by the aggregation in bits 3:2 of the immediate. */
function aggregate(control: number, count: number, length1: number, length2: number): number {
  let result = 0;
  for (let j = 0; j < count; j++) {
    let hit = false;
    switch ((control >> 2) & 3) {
      case 0: // equal any
        if (j < length2) {
          for (let i = 0; i < length1 && !hit; i++) hit = first[i] === second[j];
        }
        break;
      case 1: // ranges
        if (j < length2) {
          for (let i = 0; i + 1 < length1 && !hit; i += 2) {
            hit = second[j] >= first[i] && second[j] <= first[i + 1];
          }
        }
        break;
      case 2: // equal each
        hit = j < length1 && j < length2 ? first[j] === second[j] : j >= length1 && j >= length2;
        break;
      case 3: // equal ordered
        hit = true;
        for (let i = 0; i < length1 && j + i < count && hit; i++) {
          hit = j + i < length2 && first[i] === second[j + i];
        }
        break;
    }
    if (hit) result |= 1 << j;
  }
  return result;
}

/** Compares, sets the flags, and gives IntRes2. */
function compare(cpu: X86, a: number, b: number, control: number, explicit: boolean): number {
  const { R } = cpu, count = elements(cpu, first, a, control);
  elements(cpu, second, b, control);
  const length1 = explicit ? explicitLength(cpu, RAX, count) : implicitLength(first, count);
  const length2 = explicit ? explicitLength(cpu, RDX, count) : implicitLength(second, count);
  let result = aggregate(control, count, length1, length2);
  // Polarity: bit 4 negates, with bit 5 only what is valid.
  if ((control & 0x10) !== 0) result ^= (control & 0x20) !== 0 ? (1 << length2) - 1 : -1;
  result &= (1 << count) - 1;
  S.setArithFlags(
    R,
    (result !== 0 ? S.CF : 0) | (length2 < count ? S.ZF : 0) | (length1 < count ? S.SF : 0) |
      ((result & 1) !== 0 ? S.OF : 0),
  );
  return result;
}

/** PCMPESTRI, PCMPISTRI: the place of the least or most significant bit in ECX. */
function index(explicit: boolean): Helper {
  return (cpu, a, b, control) => {
    const { R } = cpu, result = compare(cpu, a, b, control, explicit);
    const none = (control & 1) !== 0 ? 8 : 16;
    const bit = (control & 0x40) !== 0 ? result : result & -result;
    R[RCX] = result === 0 ? none : 31 - Math.clz32(bit);
    if (R[S.LONG] !== 0) R[RCX + 1] = 0;
  };
}

/** PCMPESTRM, PCMPISTRM: the bits, or elements full of them, in XMM0. */
function mask(explicit: boolean): Helper {
  return (cpu, a, b, control) => {
    const { R, U8, U16 } = cpu, result = compare(cpu, a, b, control, explicit);
    if ((control & 0x40) === 0) {
      R[XMM0] = result;
      R[XMM0 + 1] = R[XMM0 + 2] = R[XMM0 + 3] = 0;
    } else if ((control & 1) !== 0) {
      for (let i = 0; i < 8; i++) U16[XMM0 * 2 + i] = ((result >> i) & 1) !== 0 ? 0xffff : 0;
    } else {
      for (let i = 0; i < 16; i++) U8[XMM0 * 4 + i] = ((result >> i) & 1) !== 0 ? 0xff : 0;
    }
  };
}

/** Helpers of this file. */
export const SSE42: Record<string, Helper> = {
  pcmpestrm: mask(true),
  pcmpestri: index(true),
  pcmpistrm: mask(false),
  pcmpistri: index(false),
  pcmpgtq: ({ R }, a, b) => {
    for (let i = 0; i < 4; i += 2) {
      const xh = R[a + i + 1], yh = R[b + i + 1];
      const greater = xh > yh || (xh === yh && (R[a + i] >>> 0) > (R[b + i] >>> 0));
      R[a + i] = R[a + i + 1] = greater ? -1 : 0;
    }
  },
};
