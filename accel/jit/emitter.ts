/** The text of one region as it is written: names, the flags not stored yet, and the ways out. */
import type { Expr } from "../x86/binder.ts";
import { fits64 } from "../x86/wide.ts";
import { ValueState } from "./value_state.ts";
import { VectorState } from "./vector_state.ts";

/** How the flag words follow from what {@linkcode Pending} holds; see {@linkcode carriesOf}. */
export const WHOLE = 0, ADD = 1, SUB = 2, LOGIC = 3, SHL = 4, SHR = 5, SAR = 6, IMUL = 7;
/** Flags of 64-bit shifts: CF, and CF xor OF, are in `d` already, at their places. */
export const SHIFTED = 8;

/**
 * Flags that are known but not stored: most are overwritten before anything reads them. All texts are
 * names or literals, so that a way out of the region, which is rarely taken, consists of assignments
 * alone: V8 compiles operations that never ran as "give up this code".
 */
export interface Pending {
  kind: number;
  /** Width of the operands. */
  width: number;
  /** FR, which is the result but for {@linkcode WHOLE}; of 64-bit operands the low half of the result. */
  fr: Expr;
  /** High halves of 64-bit operands and their result. */
  high?: { d: Expr; s: Expr; r: Expr };
  /** FC, if `kind` is {@linkcode WHOLE}. */
  fc: Expr;
  /** Operands of ADD, SUB and IMUL; `d` is what was shifted. */
  d: Expr;
  s: Expr;
  /** By how much was shifted. */
  count: number;
  /** Whether d - s is all there is to the result, so that conditions can compare the operands. */
  plain: boolean;
  /** For a comparison of floating-point numbers: its results as boolean names. */
  compared?: { equal: Expr; less: Expr };
}

/** Why a region was left. */
export const LEFT_BUDGET = 0,
  LEFT_MEMORY = 1,
  LEFT_FAULT = 2,
  LEFT_JUMP = 3,
  LEFT_INDIRECT = 4,
  LEFT_OTHER = 5,
  LEFT_ATTENTION = 6;
/** Names of the reasons, in their order. */
export const REASONS = [
  "budget",
  "memory",
  "fault",
  "jump",
  "indirect",
  "instruction",
  "attention",
] as const;

/** Mask of what a flag word may hold of a carry vector. */
const CARRIES = 0xc0000008 | 0;

/** What a way out gives for an offset that is known only then, and for flags that wait in variables. */
const DYNAMIC = -1;

/**
 * Words of a way out in the table of a region: offset, instructions done since the budget was looked at,
 * reason, flags; and what the engine keeps there, the record of another region that it leads to.
 */
export const EXIT_OFFSET = 0, EXIT_COUNT = 1, EXIT_REASON = 2, EXIT_FLAGS = 3, EXIT_LINK = 4;
/**
 * For the memory that made a region be left: the bytes of the access that comes next, and {@linkcode ACCESS_WRITE}
 * if it writes; 0 where that is not known. Its address is in the variable `m`.
 */
export const EXIT_ACCESS = 5, ACCESS_WRITE = 0x100;
const EXIT_WORDS = 6;

/** In a flags code: that operands have 64 bits. */
const WIDE = 1 << 15;

/** Kind, width and count of pending flags in one number. */
function flagsCode(p: Pending): number {
  if (p.width === 64) return p.kind | WIDE;
  return p.kind | ((32 - p.width) << 4) | (p.count << 9);
}

const addVector = (d: number, s: number, r: number) => (d & s) | ((d | s) & ~r);
const subVector = (d: number, s: number, r: number) => (~d & s) | ((~d | s) & r);

/** FC of flags that wait: `code` as {@linkcode flagsCode} makes it. */
export function carriesOf(code: number, d: number, s: number, r: number, fc: number): number {
  const shift = (code >> 4) & 31, count = code >> 9;
  let vector = 0;
  switch (code & 15) {
    case WHOLE:
      return fc;
    case ADD:
      vector = addVector(d, s, r);
      break;
    case SUB:
      vector = subVector(d, s, r);
      break;
    case LOGIC:
      return 0;
    case SHL:
      return (d >>> (32 - count)) << 31 | ((r >>> 1) & 0x40000000);
    case SHR: {
      const cf = (d >>> (count - 1)) & 1;
      return cf << 31 | (cf ^ ((r ^ (r << 1)) >>> 31)) << 30;
    }
    case SAR:
      return Math.imul((d >> (count - 1)) & 1, 0xc0000000);
    case IMUL:
      return d * s !== r ? CARRY : 0;
  }
  return shift === 0 ? vector & CARRIES : ((vector << shift) & 0xc0000000) | (vector & 8);
}
const CARRY = 0x80000000 | 0;

/** The same in 64-bit code, where operands may have high halves. */
export function wideCarriesOf(
  code: number,
  d: number,
  s: number,
  r: number,
  fc: number,
  dh: number,
  sh: number,
  rh: number,
): number {
  if ((code & WIDE) === 0) return carriesOf(code, d, s, r, fc);
  const parity = ((wideResult(code, r, rh) ^ r) & 255) << 8;
  switch (code & 15) {
    case ADD:
      return (addVector(dh, sh, rh) & 0xc0000000) | (addVector(d, s, r) & 8) | parity;
    case SUB:
      return (subVector(dh, sh, rh) & 0xc0000000) | (subVector(d, s, r) & 8) | parity;
    case SHIFTED:
      return d | parity;
    case IMUL:
      return (fits64(d, dh, s, sh) !== 0 ? 0 : CARRY) | parity;
  }
  return parity;
}

/** FR of flags that wait. */
export function wideResult(code: number, r: number, rh: number): number {
  return (code & WIDE) === 0 ? r : rh | (r >>> 1) | (r & 1);
}

/** The carry vector of a sum or difference, as text. */
function vectorText(kind: number, d: Expr, s: Expr, r: Expr): Expr {
  return kind === ADD ? `(${d}&${s})|((${d}|${s})&~${r})` : `(~${d}&${s})|((~${d}|${s})&${r})`;
}

/** FC of pending flags. */
export function pendingCarries(p: Pending): Expr {
  const { d, s, fr: r, count, high } = p;
  if (high !== undefined) {
    const parity = `((((${resultText(p)})^${r})&255)<<8)`;
    if (p.kind === LOGIC) return parity;
    if (p.kind === SHIFTED) return `${d}|${parity}`;
    if (p.kind === IMUL) return `(${fitsText(p)}?0:-2147483648)|${parity}`;
    const top = vectorText(p.kind, high.d, high.s, high.r);
    return `((${top})&-1073741824)|((${vectorText(p.kind, d, s, r)})&8)|${parity}`;
  }
  switch (p.kind) {
    case WHOLE:
      return p.fc;
    case LOGIC:
      return "0";
    case SHL:
      return `(${d}>>>${32 - count})<<31|((${r}>>>1)&1073741824)`;
    case SHR: {
      const cf = `((${d}>>>${count - 1})&1)`;
      return `${cf}<<31|(${cf}^((${r}^(${r}<<1))>>>31))<<30`;
    }
    case SAR:
      return `Math.imul((${d}>>${count - 1})&1,-1073741824)`;
    case IMUL:
      return `(${d}*${s}!==${r}?-2147483648:0)`;
  }
  const vector = vectorText(p.kind, d, s, r);
  if (p.width === 32) return `(${vector})&-1073741816`;
  return `((${vector})<<${32 - p.width}&-1073741824)|((${vector})&8)`;
}

/** Whether a 64-bit product fits. */
function fitsText({ d, s, high }: Pending): Expr {
  return `PURE.fits64(${d},${high!.d},${s},${high!.s})`;
}

/** FR of pending flags. */
export function resultText({ fr, high }: Pending): Expr {
  return high === undefined ? fr : `${high.r}|(${fr}>>>1)|(${fr}&1)`;
}

/** CF of pending flags, as 0 or 1. */
export function pendingCarry(p: Pending): Expr {
  const { high } = p;
  if (p.kind === LOGIC) return "0";
  if (p.kind === SHIFTED) return `(${p.d}>>>31)`;
  if (high === undefined) return `((${pendingCarries(p)})>>>31)`;
  if (p.kind === IMUL) return `(${fitsText(p)}?0:1)`;
  return `((${vectorText(p.kind, high.d, high.s, high.r)})>>>31)`;
}

/** Collects the text of a region. */
export class Emitter {
  readonly lines: string[] = [];
  /** Names of the function's variables for values; reused where nothing that they held is known any more. */
  readonly locals = new Set<string>();
  private names = 0;
  pending: Pending | undefined;
  /** Without pending flags: whether `fr` and `fc` are the flags. Otherwise they wait in `fk`, `fd`, `fs`, `fr` and `fc`. */
  private whole = false;
  /** General registers used, by number; those with their high halves when `long`. */
  readonly used = new Set<number>();
  readonly written = new Set<number>();
  /** Instructions executed since the budget was last brought up to date. */
  count = 0;
  /** Whether x87 instructions are text here: see `x87.ts`. */
  x87 = false;
  /** Instructions, counted as `count` is, for which the budget is known to be enough. */
  needs = 0;
  /** Offset in the page of the instruction whose text is being made, and of the next one. */
  at = 0;
  next = 0;
  /** The ways out, by {@linkcode EXIT_OFFSET} and so on. */
  readonly exits: number[] = [];
  private readonly exitsByKey = new Map<string, number>();
  /** Whether a way out leads to an offset that is known only then. */
  indirect = false;
  /** Whether a way out tells an address. */
  tells = false;

  /** What is known of the registers here. */
  readonly vectors = new VectorState();
  readonly values: ValueState;
  /** Names that do not change within a region, with their values. */
  readonly constants = new Map<string, Expr>();

  constructor(readonly long: boolean, grouped: boolean) {
    this.values = new ValueState(grouped);
  }

  /** A name for what does not change within the region. */
  constant(name: string, value: Expr): Expr {
    this.constants.set(name, value);
    return name;
  }

  emit(line: string): void {
    this.lines.push(line);
  }

  fresh(): string {
    return `v${this.names++}`;
  }

  /** Emits an assignment to a variable of the function. */
  assign(name: string, value: Expr): void {
    this.locals.add(name);
    this.emit(`${name}=${value};`);
  }

  /** Knows nothing of what was computed before: paths join here. */
  join(): void {
    this.pending = undefined;
    this.whole = false;
    this.count = 0;
    this.names = 0;
    this.values.clear();
    this.vectors.forget();
  }

  /** What is known where two ways part. */
  save(): unknown {
    const { pending, whole, count, names } = this;
    return { pending, whole, count, names, values: this.values.save() };
  }

  /** Goes back to what was known. */
  restore(saved: unknown): void {
    const { values, ...rest } = saved as { values: unknown };
    Object.assign(this, rest);
    this.values.restore(values);
    this.vectors.forget();
  }

  /** Stores pending flags in `fr` and `fc`. */
  flush(): void {
    const p = this.pending;
    this.pending = undefined;
    if (p !== undefined) this.emit(`fc=${pendingCarries(p)};fr=${resultText(p)};fk=0;`);
    else if (!this.whole) this.emit(`${this.settle("fk")}fk=0;`);
    this.whole = true;
  }

  /** The statements that make `fr` and `fc` of flags that wait in variables, by their code. */
  settle(code: Expr): string {
    return this.long
      ? `fc=wideCarriesOf(${code},fd,fs,fr,fc,fdh,fsh,frh);fr=wideResult(${code},fr,frh);`
      : `fc=carriesOf(${code},fd,fs,fr,fc);`;
  }

  /** Leaves pending flags in variables, where paths join. */
  park(): void {
    const p = this.pending;
    if (p === undefined) return;
    this.pending = undefined;
    this.whole = false;
    this.emit(`${this.leaveFlags(p)}fk=${flagsCode(p)};`);
  }

  /** Flags may have been changed, or not. */
  unsure(): void {
    this.whole = false;
  }

  /** The statements that leave pending flags to the epilogue. */
  private leaveFlags(p: Pending): string {
    const { high } = p;
    if (high !== undefined) {
      const result = `fr=${p.fr};frh=${high.r};`;
      if (p.kind === LOGIC) return result;
      if (p.kind === SHIFTED) return `${result}fd=${p.d};`;
      return `${result}fd=${p.d};fs=${p.s};fdh=${high.d};fsh=${high.s};`;
    }
    switch (p.kind) {
      case WHOLE:
        return `fr=${p.fr};fc=${p.fc};`;
      case LOGIC:
        return `fr=${p.fr};`;
      case ADD:
      case SUB:
      case IMUL:
        return `fr=${p.fr};fd=${p.d};fs=${p.s};`;
      default:
        return `fr=${p.fr};fd=${p.d};`;
    }
  }

  /** Leaves the region for an offset of the page, `done` instructions of the current one executed (0 or 1). */
  exit(offset: number | Expr, reason: number, done = 0, access = 0): string {
    const { pending } = this, dynamic = typeof offset === "string" || offset === DYNAMIC;
    if (dynamic) this.indirect = true;
    const words = [
      dynamic ? DYNAMIC : offset,
      -(this.count + done),
      reason,
      pending !== undefined ? flagsCode(pending) : this.whole ? WHOLE : DYNAMIC,
      0,
      access,
    ];
    const key = words.join();
    let z = this.exitsByKey.get(key);
    if (z === undefined) {
      z = this.exits.push(...words) - EXIT_WORDS;
      this.exitsByKey.set(key, z);
    }
    const flags = pending === undefined ? "" : this.leaveFlags(pending);
    return `{${flags}${dynamic ? `x=${offset};` : ""}z=${z};break X;}`;
  }

  /** The same with the budget being up to date, and flags whole. */
  leave(offset: number, reason: number): string {
    const { count } = this;
    this.count = 0;
    const text = this.exit(offset, reason);
    this.count = count;
    return text;
  }

  /** Leaves the region before the current instruction, which the interpreter then does. */
  bail(reason: number): string {
    return this.exit(this.at, reason);
  }

  /** The same for memory that the TLB does not serve, telling of the access that the instruction makes first. */
  miss(linear: Expr, bytes: number, write: boolean): string {
    this.tells = true;
    const address = this.long ? `m=${linear};mh=${linear}h;` : `m=${linear};`;
    const text = this.exit(this.at, LEFT_MEMORY, 0, bytes | (write ? ACCESS_WRITE : 0));
    return `{${address}${text.slice(1)}`;
  }
}
