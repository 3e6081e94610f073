/** Binds semantics to one place in a region of 64-bit code: registers and addresses are two halves. */
import type { Expr, Wide, Width } from "../x86/binder.ts";
import { LONG_WRITE } from "../x86/long_mmu.ts";
import * as S from "../x86/state.ts";
import { hostSum, JitBinder } from "./binder.ts";
import type { Sum } from "./value_state.ts";

/** The high half of an address is the name of its low half with this behind it. */
const high = (name: Expr) => `${name}h`;

/** The carry out of bit 31, as 0 or 1, of `sum = a + b`. */
const carried = (sum: Expr, a: Expr, b: Expr): Expr => {
  const literal = /^\(?(-?\d+)\)?$/.exec(b);
  if (literal === null) return `(((${a}&${b})|((${a}|${b})&~${sum}))>>>31)`;
  return Number(literal[1]) < 0 ? `((${a}|~${sum})>>>31)` : `((${a}&~${sum})>>>31)`;
};

/** Whether differences of a few such constants are far from 2^32. */
const near = (constant: number) => Math.abs(constant) < 2 ** 28;

/** Yields the text of one instruction of 64-bit code. */
export class LongJitBinder extends JitBinder {
  // Registers.

  override setGpr(n: number, value: Expr, width: Width = 32): void {
    super.setGpr(n, value, width);
    if (width === 32) this.emit(`r${n}h=0;`);
  }

  /** As variables, which the semantic may assign. */
  override gpr64(n: number): Wide {
    const name = this.name(n, true);
    this.changed(n);
    return { lo: name, hi: high(name) };
  }

  /** Without sums: a 32-bit sum that wraps around is another address. */
  protected override changed(n: number, name?: Expr, top: Expr = "0"): void {
    const { values } = this.e;
    if (name === undefined) super.changed(n);
    else if (this.conditionally) values.forget(n);
    else values.hold(n, name, top);
  }

  protected override sumIn(_value: Expr): undefined {}

  /** Both halves as they are now. */
  private halves(n: number): Wide {
    const held = this.e.values.register(n), name = this.name(n);
    return { lo: held?.name ?? name, hi: held?.high ?? high(name) };
  }

  /** Both halves as names that hold them whatever happens to the register. */
  private namedHalves(n: number): Wide {
    const { e } = this, lo = this.named(n), top = e.values.register(n)?.high;
    if (top !== undefined) return { lo, hi: top };
    const hi = this.fresh();
    e.assign(hi, high(this.name(n)));
    e.values.define(hi, undefined, true);
    if (!this.conditionally) e.values.nameHigh(n, hi);
    return { lo, hi };
  }

  override read64(i: number): Wide {
    const operand = this.operand(i);
    if (operand.kind === "I") {
      const lo = this.immediate(i), { insn } = this;
      const whole = insn.form.row.opcode === "B8 +r" && insn.operandSize === 64;
      return { lo, hi: whole ? `(${insn.immediate2})` : `(${insn.immediate >> 31})` };
    }
    if (!this.isMemory(i)) {
      return this.namedHalves(this.number(i));
    }
    const linear = this.address(i, 8, operand.writes);
    this.slot = this.place(8, linear, operand.writes, true);
    return this.get64(this.slot);
  }

  override write64(i: number, lo: Expr, hi: Expr): void {
    if (!this.isMemory(i)) {
      // The new low half may be made of the old high one, and the other way round.
      this.setHalves(this.number(i), this.whole(lo), this.whole(hi), this.sumWritten(lo));
      return;
    }
    if (!this.operand(i).reads) {
      this.slot = this.place(8, this.address(i, 8, true), true, true);
    }
    this.set64(this.slot, lo, hi);
  }

  /** A name or literal of an int32 value. */
  private whole(value: Expr): Expr {
    if (/^(\d+|\(-\d+\))$/.test(value) || this.e.values.isInt(value)) return value;
    return this.let(this.int(value));
  }

  private setHalves(n: number, lo: Expr, hi: Expr, sum?: Sum): void {
    const name = this.name(n, true), { values } = this.e;
    this.emit(`${name}=${lo};${high(name)}=${hi};`);
    if (this.conditionally) values.forget(n);
    else values.hold(n, lo, hi, sum);
  }

  /**
   * What the effective offset is. Sums are known modulo 2^32: those that could wrap around, and so be
   * mistaken for an address near another one that is 4 GiB away, are not used.
   */
  protected override offsetSum(): Sum | undefined {
    const { base, index, scale, displacement, ripRelative } = this.insn, { values } = this.e;
    const terms = ripRelative ? [this.e.next + displacement] : [
      displacement,
      ...(base < 0 ? [] : [values.sumOf(base).add]),
      ...(index < 0 ? [] : [values.sumOf(index).add * 2 ** scale]),
    ];
    return terms.every(near) ? super.offsetSum() : undefined;
  }

  /** What a register becomes by the instruction, if it is the sum of what it was and a constant. */
  private sumWritten(lo: Expr): Sum | undefined {
    const { insn } = this, { semantic } = insn.form.row, { values } = this.e;
    // The same literal stands for halves of different numbers.
    if (insn.operandSize !== 64 || /^[(\d]/.test(lo)) return undefined;
    if (semantic === "mov" || semantic === "lea") return values.sumNamed(lo);
    if (!/^(add|sub)$/.test(semantic) || this.operand(1).kind !== "I") return undefined;
    const { root, add } = values.sumOf(this.number(0));
    const sum = semantic === "add" ? add + insn.immediate : add - insn.immediate;
    return near(sum) ? { root, add: sum } : undefined;
  }

  private get64(at: Expr): Wide {
    return { lo: this.let(this.get(32, at)), hi: this.let(this.get(32, hostSum(at, 4))) };
  }

  private set64(at: Expr, lo: Expr, hi: Expr): void {
    this.set(32, at, lo);
    this.set(32, hostSum(at, 4), hi);
  }

  // Addresses.

  /** Emits the sum of an address and a constant of any size, as a name for both halves. */
  private plus(lo: Expr, hi: Expr, constant: number, sum?: Sum, a: Expr = this.fresh()): Expr {
    const { e } = this, low = constant | 0, top = Math.floor(constant / 0x100000000);
    if (constant === 0) {
      e.assign(a, lo);
      e.assign(high(a), hi);
    } else {
      const carry = low === 0 ? "" : `+${carried(a, lo, `(${low})`)}`;
      e.assign(a, `(${lo}+(${low}))|0`);
      e.assign(high(a), `(${hi}+(${top})${carry})|0`);
    }
    this.defined(a, sum);
    return a;
  }

  /** Notes an address of two halves. */
  private defined(a: Expr, sum?: Sum): void {
    this.e.values.define(a, sum, true);
    this.e.values.define(high(a), undefined, true);
  }

  /** A name for the effective offset as a pair, which is emitted when it is needed. */
  private formOffset(i: number): Expr {
    const { insn, e } = this, { base, index, scale, displacement } = insn;
    const sum = this.offsetSum();
    if (this.operand(i).kind === "O") {
      const a = this.fresh();
      e.assign(a, `${displacement}`);
      e.assign(high(a), `${insn.addressSize === 64 ? insn.immediate : 0}`);
      this.defined(a);
      return a;
    }
    let compute: (name: Expr) => void;
    if (insn.ripRelative) {
      const distance = e.next + displacement;
      compute = (name) => void this.plus("pip", "piph", distance, sum, name);
    } else {
      const b = base >= 0 ? this.halves(base) : { lo: "0", hi: "0" };
      const x = index >= 0 ? this.halves(index) : undefined;
      compute = (name) => {
        let { lo, hi } = b;
        if (x !== undefined) {
          const il = this.let(scale === 0 ? x.lo : `${x.lo}<<${scale}`);
          const ih = scale === 0 ? x.hi : `(${x.hi}<<${scale}|${x.lo}>>>${32 - scale})`;
          if (base >= 0) {
            const both = this.fresh();
            e.assign(both, `(${lo}+${il})|0`);
            e.assign(high(both), `(${hi}+${ih}+${carried(both, lo, il)})|0`);
            this.defined(both);
            lo = both;
            hi = high(both);
          } else {
            lo = il;
            hi = this.let(ih);
          }
        }
        this.plus(lo, hi, displacement, sum, name);
      };
    }
    const name = this.later((name) => {
      compute(name);
      if (insn.addressSize !== 64) e.assign(high(name), "0");
    }, sum);
    return name;
  }

  override address(i: number, _bytes: number, _write: boolean): Expr {
    const a = this.formOffset(i), { segment } = this.insn, { e } = this;
    if (segment !== S.FS && segment !== S.GS) return a;
    this.force(a);
    const sum = this.fresh(), base = this.let(`R[${S.SEG_BASE + segment}]`);
    e.assign(sum, `(${a}+${base})|0`);
    e.assign(
      high(sum),
      `(${high(a)}+R[${S.SEG_BASE_HI + segment}]+${carried(sum, a, base)})|0`,
    );
    this.defined(sum);
    return sum;
  }

  override offset(i: number): Expr {
    const a = this.formOffset(i);
    this.force(a);
    return a;
  }

  override offset64(i: number): Wide {
    const a = this.offset(i);
    return { lo: a, hi: high(a) };
  }

  // Memory.

  protected override check(
    host: Expr,
    linear: Expr,
    write: boolean,
    outside: string[],
    bail: string,
  ): string {
    const table = write ? `${LONG_WRITE}+` : "";
    const misses = [
      `LT[q]!==(${linear}&-4096)`,
      `LT[q+1]!==${high(linear)}`,
      ...outside,
      `(${host}=LT[q+2])<=0`,
    ];
    return `q=${table}lb+((${linear}>>>10)&65532);o=${linear}&4095;if(${
      misses.join("||")
    })${bail}${host}=${host}|o;`;
  }

  // The stack: 64-bit pointers, operands of 64 or 16 bits.

  private stackPointer(by: number): Expr {
    const { lo, hi } = this.namedHalves(4), { root, add } = this.e.values.sumOf(4);
    return this.plus(lo, hi, by, { root, add: add + by });
  }

  private moveStack(sp: Expr): void {
    this.setHalves(4, sp, high(sp), this.e.values.sumNamed(sp));
  }

  override push(value: Expr): void {
    const kept = this.let(value), sp = this.stackPointer(-2);
    this.store(16, sp, kept);
    this.moveStack(sp);
  }

  override push64(lo: Expr, hi: Expr): void {
    const a = this.let(lo), b = this.let(hi), sp = this.stackPointer(-8);
    this.set64(this.place(8, sp, true, true), a, b);
    this.moveStack(sp);
  }

  override pop(): Expr {
    return this.load(16, this.stackPointer(0));
  }

  override pop64(from?: Wide): Wide {
    const a = from === undefined ? this.stackPointer(0) : this.plus(from.lo, from.hi, 0);
    return this.get64(this.place(8, a, false, true));
  }

  override popCommit(extra: Expr = "0"): void {
    const bytes = this.variant.operandSize === 16 ? 2 : 8;
    if (extra === "0") {
      this.moveStack(this.stackPointer(bytes));
      return;
    }
    const { lo, hi } = this.gpr64(4), by = this.let(`${bytes}+${extra}`);
    const sum = this.let(`(${lo}+${by})|0`);
    this.emit(`${hi}=(${hi}+${carried(sum, lo, by)})|0;${lo}=${sum};`);
  }

  override keepAddress(linear: Expr): string {
    return `xa=${linear};xah=${high(linear)};`;
  }

  override indexAddress(n: number): Expr {
    const { lo, hi } = this.halves(n);
    return this.plus(lo, hi, 0, this.e.values.sumOf(n));
  }

  override indexNumber(n: number): Expr {
    const { lo, hi } = this.halves(n);
    return `(${hi}*4294967296+(${lo}>>>0))`;
  }

  override advanceIndex(n: number, by: Expr): void {
    const { lo, hi } = this.gpr64(n);
    const sum = this.let(`(${lo}+${by})|0`);
    this.emit(`${hi}=(${hi}+(${by}>>31)+${carried(sum, lo, by)})|0;${lo}=${sum};`);
  }

  override clearIndex(n: number): void {
    const { lo, hi } = this.gpr64(n);
    this.emit(`${lo}=${hi}=0;`);
  }

  // Where to go on.

  private relative(offset: number): Wide {
    const a = this.plus("pip", "piph", offset);
    return { lo: a, hi: high(a) };
  }

  override get next64(): Wide {
    return this.relative(this.e.next);
  }

  override target64(): Wide {
    return this.relative(this.e.next + this.insn.immediate);
  }

  override jumpTo64(lo: Expr, hi: Expr): void {
    this.jump = { to: this.let(lo), toHigh: this.let(hi) };
  }

  // Helpers.

  protected override describe(): void {
    const at = this.relative(this.e.at), next = this.relative(this.e.next);
    this.emit(`R[${S.INSN_IP}]=${at.lo};R[${S.INSN_IP_HI}]=${at.hi};`);
    this.emit(
      `R[${S.NEXT_IP}]=R[${S.RIP}]=${next.lo};R[${S.NEXT_IP_HI}]=R[${S.RIP + 1}]=${next.hi};`,
    );
  }

  protected override noteAddress(linear: Expr): void {
    this.emit(`R[${S.INSN_EA}]=${linear};R[${S.INSN_EA_HI}]=${high(linear)};`);
  }

  protected override noteHigh(i: number, at: Expr | undefined): void {
    if (this.width(i) !== 64) return;
    const hi = at !== undefined ? this.get(32, hostSum(at, 4)) : this.halves(this.number(i)).hi;
    this.emit(`R[${S.ARG_HI + i}]=${hi};`);
  }

  protected override noteOffset(i: number, offset: Expr): void {
    this.emit(`R[${S.ARG_HI + i}]=${high(offset)};`);
  }

  protected override takeResult(i: number): void {
    super.takeResult(i);
    if (this.width(i) === 64) {
      this.emit(`${high(this.name(this.number(i), true))}=R[${S.HIGH}];`);
      this.changed(this.number(i));
    }
  }

  protected override storeResult(width: Width, at: Expr): void {
    if (width === 64) this.set64(at, "result", `R[${S.HIGH}]`);
    else super.storeResult(width, at);
  }
}
