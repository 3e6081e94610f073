/**
 * What a semantic is written in: primitives that yield JavaScript text.
 *
 * A semantic reads operands, computes, writes operands and then sets flags. An engine's binder decides
 * what an operand, a register or a memory access is: the interpreter resolves them from a pre-decoded
 * record at run time, a translator folds them to constants and locals.
 *
 * Contract of a semantic: every memory write that may fault comes before any register or flag is committed.
 */
import type { Form } from "./decoder.ts";
import { type Operand, operandBytes } from "./operands.ts";

/** A piece of JavaScript: an expression without side effects, of int32 value. */
export type Expr = string;

/** Width of an operand in bits. */
export type Width = 8 | 16 | 32 | 64;

/** A 64-bit value: two expressions without side effects, of int32 value. */
export interface Wide {
  lo: Expr;
  hi: Expr;
}

/** The form of one instruction for which text is made. */
export interface Variant {
  form: Form;
  operandSize: 16 | 32 | 64;
  /** Whether ModRM.rm is memory. */
  memory: boolean;
  /** Whether the code segment is a 64-bit one. */
  long: boolean;
}

/** Mask of what a flag word may hold of a carry vector: carries out of bits 31, 30 and 3. */
const CARRIES = "-1073741816";

/** Primitives of lowering; engines supply the abstract ones. */
export abstract class Binder {
  protected readonly lines: string[] = [];
  private names = 0;

  constructor(readonly variant: Variant) {}

  // What engines decide.

  /** The general register that operand `i` names, as something that can be read and assigned, at its own width. Bytes and words read zero-extended. */
  protected abstract register(i: number): Expr;
  /** The immediate or displacement of operand `i`. */
  protected abstract immediate(i: number): Expr;
  /** General register `n` as a 32-bit (or `width`) lvalue. */
  abstract gpr(n: number, width?: Width): Expr;
  /** Flag words as lvalues. */
  abstract readonly FR: Expr;
  abstract readonly FC: Expr;
  /** EFLAGS word as an lvalue. */
  abstract readonly eflags: Expr;
  /** Assigns the general register that operand `i` names; a 32-bit write clears the high half in 64-bit mode. */
  protected abstract setRegister(i: number, value: Expr): void;
  /** Assigns general register `n`, likewise. */
  abstract setGpr(n: number, value: Expr, width?: Width): void;
  /** Emits the linear address of memory operand `i`, checked for an access of `bytes`; gives its name. */
  abstract address(i: number, bytes: number, write: boolean): Expr;
  /** Effective offset of address operand `i`, not checked. */
  abstract offset(i: number): Expr;
  /** Emits a load that may fault; gives the name that holds it, zero-extended below 32 bits. */
  abstract load(width: Width, linear: Expr): Expr;
  /** Emits a load of what will be stored to next: it faults as a write does. */
  protected abstract loadForUpdate(width: Width, linear: Expr): Expr;
  /** Emits the store that completes {@linkcode Binder.loadForUpdate}. */
  protected abstract storeUpdate(width: Width, value: Expr): void;
  abstract store(width: Width, linear: Expr, value: Expr): void;
  /** Emits a push of a value of the operand size. May fault. */
  abstract push(value: Expr): void;
  /** Emits a pop: gives the value; the stack pointer moves at {@linkcode Binder.popCommit}. */
  abstract pop(): Expr;
  /** Moves the stack pointer past what was popped, and by `extra` bytes. */
  abstract popCommit(extra?: Expr): void;
  /** Emits a jump by the instruction's displacement if `condition` (always if omitted), after the checks and then `commit`. Ends the instruction. */
  abstract jumpRelative(condition?: Expr, commit?: () => void): void;
  /** Raises #GP(0) if an offset, cut to the operand size, lies beyond the limit of CS. */
  abstract checkTarget(offset: Expr): void;
  /** Emits a jump to an offset in CS that {@linkcode Binder.checkTarget} passed, cut to the operand size. Ends the instruction. */
  abstract jumpTo(offset: Expr): void;
  /** Offset in CS of the next instruction. */
  abstract readonly next: Expr;
  /** Offset in CS that the instruction's displacement names. */
  abstract readonly target: Expr;
  /** Raises #UD etc. if `condition`. */
  abstract raiseIf(condition: Expr, vector: number): void;
  /** A call of a pure function of `integer.ts` by name. */
  abstract pure(name: string, ...args: Expr[]): Expr;
  /** Address size in bits, for implicit counters. */
  abstract readonly addressSize: Expr;

  // 64-bit operands; only binders of 64-bit code have them.

  private unreachable(): never {
    throw new Error("64-bit operands outside 64-bit code: a mistake in the table");
  }
  /** The value of operand `i`, sign-extended where the encoding is narrower. */
  read64(_i: number): Wide {
    return this.unreachable();
  }
  write64(_i: number, _lo: Expr, _hi: Expr): void {
    this.unreachable();
  }
  /** Halves of general register `n` as lvalues. */
  gpr64(n: number): Wide {
    return { lo: `R[${n * 2}]`, hi: `R[${n * 2 + 1}]` };
  }
  offset64(_i: number): Wide {
    return this.unreachable();
  }
  push64(_lo: Expr, _hi: Expr): void {
    this.unreachable();
  }
  /** Emits a pop from the stack pointer, or from `at`. */
  pop64(_at?: Wide): Wide {
    return this.unreachable();
  }
  get next64(): Wide {
    return this.unreachable();
  }
  /** Emits the offset that the displacement names. */
  target64(): Wide {
    return this.unreachable();
  }
  jumpTo64(_lo: Expr, _hi: Expr): void {
    this.unreachable();
  }

  // What all share.

  emit(line: string): void {
    this.lines.push(line);
  }

  get text(): string {
    return this.lines.join("\n");
  }

  fresh(): string {
    return `v${this.names++}`;
  }

  /** Binds an expression to a new name, evaluated here. */
  let(value: Expr): Expr {
    const name = this.fresh();
    this.emit(`const ${name}=${value};`);
    return name;
  }

  /** Emits a variable, by a fresh name. */
  variable(name: string, value: Expr): void {
    this.emit(`let ${name}=${value};`);
  }

  operand(i: number): Operand {
    return this.variant.form.operands[i];
  }

  /** Width of operand `i`. */
  width(i: number): Width {
    const { operandSize, long } = this.variant;
    return operandBytes(this.operand(i), operandSize, long) * 8 as Width;
  }

  /** Whether operand `i` is memory in this variant. */
  isMemory(i: number): boolean {
    const { kind } = this.operand(i);
    return kind === "O" || (kind === "E" && this.variant.memory);
  }

  /** The value of operand `i`, zero-extended; memory is loaded. */
  read(i: number): Expr {
    const operand = this.operand(i);
    if (operand.kind === "one") return "1";
    if (operand.kind === "I" || operand.kind === "J") return this.immediate(i);
    if (!this.isMemory(i)) return this.let(this.register(i));
    const width = this.width(i);
    const linear = this.address(i, width >> 3, operand.writes);
    return operand.writes ? this.loadForUpdate(width, linear) : this.load(width, linear);
  }

  /** Writes operand `i`; extra high bits of `value` are ignored. Memory stores may fault. */
  write(i: number, value: Expr): void {
    const operand = this.operand(i);
    if (!this.isMemory(i)) {
      this.setRegister(i, value);
      return;
    }
    const width = this.width(i);
    if (operand.reads) this.storeUpdate(width, value);
    else {
      const linear = this.address(i, width >> 3, true);
      this.store(width, linear, value);
    }
  }

  /** Sign-extends a value of `width` bits to int32. */
  signed(value: Expr, width: Width): Expr {
    return width === 32 ? value : `(${value}<<${32 - width}>>${32 - width})`;
  }

  /** Cuts a value to `width` bits, zero-extended. */
  cut(value: Expr, width: Width): Expr {
    return width === 32 ? `(${value}|0)` : `(${value}&${width === 8 ? 255 : 65535})`;
  }

  /** Emits what happens unless a count is zero. */
  unlessZero(count: Expr, body: () => void): void {
    this.emit(`if(${count}!==0){`);
    body();
    this.emit("}");
  }

  /** Both flag words anew. */
  flagsWhole(fr: Expr, fc: Expr): void {
    this.emit(`${this.FR}=${fr};${this.FC}=${fc};`);
  }

  /** Flags of `r = d + by`, which leave CF: only its relation to the carry into the top bit is new. */
  flagsIncrement(d: Expr, r: Expr, width: Width, by: 1 | -1): void {
    const cf = this.let(`${this.FC}&-2147483648`);
    const wide = (e: Expr) => width === 32 ? e : `(${e}<<${32 - width})`;
    const overflow = by === 1 ? `(~${wide(d)}&${wide(r)})` : `(${wide(d)}&~${wide(r)})`;
    this.flagsWhole(
      this.signed(r, width),
      `${cf}|(((${cf}^${overflow})>>>1)&1073741824)|(((${d}^${r})>>>1)&8)`,
    );
  }

  /**
   * Flags of a 64-bit result with the carry vectors of its halves; for a logical one without. The operands
   * of a sum or difference say the same, if there are any.
   */
  flags64(
    r: Wide,
    vectors?: { lo: Expr; hi: Expr },
    _operands?: { d: Wide; s: Wide; subtracts: boolean },
  ): void {
    this.emit(`${this.FR}=${r.hi}|(${r.lo}>>>1)|(${r.lo}&1);`);
    const parity = `((${this.FR}^${r.lo})&255)<<8`;
    this.emit(
      vectors === undefined
        ? `${this.FC}=${parity};`
        : `${this.FC}=((${vectors.hi})&-1073741824)|((${vectors.lo})&8)|(${parity});`,
    );
  }

  /** Flags of a 64-bit shift: CF, and CF xor OF, as 0 or 1. */
  flagsShift64(r: Wide, cf: Expr, cfXorOf: Expr): void {
    this.flags64(r);
    this.emit(`${this.FC}|=(${cf})<<31|(${cfXorOf})<<30;`);
  }

  private carries(vector: Expr, width: Width): void {
    if (width === 32) this.emit(`${this.FC}=(${vector})&${CARRIES};`);
    else {
      const cv = this.let(vector);
      this.emit(`${this.FC}=(${cv}<<${32 - width}&-1073741824)|(${cv}&8);`);
    }
  }

  /** Flags of `r = d + s (+ carry)`. */
  flagsAdd(d: Expr, s: Expr, r: Expr, width: Width): void {
    this.emit(`${this.FR}=${this.signed(r, width)};`);
    this.carries(`(${d}&${s})|((${d}|${s})&~${r})`, width);
  }

  /** Flags of `r = d - s (- borrow)`. */
  flagsSub(d: Expr, s: Expr, r: Expr, width: Width): void {
    this.emit(`${this.FR}=${this.signed(r, width)};`);
    this.carries(`(~${d}&${s})|((~${d}|${s})&${r})`, width);
  }

  /** Flags of a logical result: CF, OF and AF clear. */
  flagsLogic(r: Expr, width: Width): void {
    this.emit(`${this.FR}=${this.signed(r, width)};`);
    this.emit(`${this.FC}=0;`);
  }

  /** Sets CF and OF, AF clear, beside a result. `cf` and `of` are 0 or 1. */
  flagsShift(r: Expr, width: Width, cf: Expr, cfXorOf: Expr): void {
    this.emit(`${this.FR}=${this.signed(r, width)};`);
    this.emit(`${this.FC}=(${cf})<<31|(${cfXorOf})<<30;`);
  }

  /** Flags of `r = d << n` of 32 bits, `n` not 0. */
  flagsShiftLeft(d: Expr, n: Expr, r: Expr): void {
    this.flagsWhole(r, `(${d}>>>(32-${n}))<<31|((${r}>>>1)&1073741824)`);
  }

  /** Flags of `r = d >>> n`, `n` not 0. */
  flagsShiftRight(d: Expr, n: Expr, r: Expr, width: Width): void {
    const cf = this.let(`(${d}>>>(${n}-1))&1`);
    const signed = width === 32 ? `(${r}|0)` : r;
    this.flagsShift(signed, width, cf, `${cf}^((${r}^(${r}<<1))>>>${width - 1})&1`);
  }

  /** Flags of `r = d >> n` with `d` sign-extended, `n` not 0. */
  flagsShiftArithmetic(d: Expr, n: Expr, r: Expr, width: Width): void {
    const cf = this.let(`(${d}>>(${n}-1))&1`);
    this.flagsShift(r, width, cf, cf);
  }

  /** Flags of the low half `r` of the product of signed `x` and `y`: CF and OF tell whether that is not all of it. */
  flagsProduct(x: Expr, y: Expr, r: Expr, width: Width): void {
    // A product that fits is exact as a double, and one that does not differs from its cut form.
    const fits = width === 32 ? r : this.signed(r, width);
    this.flagsShift(r, width, `(${x}*${y}!==${fits})?1:0`, "0");
  }

  /** The same of a 64-bit product. */
  flagsProduct64(x: Wide, y: Wide, r: Wide): void {
    const fits = this.let(this.pure("fits64", x.lo, x.hi, y.lo, y.hi));
    this.flagsShift64(r, `${fits}?0:1`, "0");
  }

  /** CF as 0 or 1. */
  get carry(): Expr {
    return `(${this.FC}>>>31)`;
  }

  /** Sets CF and leaves all other flags. `value` is 0 or 1. */
  setCarry(value: Expr): void {
    // OF is the difference of bits 31 and 30, so both flip together.
    this.emit(`if((${this.FC}>>>31)!==(${value}))${this.FC}^=-1073741824;`);
  }

  /** A condition code as a boolean expression. */
  condition(cc: string): Expr {
    return conditionOf(cc, this.FR, this.FC);
  }
}

/** A condition code as a boolean expression of the two flag words. */
export function conditionOf(cc: string, FR: Expr, FC: Expr): Expr {
  switch (cc) {
    case "o":
      return `((${FC}^(${FC}<<1))<0)`;
    case "b":
      return `(${FC}<0)`;
    case "z":
      return `(${FR}===0)`;
    case "be":
      return `(${FC}<0||${FR}===0)`;
    case "s":
      return `((${FR}^(${FC}<<31))<0)`;
    case "p":
      return `(PARITY[(${FR}^(${FC}>>>8))&255]!==0)`;
    case "l":
      return `((${FR}^(${FC}<<31)^${FC}^(${FC}<<1))<0)`;
    case "le":
      return `(${FR}===0||(${FR}^(${FC}<<31)^${FC}^(${FC}<<1))<0)`;
    default:
      return `(!${conditionOf(cc.slice(1), FR, FC)})`;
  }
}

/** The meaning of an instruction. */
export type Semantic = (b: Binder) => void;
