/** The decode table of SSSE3, SSE4.1, SSE4.2, AES-NI, PCLMULQDQ, the SHA extensions and cache hints (SDM vol. 2, tables ). */
import { type Helper, type Row, row } from "../rows.ts";
import { AES } from "./aes.ts";
import { SHA } from "./sha.ts";
import { SSE41 } from "./sse41.ts";
import { SSE42 } from "./sse42.ts";
import { SSSE3 } from "./ssse3.ts";

const ssse3Mmx = { feature: "ssse3", guard: "mmx" } as const;
const ssse3 = { feature: "ssse3", guard: "sse" } as const;
const sse41 = { feature: "sse4_1", guard: "sse" } as const;
const sse42 = { feature: "sse4_2", guard: "sse" } as const;
/** Operands of string comparisons need not be aligned. */
const strings = { ...sse42, unaligned: true } as const;
const aes = { feature: "aes", guard: "sse" } as const;
/** Alignment is up to the vendor, and the helpers' business. */
const sha = { feature: "sha_ni", guard: "sse", unaligned: true } as const;

/** With forms for MMX and XMM registers: opcode and name. Those marked are not a function of the destination. */
const SSSE3_PACKED: [string, string, "+" | "="][] = [
  ["00", "pshufb", "+"],
  ["01", "phaddw", "+"],
  ["02", "phaddd", "+"],
  ["03", "phaddsw", "+"],
  ["04", "pmaddubsw", "+"],
  ["05", "phsubw", "+"],
  ["06", "phsubd", "+"],
  ["07", "phsubsw", "+"],
  ["08", "psignb", "+"],
  ["09", "psignw", "+"],
  ["0A", "psignd", "+"],
  ["0B", "pmulhrsw", "+"],
  ["1C", "pabsb", "="],
  ["1D", "pabsw", "="],
  ["1E", "pabsd", "="],
];

/** 66 0F 38 on whole XMM registers. */
const SSE41_PACKED: [string, string, "+" | "="][] = [
  ["10", "pblendvb", "+"],
  ["14", "blendvps", "+"],
  ["15", "blendvpd", "+"],
  ["28", "pmuldq", "+"],
  ["29", "pcmpeqq", "+"],
  ["2B", "packusdw", "+"],
  ["38", "pminsb_x", "+"],
  ["39", "pminsd_x", "+"],
  ["3A", "pminuw_x", "+"],
  ["3B", "pminud_x", "+"],
  ["3C", "pmaxsb_x", "+"],
  ["3D", "pmaxsd_x", "+"],
  ["3E", "pmaxuw_x", "+"],
  ["3F", "pmaxud_x", "+"],
  ["40", "pmulld_x", "+"],
  ["41", "phminposuw", "="],
];

/** PMOVSX at 2n, PMOVZX at 3n: lane widths, and how much of the source is read. */
const EXTENSIONS: [number, string, string][] = [
  [0, "bw", "q"],
  [1, "bd", "d"],
  [2, "bq", "w"],
  [3, "wd", "q"],
  [4, "wq", "d"],
  [5, "dq", "q"],
];

/** The part of the decode table for these extensions. */
export const EXTENSION_ROWS: Row[] = [
  ...SSSE3_PACKED.flatMap(([opcode, name, mark]) => [
    row(`NP 0F 38 ${opcode} /r`, `${mark}Pq,Qq`, name, ssse3Mmx),
    row(`66 0F 38 ${opcode} /r`, `${mark}Vdq,Wdq`, `${name}_x`, ssse3),
  ]),
  row("NP 0F 3A 0F /r", "+Pq,Qq,Ib", "palignr", ssse3Mmx),
  row("66 0F 3A 0F /r", "+Vdq,Wdq,Ib", "palignr_x", ssse3),

  ...SSE41_PACKED.map(([opcode, name, mark]) =>
    row(`66 0F 38 ${opcode} /r`, `${mark}Vdq,Wdq`, name, sse41)
  ),
  ...EXTENSIONS.flatMap(([n, name, size]) => [
    row(`66 0F 38 2${n} /r`, `=Vdq,W${size}`, `pmovsx${name}`, sse41),
    row(`66 0F 38 3${n} /r`, `=Vdq,W${size}`, `pmovzx${name}`, sse41),
  ]),
  row("66 0F 38 17 /r", "Vdq,Wdq", "ptest", sse41),
  row("66 0F 38 2A /r m", "=Vdq,Wdq", "mov16", sse41),
  row("66 0F 3A 08 /r", "=Vps,Wps,Ib", "roundps", sse41),
  row("66 0F 3A 09 /r", "=Vpd,Wpd,Ib", "roundpd", sse41),
  row("66 0F 3A 0A /r", "+Vss,Wss,Ib", "roundss", sse41),
  row("66 0F 3A 0B /r", "+Vsd,Wsd,Ib", "roundsd", sse41),
  row("66 0F 3A 0C /r", "+Vps,Wps,Ib", "blendps", sse41),
  row("66 0F 3A 0D /r", "+Vpd,Wpd,Ib", "blendpd", sse41),
  row("66 0F 3A 0E /r", "+Vdq,Wdq,Ib", "pblendw", sse41),
  row("66 0F 3A 14 /r r", "=Ed,Vdq,Ib", "pextrb", sse41),
  row("66 0F 3A 14 /r m", "=Eb,Vdq,Ib", "pextrb", sse41),
  row("66 0F 3A 15 /r r", "=Ed,Vdq,Ib", "pextrw_rm", sse41),
  row("66 0F 3A 15 /r m", "=Ew,Vdq,Ib", "pextrw_rm", sse41),
  row("66 0F 3A 16 /r", "=Ey,Vdq,Ib", "pextrd", sse41),
  row("66 0F 3A 17 /r", "=Ed,Vdq,Ib", "extractps", sse41),
  row("66 0F 3A 20 /r r", "+Vdq,Ed,Ib", "pinsrb", sse41),
  row("66 0F 3A 20 /r m", "+Vdq,Eb,Ib", "pinsrb", sse41),
  row("66 0F 3A 21 /r", "+Vdq,Wd,Ib", "insertps", sse41),
  row("66 0F 3A 22 /r", "+Vdq,Ey,Ib", "pinsrd", sse41),
  row("66 0F 3A 40 /r", "+Vps,Wps,Ib", "dpps", sse41),
  row("66 0F 3A 41 /r", "+Vpd,Wpd,Ib", "dppd", sse41),
  row("66 0F 3A 42 /r", "+Vdq,Wdq,Ib", "mpsadbw", sse41),

  row("66 0F 38 37 /r", "+Vdq,Wdq", "pcmpgtq", sse42),
  row("66 0F 3A 60 /r", "Vdq,Wdq,Ib", "pcmpestrm", strings),
  row("66 0F 3A 61 /r", "Vdq,Wdq,Ib", "pcmpestri", strings),
  row("66 0F 3A 62 /r", "Vdq,Wdq,Ib", "pcmpistrm", strings),
  row("66 0F 3A 63 /r", "Vdq,Wdq,Ib", "pcmpistri", strings),

  row("66 0F 3A 44 /r", "+Vdq,Wdq,Ib", "pclmulqdq", { feature: "pclmulqdq", guard: "sse" }),
  row("66 0F 38 DB /r", "=Vdq,Wdq", "aesimc", aes),
  row("66 0F 38 DC /r", "+Vdq,Wdq", "aesenc", aes),
  row("66 0F 38 DD /r", "+Vdq,Wdq", "aesenclast", aes),
  row("66 0F 38 DE /r", "+Vdq,Wdq", "aesdec", aes),
  row("66 0F 38 DF /r", "+Vdq,Wdq", "aesdeclast", aes),
  row("66 0F 3A DF /r", "=Vdq,Wdq,Ib", "aeskeygenassist", aes),

  row("NP 0F 38 C8 /r", "+Vdq,Wdq", "sha1nexte", sha),
  row("NP 0F 38 C9 /r", "+Vdq,Wdq", "sha1msg1", sha),
  row("NP 0F 38 CA /r", "+Vdq,Wdq", "sha1msg2", sha),
  row("NP 0F 38 CB /r", "+Vdq,Wdq", "sha256rnds2", sha),
  row("NP 0F 38 CC /r", "+Vdq,Wdq", "sha256msg1", sha),
  row("NP 0F 38 CD /r", "+Vdq,Wdq", "sha256msg2", sha),
  row("NP 0F 3A CC /r", "+Vdq,Wdq,Ib", "sha1rnds4", sha),

  row("66 0F AE /6 m", "Eb", "nothing", { feature: "clwb" }),
  row("66 0F AE /7 m", "Eb", "nothing", { feature: "clflushopt" }),
];

/** The functions that the rows name and no other file has. */
export const EXTENSION_HELPERS: Record<string, Helper> = {
  ...SSSE3,
  ...SSE41,
  ...SSE42,
  ...AES,
  ...SHA,
};
