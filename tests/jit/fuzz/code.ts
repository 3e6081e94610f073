/** Pieces that change, copy and exchange code. */
import { bytesOf, EAX, ECX, EDI, ESI, type Label } from "./assembler.ts";
import { type Context, NOT_ZERO } from "./context.ts";
import { instruction } from "./integer.ts";
import * as L from "./layout.ts";
import { Prng } from "../../vectors/prng.ts";

/** Does `body` only in one of so many rounds. */
export function sometimes(c: Context, body: () => void): void {
  const { a, rng } = c, over: Label = {}, mask = rng.pick([0, 1, 7, 31, 63]);
  if (mask !== 0) {
    a.op([0xf7], 0, { disp: c.at(L.ROUNDS) }, { immediate: bytesOf(mask, 4) });
    a.branch(NOT_ZERO, over, true);
  }
  body();
  a.bind(over);
}

/** Changes code that is about to be executed, was, or is far away. */
export function selfModifying(c: Context): void {
  const { a, rng } = c, label: Label = {};
  const alias = c.setup.paging !== "none" && rng.chance(40) ? L.ALIAS : 0;
  /** An instruction on the byte before a label: its operand is `back` bytes before. */
  const change = (
    opcode: number[],
    reg: number,
    target: Label,
    back: number,
    size: 8 | 32,
    immediate: number[] = [],
  ) => {
    a.op(opcode, reg, { disp: 0 }, { size, kind: "other", immediate });
    a.bytes.length -= 4 + immediate.length;
    a.address(target, 4, alias - back);
    a.put(...immediate);
  };
  const write = (target: Label, back: number, size: 8 | 32) => {
    if (rng.chance(50)) change([size === 8 ? 0xfe : 0xff], rng.below(2), target, back, size);
    else change([size === 8 ? 0x88 : 0x89], rng.below(4), target, back, size);
  };
  switch (rng.below(4)) {
    case 0: { // The constant of an instruction that follows at once.
      sometimes(
        c,
        () => rng.chance(50) ? write(label, 4, 32) : write(label, rng.pick([4, 3, 1]), 8),
      );
      if (rng.chance(50)) instruction(c);
      a.put(0xb8 | rng.pick(c.free.filter((r) => r < 8)), ...bytesOf(rng.value() | 0, 4));
      a.bind(label);
      // The last instruction of what can be translated at a stretch.
      if (rng.chance(40)) a.put(0xcd, 0x80);
      return;
    }
    case 1: { // The condition of a branch.
      const over: Label = {};
      sometimes(c, () => change([0x80], 6, label, 2, 8, [1]));
      a.short(0x70 | rng.below(16), over);
      a.bind(label);
      a.op([0xff], rng.below(2), c.target());
      return a.bind(over);
    }
    case 2: { // An opcode: ADD to SUB, XOR to AND and the like.
      sometimes(c, () => change([0x80], 6, label, 2, 8, [0x28]));
      const n = rng.pick([0x01, 0x29, 0x31, 0x19]), list = c.free.filter((r) => r < 8);
      a.put(n, 0xc0 | (rng.pick(list) << 3) | rng.pick(list));
      return a.bind(label);
    }
    default: { // Constants elsewhere.
      if (c.immediates.length === 0) return;
      const { label, size } = rng.pick(c.immediates);
      sometimes(c, () => write(label, size === 32 ? rng.pick([4, 3, 1]) : 1, 8));
    }
  }
}

/** Straight code that is copied elsewhere and called there. */
export function copied(c: Context): void {
  const { a, rng } = c, body: Label = {}, end: Label = {}, copy: Label = {}, go: Label = {};
  if (!c.can(EAX, ECX, ESI, EDI)) return;
  a.jump(go);
  a.bind(body);
  for (let n = rng.range(1, 4); n > 0; n--) instruction(c);
  a.put(0xc3);
  a.bind(end);
  // Often across a page's end.
  if (rng.chance(30)) a.fill(((a.here + 0x1040) & ~0xfff) - rng.below(40), 0xcc);
  a.bind(copy);
  a.fill(a.here + (end.at! - body.at!), 0xcc);
  a.bind(go);
  sometimes(c, () => {
    a.setLabel(ESI, body);
    a.setLabel(EDI, copy);
    a.set(ECX, end.at! - body.at!);
    a.put(0xf3, 0xa4); // rep movsb
    if (rng.chance(50)) { // And one byte of it changed: it may be any.
      a.op([0x80], 6, { base: EDI, disp: -rng.range(2, 6) }, {
        size: 8,
        kind: "other",
        immediate: [1 << rng.below(8)],
      });
    }
  });
  resumed(c, () => a.call(copy));
  if (!rng.chance(30)) return;
  // And in a page that comes and goes.
  const page = c.at(
    L.SHIFTING + 0x1000 * rng.below(L.SHIFTING_PAGES - 1) + rng.pick([0, 0x100, 0xff8]),
  );
  resumed(c, () => {
    sometimes(c, () => {
      a.setLabel(ESI, body);
      a.set(EDI, page);
      a.set(ECX, end.at! - body.at!);
      a.put(0xf3, 0xa4);
    });
    a.set(EAX, page);
    a.op([0xff], 2, EAX);
  });
}

/** Emits `body` so that after a fault in it the program goes on behind it. */
export function resumed(c: Context, body: () => void): void {
  const { a } = c, after: Label = {};
  a.storeLabel(c.at(L.RESUME_IP), after);
  a.op([0x89], 4, { disp: c.at(L.RESUME_SP) }, { size: c.word });
  body();
  a.bind(after);
}

/** Data among the code, which is written without code being changed. */
export function mixed(c: Context): void {
  const { a, rng } = c, cell: Label = {}, over: Label = {};
  a.jump(over);
  a.bind(cell);
  a.put(0, 0, 0, 0);
  a.bind(over);
  const times = rng.chance(30) ? c.counter() : undefined, top: Label = {};
  if (times !== undefined) a.store(times, rng.range(20, 300));
  a.bind(top);
  a.op([0xff], rng.below(2), { disp: 0 });
  a.bytes.length -= 4;
  a.address(cell, 4);
  if (rng.chance(50)) instruction(c);
  if (times === undefined) return;
  a.op([0xff], 1, { disp: times });
  a.branch(NOT_ZERO, top);
}

/** A function in a page of its own which the second set of page tables exchanges with another. */
export function twin(c: Context): void {
  const { a, rng } = c, over: Label = {}, label: Label = {};
  if (c.setup.paging === "none" || a.here + 0x4000 - c.at(L.CODE) > 0x30000) {
    return resumed(c, () => instruction(c));
  }
  a.jump(over);
  a.fill((a.here + 0xfff) & ~0xfff, 0xcc);
  c.twins.push(a.here & 0x7fffffff);
  a.bind(label);
  for (const seed of [rng.next(), rng.next()]) {
    const before = c.rng;
    c.rng = new Prng(seed);
    for (let n = c.rng.range(1, 12); n > 0; n--) instruction(c);
    c.rng = before;
    a.put(0xc3);
    a.fill((a.here + 0xfff) & ~0xfff, 0xcc);
  }
  a.bind(over);
  sometimes(c, () => {
    a.store(c.at(L.SERVICE), 5);
    a.put(0xcd, 0x80);
  });
  resumed(c, () => {
    for (let n = rng.range(1, 4); n > 0; n--) a.call(label);
  });
}
