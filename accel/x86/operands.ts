/** Operand codes of the decode table, parsed once. */
import type { Row } from "./rows.ts";

/** Where an operand comes from. */
export type OperandKind =
  /** ModRM.rm: general register or memory. */
  | "E"
  /** ModRM.reg: general register. */
  | "G"
  /** Register in the opcode's low bits, or a fixed general register. */
  | "Z"
  /** ModRM.rm, register only. */
  | "R"
  /** VEX.vvvv: general register. */
  | "B"
  /** Address only: the effective offset. */
  | "M"
  /** Memory through SCRATCH: x87 operands. */
  | "F"
  /** Direct memory offset. */
  | "O"
  /** Immediate. */
  | "I"
  /** Branch displacement. */
  | "J"
  /** Far pointer immediate. */
  | "A"
  /** The constant 1. */
  | "one"
  /** ModRM.reg: segment, control or debug register number. */
  | "S"
  | "C"
  | "D"
  /** x87 register of ModRM.rm. */
  | "ST"
  /** XMM: ModRM.reg; ModRM.rm register or memory; ModRM.rm register only. */
  | "V"
  | "W"
  | "U"
  /** MMX: ModRM.reg; ModRM.rm register or memory; ModRM.rm register only. */
  | "P"
  | "Q"
  | "N";

/** One operand of a row. */
export interface Operand {
  kind: OperandKind;
  /** Bytes; 0 for "by operand size" (2 or 4), -1 for x87 environment (14 or 28), -2 for the full x87 state (94 or 108), -3 for 4 or, with 64-bit operands, 8. */
  bytes: number;
  reads: boolean;
  writes: boolean;
  /** Register number of kind Z when fixed by the row; -1 when in the opcode. For byte registers 0 is AL, 1 is CL. */
  fixed: number;
  /** Immediate is sign-extended from 8 bits. */
  signed: boolean;
}

const SIZES: Record<string, number> = {
  b: 1,
  w: 2,
  d: 4,
  q: 8,
  v: 0,
  z: 0,
  y: -3,
  p: 0,
  s: 6,
  dq: 16,
  ps: 16,
  pd: 16,
  x: 16,
  pi: 8,
  ss: 4,
  sd: 8,
  t: 10,
  "": 0,
};

const FIXED: Record<string, [number, number]> = {
  AL: [0, 1],
  CL: [1, 1],
  AX: [0, 2],
  DX: [2, 2],
  EAX: [0, 4],
  rAX: [0, 0],
  eAX: [0, 0],
};

const X87_MEMORY: Record<string, number> = {
  Mf4: 4,
  Mf8: 8,
  Mf10: 10,
  Mi2: 2,
  Mi4: 4,
  Mi8: 8,
  Mb10: 10,
  Me: -1,
  Ms: -2,
  Mx: 512,
};

/**
 * Parses the operands of a row.
 *
 * @throws {Error} for a code that the table's notation does not have: a mistake in the table
 */
export function parseOperands(row: Row): Operand[] {
  if (row.operands === "") return [];
  return row.operands.split(",").map((text) => {
    const mark = text[0] === "=" || text[0] === "+" ? text[0] : "";
    const code = text.slice(mark.length);
    const access = { reads: mark !== "=", writes: mark !== "", fixed: -1, signed: false };
    if (code === "1") return { kind: "one", bytes: 1, ...access };
    if (code === "M") return { kind: "M", bytes: 0, ...access };
    if (code === "ST" || code === "STi") return { kind: "ST", bytes: 10, ...access };
    if (code === "sIb") return { kind: "I", bytes: 1, ...access, signed: true };
    if (code in FIXED) {
      const [fixed, bytes] = FIXED[code];
      return { kind: "Z", bytes, ...access, fixed };
    }
    if (code in X87_MEMORY) return { kind: "F", bytes: X87_MEMORY[code], ...access };
    const letter = code[0], size = code.slice(1);
    if (size in SIZES && "EGZRBOIJASCDVWUPQNM".includes(letter)) {
      // Memory of more than a register's width passes through SCRATCH.
      const kind = (letter !== "M" ? letter : SIZES[size] >= 6 ? "F" : "E") as OperandKind;
      return { kind, bytes: SIZES[size], ...access };
    }
    throw new Error(
      `decode table: operand ${JSON.stringify(text)} of ${row.opcode} ${row.semantic}`,
    );
  });
}

/** Bytes of a register or memory operand under an operand size in bits; control and debug register moves have 8 in 64-bit mode. */
export function operandBytes(operand: Operand, operandSize: number, long: boolean): number {
  switch (operand.bytes) {
    case 0:
      return operandSize >> 3;
    case -1:
      return operandSize === 16 ? 14 : 28;
    case -2:
      return operandSize === 16 ? 94 : 108;
    case -3:
      return operandSize === 64 ? 8 : 4;
  }
  return long && operand.kind === "R" && operand.bytes === 4 ? 8 : operand.bytes;
}
