/**
 * What the general-purpose instructions mean on 64-bit operands, as two int32 halves, written once for all
 * engines. The narrower operands of 64-bit code are the business of `semantics.ts`.
 */
import type { Binder, Expr, Semantic, Wide } from "./binder.ts";
import { CONDITIONS } from "./integer_rows.ts";
import { DE, GP } from "./state.ts";
import { BIT_SEMANTICS64 } from "./bit_semantics.ts";
import { bind, left, productHigh, right, rotated, swap } from "./wide_text.ts";

const addVector = (d: Expr, s: Expr, r: Expr) => `(${d}&${s})|((${d}|${s})&~${r})`;
const subVector = (d: Expr, s: Expr, r: Expr) => `(~${d}&${s})|((~${d}|${s})&${r})`;

/** d + s + carry with the carry vectors, the upper one as text. */
function sum(b: Binder, d: Wide, s: Wide, carry: Expr): Result {
  const lo = b.let(`(${d.lo}+${s.lo}+${carry})|0`), vlo = b.let(addVector(d.lo, s.lo, lo));
  const hi = b.let(`(${d.hi}+${s.hi}+(${vlo}>>>31))|0`), vhi = addVector(d.hi, s.hi, hi);
  return { r: { lo, hi }, vectors: { lo: vlo, hi: vhi }, operands: { d, s, subtracts: false } };
}

function difference(b: Binder, d: Wide, s: Wide, borrow: Expr): Result {
  const lo = b.let(`(${d.lo}-${s.lo}-${borrow})|0`), vlo = b.let(subVector(d.lo, s.lo, lo));
  const hi = b.let(`(${d.hi}-${s.hi}-(${vlo}>>>31))|0`), vhi = subVector(d.hi, s.hi, hi);
  return { r: { lo, hi }, vectors: { lo: vlo, hi: vhi }, operands: { d, s, subtracts: true } };
}

interface Result {
  r: Wide;
  vectors: Wide;
  operands: { d: Wide; s: Wide; subtracts: boolean };
}

const arithmetic = (
  operate: typeof sum,
  options: { carry?: boolean; compare?: boolean } = {},
): Semantic =>
(b) => {
  const d = b.read64(0), s = b.read64(1);
  const { r, vectors, operands } = operate(b, d, s, options.carry ? b.carry : "0");
  if (!options.compare) b.write64(0, r.lo, r.hi);
  b.flags64(r, vectors, operands);
};

const logic = (operator: string, write = true): Semantic => (b) => {
  const d = b.read64(0), s = b.read64(1);
  const r = bind(b, `${d.lo}${operator}${s.lo}`, `${d.hi}${operator}${s.hi}`);
  if (write) b.write64(0, r.lo, r.hi);
  b.flags64(r);
};

/** INC and DEC leave CF. */
const increment = (operate: typeof sum): Semantic => (b) => {
  const d = b.read64(0);
  const { r, vectors } = operate(b, d, { lo: "1", hi: "0" }, "0");
  b.write64(0, r.lo, r.hi);
  const cf = b.let(b.carry);
  // Bit 30 is CF xor OF, with OF the difference of the two topmost carries.
  const top = b.let(vectors.hi), of = b.let(`((${top}>>>31)^(${top}>>>30))&1`);
  b.flags64(r, { lo: vectors.lo, hi: `(${cf}<<31|(${cf}^${of})<<30)` });
};

const not: Semantic = (b) => {
  const d = b.read64(0);
  b.write64(0, `~${d.lo}`, `~${d.hi}`);
};

const neg: Semantic = (b) => {
  const d = b.read64(0);
  const { r, vectors, operands } = difference(b, { lo: "0", hi: "0" }, d, "0");
  b.write64(0, r.lo, r.hi);
  b.flags64(r, vectors, operands);
};

const mov: Semantic = (b) => {
  const s = b.read64(1);
  b.write64(0, s.lo, s.hi);
};

const movzx: Semantic = (b) => b.write64(0, b.read(1), "0");

const movsx: Semantic = (b) => {
  const s = b.let(b.signed(b.read(1), b.width(1)));
  b.write64(0, s, `${s}>>31`);
};

const lea: Semantic = (b) => {
  const { lo, hi } = b.offset64(1);
  b.write64(0, lo, hi);
};

const xchg: Semantic = (b) => {
  const d = b.read64(0), s = b.read64(1);
  b.write64(0, s.lo, s.hi);
  b.write64(1, d.lo, d.hi);
};

const xadd: Semantic = (b) => {
  const d = b.read64(0), s = b.read64(1);
  const { r, vectors, operands } = sum(b, d, s, "0");
  if (b.isMemory(0)) {
    b.write64(0, r.lo, r.hi);
    b.write64(1, d.lo, d.hi);
  } else {
    b.write64(1, d.lo, d.hi);
    b.write64(0, r.lo, r.hi);
  }
  b.flags64(r, vectors, operands);
};

const cmpxchg: Semantic = (b) => {
  const d = b.read64(0), s = b.read64(1);
  const a = bind(b, b.gpr64(0).lo, b.gpr64(0).hi);
  const { r, vectors, operands } = difference(b, a, d, "0");
  const equal = b.let(`(${r.lo}|${r.hi})===0`);
  b.write64(0, `(${equal}?${s.lo}:${d.lo})`, `(${equal}?${s.hi}:${d.hi})`);
  b.emit(`if(!${equal}){${b.gpr64(0).lo}=${d.lo};${b.gpr64(0).hi}=${d.hi};}`);
  b.flags64(r, vectors, operands);
};

const bswap: Semantic = (b) => {
  const d = b.read64(0);
  b.write64(0, swap(d.hi), swap(d.lo));
};

// Shifts: counts are taken modulo 64, and 0 changes nothing.

const countOf = (b: Binder): Expr => b.let(`${b.read(1)}&63`);

/** Bit `n` (0 to 63) of a value. */
const bit = (d: Wide, n: Expr) => `(((${n})>31?${d.hi}:${d.lo})>>>(${n})&1)`;

const shl: Semantic = (b) => {
  const d = b.read64(0), n = countOf(b), r = left(b, d, n);
  b.write64(0, r.lo, r.hi);
  b.unlessZero(n, () => b.flagsShift64(r, bit(d, `64-${n}`), `${r.hi}>>>31`));
};

const shr: Semantic = (b) => {
  const d = b.read64(0), n = countOf(b), r = right(b, d, n, "0", false);
  b.write64(0, r.lo, r.hi);
  b.unlessZero(n, () => {
    const cf = b.let(bit(d, `${n}-1`));
    b.flagsShift64(r, cf, `${cf}^((${r.hi}^(${r.hi}<<1))>>>31)`);
  });
};

const sar: Semantic = (b) => {
  const d = b.read64(0), n = countOf(b), r = right(b, d, n, `${d.hi}>>31`, true);
  b.write64(0, r.lo, r.hi);
  b.unlessZero(n, () => {
    const cf = b.let(bit(d, `${n}-1`));
    b.flagsShift64(r, cf, cf);
  });
};

const rotateFlags = (b: Binder, cf: Expr, cfXorOf: Expr) =>
  b.emit(`${b.FC}=(${b.FC}&1073741823)|(${cf})<<31|(${cfXorOf})<<30;`);

const rol: Semantic = (b) => {
  const d = b.read64(0), n = countOf(b), r = rotated(b, d, n);
  b.write64(0, r.lo, r.hi);
  b.unlessZero(n, () => rotateFlags(b, `${r.lo}&1`, `${r.hi}>>>31`));
};

const ror: Semantic = (b) => {
  const d = b.read64(0), n = countOf(b), r = rotated(b, d, b.let(`(64-${n})&63`));
  b.write64(0, r.lo, r.hi);
  b.unlessZero(n, () => rotateFlags(b, `${r.hi}>>>31`, `(${r.hi}>>>30)&1`));
};

/** RCL and RCR, a step at a time: rare. */
const rotateThroughCarry = (toLeft: boolean): Semantic => (b) => {
  const d = b.read64(0), n = countOf(b);
  const cf = b.let(b.carry);
  const lo = b.fresh(), hi = b.fresh(), c = b.fresh();
  b.variable(lo, d.lo);
  b.variable(hi, d.hi);
  b.variable(c, cf);
  b.emit(`for(let i=0;i<${n};i++){`);
  b.emit(
    toLeft
      ? `const out=${hi}>>>31;${hi}=${hi}<<1|${lo}>>>31;${lo}=${lo}<<1|${c};${c}=out;}`
      : `const out=${lo}&1;${lo}=${lo}>>>1|${hi}<<31;${hi}=${hi}>>>1|${c}<<31;${c}=out;}`,
  );
  b.write64(0, lo, hi);
  b.unlessZero(
    n,
    () => rotateFlags(b, c, toLeft ? `${hi}>>>31` : `${c}^((${hi}>>>31)^(${hi}>>>30))&1`),
  );
};

const doubleShift = (toLeft: boolean): Semantic => (b) => {
  const d = b.read64(0), s = b.read64(1), n = b.let(`${b.read(2)}&63`), m = b.let(`(64-${n})&63`);
  const kept = toLeft ? left(b, d, n) : right(b, d, n, "0", false);
  const come = toLeft ? right(b, s, m, "0", false) : left(b, s, m);
  const r = bind(
    b,
    `${n}===0?${d.lo}:${kept.lo}|${come.lo}`,
    `${n}===0?${d.hi}:${kept.hi}|${come.hi}`,
  );
  b.write64(0, r.lo, r.hi);
  b.unlessZero(n, () => {
    const cf = b.let(bit(d, toLeft ? `64-${n}` : `${n}-1`));
    b.flagsShift64(r, cf, `${cf}^((${r.hi}^${d.hi})>>>31)`);
  });
};

// Multiplication and division: the products' limbs come from a pure function that leaves them in WIDE.

const imul = (x: number, y: number): Semantic => (b) => {
  const a = b.read64(x), c = b.read64(y), high = productHigh(b, a.lo, c.lo, false);
  const r = bind(
    b,
    `Math.imul(${a.lo},${c.lo})`,
    `(${high}+Math.imul(${a.lo},${c.hi})+Math.imul(${a.hi},${c.lo}))|0`,
  );
  b.flagsProduct64(a, c, r);
  b.write64(0, r.lo, r.hi);
};

const mul = (signed: boolean): Semantic => (b) => {
  const s = b.read64(0), a = b.gpr64(0), d = b.gpr64(2);
  b.emit(`${b.pure("multiply128", a.lo, a.hi, s.lo, s.hi, signed ? "1" : "0")};`);
  b.emit(`${a.lo}=WIDE[0];${a.hi}=WIDE[1];${d.lo}=WIDE[2];${d.hi}=WIDE[3];`);
  const significant = signed
    ? `(WIDE[2]!==(WIDE[1]>>31)||WIDE[3]!==(WIDE[1]>>31))`
    : `((WIDE[2]|WIDE[3])!==0)`;
  b.flagsShift64({ lo: "WIDE[0]", hi: "WIDE[1]" }, `${significant}?1:0`, "0");
};

const div = (signed: boolean): Semantic => (b) => {
  const s = b.read64(0), a = b.gpr64(0), d = b.gpr64(2);
  const ok = b.let(b.pure("divide128", d.lo, d.hi, a.lo, a.hi, s.lo, s.hi, signed ? "1" : "0"));
  b.raiseIf(`!${ok}`, DE);
  b.emit(`${a.lo}=WIDE[0];${a.hi}=WIDE[1];${d.lo}=WIDE[2];${d.hi}=WIDE[3];`);
};

// Bits.

const bitTest = (operator: string | undefined): Semantic => (b) => {
  const d = b.read64(0), n = b.let(`${b.read64(1).lo}&63`);
  const m = bind(b, `${n}>31?0:1<<${n}`, `${n}>31?1<<${n}:0`);
  if (operator !== undefined) {
    const op = operator === "clear" ? "&~" : operator;
    b.write64(0, `${d.lo}${op}${m.lo}`, `${d.hi}${op}${m.hi}`);
  }
  b.setCarry(`(((${d.lo}&${m.lo})|(${d.hi}&${m.hi}))!==0?1:0)`);
};

const bitScan = (forward: boolean): Semantic => (b) => {
  const s = b.read64(1);
  b.emit(`if((${s.lo}|${s.hi})!==0){`);
  const [first, second] = forward ? [s.lo, s.hi] : [s.hi, s.lo];
  const base = forward ? ["", "32+"] : ["32+", ""];
  const name = forward ? "bitScanForward" : "bitScanReverse";
  b.write64(
    0,
    `(${first}!==0?${base[0]}${b.pure(name, first)}:${base[1]}${b.pure(name, second)})`,
    "0",
  );
  b.emit("}");
  b.flags64(s);
};

// Conversions.

const cmov = (cc: string): Semantic => (b) => {
  const s = b.read64(1), d = b.read64(0), taken = b.let(b.condition(cc));
  b.write64(0, `(${taken}?${s.lo}:${d.lo})`, `(${taken}?${s.hi}:${d.hi})`);
};

const cbw: Semantic = (b) => b.emit(`${b.gpr64(0).hi}=${b.gpr64(0).lo}>>31;`);
const cwd: Semantic = (b) => b.emit(`${b.gpr64(2).lo}=${b.gpr64(2).hi}=${b.gpr64(0).hi}>>31;`);

// Stack and near transfers.

const push: Semantic = (b) => {
  const s = b.read64(0);
  b.push64(s.lo, s.hi);
};

const pop: Semantic = (b) => {
  const value = b.pop64();
  b.popCommit();
  b.write64(0, value.lo, value.hi);
};

const popMemory: Semantic = (b) => {
  const value = b.pop64();
  b.write64(0, value.lo, value.hi);
  b.popCommit();
};

/** A near transfer to where bits 63 to 47 differ is #GP(0), before anything else happened (SDM vol. 2, CALL, JMP, RET). */
const checkTarget = (b: Binder, hi: Expr) => b.raiseIf(`((${hi}>>15)+1)>>>0>1`, GP);

const call: Semantic = (b) => {
  const to = b.target64();
  b.push64(b.next64.lo, b.next64.hi);
  b.jumpTo64(to.lo, to.hi);
};

const callNear: Semantic = (b) => {
  const to = b.read64(0);
  checkTarget(b, to.hi);
  b.push64(b.next64.lo, b.next64.hi);
  b.jumpTo64(to.lo, to.hi);
};

const ret: Semantic = (b) => {
  const to = b.pop64();
  checkTarget(b, to.hi);
  b.popCommit(b.variant.form.operands.length > 0 ? b.read(0) : undefined);
  b.jumpTo64(to.lo, to.hi);
};

const leave: Semantic = (b) => {
  const frame = b.gpr64(5), stack = b.gpr64(4);
  const old = bind(b, frame.lo, frame.hi);
  const value = b.pop64(old);
  const sum = b.let(`(${old.lo}+8)|0`);
  b.emit(`${stack.lo}=${sum};${stack.hi}=(${old.hi}+((${sum}>>>0)<8?1:0))|0;`);
  b.emit(`${frame.lo}=${value.lo};${frame.hi}=${value.hi};`);
};

const counted = (decrement: boolean, condition: (b: Binder) => Expr): Semantic => (b) => {
  const c = b.gpr64(1), step = decrement ? 1 : 0;
  const lo = b.let(`(${c.lo}-${step})|0`);
  const hi = b.let(`${b.addressSize}===64?(${c.hi}-(${c.lo}===0?${step}:0))|0:0`);
  const taken = b.let(`((${lo}|${hi})${decrement ? "!==" : "==="}0)&&${condition(b)}`);
  b.jumpRelative(
    taken,
    decrement ? () => b.emit(`${c.lo}=${lo};${c.hi}=${hi};`) : undefined,
  );
};

/** Semantics of the 64-bit operand size by the names of the table. */
export const SEMANTICS64: Record<string, Semantic> = {
  ...BIT_SEMANTICS64,
  add: arithmetic(sum),
  adc: arithmetic(sum, { carry: true }),
  sub: arithmetic(difference),
  sbb: arithmetic(difference, { carry: true }),
  cmp: arithmetic(difference, { compare: true }),
  and: logic("&"),
  or: logic("|"),
  xor: logic("^"),
  test: logic("&", false),
  inc: increment(sum),
  dec: increment(difference),
  not,
  neg,
  mov,
  movzx,
  movsx,
  movsxd: movsx,
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
  imul1: mul(true),
  mul: mul(false),
  div: div(false),
  idiv: div(true),
  bt: bitTest(undefined),
  bts: bitTest("|"),
  btr: bitTest("clear"),
  btc: bitTest("^"),
  bsf: bitScan(true),
  bsr: bitScan(false),
  cbw,
  cwd,
  push,
  pop,
  pop_mem: popMemory,
  call,
  call_near: callNear,
  jmp_near: (b) => {
    const to = b.read64(0);
    checkTarget(b, to.hi);
    b.jumpTo64(to.lo, to.hi);
  },
  ret,
  leave,
  loop: counted(true, () => "true"),
  loope: counted(true, (b) => b.condition("z")),
  loopne: counted(true, (b) => b.condition("nz")),
  jcxz: counted(false, () => "true"),
  ...Object.fromEntries(CONDITIONS.map((cc) => [`cmov${cc}`, cmov(cc)])),
};
