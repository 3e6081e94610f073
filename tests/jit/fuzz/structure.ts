/** The pieces that a fuzzed program is built of: a tree of control structures with straight code in them. */
import { bytesOf, EAX, EBP, EBX, ECX, EDI, ESI, type Label } from "./assembler.ts";
import { type Context, NOT_SIGN, NOT_ZERO, ZERO } from "./context.ts";
import { copied, mixed, resumed, selfModifying, twin } from "./code.ts";
import { condition, consumer, instruction } from "./integer.ts";
import * as L from "./layout.ts";
import { otherCode, otherData, watched } from "./modes.ts";
import { floating } from "./floating.ts";
import { anyInstruction } from "./rows.ts";
import { interrupts, otherStack, ports, service, stepped, timing } from "./system.ts";
import { records } from "./records.ts";
import { vectorInstruction } from "./vector.ts";
import { Prng } from "../../vectors/prng.ts";

/** A piece. It depends on nothing but its own seed, so that others can be left out. */
export interface Node {
  readonly id: number;
  readonly kind: string;
  readonly seed: number;
  readonly children: readonly (readonly Node[])[];
}

/** Emits a piece; `child` emits the pieces of one of its branches. */
type Kind = (c: Context, node: Node, child: (n: number) => void) => void;

/** Times around the loops within each other that a program may make in one round. */
const MOST_TIMES = 1500;

function repeat(c: Context, times: number, body: () => void): void {
  c.times *= times;
  body();
  c.times /= times;
}

function turns(c: Context): number {
  const most = Math.max(1, Math.floor(MOST_TIMES / c.times));
  return Math.min(most, c.rng.chance(20) ? c.rng.range(1, 120) : c.rng.range(1, 12));
}

/** Registers that may hold a counter while a body runs, by how they are used least. */
function spare(c: Context): number | undefined {
  const list = [EBX, EBP, EDI, ESI, 12, 13, 14, 15].filter((r) => c.free.includes(r));
  return c.free.length > 4 && list.length > 0 ? c.rng.pick(list) : undefined;
}

const straight: Kind = (c) => {
  for (let n = c.rng.range(1, 8); n > 0; n--) instruction(c);
};

const vectors: Kind = (c) => {
  for (let n = c.rng.range(1, 6); n > 0; n--) {
    if (c.rng.chance(75)) vectorInstruction(c);
    else instruction(c);
  }
};

/** Straight code that may fault, and goes on behind itself if it does. */
const risky: Kind = (c) =>
  resumed(c, () => {
    c.risky = true;
    for (let n = c.rng.range(1, 5); n > 0; n--) {
      c.rng.chance(75) ? instruction(c) : vectorInstruction(c);
    }
    c.risky = false;
  });

/** Instructions of all kinds that there are. */
const rows: Kind = (c) =>
  resumed(c, () => {
    for (let n = c.rng.range(1, 8); n > 0; n--) {
      anyInstruction(c);
      if (c.rng.chance(20)) consumer(c);
    }
  });

const choice: Kind = (c, node, child) => {
  const { a } = c, otherwise: Label = {}, end: Label = {}, both = node.children.length > 1;
  a.branch(condition(c), otherwise, c.rng.chance(10));
  child(0);
  if (both) a.jump(end);
  a.bind(otherwise);
  if (both) child(1);
  a.bind(end);
};

/** Loops that end by a count. */
const loop: Kind = (c, _, child) => {
  const { a, rng } = c, times = turns(c), size = c.long && rng.chance(50) ? 64 : 32;
  const register = spare(c), body = () => repeat(c, times, () => child(0));
  switch (register === undefined ? 4 : rng.below(6)) {
    case 0: { // Down to zero in a register.
      a.set(register!, times);
      const top = a.label();
      c.reserving([register!], body);
      a.op([0xff], 1, register!, { size });
      a.branch(NOT_ZERO, top);
      break;
    }
    case 1: { // Up to a limit, looked at before the body.
      const top: Label = {}, end: Label = {};
      a.op([0x31], register!, register!, { size });
      a.bind(top);
      a.op([0x83], 7, register!, { size, immediate: [Math.min(times, 127)] });
      a.branch(0xd, end); // jge
      c.reserving([register!], body);
      a.op([0x83], 0, register!, { size, immediate: [1] });
      a.jump(top);
      a.bind(end);
      break;
    }
    case 2: { // Down in steps until the sign changes.
      a.set(register!, times * 3);
      const top = a.label();
      c.reserving([register!], body);
      a.op([0x83], 5, register!, { size, immediate: [3] });
      a.branch(NOT_SIGN, top);
      break;
    }
    case 3: { // LOOP and its kin.
      if (!c.can(ECX)) return child(0);
      a.set(ECX, times);
      const top = a.label(), out: Label = {}, end: Label = {};
      c.reserving([ECX], body);
      a.short(rng.pick([0xe2, 0xe2, 0xe0, 0xe1]), out); // To a long jump back.
      a.jump(end);
      a.bind(out);
      a.jump(top);
      a.bind(end);
      break;
    }
    default: { // A counter in memory.
      const cell = c.counter();
      a.store(cell, times);
      const top = a.label();
      body();
      a.op([0xff], 1, { disp: cell });
      a.branch(rng.chance(50) ? NOT_ZERO : 0xf, top); // jnz, jg
    }
  }
};

/** A loop with an exit and a shortcut in its middle. */
const exits: Kind = (c, _, child) => {
  const { a, rng } = c, times = turns(c), cell = c.counter(), top: Label = {}, end: Label = {};
  a.store(cell, times);
  a.bind(top);
  a.op([0xff], 1, { disp: cell });
  a.branch(rng.chance(50) ? ZERO : 8, end, true);
  repeat(c, times, () => {
    child(0);
    a.branch(condition(c), top);
    if (rng.chance(40)) a.branch(condition(c), end, true);
    child(1);
  });
  a.jump(top);
  a.bind(end);
};

/** A loop that is entered at two places. */
const irreducible: Kind = (c, _, child) => {
  const { a, rng } = c, times = turns(c), cell = c.counter(), top: Label = {}, middle: Label = {};
  a.store(cell, times);
  a.branch(condition(c), middle, true);
  a.bind(top);
  repeat(c, times, () => {
    child(0);
    a.bind(middle);
    child(1);
  });
  a.op([0xff], 1, { disp: cell });
  a.branch(rng.chance(50) ? NOT_ZERO : 0xf, top);
};

/** A jump through a table. */
const table: Kind = (c, node, child) => {
  const { a, rng } = c, count = node.children.length, end: Label = {}, at: Label = {};
  const labels: Label[] = node.children.map(() => ({})), word = c.word / 8;
  const r = c.target(), scale = word === 8 ? 3 : 2;
  // movzx r, a byte or the round; and r, 3
  if (rng.chance(50)) a.op([0x8b], r, { disp: c.at(L.ROUNDS) });
  a.op([0x83], 4, r, { immediate: [3] });
  const entry = (opcode: number[], reg: number, size: 32 | 64) => {
    a.op(opcode, reg, { index: r, scale, disp: 0 }, { size });
    a.bytes.length -= 4;
    a.address(at, 4);
  };
  if (rng.chance(50)) entry([0xff], 4, 32); // jmp [table + r * size]
  else {
    entry([0x8b], r, c.word);
    a.op([0xff], 4, r);
  }
  if (rng.chance(60)) a.fill((a.here + 7) & ~7, 0);
  a.bind(at);
  for (let n = 0; n < 4; n++) a.address(labels[n % count], word);
  labels.forEach((label, n) => {
    a.bind(label);
    child(n);
    if (n + 1 < count && rng.chance(85)) a.jump(end);
  });
  a.bind(end);
};

const call: Kind = (c) => {
  const { a, rng } = c;
  if (c.routines.length === 0) {
    return straight(c, { id: 0, kind: "", seed: 0, children: [] }, () => {});
  }
  const { label, pops } = rng.pick(c.routines);
  for (let n = 0; n < pops; n++) a.put(0x6a, n);
  switch (rng.below(4)) {
    case 0:
    case 1:
      return a.call(label);
    case 2: {
      const r = c.target();
      a.setLabel(r, label);
      return a.op([0xff], 2, r);
    }
    default: {
      const cell = c.counter();
      a.storeLabel(cell, label);
      return a.op([0xff], 2, { disp: cell });
    }
  }
};

/** Jumps by way of the stack: RET to a place of one's own, a call of what follows, a function that calls itself. */
const odd: Kind = (c, _, child) => {
  const { a, rng } = c, on: Label = {};
  switch (rng.below(3)) {
    case 0: {
      const r = c.target();
      a.setLabel(r, on);
      a.put(...(r > 7 ? [0x41] : []), 0x50 | (r & 7), 0xc3); // push, ret
      if (rng.chance(50)) a.put(0xcc);
      a.bind(on);
      return child(0);
    }
    case 1: {
      const r = c.target();
      a.call(on);
      if (rng.chance(30)) a.put(0x90);
      a.bind(on);
      a.put(...(r > 7 ? [0x41] : []), 0x58 | (r & 7)); // pop
      return child(0);
    }
    default: {
      const cell = c.counter(), over: Label = {}, end: Label = {}, times = Math.min(turns(c), 12);
      a.store(cell, times);
      a.call(on);
      a.jump(over);
      a.bind(on);
      a.op([0xff], 1, { disp: cell });
      a.branch(8, end, true); // js
      if (rng.chance(50)) repeat(c, times, () => child(0));
      a.call(on);
      if (rng.chance(50)) instruction(c);
      a.bind(end);
      a.put(0xc3);
      return a.bind(over);
    }
  }
};

/** Registers or a frame on the stack around other pieces. */
const frame: Kind = (c, _, child) => {
  const { a, rng } = c;
  switch (rng.below(3)) {
    case 0: {
      const list = c.free.slice(0, rng.range(1, 5));
      for (const r of list) a.put(...(r > 7 ? [0x41] : []), 0x50 | (r & 7));
      child(0);
      for (const r of list.reverse()) a.put(...(r > 7 ? [0x41] : []), 0x58 | (r & 7));
      return;
    }
    case 1: {
      if (!c.can(EBP)) return child(0);
      if (rng.chance(50)) a.put(0xc8, rng.below(64) * 4, 0, rng.chance(85) ? 0 : 1); // enter
      else {
        a.put(0x55);
        a.op([0x89], 4, EBP, { size: c.word });
        a.op([0x83], 5, 4, { size: c.word, immediate: [rng.below(16) * 8] });
      }
      c.reserving([EBP], () => child(0));
      return a.put(0xc9);
    }
    default:
      a.put(0x9c);
      child(0);
      return a.put(0x9d);
  }
};

/** String instructions, repeated or not, up or down, often over each other or over pages. */
const strings: Kind = (c) => {
  const { a, rng } = c;
  if (!c.can(ECX, ESI, EDI, EAX)) return;
  const big = c.long && rng.chance(40), size = big ? 64 : rng.pick([8, 8, 16, 32, 32] as const);
  const down = rng.chance(25),
    repeated = rng.chance(70),
    count = rng.chance(70) ? rng.below(40) : rng.below(600);
  const place = () => {
    const base = rng.chance(80)
      ? L.DATA + 0x2000
      : rng.chance(70)
      ? L.SHIFTING + 0x1000
      : L.TEXT + 0x2000;
    return c.at(base + rng.below(0x3000) + (rng.chance(30) ? (0x1000 - rng.below(8)) & 0xfff : 0));
  };
  const from = place(), to = rng.chance(30) ? from + rng.range(-9, 9) : place();
  a.set(ESI, from);
  a.set(EDI, to);
  if (repeated || rng.chance(50)) a.set(ECX, count);
  if (down) a.put(0xfd);
  if (repeated && rng.chance(8)) { // Port strings.
    a.put(0x31, 0xd2, 0xb2, 0x80, 0xb1, 5); // xor edx, edx; mov dl, 80h; mov cl, 5
    a.put(0xf3, rng.pick([0x6c, 0x6e]) + (size === 8 ? 0 : 1));
  } else {
    const opcode = rng.pick([0xa4, 0xa4, 0xa6, 0xaa, 0xaa, 0xac, 0xae]) + (size === 8 ? 0 : 1);
    if (size === 16) a.put(0x66);
    if (repeated) a.put(rng.chance(80) ? 0xf3 : 0xf2);
    if (size === 64) a.put(0x48);
    a.put(opcode);
  }
  if (down) a.put(0xfc);
  if (rng.chance(50)) consumer(c);
};

/** Moves a pointer on, within the data. */
const pointer: Kind = (c) => {
  const { a, rng } = c, cell = { disp: c.at(L.POINTERS + 8 * rng.below(8)) }, size = c.word;
  a.op([0x81], 0, cell, {
    size,
    immediate: bytesOf(rng.pick([1, 2, 4, 8, 16, 60, 64, 4095, 4096]), 4),
  });
  a.op([0x81], 4, cell, {
    size,
    immediate: bytesOf(c.at(L.DATA) | (rng.chance(50) ? 0xfffc : 0xffff), 4),
  });
  a.op([0x81], 1, cell, { size, immediate: bytesOf(c.at(L.DATA), 4) });
};

/** Skips to near the end of a page, so that what follows lies across it. */
const gap: Kind = (c) => {
  const { a, rng } = c;
  if (a.here + 0x2000 - c.at(L.CODE) > 0x30000) return;
  const to: Label = {};
  a.jump(to);
  const end = (a.here + 0x1000 + 64) & ~0xfff;
  a.fill(end - rng.below(40), rng.pick([0x90, 0xcc, 0]));
  a.bind(to);
};

/** The kinds: how likely, how many branches they have, and how they are emitted. */
const KINDS: Record<string, { weight: number; branches: (rng: Prng) => number; emit: Kind }> = {
  straight: { weight: 30, branches: () => 0, emit: straight },
  vectors: { weight: 8, branches: () => 0, emit: vectors },
  risky: { weight: 8, branches: () => 0, emit: risky },
  strings: { weight: 6, branches: () => 0, emit: strings },
  selfModifying: { weight: 5, branches: () => 0, emit: selfModifying },
  service: { weight: 4, branches: () => 0, emit: service },
  pointer: { weight: 6, branches: () => 0, emit: pointer },
  ports: { weight: 2, branches: () => 0, emit: ports },
  timing: { weight: 2, branches: () => 0, emit: timing },
  interrupts: { weight: 3, branches: () => 0, emit: interrupts },
  floating: { weight: 8, branches: () => 0, emit: floating },
  rows: { weight: 12, branches: () => 0, emit: rows },
  records: { weight: 14, branches: () => 0, emit: records },
  copied: { weight: 2, branches: () => 0, emit: copied },
  twin: { weight: 2, branches: () => 0, emit: twin },
  otherCode: { weight: 4, branches: () => 0, emit: otherCode },
  otherData: { weight: 3, branches: () => 0, emit: otherData },
  watched: { weight: 2, branches: () => 1, emit: (c, _, child) => watched(c, () => child(0)) },
  gap: { weight: 3, branches: () => 0, emit: gap },
  call: { weight: 8, branches: () => 0, emit: call },
  odd: { weight: 4, branches: () => 1, emit: odd },
  mixed: { weight: 3, branches: () => 0, emit: mixed },
  choice: { weight: 10, branches: (rng) => rng.range(1, 2), emit: choice },
  loop: { weight: 14, branches: () => 1, emit: loop },
  exits: { weight: 4, branches: () => 2, emit: exits },
  irreducible: { weight: 3, branches: () => 2, emit: irreducible },
  table: { weight: 4, branches: (rng) => rng.range(2, 4), emit: table },
  frame: { weight: 4, branches: () => 1, emit: frame },
  stepped: { weight: 1, branches: () => 1, emit: (c, _, child) => stepped(c, () => child(0)) },
  otherStack: {
    weight: 2,
    branches: () => 1,
    emit: (c, _, child) => otherStack(c, () => child(0)),
  },
};

/** Grows a tree of about so many pieces. */
export function grow(rng: Prng, budget: number, ids: { next: number }, depth = 0): Node[] {
  const names = Object.keys(KINDS).filter((name) =>
    depth < 4 || KINDS[name].branches(new Prng(1)) === 0
  );
  const total = names.reduce((sum, name) => sum + KINDS[name].weight, 0), nodes: Node[] = [];
  for (let left = budget; left > 0;) {
    let at = rng.below(total), kind = names[0];
    for (const name of names) {
      at -= KINDS[name].weight;
      kind = name;
      if (at < 0) break;
    }
    const id = ids.next++,
      seed = rng.next(),
      branches = KINDS[kind].branches(rng),
      before = ids.next;
    const children = Array.from(
      { length: branches },
      () => grow(rng, rng.range(1, Math.max(1, Math.floor(left / 2))), ids, depth + 1),
    );
    nodes.push({ id, kind, seed, children });
    left -= 1 + (ids.next - before);
  }
  return nodes;
}

/** Emits pieces, but for those left out. */
export function emitNodes(c: Context, nodes: readonly Node[], without: ReadonlySet<number>): void {
  for (const node of nodes) {
    if (without.has(node.id)) continue;
    const rng = c.rng = new Prng(node.seed);
    KINDS[node.kind].emit(c, node, (n) => {
      emitNodes(c, node.children[n], without);
      c.rng = rng;
    });
  }
}
