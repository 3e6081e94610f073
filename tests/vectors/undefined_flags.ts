/**
 * What instructions leave undefined: processors differ there, so that the vectors do not compare it. For each
 * mnemonic the source is the "Flags Affected" section of its page in SDM volume 2 (chapters 3 to 5), which
 * vol. 1, appendix A, table A-2 sums up. Everything not listed is compared bit for bit.
 */
import { ECX } from "./builder.ts";
import type { Form } from "./form.ts";
import type { Job } from "./job.ts";

const CF = 1, PF = 4, AF = 0x10, ZF = 0x40, SF = 0x80, OF = 0x800;

/** Operand size in bits and the count of a shift, masked to five or six bits. */
export interface Context {
  form: Form;
  job: Pick<Job, "gpr">;
  /** Bits of the shifted or scanned operand. */
  bits: number;
  /** The instruction's last byte, when that is its immediate. */
  immediate: number;
}

function count({ form, job, bits, immediate }: Context): number {
  const mask = bits === 64 ? 63 : 31;
  if (form.operands.endsWith("CL")) return job.gpr[ECX] & mask;
  return form.operands.endsWith("1") ? 1 : immediate & mask;
}

/** SAL/SAR/SHL/SHR: "CF undefined for SHL and SHR where the count is not below the size; OF only for 1-bit shifts; AF undefined for a non-zero count". */
function shift(c: Context): number {
  const n = count(c);
  if (n === 0) return 0;
  const carry = c.form.mnemonic !== "sar" && n >= c.bits ? CF : 0;
  return AF | carry | (n === 1 ? 0 : OF);
}

/** RCL/RCR/ROL/ROR: "OF is defined only for the 1-bit rotates, undefined in all other cases (except that a zero-bit rotate does nothing)". */
function rotate(c: Context): number {
  const n = count(c);
  return n <= 1 ? 0 : OF;
}

/** SHLD/SHRD: "If the count is greater than the operand size, the flags are undefined. OF for 1-bit shifts only; AF undefined; count 0: unaffected". */
function doubleShift(c: Context): number {
  const n = count(c);
  if (n === 0) return 0;
  if (n > c.bits) return CF | PF | AF | ZF | SF | OF;
  return AF | (n === 1 ? 0 : OF);
}

const LOGIC = AF;
/** "The SF, ZF, AF, and PF flags are undefined." */
const MULTIPLY = SF | ZF | AF | PF;
/** "The CF, OF, SF, ZF, AF, and PF flags are undefined." */
const DIVIDE = CF | OF | SF | ZF | AF | PF;
/** BSF/BSR: "The CF, OF, SF, AF, and PF flags are undefined." */
const SCAN = CF | OF | SF | AF | PF;
/** BT/BTC/BTR/BTS: "The OF, SF, AF, and PF flags are undefined." */
const BIT_TEST = OF | SF | AF | PF;

const TABLE: Record<string, number | ((c: Context) => number)> = {
  and: LOGIC,
  or: LOGIC,
  xor: LOGIC,
  test: LOGIC,
  mul: MULTIPLY,
  imul: MULTIPLY,
  div: DIVIDE,
  idiv: DIVIDE,
  bsf: SCAN,
  bsr: SCAN,
  bt: BIT_TEST,
  shl: shift,
  shr: shift,
  sar: shift,
  rol: rotate,
  ror: rotate,
  rcl: rotate,
  rcr: rotate,
  shld: doubleShift,
  shrd: doubleShift,
  // "The AF and CF flags are set ...; the OF, SF, ZF, and PF flags are undefined."
  aaa: OF | SF | ZF | PF,
  aas: OF | SF | ZF | PF,
  // "The SF, ZF, and PF flags are set according to the resulting binary value in the AL register. The OF, AF, and CF flags are undefined."
  aam: OF | AF | CF,
  aad: OF | AF | CF,
  // LZCNT, TZCNT: "OF, SF, PF, and AF flags are undefined."
  lzcnt: OF | SF | PF | AF,
  tzcnt: OF | SF | PF | AF,
  // "AF and PF flags are undefined", for BEXTR "AF, SF, and PF flags".
  andn: AF | PF,
  blsi: AF | PF,
  blsmsk: AF | PF,
  blsr: AF | PF,
  bzhi: AF | PF,
  bextr: AF | SF | PF,
  // "The OF flag is undefined."
  daa: OF,
  das: OF,
};

/** EFLAGS bits that the instruction leaves undefined. */
export function undefinedFlags(c: Context): number {
  const entry = TABLE[c.form.options.flags ?? c.form.mnemonic];
  return entry === undefined ? 0 : typeof entry === "number" ? entry : entry(c);
}

/** SHLD/SHRD: "If the count is greater than the operand size, the result is undefined" (vol. 2, SHLD, Description). */
export function undefinedResult(c: Context): boolean {
  return ["shld", "shrd"].includes(c.form.mnemonic) && count(c) > c.bits;
}
