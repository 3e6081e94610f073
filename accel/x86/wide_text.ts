/** Text of shifts of 64-bit values in two halves, shared by the semantics. */
import type { Binder, Expr, Wide } from "./binder.ts";

/** Binds both halves. */
export const bind = (b: Binder, lo: Expr, hi: Expr): Wide => ({ lo: b.let(lo), hi: b.let(hi) });

/** d << n for n of 0 to 63: a shift by 32 - n with n = 0 would be by 32, which JavaScript takes as 0. */
export const left = (b: Binder, d: Wide, n: Expr): Wide =>
  bind(
    b,
    `(${n}>31?0:${d.lo}<<${n})`,
    `(${n}===0?${d.hi}:${n}>31?${d.lo}<<${n}:${d.hi}<<${n}|${d.lo}>>>(32-${n}))`,
  );

/** d >> n for n of 0 to 63; `fill` is the high half when all of it is shifted out. */
export const right = (b: Binder, d: Wide, n: Expr, fill: Expr, arithmetic: boolean): Wide => {
  const shift = arithmetic ? ">>" : ">>>";
  return bind(
    b,
    `(${n}===0?${d.lo}:${n}>31?(${d.hi}${shift}${n})|0:${d.lo}>>>${n}|${d.hi}<<(32-${n}))`,
    `(${n}>31?${fill}:(${d.hi}${shift}${n})|0)`,
  );
};

/** d rotated left by n of 0 to 63. */
export const rotated = (b: Binder, d: Wide, n: Expr): Wide => {
  const x = bind(b, `${n}>31?${d.hi}:${d.lo}`, `${n}>31?${d.lo}:${d.hi}`), m = b.let(`${n}&31`);
  return bind(
    b,
    `(${m}===0?${x.lo}:${x.lo}<<${m}|${x.hi}>>>(32-${m}))`,
    `(${m}===0?${x.hi}:${x.hi}<<${m}|${x.lo}>>>(32-${m}))`,
  );
};

/** An expression with its bytes in reverse order. */
export const swap = (e: Expr): Expr => `(${e}<<24|(${e}&65280)<<8|(${e}>>>8)&65280|${e}>>>24)`;

/** Emits the high half of the product of two names, by pieces of 16 bits: no sum has more than 32. */
// hot: bench/microbench, muldiv.
export function productHigh(b: Binder, x: Expr, y: Expr, signed: boolean): Expr {
  const shift = signed ? ">>" : ">>>";
  const [xl, yl] = [x, y].map((e) => b.let(`${e}&65535`));
  const [xh, yh] = [x, y].map((e) => b.let(`${e}${shift}16`));
  const t = b.let(`(Math.imul(${xh},${yl})+(Math.imul(${xl},${yl})>>>16))|0`);
  const u = b.let(`(Math.imul(${xl},${yh})+(${t}&65535))|0`);
  return b.let(`(Math.imul(${xh},${yh})+(${t}${shift}16)+(${u}${shift}16))|0`);
}
