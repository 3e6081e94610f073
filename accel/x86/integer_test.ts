import { assertEquals } from "@std/assert";
import { PURE } from "./integer.ts";

/** Doublewords at all edges, and some between. */
const WORDS = [0, 1, 2, 3, 7, 0x20, 0xffff, 0x10000, 0x1fffff, 0x200000, 0x200001, 0x7ffffffe]
  .flatMap((n) => [n, -n | 0, ~n]).concat([0x12345678, 0x9e3779b1 | 0, 0x7ffffff0, 0x55555555]);
const unsigned = (n: number) => BigInt(n >>> 0);
const signed = (n: number) => BigInt(n | 0);

Deno.test("the quotient of 64 by 32 bits is exact wherever it fits", () => {
  let fit = 0;
  for (const high of WORDS) {
    for (const divisor of WORDS) {
      // Dividends of all kinds, multiples of the divisor, and what lies beside those.
      const multiples = WORDS.flatMap((q) => {
        const product = unsigned(q) * unsigned(divisor);
        return [-1n, 0n, 1n].map((by) => BigInt.asUintN(64, product + by));
      });
      const plain = WORDS.map((low) => (unsigned(high) << 32n) | unsigned(low));
      for (const dividend of [...multiples, ...plain]) {
        const h = Number(dividend >> 32n) | 0, l = Number(dividend & 0xffffffffn) | 0;
        if (dividend >> 32n < unsigned(divisor)) {
          assertEquals(
            PURE.divide64(h, l, divisor),
            Number(BigInt.asIntN(32, dividend / unsigned(divisor))),
          );
          fit++;
        }
        if (divisor === 0) continue;
        const quotient = BigInt.asIntN(64, dividend) / signed(divisor);
        const fits = quotient === BigInt.asIntN(32, quotient);
        assertEquals(PURE.idivides64(h, l, divisor), fits, `${dividend} by ${divisor}`);
        if (fits) assertEquals(PURE.idivide64(h, l, divisor), Number(quotient));
      }
    }
  }
  assertEquals(fit > 50_000, true);
});

Deno.test("the high half of a product of doublewords is exact", () => {
  for (const a of WORDS) {
    for (const b of WORDS) {
      assertEquals(
        PURE.mulHigh(a, b),
        Number(BigInt.asIntN(32, (unsigned(a) * unsigned(b)) >> 32n)),
      );
    }
  }
});
