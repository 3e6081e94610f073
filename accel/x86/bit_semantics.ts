/**
 * What the bit-manipulation instructions mean (POPCNT, LZCNT, BMI1, BMI2, ADX, MOVBE, CRC32), on operands of
 * up to 32 bits and of 64. Flags that the manual leaves undefined follow the result.
 */
import type { Binder, Expr, Semantic, Wide } from "./binder.ts";
import { bind, left, productHigh, right, rotated, swap } from "./wide_text.ts";

// Counts. CF and ZF tell of them, or ZF alone.

/** POPCNT clears all flags but ZF, PF too: FR is 0 or 1, and its parity is corrected. */
const populationFlags = (b: Binder, some: Expr) => {
  const fr = b.let(`${some}?1:0`);
  b.flagsWhole(fr, `(${fr}^1)<<8`);
};

const popcnt: Semantic = (b) => {
  const s = b.read(1);
  b.write(0, b.pure("populationCount", s));
  populationFlags(b, `${s}!==0`);
};

const popcnt64: Semantic = (b) => {
  const s = b.read64(1);
  b.write64(0, `${b.pure("populationCount", s.lo)}+${b.pure("populationCount", s.hi)}`, "0");
  populationFlags(b, `(${s.lo}|${s.hi})!==0`);
};

/** CF is set where there was no bit to find. */
const countFlags = (b: Binder, count: Expr, none: Expr) =>
  b.flagsWhole(count, `${none}?-1073741824:0`);

const lzcnt: Semantic = (b) => {
  const w = b.width(0), s = b.read(1);
  const n = b.let(w === 32 ? `Math.clz32(${s})` : `Math.clz32(${s})-${32 - w}`);
  b.write(0, n);
  countFlags(b, n, `${s}===0`);
};

const lzcnt64: Semantic = (b) => {
  const { lo, hi } = b.read64(1);
  const n = b.let(`${hi}!==0?Math.clz32(${hi}):32+Math.clz32(${lo})`);
  b.write64(0, n, "0");
  countFlags(b, n, `(${lo}|${hi})===0`);
};

const tzcnt: Semantic = (b) => {
  const w = b.width(0), s = b.read(1);
  const n = b.let(`${s}===0?${w}:31-Math.clz32(${s}&-${s})`);
  b.write(0, n);
  countFlags(b, n, `${s}===0`);
};

const tzcnt64: Semantic = (b) => {
  const { lo, hi } = b.read64(1);
  const n = b.let(
    `${lo}!==0?31-Math.clz32(${lo}&-${lo}):${hi}!==0?63-Math.clz32(${hi}&-${hi}):64`,
  );
  b.write64(0, n, "0");
  countFlags(b, n, `(${lo}|${hi})===0`);
};

// BMI1.

const andn: Semantic = (b) => {
  const x = b.read(1), y = b.read(2), r = b.let(`~${x}&${y}`);
  b.write(0, r);
  b.flagsLogic(r, 32);
};

const andn64: Semantic = (b) => {
  const x = b.read64(1), y = b.read64(2), r = bind(b, `~${x.lo}&${y.lo}`, `~${x.hi}&${y.hi}`);
  b.write64(0, r.lo, r.hi);
  b.flags64(r);
};

/** The lowest `n` bits of a value; all of them from its width on. */
const low = (value: Expr, n: Expr): Expr => `(${n}<32?${value}&((1<<${n})-1):${value})`;
const low64 = (b: Binder, d: Wide, n: Expr): Wide =>
  bind(
    b,
    low(d.lo, n),
    `${n}<33?0:${n}<64?${d.hi}&((1<<(${n}-32))-1):${d.hi}`,
  );

const bextr: Semantic = (b) => {
  const s = b.read(1), control = b.read(2);
  const from = b.let(`${control}&255`), n = b.let(`(${control}>>>8)&255`);
  const shifted = b.let(`${from}>31?0:${s}>>>${from}`), r = b.let(`${low(shifted, n)}|0`);
  b.write(0, r);
  b.flagsLogic(r, 32);
};

const bextr64: Semantic = (b) => {
  const s = b.read64(1), control = b.read64(2).lo;
  const from = b.let(`${control}&255`), n = b.let(`(${control}>>>8)&255`);
  const by = right(b, s, b.let(`${from}&63`), "0", false);
  const shifted = bind(b, `${from}>63?0:${by.lo}`, `${from}>63?0:${by.hi}`);
  const r = low64(b, shifted, n);
  b.write64(0, r.lo, r.hi);
  b.flags64(r);
};

const bzhi: Semantic = (b) => {
  const s = b.read(1), n = b.let(`${b.read(2)}&255`), r = b.let(low(s, n));
  b.write(0, r);
  const over = b.let(`${n}>31?1:0`);
  b.flagsShift(r, 32, over, over);
};

const bzhi64: Semantic = (b) => {
  const s = b.read64(1), n = b.let(`${b.read64(2).lo}&255`), r = low64(b, s, n);
  b.write64(0, r.lo, r.hi);
  const over = b.let(`${n}>63?1:0`);
  b.flagsShift64(r, over, over);
};

/** BLSI, BLSMSK and BLSR: `zero` is CF for a source of zero. */
const lowest = (make: (s: Expr) => Expr, zero: boolean): Semantic => (b) => {
  const s = b.read(1), r = b.let(make(s)), cf = b.let(`${s}===0?${zero ? "1:0" : "0:1"}`);
  b.write(0, r);
  b.flagsShift(r, 32, cf, cf);
};

/** The same with source minus one, or minus the source, at hand. */
const lowest64 = (
  make: (s: Wide, other: Wide) => Wide,
  negated: boolean,
  zero: boolean,
): Semantic =>
(b) => {
  const s = b.read64(1);
  const other = negated
    ? bind(b, `(-${s.lo})|0`, `(~${s.hi}+(${s.lo}===0?1:0))|0`)
    : bind(b, `(${s.lo}-1)|0`, `(${s.hi}-(${s.lo}===0?1:0))|0`);
  const made = make(s, other), r = bind(b, made.lo, made.hi);
  const cf = b.let(`(${s.lo}|${s.hi})===0?${zero ? "1:0" : "0:1"}`);
  b.write64(0, r.lo, r.hi);
  b.flagsShift64(r, cf, cf);
};

const each = (operator: string) => (s: Wide, t: Wide): Wide => ({
  lo: `${s.lo}${operator}${t.lo}`,
  hi: `${s.hi}${operator}${t.hi}`,
});

// BMI2: no flags but BZHI's.

const mulx: Semantic = (b) => {
  const s = b.read(2), d = b.let(b.gpr(2));
  const high = productHigh(b, d, s, false);
  // Of two destinations that are one the high half stays.
  b.write(1, `Math.imul(${d},${s})`);
  b.write(0, high);
};

const mulx64: Semantic = (b) => {
  const s = b.read64(2), d = b.gpr64(2);
  b.emit(`${b.pure("multiply128", d.lo, d.hi, s.lo, s.hi, "0")};`);
  b.write64(1, "WIDE[0]", "WIDE[1]");
  b.write64(0, "WIDE[2]", "WIDE[3]");
};

const scatter = (name: string): Semantic => (b) => {
  const s = b.read(1), mask = b.read(2);
  b.write(0, b.pure(name, s, mask));
};

const scatter64 = (name: string): Semantic => (b) => {
  const s = b.read64(1), mask = b.read64(2);
  b.emit(`${b.pure(name, s.lo, s.hi, mask.lo, mask.hi)};`);
  b.write64(0, "WIDE[0]", "WIDE[1]");
};

const rorx: Semantic = (b) => {
  const s = b.read(1), n = b.let(`${b.read(2)}&31`);
  b.write(0, `${s}>>>${n}|${s}<<(32-${n})`);
};

const rorx64: Semantic = (b) => {
  const s = b.read64(1), r = rotated(b, s, b.let(`(64-${b.read(2)})&63`));
  b.write64(0, r.lo, r.hi);
};

const shift = (operator: string): Semantic => (b) => {
  const s = b.read(1), n = b.read(2);
  b.write(0, `${s}${operator}(${n}&31)`);
};

const shift64 = (toLeft: boolean, arithmetic: boolean): Semantic => (b) => {
  const s = b.read64(1), n = b.let(`${b.read64(2).lo}&63`);
  const r = toLeft ? left(b, s, n) : right(b, s, n, arithmetic ? `${s.hi}>>31` : "0", arithmetic);
  b.write64(0, r.lo, r.hi);
};

// ADX: one of the two carries, and no other flag.

/** OF as 0 or 1, and how it is set: it is the difference of the two topmost carries. */
const overflow = (b: Binder): Expr => `((${b.FC}^(${b.FC}<<1))>>>31)`;
const setOverflow = (b: Binder, value: Expr) =>
  b.emit(`if(${overflow(b)}!==(${value}))${b.FC}^=1073741824;`);

const carryVector = (d: Expr, s: Expr, r: Expr): Expr => `((${d}&${s})|((${d}|${s})&~${r}))>>>31`;

const addWith = (useOverflow: boolean): Semantic => (b) => {
  const d = b.read(0), s = b.read(1);
  const r = b.let(`(${d}+${s}+${useOverflow ? overflow(b) : b.carry})|0`);
  const out = b.let(carryVector(d, s, r));
  b.write(0, r);
  if (useOverflow) setOverflow(b, out);
  else b.setCarry(out);
};

const addWith64 = (useOverflow: boolean): Semantic => (b) => {
  const d = b.read64(0), s = b.read64(1);
  const lo = b.let(`(${d.lo}+${s.lo}+${useOverflow ? overflow(b) : b.carry})|0`);
  const hi = b.let(`(${d.hi}+${s.hi}+(${carryVector(d.lo, s.lo, lo)}))|0`);
  const out = b.let(carryVector(d.hi, s.hi, hi));
  b.write64(0, lo, hi);
  if (useOverflow) setOverflow(b, out);
  else b.setCarry(out);
};

// MOVBE and CRC32.

const movbe: Semantic = (b) => {
  const s = b.read(1);
  b.write(0, b.width(0) === 16 ? `${s}<<8|${s}>>>8` : swap(s));
};

const movbe64: Semantic = (b) => {
  const s = b.read64(1);
  b.write64(0, swap(s.hi), swap(s.lo));
};

const crc32: Semantic = (b) => {
  const d = b.read(0), s = b.read(1);
  b.write(0, b.pure("crc32c", d, s, `${b.width(1) / 8}`));
};

/** The destination's upper half becomes zero. */
const crc3264: Semantic = (b) => {
  const d = b.read64(0);
  if (b.width(1) === 64) {
    const s = b.read64(1), first = b.let(b.pure("crc32c", d.lo, s.lo, "4"));
    b.write64(0, b.pure("crc32c", first, s.hi, "4"), "0");
  } else b.write64(0, b.pure("crc32c", d.lo, b.read(1), `${b.width(1) / 8}`), "0");
};

/** By the names of the table. */
export const BIT_SEMANTICS: Record<string, Semantic> = {
  popcnt,
  lzcnt,
  tzcnt,
  andn,
  bextr,
  bzhi,
  blsi: lowest((s) => `${s}&-${s}`, false),
  blsmsk: lowest((s) => `(${s}-1)^${s}`, true),
  blsr: lowest((s) => `(${s}-1)&${s}`, true),
  mulx,
  pdep: scatter("deposit"),
  pext: scatter("extract"),
  rorx,
  sarx: shift(">>"),
  shlx: shift("<<"),
  shrx: shift(">>>"),
  adcx: addWith(false),
  adox: addWith(true),
  movbe,
  crc32,
};

/** The same on operands of 64 bits. */
export const BIT_SEMANTICS64: Record<string, Semantic> = {
  popcnt: popcnt64,
  lzcnt: lzcnt64,
  tzcnt: tzcnt64,
  andn: andn64,
  bextr: bextr64,
  bzhi: bzhi64,
  blsi: lowest64(each("&"), true, false),
  blsmsk: lowest64(each("^"), false, true),
  blsr: lowest64(each("&"), false, true),
  mulx: mulx64,
  pdep: scatter64("deposit64"),
  pext: scatter64("extract64"),
  rorx: rorx64,
  sarx: shift64(false, true),
  shlx: shift64(true, false),
  shrx: shift64(false, false),
  adcx: addWith64(false),
  adox: addWith64(true),
  movbe: movbe64,
  crc32: crc3264,
};
