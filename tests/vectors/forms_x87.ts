/** x87 (SDM vol. 2, tables ), with FISTTP of SSE3 and the undocumented aliases that every processor has. */
import type { Builder } from "./builder.ts";
import { f, type Form, type FormOptions } from "./form.ts";
import * as S from "./state_inputs.ts";

const x87: FormOptions = { state: "x87" };
const hex = (n: number): string => n.toString(16).padStart(2, "0").toUpperCase();

/** Puts a number of the operand's kind behind the address. */
function operand(put: (b: Builder) => ArrayLike<number>): FormOptions {
  return {
    state: "x87",
    cases: 150,
    profile: (b) => {
      b.chooseTarget();
      b.patch(b.target, put(b));
      b.targetPatched = true;
    },
  };
}

function le(...words: number[]): Uint8Array {
  const out = new Uint8Array(words.length * 4), view = new DataView(out.buffer);
  words.forEach((w, i) => view.setUint32(i * 4, w, true));
  return out;
}

const asSingle = operand((b) => le(S.single(b.rng)));
const asDouble = operand((b) => {
  const [high, low] = S.double(b.rng);
  return le(low, high);
});
const asExtended = operand((b) => {
  const out = new Uint8Array(10);
  S.putExtended(out, 0, S.extended(b.rng));
  return out;
});
const asInteger = operand((b) =>
  le(b.rng.value(), b.rng.chance(50) ? b.rng.value() : b.rng.next())
);
const asDecimal = operand((b) => {
  const out = Uint8Array.from({ length: 10 }, () => b.rng.below(10) * 16 + b.rng.below(10));
  out[9] = b.rng.pick([0, 0x80, 0x00, 0x80, 0x7f]);
  if (b.rng.chance(20)) out.fill(0, 0, 9);
  return out;
});

/** Sets ST(0), and ST(1) where given, to numbers in the instruction's domain, most of the time. */
function domain(
  st0: (b: Builder) => S.Extended,
  st1?: (b: Builder) => S.Extended,
  always = false,
): FormOptions {
  return {
    state: "x87",
    cases: 300,
    profile: (b) => {
      if (!always && b.rng.chance(15)) return;
      S.setSt(b.fx!, 0, st0(b));
      if (st1 !== undefined) S.setSt(b.fx!, 1, st1(b));
      if (b.rng.chance(90)) b.fx![S.FX_FTW] = 0xff;
    },
  };
}

/** A number below 2^`exponent`, or a special one. */
function below(exponent: number): (b: Builder) => S.Extended {
  return (b) => {
    const value = S.nearOne(b.rng, 0);
    value[0] += exponent - 1 - b.rng.below(b.rng.pick([1, 4, 70]));
    return value;
  };
}

const near = (spread: number) => (b: Builder): S.Extended => S.nearOne(b.rng, spread);
const positive = (spread: number) => (b: Builder): S.Extended => {
  const [e, high, low] = S.nearOne(b.rng, spread);
  return [e & 0x7fff, high, low];
};
/** -1 to 1 inclusive, zeros and tiny numbers among them: outside F2XM1's result is undefined. */
const unit = (b: Builder): S.Extended => {
  if (b.rng.chance(8)) {
    return b.rng.pick([[0, 0, 0], [0x8000, 0, 0], [0x3fff, 0x80000000, 0], [
      0xbfff,
      0x80000000,
      0,
    ]]);
  }
  return below(0)(b);
};
/** Within -(1 - sqrt(1/2)) to sqrt(1/2) - 1... the domain of FYL2XP1 is narrower than a quarter on one side. */
const small = (b: Builder): S.Extended =>
  b.rng.chance(8) ? [b.rng.next() & 0x8000, 0, 0] : below(-2)(b);
/** For FSCALE: a scale that means something. */
const scale = (b: Builder): S.Extended => S.fromInteger(b.rng.range(-100, 100), b.rng.below(3));
/** Far apart or close: FPREM reduces partly or wholly. */
const remainder = (b: Builder): S.Extended => {
  const value = S.nearOne(b.rng, b.rng.pick([2, 20, 62, 70, 500]));
  return value;
};

const ARITHMETIC = ["fadd", "fmul", "fcom", "fcomp", "fsub", "fsubr", "fdiv", "fdivr"];

function arithmetic(): Form[] {
  return ARITHMETIC.flatMap((name, n) => [
    f(`D8 /${n} m`, "Fd", name, asSingle),
    f(`DC /${n} m`, "Fq", name, asDouble),
    f(`DA /${n} m`, "Fd", `fi${name.slice(1)}`, asInteger),
    f(`DE /${n} m`, "Fw", `fi${name.slice(1)}`, asInteger),
    f(`D8 /${n} r`, "Ed", name, { ...x87, cases: 200 }),
    f(`DC /${n} r`, "Ed", name, { ...x87, cases: 200 }),
    ...(n === 3 ? [] : [f(`DE /${n} r`, "Ed", `${name}p`, { ...x87, cases: 200 })]),
  ]);
}

const CONSTANTS = ["fld1", "fldl2t", "fldl2e", "fldpi", "fldlg2", "fldln2", "fldz"];

function transcendental(): Form[] {
  const rows: [number, string, FormOptions][] = [
    [0xf0, "f2xm1", domain(unit, undefined, true)],
    [0xf1, "fyl2x", domain(positive(60), near(10))],
    [0xf2, "fptan", domain(below(4))],
    [0xf3, "fpatan", domain(near(20), near(20))],
    [0xf9, "fyl2xp1", domain(small, near(10), true)],
    [0xfb, "fsincos", domain(below(4))],
    [0xfe, "fsin", domain(below(4))],
    [0xff, "fcos", domain(below(4))],
  ];
  return rows.map(([op, name, options]) =>
    f(`D9 ${hex(op)}`, "", name, { ...options, tolerance: "x87" })
  );
}

const IN_ST0: [number, string, FormOptions][] = [
  [0xd0, "fnop", x87],
  [0xe0, "fchs", x87],
  [0xe1, "fabs", x87],
  [0xe4, "ftst", x87],
  [0xe5, "fxam", { ...x87, cases: 200 }],
  [0xf4, "fxtract", { ...x87, cases: 200 }],
  [0xf5, "fprem1", domain(remainder, remainder)],
  [0xf6, "fdecstp", x87],
  [0xf7, "fincstp", x87],
  [0xf8, "fprem", domain(remainder, remainder)],
  [0xfa, "fsqrt", domain(positive(100))],
  [0xfc, "frndint", domain(near(66))],
  [0xfd, "fscale", domain(near(20), scale)],
];

/** A control word with unmasked exceptions that are pending, or none. */
const controlWord = operand((b) => le(0x40 | (b.rng.next() & 0xfff)));

/** A whole environment whose words are all valid. */
function environment(b: Builder): number[] {
  const { rng } = b, wide = b.operandSize === 32;
  let control = 0x40 | (rng.next() & 0xf3f) | (rng.chance(70) ? 0x3f : 0);
  if ((control & 0x300) === 0x100) control |= 0x200;
  let status = rng.next() & 0x7f7f;
  if ((status & ~control & 0x3f) !== 0) status |= 0x8080;
  else status &= ~0x8080;
  const words = [control, status, rng.next() & 0xffff];
  const out: number[] = [];
  for (const w of words) out.push(w & 0xff, w >> 8, ...(wide ? [0xff, 0xff] : []));
  for (let i = out.length; i < (wide ? 28 : 14); i++) out.push(rng.next() & 0xff);
  // The selectors above the pointers: reserved bits zero.
  if (wide) out[19] &= 7;
  return out;
}

const loadEnvironment: FormOptions = {
  ...x87,
  profile: (b) => {
    b.chooseTarget();
    b.patch(b.target, environment(b));
    b.targetPatched = true;
  },
};

const restore: FormOptions = {
  ...x87,
  profile: (b) => {
    b.chooseTarget();
    const bytes = environment(b);
    for (let i = 0; i < 8; i++) {
      const ten = new Uint8Array(10);
      S.putExtended(ten, 0, S.extended(b.rng));
      bytes.push(...ten);
    }
    b.patch(b.target, bytes);
    b.targetPatched = true;
  },
};

/** An FXSAVE image as memory operand; now and then with a reserved MXCSR bit, which is #GP. */
const fxRestore: FormOptions = {
  state: "sse",
  aligned: true,
  profile: (b) => {
    b.chooseTarget();
    const image = S.randomState(b.rng, "x87");
    if (b.rng.chance(8)) image[S.FX_MXCSR + 2] = 1 << b.rng.range(2, 7);
    for (let i = S.FX_USED; i < 512; i++) image[i] = b.rng.next();
    b.patch(b.target, image);
    b.targetPatched = true;
  },
};

/** Every x87 form. */
export const X87_FORMS: readonly Form[] = [
  ...arithmetic(),
  f("D9 /0 m", "Fd", "fld", asSingle),
  f("DD /0 m", "Fq", "fld", asDouble),
  f("DB /5 m", "Ft", "fld", asExtended),
  f("DF /0 m", "Fw", "fild", asInteger),
  f("DB /0 m", "Fd", "fild", asInteger),
  f("DF /5 m", "Fq", "fild", asInteger),
  f("DF /4 m", "Ft", "fbld", asDecimal),
  ...["D9 /2 m", "D9 /3 m"].map((op) => f(op, "Fd", "fst", { ...x87, cases: 200 })),
  ...["DD /2 m", "DD /3 m"].map((op) => f(op, "Fq", "fst", { ...x87, cases: 200 })),
  f("DB /7 m", "Ft", "fstp", x87),
  ...["DB /2 m", "DB /3 m"].map((op) => f(op, "Fd", "fist", { ...domain(near(34)), cases: 200 })),
  ...["DF /2 m", "DF /3 m"].map((op) => f(op, "Fw", "fist", { ...domain(near(18)), cases: 200 })),
  f("DF /7 m", "Fq", "fist", { ...domain(near(66)), cases: 200 }),
  f("DF /6 m", "Ft", "fbstp", { ...domain(near(62)), cases: 250 }),
  f("DB /1 m", "Fd", "fisttp", { ...domain(near(34)), cases: 200 }),
  f("DD /1 m", "Fq", "fisttp", { ...domain(near(66)), cases: 200 }),
  f("DF /1 m", "Fw", "fisttp", { ...domain(near(18)), cases: 200 }),
  f("D9 /0 r", "Ed", "fld", x87),
  f("D9 /1 r", "Ed", "fxch", x87),
  f("D9 /3 r", "Ed", "fstp1", x87),
  f("DC /2 r", "Ed", "fcom2", x87),
  f("DC /3 r", "Ed", "fcomp3", x87),
  f("DD /0 r", "Ed", "ffree", x87),
  f("DD /1 r", "Ed", "fxch4", x87),
  f("DD /2 r", "Ed", "fst", x87),
  f("DD /3 r", "Ed", "fstp", x87),
  f("DD /4 r", "Ed", "fucom", x87),
  f("DD /5 r", "Ed", "fucomp", x87),
  f("DE /2 r", "Ed", "fcomp5", x87),
  f("DE D9", "", "fcompp", { ...x87, cases: 200 }),
  f("DA E9", "", "fucompp", { ...x87, cases: 200 }),
  f("DF /0 r", "Ed", "ffreep", x87),
  f("DF /1 r", "Ed", "fxch7", x87),
  f("DF /2 r", "Ed", "fstp8", x87),
  f("DF /3 r", "Ed", "fstp9", x87),
  ...[0, 1, 2, 3].flatMap((n) => [
    f(`DA /${n} r`, "Ed", "fcmov", x87),
    f(`DB /${n} r`, "Ed", "fcmovn", x87),
  ]),
  f("DB /5 r", "Ed", "fucomi", { ...x87, cases: 200 }),
  f("DB /6 r", "Ed", "fcomi", { ...x87, cases: 200 }),
  f("DF /5 r", "Ed", "fucomip", { ...x87, cases: 200 }),
  f("DF /6 r", "Ed", "fcomip", { ...x87, cases: 200 }),
  ...CONSTANTS.map((name, n) => f(`D9 ${hex(0xe8 + n)}`, "", name, x87)),
  ...IN_ST0.map(([op, name, options]) => f(`D9 ${hex(op)}`, "", name, options)),
  ...transcendental(),
  f("D9 /5 m", "Fw", "fldcw", controlWord),
  f("D9 /7 m", "Fw", "fnstcw", x87),
  f("DD /7 m", "Fw", "fnstsw", x87),
  f("DF E0", "", "fnstsw", x87),
  f("DB E2", "", "fnclex", x87),
  f("DB E3", "", "fninit", x87),
  f("DB E0", "", "fneni", x87),
  f("DB E1", "", "fndisi", x87),
  f("DB E4", "", "fnsetpm", x87),
  f("9B", "", "fwait", x87),
  f("D9 /4 m", "Fe", "fldenv", { ...loadEnvironment, sized: true }),
  f("D9 /6 m", "Fe", "fnstenv", { ...x87, sized: true }),
  f("DD /4 m", "Fs", "frstor", { ...restore, sized: true }),
  f("DD /6 m", "Fs", "fnsave", { ...x87, sized: true }),
  f("NP 0F AE /0 m", "Mx", "fxsave", { state: "x87", aligned: true }),
  f("NP 0F AE /1 m", "Mx", "fxrstor", fxRestore),
];
