/** What is recorded of 64-bit code: the forms of 32-bit code that exist in it, and those that only it has. */
import { f, type Form } from "../form.ts";
import { EXTENSION_FORMS } from "../forms_extensions.ts";
import { INTEGER_FORMS } from "../forms_integer.ts";
import { SIMD_FORMS } from "../forms_simd.ts";
import { X87_FORMS } from "../forms_x87.ts";

/** One form at one operand size, with or without memory. */
export interface Variant {
  form: Form;
  /** 0 where the form has no operand size. */
  operandSize: 0 | 16 | 32 | 64;
  memory: boolean;
  cases: number;
  name: string;
}

/** Opcodes that are prefixes there or begin other encodings (SDM vol. 2, 2.2.1, 2.3). */
const PREFIXES = /^(4[0-9A-F]|62|63|C4|C5|D5)( |$)/;
/** Not valid there: #UD (SDM vol. 2, table A-2, superscript i64). */
const INVALID = /^(06|07|0E|16|17|1E|1F|27|2F|37|3F|60|61|82|9A|CE|D4|D6|EA)( |$)/;
/**
 * Left out: segment registers and what needs descriptors have scenario tests (`accel/x86/system/long_*_test.ts`);
 * INT n would call the host's kernel; RSM and moves to control registers are what they are in 32-bit code.
 */
const ELSEWHERE = [
  ..."call_far jmp_far ret_far iret lss lfs lgs mov_to_seg mov_to_ss pop_seg lar lsl verr verw"
    .split(" "),
  ..."int popf rsm invalid_seg".split(" "),
];
/** 64 bits by default, 16 with a prefix, never 32. */
const DEFAULT64 = "push pop pushf enter leave push_seg".split(" ");
/** Always 64 bits; what 66h does to them differs between vendors (AMD cuts RIP to 16 bits, Intel ignores it). */
const FORCE64 = "call jmp ret loop loope loopne jcxz".split(" ");

/** Where a general register of 64 bits meets x87, MMX and SSE. */
const GENERAL = /^(NP|66|F2|F3) 0F (6E|7E|2A|2C|2D|C3|C4|C5|D7|50) /;
/** No general register: 3DNow and the state images need their own comparison, approximations a tolerance. */
const APART = /^(fx|fn?save|frstor|fldenv|fn?stenv|fcom|fptan|fsin|fcos)/;

const WITH_WIDE = /^(movd|movnti|cvtsi2s[sd]|cvtt?s[sd]2si)/;

function sizes(form: Form): (0 | 16 | 32 | 64)[] {
  const { mnemonic } = form;
  if (/^0F C[89A-F]$/.test(form.opcode)) return [32, 64];
  if (DEFAULT64.includes(mnemonic)) return [16, 64];
  if (FORCE64.includes(mnemonic) || /^(7|0F 8)/.test(form.opcode)) return [64];
  return form.sized ? [16, 32, 64] : [0];
}

function variantsOf(form: Form, sizes: (0 | 16 | 32 | 64)[], cases: number): Variant[] {
  const kinds = [...(form.registerForm ? [false] : []), ...(form.memoryForm ? [true] : [])];
  return sizes.flatMap((operandSize) =>
    kinds.map((memory) => ({
      form,
      operandSize,
      memory,
      cases,
      name: `${form.opcode} ${form.operands} ${form.mnemonic} ${
        memory ? "mem" : "reg"
      } o${operandSize}`,
    }))
  );
}

const ONLY_HERE: Form[] = [
  f("63 /r", "Gv,Ed", "movsxd"),
  f("0F C7 /1 m", "Mdq", "cmpxchg16b", { lock: true, aligned: true }),
];

/** The forms of `forms_extensions.ts`: with general registers also at 64 bits. */
const EXTENSION_VARIANTS: readonly Variant[] = EXTENSION_FORMS.flatMap((form) =>
  variantsOf(
    form,
    form.sized
      ? [16, 32, 64]
      : /(^|,)[EG]y/.test(form.operands)
      ? [32, 64]
      : form.mnemonic.startsWith("pcmpestr")
      ? [0, 64]
      : [0],
    form.options.cases ?? 100,
  )
);

/** All variants but extensions'; names are unique, since each is a seed. */
export const VARIANTS: readonly Variant[] = [
  ...INTEGER_FORMS.filter((form) =>
    !PREFIXES.test(form.opcode) && !ELSEWHERE.includes(form.mnemonic) &&
    !/^0F 2[0-3]/.test(form.opcode)
  ).flatMap((form) => {
    if (INVALID.test(form.opcode)) return variantsOf(form, [0], 8);
    const few = form.mnemonic === "privileged" || form.opcode.startsWith("0F 18");
    return variantsOf(form, sizes(form), few ? 12 : 100);
  }),
  ...variantsOf(ONLY_HERE[0], [16, 32, 64], 100),
  ...variantsOf(ONLY_HERE[1], [64], 160),
  ...SIMD_FORMS.filter((form) => form.options.tolerance === undefined && !APART.test(form.mnemonic))
    .flatMap((form) =>
      GENERAL.test(form.opcode)
        ? variantsOf(form, WITH_WIDE.test(form.mnemonic) ? [32, 64] : [0], 100)
        : variantsOf(form, [0], 8)
    ),
  ...X87_FORMS.filter((form) =>
    form.memoryForm && form.options.tolerance === undefined && !APART.test(form.mnemonic)
  ).flatMap((form) => variantsOf(form, [0], 8).filter((v) => v.memory)),
].filter((v, i, all) => all.findIndex((o) => o.name === v.name) === i);

/** The files that variants are recorded in. */
export const LONG_GROUPS: Record<string, readonly Variant[]> = {
  long: VARIANTS,
  long_extensions: EXTENSION_VARIANTS,
};
