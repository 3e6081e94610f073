/** Binds semantics to one place in a region of 64-bit code: registers and addresses are two halves. */
import type { Expr, Wide, Width } from "../x86/binder.ts";
import { LONG_WRITE } from "../x86/long_mmu.ts";
import * as S from "../x86/state.ts";
import { JitBinder } from "./binder.ts";
import { LEFT_MEMORY } from "./emitter.ts";

/** The high half of an address is the name of its low half with this behind it. */
const high = (name: Expr) => `${name}h`;

/** 1 where adding `addend` gave a sum that wrapped around. */
const carried = (sum: Expr, addend: Expr) => `((${sum}>>>0)<(${addend}>>>0)?1:0)`;

/** Yields the text of one instruction of 64-bit code. */
export class LongJitBinder extends JitBinder {
  // Registers.

  override setGpr(n: number, value: Expr, width: Width = 32): void {
    super.setGpr(n, value, width);
    if (width === 32) this.emit(`r${n}h=0;`);
  }

  override gpr64(n: number): Wide {
    const name = this.name(n, true);
    return { lo: name, hi: high(name) };
  }

  private halves(n: number): Wide {
    const name = this.name(n);
    return { lo: name, hi: high(name) };
  }

  override read64(i: number): Wide {
    const operand = this.operand(i);
    if (operand.kind === "I") {
      const lo = this.immediate(i), { insn } = this;
      const whole = insn.form.row.opcode === "B8 +r" && insn.operandSize === 64;
      return { lo, hi: whole ? `(${insn.immediate2})` : `(${insn.immediate >> 31})` };
    }
    if (!this.isMemory(i)) {
      const { lo, hi } = this.halves(this.number(i));
      return { lo: this.let(lo), hi: this.let(hi) };
    }
    const linear = this.address(i, 8, operand.writes);
    const at = this.let(this.place(8, linear, operand.writes));
    this.slot = at;
    return this.get64(at);
  }

  override write64(i: number, lo: Expr, hi: Expr): void {
    if (!this.isMemory(i)) {
      const { lo: low, hi: top } = this.gpr64(this.number(i));
      // The new low half may be made of the old high one, and the other way round.
      const a = this.let(`(${lo})|0`), b = this.let(`(${hi})|0`);
      this.emit(`${low}=${a};${top}=${b};`);
      return;
    }
    if (!this.operand(i).reads) {
      this.slot = this.let(this.place(8, this.address(i, 8, true), true));
    }
    this.set64(this.slot, lo, hi);
  }

  private get64(at: Expr): Wide {
    return { lo: this.let(this.get(32, at)), hi: this.let(this.get(32, `(${at})+4`)) };
  }

  private set64(at: Expr, lo: Expr, hi: Expr): void {
    this.set(32, at, lo);
    this.set(32, `(${at})+4`, hi);
  }

  // Addresses.

  /** Emits the sum of an address and a constant of any size, as a name for both halves. */
  private plus(lo: Expr, hi: Expr, constant: number): Expr {
    const a = this.fresh(), low = constant | 0, top = Math.floor(constant / 0x100000000);
    if (constant === 0) this.emit(`const ${a}=${lo},${high(a)}=${hi};`);
    else {
      const carry = low === 0 ? "" : `+${carried(a, `(${low})`)}`;
      this.emit(
        `const ${a}=(${lo}+(${low}))|0,${high(a)}=(${hi}+(${top})${carry})|0;`,
      );
    }
    return a;
  }

  /** Emits the effective offset as a pair; gives the name of its low half. */
  private formOffset(i: number): Expr {
    const { insn } = this, { base, index, scale, displacement } = insn;
    if (this.operand(i).kind === "O") {
      const a = this.fresh();
      const top = insn.addressSize === 64 ? insn.immediate : 0;
      this.emit(`const ${a}=${displacement},${high(a)}=${top};`);
      return a;
    }
    let a: Expr;
    if (insn.ripRelative) a = this.plus("pip", "piph", this.e.next + displacement);
    else {
      let lo: Expr = "0", hi: Expr = "0";
      if (base >= 0) ({ lo, hi } = this.halves(base));
      if (index >= 0) {
        const x = this.halves(index);
        const il = this.let(scale === 0 ? x.lo : `${x.lo}<<${scale}`);
        const ih = scale === 0 ? x.hi : `(${x.hi}<<${scale}|${x.lo}>>>${32 - scale})`;
        if (base >= 0) {
          const sum = this.fresh();
          this.emit(
            `const ${sum}=(${lo}+${il})|0,${high(sum)}=(${hi}+${ih}+${carried(sum, il)})|0;`,
          );
          lo = sum;
          hi = high(sum);
        } else {
          lo = il;
          hi = this.let(ih);
        }
      }
      a = this.plus(lo, hi, displacement);
    }
    if (insn.addressSize === 64) return a;
    const cut = this.fresh();
    this.emit(`const ${cut}=${a},${high(cut)}=0;`);
    return cut;
  }

  override address(i: number, _bytes: number, _write: boolean): Expr {
    const a = this.formOffset(i), { segment } = this.insn;
    if (segment !== S.FS && segment !== S.GS) return a;
    const sum = this.fresh(), base = this.let(`R[${S.SEG_BASE + segment}]`);
    this.emit(
      `const ${sum}=(${a}+${base})|0,${high(sum)}=(${high(a)}+R[${S.SEG_BASE_HI + segment}]+${
        carried(sum, base)
      })|0;`,
    );
    return sum;
  }

  override offset(i: number): Expr {
    return this.formOffset(i);
  }

  override offset64(i: number): Wide {
    const a = this.formOffset(i);
    return { lo: a, hi: high(a) };
  }

  // Memory.

  protected override place(bytes: number, linear: Expr, write: boolean): Expr {
    const e = this.fresh(), o = this.fresh(), t = this.fresh();
    const table = write ? `${LONG_WRITE}+` : "";
    this.emit(`const ${e}=${table}lb+((${linear}>>>10)&65532),${o}=${linear}&4095;`);
    const crossing = bytes === 1 ? "" : `||${o}>${4096 - bytes}`;
    this.emit(
      `if(LT[${e}]!==(${linear}&-4096)||LT[${e}+1]!==${high(linear)}${crossing})${
        this.e.bail(LEFT_MEMORY)
      }`,
    );
    this.emit(`const ${t}=LT[${e}+2];if(${t}<=0)${this.e.bail(LEFT_MEMORY)}`);
    return `${t}|${o}`;
  }

  // The stack: 64-bit pointers, operands of 64 or 16 bits.

  private stackPointer(by: number): Expr {
    const { lo, hi } = this.halves(4);
    return this.plus(lo, hi, by);
  }

  private moveStack(sp: Expr): void {
    const { lo, hi } = this.gpr64(4);
    this.emit(`${lo}=${sp};${hi}=${high(sp)};`);
  }

  override push(value: Expr): void {
    const kept = this.let(value), sp = this.stackPointer(-2);
    this.store(16, sp, kept);
    this.moveStack(sp);
  }

  override push64(lo: Expr, hi: Expr): void {
    const a = this.let(lo), b = this.let(hi), sp = this.stackPointer(-8);
    this.set64(this.let(this.place(8, sp, true)), a, b);
    this.moveStack(sp);
  }

  override pop(): Expr {
    return this.load(16, this.stackPointer(0));
  }

  override pop64(from?: Wide): Wide {
    const a = from === undefined ? this.stackPointer(0) : this.plus(from.lo, from.hi, 0);
    return this.get64(this.let(this.place(8, a, false)));
  }

  override popCommit(extra: Expr = "0"): void {
    const bytes = this.variant.operandSize === 16 ? 2 : 8;
    const { lo, hi } = this.gpr64(4);
    const sum = this.fresh(), by = extra === "0" ? `${bytes}` : `(${bytes}+${extra})`;
    this.emit(`const ${sum}=(${lo}+${by})|0;${hi}=(${hi}+${carried(sum, by)})|0;${lo}=${sum};`);
  }

  override indexAddress(n: number): Expr {
    const { lo, hi } = this.halves(n);
    return this.plus(lo, hi, 0);
  }

  override indexNumber(n: number): Expr {
    const { lo, hi } = this.halves(n);
    return `(${hi}*4294967296+(${lo}>>>0))`;
  }

  override advanceIndex(n: number, by: Expr): void {
    const { lo, hi } = this.gpr64(n);
    const sum = this.let(`(${lo}+${by})|0`);
    this.emit(`${hi}=(${hi}+(${by}>>31)+${carried(sum, by)})|0;${lo}=${sum};`);
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
    const hi = at !== undefined ? this.get(32, `(${at})+4`) : this.halves(this.number(i)).hi;
    this.emit(`R[${S.ARG_HI + i}]=${hi};`);
  }

  protected override noteOffset(i: number, offset: Expr): void {
    this.emit(`R[${S.ARG_HI + i}]=${high(offset)};`);
  }

  protected override takeResult(i: number): void {
    super.takeResult(i);
    if (this.width(i) === 64) {
      this.emit(`${high(this.name(this.number(i), true))}=R[${S.HIGH}];`);
    }
  }

  protected override storeResult(width: Width, at: Expr): void {
    if (width === 64) this.set64(at, "result", `R[${S.HIGH}]`);
    else super.storeResult(width, at);
  }
}
