/**
 * The form of the decode table: one row per instruction form, in the notation of SDM vol. 2, appendix A.
 */
import type { X86 } from "./cpu.ts";
import type { Feature } from "./models.ts";

/**
 * A long or rare instruction, written as a function on the processor's state, called by every engine.
 *
 * Arguments are the row's operands in order (at most three):
 * - `V W P Q N U` (XMM, MMX): an index into `R` where the operand's words lie. A memory operand was
 *   loaded to `SCRATCH` before the call, or is stored from there after it.
 * - `E G R B` general registers (`B` is VEX.vvvv) or memory read by the instruction, `I J` immediates and branch offsets,
 *   `S C D` (segment, control, debug register numbers), `O` offsets: the value, as an int32
 *   (bytes and words zero-extended; immediates sign-extended where the manual says so).
 * - `M` address-only operands: the effective *offset*; its segment is in `R[INSN_SEG]`.
 * - `A` far pointers: two arguments, offset and selector.
 * - x87 register operand `ST`: i, 0 to 7. x87 memory operands (`Mf4 Mf8 Mf10 Mi2 Mi4 Mi8 Mb10 Me Ms Mx`)
 *   pass through `SCRATCH`: bytes there before the call when read, after it when written.
 *
 * An operand marked `=` in the row is written only, `+` is read and written; a general register or a
 * narrow memory operand so marked receives the returned value. Memory that will be written has been
 * probed: the store cannot fault after the call.
 *
 * Before the call `R[INSN_IP]`, `R[NEXT_IP]`, `R[INSN_EA]` (linear), `R[INSN_SEG]`, `R[INSN_FOP]` and
 * `cpu.operandSize` describe the instruction; `R[RIP]` equals `R[NEXT_IP]`. Control rows may set RIP.
 */
export type Helper = (cpu: X86, a: number, b: number, c: number) => number | void;

/** Checked before operands are touched: device-not-available, emulation, enabled by CR4, pending x87 errors. Raises. */
export type Guard = (cpu: X86) => void;

/** One form of one instruction. */
export interface Row {
  /**
   * `[NP|66|F2|F3] [0F|0F 38|0F 3A] XX` (`NP|66` where 66 is an operand size) or `VEX.LZ.[NP|66|F2|F3].[0F|0F38|0F3A] XX`, then any of: `/n` (ModRM
   * reg field), `/r` (ModRM present), `r` or `m` (only the register or only the memory form), `+r` (register in
   * the low three opcode bits), or a second byte `XX` as in `D9 F0` for one fixed ModRM byte. `LZ` is VEX.L = 0,
   * `LIG` takes either.
   */
  opcode: string;
  /** SDM operand codes, comma-separated: `Ev,Gv`, `=Gv,Ew`, `+Vps,Wps,Ib`. Sizes: b w d q v z p dq ps pd ss sd. */
  operands: string;
  /** The instruction's meaning: a name in the semantics or helper tables. */
  semantic: string;
  /** CPUID feature that the model must have, or #UD. */
  feature?: Feature;
  /** Name of a {@linkcode Guard}. */
  guard?: string;
  /** The helper may change RIP, CS, privilege, paging, or segment state: the engine looks everything up again. */
  control?: boolean;
  /** 16-byte memory operands need not be aligned. Otherwise a misaligned one is #GP(0). */
  unaligned?: boolean;
  /** LOCK is allowed when the destination is memory. */
  lock?: boolean;
  /** Only valid in 64-bit mode. */
  longOnly?: boolean;
  /** Not valid in 64-bit mode, or there another row's business. */
  legacyOnly?: boolean;
  /** Not valid in real and virtual-8086 mode: #UD there. */
  protectedOnly?: boolean;
}

/** Shorthand for tables: opcode, operands, semantic, and the rest. */
export function row(
  opcode: string,
  operands: string,
  semantic: string,
  rest: Omit<Row, "opcode" | "operands" | "semantic"> = {},
): Row {
  return { opcode, operands, semantic, ...rest };
}
