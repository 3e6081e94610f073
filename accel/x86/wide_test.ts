import { assertEquals } from "@std/assert";
import { divide128, fits64, multiply128, WIDE } from "./wide.ts";

const EDGES = [0n, 1n, 2n, 3n, 0x7fffffffn, 0x80000000n, 0xffffffffn, 0x100000000n, 1n << 52n];
const NUMBERS = [...EDGES, (1n << 62n) + 5n, (1n << 63n) - 1n, 1n << 63n, (1n << 64n) - 1n];

let state = 12345;
function word(): bigint {
  state = (Math.imul(state, 1664525) + 1013904223) | 0;
  return BigInt(state >>> 0);
}

/** A number of 64 bits: an edge, one close to it, or any of some length. */
function number(): bigint {
  const way = word() >> 8n;
  const edge = NUMBERS[Number(way % BigInt(NUMBERS.length))];
  if (way % 3n === 0n) return edge;
  if (way % 3n === 1n) return BigInt.asUintN(64, edge - (word() >> 28n));
  return ((word() << 32n) | word()) >> (word() >> 26n);
}

const low = (n: bigint) => Number(BigInt.asIntN(32, n)), high = (n: bigint) => low(n >> 32n);
const signed = (n: bigint) => BigInt.asIntN(64, n);
const quadword = (i: number) =>
  BigInt.asUintN(64, (BigInt(WIDE[i + 1]) << 32n) | BigInt(WIDE[i] >>> 0));

Deno.test("Products of 64-bit numbers have 128 bits, signed or not, and it is known whether they fit 64", () => {
  for (let i = 0; i < 20_000; i++) {
    const a = number(), b = number();
    multiply128(low(a), high(a), low(b), high(b), 0);
    assertEquals((quadword(2) << 64n) | quadword(0), a * b, `${a} * ${b}`);
    const product = signed(a) * signed(b);
    multiply128(low(a), high(a), low(b), high(b), 1);
    assertEquals(
      BigInt.asIntN(128, (quadword(2) << 64n) | quadword(0)),
      product,
      `${signed(a)} * ${signed(b)}`,
    );
    const fits = signed(product) === product ? 1 : 0;
    assertEquals(fits64(low(a), high(a), low(b), high(b)), fits, `${signed(a)} * ${signed(b)}`);
  }
});

Deno.test("Quotients of 128 by 64 bits are exact with their remainders, or do not fit", () => {
  let fitting = 0;
  for (let i = 0; i < 40_000; i++) {
    const d = number(), top = i % 2 === 0 ? 0n : d === 0n ? 1n : number() % (d + (d >> 4n) + 1n);
    const l = number(), n = (top << 64n) | l;
    for (const isSigned of [false, true]) {
      const dividend = isSigned ? BigInt.asIntN(128, i % 4 === 3 ? -n : n) : n;
      const divisor = isSigned ? signed(d) : d, h = BigInt.asUintN(64, dividend >> 64n);
      const ll = BigInt.asUintN(64, dividend);
      const q = divisor === 0n ? 1n << 70n : dividend / divisor;
      const fits = isSigned ? signed(q) === q : BigInt.asUintN(64, q) === q;
      const text = `${dividend} / ${divisor}`;
      const ok = divide128(low(h), high(h), low(ll), high(ll), low(d), high(d), isSigned ? 1 : 0);
      assertEquals(ok, fits, text);
      if (!fits) continue;
      fitting++;
      assertEquals(quadword(0), BigInt.asUintN(64, q), text);
      assertEquals(quadword(2), BigInt.asUintN(64, dividend % divisor), text);
    }
  }
  assertEquals(fitting > 20_000, true, `${fitting}`);
});
