/** Compares the decoder's idea of an instruction's length with that of iced-x86, on random bytes. */
import { Code, CpuidFeature, Decoder as Iced, Instruction, Mnemonic } from "iced-x86";
import { DECODED, Decoder, INVALID, TOO_LONG } from "../../accel/x86/decoder.ts";
import { ROWS } from "../../accel/x86/table.ts";
import { Prng } from "../vectors/prng.ts";

/** Why the two may disagree about whether bytes are an instruction; never about how long one is. */
export const REASONS: Record<string, string> = {
  extension: "the instruction belongs to an extension that no model has: to us it is #UD",
  undefined: "UD0 and UD1 have an operand in iced-x86; to us they are #UD at the opcode",
  "control register": "that CR1 and CR5 to CR7 are #UD is found out when the instruction executes",
};

/** What came of it. */
export interface Comparison {
  /** Strings to which neither gives a reason. */
  disagreements: string[];
  /** How often each reason was met. */
  reasons: Record<string, number>;
  /** Strings that are an instruction of one length to both. */
  decoded: number;
}

const LENGTH = 16, CHUNK = 4096;
const PREFIXES = [0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65];

/**
 * Random bytes; a third of the strings begin with prefixes, a third has the two-byte map's escape, one in twelve
 * those of the three-byte maps, one in sixteen a VEX prefix for one of the three maps.
 */
function fill(rng: Prng, bytes: Uint8Array): void {
  for (let start = 0; start < bytes.length; start += LENGTH) {
    let at = start;
    const end = start + LENGTH;
    if (rng.below(3) === 0) {
      for (let n = rng.range(1, 4); n > 0; n--) bytes[at++] = rng.pick(PREFIXES);
    }
    const escape = rng.below(48);
    if (escape < 20) bytes[at++] = 0x0f;
    if (escape < 4) bytes[at++] = rng.chance(50) ? 0x38 : 0x3a;
    if (escape > 44) {
      bytes[at++] = 0xc4;
      bytes[at++] = (rng.next() & 0xe0) | rng.range(1, 3);
      bytes[at++] = rng.next() & (rng.chance(50) ? 0xfb : 0xff);
      // Where the general registers' instructions are.
      if (rng.chance(50)) bytes[at++] = rng.pick([0xf0, 0xf2, 0xf3, 0xf5, 0xf6, 0xf7]);
    }
    for (; at < end; at++) bytes[at] = rng.next() >>> 11;
  }
}

const hex = (bytes: Uint8Array): string =>
  [...bytes].map((b) => b.toString(16).padStart(2, "0")).join(" ");

/** Extensions that the models do have, by iced-x86's names. */
const OURS = new Set([
  ...[
    "INTEL8086",
    "INTEL186",
    "INTEL286",
    "INTEL386",
    "INTEL486",
    "FPU",
    "FPU287",
    "FPU387",
    "CPUID",
  ],
  ...["TSC", "MSR", "CX8", "CMOV", "SEP", "FXSR", "MMX", "SSE", "SSE2", "SSE3", "CLFSH", "PAUSE"],
  ...["MULTIBYTENOP", "SMM", "X64", "SYSCALL", "CMPXCHG16B", "RDTSCP", "FSGSBASE", "SMAP"],
  ...["SSSE3", "SSE4_1", "SSE4_2", "AES", "PCLMULQDQ", "SHA", "MOVBE", "POPCNT", "LZCNT", "BMI1"],
  ...["BMI2", "ADX", "RDRAND", "RDSEED", "RDPID", "CLFLUSHOPT", "CLWB", "PREFETCHW", "CET_IBT"],
]);

/** Which of the reasons explains that just one of the two sees an instruction. */
function reasonFor(insn: Instruction, ours: Decoder, decoded: boolean): string | undefined {
  if (decoded) {
    const { form, reg } = ours.result;
    const controls = ["mov_from_cr", "mov_to_cr"].includes(form.row.semantic);
    return insn.isInvalid && controls && ![0, 2, 3, 4].includes(reg)
      ? "control register"
      : undefined;
  }
  if ([Mnemonic.Ud0, Mnemonic.Ud1, Mnemonic.Ud2].includes(insn.mnemonic)) return "undefined";
  const features = [...insn.cpuidFeatures()].map((f) => CpuidFeature[f]);
  // VAESDEC, for one, belongs to AES and AVX.
  const known = features.some((f) => OURS.has(f)) && !features.includes("AVX");
  return features.length > 0 && !known ? "extension" : undefined;
}

/** Decodes `count` random strings as code of `bits` bits with both. */
export function compareLengths(bits: 16 | 32 | 64, count: number): Comparison {
  const rng = new Prng(0xdec0de + bits);
  const ours = new Decoder(ROWS, () => true);
  const bytes = new Uint8Array(CHUNK * LENGTH);
  const out: Comparison = { disagreements: [], reasons: {}, decoded: 0 };
  const insn = new Instruction();
  for (let done = 0; done < count; done += CHUNK) {
    fill(rng, bytes);
    const theirs = new Iced(bits, bytes, 0);
    for (let i = 0; i < Math.min(CHUNK, count - done); i++) {
      const start = i * LENGTH;
      theirs.position = start;
      theirs.ip = 0n;
      theirs.decodeOut(insn);
      const result = ours.decode(bytes, start, start + LENGTH, bits, true);
      const valid = !insn.isInvalid;
      if (result === DECODED && valid && ours.result.length === insn.length) {
        out.decoded++;
        continue;
      }
      if ((result === INVALID || result === TOO_LONG) && !valid) continue;
      const reason = reasonFor(insn, ours, result === DECODED);
      if (reason !== undefined) {
        out.reasons[reason] = (out.reasons[reason] ?? 0) + 1;
        continue;
      }
      const mine = result === DECODED
        ? `${ours.result.length}, ${ours.result.form.row.opcode} ${ours.result.form.row.semantic}`
        : `refused (${result})`;
      const text = `${hex(bytes.subarray(start, start + LENGTH))}: ours ${mine}; iced-x86 ${
        valid ? `${insn.length}, ${Code[insn.code]}` : "refused"
      }`;
      out.disagreements.push(text);
    }
    theirs.free();
  }
  insn.free();
  return out;
}
