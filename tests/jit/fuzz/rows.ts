/** Random instructions straight from the decode table, so that each that there is comes up. */
import { ROWS } from "../../../accel/x86/table.ts";
import type { Row } from "../../../accel/x86/rows.ts";
import { type Operand, parseOperands } from "../../../accel/x86/operands.ts";
import { bytesOf, EAX, ECX, EDX, type Extras, type RegisterOrMemory } from "./assembler.ts";
import type { Context } from "./context.ts";
import * as L from "./layout.ts";

/** A row with its encoding. */
interface Entry {
  row: Row;
  operands: readonly Operand[];
  prefix: number | undefined;
  vex: { map: number; pp: number } | undefined;
  opcode: number[];
  /** ModRM.reg where it extends the opcode; a whole ModRM byte. */
  digit: number | undefined;
  fixed: number | undefined;
  modrm: boolean;
  plus: boolean;
  registers: boolean;
  memory: boolean;
}

/** What would leave the program, the mode, the stack or the masks of exceptions other than it found them. */
const ELSEWHERE =
  /^(push|pop|call|ret|jmp|j|loop|enter|leave|int|iret|hlt|ud|[ls][dgi]dt|str|ltr|mov_(to|from)_[cd]r|mov_to_sreg|cli|sti|std|in|out|x?rstor|f(x?rstor|ldenv|ldcw|nsave|nstenv)|ldmxcsr|xsetbv|lss|monitor|mwait|sys|bound|salc|rsm)/;
const KINDS = "EGZRBMFIVWUPQN";

function entry(row: Row): Entry | undefined {
  if (row.control === true || row.guard === "ring0") return undefined;
  if (ELSEWHERE.test(row.semantic) && !/^(int2|insert)/.test(row.semantic)) return undefined;
  const operands = parseOperands(row);
  const known = (o: Operand) => o.kind === "one" || o.kind === "ST" || KINDS.includes(o.kind);
  if (!operands.every(known)) return undefined;
  const tokens = row.opcode.split(" "), opcode: number[] = [];
  let prefix: number | undefined, vex: Entry["vex"];
  if (tokens[0].startsWith("VEX.")) {
    const [, , pp, map] = tokens.shift()!.split(".");
    vex = {
      map: ["0F", "0F38", "0F3A"].indexOf(map) + 1,
      pp: ["NP", "66", "F3", "F2"].indexOf(pp),
    };
  } else if (/^(NP|66|F2|F3)/.test(tokens[0]) && tokens.length > 1) {
    const first = tokens.shift()!;
    if (!first.startsWith("NP")) prefix = parseInt(first, 16);
  }
  if (vex !== undefined) opcode.push(parseInt(tokens.shift()!, 16));
  else {
    if (tokens[0] === "0F" && tokens.length > 1) opcode.push(parseInt(tokens.shift()!, 16));
    if (opcode.length > 0 && /^3[8A]$/.test(tokens[0]) && /^[0-9A-F]{2}$/.test(tokens[1] ?? "")) {
      opcode.push(parseInt(tokens.shift()!, 16));
    }
    opcode.push(parseInt(tokens.shift()!, 16));
  }
  const digit = tokens.find((t) => /^\/[0-7]$/.test(t)),
    fixed = tokens.find((t) => /^[0-9A-F]{2}$/.test(t));
  return {
    row,
    operands,
    prefix,
    vex,
    opcode,
    digit: digit === undefined ? undefined : Number(digit[1]),
    fixed: fixed === undefined ? undefined : parseInt(fixed, 16),
    modrm: tokens.includes("/r") || digit !== undefined,
    plus: tokens.includes("+r"),
    registers: !tokens.includes("m") && !operands.some(({ kind }) => "MF".includes(kind)),
    memory: !tokens.includes("r") && operands.some(({ kind }) => "EWQMF".includes(kind)),
  };
}

const ENTRIES = ROWS.map(entry).filter((e) => e !== undefined);

/** One random instruction of the table, for a piece that goes on behind itself after a fault. */
export function anyInstruction(c: Context): void {
  const { a, rng } = c;
  if (!c.can(EAX, ECX, EDX)) return;
  const e = rng.pick(ENTRIES), { row, operands, opcode } = e;
  if (c.long ? row.legacyOnly === true : row.longOnly === true) return;
  const sized = operands.some(({ kind, bytes }) => "EGZRBI".includes(kind) && bytes <= 0);
  const byte = operands.some(({ kind, bytes }) => "EGZ".includes(kind) && bytes === 1) && !sized;
  const size = byte
    ? 8
    : sized && rng.chance(20) && e.prefix === undefined
    ? 16
    : c.long && rng.chance(45)
    ? 64
    : 32;
  const immediate = operands.flatMap(({ kind, bytes }) =>
    kind === "I" ? bytesOf(rng.value() | 0, bytes > 0 ? bytes : Math.min(size / 8, 4)) : []
  );
  const register = (o: Operand | undefined): number => {
    if (o === undefined) return 0;
    if ("PQN".includes(o.kind)) return rng.below(8);
    if ("VWU".includes(o.kind)) return rng.below(c.long ? 16 : 8);
    if (o.kind === "ST") return rng.below(8);
    return o.writes ? c.targetOf(o.bytes === 1 ? 8 : 32) : c.sourceOf(o.bytes === 1 ? 8 : 32);
  };
  const extras: Extras = { size, immediate, prefix: e.prefix };
  // A prefix that belongs to the opcode is not one of operand size.
  if (!sized && !byte && operands.length > 0) extras.kind = "other";
  if (e.fixed !== undefined || !e.modrm) {
    if (e.prefix !== undefined) a.put(e.prefix);
    if (e.fixed !== undefined) return a.put(...opcode, e.fixed);
    const r = e.plus ? register(operands.find(({ kind }) => kind === "Z")) : 0;
    if (e.prefix === undefined) a.sizePrefix(size);
    if (size === 64 || r > 7 || c.long && size === 8 && r > 3) {
      a.put(0x40 | (size === 64 ? 8 : 0) | (r > 7 ? 1 : 0));
    }
    return a.put(...opcode.slice(0, -1), opcode[opcode.length - 1] + (r & 7), ...immediate);
  }
  const inRm = operands.find(({ kind }) => "EWQMFRUN".includes(kind) || kind === "ST");
  const inReg = operands.find(({ kind }) => "GVP".includes(kind));
  const inVex = operands.find(({ kind }) => kind === "B");
  let rm: RegisterOrMemory;
  if (e.memory && (!e.registers || rng.chance(45))) {
    const bytes = inRm?.bytes ?? 0;
    if (bytes < 0 && bytes !== -3 || inRm?.kind === "M") {
      rm = { disp: c.at(L.DATA + 0x4000 + 64 * rng.below(64)) };
    } else rm = c.memory(Math.max(bytes, 8), { aligned: bytes === 16 && rng.chance(90) });
  } else rm = register(inRm);
  const reg = e.digit ?? register(inReg);
  if (e.vex !== undefined) extras.vex = { ...e.vex, v: inVex === undefined ? 0 : register(inVex) };
  a.op(opcode, reg, rm, extras);
}
