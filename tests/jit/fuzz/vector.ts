/** Random x87, MMX and SSE instructions. */
import type { Memory } from "./assembler.ts";
import type { Context } from "./context.ts";

type Piece = (c: Context) => void;

const x87: Piece = (c) => {
  const { a, rng } = c;
  const memory = (opcode: number, reg: number, bytes: number) =>
    a.op([opcode], reg, c.memory(bytes), { kind: "other" });
  switch (rng.below(12)) {
    case 0:
      return a.put(0xdb, 0xe3); // fninit
    case 1:
    case 2:
      return memory(rng.pick([0xd9, 0xdd]), 0, 8); // fld
    case 3:
      return a.put(0xd9, rng.range(0xe8, 0xee)); // constants
    case 4:
      return memory(rng.pick([0xdb, 0xdf]), 0, 4); // fild
    case 5:
      return memory(rng.pick([0xd8, 0xdc, 0xda, 0xde]), rng.below(8), 8);
    case 6:
      return a.put(
        rng.pick([0xd8, 0xdc, 0xde]),
        0xc0 | rng.below(8) | rng.pick([0, 8, 0x20, 0x28, 0x30, 0x38]),
      );
    case 7:
      return memory(rng.pick([0xd9, 0xdd]), rng.range(2, 3), 8); // fst, fstp
    case 8:
      return memory(rng.pick([0xdb, 0xdf]), rng.range(2, 3), 4); // fist, fistp
    case 9: // fcomi and the like, or a comparison whose flags come by SAHF
      if (rng.chance(50)) {
        return a.put(rng.pick([0xdb, 0xdf]), rng.pick([0xf0, 0xe8]) | rng.below(8));
      }
      return a.put(0xd8, 0xd0 | rng.below(16), 0xdf, 0xe0, 0x9e);
    case 10:
      return a.put(0xd9, rng.pick([0xc0, 0xc8]) | rng.below(8)); // fld st, fxch
    default:
      return a.put(0xd9, rng.pick([0xe0, 0xe1, 0xe4, 0xe5, 0xfa, 0xfc, 0xf6, 0xf7, 0xd0])); // fchs, fsqrt, frndint…
  }
};

/** Floating-point arithmetic by opcode: which prefixes it has. */
const ARITHMETIC = [0x51, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5c, 0x5d, 0x5e, 0x5f];
const INTEGER = [
  ...[
    0x60,
    0x61,
    0x62,
    0x63,
    0x64,
    0x65,
    0x66,
    0x67,
    0x68,
    0x69,
    0x6a,
    0x6b,
    0x6c,
    0x6d,
    0x74,
    0x75,
    0x76,
  ],
  ...[
    0xd1,
    0xd2,
    0xd3,
    0xd4,
    0xd5,
    0xd8,
    0xd9,
    0xda,
    0xdb,
    0xdc,
    0xdd,
    0xde,
    0xdf,
    0xe0,
    0xe1,
    0xe3,
    0xe5,
  ],
  ...[
    0xe8,
    0xe9,
    0xea,
    0xeb,
    0xec,
    0xed,
    0xee,
    0xef,
    0xf1,
    0xf2,
    0xf3,
    0xf4,
    0xf5,
    0xf6,
    0xf8,
    0xfa,
    0xfb,
    0xfc,
    0xfe,
  ],
];

const sse: Piece = (c) => {
  const { a, rng } = c, register = () => rng.below(c.long ? 16 : 8);
  const operand = (): number | Memory =>
    rng.chance(60) ? register() : c.memory(16, { aligned: !c.risky || rng.chance(80) });
  const op = (
    prefix: number,
    opcode: number,
    rm: number | Memory,
    immediate: number[] = [],
    reg = register(),
  ) => a.op([0x0f, opcode], reg, rm, { prefix: prefix || undefined, kind: "other", immediate });
  switch (rng.below(14)) {
    case 0:
    case 1: { // moves of 16 bytes
      const [prefix, opcode] = rng.pick([[0, 0x28], [0x66, 0x6f], [0, 0x10], [0xf3, 0x6f], [
        0x66,
        0x10,
      ]]);
      return op(prefix, opcode, operand());
    }
    case 2:
    case 3: {
      const [prefix, opcode] = rng.pick([[0, 0x29], [0x66, 0x7f], [0, 0x11], [0xf3, 0x7f], [
        0,
        0x2b,
      ], [0x66, 0xe7]]);
      return op(prefix, opcode, c.memory(16, { aligned: true }));
    }
    case 4: // scalar moves
      return op(
        rng.pick([0xf3, 0xf2]),
        rng.pick([0x10, 0x11]),
        rng.chance(40) ? register() : c.memory(8),
      );
    case 5:
    case 6:
      return op(
        rng.pick([0, 0x66, 0xf2, 0xf3]),
        rng.pick(ARITHMETIC.filter((n) => n < 0x54 || n > 0x57)),
        operand(),
      );
    case 7:
      return op(rng.pick([0, 0x66]), rng.pick([0x14, 0x15, 0x54, 0x55, 0x56, 0x57]), operand());
    case 8: // comparisons that set flags
      return op(
        rng.pick([0, 0x66]),
        rng.pick([0x2e, 0x2f]),
        rng.chance(50) ? register() : c.memory(8),
      );
    case 9:
    case 10:
      return op(0x66, rng.pick(INTEGER), operand());
    case 11:
      return op(rng.pick([0x66, 0xf2, 0xf3]), 0x70, operand(), [rng.below(256)]);
    case 12: { // to and from general registers
      const size = c.long && rng.chance(50) ? 64 : 32;
      switch (rng.below(4)) {
        case 0:
          return a.op([0x0f, 0x6e], register(), c.source(), { prefix: 0x66, size });
        case 1:
          return a.op([0x0f, 0x7e], register(), c.target(), { prefix: 0x66, size });
        case 2:
          return a.op([0x0f, 0x2a], register(), c.source(), {
            prefix: rng.pick([0xf2, 0xf3]),
            size,
          });
        default:
          return a.op([0x0f, rng.pick([0x2c, 0x2d])], c.target(), register(), {
            prefix: rng.pick([0xf2, 0xf3]),
            size,
          });
      }
    }
    default: { // conversions
      const [prefix, opcode] = rng.pick([
        [0, 0x5a],
        [0x66, 0x5a],
        [0xf2, 0x5a],
        [0xf3, 0x5a],
        [0, 0x5b],
        [0x66, 0x5b],
        [0xf3, 0x5b],
        [0xf3, 0xe6],
      ]);
      return op(prefix, opcode, register());
    }
  }
};

const mmx: Piece = (c) => {
  const { a, rng } = c;
  const operand = rng.chance(60) ? rng.below(8) : c.memory(8);
  switch (rng.below(4)) {
    case 0:
      return a.op([0x0f, 0x6f], rng.below(8), operand, { kind: "other" });
    case 1:
      return a.op([0x0f, 0x7f], rng.below(8), operand, { kind: "other" });
    case 2:
      return a.put(0x0f, 0x77); // emms
    default:
      return a.op(
        [0x0f, rng.pick(INTEGER.filter((n) => n !== 0x6c && n !== 0x6d))],
        rng.below(8),
        operand,
        { kind: "other" },
      );
  }
};

/** One random instruction of these. */
export function vectorInstruction(c: Context): void {
  const n = c.rng.below(10);
  (n < 5 ? sse : n < 9 ? x87 : mmx)(c);
}
