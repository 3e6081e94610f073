/** The general-purpose instructions (SDM vol. 2, tables ), as far as user mode executes them. */
import { f, type Form } from "./form.ts";
import * as P from "./profiles.ts";

const hex = (n: number): string => n.toString(16).padStart(2, "0").toUpperCase();
const lock = true;

const ALU = ["add", "or", "adc", "sbb", "and", "sub", "xor", "cmp"].flatMap((name, n) => {
  const locks = { lock: name !== "cmp" };
  const op = (k: number) => hex(n * 8 + k);
  return [
    f(`${op(0)} /r`, "Eb,Gb", name, locks),
    f(`${op(1)} /r`, "Ev,Gv", name, locks),
    f(`${op(2)} /r`, "Gb,Eb", name),
    f(`${op(3)} /r`, "Gv,Ev", name),
    f(op(4), "AL,Ib", name),
    f(op(5), "rAX,Iz", name),
    f(`80 /${n}`, "Eb,Ib", name, locks),
    f(`81 /${n}`, "Ev,Iz", name, locks),
    f(`82 /${n}`, "Eb,Ib", name, { ...locks }),
    f(`83 /${n}`, "Ev,sIb", name, locks),
  ];
});

const SHIFTS = ["rol", "ror", "rcl", "rcr", "shl", "shr", "shl", "sar"].flatMap((name, n) => {
  const options = { profile: P.shift, cases: 160 };
  return [
    f(`C0 /${n}`, "Eb,Ib", name, options),
    f(`C1 /${n}`, "Ev,Ib", name, options),
    f(`D0 /${n}`, "Eb,1", name),
    f(`D1 /${n}`, "Ev,1", name),
    f(`D2 /${n}`, "Eb,CL", name, options),
    f(`D3 /${n}`, "Ev,CL", name, options),
  ];
});

const CONDITIONS = [
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
];
const CONDITIONAL = CONDITIONS.flatMap((cc, n) => [
  f(hex(0x70 + n), "Jb", `j${cc}`, { sized: true }),
  f(`0F ${hex(0x80 + n)}`, "Jz", `j${cc}`, { profile: P.nearBranch }),
  f(`0F ${hex(0x90 + n)} /r`, "Eb", `set${cc}`),
  f(`0F ${hex(0x40 + n)} /r`, "Gv,Ev", `cmov${cc}`),
]);

const STRINGS = [["movs", 0xa4], ["cmps", 0xa6], ["stos", 0xaa], ["lods", 0xac], ["scas", 0xae]]
  .flatMap(([name, first]) =>
    ["NP", "F3", "F2"].flatMap((prefix) => {
      const options = { profile: P.string, implicitMemory: true, repeats: prefix !== "NP" };
      const op = first as number;
      return [
        f(`${prefix} ${hex(op)}`, "", `${name}b`, options),
        f(`${prefix} ${hex(op + 1)}`, "", `${name}v`, { ...options, sized: true }),
      ];
    })
  );

const BITS = ["bt", "bts", "btr", "btc"].flatMap((name, n) => {
  const options = { lock: n > 0, profile: P.bitString, flags: "bt" };
  return [
    f(`0F ${hex(0xa3 + n * 8)} /r`, "Ev,Gv", name, options),
    f(`0F BA /${n + 4}`, "Ev,Ib", name, { lock: n > 0, flags: "bt" }),
  ];
});

const UNARY = ["test", "test", "not", "neg", "mul", "imul", "div", "idiv"].flatMap((name, n) => {
  const options = n === 2 || n === 3 ? { lock } : n >= 6 ? { profile: P.divide, cases: 160 } : {};
  return [
    f(`F6 /${n}`, n < 2 ? "Eb,Ib" : "Eb", name, options),
    f(`F7 /${n}`, n < 2 ? "Ev,Iz" : "Ev", name, options),
  ];
});

const stack = true, sized = true;

const STACK = [
  f("50 +r", "Zv", "push", { stack }),
  f("58 +r", "Zv", "pop", { stack }),
  f("60", "", "pusha", { stack, sized }),
  f("61", "", "popa", { stack, sized }),
  f("68", "Iz", "push", { stack }),
  f("6A", "sIb", "push", { stack, sized }),
  f("8F /0", "Ev", "pop", { stack }),
  f("FF /6", "Ev", "push", { stack }),
  f("9C", "", "pushf", { stack, sized, profile: P.pushFlags }),
  f("9D", "", "popf", { stack, sized, profile: P.popFlags }),
  f("C8", "Iw,Ib", "enter", { stack, sized, profile: P.enter, cases: 160 }),
  f("C9", "", "leave", { stack, sized, profile: P.leave }),
  f("C2", "Iw", "ret", { stack, sized, profile: P.nearReturn }),
  f("C3", "", "ret", { stack, sized, profile: P.nearReturn }),
  f("E8", "Jz", "call", { stack, profile: P.nearBranch }),
  f("FF /2", "Ev", "call", { stack, profile: P.nearTarget }),
  ...[0x06, 0x0e, 0x16, 0x1e].map((op) => f(hex(op), "", "push_seg", { stack, sized })),
  ...["0F A0", "0F A8"].map((op) => f(op, "", "push_seg", { stack, sized })),
  ...["07", "1F", "0F A1", "0F A9"].map((op) =>
    f(op, "", "pop_seg", { stack, sized, profile: P.popSegment })
  ),
  f("17", "", "pop_ss", { stack, sized, profile: P.popStackSegment, shadow: true }),
];

const FAR = [
  f("9A", "Ap", "call_far", { stack, profile: P.farImmediate }),
  f("EA", "Ap", "jmp_far", { profile: P.farImmediate }),
  f("FF /3", "Mp", "call_far", { stack, profile: P.farPointer }),
  f("FF /5", "Mp", "jmp_far", { profile: P.farPointer }),
  f("CA", "Iw", "ret_far", { stack, sized, profile: P.farReturn }),
  f("CB", "", "ret_far", { stack, sized, profile: P.farReturn }),
  f("CF", "", "iret", { stack, sized, profile: P.interruptReturn }),
  f("C4 /r", "Mp", "les", { profile: P.loadFar }),
  f("C5 /r", "Mp", "lds", { profile: P.loadFar }),
  f("0F B2 /r", "Mp", "lss", { profile: P.loadFarStack }),
  f("0F B4 /r", "Mp", "lfs", { profile: P.loadFar }),
  f("0F B5 /r", "Mp", "lgs", { profile: P.loadFar }),
  ...[0, 1, 2, 3, 4, 5].map((n) => f(`8C /${n}`, "Ev", "mov_from_seg")),
  ...[0, 3, 4, 5].map((n) => f(`8E /${n}`, "Ew", "mov_to_seg", { profile: P.toSegment, sized })),
  // CS cannot be loaded, and there are no segment registers 6 and 7.
  ...[6, 7].map((n) => f(`8C /${n}`, "Ev", "invalid_seg")),
  ...[1, 6, 7].map((n) => f(`8E /${n}`, "Ew", "invalid_seg")),
  f("8E /2", "Ew", "mov_to_ss", { profile: P.toStackSegment, shadow: true }),
  f("0F 02 /r", "Ew", "lar", { profile: P.selector, sized }),
  f("0F 03 /r", "Ew", "lsl", { profile: P.selector, sized }),
  f("0F 00 /4", "Ew", "verr", { profile: P.selector }),
  f("0F 00 /5", "Ew", "verw", { profile: P.selector }),
  f("63 /r", "Ew", "arpl"),
];

/** Refused at CPL 3 with IOPL 0, each with its own vector and error code. */
const PRIVILEGED = [
  ...["FA", "FB", "F4", "0F 06", "0F 08", "0F 09", "0F 30", "0F 32"].map((op) =>
    f(op, "", "privileged")
  ),
  ...["E4", "E6"].map((op) => f(op, "Ib", "privileged")),
  ...["E5", "E7"].map((op) => f(op, "Ib", "privileged", { sized })),
  ...["EC", "EE"].map((op) => f(op, "", "privileged")),
  ...["ED", "EF"].map((op) => f(op, "", "privileged", { sized })),
  ...["6C", "6E"].map((op) => f(op, "", "privileged")),
  ...["6D", "6F"].map((op) => f(op, "", "privileged", { sized })),
  f("0F 00 /2", "Ew", "privileged"),
  f("0F 00 /3", "Ew", "privileged"),
  f("0F 01 /2 m", "Md", "privileged"),
  f("0F 01 /3 m", "Md", "privileged"),
  f("0F 01 /6", "Ew", "privileged"),
  f("0F 01 /7 m", "Mb", "privileged"),
  f("0F 20 /r", "Rd", "privileged", { profile: P.controlRegister }),
  f("0F 22 /r", "Rd", "privileged", { profile: P.controlRegister }),
  f("0F 21 /r", "Rd", "privileged", { profile: P.debugRegister }),
  f("0F 23 /r", "Rd", "privileged", { profile: P.debugRegister }),
  f("CD", "Ib", "int", { cases: 120, profile: P.softwareInterrupt }),
  f("CC", "", "int3"),
  f("CE", "", "into"),
  f("0F 0B", "", "ud2"),
  f("0F B9 /r", "Gv,Ev", "ud1"),
];

const SIMPLE: [string, string, string][] = [
  ["27", "", "daa"],
  ["2F", "", "das"],
  ["37", "", "aaa"],
  ["3F", "", "aas"],
  ["9E", "", "sahf"],
  ["9F", "", "lahf"],
  ["F5", "", "cmc"],
  ["F8", "", "clc"],
  ["F9", "", "stc"],
  ["FC", "", "cld"],
  ["FD", "", "std"],
  ["D6", "", "salc"],
];

/** Every integer form. */
export const INTEGER_FORMS: readonly Form[] = [
  ...ALU,
  ...SHIFTS,
  ...CONDITIONAL,
  ...STRINGS,
  ...BITS,
  ...UNARY,
  ...STACK,
  ...FAR,
  ...PRIVILEGED,
  ...SIMPLE.map(([op, operands, name]) => f(op, operands, name)),
  f("D4", "Ib", "aam", { profile: P.aam }),
  f("D5", "Ib", "aad"),
  f("40 +r", "Zv", "inc"),
  f("48 +r", "Zv", "dec"),
  f("62 /r m", "Ma", "bound", { profile: P.bound }),
  f("69 /r", "Gv,Ev,Iz", "imul"),
  f("6B /r", "Gv,Ev,sIb", "imul"),
  f("84 /r", "Eb,Gb", "test"),
  f("85 /r", "Ev,Gv", "test"),
  f("86 /r", "Eb,Gb", "xchg", { lock }),
  f("87 /r", "Ev,Gv", "xchg", { lock }),
  f("88 /r", "Eb,Gb", "mov"),
  f("89 /r", "Ev,Gv", "mov"),
  f("8A /r", "Gb,Eb", "mov"),
  f("8B /r", "Gv,Ev", "mov"),
  f("8D /r m", "Mv", "lea", { profile: P.lea }),
  f("NP 90", "", "nop", { sized }),
  f("F3 90", "", "pause"),
  f("F2 90", "", "nop"),
  ...[1, 2, 3, 4, 5, 6, 7].map((n) => f(hex(0x90 + n), "rAX", "xchg")),
  f("98", "", "cbw", { sized }),
  f("99", "", "cwd", { sized }),
  f("A0", "Ob", "mov"),
  f("A1", "Ov", "mov"),
  f("A2", "Ob", "mov"),
  f("A3", "Ov", "mov"),
  f("A8", "AL,Ib", "test"),
  f("A9", "rAX,Iz", "test"),
  f("B0 +r", "Zb,Ib", "mov"),
  f("B8 +r", "Zv,Iz", "mov"),
  f("C6 /0", "Eb,Ib", "mov"),
  f("C7 /0", "Ev,Iz", "mov"),
  f("D7", "", "xlat", { profile: P.xlat, implicitMemory: true }),
  f("E0", "Jb", "loopne", { profile: P.loop, sized }),
  f("E1", "Jb", "loope", { profile: P.loop, sized }),
  f("E2", "Jb", "loop", { profile: P.loop, sized }),
  f("E3", "Jb", "jcxz", { profile: P.loop, sized }),
  f("E9", "Jz", "jmp", { profile: P.nearBranch }),
  f("EB", "Jb", "jmp", { sized }),
  f("FF /4", "Ev", "jmp", { profile: P.nearTarget }),
  f("FE /0", "Eb", "inc", { lock }),
  f("FE /1", "Eb", "dec", { lock }),
  f("FF /0", "Ev", "inc", { lock }),
  f("FF /1", "Ev", "dec", { lock }),
  ...[0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e].map((n) => f(`NP 0F ${hex(n)} /r`, "Eb", "nop")),
  f("0F AA", "", "rsm"),
  f("0F 0D /0 m", "Mb", "nop"),
  ...[0, 1, 2, 3, 4, 5].map((n) => f(`0F 18 /${n} m`, "Mb", "prefetch")),
  f("0F 18 /r r", "Eb", "nop"),
  f("0F 1F /0", "Ev", "nop"),
  f("0F A4 /r", "Ev,Gv,Ib", "shld", { profile: P.shift, cases: 160 }),
  f("0F A5 /r", "Ev,Gv,CL", "shld", { profile: P.shift, cases: 160 }),
  f("0F AC /r", "Ev,Gv,Ib", "shrd", { profile: P.shift, cases: 160 }),
  f("0F AD /r", "Ev,Gv,CL", "shrd", { profile: P.shift, cases: 160 }),
  f("0F AF /r", "Gv,Ev", "imul"),
  f("0F B0 /r", "Eb,Gb", "cmpxchg", { lock, profile: P.cmpxchg }),
  f("0F B1 /r", "Ev,Gv", "cmpxchg", { lock, profile: P.cmpxchg }),
  f("0F B6 /r", "Gv,Eb", "movzx"),
  f("0F B7 /r", "Gv,Ew", "movzx"),
  f("0F BE /r", "Gv,Eb", "movsx"),
  f("0F BF /r", "Gv,Ew", "movsx"),
  f("NP 0F BC /r", "Gv,Ev", "bsf", { profile: P.bitScan }),
  f("NP 0F BD /r", "Gv,Ev", "bsr", { profile: P.bitScan }),
  f("0F C0 /r", "Eb,Gb", "xadd", { lock }),
  f("0F C1 /r", "Ev,Gv", "xadd", { lock }),
  f("0F C7 /1 m", "Mq", "cmpxchg8b", { lock, profile: P.cmpxchg8b }),
  ...[0, 1, 2, 3, 4, 5, 6, 7].map((n) => f(`0F ${hex(0xc8 + n)}`, "Zv", "bswap", { sized })),
];
