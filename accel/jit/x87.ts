/**
 * x87 instructions as text. The status word and the tags are locals (`sw`, `tg`), registers stay in `R`; what
 * the last instruction was (FOP, FIP, FDP) is one local each, stored where the region is left.
 *
 * Only code whose exceptions are all masked is translated; stack faults, and operands that are neither normal
 * nor zero where they are moved or compared, are the interpreter's.
 */
import type { Expr } from "../x86/binder.ts";
import { add80, compare80, div80, mul80, sqrt80 } from "../x86/fpu/arithmetic.ts";
import { loadInteger80, storeDouble, storeInteger80, storeSingle } from "../x86/fpu/convert.ts";
import * as S from "../x86/state.ts";
import type { JitBinder } from "./binder.ts";

const ARITHMETIC = /^(fadd|fmul|fsubr?|fdivr?)(_st0|_sti|p|_m32|_m64|_i32|_i16)$/;
const COMPARE = /^fu?com(i?)(p{0,2})(_m32|_m64|_i32|_i16)?$/;
/** Where a memory operand is put as an 80-bit number. */
const OPERAND = S.SCRATCH + 8;
/** Condition codes and C1. */
const CODES = 0x4700, C1 = 0x200;
/** FLD1, FLDZ: sign and exponent, high word. */
const CONSTANTS: Record<string, [number, number]> = {
  fld1: [0x3fff, -0x80000000],
  fldz: [0, 0],
};

/** Emits an x87 instruction whose guard and masks were asked; false, and nothing, if it has no text here. */
export function emitX87(b: JitBinder): boolean {
  const { insn } = b, { semantic } = insn.form.row;
  // FDP is an offset in a segment that has a base.
  if (insn.memory && (insn.segment === S.FS || insn.segment === S.GS)) return false;
  return new X87(b).emit(semantic);
}

class X87 {
  constructor(private readonly b: JitBinder) {}

  emit(name: string): boolean {
    const { b } = this, i = b.insn.rm & 7;
    const arithmetic = ARITHMETIC.exec(name);
    if (arithmetic !== null) {
      this.arithmetic(arithmetic[1], arithmetic[2], i);
      return true;
    }
    const compare = COMPARE.exec(name);
    if (compare !== null) {
      const pops = compare[2].length;
      this.compare(compare[1] === "i", pops, compare[3] ?? "", pops === 2 ? 1 : i);
      return true;
    }
    if (Object.hasOwn(CONSTANTS, name)) {
      const [se, hi] = CONSTANTS[name];
      this.push(["0", `${hi}`, `${se}`]);
      return this.done();
    }
    switch (name) {
      case "fld": {
        this.filled(i);
        const from = this.place(i);
        this.push([0, 1, 2].map((n) => b.let(`R[${from}+${n}]`)));
        return this.done();
      }
      case "fld_m64":
      case "fld_m32":
        this.push(this.loadReal(name === "fld_m64"));
        return this.done();
      case "fld_m80": {
        const at = this.memory(10, false);
        const word = (n: number) => b.let(`DV.getInt32((${at})+${n},true)`);
        this.push([word(0), word(4), b.let(`DV.getUint16((${at})+8,true)`)]);
        return this.done();
      }
      case "fild_i16":
      case "fild_i32":
      case "fild_i64": {
        this.loadInteger(Number(name.slice(-2)));
        this.push([0, 1, 2].map((n) => b.let(`R[${OPERAND + n}]`)));
        return this.done();
      }
      case "fst_m64":
      case "fstp_m64":
      case "fst_m32":
      case "fstp_m32":
        return this.storeReal(name.endsWith("64"), name.startsWith("fstp"));
      case "fstp_m80": {
        this.filled(0);
        const at = this.memory(10, true), from = this.place(0);
        for (const n of [0, 1]) b.emit(`DV.setInt32((${at})+${4 * n},R[${from}+${n}],true);`);
        b.emit(`DV.setInt16((${at})+8,R[${from}+2],true);sw&=~${C1};`);
        this.pop();
        return this.done();
      }
      case "fist_i16":
      case "fist_i32":
      case "fistp_i16":
      case "fistp_i32":
      case "fistp_i64":
      case "fisttp_i16":
      case "fisttp_i32":
      case "fisttp_i64":
        return this.storeInteger(Number(name.slice(-2)), name[4] !== "_", name[4] === "t");
      case "fst":
      case "fstp": {
        this.filled(0);
        const from = this.place(0), to = this.place(i);
        for (const n of [0, 1, 2]) b.emit(`R[${to}+${n}]=R[${from}+${n}];`);
        b.emit(`tg|=1<<${this.number(i)};sw&=~${C1};`);
        if (name === "fstp") this.pop();
        return this.done();
      }
      case "fxch": {
        this.filled(0);
        this.filled(i);
        const from = this.place(0), to = this.place(i);
        for (const n of [0, 1, 2]) {
          const x = b.let(`R[${from}+${n}]`), y = b.let(`R[${to}+${n}]`);
          b.emit(`R[${from}+${n}]=${y};R[${to}+${n}]=${x};`);
        }
        b.emit(`sw&=~${C1};`);
        return this.done();
      }
      case "fabs":
      case "fchs": {
        this.filled(0);
        const at = this.place(0);
        b.emit(`R[${at}+2]${name === "fabs" ? "&=32767" : "^=32768"};sw&=~${C1};`);
        return this.done();
      }
      case "fsqrt": {
        this.filled(0);
        const at = this.place(0);
        b.emit(`sw=sw&~${C1}|X87.root(R,${at},${at});`);
        return this.done();
      }
      case "fnop":
        return this.done();
      case "fnstsw_ax":
        b.setGpr(0, "sw", 16);
        return true;
      case "ffree":
        b.emit(`tg&=~(1<<${this.number(i)});sw&=~${C1};`);
        return this.done();
    }
    return false;
  }

  /** Emits noting the instruction as the last one. */
  private done(): true {
    const { b } = this;
    b.emit(`xi=${b.x87Opcode()};xo=${b.e.at};`);
    if (b.insn.memory) b.emit(`${b.keepAddress(this.linear)}xs=${b.insn.segment};`);
    return true;
  }

  // The stack. ST(i) is the physical register TOP + i.

  /** A name of the physical number of ST(i). */
  private number(i: number): Expr {
    return this.b.let(i === 0 ? "(sw>>>11)&7" : `((sw>>>11)+${i})&7`);
  }

  /** A name of the place in `R` of ST(i). */
  private place(i: number): Expr {
    return this.b.let(`${S.ST0}+(${this.number(i)}<<2)`);
  }

  /** Emits that the interpreter does the instruction if ST(i) is empty. */
  private filled(i: number): void {
    this.b.unless(`((tg>>>${this.number(i)})&1)!==0`);
  }

  /** Pushes a number by its words; the interpreter does it if the stack is full. */
  private push(words: Expr[]): void {
    const { b } = this, n = b.let("((sw>>>11)+7)&7");
    b.unless(`((tg>>>${n})&1)===0`);
    const at = b.let(`${S.ST0}+(${n}<<2)`);
    words.forEach((word, i) => b.emit(`R[${at}+${i}]=${word};`));
    b.emit(`sw=sw&~${0x3800 | C1}|${n}<<11;tg|=1<<${n};`);
  }

  private pop(): void {
    const { b } = this, n = this.number(0);
    b.emit(`tg&=~(1<<${n});sw=sw&~14336|((${n}+1)&7)<<11;`);
  }

  // Memory operands.

  private linear: Expr = "";

  /** Emits the checks of the memory operand; gives its place in host memory. */
  private memory(bytes: number, write: boolean): Expr {
    const { linear, at } = this.b.memoryOperand(0, bytes, write);
    this.linear = linear;
    return at;
  }

  /** Names of the words of a double or single in memory as an 80-bit number. */
  private loadReal(double: boolean): Expr[] {
    const { b } = this, at = this.memory(double ? 8 : 4, false);
    const hi = b.let(`DV.getInt32(${double ? `(${at})+4` : at},true)`);
    const lo = double ? b.let(`DV.getInt32(${at},true)`) : "0";
    const e = b.let(double ? `(${hi}>>>20)&2047` : `(${hi}>>>23)&255`);
    const zero = b.let(`${e}===0`);
    const rest = double ? `((${hi}<<1)|${lo})` : `(${hi}<<1)`;
    b.unless(`${zero}?${rest}===0:${e}!==${double ? 2047 : 255}`);
    const high = double
      ? `-2147483648|(${hi}&1048575)<<11|${lo}>>>21`
      : `-2147483648|(${hi}&8388607)<<8`;
    return [
      double ? b.let(`${lo}<<11`) : "0",
      b.let(`${zero}?0:${high}`),
      b.let(`(${hi}>>>16)&32768|(${zero}?0:${e}+${double ? 15360 : 16256})`),
    ];
  }

  /** Emits putting an integer in memory into the scratch area as an 80-bit number. */
  private loadInteger(bits: number): void {
    const { b } = this, at = this.memory(bits / 8, false);
    const lo = bits === 16
      ? b.let(`DV.getUint16(${at},true)<<16>>16`)
      : b.let(`DV.getInt32(${at},true)`);
    const hi = bits === 64 ? b.let(`DV.getInt32((${at})+4,true)`) : `(${lo}>>31)`;
    b.emit(`X87.integer(R,${OPERAND},${lo},${hi});`);
  }

  /** Emits the second operand of an operation; gives its place in `R`. */
  private operand(kind: string): Expr {
    if (kind.startsWith("_i")) this.loadInteger(Number(kind.slice(2)));
    else {
      this.loadReal(kind === "_m64").forEach((word, i) =>
        this.b.emit(`R[${OPERAND + i}]=${word};`)
      );
    }
    return `${OPERAND}`;
  }

  private arithmetic(op: string, kind: string, i: number): void {
    const { b } = this;
    this.filled(0);
    let to: Expr, from: Expr;
    if (/^_[mi]/.test(kind)) {
      from = this.operand(kind);
      to = this.place(0);
    } else {
      if (i !== 0) this.filled(i);
      const top = this.place(0), other = i === 0 ? top : this.place(i);
      [to, from] = kind === "_st0" ? [top, other] : [other, top];
    }
    const [x, y] = op.endsWith("r") ? [from, to] : [to, from];
    const call = op === "fadd"
      ? `add(R,${to},${x},${y},0)`
      : op.startsWith("fsub")
      ? `add(R,${to},${x},${y},32768)`
      : `${op.slice(1, 4)}(R,${to},${x},${y})`;
    b.emit(`sw=sw&~${C1}|X87.${call};`);
    if (kind === "p") this.pop();
    this.done();
  }

  private compare(toFlags: boolean, pops: number, kind: string, i: number): void {
    const { b } = this;
    this.filled(0);
    if (kind === "" && i !== 0) this.filled(i);
    const other = kind === "" ? this.place(i) : this.operand(kind);
    const r = b.let(`X87.compare(R,${this.place(0)},${other})`);
    b.unless(`${r}!==2`);
    if (toFlags) b.flagsCompare(r, "0");
    else b.emit(`sw=sw&~${CODES}|(${r}<0?256:${r}===0?16384:0);`);
    for (let n = 0; n < pops; n++) this.pop();
    this.done();
  }

  private storeReal(double: boolean, pops: boolean): true {
    const { b } = this;
    this.filled(0);
    const at = this.memory(double ? 8 : 4, true), from = this.place(0);
    const flags = b.let(`X87.${double ? "double" : "single"}(R,${from},${OPERAND})`);
    b.unless(`${flags}>=0`);
    for (let n = 0; n < (double ? 2 : 1); n++) {
      b.emit(`DV.setInt32((${at})+${4 * n},R[${OPERAND + n}],true);`);
    }
    b.emit(`sw=sw&~${C1}|${flags};`);
    if (pops) this.pop();
    return this.done();
  }

  private storeInteger(bits: number, pops: boolean, truncates: boolean): true {
    const { b } = this;
    this.filled(0);
    const at = this.memory(bits / 8, true), from = this.place(0);
    const rounding = truncates ? "3" : `(R[${S.FCW}]>>>10)&3`;
    const flags = b.let(`X87.round(R,${bits},${rounding},${from},${OPERAND})`);
    b.unless(`${flags}>=0`);
    if (bits === 16) b.emit(`DV.setInt16(${at},R[${OPERAND}],true);`);
    else {
      for (let n = 0; n < bits / 32; n++) {
        b.emit(`DV.setInt32((${at})+${4 * n},R[${OPERAND + n}],true);`);
      }
    }
    b.emit(`sw=sw&~${C1}|${flags};`);
    if (pops) this.pop();
    return this.done();
  }
}

/** Text around a region that has x87 instructions as text. */
export function x87Frame(long: boolean): { declare: string; save: string; load: string } {
  const ip = long
    ? `const t=(pip>>>0)+xo;R[${S.FIP}]=t|0;R[${S.FIP_HI}]=(piph+Math.floor(t/4294967296))|0;`
    : `R[${S.FIP}]=(pip+xo)|0;R[${S.FIP_HI}]=0;`;
  const fcs = `R[${S.FCS}]=R[${S.SEG_SEL + S.CS}];`;
  const dp = `R[${S.FDP}]=xa;R[${S.FDP_HI}]=xah;R[${S.FDS}]=R[${S.SEG_SEL}+xs];`;
  return {
    declare: `sw=R[${S.FSW}],tg=R[${S.FTAG}],xi=-1,xo=0,xs=-1,xa=0,xah=0`,
    save: `R[${S.FSW}]=sw;R[${S.FTAG}]=tg;if(xi>=0){R[${S.FOP}]=xi;${ip}${fcs}}` +
      `if(xs>=0){${dp}}`,
    load: `sw=R[${S.FSW}];tg=R[${S.FTAG}];xi=xs=-1;`,
  };
}

/** Names that the text of x87 instructions uses, with their values. */
export function x87Scope(): Record<string, unknown> {
  return {
    X87: {
      add: add80,
      mul: mul80,
      div: div80,
      root: sqrt80,
      compare: compare80,
      integer: loadInteger80,
      double: storeDouble,
      single: storeSingle,
      round: storeInteger80,
    },
  };
}
