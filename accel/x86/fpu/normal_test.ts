import { assertEquals } from "@std/assert";
import * as F from "./softfloat.ts";
import { addNormal, divNormal, mulNormal, ROOT, sqrtNormal, squareRoot } from "./normal.ts";

let state = 4711;
function word(): number {
  state = (Math.imul(state, 1664525) + 1013904223) | 0;
  return state ^ (state >>> 15);
}

/** A significand's low word: anything, or one that makes for ties and carries. */
function low(): number {
  const way = (word() >>> 8) % 4;
  return way === 0 ? word() : way === 1 ? 0 : way === 2 ? -1 : 1 << (word() >>> 27);
}

const R = new Int32Array(16);

/** A number, mostly normal, whose exponent lies within `spread` of 16383. */
function number(at: number, spread: number): void {
  R[at] = low();
  R[at + 1] = low() | 0x80000000;
  let e = 16383 + ((word() >>> 8) % (2 * spread + 1)) - spread;
  if ((word() >>> 8) % 50 === 0) e = [0, 0x7fff, 1, 0x7ffe][(word() >>> 8) % 4];
  R[at + 2] = e | (word() & 0x8000);
}

/** What softfloat makes of an operation, as words and flags; the exception flags PE and C1 only. */
function expected(operation: () => number): { words: number[]; flags: number; normal: boolean } {
  F.unpack80(F.A, R, 0);
  F.unpack80(F.B, R, 4);
  const special = operation();
  const flags = F.W[F.Z + F.CLS] === F.FINITE ? F.roundZ(64, -16382, F.NEAREST, 0) : 0;
  F.pack80(R, 12);
  const e = R[14] & 0x7fff;
  const normal = special === 0 && e !== 0 && e !== 0x7fff && (flags & ~(F.PE | F.C1)) === 0;
  return { words: [R[12], R[13], R[14]], flags, normal };
}

const OPERATIONS: [string, () => number, () => number][] = [
  ["+", () => F.add(0, F.NEAREST), () => addNormal(R, 8, 0, 4, 0)],
  ["-", () => F.add(1, F.NEAREST), () => addNormal(R, 8, 0, 4, 0x8000)],
  ["*", () => F.mul(), () => mulNormal(R, 8, 0, 4)],
  ["/", () => F.div(), () => divNormal(R, 8, 0, 4)],
];

for (const [name, reference, direct] of OPERATIONS) {
  Deno.test(`x ${name} y of normal numbers is what softfloat gives, or is left to it`, () => {
    let done = 0;
    for (let i = 0; i < 60_000; i++) {
      const spread = [0, 1, 40, 70, 16380][i % 5];
      number(0, spread);
      number(4, spread);
      if (i % 7 === 0) R.copyWithin(4, 0, 2);
      R.fill(0, 8, 11);
      const { words, flags, normal } = expected(reference);
      const text = [...R.subarray(0, 8)].map((w) => (w >>> 0).toString(16)).join(" ");
      const got = direct();
      if (got < 0) {
        assertEquals([...R.subarray(8, 11)], [0, 0, 0], text);
        continue;
      }
      assertEquals(normal, true, text);
      assertEquals([...R.subarray(8, 11), got], [...words, flags], text);
      done++;
    }
    assertEquals(done > 30_000, true, `${done}`);
  });
}

Deno.test("Square roots of 128-bit numbers are exact to the last bit, and say what lies beyond", () => {
  const big = (w: number) => BigInt(w >>> 0);
  for (let i = 0; i < 40_000; i++) {
    const x3 = low() | (i & 1 ? 0x80000000 : 0x40000000), x2 = low(), x1 = i % 3 === 0 ? 0 : low();
    const x = (big(x3) << 96n) | (big(x2) << 64n) | (big(x1) << 32n);
    squareRoot(x3, x2, x1);
    const root = (big(ROOT[0]) << 32n) | big(ROOT[1]), rest = x - root * root;
    assertEquals(rest >= 0n && rest <= 2n * root, true, `${x} ${root}`);
    assertEquals(ROOT[2], rest === 0n ? 0 : rest > root ? 0x80000001 | 0 : 1, `${x}`);
  }
});

Deno.test("Square roots of normal numbers are what softfloat gives", () => {
  for (let i = 0; i < 20_000; i++) {
    number(0, i % 2 === 0 ? 2 : 16380);
    const { words, flags } = expected(() => F.sqrt());
    const got = sqrtNormal(R, 8, 0), e = R[2] & 0x7fff;
    assertEquals(got < 0, (R[2] & 0x8000) !== 0 || e === 0 || e === 0x7fff);
    if (got >= 0) assertEquals([...R.subarray(8, 11), got], [...words, flags]);
  }
});
