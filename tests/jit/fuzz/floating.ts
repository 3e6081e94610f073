/** Floating-point code as compilers make it: on numbers that are numbers, with comparisons that decide. */
import type { Label, Memory } from "./assembler.ts";
import { resumed } from "./code.ts";
import { type Context, NOT_ZERO } from "./context.ts";
import * as L from "./layout.ts";

/** Where doubles and floats lie in the data, and how many. */
export const DOUBLES = 0x2000, FLOATS = 0x2800, NUMBERS = 64;

/** The numbers at the start. */
export function numbers(random: () => number): { doubles: Float64Array; floats: Float32Array } {
  const odd = [
    0,
    -0,
    1,
    -1,
    0.5,
    1e300,
    1e-310,
    Infinity,
    NaN,
    2 ** 31,
    -(2 ** 31),
    2 ** 63,
    1e38,
    1e-40,
  ];
  const one = (i: number) =>
    i % 4 === 3
      ? odd[Math.floor(random() * odd.length)]
      : (random() - 0.5) * 10 ** Math.floor(random() * 8);
  return {
    doubles: Float64Array.from({ length: NUMBERS }, (_, i) => one(i)),
    floats: Float32Array.from({ length: NUMBERS }, (_, i) => one(i)),
  };
}

function number(c: Context, double: boolean): Memory {
  const at = double ? DOUBLES + 8 * c.rng.below(NUMBERS) : FLOATS + 4 * c.rng.below(NUMBERS);
  return { disp: c.at(L.DATA) + at, relative: c.long && c.rng.chance(50) };
}

/** Loads, operates, compares and stores on the x87's stack, which is left as deep as it was. */
function x87(c: Context): void {
  const { a, rng } = c;
  const memory = (double: boolean, reg: number, store = 0) =>
    a.op([(double ? 0xdd : 0xd9) - store], reg, number(c, double), { kind: "other" });
  const any = () => rng.chance(60);
  if (rng.chance(20)) a.put(0xdb, 0xe3);
  let depth = 0;
  for (let n = rng.range(2, 10); n > 0; n--) {
    if (depth === 0 || depth < 4 && rng.chance(30)) {
      if (rng.chance(80)) memory(any(), 0);
      else if (rng.chance(50)) a.put(0xd9, rng.range(0xe8, 0xee));
      else {a.op([rng.pick([0xdb, 0xdf])], rng.chance(30) ? 5 : 0, number(c, true), {
          kind: "other",
        });}
      depth++;
    } else if (depth > 1 && rng.chance(45)) {
      const i = rng.range(1, depth - 1);
      switch (rng.below(4)) {
        case 0:
          a.put(0xd8, 0xc0 | rng.pick([0, 8, 0x20, 0x28, 0x30, 0x38]) | i);
          break;
        case 1:
          a.put(0xdc, 0xc0 | rng.pick([0, 8, 0x20, 0x28, 0x30, 0x38]) | i);
          break;
        case 2:
          a.put(0xde, 0xc1 | rng.pick([0, 8, 0x20, 0x28, 0x30, 0x38]));
          depth--;
          break;
        default:
          a.put(0xd9, 0xc8 | i);
      }
    } else if (rng.chance(40)) {
      const double = any();
      a.op([double ? 0xdc : 0xd8], rng.pick([0, 1, 4, 5, 6, 7]), number(c, double), {
        kind: "other",
      });
    } else if (rng.chance(35)) a.put(0xd9, rng.pick([0xe0, 0xe1, 0xfa, 0xfc]));
    else if (rng.chance(50)) {
      const over: Label = {};
      if (depth > 1 && rng.chance(60)) a.put(0xdb, rng.pick([0xf0, 0xe8]) | 1);
      else a.put(0xd9, 0xe4, 0xdf, 0xe0, 0x9e); // ftst; fnstsw ax; sahf
      a.short(0x70 | rng.pick([2, 3, 4, 5, 6, 7, 10, 11]), over);
      a.op([0xff], 0, c.target());
      a.bind(over);
    } else {
      a.op([rng.pick([0xdd, 0xd9])], 2, number(c, true), { kind: "other" });
    }
  }
  while (depth-- > 0) {
    if (rng.chance(80)) memory(any(), 3);
    else {a.op([rng.pick([0xdb, 0xdf, 0xdd])], rng.pick([3, 3, 1]), number(c, true), {
        kind: "other",
      });}
  }
}

/** Scalar and packed SSE arithmetic, conversions, comparisons and branches. */
function sse(c: Context): void {
  const { a, rng } = c, count = c.long ? 16 : 8, x = () => rng.below(count);
  const op = (
    prefix: number,
    opcode: number,
    reg: number,
    rm: number | Memory,
    size: 32 | 64 = 32,
  ) =>
    a.op([0x0f, opcode], reg, rm, {
      prefix: prefix || undefined,
      size,
      kind: size === 64 ? "gpr" : "other",
    });
  for (let n = rng.range(3, 12); n > 0; n--) {
    const double = rng.chance(65), scalar = double ? 0xf2 : 0xf3;
    switch (rng.below(9)) {
      case 0:
      case 1:
        op(scalar, 0x10, x(), number(c, double));
        break;
      case 2:
        op(scalar, 0x11, x(), number(c, double));
        break;
      case 3:
      case 4:
        op(
          scalar,
          rng.pick([0x58, 0x59, 0x5c, 0x5e, 0x51, 0x5d, 0x5f]),
          x(),
          rng.chance(50) ? x() : number(c, double),
        );
        break;
      case 5:
        op(double ? 0x66 : 0, rng.pick([0x58, 0x59, 0x5c, 0x5e, 0x54, 0x57, 0x28, 0x14]), x(), x());
        break;
      case 6: {
        const over: Label = {};
        op(
          double ? 0x66 : 0,
          rng.pick([0x2e, 0x2f]),
          x(),
          rng.chance(50) ? x() : number(c, double),
        );
        a.short(0x70 | rng.pick([2, 3, 4, 5, 6, 7, 10, 11]), over);
        a.op([0xff], 0, c.target());
        a.bind(over);
        break;
      }
      case 7: {
        const size = c.long && rng.chance(40) ? 64 : 32;
        if (rng.chance(50)) op(scalar, 0x2a, x(), c.source(), size);
        else op(scalar, rng.pick([0x2c, 0x2d]), c.target(), x(), size);
        break;
      }
      default:
        op(scalar, 0x5a, x(), rng.chance(50) ? x() : number(c, double));
    }
  }
}

/** Rounding, precision and masks of exceptions for a while. */
function controlled(c: Context, body: () => void): void {
  const { a, rng } = c, cell = { disp: c.counter() }, unmask = rng.chance(15);
  const half = rng.chance(50);
  a.store(
    cell.disp,
    half
      ? 0x7f & ~(unmask ? 4 << rng.below(4) : 0) | rng.below(4) << 10 | rng.pick([0x300, 0x200, 0])
      : 0x1f80 & ~(unmask ? 0x200 << rng.below(6) : 0) | rng.below(4) << 13 |
        rng.pick([0, 0x8040, 0x40, 0x8000]),
  );
  const load = () =>
    half
      ? a.op([0xd9], 5, cell, { kind: "other" })
      : a.op([0x0f, 0xae], 2, cell, { kind: "other" });
  load();
  resumed(c, body);
  a.store(cell.disp, half ? 0x37f : 0x1f80);
  if (half) a.put(0xdb, 0xe2); // fnclex
  load();
}

/** Floating-point code. */
export function floating(c: Context): void {
  const { a, rng } = c;
  const body = () => {
    if (rng.chance(50)) x87(c);
    else sse(c);
  };
  if (rng.chance(10)) { // The whole state out and in.
    const at = c.at(L.DATA + 0x3000);
    a.op([0x0f, 0xae], 0, { disp: at }, { kind: "other" });
    body();
    return a.op([0x0f, 0xae], 1, { disp: at }, { kind: "other" });
  }
  if (rng.chance(15)) return controlled(c, body);
  if (rng.chance(40)) return body();
  const cell = c.counter();
  a.store(cell, rng.range(2, 20));
  const top = a.label();
  body();
  a.op([0xff], 1, { disp: cell });
  a.branch(NOT_ZERO, top);
}
