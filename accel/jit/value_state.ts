/**
 * What is known of general registers and of addresses at a place in a region's text: which names hold
 * registers' values, how addresses differ from each other by constants, and which stretches of memory were
 * found to lie in one page.
 */
import type { Expr } from "../x86/binder.ts";

/** A value as the sum of something unknown and a constant. */
export interface Sum {
  /** Names the unknown part; equal roots are equal values. */
  root: string;
  add: number;
}

/** The name of a register's value (in 64-bit code of its low half, the high half's being told apart), and what it is. */
export interface Held extends Sum {
  name: Expr;
  high?: Expr;
}

/** Memory that one check covers: bytes `low` to `high` from the sum that was checked. */
export interface Stretch {
  readonly add: number;
  low: number;
  high: number;
  write: boolean;
  /** The block in which it may still grow, for all in it is sure to be accessed. */
  readonly block: number;
  /** Name of the place in host memory of the sum that was checked. */
  readonly host: Expr;
  /** Writes the text of the check anew. */
  readonly update: () => void;
}

/** Bytes that a stretch has at most: the longer, the more often it crosses into another page. */
const LONGEST = 256;

interface Saved {
  held: Map<number, Held>;
  sums: Map<string, Sum>;
  ints: Set<string>;
  stretches: Map<string, Stretch[]>;
}

export class ValueState {
  /** By register. */
  private held = new Map<number, Held>();
  /** By name. */
  private sums = new Map<string, Sum>();
  /** Names of int32 values. */
  private ints = new Set<string>();
  /** By root. */
  private stretches = new Map<string, Stretch[]>();
  private roots = 0;
  private blocks = 0;
  private block = 0;

  /** @param grouped whether accesses near each other share a check */
  constructor(private readonly grouped: boolean) {}

  clear(): void {
    this.held = new Map();
    this.sums = new Map();
    this.ints = new Set();
    this.stretches = new Map();
    this.block = ++this.blocks;
  }

  /** Begins a block that is not sure to be executed after what came before. */
  begin(): void {
    this.block = ++this.blocks;
  }

  save(): unknown {
    const saved: Saved = {
      held: new Map(this.held),
      sums: new Map(this.sums),
      ints: new Set(this.ints),
      stretches: new Map([...this.stretches].map(([root, list]) => [root, [...list]])),
    };
    return saved;
  }

  restore(saved: unknown): void {
    const { held, sums, ints, stretches } = saved as Saved;
    this.held = new Map(held);
    this.sums = new Map(sums);
    this.ints = new Set(ints);
    this.stretches = new Map([...stretches].map(([root, list]) => [root, [...list]]));
    this.block = ++this.blocks;
  }

  /** Translations or memory may have changed. */
  forgetMemory(): void {
    this.stretches.clear();
  }

  /** A helper may have changed registers. */
  forgetRegisters(): void {
    this.held.clear();
  }

  /** The name of a register's value, if it has one. */
  register(n: number): Held | undefined {
    const held = this.held.get(n);
    return held === undefined || held.name === "" ? undefined : held;
  }

  /** What a register is, whether it has a name or not. */
  sumOf(n: number): Sum {
    let held = this.held.get(n);
    if (held === undefined) {
      held = { name: "", root: `#${this.roots++}`, add: 0 };
      this.held.set(n, held);
    }
    return held;
  }

  /** Notes that a name holds a register's value, or the low half of it. */
  name(n: number, name: Expr): void {
    const { root, add } = this.sumOf(n);
    this.held.set(n, { name, root, add });
    this.sums.set(name, { root, add });
  }

  /** Notes that a name holds a register's high half, the low half having a name too. */
  nameHigh(n: number, high: Expr): void {
    const held = this.held.get(n);
    if (held !== undefined) this.held.set(n, { ...held, high });
  }

  /** Notes that a register was assigned a named value. */
  assign(n: number, name: Expr): void {
    const { root, add } = this.sumNamed(name);
    this.held.set(n, { name, root, add });
  }

  /** Notes that a register was assigned two halves, and what they are together. */
  hold(n: number, name: Expr, high: Expr, sum?: Sum): void {
    const { root, add } = sum ?? { root: `#${this.roots++}`, add: 0 };
    this.held.set(n, { name, high, root, add });
  }

  /** Notes that a register was changed. */
  forget(n: number): void {
    this.held.delete(n);
  }

  /** What a name is. */
  sumNamed(name: Expr): Sum {
    let sum = this.sums.get(name);
    if (sum === undefined) {
      sum = { root: `#${this.roots++}`, add: 0 };
      this.sums.set(name, sum);
    }
    return sum;
  }

  /** Notes what a name is. A name that is used again no longer is what it was. */
  define(name: Expr, sum: Sum | undefined, int: boolean): void {
    if (sum === undefined) this.sums.delete(name);
    else this.sums.set(name, { root: sum.root, add: sum.add | 0 });
    if (int) this.ints.add(name);
    else this.ints.delete(name);
  }

  /** Whether a name is of an int32 value. */
  isInt(name: Expr): boolean {
    return this.ints.has(name);
  }

  /** A stretch that covers `bytes` at a sum, grown if need be and the access is `sure` to happen in its block. */
  covering({ root, add }: Sum, bytes: number, write: boolean, sure: boolean): Stretch | undefined {
    if (!this.grouped) return undefined;
    for (const stretch of this.stretches.get(root) ?? []) {
      const from = (add - stretch.add) | 0, to = from + bytes;
      const low = Math.min(from, stretch.low), high = Math.max(to, stretch.high);
      const fits = low === stretch.low && high === stretch.high && (!write || stretch.write);
      if (fits) return stretch;
      if (!sure || stretch.block !== this.block || high - low > LONGEST) continue;
      stretch.low = low;
      stretch.high = high;
      stretch.write ||= write;
      stretch.update();
      return stretch;
    }
    return undefined;
  }

  /** Notes a stretch that is checked by a text that `text` writes, now and whenever it grows. */
  checked(
    { root, add }: Sum,
    bytes: number,
    write: boolean,
    host: Expr,
    text: (stretch: Stretch) => void,
  ): void {
    const stretch: Stretch = {
      add,
      low: 0,
      high: bytes,
      write,
      block: this.block,
      host,
      update: () => text(stretch),
    };
    stretch.update();
    const list = this.stretches.get(root);
    if (list === undefined) this.stretches.set(root, [stretch]);
    else list.push(stretch);
  }
}
