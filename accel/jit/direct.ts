/**
 * Instructions that are neither semantics nor need the whole state stored: vector instructions as text
 * (`simd.ts`), string instructions (`strings.ts`), and calls of helpers that touch nothing but vector and x87 registers. What may fault is
 * asked before: where it would, the interpreter does the instruction.
 */
import type { Insn } from "../x86/decoder.ts";
import type { Row } from "../x86/rows.ts";
import * as S from "../x86/state.ts";
import type { JitBinder } from "./binder.ts";
import { LEFT_FAULT } from "./emitter.ts";
import { emitSimd } from "./simd.ts";
import { emitX87 } from "./x87.ts";
import { emitString } from "./strings.ts";

/** Helpers that access memory by themselves, write general registers, or fault by what they find. */
const HEAVY = /^(maskmov|ldmxcsr|fx|pcmp[ei]str|fldenv|frstor|fnsave|fnstenv|fninit|fnclex)/;
/** Helpers that end by raising unmasked SIMD floating-point exceptions. */
const ROUNDING =
  /^(((add|sub|mul|div|sqrt|min|max|cmp|hadd|hsub|addsub|round)[ps][sd])|dpp[sd]|u?comis[sd]|cvt.*)$/;
const READS_FLAGS = /^fcmov/;
const WRITES_FLAGS = /^(ptest|u?comis[sd]|fu?comip?)$/;

/** Whether an instruction is IN or OUT. */
export function accessesPort({ form }: Insn): boolean {
  return /^(in|out)_/.test(form.row.semantic);
}

/** Whether an instruction is INVLPG of an address in a segment without a base. */
export function invalidatesPage({ form, segment }: Insn): boolean {
  return form.row.semantic === "invlpg" && segment !== S.FS && segment !== S.GS;
}

/** Emits MOV from CR0, CR2 or CR3, which all processors have; false for the others. */
function emitControlRead(b: JitBinder): boolean {
  const at = [S.CR0, -1, S.CR2, S.CR3][b.insn.reg] ?? -1;
  if (at < 0) return false;
  b.unless(`R[${S.CPL}]===0`);
  if (b.insn.long) b.write64(0, b.let(`R[${at}]`), b.let(`R[${at + 1}]`));
  else b.write(0, b.let(`R[${at}]`));
  return true;
}

/** Emits an instruction without storing the state; false if that cannot be. */
export function emitDirect(b: JitBinder): boolean {
  const { row } = b.insn.form;
  if (row.semantic === "nothing") {
    // Of a cache line that is flushed the operand is read first.
    if (b.insn.memory && b.insn.form.operands.length > 0) b.read(0);
    return true;
  }
  if (emitString(b)) return true;
  if (row.semantic === "mov_from_cr") return emitControlRead(b);
  if (/^(pusha|popa)$/.test(row.semantic) && b.insn.operandSize === 32) {
    b.moveAll(row.semantic === "pusha");
    return true;
  }
  if (row.control === true || row.guard === undefined || HEAVY.test(row.semantic)) return false;
  if (!emitGuard(b, row)) return false;
  if (emitSimd(b)) return true;
  if (row.guard.startsWith("x87")) {
    emitX87Conditions(b, row);
    if (emitX87(b)) {
      b.e.x87 = true;
      if (row.guard === "x87") b.e.vectors.masked = true;
      return true;
    }
  }
  if (row.guard !== "x87" && ROUNDING.test(row.semantic)) {
    b.unless(`(R[${S.MXCSR}]&8064)===8064`);
  }
  b.callDirect({
    reads: READS_FLAGS.test(row.semantic),
    writes: WRITES_FLAGS.test(row.semantic),
  });
  return true;
}

/** Emits that the interpreter does the instruction if its guard would raise; false for guards without such a text. */
function emitGuard(b: JitBinder, { guard }: Row): boolean {
  const { e } = b, { vectors } = e;
  const waits = `(R[${S.FSW}]&128)===0`;
  // CR0 and CR4 do not change within a region.
  const sse = () => e.constant("sse", `(R[${S.CR0}]&12)===0&&(R[${S.CR4}]&${S.CR4_OSFXSR})!==0`);
  const fpu = () => e.constant("fpu", `(R[${S.CR0}]&12)===0`);
  switch (guard) {
    case "sse":
      if (!vectors.usable) b.unless(sse());
      vectors.usable = true;
      return true;
    case "x87nowait":
      b.unless(fpu());
      return true;
    case "sse_mmx":
      b.unless(`${sse()}&&${waits}`);
      return true;
    case "x87":
      if (vectors.masked) return true;
      b.unless(`${fpu()}&&${waits}`);
      return true;
    case "mmx":
      b.unless(`${fpu()}&&${waits}`);
      return true;
  }
  return false;
}

/** Emits that the interpreter does the instruction unless all x87 exceptions are and will be masked. */
function emitX87Conditions(b: JitBinder, { semantic }: Row): void {
  if (semantic === "fnstcw" || semantic.startsWith("fnstsw")) return;
  if (!b.e.vectors.masked) b.unless(`(R[${S.FCW}]&63)===63`);
  if (semantic !== "fldcw") return;
  const at = b.memoryPlace(0, 2, false, { aligned: false });
  b.emit(`if((DV.getUint8(${at})&63)!==63)${b.e.bail(LEFT_FAULT)}`);
}
