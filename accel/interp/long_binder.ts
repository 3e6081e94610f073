/** Binds semantics to pre-decoded records of 64-bit code: addresses are two halves, and 32-bit results clear the upper one. */
import type { Expr, Wide, Width } from "../x86/binder.ts";
import { LONG_WRITE } from "../x86/long_mmu.ts";
import * as S from "../x86/state.ts";
import { field, InterpBinder, type Page } from "./binder.ts";
import {
  ADDRESS_HI,
  F_DISP,
  F_IMM,
  F_INDEX,
  F_INFO,
  F_LINK,
  F_PLACE,
  F_RM,
  LINK_FROM,
  LONG_BASE,
  PAGE_IP,
  PAGE_IP_HI,
  PLACE_END,
  RING_SIZE,
} from "./record.ts";

const RING_MASK = RING_SIZE - 1;

/** The high half of an address is the name of its low half with this behind it. */
const high = (name: Expr) => `${name}h`;

/** Yields the text of one form of 64-bit code. */
export class LongBinder extends InterpBinder {
  override readonly addressSize: Expr = `((${field(F_INFO)}&32768)!==0?32:64)`;

  private carry64(lo: Expr, addend: Expr): Expr {
    return `((${lo}>>>0)<(${addend}>>>0)?1:0)`;
  }

  // Registers.

  protected override setRegister(i: number, value: Expr): void {
    super.setRegister(i, value);
    if (this.width(i) === 32) this.emit(`R[${this.index(this.operand(i))}+1]=0;`);
  }

  override setGpr(n: number, value: Expr, width: Width = 32): void {
    super.setGpr(n, value, width);
    if (width === 32) this.emit(`R[${n * 2 + 1}]=0;`);
  }

  override read64(i: number): Wide {
    const operand = this.operand(i);
    if (operand.kind === "I") {
      const lo = this.immediate(i);
      const whole = this.variant.form.row.opcode === "B8 +r" && this.variant.operandSize === 64;
      return { lo, hi: whole ? field(F_DISP) : `(${lo}>>31)` };
    }
    if (!this.isMemory(i)) {
      const index = this.index(operand);
      return { lo: this.let(`R[${index}]`), hi: this.let(`R[${index}+1]`) };
    }
    const linear = this.address(i, 8, operand.writes);
    return operand.writes ? this.update64(linear) : this.load64(linear);
  }

  override write64(i: number, lo: Expr, hi: Expr): void {
    const operand = this.operand(i);
    if (!this.isMemory(i)) {
      const index = this.index(operand);
      this.emit(`R[${index}]=${lo};R[${index}+1]=${hi};`);
    } else if (operand.reads) {
      const { page, offset, linear } = this.updates!;
      this.emit(`if(${page}!==0){${this.set64(page, offset, lo, hi)}}`);
      this.emit(`else{store64(p,${linear},${high(linear)},${lo},${hi});${this.reload}}`);
    } else this.store64(this.address(i, 8, true), lo, hi);
  }

  // Addresses.

  /** Emits the effective offset as a pair; gives the name of its low half. */
  private formOffset(i: number): Expr {
    const a = this.fresh(), disp = field(F_DISP);
    const emit = (lo: Expr, hi: Expr) => this.emit(`const ${a}=${lo},${high(a)}=${hi};`);
    const add = (lo: Expr, hi: Expr) =>
      emit(`(${lo}+${disp})|0`, `(${hi}+(${disp}>>31)+${this.carry64(a, disp)})|0`);
    switch (this.interp.address) {
      case "base":
        add(`R[${field(F_RM)}]`, `R[${field(F_RM)}+1]`);
        break;
      case "index": {
        const s = this.let(`${field(F_INFO)}&3`), x = this.let(field(F_INDEX));
        const il = this.let(`R[${x}]<<${s}`);
        const ih = this.let(`${s}===0?R[${x}+1]:R[${x}+1]<<${s}|R[${x}]>>>(32-${s})`);
        const bl = this.let(`(R[${field(F_RM)}]+${il})|0`);
        const bh = this.let(`(R[${field(F_RM)}+1]+${ih}+${this.carry64(bl, il)})|0`);
        add(bl, bh);
        break;
      }
      case "absolute":
        if (this.operand(i).kind === "O") emit(disp, field(F_IMM));
        else emit(disp, `${disp}>>31`);
        break;
      case "rip": {
        const { lo, hi } = this.next64;
        add(lo, hi);
        break;
      }
      default:
        emit("offset64(p)", `R[${ADDRESS_HI}]`);
    }
    return a;
  }

  override address(i: number, _bytes: number, _write: boolean): Expr {
    if (this.interp.address !== "checked") return this.formOffset(i);
    const a = this.fresh();
    // A direct offset has 64 bits of its own: its upper half is not the sign of the lower one.
    const direct = this.operand(i).kind === "O"
      ? `+((${field(F_INFO)}&32768)!==0?0:${field(F_IMM)}-(${field(F_DISP)}>>31))|0`
      : "";
    this.emit(`const ${a}=linear64(p),${high(a)}=R[${ADDRESS_HI}]${direct};`);
    return a;
  }

  override offset64(i: number): Wide {
    const a = this.formOffset(i);
    return { lo: a, hi: high(a) };
  }

  override offset(i: number): Expr {
    return this.formOffset(i);
  }

  // Memory.

  private entry(linear: Expr, table: number, width: Width): { e: Expr; o: Expr; hit: Expr } {
    const e = this.fresh(), o = this.fresh();
    const base = table === 0 ? "" : `${table}+`;
    this.emit(`const ${e}=${base}R[${LONG_BASE}]+((${linear}>>>10)&65532),${o}=${linear}&4095;`);
    const fits = width === 8 ? "" : `&&${o}<${4097 - width / 8}`;
    return { e, o, hit: `LT[${e}]===(${linear}&-4096)&&LT[${e}+1]===${high(linear)}${fits}` };
  }

  protected override page(linear: Expr, bytes: number, write: boolean): Page {
    const { e, o, hit } = this.entry(linear, write ? LONG_WRITE : 0, bytes * 8 as Width);
    const entry = this.let(`LT[${e}+2]`);
    return { entry, offset: o, hit };
  }

  private get64(entry: Expr, offset: Expr, lo: Expr, hi: Expr): string {
    const upper = this.get(32, entry, `${offset}+4`);
    return `${lo}=${this.get(32, entry, offset)};${hi}=${upper};`;
  }

  private set64(entry: Expr, offset: Expr, lo: Expr, hi: Expr): string {
    const upper = this.set(32, entry, `${offset}+4`, hi);
    return `${this.set(32, entry, offset, lo)};${upper};`;
  }

  override load(width: Width, linear: Expr): Expr {
    if (width === 64) {
      const { lo, hi } = this.load64(linear);
      this.emit(`R[${S.HIGH}]=${hi};`);
      return lo;
    }
    const v = this.fresh(), { e, o, hit } = this.entry(linear, 0, width);
    this.emit(`let ${v};if(${hit}){const t=LT[${e}+2];${v}=${this.get(width, "t", o)};}`);
    this.emit(`else{${v}=load${width}(p,${linear},${high(linear)})|0;${this.reload}}`);
    return v;
  }

  private load64(linear: Expr): Wide {
    const lo = this.fresh(), hi = this.fresh(), { e, o, hit } = this.entry(linear, 0, 64);
    this.emit(`let ${lo},${hi};if(${hit}){const t=LT[${e}+2];${this.get64("t", o, lo, hi)}}`);
    this.emit(
      `else{${lo}=load64(p,${linear},${high(linear)})|0;${hi}=R[${S.HIGH}];${this.reload}}`,
    );
    return { lo, hi };
  }

  override store(width: Width, linear: Expr, value: Expr): void {
    const { e, o, hit } = this.entry(linear, LONG_WRITE, width);
    this.emit(`if(${hit}){const t=LT[${e}+2];${this.set(width, "t", o, value)};}`);
    this.emit(`else{store${width}(p,${linear},${high(linear)},${value});${this.reload}}`);
  }

  private store64(linear: Expr, lo: Expr, hi: Expr): void {
    const { e, o, hit } = this.entry(linear, LONG_WRITE, 64);
    this.emit(`if(${hit}){const t=LT[${e}+2];${this.set64("t", o, lo, hi)}}`);
    this.emit(`else{store64(p,${linear},${high(linear)},${lo},${hi});${this.reload}}`);
  }

  protected override loadForUpdate(width: Width, linear: Expr): Expr {
    const v = this.fresh(), t = this.fresh(), { e, o, hit } = this.entry(linear, LONG_WRITE, width);
    this.emit(`let ${t}=0,${v};if(${hit}){${t}=LT[${e}+2];${v}=${this.get(width, t, o)};}`);
    this.emit(`else{${v}=update${width}(p,${linear},${high(linear)})|0;${this.reload}}`);
    this.updates = { page: t, offset: o, linear };
    return v;
  }

  private update64(linear: Expr): Wide {
    const lo = this.fresh(), hi = this.fresh(), t = this.fresh();
    const { e, o, hit } = this.entry(linear, LONG_WRITE, 64);
    this.emit(`let ${t}=0,${lo},${hi};`);
    this.emit(`if(${hit}){${t}=LT[${e}+2];${this.get64(t, o, lo, hi)}}`);
    this.emit(
      `else{${lo}=update64(p,${linear},${high(linear)})|0;${hi}=R[${S.HIGH}];${this.reload}}`,
    );
    this.updates = { page: t, offset: o, linear };
    return { lo, hi };
  }

  protected override storeUpdate(width: Width, value: Expr): void {
    const { page, offset, linear } = this.updates!;
    this.emit(`if(${page}!==0)${this.set(width, page, offset, value)};`);
    this.emit(`else{store${width}(p,${linear},${high(linear)},${value});${this.reload}}`);
  }

  // The stack: 64-bit pointers, operands of 64 or 16 bits.

  private stackPointer(by: number): Expr {
    const sp = this.fresh(), { lo, hi } = this.gpr64(4);
    const borrow = by < 0 ? `-((${lo}>>>0)<${-by}?1:0)` : "";
    this.emit(`const ${sp}=(${lo}+${by})|0,${high(sp)}=(${hi}${borrow})|0;`);
    return sp;
  }

  private moveStack(sp: Expr): void {
    const { lo, hi } = this.gpr64(4);
    this.emit(`${lo}=${sp};${hi}=${high(sp)};`);
  }

  override push(value: Expr): void {
    const sp = this.stackPointer(-2);
    this.store(16, sp, value);
    this.moveStack(sp);
  }

  override push64(lo: Expr, hi: Expr): void {
    const sp = this.stackPointer(-8);
    this.store64(sp, lo, hi);
    this.moveStack(sp);
  }

  override pop(): Expr {
    return this.load(16, this.stackPointer(0));
  }

  override pop64(at?: Wide): Wide {
    if (at === undefined) return this.load64(this.stackPointer(0));
    const a = this.fresh();
    this.emit(`const ${a}=${at.lo},${high(a)}=${at.hi};`);
    return this.load64(a);
  }

  override popCommit(extra: Expr = "0"): void {
    const bytes = this.variant.operandSize === 16 ? 2 : 8, { lo, hi } = this.gpr64(4);
    const by = extra === "0" ? `${bytes}` : `(${bytes}+${extra})`;
    this.emit(`{const by=${by},sum=(${lo}+by)|0;${hi}=(${hi}+((sum>>>0)<by?1:0))|0;${lo}=sum;}`);
  }

  // Where to go on.

  override get next64(): Wide {
    const lo = `((R[${PAGE_IP}]+(${field(F_PLACE)}>>>16))|0)`;
    return { lo, hi: `(R[${PAGE_IP_HI}]+${this.carry64(lo, `R[${PAGE_IP}]`)})` };
  }

  override target64(): Wide {
    const next = this.next64, rel = field(F_IMM);
    const lo = this.let(`(${next.lo}+${rel})|0`);
    const hi = this.let(`(${next.hi}+(${rel}>>31)+${this.carry64(lo, rel)})|0`);
    return { lo, hi };
  }

  override jumpRelative(condition?: Expr, commit?: () => void): void {
    this.jumps = true;
    const taken = condition === undefined ? undefined : this.let(condition);
    if (this.inline && commit === undefined) {
      if (taken !== undefined) this.emit(`if(${taken}){`);
      this.emit(
        `const t=${
          field(F_LINK)
        };if(t!==0){B[(k=k+1|0)&${RING_MASK}]=p;B[(k=k+1|0)&${RING_MASK}]=t;`,
      );
      this.emit(`pEnd=pEnd+t-8-p|0;p=t;R[${PLACE_END}]=pEnd;continue L;}`);
      const { lo, hi } = this.target64();
      this.emit(`R[${S.RIP}]=${lo};R[${S.RIP + 1}]=${hi};R[${LINK_FROM}]=p;`);
      this.emit(this.toLookup());
      if (taken !== undefined) this.emit("}");
      return;
    }
    const { lo, hi } = this.target64(), next = this.next64;
    commit?.();
    if (taken === undefined) this.emit(`R[${S.RIP}]=${lo};R[${S.RIP + 1}]=${hi};`);
    else {
      this.emit(`if(${taken}){R[${S.RIP}]=${lo};R[${S.RIP + 1}]=${hi};}`);
      this.emit(`else{R[${S.RIP}]=${next.lo};R[${S.RIP + 1}]=${next.hi};}`);
    }
    if (this.inline) this.emit(this.toLookup());
  }

  override jumpTo64(lo: Expr, hi: Expr): void {
    this.jumps = true;
    this.emit(`R[${S.RIP}]=${lo};R[${S.RIP + 1}]=${hi};`);
    if (this.inline) this.emit(this.toLookup());
  }

  // Helpers.

  protected override describe(): void {
    const next = this.next64;
    this.emit(`{const at=(R[${PAGE_IP}]+(${field(F_PLACE)}&65535))|0;R[${S.INSN_IP}]=at;`);
    this.emit(`R[${S.INSN_IP_HI}]=R[${PAGE_IP_HI}]+${this.carry64("at", `R[${PAGE_IP}]`)};}`);
    this.emit(
      `R[${S.NEXT_IP}]=R[${S.RIP}]=${next.lo};R[${S.NEXT_IP_HI}]=R[${S.RIP + 1}]=${next.hi};`,
    );
  }

  protected override noteAddress(linear: Expr): Expr {
    this.emit(`R[${S.INSN_EA}]=${linear};R[${S.INSN_EA_HI}]=${high(linear)};`);
    return this.let(`canonical(p,${linear},${high(linear)})`);
  }

  protected override argument(i: number, value: Expr, width: Width): Expr {
    if (width === 64) {
      const hi = this.isMemory(i) ? `R[${S.HIGH}]` : `R[${this.index(this.operand(i))}+1]`;
      this.emit(`R[${S.ARG_HI + i}]=${hi};`);
    }
    return value;
  }

  protected override offsetArgument(i: number): Expr {
    const a = this.formOffset(i);
    this.emit(`R[${S.ARG_HI + i}]=${high(a)};`);
    return a;
  }

  protected override takeResult(i: number): void {
    this.setRegister(i, "result");
    if (this.width(i) === 64) this.emit(`R[${this.index(this.operand(i))}+1]=R[${S.HIGH}];`);
  }
}
