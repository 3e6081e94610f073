/** MMX, SSE, SSE2 and SSE3 (SDM vol. 2, tables A-3, B-7 and the instruction reference). */
import type { Builder } from "./builder.ts";
import { f, type Form, type FormOptions } from "./form.ts";
import * as S from "./state_inputs.ts";

const hex = (n: number): string => n.toString(16).padStart(2, "0").toUpperCase();

/** Fills registers and the memory operand with lanes of one kind. */
function filled(kind: S.Lanes, options: FormOptions = {}): FormOptions {
  return {
    state: "sse",
    profile: (b: Builder) => {
      S.setLanes(b.fx!, b.rng, kind);
      memoryLanes(b, kind);
    },
    ...options,
  };
}

function memoryLanes(b: Builder, kind: S.Lanes): void {
  if (!b.variant.memory) return;
  b.chooseTarget();
  b.patch(b.target, S.lanes(b.rng, kind).subarray(0, b.memorySize));
  b.targetPatched = true;
}

/** The same with x87 state that MMX instructions must mind: TOP, tags, pending errors. */
const mmx = filled("int", { state: "mmx" });
const aligned = true;
const int = filled("int", { aligned });
const intLoose = filled("int");

/** Packed integer instructions that exist for MMX (NP) and for XMM (66). */
const PACKED: [number, string][] = [
  [0x60, "punpcklbw"],
  [0x61, "punpcklwd"],
  [0x62, "punpckldq"],
  [0x63, "packsswb"],
  [0x64, "pcmpgtb"],
  [0x65, "pcmpgtw"],
  [0x66, "pcmpgtd"],
  [0x67, "packuswb"],
  [0x68, "punpckhbw"],
  [0x69, "punpckhwd"],
  [0x6a, "punpckhdq"],
  [0x6b, "packssdw"],
  [0x74, "pcmpeqb"],
  [0x75, "pcmpeqw"],
  [0x76, "pcmpeqd"],
  [0xd4, "paddq"],
  [0xd5, "pmullw"],
  [0xd8, "psubusb"],
  [0xd9, "psubusw"],
  [0xda, "pminub"],
  [0xdb, "pand"],
  [0xdc, "paddusb"],
  [0xdd, "paddusw"],
  [0xde, "pmaxub"],
  [0xdf, "pandn"],
  [0xe0, "pavgb"],
  [0xe3, "pavgw"],
  [0xe4, "pmulhuw"],
  [0xe5, "pmulhw"],
  [0xe8, "psubsb"],
  [0xe9, "psubsw"],
  [0xea, "pminsw"],
  [0xeb, "por"],
  [0xec, "paddsb"],
  [0xed, "paddsw"],
  [0xee, "pmaxsw"],
  [0xef, "pxor"],
  [0xf4, "pmuludq"],
  [0xf5, "pmaddwd"],
  [0xf6, "psadbw"],
  [0xf8, "psubb"],
  [0xf9, "psubw"],
  [0xfa, "psubd"],
  [0xfb, "psubq"],
  [0xfc, "paddb"],
  [0xfd, "paddw"],
  [0xfe, "paddd"],
];

const SHIFTS: [number, string][] = [
  [0xd1, "psrlw"],
  [0xd2, "psrld"],
  [0xd3, "psrlq"],
  [0xe1, "psraw"],
  [0xe2, "psrad"],
  [0xf1, "psllw"],
  [0xf2, "pslld"],
  [0xf3, "psllq"],
];

/** Counts mostly below the lane's width. */
function count(state: "mmx" | "sse"): FormOptions {
  return {
    state,
    aligned: state === "sse",
    profile: (b) => {
      S.setLanes(b.fx!, b.rng, "int");
      const bytes = new Uint8Array(16), high = b.rng.chance(8) ? 1 << b.rng.below(8) : 0;
      bytes[0] = b.rng.below(b.rng.pick([17, 34, 66, 256]));
      bytes[b.rng.range(1, 7)] |= high;
      if (state === "sse") bytes.set(b.rng.bytes(8), 8);
      if (!b.variant.memory) {
        const at = state === "sse" ? S.FX_XMM + 16 * b.rm : S.FX_ST + 16 * b.rm;
        b.fx!.set(bytes.subarray(0, b.memorySize), at);
      } else {
        b.chooseTarget();
        b.patch(b.target, bytes.subarray(0, b.memorySize));
        b.targetPatched = true;
      }
    },
  };
}

function countImmediate(state: "mmx" | "sse"): FormOptions {
  return {
    state,
    profile: (b) => {
      S.setLanes(b.fx!, b.rng, "int");
      b.immediate = b.rng.below(b.rng.pick([17, 34, 66, 256]));
    },
  };
}

function packed(): Form[] {
  const shiftGroups: [number, number, string][] = [
    [0x71, 2, "psrlw"],
    [0x71, 4, "psraw"],
    [0x71, 6, "psllw"],
    [0x72, 2, "psrld"],
    [0x72, 4, "psrad"],
    [0x72, 6, "pslld"],
    [0x73, 2, "psrlq"],
    [0x73, 6, "psllq"],
  ];
  return [
    ...PACKED.flatMap(([op, name]) => [
      f(`NP 0F ${hex(op)} /r`, op >= 0x60 && op <= 0x62 ? "Qd" : "Qq", name, mmx),
      f(`66 0F ${hex(op)} /r`, "Wdq", name, int),
    ]),
    ...SHIFTS.flatMap(([op, name]) => [
      f(`NP 0F ${hex(op)} /r`, "Qq", name, count("mmx")),
      f(`66 0F ${hex(op)} /r`, "Wdq", name, count("sse")),
    ]),
    ...shiftGroups.flatMap(([op, n, name]) => [
      f(`NP 0F ${hex(op)} /${n} r`, "Nq,Ib", name, countImmediate("mmx")),
      f(`66 0F ${hex(op)} /${n} r`, "Udq,Ib", name, countImmediate("sse")),
    ]),
    f("66 0F 73 /3 r", "Udq,Ib", "psrldq", countImmediate("sse")),
    f("66 0F 73 /7 r", "Udq,Ib", "pslldq", countImmediate("sse")),
    f("66 0F 6C /r", "Wdq", "punpcklqdq", int),
    f("66 0F 6D /r", "Wdq", "punpckhqdq", int),
    f("NP 0F 70 /r", "Qq,Ib", "pshufw", mmx),
    f("66 0F 70 /r", "Wdq,Ib", "pshufd", int),
    f("F2 0F 70 /r", "Wdq,Ib", "pshuflw", int),
    f("F3 0F 70 /r", "Wdq,Ib", "pshufhw", int),
    f("NP 0F C4 /r", "Ew,Ib", "pinsrw", { ...mmx, profile: word }),
    f("66 0F C4 /r", "Ew,Ib", "pinsrw", { ...intLoose, profile: word }),
    f("NP 0F C5 /r r", "Nq,Ib", "pextrw", mmx),
    f("66 0F C5 /r r", "Udq,Ib", "pextrw", intLoose),
    f("NP 0F D7 /r r", "Nq", "pmovmskb", mmx),
    f("66 0F D7 /r r", "Udq", "pmovmskb", intLoose),
    f("NP 0F 77", "", "emms", mmx),
  ];
}

/** PINSRW reads a word of memory. */
function word(b: Builder): void {
  S.setLanes(b.fx!, b.rng, "int");
}

/** Where DI points is where MASKMOV writes. */
function maskMove(b: Builder): void {
  S.setLanes(b.fx!, b.rng, "int");
  b.target = 0x4000 + b.rng.below(0x6000);
  if (b.variant.env === "based" || b.rng.chance(b.variant.env === "seg16" ? 25 : 0)) {
    b.addressSize = b.codeBits === 32 ? 16 : 32;
  }
  b.set(7, b.offsetIn(3, b.target));
}

function moves(): Form[] {
  const s = filled("single"), d = filled("double");
  const sa = filled("single", { aligned }), da = filled("double", { aligned });
  return [
    f("NP 0F 6E /r", "Ed", "movd", mmx),
    f("66 0F 6E /r", "Ed", "movd", intLoose),
    f("NP 0F 7E /r", "Ed", "movd", mmx),
    f("66 0F 7E /r", "Ed", "movd", intLoose),
    f("NP 0F 6F /r", "Qq", "movq", mmx),
    f("NP 0F 7F /r", "Qq", "movq", mmx),
    f("66 0F 6F /r", "Wdq", "movdqa", int),
    f("66 0F 7F /r", "Wdq", "movdqa", int),
    f("F3 0F 6F /r", "Wdq", "movdqu", intLoose),
    f("F3 0F 7F /r", "Wdq", "movdqu", intLoose),
    f("F3 0F 7E /r", "Wq", "movq", intLoose),
    f("66 0F D6 /r", "Wq", "movq", intLoose),
    f("F3 0F D6 /r r", "Nq", "movq2dq", mmx),
    f("F2 0F D6 /r r", "Udq", "movdq2q", { ...mmx, state: "mmx" }),
    f("NP 0F 10 /r", "Wps", "movups", s),
    f("NP 0F 11 /r", "Wps", "movups", s),
    f("66 0F 10 /r", "Wpd", "movupd", d),
    f("66 0F 11 /r", "Wpd", "movupd", d),
    f("F3 0F 10 /r", "Wss", "movss", s),
    f("F3 0F 11 /r", "Wss", "movss", s),
    f("F2 0F 10 /r", "Wsd", "movsd", d),
    f("F2 0F 11 /r", "Wsd", "movsd", d),
    f("NP 0F 12 /r", "Wq", "movlps", s),
    f("66 0F 12 /r m", "Mq", "movlpd", d),
    f("NP 0F 13 /r m", "Mq", "movlps", s),
    f("66 0F 13 /r m", "Mq", "movlpd", d),
    f("NP 0F 16 /r", "Wq", "movhps", s),
    f("66 0F 16 /r m", "Mq", "movhpd", d),
    f("NP 0F 17 /r m", "Mq", "movhps", s),
    f("66 0F 17 /r m", "Mq", "movhpd", d),
    f("NP 0F 28 /r", "Wps", "movaps", sa),
    f("NP 0F 29 /r", "Wps", "movaps", sa),
    f("66 0F 28 /r", "Wpd", "movapd", da),
    f("66 0F 29 /r", "Wpd", "movapd", da),
    f("NP 0F 2B /r m", "Mps", "movntps", sa),
    f("66 0F 2B /r m", "Mpd", "movntpd", da),
    f("NP 0F C3 /r m", "Md", "movnti", intLoose),
    f("NP 0F E7 /r m", "Mq", "movntq", mmx),
    f("66 0F E7 /r m", "Mdq", "movntdq", int),
    f("NP 0F F7 /r r", "Nq", "maskmovq", { ...mmx, profile: maskMove, implicitMemory: true }),
    f("66 0F F7 /r r", "Udq", "maskmovdqu", {
      ...intLoose,
      profile: maskMove,
      implicitMemory: true,
    }),
    f("NP 0F 50 /r r", "Ups", "movmskps", s),
    f("66 0F 50 /r r", "Upd", "movmskpd", d),
    f("F2 0F 12 /r", "Wq", "movddup", d),
    f("F3 0F 12 /r", "Wdq", "movsldup", sa),
    f("F3 0F 16 /r", "Wdq", "movshdup", sa),
    f("F2 0F F0 /r m", "Mdq", "lddqu", intLoose),
  ];
}

/** Arithmetic by prefix: packed and scalar, single and double. */
function arithmetic(): Form[] {
  const forms: Form[] = [];
  const all = (op: string, name: string, extra = "", options: FormOptions = {}) => {
    const cases = options.cases ?? 160;
    forms.push(
      f(
        `NP 0F ${op} /r`,
        `Wps${extra}`,
        `${name}ps`,
        filled("single", { aligned, cases, ...options }),
      ),
      f(`F3 0F ${op} /r`, `Wss${extra}`, `${name}ss`, filled("single", { cases, ...options })),
      f(
        `66 0F ${op} /r`,
        `Wpd${extra}`,
        `${name}pd`,
        filled("double", { aligned, cases, ...options }),
      ),
      f(`F2 0F ${op} /r`, `Wsd${extra}`, `${name}sd`, filled("double", { cases, ...options })),
    );
  };
  all("51", "sqrt");
  all("58", "add");
  all("59", "mul");
  all("5C", "sub");
  all("5D", "min");
  all("5E", "div");
  all("5F", "max");
  all("C2", "cmp", ",Ib", {
    profile: (b) => {
      const kind = /p?s$/.test(b.variant.form.mnemonic) ? "single" : "double";
      S.setLanes(b.fx!, b.rng, kind);
      memoryLanes(b, kind);
      // Predicates above 7 belong to AVX.
      b.immediate = b.rng.below(8);
      if (!b.variant.memory && b.rng.chance(20)) b.rm = b.reg;
    },
  });
  const single = filled("single", { aligned, cases: 160 });
  const double = filled("double", { aligned, cases: 160 });
  for (const [op, name] of [["54", "and"], ["55", "andn"], ["56", "or"], ["57", "xor"]]) {
    forms.push(
      f(`NP 0F ${op} /r`, "Wps", `${name}ps`, { ...single, cases: 100 }),
      f(`66 0F ${op} /r`, "Wpd", `${name}pd`, { ...double, cases: 100 }),
    );
  }
  for (const [op, name] of [["14", "unpckl"], ["15", "unpckh"]]) {
    forms.push(
      f(`NP 0F ${op} /r`, "Wps", `${name}ps`, { ...single, cases: 100 }),
      f(`66 0F ${op} /r`, "Wpd", `${name}pd`, { ...double, cases: 100 }),
    );
  }
  forms.push(
    f("NP 0F C6 /r", "Wps,Ib", "shufps", single),
    f("66 0F C6 /r", "Wpd,Ib", "shufpd", double),
    f("NP 0F 52 /r", "Wps", "rsqrtps", { ...single, tolerance: "reciprocal" }),
    f("F3 0F 52 /r", "Wss", "rsqrtss", filled("single", { tolerance: "reciprocal" })),
    f("NP 0F 53 /r", "Wps", "rcpps", { ...single, tolerance: "reciprocal" }),
    f("F3 0F 53 /r", "Wss", "rcpss", filled("single", { tolerance: "reciprocal" })),
    f("66 0F D0 /r", "Wpd", "addsubpd", double),
    f("F2 0F D0 /r", "Wps", "addsubps", single),
    f("66 0F 7C /r", "Wpd", "haddpd", double),
    f("F2 0F 7C /r", "Wps", "haddps", single),
    f("66 0F 7D /r", "Wpd", "hsubpd", double),
    f("F2 0F 7D /r", "Wps", "hsubps", single),
    f("NP 0F 2E /r", "Wss", "ucomiss", filled("single", { cases: 200 })),
    f("66 0F 2E /r", "Wsd", "ucomisd", filled("double", { cases: 200 })),
    f("NP 0F 2F /r", "Wss", "comiss", filled("single", { cases: 200 })),
    f("66 0F 2F /r", "Wsd", "comisd", filled("double", { cases: 200 })),
  );
  return forms;
}

function conversions(): Form[] {
  const cases = 200;
  const s = filled("single", { cases }),
    d = filled("double", { cases }),
    i = filled("int", { cases });
  const m = (kind: S.Lanes) => filled(kind, { cases, state: "mmx" });
  const a = { aligned };
  return [
    f("NP 0F 2A /r", "Qq", "cvtpi2ps", m("int")),
    f("66 0F 2A /r", "Qq", "cvtpi2pd", m("int")),
    f("F3 0F 2A /r", "Ed", "cvtsi2ss", i),
    f("F2 0F 2A /r", "Ed", "cvtsi2sd", i),
    f("NP 0F 2C /r", "Wq", "cvttps2pi", m("single")),
    f("66 0F 2C /r", "Wpd", "cvttpd2pi", { ...m("double"), ...a }),
    f("F3 0F 2C /r", "Wss", "cvttss2si", s),
    f("F2 0F 2C /r", "Wsd", "cvttsd2si", d),
    f("NP 0F 2D /r", "Wq", "cvtps2pi", m("single")),
    f("66 0F 2D /r", "Wpd", "cvtpd2pi", { ...m("double"), ...a }),
    f("F3 0F 2D /r", "Wss", "cvtss2si", s),
    f("F2 0F 2D /r", "Wsd", "cvtsd2si", d),
    f("NP 0F 5A /r", "Wq", "cvtps2pd", s),
    f("66 0F 5A /r", "Wpd", "cvtpd2ps", { ...d, ...a }),
    f("F3 0F 5A /r", "Wss", "cvtss2sd", s),
    f("F2 0F 5A /r", "Wsd", "cvtsd2ss", d),
    f("NP 0F 5B /r", "Wdq", "cvtdq2ps", { ...i, ...a }),
    f("66 0F 5B /r", "Wps", "cvtps2dq", { ...s, ...a }),
    f("F3 0F 5B /r", "Wps", "cvttps2dq", { ...s, ...a }),
    f("F3 0F E6 /r", "Wq", "cvtdq2pd", i),
    f("F2 0F E6 /r", "Wpd", "cvtpd2dq", { ...d, ...a }),
    f("66 0F E6 /r", "Wpd", "cvttpd2dq", { ...d, ...a }),
  ];
}

/** MXCSR images; now and then with a reserved bit, which is #GP. */
function csr(b: Builder): void {
  const value = (b.rng.next() & 0xffff) | (b.rng.chance(10) ? 1 << b.rng.range(18, 31) : 0);
  b.setRm(value);
}

function control(): Form[] {
  const sse: FormOptions = { state: "sse" };
  return [
    f("NP 0F AE /2 m", "Md", "ldmxcsr", { ...sse, profile: csr }),
    f("NP 0F AE /3 m", "Md", "stmxcsr", sse),
    f("NP 0F AE /7 m", "Mb", "clflush", { ...sse }),
    f("0F AE E8", "", "lfence", { ...sse }),
    f("0F AE F0", "", "mfence", { ...sse }),
    f("0F AE F8", "", "sfence", { ...sse }),
  ];
}

/** Every MMX, SSE, SSE2 and SSE3 form. */
export const SIMD_FORMS: readonly Form[] = [
  ...packed(),
  ...moves(),
  ...arithmetic(),
  ...conversions(),
  ...control(),
];
