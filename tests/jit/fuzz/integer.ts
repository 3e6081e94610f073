/** Random integer instructions, and what reads the flags they leave. */
import { bytesOf, EAX, EBX, EDX, ESP, type Label, type RegisterOrMemory } from "./assembler.ts";
import type { Context } from "./context.ts";
import * as L from "./layout.ts";

type Size = 8 | 16 | 32 | 64;
type Piece = (c: Context) => void;

/** An instruction with ModR/M whose byte form has the even opcode. */
function form(
  c: Context,
  opcode: readonly number[],
  reg: number,
  rm: RegisterOrMemory,
  size: Size,
  immediate: number[] = [],
): void {
  const code = [...opcode], [first] = opcode, memory = typeof rm !== "number";
  if (size !== 8) code[code.length - 1] |= 1;
  const lockable = first < 0x38 && (first & 2) === 0 || first === 0x80 && reg !== 7 ||
    first === 0xf6 && (reg === 2 || reg === 3) || first === 0xfe || first === 0x0f ||
    first === 0x86;
  c.a.op(code, reg, rm, { size, immediate, lock: memory && lockable && c.rng.chance(10) });
}

/** A register or, in every third case, memory: to be written, or only read. */
function place(
  c: Context,
  size: Size,
  write: boolean,
  keep: readonly number[] = [],
): RegisterOrMemory {
  if (c.rng.chance(35)) return c.memory(size / 8, { keep });
  return write ? c.targetOf(size) : c.sourceOf(size);
}

function immediate(c: Context, size: Size): number[] {
  return bytesOf(c.rng.value() | 0, Math.min(size / 8, 4));
}

const alu: Piece = (c) => {
  const { rng, a } = c, n = rng.below(8), size = c.size();
  switch (rng.below(6)) {
    case 0:
    case 1: { // r/m, r
      const s = c.sourceOf(size);
      return form(
        c,
        [n * 8],
        s,
        n === 7 ? place(c, size, false, [s]) : place(c, size, true, [s]),
        size,
      );
    }
    case 2:
    case 3: { // r, r/m
      const rm = place(c, size, false);
      return form(c, [n * 8 + 2], c.targetOf(size), rm, size);
    }
    case 4: { // r/m, immediate
      const rm = place(c, size, n !== 7);
      if (size !== 8 && rng.chance(60)) {
        return a.op([0x83], n, rm, { size, immediate: immediate(c, 8) });
      }
      return form(c, [0x80], n, rm, size, immediate(c, size));
    }
    default: // accumulator, immediate
      a.widthPrefix(size);
      return a.put(n * 8 + (size === 8 ? 4 : 5), ...immediate(c, size));
  }
};

const test: Piece = (c) => {
  const size = c.size(), rm = place(c, size, false);
  if (c.rng.chance(50)) form(c, [0x84], c.sourceOf(size), rm, size);
  else form(c, [0xf6], 0, rm, size, immediate(c, size));
};

const move: Piece = (c) => {
  const { rng, a } = c, size = c.size();
  switch (rng.below(4)) {
    case 0: {
      const s = c.sourceOf(size);
      return form(c, [0x88], s, place(c, size, true, [s]), size);
    }
    case 1: {
      const rm = place(c, size, false);
      return form(c, [0x8a], c.targetOf(size), rm, size);
    }
    case 2:
      return form(c, [0xc6], 0, place(c, size, true), size, immediate(c, size));
    default: {
      const r = c.target();
      if (!c.long || rng.chance(50)) return a.set(r, rng.value() | 0);
      return a.put(
        r > 7 ? 0x49 : 0x48,
        0xb8 | (r & 7),
        ...bytesOf(rng.value() | 0, 4),
        ...bytesOf(rng.value() | 0, 4),
      );
    }
  }
};

const extend: Piece = (c) => {
  const { rng, a } = c, size = c.long && rng.chance(50) ? 64 : rng.chance(80) ? 32 : 16;
  if (c.long && rng.chance(25)) { // movsxd
    const rm = place(c, 32, false);
    return a.op([0x63], c.target(), rm, { size: 64 });
  }
  const wide = rng.chance(50);
  const rm = rng.chance(50)
    ? c.memory(2)
    : rng.below(c.long && size === 64 ? 16 : wide && c.long ? 16 : c.long ? 4 : 8);
  a.op([0x0f, rng.pick([0xb6, 0xbe]) + (wide ? 1 : 0)], c.target(), rm, { size });
};

const lea: Piece = (c) => {
  const { rng, a } = c;
  a.op([0x8d], c.target(), {
    base: c.source(),
    index: rng.chance(60) ? rng.pick(c.free) : undefined,
    scale: rng.below(4),
    disp: rng.pick([0, 1, -1, 100, 0x12345]),
  }, { size: c.long && rng.chance(60) ? 64 : rng.chance(85) ? 32 : 16 });
};

const increment: Piece = (c) => {
  const { rng, a } = c, size = c.size();
  if (!c.long && rng.chance(50)) {
    if (rng.chance(20)) a.put(0x66);
    return a.put(0x40 + 8 * rng.below(2) + c.target());
  }
  form(c, [0xfe], rng.below(2), place(c, size, true), size);
};

const unary: Piece = (c) => {
  const size = c.size();
  form(c, [0xf6], c.rng.range(2, 3), place(c, size, true), size);
};

const multiply: Piece = (c) => {
  const { rng, a } = c, size = c.size();
  if (rng.chance(50)) {
    const rm = place(c, size, false);
    return form(c, [0xf6], rng.range(4, 5), rm, size);
  }
  const wide = size === 8 ? 32 : size, rm = place(c, wide, false);
  if (rng.chance(40)) return a.op([0x0f, 0xaf], c.target(), rm, { size: wide });
  const short = rng.chance(50);
  a.op([short ? 0x6b : 0x69], c.target(), rm, {
    size: wide,
    immediate: immediate(c, short ? 8 : wide),
  });
};

/** Division: by what cannot fail, unless a fault may happen. */
const divide: Piece = (c) => {
  const { rng, a } = c, size = c.size();
  if (c.risky && rng.chance(50)) {
    const rm = place(c, size, false);
    return form(c, [0xf6], rng.range(6, 7), rm, size);
  }
  const signed = rng.chance(50), wide = size === 8 ? 32 : size;
  const list = c.free.filter((r) => r !== EAX && r !== EDX);
  const divisor = rng.pick(list);
  if (signed) {
    // A divisor of 3 to 1002h and a dividend without overflow.
    a.op([0x81], 4, divisor, {
      size: wide,
      immediate: wide === 16 ? [0xff, 0x0f] : [0xff, 0x0f, 0, 0],
    });
    a.op([0x83], 0, divisor, { size: wide, immediate: [3] });
    a.widthPrefix(wide);
    a.put(0x99); // cdq
    return a.op([0xf7], 7, divisor, { size: wide });
  }
  a.op([0x83], 1, divisor, { size: wide, immediate: [1] });
  a.put(0x31, 0xd2); // xor edx, edx
  a.op([0xf7], 6, divisor, { size: wide });
};

const shift: Piece = (c) => {
  const { rng } = c, size = c.size(), n = rng.below(8), rm = place(c, size, true);
  switch (rng.below(3)) {
    case 0:
      return form(c, [0xd0], n, rm, size);
    case 1:
      return form(c, [0xd2], n, rm, size);
    default:
      return form(c, [0xc0], n, rm, size, [rng.chance(80) ? rng.below(33) : rng.below(256)]);
  }
};

const doubleShift: Piece = (c) => {
  const { rng, a } = c, size = c.size(), wide = size === 8 ? 32 : size, s = c.source();
  const rm = place(c, wide, true, [s]), left = rng.pick([0xa4, 0xac]);
  if (rng.chance(50)) a.op([0x0f, left + 1], s, rm, { size: wide });
  else a.op([0x0f, left], s, rm, { size: wide, immediate: [rng.below(64)] });
};

const bits: Piece = (c) => {
  const { rng, a } = c, size = c.size(), wide = size === 8 ? 32 : size, n = rng.range(4, 7);
  switch (rng.below(4)) {
    case 0:
      return a.op([0x0f, 0xba], n, place(c, wide, true), {
        size: wide,
        immediate: [rng.below(256)],
      });
    case 1:
      return a.op([0x0f, 0x83 + n * 8], c.source(), c.target(), { size: wide });
    case 2: { // A string of bits in memory.
      const list = c.free, s = rng.pick(list);
      a.op([0x81], 4, s, { immediate: [0xff, 0x1f, 0, 0] });
      return a.op([0x0f, 0x83 + n * 8], s, c.memory(64, { keep: [s] }), { size: wide });
    }
    default: {
      const rm = place(c, wide, false);
      const [prefix, opcode] = rng.pick([[0, 0xbc], [0, 0xbd], [0xf3, 0xb8], [0xf3, 0xbc], [
        0xf3,
        0xbd,
      ]]);
      return a.op([0x0f, opcode], c.target(), rm, { size: wide, prefix: prefix || undefined });
    }
  }
};

const exchange: Piece = (c) => {
  const { rng, a } = c, size = c.size();
  switch (rng.below(5)) {
    case 0: {
      const s = c.targetOf(size);
      return form(c, [0x86], s, place(c, size, true, [s & 3, s]), size);
    }
    case 1: {
      const s = c.targetOf(size);
      return form(c, [0x0f, 0xc0], s, place(c, size, true, [s & 3, s]), size);
    }
    case 2: { // cmpxchg
      const s = c.sourceOf(size);
      return form(c, [0x0f, 0xb0], s, place(c, size, true, [EAX, s]), size);
    }
    case 3: { // bswap
      const r = c.target(), wide = c.long && rng.chance(50);
      if (c.long) a.put((wide ? 0x48 : 0x40) | (r > 7 ? 1 : 0));
      return a.put(0x0f, 0xc8 | (r & 7));
    }
    default: { // cmpxchg8b
      if (!c.can(EAX, EDX)) return;
      a.op([0x0f, 0xc7], 1, c.memory(8, { keep: [EAX, EDX] }), { size: 32 });
    }
  }
};

const accumulator: Piece = (c) => {
  const { rng, a } = c,
    list = [[0x98], [0x99], [0x66, 0x98], [0x66, 0x99], [0xf8], [0xf9], [0xf5], [0x9f], [0x9e], [
      0x90,
    ]];
  if (c.long) list.push([0x48, 0x98], [0x48, 0x99]);
  else list.push([0x27], [0x2f], [0x37], [0x3f], [0xd4, 10], [0xd5, 10], [0xd6]);
  a.put(...rng.pick(list));
};

/** Instructions of later processors. */
const extensions: Piece = (c) => {
  const { rng, a } = c, size = c.long && rng.chance(50) ? 64 : 32;
  const rm = (bytes = size / 8) => rng.chance(30) ? c.memory(bytes) : c.source();
  switch (rng.below(8)) {
    case 0: { // movbe
      const wide = rng.chance(20) ? 16 : size, s = c.source();
      if (rng.chance(50)) {
        return a.op([0x0f, 0x38, 0xf1], s, c.memory(8, { keep: [s] }), { size: wide });
      }
      const m = c.memory(8);
      return a.op([0x0f, 0x38, 0xf0], c.target(), m, { size: wide });
    }
    case 1: { // crc32
      const from = rm();
      return a.op([0x0f, 0x38, 0xf1], c.target(), from, { size, prefix: 0xf2 });
    }
    case 2: { // adcx, adox
      const from = rm();
      return a.op([0x0f, 0x38, 0xf6], c.target(), from, { size, prefix: rng.pick([0x66, 0xf3]) });
    }
    case 3: { // andn, blsr and its kin
      const from = rm();
      if (rng.chance(50)) {
        return a.op([0xf2], c.target(), from, { size, vex: { map: 2, pp: 0, v: c.source() } });
      }
      return a.op([0xf3], rng.range(1, 3), from, { size, vex: { map: 2, pp: 0, v: c.target() } });
    }
    case 4: { // bextr, bzhi, shlx, sarx, shrx, pext, pdep
      const from = rm(),
        [opcode, pp] = rng.pick([[0xf7, 0], [0xf5, 0], [0xf7, 1], [0xf7, 2], [0xf7, 3], [0xf5, 2], [
          0xf5,
          3,
        ]]);
      return a.op([opcode], c.target(), from, { size, vex: { map: 2, pp, v: c.source() } });
    }
    case 5: { // mulx, rorx
      const from = rm();
      if (rng.chance(50)) {
        return a.op([0xf6], c.target(), from, { size, vex: { map: 2, pp: 3, v: c.target() } });
      }
      return a.op([0xf0], c.target(), from, {
        size,
        vex: { map: 3, pp: 3, v: 0 },
        immediate: [rng.below(64)],
      });
    }
    case 6: { // xlat
      if (!c.can(EBX)) return;
      a.set(EBX, c.at(L.DATA) + rng.below(0x4000));
      return a.put(0xd7);
    }
    default: // cmpxchg16b
      if (!c.long || !c.can(EAX, EDX)) return;
      return a.op([0x0f, 0xc7], 1, c.memory(16, { aligned: true, keep: [EAX, EDX] }), { size: 64 });
  }
};

/** Pushes and pops that leave the stack as it was. */
const stack: Piece = (c) => {
  const { rng, a } = c;
  const register = (opcode: number, r: number) => {
    if (r > 7) a.put(0x41);
    a.put(opcode | (r & 7));
  };
  switch (rng.below(6)) {
    case 0:
      a.put(0x68, ...bytesOf(rng.value() | 0, 4));
      return register(0x58, c.target());
    case 1:
      a.op([0xff], 6, c.memory(8));
      return register(0x58, c.target());
    case 2: {
      register(0x50, c.source());
      return a.op([0x8f], 0, c.memory(8));
    }
    case 3: // Flags through the stack; what else there is in them stays.
      a.put(0x9c);
      register(0x58, c.target());
      return;
    case 4: {
      a.put(0x9c);
      a.op([0x81], 6, { base: ESP, disp: 0 }, {
        immediate: [rng.next() & 0xd5, 8 * rng.below(2), 0, 0],
      });
      return a.put(0x9d);
    }
    default: {
      const s = c.source(), r = c.target();
      register(0x50, s);
      register(0x50, c.source());
      register(0x58, r);
      return register(0x58, c.target());
    }
  }
};

/** An instruction whose constant other code may change. */
const changeable: Piece = (c) => {
  const { a, rng } = c, label: Label = {}, size = rng.chance(60) ? 32 : 8;
  if (rng.chance(40)) {
    const r = c.target();
    a.sizePrefix(32);
    if (r > 7) a.put(0x41);
    a.put(0xb8 | (r & 7), ...bytesOf(rng.value() | 0, 4));
    c.immediates.push({ label, size: 32 });
  } else {
    form(c, [0x80], rng.below(8), c.targetOf(size), size, immediate(c, size));
    c.immediates.push({ label, size });
  }
  a.bind(label);
};

/** Reads flags. */
export const consumer: Piece = (c) => {
  const { rng, a } = c, size = c.long && rng.chance(50) ? 64 : 32, condition = rng.below(16);
  switch (rng.below(6)) {
    case 0:
      return a.op([0x0f, 0x90 | condition], 0, rng.chance(80) ? c.byteTarget() : c.memory(1), {
        size: 8,
      });
    case 1:
    case 2: {
      const rm = rng.chance(80) ? c.source() : c.memory(8);
      return a.op([0x0f, 0x40 | condition], c.target(), rm, { size });
    }
    case 3:
      return a.op([rng.pick([0x11, 0x19])], c.source(), c.target(), { size });
    case 4: { // A jump over an instruction or two.
      const over: Label = {};
      a.short(0x70 | condition, over);
      a.op([rng.pick([0x01, 0x29, 0x31, 0x89])], c.source(), c.target(), { size });
      if (rng.chance(30)) a.op([0xff], rng.below(2), c.target(), { size });
      return a.bind(over);
    }
    default:
      return a.op([0xc1], rng.range(2, 3), c.target(), { size, immediate: [rng.below(40)] });
  }
};

/** Instructions that fault or trap. */
const trap: Piece = (c) => {
  const { rng, a } = c;
  if (!c.risky) return;
  const list = [[0x0f, 0x0b], [0xcc], [0xcd, 3], [0xcd, 0x55], [0xf4], [0xfa, 0xfb], [0x0f, 0x0b]];
  if (!c.long) list.push([0xce], [0x62, 0x05, ...bytesOf(c.at(0x160000), 4)]);
  const pick = rng.pick(list);
  if (pick[0] === 0xf4 && (c.setup.ring === 0 && c.setup.timer === 0)) return;
  a.put(...pick);
};

const WEIGHTED: [number, Piece][] = [
  [24, alu],
  [5, test],
  [14, move],
  [5, extend],
  [5, lea],
  [6, increment],
  [3, unary],
  [5, multiply],
  [2, divide],
  [8, shift],
  [3, doubleShift],
  [5, bits],
  [5, exchange],
  [4, accumulator],
  [4, stack],
  [4, changeable],
  [3, extensions],
  [1, trap],
];
/** Those whose operands in 16-bit code are as they are written here. */
const SHORT = WEIGHTED.filter(([, piece]) => piece !== stack && piece !== trap);

/** One random instruction, with what it needs, often followed by one that reads its flags. */
export function instruction(c: Context): void {
  const list = c.a.bits === 16 ? SHORT : WEIGHTED;
  let at = c.rng.below(list.reduce((sum, [weight]) => sum + weight, 0));
  for (const [weight, piece] of list) {
    at -= weight;
    if (at >= 0) continue;
    piece(c);
    break;
  }
  if (c.rng.chance(45)) consumer(c);
}

/** Sets flags for a branch and gives a condition. */
export function condition(c: Context): number {
  (c.rng.chance(70) ? alu : test)(c);
  return c.rng.below(16);
}
