/** The decode table of the x87 instructions D8 to DF, and of FXSAVE and FXRSTOR (SDM vol. 2, tables ). */
import type { X86 } from "../cpu.ts";
import { type Guard, type Helper, type Row, row } from "../rows.ts";
import * as S from "../state.ts";
import { ARITHMETIC } from "./arithmetic.ts";
import { CONTROL } from "./control.ts";
import { checkPending } from "./stack.ts";
import { TRANSCENDENTAL } from "./transcendental.ts";
import { TRANSFER } from "./transfer.ts";

const ARITH = ["fadd", "fmul", "fcom", "fcomp", "fsub", "fsubr", "fdiv", "fdivr"];

const waits = { feature: "fpu", guard: "x87" } as const;
const waitless = { feature: "fpu", guard: "x87nowait" } as const;

const hex = (n: number) => n.toString(16).padStart(2, "0").toUpperCase();

function arithmetic(): Row[] {
  const rows: Row[] = [];
  for (const [n, name] of ARITH.entries()) {
    for (
      const [opcode, operand, kind] of [
        ["D8", "Mf4", "m32"],
        ["DA", "Mi4", "i32"],
        ["DC", "Mf8", "m64"],
        ["DE", "Mi2", "i16"],
      ]
    ) {
      rows.push(row(`${opcode} /${n} m`, operand, `${name}_${kind}`, waits));
    }
    if (name === "fcom" || name === "fcomp") {
      rows.push(row(`D8 /${n} r`, "ST", name, waits));
      // The manual leaves these out, the processors do not.
      rows.push(row(`DC /${n} r`, "ST", name, waits));
      continue;
    }
    // In DC and DE the reversed forms change places: DC /4 is ST(i) = ST(0) - ST(i), FSUBR by meaning.
    const reversed = n < 4 ? name : ARITH[n ^ 1];
    rows.push(row(`D8 /${n} r`, "ST", `${name}_st0`, waits));
    rows.push(row(`DC /${n} r`, "ST", `${reversed}_sti`, waits));
    rows.push(row(`DE /${n} r`, "ST", `${reversed}p`, waits));
  }
  rows.push(row("DE /2 r", "ST", "fcomp", waits));
  rows.push(row("DE D9", "", "fcompp", waits));
  return rows;
}

/** The fixed ModRM bytes D9 E0 to D9 FF; null where nothing is. */
const D9: (string | null)[] = [
  ...["fchs", "fabs", null, null, "ftst", "fxam", null, null],
  ...["fld1", "fldl2t", "fldl2e", "fldpi", "fldlg2", "fldln2", "fldz", null],
  ...["f2xm1", "fyl2x", "fptan", "fpatan", "fxtract", "fprem1", "fdecstp", "fincstp"],
  ...["fprem", "fyl2xp1", "fsqrt", "fsincos", "frndint", "fscale", "fsin", "fcos"],
];

function fixed(): Row[] {
  return D9.flatMap((name, n) =>
    name === null ? [] : [row(`D9 ${hex(0xe0 + n)}`, "", name, waits)]
  );
}

/** The x87 part of the decode table. */
export const FPU_ROWS: Row[] = [
  row("9B", "", "fwait", { guard: "fwait" }),
  ...arithmetic(),
  row("D9 /0 m", "Mf4", "fld_m32", waits),
  row("D9 /2 m", "=Mf4", "fst_m32", waits),
  row("D9 /3 m", "=Mf4", "fstp_m32", waits),
  row("D9 /4 m", "Me", "fldenv", waits),
  row("D9 /5 m", "Mi2", "fldcw", waits),
  row("D9 /6 m", "=Me", "fnstenv", waitless),
  row("D9 /7 m", "=Mi2", "fnstcw", waitless),
  row("D9 /0 r", "ST", "fld", waits),
  row("D9 /1 r", "ST", "fxch", waits),
  row("D9 D0", "", "fnop", waits),
  row("D9 /3 r", "ST", "fstp_unchecked", waits),
  ...fixed(),
  row("DA /0 r", "ST", "fcmovb", { ...waits, feature: "cmov" }),
  row("DA /1 r", "ST", "fcmove", { ...waits, feature: "cmov" }),
  row("DA /2 r", "ST", "fcmovbe", { ...waits, feature: "cmov" }),
  row("DA /3 r", "ST", "fcmovu", { ...waits, feature: "cmov" }),
  row("DA E9", "", "fucompp", waits),
  row("DB /0 m", "Mi4", "fild_i32", waits),
  row("DB /1 m", "=Mi4", "fisttp_i32", { ...waits, feature: "sse3" }),
  row("DB /2 m", "=Mi4", "fist_i32", waits),
  row("DB /3 m", "=Mi4", "fistp_i32", waits),
  row("DB /5 m", "Mf10", "fld_m80", waits),
  row("DB /7 m", "=Mf10", "fstp_m80", waits),
  row("DB /0 r", "ST", "fcmovnb", { ...waits, feature: "cmov" }),
  row("DB /1 r", "ST", "fcmovne", { ...waits, feature: "cmov" }),
  row("DB /2 r", "ST", "fcmovnbe", { ...waits, feature: "cmov" }),
  row("DB /3 r", "ST", "fcmovnu", { ...waits, feature: "cmov" }),
  row("DB E0", "", "fnop_control", waitless),
  row("DB E1", "", "fnop_control", waitless),
  row("DB E2", "", "fnclex", waitless),
  row("DB E3", "", "fninit", waitless),
  row("DB E4", "", "fnop_control", waitless),
  row("DB /5 r", "ST", "fucomi", { ...waits, feature: "cmov" }),
  row("DB /6 r", "ST", "fcomi", { ...waits, feature: "cmov" }),
  row("DD /0 m", "Mf8", "fld_m64", waits),
  row("DD /1 m", "=Mi8", "fisttp_i64", { ...waits, feature: "sse3" }),
  row("DD /2 m", "=Mf8", "fst_m64", waits),
  row("DD /3 m", "=Mf8", "fstp_m64", waits),
  row("DD /4 m", "Ms", "frstor", waits),
  row("DD /6 m", "=Ms", "fnsave", waitless),
  row("DD /7 m", "=Mi2", "fnstsw", waitless),
  row("DD /0 r", "ST", "ffree", waits),
  row("DD /1 r", "ST", "fxch", waits),
  row("DD /2 r", "ST", "fst", waits),
  row("DD /3 r", "ST", "fstp", waits),
  row("DD /4 r", "ST", "fucom", waits),
  row("DD /5 r", "ST", "fucomp", waits),
  row("DF /0 m", "Mi2", "fild_i16", waits),
  row("DF /1 m", "=Mi2", "fisttp_i16", { ...waits, feature: "sse3" }),
  row("DF /2 m", "=Mi2", "fist_i16", waits),
  row("DF /3 m", "=Mi2", "fistp_i16", waits),
  row("DF /4 m", "Mb10", "fbld", waits),
  row("DF /5 m", "Mi8", "fild_i64", waits),
  row("DF /6 m", "=Mb10", "fbstp", waits),
  row("DF /7 m", "=Mi8", "fistp_i64", waits),
  row("DF /0 r", "ST", "ffreep", waits),
  row("DF /1 r", "ST", "fxch", waits),
  row("DF /2 r", "ST", "fstp", waits),
  row("DF /3 r", "ST", "fstp", waits),
  row("DF E0", "=AX", "fnstsw_ax", waitless),
  row("DF /5 r", "ST", "fucomip", { ...waits, feature: "cmov" }),
  row("DF /6 r", "ST", "fcomip", { ...waits, feature: "cmov" }),
  row("NP 0F AE /0 m", "+Mx", "fxsave", { feature: "fxsr", guard: "x87nowait" }),
  row("NP 0F AE /1 m", "Mx", "fxrstor", { feature: "fxsr", guard: "x87nowait" }),
];

/** The functions that the rows name. */
export const FPU_HELPERS: Record<string, Helper> = {
  ...ARITHMETIC,
  ...TRANSFER,
  ...CONTROL,
  ...TRANSCENDENTAL,
};

function available(cpu: X86): void {
  if ((cpu.R[S.CR0] & (S.CR0_EM | S.CR0_TS)) !== 0) cpu.raise(S.NM);
}

/** Checks before x87 instructions. */
export const FPU_GUARDS: Record<string, Guard> = {
  x87: (cpu) => {
    available(cpu);
    checkPending(cpu);
  },
  x87nowait: available,
  fwait: (cpu) => {
    const both = S.CR0_MP | S.CR0_TS;
    if ((cpu.R[S.CR0] & both) === both) cpu.raise(S.NM);
    checkPending(cpu);
  },
};
