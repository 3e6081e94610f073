/** The decode table of MMX, SSE, SSE2 and SSE3 (SDM vol. 2, tables, and the instruction pages). */
import type { X86 } from "../cpu.ts";
import { checkPending } from "../fpu/stack.ts";
import type { Feature } from "../models.ts";
import { type Guard, type Helper, type Row, row } from "../rows.ts";
import * as S from "../state.ts";
import { MMX } from "./mmx.ts";
import { SSE } from "./sse.ts";
import { SSE2 } from "./sse2.ts";
import { SSE3 } from "./sse3.ts";

const mmx = { feature: "mmx", guard: "mmx" } as const;
/** MMX instructions that came with SSE and SSE2. */
const mmxSse = { feature: "sse", guard: "mmx" } as const;
const mmxSse2 = { feature: "sse2", guard: "mmx" } as const;
const sse = { feature: "sse", guard: "sse" } as const;
const sse2 = { feature: "sse2", guard: "sse" } as const;
const sse3 = { feature: "sse3", guard: "sse" } as const;
/** XMM and MMX registers in one instruction. */
const sseMmx = { feature: "sse", guard: "sse_mmx" } as const;
const sse2Mmx = { feature: "sse2", guard: "sse_mmx" } as const;

/** Packed integer operations whose MMX form is MMX's own: opcode and name. */
const PACKED_MMX: [string, string][] = [
  ["61", "punpcklwd"],
  ["62", "punpckldq"],
  ["60", "punpcklbw"],
  ["63", "packsswb"],
  ["64", "pcmpgtb"],
  ["65", "pcmpgtw"],
  ["66", "pcmpgtd"],
  ["67", "packuswb"],
  ["68", "punpckhbw"],
  ["69", "punpckhwd"],
  ["6A", "punpckhdq"],
  ["6B", "packssdw"],
  ["74", "pcmpeqb"],
  ["75", "pcmpeqw"],
  ["76", "pcmpeqd"],
  ["D1", "psrlw"],
  ["D2", "psrld"],
  ["D3", "psrlq"],
  ["D5", "pmullw"],
  ["D8", "psubusb"],
  ["D9", "psubusw"],
  ["DB", "pand"],
  ["DC", "paddusb"],
  ["DD", "paddusw"],
  ["DF", "pandn"],
  ["E1", "psraw"],
  ["E2", "psrad"],
  ["E5", "pmulhw"],
  ["E8", "psubsb"],
  ["E9", "psubsw"],
  ["EB", "por"],
  ["EC", "paddsb"],
  ["ED", "paddsw"],
  ["EF", "pxor"],
  ["F1", "psllw"],
  ["F2", "pslld"],
  ["F3", "psllq"],
  ["F5", "pmaddwd"],
  ["F8", "psubb"],
  ["F9", "psubw"],
  ["FA", "psubd"],
  ["FC", "paddb"],
  ["FD", "paddw"],
  ["FE", "paddd"],
];

/** Those whose MMX form came with SSE. */
const PACKED_SSE: [string, string][] = [
  ["DA", "pminub"],
  ["DE", "pmaxub"],
  ["E0", "pavgb"],
  ["E3", "pavgw"],
  ["E4", "pmulhuw"],
  ["EA", "pminsw"],
  ["EE", "pmaxsw"],
  ["F6", "psadbw"],
];

/** Those whose MMX form came with SSE2. */
const PACKED_SSE2: [string, string][] = [
  ["D4", "paddq"],
  ["F4", "pmuludq"],
  ["FB", "psubq"],
];

function packed(): Row[] {
  const rows: Row[] = [];
  const add = (list: [string, string][], form: { feature: Feature; guard: string }) => {
    for (const [opcode, name] of list) {
      // The low unpack instructions read half a register's worth of memory.
      const source = name.startsWith("punpckl") ? "Qd" : "Qq";
      rows.push(row(`NP 0F ${opcode} /r`, `+Pq,${source}`, name, form));
      rows.push(row(`66 0F ${opcode} /r`, "+Vdq,Wdq", `${name}_x`, sse2));
    }
  };
  add(PACKED_MMX, mmx);
  add(PACKED_SSE, mmxSse);
  add(PACKED_SSE2, mmxSse2);
  return rows;
}

const IMMEDIATE_SHIFTS: [string, number, string][] = [
  ["71", 2, "psrlw"],
  ["71", 4, "psraw"],
  ["71", 6, "psllw"],
  ["72", 2, "psrld"],
  ["72", 4, "psrad"],
  ["72", 6, "pslld"],
  ["73", 2, "psrlq"],
  ["73", 6, "psllq"],
];

function immediateShifts(): Row[] {
  return IMMEDIATE_SHIFTS.flatMap(([opcode, n, name]) => [
    row(`NP 0F ${opcode} /${n} r`, "+Nq,Ib", `${name}_i`, mmx),
    row(`66 0F ${opcode} /${n} r`, "+Udq,Ib", `${name}_xi`, sse2),
  ]);
}

/** Arithmetic in four widths: opcode, name, and whether the destination is only written. */
const ARITHMETIC: [string, string, boolean][] = [
  ["51", "sqrt", true],
  ["58", "add", false],
  ["59", "mul", false],
  ["5C", "sub", false],
  ["5D", "min", false],
  ["5E", "div", false],
  ["5F", "max", false],
];

function arithmetic(): Row[] {
  return ARITHMETIC.flatMap(([opcode, name, unary]) => {
    const mark = unary ? "=" : "+";
    return [
      row(`NP 0F ${opcode} /r`, `${mark}Vps,Wps`, `${name}ps`, sse),
      row(`F3 0F ${opcode} /r`, "+Vss,Wss", `${name}ss`, sse),
      row(`66 0F ${opcode} /r`, `${mark}Vpd,Wpd`, `${name}pd`, sse2),
      row(`F2 0F ${opcode} /r`, "+Vsd,Wsd", `${name}sd`, sse2),
    ];
  });
}

/** The part of the decode table for MMX and the SSE family. */
export const SIMD_ROWS: Row[] = [
  ...packed(),
  ...immediateShifts(),
  ...arithmetic(),

  row("NP 0F 10 /r", "=Vps,Wps", "mov16", { ...sse, unaligned: true }),
  row("NP 0F 11 /r", "=Wps,Vps", "mov16", { ...sse, unaligned: true }),
  row("66 0F 10 /r", "=Vpd,Wpd", "mov16", { ...sse2, unaligned: true }),
  row("66 0F 11 /r", "=Wpd,Vpd", "mov16", { ...sse2, unaligned: true }),
  row("F3 0F 10 /r", "+Vss,Wss", "movss", sse),
  row("F3 0F 11 /r m", "=Wss,Vss", "movss", sse),
  row("F3 0F 11 /r r", "+Wss,Vss", "movss", sse),
  row("F2 0F 10 /r", "+Vsd,Wsd", "movsd", sse2),
  row("F2 0F 11 /r m", "=Wsd,Vsd", "movsd", sse2),
  row("F2 0F 11 /r r", "+Wsd,Vsd", "movsd", sse2),
  row("NP 0F 12 /r m", "+Vq,Wq", "mov_low", sse),
  row("NP 0F 12 /r r", "+Vq,Udq", "mov_from_high", sse),
  row("66 0F 12 /r m", "+Vq,Wq", "mov_low", sse2),
  row("F2 0F 12 /r", "=Vdq,Wq", "movddup", sse3),
  row("F3 0F 12 /r", "=Vdq,Wdq", "movsldup", sse3),
  row("NP 0F 13 /r m", "=Wq,Vq", "mov_low", sse),
  row("66 0F 13 /r m", "=Wq,Vq", "mov_low", sse2),
  row("NP 0F 14 /r", "+Vps,Wps", "unpcklps", sse),
  row("66 0F 14 /r", "+Vpd,Wpd", "unpcklpd", sse2),
  row("NP 0F 15 /r", "+Vps,Wps", "unpckhps", sse),
  row("66 0F 15 /r", "+Vpd,Wpd", "unpckhpd", sse2),
  row("NP 0F 16 /r", "+Vdq,Wq", "mov_to_high", sse),
  row("66 0F 16 /r m", "+Vdq,Wq", "mov_to_high", sse2),
  row("F3 0F 16 /r", "=Vdq,Wdq", "movshdup", sse3),
  row("NP 0F 17 /r m", "=Wq,Vdq", "mov_from_high", sse),
  row("66 0F 17 /r m", "=Wq,Vdq", "mov_from_high", sse2),

  row("NP 0F 28 /r", "=Vps,Wps", "mov16", sse),
  row("NP 0F 29 /r", "=Wps,Vps", "mov16", sse),
  row("66 0F 28 /r", "=Vpd,Wpd", "mov16", sse2),
  row("66 0F 29 /r", "=Wpd,Vpd", "mov16", sse2),
  row("NP 0F 2A /r r", "+Vq,Qq", "cvtpi2ps", sseMmx),
  row("NP 0F 2A /r m", "+Vq,Qq", "cvtpi2ps", sse),
  row("66 0F 2A /r r", "=Vpd,Qq", "cvtpi2pd", sse2Mmx),
  row("66 0F 2A /r m", "=Vpd,Qq", "cvtpi2pd", sse2),
  row("F3 0F 2A /r", "+Vss,Ey", "cvtsi2ss", sse),
  row("F2 0F 2A /r", "+Vsd,Ey", "cvtsi2sd", sse2),
  row("NP 0F 2B /r m", "=Wps,Vps", "mov16", sse),
  row("66 0F 2B /r m", "=Wpd,Vpd", "mov16", sse2),
  row("NP 0F 2C /r", "=Pq,Wq", "cvttps2pi", sseMmx),
  row("66 0F 2C /r", "=Pq,Wpd", "cvttpd2pi", sse2Mmx),
  row("F3 0F 2C /r", "=Gy,Wss", "cvttss2si", sse),
  row("F2 0F 2C /r", "=Gy,Wsd", "cvttsd2si", sse2),
  row("NP 0F 2D /r", "=Pq,Wq", "cvtps2pi", sseMmx),
  row("66 0F 2D /r", "=Pq,Wpd", "cvtpd2pi", sse2Mmx),
  row("F3 0F 2D /r", "=Gy,Wss", "cvtss2si", sse),
  row("F2 0F 2D /r", "=Gy,Wsd", "cvtsd2si", sse2),
  row("NP 0F 2E /r", "Vss,Wss", "ucomiss", sse),
  row("66 0F 2E /r", "Vsd,Wsd", "ucomisd", sse2),
  row("NP 0F 2F /r", "Vss,Wss", "comiss", sse),
  row("66 0F 2F /r", "Vsd,Wsd", "comisd", sse2),

  row("NP 0F 50 /r r", "=Gd,Ups", "movmskps", sse),
  row("66 0F 50 /r r", "=Gd,Upd", "movmskpd", sse2),
  row("NP 0F 52 /r", "=Vps,Wps", "rsqrtps", sse),
  row("F3 0F 52 /r", "+Vss,Wss", "rsqrtss", sse),
  row("NP 0F 53 /r", "=Vps,Wps", "rcpps", sse),
  row("F3 0F 53 /r", "+Vss,Wss", "rcpss", sse),
  row("NP 0F 54 /r", "+Vps,Wps", "pand_x", sse),
  row("66 0F 54 /r", "+Vpd,Wpd", "pand_x", sse2),
  row("NP 0F 55 /r", "+Vps,Wps", "pandn_x", sse),
  row("66 0F 55 /r", "+Vpd,Wpd", "pandn_x", sse2),
  row("NP 0F 56 /r", "+Vps,Wps", "por_x", sse),
  row("66 0F 56 /r", "+Vpd,Wpd", "por_x", sse2),
  row("NP 0F 57 /r", "+Vps,Wps", "pxor_x", sse),
  row("66 0F 57 /r", "+Vpd,Wpd", "pxor_x", sse2),
  row("NP 0F 5A /r", "=Vpd,Wq", "cvtps2pd", sse2),
  row("66 0F 5A /r", "=Vps,Wpd", "cvtpd2ps", sse2),
  row("F3 0F 5A /r", "+Vsd,Wss", "cvtss2sd", sse2),
  row("F2 0F 5A /r", "+Vss,Wsd", "cvtsd2ss", sse2),
  row("NP 0F 5B /r", "=Vps,Wdq", "cvtdq2ps", sse2),
  row("66 0F 5B /r", "=Vdq,Wps", "cvtps2dq", sse2),
  row("F3 0F 5B /r", "=Vdq,Wps", "cvttps2dq", sse2),

  row("66 0F 6C /r", "+Vdq,Wdq", "punpcklqdq", sse2),
  row("66 0F 6D /r", "+Vdq,Wdq", "punpckhqdq", sse2),
  row("NP 0F 6E /r", "=Pq,Ey", "movd_to_mmx", mmx),
  row("66 0F 6E /r", "=Vdq,Ey", "movd_to_xmm", sse2),
  row("NP 0F 6F /r", "=Pq,Qq", "movq", mmx),
  row("66 0F 6F /r", "=Vdq,Wdq", "mov16", sse2),
  row("F3 0F 6F /r", "=Vdq,Wdq", "mov16", { ...sse2, unaligned: true }),
  row("NP 0F 70 /r", "=Pq,Qq,Ib", "pshufw", mmxSse),
  row("66 0F 70 /r", "=Vdq,Wdq,Ib", "pshufd", sse2),
  row("F3 0F 70 /r", "=Vdq,Wdq,Ib", "pshufhw", sse2),
  row("F2 0F 70 /r", "=Vdq,Wdq,Ib", "pshuflw", sse2),
  row("66 0F 73 /3 r", "+Udq,Ib", "psrldq", sse2),
  row("66 0F 73 /7 r", "+Udq,Ib", "pslldq", sse2),
  row("NP 0F 77", "", "emms", mmx),
  row("66 0F 7C /r", "+Vpd,Wpd", "haddpd", sse3),
  row("F2 0F 7C /r", "+Vps,Wps", "haddps", sse3),
  row("66 0F 7D /r", "+Vpd,Wpd", "hsubpd", sse3),
  row("F2 0F 7D /r", "+Vps,Wps", "hsubps", sse3),
  row("NP 0F 7E /r", "=Ey,Pd", "movd_from_mmx", mmx),
  row("66 0F 7E /r", "=Ey,Vd", "movd_from_xmm", sse2),
  row("F3 0F 7E /r", "=Vdq,Wq", "movq_x", sse2),
  row("NP 0F 7F /r", "=Qq,Pq", "movq", mmx),
  row("66 0F 7F /r", "=Wdq,Vdq", "mov16", sse2),
  row("F3 0F 7F /r", "=Wdq,Vdq", "mov16", { ...sse2, unaligned: true }),

  row("NP 0F AE /2 m", "Ed", "ldmxcsr", sse),
  row("NP 0F AE /3 m", "=Ed", "stmxcsr", sse),
  row("NP 0F AE /5 r", "", "nothing", { feature: "sse2" }),
  row("NP 0F AE /6 r", "", "nothing", { feature: "sse2" }),
  row("NP 0F AE /7 r", "", "nothing", { feature: "sse" }),
  row("NP 0F AE /7 m", "Eb", "nothing", { feature: "clflush" }),

  row("NP 0F C2 /r", "+Vps,Wps,Ib", "cmpps", sse),
  row("F3 0F C2 /r", "+Vss,Wss,Ib", "cmpss", sse),
  row("66 0F C2 /r", "+Vpd,Wpd,Ib", "cmppd", sse2),
  row("F2 0F C2 /r", "+Vsd,Wsd,Ib", "cmpsd", sse2),
  row("NP 0F C3 /r m", "=Ey,Gy", "movnti", { feature: "sse2" }),
  row("NP 0F C4 /r", "+Pq,Ew,Ib", "pinsrw", mmxSse),
  row("66 0F C4 /r", "+Vdq,Ew,Ib", "pinsrw_x", sse2),
  row("NP 0F C5 /r r", "=Gd,Nq,Ib", "pextrw", mmxSse),
  row("66 0F C5 /r r", "=Gd,Udq,Ib", "pextrw_x", sse2),
  row("NP 0F C6 /r", "+Vps,Wps,Ib", "shufps", sse),
  row("66 0F C6 /r", "+Vpd,Wpd,Ib", "shufpd", sse2),

  row("66 0F D0 /r", "+Vpd,Wpd", "addsubpd", sse3),
  row("F2 0F D0 /r", "+Vps,Wps", "addsubps", sse3),
  row("66 0F D6 /r", "=Wq,Vq", "movq_x", sse2),
  row("F3 0F D6 /r r", "=Vdq,Nq", "movq2dq", sse2Mmx),
  row("F2 0F D6 /r r", "=Pq,Uq", "movdq2q", sse2Mmx),
  row("NP 0F D7 /r r", "=Gd,Nq", "pmovmskb", mmxSse),
  row("66 0F D7 /r r", "=Gd,Udq", "pmovmskb_x", sse2),
  row("F3 0F E6 /r", "=Vpd,Wq", "cvtdq2pd", sse2),
  row("66 0F E6 /r", "=Vdq,Wpd", "cvttpd2dq", sse2),
  row("F2 0F E6 /r", "=Vdq,Wpd", "cvtpd2dq", sse2),
  row("NP 0F E7 /r m", "=Qq,Pq", "movq", mmxSse),
  row("66 0F E7 /r m", "=Wdq,Vdq", "mov16", sse2),
  row("F2 0F F0 /r m", "=Vdq,Wdq", "mov16", { ...sse3, unaligned: true }),
  row("NP 0F F7 /r r", "Pq,Nq", "maskmovq", mmxSse),
  row("66 0F F7 /r r", "Vdq,Udq", "maskmovdqu", sse2),
];

/** The functions that the rows name. */
export const SIMD_HELPERS: Record<string, Helper> = { ...MMX, ...SSE, ...SSE2, ...SSE3 };

function mmxGuard(cpu: X86): void {
  const cr0 = cpu.R[S.CR0];
  if ((cr0 & S.CR0_EM) !== 0) cpu.raise(S.UD);
  if ((cr0 & S.CR0_TS) !== 0) cpu.raise(S.NM);
  checkPending(cpu);
}

function sseGuard(cpu: X86): void {
  const cr0 = cpu.R[S.CR0];
  if ((cr0 & S.CR0_EM) !== 0 || (cpu.R[S.CR4] & S.CR4_OSFXSR) === 0) cpu.raise(S.UD);
  if ((cr0 & S.CR0_TS) !== 0) cpu.raise(S.NM);
}

/** Checks before MMX and SSE instructions. */
export const SIMD_GUARDS: Record<string, Guard> = {
  mmx: mmxGuard,
  sse: sseGuard,
  sse_mmx: (cpu) => {
    sseGuard(cpu);
    checkPending(cpu);
  },
};
