/** Binds semantics to pre-decoded records: operands are fields of the record at `p`. */
import { Binder, type Expr, type Variant, type Width } from "../x86/binder.ts";
import { type Operand, operandBytes } from "../x86/operands.ts";
import { TLB_WRITE } from "../x86/mmu.ts";
import { hitText, readText, writeText } from "../x86/tlb.ts";
import * as S from "../x86/state.ts";
import {
  CURRENT,
  F_DISP,
  F_IMM,
  F_INDEX,
  F_INFO,
  F_LINK,
  F_PLACE,
  F_REG,
  F_RM,
  LINK_FROM,
  LOOKUP_PLACE,
  PAGE_IP,
  PLACE_END,
  RING_AT,
  RING_SIZE,
  TLB_BASE,
} from "./record.ts";

/** How a memory operand's address is formed: base + displacement, base + scaled index + displacement, displacement alone; or by a call that also checks the segment. */
export type AddressForm = "base" | "index" | "absolute" | "rip" | "checked" | "none";

/** A variant with what the interpreter distinguishes besides. */
export interface InterpVariant extends Variant {
  address: AddressForm;
  /** All of ES, CS, SS and DS are flat and the stack is 32 bits wide. */
  flat: boolean;
}

export const field = (n: number) => `C[p+${n}]`;

/** What an operand that passes through the scratch area must be aligned to where alignment is checked (SDM vol. 3, table 6-7). */
function alignmentOf(bytes: number): number {
  // Environments of the x87 are words or doublewords, as is the state of FSAVE; an 80-bit number counts as 8 bytes.
  return bytes === 14 || bytes === 94
    ? 2
    : bytes === 28 || bytes === 108 || bytes === 512
    ? 4
    : bytes === 10
    ? 8
    : bytes;
}

/** Whether an operand of the scratch area is moved word by word where the TLB has its page. */
function inOneGo(bytes: number): boolean {
  return bytes === 4 || bytes === 8 || bytes === 16;
}

/** Where the TLB has an operand: its page's entry, the offset in it, and whether it has it at all. */
export interface Page {
  entry: Expr;
  offset: Expr;
  hit: Expr;
}

/** Yields the text of one form, either as the body of a function of `p` or as a case of the loop's switch. */
export class InterpBinder extends Binder {
  /** Whether the instruction decides where to go on. */
  jumps = false;
  readonly FR = `R[${S.FR}]`;
  readonly FC = `R[${S.FC}]`;
  readonly eflags = `R[${S.EFLAGS}]`;
  readonly addressSize: Expr = `((${field(F_INFO)}&2048)!==0?16:32)`;
  protected updates: { page: Expr; offset: Expr; linear: Expr } | undefined;

  /**
   * @param inline whether the text is a case of the loop's switch
   * @param wide whether entries of the TLB may be negative: see `tlb.ts`
   */
  constructor(
    readonly interp: InterpVariant,
    protected readonly inline: boolean,
    protected readonly wide: boolean,
  ) {
    super(interp);
  }

  /** Where the record keeps an operand's register, or its fixed place. */
  index(operand: Operand): Expr {
    if (operand.kind === "Z" && operand.fixed >= 0) {
      const bytes = operandBytes(operand, this.variant.operandSize, this.variant.long);
      return `${operand.fixed * (bytes >= 4 ? 2 : bytes === 2 ? 4 : 8)}`;
    }
    if (operand.kind === "B") return field(F_IMM);
    return "GVPSCD".includes(operand.kind) ? field(F_REG) : field(F_RM);
  }

  protected register(i: number): Expr {
    const array = { 8: "U8", 16: "U16", 32: "R", 64: "R" }[this.width(i)];
    return `${array}[${this.index(this.operand(i))}]`;
  }

  protected setRegister(i: number, value: Expr): void {
    this.emit(`${this.register(i)}=${value};`);
  }

  setGpr(n: number, value: Expr, width: Width = 32): void {
    this.emit(`${this.gpr(n, width)}=${value};`);
  }

  protected immediate(i: number): Expr {
    const earlier = this.variant.form.operands.slice(0, i).filter((o) => o.kind === "I").length;
    return earlier === 0 ? field(F_IMM) : field(F_DISP);
  }

  gpr(n: number, width: Width = 32): Expr {
    return width === 32
      ? `R[${n * 2}]`
      : width === 16
      ? `U16[${n * 4}]`
      : `U8[${(n & 3) * 8 + (n >> 2)}]`;
  }

  protected plainAddress(): Expr | undefined {
    const base = `R[${field(F_RM)}]`, disp = field(F_DISP);
    switch (this.interp.address) {
      case "base":
        return `(${base}+${disp})|0`;
      case "index":
        return `(${base}+(R[${field(F_INDEX)}]<<${field(F_INFO)})+${disp})|0`;
      case "absolute":
        return disp;
    }
    return undefined;
  }

  address(_i: number, bytes: number, write: boolean): Expr {
    return this.let(this.plainAddress() ?? `linear(p,${bytes},${write})`);
  }

  offset(_i: number): Expr {
    return this.plainAddress() ?? "offset(p)";
  }

  protected get reload(): string {
    return this.inline ? `pEnd=R[${PLACE_END}];` : "";
  }

  /** What lies at an offset in the page of a TLB entry. Both are names. */
  protected get(width: Width, entry: Expr, offset: Expr): Expr {
    return readText(this.wide, width as 8 | 16 | 32, entry, offset);
  }

  protected set(width: Width, entry: Expr, offset: Expr, value: Expr): string {
    return writeText(this.wide, width as 8 | 16 | 32, entry, offset, value);
  }

  load(width: Width, linear: Expr): Expr {
    const v = this.fresh(), t = this.fresh(), o = this.fresh();
    this.emit(`const ${t}=XT[R[${TLB_BASE}]+(${linear}>>>12)],${o}=${linear}&4095;let ${v};`);
    this.emit(`if(${hitText(t, o, width / 8)})${v}=${this.get(width, t, o)};`);
    this.emit(`else{${v}=load${width}(p,${linear})|0;${this.reload}}`);
    return v;
  }

  store(width: Width, linear: Expr, value: Expr): void {
    const t = this.fresh(), o = this.fresh();
    this.emit(`const ${t}=XT[R[${TLB_BASE}]+(${linear}>>>12)+${TLB_WRITE}],${o}=${linear}&4095;`);
    this.emit(`if(${hitText(t, o, width / 8)})${this.set(width, t, o, value)};`);
    this.emit(`else{store${width}(p,${linear},${value});${this.reload}}`);
  }

  protected loadForUpdate(width: Width, linear: Expr): Expr {
    const v = this.fresh(), t = this.fresh(), o = this.fresh();
    this.emit(
      `let ${t}=XT[R[${TLB_BASE}]+(${linear}>>>12)+${TLB_WRITE}],${v};const ${o}=${linear}&4095;`,
    );
    this.emit(`if(${hitText(t, o, width / 8)})${v}=${this.get(width, t, o)};`);
    this.emit(`else{${t}=0;${v}=update${width}(p,${linear})|0;${this.reload}}`);
    this.updates = { page: t, offset: o, linear };
    return v;
  }

  protected storeUpdate(width: Width, value: Expr): void {
    const { page, offset, linear } = this.updates!;
    this.emit(`if(${page}!==0)${this.set(width, page, offset, value)};`);
    this.emit(`else{store${width}(p,${linear},${value});${this.reload}}`);
  }

  private get stackWidth(): 16 | 32 {
    return this.variant.operandSize === 16 ? 16 : 32;
  }

  push(value: Expr): void {
    const w = this.stackWidth;
    if (this.interp.flat) {
      const sp = this.let(`(R[${S.RSP}]-${w >> 3})|0`);
      this.store(w, sp, value);
      this.emit(`R[${S.RSP}]=${sp};`);
    } else this.emit(`push${w}(p,${value});`);
  }

  pop(): Expr {
    const w = this.stackWidth;
    return this.interp.flat ? this.load(w, this.let(`R[${S.RSP}]`)) : this.let(`pop${w}(p)`);
  }

  popCommit(extra: Expr = "0"): void {
    const bytes = this.stackWidth >> 3;
    const by = extra === "0" ? `${bytes}` : `(${bytes}+${extra})`;
    this.emit(this.interp.flat ? `R[${S.RSP}]+=${by};` : `moveStack(${by});`);
  }

  get next(): Expr {
    return `((R[${PAGE_IP}]+(${field(F_PLACE)}>>>16))|0)`;
  }

  get target(): Expr {
    const target = `(R[${PAGE_IP}]+(${field(F_PLACE)}>>>16)+${field(F_IMM)})`;
    return this.variant.operandSize === 32 ? `(${target}|0)` : `(${target}&65535)`;
  }

  checkTarget(offset: Expr): void {
    if (!this.interp.flat) {
      this.emit(`checkTarget(p,${this.cut(offset, this.variant.operandSize)});`);
    }
  }

  protected toLookup(): string {
    // The jump itself is counted: the budget moves with the place, less one record.
    return `B[(k=k+1|0)&${RING_SIZE - 1}]=p;R[${RING_AT}]=k;pEnd=pEnd+${
      LOOKUP_PLACE - 8
    }-p|0;p=${LOOKUP_PLACE};continue L;`;
  }

  jumpRelative(condition?: Expr, commit?: () => void): void {
    this.jumps = true;
    const target = this.target;
    if (
      this.inline && this.interp.flat && this.variant.operandSize === 32 && commit === undefined
    ) {
      if (condition !== undefined) this.emit(`if(${condition}){`);
      this.emit(`const t=${field(F_LINK)};`);
      this.emit(
        `if(t!==0){B[(k=k+1|0)&${RING_SIZE - 1}]=p;B[(k=k+1|0)&${
          RING_SIZE - 1
        }]=t;pEnd=pEnd+t-8-p|0;p=t;R[${PLACE_END}]=pEnd;continue L;}`,
      );
      this.emit(`R[${S.RIP}]=${target};R[${LINK_FROM}]=p;`);
      this.emit(this.toLookup());
      if (condition !== undefined) this.emit("}");
      return;
    }
    const next = this.next;
    if (condition === undefined) {
      this.checkTarget(target);
      this.emit(`R[${S.RIP}]=${target};`);
    } else {
      const taken = this.let(condition);
      if (!this.interp.flat) this.emit(`if(${taken})checkTarget(p,${target});`);
      commit?.();
      this.emit(`R[${S.RIP}]=${taken}?${target}:${next};`);
    }
    if (this.inline) this.emit(this.toLookup());
  }

  jumpTo(offset: Expr): void {
    this.jumps = true;
    this.emit(`R[${S.RIP}]=${this.cut(offset, this.variant.operandSize)};`);
    if (this.inline) this.emit(this.toLookup());
  }

  raiseIf(condition: Expr, vector: number): void {
    this.emit(`if(${condition})raise(p,${vector});`);
  }

  pure(name: string, ...args: Expr[]): Expr {
    return `PURE.${name}(${args.join(",")})`;
  }

  /** Emits what helpers are told of the instruction's place. */
  protected describe(): void {
    this.emit(`R[${S.INSN_IP}]=(R[${PAGE_IP}]+(${field(F_PLACE)}&65535))|0;`);
    this.emit(`R[${S.NEXT_IP}]=R[${S.RIP}]=${this.next};`);
  }

  /** Emits what helpers are told of a memory operand's address; gives the address as a number. */
  protected noteAddress(linear: Expr): Expr {
    this.emit(`R[${S.INSN_EA}]=${linear};`);
    return linear;
  }

  /** A value as a helper's argument. */
  protected argument(_i: number, value: Expr, _width: Width): Expr {
    return value;
  }

  protected offsetArgument(i: number): Expr {
    return this.let(this.offset(i));
  }

  /** Emits taking over what a helper returned for a general register. */
  protected takeResult(i: number): void {
    this.setRegister(i, "result");
  }

  /** Emits what decides whether `bytes` at an address lie in one page that the TLB knows. */
  protected page(linear: Expr, bytes: number, write: boolean): Page {
    const entry = this.fresh(), offset = this.fresh();
    const table = write ? `+${TLB_WRITE}` : "";
    this.emit(
      `const ${entry}=XT[R[${TLB_BASE}]+(${linear}>>>12)${table}],${offset}=${linear}&4095;`,
    );
    return { entry, offset, hit: hitText(entry, offset, bytes) };
  }

  /** Emits the check of an operand that will be written from the scratch area; the page's entry is 0 where the TLB does not serve. */
  private probePage(linear: Expr, number: Expr, bytes: number): { entry: Expr; offset: Expr } {
    const { entry, offset, hit } = this.page(linear, bytes, true), found = this.fresh();
    this.emit(`const ${found}=${hit}?${entry}:0;`);
    this.emit(`if(${found}===0)cpu.probeWrite(${number},${bytes});`);
    return { entry: found, offset };
  }

  /** Emits the load of a memory operand into the scratch area. */
  private loadScratch(linear: Expr, number: Expr, bytes: number): void {
    if (!inOneGo(bytes)) {
      this.emit(`loadScratch(${number},${bytes});`);
      return;
    }
    const { entry, offset, hit } = this.page(linear, bytes, false);
    this.emit(`if(${hit}){`);
    for (let at = 0; at < bytes; at += 4) {
      const word = this.get(32, entry, `${offset}+${at}`);
      this.emit(`R[${S.SCRATCH + at / 4}]=${word};`);
    }
    this.emit(`}else loadScratch(${number},${bytes});`);
  }

  private storeScratch(
    page: { entry: Expr; offset: Expr } | undefined,
    number: Expr,
    bytes: number,
  ): void {
    if (page === undefined) {
      this.emit(`storeScratch(${number},${bytes});`);
      return;
    }
    this.emit(`if(${page.entry}!==0){`);
    for (let at = 0; at < bytes; at += 4) {
      this.emit(
        `${this.set(32, page.entry, `${page.offset}+${at}`, `R[${S.SCRATCH + at / 4}]`)};`,
      );
    }
    this.emit(`}else storeScratch(${number},${bytes});`);
  }

  /** Emits the call of a helper with its operands, as `rows.ts` lays down. */
  callHelper(): void {
    const { form } = this.variant;
    const { row, operands } = form;
    this.emit(`R[${CURRENT}]=p;`);
    this.describe();
    this.emit(`const info=${field(F_INFO)};cpu.operandSize=${this.variant.operandSize};`);
    this.emit(
      `cpu.addressSize=${this.addressSize};cpu.repeat=REPEAT[(info>>>13)&3];R[${S.INSN_SEG}]=(info>>>8)&7;`,
    );
    const x87 = /^(D[89A-F]\b|9B)/.test(row.opcode);
    if (x87) this.emit(`R[${S.INSN_FOP}]=${field(F_IMM)};`);
    if (row.guard !== undefined) this.emit(`guard(cpu);`);
    const args: Expr[] = [];
    const after: (() => void)[] = [];
    operands.forEach((operand, i) => {
      const { kind, writes, reads } = operand;
      const memory = this.variant.memory && "EWQF".includes(kind) || kind === "O";
      if (memory) {
        const bytes = operandBytes(operand, this.variant.operandSize, this.variant.long);
        const linear = this.address(i, bytes, writes);
        const number = this.noteAddress(linear);
        const scratch = kind !== "E" && kind !== "O";
        const aligned = bytes === 16 && row.unaligned !== true;
        const alignment = alignmentOf(bytes);
        if (scratch && !aligned && alignment > 1) {
          this.emit(`if((${linear}&${alignment - 1})!==0)misaligned();`);
        }
        if (aligned || bytes === 512) {
          this.emit(`if((${linear}&15)!==0)cpu.raise(${S.GP},0);`);
        }
        const page = writes && scratch && inOneGo(bytes)
          ? this.probePage(linear, number, bytes)
          : undefined;
        if (writes && page === undefined) this.emit(`cpu.probeWrite(${number},${bytes});`);
        if (scratch) {
          if (reads) this.loadScratch(linear, number, bytes);
          args.push(`${S.SCRATCH}`);
          if (writes) after.push(() => this.storeScratch(page, number, bytes));
        } else {
          const width = bytes * 8 as Width;
          args.push(reads ? this.argument(i, this.load(width, linear), width) : "0");
          if (writes) {
            const high = width === 64 ? `,R[${S.HIGH}]` : "";
            after.push(() => this.emit(`cpu.store${width}(${number},result${high});`));
          }
        }
      } else if (kind === "M") {
        if (this.variant.memory) args.push(this.offsetArgument(i));
      } else if (kind === "I" || kind === "J") args.push(this.immediate(i));
      else if (kind === "one") args.push("1");
      else if (kind === "A") args.push(field(F_IMM), field(F_DISP));
      else if ("VWUPQN".includes(kind) || "SCD".includes(kind) || kind === "ST") {
        args.push(this.index(operand));
      } else {
        args.push(reads ? this.argument(i, this.let(this.register(i)), this.width(i)) : "0");
        if (writes) after.push(() => this.takeResult(i));
      }
    });
    this.emit(`const result=helper(${["cpu", ...args].join(",")});`);
    for (const store of after) store();
  }
}
