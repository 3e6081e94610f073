import { assertEquals } from "@std/assert";
import * as F from "./softfloat.ts";

const view = new DataView(new ArrayBuffer(8));
const out = new Int32Array(4);

/** A small generator of doubles whose exponents meet the interesting cases often. */
function doubles(count: number): [number, number][] {
  let seed = 12345;
  const next = () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) | 0;
    return seed >>> 0;
  };
  const word = () => ((next() >>> 16) << 16) | (next() >>> 16);
  const one = () => {
    const kind = next() >>> 28;
    const e = kind === 0
      ? next() >>> 21
      : kind === 1
      ? 0
      : kind === 2
      ? 2046
      : 1023 + (next() >>> 28) - 8;
    view.setUint32(0, ((word() & 0x800fffff) | (e << 20)) >>> 0);
    view.setUint32(4, kind > 9 ? 0 : word() >>> 0);
    return view.getFloat64(0);
  };
  return Array.from({ length: count }, () => [one(), one()]);
}

function unpack(slot: number, value: number): void {
  view.setFloat64(0, value);
  F.unpack64(slot, view.getInt32(4), view.getInt32(0), false);
}

/** Z rounded to a double, to nearest. */
function rounded(): number {
  if (F.W[F.Z + F.CLS] === F.FINITE) F.roundZ(53, -1022, F.NEAREST, 0);
  F.pack64(out, 0);
  view.setInt32(4, out[0]);
  view.setInt32(0, out[1]);
  return view.getFloat64(0);
}

Deno.test("Softfloat agrees with the host's doubles on sums, products, quotients and roots", () => {
  for (const [a, b] of doubles(20000)) {
    if (!Number.isFinite(a) || !Number.isFinite(b)) continue;
    const check = (name: string, operation: () => void, want: number) => {
      unpack(F.A, a);
      unpack(F.B, b);
      operation();
      const got = rounded();
      if (Number.isNaN(want)) assertEquals(F.W[F.Z + F.CLS], F.QNAN, name);
      else assertEquals(got, want, `${a} ${name} ${b}`);
    };
    check("+", () => F.add(0, F.NEAREST), a + b);
    check("-", () => F.add(1, F.NEAREST), a - b);
    check("*", () => F.mul(), a * b);
    check("/", () => F.div(), a / b);
    check("sqrt", () => F.sqrt(), Math.sqrt(a));
  }
});

Deno.test("Softfloat compares as the host does", () => {
  for (const [a, b] of doubles(5000)) {
    if (Number.isNaN(a) || Number.isNaN(b)) continue;
    unpack(F.A, a);
    unpack(F.B, b);
    assertEquals(F.compare(), a < b ? -1 : a > b ? 1 : 0, `${a} ${b}`);
  }
});

Deno.test("Rounding to an integer follows the mode and tells what it did", () => {
  const round = (value: number, rc: number) => {
    unpack(F.A, value);
    const flags = F.roundToInteger(rc);
    return [rounded(), flags];
  };
  assertEquals(round(2.5, F.NEAREST), [2, F.PE]);
  assertEquals(round(3.5, F.NEAREST), [4, F.PE | F.C1]);
  assertEquals(round(-2.5, F.DOWN), [-3, F.PE | F.C1]);
  assertEquals(round(-2.5, F.UP), [-2, F.PE]);
  assertEquals(round(2.25, F.UP), [3, F.PE | F.C1]);
  assertEquals(round(-0.75, F.TRUNCATE), [-0, F.PE]);
  assertEquals(round(2 ** 60, F.UP), [2 ** 60, 0]);
});

Deno.test("Integers that do not fit are invalid, the most negative one fits", () => {
  const convert = (value: number, bits: number) => {
    unpack(F.A, value);
    const flags = F.toInteger(bits, F.NEAREST, out, 0);
    return flags === F.IE ? "invalid" : out[0];
  };
  assertEquals(convert(32767.4, 16), 32767);
  assertEquals(convert(32767.5, 16), "invalid");
  assertEquals(convert(-32768.5, 16), -32768);
  assertEquals(convert(-2147483648, 32), -2147483648);
  assertEquals(convert(2147483648, 32), "invalid");
  assertEquals(convert(NaN, 64), "invalid");
  assertEquals(convert(-(2 ** 63), 64), 0);
  assertEquals(out[1], -2147483648);
});

Deno.test("A result just below the normal range is tiny only if it stays there with any exponent", () => {
  // 2^-126 * (1 - 2^-25) rounds up to the smallest normal single, with or without a bound.
  const flags = (low: number) => {
    F.setZ(F.FINITE, 0);
    F.W[F.Z + F.EXP] = -127;
    F.W[F.Z + F.HI] = -1;
    F.W[F.Z + F.LO] = low;
    return F.roundZ(24, -126, F.NEAREST, 0);
  };
  assertEquals(flags(-1), F.PE | F.C1);
  F.setZ(F.FINITE, 0);
  F.W[F.Z + F.EXP] = -127;
  F.W[F.Z + F.HI] = 0xffffff40 | 0;
  assertEquals(F.roundZ(24, -126, F.NEAREST, 0), F.PE | F.UE | F.C1);
});
