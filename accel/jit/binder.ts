/** Binds semantics to one place in a region: operands become constants and local variables. */
import { conditionOf, type Expr, type Variant, type Wide, type Width } from "../x86/binder.ts";
import type { Insn } from "../x86/decoder.ts";
import type { Operand } from "../x86/operands.ts";
import * as S from "../x86/state.ts";
import { HelperBinder } from "./helper_binder.ts";
import type { Sum } from "./value_state.ts";
import {
  ADD,
  type Emitter,
  IMUL,
  LEFT_FAULT,
  LEFT_MEMORY,
  LOGIC,
  type Pending,
  pendingCarries,
  pendingCarry,
  resultText,
  SAR,
  SHIFTED,
  SHL,
  SHR,
  SUB,
  WHOLE,
} from "./emitter.ts";

/** How an instruction goes on, where it does not simply go on to the next. */
export interface Jump {
  /** Taken if this holds; always, when undefined. */
  condition?: Expr;
  /** Emits what is committed before the jump. */
  commit?: () => void;
  /** Target as an offset in CS, when it is not the displacement's. */
  to?: Expr;
  toHigh?: Expr;
}

/** Texts whose value is an int32. */
const INT =
  /^(DV\.get(?:Int|Uint)\d+\([^()]*(\([^()]*\))?[^()]*\)|Math\.imul\(.*\)|\(Math\.imul\(.*\)\|0|\(\w+[+-][^()|]*(\([^()]*\))?\)\|0|\w+(<<|>>|&|\||\^)\(?-?\w+\)?|r\d+h?)$/;

/** Semantics whose flags are those of the plain difference of their operands. */
const PLAIN = new Set([
  ...["sub", "cmp", "neg", "cmpxchg"],
  ...["cmpsb", "cmpsv", "scasb", "scasv"],
]);

/** Yields the text of one instruction of 32-bit code in flat segments. */
export class JitBinder extends HelperBinder {
  jump: Jump | undefined;
  readonly eflags = `R[${S.EFLAGS}]`;
  readonly addressSize: Expr;
  /** Set while flags are assigned under a condition and can therefore not be left pending. */
  private conditional = false;
  /** The slot that {@linkcode JitBinder.loadForUpdate} found. */
  protected slot: Expr = "";
  /** How deep in braces of this instruction's text the next line is: what is there may not be executed. */
  private depth = 0;
  /** Addresses that were not computed yet, by the name that they will have. */
  private readonly lazy = new Map<Expr, () => void>();

  constructor(readonly e: Emitter, readonly insn: Insn) {
    const variant: Variant = {
      form: insn.form,
      operandSize: insn.operandSize,
      memory: insn.memory,
      long: insn.long,
    };
    super(variant);
    this.addressSize = `${insn.addressSize}`;
  }

  override emit(line: string): void {
    this.e.emit(line);
    for (const c of line) {
      if (c === "{") this.depth++;
      else if (c === "}") this.depth--;
    }
  }

  override variable(name: string, value: Expr): void {
    this.e.assign(name, value);
    this.e.values.define(name, undefined, false);
  }

  override fresh(): string {
    return this.e.fresh();
  }

  override let(value: Expr): Expr {
    if (/^(v\d+h?|-?\d+)$/.test(value)) return value;
    const masked = /^(-?\d+)&(\d+)$/.exec(value);
    if (masked !== null) return `${Number(masked[1]) & Number(masked[2])}`;
    const name = this.fresh(), sum = this.sumIn(value);
    this.e.assign(name, value);
    this.e.values.define(name, sum, INT.test(value));
    return name;
  }

  /** What the text of a sum with a constant is. */
  protected sumIn(value: Expr): Sum | undefined {
    const found = /^\((v\d+)([+-])\(?(-?\d+)\)?\)\|0$/.exec(value);
    if (found === null) return undefined;
    const { root, add } = this.e.values.sumNamed(found[1]);
    return { root, add: found[2] === "+" ? add + Number(found[3]) : add - Number(found[3]) };
  }

  // Flags.

  get FR(): Expr {
    this.e.flush();
    return "fr";
  }

  get FC(): Expr {
    this.e.flush();
    return "fc";
  }

  /** Flags of COMISD and its kin for operands that are no NaN. */
  flagsCompare(x: Expr, y: Expr): void {
    const equal = this.let(`${x}===${y}`), less = this.let(`${x}<${y}`);
    // As setArithFlags has ZF, CF, or none of them, without PF.
    const fr = this.let(`${equal}?0:1`), fc = this.let(`${equal}?256:${less}?-1073741824:0`);
    this.leave({ width: 32, fr, fc, compared: { equal, less } });
  }

  private leave(flags: Partial<Pending> & Pick<Pending, "width" | "fr">): void {
    const { e } = this;
    e.pending = { ...NOTHING, ...flags };
    if (this.conditional) e.park();
  }

  override unlessZero(count: Expr, body: () => void): void {
    if (/^\d+$/.test(count)) {
      if (count !== "0") body();
      return;
    }
    this.e.park();
    this.emit(`if(${count}!==0){`);
    this.conditional = true;
    body();
    this.e.park();
    this.conditional = false;
    this.emit("}");
    this.e.unsure();
  }

  override flagsWhole(fr: Expr, fc: Expr): void {
    this.leave({ width: 32, fr: this.let(fr), fc: this.let(fc) });
  }

  private flagsSum(kind: typeof ADD | typeof SUB, d: Expr, s: Expr, r: Expr, width: Width): void {
    const fr = width === 32 ? r : this.let(this.signed(r, width));
    const plain = PLAIN.has(this.variant.form.row.semantic);
    this.leave({ kind, width, fr, d: this.let(d), s: this.let(s), plain });
  }

  override flagsAdd(d: Expr, s: Expr, r: Expr, width: Width): void {
    this.flagsSum(ADD, d, s, r, width);
  }

  override flagsSub(d: Expr, s: Expr, r: Expr, width: Width): void {
    this.flagsSum(SUB, d, s, r, width);
  }

  override flagsLogic(r: Expr, width: Width): void {
    this.leave({ kind: LOGIC, width, fr: this.let(this.signed(r, width)) });
  }

  override flagsShift(r: Expr, width: Width, cf: Expr, cfXorOf: Expr): void {
    this.leave({
      width,
      fr: this.let(this.signed(r, width)),
      fc: this.let(`(${cf})<<31|(${cfXorOf})<<30`),
    });
  }

  override flagsShiftLeft(d: Expr, n: Expr, r: Expr): void {
    if (!/^\d+$/.test(n)) super.flagsShiftLeft(d, n, r);
    else this.leave({ kind: SHL, width: 32, fr: this.let(r), d: this.let(d), count: Number(n) });
  }

  override flagsShiftRight(d: Expr, n: Expr, r: Expr, width: Width): void {
    if (!/^\d+$/.test(n) || width !== 32) super.flagsShiftRight(d, n, r, width);
    else {
      const fr = this.let(`${r}|0`);
      this.leave({ kind: SHR, width, fr, d: this.let(d), count: Number(n) });
    }
  }

  override flagsShiftArithmetic(d: Expr, n: Expr, r: Expr, width: Width): void {
    if (!/^\d+$/.test(n) || width !== 32) super.flagsShiftArithmetic(d, n, r, width);
    else this.leave({ kind: SAR, width, fr: this.let(r), d: this.let(d), count: Number(n) });
  }

  override flagsProduct(x: Expr, y: Expr, r: Expr, width: Width): void {
    if (width !== 32) super.flagsProduct(x, y, r, width);
    else this.leave({ kind: IMUL, width, fr: this.let(r), d: this.let(x), s: this.let(y) });
  }

  override flagsIncrement(d: Expr, r: Expr, width: Width, by: 1 | -1): void {
    const p = this.e.pending;
    const old = p === undefined ? this.FC : pendingCarries(p);
    const cf = old === "0" ? "0" : this.let(`(${old})&-2147483648`);
    const wide = (e: Expr) => width === 32 ? e : `(${e}<<${32 - width})`;
    const overflow = by === 1 ? `(~${wide(d)}&${wide(r)})` : `(${wide(d)}&~${wide(r)})`;
    this.flagsWhole(
      this.signed(r, width),
      `${cf}|(((${cf}^${overflow})>>>1)&1073741824)|(((${d}^${r})>>>1)&8)`,
    );
  }

  override flags64(
    r: Wide,
    vectors?: { lo: Expr; hi: Expr },
    operands?: { d: Wide; s: Wide; subtracts: boolean },
  ): void {
    const fr = this.let(r.lo), top = this.let(r.hi);
    if (vectors === undefined) {
      this.leave({ kind: LOGIC, width: 64, fr, high: { d: "0", s: "0", r: top } });
      return;
    }
    if (operands !== undefined) {
      const d = { lo: this.let(operands.d.lo), hi: this.let(operands.d.hi) };
      const s = { lo: this.let(operands.s.lo), hi: this.let(operands.s.hi) };
      const kind = operands.subtracts ? SUB : ADD;
      const plain = PLAIN.has(this.variant.form.row.semantic);
      const high = { d: d.hi, s: s.hi, r: top };
      this.leave({ kind, width: 64, fr, d: d.lo, s: s.lo, high, plain });
      return;
    }
    const { fr: word, fc } = this.words64(r, vectors);
    this.leave({ width: 32, fr: word, fc: this.let(fc) });
  }

  private words64(r: Wide, vectors: { lo: Expr; hi: Expr }): { fr: Expr; fc: Expr } {
    const fr = this.let(`${r.hi}|(${r.lo}>>>1)|(${r.lo}&1)`);
    const parity = `((${fr}^${r.lo})&255)<<8`;
    return { fr, fc: `((${vectors.hi})&-1073741824)|((${vectors.lo})&8)|(${parity})` };
  }

  override flagsShift64(r: Wide, cf: Expr, cfXorOf: Expr): void {
    const fr = this.let(r.lo), top = this.let(r.hi);
    const d = this.let(`(${cf})<<31|(${cfXorOf})<<30`);
    this.leave({ kind: SHIFTED, width: 64, fr, d, high: { d: "0", s: "0", r: top } });
  }

  override flagsProduct64(x: Wide, y: Wide, r: Wide): void {
    const [d, s, product] = [x, y, r].map(({ lo, hi }) => ({ lo: this.let(lo), hi: this.let(hi) }));
    const high = { d: d.hi, s: s.hi, r: product.hi };
    this.leave({ kind: IMUL, width: 64, fr: product.lo, d: d.lo, s: s.lo, high });
  }

  override get carry(): Expr {
    const p = this.e.pending;
    if (p === undefined) return `(${this.FC}>>>31)`;
    if (p.kind === WHOLE) return `(${p.fc}>>>31)`;
    if (p.plain && p.high === undefined) return `(${this.below(p, "<")}?1:0)`;
    return pendingCarry(p);
  }

  /** Compares the operands of a difference as unsigned numbers. */
  private below(p: Pending, than: "<" | "<="): Expr {
    if (p.high === undefined) return unsigned(p.d, than, p.s, p.width);
    const { d, s } = p.high;
    return `(${d}===${s}?${unsigned(p.d, than, p.s, 32)}:${unsigned(d, "<", s, 32)})`;
  }

  /** Compares them as signed numbers. */
  private less(p: Pending, than: "<" | "<="): Expr {
    if (p.high !== undefined) {
      const { d, s } = p.high;
      return `(${d}===${s}?${unsigned(p.d, than, p.s, 32)}:${d}<${s})`;
    }
    const width = p.width as Width;
    return `(${this.signed(p.d, width)}${than}${this.signed(p.s, width)})`;
  }

  override condition(cc: string): Expr {
    const p = this.e.pending;
    if (p === undefined) {
      const settled = /^n?z$/.test(cc) && !this.variant.long;
      return settled ? conditionOf(cc, "fr", "") : super.condition(cc);
    }
    if (cc[0] === "n") return `(!${this.condition(cc.slice(1))})`;
    if (p.compared !== undefined) {
      const { equal, less } = p.compared;
      switch (cc) {
        case "z":
          return `(${equal})`;
        case "b":
          return `(${less})`;
        case "be":
          return `(${equal}||${less})`;
        case "p":
          return "(false)";
      }
    }
    const zero = p.high === undefined ? `(${p.fr}===0)` : `((${p.fr}|${p.high.r})===0)`;
    const negative = `(${p.high?.r ?? p.fr}<0)`;
    if (cc === "z") return zero;
    if (p.kind === SUB && p.plain) {
      switch (cc) {
        case "b":
          return this.below(p, "<");
        case "be":
          return this.below(p, "<=");
        case "l":
          return this.less(p, "<");
        case "le":
          return this.less(p, "<=");
      }
    }
    if (p.kind === LOGIC) {
      switch (cc) {
        case "o":
        case "b":
          return "(false)";
        case "be":
          return zero;
        case "l":
          return negative;
        case "le":
          return `(${zero}||${negative})`;
      }
    }
    if (p.kind !== WHOLE) {
      if (cc === "s") return negative;
      if (cc === "p") return `(PARITY[${p.fr}&255]!==0)`;
    }
    const fc = this.let(pendingCarries(p));
    return conditionOf(cc, this.let(resultText(p)), fc);
  }

  // Registers.

  protected name(n: number, write = false): string {
    this.e.used.add(n);
    if (write) this.e.written.add(n);
    return `r${n}`;
  }

  /** Number of the general register that operand `i` names, in its width's numbering. */
  protected number(i: number): number {
    const { insn } = this, operand = this.operand(i);
    if (operand.kind === "Z") return operand.fixed >= 0 ? operand.fixed : insn.opcodeReg;
    return operand.kind === "G" ? insn.reg : operand.kind === "B" ? insn.vvvv : insn.rm;
  }

  /** Whether byte register numbers 4 to 7 are AH to BH. */
  private get highBytes(): boolean {
    return !this.insn.rex;
  }

  protected register(i: number): Expr {
    const n = this.number(i), width = this.width(i);
    return width === 32 ? this.named(n) : this.gpr(n, width);
  }

  /** A register's low half as a name that holds it whatever happens to the register. */
  protected named(n: number): Expr {
    const { values } = this.e, held = values.register(n);
    if (held !== undefined) return held.name;
    if (this.conditionally) return this.let(this.name(n));
    const name = this.fresh();
    this.e.assign(name, this.name(n));
    this.e.values.define(name, undefined, true);
    this.e.values.name(n, name);
    return name;
  }

  /** Whether what is emitted now may not be executed. */
  protected get conditionally(): boolean {
    return this.depth > 0;
  }

  /** Notes that a register was assigned a name, or changed otherwise. */
  protected changed(n: number, name?: Expr): void {
    const { values } = this.e;
    if (name === undefined || this.conditionally) values.forget(n);
    else values.assign(n, name);
  }

  /** A register's low half, as it is now. */
  protected low(n: number): Expr {
    return this.e.values.register(n)?.name ?? this.name(n);
  }

  protected setRegister(i: number, value: Expr): void {
    this.setGpr(this.number(i), value, this.width(i));
  }

  gpr(n: number, width: Width = 32): Expr {
    if (width === 16) return `(${this.low(n)}&65535)`;
    if (width !== 8) return this.low(n);
    if (n >= 4 && n < 8 && this.highBytes) return `((${this.low(n - 4)}>>>8)&255)`;
    return `(${this.low(n)}&255)`;
  }

  setGpr(n: number, value: Expr, width: Width = 32): void {
    if (width === 16) {
      this.emit(`${this.name(n, true)}=${this.low(n)}&-65536|(${value})&65535;`);
      this.changed(n);
    } else if (width === 8) {
      const high = n >= 4 && n < 8 && this.highBytes, of = high ? n - 4 : n;
      const r = this.name(of, true), old = this.low(of);
      this.emit(
        high ? `${r}=${old}&-65281|((${value})&255)<<8;` : `${r}=${old}&-256|(${value})&255;`,
      );
      this.changed(of);
    } else this.setLow(n, value);
  }

  /** Assigns a register's low half. */
  protected setLow(n: number, value: Expr): void {
    const literal = /^(\d+|\(-\d+\))$/.test(value);
    const known = literal || this.e.values.isInt(value) ? value : this.let(this.int(value));
    this.emit(`${this.name(n, true)}=${known};`);
    this.changed(n, known);
  }

  /** A value as an int32, whatever the semantic left above. */
  protected int(value: Expr): Expr {
    return /^(-?\d+|.*\)?\|0)$/.test(value) ? value : `(${value})|0`;
  }

  override immediate(i: number): Expr {
    const earlier = this.variant.form.operands.slice(0, i).filter((o) => o.kind === "I").length;
    const value = earlier === 0 ? this.insn.immediate : this.insn.immediate2;
    return value < 0 ? `(${value})` : `${value}`;
  }

  // Memory.

  /** The effective offset. */
  offset(_i: number): Expr {
    const { base, index, scale, displacement, addressSize } = this.insn;
    const terms: Expr[] = [];
    if (base >= 0) terms.push(this.low(base));
    if (index >= 0) terms.push(scale === 0 ? this.low(index) : `(${this.low(index)}<<${scale})`);
    if (displacement !== 0 || terms.length === 0) terms.push(`(${displacement})`);
    const sum = terms.join("+");
    if (addressSize === 16) return `((${sum})&65535)`;
    return terms.length === 1 && base < 0 && index < 0 ? `${displacement}` : `(${sum})|0`;
  }

  /** What the effective offset is. */
  protected offsetSum(): Sum | undefined {
    const { base, index, scale, displacement, addressSize, long } = this.insn, { values } = this.e;
    if (addressSize !== (long ? 64 : 32)) return undefined;
    if (this.insn.ripRelative) return { root: "rip", add: this.e.next + displacement };
    const b = base < 0 ? { root: "", add: 0 } : values.sumOf(base);
    const i = index < 0 ? undefined : values.sumOf(index);
    if (i === undefined) return { root: b.root, add: b.add + displacement };
    return {
      root: `${b.root}+${i.root}<<${scale}`,
      add: (b.add + (i.add << scale) + displacement) | 0,
    };
  }

  /** A name for an address that is computed when it is first needed. */
  protected later(compute: (name: Expr) => void, sum: Sum | undefined): Expr {
    const name = this.fresh();
    this.e.values.define(name, sum, true);
    this.lazy.set(name, () => compute(name));
    return name;
  }

  /** Emits the computation of an address that was put off. */
  protected force(address: Expr): void {
    this.lazy.get(address)?.();
    this.lazy.delete(address);
  }

  address(i: number, bytes: number, write: boolean): Expr {
    const { segment } = this.insn;
    if (segment === S.FS || segment === S.GS) {
      // Present data that expands upwards; the rest, and what lies beyond the limit, is the interpreter's.
      const wanted = write ? [0x8e, 0x82] : [0x8c, 0x80];
      const offset = this.let(this.offset(i)), limit = this.let(`R[${S.SEG_LIMIT + segment}]`);
      // Most limits are 4 GiB. Of others the last offset is compared, if there is one, as an unsigned number.
      const small = `(${limit}&${-(2 ** Math.ceil(Math.log2(bytes)))})===0`;
      const beyond = `(${offset}^-2147483648)>((${limit}-${bytes - 1})^-2147483648)`;
      this.emit(
        `if((R[${S.SEG_ATTR + segment}]&${wanted[0]})!==${wanted[1]}||${limit}!==-1&&(` +
          `${bytes === 1 ? "" : `${small}||`}${beyond}))${this.e.bail(LEFT_FAULT)}`,
      );
      return this.let(`(${offset}+R[${S.SEG_BASE + segment}])|0`);
    }
    const text = this.offset(i);
    return this.later((name) => this.e.assign(name, text), this.offsetSum());
  }

  /**
   * Emits the check that an access stays in one page of directly addressed memory, unless an earlier one
   * covers it; gives its place in host memory.
   *
   * @param told whether the interpreter does just this access, and nothing that may fault before it
   */
  protected place(bytes: number, linear: Expr, write: boolean, told = false): Expr {
    const { e } = this, { values } = e, sum = values.sumNamed(linear);
    const sure = !this.conditionally;
    const covering = values.covering(sum, bytes, write, sure);
    if (covering !== undefined) return hostSum(covering.host, (sum.add - covering.add) | 0);
    this.force(linear);
    const host = this.fresh();
    const bail = told ? e.miss(linear, bytes, write) : e.bail(LEFT_MEMORY);
    e.locals.add(host);
    const line = e.lines.length;
    e.emit("");
    const update = (s: { low: number; high: number; write: boolean }) => {
      const outside = [
        ...(s.high > 1 ? [`o>${4096 - s.high}`] : []),
        ...(s.low < 0 ? [`o<${-s.low}`] : []),
      ];
      e.lines[line] = this.check(host, linear, s.write, outside, bail);
    };
    if (sure) values.checked(sum, bytes, write, host, update);
    else update({ low: 0, high: bytes, write });
    return host;
  }

  /** The text of a check: sets `host`, or leaves if there is no such page or `o`, the offset in it, is outside. */
  protected check(
    host: Expr,
    linear: Expr,
    write: boolean,
    outside: string[],
    bail: string,
  ): string {
    // Entries below zero belong to the second view of host memory: see `tlb.ts`.
    const fails = [`${host}<=0`, ...outside].join("||");
    return `${host}=XT[${
      write ? "tw" : "tr"
    }+(${linear}>>>12)];o=${linear}&4095;if(${fails})${bail}${host}=${host}|o;`;
  }

  protected get(width: Width, at: Expr): Expr {
    return width === 32
      ? `DV.getInt32(${at},true)`
      : width === 16
      ? `DV.getUint16(${at},true)`
      : `DV.getUint8(${at})`;
  }

  protected set(width: Width, at: Expr, value: Expr): void {
    this.emit(
      width === 32
        ? `DV.setInt32(${at},${value},true);`
        : width === 16
        ? `DV.setInt16(${at},${value},true);`
        : `DV.setInt8(${at},${value});`,
    );
  }

  load(width: Width, linear: Expr): Expr {
    return this.let(this.get(width, this.place(width >> 3, linear, false, true)));
  }

  store(width: Width, linear: Expr, value: Expr): void {
    const kept = this.let(value);
    this.set(width, this.place(width >> 3, linear, true, true), kept);
  }

  protected loadForUpdate(width: Width, linear: Expr): Expr {
    this.slot = this.place(width >> 3, linear, true, true);
    return this.let(this.get(width, this.slot));
  }

  protected storeUpdate(width: Width, value: Expr): void {
    this.set(width, this.slot, value);
  }

  // The stack.

  protected get stackWidth(): 16 | 32 {
    return this.variant.operandSize === 16 ? 16 : 32;
  }

  push(value: Expr): void {
    const w = this.stackWidth, kept = this.let(value);
    const sp = this.let(`(${this.named(4)}-${w >> 3})|0`);
    this.store(w, sp, kept);
    this.setGpr(4, sp);
  }

  pop(): Expr {
    return this.load(this.stackWidth, this.named(4));
  }

  popCommit(extra: Expr = "0"): void {
    const by = extra === "0" ? `${this.stackWidth >> 3}` : `(${this.stackWidth >> 3}+${extra})`;
    this.setGpr(4, this.let(`(${this.named(4)}+${by})|0`));
  }

  /** LEAVE, which the interpreter has as a helper because its stack need not be flat. */
  leaveFrame(): void {
    const frame = this.named(5), value = this.load(32, frame);
    this.setGpr(4, this.let(`(${frame}+4)|0`));
    this.setGpr(5, value);
  }

  /** PUSHAD or POPAD on a flat stack. */
  moveAll(pushes: boolean): void {
    const sp = this.named(4), low = pushes ? this.let(`(${sp}-32)|0`) : sp;
    const at = this.place(32, low, pushes);
    // EDI lies lowest.
    for (let n = 0; n < 8; n++) {
      const slot = hostSum(at, 28 - 4 * n);
      if (pushes) this.set(32, slot, this.low(n));
      else if (n !== 4) this.setGpr(n, this.let(this.get(32, slot)));
    }
    this.setGpr(4, pushes ? low : this.let(`(${sp}+32)|0`));
  }

  // Index registers of string instructions, at their whole width.

  /** An address in register `n`, under a name. */
  indexAddress(n: number): Expr {
    return this.named(n);
  }

  /** Register `n` as a number. */
  indexNumber(n: number): Expr {
    return `(${this.name(n)}>>>0)`;
  }

  /** Emits adding an int32 to register `n`. */
  advanceIndex(n: number, by: Expr): void {
    const r = this.name(n, true);
    this.emit(`${r}=(${r}+${by})|0;`);
    this.changed(n);
  }

  clearIndex(n: number): void {
    this.emit(`${this.name(n, true)}=0;`);
    this.changed(n);
  }

  /** Loads and stores of quadwords, which only 64-bit code has. */
  loadWide(linear: Expr): Wide {
    const at = this.place(8, linear, false);
    return { lo: this.let(this.get(32, at)), hi: this.let(this.get(32, hostSum(at, 4))) };
  }

  storeWide(linear: Expr, { lo, hi }: Wide): void {
    const at = this.place(8, linear, true);
    this.set(32, at, lo);
    this.set(32, hostSum(at, 4), hi);
  }

  // Where to go on.

  get next(): Expr {
    return `((pip+${this.e.next})|0)`;
  }

  get target(): Expr {
    return `((pip+${this.e.next + this.insn.immediate})|0)`;
  }

  checkTarget(_offset: Expr): void {}

  jumpRelative(condition?: Expr, commit?: () => void): void {
    this.jump = { condition: condition === undefined ? undefined : condition, commit };
  }

  jumpTo(offset: Expr): void {
    this.jump = { to: offset };
  }

  raiseIf(condition: Expr, _vector: number): void {
    // The interpreter finds the same and raises it.
    this.emit(`if(${condition})${this.e.bail(LEFT_FAULT)}`);
  }

  pure(name: string, ...args: Expr[]): Expr {
    return `PURE.${name}(${args.join(",")})`;
  }

  // Helpers.

  /** Where an operand's words lie in `R`, for XMM and MMX operands. */
  wordsOf(operand: Operand): number {
    const { insn } = this;
    switch (operand.kind) {
      case "V":
        return S.XMM0 + insn.reg * 4;
      case "W":
      case "U":
        return S.XMM0 + insn.rm * 4;
      case "P":
        return S.ST0 + (insn.reg & 7) * 4;
      default:
        return S.ST0 + (insn.rm & 7) * 4;
    }
  }

  /** Emits what helpers are told of the instruction's place. */
  protected describe(): void {
    const { at, next } = this.e;
    this.emit(`R[${S.INSN_IP}]=(pip+${at})|0;R[${S.NEXT_IP}]=R[${S.RIP}]=(pip+${next})|0;`);
  }

  protected noteAddress(linear: Expr): void {
    this.emit(`R[${S.INSN_EA}]=${linear};`);
  }

  /** Tells a helper the high half of operand `i`, which lies at a place in host memory or in a register. */
  protected noteHigh(_i: number, _at: Expr | undefined): void {}

  /** Tells a helper the high half of an offset. */
  protected noteOffset(_i: number, _offset: Expr): void {}

  /** Emits storing what a helper returned for a memory operand. */
  protected storeResult(width: Width, at: Expr): void {
    this.set(width, at, "result");
  }

  protected takeResult(i: number): void {
    this.setRegister(i, "result");
  }

  /**
   * Emits the address of memory operand `i` and the checks that it lies in one page of directly addressed
   * memory; gives the name of its place there. What is not so is the interpreter's.
   *
   * @param kind `aligned` if it must be aligned to 16 bytes, `noted` if a helper is told its address
   */
  memoryPlace(
    i: number,
    bytes: number,
    write: boolean,
    kind: { aligned: boolean; noted?: boolean },
  ): Expr {
    const linear = this.address(i, bytes, write);
    if (kind.aligned || kind.noted === true) this.force(linear);
    if (kind.aligned) this.emit(`if((${linear}&15)!==0)${this.e.bail(LEFT_FAULT)}`);
    const at = this.let(this.place(bytes, linear, write));
    if (kind.noted === true) this.noteAddress(linear);
    return at;
  }

  /** The same for operands that need no alignment, with the name of the linear address. */
  memoryOperand(i: number, bytes: number, write: boolean): { linear: Expr; at: Expr } {
    const linear = this.address(i, bytes, write);
    this.force(linear);
    return { linear, at: this.let(this.place(bytes, linear, write)) };
  }

  /** A statement that keeps a linear address for FDP. */
  keepAddress(linear: Expr): string {
    return `xa=${linear};`;
  }

  /** Emits that the interpreter does the instruction unless a condition holds. */
  unless(condition: Expr): void {
    this.emit(`if(!(${condition}))${this.e.bail(LEFT_FAULT)}`);
  }
}

const NOTHING: Pending = {
  kind: WHOLE,
  width: 32,
  plain: false,
  fr: "0",
  fc: "0",
  d: "0",
  s: "0",
  count: 0,
};

/**
 * Compares two values as unsigned. V8 knows numbers of 32 bits as int32 only: with `>>>` the first large
 * one would have it compile the region again.
 */
function unsigned(a: Expr, than: "<" | "<=", b: Expr, width: number): Expr {
  const word = (x: Expr) => {
    if (width !== 32) return `(${x}&${width === 16 ? 65535 : 255})`;
    const literal = /^\(?(-?\d+)\)?$/.exec(x);
    return literal !== null ? `(${Number(literal[1]) ^ -0x80000000})` : `(${x}^-2147483648)`;
  };
  return `(${word(a)}${than}${word(b)})`;
}

/** A place in host memory at a distance from another. */
export function hostSum(place: Expr, distance: number): Expr {
  const found = /^(v\d+)\+\(?(-?\d+)\)?\|0$/.exec(place);
  if (found !== null) return hostSum(found[1], distance + Number(found[2]));
  if (distance === 0) return place;
  return `${place}+${distance < 0 ? `(${distance})` : distance}|0`;
}
