/** Pieces that run code of other sizes and through other segments. */
import { EAX, ECX, type Label } from "./assembler.ts";
import { type Context, NOT_ZERO } from "./context.ts";
import { resumed, sometimes } from "./code.ts";
import { consumer, instruction } from "./integer.ts";
import * as L from "./layout.ts";
import { vectorInstruction } from "./vector.ts";

/** A few instructions, perhaps in a loop. */
function some(c: Context): void {
  const { a, rng } = c, count = rng.range(1, 8);
  const body = () => {
    for (let n = 0; n < count; n++) {
      if (a.bits !== 16 && rng.chance(15)) vectorInstruction(c);
      else instruction(c);
    }
    if (rng.chance(30)) consumer(c);
  };
  if (rng.chance(50) || !c.can(ECX)) return body();
  a.set(ECX, rng.range(1, 30));
  const top = a.label();
  c.reserving([ECX], body);
  a.op([0xff], 1, ECX);
  a.branch(NOT_ZERO, top);
}

/** JMP far to a label at its low address, or relative to the code segments' base. */
function far(c: Context, selector: number, label: Label): void {
  const { a } = c, based = [L.SHORT_CODE, L.BASED_CODE].includes(selector & ~3);
  a.sizePrefix(32);
  a.put(0xea);
  a.address(label, 4, based ? -c.at(L.CODE) : 0);
  a.put(selector, selector >> 8);
}

/** Code of 16 bits, or of 32 bits in a segment with a base, and back. */
export function otherCode(c: Context): void {
  const { a, rng, setup } = c, ring = setup.ring, inside: Label = {}, back: Label = {};
  const selector =
    (rng.chance(50)
      ? L.SHORT_CODE
      : rng.chance(50)
      ? L.BASED_CODE
      : ring === 3
      ? L.CODE3
      : L.CODE0) | ring;
  const bits = (selector & ~3) === L.SHORT_CODE ? 16 : 32;
  if (bits === 16 && a.here - c.at(L.CODE) > 0xe000) return;
  if (c.long) return compatible(c, selector, bits);
  resumed(c, () => {
    far(c, selector & ~3 | ring, inside);
    a.bind(inside);
    c.narrow(bits, (narrow) => {
      some(narrow);
      far(narrow, L.selectors(setup).code, back);
    });
    a.bind(back);
  });
}

/** From 64-bit code to compatibility mode, on a stack that it reaches, and back by way of low addresses. */
function compatible(c: Context, selector: number, bits: 16 | 32): void {
  const { a, setup } = c, pointer: Label = {}, inside: Label = {}, low: Label = {};
  const down = c.at(0), based = [L.SHORT_CODE, L.BASED_CODE].includes(selector & ~3);
  const over: Label = {}, leave: Label = {};
  a.op([0x89], 4, { disp: c.at(L.SAVED_SP) }, { size: 64 });
  a.jump(over);
  a.bind(pointer);
  a.address(inside, 4, based ? -c.at(L.CODE) : -down);
  a.put(selector, selector >> 8);
  a.bind(over);
  resumed(c, () => {
    a.set(4, L.LOW_STACK);
    a.op([0xff], 5, { disp: 0, relative: true }); // jmp far [pointer]
    a.bytes.length -= 4;
    a.distance(pointer, 4);
    a.bind(inside);
    c.narrow(bits, (narrow) => {
      some(narrow);
      a.sizePrefix(32);
      a.put(0xea);
      a.address(low, 4, -down);
      a.put(L.selectors(setup).code, 0);
    });
    a.bind(low);
    a.setLabel(EAX, leave);
    a.op([0xff], 4, EAX);
    a.bind(leave);
  });
  a.op([0x8b], 4, { disp: c.at(L.SAVED_SP) }, { size: 64 });
}

/** Data through segments with bases and limits. */
export function otherData(c: Context): void {
  const { a, rng } = c, selector = rng.pick([L.BASED_DATA, L.WIDE_DATA, L.WIDE_DATA, L.DOWN_DATA]);
  const register = c.long ? rng.range(4, 5) : rng.pick([0, 3, 4, 5]),
    flat = L.selectors(c.setup).data;
  const load = (selector: number) => {
    a.set(EAX, selector);
    a.put(0x8e, 0xc0 | (register << 3));
  };
  const { data, segment } = c;
  resumed(c, () => {
    load(selector);
    // Offsets in the segment: its base is the data's low address.
    c.data = 0;
    c.segment = [0x26, 0, 0, 0x3e, 0x64, 0x65][register];
    some(c);
    c.data = data;
    c.segment = segment;
    if (register < 4 || rng.chance(50)) load(flat);
  });
}

/** A breakpoint on code, or on what is read or written, for a few times. */
export function watched(c: Context, body: () => void): void {
  const { a, rng } = c, here: Label = {};
  sometimes(c, () => {
    const code = rng.chance(40), length = rng.below(4);
    a.store(c.at(L.STEPS), rng.below(12));
    if (code) a.storeLabel(c.at(L.WATCHED), here);
    else {
      const bytes = [1, 2, 8, 4][length];
      a.store(
        c.at(L.WATCHED),
        rng.chance(50) ? c.at(L.COUNTERS) : (c.data + c.offset(8)) & -bytes,
        true,
      );
    }
    a.store(c.at(L.WATCH_MODE), 0x401 | (code ? 0 : (rng.pick([1, 3]) | (length << 2)) << 16));
    a.store(c.at(L.SERVICE), 0);
    a.put(0xcd, 0x80);
  });
  a.bind(here);
  body();
}
