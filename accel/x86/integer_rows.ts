/** The decode table of the general-purpose instructions, in opcode order (SDM vol. 2, tables ). */
import { type Row, row } from "./rows.ts";

/** ADD to CMP share one layout of six opcodes each, and one group each in 80 to 83. */
const ALU = ["add", "or", "adc", "sbb", "and", "sub", "xor", "cmp"];
const SHIFTS = ["rol", "ror", "rcl", "rcr", "shl", "shr", "shl", "sar"];

/** Condition codes in encoding order (SDM vol. 1, appendix B). */
export const CONDITIONS = [
  "o",
  "no",
  "b",
  "nb",
  "z",
  "nz",
  "be",
  "nbe",
  "s",
  "ns",
  "p",
  "np",
  "l",
  "nl",
  "le",
  "nle",
] as const;

const hex = (n: number) => n.toString(16).padStart(2, "0").toUpperCase();

function alu(): Row[] {
  return ALU.flatMap((name, n) => {
    const to = name === "cmp" ? "" : "+", lock = name !== "cmp";
    const op = (k: number) => hex(n * 8 + k);
    return [
      row(`${op(0)} /r`, `${to}Eb,Gb`, name, { lock }),
      row(`${op(1)} /r`, `${to}Ev,Gv`, name, { lock }),
      row(`${op(2)} /r`, `${to}Gb,Eb`, name),
      row(`${op(3)} /r`, `${to}Gv,Ev`, name),
      row(op(4), `${to}AL,Ib`, name),
      row(op(5), `${to}rAX,Iz`, name),
      row(`80 /${n}`, `${to}Eb,Ib`, name, { lock }),
      row(`81 /${n}`, `${to}Ev,Iz`, name, { lock }),
      row(`82 /${n}`, `${to}Eb,Ib`, name, { lock }),
      row(`83 /${n}`, `${to}Ev,sIb`, name, { lock }),
    ];
  });
}

function shifts(): Row[] {
  return SHIFTS.flatMap((name, n) => [
    row(`C0 /${n}`, "+Eb,Ib", name),
    row(`C1 /${n}`, "+Ev,Ib", name),
    row(`D0 /${n}`, "+Eb,1", name),
    row(`D1 /${n}`, "+Ev,1", name),
    row(`D2 /${n}`, "+Eb,CL", name),
    row(`D3 /${n}`, "+Ev,CL", name),
  ]);
}

function conditional(): Row[] {
  return CONDITIONS.flatMap((cc, n) => [
    row(hex(0x70 + n), "Jb", `j${cc}`),
    row(`0F ${hex(0x80 + n)}`, "Jz", `j${cc}`),
    row(`0F ${hex(0x90 + n)} /r`, "=Eb", `set${cc}`),
    row(`0F ${hex(0x40 + n)} /r`, "+Gv,Ev", `cmov${cc}`, { feature: "cmov" }),
  ]);
}

function strings(): Row[] {
  return [
    ["movs", 0xa4],
    ["cmps", 0xa6],
    ["stos", 0xaa],
    ["lods", 0xac],
    ["scas", 0xae],
    ["ins", 0x6c],
    ["outs", 0x6e],
  ].flatMap(([name, op]) => [
    row(hex(op as number), "", `${name}b`, { control: true }),
    row(hex(op as number + 1), "", `${name}v`, { control: true }),
  ]);
}

const BITS = ["bt", "bts", "btr", "btc"];

function bitTests(): Row[] {
  return BITS.flatMap((name, n) => {
    const to = name === "bt" ? "" : "+", lock = name !== "bt";
    return [
      row(`0F ${hex(0xa3 + n * 8)} /r r`, `${to}Rv,Gv`, name),
      // The memory form addresses a bit string: the offset reaches beyond the operand.
      row(`0F ${hex(0xa3 + n * 8)} /r m`, "M,Gv", `${name}_string`, { lock }),
      row(`0F BA /${n + 4}`, `${to}Ev,Ib`, name, { lock }),
    ];
  });
}

/** All rows, in no particular order: the decoder finds them by opcode. */
export const INTEGER_ROWS: Row[] = [
  ...alu(),
  ...shifts(),
  ...conditional(),
  ...strings(),
  ...bitTests(),
  row("27", "", "daa"),
  row("2F", "", "das"),
  row("37", "", "aaa"),
  row("3F", "", "aas"),
  row("D4", "Ib", "aam"),
  row("D5", "Ib", "aad"),
  row("D6", "=AL", "salc"),
  row("40 +r", "+Zv", "inc"),
  row("48 +r", "+Zv", "dec"),
  row("50 +r", "Zv", "push"),
  row("58 +r", "=Zv", "pop"),
  row("60", "", "pusha"),
  row("61", "", "popa"),
  row("62 /r m", "Gv,M", "bound"),
  row("68", "Iz", "push"),
  row("6A", "sIb", "push"),
  row("69 /r", "=Gv,Ev,Iz", "imul"),
  row("6B /r", "=Gv,Ev,sIb", "imul"),
  row("63 /r", "=Gv,Ed", "movsxd", { longOnly: true }),
  row("84 /r", "Eb,Gb", "test"),
  row("85 /r", "Ev,Gv", "test"),
  row("86 /r", "+Eb,+Gb", "xchg", { lock: true }),
  row("87 /r", "+Ev,+Gv", "xchg", { lock: true }),
  row("88 /r", "=Eb,Gb", "mov"),
  row("89 /r", "=Ev,Gv", "mov"),
  row("8A /r", "=Gb,Eb", "mov"),
  row("8B /r", "=Gv,Ev", "mov"),
  row("8D /r m", "=Gv,M", "lea"),
  row("8F /0 r", "=Ev", "pop"),
  row("8F /0 m", "=Ev", "pop_mem"),
  row("NP 90", "", "nop"),
  row("66 90", "", "nop"),
  row("F2 90", "", "nop"),
  row("F3 90", "", "pause"),
  row("90 +r", "+rAX,+Zv", "xchg"),
  row("98", "", "cbw"),
  row("99", "", "cwd"),
  row("9E", "", "sahf", { legacyOnly: true }),
  row("9F", "", "lahf", { legacyOnly: true }),
  row("9E", "", "sahf", { feature: "lahf_lm", longOnly: true }),
  row("9F", "", "lahf", { feature: "lahf_lm", longOnly: true }),
  row("A0", "=AL,Ob", "mov"),
  row("A1", "=rAX,Ov", "mov"),
  row("A2", "=Ob,AL", "mov"),
  row("A3", "=Ov,rAX", "mov"),
  row("A8", "AL,Ib", "test"),
  row("A9", "rAX,Iz", "test"),
  row("B0 +r", "=Zb,Ib", "mov"),
  row("B8 +r", "=Zv,Iz", "mov"),
  row("C2", "Iw", "ret"),
  row("C3", "", "ret"),
  row("C6 /0", "=Eb,Ib", "mov"),
  row("C7 /0", "=Ev,Iz", "mov"),
  row("C8", "Iw,Ib", "enter"),
  row("C9", "", "leave"),
  row("D7", "", "xlat"),
  row("E0", "Jb", "loopne"),
  row("E1", "Jb", "loope"),
  row("E2", "Jb", "loop"),
  row("E3", "Jb", "jcxz"),
  row("E8", "Jz", "call"),
  row("E9", "Jz", "jmp"),
  row("EB", "Jb", "jmp"),
  row("F5", "", "cmc"),
  row("F8", "", "clc"),
  row("F9", "", "stc"),
  row("FC", "", "cld"),
  row("FD", "", "std"),
  row("F6 /0", "Eb,Ib", "test"),
  row("F6 /1", "Eb,Ib", "test"),
  row("F6 /2", "+Eb", "not", { lock: true }),
  row("F6 /3", "+Eb", "neg", { lock: true }),
  row("F6 /4", "Eb", "mul"),
  row("F6 /5", "Eb", "imul1"),
  row("F6 /6", "Eb", "div"),
  row("F6 /7", "Eb", "idiv"),
  row("F7 /0", "Ev,Iz", "test"),
  row("F7 /1", "Ev,Iz", "test"),
  row("F7 /2", "+Ev", "not", { lock: true }),
  row("F7 /3", "+Ev", "neg", { lock: true }),
  row("F7 /4", "Ev", "mul"),
  row("F7 /5", "Ev", "imul1"),
  row("F7 /6", "Ev", "div"),
  row("F7 /7", "Ev", "idiv"),
  row("FE /0", "+Eb", "inc", { lock: true }),
  row("FE /1", "+Eb", "dec", { lock: true }),
  row("FF /0", "+Ev", "inc", { lock: true }),
  row("FF /1", "+Ev", "dec", { lock: true }),
  row("FF /2", "Ev", "call_near"),
  row("FF /4", "Ev", "jmp_near"),
  row("FF /6", "Ev", "push"),
  // 0F 0D and 0F 18 hold prefetch hints (PREFETCHW is one), which change nothing.
  row("0F 0D /r", "M", "nop", { feature: "sse" }),
  ...[0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f].map((n) =>
    row(`0F ${hex(n)} /r`, "M", "nop", { feature: "cmov" })
  ),
  row("0F A4 /r", "+Ev,Gv,Ib", "shld"),
  row("0F A5 /r", "+Ev,Gv,CL", "shld"),
  row("0F AC /r", "+Ev,Gv,Ib", "shrd"),
  row("0F AD /r", "+Ev,Gv,CL", "shrd"),
  row("0F AF /r", "+Gv,Ev", "imul2"),
  row("0F B0 /r", "+Eb,Gb", "cmpxchg", { lock: true }),
  row("0F B1 /r", "+Ev,Gv", "cmpxchg", { lock: true }),
  row("0F B6 /r", "=Gv,Eb", "movzx"),
  row("0F B7 /r", "=Gv,Ew", "movzx"),
  row("0F BE /r", "=Gv,Eb", "movsx"),
  row("0F BF /r", "=Gv,Ew", "movsx"),
  row("0F BC /r", "+Gv,Ev", "bsf"),
  row("0F BD /r", "+Gv,Ev", "bsr"),
  row("0F C0 /r", "+Eb,+Gb", "xadd", { lock: true }),
  row("0F C1 /r", "+Ev,+Gv", "xadd", { lock: true }),
  row("0F C7 /1 m", "M", "cmpxchg8b", { feature: "cx8", lock: true }),
  row("NP|66 0F C7 /6 r", "=Ev", "rdrand", { feature: "rdrand" }),
  row("NP|66 0F C7 /7 r", "=Ev", "rdrand", { feature: "rdseed" }),
  row("0F C8 +r", "+Zv", "bswap"),
];
