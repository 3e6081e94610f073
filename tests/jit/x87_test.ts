import { assert, assertEquals } from "@std/assert";
import * as S from "../../accel/x86/state.ts";
import { OPERAND_BYTES, OPERANDS, Pair, Random, vector } from "./sequences.ts";

/** Register forms without an effect on control: escape byte and ModRM byte of ST(0). */
const REGISTERS: [number, number][] = [
  ...[0xc0, 0xc8, 0xd0, 0xd8, 0xe0, 0xe8, 0xf0, 0xf8].map((n): [number, number] => [0xd8, n]),
  ...[0xc0, 0xc8, 0xe0, 0xe8, 0xf0, 0xf8].map((n): [number, number] => [0xdc, n]),
  ...[0xc0, 0xc8, 0xe0, 0xe8, 0xf0, 0xf8].map((n): [number, number] => [0xde, n]),
  [0xd9, 0xc0],
  [0xd9, 0xc8],
  [0xda, 0xc8],
  [0xdb, 0xe8],
  [0xdb, 0xf0],
  [0xdd, 0xc0],
  [0xdd, 0xd0],
  [0xdd, 0xd8],
  [0xdd, 0xe0],
  [0xdd, 0xe8],
  [0xdf, 0xe8],
  [0xdf, 0xf0],
];
/** Whole instructions. */
const FIXED = [
  [0xd9, 0xd0],
  [0xd9, 0xe0],
  [0xd9, 0xe1],
  [0xd9, 0xe4],
  [0xd9, 0xe5],
  [0xd9, 0xe8],
  [0xd9, 0xee],
  [0xd9, 0xfa],
  [0xd9, 0xfc],
  [0xda, 0xe9],
  [0xde, 0xd9],
  [0xdf, 0xe0],
  [0x9b],
];
/** Memory forms: escape byte and reg field, with FLD and FILD more often so that the stack is not empty. */
const MEMORY: [number, number][] = [
  ...[0xd8, 0xda, 0xdc, 0xde].flatMap((escape) =>
    [0, 1, 2, 3, 4, 5, 6, 7].map((n): [number, number] => [escape, n])
  ),
  ...[0, 0, 0, 0, 2, 3].flatMap((n): [number, number][] => [[0xd9, n], [0xdd, n]]),
  ...[0, 0, 1, 2, 3].flatMap((n): [number, number][] => [[0xdb, n], [0xdf, n]]),
  [0xdb, 5],
  [0xdb, 7],
  [0xdf, 5],
  [0xdf, 7],
  [0xdd, 1],
];
/** Readers of flags, so that comparisons are seen. */
const READERS = [[0x0f, 0x92, 0xc2], [0x0f, 0x9a, 0xc2], [0x83, 0xd2, 0x01], [0x0f, 0x96, 0xc2]];

function instruction(random: Random): number[] {
  const way = random.below(10);
  if (way < 4) {
    const [escape, n] = random.pick(MEMORY);
    return [escape, 0x43 | (n << 3), 8 * random.below(16)];
  }
  if (way < 8) {
    const [escape, n] = random.pick(REGISTERS);
    return [escape, n + random.below(random.below(4) === 0 ? 8 : 3)];
  }
  return way === 8 ? random.pick(FIXED) : random.pick(READERS);
}

/** An 80-bit number: mostly normal, else anything. */
function number(random: Random): number[] {
  const word = () => random.pick([0, -1, random.below(2 ** 24) << 8, random.below(2 ** 24) << 16]);
  const usual = random.below(12) > 0, sign = random.below(2) << 15;
  if (usual) return [word(), word() | 0x80000000, sign | (16383 + random.below(41) - 20)];
  return [word(), word(), sign | random.pick([0, 1, 0x7fff, 0x7ffe, 16383, 14000])];
}

function compare(pair: Pair, seed: number, fcw: number): string {
  const random = new Random(seed), code: number[] = [];
  for (let i = 0; i < 24; i++) {
    if (random.below(6) === 0) code.push(0xeb, 0x00);
    code.push(...instruction(random));
  }
  const stack = Array.from({ length: 8 }, () => number(random));
  const memory = Array.from({ length: OPERAND_BYTES / 16 }, () => vector(random));
  const top = random.below(8), full = random.below(6), codes = random.below(0x8000) & 0x4700;
  return pair.compare({
    code,
    prepare({ R, ...bed }) {
      stack.forEach(([lo, hi, se], n) => R.set([lo, hi, se & 0xffff], S.ST0 + 4 * n));
      R[S.FCW] = fcw;
      R[S.FSW] = (top << 11) | codes;
      R[S.FTAG] = 0;
      for (let i = 0; i < full; i++) R[S.FTAG] |= 1 << ((top + i) & 7);
      for (let n = S.FOP; n <= S.FDS; n++) R[n] = 0;
      R[S.FIP_HI] = R[S.FDP_HI] = 0;
      memory.forEach((bytes, i) => bed.memory.writeBlock(OPERANDS + 16 * i, new Uint8Array(bytes)));
    },
  });
}

/** Names, control words, and how many instructions must be executed translated. */
const MODES: [string, number, number][] = [
  ["to 64 bits", 0x37f, 150],
  ["to 53 bits", 0x27f, 150],
  ["to 64 bits and towards zero", 0xf7f, 150],
  ["to 24 bits and up", 0x87f, 150],
  ["with exceptions unmasked", 0x340, 5],
  ["with the precision exception unmasked", 0x35f, 5],
];

for (const long of [false, true]) {
  for (const [index, [name, fcw, least]] of MODES.entries()) {
    if (long && index > 0) continue;
    Deno.test(`random x87 code of ${long ? 64 : 32} bits gives what the interpreter gives ${name}`, () => {
      const pair = new Pair(long);
      for (let seed = 1; seed <= 30; seed++) {
        assertEquals(compare(pair, seed * 7919 + index, fcw), "", `seed ${seed}`);
      }
      assert(pair.executed > least, `${pair.executed}`);
    });
  }
}
