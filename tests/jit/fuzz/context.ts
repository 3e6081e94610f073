/** What the pieces of a fuzzed program share: registers that may be written, operands, places to go on at. */
import type { Prng } from "../../vectors/prng.ts";
import { type Assembler, ESP, type Label, type Memory } from "./assembler.ts";
import * as L from "./layout.ts";
import type { Setup } from "./layout.ts";

/** A function of the program. */
export interface Routine {
  label: Label;
  /** Bytes that its RET takes off the stack. */
  pops: number;
}

/** State of the emission of a program. */
export class Context {
  /** The generator of the piece that is being emitted. */
  rng!: Prng;
  /** General registers that pieces may write. */
  free: number[];
  /** How often the code here runs in one round, about. */
  times = 1;
  /** Whether the piece goes on at a place of its own after a fault. */
  risky = false;
  /** Functions that may be called. */
  routines: Routine[] = [];
  /** Cells given out as counters. */
  counters = 0;
  /** Ends of instructions whose last four bytes, or one, may be changed by others. */
  readonly immediates: { label: Label; size: number }[] = [];

  /** Addresses of pages that have a twin behind them. */
  readonly twins: number[] = [];
  /** Where the data begins for the code here, and through what segment it is reached. */
  data: number;
  segment: number | undefined;

  constructor(readonly a: Assembler, readonly setup: Setup) {
    this.data = L.linear(setup, L.DATA);
    const count = setup.bits === 64 ? 16 : 8;
    this.free = Array.from({ length: count }, (_, n) => n).filter((n) => n !== ESP);
  }

  get long(): boolean {
    return this.setup.bits === 64;
  }

  /** Operand size of addresses and of the stack. */
  get word(): 32 | 64 {
    return this.setup.bits;
  }

  at(address: number): number {
    return L.linear(this.setup, address);
  }

  can(...registers: number[]): boolean {
    return registers.every((r) => this.free.includes(r));
  }

  /** A register to write. */
  target(): number {
    return this.rng.pick(this.free);
  }

  /** A register to read, the stack pointer and loop counters included. */
  source(): number {
    return this.rng.below(this.long ? 16 : 8);
  }

  /** A register whose low byte can be written without a REX prefix. */
  byteTarget(): number {
    const { rng } = this, list = this.free.filter((r) => r < 4 || this.long);
    const r = rng.pick(list);
    return !this.long && rng.chance(30) ? r + 4 : r;
  }

  byteSource(): number {
    return this.rng.below(this.long ? 16 : 8);
  }

  size(): 8 | 16 | 32 | 64 {
    const n = this.rng.below(10);
    if (n < 2) return 8;
    if (n < 3) return 16;
    return this.long && n < 7 ? 64 : 32;
  }

  targetOf(size: number): number {
    return size === 8 ? this.byteTarget() : this.target();
  }

  sourceOf(size: number): number {
    return size === 8 ? this.byteSource() : this.source();
  }

  /** A cell for a counter of its own. */
  counter(): number {
    if (this.counters >= 96) throw new RangeError("too many counters");
    return this.at(L.COUNTERS + 8 * this.counters++);
  }

  /** Emits code of another size, at low addresses, with only the registers that it has. */
  narrow(bits: 16 | 32, body: (c: Context) => void): void {
    const { a } = this,
      before = a.bits,
      c = new Context(a, { ...this.setup, bits: 32, high: false });
    c.rng = this.rng;
    c.free = this.free.filter((r) => r < 8);
    a.bits = bits;
    body(c);
    a.bits = before;
  }

  /** Keeps registers from being written by what `body` emits. */
  reserving(registers: readonly number[], body: () => void): void {
    const before = this.free;
    this.free = before.filter((r) => !registers.includes(r));
    body();
    this.free = before;
  }

  /** A random offset into the data, often at the edges of pages, often aligned. */
  offset(bytes: number): number {
    const { rng } = this;
    switch (rng.below(5)) {
      case 0:
        return Math.max(0, (rng.range(1, 15) << 12) - rng.range(0, bytes + 3));
      case 1:
        return rng.below(L.DATA_SIZE - 64);
      default:
        return rng.below((L.DATA_SIZE - 64) / 16) * 16 + (rng.chance(60) ? 0 : rng.pick([4, 8]));
    }
  }

  /**
   * A memory operand of so many bytes; emits what makes its address, which may change a free register and
   * the flags. `aligned` asks for 16 bytes.
   */
  memory(
    bytes: number,
    options: { aligned?: boolean; keep?: readonly number[] } = {},
  ): Memory {
    const memory = this.operand(bytes, options), { rng, segment } = this;
    if (segment !== undefined && rng.chance(70)) memory.segment = segment;
    else if (this.a.bits !== 16 && rng.chance(2)) {
      memory.segment = rng.pick([0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65]);
    }
    return memory;
  }

  private operand(
    bytes: number,
    { aligned = false, keep = [] }: { aligned?: boolean; keep?: readonly number[] } = {},
  ): Memory {
    const { a, rng, risky } = this;
    const list = this.free.filter((r) => !keep.includes(r));
    const offset = aligned ? this.offset(bytes) & ~15 : this.offset(bytes);
    const data = this.data + offset;
    const absolute = (address: number): Memory => {
      if (this.long && this.segment === undefined && rng.chance(50)) {
        return { disp: address, relative: true };
      }
      return { disp: address };
    };
    const pick = rng.below(this.segment !== undefined ? 9 : risky ? 17 : 14);
    if (list.length === 0 || pick < 3) return absolute(data);
    const r = rng.pick(list);
    switch (pick) {
      case 3:
      case 4: { // An index from a byte or word, flags kept.
        const byte = rng.chance(60), from = byte && !this.long ? rng.below(4) : this.source();
        if (aligned) return absolute(data);
        a.op([0x0f, byte ? 0xb6 : 0xb7], r, from, { size: byte && this.long ? 64 : 32 });
        return {
          index: r,
          scale: byte ? rng.below(4) : 0,
          disp: this.data + (byte ? offset & ~0x800 : 0),
        };
      }
      case 5:
      case 6: { // A masked register as base.
        const mask = rng.pick([0xff, 0xfff, 0x7fff, 0xfff0]) & (aligned ? ~15 : -1);
        a.op([0x81], 4, r, { immediate: [mask & 0xff, mask >> 8, 0, 0] });
        return { base: r, disp: this.data + (aligned ? 0 : rng.below(64)) };
      }
      case 7:
      case 8: { // Base and index.
        if (list.length < 2 || aligned) return absolute(data);
        const index = rng.pick(list.filter((n) => n !== r));
        a.set(r, data & ~0x4000);
        a.op([0x81], 4, index, { immediate: [0xff, rng.below(4), 0, 0] });
        return {
          base: r,
          index,
          scale: rng.below(4),
          disp: rng.pick([0, 1, -4, 127, -128, 0x200]),
        };
      }
      case 9:
      case 10: // A pointer from memory.
        if (aligned) return absolute(data);
        a.op([0x8b], r, { disp: this.at(L.POINTERS) + 8 * rng.below(8) }, { size: this.word });
        return { base: r, disp: rng.pick([0, 0, 1, 4, 8, -8, 64]) };
      case 11: // A page that comes and goes.
        return absolute(
          this.at(L.SHIFTING) + rng.below(L.SHIFTING_PAGES * 0x1000 - 64 >> 4) * 16 +
            (aligned || rng.chance(70) ? 0 : 13),
        );
      case 12: // The same data by another address, or below the stack pointer.
        if (this.setup.paging !== "none" && rng.chance(50)) return absolute(data + L.ALIAS);
        if (aligned) return absolute(data);
        return { base: ESP, disp: -4 * rng.range(8, 40) };
      case 13: // A chip's registers, or video memory.
        if (bytes <= 4 && rng.chance(30)) return { disp: L.APIC + rng.pick([0x20, 0x30, 0x390]) };
        return rng.chance(50) ? absolute(this.at(L.TEXT) + rng.below(0x1f0) * 16) : absolute(data);
      case 14:
        return absolute(this.at(L.NOWHERE) + rng.below(0x3f0) * 16);
      case 15: // 16-bit addresses.
        if (this.long || this.a.bits === 16 || aligned) return absolute(data);
        return { disp: rng.below(0x10000), short: rng.chance(50) ? "disp" : "bx+si" };
      default: // Anywhere.
        if (!this.long) return { base: r, disp: 0 };
        return { base: r, index: rng.pick(list.filter((n) => n !== ESP)), scale: 1, disp: 4 };
    }
  }
}

/** Condition codes by number. */
export const CARRY = 2, ZERO = 4, NOT_ZERO = 5, SIGN = 8, NOT_SIGN = 9;
