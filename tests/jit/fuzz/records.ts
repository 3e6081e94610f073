/** Accesses near each other through pointers that move, as code on structures and arrays makes them. */
import { bytesOf, ESP, type Label, type Memory } from "./assembler.ts";
import { resumed } from "./code.ts";
import type { Context } from "./context.ts";
import { consumer, instruction } from "./integer.ts";
import * as L from "./layout.ts";

/** Steps that end where they began in 32 bits, and elsewhere in 64. */
const AROUND: readonly number[][] = [
  [0x7fffffff, 0x7fffffff, 2],
  [0x40000000, 0x40000000, 0x40000000, 0x40000000],
  [-0x80000000, -0x80000000],
  [0x7ffffffc, -0x7ffffffc],
];

/** Straight code around one or two pointers and an index. */
export function records(c: Context): void {
  const { a, rng } = c;
  const list = c.free.filter((r) => r !== 0 && r !== 1 && r !== 2);
  if (list.length < 3) return;
  const p = rng.pick(list), q = rng.pick(list.filter((r) => r !== p));
  const x = rng.pick(list.filter((r) => r !== p && r !== q));
  const place = () =>
    c.at(rng.chance(85) ? L.DATA : L.SHIFTING) + 0x1000 * rng.range(1, 6) +
    rng.pick([0, 0x100, 0xff0, 0xffc, 0xfff]);
  const displacement = () =>
    rng.pick([0, 1, 2, 4, 8, 12, 16, 24, 60, 100, 124, 127, 128, 252, -1, -4, -8, -128, -200]);
  const size = () => c.long && rng.chance(50) ? 64 : rng.pick([8, 16, 32, 32] as const);
  const memory = (): Memory => {
    const base = rng.chance(65) ? p : rng.chance(70) ? q : ESP;
    if (base === ESP) return { base, disp: rng.range(-16, -2) * 4 };
    if (rng.chance(70)) return { base, disp: displacement() };
    return { base, index: x, scale: rng.below(4), disp: displacement() };
  };
  const access = () => {
    const n = size(), wide = n === 8 ? 0 : 1, r = rng.below(3);
    switch (rng.below(5)) {
      case 0:
      case 1:
        return a.op([0x8a | wide], r, memory(), { size: n });
      case 2:
        return a.op([0x88 | wide], r, memory(), { size: n });
      case 3:
        return a.op([rng.pick([0x00, 0x28, 0x30, 0x20]) | wide], r, memory(), { size: n });
      default:
        return a.op([rng.pick([0x02, 0x2a, 0x3a, 0x12]) | wide], r, memory(), { size: n });
    }
  };
  const add = (r: number, by: number, wide = true) => {
    const size = wide ? c.word : 32;
    if (by >= -128 && by < 128 && rng.chance(60)) {
      a.op([0x83], rng.chance(70) ? 0 : 5, r, { size, immediate: [by] });
    } else if (rng.chance(60)) a.op([0x81], 0, r, { size, immediate: bytesOf(by, 4) });
    else a.op([0x8d], r, { base: r, disp: by }, { size });
  };
  const move = () => {
    switch (rng.below(10)) {
      case 0:
      case 1:
        return add(p, rng.pick([1, 4, 8, 16, -4, -16, 64]));
      case 2:
        return a.op([0xff], rng.below(2), rng.chance(60) ? p : x, { size: c.word });
      case 3: { // Only sometimes.
        const over: Label = {};
        a.op([0x39], rng.below(3), rng.below(3));
        a.short(0x70 | rng.below(16), over);
        add(rng.chance(60) ? p : x, rng.pick([4, 8, 1]));
        if (rng.chance(40)) access();
        return a.bind(over);
      }
      case 4:
        return a.op([0x89], p, q, { size: c.word });
      case 5:
        return a.op([0x87], p, q, { size: c.word });
      case 6: // cmov, xadd
        if (rng.chance(50)) return a.op([0x0f, 0x40 | rng.below(16)], p, q, { size: c.word });
        return a.op([0x8d], q, { base: p, disp: displacement() }, { size: c.word });
      case 7: {
        const push = (opcode: number, r: number) =>
          a.put(...(r > 7 ? [0x41] : []), opcode | (r & 7));
        push(0x50, p);
        if (rng.chance(60)) access();
        return push(0x58, rng.chance(70) ? q : p);
      }
      case 8: {
        const r = rng.chance(60) ? p : x;
        for (const by of rng.pick(AROUND)) {
          add(r, by | 0);
          if (rng.chance(15)) access();
        }
        return;
      }
      default:
        if (rng.chance(70)) return add(rng.chance(50) ? p : x, rng.pick([4, 1, -1]), false);
        return a.op([0x89], p, rng.chance(50) ? p : q, { size: rng.pick([32, 16]) });
    }
  };
  c.reserving([p, q, x], () =>
    resumed(c, () => {
      const first = place();
      a.set(p, first);
      a.set(q, place());
      if (c.long && rng.chance(10)) { // The same low half with another upper one.
        a.put(
          q > 7 ? 0x49 : 0x48,
          0xb8 | (q & 7),
          ...bytesOf(first, 4),
          ...bytesOf(rng.pick([0, -1, 1]), 4),
        );
      }
      a.set(x, rng.below(40));
      for (let n = rng.range(4, 16); n > 0; n--) {
        if (rng.chance(65)) access();
        else if (rng.chance(75)) move();
        else if (rng.chance(50)) instruction(c);
        else consumer(c);
      }
    }));
}
