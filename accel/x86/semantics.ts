/** What the general-purpose instructions mean, written once for all engines (SDM vol. 2). */
import type { Binder, Expr, Semantic, Width } from "./binder.ts";
import { BIT_SEMANTICS } from "./bit_semantics.ts";
import { CONDITIONS } from "./integer_rows.ts";
import { DE } from "./state.ts";
import { productHigh } from "./wide_text.ts";

/** EFLAGS.DF. */
const DF = 1 << 10;

const add: Semantic = (b) => {
  const w = b.width(0), d = b.read(0), s = b.read(1);
  const r = b.let(`(${d}+${s})|0`);
  b.write(0, r);
  b.flagsAdd(d, s, r, w);
};

const adc: Semantic = (b) => {
  const w = b.width(0), d = b.read(0), s = b.read(1);
  const r = b.let(`(${d}+${s}+${b.carry})|0`);
  b.write(0, r);
  b.flagsAdd(d, s, r, w);
};

const sub: Semantic = (b) => {
  const w = b.width(0), d = b.read(0), s = b.read(1);
  const r = b.let(`(${d}-${s})|0`);
  b.write(0, r);
  b.flagsSub(d, s, r, w);
};

const sbb: Semantic = (b) => {
  const w = b.width(0), d = b.read(0), s = b.read(1);
  const r = b.let(`(${d}-${s}-${b.carry})|0`);
  b.write(0, r);
  b.flagsSub(d, s, r, w);
};

const cmp: Semantic = (b) => {
  const d = b.read(0), s = b.read(1);
  const r = b.let(`(${d}-${s})|0`);
  b.flagsSub(d, s, r, b.width(0));
};

const logic = (operator: string): Semantic => (b) => {
  const w = b.width(0), d = b.read(0), s = b.read(1);
  const r = b.let(`${d}${operator}${s}`);
  b.write(0, r);
  b.flagsLogic(r, w);
};

const test: Semantic = (b) => {
  const d = b.read(0), s = b.read(1);
  b.flagsLogic(b.let(`${d}&${s}`), b.width(0));
};

/** INC and DEC leave CF: only its relation to the carry into the top bit is new. */
const increment = (by: 1 | -1): Semantic => (b) => {
  const w = b.width(0), d = b.read(0);
  const r = b.let(`(${d}+${by})|0`);
  b.write(0, r);
  b.flagsIncrement(d, r, w, by);
};

const not: Semantic = (b) => b.write(0, `~${b.read(0)}`);

const neg: Semantic = (b) => {
  const w = b.width(0), d = b.read(0);
  const r = b.let(`(-${d})|0`);
  b.write(0, r);
  b.flagsSub("0", d, r, w);
};

const mov: Semantic = (b) => b.write(0, b.read(1));
const movzx: Semantic = (b) => b.write(0, b.read(1));
const movsx: Semantic = (b) => b.write(0, b.signed(b.read(1), b.width(1)));
const lea: Semantic = (b) => b.write(0, b.offset(1));

const xchg: Semantic = (b) => {
  const d = b.read(0), s = b.read(1);
  b.write(0, s);
  b.write(1, d);
};

const xadd: Semantic = (b) => {
  const w = b.width(0), d = b.read(0), s = b.read(1);
  const r = b.let(`(${d}+${s})|0`);
  if (b.isMemory(0)) {
    b.write(0, r);
    b.write(1, d);
  } else {
    // XADD with itself leaves the sum: the destination is written last.
    b.write(1, d);
    b.write(0, r);
  }
  b.flagsAdd(d, s, r, w);
};

const cmpxchg: Semantic = (b) => {
  const w = b.width(0), d = b.read(0), s = b.read(1);
  const a = b.let(b.gpr(0, w));
  const r = b.let(`(${a}-${d})|0`);
  const equal = b.let(`${a}===${d}`);
  // Memory is written either way, as on hardware; an unequal register keeps its upper half in 64-bit mode.
  if (b.isMemory(0)) b.write(0, `(${equal}?${s}:${d})`);
  else {
    b.emit(`if(${equal}){`);
    b.write(0, s);
    b.emit("}");
  }
  b.emit(`if(!${equal}){`);
  b.setGpr(0, d, w);
  b.emit(`}`);
  b.flagsSub(a, d, r, w);
};

const bswap: Semantic = (b) => {
  const d = b.read(0);
  if (b.width(0) === 16) {
    // Undefined with a 16-bit operand; processors clear the word.
    b.write(0, "0");
    return;
  }
  b.write(0, `(${d}<<24|(${d}&65280)<<8|(${d}>>>8)&65280|${d}>>>24)`);
};

// Shifts and rotates. A count of zero changes nothing, not even flags.

const countOf = (b: Binder): Expr => b.let(`${b.read(1)}&31`);

const shl: Semantic = (b) => {
  const w = b.width(0), d = b.read(0), n = countOf(b);
  if (w === 32) {
    const r = b.let(`${d}<<${n}`);
    b.write(0, r);
    b.unlessZero(n, () => b.flagsShiftLeft(d, n, r));
    return;
  }
  const r = b.let(`${d}<<${n}`);
  b.write(0, r);
  b.unlessZero(n, () => b.flagsShift(r, w, `(${r}>>>${w})&1`, `(${r}>>>${w - 1})&1`));
};

const shr: Semantic = (b) => {
  const w = b.width(0), d = b.read(0), n = countOf(b);
  const r = b.let(`${d}>>>${n}`);
  b.write(0, r);
  b.unlessZero(n, () => b.flagsShiftRight(d, n, r, w));
};

const sar: Semantic = (b) => {
  const w = b.width(0), d = b.read(0), n = countOf(b);
  const s = b.let(b.signed(d, w));
  const r = b.let(`${s}>>${n}`);
  b.write(0, r);
  b.unlessZero(n, () => b.flagsShiftArithmetic(s, n, r, w));
};

/** Rotates change only CF and OF. */
const rotateFlags = (b: Binder, cf: Expr, cfXorOf: Expr) =>
  b.emit(`${b.FC}=(${b.FC}&1073741823)|(${cf})<<31|(${cfXorOf})<<30;`);

const rol: Semantic = (b) => {
  const w = b.width(0), d = b.read(0), n = countOf(b);
  const m = w === 32 ? n : b.let(`${n}&${w - 1}`);
  const r = b.let(
    w === 32
      ? `(${d}<<${m}|${d}>>>(32-${m}))`
      : `((${d}<<${m})|(${d}>>>(${w}-${m})))&${2 ** w - 1}`,
  );
  b.write(0, r);
  b.unlessZero(n, () => rotateFlags(b, `${r}&1`, `(${r}>>>${w - 1})&1`));
};

const ror: Semantic = (b) => {
  const w = b.width(0), d = b.read(0), n = countOf(b);
  const m = w === 32 ? n : b.let(`${n}&${w - 1}`);
  const r = b.let(
    w === 32
      ? `(${d}>>>${m}|${d}<<(32-${m}))`
      : `((${d}>>>${m})|(${d}<<(${w}-${m})))&${2 ** w - 1}`,
  );
  b.write(0, r);
  b.unlessZero(n, () => rotateFlags(b, `(${r}>>>${w - 1})&1`, `(${r}>>>${w - 2})&1`));
};

/** RCL and RCR through a pure function that gives the result with the new CF above it. */
const rotateThroughCarry = (left: boolean): Semantic => (b) => {
  const w = b.width(0), d = b.read(0), n = countOf(b);
  const m = b.let(w === 32 ? n : `${n}%${w + 1}`);
  const cf = b.let(b.carry);
  const name = left ? "rcl" : "rcr";
  const r = b.let(b.pure(name, d, m, cf, `${w}`));
  b.write(0, r);
  b.unlessZero(m, () => {
    if (left) rotateFlags(b, `(${d}>>>(${w}-${m}))&1`, `(${r}>>>${w - 1})&1`);
    else {
      const out = b.let(`(${d}>>>(${m}-1))&1`);
      rotateFlags(b, out, `${out}^((${r}>>>${w - 1})^(${r}>>>${w - 2}))&1`);
    }
  });
};

/** SHLD and SHRD. Above 16 bits of a word the result is undefined; here the bits go round as on P6 and later. */
const doubleShift = (left: boolean): Semantic => (b) => {
  const w = b.width(0), d = b.read(0), s = b.read(1), n = b.let(`${b.read(2)}&31`);
  let r: Expr, cf: Expr;
  if (w === 32) {
    r = b.let(
      left
        ? `(${n}===0?${d}:${d}<<${n}|${s}>>>(32-${n}))`
        : `(${n}===0?${d}:${d}>>>${n}|${s}<<(32-${n}))`,
    );
    cf = left ? `(${d}>>>(32-${n}))&1` : `(${d}>>>(${n}-1))&1`;
  } else {
    r = b.let(b.pure(left ? "shld16" : "shrd16", d, s, n));
    cf = left ? b.pure("shld16Carry", d, s, n) : b.pure("shrd16Carry", d, s, n);
  }
  b.write(0, r);
  b.unlessZero(n, () => {
    const out = b.let(cf);
    b.flagsShift(r, w, out, `${out}^((${r}^${d})>>>${w - 1})&1`);
  });
};

// Multiplication and division.

/** CF = OF = whether the high half is significant. */
const flagsMultiply = (b: Binder, low: Expr, w: Width, significant: Expr) =>
  b.flagsShift(low, w, `${significant}?1:0`, "0");

/** IMUL with two or three operands: `a` and `c` are the factors. */
const imul = (a: number, c: number): Semantic => (b) => {
  const w = b.width(0);
  const x = b.let(b.signed(b.read(a), b.width(a)));
  const y = b.let(
    b.operand(c).kind === "I" ? b.signed(b.read(c), w) : b.signed(b.read(c), b.width(c)),
  );
  const r = b.let(`Math.imul(${x},${y})`);
  b.write(0, r);
  b.flagsProduct(x, y, r, w);
};

const mul: Semantic = (b) => {
  const w = b.width(0), s = b.read(0);
  if (w === 8) {
    const r = b.let(`${b.gpr(0, 8)}*${s}`);
    b.setGpr(0, r, 16);
    flagsMultiply(b, r, w, `(${r}>255)`);
  } else if (w === 16) {
    const r = b.let(`Math.imul(${b.gpr(0, 16)},${s})`);
    b.setGpr(0, r, 16);
    b.setGpr(2, `${r}>>>16`, 16);
    flagsMultiply(b, r, w, `((${r}>>>16)!==0)`);
  } else {
    const a = b.let(b.gpr(0)), r = b.let(`Math.imul(${a},${s})`);
    const high = productHigh(b, a, b.let(s), false);
    b.setGpr(0, r);
    b.setGpr(2, high);
    flagsMultiply(b, r, w, `(${high}!==0)`);
  }
};

const imul1: Semantic = (b) => {
  const w = b.width(0), s = b.let(b.signed(b.read(0), w));
  if (w === 8) {
    const r = b.let(`${b.signed(b.gpr(0, 8), 8)}*${s}`);
    b.setGpr(0, r, 16);
    flagsMultiply(b, r, w, `(${r}!==${b.signed(r, 8)})`);
  } else if (w === 16) {
    const r = b.let(`Math.imul(${b.signed(b.gpr(0, 16), 16)},${s})`);
    b.setGpr(0, r, 16);
    b.setGpr(2, `${r}>>>16`, 16);
    flagsMultiply(b, r, w, `(${r}!==${b.signed(r, 16)})`);
  } else {
    const a = b.let(b.gpr(0)), r = b.let(`Math.imul(${a},${s})`);
    const high = productHigh(b, a, s, true);
    b.setGpr(0, r);
    b.setGpr(2, high);
    flagsMultiply(b, r, w, `(${high}!==(${r}>>31))`);
  }
};

const div: Semantic = (b) => {
  const w = b.width(0), s = b.read(0);
  b.raiseIf(`${s}===0`, DE);
  if (w === 8) {
    const a = b.let(b.gpr(0, 16)), q = b.let(`(${a}/${s})|0`);
    b.raiseIf(`${q}>255`, DE);
    b.setGpr(0, `${q}|(${a}%${s})<<8`, 16);
  } else if (w === 16) {
    const a = b.let(`(${b.gpr(0, 16)}|${b.gpr(2, 16)}<<16)>>>0`),
      q = b.let(`Math.floor(${a}/${s})`);
    b.raiseIf(`${q}>65535`, DE);
    b.setGpr(0, q, 16);
    b.setGpr(2, `${a}%${s}`, 16);
  } else {
    const lo = b.let(b.gpr(0)), hi = b.let(b.gpr(2));
    const d = b.let(s);
    b.raiseIf(`(${hi}^-2147483648)>=(${d}^-2147483648)`, DE);
    const q = b.let(
      `${hi}===0&&(${lo}|${d})>0?(${lo}/${d})|0:${b.pure("divide64", hi, lo, d)}`,
    );
    b.setGpr(0, q);
    b.setGpr(2, `(${lo}-Math.imul(${q},${d}))|0`);
  }
};

const idiv: Semantic = (b) => {
  const w = b.width(0), s = b.let(b.signed(b.read(0), w));
  b.raiseIf(`${s}===0`, DE);
  if (w === 32) {
    const lo = b.let(b.gpr(0)), hi = b.let(b.gpr(2));
    // What CDQ makes of a doubleword fits, but for -2^31 by -1.
    const plain = `${hi}===(${lo}>>31)&&${s}!==-1`;
    b.raiseIf(`!(${plain})&&!${b.pure("idivides64", hi, lo, s)}`, DE);
    const q = b.let(`${plain}?(${lo}/${s})|0:${b.pure("idivide64", hi, lo, s)}`);
    b.setGpr(0, q);
    b.setGpr(2, `(${lo}-Math.imul(${q},${s}))|0`);
    return;
  }
  const a = b.let(
    w === 8 ? b.signed(b.gpr(0, 16), 16) : `(${b.gpr(0, 16)}|${b.gpr(2, 16)}<<16)`,
  );
  const q = b.let(`Math.trunc(${a}/${s})`);
  const limit = w === 8 ? 128 : 32768;
  b.raiseIf(`${q}>=${limit}||${q}<-${limit}`, DE);
  if (w === 8) b.setGpr(0, `(${q}&255)|(${a}%${s})<<8`, 16);
  else {
    b.setGpr(0, q, 16);
    b.setGpr(2, `${a}%${s}`, 16);
  }
};

// Bits.

const bitTest = (change: ((d: Expr, mask: Expr) => Expr) | undefined): Semantic => (b) => {
  const w = b.width(0), d = b.read(0);
  const mask = b.let(`1<<(${b.read(1)}&${w - 1})`);
  if (change !== undefined) b.write(0, change(d, mask));
  b.setCarry(`((${d}&${mask})!==0?1:0)`);
};

const set = (d: Expr, m: Expr) => `${d}|${m}`;
const clear = (d: Expr, m: Expr) => `${d}&~${m}`;
const flip = (d: Expr, m: Expr) => `${d}^${m}`;

const bitScan = (pure: string): Semantic => (b) => {
  const w = b.width(0), s = b.read(1);
  b.emit(`if(${s}!==0){`);
  b.write(0, b.pure(pure, s));
  b.emit("}");
  b.flagsLogic(s, w);
};

// Flags and conversions.

const setCondition = (cc: string): Semantic => (b) => b.write(0, `(${b.condition(cc)}?1:0)`);
const moveCondition = (cc: string): Semantic => (b) => {
  const s = b.read(1), d = b.read(0);
  // The destination is written either way: with 64-bit registers its high half is cleared.
  b.write(0, `(${b.condition(cc)}?${s}:${d})`);
};

const cbw: Semantic = (b) => {
  if (b.variant.operandSize === 16) b.setGpr(0, b.signed(b.gpr(0, 8), 8), 16);
  else b.setGpr(0, b.signed(b.gpr(0, 16), 16));
};

const cwd: Semantic = (b) => {
  if (b.variant.operandSize === 16) b.setGpr(2, `${b.signed(b.gpr(0, 16), 16)}>>31`, 16);
  else b.setGpr(2, `${b.gpr(0)}>>31`);
};

// Stack and near transfers.

const push: Semantic = (b) => b.push(b.let(b.read(0)));

const pop: Semantic = (b) => {
  const value = b.pop();
  // POP rSP leaves what was popped: the register is written after the pointer moved.
  b.popCommit();
  b.write(0, value);
};

/** POP to memory: an address based on rSP uses its value after the pop, which the decoder has folded into the displacement. */
const popMemory: Semantic = (b) => {
  const value = b.pop();
  b.write(0, value);
  b.popCommit();
};

const call: Semantic = (b) => {
  const to = b.let(b.target);
  b.checkTarget(to);
  b.push(b.next);
  b.jumpTo(to);
};

const callNear: Semantic = (b) => {
  const to = b.read(0);
  b.checkTarget(to);
  b.push(b.next);
  b.jumpTo(to);
};

const ret: Semantic = (b) => {
  const to = b.pop();
  b.checkTarget(to);
  b.popCommit(b.variant.form.operands.length > 0 ? b.read(0) : undefined);
  b.jumpTo(to);
};

/** The counter of LOOP and JCXZ has the address size. */
const counted = (decrement: boolean, condition: (b: Binder) => Expr): Semantic => (b) => {
  const step = decrement ? 1 : 0;
  const c = b.let(`${b.addressSize}===32?(${b.gpr(1)}-${step})|0:(${b.gpr(1, 16)}-${step})&65535`);
  const taken = b.let(`${decrement ? `${c}!==0` : `${c}===0`}&&${condition(b)}`);
  const commit = () => {
    b.emit(`if(${b.addressSize}===32){`);
    b.setGpr(1, c);
    b.emit("}else{");
    b.setGpr(1, c, 16);
    b.emit("}");
  };
  b.jumpRelative(taken, decrement ? commit : undefined);
};

/** All semantics by name. What is not here is a helper. */
export const SEMANTICS: Record<string, Semantic> = {
  ...BIT_SEMANTICS,
  add,
  adc,
  sub,
  sbb,
  cmp,
  and: logic("&"),
  or: logic("|"),
  xor: logic("^"),
  test,
  inc: increment(1),
  dec: increment(-1),
  not,
  neg,
  mov,
  movsxd: mov,
  movzx,
  movsx,
  lea,
  xchg,
  xadd,
  cmpxchg,
  bswap,
  shl,
  shr,
  sar,
  rol,
  ror,
  rcl: rotateThroughCarry(true),
  rcr: rotateThroughCarry(false),
  shld: doubleShift(true),
  shrd: doubleShift(false),
  imul: imul(1, 2),
  imul2: imul(0, 1),
  imul1,
  mul,
  div,
  idiv,
  bt: bitTest(undefined),
  bts: bitTest(set),
  btr: bitTest(clear),
  btc: bitTest(flip),
  bsf: bitScan("bitScanForward"),
  bsr: bitScan("bitScanReverse"),
  cbw,
  cwd,
  push,
  pop,
  pop_mem: popMemory,
  call,
  call_near: callNear,
  jmp: (b) => b.jumpRelative(),
  jmp_near: (b) => {
    const to = b.read(0);
    b.checkTarget(to);
    b.jumpTo(to);
  },
  ret,
  loop: counted(true, () => "true"),
  loope: counted(true, (b) => b.condition("z")),
  loopne: counted(true, (b) => b.condition("nz")),
  jcxz: counted(false, () => "true"),
  nop: () => {},
  cmc: (b) => b.emit(`${b.FC}^=-1073741824;`),
  clc: (b) => b.setCarry("0"),
  stc: (b) => b.setCarry("1"),
  cld: (b) => b.emit(`${b.eflags}&=${~DF};`),
  std: (b) => b.emit(`${b.eflags}|=${DF};`),
  salc: (b) => b.write(0, `-${b.carry}`),
  ...Object.fromEntries(CONDITIONS.flatMap((cc) => [
    [`j${cc}`, ((b) => b.jumpRelative(b.condition(cc))) as Semantic],
    [`set${cc}`, setCondition(cc)],
    [`cmov${cc}`, moveCondition(cc)],
  ])),
};
