/** From bytes to an instruction: prefixes, opcode maps, ModRM, displacement, immediates (SDM vol. 2, chapter 2). */
import type { Feature } from "./models.ts";
import { type Operand, parseOperands } from "./operands.ts";
import type { Row } from "./rows.ts";
import { CS, DS, ES, FS, GS, SS } from "./state.ts";

/** A row with its operands parsed. */
export interface Form {
  /** Position in the table; stable for one table. */
  readonly index: number;
  readonly row: Row;
  readonly operands: readonly Operand[];
  readonly modrm: boolean;
  /** Whether an operand is an address and no memory at it. */
  readonly addressOnly: boolean;
  /** Its operand size in 64-bit mode, other than by prefixes. */
  readonly size64: typeof BY_PREFIX | typeof DEFAULT_64 | typeof FORCE_64;
}

const BY_PREFIX = 0, DEFAULT_64 = 1, FORCE_64 = 2;

/** Outcome of {@linkcode Decoder.decode}. */
export const DECODED = 0, INVALID = 1, INCOMPLETE = 2, TOO_LONG = 3;

/** Longest instruction in bytes; a longer one is #GP(0). */
export const MAX_LENGTH = 15;

/** Mandatory-prefix slots of a row. */
const NO_PREFIX = 0, PREFIX_66 = 1, PREFIX_F3 = 2, PREFIX_F2 = 3;
const PREFIX_NAMES: Record<string, number> = {
  NP: NO_PREFIX,
  "66": PREFIX_66,
  F3: PREFIX_F3,
  F2: PREFIX_F2,
};

interface Slot {
  modrm: boolean;
  /** By prefix * 16 + (register form ? 8 : 0) + reg field; after VEX.L = 1 prefixes count from 4. */
  forms: (Form | undefined)[];
  /** Rows for one fixed ModRM byte of C0 to FF, by prefix * 64 + byte - C0; they win. */
  fixed?: (Form | undefined)[];
}

type OpcodeMap = (Slot | undefined)[];

/** A decoded instruction. The decoder fills and returns the same object each time. */
export interface Insn {
  form: Form;
  length: number;
  operandSize: 16 | 32 | 64;
  addressSize: 16 | 32 | 64;
  /** Whether the code segment is a 64-bit one. */
  long: boolean;
  /** Whether a REX prefix was there: byte registers 4 to 7 are then SPL to DIL. */
  rex: boolean;
  /** Whether the displacement counts from the next instruction. */
  ripRelative: boolean;
  /** Segment of the memory operand, overrides applied. */
  segment: number;
  /** Whether a segment override prefix was there. */
  override: boolean;
  /** 0, 0xf2 or 0xf3. */
  repeat: number;
  lock: boolean;
  /** ModRM byte, or -1. */
  modrm: number;
  /** Whether ModRM.rm (or a direct offset) names memory. */
  memory: boolean;
  reg: number;
  rm: number;
  /** Base and index register numbers, or -1; the index is shifted left by `scale`. */
  base: number;
  index: number;
  scale: number;
  displacement: number;
  /** First and second immediate. */
  immediate: number;
  immediate2: number;
  /** Register number in the low bits of the opcode, REX.B applied. */
  opcodeReg: number;
  /** Register number in VEX.vvvv. */
  vvvv: number;
  /** Last opcode byte. */
  opcode: number;
}

/** The map numbers of VEX.mmmmm by their names. */
const VEX_MAPS: Record<string, number> = { "0F": 1, "0F38": 2, "0F3A": 3 };
/** Maps of VEX encodings come after the four of the others. */
const VEX_MAP = 4;
const LENGTH_1 = 4;

/** Parses a row's opcode text into where it goes in the maps. */
function place(maps: OpcodeMap[], form: Form, opcode: string): void {
  const tokens = opcode.split(/\s+/);
  let at = 0;
  let prefixes = [NO_PREFIX, PREFIX_66, PREFIX_F3, PREFIX_F2];
  let map = 0;
  if (tokens[0].startsWith("VEX.")) {
    const [, length, prefix, name] = tokens[at++].split(".");
    prefixes = [PREFIX_NAMES[prefix]];
    if (length === "LIG") prefixes.push(prefixes[0] + LENGTH_1);
    map = VEX_MAP + VEX_MAPS[name];
    if (!maps[map] || !/^(LZ|LIG)$/.test(length) || prefixes[0] === undefined) {
      throw new Error(`decode table: opcode ${JSON.stringify(opcode)}`);
    }
  } else if (
    /^(NP|66|F2|F3)(\|66)?$/.test(tokens[0]) && tokens.length > 1 &&
    /^(0F|[0-9A-F]{2})$/.test(tokens[1])
  ) prefixes = tokens[at++].split("|").map((name) => PREFIX_NAMES[name]);
  if (
    map === 0 && tokens[at] === "0F" && at + 1 < tokens.length &&
    /^[0-9A-F]{2}$/.test(tokens[at + 1])
  ) {
    at++;
    map = 1;
    const escape = tokens[at + 1] ?? "";
    if ((tokens[at] === "38" || tokens[at] === "3A") && /^[0-9A-F]{2}$/.test(escape)) {
      map = tokens[at++] === "38" ? 2 : 3;
    }
  }
  const byte = parseInt(tokens[at++], 16);
  let reg = -1, fixed = -1, plus = false, registers = true, memory = true;
  let modrm = form.modrm;
  for (; at < tokens.length; at++) {
    const token = tokens[at];
    if (token === "/r") modrm = true;
    else if (/^\/[0-7]$/.test(token)) {
      reg = Number(token[1]);
      modrm = true;
    } else if (token === "r") memory = false;
    else if (token === "m") registers = false;
    else if (token === "+r") plus = true;
    else if (/^[0-9A-F]{2}$/.test(token)) {
      fixed = parseInt(token, 16);
      modrm = true;
    } else throw new Error(`decode table: opcode ${JSON.stringify(opcode)}`);
  }
  for (let n = 0; n < (plus ? 8 : 1); n++) {
    const fresh: Slot = { modrm, forms: new Array(128) };
    const slot: Slot = maps[map][byte + n] ??= fresh;
    if (slot.modrm !== modrm) throw new Error(`decode table: ${opcode} disagrees about ModRM`);
    for (const prefix of prefixes) {
      if (fixed >= 0) {
        slot.fixed ??= new Array(256);
        slot.fixed[prefix * 64 + fixed - 0xc0] ??= form;
        continue;
      }
      for (let field = 0; field < 8; field++) {
        if (reg >= 0 && field !== reg) continue;
        if (memory) slot.forms[prefix * 16 + field] ??= form;
        if (registers) slot.forms[prefix * 16 + 8 + field] ??= form;
      }
    }
  }
}

/** Opcodes that do not exist in 64-bit mode (SDM vol. 2, tables A-2 and B-15). */
const LEGACY_ONLY =
  /^(06|07|0E|16|17|1E|1F|27|2F|37|3F|40|48|60|61|62|63|82|9A|C4|C5|CE|D4|D5|D6|EA)( |$)/;
/** Semantics whose operand size is 64 bits in 64-bit mode unless 66h makes it 16. */
const DEFAULT64 = new Set(
  "push pop pop_mem enter leave pushf popf push_fs push_gs pop_fs pop_gs".split(" "),
);
/** Semantics whose operand size is always 64 bits there. */
const FORCE64 = new Set(
  "call call_near jmp jmp_near ret loop loope loopne jcxz mov_from_cr mov_to_cr mov_from_dr mov_to_dr"
    .split(" "),
);

const MODRM_KINDS = "EGRMFSCDVWUPQN";

/** Base and index registers of 16-bit addressing by rm: BX+SI, BX+DI, BP+SI, BP+DI, SI, DI, BP, BX. */
const BASE16 = [3, 3, 5, 5, 6, 7, 5, 3], INDEX16 = [6, 7, 6, 7, -1, -1, -1, -1];

/** Decodes the instructions that a processor model has. */
export class Decoder {
  /** All rows given, by {@linkcode Form.index}. */
  readonly forms: readonly Form[];
  private readonly legacyMaps: OpcodeMap[] = [[], [], [], [], [], [], [], []];
  private readonly longMaps: OpcodeMap[] = [[], [], [], [], [], [], [], []];
  private readonly insn: Insn;

  /**
   * @param rows the decode table; where two rows claim one encoding the first wins
   * @param has whether the model has a feature
   */
  constructor(rows: readonly Row[], has: (feature: Feature) => boolean) {
    this.forms = rows.map((row, index) => {
      const operands = parseOperands(row);
      const modrm = /\/|(^|\s)(r|m)(\s|$)/.test(row.opcode) ||
        operands.some((o) => MODRM_KINDS.includes(o.kind) || o.kind === "ST");
      const addressOnly = operands.some((o) => o.kind === "M"), { semantic } = row;
      const forced = FORCE64.has(semantic) || (semantic[0] === "j" && isJump(operands));
      const size64 = forced ? FORCE_64 : DEFAULT64.has(semantic) ? DEFAULT_64 : BY_PREFIX;
      return { index, row, operands, modrm, addressOnly, size64 };
    });
    for (const form of this.forms) {
      const { feature, opcode } = form.row;
      if (feature !== undefined && !has(feature)) continue;
      if (form.row.longOnly !== true) place(this.legacyMaps, form, opcode);
      if (
        form.row.legacyOnly !== true &&
        (form.row.longOnly === true || !LEGACY_ONLY.test(opcode))
      ) {
        place(this.longMaps, form, opcode);
      }
    }
    this.insn = {
      form: this.forms[0],
      length: 0,
      operandSize: 32,
      addressSize: 32,
      long: false,
      rex: false,
      ripRelative: false,
      segment: DS,
      override: false,
      repeat: 0,
      lock: false,
      modrm: -1,
      memory: false,
      reg: 0,
      rm: 0,
      base: -1,
      index: -1,
      scale: 0,
      displacement: 0,
      immediate: 0,
      immediate2: 0,
      opcodeReg: 0,
      vvvv: 0,
      opcode: 0,
    };
  }

  /** The instruction of the last successful {@linkcode Decoder.decode}; valid until the next one. */
  get result(): Insn {
    return this.insn;
  }

  /**
   * Decodes the instruction at `bytes[start]`, not looking at `bytes[end]` and beyond.
   *
   * @param bits default operand and address size of the code segment
   * @param protectedMode protected mode and not virtual-8086
   * @returns `DECODED`, `INVALID` (#UD), `INCOMPLETE` (more bytes are needed) or `TOO_LONG` (#GP)
   */
  decode(
    bytes: Uint8Array,
    start: number,
    end: number,
    bits: 16 | 32 | 64,
    protectedMode: boolean,
  ): number {
    const insn = this.insn;
    const limit = Math.min(end, start + MAX_LENGTH);
    const short = limit < end || end - start >= MAX_LENGTH ? TOO_LONG : INCOMPLETE;
    let at = start;
    const long = bits === 64, maps = long ? this.longMaps : this.legacyMaps;
    let operandSize: 16 | 32 | 64 = long ? 32 : bits,
      addressSize = bits,
      rex = 0,
      repeat = 0,
      lock = false,
      override = -1,
      size66 = false;
    let byte: number;
    prefixes: for (;;) {
      if (at >= limit) return short;
      byte = bytes[at++];
      if (long && (byte & 0xf0) === 0x40) {
        rex = byte;
        continue;
      }
      // REX counts only as the last prefix.
      const last = rex;
      rex = 0;
      switch (byte) {
        case 0x26:
          override = ES;
          continue;
        case 0x2e:
          override = CS;
          continue;
        case 0x36:
          override = SS;
          continue;
        case 0x3e:
          override = DS;
          continue;
        case 0x64:
          override = FS;
          continue;
        case 0x65:
          override = GS;
          continue;
        case 0x66:
          size66 = true;
          continue;
        case 0x67:
          addressSize = bits === 32 ? 16 : 32;
          continue;
        case 0xf0:
          lock = true;
          continue;
        case 0xf2:
        case 0xf3:
          repeat = byte;
          continue;
        default:
          rex = last;
          break prefixes;
      }
    }
    if (size66) operandSize = bits === 16 ? 32 : 16;
    if ((rex & 8) !== 0) operandSize = 64;
    let map = 0, vexPrefix = -1, vvvv = 0;
    if ((byte & 0xfe) === 0xc4 && protectedMode) {
      // LES and LDS have no register form: outside 64-bit mode that is how VEX is told from them (SDM vol. 2, 2.3.5).
      if (at >= limit) return short;
      if (long || bytes[at] >= 0xc0) {
        let bits = bytes[at++];
        map = VEX_MAP + 1;
        if (byte === 0xc4) {
          if (at >= limit) return short;
          map = VEX_MAP + (bits & 0x1f);
          // R, X and B are stored inverted.
          rex |= (~bits >> 5) & 7;
          bits = bytes[at++];
          if (long && (bits & 0x80) !== 0) rex |= 8;
        } else rex |= (~bits >> 5) & 4;
        if (at >= limit) return short;
        byte = bytes[at++];
        vvvv = (~bits >> 3) & 15;
        vexPrefix = (bits & 3) + ((bits & 4) !== 0 ? LENGTH_1 : 0);
        // No other prefix may precede but those of the address (2.3.2 and 2.3.3).
        if ((rex & 0x40) !== 0 || size66 || repeat !== 0 || lock || map >= maps.length) {
          return INVALID;
        }
        operandSize = (rex & 8) !== 0 ? 64 : 32;
        rex = long ? rex | 0x40 : 0;
      }
    }
    if (byte === 0x0f && map === 0) {
      if (at >= limit) return short;
      byte = bytes[at++];
      map = 1;
      if (byte === 0x38 || byte === 0x3a) {
        map = byte === 0x38 ? 2 : 3;
        if (at >= limit) return short;
        byte = bytes[at++];
      }
    }
    // With REX.B, opcode 90h is XCHG with R8.
    const plainXchg = long && map === 0 && byte === 0x90 && (rex & 1) !== 0 && repeat === 0;
    const slot = maps[map][plainXchg ? 0x91 : byte];
    if (slot === undefined) return INVALID;
    const prefix = vexPrefix >= 0
      ? vexPrefix
      : repeat === 0xf3
      ? PREFIX_F3
      : repeat === 0xf2
      ? PREFIX_F2
      : size66
      ? PREFIX_66
      : NO_PREFIX;
    let form: Form | undefined;
    let modrm = -1;
    if (slot.modrm) {
      if (at >= limit) return short;
      modrm = bytes[at++];
      // MOV to and from control and debug registers ignores mod (SDM vol. 2, MOV).
      if (map === 1 && (byte & 0xfc) === 0x20) modrm |= 0xc0;
      const registers = modrm >= 0xc0;
      if (registers && slot.fixed !== undefined) form = slot.fixed[prefix * 64 + modrm - 0xc0];
      form ??= slot.forms[prefix * 16 + (registers ? 8 : 0) + ((modrm >> 3) & 7)];
    } else form = slot.forms[prefix * 16];
    if (form === undefined) {
      // Processors fetch the whole memory operand before they refuse the instruction.
      return modrm >= 0 && !hasOperand(bytes, at, limit, modrm, addressSize) ? short : INVALID;
    }

    if (vexPrefix >= 0) {
      // Where it names no register, it must be 1111b.
      if (vvvv !== 0 && !form.operands.some((o) => o.kind === "B")) return INVALID;
      insn.vvvv = long ? vvvv : vvvv & 7;
    }
    insn.form = form;
    insn.opcode = byte;
    insn.opcodeReg = (byte & 7) | ((rex & 1) << 3);
    if (long) {
      const { size64 } = form;
      if (size64 === FORCE_64) operandSize = 64;
      else if (size64 === DEFAULT_64 && !(size66 && (rex & 8) === 0)) operandSize = 64;
      if (override >= 0 && override < FS) override = -1;
    }
    insn.long = long;
    insn.rex = rex !== 0;
    insn.ripRelative = false;
    insn.operandSize = operandSize;
    insn.addressSize = addressSize;
    insn.repeat = repeat;
    insn.lock = lock;
    insn.modrm = modrm;
    insn.override = override >= 0;
    insn.memory = false;
    insn.base = insn.index = -1;
    insn.scale = insn.displacement = 0;
    let segment: number = DS;
    if (modrm >= 0) {
      const mod = modrm >> 6, rm = modrm & 7;
      insn.reg = ((modrm >> 3) & 7) | ((rex & 4) << 1);
      insn.rm = rm | ((rex & 1) << 3);
      if (mod !== 3) {
        insn.memory = true;
        let dispSize = mod === 1 ? 1 : mod === 2 ? (addressSize === 16 ? 2 : 4) : 0;
        if (addressSize !== 16) {
          if (rm === 4) {
            if (at >= limit) return short;
            const sib = bytes[at++];
            insn.scale = sib >> 6;
            const index = ((sib >> 3) & 7) | ((rex & 2) << 2);
            if (index !== 4) insn.index = index;
            if ((sib & 7) === 5 && mod === 0) dispSize = 4;
            else insn.base = (sib & 7) | ((rex & 1) << 3);
          } else if (rm === 5 && mod === 0) {
            dispSize = 4;
            insn.ripRelative = long;
          } else insn.base = rm | ((rex & 1) << 3);
          if (insn.base === 4 || insn.base === 5) segment = SS;
        } else if (rm === 6 && mod === 0) dispSize = 2;
        else {
          insn.base = BASE16[rm];
          insn.index = INDEX16[rm];
          if (insn.base === 5) segment = SS;
        }
        if (dispSize !== 0) {
          if (at + dispSize > limit) return short;
          insn.displacement = readSigned(bytes, at, dispSize);
          at += dispSize;
        }
      }
    }
    let immediates = 0;
    const operands = form.operands;
    for (let i = 0; i < operands.length; i++) {
      const operand = operands[i];
      const kind = operand.kind;
      if (kind === "I" || kind === "J") {
        if (operandSize === 64 && operand.bytes === 0 && (byte & 0xf8) === 0xb8 && map === 0) {
          // MOV r64, imm64: the only eight-byte immediate.
          if (at + 8 > limit) return short;
          insn.immediate = readSigned(bytes, at, 4);
          insn.immediate2 = readSigned(bytes, at + 4, 4);
          at += 8;
          continue;
        }
        const size = operand.bytes === 0 ? Math.min(4, operandSize >> 3) : operand.bytes;
        if (at + size > limit) return short;
        let value = readSigned(bytes, at, size);
        at += size;
        if (kind === "I" && !operand.signed && size < 4) value &= size === 1 ? 0xff : 0xffff;
        if (immediates++ === 0) insn.immediate = value;
        else insn.immediate2 = value;
      } else if (kind === "A") {
        const size = operandSize >> 3;
        if (at + size + 2 > limit) return short;
        insn.immediate = size === 2 ? readSigned(bytes, at, 2) & 0xffff : readSigned(bytes, at, 4);
        insn.immediate2 = bytes[at + size] | (bytes[at + size + 1] << 8);
        at += size + 2;
      } else if (kind === "O") {
        const size = addressSize >> 3;
        if (at + size > limit) return short;
        insn.memory = true;
        insn.displacement = readSigned(bytes, at, Math.min(4, size));
        if (size === 8) insn.immediate = readSigned(bytes, at + 4, 4);
        at += size;
      }
    }
    // POP to memory addresses with the stack pointer that it leaves.
    if (form.row.semantic === "pop_mem" && insn.base === 4) insn.displacement += operandSize >> 3;
    insn.segment = override >= 0 ? override : segment;
    insn.length = at - start;
    if (lock && !(form.row.lock === true && insn.memory)) return INVALID;
    if (form.row.protectedOnly === true && !protectedMode) return INVALID;
    return DECODED;
  }
}

/** Whether these are the operands of a jump. */
function isJump(operands: readonly Operand[]): boolean {
  return operands.length === 1 && operands[0].kind === "J";
}

/** Whether the SIB and displacement that a ModRM byte asks for lie before `limit`. */
function hasOperand(
  bytes: Uint8Array,
  at: number,
  limit: number,
  modrm: number,
  addressSize: number,
): boolean {
  const mod = modrm >> 6, rm = modrm & 7;
  if (mod === 3) return true;
  const sib = addressSize !== 16 && rm === 4;
  if (sib && at >= limit) return false;
  const base = sib ? bytes[at] & 7 : rm;
  const wide = addressSize === 16 ? 2 : 4;
  const absolute = mod === 0 && base === (addressSize === 16 ? 6 : 5);
  return at + (sib ? 1 : 0) + (mod === 1 ? 1 : mod === 2 || absolute ? wide : 0) <= limit;
}

function readSigned(bytes: Uint8Array, at: number, size: number): number {
  if (size === 1) return (bytes[at] << 24) >> 24;
  const low = bytes[at] | (bytes[at + 1] << 8);
  if (size === 2) return (low << 16) >> 16;
  return low | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
}
