import { assert, assertEquals } from "@std/assert";
import * as S from "../../accel/x86/state.ts";
import { OPERAND_BYTES, OPERANDS, Pair, Random, vector } from "./sequences.ts";

/** Prefix (0 for none) and opcode after 0F of instructions with a ModRM byte, and their immediate bytes. */
type Code = readonly [number, number, number?];

const NO = 0, P66 = 0x66, F3 = 0xf3, F2 = 0xf2;
const ARITHMETIC: Code[] = [0x51, 0x58, 0x59, 0x5c, 0x5d, 0x5e, 0x5f].flatMap((opcode): Code[] =>
  [NO, P66, F3, F2].map((prefix): Code => [prefix, opcode])
);
const MOVES: Code[] = [
  ...[NO, P66, F3, F2].flatMap((prefix): Code[] => [[prefix, 0x10], [prefix, 0x11]]),
  [NO, 0x12],
  [NO, 0x14],
  [P66, 0x14],
  [NO, 0x15],
  [P66, 0x15],
  [NO, 0x16],
  [F2, 0x12],
  [F3, 0x12],
  [F3, 0x16],
  [NO, 0x28],
  [NO, 0x29],
  [P66, 0x28],
  [P66, 0x29],
  [P66, 0x6f],
  [P66, 0x7f],
  [F3, 0x6f],
  [F3, 0x7f],
  [F3, 0x7e],
  [P66, 0xd6],
  [P66, 0x6c],
  [P66, 0x6d],
  [P66, 0x62],
  [P66, 0x6a],
  [P66, 0x61],
  [P66, 0x70, 1],
  [F2, 0x70, 1],
  [NO, 0xc6, 1],
  [P66, 0xc6, 1],
];
const INTEGERS: Code[] = [
  0xdb,
  0xdf,
  0xeb,
  0xef,
  0xfc,
  0xfd,
  0xfe,
  0xf8,
  0xf9,
  0xfa,
  0xfb,
  0xd4,
  0x74,
  0x75,
  0x76,
  0x64,
  0x65,
  0x66,
  0xf4,
  0xf3,
  0xd5,
  0x67,
].map((opcode): Code => [P66, opcode]);
const CONVERSIONS: Code[] = [
  [NO, 0x2e],
  [P66, 0x2e],
  [NO, 0x2f],
  [P66, 0x2f],
  [F3, 0x5a],
  [F2, 0x5a],
  [NO, 0x5a],
  [P66, 0x5a],
  [NO, 0x5b],
  [P66, 0x5b],
  [F3, 0x5b],
  [F3, 0xe6],
  [P66, 0xe6],
  [F2, 0xc2, 1],
  [NO, 0xc2, 1],
];
/** Those whose register is a general one: EAX or ECX, so that EBX stays. */
const GENERAL: Code[] = [
  [F3, 0x2a],
  [F2, 0x2a],
  [F3, 0x2c],
  [F2, 0x2c],
  [F3, 0x2d],
  [F2, 0x2d],
  [P66, 0x6e],
  [P66, 0x7e],
];

/** An instruction on XMM0 to XMM3 or memory at EBX. */
function instruction(random: Random): number[] {
  const general = random.below(6) === 0;
  const [prefix, opcode, immediates = 0] = random.pick(
    general ? GENERAL : random.pick([ARITHMETIC, ARITHMETIC, MOVES, INTEGERS, CONVERSIONS]),
  );
  // Where a general register is in the reg field, and where in rm.
  const inReg = general && (opcode === 0x2c || opcode === 0x2d);
  const reg = random.below(inReg ? 2 : 4);
  const register = random.below(2) === 0 || (prefix === NO && opcode === 0x12);
  const modrm = register
    ? 0xc0 | (reg << 3) | random.below(general && !inReg ? 2 : 4)
    : 0x43 | (reg << 3);
  const bytes = prefix === NO ? [] : [prefix];
  bytes.push(0x0f, opcode, modrm);
  if (!register) bytes.push(16 * random.below(8));
  for (let i = 0; i < immediates; i++) bytes.push(random.below(opcode === 0xc2 ? 8 : 256));
  return bytes;
}

/** Reads flags into EDX, so that what comparisons leave is seen in several ways. */
const READERS = [
  [0x0f, 0x92, 0xc2], // setb dl
  [0x0f, 0x96, 0xc2], // setbe dl
  [0x0f, 0x94, 0xc2], // setz dl
  [0x0f, 0x9a, 0xc2], // setp dl
  [0x0f, 0x9c, 0xc2], // setl dl
  [0x83, 0xd2, 0x01], // adc edx,1
  [0x9c, 0x5a], // pushf; pop edx
];

/** Immediate shifts of an XMM register. */
function shift(random: Random): number[] {
  const [opcode, n] = random.pick([
    [0x73, 3],
    [0x73, 7],
    [0x73, 2],
    [0x73, 6],
    [0x72, 2],
    [0x72, 4],
    [
      0x72,
      6,
    ],
    [0x71, 4],
  ]);
  return [P66, 0x0f, opcode, 0xc0 | (n << 3) | random.below(4), random.below(70)];
}

function compare(pair: Pair, seed: number, mxcsr: number): string {
  const random = new Random(seed), code: number[] = [];
  for (let i = 0; i < 24; i++) {
    // Jumps to the next instruction: after one that is left to the interpreter, a region begins there.
    if (random.below(6) === 0) code.push(0xeb, 0x00);
    const way = random.below(12);
    code.push(
      ...(way === 0 ? shift(random) : way === 1 ? random.pick(READERS) : instruction(random)),
    );
  }
  const state = Array.from({ length: 8 + OPERAND_BYTES / 16 }, () => vector(random));
  const eax = random.below(2 ** 24) << 8, ecx = random.below(2 ** 16);
  return pair.compare({
    code,
    prepare(bed) {
      state.forEach((bytes, i) => {
        if (i < 8) bed.cpu.x86.U8.set(bytes, S.XMM0 * 4 + 16 * i);
        else bed.put(OPERANDS + 16 * (i - 8), [...bytes]);
      });
      bed.R[S.MXCSR] = mxcsr;
      bed.R[S.RAX] = eax;
      bed.R[S.RCX] = ecx;
    },
  });
}

/** Names, MXCSR, and how many instructions must be executed translated. */
const MODES: [string, number, number][] = [
  ["after the first inexact result", 0x1fa0, 300],
  ["before the first inexact result", 0x1f80, 300],
  ["with denormals as zeros and results flushed to zero", 0x9fc0, 300],
  ["rounding down", 0x3f80, 60],
  ["rounding to zero, after the first inexact result", 0x7fa0, 60],
  ["with exceptions unmasked", 0x0000, 25],
  ["with the precision exception unmasked", 0x0f80, 60],
];

for (const [index, [name, mxcsr, least]] of MODES.entries()) {
  Deno.test(`random SSE code gives what the interpreter gives ${name}`, () => {
    const pair = new Pair();
    for (let seed = 1; seed <= 30; seed++) {
      assertEquals(compare(pair, seed * 7919 + index, mxcsr), "", `seed ${seed}`);
    }
    assert(pair.executed > least, `${pair.executed}`);
  });
}
