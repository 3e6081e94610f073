/** Calls of helpers from a region: with the whole state stored, or with none where that is enough. */
import { Binder, type Expr, type Width } from "../x86/binder.ts";
import type { Insn } from "../x86/decoder.ts";
import { type Operand, operandBytes } from "../x86/operands.ts";
import * as S from "../x86/state.ts";
import { type Emitter, LEFT_FAULT } from "./emitter.ts";

/** A helper's arguments, and what is to be emitted before and after its call. */
interface Gathered {
  args: Expr[];
  before: string[];
  after: (() => void)[];
}

/** The part of a region's binder that calls helpers. */
export abstract class HelperBinder extends Binder {
  abstract readonly e: Emitter;
  abstract readonly insn: Insn;
  /** Where an operand's words lie in `R`, for XMM and MMX operands. */
  abstract wordsOf(operand: Operand): number;
  /** Emits the checks of memory operand `i`; gives the name of its place in host memory. */
  abstract memoryPlace(
    i: number,
    bytes: number,
    write: boolean,
    kind: { aligned: boolean; noted?: boolean },
  ): Expr;
  protected abstract get(width: Width, at: Expr): Expr;
  /** Emits what helpers are told of the instruction's place. */
  protected abstract describe(): void;
  /** Tells a helper the high half of operand `i`, which lies at a place in host memory or in a register. */
  protected abstract noteHigh(i: number, at: Expr | undefined): void;
  /** Tells a helper the high half of an offset. */
  protected abstract noteOffset(i: number, offset: Expr): void;
  /** Emits storing what a helper returned for a memory operand. */
  protected abstract storeResult(width: Width, at: Expr): void;
  protected abstract takeResult(i: number): void;

  /** Emits what helpers get, as `rows.ts` lays down; gives their arguments and what is to be done around the call. */
  protected gatherOperands(): Gathered {
    const { insn } = this, { row, operands } = insn.form;
    const args: Expr[] = [], after: (() => void)[] = [], before: string[] = [];
    operands.forEach((operand, i) => {
      const { kind, writes, reads } = operand;
      if ((this.variant.memory && "EWQF".includes(kind)) || kind === "O") {
        const bytes = operandBytes(operand, this.variant.operandSize, this.variant.long);
        const aligned = bytes === 16 && (row.unaligned !== true || /^sha/.test(row.semantic));
        const at = this.memoryPlace(i, bytes, writes, { aligned, noted: true });
        if (kind === "E" || kind === "O") {
          const width = bytes * 8 as Width;
          args.push(reads ? this.let(this.get(width === 64 ? 32 : width, at)) : "0");
          if (reads) this.noteHigh(i, at);
          if (writes) after.push(() => this.storeResult(width, at));
        } else {
          args.push(`${S.SCRATCH}`);
          if (reads) {
            let k = 0;
            for (; k + 4 <= bytes; k += 4) {
              before.push(`R[${S.SCRATCH + k / 4}]=DV.getInt32((${at})+${k},true);`);
            }
            for (; k + 2 <= bytes; k += 2) {
              before.push(`U16[${S.SCRATCH * 2 + k / 2}]=DV.getUint16((${at})+${k},true);`);
            }
            for (; k < bytes; k++) {
              before.push(`U8[${S.SCRATCH * 4 + k}]=DV.getUint8((${at})+${k});`);
            }
          }
          if (writes) {
            after.push(() => {
              let k = 0;
              for (; k + 4 <= bytes; k += 4) {
                this.emit(`DV.setInt32((${at})+${k},R[${S.SCRATCH + k / 4}],true);`);
              }
              for (; k + 2 <= bytes; k += 2) {
                this.emit(`DV.setInt16((${at})+${k},U16[${S.SCRATCH * 2 + k / 2}],true);`);
              }
              for (; k < bytes; k++) {
                this.emit(`DV.setInt8((${at})+${k},U8[${S.SCRATCH * 4 + k}]);`);
              }
            });
          }
        }
      } else if (kind === "M") {
        if (this.variant.memory) {
          const offset = this.offset(i);
          args.push(this.variant.long ? offset : this.let(offset));
          this.noteOffset(i, offset);
        }
      } else if (kind === "I" || kind === "J") args.push(this.immediate(i));
      else if (kind === "one") args.push("1");
      else if ("VWUPQN".includes(kind)) args.push(`${this.wordsOf(operand)}`);
      else if ("SCD".includes(kind)) args.push(`${insn.reg}`);
      else if (kind === "ST") args.push(`${insn.rm & 7}`);
      else {
        args.push(reads ? this.let(this.register(i)) : "0");
        if (reads) this.noteHigh(i, undefined);
        if (writes) after.push(() => this.takeResult(i));
      }
    });
    return { args, before, after };
  }

  /**
   * Emits the call of a helper with the whole state stored.
   *
   * @param marker place of the record that tells where the processor is
   */
  callHelper(marker: number, words: { current: number; end: number }): void {
    const { insn, e } = this, { row } = insn.form;
    const { args, before, after } = this.gatherOperands();
    e.flush();
    e.vectors.forget();
    e.values.forgetMemory();
    for (const line of before) this.emit(line);
    // The state is whole while the helper runs: it may fault, ask for the time, or read any register.
    this.emit(
      `/*save*//*x87save*/R[${words.current}]=${marker};R[${words.end}]=${marker}+((n-${e.count})<<3);`,
    );
    this.describe();
    this.emit(
      `cpu.operandSize=${insn.operandSize};cpu.addressSize=${insn.addressSize};cpu.repeat=${insn.repeat};R[${S.INSN_SEG}]=${insn.segment};`,
    );
    const fop = this.x87Opcode();
    if (fop !== undefined) this.emit(`R[${S.INSN_FOP}]=${fop};`);
    if (row.guard !== undefined) this.emit(`GUARDS.${row.guard}(cpu);`);
    this.emit(
      `{const result=HELPERS.${row.semantic}(${["cpu", ...args].join(",")});/*load*//*x87load*/`,
    );
    e.values.forgetRegisters();
    for (const store of after) store();
    this.emit("}");
  }

  /**
   * Emits an access to a port: `IN` or `OUT`, permission included. The whole state is stored, for the board
   * may ask for it or for the time, but nothing of it changes other than by the result.
   *
   * @param marker as for {@linkcode HelperBinder.callHelper}
   */
  // hot: bench/microbench, portio.
  callPort(marker: number, words: { current: number; end: number }): void {
    const { insn, e } = this, { semantic } = insn.form.row;
    const { args, after } = this.gatherOperands();
    const [port, value] = semantic.startsWith("in_") ? [args[1], ""] : [args[0], `,${args[1]}`];
    const size = /_byte/.test(semantic) ? 1 : insn.operandSize === 16 ? 2 : 4;
    e.flush();
    e.values.forgetMemory();
    this.emit(
      `/*save*//*x87save*/R[${words.current}]=${marker};R[${words.end}]=${marker}+((n-${e.count})<<3);`,
    );
    if (value !== "") this.emit(`outPort(cpu,${port},${size}${value});`);
    else {
      e.assign("result", `inPort(cpu,${port},${size})`);
      for (const take of after) take();
    }
  }

  /**
   * Emits INVLPG of an address in a segment without a base. The loop may be told to look up what comes next.
   *
   * @param marker as for {@linkcode HelperBinder.callHelper}
   */
  // hot: bench/microbench, pgfault.
  callInvalidate(marker: number, words: { current: number; end: number }): void {
    const { e } = this;
    this.emit(`if(R[${S.CPL}]!==0)${e.bail(LEFT_FAULT)}`);
    const linear = this.let(this.offset(0));
    e.values.forgetMemory();
    this.emit(
      `R[${words.current}]=${marker};R[${words.end}]=${marker}+((n-${e.count})<<3);invalidate(cpu,${linear},${
        e.long ? `${linear}h` : "0"
      });`,
    );
  }

  /** What an x87 instruction leaves in FOP; undefined for other instructions. */
  x87Opcode(): number | undefined {
    const { insn } = this, { row, operands } = insn.form;
    if (!/^(D[89A-F]\b|9B)/.test(row.opcode)) return undefined;
    const told = operands.every((o) => o.kind !== "I") && insn.modrm >= 0 && insn.opcode >= 0xd8;
    return told ? ((insn.opcode & 7) << 8) | insn.modrm : insn.immediate;
  }

  /**
   * Emits the call of a helper that reads and writes neither general registers nor memory, and that
   * cannot fault once the conditions of `direct.ts` hold: no state is stored.
   */
  callDirect(flags: { reads: boolean; writes: boolean }): void {
    const { insn, e } = this, { row } = insn.form;
    const { args, before, after } = this.gatherOperands();
    e.vectors.forget();
    if (flags.reads || flags.writes) e.flush();
    for (const line of before) this.emit(line);
    const fop = this.x87Opcode();
    if (fop !== undefined) {
      this.describe();
      this.emit(`R[${S.INSN_FOP}]=${fop};R[${S.INSN_SEG}]=${insn.segment};`);
    }
    if (flags.reads) this.emit(`R[${S.FR}]=fr;R[${S.FC}]=fc;`);
    this.emit(`cpu.operandSize=${insn.operandSize};`);
    const [save, load] = row.guard === "sse" ? ["", ""] : ["/*x87save*/", "/*x87load*/"];
    this.emit(
      `${save}{const result=HELPERS.${row.semantic}(${["cpu", ...args].join(",")});${load}`,
    );
    if (flags.writes) this.emit(`fr=R[${S.FR}];fc=R[${S.FC}];`);
    for (const store of after) store();
    this.emit("}");
  }
}
