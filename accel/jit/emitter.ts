/** The text of one region as it is written: names, the flags not stored yet, and the ways out. */
import type { Expr } from "../x86/binder.ts";
import { VectorState } from "./vector_state.ts";

/** How the flag words follow from what {@linkcode Pending} holds; see {@linkcode carriesOf}. */
export const WHOLE = 0, ADD = 1, SUB = 2;

/**
 * Flags that are known but not stored: most are overwritten before anything reads them. All texts are
 * names or literals, so that a way out of the region, which is rarely taken, consists of assignments
 * alone: V8 compiles operations that never ran as "give up this code".
 */
export interface Pending {
  kind: typeof WHOLE | typeof ADD | typeof SUB;
  /** Width of the operands. */
  width: number;
  /** FR. */
  fr: Expr;
  /** FC, if `kind` is {@linkcode WHOLE}. */
  fc: Expr;
  /** Operands and result, for ADD and SUB. */
  d: Expr;
  s: Expr;
  r: Expr;
  /** Whether d - s is all there is to r, so that conditions can compare the operands. */
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

/** FC of pending flags by kind (ADD, SUB) with the width's missing bits above: the epilogue's. */
export function carriesOf(kind: number, d: number, s: number, r: number, fc: number): number {
  if (kind === 0) return fc;
  const vector = (kind & 3) === ADD ? (d & s) | ((d | s) & ~r) : (~d & s) | ((~d | s) & r);
  const shift = kind >> 2;
  return shift === 0 ? vector & CARRIES : ((vector << shift) & 0xc0000000) | (vector & 8);
}

/** Collects the text of a region. */
export class Emitter {
  readonly lines: string[] = [];
  private names = 0;
  pending: Pending | undefined;
  /** General registers used, by number; those with their high halves when `long`. */
  readonly used = new Set<number>();
  readonly written = new Set<number>();
  /** Instructions executed since the budget was last brought up to date. */
  count = 0;
  /** Instructions, counted as `count` is, for which the budget is known to be enough. */
  needs = 0;
  /** Offset in the page of the instruction whose text is being made, and of the next one. */
  at = 0;
  next = 0;

  /** What is known of the XMM registers here. */
  readonly vectors = new VectorState();
  /** Names that do not change within a region, with their values. */
  readonly constants = new Map<string, Expr>();

  constructor(readonly long: boolean) {}

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

  /** Stores pending flags. */
  flush(): void {
    const p = this.pending;
    if (p === undefined) return;
    this.pending = undefined;
    this.emit(`fr=${p.fr};fc=${pendingCarries(p)};`);
  }

  /** The statements that leave pending flags to the epilogue. */
  private leaveFlags(): string {
    const p = this.pending;
    if (p === undefined) return "";
    if (p.kind === WHOLE) return `fr=${p.fr};fc=${p.fc};`;
    return `fr=${p.fr};fk=${p.kind | (32 - p.width) << 2};fd=${p.d};fs=${p.s};`;
  }

  /** Leaves the region for an offset of the page, `done` instructions of the current one executed (0 or 1). */
  exit(offset: number | Expr, reason: number, done = 0): string {
    return `{${this.leaveFlags()}x=${offset};k=${-(this.count + done)};w=${reason};break X;}`;
  }

  /** Leaves the region before the current instruction, which the interpreter then does. */
  bail(reason: number): string {
    return this.exit(this.at, reason);
  }
}

/** FC of pending flags. */
export function pendingCarries(p: Pending): Expr {
  if (p.kind === WHOLE) return p.fc;
  const { d, s, r } = p;
  const vector = p.kind === ADD
    ? `(${d}&${s})|((${d}|${s})&~${r})`
    : `(~${d}&${s})|((~${d}|${s})&${r})`;
  if (p.width === 32) return `(${vector})&-1073741816`;
  return `((${vector})<<${32 - p.width}&-1073741824)|((${vector})&8)`;
}
