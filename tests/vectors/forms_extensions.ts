/**
 * SSSE3 to SSE4.2, AES-NI, PCLMULQDQ, SHA, BMI and the other extensions of issue 3 (SDM vol. 2, tables and
 * the instruction reference). What their inputs want beyond random values is told once for 32- and 64-bit code.
 */
import type { Builder } from "./builder.ts";
import { f, type Form, type FormOptions } from "./form.ts";
import type { Prng } from "./prng.ts";
import { FX_ST, FX_XMM, type Lanes, lanes } from "./state_inputs.ts";

/** What vector registers and memory hold: lanes, or texts of few letters that end somewhere. */
type Content = Lanes | "text";

/** 16 bytes of such content. */
function content(rng: Prng, kind: Content): Uint8Array {
  if (kind !== "text") return lanes(rng, kind);
  const out = new Uint8Array(16), words = rng.chance(50), letters = [0x61, 0x62, 0x7f, 0x80, 0xff];
  for (let i = 0; i < 16; i += words ? 2 : 1) {
    out[i] = rng.chance(rng.pick([2, 12])) ? 0 : rng.pick(letters);
    if (words && out[i] !== 0) out[i + 1] = rng.pick([0, 0, 0x80, 0xff]);
  }
  return out;
}

/** What a builder of either kind of code offers. */
interface Shaped {
  rng: Prng;
  variant: { form: Form; memory: boolean };
  fx: Uint8Array | undefined;
  immediate: number | bigint;
}

/** Fills the first `registers` vector registers; gives what a memory operand is to hold. */
function fill(b: Shaped, kind: Content, registers: number): Uint8Array {
  const { rng, fx } = b;
  for (let i = 0; i < registers; i++) fx!.set(content(rng, kind), FX_XMM + 16 * i);
  for (let i = 0; i < 8; i++) fx!.set(content(rng, kind).subarray(0, 8), FX_ST + 16 * i);
  return content(rng, kind);
}

/** Content by mnemonic; "int" where nothing is said. */
const CONTENT: Record<string, Content> = {
  pcmpestrm: "text",
  pcmpestri: "text",
  pcmpistrm: "text",
  pcmpistri: "text",
  pcmpeqq: "text",
  phminposuw: "text",
  ptest: "text",
  blendps: "single",
  blendvps: "single",
  roundps: "single",
  roundss: "single",
  dpps: "single",
  insertps: "single",
  extractps: "single",
  blendpd: "double",
  blendvpd: "double",
  roundpd: "double",
  roundsd: "double",
  dppd: "double",
};

/** Fills vector registers, and gives the bytes for a memory operand. */
export function vectorInputs(b: Shaped, registers: number): Uint8Array {
  return fill(b, CONTENT[b.variant.form.mnemonic] ?? "int", registers);
}

/** A length for PCMPESTRI: mostly one that is in range. */
export function textLength(rng: Prng): number {
  return rng.chance(85) ? rng.range(-20, 20) : rng.value();
}

/** What BEXTR and BZHI take the place and number of bits from. */
export function bitControl(rng: Prng): number {
  return (rng.value() & 0xffff0000) | (rng.below(rng.pick([34, 66, 256])) << 8) |
    rng.below(rng.pick([34, 66, 256]));
}

/** Inputs of 32-bit code. */
function vectors(b: Builder): void {
  const bytes = vectorInputs(b, 8);
  if (/^pcmpestr/.test(b.variant.form.mnemonic)) {
    b.set(0, textLength(b.rng));
    b.set(2, textLength(b.rng));
  }
  b.immediate = b.rng.next() & 0xff;
  if (!b.variant.memory) return;
  b.chooseTarget();
  b.patch(b.target, bytes.subarray(0, b.memorySize));
  b.targetPatched = true;
}

function controlled(b: Builder): void {
  b.set(b.vvvv, bitControl(b.rng));
}

const mmx: FormOptions = { state: "mmx", profile: vectors };
const loose: FormOptions = { state: "sse", profile: vectors };
const whole: FormOptions = { ...loose, aligned: true };

const hex = (n: number): string => n.toString(16).padStart(2, "0").toUpperCase();

const SSSE3_NAMES = [
  ..."pshufb phaddw phaddd phaddsw pmaddubsw phsubw phsubd phsubsw psignb psignw psignd".split(" "),
  "pmulhrsw",
];
const ssse3 = (op: number, name: string): Form[] => [
  f(`NP 0F 38 ${hex(op)} /r`, "Qq", name, mmx),
  f(`66 0F 38 ${hex(op)} /r`, "Wdq", name, whole),
];

/** 66 0F 38 on XMM registers, memory aligned. */
const WHOLE: [number, string][] = [
  [0x10, "pblendvb"],
  [0x14, "blendvps"],
  [0x15, "blendvpd"],
  [0x17, "ptest"],
  [0x28, "pmuldq"],
  [0x29, "pcmpeqq"],
  [0x2b, "packusdw"],
  [0x37, "pcmpgtq"],
  [0x38, "pminsb"],
  [0x39, "pminsd"],
  [0x3a, "pminuw"],
  [0x3b, "pminud"],
  [0x3c, "pmaxsb"],
  [0x3d, "pmaxsd"],
  [0x3e, "pmaxuw"],
  [0x3f, "pmaxud"],
  [0x40, "pmulld"],
  [0x41, "phminposuw"],
  [0xdb, "aesimc"],
  [0xdc, "aesenc"],
  [0xdd, "aesenclast"],
  [0xde, "aesdec"],
  [0xdf, "aesdeclast"],
];
/** 66 0F 3A with an immediate. */
const IMMEDIATE: [number, string, string, FormOptions?][] = [
  [0x08, "roundps", "Wps", { ...whole, cases: 160 }],
  [0x09, "roundpd", "Wpd", { ...whole, cases: 160 }],
  [0x0a, "roundss", "Wss", { ...loose, cases: 160 }],
  [0x0b, "roundsd", "Wsd", { ...loose, cases: 160 }],
  [0x0c, "blendps", "Wps"],
  [0x0d, "blendpd", "Wpd"],
  [0x0e, "pblendw", "Wdq"],
  [0x14, "pextrb", "Eb", loose],
  [0x15, "pextrw_store", "Ew", loose],
  [0x16, "pextrd", "Ey", loose],
  [0x17, "extractps", "Ed", loose],
  [0x20, "pinsrb", "Eb", loose],
  [0x21, "insertps", "Wd", loose],
  [0x22, "pinsrd", "Ey", loose],
  [0x40, "dpps", "Wps", { ...whole, cases: 200 }],
  [0x41, "dppd", "Wpd", { ...whole, cases: 200 }],
  [0x42, "mpsadbw", "Wdq"],
  [0x44, "pclmulqdq", "Wdq"],
  [0x60, "pcmpestrm", "Wdq", { ...loose, cases: 300 }],
  [0x61, "pcmpestri", "Wdq", { ...loose, cases: 300 }],
  [0x62, "pcmpistrm", "Wdq", { ...loose, cases: 300 }],
  [0x63, "pcmpistri", "Wdq", { ...loose, cases: 300 }],
  [0xdf, "aeskeygenassist", "Wdq"],
];
const EXTEND = [["bw", "Wq"], ["bd", "Wd"], ["bq", "Ww"], ["wd", "Wq"], ["wq", "Wd"], ["dq", "Wq"]];
const SHA = ["sha1nexte", "sha1msg1", "sha1msg2", "sha256rnds2", "sha256msg1", "sha256msg2"];

/** Instructions on vector registers, and those with them. */
const VECTOR_FORMS: Form[] = [
  ...SSSE3_NAMES.flatMap((name, op) => ssse3(op, name)),
  ...["pabsb", "pabsw", "pabsd"].flatMap((name, n) => ssse3(0x1c + n, name)),
  f("NP 0F 3A 0F /r", "Qq,Ib", "palignr", mmx),
  f("66 0F 3A 0F /r", "Wdq,Ib", "palignr", whole),
  ...WHOLE.map(([op, name]) => f(`66 0F 38 ${hex(op)} /r`, "Wdq", name, whole)),
  ...EXTEND.flatMap(([name, operand], n) => [
    f(`66 0F 38 ${hex(0x20 + n)} /r`, operand, `pmovsx${name}`, loose),
    f(`66 0F 38 ${hex(0x30 + n)} /r`, operand, `pmovzx${name}`, loose),
  ]),
  f("66 0F 38 2A /r m", "Mdq", "movntdqa", whole),
  ...IMMEDIATE.map(([op, name, operand, options]) =>
    f(`66 0F 3A ${hex(op)} /r`, `${operand},Ib`, name, options ?? whole)
  ),
  ...SHA.map((name, n) => f(`NP 0F 38 ${hex(0xc8 + n)} /r`, "Wdq", name, whole)),
  f("NP 0F 3A CC /r", "Wdq,Ib", "sha1rnds4", whole),
];

const control: FormOptions = { profile: controlled };

/** Instructions on general registers. */
const GENERAL_FORMS: Form[] = [
  f("F3 0F B8 /r", "Gv,Ev", "popcnt"),
  f("F3 0F BC /r", "Gv,Ev", "tzcnt"),
  f("F3 0F BD /r", "Gv,Ev", "lzcnt"),
  f("NP 0F 38 F0 /r m", "Gv,Mv", "movbe"),
  f("NP 0F 38 F1 /r m", "Mv,Gv", "movbe"),
  f("F2 0F 38 F0 /r", "Gy,Eb", "crc32"),
  f("F2 0F 38 F1 /r", "Gy,Ev", "crc32"),
  f("66 0F 38 F6 /r", "Gy,Ey", "adcx"),
  f("F3 0F 38 F6 /r", "Gy,Ey", "adox"),
  f("VEX.LZ.NP.0F38 F2 /r", "Gy,By,Ey", "andn"),
  f("VEX.LZ.NP.0F38 F3 /1", "By,Ey", "blsr"),
  f("VEX.LZ.NP.0F38 F3 /2", "By,Ey", "blsmsk"),
  f("VEX.LZ.NP.0F38 F3 /3", "By,Ey", "blsi"),
  f("VEX.LZ.NP.0F38 F7 /r", "Gy,Ey,By", "bextr", control),
  f("VEX.LZ.NP.0F38 F5 /r", "Gy,Ey,By", "bzhi", control),
  f("VEX.LZ.F2.0F38 F5 /r", "Gy,By,Ey", "pdep"),
  f("VEX.LZ.F3.0F38 F5 /r", "Gy,By,Ey", "pext"),
  f("VEX.LZ.F2.0F38 F6 /r", "Gy,By,Ey", "mulx"),
  f("VEX.LZ.66.0F38 F7 /r", "Gy,Ey,By", "shlx"),
  f("VEX.LZ.F3.0F38 F7 /r", "Gy,Ey,By", "sarx"),
  f("VEX.LZ.F2.0F38 F7 /r", "Gy,Ey,By", "shrx"),
  f("VEX.LZ.F2.0F3A F0 /r", "Gy,Ey,Ib", "rorx"),
  f("0F 0D /1 m", "Mb", "prefetchw"),
  f("66 0F AE /6 m", "Mb", "clwb"),
  f("66 0F AE /7 m", "Mb", "clflushopt"),
  f("F3 0F 1E FA", "", "endbr64"),
  f("F3 0F 1E FB", "", "endbr32"),
];

/** Some cases of VEX encodings are #UD on purpose. */
for (const form of GENERAL_FORMS) if (form.vex !== undefined) form.options.cases = 120;

/** Every form of these extensions that user mode executes and that gives the same each time. */
export const EXTENSION_FORMS: readonly Form[] = [...VECTOR_FORMS, ...GENERAL_FORMS];
